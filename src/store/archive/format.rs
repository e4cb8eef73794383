//! A file: a header; blocks of entries in key order, each behind a head; an index of the blocks; a footer.
//!
//! Checksums are seeded with the file's identity and the place, so that nothing which a message brought along passes for
//! a block. Header and footer both say the identity, so that one of them may be lost. Blocks have heads of their own, so
//! that they are found without the index.

use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

use crate::store::runs::block::{Block, take_number, unpress, write_number};

/// The format this build writes and reads.
pub(super) const VERSION: u32 = 1;
/// Bytes of a header: magic, version, store, period, part, checksum.
pub(super) const HEADER: usize = 8 + 4 + 8 + 4 + 4 + 8;
/// Bytes of a head: magic, four lengths and counts, two times, the checksums of the body and its own.
pub(super) const HEAD: usize = 4 + 3 * 4 + 4 * 8;
/// Bytes of a footer: what a header has before its checksum, nine numbers, the checksum.
pub(super) const FOOTER: usize = HEADER + 9 * 8;
/// What a head begins with.
pub(super) const MAGIC: [u8; 4] = *b"\xf1yza";
/// Entries of a block have fewer bytes than this.
pub(super) const RAW_MAX: usize = 64 << 20;

const FIRST: &[u8; 8] = b"yizhan\xf1a";
const LAST: &[u8; 8] = b"yizhan\xf1z";

/// Which file it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The store that wrote it.
    pub store: u64,
    /// The period: days since 1970 began, UTC.
    pub period: u32,
    /// Which file of the period, from 1 on.
    pub part: u32,
}

/// What a file holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Messages.
    pub messages: u64,
    /// Messages of earlier files of the same day that are gone.
    pub removals: u64,
    /// Conversations with a message in it.
    pub conversations: u64,
    /// Bytes before they were compressed.
    pub raw: u64,
    /// When its first message was accepted, Unix milliseconds.
    pub first_ts: u64,
    /// And its last.
    pub last_ts: u64,
}

/// The last bytes of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Footer {
    pub(super) summary: Summary,
    pub(super) blocks: u64,
    pub(super) index_at: u64,
    pub(super) index_sum: u64,
}

/// What stands in front of the entries of a block.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Head {
    /// Bytes of the entries, and of what is stored of them: as many if they are not compressed.
    pub(super) raw: u32,
    pub(super) stored: u32,
    pub(super) entries: u32,
    pub(super) first_ts: u64,
    pub(super) last_ts: u64,
    pub(super) body_sum: u64,
}

/// What the index says of a block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) at: u64,
    pub(super) key: Vec<u8>,
    pub(super) entries: u64,
    pub(super) first_ts: u64,
    pub(super) last_ts: u64,
}

impl Identity {
    /// What the checksums of the file are seeded with.
    pub(super) fn seed(&self) -> u64 {
        xxh3_64_with_seed(&self.to_bytes(FIRST), self.store)
    }

    /// The header.
    pub(super) fn header(&self) -> Vec<u8> {
        let mut bytes = self.to_bytes(FIRST);
        bytes.extend(xxh3_64(&bytes).to_be_bytes());
        bytes
    }

    /// The identity in a header.
    pub(super) fn of_header(bytes: &[u8]) -> Option<Identity> {
        let (bytes, sum) = bytes.get(..HEADER)?.split_last_chunk()?;
        let is_whole = xxh3_64(bytes) == u64::from_be_bytes(*sum);
        Identity::parse(bytes, FIRST).filter(|_| is_whole)
    }

    fn to_bytes(self, magic: &[u8; 8]) -> Vec<u8> {
        let mut bytes = magic.to_vec();
        bytes.extend(VERSION.to_be_bytes());
        bytes.extend(self.store.to_be_bytes());
        bytes.extend(self.period.to_be_bytes());
        bytes.extend(self.part.to_be_bytes());
        bytes
    }

    fn parse(bytes: &[u8], magic: &[u8; 8]) -> Option<Identity> {
        let rest = bytes.strip_prefix(magic)?;
        let rest = rest.strip_prefix(&VERSION.to_be_bytes())?;
        let (store, rest) = rest.split_first_chunk()?;
        let (period, part) = rest.split_first_chunk()?;
        Some(Identity {
            store: u64::from_be_bytes(*store),
            period: u32::from_be_bytes(*period),
            part: u32::from_be_bytes(part.try_into().ok()?),
        })
    }
}

