//! A crash at any place leaves what was told of, and nothing that was not.

use fastrand::Rng;
use yizhan::store::EngineError;
use yizhan::store::history::{Catalog, DAY_MS, History};
use yizhan::store::record::look;

use crate::disk::{Disk, Fault, State};
use crate::world::{KEEP, STORE, World, place};

/// Everything that can be interrupted, a few times over.
fn work(world: &mut World, rng: &mut Rng) -> Result<(), EngineError> {
    for _ in 0..4 {
        let batch = world.some_messages(rng, 12);
        world.settle(batch)?;
        while world.merge()? {}
        if rng.u8(..3) == 0 {
            world.remove(rng)?;
        }
        while world.leave()? {}
        world.now += rng.u64(..2 * DAY_MS);
    }
    Ok(())
}

fn prepared(seed: u64) -> (World, Rng) {
    let mut rng = Rng::with_seed(seed);
    let mut world = World::new(Disk::with(State::default()));
    for _ in 0..10 {
        let batch = world.some_messages(&mut rng, 12);
        world.settle(batch).unwrap();
        world.now += rng.u64(..DAY_MS);
    }
    (world, rng)
}

#[test]
fn what_was_told_of_survives_a_crash_at_any_call() {
    for seed in 0..6 {
        let (mut world, mut rng) = prepared(seed);
        work(&mut world, &mut rng).unwrap();
        let before = prepared(seed).0.disk.copy().calls;
        assert_eq!(before, 0);
        for at in (0..).step_by(3) {
            let (mut world, mut rng) = prepared(seed);
            {
                let mut state = world.disk.0.lock();
                (state.calls, state.fault) = (0, Some((at, Fault::Dead)));
            }
            let done = work(&mut world, &mut rng);
            world.disk.crash(&mut rng);
            world.reopen();
            world.check(&mut rng);
            world.check_archive(true);
            let of_runs = |(folder, _): &&(&str, String)| *folder == "history";
            let files = world.disk.files();
            let runs = files.iter().map(|(name, _)| name).filter(of_runs).count();
            assert_eq!(
                runs,
                world.manifest.catalog.kept.len(),
                "seed {seed}, call {at}"
            );
            // It goes on as if nothing had been.
            work(&mut world, &mut rng).unwrap();
            world.now += 30 * DAY_MS;
            while world.leave().unwrap() {}
            world.check(&mut rng);
            world.check_archive(false);
            if done.is_ok() {
                break;
            }
        }
    }
}

#[test]
fn a_call_that_fails_alone_is_an_error_and_no_more() {
    for fault in [Fault::Before, Fault::After] {
        for at in (0..).step_by(5) {
            let (mut world, mut rng) = prepared(11);
            {
                let mut state = world.disk.0.lock();
                (state.calls, state.fault) = (0, Some((at, fault)));
            }
            let done = work(&mut world, &mut rng);
            world.disk.0.lock().fault = None;
            world.reopen();
            world.check(&mut rng);
            world.check_archive(true);
            if done.is_ok() {
                break;
            }
        }
    }
}

#[test]
fn a_period_killed_before_it_is_told_of_is_written_anew_and_its_file_replaced() {
    let (mut world, mut rng) = prepared(2);
    world.now += 30 * DAY_MS;
    let period = world.history.due_for_archive(world.now, KEEP).unwrap();
    let mut leaving = world.history.leave(period, look).unwrap();
    while leaving.step(100).unwrap() {}
    let left = leaving.finish().unwrap();
    let file = left.file().unwrap().to_owned();
    drop(left);
    world.disk.crash(&mut rng);
    world.reopen();
    world.check(&mut rng);
    assert!(world.leave().unwrap());
    let files = world.disk.files();
    let in_archive: Vec<&str> = files
        .iter()
        .filter(|((folder, _), _)| *folder == "archive")
        .map(|((_, name), _)| name.as_str())
        .collect();
    assert_eq!(in_archive, [file]);
    world.check_archive(false);
}

