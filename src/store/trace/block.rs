//! A block: a head, a filter over the keys of its records, and the records, compressed.
//!
//! The head has a checksum of its own, so blocks are walked over and passed by without their records being read. It is
//! seeded with the file and the place, so that bytes which a record brought along are no head anywhere.

use lz4_flex::block::{
    CompressTable, compress_into_with_table, decompress_into, get_maximum_output_size,
};
use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

use super::filter;
use super::record::{Part, Record, Records};

/// Bytes of a head.
pub(super) const HEAD: usize = 4 + 5 * 4 + 8 * 8 + 8;
/// A block is closed when its records have so many bytes; the last record may pass over it.
const FULL: usize = 256 << 10;
/// Records of a block have fewer bytes than this.
const RAW_MAX: usize = 4 << 20;
/// What stands before the records of a part: the ticket from which they count, and their length.
const PART: usize = 8 + 4;
/// What a head begins with.
pub(super) const MAGIC: [u8; 4] = *b"\xf1yzt";

/// The last block of a run that ended in order.
const ENDS: u32 = 1;
/// The records did not become shorter, and are there as they are.
const PLAIN: u32 = 2;

/// What is known of a block without its records.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Head {
    /// What was known before it was closed.
    pub(super) stamp: Stamp,
    /// How many records it has.
    pub(super) records: u32,
    is_plain: bool,
    raw: u32,
    filter: u32,
    body: u32,
    filter_sum: u64,
    body_sum: u64,
}

/// Where a block stands among others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Stamp {
    /// The run of the server that wrote it: the number of its first file.
    pub(super) run: u64,
    /// Which block of the run it is, from 1 on.
    pub(super) seq: u64,
    /// Neither it nor any later block of the run has a record with a smaller ticket.
    pub(super) floor: u64,
    /// How many records were lost since the block before.
    pub(super) lost: u64,
    /// No record is older, Unix milliseconds.
    pub(super) first_ms: u64,
    /// And none is younger.
    pub(super) last_ms: u64,
    /// Whether the run ends with it.
    pub(super) ends: bool,
}

/// A block with its bytes, ready to be written.
#[derive(Clone, Debug)]
pub(super) struct Block {
    pub(super) head: Head,
    bytes: Vec<u8>,
}

impl Head {
    /// The head that stands at this place of that file, if one does.
    pub(super) fn read(bytes: &[u8], file: u64, at: u64) -> Option<Head> {
        let bytes = bytes.get(..HEAD)?;
        if bytes[..4] != MAGIC || sum(bytes, file, at) != number(bytes, HEAD - 8) {
            return None;
        }
        let [flags, records, raw, filter, body] = [4, 8, 12, 16, 20].map(|at| short(bytes, at));
        let long = |n: usize| number(bytes, 24 + 8 * n);
        Some(Head {
            stamp: Stamp {
                run: long(0),
                seq: long(1),
                floor: long(2),
                lost: long(3),
                first_ms: long(4),
                last_ms: long(5),
                ends: flags & ENDS != 0,
            },
            records,
            is_plain: flags & PLAIN != 0,
            raw,
            filter,
            body,
            filter_sum: long(6),
            body_sum: long(7),
        })
    }

    fn write(&self, bytes: &mut [u8], file: u64, at: u64) {
        let mut flags = 0;
        flags |= if self.stamp.ends { ENDS } else { 0 };
        flags |= if self.is_plain { PLAIN } else { 0 };
        bytes[..4].copy_from_slice(&MAGIC);
        let shorts = [flags, self.records, self.raw, self.filter, self.body];
        for (place, short) in bytes[4..24].chunks_exact_mut(4).zip(shorts) {
            place.copy_from_slice(&short.to_le_bytes());
        }
        let stamp = &self.stamp;
        let longs = [
            stamp.run,
            stamp.seq,
            stamp.floor,
            stamp.lost,
            stamp.first_ms,
            stamp.last_ms,
            self.filter_sum,
            self.body_sum,
        ];
        for (place, long) in bytes[24..HEAD - 8].chunks_exact_mut(8).zip(longs) {
            place.copy_from_slice(&long.to_le_bytes());
        }
        let sum = sum(bytes, file, at);
        bytes[HEAD - 8..HEAD].copy_from_slice(&sum.to_le_bytes());
    }

