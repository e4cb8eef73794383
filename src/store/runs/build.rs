//! Writes a run, block by block.

use std::sync::Arc;

use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::store::EngineError;
use crate::store::files::{Folder, Handle};

use super::Shelved;
use super::block::{self, Press};
use super::bloom::Bloom;
use super::index::{Footer, Index};
use super::run::{self, Run};
use super::shape::Shape;

/// What is written at once, bytes.
const WRITE: usize = 1 << 20;

/// A run that is being written, under a name that no open takes for a run.
pub struct Builder {
    shape: Shape,
    folder: Arc<dyn Folder>,
    file: Arc<dyn Handle>,
    seed: u64,
    shelved: Shelved,
    /// What is not in the file yet; it begins at the file's byte `written`.
    buffer: Vec<u8>,
    written: u64,
    block: Vec<u8>,
    last: Vec<u8>,
    index: Index,
    noted: Option<[u64; 2]>,
    hashes: Vec<u64>,
    press: Option<Press>,
}

impl Builder {
    pub(in crate::store) fn begin(
        shape: Shape,
        folder: Arc<dyn Folder>,
        store: u64,
        run: u64,
    ) -> Result<Builder, EngineError> {
        let file = folder.create(&run::unfinished_name_of(run))?;
        Ok(Builder {
            shape,
            folder,
            file,
            seed: run::seed(store, run),
            shelved: Shelved {
                run,
                entries: 0,
                bytes: 0,
            },
            buffer: Vec::new(),
            written: 0,
            block: Vec::new(),
            last: Vec::new(),
            index: Index::default(),
            noted: None,
            hashes: Vec::new(),
            press: shape.compress.then(Press::default),
        })
    }

    /// Adds a key that is greater than all before, with its value, or none for a removal.
    pub fn add(&mut self, key: &[u8], value: Option<&[u8]>) -> Result<(), EngineError> {
        if self.block.is_empty() {
            self.index
                .push(key, self.written + self.buffer.len() as u64);
            self.last.clear();
        }
        block::write_entry(&mut self.block, &self.last, key, value);
        self.last.clear();
        self.last.extend_from_slice(key);
        self.shape.note(key, &mut self.noted, &mut self.hashes);
        self.shelved.entries += 1;
        if self.block.len() >= self.shape.block {
            self.close_block();
        }
        if self.buffer.len() >= WRITE {
            self.write_out()?;
        }
        Ok(())
    }

    /// Ends the run: it is on the disk under its name.
    pub fn finish(self) -> Result<Run, EngineError> {
        let folder = self.folder.clone();
        let run = self.close()?;
        folder.sync()?;
        Ok(run)
    }

    /// Ends the run: it is on the disk, under its name when the folder is synced.
    pub(in crate::store) fn close(mut self) -> Result<Run, EngineError> {
        if !self.block.is_empty() {
            self.close_block();
        }
        let bloom = Bloom::of(&self.hashes);
        let index = self.index.to_bytes();
        let index_at = self.written + self.buffer.len() as u64;
        let footer = Footer {
            entries: self.shelved.entries,
            index_at,
            bloom_at: index_at + index.len() as u64,
            index_sum: xxh3_64_with_seed(&index, self.seed),
            bloom_sum: xxh3_64_with_seed(bloom.bytes(), self.seed),
        };
        self.buffer.extend_from_slice(&index);
        self.buffer.extend_from_slice(bloom.bytes());
        self.buffer
            .extend_from_slice(&footer.to_bytes(&self.shape, self.seed));
        self.write_out()?;
        self.file.sync()?;
        let run = self.shelved.run;
        let name = run::name_of(run);
        self.folder.rename(&run::unfinished_name_of(run), &name)?;
        self.shelved.bytes = self.written;
        Ok(Run {
            shape: self.shape,
            path: self.folder.path(&name),
            file: self.file,
            seed: self.seed,
            shelved: self.shelved,
            index: self.index,
            index_at,
            bloom,
        })
    }

    fn close_block(&mut self) {
        let at = self.written + self.buffer.len() as u64;
        let press = self.press.as_mut();
        block::write(&mut self.buffer, &self.block, press, self.seed, at);
        self.block.clear();
    }

    fn write_out(&mut self) -> Result<(), EngineError> {
        self.file.write_at(self.written, &self.buffer)?;
        self.written += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }
}
