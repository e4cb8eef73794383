//! The engine on disk: a log first. A batch is one record of the log, and durable when the log is synced; what it wrote
//! is read from memory until it is settled, a while later, into the base beneath. Most messages are acknowledged
//! before that, and never come so far.
//!
//! - `segment`, `log`: the files of the log and the end that is written.
//! - `overlay`: what was written and is not settled; `memtable`: the dedupe entries among it.
//! - `settler`: the thread that moves it into the base, and lets go of segments.
//! - `replay`: what is read when the store is opened.
//! - `manifest`: what the base says of the log and the runs.
//! - `check`, `salvage`: what an operator has when the store is damaged.

mod check;
mod log;
mod manifest;
mod memtable;
mod overlay;
mod replay;
mod salvage;
mod segment;
mod settler;
mod shelf;

use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;
use std::time::Duration;

use parking_lot::RwLock;

use crate::metrics::Metrics;

use super::files::{DiskFolder, Folder};
use super::sled::SledEngine;
use super::{Batch, Engine, EngineError, history, record};

use log::{Empty, Log};
use manifest::Manifest;
use replay::Replayed;
use segment::Identity;
use settler::{Settler, Shared};
use shelf::{Layers, Shelf, meets_dedupe};

pub use check::{Findings, check};
pub use salvage::salvage;

/// The file of the log that a salvage writes, until it is one of the log.
const SALVAGED: &str = "salvaged";
/// Writes that a batch may hold. A commit hardly ever needs two, and an inbox is written once with each.
const BATCH: usize = 2048;
/// Entries of the overlay that a scan takes at once.
const SCAN_STEP: usize = 512;

/// Says of the value of a dedupe entry that it need not be kept any longer.
pub type Forgets = Box<dyn Fn(&[u8]) -> bool + Send + Sync>;

/// How long messages are at hand, and what time it is.
pub struct Keeping {
    /// Unix milliseconds.
    pub now: Box<dyn Fn() -> u64 + Send + Sync>,
    /// Milliseconds.
    pub keep_ms: u64,
}

/// The bounds of a journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// A segment of so many bytes is closed.
    pub segment: u64,
    /// So is one with so many removals of what the base may have, and does not rest: they are small in the log and large
    /// in memory.
    pub removals: usize,
    /// A closed segment is settled after this long.
    pub rest: Duration,
    /// What is not settled may take this many bytes of memory before it is settled sooner, and this many before commits
    /// wait for that.
    pub memory: (usize, usize),
    /// The same for the bytes of closed segments.
    pub log: (u64, u64),
    /// Whether a thread settles by itself; without it only [`Journal::settle`] does.
    pub by_itself: bool,
}

impl Default for Bounds {
    fn default() -> Bounds {
        Bounds {
            segment: 8 << 20,
            removals: 16 << 10,
            rest: Duration::from_secs(3),
            memory: (64 << 20, 256 << 20),
            log: (192 << 20, 768 << 20),
            by_itself: true,
        }
    }
}

/// Where a journal has its files.
#[derive(Clone)]
pub struct Place {
    /// The segments of the log.
    pub log: Arc<dyn Folder>,
    /// The runs of the dedupe index.
    pub index: Arc<dyn Folder>,
    /// Those of the history, and what is too old for it.
    pub history: history::Place,
    /// Everything else that is settled.
    pub base: Arc<dyn Engine>,
}

impl Place {
    /// The files of the store in a directory, with its base, or a copy of it, in another.
    pub fn at(path: &Path, base: &Path) -> Result<Place, EngineError> {
        Ok(Place {
            base: Arc::new(SledEngine::open(base)?),
            log: Arc::new(DiskFolder::open(&path.join("log"))?),
            index: Arc::new(DiskFolder::open(&path.join("index"))?),
            history: history::Place {
                runs: Arc::new(DiskFolder::open(&path.join("history"))?),
                archive: Arc::new(DiskFolder::open(&path.join("archive"))?),
            },
        })
    }
}

/// A log over a base.
pub struct Journal {
    place: Place,
    bounds: Bounds,
    metrics: Metrics,
    forgets: Arc<OnceLock<Forgets>>,
    keeping: Arc<OnceLock<Keeping>>,
    open: RwLock<Option<Open>>,
}

struct Open {
    shared: Arc<Shared>,
    settler: Option<JoinHandle<()>>,
}

impl Journal {
    /// Opens or creates the store in a directory.
    pub fn at(path: &Path, metrics: Metrics) -> Result<Journal, EngineError> {
        let place = Place::at(path, &path.join("sled"))?;
        Journal::open(place, Bounds::default(), metrics)
    }

