//! Reads a backup and refuses one that is not whole, by the byte where that shows.

use std::io::{self, Read};

use xxhash_rust::xxh3::{Xxh3, xxh3_64};

use crate::store::record;

use super::{
    BLOCK_MAX, BROKEN_OFF, Counts, END, FORMAT, HEADER_BYTES, Header, MAGIC, RECORDS, Records,
};

/// Why a file is not a backup that can be restored.
#[derive(Debug, thiserror::Error)]
pub enum Damage {
    /// The disk or the connection failed.
    #[error("it cannot be read at byte {at}: {why}")]
    Unread {
        /// Where.
        at: u64,
        /// Why.
        why: io::Error,
    },
    /// The file is something else.
    #[error("it is not a backup of yizhan: it does not begin like one")]
    Foreign,
    /// A format that this build does not read.
    #[error(
        "it has format {0}, and this build reads format {FORMAT}: use the version that wrote it"
    )]
    Format(u32),
    /// A store that this build does not read.
    #[error("it is of a store of layout {0}, and this build reads layout {layout}: use the version that wrote it", layout = record::LAYOUT)]
    Layout(u32),
    /// The rest is missing.
    #[error("it is cut off at byte {0}, before its end")]
    CutOff(u64),
    /// These are not the bytes that were written.
    #[error("it is damaged at byte {at}: {what}")]
    Damaged {
        /// Where the piece begins that is not what was written.
        at: u64,
        /// What is wrong with it.
        what: &'static str,
    },
    /// The server ended the backup before its end.
    #[error("the server broke it off: {0}")]
    BrokenOff(String),
}

/// Reads a backup, a block at a time.
#[derive(Debug)]
pub struct Decoder<R> {
    source: R,
    at: u64,
    sum: u64,
    counts: Counts,
    header: Header,
}

impl<R: Read> Decoder<R> {
    /// Reads the header.
    pub fn open(source: R) -> Result<Decoder<R>, Damage> {
        let mut decoder = Decoder {
            source,
            at: 0,
            sum: 0,
            counts: Counts::default(),
            header: Header {
                layout: 0,
                created_ms: 0,
            },
        };
        let bytes = decoder.some(HEADER_BYTES)?;
        let magic = MAGIC.len().min(bytes.len());
        if bytes.is_empty() || bytes[..magic] != MAGIC[..magic] {
            return Err(Damage::Foreign);
        }
        decoder.at = bytes.len() as u64;
        if bytes.len() < HEADER_BYTES {
            return Err(Damage::CutOff(decoder.at));
        }
        let (said, sum) = bytes.split_at(HEADER_BYTES - 8);
        decoder.sum = xxh3_64(said);
        let number = |from: usize| u32::from_be_bytes(array(&said[from..from + 4]));
        let (format, layout) = (number(MAGIC.len()), number(MAGIC.len() + 4));
        if decoder.sum != u64::from_be_bytes(array(sum)) {
            return Err(damaged(0, "the checksum of the header is another"));
        }
        if format != FORMAT {
            return Err(Damage::Format(format));
        }
        // The tables are the same: what is restored gets a log by itself.
        if layout != record::LAYOUT && !record::LAYOUTS_BEFORE.contains(&layout) {
            return Err(Damage::Layout(layout));
        }
        decoder.header = Header {
            layout,
            created_ms: u64::from_be_bytes(array(&said[MAGIC.len() + 8..])),
        };
        Ok(decoder)
    }

    /// Which store it is of.
    pub fn header(&self) -> Header {
        self.header
    }

    /// What was read.
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// How far the file was read, bytes.
    pub fn at(&self) -> u64 {
        self.at
    }

    /// The next records; none when the backup ended as a whole one does.
    pub fn block(&mut self) -> Result<Option<Records>, Damage> {
        let begins = self.at;
        let head: [u8; 5] = array(&self.exactly(5)?);
        let kind = head[0];
        let length = u32::from_be_bytes(array(&head[1..])) as usize;
        if ![RECORDS, END, BROKEN_OFF].contains(&kind) || length > BLOCK_MAX {
            return Err(damaged(begins, "no block begins here"));
        }
        let content = self.exactly(length)?;
        let said = u64::from_be_bytes(array(&self.exactly(8)?));
        let mut sum = Xxh3::with_seed(self.sum);
        sum.update(&head);
        sum.update(&content);
        self.sum = sum.digest();
        if said != self.sum {
            return Err(damaged(begins, "the checksum of the block is another"));
        }
        match kind {
            RECORDS => {
                let records = Records::parse(content);
                let records = records.ok_or(damaged(begins, "the block has no whole records"))?;
                self.counts.add(&records);
                Ok(Some(records))
            }
            END => self.end(begins, &content),
            _ => Err(Damage::BrokenOff(
                String::from_utf8_lossy(&content).into_owned(),
            )),
        }
    }

    fn end(&mut self, begins: u64, content: &[u8]) -> Result<Option<Records>, Damage> {
        if content != self.counts.to_bytes() {
            return Err(damaged(begins, "the end counts other blocks"));
        }
        let ends = self.at;
        match self.some(1)?.is_empty() {
            true => Ok(None),
            false => Err(damaged(ends, "there is something behind the end")),
        }
    }

    fn exactly(&mut self, length: usize) -> Result<Vec<u8>, Damage> {
        let bytes = self.some(length)?;
        match bytes.len() == length {
            true => Ok(bytes),
            false => Err(Damage::CutOff(self.at)),
        }
    }

    /// At most `length` bytes; fewer only where the file ends. A length that is wrong takes no memory that is not there.
    fn some(&mut self, length: usize) -> Result<Vec<u8>, Damage> {
        let mut bytes = Vec::new();
        let read = (&mut self.source)
            .take(length as u64)
            .read_to_end(&mut bytes);
        self.at += bytes.len() as u64;
        match read {
            Ok(_) => Ok(bytes),
            Err(why) if why.kind() == io::ErrorKind::UnexpectedEof => Err(Damage::CutOff(self.at)),
            Err(why) => Err(Damage::Unread { at: self.at, why }),
        }
    }
}

fn damaged(at: u64, what: &'static str) -> Damage {
    Damage::Damaged { at, what }
}

fn array<const N: usize>(bytes: &[u8]) -> [u8; N] {
    let mut array = [0; N];
    array.copy_from_slice(&bytes[..N]);
    array
}
