//! What a commit came to: answers, news for those it concerns, and counts.

use std::sync::Arc;

use crate::id::{Did, Seq, Uid};
use crate::machine::access::Access;
use crate::message::{Answer, Receipt, Row};

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
    /// Rows added less rows removed.
    pub rows: i64,
    /// Whether anything was written.
    pub wrote: bool,
}
