//! A disk that fails, fills up or does not answer costs records at worst, which are counted, and never anybody's time.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use yizhan::store::trace::{Keep, Now, TraceError, Tracer};

use super::disk::{Disk, Fault};
use super::{PLENTY, Time, note, numbers, start};

const FAULTS: [Fault; 3] = [Fault::Before, Fault::Half, Fault::After];
/// Longer than the longest wait before a disk is tried again.
const LATER: u64 = 11_000;

#[test]
fn a_call_that_fails_once_loses_nothing_and_doubles_nothing() {
    for fault in FAULTS {
        let calls = (0..14).flat_map(|call| [1, 2, 5].map(|calls| (call, calls)));
        for (call, calls, cuts) in
            calls.flat_map(|(call, calls)| [true, false].map(|cuts| (call, calls, cuts)))
        {
            let (disk, time) = (Disk::new(), Time::at(1000));
            disk.tell(|state| state.cuts = cuts);
            disk.tell(|state| state.fails = Some((call, call + calls, fault)));
            let tracer = start(&disk, PLENTY, &time);
            for number in 0..12 {
                note(&tracer, 1, number, 10);
                if number % 2 == 0 {
                    tracer.flush().unwrap();
                    time.pass(LATER);
                }
            }
            let all: Vec<u64> = (0..12).collect();
            let why = format!("{fault:?} {call} {calls} {cuts}");
            for tracer in [
                tracer.clone(),
                start(&Disk::with(written(&tracer, &disk)), PLENTY, &time),
            ] {
                let (found, said) = numbers(&tracer, &[1]);
                assert_eq!(found, all, "{why}");
                assert_eq!((said.lost, said.damaged), (0, 0), "{why}");
            }
        }
    }
}

/// The files when everything has been written.
fn written(tracer: &Tracer, disk: &Disk) -> std::collections::BTreeMap<String, Vec<u8>> {
    disk.mend();
    tracer.end();
    disk.files()
}

#[test]
fn what_a_dead_disk_does_not_take_is_found_in_memory_and_counted_when_it_is_too_much() {
    for fault in FAULTS {
        let (disk, time) = (Disk::new(), Time::at(1000));
        let tracer = start(&disk, PLENTY, &time);
        note(&tracer, 1, 0, 0);
        tracer.flush().unwrap();
        disk.break_down(fault);
        let (mut next, mut too_long) = (1, 0);
        // More than may be held.
        while tracer.counts().lost == too_long {
            tracer.record(1, |bytes| bytes.resize(1 << 20, 0));
            too_long += 1;
            for _ in 0..500 {
                note(&tracer, 1, next, 1000);
                next += 1;
            }
            tracer.flush().unwrap();
            time.pass(400);
        }
        let lost = tracer.counts().lost;
        let (found, said) = numbers(&tracer, &[1]);
        let kept: Vec<u64> = std::iter::once(0)
            .chain(lost - too_long + 1..next)
            .collect();
        assert_eq!(found, kept);
        assert_eq!((said.lost, said.damaged), (lost, 0));
        assert_eq!(tracer.counts().files, 1);

        disk.mend();
        time.pass(LATER);
        note(&tracer, 1, next, 0);
        tracer.flush().unwrap();
        tracer.end();
        let tracer = start(&Disk::with(disk.files()), PLENTY, &time);
        let (found, said) = numbers(&tracer, &[1]);
        let kept: Vec<u64> = std::iter::once(0)
            .chain(lost - too_long + 1..=next)
            .collect();
        assert_eq!(found, kept);
        // The file tells of what was lost.
        assert_eq!((said.lost, said.damaged, said.cut), (lost, 0, 0));
    }
}

#[test]
fn what_a_dead_disk_has_not_taken_at_the_end_is_lost_and_counted() {
    let (disk, time) = (Disk::new(), Time::at(1000));
    let tracer = start(&disk, PLENTY, &time);
    note(&tracer, 1, 0, 0);
    tracer.flush().unwrap();
    disk.break_down(Fault::Half);
    note(&tracer, 1, 1, 0);
    note(&tracer, 1, 2, 0);
    tracer.end();
    assert_eq!(tracer.counts().lost, 2);
    let (found, said) = numbers(&tracer, &[1]);
    assert_eq!((found, said.lost), (vec![0], 2));
    let (found, said) = numbers(&start(&Disk::with(disk.files()), PLENTY, &time), &[1]);
    assert_eq!((found, said.cut), (vec![0], 1));
}

