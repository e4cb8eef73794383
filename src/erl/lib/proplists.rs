//! `proplists`: lists of atoms and tuples that begin with a key.

use std::collections::{BTreeMap, BTreeSet};

use crate::erl::function::{Machine, Native, Raised};
use crate::erl::number::{self, Op};
use crate::erl::term::Term;

use super::args::{Value, Walk, clause_in, error_of, key, list, map, same};
use super::native;

/// Most of `proplists`.
pub(super) static TABLE: &[Native] = &[
    native(
        "proplists",
        "append_values",
        2,
        "proplists:append_values(Key, List)",
        "The values of all entries of Key, joined to one list.",
        |m, a| {
            let mut joined = Term::Nil;
            for value in values(m, &a[0], &a[1])?.into_iter().rev() {
                joined = match value {
                    Term::Nil | Term::Cons(_) => number::binary(Op::Append, &value, &joined, m)?,
                    _ => Term::cons(value, joined),
                };
            }
            Ok(joined)
        },
    ),
    native(
        "proplists",
        "compact",
        1,
        "proplists:compact(List)",
        "The list with Key in place of {Key, true}.",
        |m, a| {
            let entries = list(m, &a[0]).map_err(|_| error_of("bad_generator", &a[0]))?;
            let short = entries.into_iter().map(|entry| property(&entry));
            Ok(Term::list(short.collect::<Vec<_>>()))
        },
    ),
    native(
        "proplists",
        "delete",
        2,
        "proplists:delete(Key, List)",
        "The list without all entries of Key.",
        |m, a| {
            let mut kept = Vec::new();
            for entry in list(m, &a[1])? {
                if !is_of(m, &entry, &a[0])? {
                    kept.push(entry);
                }
            }
            Ok(Term::list(kept))
        },
    ),
    native(
        "proplists",
        "from_map",
        1,
        "proplists:from_map(Map)",
        "The pairs of a map.",
        |m, a| {
            let entries = map(&a[0])?.entries();
            m.charge(entries.len().saturating_mul(4))?;
            let pairs = entries
                .iter()
                .map(|(key, value)| Term::tuple([key.0.clone(), value.clone()]));
            Ok(Term::list(pairs))
        },
    ),
    native(
        "proplists",
        "get_all_values",
        2,
        "proplists:get_all_values(Key, List)",
        "The values of all entries of Key.",
        |m, a| Ok(Term::list(values(m, &a[0], &a[1])?)),
    ),
    native(
        "proplists",
        "get_bool",
        2,
        "proplists:get_bool(Key, List)",
        "Whether the first entry of Key is true.",
        |m, a| {
            let entry = first(m, "get_bool", &a[0], &a[1], &[])?;
            let value = entry.and_then(|entry| value_of(&entry));
            Ok(Term::bool(value.is_some_and(|value| value.is_atom("true"))))
        },
    ),
    native(
        "proplists",
        "get_keys",
        1,
        "proplists:get_keys(List)",
        "The keys, each once, in order.",
        |m, a| {
            let mut keys = BTreeSet::new();
            for entry in list(m, &a[0])? {
                if let Some(name) = key_of(&entry) {
                    keys.insert(key(m, name)?);
                }
            }
            Ok(Term::list(
                keys.into_iter().map(|key| key.0).collect::<Vec<_>>(),
            ))
        },
    ),
    native(
        "proplists",
        "get_value",
        2,
        "proplists:get_value(Key, List)",
        "The value of the first entry of Key, or undefined.",
        |m, a| value(m, &a[0], &a[1], &Term::atom("undefined")),
    ),
    native(
        "proplists",
        "get_value",
        3,
        "proplists:get_value(Key, List, Default)",
        "The value of the first entry of Key, or Default.",
        |m, a| value(m, &a[0], &a[1], &a[2]),
    ),
    native(
        "proplists",
        "is_defined",
        2,
        "proplists:is_defined(Key, List)",
        "Whether there is an entry of Key.",
        |m, a| {
            Ok(Term::bool(
                first(m, "is_defined", &a[0], &a[1], &[])?.is_some(),
            ))
        },
    ),
    native(
        "proplists",
        "lookup",
        2,
        "proplists:lookup(Key, List)",
        "The first entry of Key as a tuple, or none.",
        |m, a| {
            let entry = first(m, "lookup", &a[0], &a[1], &[])?;
            Ok(entry.map_or_else(|| Term::atom("none"), unfolded))
        },
    ),
    native(
        "proplists",
        "lookup_all",
        2,
        "proplists:lookup_all(Key, List)",
        "All entries of Key, as tuples.",
        |m, a| {
            let mut found = Vec::new();
            for entry in list(m, &a[1])? {
                if is_of(m, &entry, &a[0])? {
                    found.push(unfolded(entry));
                }
            }
            Ok(Term::list(found))
        },
    ),
    native(
        "proplists",
        "property",
        1,
        "proplists:property(Entry)",
        "Key for {Key, true}, else the entry.",
        |_, a| Ok(property(&a[0])),
    ),
    native(
        "proplists",
        "property",
        2,
        "proplists:property(Key, Value)",
        "Key if Value is true, else {Key, Value}.",
        |_, a| Ok(property(&Term::tuple([a[0].clone(), a[1].clone()]))),
    ),
    native(
        "proplists",
        "split",
        2,
        "proplists:split(List, Keys)",
        "The entries of each key, and the rest: {Lists, Rest}.",
        split,
    ),
    native(
        "proplists",
        "to_map",
        1,
        "proplists:to_map(List)",
        "A map of the first entries of all keys.",
        |m, a| {
            let mut entries = BTreeMap::new();
            for entry in list(m, &a[0])? {
                if let (Some(name), Some(value)) = (key_of(&entry), value_of(&entry)) {
                    m.charge(2)?;
                    entries.entry(key(m, name)?).or_insert(value);
                }
            }
            Ok(Term::map(entries))
        },
    ),
    native(
        "proplists",
        "unfold",
        1,
        "proplists:unfold(List)",
        "The list with {Key, true} in place of Key.",
        |m, a| {
            let entries = list(m, &a[0])?;
            m.charge(entries.len().saturating_mul(3))?;
            Ok(Term::list(
                entries.into_iter().map(unfolded).collect::<Vec<_>>(),
            ))
        },
    ),
];

