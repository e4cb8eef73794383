//! The file of a backup: a header, blocks of records in the order in which they are to be replayed, an end.
//!
//! Each checksum is seeded with the one before it, so it answers for everything up to its place: a block that was changed,
//! left out, doubled or moved is found where it happened. Only a file with its end is a backup.

mod decode;

use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

pub use decode::{Damage, Decoder};

/// The name of the file in the directory of its backup.
pub const FILE: &str = "yizhan.backup";
/// What every file begins with.
pub const MAGIC: &[u8] = b"yizhan backup\n";
/// The format this build writes and reads.
pub const FORMAT: u32 = 1;
/// A block is closed when its records have so many bytes; the last record may pass over it.
pub const BLOCK_BYTES: usize = 256 << 10;

/// The longest block there can be, bytes: a full one and the longest record.
const BLOCK_MAX: usize = 64 << 20;
/// Magic, format, layout, creation time, checksum.
const HEADER_BYTES: usize = MAGIC.len() + 4 + 4 + 8 + 8;

const RECORDS: u8 = b'R';
const END: u8 = b'E';
const BROKEN_OFF: u8 = b'X';

const PUT: u8 = 1;
const DELETE: u8 = 0;

/// Which store a backup is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// The layout of its keys and values.
    pub layout: u32,
    /// When the backup began, Unix milliseconds.
    pub created_ms: u64,
}

/// How much a backup holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Blocks of records.
    pub blocks: u64,
    /// Records that set a key.
    pub puts: u64,
    /// Records that remove one.
    pub deletes: u64,
    /// Bytes of all blocks' records.
    pub bytes: u64,
}

/// Puts and removals in order, as they stand in a block.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Records {
    bytes: Vec<u8>,
    puts: u64,
    deletes: u64,
}

impl Records {
    /// Adds a key with its value.
    pub fn put(&mut self, key: &[u8], value: &[u8]) {
        write_record(&mut self.bytes, key, Some(value));
        self.puts += 1;
    }

    /// Adds the removal of a key.
    pub fn delete(&mut self, key: &[u8]) {
        write_record(&mut self.bytes, key, None);
        self.deletes += 1;
    }

    /// Adds all of `other` behind what is there.
    pub fn append(&mut self, other: Records) {
        if self.is_empty() {
            *self = other;
            return;
        }
        self.bytes.extend(other.bytes);
        self.puts += other.puts;
        self.deletes += other.deletes;
    }

    /// Whether the block should be closed.
    pub fn is_full(&self) -> bool {
        self.bytes.len() >= BLOCK_BYTES
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// What they take, bytes.
    pub fn size(&self) -> usize {
        self.bytes.len()
    }

    /// Each key with its value, or none for a removal.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], Option<&[u8]>)> {
        let mut rest = self.bytes.as_slice();
        std::iter::from_fn(move || take_record(&mut rest))
    }

    /// Records as they came from elsewhere; none if they are not that.
    fn parse(bytes: Vec<u8>) -> Option<Records> {
        let (mut puts, mut deletes) = (0, 0);
        let mut rest = bytes.as_slice();
        while !rest.is_empty() {
            match take_record(&mut rest)? {
                (_, Some(_)) => puts += 1,
                (_, None) => deletes += 1,
            }
        }
        Some(Records {
            bytes,
            puts,
            deletes,
        })
    }
}

/// Writes a key with its value, or none for its removal.
pub(in crate::store) fn write_record(into: &mut Vec<u8>, key: &[u8], value: Option<&[u8]>) {
    into.push(if value.is_some() { PUT } else { DELETE });
    for field in [Some(key), value].into_iter().flatten() {
        // No field is near four gigabytes: a payload has at most 16 megabytes.
        into.extend_from_slice(&(field.len() as u32).to_be_bytes());
        into.extend_from_slice(field);
    }
}

