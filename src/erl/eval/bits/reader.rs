//! A place in a bit string that is matched.

use crate::erl::term::Bits;

/// Reads on from a place; the caller has looked that enough is left.
pub(super) struct Reader<'a> {
    pub(super) bits: &'a Bits,
    pub(super) at: usize,
}

impl Reader<'_> {
    /// How many bits are left.
    pub(super) fn left(&self) -> usize {
        self.bits.bits - self.at
    }

    /// Up to 8 bits, as the lowest of a byte.
    pub(super) fn take(&mut self, count: usize) -> u8 {
        if count == 0 {
            return 0;
        }
        let (byte, used) = (self.at / 8, self.at % 8);
        let byte_at = |index: usize| self.bits.bytes.get(index).copied().map_or(0, u16::from);
        let two = (byte_at(byte) << 8) | byte_at(byte + 1);
        self.at += count;
        let aligned = (two << used) >> (16 - count);
        aligned.to_le_bytes()[0]
    }

    pub(super) fn bytes(&mut self, count: usize) -> Vec<u8> {
        if self.at.is_multiple_of(8) {
            let start = self.at / 8;
            self.at += count * 8;
            return self.bits.bytes[start..start + count].to_vec();
        }
        (0..count).map(|_| self.take(8)).collect()
    }

    /// The bytes of an integer, from the lowest on; a byte that is not whole is the highest one.
    pub(super) fn integer(&mut self, size: usize, little: bool) -> Vec<u8> {
        let (whole, odd) = (size / 8, size % 8);
        if little {
            let mut bytes = self.bytes(whole);
            if odd > 0 {
                bytes.push(self.take(odd));
            }
            return bytes;
        }
        let top = self.take(odd);
        let mut bytes = self.bytes(whole);
        bytes.reverse();
        if odd > 0 {
            bytes.push(top);
        }
        bytes
    }

    /// A bit string of its own.
    pub(super) fn part(&mut self, size: usize) -> Bits {
        let mut bytes = self.bytes(size / 8);
        let odd = size % 8;
        if odd > 0 {
            bytes.push(self.take(odd) << (8 - odd));
        }
        Bits {
            bytes: bytes.into(),
            bits: size,
        }
    }
}
