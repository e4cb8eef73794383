//! One vocabulary for every dialect: what a client asks ([`Command`]), what it is told ([`Event`]), what is
//! stored ([`Message`]), and what is asked of the committer ([`Op`], [`Answer`]).

mod op;
pub mod trace;

use std::borrow::Cow;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::Xxh3;

use crate::code::{Close, Code};
use crate::id::{Did, MsgId, Seq, Uid};

pub use op::{
    Accepted, Acked, Answer, Append, Attached, Bans, Digest, Op, Page, Read, Receipt, Refusal,
    Target,
};

/// The type of a stored message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Kind {
    /// From one user to another.
    C2c,
}

impl Kind {
    /// The name used on the wire and in the digest.
    pub fn name(self) -> &'static str {
        match self {
            Kind::C2c => "C2C",
        }
    }
}

/// A message as it is stored and delivered; the payload is JSON text that nobody here looks into.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// Made by the sender; unique per (to, from).
    pub id: MsgId,
    /// What it is.
    pub kind: Kind,
    /// The true sender.
    pub from: Uid,
    /// The reader.
    pub to: Uid,
    /// The payload, byte for byte as it came.
    pub payload: Box<str>,
    /// The sender's own time, milliseconds, if it gave one.
    pub created_at: Option<i64>,
    /// When the server accepted it, Unix milliseconds.
    pub server_ts: u64,
}

/// A message at its place in one reader's inbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Its place in the reader's sequence.
    pub seq: Seq,
    /// The message.
    pub message: Arc<Message>,
}

impl Row {
    /// Whether it has waited for `ttl_ms` milliseconds at the time `now`, and may not be delivered any more.
    pub fn is_expired(&self, now: u64, ttl_ms: u64) -> bool {
        is_expired(self.message.server_ts, now, ttl_ms)
    }
}

/// Whether a message accepted at `server_ts` has waited for `ttl_ms` milliseconds at the time `now`.
pub fn is_expired(server_ts: u64, now: u64, ttl_ms: u64) -> bool {
    server_ts.saturating_add(ttl_ms) <= now
}

/// A relayed message: retried by the schedule, never stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signal {
    /// Made by the sender.
    pub id: MsgId,
    /// The type as sent, such as `WEBRTC_OFFER`.
    pub kind: Box<str>,
    /// The true sender.
    pub from: Uid,
    /// The reader.
    pub to: Uid,
    /// The payload, byte for byte.
    pub payload: Box<str>,
    /// The sender's own time, milliseconds, if it gave one.
    pub created_at: Option<i64>,
    /// Whether the payload is the whole frame, as an operator wrote it.
    pub bare: bool,
}

/// What a client asks of its device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Accept this message.
    Send(Draft),
    /// Relay this signal to whoever is online.
    Signal(SignalDraft),
    /// The device has these.
    Ack(Ack),
    /// A page of unacked rows after a sequence number.
    Sync {
        /// Rows above this.
        after: Seq,
        /// At most this many.
        limit: usize,
    },
    /// What became of these messages of mine.
    Status(Vec<Target>),
}

/// A message before it is accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Draft {
    /// Made by the sender.
    pub id: MsgId,
    /// What it is.
    pub kind: Kind,
    /// The reader.
    pub to: Uid,
    /// JSON text.
    pub payload: Box<str>,
    /// The sender's own time, milliseconds.
    pub created_at: Option<i64>,
}

impl Draft {
    /// The message as this user sends it.
    pub fn signed_by(self, from: Uid) -> Append {
        let mut content = Xxh3::new();
        content.update(self.kind.name().as_bytes());
        content.update(b"\0");
        content.update(self.payload.as_bytes());
        Append {
            from,
            digest: content.digest128(),
            draft: self,
        }
    }
}

/// A signal before its sender is filled in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignalDraft {
    /// Made by the sender.
    pub id: MsgId,
    /// The type as sent.
    pub kind: Box<str>,
    /// The reader.
    pub to: Uid,
    /// JSON text.
    pub payload: Box<str>,
    /// The sender's own time, milliseconds.
    pub created_at: Option<i64>,
}

/// An acknowledgement, in one of its three forms; also the form in which it is confirmed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ack {
    /// By message id, with the device that says so.
    Id {
        /// The message's id.
        id: MsgId,
        /// The device that acknowledges.
        did: Did,
    },
    /// By sequence numbers.
    Seqs(Vec<Seq>),
    /// Everything up to a sequence number.
    UpTo(Seq),
}

/// What became of an accepted message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Never accepted, or forgotten since.
    Unknown,
    /// Durable, no device has acknowledged it.
    Accepted,
    /// Some device of the reader has it.
    Delivered,
    /// It waited longer than the inbox keeps a message.
    Expired,
}

impl State {
    /// The name used on the wire.
    pub fn name(self) -> &'static str {
        match self {
            State::Unknown => "unknown",
            State::Accepted => "accepted",
            State::Delivered => "delivered",
            State::Expired => "expired",
        }
    }
}

/// A reader as the client named it: decoded, or as it was typed if it could not be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// A user.
    User(Uid),
    /// Text that names no user.
    Raw(Box<str>),
}

/// Why something was refused, in the words that the client gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The id it is about, when it could be read.
    pub id: Option<Box<str>>,
    /// The reader it was for, when it could be read.
    pub to: Option<Address>,
    /// The code.
    pub code: Code,
    /// One sentence.
    pub msg: Box<str>,
    /// When to try again, milliseconds from now.
    pub retry_ms: Option<u64>,
}

