//! What values take in memory together: a part that is shared is counted once.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::erl::eval::Code;
use crate::erl::term::{Fun, Term};

/// Counts values up to a bound.
pub(super) struct Footprint {
    seen: BTreeSet<usize>,
    bound: usize,
    left: usize,
}

impl Footprint {
    pub(super) fn new(bound: usize) -> Footprint {
        Footprint {
            seen: BTreeSet::new(),
            bound,
            left: bound,
        }
    }

    /// What was added so far.
    pub(super) fn weight(&self) -> usize {
        self.bound - self.left
    }

    /// Adds a value; false if it does not fit.
    pub(super) fn add(&mut self, value: &Term) -> bool {
        let mut value = value;
        while let Term::Cons(cons) = value {
            if !self.first(Arc::as_ptr(cons).addr()) {
                return true;
            }
            if !self.take(1) || !self.add(cons.head()) {
                return false;
            }
            value = cons.tail();
        }
        match value {
            Term::Tuple(tuple) if self.first(Arc::as_ptr(tuple).addr()) => {
                let items = tuple.items();
                self.take(items.len()) && items.iter().all(|item| self.add(item))
            }
            Term::Map(map) if self.first(Arc::as_ptr(map).addr()) => {
                let entries = map.entries();
                self.take(2 * entries.len())
                    && entries
                        .iter()
                        .all(|(key, value)| self.add(&key.0) && self.add(value))
            }
            Term::Bits(bits) if self.first(Arc::as_ptr(&bits.bytes).addr()) => {
                self.take(bits.bytes.len() / 8 + 1)
            }
            Term::Big(big) if self.first(Arc::as_ptr(big).addr()) => {
                self.take(usize::try_from(big.bits() / 64).unwrap_or(usize::MAX))
            }
            Term::Fun(Fun::Local(closure)) if self.first(Arc::as_ptr(closure).addr()) => {
                let Some(code) = closure.body.downcast_ref::<Code>() else {
                    return self.take(1);
                };
                let own = code.captured.len() + 1;
                let lambda = &code.lambda;
                let shared = if self.first(Arc::as_ptr(lambda).addr()) {
                    // An expression takes more room than a value does.
                    lambda.size.saturating_mul(4)
                } else {
                    0
                };
                self.take(own)
                    && self.take(shared)
                    && code.captured.iter().all(|(_, value)| self.add(value))
            }
            _ => self.take(1),
        }
    }

    fn first(&mut self, address: usize) -> bool {
        self.seen.insert(address)
    }

    fn take(&mut self, amount: usize) -> bool {
        let enough = amount <= self.left;
        self.left = self.left.saturating_sub(amount);
        enough
    }
}
