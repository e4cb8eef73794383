//! How the webhook stands, for operators.

use std::fmt;
use std::sync::Arc;

use parking_lot::Mutex;
use serde::Serialize;

/// How the webhook stands; times are Unix milliseconds of the server. It holds no secret, and of the URL nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Status {
    /// The last number that the receiver has.
    pub cursor: u64,
    /// How many events the receiver has got since the start.
    pub sent: u64,
    /// How many attempts have failed since the start.
    pub failed: u64,
    /// How many have failed since the last that did not.
    pub attempts: u32,
    /// When the receiver last took a request.
    pub last_success_ms: Option<u64>,
    /// When an attempt last failed.
    pub last_failure_ms: Option<u64>,
    /// Why.
    pub last_error: Option<String>,
    /// When the next attempt is, if one is waited for.
    pub next_attempt_ms: Option<u64>,
    /// Whether a request is on its way.
    pub in_flight: bool,
}

/// Counts what the sender does; called on its thread, after the [`Board`] shows it.
pub trait Meter: Send + Sync {
    /// The receiver has got so many events.
    fn sent(&self, events: u64);

    /// An attempt has failed.
    fn failed(&self);
}

/// Shows a [`Status`] to whoever looks.
#[derive(Clone, Default)]
pub struct Board(Arc<Mutex<Status>>);

impl Board {
    /// Returns the status as it is.
    pub fn status(&self) -> Status {
        self.0.lock().clone()
    }

    pub(super) fn update(&self, change: impl FnOnce(&mut Status)) {
        change(&mut self.0.lock());
    }
}

impl fmt::Debug for Board {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.status().fmt(f)
    }
}
