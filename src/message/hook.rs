//! What a receiver is told, as it waits in the queue.

use serde::{Deserialize, Serialize};

use crate::config::webhook::EventKind;

/// Something that has happened.
///
/// It lies in the store, where members and variants are known by their places: new variants go to the end, and a variant
/// that is there is never changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// When, by the server's time: Unix milliseconds.
    pub at: u64,
    /// What.
    pub what: What,
}

/// What has happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum What {
    /// A message is durable.
    Accepted {
        /// The message.
        message: Message,
    },
    /// A message waits for readers of whom no device has taken it.
    Parked {
        /// The message.
        message: Message,
        /// Who has to be called.
        readers: Vec<u64>,
        /// Why it waits.
        reason: Reason,
    },
    /// A device has acknowledged a message.
    Delivered {
        /// Which message.
        message: Target,
        /// Whose device.
        reader: u64,
        /// Which device.
        did: Box<str>,
    },
    /// A user has read a conversation.
    Read {
        /// The type of the messages that were read.
        kind: Box<str>,
        /// Who has read.
        reader: u64,
        /// The other side of the conversation: a user, or a group.
        to: Party,
        /// Up to and with this place in the conversation.
        up_to: u64,
    },
    /// A device has connected.
    Online {
        /// Whose device.
        uid: u64,
        /// Which device.
        did: Box<str>,
        /// Its type, if it named one.
        dtype: Option<Box<str>>,
    },
    /// A device is gone.
    Offline {
        /// Whose device.
        uid: u64,
        /// Which device; the last of this user if none is named.
        did: Option<Box<str>>,
    },
    /// The server has started: whoever was connected before is not.
    Started,
}

/// A message, as far as a receiver is told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// Its id.
    pub id: Box<str>,
    /// Its type, such as `C2C`.
    pub kind: Box<str>,
    /// Its sender.
    pub from: u64,
    /// Whom it is for.
    pub to: Party,
    /// Its place in the conversation, if it has one.
    pub cseq: Option<u64>,
    /// The payload, JSON text byte for byte as it came, if the receiver is told.
    pub payload: Option<Box<str>>,
    /// The sender's own time, milliseconds, if it gave one.
    pub created_at: Option<i64>,
    /// When it is given up, Unix milliseconds, if ever.
    pub expires_at: Option<u64>,
}

/// What names a message, and nothing of what is in it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Target {
    /// Its id.
    pub id: Box<str>,
    /// Its type.
    pub kind: Box<str>,
    /// Its sender.
    pub from: u64,
    /// Whom it is for.
    pub to: Party,
}

/// Whom a message is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Party {
    /// One user.
    User(u64),
    /// All members of a group.
    Group(u64),
}

/// Why a message waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reason {
    /// No device of the reader is connected.
    Offline,
    /// The schedule is used up, and no device that is connected has acknowledged.
    Unacknowledged,
}

impl What {
    /// What it is about.
    pub fn kind(&self) -> EventKind {
        match self {
            What::Accepted { .. } => EventKind::Accepted,
            What::Parked { .. } => EventKind::Parked,
            What::Delivered { .. } => EventKind::Delivered,
            What::Read { .. } => EventKind::Read,
            What::Online { .. } => EventKind::Online,
            What::Offline { .. } => EventKind::Offline,
            What::Started => EventKind::Started,
        }
    }
}

impl Reason {
    /// The name on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Reason::Offline => "offline",
            Reason::Unacknowledged => "unacknowledged",
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn what_lies_in_the_store_is_read_by_later_versions() {
        let message = Message {
            id: "m1".into(),
            kind: "C2C".into(),
            from: 1,
            to: Party::User(108),
            cseq: Some(7),
            payload: Some("{}".into()),
            created_at: Some(-1),
            expires_at: None,
        };
        let target = Target {
            id: "m1".into(),
            kind: "C2G".into(),
            from: 1,
            to: Party::Group(9),
        };
        let cases: [(What, &[u8]); 7] = [
            (
                What::Accepted {
                    message: message.clone(),
                },
                b"\x05\x00\x02m1\x03C2C\x01\x00\x6c\x01\x07\x01\x02{}\x01\x01\x00",
            ),
            (
                What::Parked {
                    message,
                    readers: vec![108],
                    reason: Reason::Unacknowledged,
                },
                b"\x05\x01\x02m1\x03C2C\x01\x00\x6c\x01\x07\x01\x02{}\x01\x01\x00\x01\x6c\x01",
            ),
            (
                What::Delivered {
                    message: target,
                    reader: 108,
                    did: "b".into(),
                },
                b"\x05\x02\x02m1\x03C2G\x01\x01\x09\x6c\x01b",
            ),
            (
                What::Read {
                    kind: "C2C".into(),
                    reader: 108,
                    to: Party::User(1),
                    up_to: 7,
                },
                b"\x05\x03\x03C2C\x6c\x00\x01\x07",
            ),
            (
                What::Online {
                    uid: 1,
                    did: "a".into(),
                    dtype: None,
                },
                b"\x05\x04\x01\x01a\x00",
            ),
            (What::Offline { uid: 1, did: None }, b"\x05\x05\x01\x00"),
            (What::Started, b"\x05\x06"),
        ];
        for (what, bytes) in cases {
            let event = Event { at: 5, what };
            assert_eq!(postcard::to_stdvec(&event).unwrap(), bytes, "{event:?}");
            assert_eq!(postcard::from_bytes::<Event>(bytes).unwrap(), event);
        }
    }
}
