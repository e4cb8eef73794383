//! A block: entries in key order behind a length and a checksum, compressed if the shape says so.

use std::ops::Range;

use lz4_flex::block::{
    CompressTable, compress_into_with_table, decompress_into, get_maximum_output_size,
};
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// Length and checksum in front of a block.
pub(super) const HEAD: usize = 4 + 8;
/// The first byte of a block that may be compressed: it is not.
const PLAIN: u8 = 0;
/// It is; its length before follows, four bytes.
const LZ4: u8 = 1;
/// lz4 makes nothing shorter than by this factor.
const FACTOR: usize = 255;

/// An entry: a key with its value, or none for a removal.
pub(in crate::store) type Entry = (Vec<u8>, Option<Vec<u8>>);

/// Compresses one block after the other.
#[derive(Default)]
pub(in crate::store) struct Press {
    table: CompressTable,
    pressed: Vec<u8>,
}

impl Press {
    /// The bytes compressed, if that makes them shorter.
    pub(in crate::store) fn press(&mut self, bytes: &[u8]) -> Option<&[u8]> {
        self.pressed.resize(get_maximum_output_size(bytes.len()), 0);
        let pressed = compress_into_with_table(bytes, &mut self.pressed, &mut self.table).ok()?;
        self.pressed
            .get(..pressed)
            .filter(|pressed| pressed.len() < bytes.len())
    }
}

/// Opens what [`Press`] made into `into`, which becomes so long; false if it is something else.
pub(in crate::store) fn unpress(pressed: &[u8], length: usize, into: &mut Vec<u8>) -> bool {
    if length > pressed.len().saturating_mul(FACTOR).saturating_add(64) {
        return false;
    }
    into.clear();
    into.resize(length, 0);
    decompress_into(pressed, into).is_ok_and(|opened| opened == length)
}

/// Adds a block that will stand at this place of the file.
pub(super) fn write(
    into: &mut Vec<u8>,
    entries: &[u8],
    press: Option<&mut Press>,
    seed: u64,
    at: u64,
) {
    let head = into.len();
    into.extend_from_slice(&[0; HEAD]);
    match press.map(|press| press.press(entries)) {
        None => into.extend_from_slice(entries),
        Some(None) => {
            into.push(PLAIN);
            into.extend_from_slice(entries);
        }
        Some(Some(pressed)) => {
            into.push(LZ4);
            into.extend_from_slice(&(entries.len() as u32).to_be_bytes());
            into.extend_from_slice(pressed);
        }
    }
    let (head, stored) = into[head..].split_at_mut(HEAD);
    // A block is closed at a few KB; a single entry is far from four gigabytes.
    head[..4].copy_from_slice(&(stored.len() as u32).to_be_bytes());
    head[4..].copy_from_slice(&xxh3_64_with_seed(stored, seed ^ at).to_be_bytes());
}

/// The stored bytes of the block that begins `bytes`, which stand at this place of the file.
pub(super) fn parse(bytes: &[u8], seed: u64, at: u64) -> Option<&[u8]> {
    let (head, rest) = bytes.split_at_checked(HEAD)?;
    let (length, sum) = head.split_first_chunk()?;
    let sum = u64::from_be_bytes(sum.try_into().ok()?);
    let stored = rest.get(..u32::from_be_bytes(*length) as usize)?;
    (xxh3_64_with_seed(stored, seed ^ at) == sum).then_some(stored)
}

/// A walk through the entries of a block. Its memory is used again for the next block.
#[derive(Debug, Default)]
pub(in crate::store) struct Block {
    /// As they are in the file; a place to read into.
    pub(in crate::store) stored: Vec<u8>,
    pub(in crate::store) entries: Vec<u8>,
    at: usize,
    key: Vec<u8>,
    value: Option<Range<usize>>,
    /// There is an entry at hand.
    stands: bool,
}

/// The entries of a block are not what a writer writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::store) struct Malformed;

impl Block {
    /// Opens the block that is in `stored` and came from this place; false if it is not as it was written. The walk
    /// stands before its first entry.
    pub(super) fn open(&mut self, is_pressed: bool, seed: u64, at: u64) -> bool {
        self.rewind();
        let Some(stored) = parse(&self.stored, seed, at) else {
            return false;
        };
        if !is_pressed {
            self.entries.clear();
            self.entries.extend_from_slice(stored);
            return true;
        }
        let Some((kind, rest)) = stored.split_first() else {
            return false;
        };
        match (*kind, rest.split_first_chunk()) {
            (LZ4, Some((length, pressed))) => {
                let length = u32::from_be_bytes(*length) as usize;
                unpress(pressed, length, &mut self.entries)
            }
            (PLAIN, _) => {
                self.entries.clear();
                self.entries.extend_from_slice(rest);
                true
            }
            _ => false,
        }
    }

    /// Stands before the first entry of what is in `entries`.
    pub(in crate::store) fn rewind(&mut self) {
        self.at = 0;
        self.stands = false;
        self.key.clear();
        self.value = None;
    }

