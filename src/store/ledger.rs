//! The rules of committing, over any engine: what each request reads, what it writes, and who hears of it.
//!
//! A batch of requests becomes engine batches of at most [`Engine::batch_max`] writes. All writes of one message stand
//! in the same engine batch, with the head of its reader's sequence, so a crash between two of them leaves no half
//! message and gives out no number twice. Nothing here is true for anyone before the caller has flushed.

mod access;
mod amend;
mod append;
mod chats;
mod contacts;
mod count;
mod doubt;
mod fanout;
mod groups;
mod history;
mod hooks;
mod layout;
mod lists;
pub mod look;
mod news;
mod notices;
mod page;
mod participant;
mod receivers;
mod rows;
mod sweep;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use foldhash::fast::RandomState;

use crate::id::{Cid, Did, Seq, Uid};
use crate::machine::access::Access;
use crate::machine::dedupe::{self, Entry};
use crate::machine::inbox::{Arrival, Bounds, Inbox};
use crate::machine::ranges::Ranges;
use crate::message::chat::Chat;
use crate::message::{
    Acked, Answer, Attached, Counted, Op, Receipt, Refusal, State, Target, is_expired,
};

use super::record::{self, Body, RowRef, Sort};
use super::{Batch, Engine, EngineError};

use chats::Book;

pub use count::{count_rows, recount_rows, rows};
pub use fanout::check_task;
pub use hooks::{Hooks, IsOnline};
pub use layout::{prepare, write_layout};
pub(super) use lists::A_PAIR;
pub use look::found;
pub use news::{Committed, News, Tally};
pub use page::read_page;

/// Inboxes kept in memory between commits.
const CACHED_USERS: usize = 50_000;
/// Writes of the largest request that must not be split: a message, and the inbox it belongs to.
const PER_MESSAGE: usize = 16;
/// A longer range of numbers is searched for its rows by a scan.
const WIDE: u64 = 1 << 16;

/// The settings of the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// The bounds of every inbox.
    pub bounds: Bounds,
    /// How long an unread row waits, milliseconds.
    pub ttl_ms: u64,
    /// What people may do in conversations.
    pub people: People,
}

/// The settings of conversations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct People {
    /// How long a message stays in the history, milliseconds.
    pub keep_ms: u64,
    /// How long after its acceptance an author may take a message back, milliseconds.
    pub revoke_ms: u64,
    /// How long after its acceptance an author may change a message, milliseconds.
    pub edit_ms: u64,
    /// Whether users must be contacts to write to each other.
    pub contacts_required: bool,
    /// Contacts and own requests of one user; as many blocks; and as many requests of others.
    pub max_contacts: usize,
    /// Members of one group.
    pub max_members: u64,
    /// Groups of one user.
    pub max_groups: usize,
    /// Members of a group in which it is told who writes.
    pub typing_members: u64,
    /// Whether members may read what was written before they joined.
    pub history_before_join: bool,
}

impl People {
    /// What is in force if nothing is set.
    pub const DEFAULT: People = People {
        keep_ms: 7_776_000_000,
        revoke_ms: 120_000,
        edit_ms: 900_000,
        contacts_required: false,
        max_contacts: 5000,
        max_members: 10_000,
        max_groups: 1000,
        typing_members: 200,
        history_before_join: false,
    };
}

impl Policy {
    /// How long the dedupe index remembers a message, milliseconds.
    pub fn dedupe_ms(&self) -> u64 {
        self.ttl_ms.saturating_mul(2)
    }
}

/// Whether the value of a dedupe entry says that its time has passed; one that cannot be read is kept.
pub fn is_forgotten(entry: &[u8], now: u64, policy: &Policy) -> bool {
    let entry = record::decode_entry(&[record::DEDUPE], entry);
    entry.is_ok_and(|entry| dedupe::is_forgotten(&entry, now, policy.dedupe_ms()))
}

/// Commits requests to an engine.
pub struct Ledger {
    engine: Arc<dyn Engine>,
    policy: Policy,
    inboxes: HashMap<Uid, Inbox, RandomState>,
    dirty: HashSet<Uid, RandomState>,
    batch: Batch,
    swept: BTreeMap<u8, Vec<u8>>,
    sweeps: u64,
    /// When the rows of a full inbox were looked at, Unix milliseconds, and from where to look on.
    relieved: HashMap<Uid, (u64, Seq), RandomState>,
    takes_new: bool,
    /// Conversations, members and relations in memory.
    book: Book,
    /// How many members have messages of groups, as the batch at hand has changed it.
    counted_news: BTreeMap<(Cid, Seq), Counted>,
    /// Members that the commit at hand has looked at to count who has an older message.
    looked_at: usize,
    /// Whom to tell what happens, if anybody.
    hooks: Option<Hooks>,
    events: hooks::Queue,
    /// Whose access the batch at hand has changed, and into what.
    restricted: BTreeMap<Uid, Access>,
    /// Rows that nobody waits for since the request at hand: they go when it is done with, so that it is not cut in two.
    litter: Vec<(Uid, Ranges)>,
    done: Committed,
    /// The rows in all inboxes with every batch that was applied; none until that is asked for.
    rows: Option<i64>,
    /// What the tally at hand says of rows and the store says as well.
    counted: i64,
}

