//! What is written down of the life of each message, so that an operator can be told why it is where it is.

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::{Xxh3, xxh3_64};

use crate::id::{Did, MsgId, Seq, Uid};

/// One moment in the life of a message, or of a device. The id of the message is not in it: it is filed under that.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Moment {
    /// Of a message.
    Message {
        /// When, Unix milliseconds.
        at_ms: u64,
        /// Its sender; none if an operator wrote it.
        from: Option<Uid>,
        /// Its reader.
        to: Uid,
        /// What happened.
        step: Step,
    },
    /// Of a device.
    Device {
        /// When, Unix milliseconds.
        at_ms: u64,
        /// The user.
        uid: Uid,
        /// The device.
        did: Did,
        /// What happened.
        turn: Turn,
    },
}

/// What happens to a message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Step {
    /// It is durable.
    Accepted {
        /// Its place in the reader's inbox.
        seq: Seq,
    },
    /// No device of the reader was there when it was accepted.
    Alone,
    /// It was refused.
    Refused {
        /// The code that the sender was told.
        code: u16,
    },
    /// A copy went into the outbox of a connection.
    Sent {
        /// The device.
        did: Did,
        /// From 1.
        attempt: u32,
    },
    /// A copy was due and not written: the one before still waits to be written.
    Skipped {
        /// The device.
        did: Did,
        /// From 1.
        attempt: u32,
    },
    /// A device's deliveries came to their end without its acknowledgement.
    Parked {
        /// The device.
        did: Did,
        /// Copies that were due.
        attempts: u32,
        /// Why.
        cause: Cause,
    },
    /// The acknowledgement of a device is durable.
    Acked {
        /// The device.
        did: Did,
    },
    /// A device of the sender was told that the reader has it.
    Told {
        /// The sender's device.
        did: Did,
    },
    /// An operator had it sent anew.
    Redelivered,
    /// An operator had it expire.
    Expired,
}

/// Why a delivery came to its end without an acknowledgement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Cause {
    /// All copies of the schedule had left.
    UsedUp,
    /// The connection ended.
    Disconnected,
    /// An operator ended it.
    Operator,
}

/// What happens to a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Turn {
    /// Commits are announced to it from here on.
    Came,
    /// They are no more; the close code that the server said, if it ended the connection.
    Left {
        /// The close code.
        close: Option<u16>,
    },
}

/// What moments of messages with this id are filed under.
pub fn message_key(id: &MsgId) -> u64 {
    xxh3_64(id.as_str().as_bytes())
}

/// What moments of this device are filed under.
pub fn device_key(uid: Uid, did: &Did) -> u64 {
    let mut key = Xxh3::with_seed(1);
    key.update(&uid.0.to_be_bytes());
    key.update(did.as_str().as_bytes());
    key.digest()
}
