//! `erlang`: tests of kind.

use crate::erl::function::{Native, Raised};
use crate::erl::term::Term;

use super::args::{Value, count, fun_arity, is_integer};
use super::native;

macro_rules! test {
    ($name:literal, $doc:literal, $pattern:pat $(if $guard:expr)?) => {
        native("erlang", $name, 1, concat!($name, "(Value)"), $doc, |_, a| {
            Ok(Term::bool(matches!(&a[0], $pattern $(if $guard)?)))
        })
    };
}

/// What asks of what kind a value is.
pub(super) static TABLE: &[Native] = &[
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
];

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
