//! How a message is accepted.

use std::sync::Arc;

use crate::id::{Cid, Uid};
use crate::machine::dedupe::{self, Entry, Verdict};
use crate::machine::group::NO_MEMBER;
use crate::message::chat::Chat;
use crate::message::hook::Reason;
use crate::message::{Accepted, Answer, Append, Fate, Kind, Message, Refusal, State};

use super::rows::Told;
use super::{EngineError, Ledger, News, PER_MESSAGE, Sort, record};

impl Ledger {
    pub(super) fn append(&mut self, now: u64, append: &Append) -> Result<Answer, EngineError> {
        let draft = &append.draft;
        let key = record::dedupe_key(draft.to, append.from, &draft.id);
        let found = self.entry(&key)?;
        let is_known = found.is_some();
        match dedupe::judge(found, append.digest, now, self.policy.dedupe_ms()) {
            Verdict::New if !self.takes_new => return Ok(Answer::Refused(Refusal::NearlyFull)),
            Verdict::New => {}
            Verdict::Conflict => return Ok(Answer::Refused(Refusal::Conflict)),
            Verdict::Repeat(entry) => return self.repeated(now, append.from, draft.to, &entry),
        }
        if draft.expires_at.is_some_and(|at| at <= now) {
            return Ok(Answer::Refused(Refusal::Senseless(
                "expires_at is not in the future",
            )));
        }
        let accepted = match draft.to {
            Chat::User(to) => self.append_to_user(now, append, to, key, is_known)?,
            Chat::Group(gid) => self.append_to_group(now, append, gid, key, is_known)?,
        };
        Ok(match accepted {
            Ok(accepted) => Answer::Accepted(accepted),
            Err(refusal) => Answer::Refused(refusal),
        })
    }

    fn repeated(
        &mut self,
        now: u64,
        from: Uid,
        to: Chat,
        entry: &Entry,
    ) -> Result<Answer, EngineError> {
        let Some(counts) = self.counts_of(from, [(to, entry)])? else {
            return Ok(Answer::Refused(Refusal::Busy));
        };
        let state = self.state_of(now, to, entry)?;
        let count = counts.of(to, entry);
        if let (State::Accepted, Chat::User(uid)) = (state, to) {
            // A commit whose answer was an error may have written the row and told nobody.
            let head = self.inbox(uid)?.head();
            self.done.news.push(News::Head { uid, head });
        }
        Ok(Answer::Accepted(Accepted {
            seq: entry.seq,
            cseq: entry.cseq,
            server_ts: entry.server_ts,
            state,
            count,
            repeat: true,
        }))
    }

    fn append_to_user(
        &mut self,
        now: u64,
        append: &Append,
        to: Uid,
        key: Vec<u8>,
        is_known: bool,
    ) -> Result<Result<Accepted, Refusal>, EngineError> {
        let from = append.from;
        if let Err(refusal) = self.may_write(now, from, Chat::User(to))? {
            return Ok(Err(refusal));
        }
        let bounds = self.policy.bounds;
        if !self.has_room(now, to)? {
            return Ok(Err(Refusal::InboxFull));
        }
        self.inbox(from)?;
        let cid = self.chat_between(from, to, now)?;
        self.make_room(PER_MESSAGE)?;
        let Ok(appended) = self.inbox_mut(to)?.append(&bounds) else {
            return Ok(Err(Refusal::InboxFull));
        };
        let seq = appended.seq;
        let message = Arc::new(self.write_message(now, append, cid)?);
        let entry = Entry::new(seq, append.digest, now, message.cseq);
        self.write_entry(key, &entry, is_known)?;
        let told = Told::message(cid, message, Sort::C2c);
        let cseq = told.message.cseq;
        self.hook_accepted(&told.message)?;
        let is_alone = self.hook_waiting(to, seq, &told)?;
        if is_alone {
            self.hook_parked(now, &told.message, &[to], Reason::Offline)?;
        }
        self.put_row(to, &told, appended)?;
        if from != to {
            self.carry(from, append.did.as_ref(), &told)?;
        }
        Ok(Ok(Accepted::new(seq, cseq, now)))
    }