    /// Opens or creates a store in this place.
    pub fn open(place: Place, bounds: Bounds, metrics: Metrics) -> Result<Journal, EngineError> {
        let (forgets, keeping) = (Arc::default(), Arc::default());
        let open = Open::new(&place, bounds, &metrics, &forgets, &keeping)?;
        Ok(Journal {
            place,
            bounds,
            metrics,
            forgets,
            keeping,
            open: RwLock::new(Some(open)),
        })
    }

    /// Says which dedupe entries need not be kept; before that, all are.
    pub fn forget(&self, forgets: Forgets) {
        // The first word stands.
        let _ = self.forgets.set(forgets);
    }

    /// Says how long messages are at hand; before that, all are.
    pub fn keep(&self, keeping: Keeping) {
        // The first word stands.
        let _ = self.keeping.set(keeping);
    }

    /// Settles everything that was flushed, at once.
    pub fn settle(&self) -> Result<(), EngineError> {
        self.with(|open| {
            open.shared.flush(&mut open.shared.log.lock(), Log::end)?;
            open.shared.settle_all()
        })
    }

    /// What has been written and is not settled: bytes of memory, and of closed segments.
    pub fn unsettled(&self) -> (usize, u64) {
        let open = self.open.read();
        open.as_ref().map_or((0, 0), |open| open.shared.unsettled())
    }

    fn with<T>(&self, act: impl FnOnce(&Open) -> Result<T, EngineError>) -> Result<T, EngineError> {
        match self.open.read().as_ref() {
            Some(open) => act(open),
            None => Err(EngineError::Failed("the store is closed".into())),
        }
    }
}

impl Engine for Journal {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, EngineError> {
        self.with(|open| {
            if let Some(written) = open.shared.overlay.read().get(key) {
                return Ok(written.map(<[u8]>::to_vec));
            }
            open.shared.shelf.get(key)
        })
    }

    fn scan(
        &self,
        from: &[u8],
        to: &[u8],
        visit: &mut dyn FnMut(&[u8], &[u8]) -> bool,
    ) -> Result<(), EngineError> {
        self.with(|open| open.scan(from, to, visit))
    }

    fn batch_max(&self) -> usize {
        BATCH
    }

    fn forgets_dedupe(&self) -> bool {
        let base_has_dedupe = |open: &Open| Ok(open.shared.shelf.base_has_dedupe);
        self.forgets.get().is_some() && self.with(base_has_dedupe) == Ok(false)
    }

    fn keeps_history(&self) -> bool {
        true
    }

    fn apply(&self, batch: Batch) -> Result<(), EngineError> {
        if batch.is_empty() {
            return Ok(());
        }
        self.with(|open| {
            let shared = &open.shared;
            shared.wait_for_room()?;
            let mut log = shared.log.lock();
            let number = shared.trying(|| log.append(&batch))?;
            let mut overlay = shared.overlay.write();
            for write in batch.writes {
                overlay.write(write, number);
            }
            Ok(())
        })
    }

    fn flush(&self) -> Result<(), EngineError> {
        self.with(|open| {
            let shared = &open.shared;
            let mut log = shared.log.lock();
            let flush = match shared.is_to_be_closed() {
                true => Log::end,
                false => Log::flush,
            };
            shared.flush(&mut log, flush)
        })
    }

    fn reopen(&self) -> Result<(), EngineError> {
        let mut open = self.open.write();
        // Nobody may write any more when the files are read.
        *open = None;
        self.place.base.reopen()?;
        let (place, forgets, keeping) = (&self.place, &self.forgets, &self.keeping);
        *open = Some(Open::new(
            place,
            self.bounds,
            &self.metrics,
            forgets,
            keeping,
        )?);
        Ok(())
    }

    fn close(&self) -> Result<(), EngineError> {
        let mut open = self.open.write();
        match open.take() {
            Some(open) => open.end(),
            None => Ok(()),
        }
    }
}

impl Open {
    fn new(
        place: &Place,
        bounds: Bounds,
        metrics: &Metrics,
        forgets: &Arc<OnceLock<Forgets>>,
        keeping: &Arc<OnceLock<Keeping>>,
    ) -> Result<Open, EngineError> {
        let bounds = fitted(bounds, &*place.log)?;
        let mut manifest = match Manifest::read(&*place.base)? {
            Some(manifest) => manifest,
            None => found(place)?,
        };
        let shelf = Shelf::open(place, &manifest)?;
        let Replayed {
            overlay,
            closed,
            next,
            segment,
            empty,
            cut,
        } = replay::replay(&*place.log, &manifest)?;
        metrics.cut_tails(cut);
        let empty = match empty {
            Some(empty) => empty,
            None => Empty::make(&*place.log, segment, fill(bounds, &*place.log)?)?,
        };
        if manifest.ended.take().is_some() {
            manifest.keep(&*place.base)?;
        }
        let log = Log::new(empty, next, bounds.segment);
        let settler = Settler {
            manifest,
            job: None,
        };
        let shared = Arc::new(Shared::new(
            place.log.clone(),
            bounds,
            metrics.clone(),
            forgets.clone(),
            keeping.clone(),
            log,
            overlay,
            shelf,
            settler,
            closed,
        ));
        let settler = match bounds.by_itself {
            true => Some(settler::start(shared.clone())?),
            false => None,
        };
        Ok(Open { shared, settler })
    }

