//! What a commit came to: answers, news for those it concerns, and counts.

use std::sync::Arc;

use crate::id::{Did, Seq, Uid};
use crate::machine::access::Access;
use crate::machine::ranges::Ranges;
use crate::message::chat::{By, Chat};
use crate::message::{Answer, Counted, Receipt, Row};

/// Somebody hears of a commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum News {
    /// A row is durable: for every device of its reader.
    Row(Row),
    /// Rows up to here are durable: for every device of that user.
    Head {
        /// The reader.
        uid: Uid,
        /// The last sequence number.
        head: Seq,
    },
    /// A device of the reader has a message: for every device of its sender.
    Receipt(Receipt),
    /// Members of a group have a message: for every device of its sender.
    Counted(Counted),
    /// These rows are owed to nobody any more: for every device of that user.
    Withdrawn {
        /// The reader.
        uid: Uid,
        /// The rows.
        seqs: Ranges,
    },
    /// These rows are owed to that device no more, announced to or not: it has sent what they copy.
    Passed {
        /// The user.
        uid: Uid,
        /// The device.
        did: Did,
        /// The rows.
        seqs: Ranges,
    },
    /// Somebody has read a conversation: for every device of the other user, and their own other ones.
    Read {
        /// The conversation, as they name it.
        chat: Chat,
        /// Who, and on which device.
        by: By,
        /// The other user, if they may know.
        peer: Option<Uid>,
        /// How far.
        up_to: Seq,
        /// Unix milliseconds.
        server_ts: u64,
    },
    /// Somebody writes: for every device of these that is there, and for nobody later.
    Typing {
        /// Who are told.
        readers: Vec<Uid>,
        /// Who writes.
        from: Uid,
        /// Where, as the writer names it.
        chat: Chat,
    },
    /// Events for the webhook are durable up to that number.
    Events(u64),
    /// Rows were given up for that device, which lags too far behind.
    Lagging {
        /// The user.
        uid: Uid,
        /// The device.
        did: Did,
    },
    /// That device is not known any more.
    Forgotten {
        /// The user.
        uid: Uid,
        /// The device.
        did: Did,
    },
    /// An operator has changed what that user may do: for every process of the user, announced to or not.
    Restricted {
        /// The user.
        uid: Uid,
        /// What is forbidden after this batch.
        access: Arc<Access>,
    },
}

/// What a batch of requests came to.
#[derive(Debug, Default)]
pub struct Committed {
    /// One for each request, in order.
    pub answers: Vec<Answer>,
    /// In the order of the commits.
    pub news: Vec<News>,
    /// Counts for the metrics.
    pub tally: Tally,
}

/// What a batch changed, in numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Messages accepted for the first time.
    pub accepted: u64,
    /// Rows acknowledged by their first device.
    pub delivered: u64,
    /// Rows that nobody took in time.
    pub expired: u64,
    /// Events that were dropped before the webhook's receiver had them.
    pub events_dropped: u64,
    /// Rows of groups, and of changes, for which an inbox had no room.
    pub overflowed: u64,
    /// Rows added less rows removed.
    pub rows: i64,
    /// Whether anything was written.
    pub wrote: bool,
}
