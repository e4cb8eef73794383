//! `unicode`: text from one encoding to another.

use crate::erl::chardata;
use crate::erl::function::{Machine, Native, Raised};
use crate::erl::term::Term;

use super::args::Value;
use super::native;

/// What converts.
pub(super) static TABLE: &[Native] = &[
    native(
        "unicode",
        "characters_to_binary",
        1,
        "unicode:characters_to_binary(Data)",
        "The text as a UTF-8 binary.",
        |m, a| to_binary(m, &a[0], &Term::atom("utf8"), &Term::atom("utf8")),
    ),
    native(
        "unicode",
        "characters_to_binary",
        2,
        "unicode:characters_to_binary(Data, InEncoding)",
        "The text, of utf8 or latin1, as a UTF-8 binary.",
        |m, a| to_binary(m, &a[0], &a[1], &Term::atom("utf8")),
    ),
    native(
        "unicode",
        "characters_to_binary",
        3,
        "unicode:characters_to_binary(Data, InEncoding, OutEncoding)",
        "The text, of utf8 or latin1, as a binary of utf8, latin1, utf16 or utf32.",
        |m, a| to_binary(m, &a[0], &a[1], &a[2]),
    ),
    native(
        "unicode",
        "characters_to_list",
        1,
        "unicode:characters_to_list(Data)",
        "The text as a list of code points.",
        |m, a| to_list(m, &a[0], &Term::atom("utf8")),
    ),
    native(
        "unicode",
        "characters_to_list",
        2,
        "unicode:characters_to_list(Data, InEncoding)",
        "The text, of utf8 or latin1, as a list of code points.",
        |m, a| to_list(m, &a[0], &a[1]),
    ),
];

/// What could be read, the rest, and whether only its end is missing.
type Unread = (String, Vec<u8>, bool);

/// The text, or what could be read of a binary and the rest of it.
fn read(
    machine: &mut dyn Machine,
    data: &Term,
    encoding: &Term,
) -> Result<Result<String, Unread>, Raised> {
    let text = match encoding.as_atom() {
        Some("latin1") => chardata::latin1(data, machine)?,
        Some("utf8" | "unicode") => chardata::text(data, machine)?,
        _ => return Err(Raised::badarg()),
    };
    if let Some(text) = text {
        return Ok(Ok(text));
    }
    let bytes = data.as_binary().ok_or_else(Raised::badarg)?;
    let Err(error) = std::str::from_utf8(bytes) else {
        return Err(Raised::badarg());
    };
    let (good, rest) = bytes.split_at(error.valid_up_to());
    let good = String::from_utf8_lossy(good).into_owned();
    Ok(Err((good, rest.to_vec(), error.error_len().is_none())))
}

fn failure(good: Term, rest: Vec<u8>, is_incomplete: bool) -> Term {
    let tag = if is_incomplete { "incomplete" } else { "error" };
    Term::tuple([Term::atom(tag), good, Term::binary(rest)])
}

fn to_list(machine: &mut dyn Machine, data: &Term, encoding: &Term) -> Value {
    match read(machine, data, encoding)? {
        Ok(text) => chardata::list(&text, machine),
        Err((good, rest, incomplete)) => {
            Ok(failure(chardata::list(&good, machine)?, rest, incomplete))
        }
    }
}

fn to_binary(machine: &mut dyn Machine, data: &Term, from: &Term, to: &Term) -> Value {
    match read(machine, data, from)? {
        Ok(text) => encoded(machine, &text, to),
        Err((good, rest, incomplete)) => {
            Ok(failure(encoded(machine, &good, to)?, rest, incomplete))
        }
    }
}

fn encoded(machine: &mut dyn Machine, text: &str, encoding: &Term) -> Value {
    machine.charge(text.len() / 2 + 1)?;
    let bytes: Vec<u8> = match encoding.as_atom() {
        Some("utf8" | "unicode") => text.as_bytes().to_vec(),
        Some("utf16") => text.encode_utf16().flat_map(u16::to_be_bytes).collect(),
        Some("utf32") => text
            .chars()
            .flat_map(|c| u32::from(c).to_be_bytes())
            .collect(),
        Some("latin1") => {
            let end = text.find(|c| c > 'ÿ').unwrap_or(text.len());
            let bytes: Vec<u8> = text[..end].chars().map(|c| u32::from(c) as u8).collect();
            if end < text.len() {
                let rest = Term::list([chardata::list(&text[end..], machine)?]);
                return Ok(Term::tuple([
                    Term::atom("error"),
                    Term::binary(bytes),
                    rest,
                ]));
            }
            bytes
        }
        _ => return Err(Raised::badarg()),
    };
    Ok(Term::binary(bytes))
}
