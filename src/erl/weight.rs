//! What a value weighs: paid before it is walked, because parts that are shared are walked once for each path to them.

use super::function::{Machine, Raised};
use super::number;
use super::term::Term;

/// What a map takes beside its entries, in elements: room for the next ones.
pub const MAP: usize = 8;

/// How many nodes are walked before they are paid for.
const STRIDE: usize = 1024;

/// Pays for writing a value out, every part as often as it is in there.
pub fn pay_text(value: &Term, machine: &mut dyn Machine) -> Result<(), Raised> {
    Walk::new(machine, true).pay(value)
}

/// Pays for comparing a value with others, such as the keys of a map.
pub fn pay_key(key: &Term, machine: &mut dyn Machine) -> Result<(), Raised> {
    match key {
        Term::Tuple(_) | Term::Cons(_) | Term::Map(_) | Term::Bits(_) | Term::Big(_) => {
            Walk::new(machine, false).pay(key)
        }
        _ => Ok(()),
    }
}

struct Walk<'a> {
    machine: &'a mut dyn Machine,
    text: bool,
    owed: usize,
}

impl<'a> Walk<'a> {
    fn new(machine: &'a mut dyn Machine, text: bool) -> Walk<'a> {
        Walk {
            machine,
            text,
            owed: 0,
        }
    }

    fn pay(mut self, value: &Term) -> Result<(), Raised> {
        self.walk(value)?;
        self.machine.charge(self.owed)
    }

    fn walk(&mut self, value: &Term) -> Result<(), Raised> {
        let mut value = value;
        while let Term::Cons(cons) = value {
            self.owe(1)?;
            self.walk(cons.head())?;
            value = cons.tail();
        }
        match value {
            Term::Tuple(tuple) => {
                for item in tuple.items() {
                    self.walk(item)?;
                }
            }
            Term::Map(map) => {
                for (key, value) in map.entries() {
                    self.walk(&key.0)?;
                    self.walk(value)?;
                }
            }
            Term::Bits(bits) => self.owe(bits.bytes.len() / if self.text { 4 } else { 64 })?,
            Term::Big(big) if self.text => self.owe(number::text_cost(big))?,
            Term::Big(big) => self.owe((big.bits() / 64) as usize)?,
            _ => {}
        }
        self.owe(1)
    }

    fn owe(&mut self, elements: usize) -> Result<(), Raised> {
        self.owed = self.owed.saturating_add(elements);
        if self.owed < STRIDE {
            return Ok(());
        }
        self.machine.charge(std::mem::take(&mut self.owed))
    }
}
