//! Many runs read as one, and written as one.

use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::collections::binary_heap::PeekMut;
use std::sync::Arc;

use crate::store::EngineError;

use super::block::{Block, Entry};
use super::build::Builder;
use super::run::Run;

/// The newest entries of several runs in key order.
pub struct Entries {
    /// The smallest key first, and of equal ones the newest.
    cursors: BinaryHeap<Cursor>,
    to: Vec<u8>,
    /// The key that was shown last.
    last: Vec<u8>,
}

/// A walk through one run that stands at an entry.
struct Cursor {
    run: Arc<Run>,
    /// Greater than that of every older run.
    age: usize,
    /// The block behind the one at hand.
    next: usize,
    block: Block,
}

impl Entries {
    /// The entries from `from` to `to`, both included, of these runs, the oldest first.
    pub(in crate::store) fn of<'a>(
        runs: impl IntoIterator<Item = &'a Arc<Run>>,
        from: &[u8],
        to: &[u8],
    ) -> Result<Entries, EngineError> {
        let mut cursors = BinaryHeap::new();
        for (age, run) in runs.into_iter().enumerate() {
            cursors.extend(Cursor::begin(run.clone(), age, from)?);
        }
        Ok(Entries {
            cursors,
            to: to.to_vec(),
            last: Vec::new(),
        })
    }

    /// The key that comes next.
    pub fn peek(&self) -> Option<&[u8]> {
        let key = self.cursors.peek().and_then(Cursor::key);
        key.filter(|key| *key <= self.to.as_slice())
    }

    /// The next key with its newest value, or none for a removal.
    #[allow(clippy::should_implement_trait)]
    pub fn next(&mut self) -> Result<Option<Entry>, EngineError> {
        self.show(|key, value| (key.to_vec(), value.map(<[u8]>::to_vec)))
    }

    /// Shows the next key with its newest value, or none for a removal, without a copy of either.
    pub fn show<T>(
        &mut self,
        visit: impl FnOnce(&[u8], Option<&[u8]>) -> T,
    ) -> Result<Option<T>, EngineError> {
        let Some(newest) = self.cursors.peek_mut() else {
            return Ok(None);
        };
        let Some(key) = newest.key().filter(|key| *key <= self.to.as_slice()) else {
            return Ok(None);
        };
        self.last.clear();
        self.last.extend_from_slice(key);
        let shown = visit(key, newest.block.value());
        advance(newest)?;
        while let Some(older) = self.cursors.peek_mut()
            && older.key() == Some(&self.last)
        {
            advance(older)?;
        }
        Ok(Some(shown))
    }
}

/// Takes a walk further, and drops it behind its last entry.
fn advance(mut cursor: PeekMut<'_, Cursor>) -> Result<(), EngineError> {
    if !cursor.advance()? {
        PeekMut::pop(cursor);
    }
    Ok(())
}

impl Cursor {
    /// A walk that stands at the first entry not below `from`; none if there is none.
    fn begin(run: Arc<Run>, age: usize, from: &[u8]) -> Result<Option<Cursor>, EngineError> {
        let next = run.block_of(from);
        let mut cursor = Cursor {
            run,
            age,
            next,
            block: Block::default(),
        };
        while cursor.fill()? {
            let found = cursor.block.advance_to(from);
            if found.map_err(|_| cursor.unreadable())? {
                return Ok(Some(cursor));
            }
        }
        Ok(None)
    }

    fn key(&self) -> Option<&[u8]> {
        self.block.key()
    }

    /// Goes on to the next entry; false if there is none.
    fn advance(&mut self) -> Result<bool, EngineError> {
        loop {
            if self.block.advance().map_err(|_| self.unreadable())? {
                return Ok(true);
            }
            if !self.fill()? {
                return Ok(false);
            }
        }
    }

    fn fill(&mut self) -> Result<bool, EngineError> {
        if self.next == self.run.blocks() {
            return Ok(false);
        }
        self.run.block(self.next, &mut self.block)?;
        self.next += 1;
        Ok(true)
    }

    fn unreadable(&self) -> EngineError {
        self.run.unreadable(self.next.saturating_sub(1))
    }
}

impl Ord for Cursor {
    fn cmp(&self, other: &Cursor) -> Ordering {
        let by_key = other.key().cmp(&self.key());
        by_key.then(self.age.cmp(&other.age))
    }
}

impl PartialOrd for Cursor {
    fn partial_cmp(&self, other: &Cursor) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Cursor {
    fn eq(&self, other: &Cursor) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Cursor {}

/// A merge under way, taken in steps so that nothing has to wait for all of it.
pub struct Merge {
    inputs: Vec<Arc<Run>>,
    entries: Entries,
    into: Builder,
    /// The oldest run takes part: a removal has nothing to hide any more.
    to_the_ground: bool,
}

impl Merge {
    pub(in crate::store) fn begin(
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
        let (into, to_the_ground) = (&mut self.into, self.to_the_ground);
        for _ in 0..entries {
            let taken = self.entries.show(|key, value| {
                let is_gone = value.map_or(to_the_ground, is_forgotten);
                match is_gone {
                    true => Ok(()),
                    false => into.add(key, value),
                }
            });
            match taken? {
                Some(added) => added?,
                None => return Ok(false),
            }
        }
        Ok(true)
    }

    /// Ends it: the merged run, which is on the disk, and those whose place it takes.
    pub fn finish(self) -> Result<(Vec<Arc<Run>>, Run), EngineError> {
        Ok((self.inputs, self.into.finish()?))
    }
}
