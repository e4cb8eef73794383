//! Coming and going: a newer connection replaces the older one, and only the latest is announced to.

use crate::code::{Close, Code};
use crate::id::Seq;
use crate::machine::access::Pass;
use crate::message::{Attached, Notice, Op};

use super::{Device, Effect, Epoch, Phase, Session, Ticket, Walk};

/// Older connections kept for their late acknowledgements; a storm of reconnects drops the oldest.
const LINGERING_MAX: usize = 4;

impl Device {
    /// A connection has been made with a token that says this.
    pub fn connect(&mut self, epoch: Epoch, pass: Pass) {
        self.replace_current();
        self.pulling = None;
        self.retry_at = None;
        self.phase = Phase::Attaching;
        self.current = Some(Session::new(epoch, pass));
        if self.draining {
            return self.refuse(epoch, Code::Busy);
        }
        self.effects.push_back(Effect::Submit {
            op: Op::Attach {
                uid: self.uid,
                did: self.did.clone(),
                // The driver knows.
                online: Vec::new(),
                issued_ms: pass.issued_ms,
            },
            ticket: Ticket::Attach(epoch),
        });
    }

    /// The adapter of that connection reports its end.
    pub fn closed(&mut self, epoch: Epoch) {
        if self.is_current(epoch) {
            self.current = None;
            self.phase = Phase::Idle;
            self.early.clear();
            self.retry_at = None;
            self.seen_at = None;
            self.end_deliveries();
            // It may be an older connection that is still announced to: this one had not come so far.
            if let Some(registered) = self.registered.take() {
                self.effects.push_back(Effect::Unregister(registered));
            }
            self.submit_seen();
        } else {
            self.lingering.retain(|session| session.epoch != epoch);
        }
        if self.current.is_none() && self.lingering.is_empty() {
            self.effects.push_back(Effect::Stop);
        }
    }

    /// The committer has forgotten this device to make room for another.
    pub fn forgotten(&mut self) {
        match (&mut self.phase, &self.current) {
            (Phase::Heading { forgotten, .. }, _) => *forgotten = true,
            (Phase::Live, Some(session)) => {
                let epoch = session.epoch;
                self.notify(epoch, Notice::Resync);
                self.close(epoch, Close::Kicked);
            }
            // While it attaches, the commit that makes it known again is still to come.
            _ => {}
        }
    }

    /// Rows were given up for this device: its client has to take the state from elsewhere.
    pub fn lags(&mut self) {
        match (&mut self.phase, &mut self.current) {
            (Phase::Heading { resync, .. }, _) => *resync = true,
            // One that waits to be read says as much.
            (Phase::Live, Some(session)) if session.resync >= Some(session.taken) => {}
            (Phase::Live, Some(session)) => {
                let epoch = session.epoch;
                session.resync = Some(session.pushed);
                self.notify(epoch, Notice::Resync);
            }
            _ => {}
        }
    }

    pub(super) fn attached(&mut self, epoch: Epoch, attached: Attached) {
        if !self.is_current(epoch) || self.phase != Phase::Attaching {
            return;
        }
        self.acks = attached.acks;
        self.phase = Phase::Heading {
            resync: attached.resync,
            forgotten: false,
        };
        self.registered = Some(epoch);
        self.effects.push_back(Effect::Register(epoch));
        self.effects.push_back(Effect::Submit {
            op: Op::Head(self.uid),
            ticket: Ticket::Head(epoch),
        });
    }

    pub(super) fn headed(&mut self, now: u64, epoch: Epoch, head: Seq) {
        let Phase::Heading { resync, forgotten } = self.phase else {
            return;
        };
        if !self.is_current(epoch) {
            return;
        }
        self.phase = Phase::Live;
        // However long the login took, nothing could be heard of its adapter before.
        self.attended(epoch);
        self.seen_at = Some(now.saturating_add(self.rules.seen_every_ms));
        self.head = self.head.max(head);
        self.next = self.acks.first_gap(1);
        let summary = Notice::OfflineSummary {
            count: self.head - self.acks.len(),
            from_seq: self.next,
            to_seq: self.head,
        };
        self.notify(epoch, summary);
        if resync {
            self.notify(epoch, Notice::Resync);
        }
        for event in std::mem::take(&mut self.early) {
            self.push(epoch, event);
        }
        self.effects.push_back(Effect::Ready {
            epoch,
            result: Ok(()),
        });
        if forgotten {
            self.forgotten();
        }
        self.fill();
        // Some may have come on an older connection meanwhile, and hold their place among the requests.
        self.next_query();
    }

    /// The login cannot be completed.
    pub(super) fn refuse(&mut self, epoch: Epoch, code: Code) {
        if !self.is_current(epoch) || self.phase == Phase::Live {
            return;
        }
        self.effects.push_back(Effect::Ready {
            epoch,
            result: Err(code),
        });
        self.closed(epoch);
    }

    pub(super) fn submit_seen(&mut self) {
        self.effects.push_back(Effect::Submit {
            op: Op::Seen {
                uid: self.uid,
                did: self.did.clone(),
            },
            ticket: Ticket::Seen,
        });
    }

    fn replace_current(&mut self) {
        self.end_deliveries();
        let Some(old) = self.current.take() else {
            return;
        };
        let replaced = old.epoch;
        if self.phase != Phase::Live {
            self.effects.push_back(Effect::Ready {
                epoch: replaced,
                result: Err(Code::Busy),
            });
        }
        self.lingering.push(old);
        self.close(replaced, Close::Replaced);
        if self.lingering.len() > LINGERING_MAX {
            let oldest = &self.lingering[0];
            match oldest.queued() {
                0 => drop(self.lingering.remove(0)),
                // Nobody reads there, or its adapter would have taken them long ago.
                _ => self.cut(oldest.epoch, Close::TooSlow),
            }
        }
    }

    fn end_deliveries(&mut self) {
        self.walking_rows.clear();
        (self.row_bytes, self.signal_bytes) = (0, 0);
        for (slot, walk) in std::mem::take(&mut self.walking) {
            let parked = matches!(walk, Walk::Row(_));
            self.effects.push_back(Effect::Halt { slot, parked });
            if !parked {
                self.effects
                    .push_back(Effect::SignalOver { slot, acked: false });
            }
        }
    }
}
