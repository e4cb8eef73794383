//! Where a store lives during a test, and what a restart does to it.

use std::sync::Arc;

use tempfile::TempDir;
use yizhan::metrics::Metrics;
use yizhan::store::files::DiskFolder;
use yizhan::store::journal::{Bounds, Journal, Place};
use yizhan::store::memory::MemoryEngine;
use yizhan::store::sled::SledEngine;
use yizhan::store::{Engine, history};

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

/// A log over a base, on disk. At every other restart it has settled everything before.
pub(crate) struct Log {
    engine: Option<Arc<Journal>>,
    restarts: u32,
    dir: TempDir,
}

impl House for Log {
    fn build() -> Log {
        let mut house = Log {
            engine: None,
            restarts: 0,
            dir: tempfile::tempdir().unwrap(),
        };
        house.restart();
        house
    }

    fn engine(&self) -> Arc<dyn Engine> {
        self.engine.clone().unwrap()
    }

    fn restart(&mut self) {
        self.restarts += 1;
        if let Some(engine) = self.engine.take() {
            assert_eq!(Arc::strong_count(&engine), 1);
            if self.restarts.is_multiple_of(2) {
                engine.settle().unwrap();
            }
            if self.restarts.is_multiple_of(3) {
                engine.close().unwrap();
            }
        }
        let folder = |name| Arc::new(DiskFolder::open(&self.dir.path().join(name)).unwrap());
        let place = Place {
            base: Arc::new(SledEngine::open(&self.dir.path().join("sled")).unwrap()),
            log: folder("log"),
            index: folder("index"),
            history: history::Place {
                runs: folder("history"),
                archive: folder("archive"),
            },
        };
        // So small that segments are closed and settled all the time.
        let bounds = Bounds {
            segment: 4096,
            rest: std::time::Duration::ZERO,
            ..Bounds::default()
        };
        let engine = Journal::open(place, bounds, Metrics::new().unwrap()).unwrap();
        self.engine = Some(Arc::new(engine));
    }
}

/// The same, which forgets dedupe entries by itself, if any were past.
pub(crate) struct Forgetful(Log);

impl House for Forgetful {
    fn build() -> Forgetful {
        let house = Forgetful(Log::build());
        house.forget();
        house
    }

    fn engine(&self) -> Arc<dyn Engine> {
        self.0.engine()
    }

    fn restart(&mut self) {
        self.0.restart();
        self.forget();
    }
}

impl Forgetful {
    fn forget(&self) {
        if let Some(engine) = &self.0.engine {
            engine.forget(Box::new(|_| false));
        }
    }
}

/// The same, in which everything has been settled before anybody looks.
pub(crate) struct Settled(Log);

impl House for Settled {
    fn build() -> Settled {
        Settled(Log::build())
    }

    fn engine(&self) -> Arc<dyn Engine> {
        let engine = self.0.engine.clone().unwrap();
        engine.settle().unwrap();
        engine
    }

    fn restart(&mut self) {
        self.0.restart();
    }
}
