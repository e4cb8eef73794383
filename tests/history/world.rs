//! A history with what it should hold.

use std::collections::BTreeMap;
use std::sync::Arc;

use fastrand::Rng;
use yizhan::id::{MsgId, Uid};
use yizhan::message::chat::Chat;
use yizhan::message::{Fate, Kind, Message};
use yizhan::store::EngineError;
use yizhan::store::archive::{Archive, Event, Query};
use yizhan::store::history::{Catalog, DAY_MS, History, KEY, Place, key_of, period_of};
use yizhan::store::record::{self, look};

use crate::disk::Disk;

pub(crate) const STORE: u64 = 0x5eed;
pub(crate) const KEEP: u64 = 5 * DAY_MS;
pub(crate) const FIRST_DAY: u64 = 20_000;

pub(crate) type Key = [u8; KEY];
pub(crate) type Messages = BTreeMap<Key, Vec<u8>>;

/// What a manifest would keep.
#[derive(Clone, Default)]
pub(crate) struct Manifest {
    pub(crate) catalog: Catalog,
    pub(crate) next_run: u64,
}

pub(crate) struct World {
    pub(crate) disk: Arc<Disk>,
    pub(crate) manifest: Manifest,
    pub(crate) history: History,
    pub(crate) now: u64,
    /// What is at hand, and what has left.
    pub(crate) hot: Messages,
    pub(crate) left: Messages,
    /// What was removed and hides what has left.
    removed: Messages,
    /// The next number of each conversation.
    cseqs: BTreeMap<u64, u64>,
}

pub(crate) fn place(disk: &Arc<Disk>) -> Place {
    Place {
        runs: disk.folder("history"),
        archive: disk.folder("archive"),
    }
}

pub(crate) fn message(ts: u64, text: &str, is_revoked: bool) -> Message {
    Message {
        id: MsgId::parse(&format!("id-{ts}")).unwrap(),
        kind: Kind::Words,
        from: Uid(1 + ts % 7),
        to: Chat::User(Uid(9)),
        payload: format!("{{\"text\":\"{text}\"}}").into(),
        created_at: None,
        server_ts: ts,
        expires_at: None,
        fate: match is_revoked {
            true => Fate::Revoked(ts + 1),
            false => Fate::Whole,
        },
        cseq: 0,
    }
}

pub(crate) fn encode(message: &Message) -> Vec<u8> {
    record::encode(message).unwrap()
}

fn ts_of(value: &[u8]) -> u64 {
    look(value).unwrap().server_ts
}

impl World {
    pub(crate) fn new(disk: Arc<Disk>) -> World {
        let manifest = Manifest {
            next_run: 1,
            ..Manifest::default()
        };
        World {
            history: History::open(place(&disk), STORE, &manifest.catalog).unwrap(),
            disk,
            manifest,
            now: FIRST_DAY * DAY_MS,
            hot: Messages::new(),
            left: Messages::new(),
            removed: Messages::new(),
            cseqs: BTreeMap::new(),
        }
    }

    pub(crate) fn reopen(&mut self) {
        self.history = History::open(place(&self.disk), STORE, &self.manifest.catalog).unwrap();
    }

    /// New messages, and other versions of old ones, as a settler brings them.
    pub(crate) fn some_messages(&mut self, rng: &mut Rng, most: usize) -> Messages {
        let mut batch = Messages::new();
        for _ in 0..rng.usize(1..=most) {
            self.now += rng.u64(..20_000);
            let conversation = rng.u64(1..6);
            let cseq = self.cseqs.entry(conversation).or_insert(1);
            let text = "so it is ".repeat(rng.usize(..20));
            batch.insert(
                key_of(conversation, *cseq),
                encode(&message(self.now, &text, false)),
            );
            *cseq += rng.u64(1..3);
        }
        let known: Vec<(Key, Vec<u8>)> = self
            .hot
            .iter()
            .chain(&self.left)
            .map(|(k, v)| (*k, v.clone()))
            .collect();
        for _ in 0..rng.usize(..=most / 4 + 1) {
            let Some((key, value)) = rng.choice(&known) else {
                break;
            };
            let (ts, is_revoked) = (ts_of(value), rng.u8(..3) == 0);
            let text = format!("edited at {}", self.now);
            batch.insert(*key, encode(&message(ts, &text, is_revoked)));
        }
        batch
    }

    pub(crate) fn settle(&mut self, batch: Messages) -> Result<(), EngineError> {
        let mut writing = self.history.begin(self.manifest.next_run);
        for (key, value) in &batch {
            writing.add(key, value, ts_of(value))?;
        }
        let written = writing.finish()?;
        let manifest = Manifest {
            catalog: self.history.with(&written),
            next_run: written.next_run(),
        };
        self.manifest = manifest;
        self.removed.retain(|key, _| !batch.contains_key(key));
        self.hot.extend(batch);
        self.history.push(written, self.now);
        assert_eq!(self.history.catalog(), self.manifest.catalog);
        Ok(())
    }

