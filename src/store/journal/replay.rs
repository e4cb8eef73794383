//! Reads the log again when the store is opened, and refuses one that is not what was written.

use crate::store::backup::file::take_record;
use crate::store::files::{Folder, read_all};
use crate::store::{EngineError, Write};

use super::SALVAGED;
use super::log::{Closed, Empty, close_after_crash};
use super::manifest::Manifest;
use super::overlay::Overlay;
use super::segment::{self, Contents, End, Identity};

/// What an operator is to do about damage.
const REMEDY: &str = "`yizhan store check` says all that is wrong, and `yizhan store salvage` keeps what can be kept";

/// What the log holds.
pub(super) struct Replayed {
    pub(super) overlay: Overlay,
    pub(super) closed: Vec<Closed>,
    /// The number of the record that comes next.
    pub(super) next: u64,
    /// The segment that comes next.
    pub(super) segment: Identity,
    /// The same, if its file is there already.
    pub(super) empty: Option<Empty>,
    /// Ends that a crash left unfinished, and that were cut.
    pub(super) cut: u64,
}

/// Reads all segments that have not been settled, in order.
pub(super) fn replay(folder: &dyn Folder, manifest: &Manifest) -> Result<Replayed, EngineError> {
    let of = |segment| Identity {
        store: manifest.store,
        segment,
    };
    let mut replayed = Replayed {
        overlay: Overlay::new(),
        closed: Vec::new(),
        next: manifest.first,
        segment: of(manifest.segment),
        empty: None,
        cut: 0,
    };
    // The last one that is not blank, while it has no footer.
    let mut open: Option<(Identity, u64, Contents)> = None;
    for segment in segments(folder, manifest)? {
        let (of, first) = (of(segment), replayed.next);
        let file = folder.open(&of.name())?;
        file.go_by_the_disk()?;
        let bytes = read_all(&*file)?;
        let contents = segment::read(&bytes, of, first);
        let path = || folder.path(&of.name());
        if contents.end == End::Blank {
            // One that was made beforehand, and the one before it was never begun.
            if replayed.empty.is_some() {
                folder.remove(&of.name())?;
                continue;
            }
            let made = bytes.len() as u64;
            replayed.empty = Some(Empty { of, file, made });
            continue;
        }
        if let Some((before, _, contents)) = &open {
            let why = "it ends without a footer, and another segment follows";
            return Err(refusal(&folder.path(&before.name()), contents.size, why));
        }
        if let Some(empty) = &replayed.empty {
            let why = "nothing is in it, and another segment follows";
            return Err(refusal(&folder.path(&empty.of.name()), 0, why));
        }
        if let End::Damaged { at, why } = &contents.end {
            return Err(refusal(&path(), *at, why));
        }
        take_in(&mut replayed.overlay, &bytes, &contents).map_err(|at| {
            let why = "a record is whole and holds no writes";
            refusal(&path(), at, why)
        })?;
        replayed.overlay.dedupe.close(contents.next);
        replayed.next = contents.next;
        replayed.closed.push(Closed {
            segment,
            next: contents.next,
            bytes: contents.size as u64,
        });
        replayed.segment.segment = segment + 1;
        if contents.end != End::Closed {
            open = Some((of, first, contents));
        }
    }
    if let Some(ended) = manifest.ended
        && ended != replayed.next
    {
        let (of, size) = match &open {
            Some((of, _, contents)) => (*of, contents.size),
            None => (replayed.segment, 0),
        };
        let why = format!(
            "the store ended in order before record {ended}, and the log ends before record {}",
            replayed.next
        );
        return Err(refusal(&folder.path(&of.name()), size, &why));
    }
    // A store that has just begun has no records, and nothing to say.
    if manifest.ended.is_none() && replayed.next > manifest.first {
        log::info!(
            "the store did not end in order: its log was read up to record {}",
            replayed.next - 1
        );
    }
    if let Some((of, first, contents)) = open {
        if contents.end == End::Torn {
            replayed.cut += 1;
            log::warn!(
                "{}: cut at byte {}: its last flush was not finished",
                folder.path(&of.name()),
                contents.size
            );
        }
        close_after_crash(&*folder.open(&of.name())?, of, first, &contents)?;
    }
    Ok(replayed)
}

/// The segments that count, without a gap; the others are removed.
fn segments(folder: &dyn Folder, manifest: &Manifest) -> Result<Vec<u64>, EngineError> {
    let mut segments = Vec::new();
    let names = folder.names()?;
    if names.iter().any(|name| name == SALVAGED) {
        return Err(EngineError::Failed(format!(
            "{}: a salvage did not come to its end: run `yizhan store salvage` again",
            folder.path(SALVAGED)
        )));
    }
    for name in names {
        match Identity::segment_of(&name) {
            Some(segment) if segment < manifest.segment => folder.remove(&name)?,
            None if name.ends_with(".log.new") => folder.remove(&name)?,
            segment => segments.extend(segment),
        }
    }
    let expected = manifest.segment..;
    for (expected, found) in expected.zip(segments.iter().map(Some).chain([None])) {
        let first = expected == manifest.segment;
        if found.is_some_and(|found| *found != expected) || (found.is_none() && first) {
            let of = Identity {
                store: manifest.store,
                segment: expected,
            };
            return Err(EngineError::Failed(format!(
                "{}: the file is missing: {REMEDY}",
                folder.path(&of.name())
            )));
        }
    }
    Ok(segments)
}

/// Puts the records of a segment over what is there; an error is the place of one that cannot be read.
fn take_in(overlay: &mut Overlay, bytes: &[u8], contents: &Contents) -> Result<(), usize> {
    for record in &contents.records {
        let place = record.writes.start;
        let mut rest = &bytes[record.writes.clone()];
        while !rest.is_empty() {
            let (key, value) = take_record(&mut rest).ok_or(place)?;
            let write = Write {
                key: key.to_vec(),
                value: value.map(<[u8]>::to_vec),
                // It may have been settled before the crash.
                is_new: false,
            };
            overlay.write(write, record.number);
        }
    }
    Ok(())
}

fn refusal(path: &str, at: usize, why: &str) -> EngineError {
    EngineError::Failed(format!("{path}: damaged at byte {at}: {why}. {REMEDY}"))
}
