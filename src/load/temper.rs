//! How a client misbehaves within what the protocol allows, by chance and by seed.

use std::ops::Range;
use std::time::Duration;

use fastrand::Rng;

/// How likely each misdeed is, and how long it takes.
#[derive(Clone, Debug)]
pub(super) struct Traits {
    /// Of all copies, those that are not acknowledged.
    pub(super) drops_ack: f64,
    /// Of all copies, those that are acknowledged late.
    pub(super) delays_ack: f64,
    /// How late.
    pub(super) delay: Range<Duration>,
    /// Of all messages, those that are sent twice.
    pub(super) sends_twice: f64,
    /// How long a client stays connected on average; none that it stays.
    pub(super) stays: Option<Duration>,
    /// How long it is away then.
    pub(super) away: Range<Duration>,
}

/// One client's own chance.
#[derive(Clone, Debug)]
pub(super) struct Temper {
    traits: Traits,
    rng: Rng,
    /// When it leaves; nanoseconds of the run.
    pub(super) leaves_at: u64,
}

/// What becomes of the acknowledgement of a copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ack {
    Now,
    Never,
    /// So many nanoseconds later.
    Late(u64),
}

impl Temper {
    pub(super) fn new(traits: Traits, seed: u64) -> Temper {
        Temper {
            traits,
            rng: Rng::with_seed(seed),
            leaves_at: u64::MAX,
        }
    }

    pub(super) fn ack(&mut self) -> Ack {
        let chance = self.rng.f64();
        let traits = &self.traits;
        if chance < traits.drops_ack {
            Ack::Never
        } else if chance < traits.drops_ack + traits.delays_ack {
            let delay = traits.delay.clone();
            Ack::Late(within(&mut self.rng, &delay))
        } else {
            Ack::Now
        }
    }

    /// Whether it sends this message a second time.
    pub(super) fn sends_twice(&mut self) -> bool {
        self.rng.f64() < self.traits.sends_twice
    }

    /// Whether it leaves without a word.
    pub(super) fn cuts(&mut self) -> bool {
        self.rng.bool()
    }

    /// It has come: settles when it leaves.
    pub(super) fn came(&mut self, now: u64) {
        let Some(stays) = self.traits.stays else {
            return;
        };
        // The time between two events of a kind that has no memory.
        let part = -(1.0 - self.rng.f64()).ln();
        self.leaves_at = now + stays.mul_f64(part.min(20.0)).as_nanos() as u64;
    }

    /// It leaves: how long it is away, nanoseconds.
    pub(super) fn goes(&mut self) -> u64 {
        self.leaves_at = u64::MAX;
        let away = self.traits.away.clone();
        within(&mut self.rng, &away)
    }
}

fn within(rng: &mut Rng, range: &Range<Duration>) -> u64 {
    let (low, high) = (range.start.as_nanos() as u64, range.end.as_nanos() as u64);
    rng.u64(low..high.max(low + 1))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_does_the_same() {
        let deeds = |seed| {
            let mut temper = Temper::new(traits(), seed);
            (0..100).map(|_| temper.ack()).collect::<Vec<_>>()
        };
        assert_eq!(deeds(7), deeds(7));
        assert_ne!(deeds(7), deeds(8));
    }

    #[test]
    fn misdeeds_are_about_as_many_as_they_are_to_be() {
        let mut temper = Temper::new(traits(), 1);
        let acks: Vec<_> = (0..10_000).map(|_| temper.ack()).collect();
        let never = acks.iter().filter(|ack| **ack == Ack::Never).count();
        let now = acks.iter().filter(|ack| **ack == Ack::Now).count();
        assert!((800..1_200).contains(&never) && (6_600..7_400).contains(&now));
        let late = |ack: &Ack| match ack {
            Ack::Late(by) => (1_000_000..2_000_000).contains(by),
            _ => true,
        };
        assert!(acks.iter().all(late));
    }

    fn traits() -> Traits {
        Traits {
            drops_ack: 0.1,
            delays_ack: 0.2,
            delay: Duration::from_millis(1)..Duration::from_millis(2),
            sends_twice: 0.1,
            stays: None,
            away: Duration::ZERO..Duration::ZERO,
        }
    }
}
