//! A set of sequence numbers, kept as sorted ranges: a cursor and the islands above it.

use serde::{Deserialize, Serialize};
use smallvec::SmallVec;

use crate::id::Seq;

/// Most sets are one range, and need no memory of their own.
type List = SmallVec<[(Seq, Seq); 1]>;

/// Inclusive ranges, sorted, neither overlapping nor adjacent. Sequence numbers start at 1.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<(Seq, Seq)>")]
pub struct Ranges(List);

/// Says that a list of ranges is not one that this module writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("ranges that are out of order")]
pub struct OutOfOrder;

impl TryFrom<Vec<(Seq, Seq)>> for Ranges {
    type Error = OutOfOrder;

    /// Takes the list as it was stored; arithmetic over one that was damaged would wrap.
    fn try_from(list: Vec<(Seq, Seq)>) -> Result<Ranges, OutOfOrder> {
        let mut after = 0;
        for (first, last) in &list {
            // One number at least lies between two ranges, 0 before the first, and one behind the last.
            if *first <= after || last < first || *last == Seq::MAX {
                return Err(OutOfOrder);
            }
            after = last + 1;
        }
        Ok(Ranges(list.into()))
    }
}

impl Ranges {
    /// The empty set.
    pub fn new() -> Ranges {
        Ranges(List::new())
    }

    /// The numbers from `first` to `last`.
    pub fn span(first: Seq, last: Seq) -> Ranges {
        let mut ranges = Ranges::new();
        ranges.insert(first, last);
        ranges
    }

    /// Adds the numbers from `first` to `last`; nothing when `first > last`.
    pub fn insert(&mut self, first: Seq, last: Seq) {
        if first > last {
            return;
        }
        if let Some(end) = self.0.last_mut()
            && first > end.1
        {
            if first == end.1 + 1 {
                end.1 = last;
            } else {
                self.0.push((first, last));
            }
            return;
        }
        // Everything that overlaps or touches [first, last] melts into one range.
        let from = self.0.partition_point(|r| r.1.saturating_add(1) < first);
        let to = self.0.partition_point(|r| r.0 <= last.saturating_add(1));
        if from >= to {
            return self.0.insert(from, (first, last));
        }
        let merged = (first.min(self.0[from].0), last.max(self.0[to - 1].1));
        self.0[from] = merged;
        self.0.drain(from + 1..to);
    }

    /// Adds every number of `other`.
    pub fn union(&mut self, other: &Ranges) {
        for (first, last) in other.iter() {
            self.insert(first, last);
        }
    }

    /// Takes every number of `other` away.
    pub fn subtract(&mut self, other: &Ranges) {
        for (first, last) in other.iter() {
            self.remove(first, last);
        }
    }

    /// Takes the numbers from `first` to `last` away.
    pub fn remove(&mut self, first: Seq, last: Seq) {
        if first > last {
            return;
        }
        let from = self.0.partition_point(|r| r.1 < first);
        let to = self.0.partition_point(|r| r.0 <= last);
        if from >= to {
            return;
        }
        let head = (self.0[from].0 < first).then(|| (self.0[from].0, first - 1));
        let tail = (self.0[to - 1].1 > last).then(|| (last + 1, self.0[to - 1].1));
        self.0.drain(from..to);
        self.0.insert_many(from, head.into_iter().chain(tail));
    }

    /// The numbers that are in both.
    pub fn intersection(&self, other: &Ranges) -> Ranges {
        let (mut i, mut j, mut both) = (0, 0, List::new());
        while let (Some(a), Some(b)) = (self.0.get(i), other.0.get(j)) {
            let (first, last) = (a.0.max(b.0), a.1.min(b.1));
            if first <= last {
                both.push((first, last));
            }
            if a.1 < b.1 { i += 1 } else { j += 1 }
        }
        Ranges(both)
    }

    /// The numbers that are here and not in `other`.
    pub fn difference(&self, other: &Ranges) -> Ranges {
        let mut rest = self.clone();
        rest.subtract(other);
        rest
    }

    /// The part from `first` to `last`.
    pub fn within(&self, first: Seq, last: Seq) -> Ranges {
        self.intersection(&Ranges::span(first, last))
    }

    /// The first number in the set from `from` on.
    pub fn first_from(&self, from: Seq) -> Option<Seq> {
        let at = self.0.partition_point(|r| r.1 < from);
        self.0.get(at).map(|(first, _)| from.max(*first))
    }

    /// Whether `seq` is in the set.
    pub fn contains(&self, seq: Seq) -> bool {
        let at = self.0.partition_point(|r| r.1 < seq);
        self.0.get(at).is_some_and(|r| r.0 <= seq)
    }

