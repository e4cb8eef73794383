//! What is durable, kept beside the store: after every flush and every opening the store is read, and each change must
//! follow from the requests of the batch. Nothing here asks the ledger why.

use std::collections::{BTreeMap, BTreeSet};

use yizhan::id::{Cid, Did, MsgId, Seq, Uid};
use yizhan::machine::dedupe;
use yizhan::machine::inbox::{Bounds, Inbox};
use yizhan::machine::ranges::Ranges;
use yizhan::message::chat::Chat;
use yizhan::message::{Op, is_expired};
use yizhan::store::ledger::Policy;
use yizhan::store::memory::MemoryEngine;
use yizhan::store::record::{self, RowRef, Sort};
use yizhan::store::{Engine, EngineError};

use crate::annals::Annals;
use crate::tally::Ran;
use crate::turn::Turn;

/// Sweeps that may pass before what is due is gone.
const SWEEPS_MAX: u64 = 10;

/// A message, as its three names.
pub type Name = (Chat, Uid, MsgId);

pub struct Book {
    pub policy: Policy,
    pub users: BTreeMap<Uid, User>,
    /// The latest row of each message.
    pub entries: BTreeMap<Name, Entry>,
    pub annals: Annals,
    sweeps: u64,
}

#[derive(Clone, Copy)]
pub struct Entry {
    pub seq: Seq,
    pub server_ts: u64,
    pub expired: bool,
    pub revoked: bool,
}

#[derive(Default)]
pub struct User {
    pub head: Seq,
    pub any: Ranges,
    pub devices: BTreeMap<Did, Known>,
    /// Every row there ever was.
    pub rows: BTreeMap<Seq, Row>,
    /// What they told, each thing once.
    pub told: BTreeMap<(Cid, Seq, MsgId, u8), Seq>,
    /// The last place of each conversation that a message came from.
    pub last: BTreeMap<Cid, Seq>,
    /// Rows that were acknowledged in the batch that took them out as well.
    pub maybe: Ranges,
    /// Rows that some device has acknowledged, by their own word.
    pub delivered: Ranges,
    pub acked: BTreeMap<Did, Ranges>,
}

pub struct Row {
    pub sort: Sort,
    /// Its conversation and place.
    pub place: (Cid, Seq),
    pub expires_at: Option<u64>,
    /// Whether it is for the other devices of whoever did it.
    pub carried: bool,
    pub from: Uid,
    pub id: MsgId,
    pub server_ts: u64,
    pub stored: bool,
    /// Left by a crash.
    pub litter: bool,
    /// The first sweep that should have taken it.
    pub due: Option<u64>,
}

#[derive(Default)]
pub struct Known {
    pub acks: Ranges,
    pub resync: bool,
    /// When it was seen last for certain, and when it may have been.
    pub seen: u64,
    pub seen_maybe: u64,
    pub due: Option<u64>,
}

/// What a batch turned out to have done.
#[derive(Default)]
pub struct Turned {
    /// Devices for which rows were given up: they have to be told.
    pub gave_up: Vec<(Uid, Did)>,
    pub forgotten: Vec<(Uid, Did)>,
}

