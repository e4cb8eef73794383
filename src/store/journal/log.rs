//! The end of the log: records gather in a buffer, and a flush writes and syncs them together.

use std::sync::Arc;

use crate::store::backup::file::write_record;
use crate::store::files::{Folder, Handle};
use crate::store::{Batch, EngineError};

use super::segment::{self, HEADER, Identity};

/// A buffer of so many bytes is written before its flush.
const WRITE_OUT: usize = 4 << 20;
/// Room that the buffer keeps between flushes, bytes.
const KEPT: usize = 1 << 20;
/// Bytes that are written at once to make a segment beforehand.
const FILL: usize = 1 << 20;

/// A segment that nothing was written into yet.
pub(super) struct Empty {
    pub(super) of: Identity,
    pub(super) file: Arc<dyn Handle>,
    /// How much of it was made beforehand, bytes.
    pub(super) made: u64,
}

/// A segment with its footer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Closed {
    pub(super) segment: u64,
    /// The number of the first record behind it.
    pub(super) next: u64,
    pub(super) bytes: u64,
}

/// The one that is written.
pub(super) struct Log {
    current: Empty,
    /// What was written of it, bytes; nothing before the first record.
    at: u64,
    /// Bytes after which it is closed.
    full: u64,
    buffer: Vec<u8>,
    next: u64,
    /// The first record that may not be on the disk.
    unsynced: u64,
}

impl Empty {
    /// Makes a segment, filled with zeros up to this length, so that a sync has nothing to tell the file system's own
    /// journal. It has its name when it is whole, so that one that is shorter later was cut.
    pub(super) fn make(folder: &dyn Folder, of: Identity, fill: u64) -> Result<Empty, EngineError> {
        let file = folder.create(&of.unfinished_name())?;
        let made = fill.max(HEADER as u64);
        file.write_at(0, &segment::header(of, 0, made))?;
        let zeros = vec![0; FILL.min(made as usize)];
        let mut at = HEADER as u64;
        while at < made {
            let some = &zeros[..zeros.len().min((made - at) as usize)];
            file.write_at(at, some)?;
            at += some.len() as u64;
        }
        file.sync()?;
        folder.rename(&of.unfinished_name(), &of.name())?;
        folder.sync()?;
        Ok(Empty { of, file, made })
    }
}

impl Log {
    /// A log that goes on with record `next` in an empty segment.
    pub(super) fn new(current: Empty, next: u64, full: u64) -> Log {
        Log {
            current,
            at: 0,
            full,
            buffer: Vec::new(),
            next,
            unsynced: next,
        }
    }

    /// Adds the writes of a batch, and returns the number of their record.
    pub(super) fn append(&mut self, batch: &Batch) -> Result<u64, EngineError> {
        self.head();
        let (of, number) = (self.current.of, self.next);
        let at = segment::begin(&mut self.buffer);
        for write in &batch.writes {
            write_record(&mut self.buffer, &write.key, write.value.as_deref());
        }
        segment::seal(&mut self.buffer, at, of, number, self.unsynced);
        self.next += 1;
        if self.buffer.len() > WRITE_OUT {
            self.write_out()?;
        }
        Ok(number)
    }

    /// Makes everything durable; returns the segment if it is closed with that.
    pub(super) fn flush(&mut self) -> Result<Option<Closed>, EngineError> {
        let full = self.at + self.buffer.len() as u64 >= self.full;
        self.sync(full)
    }

    /// The same, and closes the segment if there is anything in it.
    pub(super) fn end(&mut self) -> Result<Option<Closed>, EngineError> {
        let begun = self.at > 0 || !self.buffer.is_empty();
        self.sync(begun)
    }

    /// Goes on in another segment, behind one that is closed.
    pub(super) fn go_on(&mut self, current: Empty) {
        self.current = current;
        self.at = 0;
    }

    /// The segment that is written, and the record that comes next.
    pub(super) fn place(&self) -> (Identity, u64) {
        (self.current.of, self.next)
    }

    fn sync(&mut self, close: bool) -> Result<Option<Closed>, EngineError> {
        if self.unsynced == self.next && !close {
            return Ok(None);
        }
        let (of, next) = (self.current.of, self.next);
        if close {
            self.head();
            segment::close(&mut self.buffer, of, next, self.unsynced);
        }
        self.write_out()?;
        self.current.file.sync()?;
        self.unsynced = next;
        self.buffer.shrink_to(KEPT);
        let segment = of.segment;
        let closed = Closed {
            segment,
            next,
            bytes: self.at.max(self.current.made),
        };
        Ok(close.then_some(closed))
    }

    /// A segment begins with its header, in one write with its first records.
    fn head(&mut self) {
        if self.at == 0 && self.buffer.is_empty() {
            let header = segment::header(self.current.of, self.next, self.current.made);
            self.buffer.extend_from_slice(&header);
        }
    }

    fn write_out(&mut self) -> Result<(), EngineError> {
        self.current.file.write_at(self.at, &self.buffer)?;
        self.at += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }
}

/// Closes a segment that a server left without a footer, behind its last record; what stands there goes.
pub(super) fn close_after_crash(
    file: &dyn Handle,
    of: Identity,
    first: u64,
    found: &segment::Contents,
) -> Result<(), EngineError> {
    // Shorter than its header says it would be damaged.
    file.write_at(0, &segment::header(of, first, HEADER as u64))?;
    file.sync()?;
    file.cut(found.size as u64)?;
    let mut footer = Vec::new();
    segment::close(&mut footer, of, found.next, found.next);
    file.write_at(found.size as u64, &footer)?;
    Ok(file.sync()?)
}
