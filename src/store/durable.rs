//! What is durable, for those who read beside the committer: an engine shows what was applied before it is flushed.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// No commit is in hand.
const IDLE: u64 = u64::MAX;

/// Shared by the committer, which says how far it is, and the readers; cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Durable(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    /// The time of the commit in hand, or of the one that failed, Unix milliseconds.
    in_hand: AtomicU64,
    /// How often the engine was opened again.
    openings: AtomicU64,
}

impl Default for Inner {
    fn default() -> Inner {
        Inner {
            in_hand: AtomicU64::new(IDLE),
            openings: AtomicU64::new(0),
        }
    }
}

impl Durable {
    /// From here on the engine may show what was changed at `now`, Unix milliseconds.
    pub(super) fn begin(&self, now: u64) {
        self.0.in_hand.store(now, Ordering::SeqCst);
    }

    /// All of it is flushed. After an error this is not said before a later commit is.
    pub(super) fn end(&self) {
        self.0.in_hand.store(IDLE, Ordering::SeqCst);
    }

    /// The engine was opened again by what is on the disk: what was read before may be gone.
    pub(super) fn reopened(&self) {
        self.0.openings.fetch_add(1, Ordering::SeqCst);
    }

    /// How often the engine was opened again; to be asked before something is read.
    pub fn openings(&self) -> u64 {
        self.0.openings.load(Ordering::SeqCst)
    }

    /// Whether a change of that time is durable, which was read after so many openings.
    pub fn has(&self, at: u64, openings: u64) -> bool {
        at < self.0.in_hand.load(Ordering::SeqCst) && self.openings() == openings
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_durable_when_its_commit_has_ended() {
        let durable = Durable::default();
        assert!(durable.has(5, 0));
        durable.begin(5);
        assert!(durable.has(4, 0) && !durable.has(5, 0));
        durable.end();
        assert!(durable.has(5, 0));
    }

    #[test]
    fn what_was_read_before_the_engine_was_opened_again_is_not() {
        let durable = Durable::default();
        durable.begin(5);
        let openings = durable.openings();
        durable.reopened();
        durable.begin(9);
        assert!(!durable.has(5, openings));
        assert!(durable.has(5, durable.openings()));
    }
}
