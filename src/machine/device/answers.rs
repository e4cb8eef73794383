//! What the committer's answers mean to a device.

use crate::code::{Close, Code};
use crate::id::MsgId;
use crate::machine::ranges::Ranges;
use crate::message::chat::Chat;
use crate::message::{
    Accepted, Ack, Answer, Counted, Event, Fault, Notice, Refusal, State, Unwanted,
};

use super::{Device, Effect, Ticket, error};

impl Device {
    /// The committer answers.
    pub fn answered(&mut self, now: u64, ticket: Ticket, answer: Answer) {
        match (ticket, answer) {
            (Ticket::Attach(epoch), Answer::Attached(attached)) => self.attached(epoch, attached),
            (Ticket::Head(epoch), Answer::Head(head)) => self.headed(now, epoch, head),
            (Ticket::Send { id, to }, Answer::Accepted(accepted)) => {
                self.sends -= 1;
                self.accepted(now, id, to, accepted);
            }
            (Ticket::Send { id, to }, Answer::Refused(Refusal::Unwanted(why))) => {
                self.sends -= 1;
                self.unwanted(now, id, to, why);
            }
            (Ticket::Amend { chat, amendment }, Answer::Amended(server_ts)) => {
                self.requests -= 1;
                self.tell(Event::Amended {
                    amendment,
                    to: chat,
                    server_ts,
                });
            }
            (Ticket::Amend { chat, amendment }, Answer::Refused(Refusal::Unwanted(why))) => {
                self.requests -= 1;
                self.unwanted(now, amendment.id().clone(), chat, why);
            }
            (Ticket::MarkRead { epoch, chat, id }, Answer::Read(up_to)) => {
                self.requests -= 1;
                let to = chat;
                self.reply(epoch, Event::ReadOk { id, to, up_to });
            }
            (Ticket::Typing, _) => self.requests -= 1,
            (Ticket::Signal(signal), Answer::Done) => {
                self.requests -= 1;
                self.effects.push_back(Effect::Relay(signal));
            }
            (Ticket::Signal(signal), Answer::Refused(Refusal::Unwanted(why))) => {
                self.requests -= 1;
                self.unwanted(now, signal.id.clone(), Chat::User(signal.to), why);
            }
            (Ticket::Query { epoch, id, query }, Answer::Standing(standing)) => {
                self.permitted(epoch, id, query, standing);
            }
            (Ticket::Say { epoch, event }, Answer::Done) => self.answer_query(epoch, event),
            (Ticket::Ack { epoch, form, seqs }, Answer::Acked(_)) => {
                self.requests -= 1;
                self.pending.subtract(&seqs);
                self.acks.union(&seqs);
                // A later connection may have been sent them since, when another ack of them was refused.
                self.halt_rows(&seqs);
                self.reply(epoch, Event::AckOk(form));
                self.fill();
            }
            (Ticket::Ack { epoch, seqs, .. }, Answer::Refused(Refusal::Forgotten)) => {
                self.requests -= 1;
                self.pending.subtract(&seqs);
                self.notify(epoch, Notice::Resync);
                self.close(epoch, Close::Kicked);
            }
            (Ticket::Bury(rows), Answer::Buried(gone)) => self.buried(&rows, &gone),
            (Ticket::Seen, Answer::Refused(Refusal::Forgotten)) => self.forgotten(),
            (Ticket::Seen, _) => {}
            (Ticket::Status(epoch), Answer::Status(states)) => {
                self.requests -= 1;
                self.reply(epoch, Event::Status(states));
            }
            (
                Ticket::Renew {
                    epoch,
                    pass,
                    expire_at,
                },
                Answer::Done,
            ) => {
                self.requests -= 1;
                self.renewed(epoch, pass, expire_at);
            }
            (ticket, Answer::Refused(refusal)) => {
                self.failed(now, ticket, refusal.fault(self.rules.retry_ms));
            }
            (ticket, _) => self.failed(now, ticket, Fault::new(Code::Storage)),
        }
    }

    /// The committer has no room for the request: nothing was done.
    pub fn busy(&mut self, now: u64, ticket: Ticket) {
        let fault = self.retry(Fault::new(Code::Busy));
        self.failed(now, ticket, fault);
    }

    fn accepted(&mut self, now: u64, id: MsgId, to: Chat, accepted: Accepted) {
        self.tell(Event::Accepted {
            id: id.clone(),
            to,
            cseq: accepted.cseq,
            server_ts: accepted.server_ts,
        });
        if accepted.state == State::Delivered {
            self.tell(match to {
                Chat::User(reader) => Event::Delivered {
                    id,
                    reader,
                    did: None,
                    server_ts: now,
                },
                Chat::Group(gid) => Event::Counted(Counted {
                    sender: self.uid,
                    id,
                    gid,
                    count: accepted.count,
                    server_ts: now,
                }),
            });
        }
    }

    fn unwanted(&mut self, now: u64, id: MsgId, to: Chat, why: Unwanted) {
        if let Chat::User(to) = to {
            self.tell(Event::Unwanted {
                id,
                sender: self.uid,
                to,
                why,
                server_ts: now,
            });
        }
    }

    fn failed(&mut self, now: u64, ticket: Ticket, fault: Fault) {
        match ticket {
            Ticket::Attach(epoch) | Ticket::Head(epoch) => self.refuse(epoch, fault.code),
            Ticket::Send { id, to } => {
                self.sends -= 1;
                self.tell(error(fault.about(&id, to), now));
            }
            Ticket::Ack { epoch, form, seqs } => {
                self.requests -= 1;
                self.untake_acks(epoch, &seqs);
                let fault = match &form {
                    Ack::Id { id, .. } => fault.with_id(id),
                    _ => fault,
                };
                self.reply(epoch, error(fault, now));
            }
            Ticket::Amend { chat, amendment } => {
                self.requests -= 1;
                self.tell(error(fault.about(amendment.id(), chat), now));
            }
            Ticket::MarkRead { epoch, chat, id } => {
                self.requests -= 1;
                let fault = fault.to_chat(chat).with_own_id(id.as_ref());
                self.reply(epoch, error(fault, now));
            }
            Ticket::Typing => self.requests -= 1,
            Ticket::Signal(signal) => {
                self.requests -= 1;
                let fault = fault.about(&signal.id, Chat::User(signal.to));
                self.tell(error(fault, now));
            }
            Ticket::Query { epoch, id, query } => {
                self.query_failed(now, epoch, id.as_ref(), &query, fault);
            }
            Ticket::Say { epoch, .. } => self.answer_query(epoch, error(fault, now)),
            Ticket::Status(epoch) | Ticket::Renew { epoch, .. } => {
                self.requests -= 1;
                self.reply(epoch, error(fault, now));
            }
            Ticket::Bury(rows) => {
                self.retry_at = Some(now.saturating_add(self.rules.read_retry_ms));
                self.buried(&rows, &Ranges::new());
            }
            Ticket::Seen => {}
        }
    }
}
