//! Looks through all of a store that nobody has open, and says what it found.

use crate::id::{Cid, Uid};
use crate::machine::access::Access;
use crate::machine::contact::Relation;
use crate::machine::conversation::Conversation;
use crate::machine::group::Member;
use crate::machine::inbox::Inbox;
use crate::message::Message;
use crate::message::hook::Event;
use crate::store::archive::Archive;
use crate::store::backup::file::take_record;
use crate::store::files::read_all;
use crate::store::record::{self, Body, RowRef};
use crate::store::runs::{Run, Shape};
use crate::store::{Engine, EngineError, history, ledger};

use super::manifest::{self, Manifest};
use super::segment::{self, End, Identity};
use super::{Place, SALVAGED};

/// Damaged records that are named one by one.
const NAMED: usize = 20;

/// Every table that is settled into the base, and what its records are called.
const TABLES: [(u8, &str); 15] = [
    (record::INBOX, "rows"),
    (record::BODY, "bodies"),
    (record::DEDUPE, "dedupe entries of an older store"),
    (record::USER, "inboxes"),
    (record::ACCESS, "records of bans"),
    (record::CHAT, "conversations"),
    (record::PAIR, "pairs"),
    (record::LIST, "entries of lists"),
    (record::MEMBER, "members"),
    (record::RELATION, "relations"),
    (record::FANOUT, "messages on their way to members"),
    (record::EXPIRY, "messages with an end of their own"),
    (record::EVENT, "events"),
    (record::PARKING, "rows to be parked"),
    (record::HISTORY, "messages of an older store"),
];

/// What a look at a store found, in sentences.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Findings {
    /// What is there.
    pub notes: Vec<String>,
    /// What is wrong with it.
    pub damages: Vec<String>,
}

/// Reads everything; the base may be a copy, because opening it can change it.
pub fn check(place: &Place) -> Result<Findings, EngineError> {
    let mut findings = Findings::default();
    let Some(manifest) = Manifest::read(&*place.base)? else {
        findings.notes.push("the store has no log yet".into());
        check_records(&*place.base, &mut findings)?;
        return Ok(findings);
    };
    check_log(place, &manifest, &mut findings)?;
    for shelved in &manifest.runs {
        let run = Run::open(Shape::DEDUPE, &*place.index, manifest.store, *shelved);
        match run.and_then(|run| run.verify()) {
            Ok(()) => {}
            Err(error) => findings.damages.push(error.to_string()),
        }
    }
    let entries: u64 = manifest.runs.iter().map(|run| run.entries).sum();
    let runs = manifest.runs.len();
    findings
        .notes
        .push(format!("index: {runs} runs with {entries} entries"));
    check_history(place, &manifest, &mut findings)?;
    check_records(&*place.base, &mut findings)?;
    Ok(findings)
}

fn check_log(
    place: &Place,
    manifest: &Manifest,
    findings: &mut Findings,
) -> Result<(), EngineError> {
    let (mut records, mut files, mut next) = (0, 0, manifest.first);
    let mut named = 0;
    let mut open = None;
    for of in segments(place, manifest)? {
        let path = place.log.path(&of.name());
        if !place.log.names()?.contains(&of.name()) {
            findings
                .damages
                .push(format!("{path}: the file is missing"));
            continue;
        }
        files += 1;
        let bytes = read_all(&*place.log.open(&of.name())?)?;
        // Behind a damaged segment the next one says itself where it begins.
        let first = segment::first(&bytes, of).unwrap_or(next);
        if first > next {
            let lost = format!(
                "{path}: the records {next} to {} are missing before it",
                first - 1
            );
            findings.damages.push(lost);
        }
        let contents = segment::read(&bytes, of, first);
        if contents.end != End::Blank
            && let Some(before) = open.take()
        {
            let why = format!("{before}: it ends without a footer, and another segment follows");
            findings.damages.push(why);
        }
        match &contents.end {
            End::Damaged { at, why } => findings
                .damages
                .push(format!("{path}: damaged at byte {at}: {why}")),
            End::Torn => {
                findings.notes.push(format!(
                    "{path}: its last flush was not finished; a start cuts it at byte {}",
                    contents.size
                ));
                open = Some(path.clone());
            }
            End::Open => open = Some(path.clone()),
            End::Closed | End::Blank => {}
        }
        for record in &contents.records {
            let mut rest = &bytes[record.writes.clone()];
            while let Some((key, value)) = take_record(&mut rest) {
                let wrong = value.and_then(|value| wrong_with(key, value));
                named += usize::from(wrong.is_some());
                findings.damages.extend(wrong.filter(|_| named <= NAMED));
            }
            if !rest.is_empty() {
                let why = format!("{path}: record {} cannot be taken apart", record.number);
                findings.damages.push(why);
            }
        }
        records += contents.records.len();
        next = contents.next;
    }
    if let Some(ended) = manifest.ended
        && ended != next
    {
        findings.damages.push(format!(
            "log: the store ended in order before record {ended}, and the log ends before record {next}"
        ));
    }
    findings.notes.push(format!(
        "log: {files} segments with {records} records that are not settled"
    ));
    Ok(())
}

