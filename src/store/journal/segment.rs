//! A file of the log: a header, records one behind the other, and a footer when nothing more will come.
//!
//! A record's checksum is seeded with the store and the segment, so what an older file left, or another store, is no
//! record here. Each names the first record of its flush: whatever stands before that was on the disk when this one was
//! written, so damage there cannot be a write that was cut short.

use std::ops::Range;

use xxhash_rust::xxh3::xxh3_64_with_seed;

/// Bytes before the first record.
pub(super) const HEADER: usize = 64;
/// What stands before the writes of a record: checksum, length, kind, number, first of its flush.
const HEAD: usize = 8 + 4 + 1 + 8 + 8;
const MAGIC: &[u8; 8] = b"yizhanlg";
const FORMAT: u32 = 1;

const BATCH: u8 = 1;
const FOOTER: u8 = 2;

/// Which segment of which store a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Identity {
    pub(super) store: u64,
    pub(super) segment: u64,
}

impl Identity {
    fn seed(self) -> u64 {
        xxh3_64_with_seed(&self.segment.to_be_bytes(), self.store)
    }

    /// The name of its file.
    pub(super) fn name(self) -> String {
        format!("{:016}.log", self.segment)
    }

    /// The name of its file until it is made.
    pub(super) fn unfinished_name(self) -> String {
        format!("{:016}.log.new", self.segment)
    }

    /// The segment whose file has this name.
    pub(super) fn segment_of(name: &str) -> Option<u64> {
        let digits = name.strip_suffix(".log")?;
        let own = digits.len() == 16 && digits.bytes().all(|b| b.is_ascii_digit());
        digits.parse().ok().filter(|_| own)
    }
}

/// The first bytes of a segment: the number of its first record, 0 before there is one, and how long its file was made.
/// They are in one sector, which a disk writes whole or not at all.
pub(super) fn header(of: Identity, first: u64, made: u64) -> [u8; HEADER] {
    let mut bytes = [0; HEADER];
    bytes[..8].copy_from_slice(MAGIC);
    bytes[8..12].copy_from_slice(&FORMAT.to_be_bytes());
    for (place, number) in (16..48).step_by(8).zip([of.store, of.segment, first, made]) {
        bytes[place..place + 8].copy_from_slice(&number.to_be_bytes());
    }
    let sum = xxh3_64_with_seed(&bytes[..56], of.seed());
    bytes[56..].copy_from_slice(&sum.to_be_bytes());
    bytes
}

/// Begins a record at the end of `buffer`; its writes follow, and then [`seal`].
pub(super) fn begin(buffer: &mut Vec<u8>) -> usize {
    let at = buffer.len();
    buffer.resize(at + HEAD, 0);
    at
}

/// Ends the record that was begun at this place.
pub(super) fn seal(buffer: &mut [u8], at: usize, of: Identity, number: u64, group: u64) {
    fill(&mut buffer[at..], BATCH, of, number, group);
}

/// Adds a footer: the next segment begins with record `next`.
pub(super) fn close(buffer: &mut Vec<u8>, of: Identity, next: u64, group: u64) {
    let at = begin(buffer);
    fill(&mut buffer[at..], FOOTER, of, next, group);
}

fn fill(record: &mut [u8], kind: u8, of: Identity, number: u64, group: u64) {
    // The longest batch is far from four gigabytes: the committer stops gathering at 16 megabytes.
    let length = (record.len() - HEAD) as u32;
    record[8..12].copy_from_slice(&length.to_be_bytes());
    record[12] = kind;
    record[13..21].copy_from_slice(&number.to_be_bytes());
    record[21..29].copy_from_slice(&group.to_be_bytes());
    let sum = xxh3_64_with_seed(&record[8..], of.seed());
    record[..8].copy_from_slice(&sum.to_be_bytes());
}

/// A record that its checksum vouches for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Record {
    pub(super) number: u64,
    group: u64,
    is_footer: bool,
    /// Where its writes stand.
    pub(super) writes: Range<usize>,
}

/// How a segment ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// With its footer.
    Closed,
    /// Without one, and nothing behind its last record.
    Open,
    /// Nothing was ever written into it.
    Blank,
    /// Something stands behind its last record that is none, and that was never known to be on the disk.
    Torn,
    /// What stands here was on the disk, and is not what was written.
    Damaged {
        /// The place, bytes.
        at: usize,
        /// What is wrong there.
        why: String,
    },
}

/// What a segment holds up to its end, or up to the first damage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Contents {
    pub(super) records: Vec<Record>,
    /// Behind the last record, bytes.
    pub(super) size: usize,
    /// The number of the record that comes after.
    pub(super) next: u64,
    pub(super) end: End,
}

