//! The retry ladder as a table of gaps.

use std::sync::Arc;

/// Offsets in milliseconds from the first copy at which each copy leaves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schedule(Arc<[u64]>);

impl Schedule {
    /// Sums gaps into offsets: `[0, 1500, 1500]` leaves at 0, 1500 and 3000 ms.
    pub fn from_gaps(gaps: &[u64]) -> Schedule {
        let mut at = 0u64;
        Schedule(
            gaps.iter()
                .map(|gap| {
                    at = at.saturating_add(*gap);
                    at
                })
                .collect(),
        )
    }

    /// When copy number `attempt` (from 0) leaves, if there is one.
    pub fn offset(&self, attempt: usize) -> Option<u64> {
        self.0.get(attempt).copied()
    }

    /// How many copies there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The gaps before each copy, milliseconds.
    pub fn gaps(&self) -> Vec<u64> {
        let before = std::iter::once(0).chain(self.0.iter().copied());
        let gaps = self.0.iter().zip(before);
        gaps.map(|(at, before)| at - before).collect()
    }

    /// Whether `attempt` (from 0) is the last copy.
    pub fn is_last(&self, attempt: usize) -> bool {
        attempt + 1 >= self.0.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_numbers_are_gaps() {
        let schedule = Schedule::from_gaps(&[0, 1500, 1500, 3000, 1000, 3000, 5000]);
        let offsets: Vec<u64> = (0..).map_while(|n| schedule.offset(n)).collect();
        assert_eq!(offsets, [0, 1500, 3000, 6000, 7000, 10000, 15000]);
        assert!(schedule.is_last(6));
        assert!(!schedule.is_last(5));
    }
}
