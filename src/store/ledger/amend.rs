//! What becomes of a message after it was accepted: taken back, changed, or over.

use std::sync::Arc;

use crate::id::{Cid, MsgId, Seq, Uid};
use crate::machine::dedupe::{self, Entry, Verdict};
use crate::machine::ranges::Ranges;
use crate::message::chat::{Amendment, By, Chat};
use crate::message::{Answer, Digest, Fate, Message, Refusal};

use super::rows::Told;
use super::{EngineError, Ledger, News, PER_MESSAGE, Sort, intact, record};

/// Said of a message that is not there, is of somebody else, or is too old to be known.
const UNKNOWN: Refusal = Refusal::Missing("no message of yours with this id is known here");
/// Said of a message whose time for a change is over.
const TOO_LATE: Refusal =
    Refusal::Forbidden("too late: the time for changing this message is over");

impl Ledger {
    pub(super) fn amend(
        &mut self,
        now: u64,
        by: &By,
        chat: Chat,
        amendment: &Amendment,
    ) -> Result<Answer, EngineError> {
        let cid = match self.chat_of(by.uid, chat)? {
            Ok(Some(cid)) => cid,
            Ok(None) => return Ok(Answer::Refused(UNKNOWN)),
            Err(refusal) => return Ok(Answer::Refused(refusal)),
        };
        match amendment {
            Amendment::Revoke { id } => self.revoke(now, by, chat, cid, id),
            Amendment::Edit {
                id,
                target,
                payload,
                digest,
            } => self.edit(now, by, chat, cid, (id, target, payload, *digest)),
        }
    }

    fn revoke(
        &mut self,
        now: u64,
        by: &By,
        chat: Chat,
        cid: Cid,
        id: &MsgId,
    ) -> Result<Answer, EngineError> {
        let key = record::dedupe_key(chat, by.uid, id);
        let Some(entry) = self.entry(&key)?.filter(|entry| entry.cseq > 0) else {
            return Ok(Answer::Refused(UNKNOWN));
        };
        let Some(message) = self.message(cid, entry.cseq)? else {
            return Ok(Answer::Refused(UNKNOWN));
        };
        if let Fate::Revoked(at) = message.fate {
            // A commit whose answer was an error may have written it and told nobody.
            if let Chat::User(uid) = chat {
                let head = self.inbox(uid)?.head();
                self.done.news.push(News::Head { uid, head });
            }
            return Ok(Answer::Amended(at));
        }
        if message.is_gone() || message.id != *id {
            return Ok(Answer::Refused(UNKNOWN));
        }
        let open_ms = self.policy.people.revoke_ms;
        if message.server_ts.saturating_add(open_ms) <= now {
            return Ok(Answer::Refused(TOO_LATE));
        }
        self.ready_to_tell(by.uid, chat)?;
        self.make_room(PER_MESSAGE)?;
        let message = self.empty(cid, message, Fate::Revoked(now))?;
        let revoked = Entry {
            revoked: true,
            ..entry
        };
        self.batch.put(key, record::encode_entry(&revoked)?);
        if let Chat::User(reader) = chat {
            self.withdraw(reader, entry.seq)?;
        }
        let told = Told {
            cid,
            id: id.clone(),
            sort: Sort::Revoke,
            since: now,
            message: Arc::new(message),
        };
        self.tell(by, chat, told)?;
        Ok(Answer::Amended(now))
    }

    fn edit(
        &mut self,
        now: u64,
        by: &By,
        chat: Chat,
        cid: Cid,
        (id, target, payload, digest): (&MsgId, &MsgId, &str, Digest),
    ) -> Result<Answer, EngineError> {
        let key = record::dedupe_key(chat, by.uid, id);
        let found = self.entry(&key)?;
        let is_known = found.is_some();
        match dedupe::judge(found, digest, now, self.policy.dedupe_ms()) {
            Verdict::New => {}
            Verdict::Conflict => return Ok(Answer::Refused(Refusal::Conflict)),
            Verdict::Repeat(entry) => return Ok(Answer::Amended(entry.server_ts)),
        }
        // A change brings words, as a message does; that something is taken back is always told.
        if let Err(refusal) = self.may_write(now, by.uid, chat)? {
            return Ok(Answer::Refused(refusal));
        }
        let of = self.entry(&record::dedupe_key(chat, by.uid, target))?;
        let Some(of) = of.filter(|of| of.cseq > 0) else {
            return Ok(Answer::Refused(UNKNOWN));
        };
        let Some(message) = self.message(cid, of.cseq)? else {
            return Ok(Answer::Refused(UNKNOWN));
        };
        if message.is_gone() || message.is_over(now) || message.id != *target {
            return Ok(Answer::Refused(UNKNOWN));
        }
        let open_ms = self.policy.people.edit_ms;
        if message.server_ts.saturating_add(open_ms) <= now {
            return Ok(Answer::Refused(TOO_LATE));
        }
        self.ready_to_tell(by.uid, chat)?;
        self.make_room(PER_MESSAGE)?;
        let message = Message {
            payload: payload.into(),
            fate: Fate::Edited(now),
            ..message
        };
        let value = record::encode_long(&message, message.payload.len())?;
        self.batch.put(record::history_key(cid, of.cseq), value);
        let entry = Entry::new(0, digest, now, of.cseq);
        self.write_entry(key, &entry, is_known)?;
        let told = Told {
            cid,
            id: id.clone(),
            sort: Sort::Edit,
            since: now,
            message: Arc::new(message),
        };
        self.tell(by, chat, told)?;
        Ok(Answer::Amended(now))
    }

