//! Connections that do not go on. An adapter whose client does not read is frozen and reports nothing, and the kernel
//! ends the connection only if the client takes nothing at all: a client that takes a little now and then, or an adapter
//! that never comes back, is the device's to cut.

use crate::code::Close;

use super::{Device, Effect, Epoch, Phase};

/// How long a connection has after its time is over, milliseconds: if it was this process that stood still, its adapter
/// comes to work before the device looks again.
const GRACE_MS: u64 = 100;

impl Device {
    /// Notes at `now` which connections go on; the driver calls it after every input.
    pub fn watch(&mut self, now: u64) {
        for session in self.current.iter_mut().chain(&mut self.lingering) {
            session.look(now);
        }
        // A look that turns out too early only sets the next one: a busy connection does not re-arm the timer.
        self.look_at = [self.look_at, self.next_look()].into_iter().flatten().min();
    }

    /// The watch is due: cuts what has not gone on for too long.
    pub(super) fn look(&mut self, now: u64) {
        self.watch(now);
        let mut cuts = Vec::new();
        let is_live = self.phase == Phase::Live;
        let current = self.current.iter_mut().map(|session| (session, is_live));
        let lingering = self.lingering.iter_mut().map(|session| (session, false));
        for (session, is_live) in current.chain(lingering) {
            let due = session.due(&self.rules, is_live);
            let over = due.filter(|(at, _)| *at <= now);
            match (over, session.spared_until) {
                (None, _) => session.spared_until = None,
                (Some(_), None) => session.spared_until = Some(now.saturating_add(GRACE_MS)),
                (Some((_, close)), Some(until)) if until <= now => {
                    cuts.push((session.epoch, close));
                }
                (Some(_), Some(_)) => {}
            }
        }
        for (epoch, close) in cuts {
            self.cut(epoch, close);
        }
        self.look_at = self.next_look();
    }

    /// When the next connection has to be looked at if none goes on, Unix milliseconds.
    fn next_look(&self) -> Option<u64> {
        let is_live = self.phase == Phase::Live;
        let current = self.current.iter().map(|session| (session, is_live));
        let lingering = self.lingering.iter().map(|session| (session, false));
        let looks = current.chain(lingering).filter_map(|(session, is_live)| {
            let (at, _) = session.due(&self.rules, is_live)?;
            Some(session.spared_until.map_or(at, |until| until.max(at)))
        });
        looks.min()
    }

    /// Ends a connection without its adapter's word; what waits in its outbox is thrown away, and the rows wait.
    pub(super) fn cut(&mut self, epoch: Epoch, close: Close) {
        self.effects.push_back(Effect::Cut { epoch, close });
        self.closed(epoch);
    }
}