#[test]
fn a_disk_that_is_broken_for_long_is_not_left_full_of_files() {
    let (disk, time) = (Disk::new(), Time::at(1000));
    let tracer = start(&disk, PLENTY, &time);
    disk.tell(|state| state.fails = Some((2, usize::MAX, Fault::Before)));
    for number in 0..50 {
        note(&tracer, 1, number, 0);
        tracer.flush().unwrap();
        // One call makes a file and the next one begins it; what removes it works.
        disk.tell(|state| state.fails = Some((state.calls + 1, state.calls + 2, Fault::Half)));
        time.pass(LATER);
    }
    assert!(disk.files().len() <= 2, "{:?}", disk.files().keys());
    assert_eq!(numbers(&tracer, &[1]).0, (0..50).collect::<Vec<_>>());
}

#[test]
fn room_that_others_need_is_left_to_them() {
    let (disk, time) = (Disk::new(), Time::at(1000));
    let keep = Keep {
        free: 1000,
        ..PLENTY
    };
    let tracer = start(&disk, keep, &time);
    disk.tell(|state| state.free = 999);
    note(&tracer, 1, 0, 0);
    tracer.flush().unwrap();
    assert_eq!(disk.files().len(), 0);
    assert_eq!(numbers(&tracer, &[1]).0, [0]);
    disk.tell(|state| state.free = 1000);
    time.pass(LATER);
    tracer.flush().unwrap();
    assert_eq!(disk.files().len(), 1);
    assert_eq!(numbers(&tracer, &[1]).0, [0]);
}

#[test]
fn a_disk_that_does_not_answer_stops_nobody_who_records_and_the_loss_is_exact() {
    const COUNT: u64 = 100_000;
    let (disk, time) = (Disk::new(), Time::at(1000));
    let tracer = start(&disk, PLENTY, &time);
    disk.tell(|state| state.answers = false);
    for number in 0..COUNT {
        note(&tracer, 1, number, 200);
    }
    let lost = tracer.counts().lost;
    assert!(lost > COUNT / 2, "{lost}");
    assert_eq!(tracer.counts().records, COUNT - lost);
    disk.tell(|state| state.answers = true);
    let (found, said) = numbers(&tracer, &[1]);
    assert_eq!(found.len() as u64, COUNT - lost);
    assert_eq!((said.lost, tracer.counts().lost), (lost, lost));
    tracer.end();
    let (found, said) = numbers(&start(&disk, PLENTY, &time), &[1]);
    assert_eq!((found.len() as u64, said.lost), (COUNT - lost, lost));
}

#[test]
fn whoever_asks_a_disk_that_does_not_answer_is_told_so_and_the_end_comes_all_the_same() {
    let (disk, time) = (Disk::new(), Time::at(1000));
    let tracer = start(&disk, PLENTY, &time);
    note(&tracer, 1, 0, 0);
    disk.tell(|state| state.answers = false);
    let begun = Instant::now();
    std::thread::scope(|scope| {
        scope.spawn(|| assert!(tracer.flush().is_err()));
        scope.spawn(|| assert!(tracer.find(&[1], &mut |_, _| {}).is_err()));
        scope.spawn(|| tracer.end());
    });
    assert!(begun.elapsed().as_secs() < 60);
    disk.tell(|state| state.answers = true);
}

#[test]
fn a_trace_whose_thread_has_panicked_says_that_it_is_not_written() {
    let is_broken = Arc::new(AtomicBool::new(false));
    let breaks = is_broken.clone();
    let now: Now = Arc::new(move || {
        // Whoever records never asks for the time.
        assert!(!breaks.load(Ordering::SeqCst), "as planned");
        1
    });
    let tracer = Tracer::open(Some(Disk::new().folder()), PLENTY, now).unwrap();
    note(&tracer, 1, 0, 0);
    tracer.flush().unwrap();
    is_broken.store(true, Ordering::SeqCst);
    note(&tracer, 1, 1, 0);
    assert!(matches!(tracer.flush(), Err(TraceError::Stuck)));
    assert!(tracer.find(&[1], &mut |_, _| {}).is_err());
    tracer.end();
}
