//! What is drawn once for a store, and stays with it.

use crate::store::{Batch, Engine, EngineError, record};

/// Draws what the ids of notices are made with, if the store has none yet.
pub(super) fn ensure_notices(engine: &dyn Engine) -> Result<(), EngineError> {
    if engine.get(record::NOTICES_KEY)?.is_some() {
        return Ok(());
    }
    let mut random = [0; 16];
    getrandom::fill(&mut random)
        .map_err(|error| EngineError::Failed(format!("no random number is to be had: {error}")))?;
    let mut batch = Batch::default();
    batch.put(record::NOTICES_KEY.to_vec(), record::encode(&random)?);
    engine.apply(batch)?;
    engine.flush()
}
