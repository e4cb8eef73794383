//! What the server says about a conversation, as the commits see it.

use std::sync::Arc;

use sha2::{Digest, Sha256};

use crate::id::{Cid, MsgId, Seq, Uid};
use crate::message::chat::Chat;
use crate::message::notice::About;
use crate::message::{Fate, Kind, Message};

use super::rows::Told;
use super::{EngineError, Ledger, Sort, record};

impl Ledger {
    /// Tells a user, and the devices of whoever did it, something about the conversation of the two, which is there. The
    /// caller has made room for a message.
    pub(super) fn notice_to_user(
        &mut self,
        now: u64,
        from: Uid,
        to: Uid,
        about: &About,
    ) -> Result<(), EngineError> {
        let cid = self.chat_between(from, to, now)?;
        let message = self.notice(now, cid, from, Chat::User(to), about)?;
        let told = Told::message(cid, Arc::new(message), Sort::Notice);
        let bounds = self.policy.bounds;
        let appended = self.inbox_mut(to)?.push(&bounds);
        self.put_row(to, &told, appended)?;
        match from == to {
            true => Ok(()),
            false => self.carry(from, None, &told),
        }
    }

    /// Tells the members something about their group; the caller has made room for a message.
    pub(super) fn notice_to_group(
        &mut self,
        now: u64,
        by: Uid,
        gid: Cid,
        about: &About,
    ) -> Result<(), EngineError> {
        let message = self.notice(now, gid, by, Chat::Group(gid), about)?;
        self.tell_members(Told::message(gid, Arc::new(message), Sort::Notice), None)
    }

    /// Writes a notice at the next place of a conversation.
    fn notice(
        &mut self,
        now: u64,
        cid: Cid,
        from: Uid,
        to: Chat,
        about: &About,
    ) -> Result<Message, EngineError> {
        let next = self.conversation(cid)?.map_or(1, |c| c.head() + 1);
        let id = self.notice_id(cid, next)?;
        let message = Message {
            id,
            kind: Kind::Notice,
            from,
            to,
            payload: about.to_payload(),
            created_at: None,
            server_ts: now,
            expires_at: None,
            fate: Fate::Whole,
            cseq: 0,
        };
        self.put_message(cid, message)
    }

    /// The id of a notice at that place: always the same, and nobody outside can tell it beforehand, nor the number of the
    /// conversation by it. Whoever could would send something under that id first, and clients would take the notice for a
    /// repeat.
    fn notice_id(&mut self, cid: Cid, place: Seq) -> Result<MsgId, EngineError> {
        let key = match self.book.notice_key {
            Some(key) => key,
            None => self.load(record::NOTICES_KEY)?.unwrap_or_default(),
        };
        self.book.notice_key = Some(key);
        let mut hash = Sha256::new();
        hash.update(key);
        hash.update(cid.0.to_be_bytes());
        hash.update(place.to_be_bytes());
        let hash: [u8; 32] = hash.finalize().into();
        let (first, _) = hash.split_at(16);
        let hex: String = first.iter().map(|byte| format!("{byte:02x}")).collect();
        MsgId::parse(&format!("n{hex}"))
            .map_err(|e| EngineError::Failed(format!("a notice has a bad id: {e}")))
    }
}
