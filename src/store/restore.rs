//! Puts a backup into an empty store.

use std::io::Read;

use super::backup::file::{Damage, Decoder};
use super::ledger::write_layout;
use super::{BATCH_MAX, Batch, Engine, EngineError, record};

/// Bytes between two flushes.
const FLUSH_EVERY: usize = 64 << 20;

/// Why a backup is not in the store.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// The backup is not a whole one.
    #[error(transparent)]
    Backup(#[from] Damage),
    /// It holds no store.
    #[error("it holds no store: the record {} is not in it", record::LAYOUT_KEY.escape_ascii())]
    Empty,
    /// The store failed.
    #[error("the store could not be written: {0}")]
    Store(#[from] EngineError),
}

/// Reads a backup to its end and keeps nothing of it.
pub fn verify(backup: &mut Decoder<impl Read>) -> Result<(), RestoreError> {
    let mut has_layout = false;
    while let Some(records) = backup.block()? {
        has_layout |= records.iter().any(|(key, _)| key == record::LAYOUT_KEY);
    }
    has_layout.then_some(()).ok_or(RestoreError::Empty)
}

/// Writes a backup into an empty store, which then is as it was when the backup ended.
pub fn replay(backup: &mut Decoder<impl Read>, engine: &dyn Engine) -> Result<(), RestoreError> {
    let (mut batch, mut unflushed) = (Batch::default(), 0);
    while let Some(records) = backup.block()? {
        for (key, value) in records.iter() {
            match value {
                Some(value) => batch.put(key.to_vec(), value.to_vec()),
                None => batch.delete(key.to_vec()),
            }
            if batch.len() == BATCH_MAX {
                engine.apply(std::mem::take(&mut batch))?;
            }
        }
        unflushed += records.size();
        if unflushed > FLUSH_EVERY {
            unflushed = 0;
            engine.flush()?;
        }
    }
    engine.apply(batch)?;
    engine.flush()?;
    // What is restored has a log, whatever it was taken from.
    match engine.get(record::LAYOUT_KEY)? {
        Some(layout) if is_before_log(&layout) => Ok(write_layout(engine)?),
        _ => Ok(()),
    }
}

fn is_before_log(layout: &[u8]) -> bool {
    record::decode::<u32>(record::LAYOUT_KEY, layout) == Ok(record::LAYOUTS_BEFORE[0])
}
