//! What the committer is asked and what it answers.

use crate::code::Code;
use crate::id::{Cid, Did, MsgId, Seq, Uid};
use crate::machine::access::{Access, Barred, Change, TooMany};
use crate::machine::ranges::Ranges;

use super::chat::{Amendment, By, Chat, Standing};
use super::contact::{ContactOrder, ContactView};
use super::group::{GroupView, Invited, MemberView, Order};
use super::hook::What;
use super::{Draft, Fault, Row, State, Unwanted};

/// 128 bits over a message's type and payload bytes.
pub type Digest = u128;

/// A message of the asker, named as its sender names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// The reader, or the group.
    pub to: Chat,
    /// The message's id.
    pub id: MsgId,
}

/// A message to be made durable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Append {
    /// The sender.
    pub from: Uid,
    /// The device it comes from; none for what comes over HTTP.
    pub did: Option<Did>,
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
    /// Take rows out of an inbox that tell of what is gone; the others stay.
    Bury {
        /// Whose inbox.
        uid: Uid,
        /// The rows.
        seqs: Ranges,
    },
    /// Expire what is due: a bounded step of the housekeeping.
    Sweep,
    /// Change a message of whoever asks.
    Amend {
        /// Its author.
        by: By,
        /// Where it is.
        chat: Chat,
        /// How.
        amendment: Amendment,
    },
    /// A conversation is read up to there.
    MarkRead {
        /// By whom.
        by: By,
        /// The conversation.
        chat: Chat,
        /// The place.
        up_to: Seq,
    },
    /// Somebody writes.
    Typing {
        /// Who.
        from: Uid,
        /// Where.
        chat: Chat,
    },
    /// Whether a signal may pass.
    Permit {
        /// Its sender.
        from: Uid,
        /// Its reader.
        to: Uid,
    },
    /// Where somebody stands in a conversation, if they may read it.
    Standing {
        /// Who.
        uid: Uid,
        /// The conversation.
        chat: Chat,
    },
    /// Let the messages of a conversation that are accepted from here on live so long.
    SetExpiry {
        /// By whom.
        by: Uid,
        /// The conversation.
        chat: Chat,
        /// Milliseconds; 0 is for ever.
        expire_ms: u64,
    },
    /// A user orders something of a group.
    Group {
        /// The user.
        by: Uid,
        /// The group; nothing is looked for when one is founded.
        gid: Cid,
        /// What.
        order: Order,
    },
    /// A user orders something about another.
    Contact {
        /// The user.
        uid: Uid,
        /// The other.
        other: Uid,
        /// What.
        order: ContactOrder,
    },
    /// Forget a device: nothing waits for it from here on.
    Forget {
        /// Its user.
        uid: Uid,
        /// The device.
        did: Did,
    },
    /// Answered when everything that was applied before is durable.
    Barrier,
    /// Tell the webhook's receiver, if it wants to know.
    Tell(What),
    /// The receiver has the events up to that number.
    EventsSent(u64),
}

/// An accepted message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// Its place in the reader's inbox; 0 in a group.
    pub seq: Seq,
    /// Its place in the conversation; 0 if that is not known.
    pub cseq: Seq,
    /// When it was accepted first, Unix milliseconds.
    pub server_ts: u64,
    /// What became of it: accepted, or further when this was a repeat.
    pub state: State,
    /// How many members of a group have it.
    pub count: u64,
    /// Whether it had been accepted before.
    pub repeat: bool,
}

impl Accepted {
    /// One that is accepted now, for the first time.
    pub fn new(seq: Seq, cseq: Seq, now: u64) -> Accepted {
        Accepted {
            seq,
            cseq,
            server_ts: now,
            state: State::Accepted,
            count: 0,
            repeat: false,
        }
    }
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
    /// More is asked at once than can be counted; nothing was done.
    Busy,
    /// The reader does not take it.
    Unwanted(Unwanted),
    /// Who asks may not do this.
    Forbidden(&'static str),
    /// There is no such thing.
    Missing(&'static str),
    /// What is asked makes no sense.
    Senseless(&'static str),
}

impl Refusal {
    /// The code a client gets.
    pub fn code(&self) -> Code {
        match self {
            Refusal::Conflict => Code::Conflict,
            Refusal::InboxFull => Code::InboxFull,
            Refusal::Forgotten => Code::NotFound,
            Refusal::Banned => Code::Forbidden,
            Refusal::TokenRevoked => Code::InvalidToken,
            Refusal::TooManyBans => Code::BadFrame,
            Refusal::Storage => Code::Storage,
            Refusal::NearlyFull | Refusal::Busy => Code::Busy,
            Refusal::Unwanted(_) | Refusal::Forbidden(_) => Code::Forbidden,
            Refusal::Missing(_) => Code::NotFound,
            Refusal::Senseless(_) => Code::BadFrame,
        }
    }

    /// What a client is told; where repeating helps soon, after `retry_ms` milliseconds.
    pub fn fault(&self, retry_ms: u64) -> Fault {
        match self {
            Refusal::NearlyFull => {
                let msg = "the disk is nearly full, no new message is taken";
                Fault::because(self.code(), msg).later(retry_ms)
            }
            Refusal::Busy => Fault::new(self.code()).later(retry_ms),
            Refusal::Unwanted(why) => Fault::because(self.code(), why.name()),
            Refusal::Forbidden(why) | Refusal::Missing(why) | Refusal::Senseless(why) => {
                Fault::because(self.code(), *why)
            }
            Refusal::Banned => Fault::because(self.code(), "Banned"),
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
    Status(Vec<(Target, State, u64)>),
    /// To [`Op::Restrict`] and [`Op::Access`]: what is forbidden now.
    Access(Access),
    /// To [`Op::Bans`].
    Bans(Bans),
    /// To [`Op::Expire`]: how many rows left the inbox.
    Expired(u64),
    /// To [`Op::Bury`]: those of the rows that are gone.
    Buried(Ranges),
    /// To [`Op::Amend`]: when it was changed, Unix milliseconds.
    Amended(u64),
    /// To [`Op::MarkRead`]: how far it is read now.
    Read(Seq),
    /// To [`Op::Standing`].
    Standing(Standing),
    /// To most of [`Op::Group`].
    Group(GroupView),
    /// To an invitation.
    Invited(Invited),
    /// To what was ordered of a member.
    Member(MemberView),
    /// To [`Op::Contact`].
    Contact(ContactView),
    /// To [`Op::Seen`], [`Op::Admit`], [`Op::Sweep`], [`Op::Typing`], [`Op::Permit`], [`Op::SetExpiry`], [`Op::Forget`],
    /// [`Op::Barrier`], [`Op::Tell`] and [`Op::EventsSent`].
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

/// The news for a sender that members of a group have a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counted {
    /// Whom to tell.
    pub sender: Uid,
    /// The message's id.
    pub id: MsgId,
    /// The group.
    pub gid: Cid,
    /// How many members have it.
    pub count: u64,
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
    /// Rows that tell of what is gone: they need not be kept.
    pub dead: Ranges,
}
