//! A seeded simulator over the real machines, the rules of the ledger and the registry: clients come, go and repeat,
//! frames are lost, doubled and late, and the server is killed between any two steps.
//!
//! `YIZHAN_SEED=n` runs that seed alone and prints what happens in it; `YIZHAN_SEEDS=n` runs that many.
#![allow(clippy::unwrap_used, clippy::expect_used, unreachable_pub)]

#[path = "sim/client.rs"]
mod client;
#[path = "sim/server.rs"]
mod server;
#[path = "sim/world.rs"]
mod world;

use std::sync::atomic::{AtomicU64, Ordering};

use world::{Bug, World};

const SEEDS: u64 = 20_000;

fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(
        text.parse()
            .unwrap_or_else(|_| panic!("{variable} is not a number: {text}")),
    )
}

/// Runs one seed; the complaint, if the promise was broken in it.
fn run(seed: u64, bug: Option<Bug>, trace: bool) -> Result<world::Ran, String> {
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
    let next = AtomicU64::new(0);
    let total = std::sync::Mutex::new(world::Ran::default());
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= seeds {
                        return;
                    }
                    let ran = run(seed, None, false).unwrap_or_else(|broken| {
                        next.store(seeds, Ordering::Relaxed);
                        panic!("{broken}\nrun it again: YIZHAN_SEED={seed} cargo test --test sim every_message")
                    });
                    total.lock().unwrap().add(&ran);
                }
            });
        }
    });
    let total = total.into_inner().unwrap();
    println!("{seeds} seeds: {total:?}");
    assert!(total.kills > 0 && total.lost > 0 && total.doubled > 0 && total.replaced > 0);
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

#[test]
fn a_server_that_forgets_its_dedupe_index_in_a_restart_is_found() {
    is_found(Bug::NoDedupeAcrossRestart);
}

#[test]
fn a_server_that_reads_the_head_before_it_registers_is_found() {
    is_found(Bug::HeadBeforeRegistration);
}

#[test]
fn a_server_that_takes_an_ack_by_id_alone_is_found() {
    is_found(Bug::AckByIdAlone);
}

#[test]
fn the_same_seed_is_the_same_run() {
    for seed in 0..50 {
        assert_eq!(run(seed, None, false), run(seed, None, false));
    }
}
