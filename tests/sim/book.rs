//! What is durable, kept beside the store: after every flush and every opening the store is read, and each change must
//! follow from the requests of the batch. Nothing here asks the ledger why.

use std::collections::{BTreeMap, BTreeSet};

use yizhan::id::{Did, MsgId, Seq, Uid};
use yizhan::machine::dedupe;
use yizhan::machine::inbox::{Bounds, Inbox};
use yizhan::machine::ranges::Ranges;
use yizhan::message::{Answer, Op, Refusal, State, is_expired};
use yizhan::store::ledger::Policy;
use yizhan::store::memory::MemoryEngine;
use yizhan::store::record::{self, RowRef};
use yizhan::store::{Engine, EngineError};

use crate::tally::Ran;
use crate::turn::Turn;

/// Sweeps that may pass before what is due is gone.
const SWEEPS_MAX: u64 = 10;

/// A message, as its three names.
pub type Name = (Uid, Uid, MsgId);

pub struct Book {
    policy: Policy,
    users: BTreeMap<Uid, User>,
    /// The latest row of each message.
    entries: BTreeMap<Name, Entry>,
    sweeps: u64,
}

#[derive(Clone, Copy)]
pub struct Entry {
    pub seq: Seq,
    pub server_ts: u64,
    pub expired: bool,
}

#[derive(Default)]
pub struct User {
    pub head: Seq,
    pub any: Ranges,
    pub devices: BTreeMap<Did, Known>,
    /// Every row there ever was.
    pub rows: BTreeMap<Seq, Row>,
    /// Rows that some device has acknowledged, by their own word.
    pub delivered: Ranges,
    pub acked: BTreeMap<Did, Ranges>,
}

pub struct Row {
    pub from: Uid,
    pub id: MsgId,
    pub server_ts: u64,
    pub stored: bool,
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
    pub acks: BTreeMap<&'a Did, Ranges>,
    pub attaches: BTreeSet<&'a Did>,
    pub mentioned: BTreeSet<&'a Did>,
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
            sweeps: 0,
        }
    }

    /// Reads what a batch did at `now`. It is `certain` if it was flushed without an error.
    pub fn turn(
        &mut self,
        disk: &MemoryEngine,
        dids: &[(Uid, Did)],
        ops: &[Op],
        now: u64,
        certain: bool,
        ran: &mut Ran,
    ) -> Result<Turned, String> {
        let mut asked: BTreeMap<Uid, Asked<'_>> = BTreeMap::new();
        let mut sweeps = false;
        for op in ops {
            match op {
                Op::Append(append) => {
                    let of = asked.entry(append.draft.to).or_default();
                    of.appends.insert((append.from, &append.draft.id));
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
        let mut turned = Turned::default();
        for (uid, asked) in asked {
            let found = self.find(disk, uid, dids)?;
            let turn = Turn {
                policy: self.policy,
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
            match (record::row_place(key), record::decode(key, value)) {
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
                Some(found) if found.seq != known.seq || found.expired != known.expired => {
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

    /// Whether an answer was true before its batch, or, with `after`, is true since.
    pub fn check_answer(
        &self,
        now: u64,
        op: &Op,
        answer: &Answer,
        after: bool,
        ran: &mut Ran,
    ) -> Result<(), String> {
        let lie = || Err(format!("{op:?} was answered {answer:?}"));
        match (op, answer) {
            (Op::Append(append), Answer::Accepted(accepted)) if after => {
                let name = (append.draft.to, append.from, append.draft.id.clone());
                let entry = self.entries.get(&name);
                if entry.is_none_or(|entry| entry.seq != accepted.seq) {
                    return lie();
                }
                if !self.is_so(now, &name, accepted.state, after) {
                    return lie();
                }
            }
            (Op::Append(append), Answer::Accepted(accepted)) if accepted.repeat => {
                let name = (append.draft.to, append.from, append.draft.id.clone());
                if self.entries.contains_key(&name)
                    && !self.is_so(now, &name, accepted.state, after)
                {
                    return lie();
                }
            }
            (Op::Append(append), Answer::Refused(Refusal::InboxFull)) if after => {
                let user = self.users.get(&append.draft.to);
                if user.is_none_or(|user| user.head < self.policy.bounds.max_messages) {
                    return lie();
                }
            }
            (Op::Append(append), Answer::Refused(Refusal::InboxFull)) => {
                let user = self.users.get(&append.draft.to);
                let waiting = user.map_or(0, |user| user.head - user.any.len());
                // The others of its batch may have filled it.
                if waiting + 8 < self.policy.bounds.max_messages {
                    return lie();
                }
            }
            (Op::Status { from, of }, Answer::Status(states)) => {
                if !of.iter().eq(states.iter().map(|(target, _)| target)) {
                    return lie();
                }
                for (target, state) in states {
                    ran.status += u64::from(after);
                    let name = (target.to, *from, target.id.clone());
                    if !self.is_so(now, &name, *state, after) {
                        return lie();
                    }
                }
            }
            (Op::Head(uid), Answer::Head(head)) => {
                let known = self.users.get(uid).map_or(0, |user| user.head);
                if (after && *head > known) || (!after && *head < known) {
                    return lie();
                }
            }
            (Op::Ack { .. } | Op::Seen { .. }, Answer::Refused(Refusal::Forgotten)) => {}
            (Op::Append(_) | Op::Status { .. } | Op::Head(_), Answer::Accepted(_)) => {}
            (_, Answer::Acked(_) | Answer::Attached(_) | Answer::Done) => {}
            _ => return lie(),
        }
        Ok(())
    }

    /// A message goes from unknown to accepted, then to delivered or expired, and after its time to unknown.
    fn is_so(&self, now: u64, name: &Name, state: State, after: bool) -> bool {
        let entry = self.entries.get(name);
        let forgotten =
            |entry: &Entry| entry.server_ts.saturating_add(self.policy.dedupe_ms()) <= now;
        let user = self.users.get(&name.0);
        let delivered = |entry: &Entry| user.is_some_and(|user| user.delivered.contains(entry.seq));
        let expired = |entry: &Entry| {
            let is_due = is_expired(entry.server_ts, now, self.policy.ttl_ms);
            entry.expired || (is_due && !delivered(entry))
        };
        match (state, entry) {
            (State::Unknown, None) => true,
            (State::Unknown, Some(entry)) => after || forgotten(entry),
            (State::Accepted, Some(entry)) => {
                after || forgotten(entry) || !(expired(entry) || delivered(entry))
            }
            (State::Accepted, None) => !after,
            (State::Delivered, Some(entry)) => !after || delivered(entry),
            (State::Expired, Some(entry)) => !after || expired(entry),
            (State::Delivered | State::Expired, None) => !after,
        }
    }

    /// When the message at this place was accepted, if it is that one.
    pub fn accepted_at(&self, to: Uid, seq: Seq, from: Uid, id: &MsgId) -> Option<u64> {
        let row = self.users.get(&to)?.rows.get(&seq)?;
        (row.from == from && row.id == *id).then_some(row.server_ts)
    }

    /// Whether the message is known, or was for as long as ids are remembered.
    pub fn was_accepted(&self, to: Uid, from: Uid, id: &MsgId) -> bool {
        self.rows_of(to, from, id).next().is_some()
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

    fn rows_of<'a>(&'a self, to: Uid, from: Uid, id: &'a MsgId) -> impl Iterator<Item = Seq> + 'a {
        let rows = self.users.get(&to).into_iter().flat_map(|user| &user.rows);
        rows.filter(move |(_, row)| row.from == from && row.id == *id)
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
    read(disk, &record::dedupe_key(*to, *from, id))
}
