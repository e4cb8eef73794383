//! A history is a sorted map whose entries leave when they are old.

use fastrand::Rng;
use yizhan::store::history::{DAY_MS, key_of};

use crate::disk::{Disk, State};
use crate::world::{World, encode, message};

#[test]
fn a_history_is_a_map_whatever_comes_and_leaves() {
    for seed in 0..60 {
        let mut rng = Rng::with_seed(seed);
        let mut world = World::new(Disk::with(State::default()));
        for _ in 0..120 {
            match rng.u8(..12) {
                0..6 => {
                    let batch = world.some_messages(&mut rng, 30);
                    world.settle(batch).unwrap();
                }
                6..8 => drop(world.merge().unwrap()),
                8 => drop(world.leave().unwrap()),
                9 => world.now += rng.u64(..DAY_MS),
                10 if rng.bool() => world.remove(&mut rng).unwrap(),
                10 => world.reopen(),
                _ => world.check(&mut rng),
            }
        }
        while world.merge().unwrap() {}
        while world.leave().unwrap() {}
        world.check(&mut rng);
        world.check_archive(false);
        world.now += 100 * DAY_MS;
        while world.leave().unwrap() {}
        world.check(&mut rng);
        world.check_archive(false);
        assert!(world.hot.is_empty(), "seed {seed}");
        assert_eq!(world.history.size(), (0, 0));
    }
}

#[test]
fn a_period_that_is_over_has_two_runs_at_most() {
    let mut rng = Rng::with_seed(7);
    let mut world = World::new(Disk::with(State::default()));
    for _ in 0..200 {
        let batch = world.some_messages(&mut rng, 60);
        world.settle(batch).unwrap();
        while world.merge().unwrap() {}
        let (runs, _) = world.history.size();
        assert!(runs < 40, "{runs}");
    }
    world.now += 2 * DAY_MS;
    while world.merge().unwrap() {}
    let catalog = world.history.catalog();
    for kept in &catalog.kept {
        let of_period = catalog
            .kept
            .iter()
            .filter(|other| other.period == kept.period);
        assert!(of_period.count() <= 2);
    }
    world.check(&mut rng);
}

#[test]
fn what_is_removed_is_gone_and_leaves_nothing_in_the_archive() {
    let mut rng = Rng::with_seed(1);
    let mut world = World::new(Disk::with(State::default()));
    let batch = world.some_messages(&mut rng, 40);
    let (first, last) = (*batch.keys().next().unwrap(), *batch.keys().last().unwrap());
    world.settle(batch).unwrap();
    let mut writing = world.history.begin(world.manifest.next_run);
    writing.remove(&key_of(0, 1)).unwrap();
    writing.remove(&first).unwrap();
    writing.remove(&last).unwrap();
    let written = writing.finish().unwrap();
    assert_eq!(written.kept().count(), 1);
    world.manifest.next_run = written.next_run();
    world.manifest.catalog = world.history.with(&written);
    world.history.push(written, world.now);
    world.hot.remove(&first);
    world.hot.remove(&last);
    world.check(&mut rng);
    world.reopen();
    world.check(&mut rng);
    world.now += 10 * DAY_MS;
    while world.leave().unwrap() {}
    world.check_archive(false);
}

#[test]
fn keys_that_do_not_ascend_are_refused() {
    let world = World::new(Disk::with(State::default()));
    let mut writing = world.history.begin(1);
    let value = encode(&message(world.now, "x", false));
    writing.add(&key_of(1, 2), &value, world.now).unwrap();
    assert!(writing.add(&key_of(1, 2), &value, world.now).is_err());
    assert!(writing.add(&key_of(1, 1), &value, world.now).is_err());
}

#[test]
fn a_batch_of_many_periods_is_taken_in_parts() {
    let mut rng = Rng::with_seed(3);
    let mut world = World::new(Disk::with(State::default()));
    let day = |n: u64| (20_000 - n * 37 % 200) * DAY_MS;
    let batch = (0..400).map(|n| (key_of(n / 100, n), encode(&message(day(n), "x", false))));
    world.settle(batch.collect()).unwrap();
    world.check(&mut rng);
    world.reopen();
    world.check(&mut rng);
}

#[test]
fn a_period_set_aside_is_left_alone_until_the_next_open() {
    let mut rng = Rng::with_seed(5);
    let mut world = World::new(Disk::with(State::default()));
    for _ in 0..8 {
        let batch = world.some_messages(&mut rng, 10);
        world.settle(batch).unwrap();
    }
    let period = world.history.catalog().kept[0].period;
    world.history.set_aside(period);
    world.now += 30 * DAY_MS;
    assert!(!world.merge().unwrap());
    assert!(!world.leave().unwrap());
    world.reopen();
    assert!(world.leave().unwrap());
}
