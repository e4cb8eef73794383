//! One vocabulary for every dialect: what a client asks ([`Command`]), what it is told ([`Event`]), what is
//! stored ([`Message`]), and what is asked of the committer ([`Op`], [`Answer`]).

pub mod chat;
pub mod contact;
pub mod group;
pub mod hook;
pub mod look;
pub mod notice;
mod op;
pub mod trace;

use std::borrow::Cow;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::Xxh3;

use crate::code::{Close, Code};
use crate::id::{Cid, Did, MsgId, Seq, Uid};

use chat::{Amendment, Chat, Listed, Receiver, Side};
use look::{Chats, History, Listing};

pub use op::{
    Accepted, Acked, Answer, Append, Attached, Bans, Counted, Digest, Op, Page, Read, Receipt,
    Refusal, Target,
};

/// Whose words a stored message has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Kind {
    /// Those of a user.
    Words,
    /// Those of the server, about the conversation.
    Notice,
}

/// What became of the content of a stored message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Fate {
    /// It is there as it was sent.
    #[default]
    Whole,
    /// Its author has changed it, at this Unix time in milliseconds.
    Edited(u64),
    /// Its author has taken it back, at this Unix time in milliseconds.
    Revoked(u64),
    /// Its time was over.
    Expired,
}

/// A message as it is stored and delivered; the payload is JSON text that nobody here looks into.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// Made by the sender; unique per (to, from).
    pub id: MsgId,
    /// Whose words it has.
    pub kind: Kind,
    /// The true sender.
    pub from: Uid,
    /// The reader, or the group.
    pub to: Chat,
    /// The payload, byte for byte as it came; nothing when the content is gone.
    pub payload: Box<str>,
    /// The sender's own time, milliseconds, if it gave one.
    pub created_at: Option<i64>,
    /// When the server accepted it, Unix milliseconds.
    pub server_ts: u64,
    /// When it must be gone, Unix milliseconds, if at all.
    pub expires_at: Option<u64>,
    /// What became of its content.
    pub fate: Fate,
    /// Its place in its conversation; 0 for one from before there were any.
    #[serde(skip)]
    pub cseq: Seq,
}

impl Message {
    /// The type on the wire.
    pub fn name(&self) -> &'static str {
        match self.kind {
            Kind::Words => self.to.name(),
            Kind::Notice => "S2C",
        }
    }

    /// Whether nothing of it may be shown.
    pub fn is_gone(&self) -> bool {
        matches!(self.fate, Fate::Revoked(_) | Fate::Expired)
    }

    /// Whether its own time is over.
    pub fn is_over(&self, now: u64) -> bool {
        self.expires_at.is_some_and(|at| at <= now)
    }
}

/// What a row of an inbox tells its reader.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum What {
    /// The message.
    Message,
    /// The message, which another device of its reader has sent.
    Copy,
    /// That its author has taken it back.
    Revoke,
    /// That its author has changed it, by this change.
    Edit(MsgId),
}

/// A message at its place in one reader's inbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Whose inbox.
    pub reader: Uid,
    /// Its place in the reader's sequence.
    pub seq: Seq,
    /// When it came into the inbox, Unix milliseconds.
    pub since: u64,
    /// What it tells.
    pub what: What,
    /// The message.
    pub message: Arc<Message>,
}

impl Row {
    /// Whether it has waited for `ttl_ms` milliseconds at the time `now`, and may not be delivered any more.
    pub fn is_expired(&self, now: u64, ttl_ms: u64) -> bool {
        let is_over = self.what != What::Revoke && self.message.is_over(now);
        is_over || is_expired(self.since, now, ttl_ms)
    }

    /// The id under which its reader may acknowledge it.
    pub fn id(&self) -> &MsgId {
        match &self.what {
            What::Edit(id) => id,
            _ => &self.message.id,
        }
    }

    /// The type on the wire.
    pub fn name(&self) -> &'static str {
        match (&self.what, self.message.to) {
            (What::Message | What::Copy, _) => self.message.name(),
            (What::Revoke, Chat::User(_)) => "C2C_REVOKE",
            (What::Revoke, Chat::Group(_)) => "C2G_REVOKE",
            (What::Edit(_), Chat::User(_)) => "C2C_EDIT",
            (What::Edit(_), Chat::Group(_)) => "C2G_EDIT",
        }
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
    /// Change a message of mine.
    Amend {
        /// Where it is.
        chat: Chat,
        /// How.
        amendment: Amendment,
    },
    /// Everything up to this place of the conversation is read.
    MarkRead {
        /// The conversation.
        chat: Chat,
        /// The place.
        up_to: Seq,
        /// Comes back with the answer.
        id: Option<MsgId>,
    },
    /// The user is writing.
    Typing(Chat),
    /// Something to be looked up.
    Query {
        /// Comes back with the answer.
        id: Option<MsgId>,
        /// What.
        query: Query,
    },
}

