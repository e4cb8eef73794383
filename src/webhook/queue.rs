//! Where events wait.

use crate::message::hook::Event;

/// Events in the order of their numbers, from 1 on, and how far the receiver has them. It is durable, whatever keeps it.
pub trait Queue: Send + Sync {
    /// Returns events with numbers above `after`, in order: at most `limit`, and not more than about `max_bytes` of what
    /// is kept, but one if there is one.
    ///
    /// Numbers may be missing, because old events are dropped. One that cannot be read any more is left out, and is the
    /// queue's to tell and count: it would come first for ever.
    fn page(
        &self,
        after: u64,
        limit: usize,
        max_bytes: usize,
    ) -> Result<Vec<(u64, Event)>, QueueError>;

    /// Asks for the cursor to be moved to `up_to`; returns before that is durable. What a crash takes back is sent again.
    fn sent(&self, up_to: u64);

    /// The last number that the receiver is known to have, as of the start; 0 if there is none.
    fn cursor(&self) -> Result<u64, QueueError>;
}

/// Says why the queue cannot be read. It may be another time.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{0}")]
pub struct QueueError(pub String);
