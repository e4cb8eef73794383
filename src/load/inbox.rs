//! What one device has got on its connection, and what it does not know of the connections before.

use std::collections::VecDeque;

use super::naming::Name;

/// A copy that has come and whose acknowledgement is not confirmed.
#[derive(Clone, Copy, Debug)]
struct Held {
    seq: u64,
    name: Name,
    /// When it was acknowledged last; none if it was not.
    acked: Option<u64>,
    confirmed: bool,
}

/// One device's side.
#[derive(Debug, Default)]
pub(super) struct Inbox {
    /// The highest number on this connection.
    highest: u64,
    /// On this connection, in the order of their numbers.
    held: VecDeque<Held>,
    /// Acknowledged on an earlier connection, which ended before that was confirmed.
    doubtful: VecDeque<Held>,
    /// Of what waited at the login, how much has not come, and up to which number it stands.
    awaited: u64,
    to_seq: u64,
}

/// Where a copy stands among those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// The first on this connection, behind all others.
    Next,
    /// It came before on this connection.
    Repeat,
    /// The first on this connection, behind one that had to come later.
    OutOfOrder,
    /// Another message has this number.
    Taken,
}

impl Inbox {
    /// The connection has ended: whether what was acknowledged on it is durable will turn out at the next login.
    pub(super) fn leave(&mut self) {
        let left = self.held.drain(..).filter(|held| !held.confirmed);
        self.doubtful.extend(left);
        let doubtful = self.doubtful.make_contiguous();
        doubtful.sort_by_key(|held| held.seq);
        self.highest = 0;
        self.awaited = 0;
    }

    /// The summary of a login: `settled` gets what is acknowledged for good, because it does not wait.
    pub(super) fn arrive(&mut self, count: u64, from: u64, to: u64, settled: &mut Vec<Name>) {
        self.to_seq = to;
        self.awaited = count;
        self.settle_below(from, settled);
        if count == 0 {
            self.settle_below(to.saturating_add(1), settled);
        }
    }

    /// A copy has come.
    pub(super) fn take(&mut self, seq: u64, name: Name, settled: &mut Vec<Name>) -> Place {
        if seq <= self.highest {
            return match self.find(seq) {
                Some(held) if held.name == name => Place::Repeat,
                Some(_) => Place::Taken,
                None => Place::OutOfOrder,
            };
        }
        self.highest = seq;
        self.held.push_back(Held {
            seq,
            name,
            acked: None,
            confirmed: false,
        });
        if !self.doubtful.is_empty() {
            self.settle_below(seq, settled);
            if self.doubtful.front().is_some_and(|held| held.seq == seq) {
                self.doubtful.pop_front();
            }
        }
        if self.awaited > 0 && seq <= self.to_seq {
            self.awaited -= 1;
            if self.awaited == 0 {
                self.settle_below(self.to_seq.saturating_add(1), settled);
            }
        }
        Place::Next
    }

    /// The copy of this number is acknowledged now.
    pub(super) fn ack(&mut self, seq: u64, now: u64) -> Option<Name> {
        let held = self.find(seq)?;
        held.acked = Some(now);
        Some(held.name)
    }

    /// Every copy up to this number is acknowledged now.
    pub(super) fn ack_up_to(&mut self, seq: u64, now: u64) {
        let upto = self.held.partition_point(|held| held.seq <= seq);
        self.held
            .range_mut(..upto)
            .for_each(|held| held.acked = Some(now));
    }

    /// The acknowledgement of this number is durable; returns whose that was, if it is not known already.
    pub(super) fn confirm(&mut self, seq: u64) -> Option<Name> {
        let held = self.find(seq).filter(|held| !held.confirmed)?;
        held.confirmed = true;
        let name = held.name;
        self.forget();
        Some(name)
    }

    /// All acknowledgements up to this number are durable; `settled` gets whose those were.
    pub(super) fn confirm_up_to(&mut self, seq: u64, settled: &mut Vec<Name>) {
        let upto = self.held.partition_point(|held| held.seq <= seq);
        for held in self.held.range_mut(..upto) {
            if !std::mem::replace(&mut held.confirmed, true) {
                settled.push(held.name);
            }
        }
        self.forget();
    }

    /// The numbers of copies that were acknowledged before `before` without a confirmation, or never if `also_unacked`.
    pub(super) fn unconfirmed(&self, before: u64, also_unacked: bool) -> impl Iterator<Item = u64> {
        let is_due = move |held: &&Held| {
            !held.confirmed && held.acked.map_or(also_unacked, |acked| acked < before)
        };
        self.held.iter().filter(is_due).map(|held| held.seq)
    }

