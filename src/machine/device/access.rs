//! Who may stay: another token, and what an operator forbids.

use crate::code::{Close, Code};
use crate::machine::access::{Access, Barred, Pass};
use crate::message::{Event, Op};

use super::{Device, Effect, Epoch, Phase, Ticket};

impl Device {
    /// Another token was shown on that connection; `expire_at` is its own expiry, Unix milliseconds.
    pub fn renew(&mut self, now: u64, epoch: Epoch, pass: Pass, expire_at: u64) {
        if self.session_mut(epoch).is_none_or(|s| s.closing) || !self.take_request(now, epoch) {
            return;
        }
        self.effects.push_back(Effect::Submit {
            op: Op::Admit {
                uid: self.uid,
                did: Some(self.did.clone()),
                issued_ms: pass.issued_ms,
            },
            ticket: Ticket::Renew {
                epoch,
                pass,
                expire_at,
            },
        });
    }

    /// An operator has changed what this user may do: connections that would not be let in now end.
    pub fn restricted(&mut self, access: &Access) {
        for (epoch, barred) in self.barred(access) {
            if self.is_current(epoch) && self.phase != Phase::Live {
                let code = match barred {
                    Barred::Banned => Code::Forbidden,
                    Barred::TokenRevoked => Code::InvalidToken,
                };
                self.refuse(epoch, code);
                continue;
            }
            // What waits must not come after the answer to the operator.
            self.end(epoch, Close::Kicked);
        }
    }

    fn barred(&self, access: &Access) -> Vec<(Epoch, Barred)> {
        // While a connection attaches, the commit that judges it is still to come.
        let judged = |epoch| self.phase != Phase::Attaching || !self.is_current(epoch);
        self.sessions()
            .filter(|session| judged(session.epoch))
            .filter_map(|session| {
                let admitted = access.admit(Some(&self.did), session.issued_ms);
                Some((session.epoch, admitted.err()?))
            })
            .collect()
    }

    pub(super) fn renewed(&mut self, epoch: Epoch, pass: Pass, expire_at: u64) {
        let Some(session) = self.session_mut(epoch) else {
            return;
        };
        session.good_until = pass.good_until;
        session.issued_ms = pass.issued_ms;
        session.noticed = false;
        self.reply(epoch, Event::RefreshOk { expire_at });
    }
}
