//! Reads pages of inboxes aside, so that no actor waits for a disk.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SendError, Sender, channel};
use std::thread::JoinHandle;

use parking_lot::Mutex;

use crate::clock::Clock;
use crate::message::{Page, Read};

use super::committer::Busy;
use super::ledger::read_page;
use super::{Engine, EngineError};

/// Reads that may wait: a device has at most a pull and a window of syncs outstanding.
const QUEUE: usize = 65_536;
/// Threads that read.
const READERS: usize = 2;

/// Where pages go; `A` says who asked.
pub trait PageOutlet<A>: Send + Sync + 'static {
    /// The rows asked for, or none if they could not be read.
    fn page(&self, asker: A, page: Option<Page>);
}

/// The way to the readers; they end when the last one of these is gone.
pub struct ReadQueue<A> {
    requests: Sender<(A, Read)>,
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

    /// Asks; the page goes to the outlet with `asker`, which comes back if there is no room.
    pub fn submit(&self, asker: A, read: Read) -> Result<(), (Busy, A)> {
        if self.waiting.fetch_add(1, Ordering::Relaxed) >= QUEUE {
            self.waiting.fetch_sub(1, Ordering::Relaxed);
            return Err((Busy, asker));
        }
        let sent = self.requests.send((asker, read));
        sent.map_err(|SendError((asker, _))| {
            self.waiting.fetch_sub(1, Ordering::Relaxed);
            (Busy, asker)
        })
    }
}

/// Starts the readers, each on a thread of its own; rows older than `ttl_ms` are left out.
pub fn start<A: Send + 'static>(
    engine: Arc<dyn Engine>,
    clock: Clock,
    ttl_ms: u64,
    outlet: impl PageOutlet<A>,
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
                    while let Some((asker, read)) = take(&reads) {
                        waiting.fetch_sub(1, Ordering::Relaxed);
                        let oldest = clock.now_ms().saturating_sub(ttl_ms);
                        let page = read_safely(&*engine, &read, oldest);
                        report(&failing, page.as_ref().err());
                        outlet.page(asker, page.ok());
                    }
                })
        })
        .collect::<std::io::Result<_>>()?;
    Ok((ReadQueue { requests, waiting }, threads))
}

/// A panic of the engine is an error like others: it must not end the reader, and whoever asked must hear.
fn read_safely(engine: &dyn Engine, read: &Read, oldest: u64) -> Result<Page, EngineError> {
    let attempt = catch_unwind(AssertUnwindSafe(|| read_page(engine, read, oldest)));
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

fn take<A>(reads: &Mutex<Receiver<(A, Read)>>) -> Option<(A, Read)> {
    reads.lock().recv().ok()
}
