//! One connection as its device sees it: what waits in its outbox, what it was sent, and whether it goes on.

use std::collections::VecDeque;

use crate::code::Close;
use crate::id::Seq;
use crate::machine::access::Pass;
use crate::machine::ranges::Ranges;
use crate::machine::sent::SentLog;

use super::{Epoch, Rules};

/// Bytes that may wait for one connection before it takes no more copies; one frame may always wait.
const OUTBOX_BYTES: u64 = 1 << 20;
/// Bytes that may wait for one connection beside two pages, answers and all, before it is closed as too slow.
const HEAVY_BYTES: u64 = 8 << 20;
/// How long a connection that has been told to end may take for it at least, milliseconds: late acknowledgements count.
const FAREWELL_MS: u64 = 5_000;

#[derive(Debug)]
pub(super) struct Session {
    pub(super) epoch: Epoch,
    pub(super) pushed: u64,
    pub(super) taken: u64,
    pub(super) closing: bool,
    pub(super) sent: SentLog,
    /// Rows that were sent and are to be sent once more, because an operator says so.
    pub(super) again: Ranges,
    pub(super) page: Pages,
    /// The last frame that said that rows were given up.
    pub(super) resync: Option<u64>,
    pub(super) good_until: u64,
    pub(super) issued_ms: Option<u64>,
    pub(super) noticed: bool,
    /// An operator has ended it.
    pub(super) barred: bool,
    /// Since the watch looked last, frames left the outbox; its adapter spoke.
    moved: bool,
    pub(super) heard: bool,
    /// Whether frames waited, or the end did, when the watch looked last.
    was_waited_for: bool,
    /// When it was last seen to go on, and its adapter to speak; none before the first look.
    moved_at: Option<u64>,
    heard_at: Option<u64>,
    /// Its time is over, and it is cut at the first look after this moment, Unix milliseconds.
    pub(super) spared_until: Option<u64>,
    /// The bytes of each frame that waits in the outbox, and their sum.
    waiting: VecDeque<u32>,
    waiting_bytes: u64,
}

/// Pages are large: one at a time is asked for, and written before the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pages {
    None,
    Reading,
    /// The last one is this frame of the connection.
    Pushed(u64),
}

impl Session {
    /// Whether more waits than a client that reads would let pile up, where a page has so many bytes.
    pub(super) fn is_heavy(&self, page: u64) -> bool {
        self.waiting_bytes >= HEAVY_BYTES + 2 * page
    }

    pub(super) fn new(epoch: Epoch, pass: Pass) -> Session {
        Session {
            epoch,
            pushed: 0,
            taken: 0,
            closing: false,
            sent: SentLog::default(),
            again: Ranges::new(),
            page: Pages::None,
            resync: None,
            good_until: pass.good_until,
            issued_ms: pass.issued_ms,
            noticed: false,
            barred: false,
            moved: false,
            heard: false,
            was_waited_for: false,
            moved_at: None,
            heard_at: None,
            spared_until: None,
            waiting: VecDeque::new(),
            waiting_bytes: 0,
        }
    }

    /// The first row from `seq` on that it has still to be sent.
    pub(super) fn first_unsent(&self, seq: Seq) -> Seq {
        let new = self.sent.rows().first_gap(seq);
        match self.again.first_from(seq) {
            Some(again) => again.min(new),
            None => new,
        }
    }

    /// Frames that wait in the outbox.
    pub(super) fn queued(&self) -> u64 {
        self.pushed - self.taken
    }

    /// Whether one more copy may wait, where `frames` may.
    pub(super) fn has_room(&self, frames: u64) -> bool {
        self.queued() < frames && self.waiting_bytes < OUTBOX_BYTES
    }

    /// Counts a frame that goes into the outbox.
    pub(super) fn push(&mut self, bytes: usize) {
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        self.pushed += 1;
        self.waiting.push_back(bytes);
        self.waiting_bytes += u64::from(bytes);
    }

    /// The adapter has taken this many frames since the connection began.
    pub(super) fn take(&mut self, taken: u64) {
        let taken = taken.min(self.pushed);
        self.moved |= taken > self.taken;
        while self.taken < taken {
            self.taken += 1;
            let bytes = self.waiting.pop_front().unwrap_or_default();
            self.waiting_bytes -= u64::from(bytes);
        }
    }

    /// Notes at `now` whether it goes on.
    pub(super) fn look(&mut self, now: u64) {
        if self.moved || !self.was_waited_for {
            self.moved_at = Some(now);
        }
        if self.heard {
            self.heard_at = Some(now);
        }
        self.heard_at.get_or_insert(now);
        (self.moved, self.heard) = (false, false);
        self.was_waited_for = self.is_waited_for();
    }

    /// When it is to be cut if it does not go on, Unix milliseconds, and what for; a live one also for the silence of its
    /// adapter.
    pub(super) fn due(&self, rules: &Rules, is_live: bool) -> Option<(u64, Close)> {
        let patience = match self.queued() {
            0 => rules.write_deadline_ms.max(FAREWELL_MS),
            _ => rules.write_deadline_ms,
        };
        let stuck = self.moved_at.filter(|_| self.is_waited_for());
        let stuck = stuck.and_then(|since| since.checked_add(patience));
        let silent = self.heard_at.filter(|_| is_live);
        let silent = silent.and_then(|since| since.checked_add(rules.silence_ms));
        let stuck = stuck.map(|at| (at, Close::TooSlow));
        let silent = silent.map(|at| (at, Close::Idle));
        stuck.into_iter().chain(silent).min_by_key(|(at, _)| *at)
    }

    /// Whether frames wait to be taken, or its end does.
    fn is_waited_for(&self) -> bool {
        self.queued() > 0 || self.closing
    }
}
