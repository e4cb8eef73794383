//! The rules of committing, over any engine: what each request reads, what it writes, and who hears of it.
//!
//! A batch of requests becomes engine batches of at most [`Engine::batch_max`] writes. All writes of one message stand
//! in the same engine batch, with the head of its reader's sequence, so a crash between two of them leaves no half
//! message and gives out no number twice. Nothing here is true for anyone before the caller has flushed.

mod access;
mod count;
mod doubt;
mod layout;
pub mod look;
mod news;
mod page;
mod sweep;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use foldhash::fast::RandomState;

use crate::id::{Did, Seq, Uid};
use crate::machine::access::Access;
use crate::machine::dedupe::{self, Entry, Verdict};
use crate::machine::inbox::{Appended, Arrival, Bounds, Inbox};
use crate::machine::ranges::Ranges;
use crate::message::{
    Accepted, Acked, Answer, Append, Attached, Message, Op, Receipt, Refusal, Row, State, Target,
    is_expired,
};

use super::record::{self, RowRef};
use super::{Batch, Engine, EngineError};

pub use count::{count_rows, recount_rows, rows};
pub use layout::{prepare, write_layout};
pub use news::{Committed, News, Tally};
pub use page::read_page;

/// Inboxes kept in memory between commits.
const CACHED_USERS: usize = 50_000;
/// Writes of the largest request that must not be split: a message, and the inbox it belongs to.
const PER_MESSAGE: usize = 4;
/// A longer range of numbers is searched for its rows by a scan.
const WIDE: u64 = 1 << 16;

/// The settings of the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// The bounds of every inbox.
    pub bounds: Bounds,
    /// How long an unread row waits, milliseconds.
    pub ttl_ms: u64,
}

impl Policy {
    /// How long the dedupe index remembers a message, milliseconds.
    pub fn dedupe_ms(&self) -> u64 {
        self.ttl_ms.saturating_mul(2)
    }
}

