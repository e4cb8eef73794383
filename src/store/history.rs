//! Every message that was stored, for as long as it is kept at hand: sorted runs, those of a day apart from others.
//!
//! A value may be written over under its key, but always with the time at which it was accepted. So all versions of a
//! key are in one period, runs are merged within their period only, and a period that is old enough leaves as a whole,
//! into a file of `store::archive`.
//!
//! - `key`: what the keys say; `live`: which runs there are; `batch`: new ones; `merge`, `leave`: what becomes of them.
//! - `check`: what an operator has when one is damaged.
//!
//! Everything that changes it is in three steps, so that it can be told in one flush of the base: write the files, keep
//! the [`Catalog`] that a step says, then take the step. What was written and is in no catalog is removed by the next
//! open.

mod batch;
mod check;
mod key;
mod leave;
mod live;
mod merge;

use std::sync::Arc;

use parking_lot::RwLock;
use serde::{Deserialize, Serialize};

use super::EngineError;
use super::archive;
use super::files::Folder;
use super::runs::{self, Entries, Found, Run, Shape, Shelved};

use live::{Leaf, Live};

pub use batch::{Batch, Written};
pub use check::{rescue, verify};
pub use key::{DAY_MS, KEY, TABLE, end_of, key_of, parts_of, period_of};
pub use leave::{Leaving, Left};
pub use merge::{Merged, Merging};

/// What is to be known of a value that is opaque otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sight<'a> {
    /// When the message was accepted, Unix milliseconds: the same in every version of it.
    pub server_ts: u64,
    /// Its sender.
    pub from: u64,
    /// What is searched, if there is anything left of it.
    pub text: Option<&'a str>,
    /// False if it is to be gone for good with its period.
    pub may_be_archived: bool,
}

/// Looks at a value; none if it cannot be read.
pub type Look = fn(&[u8]) -> Option<Sight<'_>>;

/// Where a history has its files.
#[derive(Clone)]
pub struct Place {
    /// The runs.
    pub runs: Arc<dyn Folder>,
    /// What is too old for them.
    pub archive: Arc<dyn Folder>,
}

/// A run of a period.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    /// The period: days since 1970 began, UTC.
    pub period: u32,
    /// No message in it was accepted earlier, Unix milliseconds.
    pub first_ts: u64,
    /// And none later.
    pub last_ts: u64,
    /// The run.
    pub shelved: Shelved,
}

/// What is known of a history outside of it. It is written in one flush of the base with what else it has to agree with.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Catalog {
    /// The runs: the oldest period first, and in a period the oldest run.
    pub kept: Vec<Kept>,
    /// Periods before this one are in the archive, but for what came late and is still in runs.
    pub archived: u32,
}

/// The messages at hand.
pub struct History {
    place: Place,
    store: u64,
    live: RwLock<Arc<Live>>,
}

impl History {
    /// Opens the runs of a catalog, and removes every other file that looks like one, and unfinished ones of the archive.
    pub fn open(place: Place, store: u64, catalog: &Catalog) -> Result<History, EngineError> {
        let mut live = Live::new(catalog.archived);
        for kept in &catalog.kept {
            let run = Run::open(Shape::HISTORY, &*place.runs, store, kept.shelved)?;
            live.push(Leaf::new(*kept, run), 0);
        }
        let named = |kept: &Kept| runs::run::name_of(kept.shelved.run);
        let names: Vec<String> = catalog.kept.iter().map(named).collect();
        for name in place.runs.names()? {
            if runs::run::is_name(&name) && !names.contains(&name) {
                place.runs.remove(&name)?;
            }
        }
        archive::sweep(&*place.archive)?;
        let live = RwLock::new(Arc::new(live));
        Ok(History { place, store, live })
    }

    /// The newest value under a key; an error of a damaged block is one of this request alone.
    pub fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, EngineError> {
        match self.find(key)? {
            Some((_, Found::Value(value))) => Ok(Some(value)),
            _ => Ok(None),
        }
    }

    /// The entries from `from` to `to`, both included, in key order: the newest of each key, removals among them. Runs
    /// that have nothing between two keys of one conversation are not read.
    pub fn entries(&self, from: &[u8], to: &[u8]) -> Result<Entries, EngineError> {
        let live = self.live.read().clone();
        let scan = Shape::HISTORY.scan(from, to);
        let runs = live.leaves().map(|leaf| &leaf.run);
        Entries::of(runs.filter(|run| run.may_have(&scan)), from, to)
    }

    /// Begins to write down what has come, in runs from this number on.
    pub fn begin(&self, next_run: u64) -> Batch<'_> {
        Batch::begin(self, next_run)
    }

    /// What is to be kept of it now.
    pub fn catalog(&self) -> Catalog {
        self.live.read().catalog()
    }

    /// How many runs there are, and how many bytes they have.
    pub fn size(&self) -> (usize, u64) {
        let live = self.live.read().clone();
        let bytes = live.leaves().map(|leaf| leaf.kept.shelved.bytes);
        (live.leaves().count(), bytes.sum())
    }

    /// Leaves a period as it is until the next open: it is neither merged nor archived. For one with a damaged block, which
    /// would fail again and again.
    pub fn set_aside(&self, period: u32) {
        self.change(|live| live.set_aside(period));
    }

    /// Whether there is room for the run that the merge which is due will write, and for `margin` more bytes.
    pub fn has_room_to_merge(&self, now: u64, margin: u64) -> bool {
        let due = self.live.read().due(now);
        due.is_none_or(|(_, inputs)| has_room(&*self.place.runs, &inputs, margin))
    }

    /// Whether there is room for the file of the archive that a period becomes, and for `margin` more bytes.
    pub fn has_room_to_leave(&self, period: u32, margin: u64) -> bool {
        let inputs = self.live.read().runs_of(period);
        has_room(&*self.place.archive, &inputs, margin)
    }

    /// What the newest run that knows the key says of it, and the period it is of.
    fn find(&self, key: &[u8]) -> Result<Option<(u32, Found)>, EngineError> {
        let (live, hash) = (self.live.read().clone(), Shape::HISTORY.hash(key));
        for leaf in live.leaves().rev() {
            match leaf.run.get(key, hash)? {
                Found::Nothing => {}
                found => return Ok(Some((leaf.kept.period, found))),
            }
        }
        Ok(None)
    }

    /// Readers go on with what they have; those who come see the change.
    fn change<T>(&self, act: impl FnOnce(&mut Live) -> T) -> T {
        let mut live = self.live.write();
        let mut changed = live.as_ref().clone();
        let done = act(&mut changed);
        *live = Arc::new(changed);
        done
    }

    /// Removes the files of runs that nobody will ask for any more.
    fn remove(&self, runs: &[Arc<Run>]) -> Result<(), EngineError> {
        for run in runs {
            let name = runs::run::name_of(run.shelved().run);
            self.place.runs.remove(&name)?;
        }
        Ok(())
    }
}

/// Whether what is made of these runs finds room: it is not larger than they are. Where that cannot be known, it is tried.
fn has_room(folder: &dyn Folder, inputs: &[Arc<Run>], margin: u64) -> bool {
    let bytes: u64 = inputs.iter().map(|run| run.shelved().bytes).sum();
    let needed = bytes.saturating_add(margin);
    folder.free().map_or(true, |free| free >= needed)
}
