//! Which runs there are, by period.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::store::runs::{self, Run};

use super::key::end_of;
use super::{Catalog, Kept};

/// A period that is over is quiet when nothing has come for this long, ms.
const QUIET: u64 = 3_600_000;
/// Two runs of a quiet period stay two while the newer one is smaller than by this factor: a late edit here and there must
/// not have a whole day written anew.
const SLIGHT: u64 = 8;

/// A run with what is known of it.
#[derive(Clone)]
pub(super) struct Leaf {
    pub(super) kept: Kept,
    pub(super) run: Arc<Run>,
}

/// The runs of one period, the oldest first.
#[derive(Clone, Default)]
struct Period {
    leaves: Vec<Leaf>,
    /// When the last of them came, Unix milliseconds; 0 if it was there at the start.
    touched: u64,
    is_aside: bool,
}

/// All runs.
#[derive(Clone)]
pub(super) struct Live {
    periods: BTreeMap<u32, Period>,
    pub(super) archived: u32,
}

impl Leaf {
    pub(super) fn new(kept: Kept, run: Run) -> Leaf {
        let run = Arc::new(run);
        Leaf { kept, run }
    }
}

impl Live {
    pub(super) fn new(archived: u32) -> Live {
        Live {
            periods: BTreeMap::new(),
            archived,
        }
    }

    /// Takes in a run that is newer than all others of its period.
    pub(super) fn push(&mut self, leaf: Leaf, now: u64) {
        let period = self.periods.entry(leaf.kept.period).or_default();
        period.leaves.push(leaf);
        period.touched = now;
    }

    /// The runs, the oldest period first, and in a period the oldest run.
    pub(super) fn leaves(&self) -> impl DoubleEndedIterator<Item = &Leaf> {
        let periods = self.periods.values();
        periods.flat_map(|period| &period.leaves)
    }

    pub(super) fn catalog(&self) -> Catalog {
        Catalog {
            kept: self.leaves().map(|leaf| leaf.kept).collect(),
            archived: self.archived,
        }
    }

    pub(super) fn set_aside(&mut self, period: u32) {
        if let Some(period) = self.periods.get_mut(&period) {
            period.is_aside = true;
        }
    }

    /// The runs of a period, the oldest first.
    pub(super) fn runs_of(&self, period: u32) -> Vec<Arc<Run>> {
        let leaves = self.periods.get(&period).map(|period| &period.leaves);
        let leaves = leaves.into_iter().flatten();
        leaves.map(|leaf| leaf.run.clone()).collect()
    }

    /// The period with runs that should become one, and those runs. The newest period first: that is where messages are
    /// read.
    pub(super) fn due(&self, now: u64) -> Option<(u32, Vec<Arc<Run>>)> {
        let mut periods = self.periods.iter().rev();
        periods.find_map(|(number, period)| {
            let from = period.due(*number, now)?;
            let leaves = period.leaves.get(from..)?;
            let runs = leaves.iter().map(|leaf| leaf.run.clone());
            Some((*number, runs.collect()))
        })
    }

    /// The oldest period whose last message is to be kept no longer.
    pub(super) fn due_for_archive(&self, now: u64, keep_ms: u64) -> Option<u32> {
        let mut periods = self.periods.iter();
        let is_over = |period: u32| end_of(period).saturating_add(keep_ms) <= now;
        let (period, _) = periods.find(|(number, period)| is_over(**number) && !period.is_aside)?;
        Some(*period)
    }

    /// Puts a run, or nothing, in the place of some that are side by side; false if they are not there.
    pub(super) fn replace(&mut self, period: u32, runs: &[Arc<Run>], by: Option<Leaf>) -> bool {
        let Some(place) = self.place_of(period, runs) else {
            return false;
        };
        if let Some(own) = self.periods.get_mut(&period) {
            own.leaves.splice(place..place + runs.len(), by);
            if own.leaves.is_empty() {
                self.periods.remove(&period);
            }
        }
        true
    }

    fn place_of(&self, period: u32, runs: &[Arc<Run>]) -> Option<usize> {
        let leaves = &self.periods.get(&period)?.leaves;
        let same = |(leaf, run): (&Leaf, &Arc<Run>)| Arc::ptr_eq(&leaf.run, run);
        let mut places = leaves.windows(runs.len().max(1));
        places.position(|leaves| leaves.iter().zip(runs).all(same))
    }
}

impl Period {
    fn due(&self, number: u32, now: u64) -> Option<usize> {
        if self.is_aside {
            return None;
        }
        let bytes = |leaf: &Leaf| leaf.kept.shelved.bytes;
        let grown = runs::due(self.leaves.iter().map(bytes));
        grown.or_else(|| {
            let is_over = now >= end_of(number) && now.saturating_sub(self.touched) >= QUIET;
            let (first, newer) = self.leaves.split_first()?;
            let newer_bytes: u64 = newer.iter().map(bytes).sum();
            let is_worth_it = newer.len() > 1 || newer_bytes.saturating_mul(SLIGHT) > bytes(first);
            (is_over && !newer.is_empty() && is_worth_it).then_some(0)
        })
    }
}
