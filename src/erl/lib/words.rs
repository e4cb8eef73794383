//! `string`: the older functions, on flat lists of characters.

use crate::erl::chardata;
use crate::erl::function::{Machine, Native, Raised};
use crate::erl::number::{self, Op};
use crate::erl::term::Term;

use super::args::{Value, clause, count, int, is_integer, list, list_arg, list_onto, place};
use super::native;

const BLANK: Term = Term::Int(32);

/// The older half of `string`.
pub(super) static TABLE: &[Native] = &[
    native(
        "string",
        "centre",
        2,
        "string:centre(String, Length)",
        "The string in the middle of Length characters.",
        |m, a| centre(m, a, &BLANK),
    ),
    native(
        "string",
        "centre",
        3,
        "string:centre(String, Length, Char)",
        "The string in the middle of Length characters, filled with Char.",
        |m, a| centre(m, a, &a[2]),
    ),
    native(
        "string",
        "chars",
        2,
        "string:chars(Char, N)",
        "N times a character.",
        |m, a| chars(m, a, Term::Nil),
    ),
    native(
        "string",
        "chars",
        3,
        "string:chars(Char, N, Tail)",
        "N times a character, and then Tail.",
        |m, a| chars(m, a, a[2].clone()),
    ),
    native(
        "string",
        "chr",
        2,
        "string:chr(String, Char)",
        "The place of the first such character, or 0.",
        |m, a| {
            let at = list(m, &a[0])?.iter().position(|item| is(item, &a[1]));
            Ok(int(at.map_or(0, |at| at + 1)))
        },
    ),
    native(
        "string",
        "concat",
        2,
        "string:concat(String1, String2)",
        "String1 ++ String2.",
        |m, a| number::binary(Op::Append, &a[0], &a[1], m),
    ),
    native(
        "string",
        "copies",
        2,
        "string:copies(String, N)",
        "N times the string.",
        |m, a| {
            let (items, times) = (list(m, &a[0])?, count(&a[1]).ok_or_else(clause)?);
            m.charge(items.len().saturating_mul(times))?;
            if items.is_empty() {
                return Ok(Term::Nil);
            }
            Ok(Term::list((0..times).flat_map(|_| items.iter().cloned())))
        },
    ),
    native(
        "string",
        "cspan",
        2,
        "string:cspan(String, Chars)",
        "How many leading characters are none of these.",
        |m, a| span(m, a, false),
    ),
    native(
        "string",
        "join",
        2,
        "string:join(Strings, Separator)",
        "The strings with the separator between them.",
        join,
    ),
    native(
        "string",
        "left",
        2,
        "string:left(String, Length)",
        "The string cut or filled at its end.",
        |m, a| left(m, a, &BLANK),
    ),
    native(
        "string",
        "left",
        3,
        "string:left(String, Length, Char)",
        "The string cut at its end, or filled with Char.",
        |m, a| left(m, a, &a[2]),
    ),
    native(
        "string",
        "len",
        1,
        "string:len(String)",
        "How many elements the string has.",
        |m, a| {
            let length = number::length(&a[0]).ok_or_else(Raised::badarg)?;
            m.charge(length / 8)?;
            Ok(int(length))
        },
    ),
    native(
        "string",
        "rchr",
        2,
        "string:rchr(String, Char)",
        "The place of the last such character, or 0.",
        |m, a| {
            let at = list(m, &a[0])?.iter().rposition(|item| is(item, &a[1]));
            Ok(int(at.map_or(0, |at| at + 1)))
        },
    ),
    native(
        "string",
        "right",
        2,
        "string:right(String, Length)",
        "The string cut or filled at its start.",
        |m, a| right(m, a, &BLANK),
    ),
    native(
        "string",
        "right",
        3,
        "string:right(String, Length, Char)",
        "The string cut at its start, or filled with Char.",
        |m, a| right(m, a, &a[2]),
    ),
    native(
        "string",
        "rstr",
        2,
        "string:rstr(String, Part)",
        "The place of the last such part, or 0.",
        |m, a| position(m, a, true),
    ),
    native(
        "string",
        "span",
        2,
        "string:span(String, Chars)",
        "How many leading characters are of these.",
        |m, a| span(m, a, true),
    ),
    native(
        "string",
        "str",
        2,
        "string:str(String, Part)",
        "The place of the first such part, or 0.",
        |m, a| position(m, a, false),
    ),
    native(
        "string",
        "strip",
        1,
        "string:strip(String)",
        "The string without blanks at both ends.",
        |m, a| strip(m, &a[0], "both", &BLANK),
    ),
    native(
        "string",
        "strip",
        2,
        "string:strip(String, left | right | both)",
        "The string without blanks at one end or both.",
        |m, a| strip(m, &a[0], a[1].as_atom().unwrap_or_default(), &BLANK),
    ),
    native(
        "string",
        "strip",
        3,
        "string:strip(String, left | right | both, Char)",
        "The string without a character at one end or both.",
        |m, a| strip(m, &a[0], a[1].as_atom().unwrap_or_default(), &a[2]),
    ),
    native(
        "string",
        "sub_string",
        2,
        "string:sub_string(String, Start)",
        "The string from place Start on.",
        |m, a| sub_string(m, &a[0], &a[1], usize::MAX),
    ),
    native(
        "string",
        "sub_string",
        3,
        "string:sub_string(String, Start, Stop)",
        "The string from place Start to place Stop.",
        |m, a| {
            let stop = count(&a[2]).ok_or_else(clause)?;
            let start = place(&a[1]).ok_or_else(clause)?;
            sub_string(m, &a[0], &a[1], stop.saturating_sub(start))
        },
    ),
    native(
        "string",
        "sub_word",
        2,
        "string:sub_word(String, N)",
        "Word N of the string.",
        |m, a| sub_word(m, a, &BLANK),
    ),
    native(
        "string",
        "sub_word",
        3,
        "string:sub_word(String, N, Char)",
        "Word N of those that Char separates.",
        |m, a| sub_word(m, a, &a[2]),
    ),
    native(
        "string",
        "substr",
        2,
        "string:substr(String, Start)",
        "The string from place Start on.",
        |m, a| substr(m, &a[0], &a[1], usize::MAX),
    ),
    native(
        "string",
        "substr",
        3,
        "string:substr(String, Start, Length)",
        "At most Length characters from place Start on.",
        |m, a| substr(m, &a[0], &a[1], count(&a[2]).ok_or_else(clause)?),
    ),
    native(
        "string",
        "to_lower",
        1,
        "string:to_lower(StringOrChar)",
        "The Latin-1 letters in lower case.",
        |m, a| cased(m, &a[0], lower),
    ),
    native(
        "string",
        "to_upper",
        1,
        "string:to_upper(StringOrChar)",
        "The Latin-1 letters in upper case.",
        |m, a| cased(m, &a[0], upper),
    ),
    native(
        "string",
        "tokens",
        2,
        "string:tokens(String, Separators)",
        "The parts between separators that are not empty.",
        |m, a| {
            let separators = list(m, &a[1])?;
            let parts = parts(m, &a[0], &separators)?;
            Ok(Term::list(
                parts.into_iter().map(Term::list).collect::<Vec<_>>(),
            ))
        },
    ),
    native(
        "string",
        "words",
        1,
        "string:words(String)",
        "How many words the string has.",
        |m, a| Ok(int(parts(m, &a[0], std::slice::from_ref(&BLANK))?.len())),
    ),
    native(
        "string",
        "words",
        2,
        "string:words(String, Char)",
        "How many words the string has that Char separates.",
        |m, a| Ok(int(parts(m, &a[0], &a[1..])?.len())),
    ),
];

