//! Rows of inboxes: how they come in, from whatever is told in a conversation.

use std::sync::Arc;

use crate::id::{Cid, Did, MsgId, Uid};
use crate::machine::inbox::Appended;
use crate::machine::ranges::Ranges;
use crate::message::{Message, Row};

use super::{Body, EngineError, Ledger, News, RowRef, Sort, record};

/// Something that is told to the readers of a conversation.
#[derive(Clone, Debug)]
pub(super) struct Told {
    /// The conversation.
    pub(super) cid: Cid,
    /// The message that it is about.
    pub(super) message: Arc<Message>,
    /// What it is to a reader.
    pub(super) sort: Sort,
    /// The id under which a reader acknowledges it.
    pub(super) id: MsgId,
    /// When it came, Unix milliseconds.
    pub(super) since: u64,
}

impl Told {
    /// A message that is new.
    pub(super) fn message(cid: Cid, message: Arc<Message>, sort: Sort) -> Told {
        Told {
            cid,
            sort,
            id: message.id.clone(),
            since: message.server_ts,
            message,
        }
    }

    /// The same as one of the writer's own devices hears it.
    pub(super) fn copied(&self) -> Told {
        let sort = match self.sort {
            Sort::C2c | Sort::C2g => Sort::Copy,
            sort => sort,
        };
        Told {
            sort,
            ..self.clone()
        }
    }

    fn row_ref(&self) -> RowRef {
        RowRef {
            body: Body::Chat(self.cid, self.message.cseq),
            from: self.message.from,
            id: self.id.clone(),
            server_ts: self.since,
            sort: self.sort,
            // That something was taken back is told however late it is.
            expires_at: self
                .message
                .expires_at
                .filter(|_| self.sort != Sort::Revoke),
        }
    }
}

impl Ledger {
    /// Puts it into an inbox that has given out this place. The caller has made room for one write.
    pub(super) fn put_row(
        &mut self,
        reader: Uid,
        told: &Told,
        appended: Appended,
    ) -> Result<(), EngineError> {
        let Appended { seq, lagging, gone } = appended;
        for did in lagging {
            self.done.news.push(News::Lagging { uid: reader, did });
        }
        let row = told.row_ref();
        // The number was never given out before, so there is nothing under it.
        self.batch
            .insert(record::row_key(reader, seq), row.encode()?);
        self.done.tally.rows += 1;
        self.done.news.push(News::Row(Row {
            reader,
            seq,
            since: told.since,
            what: row.what(),
            message: told.message.clone(),
        }));
        if !gone.is_empty() {
            self.litter.push((reader, gone));
        }
        Ok(())
    }

    /// A row had no room in a full inbox, and nobody can be refused for that: the devices have to take it from elsewhere.
    pub(super) fn overflow(&mut self, uid: Uid) -> Result<(), EngineError> {
        for did in self.inbox_mut(uid)?.overflow() {
            self.done.news.push(News::Lagging { uid, did });
        }
        self.done.tally.overflowed += 1;
        Ok(())
    }

    /// Tells the other devices of whoever did it. The caller has made room for two writes, and read the inbox.
    pub(super) fn carry(
        &mut self,
        uid: Uid,
        did: Option<&Did>,
        told: &Told,
    ) -> Result<(), EngineError> {
        let bounds = self.policy.bounds;
        let has_others = self
            .inbox(uid)?
            .devices()
            .any(|device| Some(device.did) != did);
        if !has_others {
            return Ok(());
        }
        if let Some(appended) = self.inbox_mut(uid)?.carry(did, &bounds) {
            if let Some(did) = did {
                // Before the row itself: its process would take that for one it has still to send.
                self.done.news.push(News::Passed {
                    uid,
                    did: did.clone(),
                    seqs: Ranges::span(appended.seq, appended.seq),
                });
            }
            self.put_row(uid, &told.copied(), appended)?;
        }
        Ok(())
    }
}
