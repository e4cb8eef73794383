//! One sorted file: blocks with checksums, an index of their first keys, a filter, a footer.

use std::sync::Arc;

use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::store::EngineError;
use crate::store::files::{Folder, Handle, read_all};

use super::Shelved;
use super::bloom::Bloom;

const MAGIC: &[u8; 8] = b"yizhanrn";
/// Length and checksum in front of a block.
const HEAD: usize = 4 + 8;
/// Magic, entries, places of index and filter, their checksums, the footer's own.
const FOOTER: usize = 8 * 7;
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

/// An entry: a key with its value, or none for a removal.
pub(super) type Entry = (Vec<u8>, Option<Vec<u8>>);

/// A run that is whole and open.
pub struct Run {
    file: Arc<dyn Handle>,
    path: String,
    seed: u64,
    shelved: Shelved,
    index: Index,
    /// Where the blocks end.
    index_at: u64,
    bloom: Bloom,
}

/// The first key and the place of each block.
#[derive(Debug, Default)]
pub(super) struct Index {
    keys: Vec<u8>,
    /// Where the key of each block ends in `keys`.
    ends: Vec<u32>,
    places: Vec<u64>,
}

/// The last bytes of a run.
pub(super) struct Footer {
    pub(super) entries: u64,
    pub(super) index_at: u64,
    pub(super) bloom_at: u64,
    pub(super) index_sum: u64,
    pub(super) bloom_sum: u64,
}

impl Run {
    pub(super) fn new(
        file: Arc<dyn Handle>,
        path: String,
        seed: u64,
        shelved: Shelved,
        index: Index,
        index_at: u64,
        bloom: Bloom,
    ) -> Run {
        Run {
            file,
            path,
            seed,
            shelved,
            index,
            index_at,
            bloom,
        }
    }

    /// Opens a run by what is on the disk. Its blocks are looked at when they are read.
    pub fn open(folder: &dyn Folder, store: u64, shelved: Shelved) -> Result<Run, EngineError> {
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
        let part = |at: u64, end: u64| {
            let len = end.checked_sub(at).filter(|_| end <= size)?;
            let mut bytes = vec![0; usize::try_from(len).ok()?];
            Some(file.read_at(at, &mut bytes).map(|()| bytes))
        };
        let footer_at = size.saturating_sub(FOOTER as u64);
        let Some(footer) = part(footer_at, size)
            .transpose()?
            .and_then(|bytes| Footer::parse(&bytes, seed))
        else {
            return Err(refusal(&path, footer_at, "the footer cannot be read"));
        };
        if footer.entries != shelved.entries {
            return Err(refusal(&path, footer_at, "the footer is of another run"));
        }
        let index = part(footer.index_at, footer.bloom_at).transpose()?;
        let index = index
            .filter(|bytes| xxh3_64_with_seed(bytes, seed) == footer.index_sum)
            .and_then(|bytes| Index::parse(&bytes));
        let Some(index) = index else {
            return Err(refusal(&path, footer.index_at, "the index cannot be read"));
        };
        let bloom = part(footer.bloom_at, footer_at).transpose()?;
        let Some(bloom) = bloom.filter(|bytes| xxh3_64_with_seed(bytes, seed) == footer.bloom_sum)
        else {
            return Err(refusal(&path, footer.bloom_at, "the filter cannot be read"));
        };
        let (index_at, bloom) = (footer.index_at, Bloom::from_bytes(bloom));
        Ok(Run::new(file, path, seed, shelved, index, index_at, bloom))
    }

    /// What is known of it outside.
    pub fn shelved(&self) -> Shelved {
        self.shelved
    }

    /// Looks a key up, which has this hash.
    pub(super) fn get(&self, key: &[u8], hash: u64) -> Result<Found, EngineError> {
        if !self.bloom.may_have(hash) {
            return Ok(Found::Nothing);
        }
        let Some(block) = self.index.block_of(key) else {
            return Ok(Found::Nothing);
        };
        let entries = self.block(block)?;
        let found = entries.into_iter().find(|(own, _)| own == key);
        Ok(match found {
            None => Found::Nothing,
            Some((_, None)) => Found::Removed,
            Some((_, Some(value))) => Found::Value(value),
        })
    }

