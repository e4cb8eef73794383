//! Acknowledgements: they cover what was sent on the connection they come on, and what is acknowledged already.

use crate::code::Code;
use crate::id::{Did, MsgId, Seq};
use crate::machine::ranges::Ranges;
use crate::machine::sent::{Item, Match, Slot};
use crate::message::{Ack, Event, Fault, Op};

use super::{Device, Effect, Epoch, Ticket, error};

impl Device {
    pub(super) fn ack(&mut self, now: u64, epoch: Epoch, ack: Ack) {
        match ack {
            Ack::Id { id, did } => self.ack_id(now, epoch, id, did),
            Ack::Seqs(seqs) => self.ack_seqs(now, epoch, seqs),
            Ack::UpTo(seq) => self.ack_up_to(now, epoch, seq),
        }
    }

    fn ack_id(&mut self, now: u64, epoch: Epoch, id: MsgId, did: Did) {
        if did != self.did {
            let fault = Fault::because(Code::BadFrame, "did is not the connection's own");
            return self.reply(epoch, error(fault.with_id(&id), now));
        }
        let found = self.session_mut(epoch).and_then(|s| s.sent.ack_id(&id));
        let Some(found) = found else {
            let fault = Fault::because(
                Code::NotFound,
                "nothing with this id was sent on this connection",
            );
            return self.reply(epoch, error(fault.with_id(&id), now));
        };
        let form = Ack::Id { id, did };
        match found {
            Match::First(Item::Row(seq)) | Match::Again(Item::Row(seq)) => {
                self.commit_acks(now, epoch, form, Ranges::span(seq, seq));
            }
            Match::First(Item::Signal(slot)) => {
                if self.stop(slot).is_some() {
                    self.effects.push_back(Effect::Halt {
                        slot,
                        parked: false,
                    });
                    self.effects
                        .push_back(Effect::SignalOver { slot, acked: true });
                }
                self.reply(epoch, Event::AckOk(form));
                self.fill();
            }
            Match::Again(Item::Signal(_)) => self.reply(epoch, Event::AckOk(form)),
        }
    }

    fn ack_seqs(&mut self, now: u64, epoch: Epoch, mut seqs: Vec<Seq>) {
        let Some(session) = self.session_mut(epoch) else {
            return;
        };
        let mut rows = Ranges::new();
        for seq in &seqs {
            // A number that stands there twice is one acknowledgement.
            if session.sent.rows().contains(*seq) && !rows.contains(*seq) {
                session.sent.ack_row(*seq);
                rows.insert(*seq, *seq);
            }
        }
        let mut said = Ranges::new();
        seqs.retain(|seq| {
            let is_new = !said.contains(*seq);
            said.insert(*seq, *seq);
            is_new && (rows.contains(*seq) || self.acks.contains(*seq))
        });
        self.commit_acks(now, epoch, Ack::Seqs(seqs), rows);
    }

    fn ack_up_to(&mut self, now: u64, epoch: Epoch, up_to: Seq) {
        let acked = self.acks.within(1, up_to);
        let Some(session) = self.session_mut(epoch) else {
            return;
        };
        let rows = session.sent.rows().within(1, up_to).difference(&acked);
        for seq in rows.values() {
            session.sent.ack_row(seq);
        }
        let effective = rows.last().max(acked.last()).unwrap_or(0);
        self.commit_acks(now, epoch, Ack::UpTo(effective), rows);
    }

    /// Ends the deliveries of these rows at once, and confirms when it is durable that the client has them.
    fn commit_acks(&mut self, now: u64, epoch: Epoch, form: Ack, rows: Ranges) {
        let rows = rows.difference(&self.acks);
        if rows.is_empty() {
            return self.reply(epoch, Event::AckOk(form));
        }
        if !self.take_request(now, epoch) {
            return self.untake_acks(epoch, &rows);
        }
        self.halt_rows(&rows);
        self.pending.union(&rows);
        self.effects.push_back(Effect::Submit {
            op: Op::Ack {
                reader: self.uid,
                did: self.did.clone(),
                seqs: rows.clone(),
            },
            ticket: Ticket::Ack {
                epoch,
                form,
                seqs: rows,
            },
        });
        self.fill();
    }

    /// Rows whose acknowledgement could not be made durable are owed as before.
    pub(super) fn untake_acks(&mut self, epoch: Epoch, rows: &Ranges) {
        if let Some(session) = self.session_mut(epoch) {
            for seq in rows.values() {
                session.sent.unack_row(seq);
            }
        }
        self.pending.subtract(rows);
        if let Some((first, _)) = rows.iter().next() {
            self.next = self.next.min(first);
        }
    }

    /// Ends the deliveries of these rows: the client has them.
    pub(super) fn halt_rows(&mut self, rows: &Ranges) {
        for (first, last) in rows.iter() {
            let walking = self.walking_rows.range(first..=last);
            let halted: Vec<Slot> = walking.map(|(_, slot)| *slot).collect();
            for slot in halted {
                self.stop(slot);
                self.effects.push_back(Effect::Halt {
                    slot,
                    parked: false,
                });
            }
        }
    }
}