/// Every segment that should be there, or is.
pub(super) fn segments(place: &Place, manifest: &Manifest) -> Result<Vec<Identity>, EngineError> {
    let names = place.log.names()?;
    if names.iter().any(|name| name == SALVAGED) {
        return Err(EngineError::Failed(format!(
            "{}: a salvage did not come to its end: run `yizhan store salvage` again",
            place.log.path(SALVAGED)
        )));
    }
    let there = names.iter().filter_map(|name| Identity::segment_of(name));
    let last = there.max().unwrap_or(0).max(manifest.segment);
    let store = manifest.store;
    let all = manifest.segment..=last;
    Ok(all.map(|segment| Identity { store, segment }).collect())
}

/// What the base holds, by table, and which records of it cannot be read.
fn check_records(base: &dyn Engine, findings: &mut Findings) -> Result<(), EngineError> {
    let mut counts = [0u64; TABLES.len()];
    let mut wrong = Vec::new();
    base.scan(&[], &[0xff; 256], &mut |key, value| {
        if !manifest::is_hidden(key) {
            let table = TABLES
                .iter()
                .position(|(table, _)| key.first() == Some(table));
            if let Some(count) = table.and_then(|table| counts.get_mut(table)) {
                *count += 1;
            }
            wrong.extend(wrong_with(key, value));
        }
        true
    })?;
    let counted = TABLES.iter().zip(counts).filter(|(_, count)| *count > 0);
    let counted: Vec<String> = counted
        .map(|((_, what), count)| format!("{count} {what}"))
        .collect();
    let what = match counted.is_empty() {
        true => "nothing".into(),
        false => counted.join(", "),
    };
    findings.notes.push(format!("settled: {what}"));
    if wrong.len() > NAMED {
        let more = wrong.len() - NAMED;
        wrong.truncate(NAMED);
        wrong.push(format!("{more} more records cannot be read"));
    }
    findings.damages.extend(wrong);
    Ok(())
}

/// Reads the history, and what is too old for it.
fn check_history(
    place: &Place,
    manifest: &Manifest,
    findings: &mut Findings,
) -> Result<(), EngineError> {
    let kept = &manifest.history.kept;
    for run in kept {
        if let Err(error) = history::verify(&*place.history.runs, manifest.store, run) {
            findings.damages.push(error.to_string());
        }
    }
    let messages: u64 = kept.iter().map(|run| run.shelved.entries).sum();
    let mut days: Vec<u32> = kept.iter().map(|run| run.period).collect();
    days.dedup();
    findings.notes.push(format!(
        "history: {} runs with {messages} messages of {} days",
        kept.len(),
        days.len()
    ));
    let archive = Archive::new(place.history.archive.clone());
    let names = archive.names()?;
    findings
        .notes
        .push(format!("archive: {} files", names.len()));
    for name in names {
        archive.verify(name, &mut |damage| {
            findings.damages.push(damage.to_string());
        })?;
    }
    Ok(())
}

fn wrong_with(key: &[u8], value: &[u8]) -> Option<String> {
    let read = match key.first() {
        Some(&record::INBOX) => RowRef::decode(key, value).err(),
        Some(&record::BODY) => {
            let body = Body::Inbox(Uid(0), 0);
            record::decode_message(body, key, value).err()
        }
        Some(&record::HISTORY) => record::decode::<Message>(key, value).err(),
        Some(&record::CHAT) => record::decode::<Conversation>(key, value).err(),
        Some(&record::MEMBER) => record::decode::<Member>(key, value).err(),
        Some(&record::RELATION) => record::decode::<Relation>(key, value).err(),
        Some(&record::DEDUPE) => record::decode_entry(key, value).err(),
        Some(&record::USER) => record::decode::<Inbox>(key, value).err(),
        Some(&record::ACCESS) => record::decode::<Access>(key, value).err(),
        Some(&record::PAIR) => record::decode::<Cid>(key, value).err(),
        Some(&record::FANOUT) => ledger::check_task(key, value).err(),
        Some(&record::EVENT) => record::decode::<Event>(key, value).err(),
        Some(&record::LIST) => {
            return unlike(key, record::numbers(key).is_some() && value.len() == 1);
        }
        // All that they say is in their keys.
        Some(&record::JOINED) => {
            return unlike(key, record::numbers(key).is_some() && value.is_empty());
        }
        Some(&record::EXPIRY | &record::PARKING) => {
            return unlike(key, record::expiry_of(key).is_some() && value.is_empty());
        }
        _ => None,
    };
    read.map(|error| error.to_string())
}

fn unlike(key: &[u8], is_like_others: bool) -> Option<String> {
    let said = format!("damaged record at {}", key.escape_ascii());
    (!is_like_others).then_some(said)
}
