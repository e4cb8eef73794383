//! Whether answers are true, by what is known of the store before and after their batch.

use yizhan::id::{MsgId, Uid};
use yizhan::message::chat::{Amendment, Chat};
use yizhan::message::{Answer, Fate, Op, Refusal, State, is_expired};

use crate::book::{Book, Entry, Name};
use crate::tally::Ran;

impl Book {
    /// Whether an answer was true before its batch, or, with `after`, is true since.
    pub fn check_answer(
        &self,
        now: u64,
        op: &Op,
        answer: &Answer,
        after: bool,
        ran: &mut Ran,
    ) -> Result<(), String> {
        let lie = || Err(format!("{op:?} was answered {answer:?}"));
        match (op, answer) {
            (Op::Append(append), Answer::Accepted(accepted))
                if append.draft.to.group().is_some() =>
            {
                let (to, id) = (append.draft.to, &append.draft.id);
                let said = self.annals.named(to, append.from, id);
                let is_place = said.is_some_and(|said| said.message.cseq == accepted.cseq);
                let is_so =
                    self.is_so_in_group(now, to, append.from, id, accepted.state, accepted.count);
                if after && !(is_place && is_so) {
                    return lie();
                }
            }
            (Op::Append(append), Answer::Accepted(accepted)) if after => {
                let said = self
                    .annals
                    .named(append.draft.to, append.from, &append.draft.id);
                if said.is_none_or(|said| said.message.cseq != accepted.cseq) {
                    return lie();
                }
                let name = (append.draft.to, append.from, append.draft.id.clone());
                let entry = self.entries.get(&name);
                // What was taken back in the batch that brought it left no row.
                let gone = said.is_some_and(|said| said.revoked.is_some());
                if gone && entry.is_none_or(|entry| entry.seq != accepted.seq) {
                    return Ok(());
                }
                if entry.is_none_or(|entry| entry.seq != accepted.seq) {
                    return lie();
                }
                if !self.is_so(now, &name, accepted.state, after) {
                    return lie();
                }
            }
            (Op::Append(append), Answer::Accepted(accepted)) if accepted.repeat => {
                let name = (append.draft.to, append.from, append.draft.id.clone());
                if self.entries.contains_key(&name)
                    && !self.is_so(now, &name, accepted.state, after)
                {
                    return lie();
                }
            }
            (Op::Append(append), Answer::Refused(Refusal::InboxFull)) if after => {
                let user = self.reader(append.draft.to);
                if user.is_none_or(|user| user.head < self.policy.bounds.max_messages) {
                    return lie();
                }
            }
            (Op::Append(append), Answer::Refused(Refusal::InboxFull)) => {
                let user = self.reader(append.draft.to);
                let waiting = user.map_or(0, |user| user.head - user.any.len());
                // The others of its batch may have filled it.
                if waiting + 8 < self.policy.bounds.max_messages {
                    return lie();
                }
            }
            (Op::Status { from, of }, Answer::Status(states)) => {
                if !of.iter().eq(states.iter().map(|(target, _, _)| target)) {
                    return lie();
                }
                for (target, state, count) in states {
                    if target.to.group().is_some() {
                        let (to, id) = (target.to, &target.id);
                        if after && !self.is_so_in_group(now, to, *from, id, *state, *count) {
                            return lie();
                        }
                        continue;
                    }
                    ran.status += u64::from(after);
                    let name = (target.to, *from, target.id.clone());
                    if !self.is_so(now, &name, *state, after) {
                        return lie();
                    }
                }
            }
            (Op::Head(uid), Answer::Head(head)) => {
                let known = self.users.get(uid).map_or(0, |user| user.head);
                if (after && *head > known) || (!after && *head < known) {
                    return lie();
                }
            }
            (Op::Ack { .. } | Op::Seen { .. }, Answer::Refused(Refusal::Forgotten)) => {}
            (Op::Append(_) | Op::Status { .. } | Op::Head(_), Answer::Accepted(_)) => {}
            (_, Answer::Acked(_) | Answer::Attached(_) | Answer::Done | Answer::Buried(_)) => {}
            _ if self.is_so_in_chats(op, answer, after) => {}
            _ => return lie(),
        }
        Ok(())
    }

