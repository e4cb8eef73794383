//! The trace keeps every record or says how many it lost, whatever the disk and the process come to.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "trace/crash.rs"]
mod crash;
#[path = "trace/disk.rs"]
mod disk;
#[path = "trace/faults.rs"]
mod faults;
#[path = "trace/kill.rs"]
mod kill;
#[path = "trace/model.rs"]
mod model;
#[path = "trace/retention.rs"]
mod retention;
#[path = "trace/threads.rs"]
mod threads;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use disk::Disk;
use yizhan::store::trace::{Found, Keep, Now, Tracer};

/// More than any test writes.
const PLENTY: Keep = Keep {
    ms: 1 << 40,
    bytes: 1 << 40,
    free: 0,
};

/// A time that only a test moves on.
#[derive(Clone)]
struct Time(Arc<AtomicU64>);

impl Time {
    fn at(ms: u64) -> Time {
        Time(Arc::new(AtomicU64::new(ms)))
    }

    fn pass(&self, ms: u64) {
        self.0.fetch_add(ms, Ordering::SeqCst);
    }

    fn now(&self) -> Now {
        let time = self.0.clone();
        Arc::new(move || time.load(Ordering::SeqCst))
    }
}

fn start(disk: &Arc<Disk>, keep: Keep, time: &Time) -> Tracer {
    Tracer::open(Some(disk.folder()), keep, time.now()).unwrap()
}

/// Leaves a record that says a number, with so many bytes that cannot be made shorter.
fn note(tracer: &Tracer, key: u64, number: u64, noise: usize) {
    let mut rng = fastrand::Rng::with_seed(number);
    tracer.record(key, |bytes| {
        bytes.extend_from_slice(&number.to_le_bytes());
        bytes.extend((0..noise).map(|_| rng.u8(..)));
    });
}

/// The numbers of all records under these keys, and what else was found.
fn numbers(tracer: &Tracer, keys: &[u64]) -> (Vec<u64>, Found) {
    let mut numbers = Vec::new();
    let found = tracer.find(keys, &mut |_, payload| {
        numbers.push(u64::from_le_bytes(payload[..8].try_into().unwrap()));
    });
    (numbers, found.unwrap())
}
