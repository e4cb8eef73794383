//! `lists`: what makes one list of others, or one value of a list, without a fun.

use num_integer::Integer;
use num_traits::{Signed, ToPrimitive};

use crate::erl::chardata;
use crate::erl::function::{Machine, Native, Raised};
use crate::erl::number::{self, Op};
use crate::erl::term::{Key, Term};

use super::args::{
    Value, clause, compare, count, int, is_integer, key, list, list_arg, list_onto, pay, sum,
};
use super::native;

/// What takes whole lists.
pub(super) static TABLE: &[Native] = &[
    native(
        "lists",
        "append",
        1,
        "lists:append(Lists)",
        "Joins the lists of a list.",
        |m, a| {
            let lists = list(m, &a[0])?;
            joined(m, &lists)
        },
    ),
    native(
        "lists",
        "append",
        2,
        "lists:append(List1, List2)",
        "List1 ++ List2.",
        |m, a| number::binary(Op::Append, &a[0], &a[1], m),
    ),
    native(
        "lists",
        "concat",
        1,
        "lists:concat(Things)",
        "The text of atoms, numbers and strings, joined.",
        concat,
    ),
    native(
        "lists",
        "duplicate",
        2,
        "lists:duplicate(N, Element)",
        "A list of N times Element.",
        |m, a| {
            let count = count(&a[0]).ok_or_else(clause)?;
            m.charge(count)?;
            Ok(Term::list(vec![a[1].clone(); count]))
        },
    ),
    native(
        "lists",
        "enumerate",
        1,
        "lists:enumerate(List)",
        "Each element with its place: [{1, A}, {2, B}].",
        |m, a| enumerate(m, &Term::Int(1), &a[0]),
    ),
    native(
        "lists",
        "enumerate",
        2,
        "lists:enumerate(Index, List)",
        "Each element with its place, counted from Index.",
        |m, a| enumerate(m, &a[0], &a[1]),
    ),
    native(
        "lists",
        "flatlength",
        1,
        "lists:flatlength(DeepList)",
        "The length of the flattened list.",
        |m, a| Ok(int(flattened(m, &a[0])?.len())),
    ),
    native(
        "lists",
        "flatten",
        1,
        "lists:flatten(DeepList)",
        "The elements of nested lists in one list.",
        |m, a| Ok(Term::list(flattened(m, &a[0])?)),
    ),
    native(
        "lists",
        "flatten",
        2,
        "lists:flatten(DeepList, Tail)",
        "The elements of nested lists, and then Tail.",
        |m, a| {
            let items = flattened(m, &a[0])?;
            list_arg(m, &a[1]).map_err(|_| clause())?;
            Ok(list_onto(items, a[1].clone()))
        },
    ),
    native(
        "lists",
        "join",
        2,
        "lists:join(Separator, List)",
        "Puts Separator between the elements.",
        |m, a| {
            let items = list(m, &a[1])?;
            pay(m, items.len(), 2)?;
            let mut joined = Vec::with_capacity(items.len() * 2);
            for item in items {
                if !joined.is_empty() {
                    joined.push(a[0].clone());
                }
                joined.push(item);
            }
            Ok(Term::list(joined))
        },
    ),
    native(
        "lists",
        "max",
        1,
        "lists:max(List)",
        "The largest element.",
        |m, a| extreme(m, &a[0], true),
    ),
    native(
        "lists",
        "min",
        1,
        "lists:min(List)",
        "The smallest element.",
        |m, a| extreme(m, &a[0], false),
    ),
    native(
        "lists",
        "reverse",
        1,
        "lists:reverse(List)",
        "The elements in reverse order.",
        |m, a| {
            let items = list(m, &a[0])?;
            Ok(Term::list(items.into_iter().rev()))
        },
    ),
    native(
        "lists",
        "reverse",
        2,
        "lists:reverse(List, Tail)",
        "The elements in reverse order, and then Tail.",
        |m, a| {
            let items = list_arg(m, &a[0])?;
            Ok(list_onto(items.into_iter().rev(), a[1].clone()))
        },
    ),
    native(
        "lists",
        "seq",
        2,
        "lists:seq(From, To)",
        "The integers from From to To.",
        |m, a| {
            let one = Term::Int(1);
            sequence(m, &a[0], &a[1], &one)?.ok_or_else(clause)
        },
    ),
    native(
        "lists",
        "seq",
        3,
        "lists:seq(From, To, Step)",
        "The integers from From to To in steps.",
        |m, a| sequence(m, &a[0], &a[1], &a[2])?.ok_or_else(Raised::badarg),
    ),
    native(
        "lists",
        "subtract",
        2,
        "lists:subtract(List1, List2)",
        "List1 -- List2.",
        |m, a| number::binary(Op::Without, &a[0], &a[1], m),
    ),
    native(
        "lists",
        "sum",
        1,
        "lists:sum(List)",
        "The sum of the elements.",
        |m, a| {
            let items = list(m, &a[0])?;
            let zero = Term::Int(0);
            items
                .iter()
                .try_fold(zero, |total, item| sum(m, &total, item))
        },
    ),
    native(
        "lists",
        "uniq",
        1,
        "lists:uniq(List)",
        "Removes duplicates and keeps the order.",
        |m, a| {
            let items = list(m, &a[0])?;
            let keys = items.clone();
            uniq(m, items, keys)
        },
    ),
];

