//! `string`: what measures and converts, by the rules of Unicode. What it returns is of the kind that the argument was.
//!
//! Text is taken flat: where OTP returns parts of a nested list as they were, these return lists of characters.

use unicode_segmentation::UnicodeSegmentation;

use crate::erl::chardata;
use crate::erl::function::{Machine, Native, Raised};
use crate::erl::number::{self, float};
use crate::erl::term::Term;

use super::args::{Value, boolean, clause, error_of, int, list_onto};
use super::native;

/// The half of `string` that measures and converts.
pub(super) static TABLE: &[Native] = &[
    native(
        "string",
        "casefold",
        1,
        "string:casefold(String)",
        "The string as it is compared without regard to case.",
        |m, a| converted(m, &a[0], folded),
    ),
    native(
        "string",
        "equal",
        2,
        "string:equal(A, B)",
        "Whether two strings are the same text.",
        |m, a| equal(m, a, false),
    ),
    native(
        "string",
        "equal",
        3,
        "string:equal(A, B, IgnoreCase)",
        "Whether two strings are the same text, without regard to case if so wanted.",
        |m, a| {
            let ignore = boolean(&a[2]).ok_or_else(clause)?;
            equal(m, a, ignore)
        },
    ),
    native(
        "string",
        "is_empty",
        1,
        "string:is_empty(String)",
        "Whether there is no character.",
        |m, a| {
            Ok(Term::bool(match &a[0] {
                Term::Nil | Term::Cons(_) | Term::Bits(_) => text(m, &a[0])?.is_empty(),
                _ => false,
            }))
        },
    ),
    native(
        "string",
        "length",
        1,
        "string:length(String)",
        "How many characters, as a reader counts them.",
        |m, a| Ok(int(text(m, &a[0])?.graphemes(true).count())),
    ),
    native(
        "string",
        "lowercase",
        1,
        "string:lowercase(String)",
        "The string in lower case.",
        |m, a| {
            cased(m, &a[0], |text| {
                text.chars().flat_map(char::to_lowercase).collect()
            })
        },
    ),
    native(
        "string",
        "next_codepoint",
        1,
        "string:next_codepoint(String)",
        "[First | Rest] by code points, or [].",
        |m, a| {
            let text = text(m, &a[0])?;
            let mut chars = text.chars();
            match chars.next() {
                Some(first) => {
                    let rest = like(m, &a[0], chars.as_str())?;
                    Ok(Term::cons(point(first), rest))
                }
                None => Ok(Term::Nil),
            }
        },
    ),
    native(
        "string",
        "next_grapheme",
        1,
        "string:next_grapheme(String)",
        "[First | Rest] by characters as a reader counts them, or [].",
        |m, a| {
            let text = text(m, &a[0])?;
            let Some(first) = text.graphemes(true).next() else {
                return Ok(Term::Nil);
            };
            let rest = like(m, &a[0], &text[first.len()..])?;
            Ok(Term::cons(cluster(first), rest))
        },
    ),
    native(
        "string",
        "pad",
        2,
        "string:pad(String, Length)",
        "The string filled with spaces up to a length.",
        |m, a| pad(m, &a[0], &a[1], "trailing", &Term::Int(32)),
    ),
    native(
        "string",
        "pad",
        3,
        "string:pad(String, Length, leading | trailing | both)",
        "The string filled with spaces on one side or both.",
        |m, a| {
            pad(
                m,
                &a[0],
                &a[1],
                a[2].as_atom().unwrap_or_default(),
                &Term::Int(32),
            )
        },
    ),
    native(
        "string",
        "pad",
        4,
        "string:pad(String, Length, leading | trailing | both, Char)",
        "The string filled with a character.",
        |m, a| pad(m, &a[0], &a[1], a[2].as_atom().unwrap_or_default(), &a[3]),
    ),
    native(
        "string",
        "reverse",
        1,
        "string:reverse(String)",
        "The characters in reverse order.",
        |m, a| {
            let text = text(m, &a[0])?;
            chardata::list(&text.graphemes(true).rev().collect::<String>(), m)
        },
    ),
    native(
        "string",
        "titlecase",
        1,
        "string:titlecase(String)",
        "The string with its first character in upper case.",
        |m, a| {
            converted(m, &a[0], |text| {
                let mut chars = text.chars();
                let Some(first) = chars.next() else {
                    return String::new();
                };
                let mut upper = first.to_uppercase();
                let head = upper.next().into_iter();
                let tail = upper.flat_map(char::to_lowercase);
                head.chain(tail).chain(chars).collect()
            })
        },
    ),
    native(
        "string",
        "to_float",
        1,
        "string:to_float(String)",
        "{Float, Rest}, or {error, no_float}.",
        |m, a| {
            let Some(text) = chardata::text(&a[0], m)? else {
                return Ok(error("badarg"));
            };
            let Some(end) = float_end(&text) else {
                return Ok(error("no_float"));
            };
            match float::parse(&text[..end].replacen(',', ".", 1)) {
                Some(value) => rest_of(m, &a[0], Term::Float(value), &text[end..]),
                None => Ok(error("no_float")),
            }
        },
    ),
    native(
        "string",
        "to_graphemes",
        1,
        "string:to_graphemes(String)",
        "The characters as a reader counts them.",
        |m, a| {
            let text = text(m, &a[0])?;
            m.charge(text.len())?;
            Ok(Term::list(
                text.graphemes(true).map(cluster).collect::<Vec<_>>(),
            ))
        },
    ),
    native(
        "string",
        "to_integer",
        1,
        "string:to_integer(String)",
        "{Integer, Rest}, or {error, no_integer}.",
        |m, a| {
            let Some(text) = chardata::text(&a[0], m)? else {
                return Ok(error("badarg"));
            };
            let sign = usize::from(text.starts_with(['+', '-']));
            let end = sign + digits(&text[sign..]);
            match number::parse_integer(&text.as_bytes()[..end], 10, m)? {
                Some(value) => rest_of(m, &a[0], value, &text[end..]),
                None => Ok(error("no_integer")),
            }
        },
    ),
    native(
        "string",
        "uppercase",
        1,
        "string:uppercase(String)",
        "The string in upper case.",
        |m, a| {
            cased(m, &a[0], |text| {
                text.chars().flat_map(char::to_uppercase).collect()
            })
        },
    ),
];