impl Ledger {
    /// A ledger over an engine whose layout has been checked by [`prepare`].
    pub fn new(engine: Arc<dyn Engine>, policy: Policy) -> Ledger {
        Ledger {
            engine,
            policy,
            inboxes: HashMap::default(),
            dirty: HashSet::default(),
            batch: Batch::default(),
            swept: BTreeMap::new(),
            sweeps: 0,
            relieved: HashMap::default(),
            takes_new: true,
            book: Book::default(),
            counted_news: BTreeMap::new(),
            looked_at: 0,
            hooks: None,
            events: hooks::Queue::default(),
            restricted: BTreeMap::new(),
            litter: Vec::new(),
            done: Committed::default(),
            rows: None,
            counted: 0,
        }
    }

    /// Applies the requests at the time `now`. After an error nothing of them may be trusted: see [`Ledger::reset`].
    pub fn commit<'a>(
        &mut self,
        now: u64,
        ops: impl IntoIterator<Item = &'a Op>,
    ) -> Result<Committed, EngineError> {
        let is_behind = std::mem::take(&mut self.events.is_behind);
        for op in ops {
            let answer = match self.perform(now, op) {
                // A damaged record is the trouble of those it concerns, and of nobody else. What a request reads
                // before it changes anything is all that can stop it here.
                Err(EngineError::Damaged(why)) => {
                    log::error!("a request was refused: {why}");
                    Answer::Refused(Refusal::Storage)
                }
                answer => answer?,
            };
            self.done.answers.push(answer);
            self.clear_away()?;
        }
        self.fan_out(now)?;
        self.clear_away()?;
        if is_behind {
            intact(self.sweep_events(now))?;
        }
        self.apply()?;
        self.drop_stale_news();
        if self.inboxes.len() > CACHED_USERS {
            self.inboxes.clear();
        }
        self.book.trim();
        (self.counted, self.looked_at) = (0, 0);
        Ok(std::mem::take(&mut self.done))
    }

    fn perform(&mut self, now: u64, op: &Op) -> Result<Answer, EngineError> {
        match op {
            Op::Append(append) => self.append(now, append),
            Op::Ack { reader, did, seqs } => self.ack(now, *reader, did, seqs),
            Op::Attach {
                uid,
                did,
                online,
                issued_ms,
            } => match self.access(*uid)?.admit(Some(did), *issued_ms) {
                Ok(()) => self.attach(now, *uid, did, online),
                Err(barred) => Ok(Answer::Refused(barred.into())),
            },
            Op::Admit {
                uid,
                did,
                issued_ms,
            } => self.admit(*uid, did.as_ref(), *issued_ms),
            Op::Restrict { uid, change } => self.restrict(*uid, change),
            Op::Access(uid) => Ok(Answer::Access(self.access(*uid)?)),
            Op::Bans { after, limit } => self.bans(*after, *limit),
            Op::Seen { uid, did } => self.seen(now, *uid, did),
            Op::Head(uid) => Ok(Answer::Head(self.inbox(*uid)?.head())),
            Op::Status { from, of } => self.status(now, *from, of),
            Op::Amend {
                by,
                chat,
                amendment,
            } => self.amend(now, by, *chat, amendment),
            Op::MarkRead { by, chat, up_to } => self.mark_read(now, by, *chat, *up_to),
            Op::Typing { from, chat } => self.typing(now, *from, *chat),
            Op::Permit { from, to } => self.permit(*from, *to),
            Op::Standing { uid, chat } => self.standing(*uid, *chat),
            Op::SetExpiry {
                by,
                chat,
                expire_ms,
            } => self.set_expiry(now, *by, *chat, *expire_ms),
            Op::Group { by, gid, order } => self.group_order(now, *by, *gid, order),
            Op::Contact { uid, other, order } => self.contact(now, *uid, *other, order),
            Op::Forget { uid, did } => self.forget(*uid, did),
            Op::Barrier => self.barrier(),
            Op::Tell(what) => {
                self.hook_told(now, what.clone())?;
                Ok(Answer::Done)
            }
            Op::EventsSent(up_to) => {
                self.events_sent(*up_to)?;
                Ok(Answer::Done)
            }
            Op::Expire { uid, seqs } => self.expire_now(*uid, seqs),
            Op::Bury { uid, seqs } => self.bury(now, *uid, seqs),
            Op::Sweep => self.sweep(now),
        }
    }

    /// A device that was forgotten and came again in the same batch has nothing to hear.
    fn drop_stale_news(&mut self) {
        let inboxes = &self.inboxes;
        self.done.news.retain(|news| match news {
            News::Forgotten { uid, did } => !inboxes.get(uid).is_some_and(|i| i.knows(did)),
            _ => true,
        });
        let restricted = self.restricted_news();
        self.done.news.extend(restricted);
        let counted = std::mem::take(&mut self.counted_news).into_values();
        self.done.news.extend(counted.map(News::Counted));
        let events = self.event_news();
        self.done.news.extend(events);
    }

    /// Forgets everything but the engine, after an error; returns the news of the commit that did not end.
    pub fn reset(&mut self) -> Vec<News> {
        self.inboxes.clear();
        self.dirty.clear();
        self.batch = Batch::default();
        self.book = Book::default();
        self.counted_news.clear();
        self.events = hooks::Queue::default();
        self.litter.clear();
        (self.rows, self.counted, self.looked_at) = (None, 0, 0);
        let mut news = std::mem::take(&mut self.done).news;
        news.extend(self.restricted_news());
        news
    }

    /// Whether messages that are not known yet are taken; true at first.
    pub fn take_new(&mut self, takes_new: bool) {
        self.takes_new = takes_new;
    }

    fn restricted_news(&mut self) -> impl Iterator<Item = News> + use<> {
        let restricted = std::mem::take(&mut self.restricted).into_iter();
        restricted.map(|(uid, access)| {
            let access = Arc::new(access);
            News::Restricted { uid, access }
        })
    }

    fn ack(
        &mut self,
        now: u64,
        reader: Uid,
        did: &Did,
        seqs: &Ranges,
    ) -> Result<Answer, EngineError> {
        let Some(owed) = self.inbox(reader)?.owed(did, seqs) else {
            return Ok(Answer::Refused(Refusal::Forgotten));
        };
        let mut rows = Vec::new();
        for seq in owed.values() {
            match self.row(reader, seq)? {
                // Its sender may have been told already that it has expired.
                Some(row) if row.is_expired(now, self.policy.ttl_ms) => {
                    self.expire(reader, seq, row)?
                }
                Some(row) => rows.push((seq, row)),
                None => {}
            }
        }
        for (_, row) in &rows {
            if let (Sort::C2g | Sort::Notice, Body::Chat(cid, _)) = (row.sort, row.body)
                && self.is_group(cid)?
            {
                intact(self.roster(cid))?;
            }
        }
        self.make_room(1)?;
        let before = self.inbox(reader)?.delivered();
        let Some(done) = self.inbox_mut(reader)?.ack(did, seqs) else {
            return Ok(Answer::Refused(Refusal::Forgotten));
        };
        self.done.tally.delivered += self.inbox(reader)?.delivered() - before;
        for (seq, row) in rows {
            if done.fresh.contains(seq) {
                if done.gone.contains(seq) {
                    self.remove(reader, seq, &row)?;
                }
                self.hook_taken(now, reader, seq, &row)?;
                let receipt = || Receipt {
                    sender: row.from,
                    id: row.id.clone(),
                    reader,
                    did: did.clone(),
                    server_ts: now,
                };
                match (row.sort, row.body) {
                    (Sort::C2c, _) => {
                        let receipt = receipt();
                        self.hook_delivered(&receipt, Chat::User(reader))?;
                        self.done.news.push(News::Receipt(receipt));
                    }
                    (Sort::C2g, Body::Chat(gid, cseq)) => {
                        self.hook_delivered(&receipt(), Chat::Group(gid))?;
                        self.make_room(2)?;
                        self.got(now, reader, gid, cseq, &row)?;
                    }
                    (Sort::Notice, Body::Chat(cid, cseq)) => {
                        self.make_room(1)?;
                        self.takes_in_group(cid, reader, cseq);
                    }
                    _ => {}
                }
            }
        }
        Ok(Answer::Acked(Acked {
            fresh: done.fresh.len(),
        }))
    }

    fn attach(
        &mut self,
        now: u64,
        uid: Uid,
        did: &Did,
        online: &[Did],
    ) -> Result<Answer, EngineError> {
        self.make_room(1)?;
        let bounds = self.policy.bounds;
        let Arrival {
            acks,
            resync,
            forgotten,
            gone,
        } = self.inbox_mut(uid)?.attach(did, now, &bounds, online);
        for did in forgotten {
            self.done.news.push(News::Forgotten { uid, did });
        }
        self.remove_rows(uid, &gone)?;
        Ok(Answer::Attached(Attached { acks, resync }))
    }

    /// Forgets a device by name.
    fn forget(&mut self, uid: Uid, did: &Did) -> Result<Answer, EngineError> {
        self.make_room(1)?;
        if !self.inbox(uid)?.knows(did) {
            return Ok(Answer::Refused(Refusal::Missing(
                "no device of this name is known",
            )));
        }
        let gone = self.inbox_mut(uid)?.remove(did).unwrap_or_default();
        let did = did.clone();
        self.done.news.push(News::Forgotten { uid, did });
        self.remove_rows(uid, &gone)?;
        Ok(Answer::Done)
    }

    /// The answer leaves after the flush of this commit, which is asked for even if nothing else is written.
    fn barrier(&mut self) -> Result<Answer, EngineError> {
        self.done.tally.wrote = true;
        Ok(Answer::Done)
    }

    fn seen(&mut self, now: u64, uid: Uid, did: &Did) -> Result<Answer, EngineError> {
        self.make_room(1)?;
        if self.inbox_mut(uid)?.seen(did, now) {
            Ok(Answer::Done)
        } else {
            Ok(Answer::Refused(Refusal::Forgotten))
        }
    }

    fn status(&mut self, now: u64, from: Uid, of: &[Target]) -> Result<Answer, EngineError> {
        let mut entries = Vec::with_capacity(of.len());
        for target in of {
            let entry = self.entry(&record::dedupe_key(target.to, from, &target.id))?;
            let dedupe_ms = self.policy.dedupe_ms();
            entries.push(entry.filter(|entry| !dedupe::is_forgotten(entry, now, dedupe_ms)));
        }
        let known = of.iter().zip(&entries);
        let known = known.filter_map(|(target, entry)| Some((target.to, entry.as_ref()?)));
        let Some(counts) = self.counts_of(from, known)? else {
            return Ok(Answer::Refused(Refusal::Busy));
        };
        let mut states = Vec::with_capacity(of.len());
        for (target, entry) in of.iter().zip(&entries) {
            states.push(match entry {
                Some(entry) => {
                    let state = self.state_of(now, target.to, entry)?;
                    (target.clone(), state, counts.of(target.to, entry))
                }
                None => (target.clone(), State::Unknown, 0),
            });
        }
        Ok(Answer::Status(states))
    }

    /// What became of a message.
    fn state_of(&mut self, now: u64, to: Chat, entry: &Entry) -> Result<State, EngineError> {
        Ok(match (entry.revoked, entry.expired, to) {
            (true, _, _) => State::Revoked,
            (_, true, _) => State::Expired,
            (_, _, Chat::User(reader)) => match self.inbox(reader)?.is_delivered(entry.seq) {
                true => State::Delivered,
                // The sweep has not come to it yet.
                false if self.has_expired(entry.server_ts, now) => State::Expired,
                false if self.is_over(now, reader, entry)? => State::Expired,
                false => State::Accepted,
            },
            (_, _, Chat::Group(_)) if entry.delivered => State::Delivered,
            (_, _, Chat::Group(_)) if self.has_expired(entry.server_ts, now) => State::Expired,
            (_, _, Chat::Group(_)) => State::Accepted,
        })
    }

    /// Whether the own time of a message that waits in an inbox is over.
    fn is_over(&self, now: u64, reader: Uid, entry: &Entry) -> Result<bool, EngineError> {
        let row = self.row(reader, entry.seq)?;
        Ok(row.is_some_and(|row| row.expires_at.is_some_and(|at| at <= now)))
    }

    fn has_expired(&self, server_ts: u64, now: u64) -> bool {
        is_expired(server_ts, now, self.policy.ttl_ms)
    }

    /// What is remembered under the key of a message.
    fn entry(&self, key: &[u8]) -> Result<Option<Entry>, EngineError> {
        let bytes = self.bytes(key)?;
        bytes
            .map(|bytes| record::decode_entry(key, &bytes))
            .transpose()
    }

    /// The row, if it is there and can be read: a damaged one must not keep the others of its inbox.
    fn row(&self, uid: Uid, seq: Seq) -> Result<Option<RowRef>, EngineError> {
        let key = record::row_key(uid, seq);
        let bytes = self.bytes(&key)?;
        intact(bytes.map(|bytes| RowRef::decode(&key, &bytes)).transpose()).map(Option::flatten)
    }

    /// Removes rows that nobody waits for; what a crash leaves of them is swept when it expires.
    fn remove_rows(&mut self, uid: Uid, gone: &Ranges) -> Result<(), EngineError> {
        for (first, last) in gone.iter() {
            for seq in self.rows_within(uid, first, last)? {
                if let Some(row) = self.row(uid, seq)? {
                    self.remove(uid, seq, &row)?;
                }
            }
        }
        Ok(())
    }

    fn clear_away(&mut self) -> Result<(), EngineError> {
        for (uid, gone) in std::mem::take(&mut self.litter) {
            self.remove_rows(uid, &gone)?;
        }
        Ok(())
    }

    /// The numbers from `first` to `last` that may have a row. A restore has passed over more of them than can be looked at
    /// one by one.
    fn rows_within(&mut self, uid: Uid, first: Seq, last: Seq) -> Result<Vec<Seq>, EngineError> {
        if last - first < WIDE {
            return Ok((first..=last).collect());
        }
        // The scan does not see the batch at hand.
        self.apply()?;
        let (from, to) = (record::row_key(uid, first), record::row_key(uid, last));
        let mut seqs = Vec::new();
        self.engine.scan(&from, &to, &mut |key, _| {
            seqs.extend(record::row_place(key).map(|(_, seq)| seq));
            true
        })?;
        Ok(seqs)
    }

    fn remove(&mut self, uid: Uid, seq: Seq, row: &RowRef) -> Result<(), EngineError> {
        self.make_room(2)?;
        self.batch.delete(record::row_key(uid, seq));
        if let Body::Inbox(..) = row.body {
            self.batch.delete(row.body_key());
        }
        self.done.tally.rows -= 1;
        Ok(())
    }

    fn inbox(&mut self, uid: Uid) -> Result<&Inbox, EngineError> {
        if !self.inboxes.contains_key(&uid) {
            let inbox = match self.load(&record::user_key(uid))? {
                Some(inbox) => inbox,
                None => Inbox::after(self.load(record::START_KEY)?.unwrap_or(0)),
            };
            self.inboxes.insert(uid, inbox);
        }
        Ok(self.inboxes.entry(uid).or_default())
    }

    /// The same, to be written with the batch at hand.
    fn inbox_mut(&mut self, uid: Uid) -> Result<&mut Inbox, EngineError> {
        self.inbox(uid)?;
        self.dirty.insert(uid);
        Ok(self.inboxes.entry(uid).or_default())
    }

    fn load<T: serde::de::DeserializeOwned>(&self, key: &[u8]) -> Result<Option<T>, EngineError> {
        let bytes = self.bytes(key)?;
        bytes.map(|bytes| record::decode(key, &bytes)).transpose()
    }

    fn bytes(&self, key: &[u8]) -> Result<Option<Vec<u8>>, EngineError> {
        match self.batch.find(key) {
            Some(written) => Ok(written.map(<[u8]>::to_vec)),
            None => self.engine.get(key),
        }
    }

    /// Makes sure that `writes` more, what they change in memory, and the count of rows fit the batch at hand.
    fn make_room(&mut self, writes: usize) -> Result<(), EngineError> {
        let held = self.batch.len() + self.dirty.len() + self.book.dirty();
        if held + writes + 2 > self.engine.batch_max() {
            self.apply()?;
        }
        Ok(())
    }

    fn apply(&mut self) -> Result<(), EngineError> {
        for uid in self.dirty.drain() {
            if let Some(inbox) = self.inboxes.get(&uid) {
                self.batch
                    .put(record::user_key(uid), record::encode(inbox)?);
            }
        }
        self.book.write(&mut self.batch)?;
        self.count()?;
        if self.batch.is_empty() {
            return Ok(());
        }
        self.done.tally.wrote = true;
        // The next one will be much like it.
        let next = Batch::with_capacity(self.batch.len());
        self.engine.apply(std::mem::replace(&mut self.batch, next))
    }
}

/// Passes over a damaged record, and says so in the log.
fn intact<T>(read: Result<T, EngineError>) -> Result<Option<T>, EngineError> {
    match read {
        Ok(value) => Ok(Some(value)),
        Err(EngineError::Damaged(why)) => {
            log::error!("passed over: {why}");
            Ok(None)
        }
        Err(error) => Err(error),
    }
}
