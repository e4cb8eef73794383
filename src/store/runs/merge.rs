//! Many runs read as one, and written as one.

use std::sync::Arc;

use crate::store::EngineError;

use super::build::Builder;
use super::run::{Entry, Run};

/// The newest entries of several runs in key order.
pub struct Entries {
    /// The oldest first.
    cursors: Vec<Cursor>,
    to: Vec<u8>,
}

/// A walk through one run.
struct Cursor {
    run: Arc<Run>,
    block: usize,
    /// What is left of the block, the next one last.
    entries: Vec<Entry>,
}

impl Entries {
    pub(super) fn of(runs: &[Arc<Run>], from: &[u8], to: &[u8]) -> Result<Entries, EngineError> {
        let cursors = runs.iter().map(|run| Cursor::begin(run.clone(), from));
        Ok(Entries {
            cursors: cursors.collect::<Result<_, _>>()?,
            to: to.to_vec(),
        })
    }

    /// The key that comes next.
    pub fn peek(&self) -> Option<&[u8]> {
        let keys = self.cursors.iter().filter_map(Cursor::key);
        keys.min().filter(|key| *key <= self.to.as_slice())
    }

    /// The next key with its newest value, or none for a removal.
    #[allow(clippy::should_implement_trait)]
    pub fn next(&mut self) -> Result<Option<Entry>, EngineError> {
        let Some(key) = self.peek().map(<[u8]>::to_vec) else {
            return Ok(None);
        };
        let mut found = None;
        for cursor in self.cursors.iter_mut().rev() {
            if cursor.key() == Some(&key[..]) {
                let entry = cursor.advance()?;
                found = found.or(entry);
            }
        }
        Ok(found)
    }
}

impl Cursor {
    fn begin(run: Arc<Run>, from: &[u8]) -> Result<Cursor, EngineError> {
        let block = run.block_of(from);
        let mut cursor = Cursor {
            run,
            block,
            entries: Vec::new(),
        };
        cursor.fill()?;
        while cursor.key().is_some_and(|key| key < from) {
            cursor.advance()?;
        }
        Ok(cursor)
    }

    fn key(&self) -> Option<&[u8]> {
        self.entries.last().map(|(key, _)| key.as_slice())
    }

    fn advance(&mut self) -> Result<Option<Entry>, EngineError> {
        let entry = self.entries.pop();
        if self.entries.is_empty() {
            self.fill()?;
        }
        Ok(entry)
    }

    fn fill(&mut self) -> Result<(), EngineError> {
        if self.block < self.run.blocks() {
            self.entries = self.run.block(self.block)?;
            self.entries.reverse();
            self.block += 1;
        }
        Ok(())
    }
}

/// A merge under way, taken in steps so that nothing has to wait for all of it.
pub struct Merge {
    inputs: Vec<Arc<Run>>,
    entries: Entries,
    into: Builder,
    /// The oldest run takes part: a removal has nothing to hide any more.
    to_the_ground: bool,
}

impl Merge {
    pub(super) fn begin(
        inputs: Vec<Arc<Run>>,
        into: Builder,
        to_the_ground: bool,
    ) -> Result<Merge, EngineError> {
        let entries = Entries::of(&inputs, &[], &[0xff; 256])?;
        Ok(Merge {
            inputs,
            entries,
            into,
            to_the_ground,
        })
    }

    /// Takes so many entries further; false when there are no more. A value that is forgotten is left out: whatever an
    /// older run has under its key is older still.
    pub fn step(
        &mut self,
        entries: usize,
        is_forgotten: &dyn Fn(&[u8]) -> bool,
    ) -> Result<bool, EngineError> {
        for _ in 0..entries {
            let Some((key, value)) = self.entries.next()? else {
                return Ok(false);
            };
            let is_gone = match &value {
                Some(value) => is_forgotten(value),
                None => self.to_the_ground,
            };
            if !is_gone {
                self.into.add(&key, value.as_deref())?;
            }
        }
        Ok(true)
    }

    /// Ends it: the merged run, which is on the disk, and those whose place it takes.
    pub fn finish(self) -> Result<(Vec<Arc<Run>>, Run), EngineError> {
        Ok((self.inputs, self.into.finish()?))
    }
}
