//! What functions of the shell take and give, as values of the language.

use std::collections::BTreeMap;

use num_bigint::BigInt;

use crate::erl::function::Raised;
use crate::erl::term::{Key, Term};
use crate::id::{Cid, Did, Hashids, MsgId, Uid};

/// A number.
pub fn number(value: u64) -> Term {
    match i64::try_from(value) {
        Ok(small) => Term::Int(small),
        Err(_) => Term::big(BigInt::from(value)),
    }
}

/// A binary that holds this text.
pub fn text(value: &str) -> Term {
    Term::binary(value.as_bytes())
}

/// A value, or `undefined`.
pub fn or_undefined(value: Option<Term>) -> Term {
    value.unwrap_or_else(|| Term::atom("undefined"))
}

/// A map with atoms for keys.
pub fn map<const N: usize>(entries: [(&str, Term); N]) -> Term {
    let entries = entries.map(|(key, value)| (Key(Term::atom(key)), value));
    Term::map(BTreeMap::from(entries))
}

/// `{Name, Value}`.
pub fn pair(name: &str, value: Term) -> Term {
    Term::tuple([Term::atom(name), value])
}

/// A user as the wire names it.
pub fn user_name(uid: Uid, hashids: &Hashids) -> Term {
    text(&hashids.encode(uid))
}

/// The text in a binary, a string, an atom, or an integer written out.
pub fn text_of(term: &Term) -> Option<String> {
    match term {
        Term::Atom(atom) => Some(atom.as_str().to_string()),
        Term::Int(number) => Some(number.to_string()),
        Term::Nil => Some(String::new()),
        Term::Cons(_) => {
            let items = term.as_list()?;
            let chars = items.iter().map(|item| match item {
                Term::Int(code) => char::from_u32(u32::try_from(*code).ok()?),
                _ => None,
            });
            chars.collect()
        }
        _ => String::from_utf8(term.as_binary()?.to_vec()).ok(),
    }
}

/// The bytes of an iolist.
pub fn bytes_of(term: &Term) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut open = vec![term.clone()];
    while let Some(term) = open.pop() {
        match &term {
            Term::Nil => {}
            Term::Int(byte) => bytes.push(u8::try_from(*byte).ok()?),
            Term::Cons(cons) => {
                open.push(cons.tail().clone());
                open.push(cons.head().clone());
            }
            _ => bytes.extend_from_slice(term.as_binary()?),
        }
    }
    Some(bytes)
}

/// A user by number or by hashid.
pub fn user_of(term: &Term, hashids: &Hashids) -> Result<Uid, Raised> {
    match term {
        Term::Int(number) => u64::try_from(*number).map(Uid).map_err(|_| bad_user(term)),
        Term::Big(number) => u64::try_from(&**number)
            .map(Uid)
            .map_err(|_| bad_user(term)),
        _ => {
            let name = text_of(term).ok_or_else(|| bad_user(term))?;
            hashids.decode(&name).map_err(|_| bad_user(term))
        }
    }
}

/// A group, as a user is: by number or by hashid.
pub fn group_of(term: &Term, hashids: &Hashids) -> Result<Cid, Raised> {
    let number = user_of(term, hashids);
    number
        .map(|Uid(number)| Cid(number))
        .map_err(|_| wrong("bad_group", term))
}

/// A device's name.
pub fn did_of(term: &Term) -> Result<Did, Raised> {
    let name = text_of(term).and_then(|name| Did::parse(&name).ok());
    name.ok_or_else(|| wrong("bad_did", term))
}

/// A message's id.
pub fn id_of(term: &Term) -> Result<MsgId, Raised> {
    let id = text_of(term).and_then(|id| MsgId::parse(&id).ok());
    id.ok_or_else(|| wrong("bad_message_id", term))
}

/// A count that is not negative.
pub fn count_of(term: &Term) -> Result<usize, Raised> {
    match term {
        Term::Int(count) => usize::try_from(*count).map_err(|_| Raised::badarg()),
        _ => Err(Raised::badarg()),
    }
}

/// An error that names what is wrong with which value.
pub fn wrong(what: &str, value: &Term) -> Raised {
    Raised::error(pair(what, value.clone()))
}

/// An error with a sentence.
pub fn failed(what: &str, sentence: impl AsRef<str>) -> Raised {
    Raised::error(pair(what, text(sentence.as_ref())))
}

fn bad_user(term: &Term) -> Raised {
    wrong("bad_user", term)
}
