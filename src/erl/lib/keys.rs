//! `lists`: lists of tuples, by the key at a place of each.

use crate::erl::function::{Machine, Native, Raised};
use crate::erl::term::Term;

use super::args::{Value, Walk, clause, compare, equal, error_of, fun, list, list_onto, place};
use super::merge::{key_place, sorted};
use super::native;

/// The keyed half of `lists`.
pub(super) static TABLE: &[Native] = &[
    native(
        "lists",
        "keydelete",
        3,
        "lists:keydelete(Key, N, Tuples)",
        "Removes the first tuple whose element N is equal to Key.",
        keydelete,
    ),
    native(
        "lists",
        "keyfind",
        3,
        "lists:keyfind(Key, N, Tuples)",
        "Finds the first tuple whose element N is equal to Key, or false.",
        |m, a| Ok(find(m, a)?.unwrap_or_else(|| Term::bool(false))),
    ),
    native(
        "lists",
        "keymap",
        3,
        "lists:keymap(Fun, N, Tuples)",
        "Replaces element N of each tuple by what Fun makes of it.",
        keymap,
    ),
    native(
        "lists",
        "keymember",
        3,
        "lists:keymember(Key, N, Tuples)",
        "Whether there is a tuple whose element N is equal to Key.",
        |m, a| Ok(Term::bool(find(m, a)?.is_some())),
    ),
    native(
        "lists",
        "keymerge",
        3,
        "lists:keymerge(N, Tuples1, Tuples2)",
        "Merges two lists sorted by element N.",
        keymerge,
    ),
    native(
        "lists",
        "keyreplace",
        4,
        "lists:keyreplace(Key, N, Tuples, Tuple)",
        "Puts Tuple in place of the first whose element N is equal to Key.",
        keyreplace,
    ),
    native(
        "lists",
        "keysearch",
        3,
        "lists:keysearch(Key, N, Tuples)",
        "Like keyfind/3, but answers {value, Tuple} or false.",
        |m, a| {
            let found = find(m, a)?.map(|tuple| Term::tuple([Term::atom("value"), tuple]));
            Ok(found.unwrap_or_else(|| Term::bool(false)))
        },
    ),
    native(
        "lists",
        "keysort",
        2,
        "lists:keysort(N, Tuples)",
        "Sorts tuples by element N.",
        |m, a| {
            let items = keyed(m, &a[0], &a[1])?;
            Ok(Term::list(by_key(m, items)?))
        },
    ),
    native(
        "lists",
        "keystore",
        4,
        "lists:keystore(Key, N, Tuples, Tuple)",
        "Like keyreplace/4, but appends Tuple if there is none to replace.",
        keystore,
    ),
    native(
        "lists",
        "keytake",
        3,
        "lists:keytake(Key, N, Tuples)",
        "Takes the first such tuple out: {value, Tuple, Rest} or false.",
        keytake,
    ),
    native(
        "lists",
        "ukeysort",
        2,
        "lists:ukeysort(N, Tuples)",
        "Sorts tuples by element N, keeping the first of equal keys.",
        ukeysort,
    ),
];

/// A tuple behind its key.
type Keyed = (Term, Term);
/// What is before a tuple, and if it was found, the tuple and what is behind.
type Split = (Vec<Term>, Option<(Term, Term)>);

fn element(tuple: &Term, place: usize) -> Option<&Term> {
    tuple.as_tuple()?.get(place)
}

/// The first tuple with the key; a place or list of a wrong kind is `badarg`.
fn find(machine: &mut dyn Machine, args: &[Term]) -> Result<Option<Term>, Raised> {
    let place = place(&args[1]).ok_or_else(Raised::badarg)?;
    let mut walk = Walk::of(&args[2]);
    let mut steps = 0;
    for item in walk.by_ref() {
        steps += 1;
        if steps % 1024 == 0 {
            machine.charge(1024)?;
        }
        if let Some(found) = element(item, place)
            && equal(machine, found, &args[0])?
        {
            return Ok(Some(item.clone()));
        }
    }
    walk.end().map_err(|_| Raised::badarg())?;
    Ok(None)
}

/// Splits at the first tuple with the key: what is before, the tuple, and what is behind.
fn split(
    machine: &mut dyn Machine,
    key: &Term,
    place: &Term,
    tuples: &Term,
) -> Result<Split, Raised> {
    let place = key_place(place)?;
    let mut walk = Walk::of(tuples);
    let mut before = Vec::new();
    while let Some(item) = walk.next() {
        machine.charge(1)?;
        if let Some(found) = element(item, place)
            && equal(machine, found, key)?
        {
            return Ok((before, Some((item.clone(), walk.rest().clone()))));
        }
        before.push(item.clone());
    }
    walk.end()?;
    Ok((before, None))
}

