//! A backup that is streamed while the store is written replays to the store as it was at one moment.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use fastrand::Rng;
use parking_lot::Mutex;
use yizhan::metrics::Metrics;
use yizhan::store::backup::file::{Damage, Decoder};
use yizhan::store::backup::{Recorder, Refused, Stopped};
use yizhan::store::files::DiskFolder;
use yizhan::store::journal::{Bounds, Journal, Place};
use yizhan::store::memory::MemoryEngine;
use yizhan::store::restore::replay;
use yizhan::store::sled::SledEngine;
use yizhan::store::{Batch, Engine, EngineError, history, record};

type Map = BTreeMap<Vec<u8>, Vec<u8>>;

/// Large enough that a dozen fill a page of the scan.
const VALUE: usize = 30_000;

fn seed() -> u64 {
    let seed = std::env::var("YIZHAN_SEED").map_or_else(
        |_| fastrand::u64(..),
        |text| text.parse().expect("YIZHAN_SEED is a number"),
    );
    println!("run again with YIZHAN_SEED={seed}");
    seed
}

fn contents(engine: &dyn Engine) -> Map {
    let mut map = Map::new();
    engine
        .scan(&[], &[0xff; 256], &mut |key, value| {
            map.insert(key.to_vec(), value.to_vec());
            true
        })
        .unwrap();
    map
}

fn restored(file: &[u8]) -> Map {
    let engine = MemoryEngine::new();
    replay(&mut Decoder::open(file).unwrap(), &engine).unwrap();
    contents(&engine)
}

fn one(key: &[u8], value: Vec<u8>) -> Batch {
    let mut batch = Batch::default();
    batch.put(key.to_vec(), value);
    batch
}

// ---- in every order ----

/// An engine whose scans see each key at another moment, as those of an engine without snapshots do: between any two keys
/// of a scan, something else may be applied.
#[derive(Default)]
struct Stepped {
    map: Mutex<Map>,
    /// Runs before each key of a scan.
    between: OnceLock<Box<dyn Fn() + Send + Sync>>,
    /// How many batches there were when the latest scan began.
    applied: AtomicU64,
    applied_at_scan: AtomicU64,
}

impl Engine for Stepped {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, EngineError> {
        Ok(self.map.lock().get(key).cloned())
    }

    fn scan(
        &self,
        from: &[u8],
        to: &[u8],
        visit: &mut dyn FnMut(&[u8], &[u8]) -> bool,
    ) -> Result<(), EngineError> {
        let applied = self.applied.load(Ordering::Relaxed);
        self.applied_at_scan.store(applied, Ordering::Relaxed);
        let mut from = Bound::Included(from.to_vec());
        loop {
            if let Some(between) = self.between.get() {
                between();
            }
            let range = (from, Bound::Included(to.to_vec()));
            let entry = {
                let map = self.map.lock();
                let entry = map.range::<Vec<u8>, _>(range).next();
                entry.map(|(key, value)| (key.clone(), value.clone()))
            };
            let Some((key, value)) = entry else {
                return Ok(());
            };
            if !visit(&key, &value) {
                return Ok(());
            }
            from = Bound::Excluded(key);
        }
    }

    fn forgets_dedupe(&self) -> bool {
        false
    }

    fn keeps_history(&self) -> bool {
        false
    }

