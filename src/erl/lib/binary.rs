//! `binary`.

use memchr::memmem;
use num_bigint::{BigInt, BigUint, Sign};

use crate::erl::chardata;
use crate::erl::function::{Machine, Native, Raised};
use crate::erl::number;
use crate::erl::term::Term;

use super::args::{Value, count, int, list_arg};
use super::convert::{byte_list, part, range};
use super::native;

/// Nearly all of `binary`.
pub(super) static TABLE: &[Native] = &[
    native(
        "binary",
        "at",
        2,
        "binary:at(Binary, Position)",
        "The byte at Position, counted from 0.",
        |_, a| {
            let at = count(&a[1]).ok_or_else(Raised::badarg)?;
            byte(bytes(&a[0])?.get(at))
        },
    ),
    native(
        "binary",
        "bin_to_list",
        1,
        "binary:bin_to_list(Binary)",
        "The bytes as a list.",
        |m, a| byte_list(m, bytes(&a[0])?),
    ),
    native(
        "binary",
        "bin_to_list",
        2,
        "binary:bin_to_list(Binary, {Start, Length})",
        "Some of the bytes as a list.",
        |m, a| match a[1].as_tuple() {
            Some([start, length]) => some_bytes(m, &a[0], start, length),
            _ => Err(Raised::badarg()),
        },
    ),
    native(
        "binary",
        "bin_to_list",
        3,
        "binary:bin_to_list(Binary, Start, Length)",
        "Some of the bytes as a list.",
        |m, a| some_bytes(m, &a[0], &a[1], &a[2]),
    ),
    native(
        "binary",
        "copy",
        1,
        "binary:copy(Binary)",
        "The same binary.",
        |_, a| bytes(&a[0]).map(|_| a[0].clone()),
    ),
    native(
        "binary",
        "copy",
        2,
        "binary:copy(Binary, N)",
        "N times the binary.",
        |m, a| {
            let (bytes, times) = (bytes(&a[0])?, count(&a[1]).ok_or_else(Raised::badarg)?);
            m.charge(bytes.len().saturating_mul(times) / 8 + 1)?;
            Ok(Term::binary(if bytes.is_empty() {
                Vec::new()
            } else {
                bytes.repeat(times)
            }))
        },
    ),
    native(
        "binary",
        "decode_hex",
        1,
        "binary:decode_hex(Binary)",
        "The bytes that pairs of hexadecimal digits stand for.",
        |m, a| {
            let digits = bytes(&a[0])?;
            m.charge(digits.len() / 8 + 1)?;
            let value = |digit: &u8| char::from(*digit).to_digit(16).map(|value| value as u8);
            let decoded: Option<Vec<u8>> = digits
                .chunks(2)
                .map(|pair| match pair {
                    [high, low] => Some(value(high)? << 4 | value(low)?),
                    _ => None,
                })
                .collect();
            decoded.map(Term::binary).ok_or_else(Raised::badarg)
        },
    ),
    native(
        "binary",
        "decode_unsigned",
        1,
        "binary:decode_unsigned(Binary)",
        "The integer that the bytes stand for, the highest first.",
        |m, a| decode(m, &a[0], false),
    ),
    native(
        "binary",
        "decode_unsigned",
        2,
        "binary:decode_unsigned(Binary, big | little)",
        "The integer that the bytes stand for.",
        |m, a| decode(m, &a[0], is_little(&a[1])?),
    ),
    native(
        "binary",
        "encode_hex",
        1,
        "binary:encode_hex(Binary)",
        "The bytes as hexadecimal digits.",
        |m, a| {
            let bytes = bytes(&a[0])?;
            m.charge(bytes.len() / 4 + 1)?;
            let digit = |value: u8| b"0123456789ABCDEF"[usize::from(value)];
            let digits = bytes
                .iter()
                .flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]);
            Ok(Term::binary(digits.collect::<Vec<u8>>()))
        },
    ),
    native(
        "binary",
        "encode_unsigned",
        1,
        "binary:encode_unsigned(Integer)",
        "The bytes of an integer, the highest first.",
        |m, a| encode(m, &a[0], false),
    ),
    native(
        "binary",
        "encode_unsigned",
        2,
        "binary:encode_unsigned(Integer, big | little)",
        "The bytes of an integer.",
        |m, a| encode(m, &a[0], is_little(&a[1])?),
    ),
    native(
        "binary",
        "first",
        1,
        "binary:first(Binary)",
        "The first byte.",
        |_, a| byte(bytes(&a[0])?.first()),
    ),
    native(
        "binary",
        "last",
        1,
        "binary:last(Binary)",
        "The last byte.",
        |_, a| byte(bytes(&a[0])?.last()),
    ),
    native(
        "binary",
        "list_to_bin",
        1,
        "binary:list_to_bin(IoList)",
        "One binary of nested lists of bytes and binaries.",
        |m, a| {
            let bytes = match a[0] {
                Term::Bits(_) => None,
                _ => chardata::bytes(&a[0], m)?,
            };
            bytes.map(Term::binary).ok_or_else(Raised::badarg)
        },
    ),
    native(
        "binary",
        "longest_common_prefix",
        1,
        "binary:longest_common_prefix(Binaries)",
        "How many leading bytes are the same in all.",
        |m, a| common(m, &a[0], |bytes, index| bytes.get(index).copied()),
    ),
    native(
        "binary",
        "longest_common_suffix",
        1,
        "binary:longest_common_suffix(Binaries)",
        "How many trailing bytes are the same in all.",
        |m, a| {
            common(m, &a[0], |bytes, index| {
                bytes.iter().rev().nth(index).copied()
            })
        },
    ),
    native(
        "binary",
        "match",
        2,
        "binary:match(Binary, Pattern)",
        "{Start, Length} of the first match of one or more patterns, or nomatch.",
        |m, a| first_match(m, &a[0], &a[1], &Term::Nil),
    ),
    native(
        "binary",
        "match",
        3,
        "binary:match(Binary, Pattern, [{scope, {Start, Length}}])",
        "Like match/2, within a part of the binary.",
        |m, a| first_match(m, &a[0], &a[1], &a[2]),
    ),
    native(
        "binary",
        "matches",
        2,
        "binary:matches(Binary, Pattern)",
        "{Start, Length} of all matches.",
        |m, a| all_matches(m, &a[0], &a[1], &Term::Nil),
    ),
    native(
        "binary",
        "matches",
        3,
        "binary:matches(Binary, Pattern, [{scope, {Start, Length}}])",
        "Like matches/2, within a part of the binary.",
        |m, a| all_matches(m, &a[0], &a[1], &a[2]),
    ),
    native(
        "binary",
        "part",
        2,
        "binary:part(Binary, {Start, Length})",
        "A part of a binary; a negative length counts backwards.",
        |m, a| match a[1].as_tuple() {
            Some([start, length]) => part(m, &a[0], start, length),
            _ => Err(Raised::badarg()),
        },
    ),
    native(
        "binary",
        "part",
        3,
        "binary:part(Binary, Start, Length)",
        "A part of a binary; a negative length counts backwards.",
        |m, a| part(m, &a[0], &a[1], &a[2]),
    ),
    native(
        "binary",
        "replace",
        3,
        "binary:replace(Binary, Pattern, New)",
        "The binary with New in place of the first match.",
        |m, a| replace(m, a, &Term::Nil),
    ),
    native(
        "binary",
        "replace",
        4,
        "binary:replace(Binary, Pattern, New, [global])",
        "The binary with New in place of all matches.",
        |m, a| replace(m, a, &a[3]),
    ),
    native(
        "binary",
        "split",
        2,
        "binary:split(Binary, Pattern)",
        "The parts before and behind the first match.",
        |m, a| split(m, a, &Term::Nil),
    ),
    native(
        "binary",
        "split",
        3,
        "binary:split(Binary, Pattern, [global, trim, trim_all])",
        "The parts between matches.",
        |m, a| split(m, a, &a[2]),
    ),
];

