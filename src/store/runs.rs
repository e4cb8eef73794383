//! Sorted files that are written once, the newest over the older ones: the dedupe index at rest, and, in another shape,
//! what `store::history` keeps.
//!
//! A tree pays for every small entry that comes at a random place; a run is written in one go, and merging them now and
//! then costs each entry a handful of copies in its life. Nearly every look-up is for a key that is not there, and ends
//! in the filter that each run keeps in memory.

pub(in crate::store) mod block;
mod bloom;
mod build;
mod index;
mod merge;
mod rescue;
pub(in crate::store) mod run;
mod shape;

use std::sync::Arc;

use parking_lot::RwLock;
use serde::{Deserialize, Serialize};

use super::EngineError;
use super::files::Folder;

pub use build::Builder;
pub use merge::{Entries, Merge};
pub(in crate::store) use rescue::rescue;
pub use run::{Found, Run};
pub use shape::{Scan, Shape};

/// Runs that are worth a merge, at least.
const FAN: usize = 4;

/// What is known of a run outside of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shelved {
    /// Its number, which no other run has.
    pub run: u64,
    /// How many entries it has, removals among them.
    pub entries: u64,
    /// The length of its file, bytes.
    pub bytes: u64,
}

/// All runs of the dedupe index of a store.
pub struct Runs {
    folder: Arc<dyn Folder>,
    store: u64,
    /// The oldest first.
    live: RwLock<Arc<Vec<Arc<Run>>>>,
}

impl Runs {
    /// Opens these runs, the oldest first, and removes every other file that looks like one.
    pub fn open(
        folder: Arc<dyn Folder>,
        store: u64,
        shelved: &[Shelved],
    ) -> Result<Runs, EngineError> {
        let live = shelved.iter().map(|shelved| {
            let run = Run::open(Shape::DEDUPE, &*folder, store, *shelved)?;
            Ok(Arc::new(run))
        });
        let live = live.collect::<Result<Vec<_>, EngineError>>()?;
        let names: Vec<String> = shelved.iter().map(|s| run::name_of(s.run)).collect();
        for name in folder.names()? {
            if run::is_name(&name) && !names.contains(&name) {
                folder.remove(&name)?;
            }
        }
        Ok(Runs {
            folder,
            store,
            live: RwLock::new(Arc::new(live)),
        })
    }

    /// Which store they are of.
    pub fn store(&self) -> u64 {
        self.store
    }

    /// What the newest run that knows the key says of it.
    pub fn get(&self, key: &[u8]) -> Result<Found, EngineError> {
        let (live, hash) = (self.live.read().clone(), Shape::DEDUPE.hash(key));
        for run in live.iter().rev() {
            match run.get(key, hash)? {
                Found::Nothing => {}
                found => return Ok(found),
            }
        }
        Ok(Found::Nothing)
    }

    /// The entries from `from` to `to`, both included, in key order: the newest of each key, removals among them.
    pub fn entries(&self, from: &[u8], to: &[u8]) -> Result<Entries, EngineError> {
        Entries::of(self.live.read().iter(), from, to)
    }

    /// Begins a run of that number.
    pub fn begin(&self, run: u64) -> Result<Builder, EngineError> {
        Builder::begin(Shape::DEDUPE, self.folder.clone(), self.store, run)
    }

    /// Takes in a run that is newer than all others.
    pub fn push(&self, run: Run) {
        let mut live = self.live.write();
        let mut runs = live.as_ref().clone();
        runs.push(Arc::new(run));
        *live = Arc::new(runs);
    }

    /// The runs that should become one, if there are any: adjacent ones, so that the order of their ages stays.
    pub fn due(&self) -> Option<Vec<Arc<Run>>> {
        let live = self.live.read().clone();
        let start = due(live.iter().map(|run| run.shelved().bytes))?;
        Some(live[start..].to_vec())
    }

    /// Begins to merge runs into one of that number; `forgets` says of a value that it need not be kept.
    pub fn merge(&self, inputs: Vec<Arc<Run>>, run: u64) -> Result<Merge, EngineError> {
        let oldest = self.live.read().first().cloned();
        let to_the_ground = oldest.is_some_and(|oldest| {
            let first = inputs.first();
            first.is_some_and(|first| Arc::ptr_eq(first, &oldest))
        });
        Merge::begin(inputs, self.begin(run)?, to_the_ground)
    }

    /// What the runs will be when a merged one stands in the place of its inputs.
    pub fn replaced(&self, inputs: &[Arc<Run>], by: Shelved) -> Vec<Shelved> {
        let mut shelved = self.shelved();
        let is_input = |s: &Shelved| inputs.iter().any(|input| input.shelved().run == s.run);
        let place = shelved.iter().position(is_input).unwrap_or(shelved.len());
        shelved.retain(|s| !is_input(s));
        if by.entries > 0 {
            shelved.insert(place, by);
        }
        shelved
    }

    /// Puts a merged run in the place of its inputs, whose files go.
    pub fn replace(&self, inputs: &[Arc<Run>], by: Run) -> Result<(), EngineError> {
        {
            let mut live = self.live.write();
            let mut runs = live.as_ref().clone();
            let is_input = |run: &Arc<Run>| inputs.iter().any(|input| Arc::ptr_eq(input, run));
            let place = runs.iter().position(is_input).unwrap_or(runs.len());
            runs.retain(|run| !is_input(run));
            let gone = by.shelved().entries == 0;
            if gone {
                self.folder.remove(&run::name_of(by.shelved().run))?;
            } else {
                runs.insert(place, Arc::new(by));
            }
            *live = Arc::new(runs);
        }
        for input in inputs {
            self.folder.remove(&run::name_of(input.shelved().run))?;
        }
        Ok(())
    }

    /// Writes a run of that number with what can be read of another, which is damaged.
    pub fn rescue(
        folder: Arc<dyn Folder>,
        store: u64,
        damaged: u64,
        into: u64,
    ) -> Result<Shelved, EngineError> {
        rescue(Shape::DEDUPE, folder, store, damaged, into)
    }

    /// The name of a run's file.
    pub fn name_of(run: u64) -> String {
        run::name_of(run)
    }

    /// All runs, the oldest first.
    pub fn shelved(&self) -> Vec<Shelved> {
        self.live.read().iter().map(|run| run.shelved()).collect()
    }
}

/// From which one on the runs of these sizes, the oldest first, should become one: each ends up larger than all newer ones
/// together, so there are never many.
pub(in crate::store) fn due(sizes: impl Iterator<Item = u64>) -> Option<usize> {
    let sizes: Vec<u64> = sizes.collect();
    (0..sizes.len().saturating_sub(FAN - 1)).find(|start| {
        let newer: u64 = sizes[start + 1..].iter().sum();
        sizes[*start] <= newer
    })
}
