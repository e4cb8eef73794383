//! Writes a file.

use std::sync::Arc;

use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::store::EngineError;
use crate::store::files::{Folder, Handle};
use crate::store::history::{DAY_MS, end_of};
use crate::store::runs::block::{Press, write_entry};

use super::format::{Footer, Head, Identity, Place, Summary};
use super::name::{Name, UNFINISHED};

/// A block is closed when its entries have so many bytes; the last entry may pass over it.
const BLOCK: usize = 64 << 10;
/// What is written at once, bytes.
const WRITE: usize = 1 << 20;
/// Bytes of a key that name a conversation.
const CONVERSATION: usize = 9;

/// A file that is being written, under a name that no reader takes for one.
pub struct Writer {
    folder: Arc<dyn Folder>,
    file: Arc<dyn Handle>,
    of: Identity,
    name: Name,
    seed: u64,
    /// What is not in the file yet; it begins at the file's byte `written`.
    buffer: Vec<u8>,
    written: u64,
    block: Vec<u8>,
    place: Place,
    last: Vec<u8>,
    conversation: Option<Vec<u8>>,
    index: Vec<u8>,
    blocks: u64,
    summary: Summary,
    press: Press,
}

impl Writer {
    /// Begins a file, in the place of one that was begun before.
    pub fn begin(folder: Arc<dyn Folder>, of: Identity) -> Result<Writer, EngineError> {
        let Identity { period, part, .. } = of;
        let name = Name { period, part };
        let file = folder.create(&format!("{name}{UNFINISHED}"))?;
        Ok(Writer {
            folder,
            file,
            of,
            name,
            seed: of.seed(),
            buffer: of.header(),
            written: 0,
            block: Vec::new(),
            place: nowhere(),
            last: Vec::new(),
            conversation: None,
            index: Vec::new(),
            blocks: 0,
            summary: Summary {
                first_ts: u64::MAX,
                ..Summary::default()
            },
            press: Press::default(),
        })
    }

    /// Adds a key that is greater than all before, with its value, or none if an earlier file of the day has a value that
    /// is gone. Without `ts`, Unix milliseconds, it may be of any time of the day.
    pub fn add(
        &mut self,
        key: &[u8],
        value: Option<&[u8]>,
        ts: Option<u64>,
    ) -> Result<(), EngineError> {
        if self.block.is_empty() {
            self.place = Place {
                at: self.written + self.buffer.len() as u64,
                key: key.to_vec(),
                ..nowhere()
            };
            self.last.clear();
        }
        write_entry(&mut self.block, &self.last, key, value);
        self.last.clear();
        self.last.extend_from_slice(key);
        let end = end_of(self.of.period);
        let (first, last) = ts.map_or((end - DAY_MS, end - 1), |ts| (ts, ts));
        self.place.entries += 1;
        self.place.first_ts = self.place.first_ts.min(first);
        self.place.last_ts = self.place.last_ts.max(last);
        self.count(key, value.is_some(), first, last);
        if self.block.len() >= BLOCK {
            self.close_block();
        }
        if self.buffer.len() >= WRITE {
            self.write_out()?;
        }
        Ok(())
    }

    /// Ends the file: it is on the disk under its name. A file without entries is none.
    pub fn finish(mut self) -> Result<Option<String>, EngineError> {
        if !self.block.is_empty() {
            self.close_block();
        }
        let unfinished = format!("{}{UNFINISHED}", self.name);
        if self.blocks == 0 {
            self.folder.remove(&unfinished)?;
            return Ok(None);
        }
        if self.summary.messages == 0 {
            self.summary.first_ts = 0;
        }
        let footer = Footer {
            summary: self.summary,
            blocks: self.blocks,
            index_at: self.written + self.buffer.len() as u64,
            index_sum: xxh3_64_with_seed(&self.index, self.seed),
        };
        self.buffer.extend_from_slice(&self.index);
        self.buffer.extend(footer.to_bytes(self.of));
        self.write_out()?;
        self.file.sync()?;
        let name = self.name.to_string();
        self.folder.rename(&unfinished, &name)?;
        self.folder.sync()?;
        Ok(Some(name))
    }

    fn count(&mut self, key: &[u8], is_message: bool, first_ts: u64, last_ts: u64) {
        let summary = &mut self.summary;
        if !is_message {
            summary.removals += 1;
            return;
        }
        summary.messages += 1;
        summary.first_ts = summary.first_ts.min(first_ts);
        summary.last_ts = summary.last_ts.max(last_ts);
        let conversation = key.get(..CONVERSATION).unwrap_or(key);
        if self.conversation.as_deref() != Some(conversation) {
            summary.conversations += 1;
            self.conversation = Some(conversation.to_vec());
        }
    }

    fn close_block(&mut self) {
        let raw = self.block.len() as u32;
        self.summary.raw += u64::from(raw);
        let body = self.press.press(&self.block).unwrap_or(&self.block);
        let head = Head {
            raw,
            stored: body.len() as u32,
            entries: self.place.entries as u32,
            first_ts: self.place.first_ts,
            last_ts: self.place.last_ts,
            body_sum: 0,
        };
        head.write(&mut self.buffer, body, self.seed, self.place.at);
        self.place.write(&mut self.index);
        self.blocks += 1;
        self.block.clear();
    }

    fn write_out(&mut self) -> Result<(), EngineError> {
        self.file.write_at(self.written, &self.buffer)?;
        self.written += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }
}

/// A place without entries.
fn nowhere() -> Place {
    Place {
        at: 0,
        key: Vec::new(),
        entries: 0,
        first_ts: u64::MAX,
        last_ts: 0,
    }
}
