//! Makes a damaged store one that opens, with everything in it that can still be read, and says what cannot.

use crate::store::EngineError;
use crate::store::files::read_all;
use crate::store::history;
use crate::store::runs::{Run, Runs, Shape};

use super::check::{Findings, segments};
use super::manifest::Manifest;
use super::segment::{self, End, HEADER, Identity};
use super::{Place, SALVAGED};

/// What is written at once, bytes.
const WRITE: usize = 4 << 20;

/// Puts every readable record of the log into one new segment, and every readable entry of a damaged run into a new run.
/// `aside` is told of each damaged file by its path, and keeps it; nothing is removed before that.
///
/// The sentences are what was kept and what was lost; none of the latter if the store was well.
pub fn salvage(
    place: &Place,
    aside: &mut dyn FnMut(&str) -> Result<(), EngineError>,
) -> Result<Findings, EngineError> {
    let mut findings = Findings::default();
    let Some(mut manifest) = Manifest::read(&*place.base)? else {
        findings.notes.push("the store has no log yet".into());
        return Ok(findings);
    };
    finish_earlier(place, &manifest)?;
    let log = salvage_log(place, &manifest, aside, &mut findings)?;
    let mut runs = Vec::new();
    for shelved in &manifest.runs {
        let opened = Run::open(Shape::DEDUPE, &*place.index, manifest.store, *shelved);
        let Err(error) = opened.and_then(|run| run.verify()) else {
            runs.push(*shelved);
            continue;
        };
        let path = place.index.path(&Runs::name_of(shelved.run));
        if place.index.names()?.contains(&Runs::name_of(shelved.run)) {
            aside(&path)?;
        }
        let (index, into) = (place.index.clone(), manifest.next_run);
        let rescued = Runs::rescue(index, manifest.store, shelved.run, into)?;
        manifest.next_run += 1;
        findings.damages.push(error.to_string());
        findings.damages.push(format!(
            "{path}: {} of {} dedupe entries are lost: a message that is sent again may be taken for a new one",
            shelved.entries.saturating_sub(rescued.entries),
            shelved.entries
        ));
        if rescued.entries > 0 {
            runs.push(rescued);
        }
    }
    salvage_history(place, &mut manifest, aside, &mut findings)?;
    if findings.damages.is_empty() {
        return Ok(findings);
    }
    manifest.runs = runs;
    if let Some(log) = &log {
        (manifest.segment, manifest.ended) = (log.of.segment, Some(log.next));
    }
    manifest.keep(&*place.base)?;
    if log.is_some() {
        adopt(place, &manifest)?;
    }
    Ok(findings)
}

/// Writes what can be read of damaged runs of the history anew, each in its place. Files of the archive are left: who reads
/// them passes over what is damaged.
fn salvage_history(
    place: &Place,
    manifest: &mut Manifest,
    aside: &mut dyn FnMut(&str) -> Result<(), EngineError>,
    findings: &mut Findings,
) -> Result<(), EngineError> {
    let runs = &place.history.runs;
    let mut whole = Vec::new();
    for kept in std::mem::take(&mut manifest.history.kept) {
        let Err(error) = history::verify(&**runs, manifest.store, &kept) else {
            whole.push(kept);
            continue;
        };
        let name = Runs::name_of(kept.shelved.run);
        let path = runs.path(&name);
        if runs.names()?.contains(&name) {
            aside(&path)?;
        }
        let into = manifest.next_run;
        let rescued = history::rescue(runs.clone(), manifest.store, &kept, into)?;
        manifest.next_run += 1;
        let (had, has) = (kept.shelved.entries, rescued.shelved.entries);
        findings.damages.push(error.to_string());
        findings.damages.push(format!(
            "{path}: {} of {had} messages of the history are lost",
            had.saturating_sub(has)
        ));
        if has > 0 {
            whole.push(rescued);
        }
    }
    manifest.history.kept = whole;
    Ok(())
}

/// A log that was written anew.
struct Anew {
    of: Identity,
    next: u64,
}

