//! Writes a run, block by block.

use std::sync::Arc;

use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::store::EngineError;
use crate::store::files::{Folder, Handle};

use super::Shelved;
use super::bloom::{self, Bloom};
use super::run::{self, Footer, Index, Run};

/// A block is closed when its entries have so many bytes.
const BLOCK: usize = 4096;
/// What is written at once, bytes.
const WRITE: usize = 1 << 20;

/// A run that is being written, under a name that no open takes for a run.
pub struct Builder {
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
    hashes: Vec<u64>,
}

impl Builder {
    pub(super) fn begin(
        folder: Arc<dyn Folder>,
        store: u64,
        run: u64,
    ) -> Result<Builder, EngineError> {
        let file = folder.create(&run::unfinished_name_of(run))?;
        Ok(Builder {
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
            hashes: Vec::new(),
        })
    }

    /// Adds a key that is greater than all before, with its value, or none for a removal.
    pub fn add(&mut self, key: &[u8], value: Option<&[u8]>) -> Result<(), EngineError> {
        if self.block.is_empty() {
            self.index
                .push(key, self.written + self.buffer.len() as u64);
            self.last.clear();
        }
        run::write_entry(&mut self.block, &self.last, key, value);
        self.last.clear();
        self.last.extend_from_slice(key);
        self.hashes.push(bloom::hash(key));
        self.shelved.entries += 1;
        if self.block.len() >= BLOCK {
            self.close_block();
        }
        if self.buffer.len() >= WRITE {
            self.write_out()?;
        }
        Ok(())
    }

    /// Ends the run: it is on the disk under its name.
    pub fn finish(mut self) -> Result<Run, EngineError> {
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
        self.buffer.extend_from_slice(&footer.to_bytes(self.seed));
        self.write_out()?;
        self.file.sync()?;
        let run = self.shelved.run;
        let name = run::name_of(run);
        self.folder.rename(&run::unfinished_name_of(run), &name)?;
        self.folder.sync()?;
        self.shelved.bytes = self.written;
        let path = self.folder.path(&name);
        let (index, file) = (self.index, self.file);
        Ok(Run::new(
            file,
            path,
            self.seed,
            self.shelved,
            index,
            index_at,
            bloom,
        ))
    }

    fn close_block(&mut self) {
        let at = self.written + self.buffer.len() as u64;
        run::write_block(&mut self.buffer, &self.block, self.seed, at);
        self.block.clear();
    }

    fn write_out(&mut self) -> Result<(), EngineError> {
        self.file.write_at(self.written, &self.buffer)?;
        self.written += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }
}