/// What a client wants to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Query {
    /// A part of a conversation.
    History {
        /// The conversation.
        chat: Chat,
        /// Which part.
        side: Side,
        /// At most this many messages.
        limit: usize,
    },
    /// A page of unacked rows of one conversation.
    Waiting {
        /// The conversation.
        chat: Chat,
        /// Rows above this.
        after: Seq,
        /// At most this many.
        limit: usize,
    },
    /// A page of the user's conversations.
    Chats {
        /// Those before that, as [`look::Behind`] reads it.
        before: Option<u64>,
        /// At most this many.
        limit: usize,
    },
    /// What the members of a group have of a message.
    Receipts {
        /// The group.
        gid: Cid,
        /// The message.
        of: MsgId,
        /// Members above that one.
        after: Option<Uid>,
        /// At most this many.
        limit: usize,
    },
    /// Who of these is online, as far as the user may know.
    Presence(Vec<Uid>),
}

impl Query {
    /// The conversation it is about, if it is about one.
    pub fn chat(&self) -> Option<Chat> {
        match self {
            Query::History { chat, .. } | Query::Waiting { chat, .. } => Some(*chat),
            Query::Receipts { gid, .. } => Some(Chat::Group(*gid)),
            Query::Chats { .. } | Query::Presence(_) => None,
        }
    }
}

/// Whether somebody is there, as far as the asker may know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    /// A device of theirs is connected.
    Online,
    /// None is.
    Offline,
    /// They are no contact of the asker.
    Unknown,
}

impl Presence {
    /// The name used on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Presence::Online => "online",
            Presence::Offline => "offline",
            Presence::Unknown => "unknown",
        }
    }
}

/// A message before it is accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Draft {
    /// Made by the sender.
    pub id: MsgId,
    /// The reader, or the group.
    pub to: Chat,
    /// JSON text.
    pub payload: Box<str>,
    /// The sender's own time, milliseconds.
    pub created_at: Option<i64>,
    /// When it must be gone, Unix milliseconds, if at all.
    pub expires_at: Option<u64>,
}

impl Draft {
    /// The message as this user sends it, on this device if on one.
    pub fn signed_by(self, from: Uid, did: Option<Did>) -> Append {
        Append {
            from,
            did,
            digest: digest(self.to.name(), &self.payload),
            draft: self,
        }
    }
}

/// 128 bits over the type of something and its payload bytes.
pub fn digest(kind: &str, payload: &str) -> Digest {
    let mut content = Xxh3::new();
    content.update(kind.as_bytes());
    content.update(b"\0");
    content.update(payload.as_bytes());
    content.digest128()
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
    /// It waited longer than the inbox keeps a message, or its own time is over.
    Expired,
    /// Its author has taken it back.
    Revoked,
}

impl State {
    /// The name used on the wire.
    pub fn name(self) -> &'static str {
        match self {
            State::Unknown => "unknown",
            State::Accepted => "accepted",
            State::Delivered => "delivered",
            State::Expired => "expired",
            State::Revoked => "revoked",
        }
    }
}

/// A reader as the client named it: decoded, or as it was typed if it could not be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// A user or a group.
    Chat(Chat),
    /// Text that names none.
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

    /// The same, about this message to this reader or group.
    pub fn about(self, id: &MsgId, to: Chat) -> Fault {
        self.to_chat(to).with_id(id)
    }

    /// The same, about this conversation.
    pub fn to_chat(mut self, to: Chat) -> Fault {
        self.to = Some(Address::Chat(to));
        self
    }

    /// The same, about a question that may have had an id.
    pub fn with_own_id(self, id: Option<&MsgId>) -> Fault {
        match id {
            Some(id) => self.with_id(id),
            None => self,
        }
    }

    /// The same, about something with this id.
    pub fn with_id(mut self, id: &MsgId) -> Fault {
        self.id = Some(id.as_str().into());
        self
    }
}

/// Why a user does not take a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unwanted {
    /// The two are no contacts, and have to be.
    NotAFriend,
    /// The reader has blocked the sender.
    InDenylist,
}

impl Unwanted {
    /// The name used on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Unwanted::NotAFriend => "not_a_friend",
            Unwanted::InDenylist => "in_denylist",
        }
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
    /// A contact has come or gone.
    Presence {
        /// The contact.
        uid: Uid,
        /// Whether they are there.
        online: bool,
    },
}