/// Writes all readable records into a new segment, which is not part of the log yet; none if the log is well.
fn salvage_log(
    place: &Place,
    manifest: &Manifest,
    aside: &mut dyn FnMut(&str) -> Result<(), EngineError>,
    findings: &mut Findings,
) -> Result<Option<Anew>, EngineError> {
    let all = segments(place, manifest)?;
    let last = all.last().map_or(manifest.segment, |of| of.segment);
    let new = Identity {
        store: manifest.store,
        segment: last + 1,
    };
    let file = place.log.create(SALVAGED)?;
    let (mut buffer, mut written) = (
        segment::header(new, manifest.first, HEADER as u64).to_vec(),
        0,
    );
    let (mut number, mut expected) = (manifest.first, manifest.first);
    let before = findings.damages.len();
    for (at, of) in all.iter().enumerate() {
        let path = place.log.path(&of.name());
        if !place.log.names()?.contains(&of.name()) {
            findings
                .damages
                .push(format!("{path}: the file is missing"));
            continue;
        }
        let bytes = read_all(&*place.log.open(&of.name())?)?;
        let first = segment::first(&bytes, *of).unwrap_or(expected);
        let contents = segment::read(&bytes, *of, first);
        let followed = || {
            let later = all[at + 1..].iter();
            let mut begun = later.filter(|of| is_begun(place, **of));
            begun.next().is_some()
        };
        let wrong = match &contents.end {
            End::Damaged { at, why } => Some(format!("damaged at byte {at}: {why}")),
            End::Open | End::Torn | End::Blank if followed() => {
                Some("it ends without a footer, and another segment follows".into())
            }
            _ => None,
        };
        // What stands behind the unfinished end of a crash was never told to anybody.
        let mut records = contents.records;
        if let Some(wrong) = wrong {
            aside(&path)?;
            findings.damages.push(format!("{path}: {wrong}"));
            records = segment::search(&bytes, HEADER, *of).collect();
        }
        for record in records {
            if record.number < expected {
                continue;
            }
            lost(findings, expected, record.number);
            segment::copy(&mut buffer, &bytes[record.writes.clone()], new, number);
            (number, expected) = (number + 1, record.number + 1);
            if buffer.len() > WRITE {
                file.write_at(written, &buffer)?;
                written += buffer.len() as u64;
                buffer.clear();
            }
        }
    }
    if let Some(ended) = manifest.ended
        && expected < ended
    {
        lost(findings, expected, ended);
        // The last one there is looks as a crash would have left it, and there was none.
        let names = place.log.names()?;
        let last = all
            .iter()
            .rev()
            .map(|of| of.name())
            .find(|name| names.contains(name));
        last.map_or(Ok(()), |name| aside(&place.log.path(&name)))?;
    }
    segment::close(&mut buffer, new, number, number);
    file.write_at(written, &buffer)?;
    file.sync()?;
    place.log.sync()?;
    let kept = number - manifest.first;
    findings.notes.push(format!(
        "log: {kept} records that were not settled are kept"
    ));
    if findings.damages.len() == before {
        place.log.remove(SALVAGED)?;
        return Ok(None);
    }
    let next = number;
    Ok(Some(Anew { of: new, next }))
}

fn lost(findings: &mut Findings, expected: u64, found: u64) {
    if expected < found {
        let count = found - expected;
        let last = found - 1;
        findings.damages.push(format!(
            "log: {count} records are lost ({expected} to {last}): what was accepted or acknowledged in them is not known"
        ));
    }
}

/// Whether anything was written into a segment, as far as it can be told.
fn is_begun(place: &Place, of: Identity) -> bool {
    let bytes = place.log.open(&of.name()).and_then(|file| read_all(&*file));
    bytes.is_ok_and(|bytes| bytes.iter().skip(HEADER).any(|byte| *byte != 0))
}

/// Gives the new segment its name. The others stay until a start removes them: the base does not name them any more.
fn adopt(place: &Place, manifest: &Manifest) -> Result<(), EngineError> {
    let of = Identity {
        store: manifest.store,
        segment: manifest.segment,
    };
    place.log.rename(SALVAGED, &of.name())?;
    Ok(place.log.sync()?)
}

/// A salvage that was killed may have told the base already; what it wrote is complete then.
fn finish_earlier(place: &Place, manifest: &Manifest) -> Result<(), EngineError> {
    let of = Identity {
        store: manifest.store,
        segment: manifest.segment,
    };
    let names = place.log.names()?;
    let is_there = |name: &str| names.iter().any(|own| own == name);
    if !is_there(SALVAGED) {
        return Ok(());
    }
    let bytes = read_all(&*place.log.open(SALVAGED)?)?;
    let contents = segment::read(&bytes, of, manifest.first);
    match contents.end == End::Closed && !is_there(&of.name()) {
        true => adopt(place, manifest),
        false => Ok(place.log.remove(SALVAGED)?),
    }
}
