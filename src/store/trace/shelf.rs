//! What is kept: the files, the oldest first, and behind them blocks that are in memory only. The writer changes it, and
//! whoever looks something up takes a copy.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::store::files::Folder;

use super::block::{Block, Head};
use super::file::{self, Step, Walk};

/// Bytes of blocks in memory.
pub(super) const HELD: u64 = 16 << 20;

/// The files and blocks of a trace.
pub(super) struct Shelf {
    /// Without a folder everything is in memory.
    pub(super) folder: Option<Arc<dyn Folder>>,
    /// The run that writes.
    pub(super) run: u64,
    state: Mutex<State>,
}

#[derive(Default)]
pub(super) struct State {
    pub(super) files: VecDeque<Kept>,
    pub(super) held: VecDeque<Arc<Block>>,
    held_bytes: u64,
    /// Bytes of blocks that were made.
    pub(super) bytes: u64,
    /// Records that were lost after they had been taken from their buffers.
    pub(super) lost: u64,
    /// Lost records that are told by a block.
    pub(super) told: u64,
}

/// A file that is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Kept {
    pub(super) number: u64,
    /// Its length as far as it counts.
    pub(super) bytes: u64,
    pub(super) first_ms: u64,
    pub(super) last_ms: u64,
}

/// What there is to look through.
pub(super) struct Snapshot {
    pub(super) files: Vec<Kept>,
    pub(super) held: Vec<Arc<Block>>,
    /// Lost records that no block tells of.
    pub(super) untold: u64,
}

impl Shelf {
    /// Finds what earlier runs have left in the folder.
    pub(super) fn open(folder: Option<Arc<dyn Folder>>, now: u64) -> io::Result<Shelf> {
        let mut files = VecDeque::new();
        if let Some(folder) = &folder {
            let names = folder.names()?;
            let mut numbers: Vec<u64> = names.iter().filter_map(|n| file::number(n)).collect();
            numbers.sort_unstable();
            let mut until = None;
            for number in numbers.into_iter().rev() {
                let kept = kept(&**folder, number, until, now);
                until = Some(kept.first_ms);
                files.push_front(kept);
            }
        }
        let run = files.back().map_or(1, |last: &Kept| last.number + 1);
        let state = State {
            files,
            ..State::default()
        };
        Ok(Shelf {
            folder,
            run,
            state: Mutex::new(state),
        })
    }

    /// Changes what is kept. Nothing that takes long may happen meanwhile.
    pub(super) fn with<T>(&self, act: impl FnOnce(&mut State) -> T) -> T {
        act(&mut self.state.lock())
    }

    /// A copy, as of this moment; `lost` says how many records found no room in a buffer.
    pub(super) fn snapshot(&self, lost: impl FnOnce() -> u64) -> Snapshot {
        self.with(|state| Snapshot {
            files: state.files.iter().copied().collect(),
            held: state.held.iter().cloned().collect(),
            untold: state.untold(lost()),
        })
    }
}

impl State {
    /// Takes a block into memory, behind all others.
    pub(super) fn hold(&mut self, block: Block) {
        self.made(&block.head);
        self.held_bytes += block.head.size();
        self.held.push_back(Arc::new(block));
    }

    /// Lets go of the oldest block in memory, if there are more than so many bytes of them.
    pub(super) fn release(&mut self, beyond: u64) -> Option<Arc<Block>> {
        if self.held_bytes <= beyond {
            return None;
        }
        let oldest = self.held.pop_front()?;
        self.held_bytes -= oldest.head.size();
        Some(oldest)
    }

    /// Counts a block that is in a file or in memory from here on.
    pub(super) fn made(&mut self, head: &Head) {
        self.bytes += head.size();
        self.told += head.stamp.lost;
    }

    /// Counts a block that is in neither.
    pub(super) fn lose(&mut self, head: &Head) {
        self.lost += u64::from(head.records);
        self.told -= head.stamp.lost;
    }

    /// Lost records that no block tells of, if so many found no room in a buffer.
    pub(super) fn untold(&self, without_room: u64) -> u64 {
        (without_room + self.lost).saturating_sub(self.told)
    }

    /// Bytes of all files.
    pub(super) fn on_disk(&self) -> u64 {
        self.files.iter().map(|kept| kept.bytes).sum()
    }
}

/// What is to be known of a file of an earlier run; `until` is when the next one begins.
fn kept(folder: &dyn Folder, number: u64, until: Option<u64>, now: u64) -> Kept {
    let end = until.unwrap_or(now);
    let mut kept = Kept {
        number,
        bytes: 0,
        first_ms: end,
        last_ms: end,
    };
    if let Err(error) = look(folder, &mut kept, until.is_none()) {
        log::warn!("a file of the trace cannot be read: {error}");
    }
    kept
}

/// Looks at the first block, or at all of them.
fn look(folder: &dyn Folder, kept: &mut Kept, all: bool) -> io::Result<()> {
    let file = folder.open(&file::name(kept.number))?;
    kept.bytes = file.size()?;
    let mut walk = Walk::new(&*file, kept.number, kept.bytes);
    let mut is_first = true;
    while let Some(step) = walk.step()? {
        let Step::Block(head, _) = step else {
            continue;
        };
        if std::mem::take(&mut is_first) {
            kept.first_ms = head.stamp.first_ms;
        }
        if !all {
            return Ok(());
        }
        kept.last_ms = head.stamp.last_ms;
    }
    Ok(())
}
