//! The dedupe entries that the log holds and the runs do not yet.
//!
//! Every message leaves one. Nearly all of them are only looked for in vain, and hardly anyone but the settler wants them
//! in key order: so they are bytes in the order in which they came, found by a hash of their key, and sorted when the
//! segment of the log that they stand in is closed.

use std::collections::{BTreeMap, VecDeque};
use std::hash::BuildHasher;
use std::sync::{Arc, OnceLock};

use foldhash::fast::RandomState;
use hashbrown::HashTable;

use super::overlay::KeyValue;

/// Bytes before the key and the value of an entry: their lengths.
const HEAD: usize = 8;
/// In the place of the length of a value: there is none, the key was removed.
const REMOVED: u32 = u32::MAX;
/// What an entry takes besides its bytes: its place in the part and in the index.
const OVERHEAD: usize = 24;

/// A key with its value, or none for a removal.
type EntryRef<'a> = (&'a [u8], Option<&'a [u8]>);

/// Entries by key, in parts that end where a segment of the log does.
#[derive(Debug, Default)]
pub(super) struct Memtable {
    index: HashTable<Spot>,
    hasher: RandomState,
    /// The oldest first.
    closed: VecDeque<Arc<Part>>,
    open: Part,
    /// Entries of the oldest part that have left the index.
    dropped: usize,
    bytes: usize,
}

/// Where the latest entry of a key stands.
#[derive(Clone, Copy, Debug)]
struct Spot {
    hash: u32,
    part: u32,
    at: u32,
}

/// The entries of one segment.
#[derive(Debug, Default)]
pub(super) struct Part {
    number: u32,
    bytes: Vec<u8>,
    /// Where each of them begins, in the order in which they came.
    places: Vec<u32>,
    /// The first record of the log behind them, once the part is closed.
    next: u64,
    in_order: OnceLock<Vec<u32>>,
}

impl Memtable {
    /// What it takes, bytes, about.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn get(&self, key: &[u8]) -> Option<Option<&[u8]>> {
        let hash = self.hash(key);
        let is_it = |spot: &Spot| spot.hash == hash && self.entry(*spot).0 == key;
        let spot = self.index.find(spread(hash), is_it)?;
        Some(self.entry(*spot).1)
    }

    pub(super) fn write(&mut self, key: &[u8], value: Option<&[u8]>) {
        let hash = self.hash(key);
        let part = self.open.number;
        let at = self.open.push(key, value);
        self.bytes += size_of(key, value);
        let (closed, open) = (&self.closed, &self.open);
        let is_it = |spot: &Spot| spot.hash == hash && entry_in(closed, open, *spot).0 == key;
        let spot = Spot { hash, part, at };
        match self.index.find_mut(spread(hash), is_it) {
            Some(before) => *before = spot,
            None => {
                let again = |spot: &Spot| spread(spot.hash);
                self.index.insert_unique(spread(hash), spot, again);
            }
        }
    }

    /// Ends a part before the record of that number.
    pub(super) fn close(&mut self, next: u64) {
        if self.open.places.is_empty() {
            return;
        }
        let number = self.open.number.wrapping_add(1);
        let following = Part {
            number,
            bytes: Vec::with_capacity(self.open.bytes.len()),
            places: Vec::with_capacity(self.open.places.len()),
            ..Part::default()
        };
        let mut part = std::mem::replace(&mut self.open, following);
        part.next = next;
        self.closed.push_back(Arc::new(part));
    }

    /// At most `limit` entries from `from` to `to`, both included, in key order.
    pub(super) fn range(&self, from: &[u8], to: &[u8], limit: usize) -> Vec<KeyValue> {
        let mut found = BTreeMap::new();
        if limit == 0 {
            return Vec::new();
        }
        for part in &self.closed {
            let places = part.in_order();
            let first = places.partition_point(|at| part.entry(*at).0 < from);
            let entries = places[first..].iter().map(|at| part.entry(*at));
            found.extend(entries.take_while(|(key, _)| *key <= to).take(limit));
        }
        while found.len() > limit {
            found.pop_last();
        }
        // Looked through and not sorted: it is large, and few of it are asked for.
        for (key, value) in self.open.places.iter().map(|at| self.open.entry(*at)) {
            let last = found.last_key_value().filter(|_| found.len() == limit);
            if key < from || key > to || last.is_some_and(|(last, _)| *last < key) {
                continue;
            }
            found.insert(key, value);
            if found.len() > limit {
                found.pop_last();
            }
        }
        let owned = |(key, value): EntryRef<'_>| (key.to_vec(), value.map(<[u8]>::to_vec));
        found.into_iter().map(owned).collect()
    }

    /// The parts that end before record `before` or with it.
    pub(super) fn settling(&self, before: u64) -> Vec<Arc<Part>> {
        let parts = self.closed.iter();
        parts.take_while(|p| p.next <= before).cloned().collect()
    }

    /// Lets go of the next entries of the parts that end before record `before` or with it; false behind the last.
    pub(super) fn settled(&mut self, before: u64, limit: usize) -> bool {
        let Some(part) = self.closed.front().filter(|part| part.next <= before) else {
            return false;
        };
        let (part, number) = (part.clone(), part.number);
        for at in part.places.iter().skip(self.dropped).take(limit).copied() {
            let (key, value) = part.entry(at);
            self.bytes -= size_of(key, value);
            let hash = self.hash(key);
            let is_it = |spot: &Spot| spot.part == number && spot.at == at;
            // A later part may have the key as well.
            if let Ok(found) = self.index.find_entry(spread(hash), is_it) {
                found.remove();
            }
        }
        self.dropped += limit;
        if self.dropped >= part.places.len() {
            self.closed.pop_front();
            self.dropped = 0;
        }
        true
    }

    fn entry(&self, spot: Spot) -> EntryRef<'_> {
        entry_in(&self.closed, &self.open, spot)
    }

    fn hash(&self, key: &[u8]) -> u32 {
        (self.hasher.hash_one(key) >> 32) as u32
    }
}

