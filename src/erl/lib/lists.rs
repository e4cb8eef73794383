//! `lists`: what takes no fun.

use crate::erl::chardata;
use crate::erl::function::{Machine, Native, Raised};
use crate::erl::number::{self, Op};
use crate::erl::term::{Key, Term};

use super::args::{
    Value, Walk, clause, compare, count, int, is_integer, items, key, list, list_arg, list_onto,
    pay, same,
};
use super::native;

/// The half of `lists` that takes no funs.
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
        "max",
        1,
        "lists:max(List)",
        "The largest element.",
        |m, a| extreme(m, &a[0], true),
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
        "min",
        1,
        "lists:min(List)",
        "The smallest element.",
        |m, a| extreme(m, &a[0], false),
    ),
    native(
        "lists",
        "nth",
        2,
        "lists:nth(N, List)",
        "The element at place N, counted from 1.",
        |m, a| {
            let rest = nthtail(m, &a[0], super::args::place(&a[0]), &a[1])?;
            Walk::of(rest).next().cloned().ok_or_else(clause)
        },
    ),
    native(
        "lists",
        "nthtail",
        2,
        "lists:nthtail(N, List)",
        "The list without its first N elements.",
        |m, a| nthtail(m, &a[0], count(&a[0]), &a[1]).cloned(),
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
            let (Term::Int(from), Term::Int(to)) = (&a[0], &a[1]) else {
                return Err(clause());
            };
            if from.saturating_sub(1) > *to {
                return Err(clause());
            }
            sequence(m, *from, *to, 1)
        },
    ),
    native(
        "lists",
        "seq",
        3,
        "lists:seq(From, To, Step)",
        "The integers from From to To in steps.",
        seq,
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
        "subtract",
        2,
        "lists:subtract(List1, List2)",
        "List1 -- List2.",
        |m, a| number::binary(Op::Without, &a[0], &a[1], m),
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
                .try_fold(zero, |sum, item| number::binary(Op::Add, &sum, item, m))
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
    native(
        "lists",
        "unzip",
        1,
        "lists:unzip(Pairs)",
        "Turns a list of pairs into a pair of lists.",
        |m, a| unzip(m, &a[0], 2),
    ),
    native(
        "lists",
        "unzip3",
        1,
        "lists:unzip3(Triples)",
        "Turns a list of triples into three lists.",
        |m, a| unzip(m, &a[0], 3),
    ),
    native(
        "lists",
        "zip",
        2,
        "lists:zip(List1, List2)",
        "Pairs the elements of two lists of equal length.",
        |m, a| {
            let rows = rows(m, a)?;
            Ok(Term::list(
                rows.into_iter().map(Term::tuple).collect::<Vec<_>>(),
            ))
        },
    ),
    native(
        "lists",
        "zip3",
        3,
        "lists:zip3(List1, List2, List3)",
        "Makes triples of three lists of equal length.",
        |m, a| {
            let rows = rows(m, a)?;
            Ok(Term::list(
                rows.into_iter().map(Term::tuple).collect::<Vec<_>>(),
            ))
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

fn nthtail<'a>(
    machine: &mut dyn Machine,
    given: &Term,
    count: Option<usize>,
    list: &'a Term,
) -> Result<&'a Term, Raised> {
    if matches!(list, Term::Cons(_)) && !number::is_number(given) {
        return Err(number::badarith());
    }
    let mut left = count.ok_or_else(clause)?;
    let mut rest = list;
    while left > 0 {
        let Term::Cons(cons) = rest else {
            return Err(clause());
        };
        if left.is_multiple_of(1024) {
            machine.charge(128)?;
        }
        rest = cons.tail();
        left -= 1;
    }
    match rest {
        Term::Nil | Term::Cons(_) => Ok(rest),
        _ => Err(clause()),
    }
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

fn seq(machine: &mut dyn Machine, args: &[Term]) -> Value {
    let [Term::Int(from), Term::Int(to), Term::Int(step)] = args else {
        return Err(Raised::badarg());
    };
    match step.signum() {
        1 if from.saturating_sub(*step) <= *to => sequence(machine, *from, *to, *step),
        -1 if from.saturating_sub(*step) >= *to => sequence(machine, *from, *to, *step),
        0 if from == to => Ok(Term::list([args[0].clone()])),
        _ => Err(Raised::badarg()),
    }
}

fn sequence(machine: &mut dyn Machine, from: i64, to: i64, step: i64) -> Value {
    let (from, to, step) = (i128::from(from), i128::from(to), i128::from(step));
    let length = usize::try_from((to - from + step) / step).unwrap_or(0);
    machine.charge(length)?;
    let number = |index: usize| Term::Int((from + step * index as i128) as i64);
    Ok((0..length)
        .rev()
        .fold(Term::Nil, |tail, index| Term::cons(number(index), tail)))
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

fn unzip(machine: &mut dyn Machine, tuples: &Term, width: usize) -> Value {
    let tuples = list(machine, tuples)?;
    pay(machine, tuples.len(), width)?;
    let mut columns = vec![Vec::with_capacity(tuples.len()); width];
    for tuple in &tuples {
        let row = tuple
            .as_tuple()
            .filter(|row| row.len() == width)
            .ok_or_else(clause)?;
        for (column, item) in columns.iter_mut().zip(row) {
            column.push(item.clone());
        }
    }
    Ok(Term::tuple(
        columns.into_iter().map(Term::list).collect::<Vec<_>>(),
    ))
}

/// The elements of lists of equal length, row by row.
pub(super) fn rows(machine: &mut dyn Machine, lists: &[Term]) -> Result<Vec<Vec<Term>>, Raised> {
    let mut columns = Vec::new();
    for list in lists {
        columns.push(items(machine, list)?.ok_or_else(clause)?.into_iter());
    }
    let length = columns.first().map_or(0, |column| column.len());
    if columns.iter().any(|column| column.len() != length) {
        return Err(clause());
    }
    pay(machine, length, lists.len() + 1)?;
    let rows = (0..length).map(|_| columns.iter_mut().filter_map(Iterator::next).collect());
    Ok(rows.collect())
}
