//! Files that were torn off or damaged lose what cannot be read, and nothing else.

use std::collections::BTreeMap;

use fastrand::Rng;

use super::disk::Disk;
use super::{PLENTY, Time, note, numbers, start};

const BLOCKS: u64 = 6;
const EACH: u64 = 4;

/// The files of a run that was killed, with several blocks of [`EACH`] records under key 1 in one file, and where they end.
fn file() -> (String, Vec<u8>, Vec<usize>) {
    let (disk, time) = (Disk::new(), Time::at(1000));
    let tracer = start(&disk, PLENTY, &time);
    let mut ends = Vec::new();
    for block in 0..BLOCKS {
        for number in block * EACH..(block + 1) * EACH {
            note(&tracer, 1, number, 5);
        }
        tracer.flush().unwrap();
        ends.push(disk.bytes() as usize);
    }
    let (name, bytes) = disk.files().pop_first().unwrap();
    (name, bytes, ends)
}

fn found_in(name: &str, bytes: Vec<u8>) -> (Vec<u64>, u64) {
    let disk = Disk::with(BTreeMap::from([(name.to_owned(), bytes)]));
    let tracer = start(&disk, PLENTY, &Time::at(2000));
    note(&tracer, 1, u64::MAX, 0);
    let (mut found, said) = numbers(&tracer, &[1]);
    assert_eq!(found.pop(), Some(u64::MAX));
    assert_eq!(said.lost, 0);
    (found, said.damaged)
}

#[test]
fn a_file_torn_off_at_any_byte_has_all_blocks_before_that() {
    let (name, bytes, ends) = file();
    for size in 0..=bytes.len() {
        let whole = ends.iter().filter(|end| **end <= size).count() as u64;
        let (found, damaged) = found_in(&name, bytes[..size].to_vec());
        let all: Vec<u64> = (0..BLOCKS * EACH).collect();
        assert!(all.starts_with(&found), "{size}");
        // The tracer may have come by itself as well, between two records.
        assert!(found.len() as u64 >= whole * EACH, "{size}: {found:?}");
        assert!(
            (found.len() as u64) < (whole + 1) * EACH,
            "{size}: {found:?}"
        );
        assert_eq!(damaged, 0, "{size}");
    }
}

#[test]
fn zeros_behind_the_last_block_are_a_torn_end() {
    let (name, mut bytes, _) = file();
    for zeros in [1, 100, 20_000, 70_000] {
        bytes.resize(bytes.len() + zeros, 0);
        let (found, damaged) = found_in(&name, bytes.clone());
        assert_eq!((found.len() as u64, damaged), (BLOCKS * EACH, 0));
    }
}

#[test]
fn every_bit_that_turns_costs_one_block_at_most_and_is_said() {
    let (name, bytes, _) = file();
    let all: Vec<u64> = (0..BLOCKS * EACH).collect();
    for bit in 0..bytes.len() * 8 {
        let mut bytes = bytes.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        let (found, damaged) = found_in(&name, bytes);
        assert_eq!(damaged, 1, "{bit}");
        assert!(found.is_sorted(), "{bit}: {found:?}");
        assert!(found.iter().all(|number| all.contains(number)), "{bit}");
        let missing = all.len() - found.len();
        assert!(missing as u64 <= EACH, "{bit}: {found:?}");
    }
}

#[test]
fn damage_at_random_costs_no_more_blocks_than_places() {
    let (name, bytes, _) = file();
    for seed in 0..3000 {
        let (mut rng, mut bytes) = (Rng::with_seed(seed), bytes.clone());
        let places = rng.usize(1..4);
        for _ in 0..places {
            let from = rng.usize(..bytes.len());
            let to = (from + rng.usize(1..8)).min(bytes.len());
            bytes[from..to].fill_with(|| rng.u8(..));
        }
        let (found, _) = found_in(&name, bytes);
        assert!(found.is_sorted(), "seed {seed}: {found:?}");
        let missing = BLOCKS * EACH - found.len() as u64;
        // A place may lie across the end of a block.
        assert!(
            missing <= 2 * EACH * places as u64,
            "seed {seed}: {found:?}"
        );
    }
}

#[test]
fn a_file_of_garbage_is_one_damage_and_one_of_nothing_is_none() {
    let (name, bytes, _) = file();
    let mut rng = Rng::with_seed(7);
    let noise = (0..100_000).map(|_| rng.u8(..)).collect();
    let (found, damaged) = found_in(&name, noise);
    assert_eq!(found, [] as [u64; 0]);
    assert!(damaged > 0);
    assert_eq!(found_in(&name, Vec::new()), (Vec::new(), 0));
    // A block that stands elsewhere is none.
    let (found, _) = found_in("trace-0000000000000009.log", bytes);
    assert_eq!(found, [] as [u64; 0]);
}

#[test]
fn blocks_that_records_bring_along_are_none() {
    let (name, bytes, _) = file();
    let disk = Disk::new();
    let tracer = start(&disk, PLENTY, &Time::at(1000));
    tracer.record(2, |payload| payload.extend_from_slice(&bytes));
    tracer.flush().unwrap();
    let mut files = disk.files();
    // The head of the block that has it is gone, so it is searched through.
    files.get_mut(&name).unwrap()[20] ^= 1;
    let (found, damaged) = found_in(&name, files.remove(&name).unwrap());
    assert_eq!((found, damaged), (Vec::new(), 1));
}

#[test]
fn a_run_that_was_killed_is_told_from_one_that_ended() {
    let (disk, time) = (Disk::new(), Time::at(1000));
    for number in 0..3 {
        let tracer = start(&disk, PLENTY, &time);
        note(&tracer, 1, number, 0);
        tracer.end();
    }
    let killed = start(&disk, PLENTY, &time);
    note(&killed, 1, 3, 0);
    killed.flush().unwrap();
    let disk = Disk::with(disk.files());
    let tracer = start(&disk, PLENTY, &time);
    assert_eq!(numbers(&tracer, &[1]).1.cut, 1);
    note(&tracer, 1, 4, 0);
    let (found, said) = numbers(&tracer, &[1]);
    assert_eq!((found, said.cut), (vec![0, 1, 2, 3, 4], 1));
    tracer.end();
    let tracer = start(&disk, PLENTY, &time);
    assert_eq!(numbers(&tracer, &[1]).1.cut, 1);
}
