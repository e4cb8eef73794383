//! The engine on disk: sled 0.34.7 in one tree. docs/PERFORMANCE.md says why this release.
//!
//! sled's own background flush is off: the committer flushes. `flush` of this release reaches the page cache of the
//! operating system, which survives a killed process; an fdatasync of its file follows, for a lost power supply.

use std::collections::HashSet;
use std::fs::{self, File, TryLockError};
use std::io;
use std::ops::Bound;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use parking_lot::{Mutex, RwLock};
use rustix::fs::Advice;

use super::{Batch, Engine, EngineError};

/// A directory's time stamp may stay the same over two changes this close together.
const MTIME_GRAIN: Duration = Duration::from_millis(100);

/// Pages that sled keeps in memory; its own default is a gigabyte.
const CACHE_BYTES: u64 = 256 << 20;

/// How long a database that was dropped may keep its files, and how often it is looked whether it still does.
const RELEASE_MAX: Duration = Duration::from_secs(2);
const RELEASE_LOOK: Duration = Duration::from_millis(5);

/// One sled database in a directory of its own.
#[derive(Debug)]
pub struct SledEngine {
    dir: PathBuf,
    open: RwLock<Option<Open>>,
}

#[derive(Debug)]
struct Open {
    db: ::sled::Db,
    log: File,
    blobs: Mutex<Blobs>,
}

/// sled keeps large pages in files of their own, beside its log.
#[derive(Debug)]
struct Blobs {
    dir: PathBuf,
    seen: Option<SystemTime>,
    synced: HashSet<std::ffi::OsString>,
}

impl SledEngine {
    /// Opens or creates the database in `dir`.
    pub fn open(dir: &Path) -> Result<SledEngine, EngineError> {
        Ok(SledEngine {
            dir: dir.to_path_buf(),
            open: RwLock::new(Some(Open::new(dir)?)),
        })
    }

    fn with<T>(&self, act: impl FnOnce(&Open) -> Result<T, EngineError>) -> Result<T, EngineError> {
        match self.open.read().as_ref() {
            Some(open) => act(open),
            None => Err(EngineError::Failed(
                "the store is closed after an error".into(),
            )),
        }
    }
}

impl Engine for SledEngine {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, EngineError> {
        self.with(|open| Ok(open.db.get(key)?.map(|value| value.to_vec())))
    }

    fn scan(
        &self,
        from: &[u8],
        to: &[u8],
        visit: &mut dyn FnMut(&[u8], &[u8]) -> bool,
    ) -> Result<(), EngineError> {
        if from > to {
            return Ok(());
        }
        self.with(|open| {
            let range = (Bound::Included(from), Bound::Included(to));
            for entry in open.db.range::<&[u8], _>(range) {
                let (key, value) = entry?;
                if !visit(&key, &value) {
                    break;
                }
            }
            Ok(())
        })
    }

    fn forgets_dedupe(&self) -> bool {
        false
    }

    fn keeps_history(&self) -> bool {
        false
    }

    fn apply(&self, batch: Batch) -> Result<(), EngineError> {
        let mut writes = ::sled::Batch::default();
        for (key, value) in batch.into_writes() {
            match value {
                Some(value) => writes.insert(key, value),
                None => writes.remove(key),
            }
        }
        self.with(|open| Ok(open.db.apply_batch(writes)?))
    }

    fn flush(&self) -> Result<(), EngineError> {
        self.with(|open| {
            open.db.flush()?;
            open.log.sync_data()?;
            open.blobs.lock().sync()?;
            Ok(())
        })
    }

    fn reopen(&self) -> Result<(), EngineError> {
        let mut open = self.open.write();
        // sled holds a lock on its file until the last handle is gone.
        *open = None;
        *open = Some(Open::new(&self.dir)?);
        Ok(())
    }
}

