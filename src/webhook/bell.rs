//! Says that something is in the queue.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread::{self, Thread};

/// Rung after a commit that wrote events. It belongs to one sender at most; without one, nobody hears it.
#[derive(Clone, Default)]
pub struct Bell(Arc<Inner>);

#[derive(Default)]
struct Inner {
    rung: AtomicBool,
    ear: OnceLock<Thread>,
}

impl Bell {
    /// Has the sender look into the queue; never blocks, and of many rings one is heard.
    pub fn ring(&self) {
        if !self.0.rung.swap(true, Ordering::AcqRel)
            && let Some(ear) = self.0.ear.get()
        {
            ear.unpark();
        }
    }

    /// From here on this thread is woken. What was rung before has to be looked for once.
    pub(super) fn listen(&self) {
        let _ = self.0.ear.set(thread::current());
    }

    /// Whether it was rung and nobody has asked yet.
    pub(super) fn is_rung(&self) -> bool {
        self.0.rung.load(Ordering::Acquire)
    }

    /// Whether it was rung since this was asked last.
    pub(super) fn was_rung(&self) -> bool {
        self.0.rung.swap(false, Ordering::AcqRel)
    }
}

impl fmt::Debug for Bell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Bell")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_rings_are_heard_once() {
        let bell = Bell::default();
        bell.ring();
        bell.ring();
        assert!(bell.was_rung());
        assert!(!bell.was_rung());
        bell.ring();
        assert!(bell.was_rung());
    }

    #[test]
    fn a_ring_wakes_the_thread_that_listens() {
        let bell = Bell::default();
        let there = bell.clone();
        let (ready, is_ready) = std::sync::mpsc::channel();
        let thread = thread::spawn(move || {
            there.listen();
            let _ = ready.send(());
            while !there.was_rung() {
                thread::park();
            }
        });
        assert!(is_ready.recv().is_ok());
        bell.ring();
        assert!(thread.join().is_ok());
    }
}
