//! How the files of one kind of runs are made, and by which parts of their keys the filter knows them.

use std::ops::RangeInclusive;

use super::bloom;

/// What tells one kind of runs from another. The format of [`Shape::DEDUPE`] is that of every store there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// What the footer begins with.
    pub(super) magic: &'static [u8; 8],
    /// A block is closed when its entries have so many bytes.
    pub(super) block: usize,
    /// Whether a block is compressed if that makes it smaller.
    pub(super) compress: bool,
    /// What the filter knows; without it, whole keys.
    pub(super) scope: Option<Scope>,
    /// Whether a block that cannot be read is the trouble of the request that needs it, and not that of the store.
    pub(super) spares_the_store: bool,
}

/// Keys that are looked for together. The filter knows them by their first bytes, and by pages of a few neighbours, so
/// that neither a look-up nor a short scan opens a run that has only other pages of the same conversation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Scope {
    /// Bytes of a key that name a conversation.
    prefix: usize,
    /// Keys that differ only in so many bits at their end, fewer than 8, are on one page.
    page: u32,
}

/// Pages of a scan that are looked for one by one; a longer scan asks for the conversation alone.
const PAGES: u64 = 64;

impl Shape {
    /// The dedupe index: small entries that are looked up one by one, and hardly ever there.
    pub const DEDUPE: Shape = Shape {
        magic: b"yizhanrn",
        block: 4 << 10,
        compress: false,
        scope: None,
        spares_the_store: false,
    };

    /// The history: messages that are read in pages of a conversation; a key is a letter, a conversation and a number.
    pub const HISTORY: Shape = Shape {
        magic: b"yizhanhr",
        block: 16 << 10,
        compress: true,
        scope: Some(Scope { prefix: 9, page: 5 }),
        spares_the_store: true,
    };

    /// The hash under which the filter knows exactly this key, or the page it is on.
    pub fn hash(&self, key: &[u8]) -> u64 {
        match &self.scope {
            Some(scope) => scope.page(key),
            None => bloom::hash(key),
        }
    }

    /// Adds to the hashes of a filter what a key adds that comes behind others: adjacent equal ones once.
    pub(super) fn note(&self, key: &[u8], last: &mut Option<[u64; 2]>, hashes: &mut Vec<u64>) {
        let Some(scope) = &self.scope else {
            return hashes.push(bloom::hash(key));
        };
        let own = [scope.conversation(key), scope.page(key)];
        for (at, hash) in own.into_iter().enumerate() {
            if last.is_none_or(|last| last[at] != hash) {
                hashes.push(hash);
            }
        }
        *last = Some(own);
    }

    /// What the filter is to be asked before a scan of these keys.
    pub fn scan(&self, from: &[u8], to: &[u8]) -> Scan {
        let Some(scope) = &self.scope else {
            return Scan::default();
        };
        let prefix = from.get(..scope.prefix);
        if prefix.is_none() || prefix != to.get(..scope.prefix) {
            return Scan::default();
        }
        Scan {
            conversation: Some(scope.conversation(from)),
            pages: scope.pages(from, to),
        }
    }
}

/// The questions of a scan to the filter of each run.
#[derive(Clone, Debug, Default)]
pub struct Scan {
    /// None if it goes over many conversations: no filter knows of that.
    conversation: Option<u64>,
    /// Its pages, if they are few.
    pages: Option<Vec<u64>>,
}

impl Scan {
    /// False if a run with this filter has nothing for the scan.
    pub(super) fn may_be_in(&self, has: impl Fn(u64) -> bool) -> bool {
        let on_a_page = |pages: &Vec<u64>| pages.iter().any(|page| has(*page));
        self.conversation.is_none_or(&has) && self.pages.as_ref().is_none_or(on_a_page)
    }
}

impl Scope {
    fn conversation(&self, key: &[u8]) -> u64 {
        bloom::hash(key.get(..self.prefix).unwrap_or(key))
    }

    fn page(&self, key: &[u8]) -> u64 {
        let mut page = key.to_vec();
        if let Some(last) = page.last_mut().filter(|_| key.len() > self.prefix) {
            *last &= u8::MAX << self.page;
        }
        bloom::hash(&page)
    }

    /// The pages between two keys of a conversation, both a number of 8 bytes behind the prefix.
    fn pages(&self, from: &[u8], to: &[u8]) -> Option<Vec<u64>> {
        let number = |key: &[u8]| {
            let bytes = key.get(self.prefix..)?.try_into().ok()?;
            Some(u64::from_be_bytes(bytes) >> self.page)
        };
        let pages: RangeInclusive<u64> = number(from)?..=number(to)?;
        if pages.end().saturating_sub(*pages.start()) >= PAGES {
            return None;
        }
        let mut key = from.to_vec();
        let hashes = pages.map(|page| {
            let number = (page << self.page).to_be_bytes();
            key[self.prefix..].copy_from_slice(&number);
            bloom::hash(&key)
        });
        Some(hashes.collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(conversation: u64, number: u64) -> Vec<u8> {
        let mut key = vec![b'h'];
        key.extend(conversation.to_be_bytes());
        key.extend(number.to_be_bytes());
        key
    }

    #[test]
    fn a_conversation_and_its_pages_are_noted_once() {
        let (mut last, mut hashes) = (None, Vec::new());
        for number in 0..64 {
            Shape::HISTORY.note(&key(7, number), &mut last, &mut hashes);
        }
        assert_eq!(hashes.len(), 3);
        Shape::HISTORY.note(&key(8, 0), &mut last, &mut hashes);
        assert_eq!(hashes.len(), 5);
    }

    #[test]
    fn a_scan_finds_the_pages_that_its_keys_are_on() {
        let (mut last, mut hashes) = (None, Vec::new());
        for number in 100..200 {
            Shape::HISTORY.note(&key(7, number), &mut last, &mut hashes);
        }
        let finds = |from: (u64, u64), to: (u64, u64)| {
            let scan = Shape::HISTORY.scan(&key(from.0, from.1), &key(to.0, to.1));
            scan.may_be_in(|hash| hashes.contains(&hash))
        };
        assert!(finds((7, 0), (7, u64::MAX)), "all of it");
        assert!(finds((7, 199), (7, 260)), "its last message");
        assert!(!finds((7, 300), (7, 350)), "pages that are not there");
        assert!(!finds((8, 100), (8, 200)), "another conversation");
        assert!(finds((6, 0), (9, 0)), "more than one conversation");
        let page = Shape::HISTORY.hash(&key(7, 150));
        assert!(hashes.contains(&page));
    }
}
