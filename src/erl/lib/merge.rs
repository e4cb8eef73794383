//! `lists`: sorting, and merging what is sorted.

use std::cmp::Ordering;

use crate::erl::function::{Machine, Native, Raised};
use crate::erl::term::Term;

use super::args::{Value, clause, compare, fun, list};
use super::native;

/// The sorted half of `lists`.
pub(super) static TABLE: &[Native] = &[
    native(
        "lists",
        "merge",
        1,
        "lists:merge(Lists)",
        "Merges sorted lists to one.",
        merge1,
    ),
    native(
        "lists",
        "merge",
        2,
        "lists:merge(List1, List2)",
        "Merges two sorted lists.",
        |m, a| merge(m, &a[..2], false),
    ),
    native(
        "lists",
        "merge",
        3,
        "lists:merge(Fun, List1, List2)",
        "Merges two lists sorted by an ordering fun.",
        merge_by,
    ),
    native(
        "lists",
        "sort",
        1,
        "lists:sort(List)",
        "Sorts a list.",
        |m, a| {
            let items = list(m, &a[0])?;
            Ok(Term::list(sorted(m, items, &mut compare)?))
        },
    ),
    native(
        "lists",
        "sort",
        2,
        "lists:sort(Fun, List)",
        "Sorts a list by a fun that says whether A =< B.",
        |m, a| {
            let by = fun(&a[0], 2)?;
            let items = list(m, &a[1])?;
            Ok(Term::list(sorted(m, items, &mut by_fun(by))?))
        },
    ),
    native(
        "lists",
        "umerge",
        1,
        "lists:umerge(Lists)",
        "Merges sorted lists to one without duplicates.",
        umerge1,
    ),
    native(
        "lists",
        "umerge",
        2,
        "lists:umerge(List1, List2)",
        "Merges two sorted lists without duplicates.",
        |m, a| merge(m, &a[..2], true),
    ),
    native(
        "lists",
        "usort",
        1,
        "lists:usort(List)",
        "Sorts a list and removes duplicates.",
        |m, a| {
            let items = list(m, &a[0])?;
            let items = sorted(m, items, &mut compare)?;
            Ok(Term::list(unique(m, items)?))
        },
    ),
    native(
        "lists",
        "usort",
        2,
        "lists:usort(Fun, List)",
        "Sorts a list by an ordering fun, keeping the first of equals.",
        usort_by,
    ),
];

/// Says how two elements are ordered, or raises.
type Order<'a, T> = dyn FnMut(&mut dyn Machine, &T, &T) -> Result<Ordering, Raised> + 'a;

/// Sorts, stable, and stops at the first comparison that raises.
pub(super) fn sorted<T: Clone>(
    machine: &mut dyn Machine,
    mut items: Vec<T>,
    order: &mut Order<'_, T>,
) -> Result<Vec<T>, Raised> {
    let rounds = items.len().checked_ilog2().unwrap_or(0) as usize + 1;
    machine.charge(items.len().saturating_mul(rounds))?;
    let mut run = 1;
    while run < items.len() {
        let mut next = Vec::with_capacity(items.len());
        for pair in items.chunks(run * 2) {
            let (mut left, mut right) = pair.split_at(run.min(pair.len()));
            while let (Some(a), Some(b)) = (left.first(), right.first()) {
                if order(machine, a, b)?.is_le() {
                    next.push(a.clone());
                    left = &left[1..];
                } else {
                    next.push(b.clone());
                    right = &right[1..];
                }
            }
            next.extend_from_slice(left);
            next.extend_from_slice(right);
        }
        items = next;
        run *= 2;
    }
    Ok(items)
}

/// Keeps the first of elements that are equal and follow each other.
pub(super) fn unique(machine: &mut dyn Machine, items: Vec<Term>) -> Result<Vec<Term>, Raised> {
    let mut kept: Vec<Term> = Vec::with_capacity(items.len());
    for item in items {
        let is_new = match kept.last() {
            Some(last) => compare(machine, last, &item)?.is_ne(),
            None => true,
        };
        if is_new {
            kept.push(item);
        }
    }
    Ok(kept)
}

/// The order that a fun of two arguments makes: true for what stays in place.
pub(super) fn by_fun(
    fun: &Term,
) -> impl FnMut(&mut dyn Machine, &Term, &Term) -> Result<Ordering, Raised> + '_ {
    move |machine, a, b| {
        let answer = machine.apply(fun, vec![a.clone(), b.clone()])?;
        match super::args::boolean(&answer) {
            Some(true) => Ok(Ordering::Less),
            Some(false) => Ok(Ordering::Greater),
            None => Err(super::args::error_of("case_clause", &answer)),
        }
    }
}

fn merge(machine: &mut dyn Machine, lists: &[Term], distinct: bool) -> Value {
    let mut items = Vec::new();
    for term in lists {
        items.extend(list(machine, term)?);
    }
    // Runs that are sorted already are merged by sorting them, which is stable.
    let items = sorted(machine, items, &mut compare)?;
    Ok(Term::list(match distinct {
        true => unique(machine, items)?,
        false => items,
    }))
}

fn merge1(machine: &mut dyn Machine, args: &[Term]) -> Value {
    let lists = list(machine, &args[0])?;
    merge(machine, &lists, false)
}

fn umerge1(machine: &mut dyn Machine, args: &[Term]) -> Value {
    let lists = list(machine, &args[0])?;
    merge(machine, &lists, true)
}

fn merge_by(machine: &mut dyn Machine, args: &[Term]) -> Value {
    let by = fun(&args[0], 2)?;
    let mut items = list(machine, &args[1])?;
    items.extend(list(machine, &args[2])?);
    let items = sorted(machine, items, &mut by_fun(by))?;
    Ok(Term::list(items))
}

fn usort_by(machine: &mut dyn Machine, args: &[Term]) -> Value {
    let by = fun(&args[0], 2)?;
    let items = list(machine, &args[1])?;
    let mut order = by_fun(by);
    let items = sorted(machine, items, &mut order)?;
    let mut kept: Vec<Term> = Vec::with_capacity(items.len());
    for item in items {
        // In order both ways is equal.
        let is_new = match kept.last() {
            Some(last) => order(machine, &item, last)?.is_gt(),
            None => true,
        };
        if is_new {
            kept.push(item);
        }
    }
    Ok(Term::list(kept))
}

/// The place of a key in a tuple, from 1; anything else is `function_clause`.
pub(super) fn key_place(value: &Term) -> Result<usize, Raised> {
    super::args::place(value).ok_or_else(clause)
}
