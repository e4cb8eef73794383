//! An engine that fails when it is told to, in the ways that engines were seen to.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use parking_lot::Mutex;
use yizhan::store::memory::MemoryEngine;
use yizhan::store::{Batch, Engine, EngineError};

use crate::bugs::Bug;
use crate::plants;

/// Which call fails, and how far it got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    Get,
    Scan,
    /// Nothing is written.
    ApplyBefore,
    /// It is written and visible, and reported as failed.
    ApplyAfter,
    /// Nothing is on the disk yet.
    FlushBefore,
    /// Everything is on the disk, and it is reported as failed.
    FlushAfter,
}

/// What the engine does until it is opened again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Afterwards {
    Works,
    /// It serves what it holds, rows of a failed batch among it, and refuses to write: so sled was seen to be.
    ServesOnly,
    RefusesAll,
}

/// One failure.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    pub fault: Fault,
    /// The engine panics instead of returning an error.
    pub panics: bool,
    pub afterwards: Afterwards,
    /// How often it cannot be opened.
    pub reopen_fails: u32,
    /// How many batches that were not flushed are found when it is opened again: some of them, or none, as sled.
    pub kept: usize,
}

/// A memory engine under plans.
pub struct FailingEngine {
    pub disk: MemoryEngine,
    pub batch_max: usize,
    bug: Option<Bug>,
    /// Writes of the largest batch there was.
    pub largest: AtomicUsize,
    /// Nothing is armed and nothing is broken, which is nearly always so.
    sound: AtomicBool,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    armed: Option<Plan>,
    broken: Option<Plan>,
    failures: u64,
    panics: u64,
}

impl FailingEngine {
    pub fn new(batch_max: usize, bug: Option<Bug>) -> FailingEngine {
        FailingEngine {
            batch_max,
            bug,
            largest: AtomicUsize::new(0),
            disk: MemoryEngine::new(),
            sound: AtomicBool::new(true),
            state: Mutex::default(),
        }
    }

    /// The next call of that sort fails.
    pub fn arm(&self, plan: Plan) {
        self.sound.store(false, Ordering::Relaxed);
        self.state.lock().armed = Some(plan);
    }

    /// What has not failed yet never will.
    pub fn disarm(&self) {
        self.state.lock().armed = None;
    }

    /// A new process opens it.
    pub fn restart(&self) {
        let mut state = self.state.lock();
        state.armed = None;
        state.broken = None;
        self.sound.store(true, Ordering::Relaxed);
    }

    /// How often it failed, and how many of these were panics.
    pub fn failures(&self) -> (u64, u64) {
        let state = self.state.lock();
        (state.failures, state.panics)
    }

    fn meets(&self, fault: Fault) -> Result<(), EngineError> {
        if self.sound.load(Ordering::Relaxed) {
            return Ok(());
        }
        let mut state = self.state.lock();
        let writes = !matches!(fault, Fault::Get | Fault::Scan);
        let refuses = state.broken.is_some_and(|plan| match plan.afterwards {
            Afterwards::Works => false,
            Afterwards::ServesOnly => writes,
            Afterwards::RefusesAll => true,
        });
        if refuses {
            return Err(EngineError::Failed("the engine is broken".into()));
        }
        let Some(plan) = state.armed.take_if(|plan| plan.fault == fault) else {
            return Ok(());
        };
        state.broken = Some(plan);
        state.failures += 1;
        if plan.panics {
            state.panics += 1;
            drop(state);
            // Past the panic hook, which would print it.
            std::panic::resume_unwind(Box::new("the engine panics"));
        }
        Err(EngineError::Failed(format!("{fault:?} fails")))
    }
}

impl Engine for FailingEngine {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, EngineError> {
        self.meets(Fault::Get)?;
        self.disk.get(key)
    }

    fn scan(
        &self,
        from: &[u8],
        to: &[u8],
        visit: &mut dyn FnMut(&[u8], &[u8]) -> bool,
    ) -> Result<(), EngineError> {
        self.meets(Fault::Scan)?;
        self.disk.scan(from, to, visit)
    }

    fn batch_max(&self) -> usize {
        self.batch_max
    }

    fn forgets_dedupe(&self) -> bool {
        self.disk.forgets_dedupe()
    }

    fn keeps_history(&self) -> bool {
        self.disk.keeps_history()
    }

    fn apply(&self, batch: Batch) -> Result<(), EngineError> {
        self.largest.fetch_max(batch.len(), Ordering::Relaxed);
        self.meets(Fault::ApplyBefore)?;
        let batch = match self.bug {
            Some(bug) => plants::bend(bug, &self.disk, batch),
            None => batch,
        };
        self.disk.apply(batch)?;
        self.meets(Fault::ApplyAfter)
    }

    fn flush(&self) -> Result<(), EngineError> {
        self.meets(Fault::FlushBefore)?;
        self.disk.flush()?;
        self.meets(Fault::FlushAfter)
    }

    fn reopen(&self) -> Result<(), EngineError> {
        let mut state = self.state.lock();
        if let Some(plan) = &mut state.broken
            && plan.reopen_fails > 0
        {
            plan.reopen_fails -= 1;
            return Err(EngineError::Failed("it cannot be opened".into()));
        }
        let kept = state.broken.take().map_or(0, |plan| plan.kept);
        self.sound.store(state.armed.is_none(), Ordering::Relaxed);
        self.disk.crash(kept);
        Ok(())
    }
}
