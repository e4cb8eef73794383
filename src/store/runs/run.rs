//! One sorted file: blocks with checksums, an index of their first keys, a filter, a footer.

use std::sync::Arc;

use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::store::EngineError;
use crate::store::files::{Folder, Handle};

use super::Shelved;
use super::block::{Block, HEAD};
use super::bloom::Bloom;
use super::index::{FOOTER, Footer, Index};
use super::shape::{Scan, Shape};

/// What an operator is to do about damage.
const REMEDY: &str = "`yizhan store check` says all that is wrong, and `yizhan store salvage` keeps what can be kept";

/// What a run says of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// It knows nothing of it.
    Nothing,
    /// It was removed.
    Removed,
    /// This is under it.
    Value(Vec<u8>),
}

/// A run that is whole and open.
pub struct Run {
    pub(super) shape: Shape,
    pub(super) file: Arc<dyn Handle>,
    pub(super) path: String,
    pub(super) seed: u64,
    pub(super) shelved: Shelved,
    pub(super) index: Index,
    /// Where the blocks end.
    pub(super) index_at: u64,
    pub(super) bloom: Bloom,
}

impl Run {
    /// Opens a run by what is on the disk. Its blocks are looked at when they are read.
    pub fn open(
        shape: Shape,
        folder: &dyn Folder,
        store: u64,
        shelved: Shelved,
    ) -> Result<Run, EngineError> {
        let name = name_of(shelved.run);
        let path = folder.path(&name);
        if !folder.names()?.contains(&name) {
            return Err(EngineError::Failed(format!(
                "{path}: the file is missing: {REMEDY}"
            )));
        }
        let file = folder.open(&name)?;
        file.go_by_the_disk()?;
        let seed = seed(store, shelved.run);
        let size = file.size()?;
        if size != shelved.bytes {
            let why = format!("it has {size} bytes and was written with {}", shelved.bytes);
            return Err(refusal(&path, size.min(shelved.bytes), &why));
        }
        let footer_at = size.saturating_sub(FOOTER as u64);
        let Some(footer) = footer_of(&*file, &shape, seed, size)? else {
            return Err(refusal(&path, footer_at, "the footer cannot be read"));
        };
        if footer.entries != shelved.entries {
            return Err(refusal(&path, footer_at, "the footer is of another run"));
        }
        let Some(index) = index_of(&*file, &footer, seed, footer_at)? else {
            return Err(refusal(&path, footer.index_at, "the index cannot be read"));
        };
        let bloom = part(&*file, footer.bloom_at, footer_at, footer_at)?;
        let Some(bloom) = bloom.filter(|bytes| xxh3_64_with_seed(bytes, seed) == footer.bloom_sum)
        else {
            return Err(refusal(&path, footer.bloom_at, "the filter cannot be read"));
        };
        Ok(Run {
            shape,
            file,
            path,
            seed,
            shelved,
            index,
            index_at: footer.index_at,
            bloom: Bloom::from_bytes(bloom),
        })
    }

    /// What is known of it outside.
    pub fn shelved(&self) -> Shelved {
        self.shelved
    }

    /// Looks a key up, which has this hash in runs of this shape.
    pub fn get(&self, key: &[u8], hash: u64) -> Result<Found, EngineError> {
        if !self.bloom.may_have(hash) {
            return Ok(Found::Nothing);
        }
        let Some(number) = self.index.block_of(key) else {
            return Ok(Found::Nothing);
        };
        let mut block = Block::default();
        self.block(number, &mut block)?;
        let found = block.advance_to(key);
        let found = found.map_err(|_| self.unreadable(number))?;
        if !found || block.key() != Some(key) {
            return Ok(Found::Nothing);
        }
        Ok(match block.value() {
            None => Found::Removed,
            Some(value) => Found::Value(value.to_vec()),
        })
    }

    /// False if it has nothing for a scan.
    pub fn may_have(&self, scan: &Scan) -> bool {
        scan.may_be_in(|hash| self.bloom.may_have(hash))
    }