#[test]
fn a_period_killed_before_its_files_are_dropped_is_gone_after_the_next_open() {
    let (mut world, mut rng) = prepared(2);
    world.now += 30 * DAY_MS;
    let before = world.history.size();
    let period = world.history.due_for_archive(world.now, KEEP).unwrap();
    let mut leaving = world.history.leave(period, look).unwrap();
    while leaving.step(100).unwrap() {}
    let left = leaving.finish().unwrap();
    let catalog = world.history.without(&left);
    assert!(catalog.kept.iter().all(|kept| kept.period != period));
    drop(left);
    assert_eq!(world.history.size(), before);
    world.disk.crash(&mut rng);
    let history = History::open(place(&world.disk), STORE, &catalog).unwrap();
    assert_eq!(history.catalog(), catalog);
    let files = world.disk.files();
    let runs = files.iter().filter(|((folder, _), _)| *folder == "history");
    assert_eq!(runs.count(), catalog.kept.len());
}

#[test]
fn another_stores_file_is_never_written_over() {
    let (mut world, _) = prepared(2);
    world.now += 30 * DAY_MS;
    while world.leave().unwrap() {}
    let before = world.disk.files();
    // The same days once more, in a store that was restored from a backup and has a number of its own.
    let disk = world.disk.clone();
    let history = History::open(place(&disk), STORE + 1, &Catalog::default()).unwrap();
    let mut writing = history.begin(1);
    for (key, value) in &world.left {
        writing
            .add(key, value, look(value).unwrap().server_ts)
            .unwrap();
    }
    let written = writing.finish().unwrap();
    history.push(written, world.now);
    while let Some(period) = history.due_for_archive(world.now, KEEP) {
        for _ in 0..2 {
            // Killed once, and done then.
            let mut leaving = history.leave(period, look).unwrap();
            while leaving.step(100).unwrap() {}
            let left = leaving.finish().unwrap();
            assert!(left.file().unwrap().ends_with(".2.yza"));
        }
        let leaving = history.leave(period, look).unwrap();
        let mut leaving = leaving;
        while leaving.step(100).unwrap() {}
        history.drop_period(leaving.finish().unwrap()).unwrap();
    }
    let after = world.disk.files();
    for file in before
        .iter()
        .filter(|((folder, _), _)| *folder == "archive")
    {
        assert!(after.contains(file));
    }
    world.check_archive(false);
}

#[test]
fn what_comes_while_a_period_leaves_stays_and_leaves_behind_it() {
    let (mut world, mut rng) = prepared(4);
    world.now += 30 * DAY_MS;
    let period = world.history.due_for_archive(world.now, KEEP).unwrap();
    let mut leaving = world.history.leave(period, look).unwrap();
    leaving.step(3).unwrap();
    // An edit and a revocation of two of its messages.
    let of_period =
        |value: &[u8]| yizhan::store::history::period_of(look(value).unwrap().server_ts) == period;
    let known: Vec<_> = world
        .hot
        .iter()
        .filter(|(_, v)| of_period(v))
        .map(|(k, v)| (*k, v.clone()))
        .collect();
    let written_over = |n: usize, is_revoked| {
        let (key, value) = &known[n];
        let ts = look(value).unwrap().server_ts;
        (
            *key,
            crate::world::encode(&crate::world::message(ts, "late", is_revoked)),
        )
    };
    let late = [written_over(0, false), written_over(known.len() - 1, true)];
    world.settle(late.clone().into_iter().collect()).unwrap();
    while leaving.step(3).unwrap() {}
    let left = leaving.finish().unwrap();
    world.manifest.catalog = world.history.without(&left);
    world.history.drop_period(left).unwrap();
    assert_eq!(world.history.catalog(), world.manifest.catalog);
    for (key, value) in &known {
        let is_late = late.iter().any(|(own, _)| own == key);
        if !is_late {
            world.hot.remove(key);
            if look(value).unwrap().may_be_archived {
                world.left.insert(*key, value.clone());
            }
        }
    }
    world.check(&mut rng);
    while world.leave().unwrap() {}
    world.check(&mut rng);
    world.check_archive(false);
    assert!(
        !world.left.contains_key(&late[1].0),
        "a revoked one is gone"
    );
}
