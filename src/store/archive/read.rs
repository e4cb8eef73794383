//! Reads all files, in the order of their days.

use std::ops::RangeInclusive;
use std::sync::Arc;

use crate::store::EngineError;
use crate::store::files::Folder;
use crate::store::history::{DAY_MS, Look, Sight, end_of, key_of, parts_of};
use crate::store::runs::block::Block;

use super::file::{File, Tell, Walk};
use super::format::{HEAD, HEADER, Summary};
use super::{Damage, Name, Needle, names};

/// The files of a directory. None is kept open.
pub struct Archive {
    folder: Arc<dyn Folder>,
}

/// What is said of a file without its messages being read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Its name.
    pub name: Name,
    /// Its length, bytes.
    pub bytes: u64,
    /// What it holds, if its footer can be read.
    pub summary: Option<Summary>,
    /// What of it cannot be read, apart from messages.
    pub damages: Vec<Damage>,
}

/// Which messages are asked for.
#[derive(Clone, Debug)]
pub struct Query {
    /// Only those of a conversation.
    pub conversation: Option<u64>,
    /// Only those with such a number in their conversation.
    pub cseq: RangeInclusive<u64>,
    /// Only those that were accepted then, Unix milliseconds.
    pub ts: RangeInclusive<u64>,
    /// Only those of a sender.
    pub from: Option<u64>,
    /// Only those with a text in them.
    pub text: Option<Needle>,
}

/// A message of the archive.
#[derive(Clone, Copy, Debug)]
pub struct Message<'a> {
    /// Its conversation.
    pub conversation: u64,
    /// Its number there.
    pub cseq: u64,
    /// What is stored of it.
    pub value: &'a [u8],
    /// The same, as far as it was looked at.
    pub sight: Sight<'a>,
}

/// What a reader meets.
#[derive(Debug)]
pub enum Event<'a> {
    /// A message that was asked for.
    Message(Message<'a>),
    /// Something that cannot be read, and behind which it goes on.
    Damage(Damage),
}

impl Default for Query {
    fn default() -> Query {
        Query {
            conversation: None,
            cseq: 0..=u64::MAX,
            ts: 0..=u64::MAX,
            from: None,
            text: None,
        }
    }
}

impl Query {
    fn keys(&self) -> ([u8; 17], [u8; 17]) {
        let (first, last) = (*self.cseq.start(), *self.cseq.end());
        match self.conversation {
            Some(conversation) => (key_of(conversation, first), key_of(conversation, last)),
            None => (key_of(0, 0), key_of(u64::MAX, u64::MAX)),
        }
    }

    fn may_be_in(&self, period: u32) -> bool {
        let end = end_of(period);
        *self.ts.start() < end && *self.ts.end() >= end - DAY_MS
    }

    fn asks_for(&self, cseq: u64, sight: &Sight<'_>) -> bool {
        let in_text = |needle: &Needle| sight.text.is_some_and(|text| needle.is_in(text));
        self.cseq.contains(&cseq)
            && self.ts.contains(&sight.server_ts)
            && self.from.is_none_or(|from| from == sight.from)
            && self.text.as_ref().is_none_or(in_text)
    }
}

impl Archive {
    /// The files of this directory.
    pub fn new(folder: Arc<dyn Folder>) -> Archive {
        Archive { folder }
    }

    /// The names of all files, the oldest first.
    pub fn names(&self) -> Result<Vec<Name>, EngineError> {
        names(&*self.folder)
    }

    /// What is in a file, by its footer.
    pub fn list(&self, name: Name) -> Result<Listed, EngineError> {
        let mut damages = Vec::new();
        let file = File::open(&*self.folder, name, &mut |damage| damages.push(damage))?;
        Ok(Listed {
            name,
            bytes: file.size,
            summary: file.summary(),
            damages,
        })
    }

