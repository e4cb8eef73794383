//! Does at the priority of the server what a shell asks for.
//!
//! Evaluations run at the lowest priority there is. If one of them held a lock of the registry or of the store when it
//! lost the processor, every message would wait for it. So they hold none: what needs one is done here, and they wait.

use std::future::Future;
use std::num::NonZeroU32;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use actix::ArbiterHandle;
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};

/// What all shells together may ask for in a second, and at once: a loop must not keep the server busy.
const ASKED: Pace = Pace(2000, 500);
/// The same for look-ups in the trace, each of which has the latest of it written and reads many files.
const SOUGHT: Pace = Pace(20, 20);
/// How long who is too fast waits before it tries again.
const BREATH: Duration = Duration::from_millis(1);

/// In a second, and at once.
struct Pace(u32, u32);

/// The way to the desk.
#[derive(Debug)]
pub struct Desk {
    arbiter: ArbiterHandle,
    asked: DefaultDirectRateLimiter,
    sought: DefaultDirectRateLimiter,
}

/// The answer did not come in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the server did not answer in time; what was asked may still be done")]
pub struct Late;

impl Desk {
    /// A desk on the thread of this arbiter.
    pub fn at(arbiter: ArbiterHandle) -> Desk {
        Desk {
            arbiter,
            asked: ASKED.limiter(),
            sought: SOUGHT.limiter(),
        }
    }

    /// Waits for the turn of a look-up in the trace.
    pub fn seek(&self, deadline: Instant) -> Result<(), Late> {
        take_turn(&self.sought, deadline)
    }

    /// Has something done when its turn has come, and waits for what it comes to, until `deadline`.
    pub fn ask<T: Send + 'static>(
        &self,
        deadline: Instant,
        work: impl Future<Output = T> + Send + 'static,
    ) -> Result<T, Late> {
        take_turn(&self.asked, deadline)?;
        let (done, answer) = mpsc::sync_channel(1);
        let spawned = self.arbiter.spawn(async move {
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
        self.arbiter.spawn(work);
    }
}

impl Pace {
    fn limiter(&self) -> DefaultDirectRateLimiter {
        let whole = |count| NonZeroU32::new(count).unwrap_or(NonZeroU32::MIN);
        RateLimiter::direct(Quota::per_second(whole(self.0)).allow_burst(whole(self.1)))
    }
}

fn take_turn(limiter: &DefaultDirectRateLimiter, deadline: Instant) -> Result<(), Late> {
    while limiter.check().is_err() {
        if Instant::now() >= deadline {
            return Err(Late);
        }
        thread::sleep(BREATH);
    }
    Ok(())
}