/// Reads the file of a segment whose first record is `first`.
pub(super) fn read(bytes: &[u8], of: Identity, first: u64) -> Contents {
    let mut contents = Contents {
        records: Vec::new(),
        size: HEADER,
        next: first,
        end: End::Open,
    };
    let made = match told(bytes, of) {
        Some((told, made)) if told == 0 || told == first => made,
        Some((told, _)) => {
            let why = format!("it begins with record {told}, and record {first} is the next");
            contents.end = damaged(0, why);
            return contents;
        }
        // The records speak for themselves, if they can be read.
        None if record(bytes, HEADER, of).is_some() => 0,
        None => {
            contents.end = damaged(
                0,
                "neither its header nor its first record can be read".into(),
            );
            return contents;
        }
    };
    let mut at = HEADER;
    loop {
        match record(bytes, at, of) {
            Some(record) if record.number != contents.next => {
                let why = format!(
                    "record {} stands where record {} belongs",
                    record.number, contents.next
                );
                contents.end = damaged(at, why);
                return contents;
            }
            Some(record) if record.is_footer => {
                contents.end = End::Closed;
                return contents;
            }
            Some(record) => {
                at = record.writes.end;
                contents.size = at;
                contents.next += 1;
                contents.records.push(record);
            }
            None => break,
        }
    }
    let rest = bytes.get(at..).unwrap_or_default();
    contents.end = if let Some(later) = written_later(bytes, at, of, contents.next) {
        let why = format!(
            "record {} cannot be read, and record {} was written when it was on the disk",
            contents.next, later
        );
        damaged(at, why)
    } else if made > bytes.len() as u64 {
        damaged(bytes.len(), "the file is shorter than it was made".into())
    } else if rest.iter().any(|byte| *byte != 0) {
        End::Torn
    } else if contents.records.is_empty() && told(bytes, of).is_some_and(|(told, _)| told == 0) {
        End::Blank
    } else {
        End::Open
    };
    contents
}

/// The number of a segment's first record by its header, if that can be read.
pub(super) fn first(bytes: &[u8], of: Identity) -> Option<u64> {
    let (first, _) = told(bytes, of)?;
    (first > 0).then_some(first)
}

/// Adds a record with these writes under another number, as if it had been flushed by itself.
pub(super) fn copy(buffer: &mut Vec<u8>, writes: &[u8], of: Identity, number: u64) {
    let at = begin(buffer);
    buffer.extend_from_slice(writes);
    seal(buffer, at, of, number, number);
}

/// The records from this place on, whatever stands between them.
pub(super) fn search(bytes: &[u8], mut at: usize, of: Identity) -> impl Iterator<Item = Record> {
    std::iter::from_fn(move || {
        while at + HEAD <= bytes.len() {
            match record(bytes, at, of) {
                Some(record) => {
                    at = record.writes.end;
                    if !record.is_footer {
                        return Some(record);
                    }
                }
                None => at += 1,
            }
        }
        None
    })
}

fn damaged(at: usize, why: String) -> End {
    End::Damaged { at, why }
}

/// What the header says: the first record, and how long the file was made.
fn told(bytes: &[u8], of: Identity) -> Option<(u64, u64)> {
    let bytes = bytes.get(..HEADER)?;
    let number = |at| u64::from_be_bytes(array(&bytes[at..at + 8]));
    let sum = xxh3_64_with_seed(&bytes[..56], of.seed());
    let known = &bytes[..8] == MAGIC && bytes[8..12] == FORMAT.to_be_bytes();
    (known && number(56) == sum).then(|| (number(32), number(40)))
}

fn record(bytes: &[u8], at: usize, of: Identity) -> Option<Record> {
    let head = bytes.get(at..at + HEAD)?;
    let length = u32::from_be_bytes(array(&head[8..12])) as usize;
    if !matches!(head[12], BATCH | FOOTER) {
        return None;
    }
    let end = at.checked_add(HEAD)?.checked_add(length)?;
    let sealed = bytes.get(at + 8..end)?;
    let sum = u64::from_be_bytes(array(&head[..8]));
    (xxh3_64_with_seed(sealed, of.seed()) == sum).then(|| Record {
        number: u64::from_be_bytes(array(&head[13..21])),
        group: u64::from_be_bytes(array(&head[21..29])),
        is_footer: head[12] == FOOTER,
        writes: at + HEAD..end,
    })
}

/// A record behind this place that was written after record `number` was on the disk.
fn written_later(bytes: &[u8], at: usize, of: Identity, number: u64) -> Option<u64> {
    // Most of an open segment is zeros that nobody has written over yet.
    let used = bytes
        .iter()
        .rposition(|byte| *byte != 0)
        .map_or(0, |last| last + 1);
    let heads = at..used.min(bytes.len().saturating_sub(HEAD - 1));
    // Before a checksum is taken over what may be long, the numbers have to make sense.
    let may_be = |at: &usize| {
        let [own, group] = [13, 21].map(|place| array(&bytes[at + place..at + place + 8]));
        let [own, group] = [own, group].map(u64::from_be_bytes);
        own >= group && group > number
    };
    let records = heads.filter(may_be).filter_map(|at| record(bytes, at, of));
    records.map(|record| record.number).next()
}

fn array<const N: usize>(bytes: &[u8]) -> [u8; N] {
    let mut array = [0; N];
    array.copy_from_slice(bytes);
    array
}
