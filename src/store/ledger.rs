//! The rules of committing, over any engine: what each request reads, what it writes, and who hears of it.
//!
//! A batch of requests becomes engine batches of at most [`BATCH_MAX`] writes. All writes of one message stand in the
//! same engine batch, with the head of its reader's sequence, so a crash between two of them leaves no half message
//! and gives out no number twice. Nothing here is true for anyone before the caller has flushed.

mod sweep;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use crate::id::{Did, Seq, Uid};
use crate::machine::dedupe::{self, Entry, Verdict};
use crate::machine::inbox::{Appended, Arrival, Bounds, Inbox};
use crate::machine::ranges::Ranges;
use crate::message::{
    Accepted, Acked, Answer, Append, Attached, Message, Op, Page, Read, Receipt, Refusal, Row,
    State, Target,
};

use super::record::{self, RowRef};
use super::{BATCH_MAX, Batch, Engine, EngineError};

/// Inboxes kept in memory between commits.
const CACHED_USERS: usize = 50_000;
/// Writes of the largest request that must not be split: a message, and the inbox it belongs to.
const PER_MESSAGE: usize = 4;
/// What a row costs in a page besides its payload, bytes, in any dialect.
const ROW_OVERHEAD: usize = 512;

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

/// Somebody hears of a commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum News {
    /// A row is durable: for every device of its reader.
    Row(Row),
    /// Rows up to here are durable: for every device of that user.
    Head {
        /// The reader.
        uid: Uid,
        /// The last sequence number.
        head: Seq,
    },
    /// A device of the reader has a message: for every device of its sender.
    Receipt(Receipt),
    /// Rows were given up for that device, which lags too far behind.
    Lagging {
        /// The user.
        uid: Uid,
        /// The device.
        did: Did,
    },
    /// That device is not known any more.
    Forgotten {
        /// The user.
        uid: Uid,
        /// The device.
        did: Did,
    },
}

/// What a batch of requests came to.
#[derive(Debug, Default)]
pub struct Committed {
    /// One for each request, in order.
    pub answers: Vec<Answer>,
    /// In the order of the commits.
    pub news: Vec<News>,
    /// Counts for the metrics.
    pub tally: Tally,
}

/// What a batch changed, in numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Messages accepted for the first time.
    pub accepted: u64,
    /// Rows acknowledged by their first device.
    pub delivered: u64,
    /// Rows that nobody took in time.
    pub expired: u64,
    /// Rows added less rows removed.
    pub rows: i64,
    /// Whether anything was written.
    pub wrote: bool,
}

/// Commits requests to an engine.
pub struct Ledger {
    engine: Arc<dyn Engine>,
    policy: Policy,
    inboxes: HashMap<Uid, Inbox>,
    dirty: HashSet<Uid>,
    batch: Batch,
    swept: BTreeMap<u8, Vec<u8>>,
    /// Devices that have heard that rows were given up for them.
    told: HashSet<(Uid, Did)>,
    done: Committed,
}

