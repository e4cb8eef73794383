//! `erlang`: what is no operator, no test of a kind, no conversion and not for tuples.

use num_bigint::BigInt;
use num_traits::FromPrimitive;

use crate::erl::function::{Machine, Native, Raised};
use crate::erl::number;
use crate::erl::print::{self, Style};
use crate::erl::term::{Fun, Term};
use crate::erl::weight;

use super::args::{Value, compare, fun_arity, int, key, map};
use super::native;

/// The rest of the module.
pub(super) static TABLE: &[Native] = &[
    native(
        "erlang",
        "abs",
        1,
        "abs(Number)",
        "The number without its sign.",
        |m, a| number::abs(&a[0], m),
    ),
    native(
        "erlang",
        "bit_size",
        1,
        "bit_size(Bits)",
        "How many bits a bit string has.",
        |_, a| match &a[0] {
            Term::Bits(bits) => Ok(int(bits.bits)),
            _ => Err(Raised::badarg()),
        },
    ),
    native(
        "erlang",
        "byte_size",
        1,
        "byte_size(Bits)",
        "How many bytes a bit string takes.",
        |_, a| match &a[0] {
            Term::Bits(bits) => Ok(int(bits.bits.div_ceil(8))),
            _ => Err(Raised::badarg()),
        },
    ),
    native(
        "erlang",
        "ceil",
        1,
        "ceil(Number)",
        "The smallest integer that is not less.",
        |_, a| whole(&a[0], f64::ceil),
    ),
    native(
        "erlang",
        "display",
        1,
        "erlang:display(Value)",
        "Prints a value on a line of its own.",
        |m, a| {
            weight::pay_text(&a[0], m)?;
            let text = print::styled(&a[0], Style::pretty(1, 0));
            m.print(&(text + "\n"))?;
            Ok(Term::bool(true))
        },
    ),
    native(
        "erlang",
        "error",
        1,
        "error(Reason)",
        "Raises an error.",
        |_, a| Err(Raised::error(a[0].clone())),
    ),
    native(
        "erlang",
        "error",
        2,
        "error(Reason, Args)",
        "Raises an error of a call with these arguments.",
        |_, a| Err(Raised::error(a[0].clone())),
    ),
    native(
        "erlang",
        "exit",
        1,
        "exit(Reason)",
        "Raises an exit.",
        |_, a| Err(Raised::Exit(a[0].clone())),
    ),
    native(
        "erlang",
        "float",
        1,
        "float(Number)",
        "The number as a float.",
        |_, a| {
            number::to_float(&a[0])
                .map(Term::Float)
                .ok_or_else(Raised::badarg)
        },
    ),
    native(
        "erlang",
        "floor",
        1,
        "floor(Number)",
        "The largest integer that is not greater.",
        |_, a| whole(&a[0], f64::floor),
    ),
    native(
        "erlang",
        "fun_info",
        2,
        "erlang:fun_info(Fun, Item)",
        "{Item, Value} of a fun: arity, module or type, and the name of one of a module.",
        fun_info,
    ),
    native(
        "erlang",
        "hd",
        1,
        "hd(List)",
        "The first element.",
        |_, a| match &a[0] {
            Term::Cons(cons) => Ok(cons.head().clone()),
            _ => Err(Raised::badarg()),
        },
    ),
    native(
        "erlang",
        "is_map_key",
        2,
        "is_map_key(Key, Map)",
        "Whether the map has the key.",
        |m, a| {
            let entries = map(&a[1])?.entries();
            Ok(Term::bool(entries.contains_key(&key(m, &a[0])?)))
        },
    ),
    native(
        "erlang",
        "length",
        1,
        "length(List)",
        "How many elements a list has.",
        |m, a| {
            let length = number::length(&a[0]).ok_or_else(Raised::badarg)?;
            m.charge(length / 8)?;
            Ok(int(length))
        },
    ),
    native(
        "erlang",
        "map_get",
        2,
        "map_get(Key, Map)",
        "The value of a key.",
        |m, a| {
            let entries = map(&a[1])?.entries();
            let value = entries.get(&key(m, &a[0])?);
            value
                .cloned()
                .ok_or_else(|| super::args::error_of("badkey", &a[0]))
        },
    ),
    native(
        "erlang",
        "map_size",
        1,
        "map_size(Map)",
        "How many keys a map has.",
        |_, a| Ok(int(map(&a[0])?.entries().len())),
    ),
    native(
        "erlang",
        "max",
        2,
        "max(A, B)",
        "The larger of two values.",
        |m, a| {
            let larger = if compare(m, &a[0], &a[1])?.is_ge() {
                &a[0]
            } else {
                &a[1]
            };
            Ok(larger.clone())
        },
    ),
    native(
        "erlang",
        "min",
        2,
        "min(A, B)",
        "The smaller of two values.",
        |m, a| {
            let smaller = if compare(m, &a[0], &a[1])?.is_le() {
                &a[0]
            } else {
                &a[1]
            };
            Ok(smaller.clone())
        },
    ),
    native(
        "erlang",
        "raise",
        3,
        "erlang:raise(Class, Reason, Stacktrace)",
        "Raises an error, an exit or a throw. Where it is said to come from is not kept.",
        |_, a| match a[0].as_atom() {
            Some("error") => Err(Raised::error(a[1].clone())),
            Some("exit") => Err(Raised::Exit(a[1].clone())),
            Some("throw") => Err(Raised::Throw(a[1].clone())),
            _ => Ok(Term::atom("badarg")),
        },
    ),
    native(
        "erlang",
        "round",
        1,
        "round(Number)",
        "The nearest integer, halves away from zero.",
        |_, a| whole(&a[0], f64::round),
    ),
    native(
        "erlang",
        "size",
        1,
        "size(Value)",
        "How many elements a tuple has, or whole bytes a bit string.",
        |_, a| match &a[0] {
            Term::Tuple(tuple) => Ok(int(tuple.items().len())),
            Term::Bits(bits) => Ok(int(bits.bits / 8)),
            _ => Err(Raised::badarg()),
        },
    ),
    native(
        "erlang",
        "throw",
        1,
        "throw(Value)",
        "Throws a value.",
        |_, a| Err(Raised::Throw(a[0].clone())),
    ),
    native(
        "erlang",
        "tl",
        1,
        "tl(List)",
        "The list without its first element.",
        |_, a| match &a[0] {
            Term::Cons(cons) => Ok(cons.tail().clone()),
            _ => Err(Raised::badarg()),
        },
    ),
    native(
        "erlang",
        "trunc",
        1,
        "trunc(Number)",
        "The number without its fraction.",
        |_, a| whole(&a[0], f64::trunc),
    ),
];

