//! `string`: what finds, cuts and takes apart. What it returns is of the kind that the argument was.

use unicode_segmentation::UnicodeSegmentation;

use crate::erl::chardata;
use crate::erl::function::{Machine, Native, Raised};
use crate::erl::term::Term;

use super::args::{Value, boolean, clause, count, error_of};
use super::native;
use super::string::{like, text};

/// The half of `string` that cuts.
pub(super) static TABLE: &[Native] = &[
    native(
        "string",
        "chomp",
        1,
        "string:chomp(String)",
        "The string without line ends at its end.",
        |m, a| {
            let text = text(m, &a[0])?;
            like(m, &a[0], chomped(&text))
        },
    ),
    native(
        "string",
        "find",
        2,
        "string:find(String, Pattern)",
        "The rest of the string from Pattern on, or nomatch.",
        |m, a| find(m, a, false),
    ),
    native(
        "string",
        "find",
        3,
        "string:find(String, Pattern, leading | trailing)",
        "The rest from the first or last Pattern on, or nomatch.",
        |m, a| {
            let last = match a[2].as_atom() {
                Some("leading") => false,
                Some("trailing") => true,
                _ => return Err(clause()),
            };
            find(m, a, last)
        },
    ),
    native(
        "string",
        "lexemes",
        2,
        "string:lexemes(String, Separators)",
        "The parts between separators that are not empty.",
        |m, a| {
            let parts = lexemes(m, &a[0], &a[1])?;
            list_like(m, &a[0], parts)
        },
    ),
    native(
        "string",
        "nth_lexeme",
        3,
        "string:nth_lexeme(String, N, Separators)",
        "Part N of those between separators.",
        |m, a| {
            let place = super::args::place(&a[1]).ok_or_else(clause)?;
            let parts = lexemes(m, &a[0], &a[2])?;
            like(m, &a[0], parts.get(place).map_or("", String::as_str))
        },
    ),
    native(
        "string",
        "prefix",
        2,
        "string:prefix(String, Prefix)",
        "The string without the prefix, or nomatch.",
        |m, a| {
            let (text, prefix) = (text(m, &a[0])?, pattern(m, &a[1])?);
            match text.strip_prefix(prefix.as_str()) {
                Some(rest) => like(m, &a[0], rest),
                None => Ok(Term::atom("nomatch")),
            }
        },
    ),
    native(
        "string",
        "replace",
        3,
        "string:replace(String, Pattern, New)",
        "The parts with New in place of the first Pattern.",
        |m, a| replace(m, a, Where::First),
    ),
    native(
        "string",
        "replace",
        4,
        "string:replace(String, Pattern, New, leading | trailing | all)",
        "The parts with New in place of Pattern.",
        |m, a| replace(m, a, Where::of(&a[3])?),
    ),
    native(
        "string",
        "slice",
        2,
        "string:slice(String, Start)",
        "The string from Start on, counted from 0.",
        |m, a| slice(m, &a[0], &a[1], None),
    ),
    native(
        "string",
        "slice",
        3,
        "string:slice(String, Start, Length)",
        "At most Length characters from Start on, counted from 0.",
        |m, a| {
            let length = match a[2].is_atom("infinity") {
                true => None,
                false => Some(count(&a[2]).ok_or_else(clause)?),
            };
            slice(m, &a[0], &a[1], length)
        },
    ),
    native(
        "string",
        "split",
        2,
        "string:split(String, Pattern)",
        "The parts before and behind the first Pattern.",
        |m, a| {
            let parts = split(m, a, Where::First)?;
            list_like(m, &a[0], parts)
        },
    ),
    native(
        "string",
        "split",
        3,
        "string:split(String, Pattern, leading | trailing | all)",
        "The parts between Pattern.",
        |m, a| {
            let parts = split(m, a, Where::of(&a[2])?)?;
            list_like(m, &a[0], parts)
        },
    ),
    native(
        "string",
        "take",
        2,
        "string:take(String, Characters)",
        "The leading ones of these characters, and the rest.",
        |m, a| take(m, a, false, false),
    ),
    native(
        "string",
        "take",
        3,
        "string:take(String, Characters, Complement)",
        "The leading characters that are, or are not, of these, and the rest.",
        |m, a| take(m, a, boolean(&a[2]).ok_or_else(clause)?, false),
    ),
    native(
        "string",
        "take",
        4,
        "string:take(String, Characters, Complement, leading | trailing)",
        "Like take/3, or from the end: {Rest, Taken}.",
        |m, a| {
            let complement = boolean(&a[2]).ok_or_else(clause)?;
            match a[3].as_atom() {
                Some("leading") => take(m, a, complement, false),
                Some("trailing") => take(m, a, complement, true),
                _ => Err(clause()),
            }
        },
    ),
    native(
        "string",
        "trim",
        1,
        "string:trim(String)",
        "The string without white space at both ends.",
        |m, a| trim(m, &a[0], "both", None),
    ),
    native(
        "string",
        "trim",
        2,
        "string:trim(String, leading | trailing | both)",
        "The string without white space at one end or both.",
        |m, a| trim(m, &a[0], a[1].as_atom().unwrap_or_default(), None),
    ),
    native(
        "string",
        "trim",
        3,
        "string:trim(String, leading | trailing | both, Characters)",
        "The string without these characters at one end or both.",
        |m, a| trim(m, &a[0], a[1].as_atom().unwrap_or_default(), Some(&a[2])),
    ),
];

