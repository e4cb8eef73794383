//! The housekeeping: expired rows, forgotten dedupe entries and forgotten devices, a bounded step at a time.

use crate::id::{Seq, Uid};
use crate::machine::dedupe::{self, Entry};
use crate::message::Answer;

use super::{EngineError, Ledger, News, PER_MESSAGE, RowRef, intact, record};

/// Rows and dedupe entries that one sweep looks at.
const SWEEP_STEP: usize = 512;
/// Inboxes that one sweep looks at.
const SWEEP_USERS: usize = 32;

/// Keys with their values.
type Entries = Vec<(Vec<u8>, Vec<u8>)>;

impl Ledger {
    /// One bounded step through the rows, the dedupe index and the inboxes; the next one goes on from there.
    pub(super) fn sweep(&mut self, now: u64) -> Result<Answer, EngineError> {
        for (key, value) in self.step(record::INBOX, SWEEP_STEP)? {
            let Some(row) = intact(record::decode::<RowRef>(&key, &value))? else {
                continue;
            };
            if row.server_ts.saturating_add(self.policy.ttl_ms) > now {
                continue;
            }
            if let Some((uid, seq)) = record::row_place(&key) {
                intact(self.expire(uid, seq))?;
            }
        }
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

    fn expire(&mut self, uid: Uid, seq: Seq) -> Result<(), EngineError> {
        self.make_room(PER_MESSAGE)?;
        let row = self.row(uid, seq)?;
        if self.inbox_mut(uid)?.expire(seq) {
            self.done.tally.expired += 1;
            if let Some(row) = &row {
                let key = record::dedupe_key(uid, row.from, &row.id);
                if let Some(mut entry) = self.load::<Entry>(&key)?
                    && entry.seq == seq
                {
                    entry.expired = true;
                    self.batch.put(key, record::encode(&entry)?);
                }
            }
        }
        match row {
            Some(row) => self.remove(uid, seq, &row),
            None => Ok(()),
        }
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