    /// Reads all of it; the error names what cannot be read.
    pub fn verify(&self) -> Result<(), EngineError> {
        let (mut entries, mut block) = (0, Block::default());
        for number in 0..self.blocks() {
            self.block(number, &mut block)?;
            while block.advance().map_err(|_| self.unreadable(number))? {
                entries += 1;
            }
        }
        match entries == self.shelved.entries {
            true => Ok(()),
            false => Err(refusal(&self.path, 0, "entries are missing")),
        }
    }

    /// How many blocks there are.
    pub(super) fn blocks(&self) -> usize {
        self.index.blocks()
    }

    /// The block in which a key would stand.
    pub(super) fn block_of(&self, key: &[u8]) -> usize {
        self.index.block_of(key).unwrap_or(0)
    }

    /// Reads a block, whose walk then stands before its first entry.
    pub(super) fn block(&self, number: usize, block: &mut Block) -> Result<(), EngineError> {
        let at = self.index.place(number).unwrap_or(self.index_at);
        let end = self.index.place(number + 1).unwrap_or(self.index_at);
        block.stored.resize(end.saturating_sub(at) as usize, 0);
        self.file.read_at(at, &mut block.stored)?;
        match block.open(self.shape.compress, self.seed, at) {
            true => Ok(()),
            false => Err(self.unreadable(number)),
        }
    }

    /// What is wrong when a block is not what was written.
    pub(super) fn unreadable(&self, number: usize) -> EngineError {
        let at = self.index.place(number).unwrap_or(self.index_at);
        match refusal(&self.path, at, "a block cannot be read") {
            EngineError::Failed(why) if self.shape.spares_the_store => EngineError::Damaged(why),
            error => error,
        }
    }
}

/// The footer of a file of this size, if it can be read.
pub(super) fn footer_of(
    file: &dyn Handle,
    shape: &Shape,
    seed: u64,
    size: u64,
) -> Result<Option<Footer>, EngineError> {
    let footer_at = size.saturating_sub(FOOTER as u64);
    let bytes = part(file, footer_at, size, size)?;
    Ok(bytes.and_then(|bytes| Footer::parse(&bytes, shape, seed)))
}

/// The index that a footer tells of, if it can be read.
pub(super) fn index_of(
    file: &dyn Handle,
    footer: &Footer,
    seed: u64,
    footer_at: u64,
) -> Result<Option<Index>, EngineError> {
    let bytes = part(file, footer.index_at, footer.bloom_at, footer_at)?;
    let bytes = bytes.filter(|bytes| xxh3_64_with_seed(bytes, seed) == footer.index_sum);
    let index = bytes.and_then(|bytes| Index::parse(&bytes));
    let ends_in_order = |index: &Index| {
        let places = (0..index.blocks()).filter_map(|number| index.place(number));
        places
            .chain([footer.index_at])
            .is_sorted_by(|a, b| a + HEAD as u64 <= *b)
    };
    Ok(index.filter(ends_in_order))
}

/// The bytes of a file from one place to another, none if they are not all before `limit`.
fn part(file: &dyn Handle, at: u64, end: u64, limit: u64) -> Result<Option<Vec<u8>>, EngineError> {
    let len = end.checked_sub(at).filter(|_| end <= limit);
    let Some(len) = len.and_then(|len| usize::try_from(len).ok()) else {
        return Ok(None);
    };
    let mut bytes = vec![0; len];
    file.read_at(at, &mut bytes)?;
    Ok(Some(bytes))
}

/// What the checksums of a run are seeded with.
pub(super) fn seed(store: u64, run: u64) -> u64 {
    xxh3_64_with_seed(&run.to_be_bytes(), !store)
}

/// The name of a run's file.
pub(in crate::store) fn name_of(run: u64) -> String {
    format!("{run:016}.run")
}

/// Its name while it is written.
pub(super) fn unfinished_name_of(run: u64) -> String {
    format!("{run:016}.run.new")
}

/// Whether a file has the name of a run, be it whole or not.
pub(in crate::store) fn is_name(name: &str) -> bool {
    name.ends_with(".run") || name.ends_with(".run.new")
}

fn refusal(path: &str, at: u64, why: &str) -> EngineError {
    EngineError::Failed(format!("{path}: damaged at byte {at}: {why}. {REMEDY}"))
}
