//! Arithmetic, bits and comparisons: what the operators do to values.

pub mod float;
mod list;

use num_bigint::{BigInt, Sign};
use num_integer::Integer;
use num_traits::{Signed, Zero};

pub(super) use list::length;

use super::function::{Machine, Raised};
use super::order;
use super::term::Term;
use list::{append, without};

/// The largest integer has this many bits, as in Erlang.
pub const BITS_MAX: u64 = (1 << 25) - 64;

/// How much more a word counts than the one below it.
const WORD: f64 = 18_446_744_073_709_551_616.0;

/// An operator with two operands, other than those that decide whether the second is evaluated, and `!`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    /// `+`
    Add,
    /// `-`
    Subtract,
    /// `*`
    Multiply,
    /// `/`
    Divide,
    /// `div`
    Div,
    /// `rem`
    Rem,
    /// `band`
    Band,
    /// `bor`
    Bor,
    /// `bxor`
    Bxor,
    /// `bsl`
    Bsl,
    /// `bsr`
    Bsr,
    /// `==`
    Equal,
    /// `/=`
    NotEqual,
    /// `=<`
    AtMost,
    /// `<`
    Less,
    /// `>=`
    AtLeast,
    /// `>`
    Greater,
    /// `=:=`
    Exactly,
    /// `=/=`
    NotExactly,
    /// `++`
    Append,
    /// `--`
    Without,
    /// `and`
    And,
    /// `or`
    Or,
    /// `xor`
    Xor,
}

/// Every operator of [`Op`] with its name.
const OPS: [(&str, Op); 24] = [
    ("+", Op::Add),
    ("-", Op::Subtract),
    ("*", Op::Multiply),
    ("/", Op::Divide),
    ("div", Op::Div),
    ("rem", Op::Rem),
    ("band", Op::Band),
    ("bor", Op::Bor),
    ("bxor", Op::Bxor),
    ("bsl", Op::Bsl),
    ("bsr", Op::Bsr),
    ("==", Op::Equal),
    ("/=", Op::NotEqual),
    ("=<", Op::AtMost),
    ("<", Op::Less),
    (">=", Op::AtLeast),
    (">", Op::Greater),
    ("=:=", Op::Exactly),
    ("=/=", Op::NotExactly),
    ("++", Op::Append),
    ("--", Op::Without),
    ("and", Op::And),
    ("or", Op::Or),
    ("xor", Op::Xor),
];

impl Op {
    /// The operator of this name.
    pub fn parse(name: &str) -> Option<Op> {
        OPS.iter()
            .find(|(known, _)| *known == name)
            .map(|(_, op)| *op)
    }

    /// Its name, as written between its operands.
    pub fn name(self) -> &'static str {
        OPS.iter()
            .find(|(_, op)| *op == self)
            .map_or("", |(name, _)| name)
    }
}

/// Applies an operator. Integers of any size are paid for before they are computed.
pub fn binary(op: Op, a: &Term, b: &Term, machine: &mut dyn Machine) -> Result<Term, Raised> {
    match op {
        Op::Add | Op::Subtract | Op::Multiply => arithmetic(op, a, b, machine),
        Op::Divide => divide(a, b),
        Op::Div | Op::Rem => integer_division(op, a, b, machine),
        Op::Band | Op::Bor | Op::Bxor => bitwise(op, a, b, machine),
        Op::Bsl => shift(a, b, false, machine),
        Op::Bsr => shift(a, b, true, machine),
        Op::Equal | Op::NotEqual | Op::AtMost | Op::Less | Op::AtLeast | Op::Greater => {
            let order = ordered(a, b, false, machine)?;
            Ok(Term::bool(match op {
                Op::Equal => order.is_eq(),
                Op::NotEqual => order.is_ne(),
                Op::AtMost => order.is_le(),
                Op::Less => order.is_lt(),
                Op::AtLeast => order.is_ge(),
                _ => order.is_gt(),
            }))
        }
        Op::Exactly => Ok(Term::bool(ordered(a, b, true, machine)?.is_eq())),
        Op::NotExactly => Ok(Term::bool(ordered(a, b, true, machine)?.is_ne())),
        Op::Append => append(a, b, machine),
        Op::Without => without(a, b, machine),
        Op::And | Op::Or | Op::Xor => {
            let (a, b) = (truth(a)?, truth(b)?);
            Ok(Term::bool(match op {
                Op::And => a && b,
                Op::Or => a || b,
                _ => a != b,
            }))
        }
    }
}

