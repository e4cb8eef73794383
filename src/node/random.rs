//! What is drawn once for a store, and stays with it.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::store::{Batch, Engine, EngineError, record};

/// What the store has under a key; what is made of random bytes, and flushed, if it has nothing there yet.
pub(super) fn once<T: Serialize + DeserializeOwned, const N: usize>(
    engine: &dyn Engine,
    key: &[u8],
    make: impl FnOnce([u8; N]) -> T,
) -> Result<T, EngineError> {
    if let Some(value) = engine.get(key)? {
        return record::decode(key, &value);
    }
    let mut random = [0; N];
    getrandom::fill(&mut random)
        .map_err(|error| EngineError::Failed(format!("no random number is to be had: {error}")))?;
    let made = make(random);
    let mut batch = Batch::default();
    batch.put(key.to_vec(), record::encode(&made)?);
    engine.apply(batch)?;
    engine.flush()?;
    Ok(made)
}