/// Whether the value of a dedupe entry says that its time has passed; one that cannot be read is kept.
pub fn is_forgotten(entry: &[u8], now: u64, policy: &Policy) -> bool {
    let entry = record::decode::<Entry>(&[record::DEDUPE], entry);
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
    takes_new: bool,
    /// Whose access the batch at hand has changed, and into what.
    restricted: BTreeMap<Uid, Access>,
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
            takes_new: true,
            restricted: BTreeMap::new(),
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
        }
        self.apply()?;
        self.drop_stale_news();
        if self.inboxes.len() > CACHED_USERS {
            self.inboxes.clear();
        }
        self.counted = 0;
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
            Op::Expire { uid, seqs } => self.expire_now(*uid, seqs),
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
    }

    /// Forgets everything but the engine, after an error; returns the news of the commit that did not end.
    pub fn reset(&mut self) -> Vec<News> {
        self.inboxes.clear();
        self.dirty.clear();
        self.batch = Batch::default();
        (self.rows, self.counted) = (None, 0);
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

    fn append(&mut self, now: u64, append: &Append) -> Result<Answer, EngineError> {
        let Append {
            from,
            draft,
            digest,
        } = append;
        let (from, to) = (*from, draft.to);
        let key = record::dedupe_key(to, from, &draft.id);
        let found: Option<Entry> = self.load(&key)?;
        let is_known = found.is_some();
        match dedupe::judge(found, *digest, now, self.policy.dedupe_ms()) {
            Verdict::New if !self.takes_new => return Ok(Answer::Refused(Refusal::NearlyFull)),
            Verdict::New => {}
            Verdict::Conflict => return Ok(Answer::Refused(Refusal::Conflict)),
            Verdict::Repeat(entry) => {
                let state = self.state_of(now, to, &entry)?;
                if state == State::Accepted {
                    // A commit whose answer was an error may have written the row and told nobody.
                    let head = self.inbox(to)?.head();
                    self.done.news.push(News::Head { uid: to, head });
                }
                return Ok(Answer::Accepted(Accepted {
                    seq: entry.seq,
                    server_ts: entry.server_ts,
                    state,
                    repeat: true,
                }));
            }
        }
        self.make_room(PER_MESSAGE)?;
        let bounds = self.policy.bounds;
        if self.inbox(to)?.is_full(&bounds) {
            self.relieve(to, now)?;
            if self.inbox(to)?.is_full(&bounds) {
                return Ok(Answer::Refused(Refusal::InboxFull));
            }
            self.make_room(PER_MESSAGE)?;
        }
        let Ok(Appended { seq, lagging, gone }) = self.inbox_mut(to)?.append(&bounds) else {
            return Ok(Answer::Refused(Refusal::InboxFull));
        };
        for did in lagging {
            self.done.news.push(News::Lagging { uid: to, did });
        }
        let message = Message {
            id: draft.id.clone(),
            kind: draft.kind,
            from,
            to,
            payload: draft.payload.clone(),
            created_at: draft.created_at,
            server_ts: now,
        };
        let reference = RowRef {
            body_of: to,
            body_seq: seq,
            from,
            id: draft.id.clone(),
            server_ts: now,
        };
        let entry = Entry {
            seq,
            digest: *digest,
            server_ts: now,
            expired: false,
        };
        let value = record::encode(&entry)?;
        match is_known {
            true => self.batch.put(key, value),
            false => self.batch.insert(key, value),
        }
        let body = record::encode_long(&message, message.payload.len())?;
        // The number was never given out before, so there is nothing under these two.
        self.batch.insert(record::body_key(to, seq), body);
        self.batch
            .insert(record::row_key(to, seq), record::encode(&reference)?);
        self.done.tally.accepted += 1;
        self.done.tally.rows += 1;
        self.done.news.push(News::Row(Row {
            seq,
            message: Arc::new(message),
        }));
        self.remove_rows(to, &gone)?;
        Ok(Answer::Accepted(Accepted {
            seq,
            server_ts: now,
            state: State::Accepted,
            repeat: false,
        }))
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
                Some(row) if self.has_expired(row.server_ts, now) => {
                    self.expire(reader, seq, row)?
                }
                Some(row) => rows.push((seq, row)),
                None => {}
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
                self.done.news.push(News::Receipt(Receipt {
                    sender: row.from,
                    id: row.id,
                    reader,
                    did: did.clone(),
                    server_ts: now,
                }));
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

    fn seen(&mut self, now: u64, uid: Uid, did: &Did) -> Result<Answer, EngineError> {
        self.make_room(1)?;
        if self.inbox_mut(uid)?.seen(did, now) {
            Ok(Answer::Done)
        } else {
            Ok(Answer::Refused(Refusal::Forgotten))
        }
    }

    fn status(&mut self, now: u64, from: Uid, of: &[Target]) -> Result<Answer, EngineError> {
        let mut states = Vec::with_capacity(of.len());
        for target in of {
            let key = record::dedupe_key(target.to, from, &target.id);
            let state = match self.load::<Entry>(&key)? {
                Some(entry) if !dedupe::is_forgotten(&entry, now, self.policy.dedupe_ms()) => {
                    self.state_of(now, target.to, &entry)?
                }
                _ => State::Unknown,
            };
            states.push((target.clone(), state));
        }
        Ok(Answer::Status(states))
    }

    fn state_of(&mut self, now: u64, to: Uid, entry: &Entry) -> Result<State, EngineError> {
        if entry.expired {
            return Ok(State::Expired);
        }
        match self.inbox(to)?.is_delivered(entry.seq) {
            true => Ok(State::Delivered),
            // The sweep has not come to it yet.
            false if self.has_expired(entry.server_ts, now) => Ok(State::Expired),
            false => Ok(State::Accepted),
        }
    }

    fn has_expired(&self, server_ts: u64, now: u64) -> bool {
        is_expired(server_ts, now, self.policy.ttl_ms)
    }

    /// The row, if it is there and can be read: a damaged one must not keep the others of its inbox.
    fn row(&self, uid: Uid, seq: Seq) -> Result<Option<RowRef>, EngineError> {
        Ok(intact(self.load(&record::row_key(uid, seq)))?.flatten())
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
        self.batch
            .delete(record::body_key(row.body_of, row.body_seq));
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
        let bytes = match self.batch.find(key) {
            Some(written) => written.map(<[u8]>::to_vec),
            None => self.engine.get(key)?,
        };
        bytes.map(|bytes| record::decode(key, &bytes)).transpose()
    }

    /// Makes sure that `writes` more, the inboxes they belong to, and the count of rows fit the batch at hand.
    fn make_room(&mut self, writes: usize) -> Result<(), EngineError> {
        if self.batch.len() + self.dirty.len() + writes + 2 > self.engine.batch_max() {
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