type Matches = Vec<(usize, usize)>;

struct Options {
    scope: std::ops::Range<usize>,
    global: bool,
    trim: bool,
    trim_all: bool,
}

impl Options {
    fn of(list: &Term, bytes: &[u8]) -> Result<Options, Raised> {
        let mut options = Options {
            scope: 0..bytes.len(),
            global: false,
            trim: false,
            trim_all: false,
        };
        for option in list.as_list().ok_or_else(Raised::badarg)? {
            match (option.as_atom(), option.as_tuple()) {
                (Some("global"), _) => options.global = true,
                (Some("trim"), _) => options.trim = true,
                (Some("trim_all"), _) => options.trim_all = true,
                (None, Some([name, scope])) if name.is_atom("scope") => {
                    let scope = match scope.as_tuple() {
                        Some([start, length]) => range(bytes, start, length),
                        _ => None,
                    };
                    options.scope = scope.ok_or_else(Raised::badarg)?;
                }
                _ => return Err(Raised::badarg()),
            }
        }
        Ok(options)
    }
}

fn bytes(value: &Term) -> Result<&[u8], Raised> {
    value.as_binary().ok_or_else(Raised::badarg)
}

fn byte(byte: Option<&u8>) -> Value {
    let byte = byte.map(|byte| Term::Int(i64::from(*byte)));
    byte.ok_or_else(Raised::badarg)
}