    /// Bytes of head and filter.
    pub(super) fn before_body(&self) -> u64 {
        HEAD as u64 + u64::from(self.filter)
    }

    /// Bytes of the records as they are written.
    pub(super) fn body(&self) -> u64 {
        u64::from(self.body)
    }

    /// Bytes of everything.
    pub(super) fn size(&self) -> u64 {
        self.before_body() + self.body()
    }

    /// The filter behind the head, if it is as it was written.
    pub(super) fn filter<'a>(&self, before_body: &'a [u8]) -> Option<&'a [u8]> {
        let filter = before_body.get(HEAD..)?;
        (xxh3_64(filter) == self.filter_sum).then_some(filter)
    }

    /// Opens the records into `raw`; false if they are not as they were written.
    pub(super) fn open(&self, body: &[u8], raw: &mut Vec<u8>) -> bool {
        let length = self.raw as usize;
        if length > RAW_MAX || xxh3_64(body) != self.body_sum {
            return false;
        }
        raw.clear();
        if self.is_plain {
            raw.extend_from_slice(body);
            return true;
        }
        raw.resize(length, 0);
        decompress_into(body, raw).is_ok_and(|size| size == length)
    }
}

impl Block {
    /// The bytes, for this place of that file.
    pub(super) fn sealed(&mut self, file: u64, at: u64) -> &[u8] {
        self.head.write(&mut self.bytes, file, at);
        &self.bytes
    }

    /// Its head and filter, and its body.
    pub(super) fn split(&self) -> (&[u8], &[u8]) {
        let before_body = usize::try_from(self.head.before_body()).unwrap_or(usize::MAX);
        self.bytes.split_at(before_body.min(self.bytes.len()))
    }
}

/// The records of an open block; those of each part in order.
pub(super) fn records(mut raw: &[u8]) -> impl Iterator<Item = Record<'_>> {
    let parts = std::iter::from_fn(move || {
        let (head, rest) = raw.split_at_checked(PART)?;
        let (part, rest) = rest.split_at_checked(short(head, 8) as usize)?;
        raw = rest;
        Some(Records::new(part, number(head, 0)))
    });
    parts.flatten()
}

/// Makes blocks of the records of buffers.
#[derive(Default)]
pub(super) struct Builder {
    raw: Vec<u8>,
    keys: Vec<u64>,
    table: Table,
    spare: Vec<u8>,
}

struct Table(CompressTable);

impl Default for Table {
    fn default() -> Table {
        Table(CompressTable::large())
    }
}

impl Builder {
    /// Adds the records of a buffer, and calls `full` whenever a block has enough of them.
    pub(super) fn add(&mut self, part: &Part, mut full: impl FnMut(&mut Builder)) {
        let (mut from, mut base) = (0, part.base);
        for record in part.records() {
            self.keys.push(record.key);
            if self.raw.len() + record.end - from >= FULL {
                self.copy(base, &part.bytes[from..record.end]);
                (from, base) = (record.end, record.ticket);
                full(self);
            }
        }
        self.copy(base, &part.bytes[from..]);
    }

    fn copy(&mut self, base: u64, records: &[u8]) {
        if records.is_empty() {
            return;
        }
        self.raw.extend_from_slice(&base.to_le_bytes());
        let length = records.len() as u32;
        self.raw.extend_from_slice(&length.to_le_bytes());
        self.raw.extend_from_slice(records);
    }

    /// Whether there is nothing to close.
    pub(super) fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Makes a block of what was added.
    pub(super) fn close(&mut self, stamp: Stamp) -> Block {
        let mut bytes = std::mem::take(&mut self.spare);
        bytes.clear();
        bytes.resize(HEAD, 0);
        filter::write(&self.keys, &mut bytes);
        let at = bytes.len();
        bytes.resize(at + get_maximum_output_size(self.raw.len()), 0);
        let packed = compress_into_with_table(&self.raw, &mut bytes[at..], &mut self.table.0);
        let is_plain = !packed.as_ref().is_ok_and(|size| *size < self.raw.len());
        match packed {
            Ok(size) if !is_plain => bytes.truncate(at + size),
            _ => {
                bytes.truncate(at);
                bytes.extend_from_slice(&self.raw);
            }
        }
        let head = Head {
            stamp,
            records: self.keys.len() as u32,
            is_plain,
            raw: self.raw.len() as u32,
            filter: (at - HEAD) as u32,
            body: (bytes.len() - at) as u32,
            filter_sum: xxh3_64(&bytes[HEAD..at]),
            body_sum: xxh3_64(&bytes[at..]),
        };
        self.raw.clear();
        self.keys.clear();
        Block { head, bytes }
    }