fn keydelete(machine: &mut dyn Machine, args: &[Term]) -> Value {
    Ok(match split(machine, &args[0], &args[1], &args[2])? {
        (before, Some((_, behind))) => list_onto(before, behind),
        (_, None) => args[2].clone(),
    })
}

fn replacement(tuple: &Term) -> Result<(), Raised> {
    tuple.as_tuple().map(|_| ()).ok_or_else(clause)
}

fn keyreplace(machine: &mut dyn Machine, args: &[Term]) -> Value {
    replacement(&args[3])?;
    Ok(match split(machine, &args[0], &args[1], &args[2])? {
        (before, Some((_, behind))) => list_onto(before, Term::cons(args[3].clone(), behind)),
        (_, None) => args[2].clone(),
    })
}

fn keystore(machine: &mut dyn Machine, args: &[Term]) -> Value {
    replacement(&args[3])?;
    let (before, found) = split(machine, &args[0], &args[1], &args[2])?;
    let behind = found.map_or(Term::Nil, |(_, behind)| behind);
    Ok(list_onto(before, Term::cons(args[3].clone(), behind)))
}

fn keytake(machine: &mut dyn Machine, args: &[Term]) -> Value {
    Ok(match split(machine, &args[0], &args[1], &args[2])? {
        (before, Some((tuple, behind))) => {
            Term::tuple([Term::atom("value"), tuple, list_onto(before, behind)])
        }
        (_, None) => Term::bool(false),
    })
}

fn keymap(machine: &mut dyn Machine, args: &[Term]) -> Value {
    let (by, place) = (fun(&args[0], 1)?, key_place(&args[1])?);
    let mut mapped = Vec::new();
    let mut walk = Walk::of(&args[2]);
    for item in &mut walk {
        let items = item.as_tuple().ok_or_else(Raised::badarg)?;
        let old = items.get(place).ok_or_else(Raised::badarg)?;
        let new = machine.apply(by, vec![old.clone()])?;
        machine.charge(items.len())?;
        let mut items = items.to_vec();
        items[place] = new;
        mapped.push(Term::tuple(items));
    }
    walk.end()?;
    Ok(Term::list(mapped))
}

/// The tuples, each with its key; one that is too small is `badarg`.
fn keyed(machine: &mut dyn Machine, place: &Term, tuples: &Term) -> Result<Vec<Keyed>, Raised> {
    let place = key_place(place)?;
    match tuples {
        Term::Nil => {}
        Term::Cons(cons) if matches!(cons.tail(), Term::Nil | Term::Cons(_)) => {}
        _ => return Err(error_of("case_clause", tuples)),
    }
    let items = list(machine, tuples)?;
    if items.len() < 2 {
        // There is nothing to compare, and so nothing to look at.
        return Ok(items.into_iter().map(|item| (Term::Nil, item)).collect());
    }
    let keyed = items.into_iter().map(|item| {
        let key = element(&item, place).cloned().ok_or_else(Raised::badarg)?;
        Ok((key, item))
    });
    keyed.collect()
}

fn by_key(machine: &mut dyn Machine, items: Vec<Keyed>) -> Result<Vec<Term>, Raised> {
    let items = sorted(machine, items, &mut |machine, a, b| {
        compare(machine, &a.0, &b.0)
    })?;
    Ok(items.into_iter().map(|(_, item)| item).collect())
}

fn keymerge(machine: &mut dyn Machine, args: &[Term]) -> Value {
    let mut items = keyed(machine, &args[0], &args[1])?;
    let more = keyed(machine, &args[0], &args[2])?;
    items.extend(more);
    let place = key_place(&args[0])?;
    let items = items.into_iter().map(|(_, item)| {
        let key = element(&item, place).cloned().ok_or_else(Raised::badarg)?;
        Ok((key, item))
    });
    let items = items.collect::<Result<Vec<_>, Raised>>()?;
    Ok(Term::list(by_key(machine, items)?))
}

fn ukeysort(machine: &mut dyn Machine, args: &[Term]) -> Value {
    let items = keyed(machine, &args[0], &args[1])?;
    let items = sorted(machine, items, &mut |machine, a, b| {
        compare(machine, &a.0, &b.0)
    })?;
    let mut kept: Vec<Keyed> = Vec::with_capacity(items.len());
    for item in items {
        let is_new = match kept.last() {
            Some(last) => !equal(machine, &last.0, &item.0)?,
            None => true,
        };
        if is_new {
            kept.push(item);
        }
    }
    Ok(Term::list(
        kept.into_iter().map(|(_, item)| item).collect::<Vec<_>>(),
    ))
}