fn fun_info(_: &mut dyn Machine, args: &[Term]) -> Value {
    let (item, Term::Fun(fun)) = (&args[1], &args[0]) else {
        return Err(Raised::badarg());
    };
    let of = match fun {
        Fun::Local(_) => None,
        Fun::Remote { module, name, .. } => Some((module, name)),
    };
    let value = match (item.as_atom(), of) {
        (Some("arity"), _) => fun_arity(&args[0]).map(int),
        (Some("module"), Some((module, _))) => Some(Term::Atom(module.clone())),
        (Some("module"), None) => Some(Term::atom("yizhan")),
        (Some("name"), Some((_, name))) => Some(Term::Atom(name.clone())),
        (Some("type"), Some(_)) => Some(Term::atom("external")),
        (Some("type"), None) => Some(Term::atom("local")),
        _ => None,
    };
    let value = value.ok_or_else(Raised::badarg)?;
    Ok(Term::tuple([item.clone(), value]))
}

fn whole(value: &Term, round: fn(f64) -> f64) -> Value {
    match value {
        Term::Int(_) | Term::Big(_) => Ok(value.clone()),
        Term::Float(float) => BigInt::from_f64(round(*float))
            .map(Term::big)
            .ok_or_else(Raised::badarg),
        _ => Err(Raised::badarg()),
    }
}
