//! Numbers as bytes, from the lowest on.

use num_bigint::{BigInt, Sign};
use num_traits::ToPrimitive;

use crate::erl::term::Term;

/// The lowest bytes of an integer in two's complement.
pub(super) fn to_le_bytes(value: &Term, count: usize) -> Option<Vec<u8>> {
    let (mut bytes, negative) = match value {
        Term::Int(value) => (value.to_le_bytes().to_vec(), *value < 0),
        Term::Big(value) => (value.to_signed_bytes_le(), value.sign() == Sign::Minus),
        _ => return None,
    };
    bytes.resize(count, if negative { 0xff } else { 0 });
    Some(bytes)
}

/// The integer of so many bits.
pub(super) fn from_le_bytes(mut bytes: Vec<u8>, size: usize, signed: bool) -> Term {
    if size == 0 {
        return Term::Int(0);
    }
    let negative = signed && bytes[(size - 1) / 8] >> ((size - 1) % 8) & 1 == 1;
    if negative {
        if let Some(top) = bytes.last_mut().filter(|_| !size.is_multiple_of(8)) {
            *top |= 0xff << (size % 8);
        }
        return Term::big(BigInt::from_signed_bytes_le(&bytes));
    }
    Term::big(BigInt::from_bytes_le(Sign::Plus, &bytes))
}

/// A float of 16, 32 or 64 bits, if it is not too large for that.
pub(super) fn float_le_bytes(value: f64, size: usize) -> Option<Vec<u8>> {
    match size {
        16 => half(value).map(|half| half.to_le_bytes().to_vec()),
        32 => {
            let single = value.to_f32().filter(|single| single.is_finite())?;
            Some(single.to_le_bytes().to_vec())
        }
        64 => Some(value.to_le_bytes().to_vec()),
        _ => None,
    }
}

/// The float of 2, 4 or 8 bytes, if it is a number.
pub(super) fn float_from(bytes: &[u8]) -> Option<Term> {
    let value = match *bytes {
        [a, b] => from_half(u16::from_le_bytes([a, b])),
        [a, b, c, d] => f64::from(f32::from_le_bytes([a, b, c, d])),
        _ => f64::from_le_bytes(bytes.try_into().ok()?),
    };
    value.is_finite().then_some(Term::Float(value))
}

/// Rounded to the nearest of the half precision of IEEE 754, ties to even.
fn half(value: f64) -> Option<u16> {
    let sign = if value.is_sign_negative() { 0x8000 } else { 0 };
    let value = value.abs();
    // The least normal number is 2^-14; below, the steps are those of the subnormal ones, 2^-24.
    let exponent = value.log2().floor().max(-14.0).to_i32().unwrap_or(-14);
    let step = 2.0_f64.powi(exponent - 10);
    let units = (value / step).round_ties_even() * step;
    if units > 65504.0 {
        return None;
    }
    let exponent = units.log2().floor().max(-14.0).to_i32().unwrap_or(-14);
    let fraction = (units / 2.0_f64.powi(exponent - 10)).to_u16()?;
    let biased = u16::try_from(exponent + 14).ok()?;
    // The leading bit of a normal number carries into the exponent.
    Some(sign | ((biased << 10) + fraction))
}

fn from_half(bits: u16) -> f64 {
    let fraction = f64::from(bits & 0x3ff);
    let exponent = i32::from(bits >> 10 & 0x1f);
    let value = match exponent {
        0 => fraction * 2.0_f64.powi(-24),
        31 => f64::INFINITY,
        _ => (1024.0 + fraction) * 2.0_f64.powi(exponent - 25),
    };
    if bits & 0x8000 == 0 { value } else { -value }
}
