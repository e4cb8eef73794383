//! The housekeeping: expired rows, forgotten dedupe entries and forgotten devices, a bounded step at a time.

use crate::id::{Seq, Uid};
use crate::machine::dedupe;
use crate::machine::ranges::Ranges;
use crate::message::chat::Chat;
use crate::message::{Answer, Fate, Message, is_expired};

use super::{Body, EngineError, Ledger, News, PER_MESSAGE, RowRef, Sort, intact, record};

/// Dedupe entries that one sweep looks at.
const SWEEP_STEP: usize = 512;
/// Where the engine forgets dedupe entries, one sweep of so many looks at them.
const SWEEP_SELDOM: u64 = 40;
/// Rows that one sweep expires, and inboxes that it looks into for them.
const SWEEP_ROWS: usize = 512;
/// Time between two looks at the rows of a full inbox, milliseconds.
const RELIEVED_MS: u64 = 1000;
/// Full inboxes of which it is remembered when they were looked at.
const RELIEVED: usize = 10_000;
/// Messages that one sweep ends because their own time is over.
const SWEEP_OVER: usize = 256;
/// Inboxes that one sweep looks at.
const SWEEP_USERS: usize = 32;

/// Rows to expire, and where to look on; nowhere behind the last inbox.
#[derive(Default)]
struct Due {
    rows: Vec<(Uid, Seq)>,
    next: Option<Vec<u8>>,
}

/// Keys with their values.
type Entries = Vec<(Vec<u8>, Vec<u8>)>;

impl Ledger {
    /// One bounded step through the rows, the dedupe index and the inboxes; the next one goes on from there.
    pub(super) fn sweep(&mut self, now: u64) -> Result<Answer, EngineError> {
        self.sweep_rows(now)?;
        self.sweep_over(now)?;
        self.sweep_events(now)?;
        self.sweeps = self.sweeps.wrapping_add(1);
        if !self.engine.forgets_dedupe() || self.sweeps.is_multiple_of(SWEEP_SELDOM) {
            self.sweep_dedupe(now)?;
        }
        if !self.engine.keeps_history() {
            self.sweep_history(now)?;
        }
        for (key, _) in self.step(record::USER, SWEEP_USERS)? {
            let Some(uid) = record::user_of(&key) else {
                continue;
            };
            let bounds = self.policy.bounds;
            let Some(inbox) = intact(self.inbox(uid))? else {
                continue;
            };
            if !inbox.has_stale(now, &bounds) {
                continue;
            }
            self.make_room(1)?;
            let (forgotten, gone) = self.inbox_mut(uid)?.forget(now, &bounds);
            for did in forgotten {
                self.done.news.push(News::Forgotten { uid, did });
            }
            self.remove_rows(uid, &gone)?;
        }
        Ok(Answer::Done)
    }

    fn sweep_dedupe(&mut self, now: u64) -> Result<(), EngineError> {
        for (key, _) in self.step(record::DEDUPE, SWEEP_STEP)? {
            // Read again: the batch at hand may have accepted the message anew.
            if let Some(Some(entry)) = intact(self.entry(&key))?
                && dedupe::is_forgotten(&entry, now, self.policy.dedupe_ms())
            {
                self.make_room(1)?;
                self.batch.delete(key);
            }
        }
        Ok(())
    }

    /// Removes messages that are too old for the history, from an engine that does not do so itself.
    fn sweep_history(&mut self, now: u64) -> Result<(), EngineError> {
        let kept = now.saturating_sub(self.policy.people.keep_ms);
        for (key, value) in self.step(record::HISTORY, SWEEP_STEP)? {
            let message = intact(record::decode::<Message>(&key, &value))?;
            if message.is_some_and(|message| message.server_ts <= kept) {
                self.make_room(1)?;
                self.batch.delete(key);
            }
        }
        Ok(())
    }