    /// Shows the messages that are asked for until `visit` returns false: by day, and of each day by conversation and
    /// number. A block is in memory at a time, and of each file of one day its index.
    pub fn read(
        &self,
        query: &Query,
        look: Look,
        visit: &mut dyn FnMut(Event<'_>) -> bool,
    ) -> Result<(), EngineError> {
        let names = self.names()?;
        for day in names.chunk_by(|a, b| a.period == b.period) {
            if day.first().is_some_and(|name| query.may_be_in(name.period))
                && !self.read_day(day, query, look, visit)?
            {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Reads all of a file, and tells what is not as it was written.
    pub fn verify(
        &self,
        name: Name,
        tell: &mut dyn FnMut(Damage),
    ) -> Result<Option<Summary>, EngineError> {
        let file = File::open(&*self.folder, name, tell)?;
        let Some(index) = file.index() else {
            let mut walk = Walk::begin(&file, &[], &[0xff; 32], (0, u64::MAX));
            while walk.advance(tell)? {}
            return Ok(file.summary());
        };
        let mut block = Block::default();
        let (mut at, mut messages, mut removals) = (HEADER as u64, 0, 0);
        let mut is_whole = true;
        for place in index {
            let Some(head) = file.block(place.at, &mut block)?.filter(|_| place.at == at) else {
                tell(file.damage(place.at, "a block cannot be read"));
                let next = index.iter().find(|next| next.at > place.at);
                (at, is_whole) = (next.map_or(file.blocks_end(), |next| next.at), false);
                continue;
            };
            at += HEAD as u64 + u64::from(head.stored);
            let before = messages + removals;
            while block.advance().unwrap_or(false) {
                match block.value() {
                    Some(_) => messages += 1,
                    None => removals += 1,
                }
            }
            if messages + removals - before != place.entries {
                tell(file.damage(place.at, "entries of a block are missing"));
                is_whole = false;
            }
        }
        let summary = file.summary();
        let counted = summary.map(|s| (s.messages, s.removals));
        if is_whole && (at != file.blocks_end() || counted != Some((messages, removals))) {
            tell(file.damage(file.blocks_end(), "blocks are missing before the index"));
        }
        Ok(summary)
    }

    /// Reads the files of one day as one, the latest over the earlier ones; false if no more is wanted.
    fn read_day(
        &self,
        day: &[Name],
        query: &Query,
        look: Look,
        visit: &mut dyn FnMut(Event<'_>) -> bool,
    ) -> Result<bool, EngineError> {
        let mut tell = |damage| {
            visit(Event::Damage(damage));
        };
        let mut files = Vec::new();
        for name in day {
            match File::open(&*self.folder, *name, &mut tell) {
                Ok(file) => files.push(file),
                Err(error) => tell(Damage {
                    path: self.folder.path(&name.to_string()),
                    at: 0,
                    why: error.to_string(),
                }),
            }
        }
        // A later file may have removed what an earlier one has, whenever that was.
        let times = match files.len() {
            1 => (*query.ts.start(), *query.ts.end()),
            _ => (0, u64::MAX),
        };
        let (from, to) = query.keys();
        let mut walks = Vec::new();
        for file in &files {
            let mut walk = Walk::begin(file, &from, &to, times);
            if advance(&mut walk, &mut tell) {
                walks.push(walk);
            }
        }
        while let Some(key) = walks.iter().filter_map(Walk::key).min() {
            let key = key.to_vec();
            let newest = walks.iter().rfind(|walk| walk.key() == Some(&key));
            let found = newest.and_then(|walk| Some((walk.value()?, walk.place())));
            let goes_on = found.is_none_or(|(value, (file, at))| {
                let Some(((conversation, cseq), sight)) = parts_of(&key).zip(look(value)) else {
                    let why = "a message of the block cannot be read by this build";
                    return visit(Event::Damage(file.damage(at, why)));
                };
                !query.asks_for(cseq, &sight)
                    || visit(Event::Message(Message {
                        conversation,
                        cseq,
                        value,
                        sight,
                    }))
            });
            if !goes_on {
                return Ok(false);
            }
            let mut tell = |damage| {
                visit(Event::Damage(damage));
            };
            walks.retain_mut(|walk| walk.key() != Some(&key) || advance(walk, &mut tell));
        }
        Ok(true)
    }
}

/// Goes on to the next entry; false behind the last, or where the disk fails.
fn advance(walk: &mut Walk<'_>, tell: &mut Tell<'_>) -> bool {
    walk.advance(tell).unwrap_or_else(|error| {
        let (file, at) = walk.place();
        tell(file.damage(at, &error.to_string()));
        false
    })
}
