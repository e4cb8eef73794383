//! The rules of telling who comes and goes: whoever is back soon was not away, and only the latest state is told.

use std::collections::{BTreeSet, HashMap, VecDeque};

use crate::id::Uid;

/// What may be told at once, as microseconds of the pace.
const TURN_US: u64 = 100_000;

/// Whose coming and going is still to be told, and who is known to be there.
#[derive(Debug, Default)]
pub struct Watch {
    linger_ms: u64,
    /// Those of whom it was told, or is to be, that they are there; with when that is over, Unix milliseconds.
    there: HashMap<Uid, Option<u64>>,
    /// Those who have gone, by when that is to be told.
    leaving: BTreeSet<(u64, Uid)>,
    /// Who is to be told of, in turn, each once.
    queue: VecDeque<Uid>,
    queued: HashMap<Uid, bool>,
}

impl Watch {
    /// Nobody is there; who goes is told of after `linger_ms` milliseconds.
    pub fn new(linger_ms: u64) -> Watch {
        Watch {
            linger_ms,
            ..Watch::default()
        }
    }

    /// At `now` that user is there, or not.
    pub fn changed(&mut self, now: u64, uid: Uid, is_there: bool) {
        match (is_there, self.there.get(&uid).copied()) {
            (true, None) => {
                self.there.insert(uid, None);
                self.tell(uid, true);
            }
            (true, Some(Some(at))) => {
                self.leaving.remove(&(at, uid));
                self.there.insert(uid, None);
            }
            (false, Some(None)) => {
                let at = now.saturating_add(self.linger_ms);
                self.there.insert(uid, Some(at));
                self.leaving.insert((at, uid));
            }
            (true, Some(None)) | (false, None) | (false, Some(Some(_))) => {}
        }
    }

    /// The next one to be told of, and whether they are there.
    pub fn next(&mut self, now: u64) -> Option<(Uid, bool)> {
        while let Some((at, uid)) = self.leaving.first().copied() {
            if at > now {
                break;
            }
            self.leaving.pop_first();
            self.there.remove(&uid);
            self.tell(uid, false);
        }
        let uid = self.queue.pop_front()?;
        let is_there = self.queued.remove(&uid)?;
        Some((uid, is_there))
    }

    /// When [`Watch::next`] has something, Unix milliseconds; none while nobody leaves.
    pub fn deadline(&self) -> Option<u64> {
        match self.queue.is_empty() {
            true => self.leaving.first().map(|(at, _)| *at),
            false => Some(0),
        }
    }

    fn tell(&mut self, uid: Uid, is_there: bool) {
        if self.queued.insert(uid, is_there).is_none() {
            self.queue.push_back(uid);
        }
    }
}

/// How fast may be told of anybody: so many notices a second, and no more because those about one user go together.
#[derive(Debug)]
pub struct Pace {
    per_second: u64,
    /// When what was told is paid off, microseconds.
    free_at_us: u64,
    /// Whether nobody is told before that.
    rests: bool,
}

impl Pace {
    /// So many a second; 0 sets no bound.
    pub fn new(per_second: u64) -> Pace {
        Pace {
            per_second,
            free_at_us: 0,
            rests: false,
        }
    }

    /// How long nobody is to be told, microseconds, at a time that only rises.
    pub fn rest_us(&mut self, now_us: u64) -> u64 {
        let owed = self.free_at_us.saturating_sub(now_us);
        self.free_at_us = self.free_at_us.max(now_us);
        // A turn's worth goes at once: whoever tells need not wake for each.
        self.rests = owed >= TURN_US || self.rests && owed > 0;
        if self.rests { owed } else { 0 }
    }

    /// So many notices were sent.
    pub fn told(&mut self, notices: u64) {
        let cost_us = notices
            .saturating_mul(1_000_000)
            .checked_div(self.per_second);
        self.free_at_us = self.free_at_us.saturating_add(cost_us.unwrap_or(0));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOB: Uid = Uid(2);

    fn told(watch: &mut Watch, now: u64) -> Vec<(u64, bool)> {
        std::iter::from_fn(|| watch.next(now))
            .map(|(uid, is_there)| (uid.0, is_there))
            .collect()
    }

    #[test]
    fn coming_is_told_at_once_and_going_after_a_while() {
        let mut watch = Watch::new(100);
        watch.changed(0, BOB, true);
        assert_eq!(told(&mut watch, 0), [(2, true)]);
        watch.changed(10, BOB, false);
        assert_eq!(watch.deadline(), Some(110));
        assert_eq!(told(&mut watch, 109), []);
        assert_eq!(told(&mut watch, 110), [(2, false)]);
        assert_eq!(watch.deadline(), None);
    }

    #[test]
    fn who_is_back_soon_was_not_away() {
        let mut watch = Watch::new(100);
        watch.changed(0, BOB, true);
        told(&mut watch, 0);
        watch.changed(10, BOB, false);
        watch.changed(50, BOB, true);
        assert_eq!(told(&mut watch, 500), []);
    }

    #[test]
    fn of_one_who_comes_and_goes_before_anybody_is_told_only_the_last_state_is_told() {
        let mut watch = Watch::new(0);
        watch.changed(0, BOB, true);
        watch.changed(1, BOB, false);
        watch.changed(1, Uid(3), true);
        assert_eq!(told(&mut watch, 1), [(2, false), (3, true)]);
    }

    /// When notices about that many contacts each are sent in these milliseconds.
    fn times(per_second: u64, contacts: u64, until_ms: u64) -> Vec<u64> {
        let mut pace = Pace::new(per_second);
        let mut times = Vec::new();
        for ms in 0..until_ms {
            while times.len() < 100_000 && pace.rest_us(ms * 1000) == 0 {
                times.push(ms);
                pace.told(contacts);
            }
        }
        times
    }

    #[test]
    fn the_pace_is_held_however_slow_it_is() {
        assert_eq!(times(1, 1, 3500), [0, 1000, 2000, 3000]);
        assert_eq!(times(4, 1, 1001), [0, 250, 500, 750, 1000]);
        assert_eq!(times(2000, 1, 10_000).len(), 2000 * 10);
    }

    #[test]
    fn what_is_too_much_for_one_turn_is_taken_from_the_next() {
        assert_eq!(times(10, 50, 10_001), [0, 5000, 10_000]);
        assert_eq!(times(2000, 500, 1001), [0, 250, 500, 750, 1000]);
    }

    #[test]
    fn without_a_bound_nobody_waits() {
        assert_eq!(times(0, 1, 1).len(), 100_000);
    }
}