/// Whether two characters are the same.
fn is(a: &Term, b: &Term) -> bool {
    matches!((a, b), (Term::Int(a), Term::Int(b)) if a == b)
}

fn chars(machine: &mut dyn Machine, args: &[Term], tail: Term) -> Value {
    let count = count(&args[1])
        .filter(|_| is_integer(&args[0]))
        .ok_or_else(clause)?;
    machine.charge(count)?;
    Ok(list_onto(vec![args[0].clone(); count], tail))
}

fn span(machine: &mut dyn Machine, args: &[Term], wanted: bool) -> Value {
    let (items, set) = (list(machine, &args[0])?, list(machine, &args[1])?);
    machine.charge(items.len().saturating_mul(set.len() / 8 + 1))?;
    let is_in = |item: &&Term| set.iter().any(|one| is(one, item)) == wanted;
    Ok(int(items.iter().take_while(is_in).count()))
}

fn join(machine: &mut dyn Machine, args: &[Term]) -> Value {
    let (strings, separator) = (list(machine, &args[0])?, list(machine, &args[1])?);
    let mut joined = Vec::new();
    for (index, string) in strings.iter().enumerate() {
        if index > 0 {
            machine.charge(separator.len())?;
            joined.extend_from_slice(&separator);
        }
        joined.extend(list_arg(machine, string)?);
    }
    Ok(Term::list(joined))
}

fn wanted(args: &[Term], fill: &Term) -> Result<usize, Raised> {
    count(&args[1])
        .filter(|_| is_integer(fill))
        .ok_or_else(clause)
}

fn left(machine: &mut dyn Machine, args: &[Term], fill: &Term) -> Value {
    let length = wanted(args, fill)?;
    machine.charge(length)?;
    let mut items = list_arg(machine, &args[0])?;
    items.resize(length, fill.clone());
    Ok(Term::list(items))
}

