//! Where accepted messages live: a small ordered map on disk or in memory, the layout of its keys, and the one
//! committer that writes it.

pub mod archive;
pub mod backup;
pub mod committer;
pub mod durable;
pub mod files;
pub mod health;
pub mod history;
pub mod journal;
pub mod ledger;
pub mod memory;
pub mod numbers;
pub mod reader;
mod rebuild;
pub mod record;
pub mod restore;
pub mod runs;
pub mod sled;
pub mod space;
pub mod trace;

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use xxhash_rust::xxh3::xxh3_64;

/// Writes that every engine takes in one [`Engine::apply`]. sled 0.34 leaks beyond about 600.
pub const BATCH_MAX: usize = 256;

/// Why a store did not do it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EngineError {
    /// The engine failed; what a failed write left behind is unknown.
    #[error("{0}")]
    Failed(String),
    /// One record cannot be read; the others can.
    #[error("{0}")]
    Damaged(String),
}

/// An ordered map of bytes with atomic batches.
pub trait Engine: Send + Sync {
    /// The value under a key.
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, EngineError>;

    /// Shows the entries from `from` to `to`, both included, in key order until `visit` returns false.
    fn scan(
        &self,
        from: &[u8],
        to: &[u8],
        visit: &mut dyn FnMut(&[u8], &[u8]) -> bool,
    ) -> Result<(), EngineError>;

    /// How many writes a batch may hold.
    fn batch_max(&self) -> usize {
        BATCH_MAX
    }

    /// Whether entries of the dedupe index whose time is over leave by themselves, as new ones come.
    fn forgets_dedupe(&self) -> bool;

    /// Whether messages that are too old for the history leave by themselves, into the archive. No default: an engine over
    /// another one that forgot to ask it would have them removed before they are there.
    fn keeps_history(&self) -> bool;

    /// Writes all of a batch or none of it, visible at once and durable after the next flush.
    fn apply(&self, batch: Batch) -> Result<(), EngineError>;

    /// Returns when everything applied before is on the disk.
    fn flush(&self) -> Result<(), EngineError>;

    /// Drops everything held in memory and reads the store again, after an error.
    fn reopen(&self) -> Result<(), EngineError>;

    /// Ends in order: nothing is applied after it.
    fn close(&self) -> Result<(), EngineError> {
        Ok(())
    }
}

/// Writes in order, the latest for a key in the place of its first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Batch {
    writes: Vec<Write>,
    /// Where the write of a key stands, by the hash of the key.
    places: HashMap<u64, usize, BuildHasherDefault<Hashed>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Write {
    key: Vec<u8>,
    value: Option<Vec<u8>>,
    /// The engine has nothing under the key.
    is_new: bool,
}

impl Batch {
    /// An empty one with room for so many writes.
    pub fn with_capacity(writes: usize) -> Batch {
        Batch {
            writes: Vec::with_capacity(writes),
            places: HashMap::with_capacity_and_hasher(writes, BuildHasherDefault::default()),
        }
    }

    /// Sets a key.
    pub fn put(&mut self, key: Vec<u8>, value: Vec<u8>) {
        self.write(key, Some(value), false);
    }

    /// Sets a key of which it is known that the engine has nothing under it, so that a removal soon after need leave
    /// nothing behind.
    pub fn insert(&mut self, key: Vec<u8>, value: Vec<u8>) {
        self.write(key, Some(value), true);
    }

    /// Removes a key.
    pub fn delete(&mut self, key: Vec<u8>) {
        self.write(key, None, false);
    }

    /// What the batch will have written under a key, if it writes it.
    pub fn find(&self, key: &[u8]) -> Option<Option<&[u8]>> {
        let write = self.writes.get(self.place(key)?)?;
        Some(write.value.as_deref())
    }

    /// How many writes it holds.
    pub fn len(&self) -> usize {
        self.writes.len()
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.writes.is_empty()
    }

    /// The writes in order: a value, or none for a removal.
    pub fn into_writes(self) -> impl Iterator<Item = (Vec<u8>, Option<Vec<u8>>)> {
        let writes = self.writes.into_iter();
        writes.map(|write| (write.key, write.value))
    }

    fn place(&self, key: &[u8]) -> Option<usize> {
        let place = *self.places.get(&xxh3_64(key))?;
        match self.writes.get(place) {
            Some(write) if write.key == key => Some(place),
            // Two keys of one hash, which hardly ever are.
            _ => self.writes.iter().position(|write| write.key == key),
        }
    }

    fn write(&mut self, key: Vec<u8>, value: Option<Vec<u8>>, is_new: bool) {
        if let Some(write) = self.place(&key).and_then(|at| self.writes.get_mut(at)) {
            write.value = value;
            return;
        }
        let place = self.writes.len();
        self.places.entry(xxh3_64(&key)).or_insert(place);
        self.writes.push(Write { key, value, is_new });
    }
}

/// Takes a number that is a hash already.
#[derive(Clone, Copy, Debug, Default)]
struct Hashed(u64);

impl Hasher for Hashed {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        self.0 ^= xxh3_64(bytes);
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}
