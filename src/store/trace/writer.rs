//! The end that is written: the newest file, the removal of the oldest, and what is done when the disk takes nothing.

use std::io;
use std::sync::Arc;

use crate::store::files::{Folder, Handle};

use super::Keep;
use super::block::Block;
use super::file;
use super::shelf::{HELD, Kept, Shelf};

/// The first and the longest wait before a disk is tried again, milliseconds.
const RETRY: (u64, u64) = (100, 10_000);
/// How often it looks for room and for what is too old, milliseconds.
const LOOK_EVERY: u64 = 1000;
/// A trace that is full has about so many files.
const FILES: u64 = 32;
/// A file is closed when it has so many bytes, at least and at most.
const FILE: (u64, u64) = (1 << 20, 64 << 20);

/// Writes blocks.
pub(super) struct Writer {
    shelf: Arc<Shelf>,
    keep: Keep,
    open: Option<Open>,
    next: u64,
    trouble: Option<Trouble>,
    /// When it looks for what is too old, and for room.
    looks: (u64, u64),
    /// A file could not be removed, which has been said.
    sticks: bool,
}

struct Open {
    file: Arc<dyn Handle>,
    number: u64,
    first_ms: u64,
    bytes: u64,
}

/// The disk takes nothing.
struct Trouble {
    retry_ms: u64,
    wait: u64,
    /// Records that had been lost when it began.
    lost: u64,
}

impl Writer {
    /// Writes to the folder of a shelf, or, where it has none, into memory.
    pub(super) fn new(shelf: Arc<Shelf>, keep: Keep) -> Writer {
        Writer {
            next: shelf.run,
            shelf,
            keep,
            open: None,
            trouble: None,
            looks: (0, 0),
            sticks: false,
        }
    }

    /// Takes a block; gives back one whose room may be used again.
    pub(super) fn push(&mut self, mut block: Block, now: u64) -> Option<Block> {
        let Some(folder) = self.shelf.folder.clone() else {
            self.shelf.with(|state| {
                state.hold(block);
                let beyond = HELD.min(self.keep.bytes);
                while state.release(beyond).is_some() {}
            });
            return None;
        };
        if self.trouble.is_none() {
            match self.write(&*folder, &mut block, now) {
                Ok(()) => {
                    self.shelf.with(|state| state.made(&block.head));
                    return Some(block);
                }
                Err(error) => self.fail(&*folder, &error, now),
            }
        }
        self.shelf.with(|state| {
            state.hold(block);
            while let Some(oldest) = state.release(HELD) {
                state.lose(&oldest.head);
            }
        });
        None
    }

    /// Writes what the disk did not take, if it is time to try again.
    pub(super) fn retry(&mut self, now: u64) {
        let due = |trouble: &Trouble| now >= trouble.retry_ms;
        if !self.trouble.as_ref().is_some_and(due) {
            return;
        }
        let Some(folder) = self.shelf.folder.clone() else {
            return;
        };
        while let Some(block) = self.shelf.with(|state| state.held.front().cloned()) {
            // Somebody may be looking through the one that is held.
            let mut copy = Block::clone(&block);
            if let Err(error) = self.write(&*folder, &mut copy, now) {
                self.fail(&*folder, &error, now);
                return;
            }
            self.shelf.with(|state| state.release(0));
        }
        if let Some(trouble) = self.trouble.take() {
            let lost = self.shelf.with(|state| state.lost) - trouble.lost;
            log::warn!("the trace is written again; {lost} of its records were lost meanwhile");
        }
    }

    /// Removes what is too old, once in a while.
    pub(super) fn tidy(&mut self, now: u64) {
        if now < self.looks.0 {
            return;
        }
        self.looks.0 = now.saturating_add(LOOK_EVERY);
        let oldest = now.saturating_sub(self.keep.ms);
        let Some(folder) = self.shelf.folder.clone() else {
            self.shelf.with(|state| {
                let is_old = |block: &Arc<Block>| block.head.stamp.last_ms < oldest;
                while state.held.front().is_some_and(is_old) {
                    state.release(0);
                }
            });
            return;
        };
        // A file goes as a whole, so what is in it must be of about the same age.
        let share = self.keep.ms / FILES;
        self.open
            .take_if(|open| now.saturating_sub(open.first_ms) > share);
        self.remove(&*folder, |first, _| first.last_ms < oldest);
    }

    /// Ends with a block that says so; what the disk does not take is lost.
    pub(super) fn end(&mut self, last: Block, now: u64) {
        if self.shelf.folder.is_none() {
            return;
        }
        if self.next > self.shelf.run || last.head.stamp.lost > 0 {
            self.push(last, now);
        }
        if let Some(trouble) = &mut self.trouble {
            trouble.retry_ms = 0;
            self.retry(now);
        }
        let lost = self.shelf.with(|state| {
            let before = state.lost;
            while let Some(oldest) = state.release(0) {
                state.lose(&oldest.head);
            }
            state.lost - before
        });
        if lost > 0 {
            log::warn!("{lost} records of the trace are lost: they could not be written");
        }
    }