    /// Ends the messages whose own time is over.
    fn sweep_over(&mut self, now: u64) -> Result<(), EngineError> {
        let mut over = Vec::new();
        let to = [record::EXPIRY]
            .into_iter()
            .chain(now.saturating_add(1).to_be_bytes())
            .collect::<Vec<u8>>();
        self.engine.scan(&[record::EXPIRY], &to, &mut |key, _| {
            over.push(key.to_vec());
            over.len() < SWEEP_OVER
        })?;
        for key in over {
            match record::expiry_of(&key) {
                Some((at, cid, cseq)) if at <= now => self.end(cid, cseq)?,
                Some(_) => continue,
                None => {}
            }
            self.make_room(1)?;
            self.batch.delete(key);
        }
        Ok(())
    }

    /// Expires what is due, in one inbox after the other.
    fn sweep_rows(&mut self, now: u64) -> Result<(), EngineError> {
        let mut from = self.swept.remove(&record::INBOX);
        let (mut inboxes, mut rows) = (0, 0);
        while inboxes < SWEEP_ROWS && rows < SWEEP_ROWS {
            let start = from.take().unwrap_or_else(|| vec![record::INBOX]);
            let due = self.due(&start, now, SWEEP_ROWS - rows)?;
            inboxes += 1;
            rows += due.rows.len();
            self.expire_all(due.rows)?;
            let Some(next) = due.next else {
                return Ok(());
            };
            from = Some(next);
        }
        if let Some(from) = from {
            self.swept.insert(record::INBOX, from);
        }
        Ok(())
    }

    /// Takes what is due out of a full inbox, so that it does not have to wait for the sweep, and what tells of nothing any
    /// more. For that some of its rows are looked at, one part after the other and not too often: they may all be good.
    pub(super) fn relieve(&mut self, uid: Uid, now: u64) -> Result<(), EngineError> {
        let mut due = self.due(&record::row_key(uid, 0), now, SWEEP_ROWS)?;
        due.rows.retain(|(of, _)| *of == uid);
        self.expire_all(due.rows)?;
        let bounds = self.policy.bounds;
        let looked = self.relieved.get(&uid).copied();
        let is_soon = looked.is_some_and(|(at, _)| now < at.saturating_add(RELIEVED_MS));
        if is_soon || !self.inbox(uid)?.is_full(&bounds) {
            return Ok(());
        }
        let from = looked.map_or(0, |(_, next)| next);
        // The scan does not see the batch at hand.
        self.apply()?;
        let rows = super::look::rows_of(&*self.engine, uid, from, SWEEP_ROWS)?;
        let next = match rows.last() {
            Some((last, _)) if rows.len() == SWEEP_ROWS => last + 1,
            _ => 0,
        };
        if self.relieved.len() >= RELIEVED {
            self.relieved.clear();
        }
        self.relieved.insert(uid, (now, next));
        let mut gone = Vec::new();
        for (seq, row) in rows {
            if row.is_expired(now, self.policy.ttl_ms) || !self.is_told(now, &row)? {
                gone.push((uid, seq));
            }
        }
        self.expire_all(gone)
    }

    /// The rows that are due in the first inbox from `start` on. It stands in the order of time: behind a row that is
    /// young, none is old.
    fn due(&self, start: &[u8], now: u64, limit: usize) -> Result<Due, EngineError> {
        let policy = self.policy;
        let mut due = Due::default();
        let mut user = None;
        self.engine
            .scan(start, &[record::INBOX + 1], &mut |key, value| {
                let Some((uid, seq)) = record::row_place(key) else {
                    return true;
                };
                let elsewhere = user.is_some_and(|user| user != uid);
                if elsewhere || due.rows.len() >= limit {
                    due.next = Some(key.to_vec());
                    return false;
                }
                user = Some(uid);
                match RowRef::decode(key, value) {
                    // That its own time is over is seen to elsewhere.
                    Ok(row) if !is_expired(row.server_ts, now, policy.ttl_ms) => {
                        due.next = record::user_after(uid);
                        false
                    }
                    // A damaged one is passed over when it is read again.
                    _ => {
                        due.rows.push((uid, seq));
                        true
                    }
                }
            })?;
        Ok(due)
    }

    /// Expires rows that are still there: the batch at hand may have removed some.
    fn expire_all(&mut self, rows: Vec<(Uid, Seq)>) -> Result<(), EngineError> {
        for (uid, seq) in rows {
            if let Some(row) = self.row(uid, seq)? {
                intact(self.expire(uid, seq, row))?;
            }
        }
        Ok(())
    }

