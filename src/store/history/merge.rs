//! Runs of one period that become one.

use std::sync::Arc;

use crate::store::EngineError;
use crate::store::runs::{Builder, Merge, Run, Shape};

use super::live::Leaf;
use super::{Catalog, History, Kept};

/// A merge under way, taken in steps.
pub struct Merging {
    period: u32,
    merge: Merge,
    first_ts: u64,
    last_ts: u64,
}

/// A merged run that is on the disk, and those whose place it is to take.
pub struct Merged {
    period: u32,
    inputs: Vec<Arc<Run>>,
    by: Leaf,
}

impl Merging {
    /// The period whose runs these are.
    pub fn period(&self) -> u32 {
        self.period
    }

    /// Takes so many entries further; false when there are no more.
    pub fn step(&mut self, entries: usize) -> Result<bool, EngineError> {
        self.merge.step(entries, &|_| false)
    }

    /// Ends it: the merged run is on the disk, and shown to nobody yet.
    pub fn finish(self) -> Result<Merged, EngineError> {
        let (inputs, run) = self.merge.finish()?;
        let kept = Kept {
            period: self.period,
            first_ts: self.first_ts,
            last_ts: self.last_ts,
            shelved: run.shelved(),
        };
        Ok(Merged {
            period: self.period,
            inputs,
            by: Leaf::new(kept, run),
        })
    }
}

impl Merged {
    /// The merged run, unless nothing is in it.
    fn leaf(&self) -> Option<Leaf> {
        (self.by.kept.shelved.entries > 0).then(|| self.by.clone())
    }
}

impl History {
    /// The period that has runs to merge, if one has; `now` in Unix milliseconds.
    pub fn due(&self, now: u64) -> Option<u32> {
        Some(self.live.read().due(now)?.0)
    }

    /// Begins the merge that is due into a run of that number, if one is. There is to be one at a time, and none while a
    /// period leaves. A period whose first block is damaged is set aside.
    pub fn merge(&self, now: u64, run: u64) -> Result<Option<Merging>, EngineError> {
        let live = self.live.read().clone();
        let Some((period, inputs)) = live.due(now) else {
            return Ok(None);
        };
        let of_inputs = |leaf: &&Leaf| inputs.iter().any(|input| Arc::ptr_eq(input, &leaf.run));
        let kept = || live.leaves().filter(of_inputs).map(|leaf| leaf.kept);
        let (first_ts, last_ts) = (
            kept().map(|kept| kept.first_ts).min().unwrap_or(u64::MAX),
            kept().map(|kept| kept.last_ts).max().unwrap_or(0),
        );
        let all = live.runs_of(period);
        // What came late lies over the archive, where a removal still has something to hide.
        let to_the_ground = match (all.first(), inputs.first()) {
            (Some(oldest), Some(first)) => period >= live.archived && Arc::ptr_eq(oldest, first),
            _ => false,
        };
        let folder = self.place.runs.clone();
        let into = Builder::begin(Shape::HISTORY, folder, self.store, run)?;
        Ok(Some(Merging {
            period,
            merge: Merge::begin(inputs, into, to_the_ground)
                .inspect_err(|_| self.set_aside(period))?,
            first_ts,
            last_ts,
        }))
    }

    /// What is to be kept when a merged run is in its place.
    pub fn replaced(&self, merged: &Merged) -> Catalog {
        let mut live = self.live.read().as_ref().clone();
        live.replace(merged.period, &merged.inputs, merged.leaf());
        live.catalog()
    }

    /// Puts a merged run in the place of those that went into it, whose files go.
    pub fn replace(&self, merged: Merged) -> Result<(), EngineError> {
        let (leaf, Merged { period, inputs, by }) = (merged.leaf(), merged);
        let is_used = leaf.is_some();
        if !self.change(|live| live.replace(period, &inputs, leaf)) {
            // They have left meanwhile, and what became of them goes with them.
            return self.remove(&[by.run]);
        }
        if !is_used {
            self.remove(&[by.run])?;
        }
        self.remove(&inputs)
    }
}