    fn write(&mut self, folder: &dyn Folder, block: &mut Block, now: u64) -> io::Result<()> {
        let size = block.head.size();
        self.make_room(folder, size, now)?;
        let roll = (self.keep.bytes / FILES).clamp(FILE.0, FILE.1);
        let roll = roll.min(self.keep.bytes / 2);
        self.open
            .take_if(|open| open.bytes.saturating_add(size) > roll);
        let stamp = block.head.stamp;
        let open = match &mut self.open {
            Some(open) => open,
            none => none.insert(begin(folder, &self.shelf, &mut self.next, stamp.first_ms)?),
        };
        let bytes = block.sealed(open.number, open.bytes);
        open.file.write_at(open.bytes, bytes)?;
        open.bytes += size;
        self.shelf.with(|state| {
            if let Some(kept) = state.files.back_mut() {
                (kept.bytes, kept.last_ms) = (open.bytes, stamp.last_ms);
            }
        });
        Ok(())
    }

    /// Removes the oldest files for so many bytes, and leaves to others what they need.
    fn make_room(&mut self, folder: &dyn Folder, size: u64, now: u64) -> io::Result<()> {
        let most = self.keep.bytes.saturating_sub(size);
        self.remove(folder, |_, on_disk| on_disk > most);
        if self.sticks && self.shelf.with(|state| state.on_disk()) > most {
            return Err(io::Error::other("its oldest file cannot be removed"));
        }
        if self.trouble.is_none() && now < self.looks.1 {
            return Ok(());
        }
        self.looks.1 = now.saturating_add(LOOK_EVERY);
        let least = self.keep.free;
        match folder.free() {
            Ok(free) if free < least => Err(io::Error::new(
                io::ErrorKind::StorageFull,
                format!("{free} bytes free, and {least} are left to others"),
            )),
            _ => Ok(()),
        }
    }

    /// Removes the oldest file for as long as it is due, by itself and the bytes of all files.
    fn remove(&mut self, folder: &dyn Folder, is_due: impl Fn(&Kept, u64) -> bool) {
        let open = self.open.as_ref().map(|open| open.number);
        let first = || {
            self.shelf.with(|state| {
                let (first, on_disk) = (state.files.front()?, state.on_disk());
                let due = Some(first.number) != open && is_due(first, on_disk);
                due.then_some(first.number)
            })
        };
        while let Some(number) = first() {
            let name = file::name(number);
            match folder.remove(&name) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    if !std::mem::replace(&mut self.sticks, true) {
                        log::warn!("a file of the trace cannot be removed: {error}");
                    }
                    return;
                }
                _ => {
                    self.sticks = false;
                    self.shelf.with(|state| state.files.pop_front());
                }
            }
        }
    }

    /// Lets go of the file, and tries a new one later.
    fn fail(&mut self, folder: &dyn Folder, error: &io::Error, now: u64) {
        if let Some(open) = self.open.take() {
            // What was written of the block counts for nothing, whether it can be cut off or not.
            let _ = open.file.cut(open.bytes);
            let is_empty = open.bytes == file::HEADER.len() as u64;
            if is_empty && folder.remove(&file::name(open.number)).is_ok() {
                self.shelf.with(|state| state.files.pop_back());
            }
        }
        let wait = match &self.trouble {
            Some(trouble) => (trouble.wait * 2).min(RETRY.1),
            None => {
                log::warn!(
                    "the trace cannot be written: {error}; the latest of it is kept in memory"
                );
                RETRY.0
            }
        };
        let lost = self.shelf.with(|state| state.lost);
        self.trouble = Some(Trouble {
            retry_ms: now.saturating_add(wait),
            wait,
            lost: self.trouble.as_ref().map_or(lost, |trouble| trouble.lost),
        });
    }
}

/// Begins the next file.
fn begin(folder: &dyn Folder, shelf: &Shelf, next: &mut u64, first_ms: u64) -> io::Result<Open> {
    let number = *next;
    *next += 1;
    let name = file::name(number);
    let file = folder.create(&name)?;
    if let Err(error) = file.write_at(0, &file::HEADER) {
        let _ = folder.remove(&name);
        return Err(error);
    }
    let bytes = file::HEADER.len() as u64;
    shelf.with(|state| {
        state.files.push_back(Kept {
            number,
            bytes,
            first_ms,
            last_ms: first_ms,
        });
    });
    Ok(Open {
        file,
        number,
        first_ms,
        bytes,
    })
}
