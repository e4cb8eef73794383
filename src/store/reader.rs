//! Reads pages of inboxes, of conversations and of lists aside, so that no actor waits for a disk.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SendError, Sender, channel};
use std::thread::JoinHandle;

use parking_lot::Mutex;

use crate::clock::Clock;
use crate::message::look::{Found, Look};

use super::committer::Busy;
use super::ledger;
use super::{Engine, EngineError};

/// Reads that may wait: a device has at most a pull and a window of syncs outstanding.
const QUEUE: usize = 65_536;
/// Threads that read.
const READERS: usize = 2;

/// Where what is found goes; `A` says who asked.
pub trait FoundOutlet<A>: Send + Sync + 'static {
    /// What was asked for, or none if it could not be read.
    fn found(&self, asker: A, found: Option<Found>);
}

/// How long what is read is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Keeps {
    /// A row of an inbox, milliseconds.
    pub ttl_ms: u64,
    /// A message of a conversation, milliseconds.
    pub history_ms: u64,
}

/// The way to the readers; they end when the last one of these is gone.
pub struct ReadQueue<A> {
    requests: Sender<(A, Look)>,
    waiting: Arc<AtomicUsize>,
}

impl<A> Clone for ReadQueue<A> {
    fn clone(&self) -> Self {
        ReadQueue {
            requests: self.requests.clone(),
            waiting: self.waiting.clone(),
        }
    }
}

impl<A> ReadQueue<A> {
    /// Reads that wait.
    pub fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    /// Asks; the answer goes to the outlet with `asker`, which comes back if there is no room.
    pub fn submit(&self, asker: A, look: Look) -> Result<(), (Busy, A)> {
        if self.waiting.fetch_add(1, Ordering::Relaxed) >= QUEUE {
            self.waiting.fetch_sub(1, Ordering::Relaxed);
            return Err((Busy, asker));
        }
        let sent = self.requests.send((asker, look));
        sent.map_err(|SendError((asker, _))| {
            self.waiting.fetch_sub(1, Ordering::Relaxed);
            (Busy, asker)
        })
    }
}

/// Starts the readers, each on a thread of its own; what is older than is kept is left out.
pub fn start<A: Send + 'static>(
    engine: Arc<dyn Engine>,
    clock: Clock,
    keeps: Keeps,
    outlet: impl FoundOutlet<A>,
) -> std::io::Result<(ReadQueue<A>, Vec<JoinHandle<()>>)> {
    let (requests, reads) = channel();
    let reads = Arc::new(Mutex::new(reads));
    let waiting = Arc::<AtomicUsize>::default();
    let outlet = Arc::new(outlet);
    let failing = Arc::new(AtomicBool::new(false));
    let threads = (0..READERS)
        .map(|number| {
            let (engine, reads, outlet) = (engine.clone(), reads.clone(), outlet.clone());
            let waiting = waiting.clone();
            let clock = clock.clone();
            let failing = failing.clone();
            std::thread::Builder::new()
                .name(format!("reader-{number}"))
                .spawn(move || {
                    while let Some((asker, look)) = take(&reads) {
                        waiting.fetch_sub(1, Ordering::Relaxed);
                        let found = read_safely(&*engine, &look, clock.now_ms(), keeps);
                        report(&failing, found.as_ref().err());
                        outlet.found(asker, found.ok());
                    }
                })
        })
        .collect::<std::io::Result<_>>()?;
    Ok((ReadQueue { requests, waiting }, threads))
}

/// A panic of the engine is an error like others: it must not end the reader, and whoever asked must hear.
fn read_safely(
    engine: &dyn Engine,
    look: &Look,
    now: u64,
    keeps: Keeps,
) -> Result<Found, EngineError> {
    let oldest = now.saturating_sub(keeps.ttl_ms);
    let kept = now.saturating_sub(keeps.history_ms);
    let read = || ledger::found(engine, look, now, oldest, kept);
    let attempt = catch_unwind(AssertUnwindSafe(read));
    attempt.unwrap_or_else(|_| Err(EngineError::Failed("the engine panicked".into())))
}

/// Says when reads begin to fail and when they work again: each device tries again several times a second, and a disk
/// that is full has no room for a line about each.
fn report(failing: &AtomicBool, error: Option<&EngineError>) {
    let failed = failing.swap(error.is_some(), Ordering::Relaxed);
    match error {
        Some(error) if !failed => log::error!("rows cannot be read: {error}"),
        None if failed => log::warn!("rows can be read again"),
        _ => {}
    }
}

fn take<A>(looks: &Mutex<Receiver<(A, Look)>>) -> Option<(A, Look)> {
    looks.lock().recv().ok()
}