fn some_bytes(machine: &mut dyn Machine, binary: &Term, start: &Term, length: &Term) -> Value {
    let bytes = bytes(binary)?;
    let range = range(bytes, start, length).ok_or_else(Raised::badarg)?;
    byte_list(machine, &bytes[range])
}

fn is_little(order: &Term) -> Result<bool, Raised> {
    match order.as_atom() {
        Some("big") => Ok(false),
        Some("little") => Ok(true),
        _ => Err(Raised::badarg()),
    }
}

fn decode(machine: &mut dyn Machine, binary: &Term, little: bool) -> Value {
    let bytes = bytes(binary)?;
    machine.charge(bytes.len() / 8 + 1)?;
    if bytes.len() as u64 > number::BITS_MAX / 8 {
        return Err(number::system_limit());
    }
    Ok(Term::big(match little {
        true => BigInt::from_bytes_le(Sign::Plus, bytes),
        false => BigInt::from_bytes_be(Sign::Plus, bytes),
    }))
}

fn encode(machine: &mut dyn Machine, value: &Term, little: bool) -> Value {
    let value = number::to_big(value).and_then(|value| BigUint::try_from(value).ok());
    let value = value.ok_or_else(Raised::badarg)?;
    machine.charge((value.bits() / 64) as usize + 1)?;
    Ok(Term::binary(match little {
        true => value.to_bytes_le(),
        false => value.to_bytes_be(),
    }))
}

fn common(machine: &mut dyn Machine, list: &Term, at: fn(&[u8], usize) -> Option<u8>) -> Value {
    let binaries = list_arg(machine, list)?;
    let texts = binaries
        .iter()
        .map(bytes)
        .collect::<Result<Vec<_>, Raised>>()?;
    let Some((first, others)) = texts.split_first() else {
        return Err(Raised::badarg());
    };
    let shortest = texts.iter().map(|text| text.len()).min().unwrap_or(0);
    machine.charge(shortest.saturating_mul(texts.len()) / 8)?;
    let is_common = |index: &usize| {
        others
            .iter()
            .all(|other| at(other, *index) == at(first, *index))
    };
    Ok(int((0..shortest).take_while(is_common).count()))
}

/// One pattern or more, none of them empty.
fn patterns(machine: &mut dyn Machine, pattern: &Term) -> Result<Vec<Term>, Raised> {
    let patterns = match pattern {
        Term::Bits(_) => vec![pattern.clone()],
        _ => list_arg(machine, pattern)?,
    };
    let is_pattern = |pattern: &Term| pattern.as_binary().is_some_and(|bytes| !bytes.is_empty());
    match !patterns.is_empty() && patterns.iter().all(is_pattern) {
        true => Ok(patterns),
        false => Err(Raised::badarg()),
    }
}