/// The last list may be anything: it becomes the tail.
pub(super) fn joined(machine: &mut dyn Machine, lists: &[Term]) -> Value {
    let Some((last, lists)) = lists.split_last() else {
        return Ok(Term::Nil);
    };
    let last = last.clone();
    lists.iter().rev().try_fold(last, |tail, list| {
        number::binary(Op::Append, list, &tail, machine)
    })
}

fn concat(machine: &mut dyn Machine, args: &[Term]) -> Value {
    let mut parts = Vec::new();
    for thing in list(machine, &args[0])? {
        parts.push(match &thing {
            Term::Atom(name) => chardata::list(name.as_str(), machine)?,
            Term::Float(value) => chardata::list(&number::float::scientific(*value, 20), machine)?,
            Term::Nil | Term::Cons(_) => thing,
            _ => {
                let text = number::integer_text(&thing, 10, machine)?.ok_or_else(clause)?;
                chardata::list(&text, machine)?
            }
        });
    }
    joined(machine, &parts)
}

fn enumerate(machine: &mut dyn Machine, from: &Term, items: &Term) -> Value {
    if !is_integer(from) {
        return Err(clause());
    }
    let items = list(machine, items)?;
    pay(machine, items.len(), 3)?;
    let mut place = from.clone();
    let mut pairs = Vec::with_capacity(items.len());
    for item in items {
        let next = number::binary(Op::Add, &place, &Term::Int(1), machine)?;
        pairs.push(Term::tuple([std::mem::replace(&mut place, next), item]));
    }
    Ok(Term::list(pairs))
}

/// All that is no list, in order. A part that is shared is walked, and paid for, as often as it occurs.
fn flattened(machine: &mut dyn Machine, deep: &Term) -> Result<Vec<Term>, Raised> {
    if !matches!(deep, Term::Nil | Term::Cons(_)) {
        return Err(clause());
    }
    let mut items = Vec::new();
    let mut rests = vec![deep.clone()];
    while let Some(rest) = rests.pop() {
        match rest {
            Term::Nil => {}
            Term::Cons(cons) => {
                machine.charge(1)?;
                rests.push(cons.tail().clone());
                match cons.head() {
                    Term::Nil => {}
                    head @ Term::Cons(_) => rests.push(head.clone()),
                    head => items.push(head.clone()),
                }
            }
            _ => return Err(clause()),
        }
    }
    Ok(items)
}

fn extreme(machine: &mut dyn Machine, list_: &Term, largest: bool) -> Value {
    let mut items = list(machine, list_)?.into_iter();
    let mut best = items.next().ok_or_else(clause)?;
    for item in items {
        let order = compare(machine, &item, &best)?;
        if (largest && order.is_gt()) || (!largest && order.is_lt()) {
            best = item;
        }
    }
    Ok(best)
}

/// Nothing if there is no such sequence.
fn sequence(
    machine: &mut dyn Machine,
    from: &Term,
    to: &Term,
    step: &Term,
) -> Result<Option<Term>, Raised> {
    if let (Term::Int(from), Term::Int(to), Term::Int(step)) = (from, to, step) {
        let (from, to, step) = (i128::from(*from), i128::from(*to), i128::from(*step));
        let Some(length) = steps(from, to, step) else {
            return Ok(None);
        };
        machine.charge(length)?;
        let number = |index: usize| Term::Int((from + step * index as i128) as i64);
        let items = (0..length).rev();
        return Ok(Some(
            items.fold(Term::Nil, |tail, index| Term::cons(number(index), tail)),
        ));
    }
    let big = |term| number::to_big(term);
    let (Some(from), Some(to), Some(step)) = (big(from), big(to), big(step)) else {
        return Ok(None);
    };
    let Some(length) = steps(from.clone(), to.clone(), step.clone()) else {
        return Ok(None);
    };
    let bits = from.bits().max(to.bits()).max(step.bits());
    let words = usize::try_from(bits / 64).unwrap_or(usize::MAX);
    pay(machine, length, words.saturating_add(2))?;
    let mut items = Vec::with_capacity(length);
    let mut next = from;
    for _ in 0..length {
        items.push(Term::big(next.clone()));
        next += &step;
    }
    Ok(Some(Term::list(items)))
}

/// How many numbers lie between two, both counted; nothing if the step leads away.
fn steps<N: Clone + Integer + Signed + ToPrimitive>(from: N, to: N, step: N) -> Option<usize> {
    if step.is_zero() {
        return (from == to).then_some(1);
    }
    let length = (to - from + step.clone()).div_floor(&step);
    match length.is_negative() {
        true => None,
        false => Some(length.to_usize().unwrap_or(usize::MAX)),
    }
}

pub(super) fn uniq(machine: &mut dyn Machine, items: Vec<Term>, keys: Vec<Term>) -> Value {
    pay(machine, items.len(), 2)?;
    let mut seen = std::collections::BTreeSet::<Key>::new();
    let mut kept = Vec::new();
    for (item, value) in items.into_iter().zip(keys) {
        if seen.insert(key(machine, &value)?) {
            kept.push(item);
        }
    }
    Ok(Term::list(kept))
}
