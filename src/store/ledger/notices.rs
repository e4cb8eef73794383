//! What the server says about a conversation, as the commits see it.

use std::sync::Arc;

use crate::id::{Cid, MsgId, Uid};
use crate::message::chat::Chat;
use crate::message::notice::About;
use crate::message::{Fate, Kind, Message};

use super::rows::Told;
use super::{EngineError, Ledger, Sort};

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
        // Of no user's making: two conversations cannot have the same.
        let id = MsgId::parse(&format!("n{:x}-{next:x}", cid.0));
        let id = id.map_err(|e| EngineError::Failed(format!("a notice has a bad id: {e}")))?;
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
}