/// Takes what [`write_record`] wrote from the front of `rest`; none if it is not that.
pub(in crate::store) fn take_record<'a>(
    rest: &mut &'a [u8],
) -> Option<(&'a [u8], Option<&'a [u8]>)> {
    let (kind, after) = rest.split_first()?;
    *rest = after;
    match *kind {
        PUT => Some((take_field(rest)?, Some(take_field(rest)?))),
        DELETE => Some((take_field(rest)?, None)),
        _ => None,
    }
}

fn take_field<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (length, after) = rest.split_first_chunk()?;
    let (field, after) = after.split_at_checked(u32::from_be_bytes(*length) as usize)?;
    *rest = after;
    Some(field)
}

impl Counts {
    fn add(&mut self, records: &Records) {
        self.blocks += 1;
        self.puts += records.puts;
        self.deletes += records.deletes;
        self.bytes += records.bytes.len() as u64;
    }

    fn to_bytes(self) -> Vec<u8> {
        let counts = [self.blocks, self.puts, self.deletes, self.bytes];
        counts.into_iter().flat_map(u64::to_be_bytes).collect()
    }
}

/// Makes the pieces of a file, each to be written behind the one before.
#[derive(Debug)]
pub struct Encoder {
    sum: u64,
    counts: Counts,
}

impl Encoder {
    /// Begins a file: what makes the others, and the header.
    pub fn begin(header: Header) -> (Encoder, Vec<u8>) {
        let mut bytes = MAGIC.to_vec();
        bytes.extend(FORMAT.to_be_bytes());
        bytes.extend(header.layout.to_be_bytes());
        bytes.extend(header.created_ms.to_be_bytes());
        let sum = xxh3_64(&bytes);
        bytes.extend(sum.to_be_bytes());
        let counts = Counts::default();
        (Encoder { sum, counts }, bytes)
    }

    /// A block of records.
    pub fn block(&mut self, records: &Records) -> Vec<u8> {
        self.counts.add(records);
        self.seal(RECORDS, &records.bytes)
    }

    /// The end of a whole backup.
    pub fn end(&mut self) -> Vec<u8> {
        self.seal(END, &self.counts.to_bytes())
    }

    /// The end of one that is not whole, and why.
    pub fn broken_off(&mut self, why: &str) -> Vec<u8> {
        self.seal(BROKEN_OFF, why.as_bytes())
    }

    /// What was put into the file.
    pub fn counts(&self) -> Counts {
        self.counts
    }

