//! Conversations: how those who take part name them, and what is asked and told of them.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::id::{Cid, Did, MsgId, Seq, Uid};

use super::group::Role;
use super::{Digest, Message};

/// A conversation as somebody who takes part names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Chat {
    /// With that user.
    User(Uid),
    /// In that group.
    Group(Cid),
}

impl Chat {
    /// The type of its messages on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Chat::User(_) => "C2C",
            Chat::Group(_) => "C2G",
        }
    }

    /// The user, if it is with one.
    pub fn user(self) -> Option<Uid> {
        match self {
            Chat::User(uid) => Some(uid),
            Chat::Group(_) => None,
        }
    }

    /// The group, if it is one.
    pub fn group(self) -> Option<Cid> {
        match self {
            Chat::User(_) => None,
            Chat::Group(cid) => Some(cid),
        }
    }

    /// The number of the user or group; a user and a group may have the same.
    pub fn number(self) -> u64 {
        match self {
            Chat::User(Uid(number)) | Chat::Group(Cid(number)) => number,
        }
    }
}

/// Who does something, and on which device if on one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct By {
    /// The user.
    pub uid: Uid,
    /// The device; none for what comes over HTTP.
    pub did: Option<Did>,
}

/// A change of a message by its author.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Amendment {
    /// Takes it back.
    Revoke {
        /// The message.
        id: MsgId,
    },
    /// Gives it another payload.
    Edit {
        /// Made by the author, for this change.
        id: MsgId,
        /// The message.
        target: MsgId,
        /// JSON text.
        payload: Box<str>,
        /// Over the target and the payload.
        digest: Digest,
    },
}

impl Amendment {
    /// The id under which it is asked and answered.
    pub fn id(&self) -> &MsgId {
        match self {
            Amendment::Revoke { id } | Amendment::Edit { id, .. } => id,
        }
    }
}

/// Where somebody stands in a conversation that they may read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// The conversation; 0 while it has no message.
    pub cid: Cid,
    /// The first place that they may read.
    pub first: Seq,
    /// The last place that was given out.
    pub head: Seq,
    /// How far they have read.
    pub read: Seq,
}

/// Which part of a conversation is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The latest.
    Newest,
    /// Those before that place, the nearest.
    Before(Seq),
    /// Those after that place, the nearest.
    After(Seq),
}

/// A conversation in somebody's list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// As its reader names it.
    pub chat: Chat,
    /// The name of a group.
    pub name: Option<Box<str>>,
    /// What the reader is in a group.
    pub role: Option<Role>,
    /// The last place that was given out.
    pub head: Seq,
    /// How far its reader has read.
    pub read: Seq,
    /// How far the other user has read; none in a group.
    pub peer_read: Option<Seq>,
    /// Messages of others that the reader has not read.
    pub unread: u64,
    /// When its last message was accepted, Unix milliseconds.
    pub updated_at: u64,
    /// How long its messages live, milliseconds; 0 is for ever.
    pub expire_ms: u64,
    /// Whether the group was dissolved.
    pub dissolved: bool,
    /// Its last message that is there.
    pub last: Option<Arc<Message>>,
}

/// What a member has of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Receiver {
    /// The member.
    pub uid: Uid,
    /// Whether a device of theirs has it.
    pub delivered: bool,
    /// Whether they have read as far.
    pub read: bool,
}