/// What a batch asks about one user.
#[derive(Default)]
pub struct Asked<'a> {
    pub appends: BTreeSet<(Uid, &'a MsgId)>,
    /// What the user sends, and on which device.
    pub sends: BTreeMap<(Chat, &'a MsgId), BTreeSet<&'a Did>>,
    pub acks: BTreeMap<&'a Did, Ranges>,
    pub attaches: BTreeSet<&'a Did>,
    pub mentioned: BTreeSet<&'a Did>,
    /// Rows that a device has seen to tell of what is gone.
    pub buried: Ranges,
}

/// How the store stands for one user.
pub struct Found {
    pub inbox: Inbox,
    pub any: Ranges,
    pub devices: BTreeMap<Did, (Ranges, bool)>,
    pub rows: BTreeMap<Seq, RowRef>,
}

impl Book {
    pub fn new(policy: Policy) -> Book {
        Book {
            policy,
            users: BTreeMap::new(),
            entries: BTreeMap::new(),
            annals: Annals::default(),
            sweeps: 0,
        }
    }

    /// Reads what a batch did at `now`. It is `certain` if it was flushed without an error.
    pub fn turn(
        &mut self,
        disk: &MemoryEngine,
        dids: &[(Uid, Did)],
        (ops, told): (&[Op], &BTreeSet<Uid>),
        now: u64,
        certain: bool,
        ran: &mut Ran,
    ) -> Result<Turned, String> {
        self.annals.turn(disk, ops, now, certain, ran)?;
        let mut asked: BTreeMap<Uid, Asked<'_>> = BTreeMap::new();
        for (uid, _) in dids {
            if told.contains(uid) || !certain {
                asked.entry(*uid).or_default();
            }
        }
        let mut sweeps = false;
        for op in ops {
            match op {
                Op::Append(append) => {
                    let id = &append.draft.id;
                    if let Chat::User(to) = append.draft.to {
                        let of = asked.entry(to).or_default();
                        of.appends.insert((append.from, id));
                    }
                    let of = asked.entry(append.from).or_default();
                    let sends = of.sends.entry((append.draft.to, id)).or_default();
                    sends.extend(&append.did);
                }
                Op::Ack { reader, did, seqs } => {
                    let of = asked.entry(*reader).or_default();
                    of.acks.entry(did).or_default().union(seqs);
                }
                Op::Attach {
                    uid, did, online, ..
                } => {
                    let of = asked.entry(*uid).or_default();
                    of.attaches.insert(did);
                    of.mentioned.extend(online);
                    of.mentioned.insert(did);
                }
                Op::Amend {
                    by,
                    chat,
                    amendment,
                } => {
                    if let Chat::User(to) = chat {
                        asked.entry(*to).or_default();
                    }
                    let of = asked.entry(by.uid).or_default();
                    let sends = of.sends.entry((*chat, amendment.id())).or_default();
                    sends.extend(&by.did);
                }
                Op::Bury { uid, seqs } => {
                    asked.entry(*uid).or_default().buried.union(seqs);
                }
                Op::Seen { uid, did } => {
                    asked.entry(*uid).or_default().mentioned.insert(did);
                }
                Op::Sweep => sweeps = true,
                _ => {}
            }
        }
        if sweeps {
            for uid in self.users.keys() {
                asked.entry(*uid).or_default();
            }
        }
        let fresh = self.annals.fresh.clone();
        let known = |book: &Book, place: &(Cid, Seq)| -> BTreeSet<Did> {
            let said = book.annals.at(*place);
            let user = said.and_then(|said| book.users.get(&said.message.from));
            let devices = user.into_iter().flat_map(|user| user.devices.keys());
            devices.cloned().collect()
        };
        let known_before: Vec<_> = fresh.iter().map(|place| known(self, place)).collect();
        let mut turned = Turned::default();
        for (uid, asked) in asked {
            let found = self.find(disk, uid, dids)?;
            let turn = Turn {
                policy: self.policy,
                annals: &self.annals,
                disk,
                uid,
                now,
                certain,
                sweeps,
                asked,
                found,
            };
            let user = self.users.entry(uid).or_default();
            turn.take(user, &mut self.entries, ran, &mut turned)
                .map_err(|broken| format!("{broken} (user {uid})"))?;
        }
        for (place, before) in fresh.iter().zip(known_before) {
            let after = known(self, place);
            let both = before.intersection(&after).cloned().collect();
            self.annals.note_copied(*place, &both);
        }
        for op in ops {
            if let Op::Amend {
                by,
                chat,
                amendment,
            } = op
            {
                let name = (*chat, by.uid, amendment.id().clone());
                let said = self.annals.named(name.0, name.1, &name.2);
                let revoked = said.is_some_and(|said| said.revoked.is_some());
                if let Some(known) = self.entries.get_mut(&name) {
                    known.revoked |= revoked;
                    // It may have come again, and been taken back at once.
                    if let Some(found) = entry(disk, &name)?.filter(|_| revoked)
                        && found.seq > known.seq
                    {
                        (known.seq, known.server_ts) = (found.seq, found.server_ts);
                        (known.expired, known.revoked) = (found.expired, found.revoked);
                    }
                }
            }
        }
        if sweeps {
            self.turn_entries(disk, now, ran)?;
            if certain {
                self.sweeps += 1;
                self.check_due(now)?;
            }
        }
        Ok(turned)
    }

    fn find(&self, disk: &MemoryEngine, uid: Uid, dids: &[(Uid, Did)]) -> Result<Found, String> {
        let mut inbox: Inbox = read(disk, &record::user_key(uid))?.unwrap_or_default();
        let bounds = Bounds {
            max_devices: usize::MAX,
            ..self.policy.bounds
        };
        let mut devices = BTreeMap::new();
        for (of, did) in dids {
            // To attach a known device changes nothing but its last sight, and this is a copy.
            if *of == uid && inbox.knows(did) {
                let arrival = inbox.attach(did, 0, &bounds, &[]);
                devices.insert(did.clone(), (arrival.acks, arrival.resync));
            }
        }
        let probe = Did::parse("nobody").unwrap();
        let any = inbox.attach(&probe, 0, &bounds, &[]).acks;
        let mut rows = BTreeMap::new();
        let mut damaged = None;
        let (first, last) = (record::row_key(uid, 0), record::row_key(uid, u64::MAX));
        let done = disk.scan(&first, &last, &mut |key, value| {
            match (record::row_place(key), RowRef::decode(key, value)) {
                (Some((_, seq)), Ok(row)) => drop(rows.insert(seq, row)),
                _ => damaged = Some(key.to_vec()),
            }
            true
        });
        done.map_err(|e| e.to_string())?;
        match damaged {
            Some(key) => Err(format!("row {} is damaged", key.escape_ascii())),
            None => Ok(Found {
                inbox,
                any,
                devices,
                rows,
            }),
        }
    }

    /// An entry goes when it is forgotten, and expires with its row.
    fn turn_entries(&mut self, disk: &MemoryEngine, now: u64, ran: &mut Ran) -> Result<(), String> {
        let dedupe_ms = self.policy.dedupe_ms();
        let mut gone = Vec::new();
        for (name, known) in &self.entries {
            match entry(disk, name)? {
                Some(found)
                    if found.seq != known.seq
                        || found.expired != known.expired
                        || found.revoked != known.revoked =>
                {
                    return Err(format!("{name:?} is another in the index"));
                }
                Some(_) => {}
                None if known.server_ts.saturating_add(dedupe_ms) <= now => gone.push(name.clone()),
                None => return Err(format!("{name:?} is not in the index any more")),
            }
        }
        ran.ids_forgotten += gone.len() as u64;
        for name in gone {
            self.entries.remove(&name);
        }
        Ok(())
    }

    /// What is due goes within some sweeps.
    fn check_due(&mut self, now: u64) -> Result<(), String> {
        let (sweeps, policy) = (self.sweeps, self.policy);
        let late = |due: &mut Option<u64>, is_due: bool| {
            let since = is_due.then(|| due.unwrap_or(sweeps));
            *due = since;
            since.is_some_and(|since| sweeps - since > SWEEPS_MAX)
        };
        for user in self.users.values_mut() {
            for (seq, row) in &mut user.rows {
                let is_due = row.stored && is_expired(row.server_ts, now, policy.ttl_ms);
                if late(&mut row.due, is_due) {
                    return Err(format!("row {seq} is kept beyond its time"));
                }
            }
            for (did, known) in &mut user.devices {
                let forget_ms = policy.bounds.forget_ms;
                if late(
                    &mut known.due,
                    known.seen_maybe.saturating_add(forget_ms) <= now,
                ) {
                    return Err(format!("{did} is known beyond its time"));
                }
            }
        }
        Ok(())
    }

    /// The rows of a user, and what they tell.
    pub fn user(&self, uid: Uid) -> Option<&User> {
        self.users.get(&uid)
    }

    /// When the message at this place was accepted, if it is that one.
    pub fn accepted_at(&self, to: Uid, seq: Seq, from: Uid, id: &MsgId) -> Option<u64> {
        let row = self.users.get(&to)?.rows.get(&seq)?;
        (row.from == from && row.id == *id).then_some(row.server_ts)
    }

    /// Whether that place was given out, and nothing seen there.
    pub fn is_unseen(&self, uid: Uid, seq: Seq) -> bool {
        let user = self.users.get(&uid);
        user.is_some_and(|user| seq <= user.head && !user.rows.contains_key(&seq))
    }

    /// Whether the message is known, or was for as long as ids are remembered.
    pub fn was_accepted(&self, to: Chat, from: Uid, id: &MsgId) -> bool {
        self.annals.named(to, from, id).is_some()
    }

    /// Whether this device, or with none some device, has acknowledged the message.
    pub fn is_delivered(&self, to: Uid, from: Uid, id: &MsgId, by: Option<&Did>) -> bool {
        let Some(user) = self.users.get(&to) else {
            return false;
        };
        let acked = match by {
            Some(did) => user.acked.get(did),
            None => Some(&user.delivered),
        };
        let mut rows = self.rows_of(to, from, id);
        acked.is_some_and(|acked| rows.any(|seq| acked.contains(seq)))
    }

    /// Whether the acknowledgement of these rows by this device is durable.
    pub fn has_acked(&self, uid: Uid, did: &Did, seq: Seq) -> bool {
        let Some(user) = self.users.get(&uid) else {
            return false;
        };
        let acks = user.devices.get(did).map(|known| &known.acks);
        acks.unwrap_or(&user.any).contains(seq)
    }

    /// Whether the device is known.
    pub fn knows(&self, uid: Uid, did: &Did) -> bool {
        let user = self.users.get(&uid);
        user.is_some_and(|user| user.devices.contains_key(did))
    }

    /// Rows that the device still has to get.
    pub fn owed(&self, uid: Uid, did: &Did) -> Ranges {
        let Some(user) = self.users.get(&uid) else {
            return Ranges::new();
        };
        let all = Ranges::span(1, user.head);
        match user.devices.get(did) {
            Some(known) => all.difference(&known.acks),
            None => Ranges::new(),
        }
    }

    /// Rows of a reader by their ids.
    pub fn rows_called(
        &self,
        to: Uid,
        which: impl Fn(&MsgId) -> bool,
    ) -> impl Iterator<Item = Seq> {
        let rows = self.users.get(&to).into_iter().flat_map(|user| &user.rows);
        rows.filter(move |(_, row)| which(&row.id))
            .map(|(seq, _)| *seq)
    }

    pub fn reader(&self, chat: Chat) -> Option<&User> {
        self.users.get(&chat.user()?)
    }

    fn rows_of<'a>(&'a self, to: Uid, from: Uid, id: &'a MsgId) -> impl Iterator<Item = Seq> + 'a {
        let rows = self.users.get(&to).into_iter().flat_map(|user| &user.rows);
        rows.filter(move |(_, row)| row.sort == Sort::C2c && row.from == from && row.id == *id)
            .map(|(seq, _)| *seq)
    }
}

pub fn read<T: serde::de::DeserializeOwned>(
    disk: &MemoryEngine,
    key: &[u8],
) -> Result<Option<T>, String> {
    let failed = |e: EngineError| e.to_string();
    let bytes = disk.get(key).map_err(failed)?;
    let decoded = bytes.map(|bytes| record::decode(key, &bytes));
    decoded.transpose().map_err(failed)
}

pub fn entry(disk: &MemoryEngine, (to, from, id): &Name) -> Result<Option<dedupe::Entry>, String> {
    let failed = |e: EngineError| e.to_string();
    let key = record::dedupe_key(*to, *from, id);
    let bytes = disk.get(&key).map_err(failed)?;
    let decoded = bytes.map(|bytes| record::decode_entry(&key, &bytes));
    decoded.transpose().map_err(failed)
}
