//! How fast a device may send, and how many logins a second the server takes: buckets that hold one second's worth.

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use governor::clock::Clock;
use governor::middleware::NoOpMiddleware;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};
use parking_lot::Mutex;
use tokio::time::Instant;

use crate::code::Code;
use crate::config::Limits;
use crate::id::{Did, Uid};
use crate::message::Fault;
use crate::metrics::Limit;

/// What a frame counts as at least, bytes: its header and the work it makes.
const FRAME_MIN: usize = 16;
/// How long a bucket takes to be full again, when it owes nothing.
const FULL: Duration = Duration::from_secs(1);
/// Devices that are remembered before it is looked which of them have rested.
const SWEEP_MIN: usize = 1024;

/// The rates of all devices, and that of logins.
#[derive(Debug)]
pub struct Rates {
    messages: Option<NonZeroU32>,
    bytes: Option<NonZeroU32>,
    logins: Option<Bucket>,
    devices: Mutex<Devices>,
}

/// What one device, or one user over HTTP, may still send; all connections share it, one after the other too.
#[derive(Debug)]
pub struct Allowance(Mutex<Buckets>);

/// A refusal by a rate.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TooFast {
    /// Which rate.
    pub limit: Limit,
    /// When the same would be let through if nothing else came in between, milliseconds.
    pub retry_ms: u64,
}

#[derive(Debug)]
struct Devices {
    /// Without a device, what their users send over HTTP.
    known: HashMap<(Uid, Option<Did>), Arc<Allowance>>,
    sweep_at: usize,
}

#[derive(Debug)]
struct Buckets {
    messages: Option<Bucket>,
    bytes: Option<Bucket>,
    /// A message was paid for and then refused for its bytes.
    prepaid: bool,
    /// From here on every bucket is full.
    rested_at: Instant,
}

impl Rates {
    /// The rates that these limits set; one that is 0 is none.
    pub fn new(limits: &Limits) -> Rates {
        let rate = |a_second: u64| NonZeroU32::new(u32::try_from(a_second).unwrap_or(u32::MAX));
        Rates {
            messages: rate(limits.messages_per_s),
            bytes: rate(limits.bytes_per_s),
            logins: rate(limits.handshakes_per_s).map(Bucket::full),
            devices: Mutex::new(Devices {
                known: HashMap::new(),
                sweep_at: SWEEP_MIN,
            }),
        }
    }

    /// Takes one login, or says when to come back.
    pub fn log_in(&self) -> Result<(), TooFast> {
        let Some(logins) = &self.logins else {
            return Ok(());
        };
        let taken = logins.take(1);
        taken.map_err(|wait| TooFast::of(Limit::Handshakes, wait))
    }

    /// What this device may send, if there is a limit to it. It outlives a connection until it is full again: coming back
    /// brings nothing.
    pub fn device(&self, uid: Uid, did: &Did) -> Option<Arc<Allowance>> {
        self.allowance(uid, Some(did.clone()))
    }

    /// What this user may send over HTTP, where nobody says which device it is: as much as one device.
    pub fn user(&self, uid: Uid) -> Option<Arc<Allowance>> {
        self.allowance(uid, None)
    }

    fn allowance(&self, uid: Uid, did: Option<Did>) -> Option<Arc<Allowance>> {
        if self.messages.is_none() && self.bytes.is_none() {
            return None;
        }
        let mut devices = self.devices.lock();
        if devices.known.len() >= devices.sweep_at {
            let now = Instant::now();
            let in_use = |allowance: &Arc<Allowance>| Arc::strong_count(allowance) > 1;
            devices
                .known
                .retain(|_, allowance| in_use(allowance) || !allowance.is_rested(now));
            devices.sweep_at = (2 * devices.known.len()).max(SWEEP_MIN);
        }
        let allowance = devices.known.entry((uid, did)).or_insert_with(|| {
            Arc::new(Allowance(Mutex::new(Buckets {
                messages: self.messages.map(Bucket::full),
                bytes: self.bytes.map(Bucket::full),
                prepaid: false,
                rested_at: Instant::now(),
            })))
        });
        Some(allowance.clone())
    }
}

