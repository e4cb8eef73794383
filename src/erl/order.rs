//! The order of values: number < atom < reference < fun < pid < tuple < map < nil < list < bit string.

use std::cmp::Ordering::{self, Equal, Greater, Less};
use std::collections::BTreeSet;
use std::sync::Arc;

use num_bigint::{BigInt, Sign};
use num_traits::FromPrimitive;

use super::term::{Bits, Cons, Fun, Map, Term, Tuple};

/// How many nodes are compared before pairs of shared ones are remembered: most comparisons end long before.
const FREE_NODES: usize = 10_000;

/// Compares as `<` and `==` do: 1 and 1.0 are equal.
pub fn compare(a: &Term, b: &Term) -> Ordering {
    Comparison::new(false).terms(a, b)
}

/// Compares as `=:=` and the keys of maps do: all integers come before all floats.
pub fn exact(a: &Term, b: &Term) -> Ordering {
    Comparison::new(true).terms(a, b)
}

/// Compares like [`compare`], or like [`exact`], and says how many nodes it looked at.
pub fn measured(a: &Term, b: &Term, exactly: bool) -> (Ordering, usize) {
    let mut comparison = Comparison::new(exactly);
    let order = comparison.terms(a, b);
    (order, comparison.nodes)
}

struct Comparison {
    exactly: bool,
    nodes: usize,
    /// Pairs of nodes found equal. A value may hold the same part a thousandfold, nested, and then has more paths than
    /// anyone can walk. The flag is that of the comparison: what is equal loosely need not be so exactly.
    equal: BTreeSet<(bool, usize, usize)>,
}

impl Comparison {
    fn new(exactly: bool) -> Comparison {
        Comparison {
            exactly,
            nodes: 0,
            equal: BTreeSet::new(),
        }
    }

    fn terms(&mut self, a: &Term, b: &Term) -> Ordering {
        self.nodes += 1;
        match (a, b) {
            (Term::Int(a), Term::Int(b)) => a.cmp(b),
            (Term::Big(a), Term::Big(b)) => {
                self.nodes += words(a);
                a.cmp(b)
            }
            (Term::Big(a), Term::Int(_)) => sign_order(a),
            (Term::Int(_), Term::Big(b)) => sign_order(b).reverse(),
            (Term::Float(a), Term::Float(b)) => a.partial_cmp(b).unwrap_or(Equal),
            (Term::Int(_) | Term::Big(_), Term::Float(_)) if self.exactly => Less,
            (Term::Float(_), Term::Int(_) | Term::Big(_)) if self.exactly => Greater,
            (Term::Int(a), Term::Float(b)) => int_float(*a, *b),
            (Term::Float(a), Term::Int(b)) => int_float(*b, *a).reverse(),
            (Term::Big(a), Term::Float(b)) => big_float(a, *b),
            (Term::Float(a), Term::Big(b)) => big_float(b, *a).reverse(),
            (Term::Atom(a), Term::Atom(b)) => a.cmp(b),
            (Term::Ref(a), Term::Ref(b)) | (Term::Pid(a), Term::Pid(b)) => a.cmp(b),
            (Term::Fun(a), Term::Fun(b)) => funs(a, b),
            (Term::Tuple(a), Term::Tuple(b)) => self.tuples(a, b),
            (Term::Map(a), Term::Map(b)) => self.maps(a, b),
            (Term::Cons(a), Term::Cons(b)) => self.lists(a, b),
            (Term::Bits(a), Term::Bits(b)) => {
                self.nodes += a.bytes.len().min(b.bytes.len()) / 64;
                bits(a, b)
            }
            _ => rank(a).cmp(&rank(b)),
        }
    }

    fn tuples(&mut self, a: &Arc<Tuple>, b: &Arc<Tuple>) -> Ordering {
        let (left, right) = (a.items(), b.items());
        left.len().cmp(&right.len()).then_with(|| {
            self.shared(address(a), address(b), |this| {
                this.all(left.iter().zip(right.iter()))
            })
        })
    }

    /// Sizes decide first, then the keys, and only then the values.
    fn maps(&mut self, a: &Arc<Map>, b: &Arc<Map>) -> Ordering {
        let (left, right) = (a.entries(), b.entries());
        left.len().cmp(&right.len()).then_with(|| {
            self.shared(address(a), address(b), |this| {
                let loosely = std::mem::replace(&mut this.exactly, true);
                let keys = left.keys().zip(right.keys()).map(|(a, b)| (&a.0, &b.0));
                let order = this.all(keys);
                this.exactly = loosely;
                order.then_with(|| this.all(left.values().zip(right.values())))
            })
        })
    }

