//! One file, as far as it can be read.

use std::sync::Arc;

use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::store::EngineError;
use crate::store::files::{Folder, Handle};
use crate::store::runs::block::Block;

use super::format::{FOOTER, Footer, HEAD, HEADER, Head, Identity, MAGIC, Place, RAW_MAX, Summary};
use super::{Damage, Name};

/// What is read at once while blocks are searched for, bytes.
const WINDOW: usize = 1 << 20;

/// Is told of damage.
pub(super) type Tell<'a> = dyn FnMut(Damage) + 'a;

/// A file that is open. What of it is damaged is told when it is met.
pub(super) struct File {
    handle: Arc<dyn Handle>,
    pub(super) path: String,
    pub(super) size: u64,
    of: Option<Identity>,
    footer: Option<Footer>,
    /// None if it cannot be read: the blocks are found by their heads then.
    index: Option<Vec<Place>>,
}

impl File {
    /// Opens a file; an error only if there is no reading of it at all.
    pub(super) fn open(
        folder: &dyn Folder,
        name: Name,
        tell: &mut Tell<'_>,
    ) -> Result<File, EngineError> {
        let name = name.to_string();
        let handle = folder.open(&name)?;
        let size = handle.size()?;
        let mut file = File {
            handle,
            path: folder.path(&name),
            size,
            of: None,
            footer: None,
            index: None,
        };
        let header = file.part(0, HEADER as u64)?;
        file.of = header.and_then(|bytes| Identity::of_header(&bytes));
        if file.of.is_none() {
            tell(file.damage(0, "the header cannot be read"));
        }
        let footer_at = size.saturating_sub(FOOTER as u64);
        let footer = file.part(footer_at, size)?;
        let footer = footer.and_then(|bytes| Footer::parse(&bytes));
        match footer.filter(|(of, _)| file.of.is_none_or(|own| own == *of)) {
            Some((of, footer)) => {
                file.of = Some(of);
                file.footer = Some(footer);
            }
            None => tell(file.damage(footer_at, "the footer cannot be read")),
        }
        if let (Some(of), Some(footer)) = (file.of, file.footer) {
            let index = file.part(footer.index_at, footer_at)?;
            file.index = index.and_then(|bytes| index_of(&bytes, of, &footer));
            if file.index.is_none() {
                tell(file.damage(footer.index_at, "the index cannot be read"));
            }
        }
        Ok(file)
    }

    /// Which file it says it is.
    pub(super) fn of(&self) -> Option<Identity> {
        self.of
    }

    /// What it holds, if its footer can be read.
    pub(super) fn summary(&self) -> Option<Summary> {
        self.footer.map(|footer| footer.summary)
    }

    /// The blocks as the index knows them.
    pub(super) fn index(&self) -> Option<&[Place]> {
        self.index.as_deref()
    }

    /// Where the blocks end.
    pub(super) fn blocks_end(&self) -> u64 {
        self.footer.map_or(self.size, |footer| footer.index_at)
    }

    /// Reads the block at this place, whose walk then stands before its first entry; none if there is none.
    pub(super) fn block(&self, at: u64, block: &mut Block) -> Result<Option<Head>, EngineError> {
        let Some(seed) = self.of.map(|of| of.seed()) else {
            return Ok(None);
        };
        let bytes = self.part(at, at + HEAD as u64)?;
        let head = bytes.and_then(|bytes| Head::parse(&bytes, seed, at));
        let begin = at + HEAD as u64;
        let Some(head) = head.filter(|head| self.holds(head, begin)) else {
            return Ok(None);
        };
        block.stored.resize(head.stored as usize, 0);
        self.handle.read_at(begin, &mut block.stored)?;
        let is_open = head.open(block, seed, at);
        Ok(is_open.then_some(head))
    }

    /// The first place from this one on where a head stands; none behind the last.
    pub(super) fn search(&self, mut at: u64) -> Result<Option<u64>, EngineError> {
        let Some(seed) = self.of.map(|of| of.seed()) else {
            return Ok(None);
        };
        while at + (HEAD as u64) <= self.size {
            let end = self.size.min(at + WINDOW as u64);
            let window = self.part(at, end)?.unwrap_or_default();
            let last = window.len().saturating_sub(HEAD);
            let found = memchr::memmem::find_iter(&window, &MAGIC);
            let mut found = found.take_while(|offset| *offset <= last);
            let is_head = |offset: &usize| {
                let place = at + *offset as u64;
                Head::parse(&window[*offset..], seed, place).is_some()
            };
            if let Some(offset) = found.find(is_head) {
                return Ok(Some(at + offset as u64));
            }
            at += last as u64 + 1;
        }
        Ok(None)
    }

    /// What is wrong at a place.
    pub(super) fn damage(&self, at: u64, why: &str) -> Damage {
        Damage {
            path: self.path.clone(),
            at,
            why: why.into(),
        }
    }