    fn apply(&self, batch: Batch) -> Result<(), EngineError> {
        let mut map = self.map.lock();
        for (key, value) in batch.into_writes() {
            match value {
                Some(value) => drop(map.insert(key, value)),
                None => drop(map.remove(&key)),
            }
        }
        self.applied.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    fn flush(&self) -> Result<(), EngineError> {
        Ok(())
    }

    fn reopen(&self) -> Result<(), EngineError> {
        Ok(())
    }
}

/// Writes at random, and knows every state the store has been in.
struct Writer {
    recorder: Arc<Recorder>,
    rng: Mutex<Rng>,
    states: Mutex<Vec<Map>>,
}

impl Writer {
    fn write(&self) {
        let mut rng = self.rng.lock();
        let mut states = self.states.lock();
        let mut state = states.last().unwrap().clone();
        let mut batch = Batch::default();
        for _ in 0..rng.usize(1..4) {
            let key = vec![rng.u8(..40)];
            if rng.u8(..3) == 0 {
                state.remove(&key);
                batch.delete(key);
            } else {
                // Only as long as it has to be, and unlike every other.
                let mut value = vec![0; rng.usize(VALUE / 2..VALUE)];
                value[..8].copy_from_slice(&rng.u64(..).to_be_bytes());
                state.insert(key.clone(), value.clone());
                batch.put(key, value);
            }
        }
        self.recorder.apply(batch).unwrap();
        states.push(state);
    }
}

#[test]
fn however_scan_and_batches_interleave_the_backup_is_one_state_of_the_store() {
    let mut rng = Rng::with_seed(seed());
    let mut moved = 0;
    for _ in 0..80 {
        let engine = Arc::new(Stepped::default());
        let recorder = Arc::new(Recorder::new(engine.clone()));
        let writer = Arc::new(Writer {
            recorder: recorder.clone(),
            rng: Mutex::new(rng.fork()),
            states: Mutex::new(vec![Map::new()]),
        });
        for _ in 0..rng.usize(..60) {
            writer.write();
        }
        let before = writer.states.lock().len() - 1;
        let (often, dice) = (rng.u8(1..8), Arc::new(Mutex::new(rng.fork())));
        let maybe_write = {
            let (writer, dice) = (writer.clone(), dice.clone());
            move || {
                if dice.lock().u8(..8) < often && writer.states.lock().len() < 150 {
                    writer.write();
                }
            }
        };
        assert!(engine.between.set(Box::new(maybe_write.clone())).is_ok());

        let mut file = Vec::new();
        let backup = recorder.begin().unwrap();
        backup
            .stream(1, &mut |piece| {
                file.extend(piece);
                maybe_write();
                true
            })
            .unwrap();
        let last_scan = engine.applied_at_scan.load(Ordering::Relaxed) as usize;

        let found = restored(&file);
        let states = writer.states.lock();
        let at = states.iter().rposition(|state| *state == found);
        let at = at.expect("the backup is no state that the store was ever in");
        assert!(at >= last_scan && at >= before, "{at}, {last_scan}");
        moved += usize::from(at > before);
    }
    assert!(moved > 30, "only {moved} backups saw a write");
}

// ---- with real threads, on disk ----

const KEYS: u64 = 20_000;

/// Tells the writer to end, also when the test fails.
struct Ends<'a>(&'a AtomicBool);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// The writes of a batch, known by its number. Each batch writes its number as well.
fn batch_of(number: u64) -> Batch {
    let mut rng = Rng::with_seed(number);
    let mut batch = one(b"number", number.to_be_bytes().to_vec());
    for _ in 0..rng.u64(1..60) {
        // Of the table of messages, and of the dedupe index.
        let key = rng.u64(..KEYS);
        let table = [record::HISTORY, record::DEDUPE][key as usize % 2];
        let key = [&[table], &key.to_be_bytes()[..]].concat();
        match rng.u8(..4) {
            0 => batch.delete(key),
            _ => batch.put(key, vec![rng.u8(..); rng.usize(..200)]),
        }
    }
    batch
}

#[test]
fn a_backup_of_a_store_on_disk_that_a_thread_writes_is_the_store_after_one_of_its_batches() {
    let dir = tempfile::tempdir().unwrap();
    backs_up_while_it_is_written(SledEngine::open(dir.path()).unwrap());
}

#[test]
fn a_backup_of_a_log_that_settles_all_the_time_is_the_store_after_one_of_its_batches() {
    let dir = tempfile::tempdir().unwrap();
    let folder = |name| Arc::new(DiskFolder::open(&dir.path().join(name)).unwrap());
    let place = Place {
        base: Arc::new(SledEngine::open(&dir.path().join("sled")).unwrap()),
        log: folder("log"),
        index: folder("index"),
        history: history::Place {
            runs: folder("history"),
            archive: folder("archive"),
        },
    };
    let bounds = Bounds {
        segment: 4096,
        rest: Duration::ZERO,
        ..Bounds::default()
    };
    let journal = Journal::open(place, bounds, Metrics::new().unwrap()).unwrap();
    backs_up_while_it_is_written(journal);
}

fn backs_up_while_it_is_written(engine: impl Engine + 'static) {
    let recorder = Arc::new(Recorder::new(Arc::new(engine)));
    let (applied, done) = (AtomicU64::new(0), AtomicBool::new(false));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for number in 1.. {
                if done.load(Ordering::Relaxed) {
                    break;
                }
                recorder.apply(batch_of(number)).unwrap();
                if number % 16 == 0 {
                    recorder.flush().unwrap();
                }
                applied.store(number, Ordering::Release);
            }
        });
        let _ends = Ends(&done);
        let until = |number| {
            while applied.load(Ordering::Acquire) < number {
                std::thread::yield_now();
            }
        };
        let mut model = (0, Map::new());
        for round in 1..=6 {
            until(round * 400);
            let before = applied.load(Ordering::Acquire);
            let mut file = Vec::new();
            let backup = recorder.begin().unwrap();
            backup
                .stream(1, &mut |piece| {
                    file.extend(piece);
                    true
                })
                .unwrap();
            let found = restored(&file);
            let number = u64::from_be_bytes(found[&b"number"[..]][..].try_into().unwrap());
            assert!(number >= before, "{number} is from before {before}");
            while model.0 < number {
                model.0 += 1;
                for (key, value) in batch_of(model.0).into_writes() {
                    match value {
                        Some(value) => drop(model.1.insert(key, value)),
                        None => drop(model.1.remove(&key)),
                    }
                }
            }
            assert!(found == model.1, "not the store after batch {number}");
        }
    });
}

