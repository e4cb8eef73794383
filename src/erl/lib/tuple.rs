//! `erlang`: tuples and their elements.

use crate::erl::function::{Machine, Native, Raised};
use crate::erl::term::Term;

use super::args::{Value, count, int, list_arg, place};
use super::native;

/// What takes or makes tuples.
pub(super) static TABLE: &[Native] = &[
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
    native(
        "erlang",
        "delete_element",
        2,
        "erlang:delete_element(N, Tuple)",
        "The tuple without element N.",
        |m, a| {
            let (mut items, place) = copied(m, &a[1], &a[0])?;
            items.remove(place);
            Ok(Term::tuple(items))
        },
    ),
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
        "insert_element",
        3,
        "erlang:insert_element(N, Tuple, Value)",
        "The tuple with Value put in at place N.",
        |m, a| {
            let place = place(&a[0]).ok_or_else(Raised::badarg)?;
            insert(m, tuple(&a[1])?, place, &a[2])
        },
    ),
    native(
        "erlang",
        "list_to_tuple",
        1,
        "list_to_tuple(List)",
        "The elements as a tuple.",
        |m, a| Ok(Term::tuple(list_arg(m, &a[0])?)),
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
        "setelement",
        3,
        "setelement(N, Tuple, Value)",
        "The tuple with Value as element N.",
        |m, a| {
            let (mut items, place) = copied(m, &a[1], &a[0])?;
            items[place] = a[2].clone();
            Ok(Term::tuple(items))
        },
    ),
    native(
        "erlang",
        "tuple_size",
        1,
        "tuple_size(Tuple)",
        "How many elements a tuple has.",
        |_, a| Ok(int(tuple(&a[0])?.len())),
    ),
    native(
        "erlang",
        "tuple_to_list",
        1,
        "tuple_to_list(Tuple)",
        "The elements as a list.",
        |m, a| {
            let items = a[0].as_tuple().ok_or_else(Raised::badarg)?;
            m.charge(items.len())?;
            Ok(Term::list(items.to_vec()))
        },
    ),
];

fn tuple(value: &Term) -> Result<&[Term], Raised> {
    value.as_tuple().ok_or_else(Raised::badarg)
}

/// The elements to be changed, paid for, and the index of a place among them.
fn copied(
    machine: &mut dyn Machine,
    of: &Term,
    number: &Term,
) -> Result<(Vec<Term>, usize), Raised> {
    let items = tuple(of)?;
    let place = place(number).filter(|place| *place < items.len());
    let place = place.ok_or_else(Raised::badarg)?;
    machine.charge(items.len())?;
    Ok((items.to_vec(), place))
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