    fn append_to_group(
        &mut self,
        now: u64,
        append: &Append,
        gid: Cid,
        key: Vec<u8>,
        is_known: bool,
    ) -> Result<Result<Accepted, Refusal>, EngineError> {
        if let Err(refusal) = self.may_write(now, append.from, Chat::Group(gid))? {
            return Ok(Err(refusal));
        }
        self.make_room(PER_MESSAGE)?;
        let message = Arc::new(self.write_message(now, append, gid)?);
        let entry = Entry::new(0, append.digest, now, message.cseq);
        self.write_entry(key, &entry, is_known)?;
        let told = Told::message(gid, message, Sort::C2g);
        let cseq = told.message.cseq;
        self.hook_accepted(&told.message)?;
        self.tell_members(told, Some((append.from, append.did.clone())))?;
        Ok(Ok(Accepted::new(0, cseq, now)))
    }

    /// Whether an inbox takes one more row, now that those are gone whose time is over.
    pub(super) fn has_room(&mut self, now: u64, uid: Uid) -> Result<bool, EngineError> {
        let bounds = self.policy.bounds;
        if self.inbox(uid)?.is_full(&bounds) {
            self.relieve(uid, now)?;
        }
        Ok(!self.inbox(uid)?.is_full(&bounds))
    }

    /// Whether somebody may say something there.
    pub(super) fn may_write(
        &mut self,
        now: u64,
        from: Uid,
        to: Chat,
    ) -> Result<Result<(), Refusal>, EngineError> {
        let gid = match to {
            Chat::User(to) => return Ok(self.takes(to, from)?.map_err(Refusal::Unwanted)),
            Chat::Group(gid) => gid,
        };
        let member = match self.member_in(gid, from)? {
            Ok(member) => member.clone(),
            Err(refusal) => return Ok(Err(refusal)),
        };
        let may = match self.conversation(gid)?.and_then(|c| c.group()) {
            Some(group) => group.may_send(&member, now),
            None => Err(NO_MEMBER),
        };
        Ok(may.map_err(Refusal::Forbidden))
    }

    /// Writes the message at the next place of its conversation, which is there.
    fn write_message(
        &mut self,
        now: u64,
        append: &Append,
        cid: Cid,
    ) -> Result<Message, EngineError> {
        let draft = &append.draft;
        let message = Message {
            id: draft.id.clone(),
            kind: Kind::Words,
            from: append.from,
            to: draft.to,
            payload: draft.payload.clone(),
            created_at: draft.created_at,
            server_ts: now,
            expires_at: draft.expires_at,
            fate: Fate::Whole,
            cseq: 0,
        };
        self.done.tally.accepted += 1;
        self.put_message(cid, message)
    }

    /// Gives a message the next place of its conversation, and writes it there.
    pub(super) fn put_message(
        &mut self,
        cid: Cid,
        mut message: Message,
    ) -> Result<Message, EngineError> {
        let now = message.server_ts;
        let conversation = self.conversation_mut(cid)?;
        message.expires_at = conversation.expires_at(now, message.expires_at);
        message.cseq = conversation.append(now);
        if let Some(place) = conversation.place_mut(message.from) {
            place.wrote(message.cseq);
        }
        if let Chat::Group(gid) = message.to {
            let author = self.member_mut(gid, message.from)?;
            author.place.wrote(message.cseq);
            self.roster(gid)?.append(message.cseq);
            self.takes_in_group(gid, message.from, message.cseq);
        }
        let value = record::encode_long(&message, message.payload.len())?;
        self.batch
            .insert(record::history_key(cid, message.cseq), value);
        if let Some(at) = message.expires_at {
            self.batch
                .insert(record::expiry_key(at, cid, message.cseq), Vec::new());
        }
        Ok(message)
    }

    pub(super) fn write_entry(
        &mut self,
        key: Vec<u8>,
        entry: &Entry,
        is_known: bool,
    ) -> Result<(), EngineError> {
        let value = record::encode_entry(entry)?;
        match is_known {
            true => self.batch.put(key, value),
            false => self.batch.insert(key, value),
        }
        Ok(())
    }
}
