//! The server's time: Unix milliseconds that never jump, and the wall's for what other machines have dated.

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
        Clock {
            base_ms: wall_ms(),
            started: Instant::now(),
        }
    }

    /// Unix milliseconds.
    pub fn now_ms(&self) -> u64 {
        self.base_ms + self.started.elapsed().as_millis() as u64
    }

    /// When something ends that ends at `wall`, Unix milliseconds by the wall clock.
    pub fn at_wall(&self, wall: u64) -> u64 {
        let now = self.now_ms();
        now.saturating_add(wall).saturating_sub(wall_ms())
    }
}

/// Unix milliseconds by the wall clock, which may jump: tokens are dated by it, on this machine or another.
pub fn wall_ms() -> u64 {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH);
    since_epoch.map_or(0, |d| d.as_millis() as u64)
}
