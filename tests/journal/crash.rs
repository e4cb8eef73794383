//! Random lives of a store, with crashes, reopens and ends in order: it always is what the plain map says.

use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;
use yizhan::store::journal::Bounds;
use yizhan::store::memory::MemoryEngine;
use yizhan::store::{Batch, Engine};

use super::disk::Disk;
use super::store::{BOUNDS, Book, batch, contents, open};

fn lives(seed: u64, steps: usize, bounds: Bounds) -> Result<(), String> {
    let mut rng = Rng::with_seed(seed);
    let (disk, base) = (Arc::new(Disk::default()), Arc::new(MemoryEngine::new()));
    let mut book = Book::new();
    let opened = || open(&disk, &base, bounds).map_err(|error| error.to_string());
    let (mut journal, _) = opened()?;
    for _ in 0..steps {
        match rng.u8(..40) {
            0..20 => {
                let batch = batch(&mut rng, book.now());
                journal.apply(batch.clone()).map_err(|e| e.to_string())?;
                book.apply(batch);
            }
            20..28 => {
                journal.flush().map_err(|e| e.to_string())?;
                book.flushed = book.applied();
            }
            28..32 => {
                journal.settle().map_err(|e| e.to_string())?;
                book.flushed = book.applied();
            }
            32..34 => {
                journal.reopen().map_err(|e| e.to_string())?;
                book.finds(&contents(&journal).map_err(|e| e.to_string())?)?;
            }
            34..36 => {
                journal.close().map_err(|e| e.to_string())?;
                drop(journal);
                book.flushed = book.applied();
                journal = opened()?.0;
            }
            36..38 => {
                drop(journal);
                disk.crash(&mut rng);
                base.crash(rng.usize(..=base.unflushed()));
                journal = opened()?.0;
                book.finds(&contents(&journal).map_err(|e| e.to_string())?)?;
            }
            _ => {
                let found = contents(&journal).map_err(|e| e.to_string())?;
                if found != *book.now() {
                    return Err("it shows something else than was applied".into());
                }
            }
        }
    }
    Ok(())
}

fn many_lives(seeds: u64, steps: usize, bounds: Bounds) {
    let first = std::env::var("YIZHAN_SEED").map_or(0, |seed| seed.parse().unwrap());
    for seed in first..first + seeds {
        if let Err(why) = lives(seed, steps, bounds) {
            panic!("YIZHAN_SEED={seed}: {why}");
        }
    }
}

#[test]
fn whatever_happens_to_it_the_store_is_what_was_flushed_and_a_beginning_of_the_rest() {
    many_lives(600, 120, BOUNDS);
}

#[test]
fn the_same_holds_when_a_thread_settles_all_the_time() {
    let bounds = Bounds {
        by_itself: true,
        rest: Duration::ZERO,
        ..BOUNDS
    };
    many_lives(150, 120, bounds);
}

#[test]
fn what_is_past_goes_when_runs_are_merged_and_few_runs_are_left() {
    let (disk, base) = (Arc::new(Disk::default()), Arc::new(MemoryEngine::new()));
    let (journal, _) = open(&disk, &base, BOUNDS).unwrap();
    // An entry of this test is past if it is an even number.
    journal.forget(Box::new(|value| value[0].is_multiple_of(2)));
    for n in 0..200u8 {
        let mut batch = Batch::default();
        batch.insert(vec![b'd', n], vec![n]);
        journal.apply(batch).unwrap();
        journal.settle().unwrap();
    }
    let files = disk.files().into_iter();
    let runs = files.filter(|((folder, _), _)| *folder == "index").count();
    assert!(runs <= 8, "{runs} runs");
    let found = contents(&journal).unwrap();
    let past = found.keys().filter(|key| key[1].is_multiple_of(2)).count();
    assert!(past < 20, "{past} entries that are past");
    assert_eq!(found.len() - past, 100);
}

#[test]
fn a_message_that_is_acknowledged_before_it_rests_never_reaches_the_base() {
    let (disk, base) = (Arc::new(Disk::default()), Arc::new(MemoryEngine::new()));
    let (journal, _) = open(&disk, &base, BOUNDS).unwrap();
    let before = base.unflushed();
    for n in 0..100u8 {
        let mut put = Batch::default();
        put.insert(vec![b'b', n], vec![n; 50]);
        put.insert(vec![b'i', n], vec![n; 20]);
        journal.apply(put).unwrap();
        journal.flush().unwrap();
        let mut gone = Batch::default();
        gone.delete(vec![b'b', n]);
        gone.delete(vec![b'i', n]);
        journal.apply(gone).unwrap();
        journal.flush().unwrap();
    }
    assert_eq!(journal.unsettled().0, 0);
    journal.settle().unwrap();
    assert_eq!(base.unflushed(), before);
    let mut keys = Vec::new();
    base.scan(&[0], &[0xff], &mut |key, _| {
        keys.push(key.to_vec());
        true
    })
    .unwrap();
    // What the journal says of itself, and nothing else.
    assert_eq!(keys, [&b"\0journal"[..], b"\0journal/history"]);
}
