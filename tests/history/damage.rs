//! A bit that is not what was written is told of, and never is anything else shown in its place.

use std::sync::Arc;

use fastrand::Rng;
use yizhan::store::EngineError;
use yizhan::store::archive::{Archive, Event, Name, Query};
use yizhan::store::history::{DAY_MS, History, key_of, rescue, verify};
use yizhan::store::record::look;

use crate::disk::{Disk, State};
use crate::world::{Messages, STORE, World, place};

/// A store with one run, and what is in it.
fn one_run() -> World {
    let mut rng = Rng::with_seed(9);
    let mut world = World::new(Disk::with(State::default()));
    let batch = world.some_messages(&mut rng, 4000);
    world.settle(batch).unwrap();
    let only = world.manifest.catalog.kept[0];
    world.manifest.catalog.kept.truncate(1);
    world.reopen();
    let all = crate::world::scan(&world.history, &key_of(0, 0), &key_of(u64::MAX, u64::MAX));
    assert_eq!(all.len() as u64, only.shelved.entries);
    world.hot = all;
    world
}

fn run_file(world: &World) -> ((&'static str, String), usize) {
    let mut files = world.disk.files().into_iter();
    files.find(|((folder, _), _)| *folder == "history").unwrap()
}

/// What a scan of everything and look-ups say: all of it, or errors.
fn read(history: &History, hot: &Messages) -> Result<(), EngineError> {
    for (key, value) in hot {
        assert_eq!(history.get(key)?.as_ref(), Some(value));
    }
    let mut entries = history.entries(&key_of(0, 0), &key_of(u64::MAX, u64::MAX))?;
    let mut expected = hot.iter();
    while let Some((key, value)) = entries.next()? {
        let (own, is) = expected.next().unwrap();
        assert_eq!((key.as_slice(), value.as_ref()), (own.as_slice(), Some(is)));
    }
    assert!(expected.next().is_none());
    Ok(())
}

#[test]
fn a_flipped_bit_of_a_run_is_an_error_that_names_the_file() {
    let world = one_run();
    let (name, size) = run_file(&world);
    let mut rng = Rng::with_seed(1);
    let kept = world.manifest.catalog.kept[0];
    let ends = (0..400).chain(size - 400..size);
    let anywhere: Vec<usize> = (0..100).map(|_| rng.usize(..size)).collect();
    for at in ends.step_by(5).chain(anywhere) {
        let bit = 1 << rng.u8(..8);
        world.disk.rot(&name, |bytes| bytes[at] ^= bit);
        let opened = History::open(place(&world.disk), STORE, &world.manifest.catalog);
        let found = opened.and_then(|history| read(&history, &world.hot));
        let error = found.expect_err("it is not what was written").to_string();
        assert!(
            error.contains("history/0000000000000001.run: damaged at byte"),
            "{error}"
        );
        let verified = verify(&*world.disk.folder("history"), STORE, &kept);
        assert!(verified.unwrap_err().to_string().contains(".run: damaged"));
        world.disk.rot(&name, |bytes| bytes[at] ^= bit);
    }
    verify(&*world.disk.folder("history"), STORE, &kept).unwrap();
}

#[test]
fn a_damaged_block_is_the_trouble_of_its_readers_alone() {
    let world = one_run();
    let (name, _) = run_file(&world);
    world.disk.rot(&name, |bytes| bytes[100] ^= 1);
    let history = History::open(place(&world.disk), STORE, &world.manifest.catalog).unwrap();
    let first = world.hot.keys().next().unwrap();
    assert!(matches!(history.get(first), Err(EngineError::Damaged(_))));
    let (last, value) = world.hot.iter().next_back().unwrap();
    assert_eq!(history.get(last).unwrap().as_ref(), Some(value));
}

#[test]
fn a_run_that_is_missing_or_cut_is_refused() {
    let world = one_run();
    let (name, size) = run_file(&world);
    world.disk.rot(&name, |bytes| bytes.truncate(size - 1));
    let opened = History::open(place(&world.disk), STORE, &world.manifest.catalog);
    let error = opened.err().unwrap().to_string();
    assert!(error.contains("damaged at byte"), "{error}");
    world.disk.lose(&name);
    let opened = History::open(place(&world.disk), STORE, &world.manifest.catalog);
    let error = opened.err().unwrap().to_string();
    assert!(error.contains(".run: the file is missing"), "{error}");
}

#[test]
fn a_rescue_keeps_every_block_that_is_whole() {
    let index_is_lost = |bytes: &mut Vec<u8>| {
        let at = bytes.len() - 20;
        bytes[at] ^= 1;
    };
    for both in [false, true] {
        let world = one_run();
        let (name, _) = run_file(&world);
        world.disk.rot(&name, |bytes| {
            bytes[5000] ^= 1;
            if both {
                index_is_lost(bytes);
            }
        });
        let damaged = world.manifest.catalog.kept[0];
        let into = world.manifest.next_run;
        let kept = rescue(world.disk.folder("history"), STORE, &damaged, into).unwrap();
        let lost = damaged.shelved.entries - kept.shelved.entries;
        assert!(lost > 0 && lost < 400, "{lost}");
        let mut catalog = world.manifest.catalog.clone();
        catalog.kept = vec![kept];
        let history = History::open(place(&world.disk), STORE, &catalog).unwrap();
        let found = crate::world::scan(&history, &key_of(0, 0), &key_of(u64::MAX, u64::MAX));
        assert!(
            found
                .iter()
                .all(|(key, value)| world.hot.get(key) == Some(value))
        );
        assert_eq!(found.len() as u64, kept.shelved.entries);
    }
    // A file that is gone is a run without entries.
    let world = one_run();
    let (name, _) = run_file(&world);
    world.disk.lose(&name);
    let damaged = world.manifest.catalog.kept[0];
    let kept = rescue(world.disk.folder("history"), STORE, &damaged, 99).unwrap();
    assert_eq!(kept.shelved.entries, 0);
}

/// An archive of one file, and what is in it.
fn one_file() -> (World, (&'static str, String), usize, Name) {
    let mut world = one_run();
    world.now += 30 * DAY_MS;
    assert!(world.leave().unwrap());
    world.check_archive(false);
    let archive = |world: &World| Archive::new(world.disk.folder("archive"));
    let [name] = archive(&world).names().unwrap()[..] else {
        panic!("one file");
    };
    let mut files = world.disk.files().into_iter();
    let (file, size) = files.find(|((folder, _), _)| *folder == "archive").unwrap();
    (world, file, size, name)
}

fn archived(world: &World) -> (Messages, Vec<String>) {
    let (mut found, mut damages) = (Messages::new(), Vec::new());
    let archive = Archive::new(world.disk.folder("archive"));
    archive
        .read(&Query::default(), look, &mut |event| {
            match event {
                Event::Message(m) => {
                    drop(found.insert(key_of(m.conversation, m.cseq), m.value.to_vec()))
                }
                Event::Damage(damage) => damages.push(damage.to_string()),
            }
            true
        })
        .unwrap();
    (found, damages)
}

#[test]
fn a_flipped_bit_of_an_archive_file_is_told_and_read_past() {
    let (world, file, size, name) = one_file();
    let mut rng = Rng::with_seed(2);
    let archive = Archive::new(world.disk.folder("archive"));
    let ends = (0..120).chain(size - 600..size);
    let anywhere: Vec<usize> = (0..100).map(|_| rng.usize(..size)).collect();
    for at in ends.chain(anywhere) {
        let bit = 1 << rng.u8(..8);
        world.disk.rot(&file, |bytes| bytes[at] ^= bit);
        let (found, damages) = archived(&world);
        assert!(
            found
                .iter()
                .all(|(key, value)| world.left.get(key) == Some(value))
        );
        let mut verified = Vec::new();
        archive
            .verify(name, &mut |damage| verified.push(damage.to_string()))
            .unwrap();
        assert!(!verified.is_empty(), "byte {at}");
        let named = |line: &String| line.contains("archive/2024-10-04.yza: damaged at byte");
        assert!(verified.iter().all(named), "{verified:?}");
        assert!(!damages.is_empty(), "byte {at}");
        let lost = world.left.len() - found.len();
        assert!(lost < 1000, "{lost} messages of one block");
        world.disk.rot(&file, |bytes| bytes[at] ^= bit);
    }
    let (found, damages) = archived(&world);
    assert_eq!((found, damages), (world.left.clone(), Vec::new()));
}

#[test]
fn without_header_or_footer_all_else_is_read() {
    for at in [3, usize::MAX] {
        let (world, file, size, _) = one_file();
        world.disk.rot(&file, |bytes| bytes[at.min(size - 30)] ^= 1);
        let (found, damages) = archived(&world);
        assert!(found == world.left);
        assert_eq!(damages.len(), 1, "{damages:?}");
    }
}

#[test]
fn a_file_that_was_cut_is_read_as_far_as_it_goes() {
    let (world, file, size, _) = one_file();
    world.disk.rot(&file, |bytes| bytes.truncate(size / 2));
    let (found, damages) = archived(&world);
    assert!(found.len() > world.left.len() / 4 && found.len() < world.left.len());
    assert!(
        found
            .iter()
            .all(|(key, value)| world.left.get(key) == Some(value))
    );
    assert!(!damages.is_empty());
    world.disk.rot(&file, Vec::clear);
    let (found, damages) = archived(&world);
    assert!(found.is_empty() && !damages.is_empty());
}

#[test]
fn bytes_that_a_message_brought_along_are_no_block() {
    // A file within a file, at the place where its blocks would be if it were found.
    let (mut world, file, _, _) = one_file();
    let inner = Arc::new(parking_lot::Mutex::new(Vec::new()));
    let copy = inner.clone();
    world.disk.rot(&file, |bytes| *copy.lock() = bytes.clone());
    let inner: String = inner.lock().iter().map(|byte| char::from(*byte)).collect();
    let ts = world.now;
    let key = key_of(1, 1_000_000);
    let value = crate::world::encode(&crate::world::message(ts, &inner, false));
    world.settle([(key, value)].into_iter().collect()).unwrap();
    world.now += 30 * DAY_MS;
    while world.leave().unwrap() {}
    world.check_archive(false);
}
