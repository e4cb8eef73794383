//! What a run keeps in memory: the first key and the place of each block; and its footer, which says where they are.

use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::block::{take_number, write_number};
use super::shape::Shape;

/// Magic, entries, places of index and filter, their checksums, the footer's own.
pub(super) const FOOTER: usize = 8 * 7;

/// The first key and the place of each block.
#[derive(Debug, Default)]
pub(super) struct Index {
    keys: Vec<u8>,
    /// Where the key of each block ends in `keys`.
    ends: Vec<u32>,
    places: Vec<u64>,
}

/// The last bytes of a run.
#[derive(Clone, Copy, Debug)]
pub(super) struct Footer {
    pub(super) entries: u64,
    pub(super) index_at: u64,
    pub(super) bloom_at: u64,
    pub(super) index_sum: u64,
    pub(super) bloom_sum: u64,
}

impl Index {
    pub(super) fn push(&mut self, key: &[u8], at: u64) {
        self.keys.extend_from_slice(key);
        // One key for each block of some KB: together they are far from four gigabytes.
        self.ends.push(self.keys.len() as u32);
        self.places.push(at);
    }

    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (number, place) in self.places.iter().enumerate() {
            bytes.extend_from_slice(&place.to_be_bytes());
            let key = self.key(number);
            write_number(&mut bytes, key.len() as u64);
            bytes.extend_from_slice(key);
        }
        bytes
    }

    pub(super) fn parse(mut bytes: &[u8]) -> Option<Index> {
        let mut index = Index::default();
        while !bytes.is_empty() {
            let (place, rest) = bytes.split_first_chunk()?;
            bytes = rest;
            let len = usize::try_from(take_number(&mut bytes)?).ok()?;
            let (key, rest) = bytes.split_at_checked(len)?;
            bytes = rest;
            index.push(key, u64::from_be_bytes(*place));
        }
        Some(index)
    }

    /// How many blocks there are.
    pub(super) fn blocks(&self) -> usize {
        self.places.len()
    }

    /// Where a block begins.
    pub(super) fn place(&self, number: usize) -> Option<u64> {
        self.places.get(number).copied()
    }

    /// The last block whose first key is not above this one; none if the key is below all.
    pub(super) fn block_of(&self, key: &[u8]) -> Option<usize> {
        let (mut low, mut high) = (0, self.places.len());
        while low < high {
            let middle = low + (high - low) / 2;
            match self.key(middle) <= key {
                true => low = middle + 1,
                false => high = middle,
            }
        }
        low.checked_sub(1)
    }

    fn key(&self, number: usize) -> &[u8] {
        let start = number.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.keys[start as usize..self.ends[number] as usize]
    }
}

impl Footer {
    pub(super) fn to_bytes(self, shape: &Shape, seed: u64) -> Vec<u8> {
        let mut bytes = shape.magic.to_vec();
        let numbers = [
            self.entries,
            self.index_at,
            self.bloom_at,
            self.index_sum,
            self.bloom_sum,
        ];
        bytes.extend(numbers.into_iter().flat_map(u64::to_be_bytes));
        let sum = xxh3_64_with_seed(&bytes, seed);
        bytes.extend(sum.to_be_bytes());
        bytes
    }

    pub(super) fn parse(bytes: &[u8], shape: &Shape, seed: u64) -> Option<Footer> {
        let (numbers, sum) = bytes.split_last_chunk()?;
        let known = numbers.starts_with(shape.magic) && bytes.len() == FOOTER;
        if !known || u64::from_be_bytes(*sum) != xxh3_64_with_seed(numbers, seed) {
            return None;
        }
        let (numbers, _) = numbers[shape.magic.len()..].as_chunks();
        let mut numbers = numbers.iter().map(|bytes| u64::from_be_bytes(*bytes));
        Some(Footer {
            entries: numbers.next()?,
            index_at: numbers.next()?,
            bloom_at: numbers.next()?,
            index_sum: numbers.next()?,
            bloom_sum: numbers.next()?,
        })
    }
}
