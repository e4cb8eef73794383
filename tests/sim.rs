//! A seeded simulator over the real machines, mailrooms, outboxes, ledger and registry: clients come, go and repeat,
//! frames are lost, doubled and late, devices are replaced, forgotten and told to resync, messages expire, the store
//! fails, and the server is killed between any two steps.
//!
//! A second family of worlds has people who found groups, join and leave them, take back and change what they said, and
//! have several devices.
//!
//! `YIZHAN_SEED=n` runs that seed alone and prints what happens in it; `YIZHAN_SEEDS=n` runs that many, from
//! `YIZHAN_FIRST_SEED` on.
#![allow(clippy::unwrap_used, clippy::expect_used, unreachable_pub)]

#[path = "sim/annals.rs"]
mod annals;
#[path = "sim/answers.rs"]
mod answers;
#[path = "sim/book.rs"]
mod book;
#[path = "sim/bugs.rs"]
mod bugs;
#[path = "sim/client.rs"]
mod client;
#[path = "sim/crowd.rs"]
mod crowd;
#[path = "sim/devices.rs"]
mod devices;
#[path = "sim/engine.rs"]
mod engine;
#[path = "sim/network.rs"]
mod network;
#[path = "sim/orders.rs"]
mod orders;
#[path = "sim/people.rs"]
mod people;
#[path = "sim/plants.rs"]
mod plants;
#[path = "sim/promise.rs"]
mod promise;
#[path = "sim/quiet.rs"]
mod quiet;
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
#[path = "sim/wishes.rs"]
mod wishes;
#[path = "sim/world.rs"]
mod world;

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use bugs::Bug;
use scenario::Family;
use tally::Ran;
use world::World;

const SEEDS: u64 = 20_000;
const CROWD_SEEDS: u64 = 2_000;
/// From so many seeds on, everything that can happen must have.
const ENOUGH: [(Family, u64); 2] = [(Family::Inbox, 10_000), (Family::Crowd, 2_000)];
const THREADS: usize = 2;

fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(
        text.parse()
            .unwrap_or_else(|_| panic!("{variable} is not a number: {text}")),
    )
}

/// Runs one seed; the complaint, if the promise was broken in it.
fn run(family: Family, seed: u64, bug: Option<Bug>, trace: bool) -> Result<Ran, String> {
    let attempt = std::panic::catch_unwind(|| World::new(seed, family, bug, trace).run());
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
    run_all(Family::Inbox, SEEDS, "every_message");
}

#[test]
fn whoever_takes_part_in_a_conversation_gets_what_is_theirs_and_nothing_else() {
    run_all(Family::Crowd, CROWD_SEEDS, "whoever_takes_part");
}

fn run_all(family: Family, seeds: u64, test: &str) {
    if let Some(seed) = number("YIZHAN_SEED") {
        let ran =
            run(family, seed, None, true).unwrap_or_else(|broken| panic!("seed {seed}: {broken}"));
        println!("{ran:?}");
        return;
    }
    let seeds = number("YIZHAN_SEEDS").unwrap_or(seeds);
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
                    ran.add(&run(family, seed, None, false).unwrap_or_else(|broken| {
                        next.store(first + seeds, Ordering::Relaxed);
                        panic!("{broken}\nrun it again: YIZHAN_SEED={seed} cargo test --test sim {test}")
                    }));
                }
                total.lock().unwrap().add(&ran);
            });
        }
    });
    let total = total.into_inner().unwrap();
    println!("{seeds} seeds: {total:#?}");
    if ENOUGH
        .iter()
        .any(|(of, enough)| *of == family && seeds >= *enough)
    {
        let missing: Vec<_> = total
            .counts()
            .into_iter()
            .filter(|(name, count)| *count == 0 && family.has(name))
            .collect();
        assert!(missing.is_empty(), "these never happened: {missing:?}");
    }
}

/// How many seeds a planted bug may take to be found.
const PATIENCE: u64 = 3_000;

fn is_found(bug: Bug) {
    let family = bug.family();
    for seed in 0..PATIENCE {
        if let Err(broken) = run(family, seed, Some(bug), false) {
            println!("{bug:?} is found by seed {seed}: {broken}");
            run(family, seed, None, false).expect("it is the planted bug that is found");
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
    a_server_that_begins_anew_with_members_it_was_done_with_is_found: PlaceForgotten,
    a_server_that_forgets_the_members_it_has_still_to_tell_is_found: FanoutForgotten,
    a_server_that_goes_on_telling_whoever_was_removed_is_found: RemovalDoesNotCut,
    a_server_that_keeps_the_row_of_what_was_taken_back_is_found: RevokeLeavesRow,
    a_server_that_sends_a_device_its_own_words_is_found: CopyToSender,
    a_server_that_serves_what_is_over_is_found: OverServed,
    a_server_that_forgets_blocks_in_a_restart_is_found: BlocksForgotten,
    a_server_that_forgets_read_marks_in_a_restart_is_found: MarksForgotten,
    a_server_that_counts_receivers_too_high_is_found: CountedTooHigh,
}

#[test]
fn the_same_seed_is_the_same_run() {
    for seed in 0..50 {
        for family in [Family::Inbox, Family::Crowd] {
            let once = run(family, seed, None, false);
            assert_eq!(once, run(family, seed, None, false));
        }
    }
}

#[test]
#[ignore = "by hand: lists what is found, and goes on"]
fn survey() {
    let first = number("YIZHAN_FIRST_SEED").unwrap_or(0);
    let mut found: std::collections::BTreeMap<String, (u64, u64, String)> = Default::default();
    for seed in first..first + number("YIZHAN_SEEDS").unwrap_or(1000) {
        if let Err(broken) = run(Family::Crowd, seed, None, false) {
            let short: String = broken
                .chars()
                .filter(|c| !c.is_ascii_digit())
                .take(46)
                .collect();
            found
                .entry(short)
                .or_insert((0, seed, broken.chars().take(300).collect()))
                .0 += 1;
        }
    }
    for (count, seed, broken) in found.values() {
        println!("{count:>5} x, seed {seed}: {broken}");
    }
}
