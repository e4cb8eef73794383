//! Puts a backup where a server will look for its store.

use std::fs::{self, File};
use std::io::{self, BufReader};
use std::path::Path;

use crate::config::{Engine as EngineKind, Settings};
use crate::metrics::Metrics;
use crate::store::Engine;
use crate::store::backup::file::{Counts, Decoder, Header};
use crate::store::journal::Journal;
use crate::store::numbers::{NUMBERS_SKIPPED, Stock, skip_numbers};
use crate::store::restore::{self, RestoreError};

use super::lock::DirLock;
use super::unfinished::Work;

/// Where the engine has its files, in `store.path`. The archive is not among them: a store never writes over another
/// one's days, and a backup is restored beside them.
const STORE: [&str; 4] = ["sled", "log", "index", "history"];
/// Read at once from a backup, bytes.
const READ: usize = 1 << 20;

/// A backup that was read to its end and is whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verified {
    /// Which store it is of.
    pub header: Header,
    /// What is in it.
    pub counts: Counts,
    /// The length of its file, bytes.
    pub bytes: u64,
}

/// Reads a backup to its end; the error names the file.
pub fn verify(file: &Path) -> Result<Verified, String> {
    let named = |error: RestoreError| format!("{}: {error}", file.display());
    let mut backup = open(file)?;
    restore::verify(&mut backup).map_err(named)?;
    Ok(Verified {
        header: backup.header(),
        counts: backup.counts(),
        bytes: backup.at(),
    })
}

/// Restores a backup into `store.path`, which must hold no store; nothing is written before all of the backup was verified.
///
/// `finish` runs when the store is whole and no server would open it yet.
pub fn restore(
    settings: &Settings,
    file: &Path,
    finish: impl FnOnce() -> Result<(), String>,
) -> Result<(Verified, Stock), String> {
    let path = &settings.store.path;
    if settings.store.engine == EngineKind::Memory {
        return Err("store.engine is memory: there is no store to restore into".into());
    }
    // Whoever has the directory is a better answer than what is in it.
    let held = path.join("LOCK").exists().then(|| DirLock::take(path));
    let held = held.transpose()?;
    refuse_occupied(path)?;
    let verified = verify(file)?;
    let is_new = !path.exists();
    let _held = match held {
        Some(held) => held,
        None => DirLock::take(path)?,
    };
    refuse_occupied(path)?;

    let failed = |error: io::Error| format!("store.path {}: {error}", path.display());
    Work::Restore
        .begin(path)
        .and_then(|()| match path.parent().filter(|_| is_new) {
            Some(above) => sync_dir(above),
            None => Ok(()),
        })
        .map_err(failed)?;
    // What an earlier restore left that was killed.
    for part in STORE.map(|part| path.join(part)) {
        if part.exists() {
            fs::remove_dir_all(&part).map_err(failed)?;
        }
    }
    let stock = fill(path, file)?;
    finish()?;
    sync_dir(path)
        .and_then(|()| Work::Restore.end(path))
        .map_err(failed)?;
    Ok((verified, stock))
}

fn refuse_occupied(path: &Path) -> Result<(), String> {
    match STORE.iter().any(|part| path.join(part).exists()) && !Work::Restore.is_begun(path) {
        true => Err(format!(
            "store.path {} holds a store already, and a restore needs an empty one: move it away, or name another store.path",
            path.display()
        )),
        false => Ok(()),
    }
}

fn fill(path: &Path, file: &Path) -> Result<Stock, String> {
    let named = |error: RestoreError| match error {
        RestoreError::Store(_) => format!("store.path {}: {error}", path.display()),
        _ => format!("{}: {error}", file.display()),
    };
    let mut backup = open(file)?;
    let metrics = Metrics::new().map_err(|error| format!("metrics: {error}"))?;
    let engine = Journal::at(path, metrics).map_err(|e| named(e.into()))?;
    restore::replay(&mut backup, &engine).map_err(named)?;
    let stock = skip_numbers(&engine, NUMBERS_SKIPPED);
    let stock = stock.map_err(|e| named(e.into()))?;
    // It is opened once more, because a store that was written and cannot be opened is none.
    engine.reopen().map_err(|e| named(e.into()))?;
    engine.close().map_err(|e| named(e.into()))?;
    Ok(stock)
}

fn open(file: &Path) -> Result<Decoder<BufReader<File>>, String> {
    let source = File::open(file).map_err(|error| format!("{}: {error}", file.display()))?;
    let source = BufReader::with_capacity(READ, source);
    Decoder::open(source).map_err(|damage| format!("{}: {damage}", file.display()))
}

/// Returns when the entries of a directory are on the disk; an empty path is the current one.
pub fn sync_dir(dir: &Path) -> io::Result<()> {
    let dir = match dir.as_os_str().is_empty() {
        true => Path::new("."),
        false => dir,
    };
    File::open(dir)?.sync_all()
}