    /// Reads what telling of a change will need, before anything is changed.
    fn ready_to_tell(&mut self, by: Uid, chat: Chat) -> Result<(), EngineError> {
        self.inbox(by)?;
        match chat {
            Chat::User(reader) => drop(self.inbox(reader)?),
            Chat::Group(gid) => drop(self.roster(gid)?),
        }
        Ok(())
    }

    /// Tells whoever takes part, and the author's other devices. That something was taken back takes the place of a message,
    /// in a full inbox too; for a change there is no room, and the reader takes it from the history.
    fn tell(&mut self, by: &By, chat: Chat, told: Told) -> Result<(), EngineError> {
        match chat {
            Chat::User(reader) => {
                let bounds = self.policy.bounds;
                if told.sort != Sort::Revoke && self.inbox(reader)?.is_full(&bounds) {
                    self.overflow(reader)?;
                } else {
                    let appended = self.inbox_mut(reader)?.push(&bounds);
                    self.put_row(reader, &told, appended)?;
                }
                if reader != by.uid {
                    self.carry(by.uid, by.did.as_ref(), &told)?;
                }
                Ok(())
            }
            Chat::Group(_) => self.tell_members(told, Some((by.uid, by.did.clone()))),
        }
    }

    /// Takes a row out of an inbox, whose devices stop sending it.
    fn withdraw(&mut self, reader: Uid, seq: Seq) -> Result<(), EngineError> {
        let Some(row) = self.row(reader, seq)? else {
            return Ok(());
        };
        self.inbox_mut(reader)?.expire(seq);
        self.done.news.push(News::Withdrawn {
            uid: reader,
            seqs: Ranges::span(seq, seq),
        });
        self.remove(reader, seq, &row)
    }

    /// Takes the content out of a message; its place stays.
    pub(super) fn empty(
        &mut self,
        cid: Cid,
        message: Message,
        fate: Fate,
    ) -> Result<Message, EngineError> {
        let message = Message {
            payload: Box::default(),
            fate,
            ..message
        };
        let key = record::history_key(cid, message.cseq);
        self.batch.put(key, record::encode(&message)?);
        if fate == Fate::Expired {
            self.conversation_mut(cid)?.void(message.cseq);
        }
        Ok(message)
    }

    /// The time of a message is over: nobody gets it any more.
    pub(super) fn end(&mut self, cid: Cid, cseq: Seq) -> Result<(), EngineError> {
        let Some(Some(message)) = intact(self.message(cid, cseq))? else {
            return Ok(());
        };
        if message.is_gone() {
            return Ok(());
        }
        if intact(self.conversation(cid).map(|found| found.is_some()))? != Some(true) {
            return Ok(());
        }
        let (to, from, id) = (message.to, message.from, message.id.clone());
        self.make_room(PER_MESSAGE)?;
        self.empty(cid, message, Fate::Expired)?;
        let key = record::dedupe_key(to, from, &id);
        let entry = intact(self.entry(&key))?.flatten();
        let Some(entry) = entry.filter(|entry| entry.cseq == cseq) else {
            return Ok(());
        };
        match to {
            Chat::User(reader) => {
                // A row that a device has may still wait for another.
                if let Some(row) = self.row(reader, entry.seq)? {
                    self.done.news.push(News::Withdrawn {
                        uid: reader,
                        seqs: Ranges::span(entry.seq, entry.seq),
                    });
                    self.expire(reader, entry.seq, row)?;
                }
            }
            Chat::Group(_) if entry.delivered => {}
            Chat::Group(_) => {
                self.done.tally.expired += 1;
                let expired = Entry {
                    expired: true,
                    ..entry
                };
                self.batch.put(key, record::encode_entry(&expired)?);
            }
        }
        Ok(())
    }
}
