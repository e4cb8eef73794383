//! After a commit that failed: who has to hear of what the store holds of it after all.
//!
//! A repeat of what was written is no news for the ledger, so without this the receipt of an acknowledgement whose
//! flush failed would be told to nobody.

use crate::machine::dedupe::Entry;
use crate::message::Receipt;

use super::{EngineError, Ledger, News, intact, record};

impl Ledger {
    /// Which of the news of a failed commit are true, by the store as it was opened again.
    pub fn settle(&mut self, doubtful: &[News]) -> Result<Vec<News>, EngineError> {
        let mut news = Vec::new();
        for item in doubtful {
            // A row is read from the store: a head is enough to bring it.
            let item = match item {
                News::Row(row) => News::Head {
                    uid: row.message.to,
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
        let key = record::dedupe_key(*reader, *sender, id);
        match self.load::<Entry>(&key)? {
            Some(entry) => Ok(self.inbox(*reader)?.is_acked_by(did, entry.seq)),
            None => Ok(false),
        }
    }
}
