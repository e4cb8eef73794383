//! An engine over another one that fails when it is told to. For the tests that look inside the server.
// Each test binary compiles all of this and uses a part of it.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used, clippy::expect_used)]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::Sender;

use parking_lot::Mutex;
use yizhan::store::{Batch, Engine, EngineError};

/// What is asked of an engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    Get,
    Scan,
    Apply,
    Flush,
    Reopen,
}

/// Whether a call that fails has done before what it was asked: then the outcome is unknown to the caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    Before,
    After,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ill {
    Error,
    Panic,
}

/// What is to happen to the next calls.
#[derive(Clone, Copy, Debug)]
pub struct Fault {
    /// The calls it is about; none for all of them.
    pub call: Option<Call>,
    /// Calls that are done well before.
    pub after: usize,
    /// Calls that fail then.
    pub times: usize,
    pub when: When,
    pub ill: Ill,
}

/// The engine inside is reached by `inner`, past every fault.
pub struct Faulty<E: ?Sized> {
    pub inner: Arc<E>,
    /// What was applied and not flushed is there after a reopen; otherwise it is lost.
    pub keeps_unflushed: bool,
    /// After a fault every write fails until it is reopened, while rows of the failed batch go on being served.
    pub stays_ill: bool,
    faults: Mutex<Vec<Fault>>,
    is_ill: AtomicBool,
    /// Planned when something has failed: what happens on the way back.
    pub then: Mutex<Option<Fault>>,
    /// The calls of each kind, failed ones among them.
    calls: Mutex<[usize; 5]>,
    pub failed: AtomicUsize,
    pub reopened: AtomicUsize,
    pub flushes: AtomicUsize,
    /// How many writes each batch had.
    pub batches: Mutex<Vec<usize>>,
    /// While somebody holds it, no flush ends.
    pub gate: Mutex<()>,
    /// Hears of every flush that comes to the gate.
    pub porter: Mutex<Option<Sender<()>>>,
}

impl<E: Engine + ?Sized> Faulty<E> {
    pub fn over(inner: Arc<E>) -> Faulty<E> {
        Faulty {
            inner,
            keeps_unflushed: false,
            stays_ill: false,
            faults: Mutex::default(),
            is_ill: AtomicBool::new(false),
            then: Mutex::new(None),
            calls: Mutex::default(),
            failed: AtomicUsize::new(0),
            reopened: AtomicUsize::new(0),
            flushes: AtomicUsize::new(0),
            batches: Mutex::default(),
            gate: Mutex::new(()),
            porter: Mutex::new(None),
        }
    }

    pub fn plan(&self, fault: Fault) {
        self.faults.lock().push(fault);
    }

    /// The next call of this kind fails before it does anything.
    pub fn fail_next(&self, call: Call, ill: Ill) {
        self.plan(Fault {
            call: Some(call),
            after: 0,
            times: 1,
            when: When::Before,
            ill,
        });
    }

    /// Nothing fails any more.
    pub fn heal(&self) {
        self.faults.lock().clear();
    }

    /// How often it was asked for this.
    pub fn calls(&self, call: Call) -> usize {
        self.calls.lock()[call as usize]
    }

    pub fn failed(&self) -> usize {
        self.failed.load(Ordering::SeqCst)
    }

    fn pass<T>(
        &self,
        call: Call,
        act: impl FnOnce() -> Result<T, EngineError>,
    ) -> Result<T, EngineError> {
        self.calls.lock()[call as usize] += 1;
        let fault = self.next_fault(call);
        if let Some((When::Before, ill)) = fault {
            return Err(self.fail(call, ill));
        }
        if self.is_ill.load(Ordering::SeqCst) && matches!(call, Call::Apply | Call::Flush) {
            return Err(EngineError::Failed(format!("{call:?} of an ill engine")));
        }
        let done = act()?;
        match fault {
            Some((_, ill)) => Err(self.fail(call, ill)),
            None => Ok(done),
        }
    }

    /// Each kind of call has its own queue of faults, and so have all calls together.
    fn next_fault(&self, call: Call) -> Option<(When, Ill)> {
        let mut faults = self.faults.lock();
        let mut hit = None;
        for about in [Some(call), None] {
            let next = faults
                .iter_mut()
                .find(|fault| fault.call == about && fault.times > 0);
            match next {
                Some(fault) if fault.after > 0 => fault.after -= 1,
                Some(fault) if hit.is_none() => {
                    fault.times -= 1;
                    hit = Some((fault.when, fault.ill));
                }
                _ => {}
            }
        }
        hit
    }

    fn fail(&self, call: Call, ill: Ill) -> EngineError {
        self.failed.fetch_add(1, Ordering::SeqCst);
        self.is_ill.store(self.stays_ill, Ordering::SeqCst);
        if let Some(next) = self.then.lock().take() {
            self.plan(next);
        }
        match ill {
            Ill::Error => EngineError::Failed(format!("{call:?} fails as planned")),
            Ill::Panic => panic!("{call:?} panics as planned"),
        }
    }
}

impl<E: Engine + ?Sized> Engine for Faulty<E> {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, EngineError> {
        self.pass(Call::Get, || self.inner.get(key))
    }

    fn scan(
        &self,
        from: &[u8],
        to: &[u8],
        visit: &mut dyn FnMut(&[u8], &[u8]) -> bool,
    ) -> Result<(), EngineError> {
        self.pass(Call::Scan, || self.inner.scan(from, to, visit))
    }

    fn batch_max(&self) -> usize {
        self.inner.batch_max()
    }

    fn forgets_dedupe(&self) -> bool {
        self.inner.forgets_dedupe()
    }

    fn keeps_history(&self) -> bool {
        self.inner.keeps_history()
    }

    fn apply(&self, batch: Batch) -> Result<(), EngineError> {
        self.batches.lock().push(batch.len());
        self.pass(Call::Apply, || self.inner.apply(batch))
    }

    fn flush(&self) -> Result<(), EngineError> {
        if let Some(porter) = &*self.porter.lock() {
            // A porter who has gone need not hear of it.
            let _ = porter.send(());
        }
        let _gate = self.gate.lock();
        self.pass(Call::Flush, || {
            self.flushes.fetch_add(1, Ordering::SeqCst);
            self.inner.flush()
        })
    }

    fn reopen(&self) -> Result<(), EngineError> {
        self.pass(Call::Reopen, || {
            self.reopened.fetch_add(1, Ordering::SeqCst);
            self.is_ill.store(false, Ordering::SeqCst);
            if self.keeps_unflushed {
                self.inner.flush()?;
            }
            self.inner.reopen()
        })
    }
}