/// `+`, `-`, `bnot` and `not` before one operand; anything else is `badarg`.
pub fn unary(op: &str, a: &Term, machine: &mut dyn Machine) -> Result<Term, Raised> {
    match op {
        "+" if is_number(a) => Ok(a.clone()),
        "-" => negate(a, machine),
        "bnot" => match a {
            Term::Int(a) => Ok(Term::Int(!a)),
            Term::Big(a) => {
                machine.charge(words(a))?;
                Ok(Term::big(!a.as_ref()))
            }
            _ => Err(badarith()),
        },
        "+" => Err(badarith()),
        "not" => Ok(Term::bool(!truth(a)?)),
        _ => Err(Raised::badarg()),
    }
}

/// `abs/1`.
pub fn abs(a: &Term, machine: &mut dyn Machine) -> Result<Term, Raised> {
    match a {
        Term::Int(a) => Ok(a
            .checked_abs()
            .map_or_else(|| Term::big(BigInt::from(*a).abs()), Term::Int)),
        Term::Float(a) => Ok(Term::Float(a.abs())),
        Term::Big(big) if big.sign() == Sign::Minus => negate(a, machine),
        Term::Big(_) => Ok(a.clone()),
        _ => Err(Raised::badarg()),
    }
}

/// Compares two values and pays for it by their size: as `==` and `<` do, or exactly.
pub fn ordered(
    a: &Term,
    b: &Term,
    exactly: bool,
    machine: &mut dyn Machine,
) -> Result<std::cmp::Ordering, Raised> {
    let (order, nodes) = order::measured(a, b, exactly);
    if nodes > 16 {
        machine.charge(nodes)?;
    }
    Ok(order)
}

/// Parses digits of a base from 2 to 36 with an optional sign, and pays for them first.
pub fn parse_integer(
    text: &[u8],
    base: u32,
    machine: &mut dyn Machine,
) -> Result<Option<Term>, Raised> {
    let digits = match text {
        [b'+' | b'-', digits @ ..] => digits,
        digits => digits,
    };
    let valid = |byte: &u8| char::from(*byte).is_digit(base);
    if digits.is_empty() || !(2..=36).contains(&base) || !digits.iter().all(valid) {
        return Ok(None);
    }
    if let Ok(small) = i64::from_str_radix(std::str::from_utf8(text).unwrap_or_default(), base) {
        return Ok(Some(Term::Int(small)));
    }
    if digits.len() as u64 > BITS_MAX {
        return Err(system_limit());
    }
    machine.charge(quadratic(digits.len() / 16 + 1))?;
    Ok(BigInt::parse_bytes(text, base).map(Term::big))
}

/// The digits of an integer, in upper case; `None` for what is none. Paid for first.
pub fn integer_text(
    value: &Term,
    base: u32,
    machine: &mut dyn Machine,
) -> Result<Option<String>, Raised> {
    Ok(match value {
        Term::Int(small) if base == 10 => Some(small.to_string()),
        Term::Int(small) => Some(BigInt::from(*small).to_str_radix(base).to_uppercase()),
        Term::Big(big) => {
            machine.charge(text_cost(big))?;
            Some(big.to_str_radix(base).to_uppercase())
        }
        _ => None,
    })
}

/// What it costs to write an integer: the number of its digits is squared on the way.
pub fn text_cost(value: &BigInt) -> usize {
    quadratic(words(value) + 1)
}

