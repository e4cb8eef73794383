//! Dialects: a file for each converts frames to [`Command`]s and [`Event`]s to frames, and does nothing else.
//!
//! [`Event`]: crate::message::Event

pub mod json;
pub mod names;

use crate::message::Command;

/// What a frame of a client asks, before the gateway has acted on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Inbound {
    /// Something for the device.
    Command(Command),
    /// A new token for this connection; the gateway checks it.
    Refresh(String),
    /// A sign of life that wants an answer.
    Ping,
}

/// The bounds that every dialect holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Bytes of one payload.
    pub max_payload: usize,
    /// Rows of one page.
    pub max_page: usize,
    /// Messages of one status question.
    pub max_status: usize,
}
