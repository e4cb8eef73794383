//! `lists`: what calls a fun for the elements.

use crate::erl::function::{Machine, Native, Raised};
use crate::erl::term::Term;

use super::args::{Value, Walk, ask, boolean, error_of, fun, list};
use super::lists::{joined, uniq};
use super::native;
use super::zip::rows;

/// What takes funs.
pub(super) static TABLE: &[Native] = &[
    native(
        "lists",
        "all",
        2,
        "lists:all(Pred, List)",
        "Whether Pred holds for all elements.",
        |m, a| Ok(Term::bool(!any(m, a, false)?)),
    ),
    native(
        "lists",
        "any",
        2,
        "lists:any(Pred, List)",
        "Whether Pred holds for an element.",
        |m, a| Ok(Term::bool(any(m, a, true)?)),
    ),
    native(
        "lists",
        "dropwhile",
        2,
        "lists:dropwhile(Pred, List)",
        "The list from the first element on for which Pred does not hold.",
        |m, a| Ok(split_while(m, a)?.1),
    ),
    native(
        "lists",
        "filter",
        2,
        "lists:filter(Pred, List)",
        "The elements for which Pred holds.",
        filter,
    ),
    native(
        "lists",
        "filtermap",
        2,
        "lists:filtermap(Fun, List)",
        "The elements for which Fun returns true, or the value of {true, Value}.",
        filtermap,
    ),
    native(
        "lists",
        "flatmap",
        2,
        "lists:flatmap(Fun, List)",
        "Joins the lists that Fun makes of the elements.",
        |m, a| {
            let mut lists = mapped_list(m, &a[0], &a[1])?;
            lists.push(Term::Nil);
            joined(m, &lists)
        },
    ),
    native(
        "lists",
        "foldl",
        3,
        "lists:foldl(Fun, Acc, List)",
        "Folds from the first element: Fun(Element, Acc).",
        foldl,
    ),
    native(
        "lists",
        "foldr",
        3,
        "lists:foldr(Fun, Acc, List)",
        "Folds from the last element: Fun(Element, Acc).",
        |m, a| {
            let by = fun(&a[0], 2)?;
            let items = list(m, &a[2])?;
            items
                .into_iter()
                .rev()
                .try_fold(a[1].clone(), |acc, item| m.apply(by, vec![item, acc]))
        },
    ),
    native(
        "lists",
        "foreach",
        2,
        "lists:foreach(Fun, List)",
        "Calls Fun for each element, for what it does.",
        |m, a| {
            let by = fun(&a[0], 1)?;
            let mut walk = Walk::of(&a[1]);
            for item in &mut walk {
                m.apply(by, vec![item.clone()])?;
            }
            walk.end()?;
            Ok(Term::ok())
        },
    ),
    native(
        "lists",
        "map",
        2,
        "lists:map(Fun, List)",
        "What Fun makes of each element.",
        |m, a| Ok(Term::list(mapped(m, &a[0], &a[1])?)),
    ),
    native(
        "lists",
        "mapfoldl",
        3,
        "lists:mapfoldl(Fun, Acc, List)",
        "map/2 and foldl/3 in one: Fun(Element, Acc) returns {New, Acc}.",
        |m, a| {
            let items = list(m, &a[2])?;
            let (mapped, acc) = mapfold(m, &a[0], &a[1], items.into_iter())?;
            Ok(Term::tuple([Term::list(mapped), acc]))
        },
    ),
    native(
        "lists",
        "mapfoldr",
        3,
        "lists:mapfoldr(Fun, Acc, List)",
        "map/2 and foldr/3 in one: Fun(Element, Acc) returns {New, Acc}.",
        |m, a| {
            let items = list(m, &a[2])?;
            let (mut mapped, acc) = mapfold(m, &a[0], &a[1], items.into_iter().rev())?;
            mapped.reverse();
            Ok(Term::tuple([Term::list(mapped), acc]))
        },
    ),
    native(
        "lists",
        "partition",
        2,
        "lists:partition(Pred, List)",
        "Two lists: the elements for which Pred holds, and the others.",
        partition,
    ),
    native(
        "lists",
        "search",
        2,
        "lists:search(Pred, List)",
        "The first element for which Pred holds: {value, Element} or false.",
        |m, a| {
            let by = fun(&a[0], 1)?;
            let mut walk = Walk::of(&a[1]);
            for item in &mut walk {
                if ask(m, by, item)? {
                    return Ok(Term::tuple([Term::atom("value"), item.clone()]));
                }
            }
            walk.end()?;
            Ok(Term::bool(false))
        },
    ),
    native(
        "lists",
        "splitwith",
        2,
        "lists:splitwith(Pred, List)",
        "{takewhile(Pred, List), dropwhile(Pred, List)}.",
        |m, a| {
            let (before, behind) = split_while(m, a)?;
            Ok(Term::tuple([Term::list(before), behind]))
        },
    ),
    native(
        "lists",
        "takewhile",
        2,
        "lists:takewhile(Pred, List)",
        "The elements before the first for which Pred does not hold.",
        |m, a| Ok(Term::list(split_while(m, a)?.0)),
    ),
    native(
        "lists",
        "uniq",
        2,
        "lists:uniq(Fun, List)",
        "Removes elements of which Fun makes the same, and keeps the order.",
        |m, a| {
            let keys = mapped(m, &a[0], &a[1])?;
            let items = list(m, &a[1])?;
            uniq(m, items, keys)
        },
    ),
    native(
        "lists",
        "zf",
        2,
        "lists:zf(Fun, List)",
        "Like filtermap/2, by its old name.",
        filtermap,
    ),
    native(
        "lists",
        "zipwith",
        3,
        "lists:zipwith(Fun, List1, List2)",
        "What Fun makes of the elements of two lists.",
        |m, a| zipwith(m, a, 2),
    ),
    native(
        "lists",
        "zipwith3",
        4,
        "lists:zipwith3(Fun, List1, List2, List3)",
        "What Fun makes of the elements of three lists.",
        |m, a| zipwith(m, a, 3),
    ),
];

