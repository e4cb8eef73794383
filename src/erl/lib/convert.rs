//! `erlang`: one kind of value made of another.

use crate::erl::chardata;
use crate::erl::function::{Machine, Native, Raised};
use crate::erl::number;
use crate::erl::print;
use crate::erl::term::{Bits, Term};

use super::args::{Value, count, int, list_arg, place};
use super::native;

/// Atoms are no longer than this.
const ATOM_MAX: usize = 255;

/// The conversions.
pub(super) static TABLE: &[Native] = &[
    native(
        "erlang",
        "atom_to_binary",
        1,
        "atom_to_binary(Atom)",
        "The name of an atom, in UTF-8.",
        |m, a| chardata::binary(name(&a[0])?, m),
    ),
    native(
        "erlang",
        "atom_to_binary",
        2,
        "atom_to_binary(Atom, Encoding)",
        "The name of an atom, in utf8 or latin1.",
        |m, a| {
            let name = name(&a[0])?;
            match is_latin1(&a[1])? {
                false => chardata::binary(name, m),
                true => {
                    let bytes: Option<Vec<u8>> =
                        name.chars().map(|c| u8::try_from(c).ok()).collect();
                    bytes.map(Term::binary).ok_or_else(Raised::badarg)
                }
            }
        },
    ),
    native(
        "erlang",
        "atom_to_list",
        1,
        "atom_to_list(Atom)",
        "The name of an atom, as a string.",
        |m, a| chardata::list(name(&a[0])?, m),
    ),
    native(
        "erlang",
        "binary_part",
        2,
        "binary_part(Binary, {Start, Length})",
        "A part of a binary; a negative length counts backwards.",
        |m, a| match a[1].as_tuple() {
            Some([start, length]) => part(m, &a[0], start, length),
            _ => Err(Raised::badarg()),
        },
    ),
    native(
        "erlang",
        "binary_part",
        3,
        "binary_part(Binary, Start, Length)",
        "A part of a binary; a negative length counts backwards.",
        |m, a| part(m, &a[0], &a[1], &a[2]),
    ),
    native(
        "erlang",
        "binary_to_atom",
        1,
        "binary_to_atom(Binary)",
        "The atom with this name.",
        |m, a| binary_to_atom(m, &a[0], false),
    ),
    native(
        "erlang",
        "binary_to_atom",
        2,
        "binary_to_atom(Binary, Encoding)",
        "The atom with this name, in utf8 or latin1.",
        |m, a| binary_to_atom(m, &a[0], is_latin1(&a[1])?),
    ),
    native(
        "erlang",
        "binary_to_existing_atom",
        1,
        "binary_to_existing_atom(Binary)",
        "Like binary_to_atom/1: any atom exists here.",
        |m, a| binary_to_atom(m, &a[0], false),
    ),
    native(
        "erlang",
        "binary_to_existing_atom",
        2,
        "binary_to_existing_atom(Binary, Encoding)",
        "Like binary_to_atom/2: any atom exists here.",
        |m, a| binary_to_atom(m, &a[0], is_latin1(&a[1])?),
    ),
    native(
        "erlang",
        "binary_to_list",
        1,
        "binary_to_list(Binary)",
        "The bytes as a list.",
        |m, a| {
            let bytes = a[0].as_binary().ok_or_else(Raised::badarg)?;
            byte_list(m, bytes)
        },
    ),
    native(
        "erlang",
        "binary_to_list",
        3,
        "binary_to_list(Binary, From, To)",
        "The bytes from From to To, counted from 1, as a list.",
        |m, a| {
            let bytes = a[0].as_binary().ok_or_else(Raised::badarg)?;
            let (from, to) = (place(&a[1]), place(&a[2]));
            let (Some(from), Some(to)) = (from, to) else {
                return Err(Raised::badarg());
            };
            let part = to.checked_add(1).and_then(|to| bytes.get(from..to));
            byte_list(
                m,
                part.filter(|part| !part.is_empty())
                    .ok_or_else(Raised::badarg)?,
            )
        },
    ),
    native(
        "erlang",
        "bitstring_to_list",
        1,
        "bitstring_to_list(Bits)",
        "The bytes as a list, the last bits as a bit string.",
        |m, a| {
            let Term::Bits(bits) = &a[0] else {
                return Err(Raised::badarg());
            };
            let whole = bits.bits / 8;
            m.charge(whole + 1)?;
            let last = bits.bytes.get(whole).map(|byte| {
                Term::Bits(Bits {
                    bytes: vec![*byte].into(),
                    bits: bits.bits % 8,
                })
            });
            let bytes = bits.bytes[..whole]
                .iter()
                .map(|byte| Term::Int(i64::from(*byte)));
            Ok(Term::list(bytes.chain(last).collect::<Vec<_>>()))
        },
    ),
    native(
        "erlang",
        "fun_to_list",
        1,
        "erlang:fun_to_list(Fun)",
        "The fun as it is printed.",
        |m, a| match &a[0] {
            Term::Fun(_) => chardata::list(&print::write(&a[0]), m),
            _ => Err(Raised::badarg()),
        },
    ),
    native(
        "erlang",
        "iolist_size",
        1,
        "iolist_size(IoList)",
        "How many bytes nested lists of bytes and binaries have.",
        |m, a| {
            let bytes = chardata::bytes(&a[0], m)?;
            Ok(int(bytes.ok_or_else(Raised::badarg)?.len()))
        },
    ),
    native(
        "erlang",
        "iolist_to_binary",
        1,
        "iolist_to_binary(IoList)",
        "One binary of nested lists of bytes and binaries.",
        |m, a| {
            let bytes = chardata::bytes(&a[0], m)?;
            bytes.map(Term::binary).ok_or_else(Raised::badarg)
        },
    ),
    native(
        "erlang",
        "list_to_atom",
        1,
        "list_to_atom(String)",
        "The atom with this name.",
        |m, a| list_to_atom(m, &a[0]),
    ),
    native(
        "erlang",
        "list_to_binary",
        1,
        "list_to_binary(IoList)",
        "One binary of nested lists of bytes and binaries.",
        |m, a| {
            if matches!(a[0], Term::Bits(_)) {
                return Err(Raised::badarg());
            }
            let bytes = chardata::bytes(&a[0], m)?;
            bytes.map(Term::binary).ok_or_else(Raised::badarg)
        },
    ),
    native(
        "erlang",
        "list_to_existing_atom",
        1,
        "list_to_existing_atom(String)",
        "Like list_to_atom/1: any atom exists here.",
        |m, a| list_to_atom(m, &a[0]),
    ),
    native(
        "erlang",
        "list_to_pid",
        1,
        "list_to_pid(String)",
        "The pid that is printed so: \"<0.N.0>\".",
        |m, a| {
            let text = flat_text(m, &a[0])?;
            let number = text
                .strip_prefix("<0.")
                .and_then(|text| text.strip_suffix(".0>"));
            let number = number.filter(|number| number.bytes().all(|byte| byte.is_ascii_digit()));
            let number = number.and_then(|number| number.parse().ok());
            number.map(Term::Pid).ok_or_else(Raised::badarg)
        },
    ),
    native(
        "erlang",
        "pid_to_list",
        1,
        "pid_to_list(Pid)",
        "The pid as it is printed.",
        |m, a| match &a[0] {
            Term::Pid(_) => chardata::list(&print::write(&a[0]), m),
            _ => Err(Raised::badarg()),
        },
    ),
    native(
        "erlang",
        "ref_to_list",
        1,
        "ref_to_list(Ref)",
        "The reference as it is printed.",
        |m, a| match &a[0] {
            Term::Ref(_) => chardata::list(&print::write(&a[0]), m),
            _ => Err(Raised::badarg()),
        },
    ),
    native(
        "erlang",
        "split_binary",
        2,
        "split_binary(Binary, Position)",
        "The first Position bytes, and the others: {Binary1, Binary2}.",
        |m, a| {
            let bytes = a[0].as_binary().ok_or_else(Raised::badarg)?;
            let at = count(&a[1]).ok_or_else(Raised::badarg)?;
            let (before, behind) = bytes.split_at_checked(at).ok_or_else(Raised::badarg)?;
            m.charge(bytes.len() / 8 + 1)?;
            Ok(Term::tuple([Term::binary(before), Term::binary(behind)]))
        },
    ),
];