#[derive(Clone, Copy, PartialEq, Eq)]
enum Where {
    First,
    Last,
    All,
}

impl Where {
    fn of(value: &Term) -> Result<Where, Raised> {
        match value.as_atom() {
            Some("leading") => Ok(Where::First),
            Some("trailing") => Ok(Where::Last),
            Some("all") => Ok(Where::All),
            _ => Err(clause()),
        }
    }
}

/// The text to search for; what is none is `badarg`.
fn pattern(machine: &mut dyn Machine, value: &Term) -> Result<String, Raised> {
    chardata::text(value, machine)?.ok_or_else(Raised::badarg)
}

/// The text to search in; what is no string at all is `{badmatch,What}`.
fn searched(machine: &mut dyn Machine, value: &Term) -> Result<String, Raised> {
    match value {
        Term::Nil | Term::Cons(_) | Term::Bits(_) => text(machine, value),
        _ => Err(error_of("badmatch", value)),
    }
}

fn list_like(machine: &mut dyn Machine, model: &Term, parts: Vec<String>) -> Value {
    let mut list = Vec::with_capacity(parts.len());
    for part in parts {
        machine.charge(2)?;
        list.push(like(machine, model, &part)?);
    }
    Ok(Term::list(list))
}

fn chomped(text: &str) -> &str {
    let mut kept = text;
    while let Some(shorter) = kept.strip_suffix('\n') {
        kept = shorter.strip_suffix('\r').unwrap_or(shorter);
    }
    kept
}

fn find(machine: &mut dyn Machine, args: &[Term], last: bool) -> Value {
    let (text, pattern) = (searched(machine, &args[0])?, pattern(machine, &args[1])?);
    if pattern.is_empty() {
        return Ok(args[0].clone());
    }
    let at = match last {
        true => text.rfind(&pattern),
        false => text.find(&pattern),
    };
    match at {
        Some(at) => like(machine, &args[0], &text[at..]),
        None => Ok(Term::atom("nomatch")),
    }
}

fn split(machine: &mut dyn Machine, args: &[Term], place: Where) -> Result<Vec<String>, Raised> {
    let (text, pattern) = (searched(machine, &args[0])?, pattern(machine, &args[1])?);
    if pattern.is_empty() {
        return Ok(vec![text]);
    }
    let pair = match place {
        Where::First => text.split_once(&pattern),
        Where::Last => text.rsplit_once(&pattern),
        Where::All => {
            machine.charge(text.len())?;
            return Ok(text.split(&pattern).map(str::to_owned).collect());
        }
    };
    Ok(match pair {
        Some((before, behind)) => vec![before.to_owned(), behind.to_owned()],
        None => vec![text],
    })
}

fn replace(machine: &mut dyn Machine, args: &[Term], place: Where) -> Value {
    let parts = split(machine, args, place)?;
    let mut pieces = Vec::with_capacity(parts.len() * 2);
    for part in parts {
        if !pieces.is_empty() {
            pieces.push(args[2].clone());
        }
        machine.charge(2)?;
        pieces.push(like(machine, &args[0], &part)?);
    }
    Ok(Term::list(pieces))
}

