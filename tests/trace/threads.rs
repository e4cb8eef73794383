//! Many record while others look things up and files come and go.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::channel;

use yizhan::store::trace::{Keep, Tracer};

use super::disk::Disk;
use super::{PLENTY, Time, note, numbers, start};

#[test]
fn what_happened_first_is_shown_first_whatever_the_thread() {
    let dir = tempfile::tempdir().unwrap();
    let tracer = Tracer::start(Some(dir.path()), PLENTY, Time::at(1).now()).unwrap();
    std::thread::scope(|scope| {
        let (first, mut from) = channel();
        // A ring of threads: each records a number when the one before it has.
        for _ in 0..3 {
            let (to, next) = channel();
            let (came, tracer) = (std::mem::replace(&mut from, next), &tracer);
            scope.spawn(move || {
                for number in came {
                    note(tracer, 1, number, 20);
                    to.send(number + 1).unwrap();
                }
            });
        }
        first.send(0).unwrap();
        for number in &from {
            if number >= 30_000 {
                break;
            }
            first.send(number).unwrap();
        }
        drop(first);
    });
    let (found, said) = numbers(&tracer, &[1]);
    assert_eq!(found, (0..30_000).collect::<Vec<_>>());
    assert_eq!(said.lost, 0);
}

#[test]
fn what_is_left_while_the_tracer_is_on_its_way_keeps_its_order() {
    let (disk, time) = (Disk::new(), Time::at(1));
    let tracer = start(&disk, PLENTY, &time);
    disk.tell(|state| state.answers = false);
    // Enough for a block to be closed before the tracer comes to the next buffer, where it gets stuck.
    for number in 0..1000 {
        note(&tracer, 2, number, 900);
    }
    disk.wait_until_asked();
    for number in 0..48 {
        match number % 2 {
            0 => note(&tracer, 1, number, 0),
            _ => std::thread::scope(|scope| {
                scope.spawn(|| note(&tracer, 1, number, 0));
            }),
        }
    }
    disk.tell(|state| state.answers = true);
    assert_eq!(numbers(&tracer, &[1]).0, (0..48).collect::<Vec<_>>());
}

#[test]
fn look_ups_see_whole_stretches_while_threads_record_and_files_are_removed() {
    const COUNT: u64 = 60_000;
    let dir = tempfile::tempdir().unwrap();
    let keep = Keep {
        bytes: 3 << 20,
        ..PLENTY
    };
    let tracer = Tracer::start(Some(dir.path()), keep, Time::at(1).now()).unwrap();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let recording: Vec<_> = (0..3)
            .map(|key| {
                let tracer = &tracer;
                scope.spawn(move || {
                    for number in 0..COUNT {
                        note(tracer, key, number, 100);
                        if number % 2000 == 0 {
                            tracer.flush().unwrap();
                        }
                    }
                })
            })
            .collect();
        let looks = scope.spawn(|| {
            let (mut looks, mut newest) = (0, 0);
            while !done.load(Ordering::SeqCst) {
                let (found, said) = numbers(&tracer, &[1]);
                if said.lost == 0
                    && let (Some(first), Some(last)) = (found.first(), found.last())
                {
                    assert!(found.iter().copied().eq(*first..=*last), "{first} {last}");
                    assert!(*last >= newest);
                    newest = *last;
                }
                assert_eq!(said.damaged, 0);
                looks += 1;
            }
            looks
        });
        for thread in recording {
            thread.join().unwrap();
        }
        done.store(true, Ordering::SeqCst);
        assert!(looks.join().unwrap() > 0);
    });
    let counts = tracer.counts();
    assert_eq!(counts.records + counts.lost, 3 * COUNT);
    assert!(counts.on_disk <= keep.bytes);
    // A thread that was done sooner may have nothing that is still kept.
    for key in 0..3 {
        note(&tracer, key, COUNT, 0);
        assert_eq!(numbers(&tracer, &[key]).0.last(), Some(&COUNT));
    }
}

#[test]
fn a_trace_ends_with_its_last_holder() {
    let dir = tempfile::tempdir().unwrap();
    let tracer = Tracer::start(Some(dir.path()), PLENTY, Time::at(1).now()).unwrap();
    let other = tracer.clone();
    drop(tracer);
    note(&other, 1, 7, 0);
    drop(other);
    let tracer = Tracer::start(Some(dir.path()), PLENTY, Time::at(2).now()).unwrap();
    let (found, said) = numbers(&tracer, &[1]);
    assert_eq!((found, said.cut), (vec![7], 0));
}
