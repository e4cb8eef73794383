//! Where a store lives during a test, and what a restart does to it.

use std::sync::Arc;

use tempfile::TempDir;
use yizhan::store::Engine;
use yizhan::store::memory::MemoryEngine;
use yizhan::store::sled::SledEngine;

pub(crate) trait House {
    fn build() -> Self;

    fn engine(&self) -> Arc<dyn Engine>;

    /// Ends the engine, which nobody else may hold any more, and starts it again.
    fn restart(&mut self);
}

/// A store in memory outlives its restarts here, and loses what was not flushed.
pub(crate) struct Memory(Arc<MemoryEngine>);

impl House for Memory {
    fn build() -> Memory {
        Memory(Arc::new(MemoryEngine::new()))
    }

    fn engine(&self) -> Arc<dyn Engine> {
        self.0.clone()
    }

    fn restart(&mut self) {
        assert_eq!(Arc::strong_count(&self.0), 1);
        self.0.crash(0);
    }
}

pub(crate) struct Sled {
    engine: Option<Arc<SledEngine>>,
    dir: TempDir,
}

impl House for Sled {
    fn build() -> Sled {
        let dir = tempfile::tempdir().unwrap();
        let mut house = Sled { engine: None, dir };
        house.restart();
        house
    }

    fn engine(&self) -> Arc<dyn Engine> {
        self.engine.clone().unwrap()
    }

    fn restart(&mut self) {
        if let Some(engine) = self.engine.take() {
            assert_eq!(Arc::strong_count(&engine), 1);
        }
        let engine = SledEngine::open(self.dir.path()).unwrap();
        self.engine = Some(Arc::new(engine));
    }
}