// ---- what it costs, and how it fails ----

fn filled(keys: u8) -> Arc<Recorder> {
    recorder_over(MemoryEngine::new(), keys)
}

fn recorder_over(engine: impl Engine + 'static, keys: u8) -> Arc<Recorder> {
    let recorder = Arc::new(Recorder::with_bound(Arc::new(engine), 10 * VALUE));
    for key in 0..keys {
        recorder.apply(one(&[key], vec![key; VALUE])).unwrap();
    }
    recorder
}

fn failure(file: &[u8]) -> String {
    let mut decoder = Decoder::open(file).unwrap();
    loop {
        match decoder.block() {
            Ok(Some(_)) => {}
            Ok(None) => panic!("it is whole"),
            Err(Damage::BrokenOff(why)) => return why,
            Err(other) => panic!("it does not say why: {other}"),
        }
    }
}

#[test]
fn a_second_backup_at_once_is_refused_and_the_next_is_not() {
    let recorder = filled(1);
    let first = recorder.begin().unwrap();
    assert_eq!(recorder.begin().err(), Some(Refused::Running));
    drop(first);
    assert!(recorder.begin().is_ok());
}

#[test]
fn a_backup_whose_reader_goes_away_lets_go_of_everything_it_held() {
    let recorder = filled(60);
    let mut pieces = 0;
    let stopped = recorder.begin().unwrap().stream(1, &mut |_| {
        recorder.apply(one(b"new", vec![1; VALUE])).unwrap();
        pieces += 1;
        if pieces == 2 {
            assert!(recorder.waiting().unwrap() > VALUE);
        }
        pieces < 2
    });
    assert_eq!(stopped, Err(Stopped::Gone));
    assert_eq!(recorder.waiting(), None);
    recorder.apply(one(b"new", vec![2; VALUE])).unwrap();
    assert_eq!(recorder.waiting(), None);
}

#[test]
fn a_backup_slower_than_the_commits_fails_and_holds_up_none_of_them() {
    let recorder = filled(60);
    let (mut file, mut most) = (Vec::new(), 0);
    let stopped = recorder.begin().unwrap().stream(1, &mut |piece| {
        file.extend(piece);
        for _ in 0..15 {
            recorder.apply(one(b"new", vec![1; VALUE])).unwrap();
            most = most.max(recorder.waiting().unwrap());
        }
        true
    });
    let why = failure(&file);
    assert!(why.contains("slower than the commits"), "{why}");
    assert_eq!(stopped, Err(Stopped::Failed(why)));
    assert!(most <= 10 * VALUE, "{most} bytes waited");
    assert!(recorder.begin().is_ok());
}

#[test]
fn a_backup_holds_no_more_than_its_bounds_of_a_store_many_times_as_large() {
    let recorder = Arc::new(Recorder::new(Arc::new(MemoryEngine::new())));
    for key in 0..2000u32 {
        let key = key.to_be_bytes();
        recorder.apply(one(&key, vec![1; VALUE])).unwrap();
    }
    let (mut longest, mut total) = (0, 0);
    recorder
        .begin()
        .unwrap()
        .stream(1, &mut |piece| {
            longest = longest.max(piece.len());
            total += piece.len();
            true
        })
        .unwrap();
    assert!(total > 2000 * VALUE);
    assert!(
        longest < 2 * yizhan::store::backup::file::BLOCK_BYTES,
        "{longest}"
    );
}

/// Fails or panics on command.
#[derive(Default)]
struct Fragile {
    inner: MemoryEngine,
    fails: AtomicBool,
    panics: AtomicBool,
}

struct Handle(Arc<Fragile>);

impl Fragile {
    fn strain(&self) -> Result<(), EngineError> {
        assert!(!self.panics.load(Ordering::Relaxed), "the engine panics");
        match self.fails.load(Ordering::Relaxed) {
            true => Err(EngineError::Failed("no".into())),
            false => Ok(()),
        }
    }
}

impl Engine for Handle {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, EngineError> {
        self.0.inner.get(key)
    }

