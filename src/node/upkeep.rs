//! Looks after a store that no server has open: whether it is well, and what can be kept of one that is not.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use crate::config::{Engine as EngineKind, Settings};
use crate::metrics::Metrics;
use crate::store::journal::{self, Findings, Journal, Place};
use crate::store::ledger;
use crate::store::numbers::{NUMBERS_SKIPPED, raise_heads, skip_numbers};
use crate::store::{Engine, EngineError};

use super::lock::DirLock;
use super::restore::sync_dir;
use super::unfinished::Work;

/// Where a check has its copy of the base, in `store.path`: opening the base can change it.
const COPY: &str = "CHECK";
/// Where the base has its files.
const BASE: &str = "sled";

/// Reads all of the store in `store.path` and changes nothing of it.
pub fn check(settings: &Settings) -> Result<Findings, String> {
    let (path, _lock) = hold(settings)?;
    let failed = |error: io::Error| format!("store.path {}: {error}", path.display());
    let copy = path.join(COPY);
    remove(&copy).map_err(failed)?;
    let copied = copy_dir(&path.join(BASE), &copy).map_err(failed);
    let found = copied.and_then(|()| {
        let place = Place::at(path, &copy);
        let found = place.and_then(|place| journal::check(&place));
        found.map_err(|error| error.to_string())
    });
    remove(&copy).map_err(failed)?;
    found
}

/// Makes the store in `store.path` one that opens; its damaged files are put aside, into the directory that is returned.
pub fn salvage(settings: &Settings) -> Result<(Findings, Option<PathBuf>), String> {
    let (path, _lock) = hold(settings)?;
    let failed = |error: io::Error| format!("store.path {}: {error}", path.display());
    let said = |error: EngineError| error.to_string();
    let numbers = 1..;
    let mut free = numbers.map(|number| path.join(format!("damaged-{number}")));
    let aside = free.find(|aside| !aside.exists()).unwrap_or_default();
    let place = Place::at(path, &path.join(BASE)).map_err(|error| {
        format!("{error}: what is settled cannot be read, and a backup has to be restored")
    })?;
    let mut put_aside = |file: &str| Ok(set_aside(Path::new(file), &aside)?);
    let goes_on = Work::Salvage.is_begun(path);
    Work::Salvage.begin(path).map_err(failed)?;
    let mut found = journal::salvage(&place, &mut put_aside).map_err(said)?;
    if goes_on {
        let finished = "an earlier salvage did not come to its end, and is finished now: what it put aside is in a directory of its own";
        found.damages.push(finished.into());
    }
    let has_aside = aside.exists();
    if has_aside {
        sync_dir(path).map_err(failed)?;
    }
    drop(place);
    if !found.damages.is_empty() {
        let metrics = Metrics::new().map_err(|error| format!("metrics: {error}"))?;
        let engine = Journal::at(path, metrics).map_err(said)?;
        raise_heads(&engine).map_err(said)?;
        // A number that was given out in a record that is lost must not be given out again.
        skip_numbers(&engine, NUMBERS_SKIPPED).map_err(said)?;
        ledger::recount_rows(&engine).map_err(said)?;
        engine.close().map_err(said)?;
    }
    Work::Salvage.end(path).map_err(failed)?;
    Ok((found, has_aside.then_some(aside)))
}

fn hold(settings: &Settings) -> Result<(&Path, DirLock), String> {
    let path = settings.store.path.as_path();
    if settings.store.engine == EngineKind::Memory {
        return Err("store.engine is memory: there is no store to look at".into());
    }
    if !path.join(BASE).exists() {
        return Err(format!("store.path {} holds no store", path.display()));
    }
    let lock = DirLock::take(path)?;
    Work::Restore.refuse_unfinished(path)?;
    Ok((path, lock))
}

fn set_aside(file: &Path, aside: &Path) -> io::Result<()> {
    fs::create_dir_all(aside)?;
    let to = aside.join(file.file_name().unwrap_or_default());
    fs::copy(file, &to)?;
    File::open(&to)?.sync_all()?;
    sync_dir(aside)
}

fn remove(dir: &Path) -> io::Result<()> {
    match fs::remove_dir_all(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

fn copy_dir(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let to = to.join(entry.file_name());
        match entry.file_type()?.is_dir() {
            true => copy_dir(&entry.path(), &to)?,
            false => drop(fs::copy(entry.path(), &to)?),
        }
    }
    Ok(())
}
