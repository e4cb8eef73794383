//! `erlang`: operators as functions, tests of kind, tuples, comparisons, and what raises.

use num_bigint::BigInt;
use num_traits::FromPrimitive;

use crate::erl::function::{Machine, Native, Raised};
use crate::erl::number::{self, Op};
use crate::erl::print::{self, Style};
use crate::erl::term::Term;
use crate::erl::weight;

use super::args::{Value, compare, count, fun_arity, int, is_integer, key, list_arg, map, place};
use super::native;

macro_rules! operator {
    ($name:literal, $op:ident, $doc:literal) => {
        native(
            "erlang",
            $name,
            2,
            concat!("erlang:'", $name, "'(A, B)"),
            $doc,
            |m, a| number::binary(Op::$op, &a[0], &a[1], m),
        )
    };
    ($name:literal, $doc:literal) => {
        native(
            "erlang",
            $name,
            1,
            concat!("erlang:'", $name, "'(A)"),
            $doc,
            |m, a| number::unary($name, &a[0], m),
        )
    };
}

macro_rules! test {
    ($name:literal, $doc:literal, $pattern:pat $(if $guard:expr)?) => {
        native("erlang", $name, 1, concat!($name, "(Value)"), $doc, |_, a| {
            Ok(Term::bool(matches!(&a[0], $pattern $(if $guard)?)))
        })
    };
}