impl Ledger {
    /// A ledger over an engine whose layout has been checked by [`prepare`].
    pub fn new(engine: Arc<dyn Engine>, policy: Policy) -> Ledger {
        Ledger {
            engine,
            policy,
            inboxes: HashMap::new(),
            dirty: HashSet::new(),
            batch: Batch::default(),
            swept: BTreeMap::new(),
            told: HashSet::new(),
            done: Committed::default(),
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
        // Whoever is told once more loses nothing by it.
        if self.told.len() > CACHED_USERS {
            self.told.clear();
        }
        Ok(std::mem::take(&mut self.done))
    }

    fn perform(&mut self, now: u64, op: &Op) -> Result<Answer, EngineError> {
        match op {
            Op::Append(append) => self.append(now, append),
            Op::Ack { reader, did, seqs } => self.ack(now, *reader, did, seqs),
            Op::Attach { uid, did, online } => self.attach(now, *uid, did, online),
            Op::Seen { uid, did } => self.seen(now, *uid, did),
            Op::Head(uid) => Ok(Answer::Head(self.inbox(*uid)?.head())),
            Op::Status { from, of } => self.status(now, *from, of),
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
    }

    /// Forgets everything but the engine, after an error.
    pub fn reset(&mut self) {
        self.inboxes.clear();
        self.dirty.clear();
        self.told.clear();
        self.batch = Batch::default();
        self.done = Committed::default();
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
        match dedupe::judge(found, *digest, now, self.policy.dedupe_ms()) {
            Verdict::New => {}
            Verdict::Conflict => return Ok(Answer::Refused(Refusal::Conflict)),
            Verdict::Repeat(entry) => {
                let state = self.state_of(to, &entry)?;
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
            return Ok(Answer::Refused(Refusal::InboxFull));
        }
        let Ok(Appended { seq, lagging, gone }) = self.inbox_mut(to)?.append(&bounds) else {
            return Ok(Answer::Refused(Refusal::InboxFull));
        };
        for did in lagging {
            self.told.insert((to, did.clone()));
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
        self.batch
            .put(record::body_key(to, seq), record::encode(&message)?);
        self.batch
            .put(record::row_key(to, seq), record::encode(&reference)?);
        self.batch.put(key, record::encode(&entry)?);
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
        self.make_room(1)?;
        let before = self.inbox(reader)?.delivered();
        let Some(done) = self.inbox_mut(reader)?.ack(did, seqs) else {
            return Ok(Answer::Refused(Refusal::Forgotten));
        };
        self.done.tally.delivered += self.inbox(reader)?.delivered() - before;
        if self.inbox(reader)?.must_resync(did) {
            self.go_on(reader, did, &done.fresh)?;
        }
        for seq in done.fresh.values() {
            if let Some(row) = self.row(reader, seq)? {
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

    /// A device for which rows were given up acknowledges others. The news of a batch that was refused and written all
    /// the same has reached nobody, so one that has not heard of it is told, and told at its logins until it has.
    fn go_on(&mut self, uid: Uid, did: &Did, fresh: &Ranges) -> Result<(), EngineError> {
        let name = (uid, did.clone());
        if !self.told.contains(&name) {
            let did = did.clone();
            self.done.news.push(News::Lagging { uid, did });
            self.told.insert(name);
        } else if self.inbox_mut(uid)?.goes_on(did, fresh) {
            self.told.remove(&name);
        }
        Ok(())
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
        if resync {
            self.told.insert((uid, did.clone()));
        }
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
                    self.state_of(target.to, &entry)?
                }
                _ => State::Unknown,
            };
            states.push((target.clone(), state));
        }
        Ok(Answer::Status(states))
    }

    fn state_of(&mut self, to: Uid, entry: &Entry) -> Result<State, EngineError> {
        if entry.expired {
            return Ok(State::Expired);
        }
        match self.inbox(to)?.is_delivered(entry.seq) {
            true => Ok(State::Delivered),
            false => Ok(State::Accepted),
        }
    }

    /// The row, if it is there and can be read: a damaged one must not keep the others of its inbox.
    fn row(&self, uid: Uid, seq: Seq) -> Result<Option<RowRef>, EngineError> {
        Ok(intact(self.load(&record::row_key(uid, seq)))?.flatten())
    }

    /// Removes rows that nobody waits for; what a crash leaves of them is swept when it expires.
    fn remove_rows(&mut self, uid: Uid, gone: &Ranges) -> Result<(), EngineError> {
        for seq in gone.values() {
            if let Some(row) = self.row(uid, seq)? {
                self.remove(uid, seq, &row)?;
            }
        }
        Ok(())
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
            let inbox = self.load(&record::user_key(uid))?.unwrap_or_default();
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

    /// Makes sure that `writes` more, and the inboxes they belong to, fit the batch at hand.
    fn make_room(&mut self, writes: usize) -> Result<(), EngineError> {
        if self.batch.len() + self.dirty.len() + writes + 1 > BATCH_MAX {
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
        if self.batch.is_empty() {
            return Ok(());
        }
        self.done.tally.wrote = true;
        self.engine.apply(std::mem::take(&mut self.batch))
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

/// Checks the layout of a store, writing it into an empty one; true if it was empty.
pub fn prepare(engine: &dyn Engine) -> Result<bool, EngineError> {
    if let Some(found) = engine.get(record::LAYOUT_KEY)? {
        let layout: u32 = record::decode(record::LAYOUT_KEY, &found)?;
        if layout != record::LAYOUT {
            return Err(EngineError::Failed(format!(
                "the store has layout {layout}, and this build reads layout {}: run the version that wrote it, or start with another store.path",
                record::LAYOUT
            )));
        }
        return Ok(false);
    }
    let mut foreign = None;
    engine.scan(&[], &[0xff; 256], &mut |key, _| {
        foreign = Some(key.escape_ascii().to_string());
        false
    })?;
    if let Some(key) = foreign {
        return Err(EngineError::Failed(format!(
            "the store names no layout and is not empty (first key {key}): it was not written by yizhan"
        )));
    }
    let mut batch = Batch::default();
    batch.put(
        record::LAYOUT_KEY.to_vec(),
        record::encode(&record::LAYOUT)?,
    );
    engine.apply(batch)?;
    engine.flush()?;
    Ok(true)
}

/// How many rows wait in all inboxes.
pub fn count_rows(engine: &dyn Engine) -> Result<i64, EngineError> {
    let mut rows = 0;
    engine.scan(&[record::INBOX], &[record::INBOX + 1], &mut |_, _| {
        rows += 1;
        true
    })?;
    Ok(rows)
}

/// Reads rows of an inbox accepted after `oldest`, Unix milliseconds; one that goes meanwhile, or is damaged, is left out.
pub fn read_page(engine: &dyn Engine, read: &Read, oldest: u64) -> Result<Page, EngineError> {
    let mut found = Vec::new();
    let (from, to) = (
        record::row_key(read.uid, read.from),
        record::row_key(read.uid, read.to),
    );
    engine.scan(&from, &to, &mut |key, value| {
        if let Some((_, seq)) = record::row_place(key)
            && let Ok(Some(row)) = intact(record::decode::<RowRef>(key, value))
            && row.server_ts > oldest
        {
            found.push((seq, row));
        }
        found.len() < read.limit
    })?;
    let mut page = Page {
        scanned_to: read.to,
        ..Page::default()
    };
    if found.len() >= read.limit
        && let Some((last, _)) = found.last()
    {
        page.scanned_to = *last;
    }
    let mut bytes = 0;
    for (seq, row) in found {
        let key = record::body_key(row.body_of, row.body_seq);
        let Some(body) = engine.get(&key)? else {
            continue;
        };
        let Some(message) = intact(record::decode::<Message>(&key, &body))? else {
            continue;
        };
        bytes += message.payload.len() + ROW_OVERHEAD;
        if bytes > read.max_bytes && !page.rows.is_empty() {
            page.scanned_to = seq - 1;
            break;
        }
        page.rows.push(Row {
            seq,
            message: Arc::new(message),
        });
    }
    Ok(page)
}
