//! `io`: what is printed goes to the operator, whatever the device.

use crate::erl::chardata;
use crate::erl::format;
use crate::erl::function::{Machine, Native, Raised};
use crate::erl::print::{self, Style};
use crate::erl::term::Term;
use crate::erl::weight;

use super::args::Value;
use super::native;

/// What prints.
pub(super) static TABLE: &[Native] = &[
    native(
        "io",
        "format",
        1,
        "io:format(Format)",
        "Prints a format without arguments.",
        |m, a| formatted(m, &a[0], &Term::Nil),
    ),
    native(
        "io",
        "format",
        2,
        "io:format(Format, Args)",
        "Prints arguments by a format: ~p, ~w, ~s, ~ts, ~b, ~f, ~n and more.",
        |m, a| formatted(m, &a[0], &a[1]),
    ),
    native(
        "io",
        "format",
        3,
        "io:format(Device, Format, Args)",
        "Prints arguments by a format.",
        |m, a| {
            device(&a[0])?;
            formatted(m, &a[1], &a[2])
        },
    ),
    native(
        "io",
        "fwrite",
        1,
        "io:fwrite(Format)",
        "Prints a format without arguments.",
        |m, a| formatted(m, &a[0], &Term::Nil),
    ),
    native(
        "io",
        "fwrite",
        2,
        "io:fwrite(Format, Args)",
        "Prints arguments by a format.",
        |m, a| formatted(m, &a[0], &a[1]),
    ),
    native(
        "io",
        "fwrite",
        3,
        "io:fwrite(Device, Format, Args)",
        "Prints arguments by a format.",
        |m, a| {
            device(&a[0])?;
            formatted(m, &a[1], &a[2])
        },
    ),
    native("io", "nl", 0, "io:nl()", "Ends the line.", |m, _| {
        said(m, "\n")
    }),
    native("io", "nl", 1, "io:nl(Device)", "Ends the line.", |m, a| {
        device(&a[0])?;
        said(m, "\n")
    }),
    native(
        "io",
        "print",
        1,
        "io:print(Value)",
        "Prints a value as ~p does.",
        |m, a| {
            weight::pay_text(&a[0], m)?;
            let text = print::styled(&a[0], Style::pretty(1, 80));
            said(m, &text)
        },
    ),
    native(
        "io",
        "put_chars",
        1,
        "io:put_chars(String)",
        "Prints a string.",
        |m, a| put_chars(m, &a[0]),
    ),
    native(
        "io",
        "put_chars",
        2,
        "io:put_chars(Device, String)",
        "Prints a string.",
        |m, a| {
            device(&a[0])?;
            put_chars(m, &a[1])
        },
    ),
    native(
        "io",
        "write",
        1,
        "io:write(Value)",
        "Prints a value as ~w does.",
        |m, a| {
            weight::pay_text(&a[0], m)?;
            let text = print::styled(&a[0], Style::flat().unicode());
            said(m, &text)
        },
    ),
];

fn said(machine: &mut dyn Machine, text: &str) -> Value {
    machine.print(text)?;
    Ok(Term::ok())
}

fn formatted(machine: &mut dyn Machine, format: &Term, args: &Term) -> Value {
    let pieces = format::format(format, args, machine)?;
    said(machine, &format::flat(&pieces))
}

fn put_chars(machine: &mut dyn Machine, string: &Term) -> Value {
    let text = chardata::text(string, machine)?.ok_or_else(Raised::badarg)?;
    said(machine, &text)
}

fn device(value: &Term) -> Result<(), Raised> {
    match value {
        Term::Pid(_) => Ok(()),
        Term::Atom(name) if matches!(name.as_str(), "user" | "standard_io" | "standard_error") => {
            Ok(())
        }
        _ => Err(Raised::badarg()),
    }
}
