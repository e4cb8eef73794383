//! What the committer is asked and what it answers.

use crate::code::Code;
use crate::id::{Did, MsgId, Seq, Uid};
use crate::machine::access::{Access, Barred, Change, TooMany};
use crate::machine::ranges::Ranges;

use super::{Draft, Fault, Row, State};

/// 128 bits over a message's type and payload bytes.
pub type Digest = u128;

/// A message of the asker, named as its sender names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// The reader.
    pub to: Uid,
    /// The message's id.
    pub id: MsgId,
}

/// A message to be made durable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Append {
    /// The sender.
    pub from: Uid,
    /// What the sender gave.
    pub draft: Draft,
    /// Over type and payload.
    pub digest: Digest,
}

/// One request to the committer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Op {
    /// Accept a message.
    Append(Append),
    /// A device of `reader` has these rows.
    Ack {
        /// The reader.
        reader: Uid,
        /// The device.
        did: Did,
        /// The rows.
        seqs: Ranges,
    },
    /// A device comes: make it known, or read where it stands.
    Attach {
        /// The user.
        uid: Uid,
        /// The device.
        did: Did,
        /// Devices of the user that are connected, so that they do not have to make room for it.
        online: Vec<Did>,
        /// When its token was issued, Unix milliseconds, if the token says so.
        issued_ms: Option<u64>,
    },
    /// Whether a user may go on with another token, or get one.
    Admit {
        /// The user.
        uid: Uid,
        /// The device, if the token is for one.
        did: Option<Did>,
        /// When the token was issued, Unix milliseconds, if it says so.
        issued_ms: Option<u64>,
    },
    /// Change what a user may do.
    Restrict {
        /// The user.
        uid: Uid,
        /// How.
        change: Change,
    },
    /// What is forbidden to a user.
    Access(Uid),
    /// The users who are banned, or a device of theirs, in the order of their numbers.
    Bans {
        /// Those above this one; from the first if it is none.
        after: Option<Uid>,
        /// At most this many.
        limit: usize,
    },
    /// A device is still there, or was until now.
    Seen {
        /// The user.
        uid: Uid,
        /// The device.
        did: Did,
    },
    /// The last sequence number of a user's inbox.
    Head(Uid),
    /// What became of messages of `from`.
    Status {
        /// The asker.
        from: Uid,
        /// The messages.
        of: Vec<Target>,
    },
    /// Expire these rows before their time: an operator says so.
    Expire {
        /// Whose inbox.
        uid: Uid,
        /// The rows; those that are not there are passed over.
        seqs: Ranges,
    },
    /// Expire what is due: a bounded step of the housekeeping.
    Sweep,
}

/// An accepted message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// Its place in the reader's inbox.
    pub seq: Seq,
    /// When it was accepted first, Unix milliseconds.
    pub server_ts: u64,
    /// What became of it: accepted, or further when this was a repeat.
    pub state: State,
    /// Whether it had been accepted before.
    pub repeat: bool,
}

/// Why the committer would not do it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The same id to the same reader was accepted with other content.
    Conflict,
    /// The reader's inbox is full.
    InboxFull,
    /// The device is not known any more.
    Forgotten,
    /// The user or the device is banned.
    Banned,
    /// The token was issued before an instant that an operator has named.
    TokenRevoked,
    /// As many devices of the user are banned one by one as may be.
    TooManyBans,
    /// The store failed; the outcome is unknown.
    Storage,
    /// The disk is nearly full, and this is a new message; nothing was stored.
    NearlyFull,
}

impl Refusal {
    /// The code a client gets.
    pub fn code(&self) -> Code {
        match self {
            Refusal::Conflict => Code::Conflict,
            Refusal::InboxFull => Code::InboxFull,
            Refusal::Forgotten => Code::NotFound,
            Refusal::Banned => Code::Banned,
            Refusal::TokenRevoked => Code::InvalidToken,
            Refusal::TooManyBans => Code::BadFrame,
            Refusal::Storage => Code::Storage,
            Refusal::NearlyFull => Code::Busy,
        }
    }

    /// What a client is told; where repeating helps soon, after `retry_ms` milliseconds.
    pub fn fault(&self, retry_ms: u64) -> Fault {
        match self {
            Refusal::NearlyFull => {
                let msg = "the disk is nearly full, no new message is taken";
                Fault::because(self.code(), msg).later(retry_ms)
            }
            _ => Fault::new(self.code()),
        }
    }
}

impl From<Barred> for Refusal {
    fn from(barred: Barred) -> Refusal {
        match barred {
            Barred::Banned => Refusal::Banned,
            Barred::TokenRevoked => Refusal::TokenRevoked,
        }
    }
}

impl From<TooMany> for Refusal {
    fn from(_: TooMany) -> Refusal {
        Refusal::TooManyBans
    }
}

/// Where a device stands when it attaches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attached {
    /// Everything it has acknowledged.
    pub acks: Ranges,
    /// Whether rows were given up for it since it was last here.
    pub resync: bool,
}

/// An acknowledgement that is durable.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Acked {
    /// How many rows were new to this device.
    pub fresh: u64,
}

/// What the committer answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// To [`Op::Append`].
    Accepted(Accepted),
    /// To [`Op::Ack`].
    Acked(Acked),
    /// To [`Op::Attach`].
    Attached(Attached),
    /// To [`Op::Head`].
    Head(Seq),
    /// To [`Op::Status`], in its order.
    Status(Vec<(Target, State)>),
    /// To [`Op::Restrict`] and [`Op::Access`]: what is forbidden now.
    Access(Access),
    /// To [`Op::Bans`].
    Bans(Bans),
    /// To [`Op::Expire`]: how many rows left the inbox.
    Expired(u64),
    /// To [`Op::Seen`], [`Op::Admit`] and [`Op::Sweep`].
    Done,
    /// To any of them.
    Refused(Refusal),
}

/// A page of users who are banned, or have a banned device.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Bans {
    /// In the order of their numbers.
    pub users: Vec<(Uid, Access)>,
    /// Every user up to this one has been looked at; none if there are no more.
    pub next: Option<Uid>,
}

/// The news for a sender that a device of its reader has a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// Whom to tell.
    pub sender: Uid,
    /// The message's id.
    pub id: MsgId,
    /// Who has it.
    pub reader: Uid,
    /// On which device.
    pub did: Did,
    /// Unix milliseconds.
    pub server_ts: u64,
}

/// A request for rows of an inbox, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Read {
    /// Whose inbox.
    pub uid: Uid,
    /// The first sequence number.
    pub from: Seq,
    /// The last one.
    pub to: Seq,
    /// At most this many rows.
    pub limit: usize,
    /// Stops before a row that would make the page longer than this, bytes; one row there is always.
    pub max_bytes: usize,
}

/// Rows in sequence order.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Page {
    /// The rows that are there.
    pub rows: Vec<Row>,
    /// Every row up to here has been looked at.
    pub scanned_to: Seq,
}