    /// The same of a message to a group.
    fn is_so_in_group(
        &self,
        now: u64,
        to: Chat,
        from: Uid,
        id: &MsgId,
        state: State,
        count: u64,
    ) -> bool {
        let Some(said) = self.annals.named(to, from, id) else {
            return state == State::Unknown;
        };
        let (_, most) = self.have(to, from, id);
        count <= most
            && match state {
                // It may have come anew later in the same batch.
                State::Unknown => {
                    let accepted_at = said.message.server_ts;
                    accepted_at == now || accepted_at.saturating_add(self.policy.dedupe_ms()) <= now
                }
                // It may have been taken back later in the same batch.
                State::Accepted => true,
                // Whoever had it may have left since, and counts no more.
                State::Delivered => most > 0,
                State::Expired => {
                    said.message.is_over(now)
                        || is_expired(said.message.server_ts, now, self.policy.ttl_ms)
                }
                State::Revoked => said.revoked.is_some(),
            }
    }

    /// How many users beside its author have a message at least, and at most.
    pub fn have(&self, to: Chat, from: Uid, id: &MsgId) -> (u64, u64) {
        let place = self.annals.places.get(&(to, from, id.clone()));
        let Some((cid, cseq)) = place else {
            return (0, 0);
        };
        let what = (*cid, *cseq, id.clone(), 0);
        let (mut least, mut most) = (0, 0);
        for (uid, user) in &self.users {
            if let Some(seq) = user.told.get(&what).filter(|_| *uid != from) {
                let has = user.delivered.contains(*seq);
                least += u64::from(has);
                most += u64::from(has || user.maybe.contains(*seq));
            }
        }
        (least, most)
    }

    /// What is answered of conversations and people.
    fn is_so_in_chats(&self, op: &Op, answer: &Answer, after: bool) -> bool {
        match (op, answer) {
            (
                Op::Amend {
                    by,
                    chat,
                    amendment,
                },
                Answer::Amended(at),
            ) if after => {
                let of = match amendment {
                    Amendment::Revoke { id } => id,
                    Amendment::Edit { target, .. } => target,
                };
                let said = self.annals.named(*chat, by.uid, of);
                said.is_some_and(|said| match amendment {
                    Amendment::Revoke { .. } => said.message.fate == Fate::Revoked(*at),
                    Amendment::Edit { id, .. } => said.edits.contains_key(id),
                })
            }
            (Op::Append(append), Answer::Refused(Refusal::Unwanted(_))) if after => {
                let to = append.draft.to.user();
                to.is_some_and(|to| self.annals.ever_blocked.contains(&(to, append.from)))
            }
            (Op::Append(_) | Op::Permit { .. }, Answer::Refused(_)) => true,
            (Op::Amend { .. }, Answer::Amended(_) | Answer::Refused(_)) => true,
            (Op::MarkRead { .. }, Answer::Read(_) | Answer::Refused(_)) => true,
            (Op::Standing { .. }, Answer::Standing(_) | Answer::Refused(_)) => true,
            (Op::Group { .. } | Op::Contact { .. } | Op::SetExpiry { .. }, _) => true,
            _ => false,
        }
    }

    /// A message goes from unknown to accepted, then to delivered or expired, and after its time to unknown.
    fn is_so(&self, now: u64, name: &Name, state: State, after: bool) -> bool {
        let entry = self.entries.get(name);
        let forgotten =
            |entry: &Entry| entry.server_ts.saturating_add(self.policy.dedupe_ms()) <= now;
        let user = self.reader(name.0);
        let delivered = |entry: &Entry| user.is_some_and(|user| user.delivered.contains(entry.seq));
        let expired = |entry: &Entry| {
            let is_due = is_expired(entry.server_ts, now, self.policy.ttl_ms);
            let is_over = self.annals.named(name.0, name.1, &name.2);
            let is_over = is_over.is_some_and(|said| said.message.is_over(now));
            entry.expired || ((is_due || is_over) && !delivered(entry))
        };
        match (state, entry) {
            (State::Unknown, None) => true,
            (State::Unknown, Some(entry)) => after || forgotten(entry),
            (State::Accepted, Some(entry)) => {
                after || forgotten(entry) || !(expired(entry) || delivered(entry))
            }
            (State::Accepted, None) => !after,
            (State::Delivered, Some(entry)) => !after || delivered(entry),
            // What was taken back in the same batch may have been acknowledged there, too late to count.
            (State::Expired, Some(entry)) => !after || expired(entry) || entry.revoked,
            (State::Delivered | State::Expired, None) => !after,
            (State::Revoked, _) => {
                let said = self.annals.named(name.0, name.1, &name.2);
                !after || said.is_some_and(|said| said.revoked.is_some())
            }
        }
    }
}