/// What is no conversion.
pub(super) static TABLE: &[Native] = &[
    operator!("*", Multiply, "A * B."),
    operator!("+", "+A."),
    operator!("+", Add, "A + B."),
    operator!("++", Append, "Joins two lists."),
    operator!("-", "-A."),
    operator!("-", Subtract, "A - B."),
    operator!(
        "--",
        Without,
        "Removes from A the first occurrence of each element of B."
    ),
    operator!("/", Divide, "A / B, a float."),
    operator!("/=", NotEqual, "Whether A and B differ; 1 and 1.0 do not."),
    operator!("<", Less, "Whether A comes before B."),
    operator!("=/=", NotExactly, "Whether A and B are not the same."),
    operator!(
        "=:=",
        Exactly,
        "Whether A and B are the same; 1 and 1.0 are not."
    ),
    operator!("=<", AtMost, "Whether A does not come behind B."),
    operator!("==", Equal, "Whether A and B are equal; 1 and 1.0 are."),
    operator!(">", Greater, "Whether A comes behind B."),
    operator!(">=", AtLeast, "Whether A does not come before B."),
    native(
        "erlang",
        "abs",
        1,
        "abs(Number)",
        "The number without its sign.",
        |m, a| number::abs(&a[0], m),
    ),
    operator!("and", And, "Whether both are true."),
    native(
        "erlang",
        "append",
        2,
        "erlang:append(List, Tail)",
        "List ++ Tail.",
        |m, a| number::binary(Op::Append, &a[0], &a[1], m),
    ),
    native(
        "erlang",
        "append_element",
        2,
        "erlang:append_element(Tuple, Value)",
        "The tuple with one more element.",
        |m, a| {
            let items = tuple(&a[0])?;
            insert(m, items, items.len(), &a[1])
        },
    ),
    operator!("band", Band, "Bitwise and."),
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
    operator!("bnot", "Bitwise not."),
    operator!("bor", Bor, "Bitwise or."),
    operator!("bsl", Bsl, "A shifted left by B bits."),
    operator!("bsr", Bsr, "A shifted right by B bits."),
    operator!("bxor", Bxor, "Bitwise exclusive or."),
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
        "delete_element",
        2,
        "erlang:delete_element(N, Tuple)",
        "The tuple without element N.",
        |m, a| {
            let items = tuple(&a[1])?;
            let place = place(&a[0])
                .filter(|place| *place < items.len())
                .ok_or_else(Raised::badarg)?;
            m.charge(items.len())?;
            let mut items = items.to_vec();
            items.remove(place);
            Ok(Term::tuple(items))
        },
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
    operator!("div", Div, "The quotient of two integers."),
    native(
        "erlang",
        "element",
        2,
        "element(N, Tuple)",
        "Element N of a tuple, counted from 1.",
        |_, a| {
            let items = tuple(&a[1])?;
            let place = place(&a[0]).ok_or_else(Raised::badarg)?;
            items.get(place).cloned().ok_or_else(Raised::badarg)
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
        "insert_element",
        3,
        "erlang:insert_element(N, Tuple, Value)",
        "The tuple with Value put in at place N.",
        |m, a| {
            let place = place(&a[0]).ok_or_else(Raised::badarg)?;
            insert(m, tuple(&a[1])?, place, &a[2])
        },
    ),
    test!("is_atom", "Whether it is an atom.", Term::Atom(_)),
    test!("is_binary", "Whether it is a binary.", Term::Bits(bits) if bits.bits % 8 == 0),
    test!("is_bitstring", "Whether it is a bit string.", Term::Bits(_)),
    native(
        "erlang",
        "is_boolean",
        1,
        "is_boolean(Value)",
        "Whether it is true or false.",
        |_, a| Ok(Term::bool(a[0].is_atom("true") || a[0].is_atom("false"))),
    ),
    test!("is_float", "Whether it is a float.", Term::Float(_)),
    test!("is_function", "Whether it is a fun.", Term::Fun(_)),
    native(
        "erlang",
        "is_function",
        2,
        "is_function(Value, Arity)",
        "Whether it is a fun of this arity.",
        |_, a| match (count(&a[1]), is_integer(&a[1])) {
            (Some(arity), _) => Ok(Term::bool(fun_arity(&a[0]) == Some(arity))),
            _ => Err(Raised::badarg()),
        },
    ),
    test!(
        "is_integer",
        "Whether it is an integer.",
        Term::Int(_) | Term::Big(_)
    ),
    test!(
        "is_list",
        "Whether it is a list.",
        Term::Nil | Term::Cons(_)
    ),
    test!("is_map", "Whether it is a map.", Term::Map(_)),
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
    test!(
        "is_number",
        "Whether it is an integer or a float.",
        Term::Int(_) | Term::Big(_) | Term::Float(_)
    ),
    test!("is_pid", "Whether it is a pid.", Term::Pid(_)),
    native(
        "erlang",
        "is_port",
        1,
        "is_port(Value)",
        "Whether it is a port: there are none here.",
        |_, _| Ok(Term::bool(false)),
    ),
    native(
        "erlang",
        "is_record",
        2,
        "is_record(Value, Tag)",
        "Whether it is a tuple that begins with this atom.",
        |_, a| is_record(&a[0], &a[1], None),
    ),
    native(
        "erlang",
        "is_record",
        3,
        "is_record(Value, Tag, Size)",
        "Whether it is a tuple of this size that begins with this atom.",
        |_, a| is_record(&a[0], &a[1], Some(count(&a[2]).ok_or_else(Raised::badarg)?)),
    ),
    test!("is_reference", "Whether it is a reference.", Term::Ref(_)),
    test!("is_tuple", "Whether it is a tuple.", Term::Tuple(_)),
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
        "make_tuple",
        2,
        "erlang:make_tuple(Arity, Value)",
        "A tuple of Arity times Value.",
        |m, a| make_tuple(m, &a[0], &a[1], &Term::Nil),
    ),
    native(
        "erlang",
        "make_tuple",
        3,
        "erlang:make_tuple(Arity, Default, [{N, Value}])",
        "A tuple of Default, and the values at their places.",
        |m, a| make_tuple(m, &a[0], &a[1], &a[2]),
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
    operator!("not", "Whether it is false."),
    operator!("or", Or, "Whether one of them is true."),
    operator!("rem", Rem, "What is left of A when it is divided by B."),
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
        "setelement",
        3,
        "setelement(N, Tuple, Value)",
        "The tuple with Value as element N.",
        |m, a| {
            let items = tuple(&a[1])?;
            let place = place(&a[0])
                .filter(|place| *place < items.len())
                .ok_or_else(Raised::badarg)?;
            m.charge(items.len())?;
            let mut items = items.to_vec();
            items[place] = a[2].clone();
            Ok(Term::tuple(items))
        },
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
        "subtract",
        2,
        "erlang:subtract(List1, List2)",
        "List1 -- List2.",
        |m, a| number::binary(Op::Without, &a[0], &a[1], m),
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
    native(
        "erlang",
        "tuple_size",
        1,
        "tuple_size(Tuple)",
        "How many elements a tuple has.",
        |_, a| Ok(int(tuple(&a[0])?.len())),
    ),
    operator!("xor", Xor, "Whether exactly one of them is true."),
];

fn tuple(value: &Term) -> Result<&[Term], Raised> {
    value.as_tuple().ok_or_else(Raised::badarg)
}

fn insert(machine: &mut dyn Machine, items: &[Term], place: usize, value: &Term) -> Value {
    if place > items.len() {
        return Err(Raised::badarg());
    }
    machine.charge(items.len() + 1)?;
    let mut items = items.to_vec();
    items.insert(place, value.clone());
    Ok(Term::tuple(items))
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

fn is_record(value: &Term, tag: &Term, size: Option<usize>) -> Value {
    if tag.as_atom().is_none() {
        return Err(Raised::badarg());
    }
    let items = value.as_tuple().unwrap_or_default();
    let is_tagged = items
        .first()
        .is_some_and(|first| first.as_atom() == tag.as_atom());
    Ok(Term::bool(
        is_tagged && size.is_none_or(|size| size == items.len()),
    ))
}

fn make_tuple(machine: &mut dyn Machine, arity: &Term, value: &Term, places: &Term) -> Value {
    // No tuple of Erlang's is larger.
    let arity = count(arity)
        .filter(|arity| *arity < 1 << 24)
        .ok_or_else(Raised::badarg)?;
    let places = list_arg(machine, places)?;
    machine.charge(arity)?;
    let mut items = vec![value.clone(); arity];
    for pair in &places {
        let Some([at, value]) = pair.as_tuple() else {
            return Err(Raised::badarg());
        };
        let item = place(at).and_then(|place| items.get_mut(place));
        *item.ok_or_else(Raised::badarg)? = value.clone();
    }
    Ok(Term::tuple(items))
}