/// The integer, as a big one.
pub fn to_big(value: &Term) -> Option<BigInt> {
    match value {
        Term::Int(small) => Some(BigInt::from(*small)),
        Term::Big(big) => Some(big.as_ref().clone()),
        _ => None,
    }
}

/// The number as a float, if it is one and not too large.
pub fn to_float(value: &Term) -> Option<f64> {
    match value {
        Term::Int(small) => Some(*small as f64),
        Term::Big(big) => {
            // Word by word, as Erlang does: that may round other than once at the end.
            let words = big.magnitude().iter_u64_digits().rev();
            let float = words.fold(0.0, |float, word| float * WORD + word as f64);
            let float = if big.sign() == Sign::Minus {
                -float
            } else {
                float
            };
            Some(float).filter(|float: &f64| float.is_finite())
        }
        Term::Float(float) => Some(*float),
        _ => None,
    }
}

/// A float, or `badarith` if it is none that a value may be.
pub fn finite(value: f64) -> Result<Term, Raised> {
    match value.is_finite() {
        true => Ok(Term::Float(value)),
        false => Err(badarith()),
    }
}

/// Whether it is an integer or a float.
pub fn is_number(value: &Term) -> bool {
    matches!(value, Term::Int(_) | Term::Big(_) | Term::Float(_))
}

/// `error:badarith`.
pub fn badarith() -> Raised {
    Raised::error(Term::atom("badarith"))
}

/// `error:system_limit`.
pub fn system_limit() -> Raised {
    Raised::error(Term::atom("system_limit"))
}

fn arithmetic(op: Op, a: &Term, b: &Term, machine: &mut dyn Machine) -> Result<Term, Raised> {
    if let (Term::Int(a), Term::Int(b)) = (a, b) {
        let small = match op {
            Op::Add => a.checked_add(*b),
            Op::Subtract => a.checked_sub(*b),
            _ => a.checked_mul(*b),
        };
        if let Some(small) = small {
            return Ok(Term::Int(small));
        }
    }
    if matches!(a, Term::Float(_)) || matches!(b, Term::Float(_)) {
        let (a, b) = floats(a, b)?;
        return finite(match op {
            Op::Add => a + b,
            Op::Subtract => a - b,
            _ => a * b,
        });
    }
    let (bits_a, bits_b) = (bits(a)?, bits(b)?);
    let cost = match op {
        Op::Multiply => product_cost(bits_a, bits_b)?,
        _ => (bits_a.max(bits_b) / 64) as usize + 1,
    };
    machine.charge(cost)?;
    let (Some(a), Some(b)) = (to_big(a), to_big(b)) else {
        return Err(badarith());
    };
    bounded(match op {
        Op::Add => a + b,
        Op::Subtract => a - b,
        _ => a * b,
    })
}

fn divide(a: &Term, b: &Term) -> Result<Term, Raised> {
    let (a, b) = floats(a, b)?;
    match b == 0.0 {
        true => Err(badarith()),
        false => finite(a / b),
    }
}

fn integer_division(op: Op, a: &Term, b: &Term, machine: &mut dyn Machine) -> Result<Term, Raised> {
    if let (Term::Int(a), Term::Int(b)) = (a, b) {
        if *b == 0 {
            return Err(badarith());
        }
        let small = match op {
            Op::Div => a.checked_div(*b),
            _ => Some(a.wrapping_rem(*b)),
        };
        if let Some(small) = small {
            return Ok(Term::Int(small));
        }
    }
    let (long, short) = (bits(a)? / 64 + 1, bits(b)? / 64 + 1);
    let steps = long
        .saturating_sub(short)
        .saturating_add(1)
        .saturating_mul(short);
    machine.charge((long + steps / 8) as usize)?;
    let (Some(a), Some(b)) = (to_big(a), to_big(b)) else {
        return Err(badarith());
    };
    if b.is_zero() {
        return Err(badarith());
    }
    let (quotient, rest) = a.div_rem(&b);
    Ok(Term::big(if op == Op::Div { quotient } else { rest }))
}

