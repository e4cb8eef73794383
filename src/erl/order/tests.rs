use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::erl::term::{Atom, Bits, Key};
use crate::erl::testing::evaluated;

/// Values of every kind, with numbers that are close to each other.
pub(crate) fn values() -> impl Strategy<Value = Term> {
    let leaf = prop_oneof![
        (-3_i64..4).prop_map(Term::Int),
        any::<i64>().prop_map(Term::Int),
        (-3_i32..4).prop_map(|n| Term::Float(f64::from(n) / 2.0)),
        any::<f64>()
            .prop_filter("finite", |f| f.is_finite())
            .prop_map(Term::Float),
        (any::<i64>(), 0..70_u32).prop_map(|(n, by)| Term::big(BigInt::from(n) << by)),
        (50..70_i32, -1..2_i64).prop_map(|(by, n)| Term::big((BigInt::from(1) << by) + n)),
        (50..70_i32).prop_map(|by| Term::Float(2_f64.powi(by))),
        "[a-c]{0,2}|ok|'|[A-Z] b".prop_map(|name| Term::atom(&name)),
        (0..3_u64).prop_map(Term::Pid),
        (0..3_u64).prop_map(Term::Ref),
        Just(Term::Nil),
        (0..3_usize).prop_map(|arity| {
            let [module, name] = ["lists", "map"].map(Atom::new);
            Term::Fun(Fun::Remote {
                module,
                name,
                arity,
            })
        }),
        (proptest::collection::vec(any::<u8>(), 0..4), 0..8_usize).prop_map(
            |(mut bytes, spare)| {
                let bits = bytes.len() * 8 - spare.min(bytes.len() * 8);
                let spare = bytes.len() * 8 - bits;
                if let Some(last) = bytes.last_mut() {
                    *last = *last >> spare << spare;
                }
                Term::Bits(Bits {
                    bytes: bytes.into(),
                    bits,
                })
            }
        ),
    ];
    leaf.prop_recursive(5, 60, 4, |inner| {
        let many = || proptest::collection::vec(inner.clone(), 0..4);
        prop_oneof![
            many().prop_map(Term::tuple),
            many().prop_map(Term::list),
            (many(), inner.clone()).prop_map(|(items, tail)| {
                items
                    .into_iter()
                    .rev()
                    .fold(tail, |tail, head| Term::cons(head, tail))
            }),
            proptest::collection::vec((inner.clone(), inner.clone()), 0..4).prop_map(|pairs| {
                let entries = pairs.into_iter().map(|(key, value)| (Key(key), value));
                Term::map(entries.collect::<BTreeMap<_, _>>())
            }),
        ]
    })
}

proptest! {
    #[test]
    fn both_orders_are_total(a in values(), b in values(), c in values()) {
        for order in [compare, exact] {
            prop_assert_eq!(order(&a, &a), Equal);
            prop_assert_eq!(order(&a, &b), order(&b, &a).reverse());
            if order(&a, &b).is_le() && order(&b, &c).is_le() {
                prop_assert!(order(&a, &c).is_le());
            }
        }
    }

    #[test]
    fn what_is_exactly_equal_is_equal(a in values(), b in values()) {
        if exact(&a, &b).is_eq() {
            prop_assert_eq!(compare(&a, &b), Equal);
            prop_assert_eq!(
                crate::erl::print::write(&a).replace("-0.0", "0.0"),
                crate::erl::print::write(&b).replace("-0.0", "0.0")
            );
        }
    }
}

#[test]
fn kinds_are_ordered_as_in_erlang() {
    let sorted = [
        "-1",
        "1.0",
        "2",
        "9007199254740992.0",
        "9007199254740993",
        "a",
        "b",
        "fun lists:map/2",
        "{}",
        "{z}",
        "{a,a}",
        "#{}",
        "#{1 => b}",
        "#{1.0 => a}",
        "[]",
        "[a|b]",
        "[a]",
        "[b]",
        "<<>>",
        "<<0:1>>",
        "<<0:2>>",
        "<<1:2>>",
        "<<1:1>>",
    ];
    let values = sorted.map(|text| evaluated(text).unwrap());
    for (index, a) in values.iter().enumerate() {
        for (other, b) in values.iter().enumerate() {
            assert_eq!(
                compare(a, b),
                index.cmp(&other),
                "{} {}",
                sorted[index],
                sorted[other]
            );
        }
    }
}

#[test]
fn equal_parts_that_are_shared_are_compared_once() {
    let nested = |end: Term| (0..300).fold(end, |part, _| Term::list([part.clone(), part]));
    let (a, b) = (nested(Term::Int(1)), nested(Term::Float(1.0)));
    assert_eq!(compare(&a, &b), Equal);
    assert_eq!(exact(&a, &b), Less);
    let (keyed_a, keyed_b) = (nested(Term::Int(1)), nested(Term::Int(1)));
    let map = |key: Term, value: Term| Term::map(BTreeMap::from([(Key(key), value)]));
    assert_eq!(compare(&map(keyed_a, a), &map(keyed_b, b)), Equal);
}

#[test]
fn long_lists_are_walked_without_recursion() {
    let long = || Term::list((0..1_000_000).map(Term::Int).collect::<Vec<_>>());
    assert_eq!(compare(&long(), &long()), Equal);
}
