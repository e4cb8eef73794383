//! Reads pages of inboxes, of conversations and of lists aside, so that no actor waits for a disk.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SendError, Sender, channel};
use std::thread::JoinHandle;

use parking_lot::Mutex;

use crate::clock::Clock;
use crate::message::look::{Found, Look};
use crate::message::{Fate, Page};

use super::committer::Busy;
use super::durable::Durable;
use super::ledger;
use super::{Engine, EngineError};

/// Reads that may wait: a device has at most a pull and a window of syncs outstanding.
const QUEUE: usize = 65_536;
/// Threads that read what is owed to devices.
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
    rows: Sender<(A, Look)>,
    /// A list of somebody's conversations may take a thousand reads: what is owed to a device does not stand behind it.
    others: Sender<(A, Look)>,
    waiting: Arc<AtomicUsize>,
}

impl<A> Clone for ReadQueue<A> {
    fn clone(&self) -> Self {
        ReadQueue {
            rows: self.rows.clone(),
            others: self.others.clone(),
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
        let requests = match look {
            Look::Rows(_) => &self.rows,
            _ => &self.others,
        };
        let sent = requests.send((asker, look));
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
    durable: Durable,
    outlet: impl FoundOutlet<A>,
) -> std::io::Result<(ReadQueue<A>, Vec<JoinHandle<()>>)> {
    let (rows, of_rows) = channel();
    let (others, of_others) = channel();
    let of_rows = Arc::new(Mutex::new(of_rows));
    let of_others = Arc::new(Mutex::new(of_others));
    let waiting = Arc::<AtomicUsize>::default();
    let outlet = Arc::new(outlet);
    let failing = Arc::new(AtomicBool::new(false));
    let threads = (0..=READERS)
        .map(|number| {
            let is_of_rows = number < READERS;
            let reads = if is_of_rows { &of_rows } else { &of_others };
            let (engine, reads, outlet) = (engine.clone(), reads.clone(), outlet.clone());
            let (waiting, durable) = (waiting.clone(), durable.clone());
            let clock = clock.clone();
            let failing = failing.clone();
            std::thread::Builder::new()
                .name(format!("reader-{number}"))
                .spawn(move || {
                    while let Some((asker, look)) = take(&reads) {
                        waiting.fetch_sub(1, Ordering::Relaxed);
                        let openings = durable.openings();
                        let found = read_safely(&*engine, &look, clock.now_ms(), keeps);
                        report(&failing, found.as_ref().err());
                        let found = found.ok();
                        outlet.found(asker, found.and_then(|f| told(f, &durable, openings)));
                    }
                })
        })
        .collect::<std::io::Result<_>>()?;
    let queue = ReadQueue {
        rows,
        others,
        waiting,
    };
    Ok((queue, threads))
}

/// What may be told of what was read. The place of a row that was asked for is durable, and its message may have been
/// changed since: such a row is read again when that is flushed, and everything else is said after a commit.
fn told(found: Found, durable: &Durable, openings: u64) -> Option<Found> {
    let Found::Rows(mut page) = found else {
        return Some(found);
    };
    let in_doubt = page.rows.iter().position(|row| match row.message.fate {
        Fate::Edited(at) => !durable.has(at, openings),
        _ => false,
    });
    if let Some(first) = in_doubt {
        end_before(&mut page, first)?;
    }
    Some(Found::Rows(page))
}

/// Ends a page before one of its rows; none if it is the first.
fn end_before(page: &mut Page, row: usize) -> Option<()> {
    page.rows.get(row.checked_sub(1)?)?;
    page.scanned_to = page.rows.get(row)?.seq - 1;
    page.rows.truncate(row);
    Some(())
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