impl Allowance {
    /// Takes a frame of so many bytes, which may be a message, or says when to send it again: what is refused costs
    /// nothing.
    ///
    /// A frame longer than a second's worth is let through when the bucket is full, and paid off afterwards.
    pub fn spend(&self, bytes: usize, is_message: bool) -> Result<(), TooFast> {
        let mut buckets = self.0.lock();
        if is_message && !buckets.prepaid {
            let taken = buckets.messages.as_ref().map_or(Ok(()), |b| b.take(1));
            taken.map_err(|wait| TooFast::of(Limit::Messages, wait))?;
        }
        let bytes = bytes.max(FRAME_MIN) as u64;
        let taken = buckets.bytes.as_ref().map_or(Ok(()), |b| b.take(bytes));
        if let Err(wait) = taken {
            buckets.prepaid |= is_message;
            return Err(TooFast::of(Limit::Bytes, wait));
        }
        buckets.prepaid &= !is_message;
        let owed = buckets.bytes.as_ref().map(|b| b.owed(bytes));
        buckets.rested_at = Instant::now() + FULL + owed.unwrap_or_default();
        Ok(())
    }

    fn is_rested(&self, now: Instant) -> bool {
        self.0.lock().rested_at <= now
    }
}

impl TooFast {
    /// What is said of it.
    pub fn fault(&self) -> Fault {
        let msg = format!("more than limits.{} allows", self.limit.name());
        Fault::because(Code::TooFast, msg).later(self.retry_ms)
    }

    fn of(limit: Limit, wait: Duration) -> TooFast {
        let retry_ms = wait.as_nanos().div_ceil(1_000_000).max(1) as u64;
        TooFast { limit, retry_ms }
    }
}

/// So many a second; it holds one second's worth.
#[derive(Debug)]
struct Bucket {
    limiter: RateLimiter<NotKeyed, InMemoryState, Steady, NoOpMiddleware<Duration>>,
    rate: NonZeroU32,
}

impl Bucket {
    fn full(rate: NonZeroU32) -> Bucket {
        let clock = Steady {
            started: Instant::now(),
            offset_ns: AtomicU64::new(0),
        };
        let limiter = RateLimiter::direct_with_clock(Quota::per_second(rate), clock);
        // Far from the limiter's beginning, before which it cannot be set back.
        let clock = limiter.clock();
        clock.offset_ns.store(DECADES_NS, Ordering::Relaxed);
        Bucket { limiter, rate }
    }

    /// Takes so many, or says how long to wait. More than it can hold are taken from a full bucket, and it owes the rest.
    fn take(&self, count: u64) -> Result<(), Duration> {
        let held = u32::try_from(count).map_or(self.rate.get(), |c| c.min(self.rate.get()));
        let Some(held) = NonZeroU32::new(held) else {
            return Ok(());
        };
        match self.limiter.check_n(held) {
            Ok(Ok(())) => {
                self.limiter.clock().set_back(self.owed(count));
                Ok(())
            }
            Ok(Err(until)) => Err(until.wait_time_from(self.limiter.clock().now())),
            Err(_) => Err(FULL),
        }
    }

    /// How long it takes to earn what is more than it can hold.
    fn owed(&self, count: u64) -> Duration {
        let rate = u64::from(self.rate.get());
        let over = u128::from(count.saturating_sub(rate));
        Duration::from_nanos((over * 1_000_000_000 / u128::from(rate)) as u64)
    }
}

/// More than a bucket can ever owe: a frame of 64 MB, at a byte a second, is two years.
const DECADES_NS: u64 = 1 << 60;

/// A steady clock of one bucket. Setting it back makes the bucket owe more than it holds, which its algorithm has no word
/// for.
#[derive(Debug)]
struct Steady {
    started: Instant,
    offset_ns: AtomicU64,
}

impl Steady {
    fn set_back(&self, by: Duration) {
        let by = by.as_nanos() as u64;
        self.offset_ns.fetch_sub(by, Ordering::Relaxed);
    }
}

impl Clock for Steady {
    type Instant = Duration;

