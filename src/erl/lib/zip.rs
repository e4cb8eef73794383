//! `lists`: several lists row by row.

use crate::erl::function::{Machine, Native, Raised};
use crate::erl::term::Term;

use super::args::{Value, Walk, clause, clause_in, list, pay};
use super::native;

/// What joins lists into one of tuples, and the other way round.
pub(super) static TABLE: &[Native] = &[
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
        |m, a| zip(m, "zip", a),
    ),
    native(
        "lists",
        "zip3",
        3,
        "lists:zip3(List1, List2, List3)",
        "Makes triples of three lists of equal length.",
        |m, a| zip(m, "zip3", a),
    ),
];

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

fn zip(machine: &mut dyn Machine, name: &str, lists: &[Term]) -> Value {
    let rows = rows(machine, name, None, lists)?;
    let tuples: Vec<Term> = rows.into_iter().map(Term::tuple).collect();
    Ok(Term::list(tuples))
}

/// The elements of lists of equal length, row by row. If one ends before another, what is left of them is told, behind the fun.
pub(super) fn rows(
    machine: &mut dyn Machine,
    name: &str,
    fun: Option<&Term>,
    lists: &[Term],
) -> Result<Vec<Vec<Term>>, Raised> {
    let mut walks: Vec<Walk<'_>> = lists.iter().map(Walk::of).collect();
    let mut rows = Vec::new();
    loop {
        if walks.iter().all(|walk| matches!(walk.rest(), Term::Nil)) {
            return Ok(rows);
        }
        if !walks
            .iter()
            .all(|walk| matches!(walk.rest(), Term::Cons(_)))
        {
            let left = walks.iter().map(|walk| walk.rest().clone());
            let args = fun.cloned().into_iter().chain(left);
            return Err(clause_in("lists", name, args.collect()));
        }
        machine.charge(lists.len() + 1)?;
        rows.push(
            walks
                .iter_mut()
                .filter_map(|walk| walk.next().cloned())
                .collect(),
        );
    }
}
