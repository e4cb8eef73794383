//! What the log holds and the base does not yet: everything written since it was last settled.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::ops::Bound;

use crate::store::Write;
use crate::store::record::DEDUPE;

use super::memtable::Memtable;
use super::shelf::is_dedupe;

/// What an entry takes besides its key and value, bytes.
const OVERHEAD: usize = 120;
/// A table for the empty key, and one for each first byte. Most tables are small, and small maps are fast.
const TABLES: usize = 257;

/// An ordered map of what was written to keys, removals among it.
#[derive(Debug)]
pub(super) struct Overlay {
    /// Dedupe entries; everything else is in the tables.
    pub(super) dedupe: Memtable,
    /// By the first byte of the key.
    tables: Vec<BTreeMap<Rest, Slot>>,
    bytes: usize,
    removals: usize,
}

#[derive(Clone, Debug)]
struct Slot {
    value: Option<Vec<u8>>,
    /// The record that wrote it last.
    number: u64,
    /// The base has nothing under the key.
    is_new: bool,
}

/// A key with its latest value, or none for a removal.
pub(super) type KeyValue = (Vec<u8>, Option<Vec<u8>>);

/// A walk through the entries that is taken in steps.
#[derive(Debug, Default)]
pub(super) struct Walk {
    after: Option<Rest>,
    table: usize,
}

/// A key behind its first byte. Most keys have 16 more: they are compared as two numbers, without a look elsewhere.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Rest {
    /// The next bytes, and zeros where there are fewer.
    head: [u64; 2],
    /// How many of them are there.
    heads: u8,
    tail: Box<[u8]>,
}

impl Rest {
    fn of(key: &[u8]) -> Rest {
        let rest = key.get(1..).unwrap_or_default();
        let (head, tail) = rest.split_at(rest.len().min(16));
        let mut bytes = [0; 16];
        bytes[..head.len()].copy_from_slice(head);
        let number = u128::from_be_bytes(bytes);
        Rest {
            head: [(number >> 64) as u64, number as u64],
            heads: head.len() as u8,
            tail: tail.into(),
        }
    }

    /// The key that this is of, in that table.
    fn in_table(&self, table: usize) -> Vec<u8> {
        let mut key = Vec::with_capacity(self.len(table));
        if let Some(first) = table.checked_sub(1) {
            key.push(first as u8);
        }
        let [high, low] = self.head.map(u128::from);
        let head = (high << 64 | low).to_be_bytes();
        key.extend_from_slice(&head[..usize::from(self.heads)]);
        key.extend_from_slice(&self.tail);
        key
    }

    /// How long that key is.
    fn len(&self, table: usize) -> usize {
        table.min(1) + usize::from(self.heads) + self.tail.len()
    }
}

impl Overlay {
    pub(super) fn new() -> Overlay {
        Overlay {
            dedupe: Memtable::default(),
            tables: std::iter::repeat_with(BTreeMap::new).take(TABLES).collect(),
            bytes: 0,
            removals: 0,
        }
    }

    /// What it takes, bytes, about.
    pub(super) fn bytes(&self) -> usize {
        self.bytes + self.dedupe.bytes()
    }

    /// How many removals it took in that the base has to hear of, since they were last taken.
    pub(super) fn removals(&self) -> usize {
        self.removals
    }

    /// The same, and counts anew.
    pub(super) fn take_removals(&mut self) -> usize {
        std::mem::take(&mut self.removals)
    }

    /// The latest write to a key, if it is here.
    pub(super) fn get(&self, key: &[u8]) -> Option<Option<&[u8]>> {
        if is_dedupe(key) {
            return self.dedupe.get(key);
        }
        let slot = self.tables[table_of(key)].get(&Rest::of(key))?;
        Some(slot.value.as_deref())
    }