impl Open {
    fn new(dir: &Path) -> Result<Open, EngineError> {
        go_by_the_disk(dir)?;
        remove_half_written_snapshots(dir)?;
        let db = ::sled::Config::default()
            .path(dir)
            .mode(::sled::Mode::HighThroughput)
            .cache_capacity(CACHE_BYTES)
            .flush_every_ms(None)
            .open()?;
        let open = Open {
            db,
            log: File::open(dir.join("db"))?,
            blobs: Mutex::new(Blobs {
                dir: dir.join("blobs"),
                seen: None,
                synced: HashSet::new(),
            }),
        };
        // sled does not sync its settings, and refuses a database whose settings are gone.
        File::open(dir.join("conf"))?.sync_all()?;
        // A directory entry is durable only when its directory is.
        File::open(dir)?.sync_all()?;
        Ok(open)
    }
}

/// Makes sure that what is read from here on is on the disk. The page cache may show more: what a killed process wrote
/// and did not sync, and, after a sync that failed, pages that Linux calls clean though they were never written. So
/// everything is synced once more, and the cached pages are let go.
fn go_by_the_disk(dir: &Path) -> Result<(), EngineError> {
    let log = match File::open(dir.join("db")) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        log => log?,
    };
    lock_when_released(&log)?;
    for dir in [dir.to_path_buf(), dir.join("blobs")] {
        let entries = match fs::read_dir(&dir) {
            // A kill in the moment of the first start: sled makes it.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            entries => entries?,
        };
        for entry in entries {
            let entry = entry?;
            if entry.file_type()?.is_file() {
                let file = File::open(entry.path())?;
                file.sync_all()?;
                rustix::fs::fadvise(&file, 0, None, Advice::DontNeed).map_err(io::Error::from)?;
            }
        }
        File::open(&dir)?.sync_all()?;
    }
    Ok(())
}

/// The threads of a database that was dropped write and let go of its log a little later.
fn lock_when_released(log: &File) -> Result<(), EngineError> {
    let until = Instant::now() + RELEASE_MAX;
    loop {
        match log.try_lock() {
            Ok(()) => return Ok(()),
            Err(TryLockError::Error(error)) => return Err(error.into()),
            Err(TryLockError::WouldBlock) if Instant::now() < until => {
                std::thread::sleep(RELEASE_LOOK);
            }
            Err(TryLockError::WouldBlock) => {
                let held = "the store is held open by somebody else";
                return Err(EngineError::Failed(held.into()));
            }
        }
    }
}

