//! The engine on disk: sled 0.34.7 in one tree. docs/PERFORMANCE.md says why this release.
//!
//! sled's own background flush is off: the committer flushes. `flush` of this release reaches the page cache of the
//! operating system, which survives a killed process; an fdatasync of its file follows, for a lost power supply.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io;
use std::ops::Bound;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use parking_lot::{Mutex, RwLock};

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
        remove_half_written_snapshots(dir)?;
        let db = open_when_released(
            &::sled::Config::default()
                .path(dir)
                .mode(::sled::Mode::HighThroughput)
                .cache_capacity(CACHE_BYTES)
                .flush_every_ms(None),
        )?;
        let open = Open {
            db,
            log: File::open(dir.join("db"))?,
            blobs: Mutex::new(Blobs {
                dir: dir.join("blobs"),
                seen: None,
                synced: HashSet::new(),
            }),
        };
        // A directory entry is durable only when its directory is.
        File::open(dir)?.sync_all()?;
        Ok(open)
    }
}

/// The threads of a database that was dropped let go of its files a little later.
fn open_when_released(config: &::sled::Config) -> ::sled::Result<::sled::Db> {
    let until = Instant::now() + RELEASE_MAX;
    loop {
        match config.open() {
            Err(error) if is_locked(&error) && Instant::now() < until => {
                std::thread::sleep(RELEASE_LOOK);
            }
            opened => return opened,
        }
    }
}

fn is_locked(error: &::sled::Error) -> bool {
    matches!(error, ::sled::Error::Io(error) if error.to_string().contains("could not acquire lock"))
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
        let changed = fs::metadata(&self.dir)?.modified()?;
        if self.seen == Some(changed) {
            return Ok(());
        }
        let mut there = HashSet::new();
        for entry in fs::read_dir(&self.dir)? {
            let entry = entry?;
            let name = entry.file_name();
            if !self.synced.contains(&name) {
                match File::open(entry.path()) {
                    Ok(file) => file.sync_all()?,
                    // sled removes the ones it has no more use for whenever it likes.
                    Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                    Err(error) => return Err(error),
                }
            }
            there.insert(name);
        }
        File::open(&self.dir)?.sync_all()?;
        self.synced = there;
        let settled = changed.elapsed().is_ok_and(|age| age > MTIME_GRAIN);
        self.seen = settled.then_some(changed);
        Ok(())
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
        let hurt = open_when_released(&::sled::Config::default().path(&path));
        assert!(
            hurt.is_err(),
            "this release is not hurt by it any more, so the remedy can go"
        );
        let engine = SledEngine::open(&path).unwrap();
        assert_eq!(engine.get(b"k").unwrap(), Some(b"v".to_vec()));
    }

    #[test]
    fn a_file_that_sled_removes_while_it_is_to_be_synced_is_no_error() {
        let dir = tempfile::tempdir().unwrap();
        let engine = SledEngine::open(dir.path()).unwrap();
        // Listed, and not there when it is opened.
        let gone = dir.path().join("blobs").join("1234");
        std::os::unix::fs::symlink(dir.path().join("nowhere"), gone).unwrap();
        engine.flush().unwrap();
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
}