    /// Reads all of it; the error names what cannot be read.
    pub fn verify(&self) -> Result<(), EngineError> {
        let mut entries = 0;
        for block in 0..self.blocks() {
            entries += self.block(block)?.len() as u64;
        }
        match entries == self.shelved.entries {
            true => Ok(()),
            false => Err(refusal(&self.path, 0, "entries are missing")),
        }
    }

    /// How many blocks there are.
    pub(super) fn blocks(&self) -> usize {
        self.index.places.len()
    }

    /// The block in which a key would stand.
    pub(super) fn block_of(&self, key: &[u8]) -> usize {
        self.index.block_of(key).unwrap_or(0)
    }

    /// The entries of a block.
    pub(super) fn block(&self, number: usize) -> Result<Vec<Entry>, EngineError> {
        let places = &self.index.places;
        let at = places.get(number).copied().unwrap_or(self.index_at);
        let end = places.get(number + 1).copied().unwrap_or(self.index_at);
        let unreadable = || refusal(&self.path, at, "a block cannot be read");
        let mut bytes = vec![0; end.saturating_sub(at) as usize];
        self.file.read_at(at, &mut bytes)?;
        let block = parse_block(&bytes, self.seed, at).ok_or_else(unreadable)?;
        entries_of(block).ok_or_else(unreadable)
    }
}

/// Every entry of a run's file that can be read, in key order, whatever else is in it.
pub(super) fn readable(
    folder: &dyn Folder,
    store: u64,
    run: u64,
    mut visit: impl FnMut(&[u8], Option<&[u8]>) -> Result<(), EngineError>,
) -> Result<(), EngineError> {
    let name = name_of(run);
    if !folder.names()?.contains(&name) {
        return Ok(());
    }
    let (bytes, seed) = (read_all(&*folder.open(&name)?)?, seed(store, run));
    let (mut at, mut last) = (0, Vec::new());
    while at < bytes.len() {
        let block = parse_block(&bytes[at..], seed, at as u64);
        let Some((block, entries)) = block.and_then(|b| Some((b, entries_of(b)?))) else {
            at += 1;
            continue;
        };
        at += HEAD + block.len();
        for (key, value) in entries {
            if last < key {
                visit(&key, value.as_deref())?;
                last = key;
            }
        }
    }
    Ok(())
}

impl Index {
    pub(super) fn push(&mut self, key: &[u8], at: u64) {
        self.keys.extend_from_slice(key);
        // Keys of blocks of 4 KB are together far from four gigabytes.
        self.ends.push(self.keys.len() as u32);
        self.places.push(at);
    }

    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (number, place) in self.places.iter().enumerate() {
            bytes.extend_from_slice(&place.to_be_bytes());
            let key = self.key(number);
            write_number(&mut bytes, key.len() as u64);
            bytes.extend_from_slice(key);
        }
        bytes
    }

    fn parse(mut bytes: &[u8]) -> Option<Index> {
        let mut index = Index::default();
        while !bytes.is_empty() {
            let (place, rest) = bytes.split_first_chunk()?;
            bytes = rest;
            let len = usize::try_from(take_number(&mut bytes)?).ok()?;
            let (key, rest) = bytes.split_at_checked(len)?;
            bytes = rest;
            index.push(key, u64::from_be_bytes(*place));
        }
        Some(index)
    }

    fn key(&self, number: usize) -> &[u8] {
        let start = number.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.keys[start as usize..self.ends[number] as usize]
    }

    /// The last block whose first key is not above this one; none if the key is below all.
    fn block_of(&self, key: &[u8]) -> Option<usize> {
        let (mut low, mut high) = (0, self.places.len());
        while low < high {
            let middle = low + (high - low) / 2;
            match self.key(middle) <= key {
                true => low = middle + 1,
                false => high = middle,
            }
        }
        low.checked_sub(1)
    }
}