    /// Takes some of what is at hand away for good.
    pub(crate) fn remove(&mut self, rng: &mut Rng) -> Result<(), EngineError> {
        let keys = self.hot.keys().filter(|_| rng.u8(..10) == 0);
        let keys: Vec<Key> = keys.copied().collect();
        let mut writing = self.history.begin(self.manifest.next_run);
        for key in &keys {
            writing.remove(key)?;
        }
        let written = writing.finish()?;
        self.manifest = Manifest {
            catalog: self.history.with(&written),
            next_run: written.next_run(),
        };
        for key in keys {
            self.removed.extend(self.hot.remove_entry(&key));
        }
        self.history.push(written, self.now);
        Ok(())
    }

    /// A merge that is due, if one is.
    pub(crate) fn merge(&mut self) -> Result<bool, EngineError> {
        let Some(mut merging) = self.history.merge(self.now, self.manifest.next_run)? else {
            return Ok(false);
        };
        while merging.step(7)? {}
        let merged = merging.finish()?;
        self.manifest = Manifest {
            catalog: self.history.replaced(&merged),
            next_run: self.manifest.next_run + 1,
        };
        self.history.replace(merged)?;
        assert_eq!(self.history.catalog(), self.manifest.catalog);
        Ok(true)
    }

    /// Lets a period leave that is due, if one is.
    pub(crate) fn leave(&mut self) -> Result<bool, EngineError> {
        let Some(period) = self.history.due_for_archive(self.now, KEEP) else {
            return Ok(false);
        };
        let mut leaving = self.history.leave(period, look)?;
        while leaving.step(7)? {}
        let left = leaving.finish()?;
        self.manifest.catalog = self.history.without(&left);
        let of_period = |value: &Vec<u8>| period_of(ts_of(value)) == period;
        let gone: Messages = self
            .hot
            .extract_if(.., |_, value| of_period(value))
            .collect();
        for (key, value) in gone {
            match look(&value).unwrap().may_be_archived {
                true => self.left.insert(key, value),
                false => self.left.remove(&key),
            };
        }
        for (key, _) in self.removed.extract_if(.., |_, value| of_period(value)) {
            self.left.remove(&key);
        }
        self.history.drop_period(left)?;
        assert_eq!(self.history.catalog(), self.manifest.catalog);
        Ok(true)
    }

    /// Compares everything at hand, by look-ups and by scans.
    pub(crate) fn check(&self, rng: &mut Rng) {
        let all = scan(&self.history, &key_of(0, 0), &key_of(u64::MAX, u64::MAX));
        assert!(all == self.hot, "all of it");
        for conversation in 0..7 {
            let (a, b) = (rng.u64(..60), rng.u64(..60));
            let (from, to) = (
                key_of(conversation, a.min(b)),
                key_of(conversation, a.max(b)),
            );
            let expected: Messages = self
                .hot
                .range(from..=to)
                .map(|(k, v)| (*k, v.clone()))
                .collect();
            assert_eq!(scan(&self.history, &from, &to), expected);
            let key = key_of(conversation, a);
            assert_eq!(self.history.get(&key).unwrap().as_ref(), self.hot.get(&key));
        }
    }

    /// Compares what has left. What was written and is not told of yet may be there too, where it is at hand as well.
    pub(crate) fn check_archive(&self, may_have_more: bool) {
        let there = archived(&self.disk);
        for (key, value) in &there {
            let is_told = self.left.get(key) == Some(value);
            let is_at_hand = may_have_more && self.hot.get(key) == Some(value);
            assert!(is_told || is_at_hand, "{key:?} should not be there");
        }
        for key in self.left.keys() {
            let is_at_hand =
                may_have_more && (self.hot.contains_key(key) || self.removed.contains_key(key));
            assert!(
                there.contains_key(key) || is_at_hand,
                "{key:?} should be there"
            );
        }
    }
}

pub(crate) fn scan(history: &History, from: &Key, to: &Key) -> Messages {
    let mut found = Messages::new();
    let mut entries = history.entries(from, to).unwrap();
    while let Some((key, value)) = entries.next().unwrap() {
        if let Some(value) = value {
            found.insert(key.try_into().unwrap(), value);
        }
    }
    found
}

pub(crate) fn archived(disk: &Arc<Disk>) -> Messages {
    let mut found = Messages::new();
    let archive = Archive::new(disk.folder("archive"));
    archive
        .read(&Query::default(), look, &mut |event| {
            match event {
                Event::Message(m) => {
                    drop(found.insert(key_of(m.conversation, m.cseq), m.value.to_vec()))
                }
                Event::Damage(damage) => panic!("{damage}"),
            }
            true
        })
        .unwrap();
    found
}
