//! One message on its way to one device: which copy is due, and when it is given up and parked.

use super::schedule::Schedule;

/// A copy that is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// Its number, from 0.
    pub number: usize,
    /// Whether the delivery ends with it.
    pub last: bool,
}

/// Walks the schedule. The first copy, at offset 0, is the device's own: it leaves in sequence order.
#[derive(Clone, Debug)]
pub struct Delivery {
    schedule: Schedule,
    next: usize,
}

impl Delivery {
    /// A delivery whose first copy has left.
    pub fn after_first(schedule: Schedule) -> Delivery {
        Delivery { schedule, next: 1 }
    }

    /// When the next copy is due, in milliseconds since the first; none when the list is used up.
    pub fn due(&self) -> Option<u64> {
        self.schedule.offset(self.next)
    }

    /// The copy that is due at `elapsed` milliseconds since the first, if any.
    pub fn fire(&mut self, elapsed: u64) -> Option<Attempt> {
        if self.due()? > elapsed {
            return None;
        }
        let number = self.next;
        self.next += 1;
        Some(Attempt {
            number,
            last: self.schedule.is_last(number),
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn copies_leave_when_due_and_never_earlier() {
        let mut delivery = Delivery::after_first(Schedule::from_gaps(&[0, 1500, 1500]));
        assert_eq!(delivery.due(), Some(1500));
        assert_eq!(delivery.fire(1499), None);
        let second = delivery.fire(1500).unwrap();
        assert_eq!((second.number, second.last), (1, false));
        let third = delivery.fire(3000).unwrap();
        assert_eq!((third.number, third.last), (2, true));
        assert_eq!(delivery.due(), None);
        assert_eq!(delivery.fire(99_999), None);
    }
}