fn any(machine: &mut dyn Machine, args: &[Term], wanted: bool) -> Result<bool, Raised> {
    let by = fun(&args[0], 1)?;
    let mut walk = Walk::in_case(&args[1])?;
    for item in &mut walk {
        if ask(machine, by, item)? == wanted {
            return Ok(true);
        }
    }
    walk.end()?;
    Ok(false)
}

fn mapped(machine: &mut dyn Machine, by: &Term, list: &Term) -> Result<Vec<Term>, Raised> {
    fun(by, 1)?;
    Walk::in_case(list)?;
    mapped_list(machine, by, list)
}

fn mapped_list(machine: &mut dyn Machine, by: &Term, list: &Term) -> Result<Vec<Term>, Raised> {
    let by = fun(by, 1)?;
    let mut mapped = Vec::new();
    let mut walk = Walk::of(list);
    for item in &mut walk {
        machine.charge(1)?;
        mapped.push(machine.apply(by, vec![item.clone()])?);
    }
    walk.end()?;
    Ok(mapped)
}

fn filter(machine: &mut dyn Machine, args: &[Term]) -> Value {
    let by = fun(&args[0], 1)?;
    let mut kept = Vec::new();
    let mut walk = Walk::of(&args[1]);
    for item in &mut walk {
        let answer = machine.apply(by, vec![item.clone()])?;
        if boolean(&answer).ok_or_else(|| error_of("bad_filter", &answer))? {
            machine.charge(1)?;
            kept.push(item.clone());
        }
    }
    match walk.rest() {
        Term::Nil => Ok(Term::list(kept)),
        rest => Err(error_of("bad_generator", rest)),
    }
}

fn filtermap(machine: &mut dyn Machine, args: &[Term]) -> Value {
    let by = fun(&args[0], 1)?;
    let mut kept = Vec::new();
    let mut walk = Walk::of(&args[1]);
    for item in &mut walk {
        let answer = machine.apply(by, vec![item.clone()])?;
        machine.charge(1)?;
        match (boolean(&answer), answer.as_tuple()) {
            (Some(true), _) => kept.push(item.clone()),
            (Some(false), _) => {}
            (None, Some([tag, value])) if tag.is_atom("true") => kept.push(value.clone()),
            _ => return Err(error_of("case_clause", &answer)),
        }
    }
    walk.end()?;
    Ok(Term::list(kept))
}

fn foldl(machine: &mut dyn Machine, args: &[Term]) -> Value {
    let by = fun(&args[0], 2)?;
    let mut walk = Walk::in_case(&args[2])?;
    let mut acc = args[1].clone();
    for item in &mut walk {
        acc = machine.apply(by, vec![item.clone(), acc])?;
    }
    walk.end()?;
    Ok(acc)
}

fn mapfold(
    machine: &mut dyn Machine,
    by: &Term,
    acc: &Term,
    items: impl Iterator<Item = Term>,
) -> Result<(Vec<Term>, Term), Raised> {
    let by = fun(by, 2)?;
    let mut acc = acc.clone();
    let mut mapped = Vec::new();
    for item in items {
        let answer = machine.apply(by, vec![item, acc])?;
        let Some([value, next]) = answer.as_tuple() else {
            return Err(error_of("badmatch", &answer));
        };
        mapped.push(value.clone());
        acc = next.clone();
    }
    Ok((mapped, acc))
}

fn partition(machine: &mut dyn Machine, args: &[Term]) -> Value {
    let by = fun(&args[0], 1)?;
    let (mut kept, mut others) = (Vec::new(), Vec::new());
    let mut walk = Walk::of(&args[1]);
    for item in &mut walk {
        machine.charge(1)?;
        match ask(machine, by, item)? {
            true => kept.push(item.clone()),
            false => others.push(item.clone()),
        }
    }
    walk.end()?;
    Ok(Term::tuple([Term::list(kept), Term::list(others)]))
}

fn split_while(machine: &mut dyn Machine, args: &[Term]) -> Result<(Vec<Term>, Term), Raised> {
    let by = fun(&args[0], 1)?;
    let mut before = Vec::new();
    let mut rest = &args[1];
    while let Term::Cons(cons) = rest {
        if !ask(machine, by, cons.head())? {
            return Ok((before, rest.clone()));
        }
        machine.charge(1)?;
        before.push(cons.head().clone());
        rest = cons.tail();
    }
    Walk::of(rest).end()?;
    Ok((before, Term::Nil))
}

fn zipwith(machine: &mut dyn Machine, args: &[Term], width: usize) -> Value {
    let by = fun(&args[0], width)?;
    let mut made = Vec::new();
    let name = if width == 2 { "zipwith" } else { "zipwith3" };
    for row in rows(machine, name, Some(by), &args[1..])? {
        made.push(machine.apply(by, row)?);
    }
    Ok(Term::list(made))
}
