//! Where accepted messages live: a small ordered map on disk or in memory, the layout of its keys, and the one
//! committer that writes it.

pub mod archive;
pub mod backup;
pub mod committer;
pub mod health;
pub mod ledger;
pub mod memory;
pub mod reader;
pub mod record;
pub mod restore;
pub mod sled;
pub mod space;

use std::collections::HashMap;

/// Writes that one [`Engine::apply`] may hold. sled 0.34 leaks beyond about 600.
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

    /// Writes all of a batch of at most [`BATCH_MAX`] or none of it, visible at once and durable after the next flush.
    fn apply(&self, batch: Batch) -> Result<(), EngineError>;

    /// Returns when everything applied before is on the disk.
    fn flush(&self) -> Result<(), EngineError>;

    /// Drops everything held in memory and reads the store again, after an error.
    fn reopen(&self) -> Result<(), EngineError>;
}

/// Writes in order, the latest for a key in the place of its first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Batch {
    writes: Vec<(Vec<u8>, Option<Vec<u8>>)>,
    places: HashMap<Vec<u8>, usize>,
}

impl Batch {
    /// Sets a key.
    pub fn put(&mut self, key: Vec<u8>, value: Vec<u8>) {
        self.write(key, Some(value));
    }

    /// Removes a key.
    pub fn delete(&mut self, key: Vec<u8>) {
        self.write(key, None);
    }

    /// What the batch will have written under a key, if it writes it.
    pub fn find(&self, key: &[u8]) -> Option<Option<&[u8]>> {
        let place = self.places.get(key)?;
        self.writes.get(*place).map(|(_, value)| value.as_deref())
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
        self.writes.into_iter()
    }

    fn write(&mut self, key: Vec<u8>, value: Option<Vec<u8>>) {
        match self.places.get(&key) {
            Some(place) => self.writes[*place].1 = value,
            None => {
                self.places.insert(key.clone(), self.writes.len());
                self.writes.push((key, value));
            }
        }
    }
}
