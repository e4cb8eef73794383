//! A bit string on its way.

use crate::erl::term::{Bits, Term};

use super::reader::Reader;

/// Bits so far; the unused ones of the last byte are 0.
#[derive(Debug, Default)]
pub(in crate::erl::eval) struct Writer {
    bytes: Vec<u8>,
    bits: usize,
}

impl Writer {
    /// Appends a whole bit string.
    pub(in crate::erl::eval) fn push(&mut self, part: &Bits) {
        self.push_first(part, part.bits);
    }

    /// What was written.
    pub(in crate::erl::eval) fn finish(self) -> Term {
        Term::Bits(Bits {
            bytes: self.bytes.into(),
            bits: self.bits,
        })
    }

    /// Appends the first bits of a bit string.
    pub(super) fn push_first(&mut self, part: &Bits, size: usize) {
        self.push_bytes(&part.bytes[..size / 8]);
        let mut rest = Reader {
            bits: part,
            at: size / 8 * 8,
        };
        self.push_bits(rest.take(size % 8), size % 8);
    }

    pub(super) fn push_bytes(&mut self, bytes: &[u8]) {
        if self.bits.is_multiple_of(8) {
            self.bytes.extend_from_slice(bytes);
            self.bits += bytes.len() * 8;
            return;
        }
        for byte in bytes {
            self.push_bits(*byte, 8);
        }
    }

    /// Appends an integer, its bytes given from the lowest on; a byte that is not whole is the highest one.
    pub(super) fn push_integer(&mut self, low_first: &[u8], size: usize, little: bool) {
        let (whole, odd) = (size / 8, size % 8);
        let top = low_first.get(whole).copied().unwrap_or(0);
        let low_first = &low_first[..whole];
        if little {
            self.push_bytes(low_first);
            self.push_bits(top, odd);
            return;
        }
        self.push_bits(top, odd);
        let high_first: Vec<u8> = low_first.iter().rev().copied().collect();
        self.push_bytes(&high_first);
    }

    /// Appends the lowest bits of a byte.
    fn push_bits(&mut self, byte: u8, count: usize) {
        if count == 0 {
            return;
        }
        let byte = byte << (8 - count);
        let used = self.bits % 8;
        self.bits += count;
        if used == 0 {
            self.bytes.push(byte);
            return;
        }
        if let Some(last) = self.bytes.last_mut() {
            *last |= byte >> used;
        }
        if used + count > 8 {
            self.bytes.push(byte << (8 - used));
        }
    }
}
