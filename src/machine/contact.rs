//! The rules of contacts: how two users stand to each other, and what one takes from the other.

use serde::{Deserialize, Serialize};

use crate::id::Uid;
use crate::message::Unwanted;
use crate::message::contact::{ContactOrder, ContactView, Tie};

/// How one user stands to another.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Relation {
    /// Whether they are contacts, or one has asked.
    pub tie: Option<Tie>,
    /// Since when, Unix milliseconds.
    pub since_ms: u64,
    /// What was said with the request.
    pub text: Option<Box<str>>,
    /// Whether this one takes nothing from the other.
    pub blocked: bool,
}

/// Why an order about another is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// By what the other has said.
    Unwanted(Unwanted),
    /// The other has not asked.
    NotAsked,
}

/// What a user may have only so much of. What others do to a user counts apart from what that user does: nobody can use
/// up the room for blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bounded {
    /// Contacts, and own requests to become one.
    Ties,
    /// Requests of others whom the user has not blocked.
    Asked,
    /// Blocks.
    Blocks,
}

impl Bounded {
    /// All of them.
    pub const ALL: [Bounded; 3] = [Bounded::Ties, Bounded::Asked, Bounded::Blocks];
}

/// What the other hears of an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    /// They are asked to be a contact.
    Requested,
    /// Both are contacts.
    Confirmed,
}

impl Relation {
    /// Whether nothing is to be remembered.
    pub fn is_empty(&self) -> bool {
        self.tie.is_none() && !self.blocked
    }

    /// Whether this one takes messages of the other, where they have to be contacts or need not.
    pub fn takes(&self, contacts_required: bool) -> Result<(), Unwanted> {
        if self.blocked {
            return Err(Unwanted::InDenylist);
        }
        match contacts_required && self.tie != Some(Tie::Confirmed) {
            true => Err(Unwanted::NotAFriend),
            false => Ok(()),
        }
    }

    /// Whether it is one of those.
    pub fn counts_as(&self, what: Bounded) -> bool {
        match what {
            Bounded::Ties => matches!(self.tie, Some(Tie::Requested | Tie::Confirmed)),
            Bounded::Asked => self.tie == Some(Tie::Pending) && !self.blocked,
            Bounded::Blocks => self.blocked,
        }
    }

    /// How the other looks in this one's list.
    pub fn view(&self, other: Uid) -> ContactView {
        ContactView {
            uid: other,
            tie: self.tie,
            since: self.since_ms,
            text: self.text.clone(),
            blocked: self.blocked,
        }
    }

    fn tied(&mut self, tie: Option<Tie>, now: u64, text: Option<Box<str>>) {
        (self.tie, self.since_ms, self.text) = (tie, now, text);
    }
}

/// Carries an order out on how the one who orders stands to the other, and the other to them.
pub fn order(
    mine: &mut Relation,
    theirs: &mut Relation,
    order: &ContactOrder,
    now: u64,
) -> Result<Option<Told>, Refused> {
    match order {
        ContactOrder::Ask { .. } | ContactOrder::Confirm if mine.tie == Some(Tie::Confirmed) => {
            Ok(None)
        }
        ContactOrder::Ask { .. } | ContactOrder::Confirm if mine.tie == Some(Tie::Pending) => {
            mine.tied(Some(Tie::Confirmed), now, None);
            theirs.tied(Some(Tie::Confirmed), now, None);
            Ok(Some(Told::Confirmed))
        }
        ContactOrder::Confirm => Err(Refused::NotAsked),
        ContactOrder::Ask { .. } if theirs.blocked => Err(Refused::Unwanted(Unwanted::InDenylist)),
        ContactOrder::Ask { text } => {
            let is_news = mine.tie.is_none();
            mine.tied(Some(Tie::Requested), now, text.clone());
            theirs.tied(Some(Tie::Pending), now, text.clone());
            Ok(is_news.then_some(Told::Requested))
        }
        ContactOrder::Remove => {
            mine.tied(None, now, None);
            theirs.tied(None, now, None);
            Ok(None)
        }
        ContactOrder::Block => {
            if !mine.blocked && mine.tie.is_none() {
                mine.since_ms = now;
            }
            mine.blocked = true;
            Ok(None)
        }
        ContactOrder::Unblock => {
            mine.blocked = false;
            Ok(None)
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn ask() -> ContactOrder {
        ContactOrder::Ask { text: None }
    }

    #[test]
    fn who_asks_waits_and_who_was_asked_confirms() {
        let (mut a, mut b) = (Relation::default(), Relation::default());
        assert_eq!(order(&mut a, &mut b, &ask(), 1), Ok(Some(Told::Requested)));
        assert_eq!((a.tie, b.tie), (Some(Tie::Requested), Some(Tie::Pending)));
        assert_eq!(a.takes(true), Err(Unwanted::NotAFriend));
        assert_eq!(
            order(&mut a, &mut b, &ContactOrder::Confirm, 2),
            Err(Refused::NotAsked)
        );
        // Asking back confirms.
        assert_eq!(order(&mut b, &mut a, &ask(), 3), Ok(Some(Told::Confirmed)));
        assert_eq!((a.takes(true), b.takes(true)), (Ok(()), Ok(())));
        assert_eq!(order(&mut a, &mut b, &ask(), 4), Ok(None));
    }

    #[test]
    fn a_repeated_request_is_no_news() {
        let (mut a, mut b) = (Relation::default(), Relation::default());
        order(&mut a, &mut b, &ask(), 1).unwrap();
        assert_eq!(order(&mut a, &mut b, &ask(), 2), Ok(None));
    }

    #[test]
    fn a_block_stands_whatever_the_tie_is() {
        let (mut a, mut b) = (Relation::default(), Relation::default());
        order(&mut a, &mut b, &ContactOrder::Block, 1).unwrap();
        assert_eq!(a.takes(false), Err(Unwanted::InDenylist));
        assert_eq!(b.takes(false), Ok(()));
        assert_eq!(
            order(&mut b, &mut a, &ask(), 2),
            Err(Refused::Unwanted(Unwanted::InDenylist))
        );
        order(&mut a, &mut b, &ContactOrder::Unblock, 3).unwrap();
        assert!(a.is_empty());
    }

    #[test]
    fn removing_ends_it_on_both_sides() {
        let (mut a, mut b) = (Relation::default(), Relation::default());
        order(&mut a, &mut b, &ask(), 1).unwrap();
        order(&mut b, &mut a, &ContactOrder::Confirm, 2).unwrap();
        order(&mut b, &mut a, &ContactOrder::Remove, 3).unwrap();
        assert!(a.is_empty() && b.is_empty());
    }
}
