//! `io_lib`: text as lists of characters. Values within formatted text are flat strings, where OTP nests them deeper.

use crate::erl::chardata;
use crate::erl::format::{self, Piece};
use crate::erl::function::{Machine, Native};
use crate::erl::print::{self, Style};
use crate::erl::term::Term;
use crate::erl::weight;

use super::args::{Value, clause, count, int};
use super::native;

/// What formats.
pub(super) static TABLE: &[Native] = &[
    native(
        "io_lib",
        "char_list",
        1,
        "io_lib:char_list(Value)",
        "Whether it is a flat list of characters.",
        |m, a| flat(m, &a[0], |_| true),
    ),
    native(
        "io_lib",
        "chars_length",
        1,
        "io_lib:chars_length(Chars)",
        "How many characters nested text has.",
        |m, a| Ok(int(super::string::text(m, &a[0])?.chars().count())),
    ),
    native(
        "io_lib",
        "format",
        2,
        "io_lib:format(Format, Args)",
        "The text of arguments by a format.",
        formatted,
    ),
    native(
        "io_lib",
        "fwrite",
        2,
        "io_lib:fwrite(Format, Args)",
        "The text of arguments by a format.",
        formatted,
    ),
    native(
        "io_lib",
        "latin1_char_list",
        1,
        "io_lib:latin1_char_list(Value)",
        "Whether it is a flat list of Latin-1 characters.",
        |m, a| flat(m, &a[0], |c| c <= 'ÿ'),
    ),
    native(
        "io_lib",
        "nl",
        0,
        "io_lib:nl()",
        "The end of a line.",
        |_, _| Ok(Term::string("\n")),
    ),
    native(
        "io_lib",
        "print",
        1,
        "io_lib:print(Value)",
        "The text of a value as ~p makes it.",
        |m, a| shown(m, &a[0], Style::pretty(1, 80)),
    ),
    native(
        "io_lib",
        "print",
        4,
        "io_lib:print(Value, Column, Width, Depth)",
        "The text of a value from a column, in lines of a width.",
        |m, a| {
            let (column, width) = (
                count(&a[1]).ok_or_else(clause)?,
                count(&a[2]).ok_or_else(clause)?,
            );
            let depth = count(&a[3]);
            shown(
                m,
                &a[0],
                Style {
                    depth,
                    ..Style::pretty(column.min(1 << 20), width.min(1 << 20))
                },
            )
        },
    ),
    native(
        "io_lib",
        "printable_latin1_list",
        1,
        "io_lib:printable_latin1_list(Value)",
        "Whether it is a flat list of printable Latin-1 characters.",
        |m, a| flat(m, &a[0], |c| print::is_printable(u32::from(c), false)),
    ),
    native(
        "io_lib",
        "printable_list",
        1,
        "io_lib:printable_list(Value)",
        "Whether ~p shows it as text.",
        |m, a| flat(m, &a[0], |c| print::is_printable(u32::from(c), false)),
    ),
    native(
        "io_lib",
        "printable_unicode_list",
        1,
        "io_lib:printable_unicode_list(Value)",
        "Whether it is a flat list of printable characters.",
        |m, a| flat(m, &a[0], |c| print::is_printable(u32::from(c), true)),
    ),
    native(
        "io_lib",
        "write",
        1,
        "io_lib:write(Value)",
        "The text of a value as ~w makes it.",
        |m, a| shown(m, &a[0], Style::flat()),
    ),
    native(
        "io_lib",
        "write_atom",
        1,
        "io_lib:write_atom(Atom)",
        "The text of an atom, in quotes where it needs them.",
        |m, a| {
            let name = a[0].as_atom().ok_or_else(clause)?;
            chardata::list(&print::atom(name, true), m)
        },
    ),
    native(
        "io_lib",
        "write_string",
        1,
        "io_lib:write_string(String)",
        "The string in quotes, with escapes.",
        |m, a| {
            let text = super::string::text(m, &a[0])?;
            chardata::list(&print::quoted(text.chars(), '"', true), m)
        },
    ),
];

fn formatted(machine: &mut dyn Machine, args: &[Term]) -> Value {
    let pieces = format::format(&args[0], &args[1], machine)?;
    machine.charge(pieces.len())?;
    let mut list = Vec::with_capacity(pieces.len());
    for piece in &pieces {
        list.push(match piece {
            Piece::Char(c) => Term::Int(i64::from(u32::from(*c))),
            Piece::Text(text) => chardata::list(text, machine)?,
        });
    }
    Ok(Term::list(list))
}

fn shown(machine: &mut dyn Machine, value: &Term, style: Style) -> Value {
    weight::pay_text(value, machine)?;
    chardata::list(&print::styled(value, style), machine)
}

fn flat(machine: &mut dyn Machine, value: &Term, is_wanted: fn(char) -> bool) -> Value {
    let items = super::args::items(machine, value)?;
    let is_char = |item: &Term| chardata::character(item).is_some_and(is_wanted);
    Ok(Term::bool(
        items.is_some_and(|items| items.iter().all(is_char)),
    ))
}
