//! An engine without a disk: for tests, for the simulator, and for a server that may forget.

use std::collections::BTreeMap;

use parking_lot::Mutex;

use super::{Batch, Engine, EngineError};

/// A map in memory that remembers how to lose what was not flushed.
#[derive(Debug, Default)]
pub struct MemoryEngine {
    state: Mutex<State>,
}

/// What stood under the keys of a batch before it.
type Replaced = Vec<(Vec<u8>, Option<Vec<u8>>)>;

#[derive(Debug, Default)]
struct State {
    map: BTreeMap<Vec<u8>, Vec<u8>>,
    /// For each batch since the last flush, what it replaced.
    unflushed: Vec<Replaced>,
}

impl MemoryEngine {
    /// An empty store.
    pub fn new() -> MemoryEngine {
        MemoryEngine::default()
    }

    /// How many batches a crash could lose.
    pub fn unflushed(&self) -> usize {
        self.state.lock().unflushed.len()
    }

    /// Loses everything since the last flush but the first `kept` batches, as a crash does.
    pub fn crash(&self, kept: usize) {
        let mut state = self.state.lock();
        while state.unflushed.len() > kept {
            for (key, value) in state.unflushed.pop().into_iter().flatten().rev() {
                match value {
                    Some(value) => drop(state.map.insert(key, value)),
                    None => drop(state.map.remove(&key)),
                }
            }
        }
        state.unflushed.clear();
    }
}

impl Engine for MemoryEngine {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, EngineError> {
        Ok(self.state.lock().map.get(key).cloned())
    }

    fn scan(
        &self,
        from: &[u8],
        to: &[u8],
        visit: &mut dyn FnMut(&[u8], &[u8]) -> bool,
    ) -> Result<(), EngineError> {
        if from > to {
            return Ok(());
        }
        let state = self.state.lock();
        let range = state.map.range::<[u8], _>((
            std::ops::Bound::Included(from),
            std::ops::Bound::Included(to),
        ));
        for (key, value) in range {
            if !visit(key, value) {
                break;
            }
        }
        Ok(())
    }

    fn forgets_dedupe(&self) -> bool {
        false
    }

    fn keeps_history(&self) -> bool {
        false
    }

    fn apply(&self, batch: Batch) -> Result<(), EngineError> {
        let mut state = self.state.lock();
        let mut undo = Vec::with_capacity(batch.len());
        for (key, value) in batch.into_writes() {
            let old = match value {
                Some(value) => state.map.insert(key.clone(), value),
                None => state.map.remove(&key),
            };
            undo.push((key, old));
        }
        state.unflushed.push(undo);
        Ok(())
    }

    fn flush(&self) -> Result<(), EngineError> {
        self.state.lock().unflushed.clear();
        Ok(())
    }

    fn reopen(&self) -> Result<(), EngineError> {
        self.crash(0);
        Ok(())
    }
}