    fn scan(
        &self,
        from: &[u8],
        to: &[u8],
        visit: &mut dyn FnMut(&[u8], &[u8]) -> bool,
    ) -> Result<(), EngineError> {
        if meets_dedupe(from, to) {
            // Before the overlay is locked for it.
            let parts = self.shared.overlay.read().dedupe.settling(u64::MAX);
            for part in parts {
                part.in_order();
            }
        }
        let (mut from, mut goes_on) = (from.to_vec(), true);
        while from.as_slice() <= to && goes_on {
            // What settles from here on is in the base by the time it leaves the overlay, so the base is read after the
            // overlay, and anew with each part of it.
            let (written, more) = self.shared.overlay.read().range(&from, to, SCAN_STEP);
            let last = written.last().map(|(key, _)| key.clone());
            let to = match &last {
                Some(last) if more => last.as_slice(),
                _ => to,
            };
            let mut layers = Layers::over(written, visit);
            goes_on = self.shared.shelf.scan(&from, to, &mut layers)?;
            match last {
                Some(last) if more => {
                    from = last;
                    from.push(0);
                }
                _ => return Ok(()),
            }
        }
        Ok(())
    }

    /// Ends in order: with a footer, and the word of the base that nothing comes after it.
    fn end(mut self) -> Result<(), EngineError> {
        self.stop();
        self.shared.sound()?;
        let mut log = self.shared.log.lock();
        log.end()?;
        self.shared.end(log.place().1)
    }

    fn stop(&mut self) {
        self.shared.stop();
        if let Some(settler) = self.settler.take()
            && settler.join().is_err()
        {
            ::log::error!("the settler ended by a panic");
        }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Begins a journal over a base that has none: a new store, or one of an older layout.
fn found(place: &Place) -> Result<Manifest, EngineError> {
    for name in place.log.names()? {
        if Identity::segment_of(&name).is_some() {
            let file = place.log.open(&name)?;
            let bytes = super::files::read_all(&*file)?;
            if bytes.iter().skip(segment::HEADER).any(|byte| *byte != 0) {
                return Err(EngineError::Failed(format!(
                    "{}: a log without the store that it belongs to: put the store's directory `sled` back",
                    place.log.path(&name)
                )));
            }
            place.log.remove(&name)?;
        }
    }
    let mut store = [0; 8];
    getrandom::fill(&mut store)
        .map_err(|error| EngineError::Failed(format!("no random number is to be had: {error}")))?;
    let manifest = Manifest {
        store: u64::from_be_bytes(store),
        segment: 1,
        first: 1,
        runs: Vec::new(),
        next_run: 1,
        ended: None,
        history: history::Catalog::default(),
    };
    // Before the base says that it is there.
    let first = Identity {
        store: manifest.store,
        segment: manifest.segment,
    };
    Empty::make(&*place.log, first, 0)?;
    let mut batch = Batch::default();
    manifest.write(&mut batch)?;
    // A build that knows of no log must refuse the store from the first record on.
    if let Some(layout) = place.base.get(record::LAYOUT_KEY)?
        && record::decode::<u32>(record::LAYOUT_KEY, &layout)? == record::LAYOUTS_BEFORE[0]
    {
        batch.put(
            record::LAYOUT_KEY.to_vec(),
            record::encode(&record::LAYOUT)?,
        );
        ::log::info!(
            "the store had layout {}, and has a log from here on",
            record::LAYOUTS_BEFORE[0]
        );
    }
    place.base.apply(batch)?;
    place.base.flush()?;
    Ok(manifest)
}

/// Segments that a small file system has room for.
fn fitted(bounds: Bounds, folder: &dyn Folder) -> Result<Bounds, EngineError> {
    let segment = bounds.segment.min((folder.free()? / 16).max(1 << 20));
    Ok(Bounds { segment, ..bounds })
}

/// How much of a segment is made beforehand: all of it where there is plenty of room, or nothing.
fn fill(bounds: Bounds, folder: &dyn Folder) -> Result<u64, EngineError> {
    match folder.free()? / 32 > bounds.segment {
        true => Ok(bounds.segment),
        false => Ok(0),
    }
}