impl Footer {
    pub(super) fn to_bytes(&self, seed: u64) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        let numbers = [
            self.entries,
            self.index_at,
            self.bloom_at,
            self.index_sum,
            self.bloom_sum,
        ];
        bytes.extend(numbers.into_iter().flat_map(u64::to_be_bytes));
        let sum = xxh3_64_with_seed(&bytes, seed);
        bytes.extend(sum.to_be_bytes());
        bytes
    }

    fn parse(bytes: &[u8], seed: u64) -> Option<Footer> {
        let (numbers, sum) = bytes.split_last_chunk()?;
        let known = numbers.starts_with(MAGIC) && bytes.len() == FOOTER;
        if !known || u64::from_be_bytes(*sum) != xxh3_64_with_seed(numbers, seed) {
            return None;
        }
        let (numbers, _) = numbers[MAGIC.len()..].as_chunks();
        let mut numbers = numbers.iter().map(|bytes| u64::from_be_bytes(*bytes));
        Some(Footer {
            entries: numbers.next()?,
            index_at: numbers.next()?,
            bloom_at: numbers.next()?,
            index_sum: numbers.next()?,
            bloom_sum: numbers.next()?,
        })
    }
}

/// What the checksums of a run are seeded with.
pub(super) fn seed(store: u64, run: u64) -> u64 {
    xxh3_64_with_seed(&run.to_be_bytes(), !store)
}

/// The name of a run's file.
pub(super) fn name_of(run: u64) -> String {
    format!("{run:016}.run")
}

/// Its name while it is written.
pub(super) fn unfinished_name_of(run: u64) -> String {
    format!("{run:016}.run.new")
}

/// Whether a file has the name of a run, be it whole or not.
pub(super) fn is_name(name: &str) -> bool {
    name.ends_with(".run") || name.ends_with(".run.new")
}

/// Adds a block that will stand at this place of the file.
pub(super) fn write_block(into: &mut Vec<u8>, block: &[u8], seed: u64, at: u64) {
    // A block is closed at 4 KB; a single entry is far from four gigabytes.
    into.extend_from_slice(&(block.len() as u32).to_be_bytes());
    into.extend_from_slice(&xxh3_64_with_seed(block, seed ^ at).to_be_bytes());
    into.extend_from_slice(block);
}

/// The entries' bytes of the block that begins `bytes`, which stand at this place of the file.
pub(super) fn parse_block(bytes: &[u8], seed: u64, at: u64) -> Option<&[u8]> {
    let (head, rest) = bytes.split_at_checked(HEAD)?;
    let (length, sum) = head.split_first_chunk()?;
    let sum = u64::from_be_bytes(sum.try_into().ok()?);
    let block = rest.get(..u32::from_be_bytes(*length) as usize)?;
    (xxh3_64_with_seed(block, seed ^ at) == sum).then_some(block)
}

/// Adds an entry to a block, behind one with the key `last`.
pub(super) fn write_entry(into: &mut Vec<u8>, last: &[u8], key: &[u8], value: Option<&[u8]>) {
    let shared = last.iter().zip(key).take_while(|(a, b)| a == b).count();
    write_number(into, shared as u64);
    write_number(into, (key.len() - shared) as u64);
    write_number(into, value.map_or(0, |value| value.len() as u64 + 1));
    into.extend_from_slice(&key[shared..]);
    into.extend_from_slice(value.unwrap_or_default());
}

/// The entries of a block; none if it holds something else.
pub(super) fn entries_of(mut block: &[u8]) -> Option<Vec<Entry>> {
    let mut entries: Vec<Entry> = Vec::new();
    while !block.is_empty() {
        let mut number = || usize::try_from(take_number(&mut block)?).ok();
        let (shared, own, value) = (number()?, number()?, number()?);
        let last = entries.last().map_or(&[][..], |(key, _)| key);
        let mut key = last.get(..shared)?.to_vec();
        let (suffix, rest) = block.split_at_checked(own)?;
        key.extend_from_slice(suffix);
        let (bytes, rest) = rest.split_at_checked(value.saturating_sub(1))?;
        block = rest;
        entries.push((key, (value > 0).then(|| bytes.to_vec())));
    }
    Some(entries)
}

/// Seven bits to a byte, the low ones first; the high bit says that more follow.
fn write_number(into: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        into.push(number as u8 | 0x80);
        number >>= 7;
    }
    into.push(number as u8);
}

fn take_number(bytes: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        number |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

fn refusal(path: &str, at: u64, why: &str) -> EngineError {
    EngineError::Failed(format!("{path}: damaged at byte {at}: {why}. {REMEDY}"))
}
