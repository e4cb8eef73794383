//! The layout that a store says it has.

use super::{Batch, Engine, EngineError, record};

/// Checks the layout of a store, writing it into an empty one; true if it was empty.
pub fn prepare(engine: &dyn Engine) -> Result<bool, EngineError> {
    if let Some(found) = engine.get(record::LAYOUT_KEY)? {
        let layout: u32 = record::decode(record::LAYOUT_KEY, &found)?;
        if record::LAYOUTS_BEFORE.contains(&layout) {
            log::info!("the store had layout {layout}, and has conversations from here on");
            write_layout(engine)?;
            return Ok(false);
        }
        if layout != record::LAYOUT {
            return Err(EngineError::Failed(format!(
                "the store has layout {layout}, and this build reads layout {}: run the version that wrote it, or start with another store.path",
                record::LAYOUT
            )));
        }
        return Ok(false);
    }
    let mut foreign = None;
    engine.scan(&[], &[0xff; 256], &mut |key, _| {
        foreign = Some(key.escape_ascii().to_string());
        false
    })?;
    if let Some(key) = foreign {
        return Err(EngineError::Failed(format!(
            "the store names no layout and is not empty (first key {key}): it was not written by yizhan"
        )));
    }
    write_layout(engine)?;
    Ok(true)
}

/// Writes the layout, which is a try as well: an engine that could be opened may still have no room.
pub fn write_layout(engine: &dyn Engine) -> Result<(), EngineError> {
    let mut batch = Batch::default();
    batch.put(
        record::LAYOUT_KEY.to_vec(),
        record::encode(&record::LAYOUT)?,
    );
    engine.apply(batch)?;
    engine.flush()
}