    /// Goes on to the next entry; false behind the last.
    pub(in crate::store) fn advance(&mut self) -> Result<bool, Malformed> {
        self.stands = false;
        if self.at == self.entries.len() {
            return Ok(false);
        }
        self.take().ok_or(Malformed)?;
        self.stands = true;
        Ok(true)
    }

    /// Goes on to the first entry that is not below this key; false if there is none.
    pub(super) fn advance_to(&mut self, key: &[u8]) -> Result<bool, Malformed> {
        while self.advance()? {
            if self.key.as_slice() >= key {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The key of the entry at hand, if there is one.
    pub(in crate::store) fn key(&self) -> Option<&[u8]> {
        self.stands.then_some(self.key.as_slice())
    }

    /// Its value, or none for a removal.
    pub(in crate::store) fn value(&self) -> Option<&[u8]> {
        self.entries.get(self.value.clone()?)
    }

    fn take(&mut self) -> Option<()> {
        let mut rest = self.entries.get(self.at..)?;
        let mut number = || usize::try_from(take_number(&mut rest)?).ok();
        let (shared, own, value) = (number()?, number()?, number()?);
        if shared > self.key.len() {
            return None;
        }
        self.key.truncate(shared);
        let (suffix, rest) = rest.split_at_checked(own)?;
        self.key.extend_from_slice(suffix);
        let length = rest.get(..value.saturating_sub(1))?.len();
        let start = self.entries.len() - rest.len();
        self.at = start + length;
        self.value = (value > 0).then_some(start..self.at);
        Some(())
    }
}

/// Adds an entry to a block, behind one with the key `last`.
pub(in crate::store) fn write_entry(
    into: &mut Vec<u8>,
    last: &[u8],
    key: &[u8],
    value: Option<&[u8]>,
) {
    let shared = last.iter().zip(key).take_while(|(a, b)| a == b).count();
    write_number(into, shared as u64);
    write_number(into, (key.len() - shared) as u64);
    write_number(into, value.map_or(0, |value| value.len() as u64 + 1));
    into.extend_from_slice(&key[shared..]);
    into.extend_from_slice(value.unwrap_or_default());
}

/// Seven bits to a byte, the low ones first; the high bit says that more follow.
pub(in crate::store) fn write_number(into: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        into.push(number as u8 | 0x80);
        number >>= 7;
    }
    into.push(number as u8);
}

/// Takes such a number off the front.
pub(in crate::store) fn take_number(bytes: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        number |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn entries() -> Vec<u8> {
        let mut entries = Vec::new();
        let mut last = Vec::new();
        for n in 0..100u32 {
            let key = format!("key {n:05}").into_bytes();
            let value = (n % 3 > 0).then(|| vec![b'x'; n as usize]);
            write_entry(&mut entries, &last, &key, value.as_deref());
            last = key;
        }
        entries
    }

    #[test]
    fn a_block_comes_back_pressed_or_not() {
        for mut press in [None, Some(Press::default())] {
            let (is_pressed, mut stored) = (press.is_some(), Vec::new());
            write(&mut stored, &entries(), press.as_mut(), 7, 40);
            let mut block = Block {
                stored,
                ..Block::default()
            };
            assert!(block.open(is_pressed, 7, 40));
            for n in 0..100u32 {
                assert_eq!(block.advance(), Ok(true));
                assert_eq!(block.key().unwrap(), format!("key {n:05}").as_bytes());
                assert_eq!(
                    block.value().map(<[u8]>::len),
                    (n % 3 > 0).then_some(n as usize)
                );
            }
            assert_eq!(block.advance(), Ok(false));
            assert_eq!(block.key(), None);
            assert!(
                !block.open(is_pressed, 7, 41),
                "it is not for another place"
            );
        }
    }

    #[test]
    fn what_does_not_get_shorter_stays_as_it_is() {
        let mut noise = 1u64;
        let mut bytes = Vec::new();
        for _ in 0..1000 {
            noise = xxh3_64_with_seed(b"", noise);
            bytes.extend(noise.to_be_bytes());
        }
        let mut entries = Vec::new();
        write_entry(&mut entries, &[], b"key", Some(&bytes));
        let mut block = Block::default();
        write(
            &mut block.stored,
            &entries,
            Some(&mut Press::default()),
            1,
            0,
        );
        assert!(block.stored.len() <= entries.len() + HEAD + 1);
        assert!(block.open(true, 1, 0));
        assert_eq!(block.advance(), Ok(true));
        assert_eq!(block.value(), Some(&bytes[..]));
    }

    #[test]
    fn entries_that_nobody_wrote_are_malformed() {
        let whole = entries();
        for cut in 1..whole.len().min(400) {
            let mut block = Block {
                entries: whole[..cut].to_vec(),
                ..Block::default()
            };
            while block.advance() == Ok(true) {}
        }
        let mut block = Block {
            entries: vec![9, 1, 1, b'x'],
            ..Block::default()
        };
        assert_eq!(block.advance(), Err(Malformed));
    }
}