/// A list of these bytes, paid for.
pub(super) fn byte_list(machine: &mut dyn Machine, bytes: &[u8]) -> Value {
    machine.charge(bytes.len())?;
    let bytes = bytes.iter().map(|byte| Term::Int(i64::from(*byte)));
    Ok(Term::list(bytes))
}

/// A part of a binary, paid for; a negative length counts backwards from the start.
pub(super) fn part(machine: &mut dyn Machine, binary: &Term, start: &Term, length: &Term) -> Value {
    let bytes = binary.as_binary().ok_or_else(Raised::badarg)?;
    let range = range(bytes, start, length).ok_or_else(Raised::badarg)?;
    machine.charge(range.len() / 8 + 1)?;
    Ok(Term::binary(&bytes[range]))
}

/// The range of a start and a length, which may be negative, if it lies within the bytes.
pub(super) fn range(bytes: &[u8], start: &Term, length: &Term) -> Option<std::ops::Range<usize>> {
    let (Term::Int(start), Term::Int(length)) = (start, length) else {
        return None;
    };
    let end = start.checked_add(*length)?;
    let (from, to) = ((*start).min(end), (*start).max(end));
    let range = usize::try_from(from).ok()?..usize::try_from(to).ok()?;
    bytes.get(range.clone())?;
    Some(range)
}

fn name(value: &Term) -> Result<&str, Raised> {
    value.as_atom().ok_or_else(Raised::badarg)
}

fn is_latin1(encoding: &Term) -> Result<bool, Raised> {
    match encoding.as_atom() {
        Some("latin1") => Ok(true),
        Some("utf8" | "unicode") => Ok(false),
        _ => Err(Raised::badarg()),
    }
}

fn atom(name: &str) -> Value {
    match name.chars().count() > ATOM_MAX {
        true => Err(number::system_limit()),
        false => Ok(Term::atom(name)),
    }
}

fn binary_to_atom(machine: &mut dyn Machine, binary: &Term, latin1: bool) -> Value {
    let bytes = binary.as_binary().ok_or_else(Raised::badarg)?;
    machine.charge(bytes.len() / 8)?;
    match latin1 {
        true => atom(
            &bytes
                .iter()
                .map(|byte| char::from(*byte))
                .collect::<String>(),
        ),
        false => atom(std::str::from_utf8(bytes).map_err(|_| Raised::badarg())?),
    }
}

fn list_to_atom(machine: &mut dyn Machine, string: &Term) -> Value {
    atom(&flat_text(machine, string)?)
}

/// The text of a flat list of characters.
pub(super) fn flat_text(machine: &mut dyn Machine, string: &Term) -> Result<String, Raised> {
    let items = list_arg(machine, string)?;
    let text: Option<String> = items.iter().map(chardata::character).collect();
    text.ok_or_else(Raised::badarg)
}
