//! Every file of a store, changed at every place: the same content, or an end that was cut and counted, or a refusal that
//! says where. Never less without a word.

use std::sync::Arc;

use fastrand::Rng;
use yizhan::store::journal::{check, salvage};
use yizhan::store::memory::MemoryEngine;
use yizhan::store::{Batch, Engine};

use super::disk::{Disk, Fault, State};
use super::store::{BOUNDS, Book, Map, batch, contents, copy, cuts, open, place};

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
                    Ok((found, _)) if found == *sample.book.now() => outcomes.same += 1,
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

/// What `yizhan store check` says, without the records: those of this store are no messages.
fn checked(disk: &Arc<Disk>, base: &Arc<MemoryEngine>) -> Vec<String> {
    let found = check(&place(disk, base)).unwrap();
    let damages = found.damages.into_iter();
    damages
        .filter(|damage| {
            !damage.starts_with("damaged record") && !damage.ends_with("cannot be read")
        })
        .collect()
}

#[test]
fn what_is_refused_is_found_by_a_check_and_opens_after_a_salvage_with_all_that_can_be_read() {
    let mut rng = Rng::with_seed(9);
    let (mut refused, mut kept) = (0, 0);
    for in_order in [true, false] {
        let sample = sample(in_order);
        let files = Disk::with(sample.disk.clone()).files();
        for (name, size) in &files {
            for at in (0..*size).step_by(5) {
                let disk = Disk::with(sample.disk.clone());
                match rng.u8(..3) {
                    0 => disk.rot(name, |bytes| bytes.truncate(at)),
                    1 => disk.rot(name, |bytes| bytes[at] ^= 1 << rng.u8(..8)),
                    _ => disk.lose(name),
                }
                let rotten = disk.copy();
                let seen = look(&disk, &copy(&sample.base));
                let (disk, base) = (Disk::with(rotten), copy(&sample.base));
                let damages = checked(&disk, &base);
                let said = seen.as_ref().err();
                let what = format!("{name:?} at {at}: {said:?}, {damages:?}");
                assert_eq!(seen.is_err(), !damages.is_empty(), "{what}");
                let mut aside = 0;
                let found = salvage(&place(&disk, &base), &mut |_| {
                    aside += 1;
                    Ok(())
                });
                let found = found.unwrap();
                assert_eq!(seen.is_err(), !found.damages.is_empty(), "{what}");
                let (map, _) = look(&disk, &base).unwrap_or_else(|why| panic!("{what}: {why}"));
                for (key, value) in &map {
                    assert!(sample.book.ever_had(key, value), "{what}: made up");
                }
                let now = sample.book.now();
                let same = now
                    .iter()
                    .filter(|(key, value)| map.get(*key) == Some(value));
                let same = same.count();
                if seen.is_err() {
                    refused += 1;
                    kept += usize::from(same * 3 > now.len());
                    let gone = |said: &String| said.contains("missing") || said.contains("lost");
                    assert!(aside > 0 || found.damages.iter().any(gone), "{what}");
                    assert!(checked(&disk, &base).is_empty(), "{what}: still damaged");
                } else {
                    assert!(map == *now || !in_order, "{what}");
                }
            }
        }
    }
    println!("{refused} refused, of which {kept} kept more than a third");
    assert!(refused > 500 && kept * 10 > refused * 9);
}

#[test]
fn a_salvage_that_is_killed_at_any_call_can_be_begun_again() {
    let sample = sample(true);
    let files = Disk::with(sample.disk.clone()).files();
    let (name, size) = files
        .iter()
        .find(|((folder, _), _)| *folder == "log")
        .unwrap();
    let rotten = || {
        let disk = Disk::with(sample.disk.clone());
        disk.rot(name, |bytes| bytes[size / 2] ^= 1);
        (disk, copy(&sample.base))
    };
    let (disk, base) = rotten();
    disk.0.lock().calls = 0;
    salvage(&place(&disk, &base), &mut |_| Ok(())).unwrap();
    let calls = disk.0.lock().calls;
    let (well, _) = look(&disk, &base).unwrap();
    for call in 0..calls {
        let (disk, base) = rotten();
        disk.0.lock().calls = 0;
        disk.0.lock().fault = Some((call, Fault::Dead));
        assert!(salvage(&place(&disk, &base), &mut |_| Ok(())).is_err());
        let mut rng = Rng::with_seed(call as u64);
        disk.crash(&mut rng);
        base.crash(rng.usize(..=base.unflushed()));
        salvage(&place(&disk, &base), &mut |_| Ok(())).unwrap();
        let (found, _) = look(&disk, &base).unwrap_or_else(|why| panic!("call {call}: {why}"));
        assert!(found == well, "call {call}");
    }
}

#[test]
fn every_table_is_looked_at_and_counted() {
    let disk = Disk::with(State::default());
    let base = Arc::new(MemoryEngine::new());
    drop(open(&disk, &base, BOUNDS).unwrap());
    let tables = b"biuackplgkfeqwh";
    let mut batch = Batch::default();
    for table in tables {
        // Of the length of no key, and of no record.
        batch.put(vec![*table, 1], vec![0xff; 3]);
    }
    base.apply(batch).unwrap();
    let found = check(&place(&disk, &base)).unwrap();
    let damaged = |table: &u8| {
        let named = format!("damaged record at {}\\x01", char::from(*table));
        found
            .damages
            .iter()
            .any(|damage| damage.starts_with(&named))
    };
    let missed = tables.iter().filter(|table| !damaged(table));
    let missed: Vec<char> = missed.map(|table| char::from(*table)).collect();
    assert!(missed.is_empty(), "{missed:?} of {:?}", found.damages);
    let settled = found.notes.iter().find(|note| note.starts_with("settled:"));
    for what in ["pairs", "members", "events", "rows to be parked"] {
        assert!(
            settled.unwrap().contains(&format!("1 {what}")),
            "{settled:?}"
        );
    }
}
