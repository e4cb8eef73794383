//! Random values of every kind that can be typed.

use std::collections::BTreeMap;

use num_bigint::BigInt;
use proptest::prelude::*;
use yizhan::erl::term::{Atom, Bits, Fun, Key, Term};

/// Values within values, some of them as deep as one would never type them.
pub fn term() -> impl Strategy<Value = Term> {
    let inner = leaf().prop_recursive(12, 96, 6, |inner| {
        let items = prop::collection::vec(inner.clone(), 0..6);
        let pairs = prop::collection::vec((inner.clone(), inner.clone()), 0..5);
        prop_oneof![
            items.clone().prop_map(Term::tuple),
            items.clone().prop_map(Term::list),
            (items, inner.clone()).prop_map(|(items, tail)| improper(items, tail)),
            (atom(), inner).prop_map(|(tag, value)| Term::tuple([tag, value])),
            pairs.prop_map(map),
        ]
    });
    prop_oneof![4 => inner, 1 => (leaf(), 1..80_usize).prop_map(deep)]
}

fn leaf() -> impl Strategy<Value = Term> {
    prop_oneof![
        atom(),
        integer(),
        float(),
        string().prop_map(|text| Term::string(&text)),
        string().prop_map(|text| Term::binary(text.into_bytes())),
        bits(),
        fun(),
        Just(Term::Nil),
    ]
}

fn string() -> impl Strategy<Value = String> {
    prop_oneof![
        "[ -~]{0,40}",
        "[a-z ]{60,200}",
        "(?s).{0,12}",
        "[\\x00-\\xff]{0,8}"
    ]
}

fn atom() -> impl Strategy<Value = Term> {
    let name = prop_oneof![
        "[a-z][a-zA-Z0-9_@]{0,8}",
        "(?s).{0,10}",
        "[\\x00-\\xff'\\\\]{0,6}",
        prop::sample::select(&["when", "end", "maybe", "fun", "", "'", "\\", "ä", "Ä", "€"][..])
            .prop_map(String::from),
    ];
    name.prop_map(|name| Term::atom(&name))
}

fn integer() -> impl Strategy<Value = Term> {
    let big = (any::<bool>(), prop::collection::vec(any::<u8>(), 1..80));
    prop_oneof![
        (-1000..1000_i64).prop_map(Term::Int),
        any::<i64>().prop_map(Term::Int),
        big.prop_map(|(negative, bytes)| {
            let size = BigInt::from_bytes_be(num_bigint::Sign::Plus, &bytes);
            Term::big(if negative { -size } else { size })
        }),
    ]
}

fn float() -> impl Strategy<Value = Term> {
    let any = any::<u64>().prop_map(f64::from_bits);
    let any = any.prop_filter("finite", |value| value.is_finite());
    let plain = (-100_000..100_000_i32, 1..1000_u32);
    prop_oneof![
        any,
        plain.prop_map(|(a, b)| f64::from(a) / f64::from(b)),
        (-320..308_i32).prop_map(|exponent| 10_f64.powi(exponent)),
    ]
    .prop_map(Term::Float)
}

fn bits() -> impl Strategy<Value = Term> {
    (prop::collection::vec(any::<u8>(), 1..30), 0..8_usize).prop_map(|(mut bytes, unused)| {
        let bits = bytes.len() * 8 - unused;
        if let Some(last) = bytes.last_mut() {
            *last = (*last >> unused) << unused;
        }
        let bytes = bytes.into();
        Term::Bits(Bits { bytes, bits })
    })
}

fn fun() -> impl Strategy<Value = Term> {
    ("[a-z]{1,8}", "(?s).{1,5}", 0..255_usize).prop_map(|(module, name, arity)| {
        let (module, name) = (Atom::new(module), Atom::new(name));
        Term::Fun(Fun::Remote {
            module,
            name,
            arity,
        })
    })
}

fn improper(items: Vec<Term>, tail: Term) -> Term {
    items
        .into_iter()
        .rev()
        .fold(tail, |tail, head| Term::cons(head, tail))
}

fn map(pairs: Vec<(Term, Term)>) -> Term {
    let pairs = pairs.into_iter().map(|(key, value)| (Key(key), value));
    Term::map(pairs.collect::<BTreeMap<Key, Term>>())
}

fn deep((leaf, depth): (Term, usize)) -> Term {
    (0..depth).fold(leaf, |inner, level| match level % 3 {
        0 => Term::tuple([Term::atom("level"), inner]),
        1 => Term::list([inner]),
        _ => map(vec![(Term::atom("in"), inner)]),
    })
}
