//! Tells one receiver over HTTP what happens, in order and at least once, from a durable queue, and is never in the way
//! of a message.
//!
//! An [`Event`] is written by whoever writes what it tells of, in the same commit; the [`Sender`] comes later, reads the
//! queue in order, and moves the queue's cursor when the receiver has answered. docs/WEBHOOKS.md is what receivers see.

mod batch;
mod bell;
mod json;
mod machine;
mod post;
mod queue;
mod retry_after;
mod sender;
mod sign;
mod status;

pub use crate::message::hook::{Event, Message, Party, Reason, Target, What};
pub use bell::Bell;

pub use json::{Names, Renderer};
pub use machine::{Backoff, Effect, Failure, Input, Machine, Page, Report, Trouble};
pub use queue::{Queue, QueueError};
pub use sender::{Clocks, Now, Plan, Sender, StartError, Timing};
pub use sign::Signer;
pub use status::{Board, Meter, Status};
