//! The operators of lists.

use crate::erl::function::{Machine, Raised};
use crate::erl::term::{Key, Term};
use crate::erl::weight;

/// `++`: the second may be anything, the first is copied.
pub(super) fn append(a: &Term, b: &Term, machine: &mut dyn Machine) -> Result<Term, Raised> {
    let Some(length) = length(a) else {
        return Err(Raised::badarg());
    };
    machine.charge(length)?;
    let items = a.as_list().unwrap_or_default();
    Ok(items
        .into_iter()
        .rev()
        .fold(b.clone(), |tail, head| Term::cons(head, tail)))
}

/// `--`: takes the first occurrence of each element of the second list away.
pub(super) fn without(a: &Term, b: &Term, machine: &mut dyn Machine) -> Result<Term, Raised> {
    let (Some(kept), Some(gone)) = (length(a), length(b)) else {
        return Err(Raised::badarg());
    };
    machine.charge(kept.saturating_add(gone).saturating_mul(2))?;
    let (kept, gone) = (
        a.as_list().unwrap_or_default(),
        b.as_list().unwrap_or_default(),
    );
    let mut counts = std::collections::BTreeMap::new();
    for item in gone {
        weight::pay_key(&item, machine)?;
        *counts.entry(Key(item)).or_insert(0_usize) += 1;
    }
    let mut left = Vec::with_capacity(kept.len());
    for item in kept {
        weight::pay_key(&item, machine)?;
        let key = Key(item);
        match counts.get_mut(&key) {
            Some(count) if *count > 0 => *count -= 1,
            _ => left.push(key.0),
        }
    }
    Ok(Term::list(left))
}

/// How many elements a proper list has.
pub(in crate::erl) fn length(list: &Term) -> Option<usize> {
    let (mut rest, mut length) = (list, 0);
    while let Term::Cons(cons) = rest {
        length += 1;
        rest = cons.tail();
    }
    matches!(rest, Term::Nil).then_some(length)
}