fn right(machine: &mut dyn Machine, args: &[Term], fill: &Term) -> Value {
    let length = wanted(args, fill)?;
    machine.charge(length)?;
    let items = list_arg(machine, &args[0])?;
    let mut filled = vec![fill.clone(); length.saturating_sub(items.len())];
    filled.extend_from_slice(&items[items.len().saturating_sub(length)..]);
    Ok(Term::list(filled))
}

fn centre(machine: &mut dyn Machine, args: &[Term], fill: &Term) -> Value {
    let length = wanted(args, fill)?;
    machine.charge(length)?;
    let items = list_arg(machine, &args[0])?;
    if items.len() >= length {
        let start = (items.len() - length) / 2;
        return Ok(Term::list(items[start..start + length].to_vec()));
    }
    let before = (length - items.len()) / 2;
    let mut filled = vec![fill.clone(); before];
    filled.extend(items);
    filled.resize(length, fill.clone());
    Ok(Term::list(filled))
}

fn position(machine: &mut dyn Machine, args: &[Term], last: bool) -> Value {
    let (items, part) = (list(machine, &args[0])?, list(machine, &args[1])?);
    machine.charge(items.len().saturating_mul(part.len() / 8 + 1))?;
    let is_at = |start: &usize| {
        let window = items.get(*start..start + part.len());
        window.is_some_and(|window| window.iter().zip(&part).all(|(a, b)| is(a, b)))
    };
    if part.is_empty() {
        return Ok(int(0));
    }
    let mut places = 0..items.len();
    let at = if last {
        places.rfind(is_at)
    } else {
        places.find(is_at)
    };
    Ok(int(at.map_or(0, |at| at + 1)))
}

fn strip(machine: &mut dyn Machine, string: &Term, side: &str, char: &Term) -> Value {
    let (left, right) = match side {
        "left" => (true, false),
        "right" => (false, true),
        "both" => (true, true),
        _ => return Err(clause()),
    };
    let items = list(machine, string)?;
    let mut kept = items.as_slice();
    while let [first, rest @ ..] = kept
        && left
        && is(first, char)
    {
        kept = rest;
    }
    while let [rest @ .., last] = kept
        && right
        && is(last, char)
    {
        kept = rest;
    }
    Ok(Term::list(kept.to_vec()))
}

fn substr(machine: &mut dyn Machine, string: &Term, start: &Term, length: usize) -> Value {
    let start = place(start).ok_or_else(clause)?;
    let items = list(machine, string)?;
    let kept = items
        .get(start..)
        .filter(|rest| start == 0 || !rest.is_empty() || start == items.len());
    let kept = kept.ok_or_else(clause)?;
    Ok(Term::list(kept[..kept.len().min(length)].to_vec()))
}

fn sub_string(machine: &mut dyn Machine, string: &Term, start: &Term, length: usize) -> Value {
    substr(machine, string, start, length)
}

/// The parts between separators that are not empty.
fn parts(
    machine: &mut dyn Machine,
    string: &Term,
    separators: &[Term],
) -> Result<Vec<Vec<Term>>, Raised> {
    let items = list(machine, string)?;
    machine.charge(items.len().saturating_mul(separators.len() / 8 + 1))?;
    let parts = items.split(|item| separators.iter().any(|one| is(one, item)));
    Ok(parts
        .filter(|part| !part.is_empty())
        .map(<[Term]>::to_vec)
        .collect())
}

fn sub_word(machine: &mut dyn Machine, args: &[Term], separator: &Term) -> Value {
    let place = place(&args[1])
        .filter(|_| is_integer(separator))
        .ok_or_else(clause)?;
    let mut parts = parts(machine, &args[0], std::slice::from_ref(separator))?;
    Ok(match place < parts.len() {
        true => Term::list(parts.swap_remove(place)),
        false => Term::Nil,
    })
}

fn cased(machine: &mut dyn Machine, value: &Term, convert: fn(char) -> char) -> Value {
    let point = |item: &Term| match chardata::character(item) {
        Some(c) => Term::Int(i64::from(u32::from(convert(c)))),
        None => item.clone(),
    };
    if is_integer(value) {
        return Ok(point(value));
    }
    let items = list(machine, value)?;
    Ok(Term::list(items.iter().map(point).collect::<Vec<_>>()))
}

fn lower(c: char) -> char {
    match c {
        'A'..='Z' | 'À'..='Ö' | 'Ø'..='Þ' => char::from_u32(u32::from(c) + 32).unwrap_or(c),
        _ => c,
    }
}

fn upper(c: char) -> char {
    match c {
        'a'..='z' | 'à'..='ö' | 'ø'..='þ' => char::from_u32(u32::from(c) - 32).unwrap_or(c),
        _ => c,
    }
}