    fn now(&self) -> Duration {
        self.started.elapsed() + Duration::from_nanos(self.offset_ns.load(Ordering::Relaxed))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use tokio::time::advance;

    use super::*;

    fn rates(messages_per_s: u64, bytes_per_s: u64, handshakes_per_s: u64) -> Rates {
        Rates::new(&Limits {
            messages_per_s,
            bytes_per_s,
            connections_per_user: 0,
            connections_per_address: 0,
            handshakes_per_s,
        })
    }

    fn phone(rates: &Rates) -> Arc<Allowance> {
        rates.device(Uid(1), &Did::parse("phone").unwrap()).unwrap()
    }

    fn wait(refused: Result<(), TooFast>, limit: Limit) -> Duration {
        let refused = refused.unwrap_err();
        assert_eq!(refused.limit, limit);
        Duration::from_millis(refused.retry_ms)
    }

    const MS: Duration = Duration::from_millis(1);

    #[tokio::test(start_paused = true)]
    async fn a_second_of_messages_goes_at_once_and_the_next_when_it_was_told() {
        let rates = rates(10, 0, 0);
        let phone = phone(&rates);
        for _ in 0..10 {
            phone.spend(1, true).unwrap();
        }
        let told = wait(phone.spend(1, true), Limit::Messages);
        assert_eq!(told, 100 * MS);
        phone.spend(1, false).unwrap();
        advance(told - MS).await;
        assert_eq!(wait(phone.spend(1, true), Limit::Messages), MS);
        advance(MS).await;
        phone.spend(1, true).unwrap();
        wait(phone.spend(1, true), Limit::Messages);
    }

    #[tokio::test(start_paused = true)]
    async fn a_frame_longer_than_a_second_is_let_through_and_paid_off() {
        let rates = rates(0, 1000, 0);
        let phone = phone(&rates);
        phone.spend(500, false).unwrap();
        assert_eq!(wait(phone.spend(5000, false), Limit::Bytes), 500 * MS);
        advance(500 * MS).await;
        phone.spend(5000, false).unwrap();
        // Four seconds for what was above the bucket, and a tenth for itself.
        assert_eq!(wait(phone.spend(100, false), Limit::Bytes), 4100 * MS);
        assert_eq!(wait(phone.spend(5000, false), Limit::Bytes), 5000 * MS);
        advance(4099 * MS).await;
        wait(phone.spend(100, false), Limit::Bytes);
        advance(MS).await;
        phone.spend(100, false).unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_frame_counts_as_its_bytes_and_a_short_one_as_sixteen() {
        let rates = rates(0, 1000, 0);
        let phone = phone(&rates);
        phone.spend(1000 - 3 * FRAME_MIN, false).unwrap();
        for bytes in [0, 1, FRAME_MIN] {
            phone.spend(bytes, false).unwrap();
        }
        wait(phone.spend(0, false), Limit::Bytes);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_refused_costs_nothing() {
        let rates = rates(2, 1000, 0);
        let phone = phone(&rates);
        phone.spend(900, true).unwrap();
        // There is a message left but no room for its bytes, however often it is tried.
        for _ in 0..5 {
            assert_eq!(wait(phone.spend(400, true), Limit::Bytes), 300 * MS);
        }
        advance(300 * MS).await;
        phone.spend(400, true).unwrap();
        wait(phone.spend(0, true), Limit::Messages);
    }

    #[tokio::test(start_paused = true)]
    async fn a_device_that_comes_back_finds_its_bucket_as_it_left_it() {
        let rates = rates(1, 0, 0);
        phone(&rates).spend(1, true).unwrap();
        wait(phone(&rates).spend(1, true), Limit::Messages);
        let laptop = Did::parse("laptop").unwrap();
        let laptop = rates.device(Uid(1), &laptop).unwrap();
        laptop.spend(1, true).unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn devices_that_have_rested_are_forgotten() {
        let rates = rates(1, 0, 0);
        let kept = phone(&rates);
        for uid in 2..10 * SWEEP_MIN as u64 {
            let device = rates.device(Uid(uid), &Did::parse("phone").unwrap());
            device.unwrap().spend(1, true).unwrap();
            advance(MS * 2).await;
        }
        assert!(rates.devices.lock().known.len() <= 2 * SWEEP_MIN);
        assert!(Arc::ptr_eq(&kept, &phone(&rates)));
    }

    #[tokio::test(start_paused = true)]
    async fn logins_share_one_bucket_and_no_limit_takes_any_number() {
        let limited = rates(0, 0, 2);
        limited.log_in().unwrap();
        limited.log_in().unwrap();
        assert_eq!(wait(limited.log_in(), Limit::Handshakes), 500 * MS);
        advance(500 * MS).await;
        limited.log_in().unwrap();
        let open = rates(0, 0, 0);
        assert!((0..1000).all(|_| open.log_in().is_ok()));
        assert!(open.device(Uid(1), &Did::parse("phone").unwrap()).is_none());
    }
}
