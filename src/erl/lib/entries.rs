//! `maps`: what calls a fun for the entries.

use std::collections::BTreeMap;

use crate::erl::function::{Machine, Native, Raised};
use crate::erl::term::{Key, Map, Term};

use super::args::{Value, boolean, error_of, fun_arity, key, list_arg, map};
use super::maps::copied;
use super::native;

/// What takes funs.
pub(super) static TABLE: &[Native] = &[
    native(
        "maps",
        "filter",
        2,
        "maps:filter(Pred, Map)",
        "The pairs for which Pred(Key, Value) holds.",
        |m, a| {
            rebuilt(m, &a[0], &a[1], |answer, value| match boolean(answer) {
                Some(kept) => Ok(kept.then(|| value.clone())),
                None => Err(error_of("case_clause", answer)),
            })
        },
    ),
    native(
        "maps",
        "filtermap",
        2,
        "maps:filtermap(Fun, Map)",
        "The pairs for which Fun returns true, with the value of {true, Value}.",
        |m, a| {
            rebuilt(m, &a[0], &a[1], |answer, value| {
                match (boolean(answer), answer.as_tuple()) {
                    (Some(kept), _) => Ok(kept.then(|| value.clone())),
                    (None, Some([tag, value])) if tag.is_atom("true") => Ok(Some(value.clone())),
                    _ => Err(error_of("case_clause", answer)),
                }
            })
        },
    ),
    native(
        "maps",
        "fold",
        3,
        "maps:fold(Fun, Acc, Map)",
        "Folds the pairs in the order of their keys: Fun(Key, Value, Acc).",
        |m, a| {
            let map = source(&a[0], 3, &a[2])?;
            let mut acc = a[1].clone();
            for (key, value) in map.entries() {
                acc = m.apply(&a[0], vec![key.0.clone(), value.clone(), acc])?;
            }
            Ok(acc)
        },
    ),
    native(
        "maps",
        "foreach",
        2,
        "maps:foreach(Fun, Map)",
        "Calls Fun(Key, Value) for each pair, for what it does.",
        |m, a| {
            let map = source(&a[0], 2, &a[1])?;
            for (key, value) in map.entries() {
                m.apply(&a[0], vec![key.0.clone(), value.clone()])?;
            }
            Ok(Term::ok())
        },
    ),
    native(
        "maps",
        "groups_from_list",
        2,
        "maps:groups_from_list(Fun, List)",
        "A map of the elements, in lists, by what Fun makes of them.",
        |m, a| groups(m, &a[0], None, &a[1]),
    ),
    native(
        "maps",
        "groups_from_list",
        3,
        "maps:groups_from_list(KeyFun, ValueFun, List)",
        "Like groups_from_list/2, of what ValueFun makes of the elements.",
        |m, a| groups(m, &a[0], Some(&a[1]), &a[2]),
    ),
    native(
        "maps",
        "intersect_with",
        3,
        "maps:intersect_with(Fun, Map1, Map2)",
        "The keys that both have, with Fun(Key, Value1, Value2).",
        |m, a| {
            combiner(&a[0], 3)?;
            let (first, second) = (copied(m, &a[1])?, copied(m, &a[2])?);
            let mut entries = BTreeMap::new();
            for (key, value) in first {
                if let Some(other) = second.get(&key) {
                    let value = m.apply(&a[0], vec![key.0.clone(), value, other.clone()])?;
                    entries.insert(key, value);
                }
            }
            Ok(Term::map(entries))
        },
    ),
    native(
        "maps",
        "map",
        2,
        "maps:map(Fun, Map)",
        "The same keys with Fun(Key, Value).",
        |m, a| rebuilt(m, &a[0], &a[1], |answer, _| Ok(Some(answer.clone()))),
    ),
    native(
        "maps",
        "merge_with",
        3,
        "maps:merge_with(Fun, Map1, Map2)",
        "All keys of both; of those that both have, Fun(Key, Value1, Value2).",
        |m, a| {
            combiner(&a[0], 3)?;
            let (mut merged, second) = (copied(m, &a[1])?, copied(m, &a[2])?);
            for (key, value) in second {
                let value = match merged.get(&key) {
                    Some(first) => m.apply(&a[0], vec![key.0.clone(), first.clone(), value])?,
                    None => value,
                };
                merged.insert(key, value);
            }
            Ok(Term::map(merged))
        },
    ),
    native(
        "maps",
        "update_with",
        3,
        "maps:update_with(Key, Fun, Map)",
        "The map with what Fun makes of the value of the key.",
        |m, a| update_with(m, &a[0], &a[1], None, &a[2]),
    ),
    native(
        "maps",
        "update_with",
        4,
        "maps:update_with(Key, Fun, Init, Map)",
        "Like update_with/3; Init if there is no such key.",
        |m, a| update_with(m, &a[0], &a[1], Some(&a[2]), &a[3]),
    ),
];

fn combiner(fun: &Term, arity: usize) -> Result<(), Raised> {
    match fun_arity(fun) == Some(arity) {
        true => Ok(()),
        false => Err(Raised::badarg()),
    }
}

/// The map to walk, of a fun that suits, or of an iterator that nobody has advanced.
fn source<'a>(fun: &Term, arity: usize, value: &'a Term) -> Result<&'a Map, Raised> {
    combiner(fun, arity)?;
    let map = match value {
        Term::Cons(cons) if matches!(cons.head(), Term::Int(0)) => map(cons.tail()),
        _ => map(value),
    };
    map.map_err(|_| error_of("badmap", value))
}

/// The map with what `value` makes of each answer of the fun.
fn rebuilt(
    machine: &mut dyn Machine,
    fun: &Term,
    map: &Term,
    value: impl Fn(&Term, &Term) -> Result<Option<Term>, Raised>,
) -> Value {
    let map = source(fun, 2, map)?;
    let mut entries = BTreeMap::new();
    for (key, old) in map.entries() {
        machine.charge(2)?;
        let answer = machine.apply(fun, vec![key.0.clone(), old.clone()])?;
        if let Some(new) = value(&answer, old)? {
            entries.insert(key.clone(), new);
        }
    }
    Ok(Term::map(entries))
}

fn groups(machine: &mut dyn Machine, by: &Term, value: Option<&Term>, items: &Term) -> Value {
    combiner(by, 1)?;
    if let Some(value) = value {
        combiner(value, 1)?;
    }
    let mut groups = BTreeMap::<Key, Vec<Term>>::new();
    for item in list_arg(machine, items)? {
        let group = machine.apply(by, vec![item.clone()])?;
        let item = match value {
            Some(value) => machine.apply(value, vec![item])?,
            None => item,
        };
        machine.charge(2)?;
        groups.entry(key(machine, &group)?).or_default().push(item);
    }
    let entries = groups
        .into_iter()
        .map(|(key, items)| (key, Term::list(items)));
    Ok(Term::map(entries.collect()))
}

fn update_with(
    machine: &mut dyn Machine,
    name: &Term,
    fun: &Term,
    init: Option<&Term>,
    map: &Term,
) -> Value {
    let mut entries = copied(machine, map)?;
    combiner(fun, 1)?;
    let key = key(machine, name)?;
    let value = match (entries.get(&key), init) {
        (Some(value), _) => machine.apply(fun, vec![value.clone()])?,
        (None, Some(init)) => init.clone(),
        (None, None) => return Err(error_of("badkey", name)),
    };
    entries.insert(key, value);
    Ok(Term::map(entries))
}
