//! A client: one device of one user, as a thread of the run keeps it.

use std::collections::VecDeque;

use super::inbox::Inbox;
use super::ledger::Ledger;
use super::naming::Name;
use super::temper::Temper;
use super::wire::Wire;

/// A user of the run.
#[derive(Debug)]
pub(super) struct User {
    /// The hashid.
    pub(super) name: String,
    pub(super) token: String,
}

/// One device.
pub(super) struct Client {
    pub(super) user: usize,
    /// Which of its user's devices it is.
    pub(super) device: usize,
    pub(super) did: String,
    pub(super) wire: Option<Wire>,
    pub(super) link: Link,
    /// It is to be connected.
    pub(super) is_wanted: bool,
    /// Since when it is wanted and not connected.
    pub(super) off_since: u64,
    /// Attempts to connect since it was connected last.
    pub(super) attempts: u32,
    /// When it has to be looked at, at the latest.
    pub(super) alarm: u64,
    pub(super) sending: Sending,
    pub(super) inbox: Inbox,
    /// Acknowledgements that are held back: until when, and of which number.
    pub(super) late_acks: VecDeque<(u64, u64)>,
    /// Numbers that one acknowledgement is gathered of.
    pub(super) batch: Vec<u64>,
    /// Acknowledgements that are not answered, and those that wait for some to be.
    pub(super) acks_open: usize,
    pub(super) held_acks: VecDeque<u64>,
    /// Before this time it does not log in again to learn whether acknowledgements of an earlier connection count.
    pub(super) doubts_until: u64,
    pub(super) temper: Option<Temper>,
    /// Messages from before the run wait for it.
    pub(super) has_leftovers: bool,
    /// When what is overdue is looked for again.
    pub(super) check_at: u64,
}

/// How far a connection has got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Link {
    /// There is none; at this time it is tried again if it is wanted.
    Away {
        again: u64,
    },
    /// It has until then to answer.
    Connecting {
        until: u64,
    },
    Shaking {
        until: u64,
    },
    /// The first frame has not come.
    Greeting {
        until: u64,
    },
    On,
}

/// What a client does as a sender.
#[derive(Debug, Default)]
pub(super) struct Sending {
    /// Flows that it is the sender of.
    pub(super) flows: Vec<usize>,
    /// Those of them that may have something to send.
    pub(super) ready: VecDeque<usize>,
    /// Messages that count against the window.
    pub(super) open: usize,
    pub(super) window: usize,
    /// Refused for the moment: to be sent again one after the other.
    pub(super) again: VecDeque<Name>,
    /// The one of them that waits for its answer.
    pub(super) trying: Option<Name>,
    /// Nothing is sent before.
    pub(super) held_until: u64,
    /// A question about states waits for its answer.
    pub(super) is_asking: bool,
    /// Where the next question goes on: the flow's place in `flows`, and the number.
    pub(super) ask_from: Option<(usize, u64)>,
    /// It asks about every accepted message, because it was away.
    pub(super) asks_of_all: bool,
}

/// A stream of messages from one client to one user.
#[derive(Debug)]
pub(super) struct Flow {
    /// The place of the sending client.
    pub(super) sender: usize,
    /// The place of the reading user.
    pub(super) reader: usize,
    pub(super) ledger: Ledger,
    /// A frame up to its payload; only the name of the message in it changes.
    pub(super) head: Vec<u8>,
    pub(super) name_at: usize,
    /// Messages that may be sent in all.
    pub(super) budget: u64,
    pub(super) pace: Option<Pace>,
    pub(super) is_ready: bool,
}

/// When the messages of a flow are due, whatever became of those before.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    pub(super) start: u64,
    pub(super) every: f64,
}

impl Pace {
    /// When this message is due.
    pub(super) fn due(&self, number: u64) -> u64 {
        self.start + (number as f64 * self.every) as u64
    }
}

impl Client {
    pub(super) fn new(user: usize, device: usize, did: String, window: usize) -> Client {
        Client {
            user,
            device,
            did,
            wire: None,
            link: Link::Away { again: 0 },
            is_wanted: false,
            off_since: 0,
            attempts: 0,
            alarm: u64::MAX,
            sending: Sending {
                window,
                ..Sending::default()
            },
            inbox: Inbox::default(),
            late_acks: VecDeque::new(),
            batch: Vec::new(),
            acks_open: 0,
            held_acks: VecDeque::new(),
            doubts_until: 0,
            temper: None,
            has_leftovers: false,
            check_at: 0,
        }
    }
}
