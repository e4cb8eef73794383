//! The housekeeping: expired rows, forgotten dedupe entries and forgotten devices, a bounded step at a time.

use crate::id::{Seq, Uid};
use crate::machine::dedupe::{self, Entry};
use crate::message::{Answer, is_expired};

use super::{EngineError, Ledger, News, PER_MESSAGE, RowRef, intact, record};

/// Dedupe entries that one sweep looks at.
const SWEEP_STEP: usize = 512;
/// Rows that one sweep expires, and inboxes that it looks into for them.
const SWEEP_ROWS: usize = 512;
/// Inboxes that one sweep looks at.
const SWEEP_USERS: usize = 32;

/// Keys with their values.
type Entries = Vec<(Vec<u8>, Vec<u8>)>;

impl Ledger {
    /// One bounded step through the rows, the dedupe index and the inboxes; the next one goes on from there.
    pub(super) fn sweep(&mut self, now: u64) -> Result<Answer, EngineError> {
        self.sweep_rows(now)?;
        for (key, _) in self.step(record::DEDUPE, SWEEP_STEP)? {
            // Read again: the batch at hand may have accepted the message anew.
            if let Some(Some(entry)) = intact(self.load::<Entry>(&key))?
                && dedupe::is_forgotten(&entry, now, self.policy.dedupe_ms())
            {
                self.make_room(1)?;
                self.batch.delete(key);
            }
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

    /// Expires what is due. An inbox stands in the order of time: behind a row that is young, none is old.
    fn sweep_rows(&mut self, now: u64) -> Result<(), EngineError> {
        let (mut expired, mut looks) = (0, 0);
        let mut from = self.swept.remove(&record::INBOX);
        while looks < SWEEP_ROWS && expired < SWEEP_ROWS {
            looks += 1;
            let start = from.take().unwrap_or_else(|| vec![record::INBOX]);
            let (mut due, mut next) = (Vec::new(), None);
            let ttl_ms = self.policy.ttl_ms;
            let mut user = None;
            self.engine
                .scan(&start, &[record::INBOX + 1], &mut |key, value| {
                    let Some((uid, seq)) = record::row_place(key) else {
                        return true;
                    };
                    if user.is_some_and(|user| user != uid) || due.len() + expired >= SWEEP_ROWS {
                        next = Some(key.to_vec());
                        return false;
                    }
                    user = Some(uid);
                    match record::decode::<RowRef>(key, value) {
                        Ok(row) if !is_expired(row.server_ts, now, ttl_ms) => {
                            next = record::user_after(uid);
                            false
                        }
                        row => {
                            due.push((uid, seq, row));
                            true
                        }
                    }
                })?;
            expired += due.len();
            for (uid, seq, row) in due {
                // Read again: the batch at hand may have removed it.
                if intact(row)?.is_some()
                    && let Some(row) = self.row(uid, seq)?
                {
                    self.expire(uid, seq, row)?;
                }
            }
            from = next;
            if from.is_none() {
                return Ok(());
            }
        }
        if let Some(from) = from {
            self.swept.insert(record::INBOX, from);
        }
        Ok(())
    }

    /// Takes a row out of the inbox unread, and says so to its sender's questions.
    pub(super) fn expire(&mut self, uid: Uid, seq: Seq, row: RowRef) -> Result<(), EngineError> {
        self.make_room(PER_MESSAGE)?;
        let key = record::dedupe_key(uid, row.from, &row.id);
        let entry: Option<Entry> = intact(self.load(&key))?.flatten();
        if self.inbox_mut(uid)?.expire(seq) {
            self.done.tally.expired += 1;
            if let Some(mut entry) = entry
                && entry.seq == seq
            {
                entry.expired = true;
                self.batch.put(key, record::encode(&entry)?);
            }
        }
        self.remove(uid, seq, &row)
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
