//! A journal on that disk, and beside it a plain map that says what must be in it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;
use yizhan::metrics::Metrics;
use yizhan::store::journal::{Bounds, Journal, Place};
use yizhan::store::memory::MemoryEngine;
use yizhan::store::{Batch, Engine, EngineError, history};

use super::disk::Disk;

pub(crate) type Map = BTreeMap<Vec<u8>, Vec<u8>>;

/// So small that a few batches close a segment.
pub(crate) const BOUNDS: Bounds = Bounds {
    segment: 700,
    removals: 30,
    rest: Duration::ZERO,
    memory: (1 << 20, 4 << 20),
    log: (1 << 20, 4 << 20),
    by_itself: false,
};

/// What was applied, batch by batch.
#[derive(Clone, Default)]
pub(crate) struct Book {
    /// The store after each number of batches.
    states: Vec<Map>,
    /// How many batches were flushed.
    pub(crate) flushed: usize,
}

impl Book {
    pub(crate) fn new() -> Book {
        Book {
            states: vec![Map::new()],
            flushed: 0,
        }
    }

    pub(crate) fn now(&self) -> &Map {
        self.states.last().unwrap()
    }

    pub(crate) fn applied(&self) -> usize {
        self.states.len() - 1
    }

    pub(crate) fn after(&self, batches: usize) -> &Map {
        &self.states[batches]
    }

    pub(crate) fn apply(&mut self, batch: Batch) {
        let mut map = self.now().clone();
        for (key, value) in batch.into_writes() {
            match value {
                Some(value) => drop(map.insert(key, value)),
                None => drop(map.remove(&key)),
            }
        }
        self.states.push(map);
    }

    /// Whether the key ever had this value.
    pub(crate) fn ever_had(&self, key: &[u8], value: &[u8]) -> bool {
        let mut states = self.states.iter();
        states.any(|state| state.get(key).is_some_and(|own| own == value))
    }

    /// Goes back to the state that was found: after all that was flushed, and some of what was not. How many batches
    /// were lost.
    pub(crate) fn finds(&mut self, found: &Map) -> Result<usize, String> {
        let unflushed = self.flushed..self.states.len();
        let Some(kept) = unflushed.rev().find(|at| self.states[*at] == *found) else {
            return Err(format!(
                "what is there is no state after {} batches of {}",
                self.flushed,
                self.applied()
            ));
        };
        let lost = self.applied() - kept;
        self.states.truncate(kept + 1);
        self.flushed = kept;
        Ok(lost)
    }
}

/// A few writes at random, to a few keys of every sort.
pub(crate) fn batch(rng: &mut Rng, now: &Map) -> Batch {
    let mut batch = Batch::default();
    for _ in 0..rng.usize(1..6) {
        let table = b"bdimu"[rng.usize(..5)];
        let key = [&[table][..], &rng.u16(..40).to_be_bytes()].concat();
        if rng.u8(..3) == 0 {
            batch.delete(key);
            continue;
        }
        let value = vec![rng.u8(..); rng.usize(..60)];
        let is_new = !now.contains_key(&key) && batch.find(&key).is_none();
        match is_new && rng.u8(..4) > 0 {
            true => batch.insert(key, value),
            false => batch.put(key, value),
        }
    }
    batch
}

pub(crate) fn place(disk: &Arc<Disk>, base: &Arc<MemoryEngine>) -> Place {
    Place {
        log: disk.folder("log"),
        index: disk.folder("index"),
        history: history::Place {
            runs: disk.folder("history"),
            archive: disk.folder("archive"),
        },
        base: base.clone(),
    }
}

pub(crate) fn open(
    disk: &Arc<Disk>,
    base: &Arc<MemoryEngine>,
    bounds: Bounds,
) -> Result<(Journal, Metrics), EngineError> {
    let metrics = Metrics::new().unwrap();
    let journal = Journal::open(place(disk, base), bounds, metrics.clone())?;
    Ok((journal, metrics))
}

/// Everything in it, by a scan; and each of it by its key.
pub(crate) fn contents(engine: &dyn Engine) -> Result<Map, EngineError> {
    let mut map = Map::new();
    engine.scan(&[], &[0xff; 32], &mut |key, value| {
        let last = map.last_key_value().map(|(last, _): (&Vec<u8>, _)| last);
        assert!(
            last.is_none_or(|last| last.as_slice() < key),
            "out of order"
        );
        map.insert(key.to_vec(), value.to_vec());
        true
    })?;
    for table in *b"bdimu" {
        for n in 0..40u16 {
            let key = [&[table][..], &n.to_be_bytes()].concat();
            assert_eq!(engine.get(&key)?, map.get(&key).cloned());
        }
    }
    Ok(map)
}

/// Another engine with the same in it.
pub(crate) fn copy(base: &MemoryEngine) -> Arc<MemoryEngine> {
    let copy = MemoryEngine::new();
    let mut batch = Batch::default();
    base.scan(&[], &[0xff; 32], &mut |key, value| {
        batch.put(key.to_vec(), value.to_vec());
        true
    })
    .unwrap();
    copy.apply(batch).unwrap();
    copy.flush().unwrap();
    Arc::new(copy)
}

pub(crate) fn cuts(metrics: &Metrics) -> u64 {
    let text = String::from_utf8(metrics.render().unwrap()).unwrap();
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("yizhan_log_cuts_total "));
    line.unwrap().parse().unwrap()
}
