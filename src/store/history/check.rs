//! What an operator has when runs of the history are damaged.

use std::sync::Arc;

use crate::store::EngineError;
use crate::store::files::Folder;
use crate::store::runs::{self, Run, Shape};

use super::Kept;

/// Reads all of a run; the error names what cannot be read.
pub fn verify(runs: &dyn Folder, store: u64, kept: &Kept) -> Result<(), EngineError> {
    Run::open(Shape::HISTORY, runs, store, kept.shelved)?.verify()
}

/// Writes a run of that number with what can be read of another, which is damaged, and stands in its place then. One
/// without entries is not to be kept.
pub fn rescue(
    runs: Arc<dyn Folder>,
    store: u64,
    damaged: &Kept,
    into: u64,
) -> Result<Kept, EngineError> {
    let run = damaged.shelved.run;
    Ok(Kept {
        shelved: runs::rescue(Shape::HISTORY, runs, store, run, into)?,
        ..*damaged
    })
}