    /// Takes in a write of the record of that number.
    pub(super) fn write(&mut self, write: Write, number: u64) {
        let Write { key, value, is_new } = write;
        if is_dedupe(&key) {
            return self.dedupe.write(&key, value.as_deref());
        }
        let table = &mut self.tables[table_of(&key)];
        let size = value.as_ref().map_or(0, Vec::len);
        match table.entry(Rest::of(&key)) {
            Entry::Occupied(mut entry) => {
                let slot = entry.get_mut();
                self.bytes -= slot.value.as_ref().map_or(0, Vec::len);
                if slot.is_new && value.is_none() {
                    self.bytes -= key.len() + OVERHEAD;
                    entry.remove();
                    return;
                }
                self.bytes += size;
                self.removals += usize::from(value.is_none());
                (slot.value, slot.number) = (value, number);
            }
            Entry::Vacant(_) if is_new && value.is_none() => {}
            Entry::Vacant(entry) => {
                self.bytes += key.len() + size + OVERHEAD;
                self.removals += usize::from(value.is_none());
                entry.insert(Slot {
                    value,
                    number,
                    is_new,
                });
            }
        }
    }

    /// At most `limit` entries from `from` to `to`, both included; whether there may be more of them.
    pub(super) fn range(&self, from: &[u8], to: &[u8], limit: usize) -> (Vec<KeyValue>, bool) {
        let dedupe = table_of(&[DEDUPE]);
        let (first, last) = (table_of(from), table_of(to));
        let mut found: Vec<KeyValue> = Vec::new();
        for table in first..=last {
            let room = limit - found.len();
            if table == dedupe {
                found.extend(self.dedupe.range(from, to, room));
                continue;
            }
            let end = |is_it: bool, key| match is_it {
                true => Bound::Included(Rest::of(key)),
                false => Bound::Unbounded,
            };
            let bounds = (end(table == first, from), end(table == last, to));
            let entries = self.tables[table].range(bounds).take(room);
            found.extend(entries.map(|(key, slot)| (key.in_table(table), slot.value.clone())));
        }
        let more = found.len() == limit;
        (found, more)
    }

    /// The next entries of the tables that were written last before record `before`, in key order; none behind the last.
    /// From here on the base may have them.
    pub(super) fn settling(
        &mut self,
        walk: &mut Walk,
        before: u64,
        limit: usize,
    ) -> Option<Vec<KeyValue>> {
        let mut found = Vec::new();
        let more = self.step(walk, limit, |table, key, slot| {
            if slot.number < before {
                slot.is_new = false;
                found.push((key.in_table(table), slot.value.clone()));
            }
        });
        more.then_some(found)
    }

    /// Drops the next entries of the tables that were written last before record `before`; false behind the last.
    pub(super) fn settled(&mut self, walk: &mut Walk, before: u64, limit: usize) -> bool {
        let mut found = Vec::new();
        let more = self.step(walk, limit, |table, key, slot| {
            if slot.number < before {
                found.push((table, key.clone()));
            }
        });
        for (table, key) in found {
            if let Some(slot) = self.tables[table].remove(&key) {
                let size = slot.value.map_or(0, |value| value.len());
                self.bytes -= key.len(table) + size + OVERHEAD;
            }
        }
        more
    }

    /// Shows at most `limit` entries; false if the walk was at its end.
    fn step(
        &mut self,
        walk: &mut Walk,
        limit: usize,
        mut visit: impl FnMut(usize, &Rest, &mut Slot),
    ) -> bool {
        while let Some(table) = self.tables.get_mut(walk.table) {
            let from = match &walk.after {
                Some(after) => Bound::Excluded(after),
                None => Bound::Unbounded,
            };
            let mut last = None;
            for (key, slot) in table.range_mut((from, Bound::Unbounded)).take(limit) {
                visit(walk.table, key, slot);
                last = Some(key);
            }
            match last.cloned() {
                Some(last) => {
                    walk.after = Some(last);
                    return true;
                }
                None => {
                    walk.table += 1;
                    walk.after = None;
                }
            }
        }
        false
    }
}

fn table_of(key: &[u8]) -> usize {
    key.first().map_or(0, |first| usize::from(*first) + 1)
}