fn bitwise(op: Op, a: &Term, b: &Term, machine: &mut dyn Machine) -> Result<Term, Raised> {
    if let (Term::Int(a), Term::Int(b)) = (a, b) {
        return Ok(Term::Int(match op {
            Op::Band => a & b,
            Op::Bor => a | b,
            _ => a ^ b,
        }));
    }
    machine.charge((bits(a)?.max(bits(b)?) / 64) as usize + 1)?;
    let (Some(a), Some(b)) = (to_big(a), to_big(b)) else {
        return Err(badarith());
    };
    bounded(match op {
        Op::Band => a & b,
        Op::Bor => a | b,
        _ => a ^ b,
    })
}

fn shift(a: &Term, b: &Term, right: bool, machine: &mut dyn Machine) -> Result<Term, Raised> {
    let width = bits(a)?;
    // As wide a shift as any, if it fits no `i64`: nothing of the value is left, or it is beyond every bound.
    let by = match b {
        Term::Int(by) => *by,
        Term::Big(by) if by.sign() == Sign::Minus => i64::MIN,
        Term::Big(_) => i64::MAX,
        _ => return Err(badarith()),
    };
    let rightwards = right == (by >= 0);
    let by = by.unsigned_abs();
    if width == 0 || by == 0 {
        return Ok(a.clone());
    }
    if rightwards {
        if let Term::Int(a) = a {
            return Ok(Term::Int(a >> by.min(63)));
        }
        machine.charge((width / 64) as usize)?;
        let a = to_big(a).ok_or_else(badarith)?;
        return Ok(Term::big(a >> by.min(BITS_MAX + 64)));
    }
    if width.saturating_add(by) > BITS_MAX {
        return Err(system_limit());
    }
    machine.charge(((width + by) / 64) as usize + 1)?;
    bounded(to_big(a).ok_or_else(badarith)? << by)
}

fn negate(a: &Term, machine: &mut dyn Machine) -> Result<Term, Raised> {
    match a {
        Term::Int(a) => Ok(a
            .checked_neg()
            .map_or_else(|| Term::big(-BigInt::from(*a)), Term::Int)),
        Term::Float(a) => Ok(Term::Float(-a)),
        Term::Big(a) => {
            machine.charge(words(a))?;
            Ok(Term::big(-a.as_ref()))
        }
        _ => Err(badarith()),
    }
}

fn truth(value: &Term) -> Result<bool, Raised> {
    match value.as_atom() {
        Some("true") => Ok(true),
        Some("false") => Ok(false),
        _ => Err(Raised::badarg()),
    }
}

fn floats(a: &Term, b: &Term) -> Result<(f64, f64), Raised> {
    match (to_float(a), to_float(b)) {
        (Some(a), Some(b)) => Ok((a, b)),
        _ => Err(badarith()),
    }
}

/// How many bits an integer has.
fn bits(value: &Term) -> Result<u64, Raised> {
    match value {
        Term::Int(small) => Ok(u64::from(64 - small.unsigned_abs().leading_zeros())),
        Term::Big(big) => Ok(big.bits()),
        _ => Err(badarith()),
    }
}

fn words(value: &BigInt) -> usize {
    (value.bits() / 64) as usize
}

fn bounded(value: BigInt) -> Result<Term, Raised> {
    match value.bits() > BITS_MAX {
        true => Err(system_limit()),
        false => Ok(Term::big(value)),
    }
}

/// Long multiplication is done in pieces: its cost grows with less than the product of the lengths.
fn product_cost(bits_a: u64, bits_b: u64) -> Result<usize, Raised> {
    if bits_a + bits_b > BITS_MAX + 1 {
        return Err(system_limit());
    }
    let (long, short) = (bits_a.max(bits_b) / 64 + 1, bits_a.min(bits_b) / 64 + 1);
    Ok((long * short.isqrt()) as usize)
}

fn quadratic(words: usize) -> usize {
    words.saturating_mul(words) / 8 + words
}
