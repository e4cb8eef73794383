//! What has come since the last time, written down as one run for each period.

use std::collections::BTreeMap;

use crate::store::EngineError;
use crate::store::runs::{Builder, Found, Shape};

use super::live::Leaf;
use super::{Catalog, History, Kept, period_of};

/// Periods that are written at once. A batch with more of them gets more than one run for some.
const OPEN: usize = 32;

/// Runs that are being written. What it wrote is removed by the next open if it does not come to its end.
pub struct Batch<'a> {
    history: &'a History,
    next_run: u64,
    open: BTreeMap<u32, Open>,
    leaves: Vec<Leaf>,
    last: Vec<u8>,
}

struct Open {
    into: Builder,
    first_ts: u64,
    last_ts: u64,
}

/// Runs that are on the disk and not in the history yet.
pub struct Written {
    leaves: Vec<Leaf>,
    next_run: u64,
}

impl<'a> Batch<'a> {
    pub(super) fn begin(history: &'a History, next_run: u64) -> Batch<'a> {
        Batch {
            history,
            next_run,
            open: BTreeMap::new(),
            leaves: Vec::new(),
            last: Vec::new(),
        }
    }

    /// Adds a message that was accepted at `ts`, Unix milliseconds, or another version of it; an error if the key is not
    /// above the one before.
    pub fn add(&mut self, key: &[u8], value: &[u8], ts: u64) -> Result<(), EngineError> {
        self.follow(key)?;
        self.write(period_of(ts), key, Some(value), Some(ts))
    }

    /// Adds that there is nothing under a key any more. What is not at hand stays where it is.
    pub fn remove(&mut self, key: &[u8]) -> Result<(), EngineError> {
        self.follow(key)?;
        match self.history.find(key)? {
            Some((period, Found::Value(_))) => self.write(period, key, None, None),
            _ => Ok(()),
        }
    }

    /// Whether nothing was added.
    pub fn is_empty(&self) -> bool {
        self.open.is_empty() && self.leaves.is_empty()
    }

    /// Ends it: all that was added is on the disk, and shown to nobody yet.
    pub fn finish(mut self) -> Result<Written, EngineError> {
        self.close_all()?;
        if !self.leaves.is_empty() {
            self.history.place.runs.sync()?;
        }
        Ok(Written {
            leaves: self.leaves,
            next_run: self.next_run,
        })
    }

    fn follow(&mut self, key: &[u8]) -> Result<(), EngineError> {
        if self.last.as_slice() >= key {
            let why = format!("the history was given {key:02x?} behind {:02x?}", self.last);
            return Err(EngineError::Failed(why));
        }
        self.last.clear();
        self.last.extend_from_slice(key);
        Ok(())
    }

    fn write(
        &mut self,
        period: u32,
        key: &[u8],
        value: Option<&[u8]>,
        ts: Option<u64>,
    ) -> Result<(), EngineError> {
        if !self.open.contains_key(&period) {
            if self.open.len() >= OPEN {
                self.close_all()?;
            }
            let open = self.open(ts)?;
            self.open.insert(period, open);
        }
        let Some(open) = self.open.get_mut(&period) else {
            return Ok(());
        };
        if let Some(ts) = ts {
            open.first_ts = open.first_ts.min(ts);
            open.last_ts = open.last_ts.max(ts);
        }
        open.into.add(key, value)
    }

    fn open(&mut self, ts: Option<u64>) -> Result<Open, EngineError> {
        let (folder, run) = (self.history.place.runs.clone(), self.next_run);
        self.next_run += 1;
        Ok(Open {
            into: Builder::begin(Shape::HISTORY, folder, self.history.store, run)?,
            first_ts: ts.unwrap_or(u64::MAX),
            last_ts: ts.unwrap_or(0),
        })
    }

    fn close_all(&mut self) -> Result<(), EngineError> {
        for (period, open) in std::mem::take(&mut self.open) {
            let run = open.into.close()?;
            let kept = Kept {
                period,
                first_ts: open.first_ts,
                last_ts: open.last_ts,
                shelved: run.shelved(),
            };
            self.leaves.push(Leaf::new(kept, run));
        }
        Ok(())
    }
}

impl Written {
    /// The number of the next run.
    pub fn next_run(&self) -> u64 {
        self.next_run
    }

    /// The runs, those of a period in their order.
    pub fn kept(&self) -> impl Iterator<Item = Kept> {
        self.leaves.iter().map(|leaf| leaf.kept)
    }
}

impl History {
    /// What is to be kept when these runs are in the history.
    pub fn with(&self, written: &Written) -> Catalog {
        let mut live = self.live.read().as_ref().clone();
        for leaf in &written.leaves {
            live.push(leaf.clone(), 0);
        }
        live.catalog()
    }

    /// Takes in runs that are newer than all others; `now` in Unix milliseconds.
    pub fn push(&self, written: Written, now: u64) {
        self.change(|live| {
            for leaf in written.leaves {
                live.push(leaf, now);
            }
        });
    }
}