    /// How many numbers it holds.
    pub fn len(&self) -> u64 {
        self.0.iter().map(|(first, last)| last - first + 1).sum()
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The highest number up to which all are in the set; 0 if 1 is not.
    pub fn cursor(&self) -> Seq {
        match self.0.first() {
            Some((1, last)) => *last,
            _ => 0,
        }
    }

    /// The highest number in the set.
    pub fn last(&self) -> Option<Seq> {
        self.0.last().map(|r| r.1)
    }

    /// The first number from `from` on that is not in the set.
    pub fn first_gap(&self, from: Seq) -> Seq {
        let at = self.0.partition_point(|r| r.1 < from);
        match self.0.get(at) {
            Some((first, last)) if *first <= from => last + 1,
            _ => from,
        }
    }

    /// The last number up to `to` that is not in the set; 0 if there is none.
    pub fn last_gap(&self, to: Seq) -> Seq {
        let at = self.0.partition_point(|r| r.1 < to);
        match self.0.get(at) {
            Some((first, _)) if *first <= to => first - 1,
            _ => to,
        }
    }

    /// Takes in what is between the two lowest ranges, which it returns.
    pub fn close_lowest_gap(&mut self) -> Option<(Seq, Seq)> {
        let (first, second) = (*self.0.first()?, *self.0.get(1)?);
        self.insert(first.1 + 1, second.0 - 1);
        Some((first.1 + 1, second.0 - 1))
    }

    /// Drops the lowest range of fewer than `wide` numbers.
    pub fn drop_lowest_below(&mut self, wide: u64) {
        let mut ranges = self.0.iter();
        if let Some(at) = ranges.position(|(first, last)| last - first + 1 < wide) {
            self.0.remove(at);
        }
    }

    /// The last number of the gap that `from` lies in, not above `bound`.
    pub fn gap_end(&self, from: Seq, bound: Seq) -> Seq {
        let at = self.0.partition_point(|r| r.0 <= from);
        match self.0.get(at) {
            Some((first, _)) => (first - 1).min(bound),
            None => bound,
        }
    }

    /// The ranges in order.
    pub fn iter(&self) -> impl Iterator<Item = (Seq, Seq)> + '_ {
        self.0.iter().copied()
    }

    /// The numbers in order.
    pub fn values(&self) -> impl Iterator<Item = Seq> + '_ {
        self.0.iter().flat_map(|(first, last)| *first..=*last)
    }
}

impl FromIterator<Seq> for Ranges {
    fn from_iter<I: IntoIterator<Item = Seq>>(seqs: I) -> Ranges {
        let mut ranges = Ranges::new();
        for seq in seqs {
            ranges.insert(seq, seq);
        }
        ranges
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn of(set: &BTreeSet<Seq>) -> Ranges {
        set.iter().copied().collect()
    }

    #[test]
    fn it_behaves_as_a_plain_set_does() {
        let mut rng = fastrand::Rng::with_seed(7);
        for _ in 0..200 {
            let (mut ranges, mut plain) = (Ranges::new(), BTreeSet::new());
            let mut other = BTreeSet::new();
            for _ in 0..60 {
                let first = rng.u64(1..40);
                let last = first + rng.u64(0..6);
                if rng.u8(..) < 170 {
                    ranges.insert(first, last);
                    plain.extend(first..=last);
                } else {
                    ranges.remove(first, last);
                    plain.retain(|n| !(first..=last).contains(n));
                }
                other.insert(rng.u64(1..45));
                assert_eq!(ranges, of(&plain));
                assert_eq!(ranges.len(), plain.len() as u64);
                let probe = rng.u64(1..48);
                assert_eq!(ranges.contains(probe), plain.contains(&probe));
                let gap = (probe..).find(|n| !plain.contains(n));
                assert_eq!(Some(ranges.first_gap(probe)), gap);
                let gap = (1..=probe).rev().find(|n| !plain.contains(n));
                assert_eq!(ranges.last_gap(probe), gap.unwrap_or(0));
                if !plain.contains(&probe) {
                    let end = (probe..60)
                        .take_while(|n| !plain.contains(n))
                        .last()
                        .map(|n| n.min(50));
                    assert_eq!(Some(ranges.gap_end(probe, 50)), end);
                }
            }
            assert_eq!(ranges.values().collect::<BTreeSet<_>>(), plain);
            assert_eq!(
                ranges.intersection(&of(&other)),
                of(&plain.intersection(&other).copied().collect())
            );
            assert_eq!(
                ranges.difference(&of(&other)),
                of(&plain.difference(&other).copied().collect())
            );
        }
    }

    #[test]
    fn a_stored_list_is_taken_only_if_it_could_have_been_written() {
        let good = [
            vec![],
            vec![(1, 1)],
            vec![(1, u64::MAX - 1)],
            vec![(3, 4), (6, 6)],
        ];
        for list in good {
            assert_eq!(Ranges::try_from(list.clone()), Ok(Ranges(list.into())));
        }
        let bad = [
            vec![(0, 1)],
            vec![(2, 1)],
            vec![(3, 4), (5, 6)],
            vec![(3, 4), (1, 1)],
            vec![(1, 5), (2, 3)],
            vec![(1, u64::MAX), (7, 8)],
            vec![(1, u64::MAX)],
        ];
        for list in bad {
            assert_eq!(Ranges::try_from(list), Err(OutOfOrder));
        }
    }

    #[test]
    fn a_set_that_is_too_long_gives_up_its_lowest_gap_or_its_lowest_short_range() {
        let list = [(1, 9), (12, 12), (15, 16)];
        let mut ranges = Ranges::try_from(list.to_vec()).unwrap();
        assert_eq!(ranges.close_lowest_gap(), Some((10, 11)));
        assert!(ranges.iter().eq([(1, 12), (15, 16)]));
        assert_eq!(ranges.close_lowest_gap(), Some((13, 14)));
        assert_eq!(ranges.close_lowest_gap(), None);
        let mut ranges = Ranges::try_from(list.to_vec()).unwrap();
        ranges.drop_lowest_below(9);
        assert!(ranges.iter().eq([(1, 9), (15, 16)]));
        ranges.drop_lowest_below(2);
        assert!(ranges.iter().eq([(1, 9), (15, 16)]));
    }

    #[test]
    fn the_cursor_is_the_end_of_the_unbroken_beginning() {
        assert_eq!(Ranges::new().cursor(), 0);
        assert_eq!(Ranges::span(2, 9).cursor(), 0);
        let mut ranges = Ranges::span(1, 4);
        ranges.insert(6, 7);
        assert_eq!(ranges.cursor(), 4);
        ranges.insert(5, 5);
        assert_eq!(ranges.cursor(), 7);
    }
}
