//! Every file of a store, changed at every place: the same content, or an end that was cut and counted, or a refusal that
//! says where. Never less without a word.

use std::sync::Arc;

use fastrand::Rng;
use yizhan::store::Engine;
use yizhan::store::memory::MemoryEngine;

use super::disk::{Disk, State};
use super::store::{BOUNDS, Book, Map, batch, contents, copy, cuts, open};

struct Sample {
    disk: State,
    base: Arc<MemoryEngine>,
    book: Book,
    /// How much was there before the last flush.
    before_last: usize,
}

/// A store with several segments, and runs; it ended in order, or its process was killed.
fn sample(in_order: bool) -> Sample {
    let mut rng = Rng::with_seed(3);
    let (disk, base) = (Arc::new(Disk::default()), Arc::new(MemoryEngine::new()));
    let (journal, _) = open(&disk, &base, BOUNDS).unwrap();
    let (mut book, mut before_last) = (Book::new(), 0);
    for round in 0..36 {
        for _ in 0..rng.usize(1..3) {
            let batch = batch(&mut rng, book.now());
            journal.apply(batch.clone()).unwrap();
            book.apply(batch);
        }
        journal.flush().unwrap();
        if round == 10 || round == 20 {
            journal.settle().unwrap();
        }
        (before_last, book.flushed) = (book.flushed, book.applied());
    }
    if in_order {
        journal.close().unwrap();
    }
    drop(journal);
    Sample {
        disk: disk.copy(),
        base,
        book,
        before_last,
    }
}

/// What became of a store: its content and how many ends were cut, or what it says.
fn look(disk: &Arc<Disk>, base: &Arc<MemoryEngine>) -> Result<(Map, u64), String> {
    let (journal, metrics) = open(disk, base, BOUNDS).map_err(|error| error.to_string())?;
    let found = contents(&journal).map_err(|error| error.to_string())?;
    Ok((found, cuts(&metrics)))
}

#[derive(Debug, Default)]
struct Outcomes {
    same: usize,
    cut: usize,
    refused: usize,
}

fn damage_everywhere(in_order: bool) -> Outcomes {
    let sample = sample(in_order);
    let files = Disk::with(sample.disk.clone()).files();
    let runs = files
        .iter()
        .filter(|((folder, _), _)| *folder == "index")
        .count();
    assert!(runs >= 2 && files.len() >= runs + 3, "{files:?}");
    let mut outcomes = Outcomes::default();
    let mut rng = Rng::with_seed(5);
    for (name, size) in &files {
        for at in 0..*size {
            for cuts_it in [false, true] {
                let disk = Disk::with(sample.disk.clone());
                let what = match cuts_it {
                    true => format!("{name:?} cut at {at}"),
                    false => format!("{name:?} flipped at {at}"),
                };
                disk.rot(name, |bytes| match cuts_it {
                    true => bytes.truncate(at),
                    false => bytes[at] ^= 1 << rng.u8(..8),
                });
                match look(&disk, &copy(&sample.base)) {
                    Ok((found, 0)) if found == *sample.book.now() => outcomes.same += 1,
                    Ok((found, cuts)) => {
                        assert!(!in_order, "{what}: there was an end in order");
                        // A file that ends with a record, in the midst of a flush, is how a crash leaves it.
                        assert!(cuts > 0 || cuts_it, "{what}: less, and nobody said so");
                        let states = sample.before_last..=sample.book.applied();
                        let mut states = states.map(|at| sample.book.after(at));
                        assert!(
                            states.any(|state| *state == found),
                            "{what}: too much is gone"
                        );
                        outcomes.cut += 1;
                    }
                    Err(why) => {
                        let named = why.contains(&name.1) && why.contains("byte");
                        let missing = why.contains("ends before record");
                        assert!(named || missing, "{what}: {why}");
                        assert!(why.contains("yizhan store salvage"), "{what}: {why}");
                        outcomes.refused += 1;
                    }
                }
            }
        }
    }
    outcomes
}

#[test]
fn a_store_that_ended_in_order_is_whole_or_refused_wherever_it_is_damaged() {
    let outcomes = damage_everywhere(true);
    println!("{outcomes:?}");
    assert!(outcomes.refused > outcomes.same && outcomes.cut == 0);
}

#[test]
fn a_store_that_was_killed_loses_at_most_its_last_flush_and_says_so_wherever_it_is_damaged() {
    let outcomes = damage_everywhere(false);
    println!("{outcomes:?}");
    assert!(outcomes.refused > outcomes.same && outcomes.cut > 0);
}

#[test]
fn a_file_that_is_gone_is_missed() {
    for in_order in [false, true] {
        let sample = sample(in_order);
        let files = Disk::with(sample.disk.clone()).files();
        for (at, (name, _)) in files.iter().enumerate() {
            let disk = Disk::with(sample.disk.clone());
            disk.lose(name);
            match look(&disk, &copy(&sample.base)) {
                Ok((found, 0)) => {
                    let last = files.get(at + 1).is_none_or(|(next, _)| next.0 != name.0);
                    assert!(found == *sample.book.now() && last, "{name:?}");
                }
                Ok((_, cuts)) => panic!("{name:?}: {cuts} cuts"),
                Err(why) => assert!(
                    why.contains(&name.1) || why.contains("ends before"),
                    "{why}"
                ),
            }
        }
    }
}

#[test]
fn a_log_without_its_base_is_refused() {
    let sample = sample(true);
    let disk = Disk::with(sample.disk);
    let why = look(&disk, &Arc::new(MemoryEngine::new())).unwrap_err();
    assert!(why.contains("a log without the store"), "{why}");
}
