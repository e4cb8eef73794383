//! What the committer's answers mean to a device.

use crate::code::{Close, Code};
use crate::id::{MsgId, Uid};
use crate::message::{Accepted, Ack, Answer, Event, Fault, Notice, Refusal, State};

use super::{Device, Ticket, error};

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

    fn accepted(&mut self, now: u64, id: MsgId, to: Uid, accepted: Accepted) {
        self.tell(Event::Accepted {
            id: id.clone(),
            to,
            server_ts: accepted.server_ts,
        });
        if accepted.state == State::Delivered {
            self.tell(Event::Delivered {
                id,
                reader: to,
                did: None,
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
            Ticket::Status(epoch) | Ticket::Renew { epoch, .. } => {
                self.requests -= 1;
                self.reply(epoch, error(fault, now));
            }
            Ticket::Seen => {}
        }
    }
}