/// The matches from the left, the longest of those at one place, at most `limit`.
fn matches(
    machine: &mut dyn Machine,
    bytes: &[u8],
    pattern: &Term,
    scope: std::ops::Range<usize>,
    limit: usize,
) -> Result<Matches, Raised> {
    let patterns = patterns(machine, pattern)?;
    machine.charge(scope.len().saturating_mul(patterns.len()) / 8 + patterns.len())?;
    let finders = patterns
        .iter()
        .filter_map(Term::as_binary)
        .map(memmem::Finder::new);
    let finders = finders.collect::<Vec<_>>();
    let text = &bytes[..scope.end];
    let mut next = vec![Some(scope.start); finders.len()];
    let (mut found, mut from, mut is_new) = (Vec::new(), scope.start, true);
    while found.len() < limit {
        for (finder, next) in finders.iter().zip(&mut next) {
            if is_new || next.is_some_and(|at| at < from) {
                *next = finder.find(&text[from..]).map(|at| from + at);
            }
        }
        is_new = false;
        let lengths = finders.iter().map(|finder| finder.needle().len());
        let places = next
            .iter()
            .zip(lengths)
            .filter_map(|(at, length)| Some(((*at)?, length)));
        let Some((at, length)) = places.min_by_key(|(at, length)| (*at, usize::MAX - length))
        else {
            break;
        };
        machine.charge(finders.len() + 4)?;
        found.push((at, length));
        from = at + length;
    }
    Ok(found)
}

fn pair((start, length): (usize, usize)) -> Term {
    Term::tuple([int(start), int(length)])
}

fn first_match(machine: &mut dyn Machine, binary: &Term, pattern: &Term, options: &Term) -> Value {
    let bytes = bytes(binary)?;
    let options = Options::of(options, bytes)?;
    let found = matches(machine, bytes, pattern, options.scope, 1)?;
    Ok(found
        .into_iter()
        .next()
        .map_or_else(|| Term::atom("nomatch"), pair))
}

fn all_matches(machine: &mut dyn Machine, binary: &Term, pattern: &Term, options: &Term) -> Value {
    let bytes = bytes(binary)?;
    let options = Options::of(options, bytes)?;
    let found = matches(machine, bytes, pattern, options.scope, usize::MAX)?;
    Ok(Term::list(found.into_iter().map(pair)))
}

fn replace(machine: &mut dyn Machine, args: &[Term], options: &Term) -> Value {
    let (text, new) = (bytes(&args[0])?, bytes(&args[2])?);
    let options = Options::of(options, text)?;
    let limit = if options.global { usize::MAX } else { 1 };
    let found = matches(machine, text, &args[1], options.scope, limit)?;
    machine.charge((text.len() + found.len().saturating_mul(new.len())) / 8 + 1)?;
    let (mut replaced, mut from) = (Vec::new(), 0);
    for (at, length) in found {
        replaced.extend_from_slice(&text[from..at]);
        replaced.extend_from_slice(new);
        from = at + length;
    }
    replaced.extend_from_slice(&text[from..]);
    Ok(Term::binary(replaced))
}

fn split(machine: &mut dyn Machine, args: &[Term], options: &Term) -> Value {
    let text = bytes(&args[0])?;
    let options = Options::of(options, text)?;
    let limit = if options.global { usize::MAX } else { 1 };
    let found = matches(machine, text, &args[1], options.scope, limit)?;
    machine.charge(text.len() / 8 + found.len() + 1)?;
    let (mut parts, mut from) = (Vec::new(), 0);
    for (at, length) in found {
        parts.push(&text[from..at]);
        from = at + length;
    }
    parts.push(&text[from..]);
    if options.trim_all {
        parts.retain(|part| !part.is_empty());
    }
    while options.trim && parts.last().is_some_and(|part| part.is_empty()) {
        parts.pop();
    }
    Ok(Term::list(parts.into_iter().map(Term::binary)))
}
