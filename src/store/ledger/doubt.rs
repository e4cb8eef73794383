//! After a commit that failed: who has to hear of what the store holds of it after all.
//!
//! A repeat of what was written is no news for the ledger, so without this the receipt of an acknowledgement whose
//! flush failed would be told to nobody.

use crate::message::Receipt;
use crate::message::chat::Chat;

use super::{EngineError, Ledger, News, intact, record};

impl Ledger {
    /// Which of the news of a failed commit are true, by the store as it was opened again.
    pub fn settle(&mut self, doubtful: &[News]) -> Result<Vec<News>, EngineError> {
        let mut news = Vec::new();
        for item in doubtful {
            // A row is read from the store: a head is enough to bring it.
            let item = match item {
                News::Row(row) => News::Head {
                    uid: row.reader,
                    head: row.seq,
                },
                item => item.clone(),
            };
            if intact(self.holds(&item))?.unwrap_or(false) {
                news.push(item);
            }
        }
        Ok(news)
    }

    fn holds(&mut self, item: &News) -> Result<bool, EngineError> {
        Ok(match item {
            // Told as a head.
            News::Row(_) => false,
            News::Head { uid, head } => self.inbox(*uid)?.head() >= *head,
            News::Receipt(receipt) => self.holds_ack(receipt)?,
            News::Counted(counted) => {
                let key = record::dedupe_key(Chat::Group(counted.gid), counted.sender, &counted.id);
                match self.entry(&key)? {
                    Some(entry) => {
                        self.roster(counted.gid)?;
                        let count = self.count_at_hand(counted.gid, counted.sender, entry.cseq);
                        count.is_some_and(|count| count >= counted.count)
                    }
                    None => false,
                }
            }
            News::Withdrawn { uid, seqs } => {
                let mut gone = true;
                for seq in seqs.values() {
                    gone &= self.row(*uid, seq)?.is_none();
                }
                gone
            }
            News::Passed { uid, did, seqs } => {
                let inbox = self.inbox(*uid)?;
                seqs.values().all(|seq| inbox.is_acked_by(did, seq))
            }
            // Whoever wants to know asks again, as after a lost frame.
            News::Read { .. } | News::Typing { .. } => false,
            News::Events(last) => self.load::<u64>(record::EVENTS_KEY)?.unwrap_or(0) >= *last,
            News::Lagging { uid, did } => self.inbox(*uid)?.is_lagging(did),
            News::Forgotten { uid, did } => !self.inbox(*uid)?.knows(did),
            News::Restricted { uid, access } => self.access(*uid)? == **access,
        })
    }

    fn holds_ack(&mut self, receipt: &Receipt) -> Result<bool, EngineError> {
        let Receipt {
            sender,
            id,
            reader,
            did,
            ..
        } = receipt;
        let key = record::dedupe_key(Chat::User(*reader), *sender, id);
        match self.entry(&key)? {
            Some(entry) => Ok(self.inbox(*reader)?.is_acked_by(did, entry.seq)),
            None => Ok(false),
        }
    }
}