/// A kill while sled opens can leave a snapshot under the name it has before it is whole. The next open takes it for
/// the latest one and refuses the database as corrupt, for good; without it, the one before it is used.
fn remove_half_written_snapshots(dir: &Path) -> io::Result<()> {
    let entries = match fs::read_dir(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.starts_with("snap.") && name.ends_with(".generating") {
            log::warn!(
                "removed {}, left half written by a kill",
                entry.path().display()
            );
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

impl Blobs {
    fn sync(&mut self) -> io::Result<()> {
        loop {
            let changed = fs::metadata(&self.dir)?.modified()?;
            if self.seen == Some(changed) {
                return Ok(());
            }
            if self.sync_those_there()? {
                let settled = changed.elapsed().is_ok_and(|age| age > MTIME_GRAIN);
                self.seen = settled.then_some(changed);
                return Ok(());
            }
        }
    }

    /// False if sled removed one of them meanwhile: what was in it may be in a file that was not there to be seen.
    fn sync_those_there(&mut self) -> io::Result<bool> {
        let mut there = HashSet::new();
        for entry in fs::read_dir(&self.dir)? {
            let entry = entry?;
            let name = entry.file_name();
            if !self.synced.contains(&name) {
                match File::open(entry.path()) {
                    Ok(file) => file.sync_all()?,
                    Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
                    Err(error) => return Err(error),
                }
                self.synced.insert(name.clone());
            }
            there.insert(name);
        }
        File::open(&self.dir)?.sync_all()?;
        self.synced = there;
        Ok(true)
    }
}

impl From<::sled::Error> for EngineError {
    fn from(error: ::sled::Error) -> EngineError {
        EngineError::Failed(format!("sled: {error}"))
    }
}

impl From<io::Error> for EngineError {
    fn from(error: io::Error) -> EngineError {
        EngineError::Failed(format!("disk: {error}"))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_snapshot_left_half_written_by_a_kill_does_not_keep_the_store_shut() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("sled");
        let engine = SledEngine::open(&path).unwrap();
        let mut batch = Batch::default();
        batch.put(b"k".to_vec(), b"v".to_vec());
        engine.apply(batch).unwrap();
        engine.flush().unwrap();
        drop(engine);
        fs::write(path.join("snap.7FFFFFFFFFFFFFFF.generating"), b"").unwrap();
        lock_when_released(&File::open(path.join("db")).unwrap()).unwrap();
        let hurt = ::sled::open(&path);
        assert!(
            hurt.is_err(),
            "this release is not hurt by it any more, so the remedy can go"
        );
        let engine = SledEngine::open(&path).unwrap();
        assert_eq!(engine.get(b"k").unwrap(), Some(b"v".to_vec()));
    }

    #[test]
    fn a_page_file_that_sled_removes_meanwhile_fails_no_flush() {
        let dir = tempfile::tempdir().unwrap();
        let done = std::sync::atomic::AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !done.load(std::sync::atomic::Ordering::Relaxed) {
                    for n in 0..8 {
                        fs::write(dir.path().join(n.to_string()), b"page").unwrap();
                    }
                    for n in 0..8 {
                        fs::remove_file(dir.path().join(n.to_string())).unwrap();
                    }
                }
            });
            let mut blobs = Blobs {
                dir: dir.path().to_path_buf(),
                seen: None,
                synced: HashSet::new(),
            };
            let failed = (0..50).find_map(|_| {
                blobs.synced.clear();
                blobs.sync().err()
            });
            done.store(true, std::sync::atomic::Ordering::Relaxed);
            assert!(failed.is_none(), "{failed:?}");
        });
    }

    #[test]
    fn pages_that_sled_keeps_in_files_of_their_own_are_seen_and_synced() {
        let dir = tempfile::tempdir().unwrap();
        let engine = SledEngine::open(dir.path()).unwrap();
        for n in 0..8u8 {
            let mut batch = Batch::default();
            batch.put(vec![n], vec![n; 300_000]);
            engine.apply(batch).unwrap();
            engine.flush().unwrap();
            let there = fs::read_dir(dir.path().join("blobs")).unwrap().count();
            let synced = engine
                .with(|open| Ok(open.blobs.lock().synced.len()))
                .unwrap();
            assert!(there > 0, "values of this size no longer make files");
            assert_eq!(synced, there);
        }
    }

    /// Whether a page in each part of the file is in the page cache; none where that cannot be asked.
    fn cached(file: &File) -> Option<Vec<bool>> {
        let pages = (0..64).map(|part| {
            let mut page = [0; 4096];
            let mut into = [io::IoSliceMut::new(&mut page)];
            let flags = rustix::io::ReadWriteFlags::NOWAIT;
            match rustix::io::preadv2(file, &mut into, part << 16, flags) {
                Ok(read) => Some(read > 0),
                Err(rustix::io::Errno::AGAIN) => Some(false),
                Err(_) => None,
            }
        });
        pages.collect()
    }

    #[test]
    fn a_store_is_opened_by_what_is_on_the_disk_and_not_by_what_is_cached() {
        let dir = tempfile::tempdir().unwrap();
        drop(SledEngine::open(dir.path()).unwrap());
        let path = dir.path().join("blobs/large");
        fs::write(&path, vec![7; 4 << 20]).unwrap();
        let file = File::open(&path).unwrap();
        let Some(before) = cached(&file) else {
            println!("skipped: this file system does not tell what is cached");
            return;
        };
        assert!(before.iter().all(|cached| *cached));
        go_by_the_disk(dir.path()).unwrap();
        let after = cached(&file).unwrap();
        assert!(after.iter().any(|cached| !cached), "no page was let go");
    }
}
