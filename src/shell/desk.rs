//! Does at the priority of the server what a shell asks for.
//!
//! Evaluations run at the lowest priority there is. If one of them held a lock of the registry or of the store when it
//! lost the processor, every message would wait for it. So they hold none: what needs one is done here, and they wait.

use std::future::Future;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use actix::ArbiterHandle;

/// The way to the desk; cheap to clone.
#[derive(Clone, Debug)]
pub struct Desk(ArbiterHandle);

/// The answer did not come in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the server did not answer in time")]
pub struct Late;

impl Desk {
    /// A desk on the thread of this arbiter.
    pub fn at(arbiter: ArbiterHandle) -> Desk {
        Desk(arbiter)
    }

    /// Has something done and waits for what it comes to, until `deadline`.
    pub fn ask<T: Send + 'static>(
        &self,
        deadline: Instant,
        work: impl Future<Output = T> + Send + 'static,
    ) -> Result<T, Late> {
        let (done, answer) = mpsc::sync_channel(1);
        let spawned = self.0.spawn(async move {
            // Whoever asked may have run out of time.
            let _ = done.send(work.await);
        });
        if !spawned {
            return Err(Late);
        }
        let wait = deadline.saturating_duration_since(Instant::now());
        answer
            .recv_timeout(wait.max(Duration::from_millis(1)))
            .map_err(|_| Late)
    }

    /// Has something done that nobody waits for.
    pub fn start(&self, work: impl Future<Output = ()> + Send + 'static) {
        self.0.spawn(work);
    }
}
