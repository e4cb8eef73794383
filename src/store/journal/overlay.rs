//! What the log holds and the base does not yet: everything written since it was last settled, in key order.

use std::collections::BTreeMap;
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
    tables: Vec<BTreeMap<Vec<u8>, Slot>>,
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
pub(super) type Entry = (Vec<u8>, Option<Vec<u8>>);

/// A walk through the entries that is taken in steps.
#[derive(Debug, Default)]
pub(super) struct Walk {
    after: Option<Vec<u8>>,
    table: usize,
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

    pub(super) fn take_removals(&mut self) -> usize {
        std::mem::take(&mut self.removals)
    }

    /// The latest write to a key, if it is here.
    pub(super) fn get(&self, key: &[u8]) -> Option<Option<&[u8]>> {
        if is_dedupe(key) {
            return self.dedupe.get(key);
        }
        let slot = self.tables[table_of(key)].get(key)?;
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
        if let Some(slot) = table.get_mut(&key) {
            self.bytes -= slot.value.as_ref().map_or(0, Vec::len);
            if slot.is_new && value.is_none() {
                self.bytes -= key.len() + OVERHEAD;
                table.remove(&key);
                return;
            }
            self.bytes += size;
            self.removals += usize::from(value.is_none());
            (slot.value, slot.number) = (value, number);
            return;
        }
        if is_new && value.is_none() {
            return;
        }
        self.bytes += key.len() + size + OVERHEAD;
        self.removals += usize::from(value.is_none());
        let slot = Slot {
            value,
            number,
            is_new,
        };
        table.insert(key, slot);
    }

    /// At most `limit` entries from `from` to `to`, both included; whether there may be more of them.
    pub(super) fn range(&self, from: &[u8], to: &[u8], limit: usize) -> (Vec<Entry>, bool) {
        let dedupe = table_of(&[DEDUPE]);
        let bounds = (Bound::Included(from), Bound::Included(to));
        let entry = |(key, slot): (&Vec<u8>, &Slot)| (key.clone(), slot.value.clone());
        let mut found: Vec<Entry> = Vec::new();
        for table in table_of(from)..=table_of(to) {
            let room = limit - found.len();
            match table == dedupe {
                true => found.extend(self.dedupe.range(from, to, room)),
                false => {
                    let entries = self.tables[table].range::<[u8], _>(bounds);
                    found.extend(entries.take(room).map(entry));
                }
            }
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
    ) -> Option<Vec<Entry>> {
        let mut found = Vec::new();
        let more = self.step(walk, limit, |key, slot| {
            if slot.number < before {
                slot.is_new = false;
                found.push((key.to_vec(), slot.value.clone()));
            }
        });
        more.then_some(found)
    }

    /// Drops the next entries of the tables that were written last before record `before`; false behind the last.
    pub(super) fn settled(&mut self, walk: &mut Walk, before: u64, limit: usize) -> bool {
        let mut found = Vec::new();
        let more = self.step(walk, limit, |key, slot| {
            if slot.number < before {
                found.push(key.to_vec());
            }
        });
        for key in found {
            if let Some(slot) = self.tables[table_of(&key)].remove(&key) {
                self.bytes -= key.len() + slot.value.map_or(0, |value| value.len()) + OVERHEAD;
            }
        }
        more
    }

    /// Shows at most `limit` entries; false if the walk was at its end.
    fn step(
        &mut self,
        walk: &mut Walk,
        limit: usize,
        mut visit: impl FnMut(&[u8], &mut Slot),
    ) -> bool {
        while let Some(table) = self.tables.get_mut(walk.table) {
            let from = match &walk.after {
                Some(after) => Bound::Excluded(after.as_slice()),
                None => Bound::Unbounded,
            };
            let mut last = None;
            for (key, slot) in table
                .range_mut::<[u8], _>((from, Bound::Unbounded))
                .take(limit)
            {
                visit(key, slot);
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