    fn scan(
        &self,
        from: &[u8],
        to: &[u8],
        visit: &mut dyn FnMut(&[u8], &[u8]) -> bool,
    ) -> Result<(), EngineError> {
        self.0.inner.scan(from, to, visit)
    }

    fn forgets_dedupe(&self) -> bool {
        self.0.inner.forgets_dedupe()
    }

    fn keeps_history(&self) -> bool {
        self.0.inner.keeps_history()
    }

    fn apply(&self, batch: Batch) -> Result<(), EngineError> {
        self.0.inner.apply(batch)?;
        self.0.strain()
    }

    fn flush(&self) -> Result<(), EngineError> {
        self.0.strain()?;
        self.0.inner.flush()
    }

    fn reopen(&self) -> Result<(), EngineError> {
        self.0.strain()?;
        self.0.inner.reopen()
    }
}

/// What a backup comes to when this happens after its second piece, and whether another begins before the store is open
/// again and after it.
fn backup_with(trouble: impl Fn(&Fragile, &Recorder)) -> (Result<(), String>, bool, bool) {
    let fragile = Arc::new(Fragile::default());
    let recorder = recorder_over(Handle(fragile.clone()), 60);
    recorder.flush().unwrap();
    let (mut file, mut pieces) = (Vec::new(), 0);
    let ended = recorder.begin().unwrap().stream(1, &mut |piece| {
        file.extend(piece);
        pieces += 1;
        if pieces == 2 {
            trouble(&fragile, &recorder);
        }
        true
    });
    let told = match ended {
        Ok(_) => Ok(()),
        Err(_) => Err(failure(&file)),
    };
    let at_once = recorder.begin().is_ok();
    fragile.fails.store(false, Ordering::Relaxed);
    fragile.panics.store(false, Ordering::Relaxed);
    recorder.reopen().unwrap();
    (told, at_once, recorder.begin().is_ok())
}

#[test]
fn a_backup_fails_when_a_batch_fails_and_none_begins_before_the_store_is_open_again() {
    let (told, at_once, later) = backup_with(|fragile, recorder| {
        fragile.fails.store(true, Ordering::Relaxed);
        assert!(recorder.apply(one(b"k", vec![1])).is_err());
        fragile.fails.store(false, Ordering::Relaxed);
    });
    assert_eq!(told, Err("a write to the store failed".into()));
    assert_eq!((at_once, later), (false, true));
}

#[test]
fn a_backup_fails_when_the_engine_panics() {
    let (told, at_once, later) = backup_with(|fragile, recorder| {
        fragile.panics.store(true, Ordering::Relaxed);
        let write = std::panic::AssertUnwindSafe(|| recorder.apply(one(b"k", vec![1])));
        assert!(std::panic::catch_unwind(write).is_err());
        fragile.panics.store(false, Ordering::Relaxed);
    });
    assert_eq!(told, Err("a write to the store failed".into()));
    assert_eq!((at_once, later), (false, true));
}

#[test]
fn a_backup_fails_when_a_flush_fails() {
    let (told, at_once, later) = backup_with(|fragile, recorder| {
        fragile.fails.store(true, Ordering::Relaxed);
        assert!(recorder.flush().is_err());
        fragile.fails.store(false, Ordering::Relaxed);
    });
    assert_eq!(told, Err("a flush of the store failed".into()));
    assert_eq!((at_once, later), (false, true));
}

#[test]
fn a_backup_fails_when_the_store_is_opened_again_under_it() {
    let (told, at_once, _) = backup_with(|_, recorder| recorder.reopen().unwrap());
    let why = told.unwrap_err();
    assert!(why.contains("opened again"), "{why}");
    assert!(at_once);
}

#[test]
fn a_backup_is_whole_only_when_what_it_holds_is_on_the_disk() {
    // The committer has not flushed, and cannot.
    let (told, _, _) = backup_with(|fragile, recorder| {
        recorder.apply(one(b"k", vec![1])).unwrap();
        fragile.fails.store(true, Ordering::Relaxed);
    });
    assert!(told.is_err());
}

#[test]
fn a_flush_that_failed_for_a_backup_has_failed_for_the_committer_too() {
    let fragile = Arc::new(Fragile::default());
    let recorder = recorder_over(Handle(fragile.clone()), 60);
    recorder.apply(one(b"k", vec![1])).unwrap();
    let backup = recorder.begin().unwrap();
    fragile.fails.store(true, Ordering::Relaxed);
    assert!(backup.stream(1, &mut |_| true).is_err());
    // The system tells such an error once.
    fragile.fails.store(false, Ordering::Relaxed);
    assert!(recorder.flush().is_err());
    assert!(recorder.apply(one(b"k", vec![2])).is_err());
    recorder.reopen().unwrap();
    recorder.flush().unwrap();
}