    /// Expires these rows before their time, those that are still there.
    pub(super) fn expire_now(&mut self, uid: Uid, seqs: &Ranges) -> Result<Answer, EngineError> {
        let before = self.done.tally.rows;
        let mut rows = Vec::new();
        for (first, last) in seqs.within(1, self.inbox(uid)?.head()).iter() {
            rows.extend(self.rows_within(uid, first, last)?);
        }
        self.expire_all(rows.into_iter().map(|seq| (uid, seq)).collect())?;
        let gone = before - self.done.tally.rows;
        Ok(Answer::Expired(gone.unsigned_abs()))
    }

    /// Takes rows out that tell of what is gone. Whoever asks has read that, perhaps before it was durable.
    pub(super) fn bury(
        &mut self,
        now: u64,
        uid: Uid,
        seqs: &Ranges,
    ) -> Result<Answer, EngineError> {
        let mut gone = seqs.within(1, self.inbox(uid)?.head());
        let mut rows = Vec::new();
        for (first, last) in gone.clone().iter() {
            for seq in self.rows_within(uid, first, last)? {
                match self.row(uid, seq)? {
                    Some(row) if self.is_told(now, &row)? => gone.remove(seq, seq),
                    Some(_) => rows.push((uid, seq)),
                    None => {}
                }
            }
        }
        self.expire_all(rows)?;
        Ok(Answer::Buried(gone))
    }

    /// Whether a row still has something to tell.
    fn is_told(&self, now: u64, row: &RowRef) -> Result<bool, EngineError> {
        let Body::Chat(cid, cseq) = row.body else {
            return Ok(true);
        };
        let Some(message) = intact(self.message(cid, cseq))?.flatten() else {
            return Ok(true);
        };
        Ok(match row.sort {
            Sort::Revoke => matches!(message.fate, Fate::Revoked(_)),
            _ => !message.is_gone() && !message.is_over(now),
        })
    }

    /// Takes a row out of the inbox unread, and says so to its sender's questions.
    pub(super) fn expire(&mut self, uid: Uid, seq: Seq, row: RowRef) -> Result<(), EngineError> {
        self.make_room(PER_MESSAGE)?;
        let key = record::dedupe_key(Chat::User(uid), row.from, &row.id);
        let entry = match row.sort {
            Sort::C2c => intact(self.entry(&key))?.flatten(),
            // Of a group's message, others may have it; the others are no messages.
            _ => None,
        };
        let is_message = matches!(row.sort, Sort::C2c | Sort::C2g) && !self.is_revoked(&row)?;
        if self.inbox_mut(uid)?.expire(seq) && is_message {
            self.done.tally.expired += 1;
            if let Some(mut entry) = entry
                && entry.seq == seq
            {
                entry.expired = true;
                self.batch.put(key, record::encode_entry(&entry)?);
            }
        }
        self.remove(uid, seq, &row)
    }

    /// Whether the message of a row was taken back: then nobody has missed it.
    fn is_revoked(&self, row: &RowRef) -> Result<bool, EngineError> {
        let Body::Chat(cid, cseq) = row.body else {
            return Ok(false);
        };
        let message = intact(self.message(cid, cseq))?.flatten();
        Ok(message.is_some_and(|message| matches!(message.fate, Fate::Revoked(_))))
    }

    /// The next entries of a table, from the beginning again after its end.
    fn step(&mut self, table: u8, limit: usize) -> Result<Entries, EngineError> {
        let from = self.swept.remove(&table).unwrap_or_else(|| vec![table]);
        let mut entries = Vec::new();
        self.engine.scan(&from, &[table + 1], &mut |key, value| {
            if key.first() == Some(&table) {
                entries.push((key.to_vec(), value.to_vec()));
            }
            entries.len() < limit
        })?;
        if entries.len() == limit
            && let Some((last, _)) = entries.last()
        {
            let mut next = last.clone();
            next.push(0);
            self.swept.insert(table, next);
        }
        Ok(entries)
    }
}
