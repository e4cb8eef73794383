//! The rules of one conversation: its sequence, who has read how far, and what still counts as unread.

use serde::{Deserialize, Serialize};

use crate::id::{Seq, Uid};

use super::group::Group;
use super::ranges::Ranges;

/// Ranges of own messages that are told apart above the read mark: beyond it, what stands between the lowest two is not
/// counted as unread.
const OWN_MAX: usize = 256;

/// Ranges of places without a message that are kept: beyond it the lowest is forgotten, which then counts as unread by
/// whoever has read no further, and is read past.
const VOIDS_MAX: usize = 1024;

/// A wider range is never forgotten: a restore has passed over it, and nobody reads past so many places one by one.
const WIDE: u64 = 1 << 16;

/// Everything that is known of a conversation besides its messages and members.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Conversation {
    head: Seq,
    /// When its last message was accepted, Unix milliseconds.
    updated_ms: u64,
    /// How long its messages live, milliseconds; 0 is for ever.
    expire_ms: u64,
    /// Places without a message that anybody could read.
    voids: Ranges,
    /// Whose it is.
    pub parties: Parties,
}

/// Who takes part.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Parties {
    /// Two users, the lower number first; somebody may talk to themselves.
    Two([(Uid, Place); 2]),
    /// The members of a group, who are records of their own.
    Group(Group),
}

/// How far somebody has read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    read: Seq,
    /// Own messages above that.
    own: Ranges,
}

impl Place {
    /// The place of somebody for whom everything up to there does not count.
    pub fn at(read: Seq) -> Place {
        Place {
            read,
            own: Ranges::new(),
        }
    }

    /// How far it is read.
    pub fn read(&self) -> Seq {
        self.read
    }

    /// An own message stands at that place.
    pub fn wrote(&mut self, cseq: Seq) {
        self.own.insert(cseq, cseq);
        if self.own.iter().count() > OWN_MAX {
            self.own.close_lowest_gap();
        }
    }

    /// Everything up to there is read; true if that is news.
    pub fn mark(&mut self, up_to: Seq) -> bool {
        if up_to <= self.read {
            return false;
        }
        self.read = up_to;
        self.own.subtract(&Ranges::span(1, up_to));
        true
    }
}

impl Conversation {
    /// One without a message, whose first place comes after `start`.
    pub fn new(parties: Parties, now: u64, start: Seq) -> Conversation {
        Conversation {
            head: start,
            updated_ms: now,
            expire_ms: 0,
            voids: Ranges::span(1, start),
            parties,
        }
    }

    /// One between two users.
    pub fn between(a: Uid, b: Uid, now: u64, start: Seq) -> Conversation {
        let (low, high) = (a.min(b), a.max(b));
        let place = Place::at(start);
        let parties = Parties::Two([(low, place.clone()), (high, place)]);
        Conversation::new(parties, now, start)
    }

    /// The last place that was given out.
    pub fn head(&self) -> Seq {
        self.head
    }

    /// When its last message was accepted, Unix milliseconds.
    pub fn updated_ms(&self) -> u64 {
        self.updated_ms
    }

    /// How long its messages live, milliseconds; 0 is for ever.
    pub fn expire_ms(&self) -> u64 {
        self.expire_ms
    }

    /// Messages that are accepted from here on live so long, milliseconds; 0 is for ever.
    pub fn set_expiry(&mut self, expire_ms: u64) {
        self.expire_ms = expire_ms;
    }

    /// When a message that is accepted at `now` must be gone, if its author has named that time, or none.
    pub fn expires_at(&self, now: u64, named: Option<u64>) -> Option<u64> {
        let own = (self.expire_ms > 0).then(|| now.saturating_add(self.expire_ms));
        named.into_iter().chain(own).min()
    }

    /// Gives out the next place.
    pub fn append(&mut self, now: u64) -> Seq {
        self.head += 1;
        self.updated_ms = self.updated_ms.max(now);
        self.head
    }

    /// Passes over the next `by` places, for everyone.
    pub fn skip(&mut self, by: Seq) {
        let first = self.head + 1;
        self.head = self.head.saturating_add(by);
        self.voids.insert(first, self.head);
    }

    /// Takes in messages up to there, which a conversation that is older than they are does not know.
    pub fn reach(&mut self, last: Seq) {
        self.head = self.head.max(last);
    }

    /// Nobody can read what stood at that place.
    pub fn void(&mut self, cseq: Seq) {
        self.voids.insert(cseq, cseq);
        if self.voids.iter().count() > VOIDS_MAX {
            self.voids.drop_lowest_below(WIDE);
        }
    }

    /// The nearest place up to that one that is not void; 0 if there is none.
    pub fn readable_up_to(&self, cseq: Seq) -> Seq {
        self.voids.last_gap(cseq)
    }

    /// The nearest place from that one on that is not void.
    pub fn readable_from(&self, cseq: Seq) -> Seq {
        self.voids.first_gap(cseq)
    }

