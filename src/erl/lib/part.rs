//! `lists`: parts and places.

use crate::erl::function::{Machine, Native, Raised};
use crate::erl::number;
use crate::erl::term::Term;

use super::args::{
    Value, Walk, clause, clause_in, compare, count, difference, list, list_arg, list_onto, same,
};
use super::native;

/// What takes lists apart.
pub(super) static TABLE: &[Native] = &[
    native(
        "lists",
        "delete",
        2,
        "lists:delete(Element, List)",
        "Removes the first occurrence of Element.",
        delete,
    ),
    native(
        "lists",
        "droplast",
        1,
        "lists:droplast(List)",
        "All elements but the last.",
        |m, a| {
            let mut items = list(m, &a[0])?;
            items.pop().ok_or_else(clause)?;
            Ok(Term::list(items))
        },
    ),
    native(
        "lists",
        "last",
        1,
        "lists:last(List)",
        "The last element.",
        |m, a| {
            m.charge(number::length(&a[0]).ok_or_else(clause)? / 8)?;
            Walk::of(&a[0]).last().cloned().ok_or_else(clause)
        },
    ),
    native(
        "lists",
        "member",
        2,
        "lists:member(Element, List)",
        "Whether Element is in the list.",
        |m, a| {
            let mut walk = Walk::of(&a[1]);
            for (index, item) in walk.by_ref().enumerate() {
                if index % 1024 == 1023 {
                    m.charge(1024)?;
                }
                if same(m, item, &a[0])? {
                    return Ok(Term::bool(true));
                }
            }
            walk.end().map_err(|_| Raised::badarg())?;
            Ok(Term::bool(false))
        },
    ),
    native(
        "lists",
        "nth",
        2,
        "lists:nth(N, List)",
        "The element at place N, counted from 1.",
        |m, a| {
            let (left, rest) = walked(m, &a[0], &a[1])?;
            match (&left, rest) {
                (Term::Int(1), Term::Cons(cons)) => Ok(cons.head().clone()),
                _ => Err(clause_in("lists", "nth", vec![left, rest.clone()])),
            }
        },
    ),
    native(
        "lists",
        "nthtail",
        2,
        "lists:nthtail(N, List)",
        "The list without its first N elements.",
        |m, a| {
            let (left, rest) = walked(m, &a[0], &a[1])?;
            match (&left, rest) {
                (Term::Int(0), Term::Nil | Term::Cons(_)) => Ok(rest.clone()),
                (Term::Int(1), Term::Cons(cons)) => Ok(cons.tail().clone()),
                _ => Err(clause_in("lists", "nthtail", vec![left, rest.clone()])),
            }
        },
    ),
    native(
        "lists",
        "prefix",
        2,
        "lists:prefix(List1, List2)",
        "Whether List2 begins with List1.",
        |m, a| {
            let (short, long) = (list(m, &a[0])?, list(m, &a[1])?);
            Ok(Term::bool(begins(m, short.iter(), long.iter())?))
        },
    ),
    native(
        "lists",
        "split",
        2,
        "lists:split(N, List)",
        "The first N elements, and the others: {List1, List2}.",
        split,
    ),
    native(
        "lists",
        "sublist",
        2,
        "lists:sublist(List, Length)",
        "The first elements, at most Length.",
        |m, a| sublist(m, &a[0], 0, count(&a[1]).ok_or_else(clause)?),
    ),
    native(
        "lists",
        "sublist",
        3,
        "lists:sublist(List, Start, Length)",
        "At most Length elements from place Start on.",
        |m, a| {
            let start = super::args::place(&a[1]).ok_or_else(clause)?;
            sublist(m, &a[0], start, count(&a[2]).ok_or_else(clause)?)
        },
    ),
    native(
        "lists",
        "suffix",
        2,
        "lists:suffix(List1, List2)",
        "Whether List2 ends with List1.",
        |m, a| {
            let (short, long) = (list_arg(m, &a[0])?, list_arg(m, &a[1])?);
            Ok(Term::bool(begins(
                m,
                short.iter().rev(),
                long.iter().rev(),
            )?))
        },
    ),
];

fn delete(machine: &mut dyn Machine, args: &[Term]) -> Value {
    let mut walk = Walk::of(&args[1]);
    let mut before = Vec::new();
    while let Some(item) = walk.next() {
        machine.charge(1)?;
        if same(machine, item, &args[0])? {
            return Ok(list_onto(before, walk.rest().clone()));
        }
        before.push(item.clone());
    }
    walk.end()?;
    Ok(args[1].clone())
}

/// Walks along a list and counts down as long as there is more than one to go: what is left of both.
fn walked<'a>(
    machine: &mut dyn Machine,
    number: &Term,
    list: &'a Term,
) -> Result<(Term, &'a Term), Raised> {
    let one = Term::Int(1);
    let (mut left, mut rest) = (number.clone(), list);
    while let Term::Cons(cons) = rest
        && compare(machine, &left, &one)?.is_gt()
    {
        left = difference(machine, &left, &one)?;
        rest = cons.tail();
        machine.charge(1)?;
    }
    Ok((left, rest))
}

fn begins<'a>(
    machine: &mut dyn Machine,
    short: impl ExactSizeIterator<Item = &'a Term>,
    long: impl ExactSizeIterator<Item = &'a Term>,
) -> Result<bool, Raised> {
    if short.len() > long.len() {
        return Ok(false);
    }
    for (a, b) in short.zip(long) {
        if !same(machine, a, b)? {
            return Ok(false);
        }
    }
    Ok(true)
}

fn split(machine: &mut dyn Machine, args: &[Term]) -> Value {
    let count = count(&args[0]).ok_or_else(Raised::badarg)?;
    if !matches!(args[1], Term::Nil | Term::Cons(_)) {
        return Err(Raised::badarg());
    }
    let mut before = Vec::new();
    let mut walk = Walk::of(&args[1]);
    while before.len() < count {
        let Some(item) = walk.next() else {
            walk.end()?;
            return Err(Raised::badarg());
        };
        machine.charge(1)?;
        before.push(item.clone());
    }
    Ok(Term::tuple([Term::list(before), walk.rest().clone()]))
}

fn sublist(machine: &mut dyn Machine, items: &Term, start: usize, length: usize) -> Value {
    if !matches!(items, Term::Nil | Term::Cons(_)) {
        return Err(clause());
    }
    let mut walk = Walk::of(items);
    let mut kept = Vec::new();
    let mut skipped = 0;
    while kept.len() < length {
        let Some(item) = walk.next() else {
            walk.end()?;
            break;
        };
        machine.charge(1)?;
        if skipped < start {
            skipped += 1;
            continue;
        }
        kept.push(item.clone());
    }
    Ok(Term::list(kept))
}