    fn lists(&mut self, a: &Arc<Cons>, b: &Arc<Cons>) -> Ordering {
        let (mut a, mut b) = (a, b);
        let mut walked = Vec::new();
        loop {
            let pair = (address(a), address(b));
            if self.known(pair) {
                break;
            }
            self.nodes += 1;
            if self.nodes > FREE_NODES {
                walked.push(pair);
            }
            let order = self.terms(a.head(), b.head());
            if order.is_ne() {
                return order;
            }
            match (a.tail(), b.tail()) {
                (Term::Cons(next_a), Term::Cons(next_b)) => (a, b) = (next_a, next_b),
                (end_a, end_b) => {
                    let order = self.terms(end_a, end_b);
                    if order.is_ne() {
                        return order;
                    }
                    break;
                }
            }
        }
        self.remember(walked);
        Equal
    }

    fn all<'a>(&mut self, pairs: impl Iterator<Item = (&'a Term, &'a Term)>) -> Ordering {
        for (a, b) in pairs {
            let order = self.terms(a, b);
            if order.is_ne() {
                return order;
            }
        }
        Equal
    }

    /// Compares two shared nodes, unless they are one, or are known to be equal.
    fn shared(
        &mut self,
        a: usize,
        b: usize,
        compare: impl FnOnce(&mut Self) -> Ordering,
    ) -> Ordering {
        if self.known((a, b)) {
            return Equal;
        }
        let order = compare(self);
        if order.is_eq() && self.nodes > FREE_NODES {
            self.remember([(a, b)]);
        }
        order
    }

    fn known(&self, (a, b): (usize, usize)) -> bool {
        a == b || (self.nodes > FREE_NODES && self.equal.contains(&(self.exactly, a, b)))
    }

    fn remember(&mut self, pairs: impl IntoIterator<Item = (usize, usize)>) {
        let exactly = self.exactly;
        let pairs = pairs.into_iter().map(|(a, b)| (exactly, a, b));
        self.equal.extend(pairs);
    }
}

fn address<T>(node: &Arc<T>) -> usize {
    Arc::as_ptr(node) as usize
}

fn words(value: &BigInt) -> usize {
    (value.bits() / 64) as usize
}

/// How one that fits no `i64` compares with those that do.
fn sign_order(value: &BigInt) -> Ordering {
    match value.sign() {
        Sign::Minus => Less,
        _ => Greater,
    }
}

/// Compares precisely: a float of this size may lie between two integers, or stand for one of 300 digits.
fn int_float(a: i64, b: f64) -> Ordering {
    // Both bounds are floats exactly.
    if b >= 9_223_372_036_854_775_808.0 {
        return Less;
    }
    if b < -9_223_372_036_854_775_808.0 {
        return Greater;
    }
    let whole = b.trunc();
    let fraction = b - whole;
    a.cmp(&(whole as i64))
        .then_with(|| 0.0_f64.partial_cmp(&fraction).unwrap_or(Equal))
}

fn big_float(a: &BigInt, b: f64) -> Ordering {
    match BigInt::from_f64(b) {
        // What fits no `i64` is never between an integer and the next.
        Some(b) => a.cmp(&b),
        None => sign_order(a),
    }
}

fn funs(a: &Fun, b: &Fun) -> Ordering {
    match (a, b) {
        (Fun::Local(a), Fun::Local(b)) => a.id.cmp(&b.id),
        (Fun::Local(_), Fun::Remote { .. }) => Less,
        (Fun::Remote { .. }, Fun::Local(_)) => Greater,
        (
            Fun::Remote {
                module,
                name,
                arity,
            },
            Fun::Remote {
                module: other_module,
                name: other_name,
                arity: other_arity,
            },
        ) => (module, name, arity).cmp(&(other_module, other_name, other_arity)),
    }
}

fn bits(a: &Bits, b: &Bits) -> Ordering {
    let common = a.bits.min(b.bits);
    let (whole, rest) = (common / 8, common % 8);
    let order = a.bytes[..whole].cmp(&b.bytes[..whole]);
    if order.is_ne() || rest == 0 {
        return order.then(a.bits.cmp(&b.bits));
    }
    let mask = !(0xFF_u8 >> rest);
    (a.bytes[whole] & mask)
        .cmp(&(b.bytes[whole] & mask))
        .then(a.bits.cmp(&b.bits))
}

fn rank(term: &Term) -> u8 {
    match term {
        Term::Int(_) | Term::Big(_) | Term::Float(_) => 0,
        Term::Atom(_) => 1,
        Term::Ref(_) => 2,
        Term::Fun(_) => 3,
        Term::Pid(_) => 4,
        Term::Tuple(_) => 5,
        Term::Map(_) => 6,
        Term::Nil => 7,
        Term::Cons(_) => 8,
        Term::Bits(_) => 9,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
pub(crate) mod tests;