/// The key of an entry: an atom, or the first element of a tuple.
fn key_of(entry: &Term) -> Option<&Term> {
    match entry {
        Term::Atom(_) => Some(entry),
        Term::Tuple(tuple) => tuple.items().first(),
        _ => None,
    }
}

/// The value of an atom is true; a tuple that is no pair has none.
fn value_of(entry: &Term) -> Option<Term> {
    match (entry, entry.as_tuple()) {
        (Term::Atom(_), _) => Some(Term::bool(true)),
        (_, Some([_, value])) => Some(value.clone()),
        _ => None,
    }
}

fn is_of(machine: &mut dyn Machine, entry: &Term, key: &Term) -> Result<bool, Raised> {
    match key_of(entry) {
        Some(found) => same(machine, found, key),
        None => Ok(false),
    }
}

/// The value of the first entry of a key.
pub(super) fn value(machine: &mut dyn Machine, key: &Term, list: &Term, default: &Term) -> Value {
    let more = std::slice::from_ref(default);
    let entry = first(machine, "get_value", key, list, more)?;
    let value = entry.and_then(|entry| value_of(&entry));
    Ok(value.unwrap_or_else(|| default.clone()))
}

/// The first entry of a key, for a function that has more arguments behind the list.
fn first(
    machine: &mut dyn Machine,
    name: &str,
    key: &Term,
    list: &Term,
    more: &[Term],
) -> Result<Option<Term>, Raised> {
    let mut walk = Walk::of(list);
    for entry in &mut walk {
        machine.charge(1)?;
        if is_of(machine, entry, key)? {
            return Ok(Some(entry.clone()));
        }
    }
    match walk.rest() {
        Term::Nil => Ok(None),
        rest => {
            let args = [key, rest].into_iter().chain(more);
            Err(clause_in("proplists", name, args.cloned().collect()))
        }
    }
}

fn values(machine: &mut dyn Machine, key: &Term, entries: &Term) -> Result<Vec<Term>, Raised> {
    let mut values = Vec::new();
    for entry in list(machine, entries)? {
        if is_of(machine, &entry, key)? {
            values.extend(value_of(&entry));
        }
    }
    Ok(values)
}

fn property(entry: &Term) -> Term {
    match entry.as_tuple() {
        Some([key @ Term::Atom(_), value]) if value.is_atom("true") => key.clone(),
        _ => entry.clone(),
    }
}

fn unfolded(entry: Term) -> Term {
    match entry {
        Term::Atom(_) => Term::tuple([entry, Term::bool(true)]),
        _ => entry,
    }
}

fn split(machine: &mut dyn Machine, args: &[Term]) -> Value {
    let entries = list(machine, &args[0])?;
    let mut order = Vec::new();
    let mut groups = BTreeMap::new();
    for name in list(machine, &args[1])? {
        let key = key(machine, &name)?;
        order.push(key.clone());
        groups.insert(key, Vec::new());
    }
    let mut rest = Vec::new();
    for entry in entries {
        let group = match key_of(&entry) {
            Some(name) => {
                let key = key(machine, name)?;
                groups.get_mut(&key)
            }
            None => None,
        };
        group.unwrap_or(&mut rest).push(entry);
    }
    let lists = order
        .iter()
        .map(|key| Term::list(groups.remove(key).unwrap_or_default()));
    let lists = lists.collect::<Vec<_>>();
    Ok(Term::tuple([Term::list(lists), Term::list(rest)]))
}
