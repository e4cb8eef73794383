//! The engine on disk: sled 0.34.7 in one tree. docs/PERFORMANCE.md says why this release.
//!
//! sled's own background flush is off: the committer flushes. `flush` of this release reaches the page cache of the
//! operating system, which survives a killed process; an fdatasync of its file follows, for a lost power supply.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io;
use std::ops::Bound;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use parking_lot::{Mutex, RwLock};

use super::{Batch, Engine, EngineError};

/// A directory's time stamp may stay the same over two changes this close together.
const MTIME_GRAIN: Duration = Duration::from_millis(100);

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

    fn with<T>(
        &self,
        act: impl FnOnce(&Open) -> Result<T, EngineError>,
    ) -> Result<T, EngineError> {
        match self.open.read().as_ref() {
            Some(open) => act(open),
            None => Err(EngineError("the store is closed after an error".into())),
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
        let db = ::sled::Config::default()
            .path(dir)
            .mode(::sled::Mode::HighThroughput)
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
        // A directory entry is durable only when its directory is.
        File::open(dir)?.sync_all()?;
        Ok(open)
    }
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
                File::open(entry.path())?.sync_all()?;
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
        EngineError(format!("sled: {error}"))
    }
}

impl From<io::Error> for EngineError {
    fn from(error: io::Error) -> EngineError {
        EngineError(format!("disk: {error}"))
    }
}
