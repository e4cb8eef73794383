//! What has been settled: runs for the dedupe index and for the history, the base for everything else.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::store::history::History;
use crate::store::runs::{Entries, Found, Runs};
use crate::store::{Engine, EngineError, record};

use super::overlay::KeyValue;
use super::{Place, manifest};

/// Everything that is at rest.
pub(super) struct Shelf {
    pub(super) base: Arc<dyn Engine>,
    pub(super) runs: Runs,
    pub(super) history: History,
    /// The base has dedupe entries of a store that had no runs.
    pub(super) base_has_dedupe: bool,
}

impl Shelf {
    pub(super) fn open(place: &Place, manifest: &manifest::Manifest) -> Result<Shelf, EngineError> {
        let mut base_has_dedupe = false;
        place
            .base
            .scan(&[record::DEDUPE], &[record::DEDUPE + 1], &mut |key, _| {
                base_has_dedupe = is_dedupe(key);
                false
            })?;
        let runs = Runs::open(place.index.clone(), manifest.store, &manifest.runs)?;
        let history = History::open(place.history.clone(), manifest.store, &manifest.history)?;
        Ok(Shelf {
            base: place.base.clone(),
            runs,
            history,
            base_has_dedupe,
        })
    }

    /// Which store it is.
    pub(super) fn store(&self) -> u64 {
        self.runs.store()
    }

    pub(super) fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, EngineError> {
        if manifest::is_hidden(key) {
            return Ok(None);
        }
        if key.first() == Some(&record::HISTORY) {
            return self.history.get(key);
        }
        if is_dedupe(key) {
            match self.runs.get(key)? {
                Found::Value(value) => return Ok(Some(value)),
                Found::Nothing if self.base_has_dedupe => {}
                Found::Nothing | Found::Removed => return Ok(None),
            }
        }
        self.base.get(key)
    }

    /// Shows what is here under what is already in the layers; false when their visitor wants no more.
    pub(super) fn scan(
        &self,
        from: &[u8],
        to: &[u8],
        layers: &mut Layers<'_>,
    ) -> Result<bool, EngineError> {
        if meets_dedupe(from, to) {
            let from = from.max(&[record::DEDUPE]);
            layers.runs.push_back(self.runs.entries(from, to)?);
        }
        if meets(record::HISTORY, from, to) {
            layers.runs.push_back(self.history.entries(from, to)?);
        }
        let only_dedupe = is_within(record::DEDUPE, from, to) && !self.base_has_dedupe;
        if !only_dedupe && !is_within(record::HISTORY, from, to) {
            self.base.scan(from, to, &mut |key, value| {
                manifest::is_hidden(key) || layers.base(key, value)
            })?;
        }
        layers.rest()
    }
}

/// Whether keys of the dedupe index may stand from `from` to `to`.
pub(super) fn meets_dedupe(from: &[u8], to: &[u8]) -> bool {
    meets(record::DEDUPE, from, to)
}

/// Whether keys of a table may stand from `from` to `to`.
fn meets(table: u8, from: &[u8], to: &[u8]) -> bool {
    from < [table + 1].as_slice() && to >= [table].as_slice()
}

/// Whether no other keys than those of a table may stand from `from` to `to`.
fn is_within(table: u8, from: &[u8], to: &[u8]) -> bool {
    from >= [table].as_slice() && to < [table + 1].as_slice()
}

/// Whether the key is one of the dedupe index.
pub(super) fn is_dedupe(key: &[u8]) -> bool {
    key.first() == Some(&record::DEDUPE)
}

/// A scan of three layers at once: what was written, over the runs, over the base that drives it.
pub(super) struct Layers<'a> {
    written: std::iter::Peekable<std::vec::IntoIter<KeyValue>>,
    /// The tables that are in runs, in the order of their letters.
    runs: VecDeque<Entries>,
    visit: &'a mut dyn FnMut(&[u8], &[u8]) -> bool,
    goes_on: bool,
    failed: Option<EngineError>,
}

impl<'a> Layers<'a> {
    pub(super) fn over(
        written: Vec<KeyValue>,
        visit: &'a mut dyn FnMut(&[u8], &[u8]) -> bool,
    ) -> Layers<'a> {
        Layers {
            written: written.into_iter().peekable(),
            runs: VecDeque::new(),
            visit,
            goes_on: true,
            failed: None,
        }
    }

    /// Shows everything before an entry of the base, and it, unless it was written over.
    fn base(&mut self, key: &[u8], value: &[u8]) -> bool {
        let shown = self.show_until(Some(key)).and_then(|()| {
            let written = self.written.next_if(|(own, _)| own == key);
            let in_runs = self.run_entry(key)?;
            if self.goes_on {
                self.goes_on = match (written, in_runs) {
                    (Some((_, over)), _) => over.is_none_or(|v| (self.visit)(key, &v)),
                    (None, Some(over)) => over.is_none_or(|v| (self.visit)(key, &v)),
                    (None, None) => (self.visit)(key, value),
                };
            }
            Ok(())
        });
        self.failed = shown.err();
        self.goes_on && self.failed.is_none()
    }

    /// Shows what stands behind the last entry of the base.
    fn rest(&mut self) -> Result<bool, EngineError> {
        if let Some(error) = self.failed.take() {
            return Err(error);
        }
        self.show_until(None)?;
        Ok(self.goes_on)
    }

    /// Shows what was written and what is in the runs, up to a key.
    fn show_until(&mut self, end: Option<&[u8]>) -> Result<(), EngineError> {
        while self.goes_on {
            let written = self.written.peek().map(|(key, _)| key.as_slice());
            while self.runs.front().is_some_and(|runs| runs.peek().is_none()) {
                self.runs.pop_front();
            }
            let in_runs = self.runs.front().and_then(Entries::peek);
            let next = match (written, in_runs) {
                (Some(a), Some(b)) => Some(a.min(b)),
                (a, b) => a.or(b),
            };
            let Some(key) = next.filter(|key| end.is_none_or(|end| *key < end)) else {
                return Ok(());
            };
            let key = key.to_vec();
            let over = self.run_entry(&key)?;
            if let Some((_, value)) = self.written.next_if(|(own, _)| *own == key) {
                self.goes_on = value.is_none_or(|value| (self.visit)(&key, &value));
            } else if let Some(Some(value)) = over {
                self.goes_on = (self.visit)(&key, &value);
            }
        }
        Ok(())
    }

    /// Takes the entry of the runs under this key, if it is the next.
    fn run_entry(&mut self, key: &[u8]) -> Result<Option<Option<Vec<u8>>>, EngineError> {
        for runs in &mut self.runs {
            if runs.peek() == Some(key) {
                return Ok(runs.next()?.map(|(_, value)| value));
            }
        }
        Ok(None)
    }
}