    /// Messages of others above the place that can be read.
    pub fn unread(&self, place: &Place) -> u64 {
        let above = Ranges::span(place.read.saturating_add(1), self.head);
        let others = above.difference(&place.own);
        others.difference(&self.voids).len()
    }

    /// The place of one of two users.
    pub fn place(&self, uid: Uid) -> Option<&Place> {
        let Parties::Two(two) = &self.parties else {
            return None;
        };
        two.iter().find(|(own, _)| *own == uid).map(|(_, p)| p)
    }

    /// The same, to be changed.
    pub fn place_mut(&mut self, uid: Uid) -> Option<&mut Place> {
        let Parties::Two(two) = &mut self.parties else {
            return None;
        };
        two.iter_mut().find(|(own, _)| *own == uid).map(|(_, p)| p)
    }

    /// The other of two users; oneself in a conversation with oneself.
    pub fn peer(&self, uid: Uid) -> Option<Uid> {
        match &self.parties {
            Parties::Two([(low, _), (high, _)]) if *high == uid => Some(*low),
            Parties::Two([(low, _), (high, _)]) if *low == uid => Some(*high),
            _ => None,
        }
    }

    /// The group, if it is one.
    pub fn group(&self) -> Option<&Group> {
        match &self.parties {
            Parties::Group(group) => Some(group),
            Parties::Two(_) => None,
        }
    }

    /// The same, to be changed.
    pub fn group_mut(&mut self) -> Option<&mut Group> {
        match &mut self.parties {
            Parties::Group(group) => Some(group),
            Parties::Two(_) => None,
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn two() -> Conversation {
        Conversation::between(Uid(9), Uid(2), 100, 0)
    }

    #[test]
    fn places_are_given_out_without_a_gap() {
        let mut conversation = two();
        assert_eq!([1, 2, 3], [(); 3].map(|()| conversation.append(200)));
        assert_eq!(conversation.updated_ms(), 200);
    }

    #[test]
    fn what_others_wrote_above_the_mark_is_unread() {
        let mut conversation = two();
        for writer in [2, 9, 9, 2, 9] {
            let cseq = conversation.append(200);
            conversation.place_mut(Uid(writer)).unwrap().wrote(cseq);
        }
        let unread = |c: &Conversation, uid| c.unread(c.place(Uid(uid)).unwrap());
        assert_eq!((unread(&conversation, 2), unread(&conversation, 9)), (3, 2));
        assert!(conversation.place_mut(Uid(2)).unwrap().mark(2));
        assert_eq!(unread(&conversation, 2), 2);
        assert!(!conversation.place_mut(Uid(2)).unwrap().mark(1));
        conversation.void(3);
        assert_eq!(unread(&conversation, 2), 1);
    }

    #[test]
    fn a_writer_who_never_reads_stays_bounded_and_has_read_nothing() {
        let mut place = Place::default();
        for n in 0..1000 {
            place.wrote(2 * n + 1);
        }
        assert!(place.own.iter().count() <= OWN_MAX);
        assert_eq!(place.read(), 0, "nobody has read for them");
    }

    #[test]
    fn places_without_a_message_are_kept_within_bounds_and_the_wide_ones_for_good() {
        let mut conversation = two();
        conversation.append(1);
        conversation.skip(1 << 32);
        let first = conversation.head() + 1;
        for n in 0..3000 {
            let cseq = conversation.append(1);
            if n % 2 == 1 {
                conversation.void(cseq);
            }
        }
        assert_eq!(conversation.voids.iter().count(), VOIDS_MAX);
        assert_eq!(conversation.readable_up_to(first - 1), 1);
        assert_eq!(conversation.readable_from(2), first);
        let last = conversation.head();
        assert_eq!(conversation.readable_up_to(last), last - 1);
        // What was forgotten counts as unread, and nothing that was not said.
        let unread = conversation.unread(&Place::default());
        assert_eq!(unread, 1 + 3000 - (VOIDS_MAX as u64 - 1));
    }

    #[test]
    fn the_earlier_of_two_expiries_counts() {
        let mut conversation = two();
        assert_eq!(conversation.expires_at(100, None), None);
        assert_eq!(conversation.expires_at(100, Some(7)), Some(7));
        conversation.set_expiry(50);
        assert_eq!(conversation.expires_at(100, None), Some(150));
        assert_eq!(conversation.expires_at(100, Some(120)), Some(120));
        assert_eq!(conversation.expires_at(100, Some(190)), Some(150));
    }

    #[test]
    fn somebody_may_talk_to_themselves() {
        let conversation = Conversation::between(Uid(3), Uid(3), 0, 0);
        assert_eq!(conversation.peer(Uid(3)), Some(Uid(3)));
        assert_eq!(conversation.peer(Uid(4)), None);
    }

    #[test]
    fn a_skipped_place_is_nobodys_unread() {
        let mut conversation = two();
        conversation.append(1);
        conversation.skip(1 << 32);
        conversation.append(1);
        assert_eq!(conversation.unread(&Place::default()), 2);
    }
}