    /// Whether a new login would tell something.
    pub(super) fn is_doubtful(&self) -> bool {
        !self.doubtful.is_empty()
    }

    fn find(&mut self, seq: u64) -> Option<&mut Held> {
        // Confirmations come in order, mostly.
        if self.held.front().is_some_and(|held| held.seq == seq) {
            return self.held.front_mut();
        }
        let place = self.held.binary_search_by_key(&seq, |held| held.seq).ok()?;
        self.held.get_mut(place)
    }

    fn forget(&mut self) {
        while self.held.front().is_some_and(|held| held.confirmed) {
            self.held.pop_front();
        }
    }

    fn settle_below(&mut self, seq: u64, settled: &mut Vec<Name>) {
        while let Some(held) = self.doubtful.front()
            && held.seq < seq
        {
            // What never was acknowledged is acknowledged by nobody: it will be missed at the end.
            if held.acked.is_some() {
                settled.push(held.name);
            }
            self.doubtful.pop_front();
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    #[test]
    fn copies_in_order_are_next_and_others_are_told_apart() {
        let mut inbox = Inbox::default();
        let mut take = |seq, number| inbox.take(seq, name(number), &mut Vec::new());
        assert_eq!(take(3, 0), Place::Next);
        assert_eq!(take(7, 1), Place::Next);
        assert_eq!(take(3, 0), Place::Repeat);
        assert_eq!(take(7, 2), Place::Taken);
        assert_eq!(take(5, 2), Place::OutOfOrder);
    }

    #[test]
    fn confirmations_in_any_order_are_told_once() {
        let mut inbox = Inbox::default();
        for seq in 1..=4 {
            inbox.take(seq, name(seq), &mut Vec::new());
            inbox.ack(seq, seq);
        }
        assert_eq!(inbox.confirm(2), Some(name(2)));
        assert_eq!(inbox.confirm(2), None);
        assert_eq!(inbox.confirm(1), Some(name(1)));
        assert_eq!(inbox.confirm(9), None);
        let mut settled = Vec::new();
        inbox.confirm_up_to(3, &mut settled);
        assert_eq!(settled, [name(3)]);
        assert_eq!(inbox.unconfirmed(100, false).collect::<Vec<_>>(), [4]);
        assert_eq!(inbox.unconfirmed(4, false).count(), 0);
    }

    #[test]
    fn a_login_tells_what_was_acknowledged_for_good() {
        let mut inbox = left_with(1..=4);
        let mut settled = Vec::new();
        inbox.arrive(1, 3, 4, &mut settled);
        assert_eq!(settled, [name(1), name(2)]);
        settled.clear();
        assert!(inbox.is_doubtful());
        // The third comes again; the fourth does not, and was all that could come.
        inbox.take(3, name(3), &mut settled);
        assert_eq!(settled, [name(4)]);
        assert!(!inbox.is_doubtful());
    }

    #[test]
    fn a_login_where_nothing_waits_settles_all() {
        let mut inbox = left_with(1..=3);
        let mut settled = Vec::new();
        inbox.arrive(0, 4, 3, &mut settled);
        assert_eq!(settled, [name(1), name(2), name(3)]);
    }

    #[test]
    fn what_comes_next_settles_what_was_before_it() {
        let mut inbox = left_with(1..=3);
        let mut settled = Vec::new();
        inbox.arrive(2, 1, 3, &mut settled);
        assert_eq!(settled, []);
        inbox.take(2, name(2), &mut settled);
        assert_eq!(settled, [name(1)]);
    }

    #[test]
    fn what_was_never_acknowledged_is_not_settled_by_its_absence() {
        let mut inbox = Inbox::default();
        inbox.take(1, name(1), &mut Vec::new());
        inbox.leave();
        let mut settled = Vec::new();
        inbox.arrive(0, 2, 1, &mut settled);
        assert_eq!(settled, []);
    }

    fn left_with(seqs: std::ops::RangeInclusive<u64>) -> Inbox {
        let mut inbox = Inbox::default();
        for seq in seqs {
            inbox.take(seq, name(seq), &mut Vec::new());
            inbox.ack(seq, 0);
        }
        inbox.leave();
        inbox
    }

    fn name(number: u64) -> Name {
        Name { flow: 0, number }
    }
}
