//! What is too old or too much goes, the oldest first, and nothing else.

use yizhan::store::trace::{Keep, Tracer};

use super::disk::Disk;
use super::{PLENTY, Time, note, numbers, start};

const MIB: u64 = 1 << 20;

#[test]
fn the_oldest_files_go_when_there_are_too_many_bytes() {
    let (disk, time) = (Disk::new(), Time::at(1000));
    let keep = Keep {
        bytes: 4 * MIB,
        ..PLENTY
    };
    let mut tracer = start(&disk, keep, &time);
    for number in 0..20_000 {
        note(&tracer, number % 4, number, 1000);
        if number % 100 == 0 {
            tracer.flush().unwrap();
            time.pass(1);
            assert!(disk.bytes() <= keep.bytes, "{}", disk.bytes());
        }
        if number == 10_000 {
            tracer.end();
            tracer = start(&disk, keep, &time);
        }
    }
    let (found, said) = numbers(&tracer, &[0, 1, 2, 3]);
    let first = found[0];
    assert_eq!(found, (first..20_000).collect::<Vec<_>>());
    let bytes = found.len() as u64 * 1000;
    assert!(bytes > 2 * MIB && bytes < 4 * MIB, "{bytes}");
    assert_eq!((said.lost, said.damaged), (0, 0));
    assert!(said.from_ms > 1000 + first / 100 - 20, "{said:?}");
    let counts = tracer.counts();
    assert_eq!(counts.on_disk, disk.bytes());
    assert_eq!(counts.files, disk.files().len() as u64);
}

#[test]
fn files_go_when_they_are_too_old_after_a_restart_as_well() {
    const DAY: u64 = 86_400_000;
    let (disk, time) = (Disk::new(), Time::at(100 * DAY));
    let keep = Keep {
        ms: 3 * DAY,
        ..PLENTY
    };
    let mut tracer = start(&disk, keep, &time);
    for hour in 0..240 {
        note(&tracer, 1, hour, 0);
        tracer.flush().unwrap();
        time.pass(DAY / 24);
        if hour % 50 == 0 {
            tracer.end();
            tracer = start(&disk, keep, &time);
        }
        let (found, said) = numbers(&tracer, &[1]);
        let oldest = hour.saturating_sub(72 + 4);
        assert!(found[0] >= oldest, "hour {hour}: {found:?}");
        assert!(found[0] <= oldest + 4, "hour {hour}: {found:?}");
        assert_eq!(found, (found[0]..=hour).collect::<Vec<_>>());
        assert!(said.from_ms <= 100 * DAY + found[0] * DAY / 24);
    }
    tracer.end();
    time.pass(4 * DAY);
    let tracer = start(&disk, keep, &time);
    tracer.flush().unwrap();
    let (found, said) = numbers(&tracer, &[1]);
    assert_eq!((found, said.from_ms), (Vec::new(), 114 * DAY));
    assert_eq!(disk.files().len(), 0);
}

#[test]
fn a_file_that_cannot_be_removed_stops_the_trace_and_not_the_bound() {
    let (disk, time) = (Disk::new(), Time::at(1000));
    let keep = Keep {
        bytes: 2 * MIB,
        ..PLENTY
    };
    let tracer = start(&disk, keep, &time);
    disk.tell(|state| state.removes = false);
    for number in 0..8000 {
        note(&tracer, 1, number, 1000);
        if number % 100 == 0 {
            tracer.flush().unwrap();
            time.pass(1);
        }
    }
    assert!(disk.bytes() <= keep.bytes);
    disk.tell(|state| state.removes = true);
    time.pass(11_000);
    let (found, said) = numbers(&tracer, &[1]);
    assert_eq!(said.lost, 0);
    assert!(found.ends_with(&(7000..8000).collect::<Vec<_>>()));
    assert!(disk.bytes() <= keep.bytes);
}

#[test]
fn memory_keeps_the_newest_16_mib_and_nothing_that_is_too_old() {
    let time = Time::at(1000);
    let keep = Keep {
        ms: 10_000,
        ..PLENTY
    };
    let tracer = Tracer::start(None, keep, time.now()).unwrap();
    for number in 0..30_000 {
        note(&tracer, 1, number, 1000);
        if number % 100 == 0 {
            tracer.flush().unwrap();
        }
    }
    let (found, said) = numbers(&tracer, &[1]);
    assert_eq!(found, (found[0]..30_000).collect::<Vec<_>>());
    assert!((15_000..17_000).contains(&found.len()), "{}", found.len());
    assert_eq!(said.lost, 0);
    time.pass(11_000);
    note(&tracer, 1, 30_000, 0);
    tracer.flush().unwrap();
    time.pass(5000);
    tracer.flush().unwrap();
    assert_eq!(numbers(&tracer, &[1]).0, [30_000]);
}

#[test]
fn nothing_is_kept_and_no_file_made_where_nothing_may_be() {
    for keep in [Keep { ms: 0, ..PLENTY }, Keep { bytes: 0, ..PLENTY }] {
        let disk = Disk::new();
        let tracer = start(&disk, keep, &Time::at(1));
        note(&tracer, 1, 1, 0);
        assert_eq!(numbers(&tracer, &[1]).0, [] as [u64; 0]);
        assert_eq!(disk.files().len(), 0);
    }
}

#[test]
fn a_run_that_recorded_nothing_leaves_no_file() {
    let disk = Disk::new();
    let tracer = start(&disk, PLENTY, &Time::at(1));
    tracer.flush().unwrap();
    tracer.end();
    assert_eq!(disk.files().len(), 0);
}
