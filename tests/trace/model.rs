//! Whatever is recorded is found again, in order, under its keys and no others, over any number of restarts.

use proptest::collection::vec;
use proptest::prelude::*;
use yizhan::store::trace::Tracer;

use super::disk::Disk;
use super::{PLENTY, Time, start};

#[derive(Clone, Debug)]
enum Deed {
    Record(u64, Vec<u8>),
    Flush,
    Restart,
    /// The process is killed when its records have been written.
    Kill,
    Find(Vec<u64>),
}

fn deeds() -> impl Strategy<Value = Vec<Deed>> {
    let key = || prop_oneof![0..8u64, Just(u64::MAX), any::<u64>()];
    let payload = prop_oneof![vec(any::<u8>(), 0..80), vec(Just(7), 0..80_000)];
    let deed = prop_oneof![
        20 => (key(), payload).prop_map(|(key, payload)| Deed::Record(key, payload)),
        3 => Just(Deed::Flush),
        1 => Just(Deed::Restart),
        1 => Just(Deed::Kill),
        3 => vec(key(), 0..4).prop_map(Deed::Find),
    ];
    vec(deed, 0..60)
}

fn check(tracer: &Tracer, left: &[(u64, Vec<u8>)], keys: &[u64], kills: u64) {
    let mut shown = Vec::new();
    let found = tracer.find(keys, &mut |key, payload| {
        shown.push((key, payload.to_vec()))
    });
    let wanted = left.iter().filter(|(key, _)| keys.contains(key));
    assert_eq!(shown, wanted.cloned().collect::<Vec<_>>());
    let found = found.unwrap();
    assert_eq!((found.lost, found.damaged), (0, 0));
    assert!(found.cut <= kills, "{found:?}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn what_was_recorded_is_found(deeds in deeds()) {
        let (mut disk, time) = (Disk::new(), Time::at(1000));
        let mut tracer = start(&disk, PLENTY, &time);
        let (mut left, mut kills) = (Vec::new(), 0);
        for deed in deeds {
            time.pass(3);
            match deed {
                Deed::Record(key, payload) => {
                    tracer.record(key, |bytes| bytes.extend_from_slice(&payload));
                    left.push((key, payload));
                }
                Deed::Flush => tracer.flush().unwrap(),
                Deed::Restart => {
                    tracer.end();
                    tracer = start(&disk, PLENTY, &time);
                }
                Deed::Kill => {
                    tracer.flush().unwrap();
                    disk = Disk::with(disk.files());
                    tracer = start(&disk, PLENTY, &time);
                    kills += 1;
                }
                Deed::Find(keys) => check(&tracer, &left, &keys, kills),
            }
        }
        let keys: Vec<u64> = left.iter().map(|(key, _)| *key).collect();
        check(&tracer, &left, &keys, kills);
        tracer.end();
        check(&tracer, &left, &keys, kills);
    }

    #[test]
    fn what_was_recorded_is_found_in_memory(records in vec((0..9u64, vec(any::<u8>(), 0..80)), 0..300)) {
        let tracer = Tracer::start(None, PLENTY, Time::at(1).now()).unwrap();
        for (at, (key, payload)) in records.iter().enumerate() {
            tracer.record(*key, |bytes| bytes.extend_from_slice(payload));
            if at % 50 == 0 {
                tracer.flush().unwrap();
            }
        }
        check(&tracer, &records, &[1, 2, 8], 0);
        assert_eq!((tracer.counts().files, tracer.counts().on_disk), (0, 0));
    }
}

#[test]
fn a_trace_that_is_off_takes_nothing_and_finds_nothing() {
    let tracer = Tracer::off();
    tracer.record(1, |_| panic!("nobody wants it"));
    let found = tracer.find(&[1], &mut |_, _| panic!("nothing is there"));
    assert_eq!(found.unwrap().lost, 0);
    tracer.end();
}

#[test]
fn a_record_without_room_is_lost_and_said_to_be() {
    let tracer = Tracer::start(None, PLENTY, Time::at(1).now()).unwrap();
    tracer.record(1, |bytes| bytes.resize(1 << 20, 0));
    tracer.record(1, |bytes| bytes.resize((1 << 20) - 64, 0));
    let mut sizes = Vec::new();
    let found = tracer.find(&[1], &mut |_, payload| sizes.push(payload.len()));
    assert_eq!(sizes, [(1 << 20) - 64]);
    assert_eq!(found.unwrap().lost, 1);
    assert_eq!((tracer.counts().records, tracer.counts().lost), (1, 1));
}

#[test]
fn what_comes_after_the_end_is_lost_and_said_to_be() {
    let (disk, time) = (Disk::new(), Time::at(1));
    let tracer = start(&disk, PLENTY, &time);
    tracer.record(1, |bytes| bytes.push(1));
    tracer.end();
    tracer.record(1, |bytes| bytes.push(2));
    let mut shown = Vec::new();
    let found = tracer.find(&[1], &mut |_, payload| shown.push(payload.to_vec()));
    assert_eq!(shown, [[1]]);
    assert_eq!(found.unwrap().lost, 1);
    tracer.end();
}