impl Footer {
    pub(super) fn to_bytes(self, of: Identity) -> Vec<u8> {
        let mut bytes = of.to_bytes(LAST);
        let summary = &self.summary;
        let numbers = [
            summary.messages,
            summary.removals,
            summary.conversations,
            summary.raw,
            summary.first_ts,
            summary.last_ts,
            self.blocks,
            self.index_at,
            self.index_sum,
        ];
        bytes.extend(numbers.into_iter().flat_map(u64::to_be_bytes));
        bytes.extend(xxh3_64(&bytes).to_be_bytes());
        bytes
    }

    pub(super) fn parse(bytes: &[u8]) -> Option<(Identity, Footer)> {
        let (bytes, sum) = bytes.split_last_chunk()?;
        if bytes.len() + 8 != FOOTER || xxh3_64(bytes) != u64::from_be_bytes(*sum) {
            return None;
        }
        let (of, numbers) = bytes.split_at_checked(HEADER - 8)?;
        let (numbers, _) = numbers.as_chunks();
        let mut numbers = numbers.iter().map(|bytes| u64::from_be_bytes(*bytes));
        let footer = Footer {
            summary: Summary {
                messages: numbers.next()?,
                removals: numbers.next()?,
                conversations: numbers.next()?,
                raw: numbers.next()?,
                first_ts: numbers.next()?,
                last_ts: numbers.next()?,
            },
            blocks: numbers.next()?,
            index_at: numbers.next()?,
            index_sum: numbers.next()?,
        };
        Some((Identity::parse(of, LAST)?, footer))
    }
}

impl Head {
    /// Adds the head to a body, for this place of a file.
    pub(super) fn write(mut self, into: &mut Vec<u8>, body: &[u8], seed: u64, at: u64) {
        self.body_sum = xxh3_64_with_seed(body, seed ^ at);
        let head = into.len();
        into.extend(MAGIC);
        for short in [self.raw, self.stored, self.entries] {
            into.extend(short.to_be_bytes());
        }
        for long in [self.first_ts, self.last_ts, self.body_sum] {
            into.extend(long.to_be_bytes());
        }
        let sum = xxh3_64_with_seed(&into[head..], seed ^ at);
        into.extend(sum.to_be_bytes());
        into.extend(body);
    }

    /// The head that stands at this place, if one does.
    pub(super) fn parse(bytes: &[u8], seed: u64, at: u64) -> Option<Head> {
        let (bytes, sum) = bytes.get(..HEAD)?.split_last_chunk()?;
        let rest = bytes.strip_prefix(&MAGIC)?;
        if xxh3_64_with_seed(bytes, seed ^ at) != u64::from_be_bytes(*sum) {
            return None;
        }
        let (shorts, longs) = rest.split_at_checked(12)?;
        let (shorts, _) = shorts.as_chunks();
        let (longs, _) = longs.as_chunks();
        let mut shorts = shorts.iter().map(|bytes| u32::from_be_bytes(*bytes));
        let mut longs = longs.iter().map(|bytes| u64::from_be_bytes(*bytes));
        Some(Head {
            raw: shorts.next()?,
            stored: shorts.next()?,
            entries: shorts.next()?,
            first_ts: longs.next()?,
            last_ts: longs.next()?,
            body_sum: longs.next()?,
        })
    }

    /// Opens the body that is in the block's `stored`; false if it is not what was written. The walk stands before the
    /// first entry.
    pub(super) fn open(&self, block: &mut Block, seed: u64, at: u64) -> bool {
        block.rewind();
        if xxh3_64_with_seed(&block.stored, seed ^ at) != self.body_sum {
            return false;
        }
        if self.raw == self.stored {
            block.entries.clear();
            block.entries.extend_from_slice(&block.stored);
            return true;
        }
        let raw = self.raw as usize;
        raw <= RAW_MAX && unpress(&block.stored, raw, &mut block.entries)
    }
}

impl Place {
    pub(super) fn write(&self, into: &mut Vec<u8>) {
        write_number(into, self.at);
        write_number(into, self.entries);
        write_number(into, self.first_ts);
        write_number(into, self.last_ts.saturating_sub(self.first_ts));
        write_number(into, self.key.len() as u64);
        into.extend(&self.key);
    }

    pub(super) fn take(bytes: &mut &[u8]) -> Option<Place> {
        let (at, entries) = (take_number(bytes)?, take_number(bytes)?);
        let (first_ts, span) = (take_number(bytes)?, take_number(bytes)?);
        let length = usize::try_from(take_number(bytes)?).ok()?;
        let (key, rest) = bytes.split_at_checked(length)?;
        *bytes = rest;
        Some(Place {
            at,
            key: key.to_vec(),
            entries,
            first_ts,
            last_ts: first_ts.checked_add(span)?,
        })
    }
}