/// The characters of a list, each a code point or a list of those that make one.
fn clusters(machine: &mut dyn Machine, list: &Term) -> Result<Vec<String>, Raised> {
    let mut clusters = Vec::new();
    for item in super::args::list(machine, list)? {
        clusters.push(match chardata::character(&item) {
            Some(c) => c.to_string(),
            None => text(machine, &item)?,
        });
    }
    Ok(clusters)
}

fn lexemes(
    machine: &mut dyn Machine,
    value: &Term,
    separators: &Term,
) -> Result<Vec<String>, Raised> {
    let (text, separators) = (text(machine, value)?, clusters(machine, separators)?);
    machine.charge(text.len().saturating_mul(separators.len() / 8 + 1))?;
    let (mut parts, mut part) = (Vec::new(), String::new());
    for cluster in text.graphemes(true) {
        if !separators.iter().any(|separator| separator == cluster) {
            part.push_str(cluster);
        } else if !part.is_empty() {
            parts.push(std::mem::take(&mut part));
        }
    }
    if !part.is_empty() {
        parts.push(part);
    }
    Ok(parts)
}

fn slice(machine: &mut dyn Machine, value: &Term, start: &Term, length: Option<usize>) -> Value {
    let start = count(start).ok_or_else(clause)?;
    let text = text(machine, value)?;
    let rest = skipped(&text, start);
    let kept = match length {
        Some(length) => &rest[..rest.len() - skipped(rest, length).len()],
        None => rest,
    };
    like(machine, value, kept)
}

/// The text without its first characters.
fn skipped(text: &str, count: usize) -> &str {
    let start = text.grapheme_indices(true).nth(count);
    start.map_or("", |(start, _)| &text[start..])
}

fn take(machine: &mut dyn Machine, args: &[Term], complement: bool, trailing: bool) -> Value {
    let (text, wanted) = (text(machine, &args[0])?, clusters(machine, &args[1])?);
    machine.charge(text.len().saturating_mul(wanted.len() / 8 + 1))?;
    let is_taken = |cluster: &&str| wanted.iter().any(|one| one == cluster) != complement;
    let (first, second) = match trailing {
        true => {
            let taken: usize = text
                .graphemes(true)
                .rev()
                .take_while(is_taken)
                .map(str::len)
                .sum();
            text.split_at(text.len() - taken)
        }
        false => {
            let taken: usize = text
                .graphemes(true)
                .take_while(is_taken)
                .map(str::len)
                .sum();
            text.split_at(taken)
        }
    };
    let first = like(machine, &args[0], first)?;
    let second = like(machine, &args[0], second)?;
    Ok(Term::tuple([first, second]))
}

fn trim(machine: &mut dyn Machine, value: &Term, side: &str, characters: Option<&Term>) -> Value {
    let text = text(machine, value)?;
    let characters = match characters {
        Some(list) => Some(clusters(machine, list)?),
        None => None,
    };
    let known = characters.as_ref().map_or(1, Vec::len);
    machine.charge(text.len().saturating_mul(known / 8 + 1))?;
    let goes = |cluster: &&str| match &characters {
        Some(characters) => characters.iter().any(|one| one == cluster),
        None => is_space(cluster),
    };
    let (left, right) = match side {
        "leading" => (true, false),
        "trailing" => (false, true),
        "both" => (true, true),
        _ => return Err(clause()),
    };
    let mut kept = text.as_str();
    if left {
        let gone: usize = kept.graphemes(true).take_while(goes).map(str::len).sum();
        kept = &kept[gone..];
    }
    if right {
        let gone: usize = kept
            .graphemes(true)
            .rev()
            .take_while(goes)
            .map(str::len)
            .sum();
        kept = &kept[..kept.len() - gone];
    }
    like(machine, value, kept)
}

/// White space of patterns, as Unicode has it.
fn is_space(cluster: &str) -> bool {
    let space = |c| {
        matches!(
            c,
            '\t'..='\r' | ' ' | '\u{85}' | '\u{200e}' | '\u{200f}' | '\u{2028}' | '\u{2029}'
        )
    };
    cluster == "\r\n" || (cluster.chars().count() == 1 && cluster.chars().all(space))
}
