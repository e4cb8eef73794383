//! `erlang`: numbers of texts, and texts of numbers.

use crate::erl::chardata;
use crate::erl::function::{Machine, Native, Raised};
use crate::erl::number::{self, float};
use crate::erl::term::Term;

use super::args::{Value, count};
use super::convert::flat_text;
use super::native;

/// Most decimals that a float is written with.
const DECIMALS_MAX: usize = 253;
/// How many characters they may have, one more without decimals.
const TEXT_MAX: usize = 255;

/// The conversions of numbers.
pub(super) static TABLE: &[Native] = &[
    native(
        "erlang",
        "binary_to_float",
        1,
        "binary_to_float(Binary)",
        "The float that the text stands for.",
        |_, a| {
            let text = a[0]
                .as_binary()
                .and_then(|bytes| std::str::from_utf8(bytes).ok());
            text.and_then(float::parse)
                .map(Term::Float)
                .ok_or_else(Raised::badarg)
        },
    ),
    native(
        "erlang",
        "binary_to_integer",
        1,
        "binary_to_integer(Binary)",
        "The integer that the digits stand for.",
        |m, a| binary_to_integer(m, &a[0], 10),
    ),
    native(
        "erlang",
        "binary_to_integer",
        2,
        "binary_to_integer(Binary, Base)",
        "The integer that the digits of a base stand for.",
        |m, a| binary_to_integer(m, &a[0], base(&a[1])?),
    ),
    native(
        "erlang",
        "float_to_binary",
        1,
        "float_to_binary(Float)",
        "The float with 20 decimals and exponent.",
        |m, a| chardata::binary(&float_text(&a[0], &Term::Nil)?, m),
    ),
    native(
        "erlang",
        "float_to_binary",
        2,
        "float_to_binary(Float, Options)",
        "The float by [{decimals, N}, compact], [{scientific, N}] or [short].",
        |m, a| chardata::binary(&float_text(&a[0], &a[1])?, m),
    ),
    native(
        "erlang",
        "float_to_list",
        1,
        "float_to_list(Float)",
        "The float with 20 decimals and exponent.",
        |m, a| chardata::list(&float_text(&a[0], &Term::Nil)?, m),
    ),
    native(
        "erlang",
        "float_to_list",
        2,
        "float_to_list(Float, Options)",
        "The float by [{decimals, N}, compact], [{scientific, N}] or [short].",
        |m, a| chardata::list(&float_text(&a[0], &a[1])?, m),
    ),
    native(
        "erlang",
        "integer_to_binary",
        1,
        "integer_to_binary(Integer)",
        "The digits of an integer.",
        |m, a| {
            let text = digits(m, &a[0], 10)?;
            chardata::binary(&text, m)
        },
    ),
    native(
        "erlang",
        "integer_to_binary",
        2,
        "integer_to_binary(Integer, Base)",
        "The digits of an integer in a base from 2 to 36.",
        |m, a| {
            let text = digits(m, &a[0], base(&a[1])?)?;
            chardata::binary(&text, m)
        },
    ),
    native(
        "erlang",
        "integer_to_list",
        1,
        "integer_to_list(Integer)",
        "The digits of an integer, as a string.",
        |m, a| {
            let text = digits(m, &a[0], 10)?;
            chardata::list(&text, m)
        },
    ),
    native(
        "erlang",
        "integer_to_list",
        2,
        "integer_to_list(Integer, Base)",
        "The digits of an integer in a base from 2 to 36, as a string.",
        |m, a| {
            let text = digits(m, &a[0], base(&a[1])?)?;
            chardata::list(&text, m)
        },
    ),
    native(
        "erlang",
        "list_to_float",
        1,
        "list_to_float(String)",
        "The float that the text stands for.",
        |m, a| {
            let text = flat_text(m, &a[0])?;
            float::parse(&text)
                .map(Term::Float)
                .ok_or_else(Raised::badarg)
        },
    ),
    native(
        "erlang",
        "list_to_integer",
        1,
        "list_to_integer(String)",
        "The integer that the digits stand for.",
        |m, a| list_to_integer(m, &a[0], 10),
    ),
    native(
        "erlang",
        "list_to_integer",
        2,
        "list_to_integer(String, Base)",
        "The integer that the digits of a base stand for.",
        |m, a| list_to_integer(m, &a[0], base(&a[1])?),
    ),
];

/// The digits of an integer, paid for.
fn digits(machine: &mut dyn Machine, value: &Term, base: u32) -> Result<String, Raised> {
    number::integer_text(value, base, machine)?.ok_or_else(Raised::badarg)
}

fn base(value: &Term) -> Result<u32, Raised> {
    let base = count(value).and_then(|base| u32::try_from(base).ok());
    base.filter(|base| (2..=36).contains(base))
        .ok_or_else(Raised::badarg)
}

fn list_to_integer(machine: &mut dyn Machine, string: &Term, base: u32) -> Value {
    let text = flat_text(machine, string)?;
    number::parse_integer(text.as_bytes(), base, machine)?.ok_or_else(Raised::badarg)
}

fn binary_to_integer(machine: &mut dyn Machine, binary: &Term, base: u32) -> Value {
    let bytes = binary.as_binary().ok_or_else(Raised::badarg)?;
    number::parse_integer(bytes, base, machine)?.ok_or_else(Raised::badarg)
}

/// The last option that says how many digits decides.
fn float_text(value: &Term, options: &Term) -> Result<String, Raised> {
    enum Form {
        Decimals(usize),
        Scientific(usize),
        Short,
    }
    let Term::Float(value) = value else {
        return Err(Raised::badarg());
    };
    let (mut form, mut compact) = (Form::Scientific(20), false);
    for option in options.as_list().ok_or_else(Raised::badarg)? {
        let number = option.as_tuple().and_then(|pair| match pair {
            [name, number] => Some((name.as_atom()?, count(number)?)),
            _ => None,
        });
        match (option.as_atom(), number) {
            (Some("compact"), _) => compact = true,
            (Some("short"), _) => form = Form::Short,
            (_, Some(("decimals", number @ 0..=DECIMALS_MAX))) => form = Form::Decimals(number),
            (_, Some(("scientific", number @ 0..=249))) => form = Form::Scientific(number),
            _ => return Err(Raised::badarg()),
        }
    }
    Ok(match form {
        Form::Decimals(number) => {
            let text = float::decimals(*value, number, compact);
            if text.len() > TEXT_MAX + usize::from(number == 0) {
                return Err(Raised::badarg());
            }
            text
        }
        Form::Scientific(number) => float::scientific(*value, number),
        Form::Short => float::short(*value),
    })
}