impl Part {
    fn push(&mut self, key: &[u8], value: Option<&[u8]>) -> u32 {
        let at = self.bytes.len() as u32;
        let size = value.map_or(REMOVED, |value| value.len() as u32);
        self.bytes
            .extend_from_slice(&(key.len() as u32).to_ne_bytes());
        self.bytes.extend_from_slice(&size.to_ne_bytes());
        self.bytes.extend_from_slice(key);
        self.bytes.extend_from_slice(value.unwrap_or_default());
        self.places.push(at);
        at
    }

    fn entry(&self, at: u32) -> EntryRef<'_> {
        let (head, rest) = self.bytes[at as usize..].split_at(HEAD);
        let number = |bytes: &[u8]| u32::from_ne_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
        let (key, size) = (number(head) as usize, number(&head[4..]));
        let (key, rest) = rest.split_at(key);
        let value = (size != REMOVED).then(|| &rest[..size as usize]);
        (key, value)
    }

    /// The latest entry of each key, in key order.
    pub(super) fn in_order(&self) -> &[u32] {
        self.in_order.get_or_init(|| {
            let mut places: Vec<u32> = self.places.iter().rev().copied().collect();
            places.sort_by_key(|at| self.entry(*at).0);
            places.dedup_by_key(|at| self.entry(*at).0);
            places
        })
    }
}

/// Shows the latest entry of each key in parts that go from the oldest to the newest, in key order, until there is an
/// error.
pub(super) fn merged<E>(
    parts: &[Arc<Part>],
    mut visit: impl FnMut(&[u8], Option<&[u8]>) -> Result<(), E>,
) -> Result<(), E> {
    let newest_first = parts.iter().rev();
    let entries = newest_first.flat_map(|part| part.in_order().iter().map(|at| part.entry(*at)));
    let mut entries: Vec<EntryRef<'_>> = entries.collect();
    entries.sort_by_key(|(key, _)| *key);
    entries.dedup_by_key(|(key, _)| *key);
    let mut entries = entries.into_iter();
    entries.try_for_each(|(key, value)| visit(key, value))
}

fn entry_in<'a>(closed: &'a VecDeque<Arc<Part>>, open: &'a Part, spot: Spot) -> EntryRef<'a> {
    if spot.part == open.number {
        return open.entry(spot.at);
    }
    // Parts have consecutive numbers, and the open one has the last.
    let age = open.number.wrapping_sub(spot.part) as usize;
    closed[closed.len() - age].entry(spot.at)
}

fn size_of(key: &[u8], value: Option<&[u8]>) -> usize {
    HEAD + key.len() + value.map_or(0, <[u8]>::len) + OVERHEAD
}

/// The index goes by the highest and the lowest bits.
fn spread(hash: u32) -> u64 {
    u64::from(hash).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    type Model = BTreeMap<Vec<u8>, Option<Vec<u8>>>;

    /// Keys of three lengths, some of them the beginnings of others.
    fn key(rng: &mut fastrand::Rng) -> Vec<u8> {
        let mut key = vec![b'd', rng.u8(0..6)];
        key.extend(vec![0; rng.usize(0..3)]);
        key
    }

    #[test]
    fn it_shows_the_latest_entry_of_each_key_until_its_part_is_settled() {
        for seed in 0..300 {
            let mut rng = fastrand::Rng::with_seed(seed);
            let (mut table, mut parts) = (Memtable::default(), vec![Model::new()]);
            for n in 1..=80 {
                match rng.u8(0..10) {
                    0 => {
                        table.close(n);
                        parts.push(Model::new());
                    }
                    1 if parts.len() > 1 => {
                        let settled = table.settling(n);
                        let mut shown = Model::new();
                        let shows = merged(&settled, |key, value| {
                            let before = shown.insert(key.to_vec(), value.map(<[u8]>::to_vec));
                            before.is_none().then_some(()).ok_or("shown twice")
                        });
                        assert_eq!(shows, Ok(()));
                        let open = parts.pop().unwrap();
                        assert_eq!(shown, together(&parts), "seed {seed}");
                        while table.settled(n, rng.usize(1..4)) {}
                        parts = vec![open];
                    }
                    _ => {
                        let (key, value) = (key(&mut rng), vec![n as u8; rng.usize(0..3)]);
                        let value = rng.bool().then_some(value);
                        table.write(&key, value.as_deref());
                        parts.last_mut().unwrap().insert(key, value);
                    }
                }
                let model = together(&parts);
                let (from, to) = (key(&mut rng), key(&mut rng));
                let limit = rng.usize(0..5);
                let expected = model.iter().filter(|(key, _)| **key >= from && **key <= to);
                let expected: Vec<KeyValue> = expected
                    .take(limit)
                    .map(|(key, value)| (key.clone(), value.clone()))
                    .collect();
                assert_eq!(table.range(&from, &to, limit), expected, "seed {seed}");
                let found = table.get(&from).map(|value| value.map(<[u8]>::to_vec));
                assert_eq!(found, model.get(&from).cloned(), "seed {seed}");
                assert_eq!(table.bytes() == 0, model.is_empty(), "seed {seed}");
            }
        }
    }

    fn together(parts: &[Model]) -> Model {
        parts.iter().flat_map(Clone::clone).collect()
    }
}