/// What a client is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Frame 2: accepted, durable.
    Accepted {
        /// The message's id.
        id: MsgId,
        /// The reader, or the group.
        to: Chat,
        /// Its place in the conversation; 0 if that is not known.
        cseq: Seq,
        /// When it was accepted, Unix milliseconds.
        server_ts: u64,
    },
    /// A message was not taken: what the relation of the two users says, final.
    Unwanted {
        /// The message's id.
        id: MsgId,
        /// The user who was sent it.
        sender: Uid,
        /// The reader.
        to: Uid,
        /// Why.
        why: Unwanted,
        /// Unix milliseconds.
        server_ts: u64,
    },
    /// A change of a message is durable.
    Amended {
        /// Under which it was asked.
        amendment: Amendment,
        /// The conversation.
        to: Chat,
        /// Unix milliseconds.
        server_ts: u64,
    },
    /// So many members of a group have a message.
    Counted(Counted),
    /// How far the user has read, durable.
    ReadOk {
        /// Of the question, if it had one.
        id: Option<MsgId>,
        /// The conversation.
        to: Chat,
        /// The place.
        up_to: Seq,
    },
    /// Somebody has read a conversation.
    Read {
        /// The conversation, as the receiver names it.
        chat: Chat,
        /// Who.
        by: Uid,
        /// The receiver.
        to: Uid,
        /// How far.
        up_to: Seq,
        /// Unix milliseconds.
        server_ts: u64,
    },
    /// Somebody writes.
    Typing {
        /// Who.
        from: Uid,
        /// Where: the receiver, or a group.
        to: Chat,
    },
    /// A part of a conversation.
    HistoryPage {
        /// Of the question, if it had one.
        id: Option<MsgId>,
        /// The conversation.
        to: Chat,
        /// What was found.
        history: History,
        /// The last place of the conversation.
        head: Seq,
    },
    /// Waiting rows of one conversation.
    WaitingPage {
        /// Of the question, if it had one.
        id: Option<MsgId>,
        /// The conversation.
        to: Chat,
        /// Rows in sequence order.
        rows: Vec<Row>,
        /// Use as the next `after`.
        next: Seq,
        /// Whether more may follow.
        more: bool,
    },
    /// A page of conversations.
    ChatsPage {
        /// Of the question, if it had one.
        id: Option<MsgId>,
        /// They.
        chats: Chats,
    },
    /// What the members of a group have of a message.
    ReceiptsPage {
        /// Of the question, if it had one.
        id: Option<MsgId>,
        /// The group.
        to: Cid,
        /// The message.
        of: MsgId,
        /// The members.
        members: Listing<Receiver, Uid>,
    },
    /// Who is online.
    PresenceIs {
        /// Of the question, if it had one.
        id: Option<MsgId>,
        /// In the order of the question.
        of: Vec<(Uid, Presence)>,
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
    /// The answer to a status question, in its order; of a group's message, how many members have it.
    Status(Vec<(Target, State, u64)>),
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
            Event::WaitingPage {
                id,
                to,
                rows,
                next,
                more,
            } if rows.iter().any(is_late) => {
                let young = rows.iter().filter(|row| !is_late(row));
                Some(Cow::Owned(Event::WaitingPage {
                    id: id.clone(),
                    to: *to,
                    rows: young.cloned().collect(),
                    next: *next,
                    more: *more,
                }))
            }
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
        let message = |message: &Arc<Message>| EVENT_BYTES + message.payload.len();
        let listed = |listed: &Listed| {
            let name = listed.name.as_ref().map_or(0, |name| name.len());
            EVENT_BYTES + name + listed.last.as_ref().map_or(0, message)
        };
        match self {
            Event::Deliver(one) => row(one),
            Event::Signal(signal) => EVENT_BYTES + signal.payload.len(),
            Event::Text(text) => EVENT_BYTES + text.len(),
            Event::SyncPage { rows, .. } | Event::WaitingPage { rows, .. } => {
                EVENT_BYTES + rows.iter().map(row).sum::<usize>()
            }
            Event::HistoryPage { history, .. } => {
                EVENT_BYTES + history.messages.iter().map(message).sum::<usize>()
            }
            Event::ChatsPage { chats, .. } => {
                EVENT_BYTES + chats.chats.iter().map(listed).sum::<usize>()
            }
            Event::ReceiptsPage { members, .. } => EVENT_BYTES + STATE_BYTES * members.items.len(),
            Event::PresenceIs { of, .. } => EVENT_BYTES + STATE_BYTES * of.len(),
            Event::Status(states) => EVENT_BYTES + STATE_BYTES * states.len(),
            Event::AckOk(Ack::Seqs(seqs)) => EVENT_BYTES + size_of::<Seq>() * seqs.len(),
            _ => EVENT_BYTES,
        }
    }
}
