//! A period that is old enough leaves into the archive.

use std::sync::Arc;

use crate::store::EngineError;
use crate::store::archive::{self, Identity, Writer};
use crate::store::runs::{Entries, Run};

use super::{Catalog, History, Look};

/// A period whose archive file is being written, in steps.
pub struct Leaving {
    period: u32,
    inputs: Vec<Arc<Run>>,
    entries: Entries,
    into: Writer,
    look: Look,
    /// There is an earlier file with messages of this period, and what is to be gone has to be said of them.
    is_late: bool,
}

/// A period whose messages are in the archive, if they may be, and still at hand as well.
pub struct Left {
    period: u32,
    inputs: Vec<Arc<Run>>,
    file: Option<String>,
}

impl Leaving {
    /// Which period it is.
    pub fn period(&self) -> u32 {
        self.period
    }

    /// Takes so many entries further; false when there are no more.
    pub fn step(&mut self, entries: usize) -> Result<bool, EngineError> {
        let (into, look, is_late) = (&mut self.into, self.look, self.is_late);
        for _ in 0..entries {
            let taken = self.entries.show(|key, value| {
                let sight = value.and_then(look);
                let ts = sight.map(|sight| sight.server_ts);
                // What cannot be read now may be read by somebody else.
                let may_be_kept = sight.is_none_or(|sight| sight.may_be_archived);
                match value.filter(|_| may_be_kept) {
                    Some(value) => into.add(key, Some(value), ts),
                    None if is_late => into.add(key, None, ts),
                    None => Ok(()),
                }
            });
            match taken? {
                Some(added) => added?,
                None => return Ok(false),
            }
        }
        Ok(true)
    }

    /// Ends it: the file is on the disk under its name, if there is anything in it.
    pub fn finish(self) -> Result<Left, EngineError> {
        Ok(Left {
            period: self.period,
            inputs: self.inputs,
            file: self.into.finish()?,
        })
    }
}

impl Left {
    /// The archive file, if there was anything to archive.
    pub fn file(&self) -> Option<&str> {
        self.file.as_deref()
    }
}

impl History {
    /// The oldest period that ended `keep_ms` ago or earlier; `now` in Unix milliseconds.
    pub fn due_for_archive(&self, now: u64, keep_ms: u64) -> Option<u32> {
        self.live.read().due_for_archive(now, keep_ms)
    }

    /// Begins to write what is in a period now into a file of the archive.
    ///
    /// A file that a kill has kept from being told of is written anew. What comes for a period after it has left, and
    /// what another store has left under the name, has the next file of the day. A period whose first block is damaged is
    /// set aside.
    pub fn leave(&self, period: u32, look: Look) -> Result<Leaving, EngineError> {
        let live = self.live.read().clone();
        let folder = &self.place.archive;
        let untold = (period >= live.archived).then_some(self.store);
        let part = archive::next_part(&**folder, period, untold)?;
        let of = Identity {
            store: self.store,
            period,
            part,
        };
        let inputs = live.runs_of(period);
        Ok(Leaving {
            period,
            entries: Entries::of(&inputs, &[], &[0xff; 256])
                .inspect_err(|_| self.set_aside(period))?,
            inputs,
            into: Writer::begin(folder.clone(), of)?,
            look,
            is_late: part > 1,
        })
    }

    /// What is to be kept when a period has left.
    pub fn without(&self, left: &Left) -> Catalog {
        let mut live = self.live.read().as_ref().clone();
        if live.replace(left.period, &left.inputs, None) {
            live.archived = live.archived.max(left.period.saturating_add(1));
        }
        live.catalog()
    }

    /// Lets a period go, and its files. What has come since it began to leave stays, and leaves later.
    pub fn drop_period(&self, left: Left) -> Result<(), EngineError> {
        let is_gone = self.change(|live| {
            let is_gone = live.replace(left.period, &left.inputs, None);
            if is_gone {
                live.archived = live.archived.max(left.period.saturating_add(1));
            }
            is_gone
        });
        match is_gone {
            true => self.remove(&left.inputs),
            false => Ok(()),
        }
    }
}