    fn holds(&self, head: &Head, begin: u64) -> bool {
        let end = begin.saturating_add(u64::from(head.stored));
        end <= self.size && head.raw as usize <= RAW_MAX
    }

    /// The bytes from one place to another, none if they are not all there.
    fn part(&self, at: u64, end: u64) -> Result<Option<Vec<u8>>, EngineError> {
        let length = end.checked_sub(at).filter(|_| end <= self.size);
        let Some(length) = length.and_then(|length| usize::try_from(length).ok()) else {
            return Ok(None);
        };
        let mut bytes = vec![0; length];
        self.handle.read_at(at, &mut bytes)?;
        Ok(Some(bytes))
    }
}

fn index_of(mut bytes: &[u8], of: Identity, footer: &Footer) -> Option<Vec<Place>> {
    if xxh3_64_with_seed(bytes, of.seed()) != footer.index_sum {
        return None;
    }
    let mut index = Vec::new();
    while !bytes.is_empty() {
        index.push(Place::take(&mut bytes)?);
    }
    (index.len() as u64 == footer.blocks).then_some(index)
}

/// A walk through the entries of a file from a key on, past blocks that cannot be read.
pub(super) struct Walk<'a> {
    file: &'a File,
    block: Block,
    /// The number of the next block, or its place if there is no index.
    next: u64,
    from: Vec<u8>,
    to: Vec<u8>,
    /// Blocks without a message of this time may be passed over.
    times: (u64, u64),
    /// Where the block at hand begins.
    at: u64,
}

impl<'a> Walk<'a> {
    /// A walk over the keys from `from` to `to`, both included, before its first entry.
    pub(super) fn begin(file: &'a File, from: &[u8], to: &[u8], times: (u64, u64)) -> Walk<'a> {
        let next = match file.index() {
            Some(index) => {
                let above = index.partition_point(|place| place.key.as_slice() <= from);
                above.saturating_sub(1) as u64
            }
            None => HEADER as u64,
        };
        Walk {
            file,
            block: Block::default(),
            next,
            from: from.to_vec(),
            to: to.to_vec(),
            times,
            at: 0,
        }
    }

    /// The file, and where in it the block at hand begins.
    pub(super) fn place(&self) -> (&'a File, u64) {
        (self.file, self.at)
    }

    /// The key at hand.
    pub(super) fn key(&self) -> Option<&[u8]> {
        self.block.key()
    }

    /// Its value, or none if it is gone.
    pub(super) fn value(&self) -> Option<&[u8]> {
        self.block.value()
    }

    /// Goes on to the next entry; false behind the last.
    pub(super) fn advance(&mut self, tell: &mut Tell<'_>) -> Result<bool, EngineError> {
        loop {
            match self.block.advance() {
                Ok(true) => {
                    let key = self.block.key().unwrap_or_default();
                    if key > self.to.as_slice() {
                        self.next = u64::MAX;
                        self.let_go();
                        return Ok(false);
                    }
                    if key >= self.from.as_slice() {
                        return Ok(true);
                    }
                }
                Ok(false) if !self.fill(tell)? => return Ok(false),
                Ok(false) => {}
                Err(_) => {
                    let why = "a block holds something else than entries";
                    tell(self.file.damage(self.at, why));
                    self.let_go();
                }
            }
        }
    }

    fn fill(&mut self, tell: &mut Tell<'_>) -> Result<bool, EngineError> {
        match self.file.index() {
            Some(index) => self.fill_by(index, tell),
            None => self.fill_without(tell),
        }
    }

    fn fill_by(&mut self, index: &[Place], tell: &mut Tell<'_>) -> Result<bool, EngineError> {
        while let Some(place) = usize::try_from(self.next).ok().and_then(|n| index.get(n)) {
            if place.key > self.to {
                return Ok(false);
            }
            self.next += 1;
            if place.last_ts < self.times.0 || place.first_ts > self.times.1 {
                continue;
            }
            self.at = place.at;
            if self.file.block(place.at, &mut self.block)?.is_some() {
                return Ok(true);
            }
            self.lose(tell);
        }
        Ok(false)
    }

    fn fill_without(&mut self, tell: &mut Tell<'_>) -> Result<bool, EngineError> {
        while self.next < self.file.blocks_end() {
            self.at = self.next;
            if let Some(head) = self.file.block(self.at, &mut self.block)? {
                self.next = self.at + HEAD as u64 + u64::from(head.stored);
                return Ok(true);
            }
            let found = self.file.search(self.at + 1)?;
            self.next = found.unwrap_or(self.file.blocks_end());
            // Without a footer it may be the index that stands here, or what was never written.
            if found.is_some() || self.file.footer.is_some() {
                self.lose(tell);
            }
        }
        Ok(false)
    }

    fn lose(&mut self, tell: &mut Tell<'_>) {
        self.let_go();
        tell(self.file.damage(self.at, "a block cannot be read"));
    }

    /// What is left of a block must not pass for another.
    fn let_go(&mut self) {
        self.block.entries.clear();
        self.block.rewind();
    }
}
