//! What is read beside the commits, and what is found.

use std::sync::Arc;

use crate::id::{Cid, Did, MsgId, Seq, Uid};

use super::chat::{Listed, Receiver, Side};
use super::contact::{ContactView, Tie};
use super::group::{GroupView, MemberView};
use super::{Message, Page, Read};

/// A question to the readers. Whoever asks has seen to it that the answer may be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Look {
    /// Rows of an inbox.
    Rows(Read),
    /// Rows of an inbox that belong to one conversation.
    RowsOf(Read, Cid),
    /// Messages of a conversation.
    History {
        /// The conversation.
        cid: Cid,
        /// The first place that may be shown.
        first: Seq,
        /// The last one.
        head: Seq,
        /// Which part.
        side: Side,
        /// At most this many.
        limit: usize,
        /// Stops before a message that would make the page longer, bytes; one there is always.
        max_bytes: usize,
    },
    /// The conversations of a user, the latest first.
    Chats {
        /// The user.
        uid: Uid,
        /// Those whose last message was accepted before that, as [`Behind`] reads it.
        before: Option<u64>,
        /// At most this many.
        limit: usize,
        /// Stops before an entry that would make the page longer, bytes; one there is always.
        max_bytes: usize,
    },
    /// One of them.
    Chat {
        /// The user.
        uid: Uid,
        /// The conversation.
        cid: Cid,
    },
    /// What the members have of a message of whoever asks.
    Receipts {
        /// Its author.
        from: Uid,
        /// The group.
        gid: Cid,
        /// The message's id.
        id: MsgId,
        /// Members above that one.
        after: Option<Uid>,
        /// At most this many.
        limit: usize,
    },
    /// A group, as a member sees it.
    Group {
        /// Who looks.
        uid: Uid,
        /// The group.
        gid: Cid,
    },
    /// The groups of a user.
    Groups {
        /// The user.
        uid: Uid,
        /// Those above that one.
        after: Option<Cid>,
        /// At most this many.
        limit: usize,
    },
    /// The members of a group.
    Members {
        /// The group.
        gid: Cid,
        /// Those above that one.
        after: Option<Uid>,
        /// At most this many.
        limit: usize,
    },
    /// The contacts of a user, or whom they have blocked.
    Contacts {
        /// The user.
        uid: Uid,
        /// Which.
        which: Which,
        /// Those above that one.
        after: Option<Uid>,
        /// At most this many.
        limit: usize,
    },
    /// The devices that a user is known by.
    Devices(Uid),
    /// Of which of these a user may know whether they are there.
    Visible {
        /// The user.
        to: Uid,
        /// The others.
        of: Vec<Uid>,
    },
}

/// A part of somebody's list of others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    /// Everybody with a tie.
    All,
    /// Those with this tie.
    Tied(Tie),
    /// Whom they have blocked.
    Blocked,
}

/// What the readers found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// To [`Look::Rows`] and [`Look::RowsOf`].
    Rows(Page),
    /// To [`Look::History`].
    History(History),
    /// To [`Look::Chats`].
    Chats(Chats),
    /// To [`Look::Chat`]; none if the user does not take part.
    Chat(Option<Listed>),
    /// To [`Look::Receipts`]; none if the group has no such message that is still known.
    Receipts(Option<Listing<Receiver, Uid>>),
    /// To [`Look::Group`]; none if the user is no member.
    Group(Option<GroupView>),
    /// To [`Look::Groups`].
    Groups(Listing<GroupView, Cid>),
    /// To [`Look::Members`].
    Members(Listing<MemberView, Uid>),
    /// To [`Look::Contacts`].
    Contacts(Listing<ContactView, Uid>),
    /// To [`Look::Devices`].
    Devices(Vec<KnownDevice>),
    /// To [`Look::Visible`], in its order.
    Visible(Vec<bool>),
}

/// A device that is remembered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownDevice {
    /// Its name.
    pub did: Did,
    /// When it was there last, Unix milliseconds, as far as that was written down.
    pub seen_ms: u64,
    /// At most how many rows wait for it.
    pub behind: u64,
}

/// A part of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listing<T, Key> {
    /// What is in it.
    pub items: Vec<T>,
    /// Ask for those above this one next; none at the end.
    pub next: Option<Key>,
}

impl<T, Key> Default for Listing<T, Key> {
    fn default() -> Listing<T, Key> {
        Listing {
            items: Vec::new(),
            next: None,
        }
    }
}

/// Messages of a conversation in the order of their places.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct History {
    /// Those that are there, revoked ones without their payload.
    pub messages: Vec<Arc<Message>>,
    /// Ask from this place next, on the same side.
    pub next: Seq,
    /// Whether there may be more on that side.
    pub more: bool,
}

/// Where a list of conversations goes on. Clients give it back as they got it: a time, or amid the conversations of one
/// millisecond a number above every time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Behind {
    /// Those whose last message was accepted before that, Unix milliseconds.
    pub before_ms: u64,
    /// And so many of those whose last one was accepted at that very time. What leaves them meanwhile is at the top of the
    /// list, so none is passed over.
    pub left: u64,
}

impl Behind {
    /// Where the number says whether there are any left of its millisecond: doubles hold all that are below twice that.
    const AMID: u64 = 1 << 52;
    /// Bits of a time: it lasts until 2109.
    const MS_BITS: u32 = 42;
    /// How many may be left.
    pub const LEFT_MAX: u64 = 1023;

    /// Reads a number of a client's.
    pub fn of(number: u64) -> Behind {
        if !(Behind::AMID..2 * Behind::AMID).contains(&number) {
            return Behind {
                before_ms: number,
                left: 0,
            };
        }
        Behind {
            before_ms: number & ((1 << Behind::MS_BITS) - 1),
            left: (number >> Behind::MS_BITS) & Behind::LEFT_MAX,
        }
    }

    /// The number for the client; none if there is none for so many, or for that time.
    pub fn number(self) -> Option<u64> {
        match self.left {
            0 => Some(self.before_ms),
            1..=Behind::LEFT_MAX if self.before_ms >> Behind::MS_BITS == 0 => {
                Some(Behind::AMID | self.left << Behind::MS_BITS | self.before_ms)
            }
            _ => None,
        }
    }
}

/// Conversations, the latest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Chats {
    /// They.
    pub chats: Vec<Listed>,
    /// Ask for those before this next.
    pub next: u64,
    /// Whether there may be more.
    pub more: bool,
}
