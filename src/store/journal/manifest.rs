//! What the base says of the log and the runs: which there are, so that none can be missing without a word.

use serde::{Deserialize, Serialize};

use crate::store::history::Catalog;
use crate::store::runs::Shelved;
use crate::store::{Batch, Engine, EngineError, record};

/// Under this key of the base stands the [`Manifest`].
const KEY: &[u8] = b"\0journal";
/// Under this one stands what it says of the history.
const HISTORY: &[u8] = b"\0journal/history";
/// Writes that a manifest takes.
pub(super) const WRITES: usize = 2;

/// Whether nobody but the journal is to see a key of the base.
pub(super) fn is_hidden(key: &[u8]) -> bool {
    key.starts_with(KEY)
}

/// Written in one flush of the base with what it tells of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Manifest {
    /// Drawn when the store was made: no file of another store can pass for one of this.
    pub(super) store: u64,
    /// Everything in the segments before this one has been settled.
    pub(super) segment: u64,
    /// The number of its first record.
    pub(super) first: u64,
    /// The runs, the oldest first.
    pub(super) runs: Vec<Shelved>,
    /// The number of the next run.
    pub(super) next_run: u64,
    /// After an end in order: the number of the record that would have come next.
    pub(super) ended: Option<u64>,
    /// The runs of the history; none in a store from before there was one.
    #[serde(skip)]
    pub(super) history: Catalog,
}

impl Manifest {
    pub(super) fn read(base: &dyn Engine) -> Result<Option<Manifest>, EngineError> {
        let Some(bytes) = base.get(KEY)? else {
            return Ok(None);
        };
        let mut manifest: Manifest = record::decode(KEY, &bytes)?;
        if let Some(bytes) = base.get(HISTORY)? {
            manifest.history = record::decode(HISTORY, &bytes)?;
        }
        Ok(Some(manifest))
    }

    /// Adds it to what the base is to write.
    pub(super) fn write(&self, batch: &mut Batch) -> Result<(), EngineError> {
        batch.put(KEY.to_vec(), record::encode(self)?);
        batch.put(HISTORY.to_vec(), record::encode(&self.history)?);
        Ok(())
    }

    /// Makes it durable, with all that the base was told before.
    pub(super) fn keep(&self, base: &dyn Engine) -> Result<(), EngineError> {
        let mut batch = Batch::default();
        self.write(&mut batch)?;
        base.apply(batch)?;
        base.flush()
    }
}
