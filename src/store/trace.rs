//! The trace: what happened to every message in the last days, for an operator who asks for one of them.
//!
//! It is no promise of delivery. Hot threads leave small records in buffers and never wait, a thread takes them from
//! there a few times a second, and what that thread or its disk cannot take in time is lost, counted, and said. What lies
//! in a file survives the end of the process, but not always that of the machine: nothing is synced.
//!
//! - `shards`: the buffers, and the order of records across threads.
//! - `record`, `filter`, `block`: records, and many of them together with a filter over their keys.
//! - `thread`: makes blocks of the records.
//! - `file`, `shelf`, `writer`: where blocks are kept, for how long, and what is done when they cannot be.
//! - `search`: finds the records of a key.

mod block;
mod file;
mod filter;
mod record;
mod search;
mod shards;
mod shelf;
mod thread;
mod writer;

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;

use parking_lot::Mutex;

use super::files::{DiskFolder, Folder};

use search::Search;
use shards::{Left, Shards};
use shelf::Shelf;
use thread::Shared;

/// Reads the time: Unix milliseconds.
pub type Now = Arc<dyn Fn() -> u64 + Send + Sync>;

/// How much of the past is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Keep {
    /// Files that end before so many milliseconds ago are removed; 0 turns the trace off.
    pub ms: u64,
    /// The oldest files are removed for newer ones when all have so many bytes together; 0 turns the trace off.
    pub bytes: u64,
    /// Nothing is written while the file system has fewer free bytes than this.
    pub free: u64,
}

/// What a look-up came by besides the records.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// Records that are known to be lost, of whatever key.
    pub lost: u64,
    /// How often the process ended without its last records being written: up to a quarter of a second of them.
    pub cut: u64,
    /// Nothing is kept that is older, Unix milliseconds.
    pub from_ms: u64,
    /// Blocks that could not be read.
    pub damaged: u64,
}

/// What a trace has done since it was started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Records that were taken in.
    pub records: u64,
    /// Bytes of the blocks that were made of them.
    pub bytes: u64,
    /// Records that were lost, taken in before or not.
    pub lost: u64,
    /// Files that are kept.
    pub files: u64,
    /// Their bytes.
    pub on_disk: u64,
}

/// Why a trace did not do it.
#[derive(Debug, thiserror::Error)]
pub enum TraceError {
    /// Its files cannot be read.
    #[error("the files of the trace: {0}")]
    Files(io::Error),
    /// It has no thread.
    #[error("the thread of the trace: {0}")]
    Thread(io::Error),
    /// Its thread does not answer, because of its disk, or has ended by a panic.
    #[error("the trace is not being written: its thread does not answer")]
    Stuck,
}

/// Keeps records under keys; cheap to clone.
#[derive(Clone)]
pub struct Tracer(Option<Arc<Running>>);

struct Running {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Tracer {
    /// Starts a trace in a directory, or in memory, where it has at most 16 MiB and ends with the process.
    pub fn start(dir: Option<&Path>, keep: Keep, now: Now) -> Result<Tracer, TraceError> {
        if keep.ms == 0 || keep.bytes == 0 {
            return Ok(Tracer::off());
        }
        let Some(dir) = dir else {
            return Tracer::open(None, keep, now);
        };
        let folder = DiskFolder::open(dir).map_err(TraceError::Files)?;
        Tracer::open(Some(Arc::new(folder)), keep, now)
    }

    /// Starts a trace in a folder, or in memory.
    pub fn open(
        folder: Option<Arc<dyn Folder>>,
        keep: Keep,
        now: Now,
    ) -> Result<Tracer, TraceError> {
        if keep.ms == 0 || keep.bytes == 0 {
            return Ok(Tracer::off());
        }
        let shelf = Shelf::open(folder, now()).map_err(TraceError::Files)?;
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let shared = Arc::new(Shared::new(Shards::new(threads), Arc::new(shelf), now));
        let thread = shared.start(keep).map_err(TraceError::Thread)?;
        Ok(Tracer(Some(Arc::new(Running {
            shared,
            thread: Mutex::new(Some(thread)),
        }))))
    }

    /// A trace that keeps nothing.
    pub fn off() -> Tracer {
        Tracer(None)
    }

    /// Takes in what `write` writes, under a key that is a hash.
    ///
    /// It never waits. A record that finds no room, or that has a mebibyte or more, is lost and counted.
    pub fn record(&self, key: u64, write: impl FnOnce(&mut Vec<u8>)) {
        if let Some(running) = &self.0
            && running.shared.shards.leave(key, write) == Left::Wake
        {
            running.shared.wake();
        }
    }

    /// Shows every record of these keys that is kept, the oldest first.
    ///
    /// It reads files and may take a while; what is recorded meanwhile does not wait for it.
    pub fn find(
        &self,
        keys: &[u64],
        visit: &mut dyn FnMut(u64, &[u8]),
    ) -> Result<Found, TraceError> {
        self.flush()?;
        self.find_written(keys, visit)
    }

    /// The same among what is written by now: soon after a [`Tracer::find`] that is nearly everything, and each flush makes a
    /// block of its own.
    pub fn find_written(
        &self,
        keys: &[u64],
        visit: &mut dyn FnMut(u64, &[u8]),
    ) -> Result<Found, TraceError> {
        let Some(running) = &self.0 else {
            return Ok(Found::default());
        };
        let Shared {
            shards, shelf, now, ..
        } = &*running.shared;
        let snapshot = shelf.snapshot(|| shards.lost());
        Ok(Search::new(keys, visit).through(shelf, &snapshot, now()))
    }

    /// Returns when everything that was recorded before is in a file, if the disk takes it, and else in a block in memory.
    pub fn flush(&self) -> Result<(), TraceError> {
        match &self.0 {
            Some(running) if !running.shared.flush() => Err(TraceError::Stuck),
            _ => Ok(()),
        }
    }

    /// What was done so far.
    pub fn counts(&self) -> Counts {
        let Some(running) = &self.0 else {
            return Counts::default();
        };
        let Shared { shards, shelf, .. } = &*running.shared;
        shelf.with(|state| Counts {
            records: shards.left(),
            bytes: state.bytes,
            lost: shards.lost() + state.lost,
            files: state.files.len() as u64,
            on_disk: state.on_disk(),
        })
    }

    /// Writes what is in memory and ends the thread; whatever is recorded later is lost, and counted.
    pub fn end(&self) {
        if let Some(running) = &self.0 {
            running.end();
        }
    }
}

impl Running {
    fn end(&self) {
        let Some(thread) = self.thread.lock().take() else {
            return;
        };
        if !self.shared.stop() {
            log::warn!("the trace did not end: its thread does not answer");
            return;
        }
        if thread.join().is_err() {
            log::error!("the trace ended by a panic");
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.end();
    }
}