/// The text of a string; what is none is `function_clause`, a binary that is not UTF-8 is `{badarg,Binary}`.
pub(super) fn text(machine: &mut dyn Machine, value: &Term) -> Result<String, Raised> {
    let text = chardata::text(value, machine)?;
    text.ok_or_else(|| match value {
        Term::Bits(_) => error_of("badarg", value),
        _ => clause(),
    })
}

/// Text of the kind that the argument was: a binary for a binary, else a list.
pub(super) fn like(machine: &mut dyn Machine, model: &Term, text: &str) -> Value {
    match model {
        Term::Bits(_) => chardata::binary(text, machine),
        _ => chardata::list(text, machine),
    }
}

fn converted(machine: &mut dyn Machine, value: &Term, convert: fn(&str) -> String) -> Value {
    let text = convert(&text(machine, value)?);
    like(machine, value, &text)
}

fn cased(machine: &mut dyn Machine, value: &Term, convert: fn(&str) -> String) -> Value {
    match value {
        Term::Nil | Term::Cons(_) | Term::Bits(_) => converted(machine, value, convert),
        _ => Err(error_of("badarg", value)),
    }
}

fn folded(text: &str) -> String {
    let folded = text
        .chars()
        .flat_map(char::to_lowercase)
        .collect::<String>();
    folded.replace('ß', "ss").replace('ς', "σ")
}

fn equal(machine: &mut dyn Machine, args: &[Term], ignore_case: bool) -> Value {
    let (a, b) = (text(machine, &args[0])?, text(machine, &args[1])?);
    Ok(Term::bool(match ignore_case {
        true => folded(&a) == folded(&b),
        false => a == b,
    }))
}

fn pad(machine: &mut dyn Machine, value: &Term, length: &Term, side: &str, fill: &Term) -> Value {
    let Term::Int(length) = length else {
        return Err(clause());
    };
    let has = text(machine, value)?.graphemes(true).count();
    let missing = usize::try_from(*length).unwrap_or(0).saturating_sub(has);
    machine.charge(missing + 2)?;
    let filling = |count: usize| vec![fill.clone(); count];
    match side {
        "trailing" => Ok(Term::cons(value.clone(), Term::list(filling(missing)))),
        "leading" => Ok(list_onto(
            [Term::list(filling(missing)), value.clone()],
            Term::Nil,
        )),
        "both" => {
            let half = Term::list(filling(missing / 2));
            let odd = Term::list(filling(missing % 2));
            Ok(list_onto([half.clone(), value.clone(), half], odd))
        }
        _ => Err(clause()),
    }
}

fn point(c: char) -> Term {
    Term::Int(i64::from(u32::from(c)))
}

fn cluster(text: &str) -> Term {
    let mut chars = text.chars();
    match (chars.next(), chars.next()) {
        (Some(only), None) => point(only),
        _ => Term::string(text),
    }
}

fn error(reason: &str) -> Term {
    Term::tuple([Term::atom("error"), Term::atom(reason)])
}

fn rest_of(machine: &mut dyn Machine, model: &Term, value: Term, rest: &str) -> Value {
    let rest = like(machine, model, rest)?;
    Ok(Term::tuple([value, rest]))
}

fn digits(text: &str) -> usize {
    text.bytes().take_while(u8::is_ascii_digit).count()
}

/// Where a float at the start of a text ends: digits, a point or a comma, digits, and perhaps an exponent.
fn float_end(text: &str) -> Option<usize> {
    let sign = usize::from(text.starts_with(['+', '-']));
    let whole = digits(&text[sign..]);
    let point = sign + whole;
    if whole == 0 || !text[point..].starts_with(['.', ',']) {
        return None;
    }
    let fraction = digits(&text[point + 1..]);
    if fraction == 0 {
        return None;
    }
    let end = point + 1 + fraction;
    let Some(exponent) = text[end..].strip_prefix(['e', 'E']) else {
        return Some(end);
    };
    let sign = usize::from(exponent.starts_with(['+', '-']));
    match digits(&exponent[sign..]) {
        0 => Some(end),
        exponent => Some(end + 1 + sign + exponent),
    }
}
