//! What can still be read of a run that is damaged, in bounded memory.

use std::sync::Arc;

use crate::store::EngineError;
use crate::store::files::{Folder, Handle};

use super::Shelved;
use super::block::{Block, HEAD};
use super::build::Builder;
use super::index::FOOTER;
use super::run::{footer_of, index_of, name_of, seed};
use super::shape::Shape;

/// What is read at once while blocks are searched for, bytes.
const WINDOW: usize = 4 << 20;
/// No block is longer, bytes.
const LONGEST: usize = 64 << 20;

/// Writes a run of that number with every entry of another that can be read, whatever else is in its file.
pub(in crate::store) fn rescue(
    shape: Shape,
    folder: Arc<dyn Folder>,
    store: u64,
    damaged: u64,
    into: u64,
) -> Result<Shelved, EngineError> {
    let mut kept = Kept {
        into: Builder::begin(shape, folder.clone(), store, into)?,
        last: Vec::new(),
        block: Block::default(),
    };
    let name = name_of(damaged);
    if folder.names()?.contains(&name) {
        let file = folder.open(&name)?;
        let (seed, size) = (seed(store, damaged), file.size()?);
        match places(&*file, &shape, seed, size)? {
            Some(places) => {
                for place in places.windows(2) {
                    kept.block.stored.resize((place[1] - place[0]) as usize, 0);
                    file.read_at(place[0], &mut kept.block.stored)?;
                    kept.take(&shape, seed, place[0])?;
                }
            }
            None => search(&*file, &shape, seed, size, &mut kept)?,
        }
    }
    Ok(kept.into.finish()?.shelved())
}

/// Where the blocks begin, and where the last one ends; none if the index cannot be read.
fn places(
    file: &dyn Handle,
    shape: &Shape,
    seed: u64,
    size: u64,
) -> Result<Option<Vec<u64>>, EngineError> {
    let Some(footer) = footer_of(file, shape, seed, size)? else {
        return Ok(None);
    };
    let footer_at = size.saturating_sub(FOOTER as u64);
    let index = index_of(file, &footer, seed, footer_at)?;
    Ok(index.map(|index| {
        let places = (0..index.blocks()).filter_map(|number| index.place(number));
        places.chain([footer.index_at]).collect()
    }))
}

/// Looks for blocks at every byte.
fn search(
    file: &dyn Handle,
    shape: &Shape,
    seed: u64,
    size: u64,
    kept: &mut Kept,
) -> Result<(), EngineError> {
    let (mut window, mut at) = (Window::default(), 0);
    while at + (HEAD as u64) < size {
        let length = window.read(file, size, at, 4)?.try_into().ok();
        let length = length.map_or(0, |length| u32::from_be_bytes(length) as usize);
        let is_possible = length > 0 && length <= LONGEST && at + (HEAD + length) as u64 <= size;
        if is_possible {
            let stored = window.read(file, size, at, HEAD + length)?;
            kept.block.stored.clear();
            kept.block.stored.extend_from_slice(stored);
            if kept.take(shape, seed, at)? {
                at += (HEAD + length) as u64;
                continue;
            }
        }
        at += 1;
    }
    Ok(())
}

struct Kept {
    into: Builder,
    last: Vec<u8>,
    block: Block,
}

impl Kept {
    /// Takes in the block whose stored bytes are at hand; false if it is none.
    fn take(&mut self, shape: &Shape, seed: u64, at: u64) -> Result<bool, EngineError> {
        if !self.block.open(shape.compress, seed, at) {
            return Ok(false);
        }
        while self.block.advance().unwrap_or(false) {
            let key = self.block.key().unwrap_or_default();
            if self.last.as_slice() < key {
                self.into.add(key, self.block.value())?;
                self.last.clear();
                self.last.extend_from_slice(key);
            }
        }
        Ok(true)
    }
}

/// A part of a file that moves along.
#[derive(Default)]
struct Window {
    bytes: Vec<u8>,
    at: u64,
}

impl Window {
    fn read(
        &mut self,
        file: &dyn Handle,
        size: u64,
        at: u64,
        length: usize,
    ) -> Result<&[u8], EngineError> {
        let end = self.at + self.bytes.len() as u64;
        if at < self.at || at + length as u64 > end {
            let room = size.saturating_sub(at).min(length.max(WINDOW) as u64);
            self.bytes.resize(room as usize, 0);
            file.read_at(at, &mut self.bytes)?;
            self.at = at;
        }
        let start = (at - self.at) as usize;
        Ok(self.bytes.get(start..start + length).unwrap_or_default())
    }
}
