//! Connections that do not go on. An adapter whose client does not read is frozen and reports nothing, and the kernel
//! ends the connection only if the client takes nothing at all: a client that takes a little now and then, or an adapter
//! that never comes back, is the device's to cut.

use crate::code::Close;

use super::{Device, Effect, Epoch, Phase, Rules};

impl Device {
    /// Notes at `now` which connections go on; the driver calls it after every input.
    pub fn watch(&mut self, now: u64) {
        for session in self.current.iter_mut().chain(&mut self.lingering) {
            session.look(now);
        }
        // A look that turns out too early only sets the next one: a busy connection does not re-arm the timer.
        self.look_at = [self.look_at, self.cut_at().map(|(at, ..)| at)]
            .into_iter()
            .flatten()
            .min();
    }

    /// The watch is due: cuts what has not gone on for too long.
    pub(super) fn look(&mut self, now: u64) {
        self.look_at = None;
        self.watch(now);
        while let Some((at, epoch, close)) = self.cut_at()
            && at <= now
        {
            self.cut(epoch, close);
        }
        self.look_at = self.cut_at().map(|(at, ..)| at);
    }

    /// The connection that is cut next if it does not go on, and when, Unix milliseconds.
    fn cut_at(&self) -> Option<(u64, Epoch, Close)> {
        let Rules {
            write_deadline_ms,
            silence_ms,
            ..
        } = self.rules;
        let stuck = self.sessions().filter_map(|session| {
            let at = session.stuck_at(write_deadline_ms)?;
            Some((at, session.epoch, Close::TooSlow))
        });
        let live = self.current.iter().filter(|_| self.phase == Phase::Live);
        let silent = live.filter_map(|session| {
            let at = session.silent_at(silence_ms)?;
            Some((at, session.epoch, Close::Idle))
        });
        stuck.chain(silent).min_by_key(|(at, ..)| *at)
    }

    /// Ends a connection without its adapter's word; what waits in its outbox is thrown away, and the rows wait.
    fn cut(&mut self, epoch: Epoch, close: Close) {
        self.effects.push_back(Effect::Cut { epoch, close });
        self.closed(epoch);
    }
}
