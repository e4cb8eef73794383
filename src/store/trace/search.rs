//! Looks through all that is kept for the records of some keys.

use std::io;
use std::sync::Arc;

use crate::store::files::Handle;

use super::Found;
use super::block::{self, Block, Head};
use super::file::{self, Step, Walk};
use super::shelf::{Kept, Shelf, Snapshot};

/// A search through a snapshot.
pub(super) struct Search<'a> {
    keys: Vec<u64>,
    visit: &'a mut dyn FnMut(u64, &[u8]),
    /// What was found and may come behind something that is found later.
    waiting: Vec<Match>,
    run: Run,
    found: Found,
    oldest: Option<u64>,
    body: Vec<u8>,
    raw: Vec<u8>,
}

struct Match {
    ticket: u64,
    key: u64,
    payload: Vec<u8>,
}

/// How far a run was followed.
#[derive(Default)]
struct Run {
    run: u64,
    /// The last block that was seen, and the last one that was looked into as far as was needed.
    seen: u64,
    done: u64,
    ended: bool,
}

impl<'a> Search<'a> {
    /// A search for these keys.
    pub(super) fn new(keys: &[u64], visit: &'a mut dyn FnMut(u64, &[u8])) -> Search<'a> {
        let mut keys = keys.to_vec();
        keys.sort_unstable();
        keys.dedup();
        Search {
            keys,
            visit,
            waiting: Vec::new(),
            run: Run::default(),
            found: Found::default(),
            oldest: None,
            body: Vec::new(),
            raw: Vec::new(),
        }
    }

    /// Looks through the files and the blocks in memory, the oldest first.
    pub(super) fn through(mut self, shelf: &Shelf, snapshot: &Snapshot, now: u64) -> Found {
        for (kept, file) in self.open(shelf, snapshot) {
            if let Err(error) = self.file(&*file, &kept) {
                self.cannot_read(&error);
            }
        }
        for block in &snapshot.held {
            self.held(block);
        }
        self.show_before(u64::MAX);
        let is_cut = self.run.run != shelf.run && !self.run.ended && self.run.run > 0;
        self.found.cut += u64::from(is_cut);
        self.found.lost += snapshot.untold;
        self.found.from_ms = self.oldest.unwrap_or(now);
        self.found
    }

    /// Opens all files before anything is shown, so that none goes from between two others.
    fn open(&mut self, shelf: &Shelf, snapshot: &Snapshot) -> Vec<(Kept, Arc<dyn Handle>)> {
        let Some(folder) = &shelf.folder else {
            return Vec::new();
        };
        let mut files = Vec::with_capacity(snapshot.files.len());
        for kept in &snapshot.files {
            match folder.open(&file::name(kept.number)) {
                Ok(file) => files.push((*kept, file)),
                // It was removed meanwhile, and all that are older before it.
                Err(error) if error.kind() == io::ErrorKind::NotFound => files.clear(),
                Err(error) => self.cannot_read(&error),
            }
        }
        files
    }

    fn cannot_read(&mut self, error: &io::Error) {
        log::warn!("a file of the trace cannot be read: {error}");
        self.found.damaged += 1;
    }

    fn file(&mut self, file: &dyn Handle, kept: &Kept) -> io::Result<()> {
        let mut walk = Walk::new(file, kept.number, kept.bytes);
        while let Some(step) = walk.step()? {
            let Step::Block(head, at) = step else {
                self.found.damaged += 1;
                continue;
            };
            if !self.meet(&head) {
                continue;
            }
            let before_body = walk.before_body(&head, at)?;
            // Without its filter a block may have anything.
            let filter = head.filter(before_body);
            let is_whole = filter.is_some();
            if filter.is_none_or(|filter| self.may_be_in(filter)) {
                let mut body = std::mem::take(&mut self.body);
                let read = walk.body(&head, at, &mut body);
                let is_open = read.is_ok() && self.look_into(&head, &body);
                self.body = body;
                if !is_open {
                    self.found.damaged += 1;
                    continue;
                }
            }
            self.found.damaged += u64::from(!is_whole);
            self.run.done = head.stamp.seq;
        }
        Ok(())
    }

    fn held(&mut self, block: &Arc<Block>) {
        let (before_body, body) = block.split();
        if !self.meet(&block.head) {
            return;
        }
        let filter = before_body.get(block::HEAD..).unwrap_or_default();
        if self.may_be_in(filter) {
            self.look_into(&block.head, body);
        }
        self.run.done = block.head.stamp.seq;
    }

    /// Takes note of a block; false for one that is there a second time, because a disk that said it failed had done it.
    fn meet(&mut self, head: &Head) -> bool {
        let stamp = &head.stamp;
        if stamp.run != self.run.run {
            self.show_before(u64::MAX);
            let is_cut = self.run.run > 0 && !self.run.ended;
            self.found.cut += u64::from(is_cut);
            self.run = Run {
                run: stamp.run,
                ..Run::default()
            };
        }
        if stamp.seq <= self.run.done {
            return false;
        }
        if stamp.seq > self.run.seen {
            self.run.seen = stamp.seq;
            self.found.lost += stamp.lost;
        }
        self.run.ended = stamp.ends;
        self.oldest.get_or_insert(stamp.first_ms);
        self.show_before(stamp.floor);
        true
    }

    fn may_be_in(&self, filter: &[u8]) -> bool {
        let mut keys = self.keys.iter();
        keys.any(|key| super::filter::may_have(filter, *key))
    }

    fn look_into(&mut self, head: &Head, body: &[u8]) -> bool {
        if !head.open(body, &mut self.raw) {
            return false;
        }
        let asked_for = |key: u64| match *self.keys {
            [only] => key == only,
            _ => self.keys.binary_search(&key).is_ok(),
        };
        let records = block::records(&self.raw);
        let matches = records.filter(|record| asked_for(record.key));
        self.waiting.extend(matches.map(|record| Match {
            ticket: record.ticket,
            key: record.key,
            payload: record.payload.to_vec(),
        }));
        true
    }

    /// Shows what comes before all that may be found from here on.
    fn show_before(&mut self, floor: u64) {
        if self.waiting.is_empty() {
            return;
        }
        self.waiting.sort_unstable_by_key(|found| found.ticket);
        let count = self.waiting.partition_point(|found| found.ticket < floor);
        for found in self.waiting.drain(..count) {
            (self.visit)(found.key, &found.payload);
        }
    }
}