impl Fault {
    /// A fault with the code's own sentence and nothing known about the frame.
    pub fn new(code: Code) -> Fault {
        Fault {
            id: None,
            to: None,
            code,
            msg: code.message().into(),
            retry_ms: None,
        }
    }

    /// The same with a sentence of its own.
    pub fn because(code: Code, msg: impl Into<Box<str>>) -> Fault {
        Fault {
            msg: msg.into(),
            ..Fault::new(code)
        }
    }

    /// The same, to be tried again in so many milliseconds.
    pub fn later(mut self, retry_ms: u64) -> Fault {
        self.retry_ms = Some(retry_ms);
        self
    }

    /// The same, about this message to this reader.
    pub fn about(mut self, id: &MsgId, to: Uid) -> Fault {
        self.to = Some(Address::User(to));
        self.with_id(id)
    }

    /// The same, about something with this id.
    pub fn with_id(mut self, id: &MsgId) -> Fault {
        self.id = Some(id.as_str().into());
        self
    }
}

/// A notice of the server to one device (`S2C`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// The first frame of every login: at most `count` rows wait, between these two.
    OfflineSummary {
        /// How many rows this device has not acknowledged.
        count: u64,
        /// The first of them; one above `to_seq` when none waits.
        from_seq: Seq,
        /// The last sequence number of the inbox.
        to_seq: Seq,
    },
    /// The token ends soon, at this Unix time in milliseconds.
    PleaseRefreshToken {
        /// When the connection will be closed.
        expire_at: u64,
    },
    /// Rows were given up for this device: take the state from elsewhere.
    Resync,
}

/// What a client is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Frame 2: accepted, durable.
    Accepted {
        /// The message's id.
        id: MsgId,
        /// The reader.
        to: Uid,
        /// When it was accepted, Unix milliseconds.
        server_ts: u64,
    },
    /// A signal was handed to at least one device.
    Relayed {
        /// The signal's id.
        id: MsgId,
        /// The reader.
        to: Uid,
        /// Unix milliseconds.
        server_ts: u64,
    },
    /// Frame 3.
    Deliver(Row),
    /// A relayed signal.
    Signal(Arc<Signal>),
    /// A frame that an operator wrote.
    Text(Arc<str>),
    /// Frame 5: that acknowledgement is durable.
    AckOk(Ack),
    /// Frame 6: a device of the reader has it.
    Delivered {
        /// The message's id.
        id: MsgId,
        /// The reader.
        reader: Uid,
        /// The device; unknown when it is told from the index.
        did: Option<Did>,
        /// Unix milliseconds.
        server_ts: u64,
    },
    /// The answer to a sync.
    SyncPage {
        /// Rows in sequence order.
        rows: Vec<Row>,
        /// Use as the next `after`.
        next: Seq,
        /// Whether more may follow.
        more: bool,
    },
    /// The answer to a status question, in its order.
    Status(Vec<(Target, State)>),
    /// The new token is in force until this Unix time in milliseconds.
    RefreshOk {
        /// The new token's own expiry.
        expire_at: u64,
    },
    /// Something was refused.
    Error {
        /// What and why.
        fault: Fault,
        /// Unix milliseconds.
        server_ts: u64,
    },
    /// A notice.
    Notice {
        /// Made by the server.
        id: MsgId,
        /// The user it is for.
        to: Uid,
        /// What it says.
        notice: Notice,
        /// Unix milliseconds.
        server_ts: u64,
    },
    /// The connection ends here.
    Close(Close),
}

/// About what a frame takes besides payloads and lists, bytes.
pub const EVENT_BYTES: usize = 512;
/// About what one answer in a list takes, bytes.
const STATE_BYTES: usize = 160;

impl Event {
    /// The event without rows that have waited for `ttl_ms` milliseconds at the time `now`; none if nothing is left.
    pub fn unexpired(&self, now: u64, ttl_ms: u64) -> Option<Cow<'_, Event>> {
        let is_late = |row: &Row| row.is_expired(now, ttl_ms);
        match self {
            Event::Deliver(row) if is_late(row) => None,
            Event::SyncPage { rows, next, more } if rows.iter().any(is_late) => {
                let young = rows.iter().filter(|row| !is_late(row));
                Some(Cow::Owned(Event::SyncPage {
                    rows: young.cloned().collect(),
                    next: *next,
                    more: *more,
                }))
            }
            event => Some(Cow::Borrowed(event)),
        }
    }

    /// About how much memory it takes while it waits to be written, bytes.
    pub fn weight(&self) -> usize {
        let row = |row: &Row| EVENT_BYTES + row.message.payload.len();
        match self {
            Event::Deliver(one) => row(one),
            Event::Signal(signal) => EVENT_BYTES + signal.payload.len(),
            Event::Text(text) => EVENT_BYTES + text.len(),
            Event::SyncPage { rows, .. } => EVENT_BYTES + rows.iter().map(row).sum::<usize>(),
            Event::Status(states) => EVENT_BYTES + STATE_BYTES * states.len(),
            Event::AckOk(Ack::Seqs(seqs)) => EVENT_BYTES + size_of::<Seq>() * seqs.len(),
            _ => EVENT_BYTES,
        }
    }
}
