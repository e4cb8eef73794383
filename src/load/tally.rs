//! What a run counts, and what it times.

use std::collections::BTreeMap;

use hdrhistogram::Histogram;
use parking_lot::Mutex;
use serde::Serialize;

use super::LoadError;

/// What is timed is between a microsecond and an hour, in nanoseconds.
const LEAST_NS: u64 = 1_000;
const MOST_NS: u64 = 3_600_000_000_000;

/// How often each thing has happened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Messages written for the first time.
    pub sent: u64,
    /// Messages of which the sender heard that they are durable.
    pub accepted: u64,
    /// First copies, at each device.
    pub delivered: u64,
    /// Acknowledgements that are durable.
    pub confirmed: u64,
    /// Messages of which the sender heard the receipt of every device.
    pub loops: u64,
    /// Copies that came again, legally, because their acknowledgement was not confirmed.
    pub repeated_copies: u64,
    /// Messages written again.
    pub resent: u64,
    /// Acknowledgements written again.
    pub acks_repeated: u64,
    /// Logins that succeeded.
    pub logins: u64,
    /// Connections that ended without the client's wish.
    pub connections_lost: u64,
    /// Copies of messages that were there before the run.
    pub leftovers: u64,
}

impl Counts {
    /// What has happened since.
    pub(super) fn since(&self, before: &Counts) -> Counts {
        self.with(before, u64::wrapping_sub)
    }

    pub(super) fn plus(&self, other: &Counts) -> Counts {
        self.with(other, u64::wrapping_add)
    }

    fn with(&self, other: &Counts, of: fn(u64, u64) -> u64) -> Counts {
        Counts {
            sent: of(self.sent, other.sent),
            accepted: of(self.accepted, other.accepted),
            delivered: of(self.delivered, other.delivered),
            confirmed: of(self.confirmed, other.confirmed),
            loops: of(self.loops, other.loops),
            repeated_copies: of(self.repeated_copies, other.repeated_copies),
            resent: of(self.resent, other.resent),
            acks_repeated: of(self.acks_repeated, other.acks_repeated),
            logins: of(self.logins, other.logins),
            connections_lost: of(self.connections_lost, other.connections_lost),
            leftovers: of(self.leftovers, other.leftovers),
        }
    }
}

/// The times of what is measured, in nanoseconds.
#[derive(Clone, Debug)]
pub(super) struct Times {
    /// From sending to frame 2.
    pub(super) accept: Histogram<u64>,
    /// From sending to the first copy, at each device.
    pub(super) delivery: Histogram<u64>,
    /// From sending to the receipt of the last device.
    pub(super) full_loop: Histogram<u64>,
}

impl Times {
    pub(super) fn new() -> Result<Times, LoadError> {
        Ok(Times {
            accept: histogram(3)?,
            delivery: histogram(3)?,
            full_loop: histogram(3)?,
        })
    }

    pub(super) fn add(&mut self, other: &Times) {
        merge(&mut self.accept, &other.accept);
        merge(&mut self.delivery, &other.delivery);
        merge(&mut self.full_loop, &other.full_loop);
    }
}

/// What one thread of a run has counted and timed.
#[derive(Debug)]
pub(super) struct Tally {
    pub(super) counts: Counts,
    /// ERROR frames by code, and refused handshakes by their HTTP status.
    pub(super) errors: BTreeMap<u16, u64>,
    pub(super) times: Times,
    /// Full loops since the board was told last.
    recent: Histogram<u64>,
    /// What was counted when the measurement began, while it goes on.
    measuring: Option<Counts>,
    /// What was counted in measurements that are over.
    pub(super) measured: Counts,
}

impl Tally {
    pub(super) fn new() -> Result<Tally, LoadError> {
        Ok(Tally {
            counts: Counts::default(),
            errors: BTreeMap::new(),
            times: Times::new()?,
            recent: histogram(2)?,
            measuring: None,
            measured: Counts::default(),
        })
    }

    /// Begins to measure, or ends it.
    pub(super) fn measure(&mut self, is_on: bool) {
        if let Some(before) = self.measuring.take() {
            self.measured = self.measured.plus(&self.counts.since(&before));
        }
        if is_on {
            self.measuring = Some(self.counts);
        }
    }

    pub(super) fn accepted(&mut self, took: u64) {
        self.counts.accepted += 1;
        if self.measuring.is_some() {
            self.times.accept.saturating_record(took);
        }
    }

    pub(super) fn delivered(&mut self, took: u64) {
        self.counts.delivered += 1;
        if self.measuring.is_some() {
            self.times.delivery.saturating_record(took);
        }
    }

    pub(super) fn closed(&mut self, took: u64) {
        self.counts.loops += 1;
        self.recent.saturating_record(took);
        if self.measuring.is_some() {
            self.times.full_loop.saturating_record(took);
        }
    }

    pub(super) fn error(&mut self, code: u16) {
        *self.errors.entry(code).or_default() += 1;
    }

    pub(super) fn publish(&mut self, board: &Board, on: usize, unsettled: u64) {
        let mut shown = board.0.lock();
        shown.counts = self.counts;
        shown.on = on;
        shown.unsettled = unsettled;
        merge(&mut shown.recent, &self.recent);
        drop(shown);
        self.recent.reset();
    }
}

/// What one thread shows to whoever watches the run.
#[derive(Debug)]
pub(super) struct Board(Mutex<Shown>);

#[derive(Debug)]
struct Shown {
    counts: Counts,
    phase: &'static str,
    on: usize,
    unsettled: u64,
    recent: Histogram<u64>,
}

/// What all threads of a run show together.
#[derive(Clone, Debug)]
pub(super) struct Sight {
    pub(super) counts: Counts,
    pub(super) phase: &'static str,
    /// Clients that are connected.
    pub(super) on: usize,
    /// Messages of which not all is heard.
    pub(super) unsettled: u64,
    /// Full loops since the last look.
    pub(super) recent: Histogram<u64>,
}

impl Board {
    pub(super) fn new() -> Result<Board, LoadError> {
        Ok(Board(Mutex::new(Shown {
            counts: Counts::default(),
            phase: "connecting",
            on: 0,
            unsettled: 0,
            recent: histogram(2)?,
        })))
    }

    pub(super) fn phase(&self, phase: &'static str) {
        self.0.lock().phase = phase;
    }

    /// Looks at all boards of a run; the first one names the phase.
    pub(super) fn look<'a>(
        boards: impl IntoIterator<Item = &'a Board>,
    ) -> Result<Sight, LoadError> {
        let mut sight = Sight {
            counts: Counts::default(),
            phase: "",
            on: 0,
            unsettled: 0,
            recent: histogram(2)?,
        };
        for board in boards {
            let mut shown = board.0.lock();
            sight.counts = sight.counts.plus(&shown.counts);
            if sight.phase.is_empty() {
                sight.phase = shown.phase;
            }
            sight.on += shown.on;
            sight.unsettled += shown.unsettled;
            merge(&mut sight.recent, &shown.recent);
            shown.recent.reset();
        }
        Ok(sight)
    }
}

/// An empty histogram of nanoseconds with so many digits.
pub(super) fn histogram(digits: u8) -> Result<Histogram<u64>, LoadError> {
    Histogram::new_with_bounds(LEAST_NS, MOST_NS, digits)
        .map_err(|error| LoadError::Setup(error.to_string()))
}

pub(super) fn merge(into: &mut Histogram<u64>, from: &Histogram<u64>) {
    // Both have the same bounds, so that nothing of one is too large for the other.
    let _ = into.add(from);
}
