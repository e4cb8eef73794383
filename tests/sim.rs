//! A seeded simulator over the real machines, mailrooms, outboxes, ledger and registry: clients come, go and repeat,
//! frames are lost, doubled and late, devices are replaced, forgotten and told to resync, messages expire, the store
//! fails, and the server is killed between any two steps.
//!
//! `YIZHAN_SEED=n` runs that seed alone and prints what happens in it; `YIZHAN_SEEDS=n` runs that many, from
//! `YIZHAN_FIRST_SEED` on.
#![allow(clippy::unwrap_used, clippy::expect_used, unreachable_pub)]

#[path = "sim/book.rs"]
mod book;
#[path = "sim/bugs.rs"]
mod bugs;
#[path = "sim/client.rs"]
mod client;
#[path = "sim/devices.rs"]
mod devices;
#[path = "sim/engine.rs"]
mod engine;
#[path = "sim/network.rs"]
mod network;
#[path = "sim/people.rs"]
mod people;
#[path = "sim/promise.rs"]
mod promise;
#[path = "sim/scenario.rs"]
mod scenario;
#[path = "sim/server.rs"]
mod server;
#[path = "sim/store.rs"]
mod store;
#[path = "sim/tally.rs"]
mod tally;
#[path = "sim/turn.rs"]
mod turn;
#[path = "sim/world.rs"]
mod world;

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use bugs::Bug;
use tally::Ran;
use world::World;

const SEEDS: u64 = 50_000;
/// From so many seeds on, everything that can happen must have.
const ENOUGH: u64 = 10_000;
const THREADS: usize = 2;

fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(
        text.parse()
            .unwrap_or_else(|_| panic!("{variable} is not a number: {text}")),
    )
}

/// Runs one seed; the complaint, if the promise was broken in it.
fn run(seed: u64, bug: Option<Bug>, trace: bool) -> Result<Ran, String> {
    let attempt = std::panic::catch_unwind(|| World::new(seed, bug, trace).run());
    match attempt {
        Ok(outcome) => outcome,
        Err(panic) => Err(panic
            .downcast_ref::<String>()
            .cloned()
            .or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_string()))
            .unwrap_or_default()),
    }
}

#[test]
fn every_message_reaches_every_device_once_whatever_is_lost_doubled_late_or_killed() {
    if let Some(seed) = number("YIZHAN_SEED") {
        let ran = run(seed, None, true).unwrap_or_else(|broken| panic!("seed {seed}: {broken}"));
        println!("{ran:?}");
        return;
    }
    let seeds = number("YIZHAN_SEEDS").unwrap_or(SEEDS);
    let first = number("YIZHAN_FIRST_SEED").unwrap_or(0);
    let next = AtomicU64::new(first);
    let total = Mutex::new(Ran::default());
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                let mut ran = Ran::default();
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= first + seeds {
                        break;
                    }
                    ran.add(&run(seed, None, false).unwrap_or_else(|broken| {
                        next.store(first + seeds, Ordering::Relaxed);
                        panic!("{broken}\nrun it again: YIZHAN_SEED={seed} cargo test --test sim every_message")
                    }));
                }
                total.lock().unwrap().add(&ran);
            });
        }
    });
    let total = total.into_inner().unwrap();
    println!("{seeds} seeds: {total:#?}");
    if seeds >= ENOUGH {
        let missing: Vec<_> = total.counts().into_iter().filter(|c| c.1 == 0).collect();
        assert!(missing.is_empty(), "these never happened: {missing:?}");
    }
}

/// How many seeds a planted bug may take to be found.
const PATIENCE: u64 = 3_000;

fn is_found(bug: Bug) {
    for seed in 0..PATIENCE {
        if let Err(broken) = run(seed, Some(bug), false) {
            println!("{bug:?} is found by seed {seed}: {broken}");
            run(seed, None, false).expect("it is the planted bug that is found");
            return;
        }
    }
    panic!("{bug:?} is not found in {PATIENCE} seeds");
}

macro_rules! planted {
    ($($name:ident: $bug:ident,)*) => {
        $(#[test]
        fn $name() {
            is_found(Bug::$bug);
        })*
    };
}

planted! {
    a_server_that_forgets_its_dedupe_index_in_a_restart_is_found: NoDedupeAcrossRestart,
    a_server_that_reads_the_head_before_it_registers_is_found: HeadBeforeRegistration,
    a_server_that_takes_an_ack_by_id_alone_is_found: AckByIdAlone,
    a_server_that_takes_an_ack_for_what_it_never_sent_is_found: AckBeyondSent,
    a_server_that_counts_expiry_as_delivery_is_found: ExpiryCountsAsDelivery,
    a_server_that_serves_what_has_expired_is_found: ExpiredRowsServed,
    a_server_that_keeps_rows_for_devices_nobody_sees_is_found: ForgottenDevicesHold,
    a_server_that_tells_before_it_has_flushed_is_found: NewsBeforeFlush,
    a_server_that_trusts_its_memory_after_a_failure_is_found: FailedBatchTrusted,
    a_server_that_drops_a_wake_up_is_found: WakeUpDropped,
    a_server_that_announces_to_the_dead_is_found: UnregisterSkipped,
    a_server_whose_parked_messages_fill_the_window_is_found: WindowNotFreed,
    a_server_that_is_too_busy_to_say_so_is_found: BusyIgnored,
    a_server_that_drops_what_the_mailroom_cannot_hold_is_found: RowsBeyondLost,
    a_server_that_gives_up_rows_in_silence_is_found: ResyncUntold,
    a_server_that_lets_signals_end_in_silence_is_found: SignalNeverFails,
    a_server_that_counts_the_gone_as_connected_is_found: GhostsOnline,
}

#[test]
fn the_same_seed_is_the_same_run() {
    for seed in 0..50 {
        assert_eq!(run(seed, None, false), run(seed, None, false));
    }
}