    fn seal(&mut self, kind: u8, content: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(content.len() + 13);
        bytes.push(kind);
        bytes.extend((content.len() as u32).to_be_bytes());
        bytes.extend(content);
        self.sum = xxh3_64_with_seed(&bytes, self.sum);
        bytes.extend(self.sum.to_be_bytes());
        bytes
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::store::record::LAYOUT;

    type Entry = (Vec<u8>, Option<Vec<u8>>);

    fn header() -> Header {
        Header {
            layout: LAYOUT,
            created_ms: 1_795_240_241_493,
        }
    }

    /// A small backup, piece by piece: the header, three blocks, the end.
    fn pieces() -> (Vec<Vec<u8>>, Vec<Entry>) {
        let (mut encoder, begin) = Encoder::begin(header());
        let (mut pieces, mut entries) = (vec![begin], Vec::new());
        for n in 0..3u8 {
            let mut records = Records::default();
            records.put(&[n], &[n; 20]);
            records.delete(&[n, n]);
            records.put(&[n, 0], &[]);
            entries.push((vec![n], Some(vec![n; 20])));
            entries.push((vec![n, n], None));
            entries.push((vec![n, 0], Some(Vec::new())));
            pieces.push(encoder.block(&records));
        }
        pieces.push(encoder.end());
        (pieces, entries)
    }

    fn read(file: &[u8]) -> Result<(Counts, Vec<Entry>), Damage> {
        let mut decoder = Decoder::open(file)?;
        assert_eq!(decoder.header(), header());
        let mut entries = Vec::new();
        while let Some(records) = decoder.block()? {
            let owned =
                |(key, value): (&[u8], Option<&[u8]>)| (key.to_vec(), value.map(<[u8]>::to_vec));
            entries.extend(records.iter().map(owned));
        }
        assert_eq!(decoder.at(), file.len() as u64);
        Ok((decoder.counts(), entries))
    }

    #[test]
    fn what_was_written_is_read_in_its_order() {
        let (pieces, entries) = pieces();
        let (counts, found) = read(&pieces.concat()).unwrap();
        assert_eq!(found, entries);
        assert_eq!((counts.blocks, counts.puts, counts.deletes), (3, 6, 3));
    }

    #[test]
    fn a_file_that_is_cut_anywhere_is_refused_by_its_length() {
        let (pieces, _) = pieces();
        let file = pieces.concat();
        for length in 1..file.len() {
            let error = read(&file[..length]).unwrap_err();
            let named = matches!(error, Damage::CutOff(at) if at == length as u64);
            assert!(named, "cut at {length}: {error}");
        }
        assert!(matches!(read(&[]).unwrap_err(), Damage::Foreign));
    }

    #[test]
    fn a_flip_of_any_bit_is_refused() {
        let (pieces, _) = pieces();
        let file = pieces.concat();
        for at in 0..file.len() {
            for bit in 0..8 {
                let mut hurt = file.clone();
                hurt[at] ^= 1 << bit;
                let error = read(&hurt).unwrap_err();
                if let Damage::Damaged { at: said, .. } = error {
                    assert!(said <= at as u64, "{said} for a flip at {at}");
                }
            }
        }
    }

    #[test]
    fn a_block_that_is_left_out_doubled_or_moved_is_refused_where_that_shows() {
        let (whole, _) = pieces();
        for order in [
            [0, 2, 3, 4].as_slice(),
            &[0, 1, 1, 2, 3, 4],
            &[0, 2, 1, 3, 4],
        ] {
            let file: Vec<u8> = order.iter().flat_map(|at| whole[*at].clone()).collect();
            let error = read(&file).unwrap_err();
            assert!(
                matches!(error, Damage::Damaged { .. }),
                "{order:?}: {error}"
            );
        }
    }

    #[test]
    fn something_behind_the_end_is_refused() {
        let (pieces, _) = pieces();
        let mut file = pieces.concat();
        let length = file.len() as u64;
        file.push(0);
        assert!(matches!(read(&file).unwrap_err(), Damage::Damaged { at, .. } if at == length));
    }

    #[test]
    fn a_backup_that_was_broken_off_says_why() {
        let (mut encoder, mut file) = Encoder::begin(header());
        let mut records = Records::default();
        records.put(b"k", b"v");
        file.extend(encoder.block(&records));
        file.extend(encoder.broken_off("the disk is full"));
        let error = read(&file).unwrap_err();
        assert_eq!(
            error.to_string(),
            "the server broke it off: the disk is full"
        );
    }

    #[test]
    fn another_layout_and_another_format_are_refused_by_their_numbers() {
        let (_, file) = Encoder::begin(Header {
            layout: LAYOUT + 1,
            ..header()
        });
        let error = Decoder::open(file.as_slice()).unwrap_err().to_string();
        assert!(error.contains("layout 3"), "{error}");

        let mut file = MAGIC.to_vec();
        file.extend(7u32.to_be_bytes());
        file.extend([0; 12]);
        file.extend(xxh3_64(&file).to_be_bytes());
        let error = Decoder::open(file.as_slice()).unwrap_err().to_string();
        assert!(error.contains("format 7"), "{error}");
    }

    #[test]
    fn a_length_that_is_wrong_takes_no_memory_that_is_not_there() {
        let (_, mut file) = Encoder::begin(header());
        file.push(RECORDS);
        file.extend((BLOCK_MAX as u32).to_be_bytes());
        assert!(matches!(read(&file).unwrap_err(), Damage::CutOff(_)));
    }
}