    /// Takes back the room of a block that nobody needs.
    pub(super) fn reuse(&mut self, block: Block) {
        self.spare = block.bytes;
    }
}

fn sum(head: &[u8], file: u64, at: u64) -> u64 {
    xxh3_64_with_seed(&head[..HEAD - 8], file.rotate_left(40) ^ at)
}

fn short(bytes: &[u8], at: usize) -> u32 {
    let mut number = [0; 4];
    number.copy_from_slice(&bytes[at..at + 4]);
    u32::from_le_bytes(number)
}

fn number(bytes: &[u8], at: usize) -> u64 {
    let mut number = [0; 8];
    number.copy_from_slice(&bytes[at..at + 8]);
    u64::from_le_bytes(number)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn part(tickets: impl Iterator<Item = u64>, payload: &[u8]) -> Part {
        let mut part = Part::default();
        for ticket in tickets {
            part.push(ticket, ticket * 3, payload);
        }
        part
    }

    fn opened(block: &Block) -> Vec<(u64, u64, Vec<u8>)> {
        let mut raw = Vec::new();
        assert!(block.head.open(block.split().1, &mut raw));
        let found = records(&raw).map(|r| (r.ticket, r.key, r.payload.to_vec()));
        found.collect()
    }

    #[test]
    fn records_of_several_buffers_come_back_from_as_many_blocks_as_they_need() {
        let parts = [
            part((0..9000).map(|n| n * 2), &[1; 60]),
            part((0..9).map(|n| n * 2 + 1), b"seldom"),
        ];
        let mut builder = Builder::default();
        let mut blocks = Vec::new();
        for part in &parts {
            builder.add(part, |builder| blocks.push(builder.close(Stamp::default())));
        }
        blocks.push(builder.close(Stamp::default()));
        assert!(builder.is_empty());
        assert_eq!(blocks.len(), 3);
        let found: Vec<_> = blocks.iter().flat_map(opened).collect();
        let left = parts.iter().flat_map(Part::records);
        let left: Vec<_> = left
            .map(|r| (r.ticket, r.key, r.payload.to_vec()))
            .collect();
        assert_eq!(found, left);
        let records: u32 = blocks.iter().map(|block| block.head.records).sum();
        assert_eq!(records, 9009);
    }

    #[test]
    fn what_does_not_become_shorter_is_kept_as_it_is() {
        const NOISY: u64 = 0x1a2b_3c4d_5e6f_7181;
        let noise: Vec<u8> = (0..200u64)
            .map(|n| xxh3_64(&n.to_le_bytes()) as u8)
            .collect();
        let mut builder = Builder::default();
        builder.add(&part(NOISY..NOISY + 1, &noise), |_| {});
        let block = builder.close(Stamp::default());
        assert!(block.head.is_plain);
        assert_eq!(opened(&block), [(NOISY, NOISY * 3, noise)]);
    }

    #[test]
    fn a_head_is_one_only_at_its_place_and_with_every_bit_right() {
        let mut builder = Builder::default();
        builder.add(&part(1..9, b"payload"), |_| {});
        let stamp = Stamp {
            run: 1,
            seq: 2,
            floor: 3,
            lost: 4,
            first_ms: 5,
            last_ms: 6,
            ends: true,
        };
        let mut block = builder.close(stamp);
        let bytes = block.sealed(7, 48).to_vec();
        let head = Head::read(&bytes, 7, 48).unwrap();
        assert_eq!(head, block.head);
        assert_eq!(head.size(), bytes.len() as u64);
        assert_eq!(Head::read(&bytes, 7, 49), None);
        assert_eq!(Head::read(&bytes, 8, 48), None);
        for bit in 0..HEAD * 8 {
            let mut bytes = bytes.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Head::read(&bytes, 7, 48), None, "{bit}");
        }
    }
}
