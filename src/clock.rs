//! The server's time: Unix milliseconds that never jump.

use std::time::{SystemTime, UNIX_EPOCH};

use tokio::time::Instant;

/// Reads the wall clock once, at the start, and a steady clock from then on.
///
/// A step of the wall clock, by hand or by a time daemon, would expire messages that are young and bunch deadlines; the
/// next start takes it in.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    base_ms: u64,
    started: Instant,
}

impl Clock {
    /// Starts from the wall clock.
    pub fn start() -> Clock {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH);
        Clock {
            base_ms: since_epoch.map_or(0, |d| d.as_millis() as u64),
            started: Instant::now(),
        }
    }

    /// Unix milliseconds.
    pub fn now_ms(&self) -> u64 {
        self.base_ms + self.started.elapsed().as_millis() as u64
    }
}
