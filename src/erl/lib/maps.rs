//! `maps`: what takes no fun.

use std::collections::BTreeMap;

use crate::erl::function::{Machine, Native, Raised};
use crate::erl::term::{Key, Term};

use super::args::{Value, clause, count, error_of, int, items, key, list_arg, map};
use super::native;

/// What takes no funs.
pub(super) static TABLE: &[Native] = &[
    native(
        "maps",
        "find",
        2,
        "maps:find(Key, Map)",
        "{ok, Value} of a key, or error.",
        |m, a| {
            let entries = map(&a[1])?.entries();
            Ok(match entries.get(&key(m, &a[0])?) {
                Some(value) => Term::tuple([Term::ok(), value.clone()]),
                None => Term::atom("error"),
            })
        },
    ),
    native(
        "maps",
        "from_keys",
        2,
        "maps:from_keys(Keys, Value)",
        "A map of these keys, each with Value.",
        |m, a| {
            let mut entries = BTreeMap::new();
            for item in list_arg(m, &a[0])? {
                m.charge(2)?;
                entries.insert(key(m, &item)?, a[1].clone());
            }
            Ok(Term::map(entries))
        },
    ),
    native(
        "maps",
        "from_list",
        1,
        "maps:from_list([{Key, Value}])",
        "A map of pairs; the last of equal keys stays.",
        |m, a| {
            let mut entries = BTreeMap::new();
            for item in list_arg(m, &a[0])? {
                let Some([name, value]) = item.as_tuple() else {
                    return Err(Raised::badarg());
                };
                m.charge(2)?;
                entries.insert(key(m, name)?, value.clone());
            }
            Ok(Term::map(entries))
        },
    ),
    native(
        "maps",
        "get",
        2,
        "maps:get(Key, Map)",
        "The value of a key; an error if there is none.",
        |m, a| {
            let entries = map(&a[1])?.entries();
            let value = entries.get(&key(m, &a[0])?);
            value.cloned().ok_or_else(|| error_of("badkey", &a[0]))
        },
    ),
    native(
        "maps",
        "get",
        3,
        "maps:get(Key, Map, Default)",
        "The value of a key, or Default.",
        |m, a| {
            let entries = map(&a[1])?.entries();
            let value = entries.get(&key(m, &a[0])?);
            Ok(value.unwrap_or(&a[2]).clone())
        },
    ),
    native(
        "maps",
        "intersect",
        2,
        "maps:intersect(Map1, Map2)",
        "The keys that both have, with the values of Map2.",
        |m, a| {
            let (first, second) = (copied(m, &a[0])?, copied(m, &a[1])?);
            let both = second
                .into_iter()
                .filter(|(key, _)| first.contains_key(key));
            Ok(Term::map(both.collect()))
        },
    ),
    native(
        "maps",
        "is_key",
        2,
        "maps:is_key(Key, Map)",
        "Whether the map has the key.",
        |m, a| {
            let entries = map(&a[1])?.entries();
            Ok(Term::bool(entries.contains_key(&key(m, &a[0])?)))
        },
    ),
    native(
        "maps",
        "iterator",
        1,
        "maps:iterator(Map)",
        "What next/1 walks the pairs with.",
        |_, a| {
            map(&a[0])?;
            Ok(Term::cons(Term::Int(0), a[0].clone()))
        },
    ),
    native(
        "maps",
        "keys",
        1,
        "maps:keys(Map)",
        "The keys, in order.",
        |m, a| {
            let entries = map(&a[0])?.entries();
            m.charge(entries.len())?;
            Ok(Term::list(entries.keys().map(|key| key.0.clone())))
        },
    ),
    native(
        "maps",
        "merge",
        2,
        "maps:merge(Map1, Map2)",
        "All keys of both; of those that both have, the values of Map2.",
        |m, a| {
            let (mut merged, second) = (copied(m, &a[0])?, copied(m, &a[1])?);
            merged.extend(second);
            Ok(Term::map(merged))
        },
    ),
    native("maps", "new", 0, "maps:new()", "The empty map.", |_, _| {
        Ok(Term::map(BTreeMap::new()))
    }),
    native(
        "maps",
        "next",
        1,
        "maps:next(Iterator)",
        "{Key, Value, Iterator} or none.",
        next,
    ),
    native(
        "maps",
        "put",
        3,
        "maps:put(Key, Value, Map)",
        "The map with the key set to Value.",
        |m, a| {
            let mut entries = copied(m, &a[2])?;
            entries.insert(key(m, &a[0])?, a[1].clone());
            Ok(Term::map(entries))
        },
    ),
    native(
        "maps",
        "remove",
        2,
        "maps:remove(Key, Map)",
        "The map without the key.",
        |m, a| {
            let mut entries = copied(m, &a[1])?;
            entries.remove(&key(m, &a[0])?);
            Ok(Term::map(entries))
        },
    ),
    native(
        "maps",
        "size",
        1,
        "maps:size(Map)",
        "How many keys the map has.",
        |_, a| Ok(int(map(&a[0])?.entries().len())),
    ),
    native(
        "maps",
        "take",
        2,
        "maps:take(Key, Map)",
        "{Value, Map without the key}, or error.",
        |m, a| {
            let mut entries = copied(m, &a[1])?;
            Ok(match entries.remove(&key(m, &a[0])?) {
                Some(value) => Term::tuple([value, Term::map(entries)]),
                None => Term::atom("error"),
            })
        },
    ),
    native(
        "maps",
        "to_list",
        1,
        "maps:to_list(Map)",
        "The pairs as a list, in the order of their keys.",
        |m, a| {
            let entries = map(&a[0])?.entries();
            m.charge(entries.len().saturating_mul(4))?;
            let pair = |(key, value): (&Key, &Term)| Term::tuple([key.0.clone(), value.clone()]);
            Ok(Term::list(entries.iter().map(pair)))
        },
    ),
    native(
        "maps",
        "update",
        3,
        "maps:update(Key, Value, Map)",
        "The map with the key, which it must have, set to Value.",
        |m, a| {
            let mut entries = copied(m, &a[2])?;
            match entries.get_mut(&key(m, &a[0])?) {
                Some(value) => *value = a[1].clone(),
                None => return Err(error_of("badkey", &a[0])),
            }
            Ok(Term::map(entries))
        },
    ),
    native(
        "maps",
        "values",
        1,
        "maps:values(Map)",
        "The values, in the order of their keys.",
        |m, a| {
            let entries = map(&a[0])?.entries();
            m.charge(entries.len())?;
            Ok(Term::list(entries.values().cloned()))
        },
    ),
    native(
        "maps",
        "with",
        2,
        "maps:with(Keys, Map)",
        "The map with these keys only.",
        |m, a| {
            let entries = map(&a[1])?.entries();
            let mut kept = BTreeMap::new();
            for item in keys(m, &a[0])? {
                let key = key(m, &item)?;
                if let Some(value) = entries.get(&key) {
                    m.charge(2)?;
                    kept.insert(key, value.clone());
                }
            }
            Ok(Term::map(kept))
        },
    ),
    native(
        "maps",
        "without",
        2,
        "maps:without(Keys, Map)",
        "The map without these keys.",
        |m, a| {
            let mut entries = copied(m, &a[1])?;
            for item in keys(m, &a[0])? {
                entries.remove(&key(m, &item)?);
            }
            Ok(Term::map(entries))
        },
    ),
];

/// The entries of a map to be changed, paid for.
pub(super) fn copied(
    machine: &mut dyn Machine,
    value: &Term,
) -> Result<BTreeMap<Key, Term>, Raised> {
    let entries = map(value)?.entries();
    machine.charge(entries.len().saturating_mul(2) + 1)?;
    Ok(entries.clone())
}

fn keys(machine: &mut dyn Machine, list: &Term) -> Result<Vec<Term>, Raised> {
    match list {
        Term::Nil | Term::Cons(_) => items(machine, list)?.ok_or_else(clause),
        _ => Err(Raised::badarg()),
    }
}

fn next(machine: &mut dyn Machine, args: &[Term]) -> Value {
    let Term::Cons(cons) = &args[0] else {
        return Err(Raised::badarg());
    };
    let (Some(index), Term::Map(map)) = (count(cons.head()), cons.tail()) else {
        return Err(Raised::badarg());
    };
    machine.charge(index.min(map.entries().len()) / 8)?;
    let Some((key, value)) = map.entries().iter().nth(index) else {
        return Ok(Term::atom("none"));
    };
    let rest = Term::cons(int(index + 1), cons.tail().clone());
    Ok(Term::tuple([key.0.clone(), value.clone(), rest]))
}
