//! Bugs that are planted in what is written: the ledger is right, and the store forgets or keeps what it should not.

use yizhan::machine::conversation::Place;
use yizhan::machine::group::Member;
use yizhan::message::{Fate, Message};
use yizhan::store::memory::MemoryEngine;
use yizhan::store::{Batch, Engine, record};

use crate::bugs::Bug;

/// What the store makes of a batch.
pub fn bend(bug: Bug, disk: &MemoryEngine, batch: Batch) -> Batch {
    let writes: Vec<_> = batch.into_writes().collect();
    let revokes = writes.iter().any(|(key, value)| {
        let message = value.as_ref().filter(|_| key[0] == record::HISTORY);
        let message = message.and_then(|value| record::decode::<Message>(key, value).ok());
        message.is_some_and(|message| matches!(message.fate, Fate::Revoked(_)))
    });
    let mut bent = Batch::with_capacity(writes.len());
    for (key, value) in writes {
        let table = key[0];
        let is_there = || disk.get(&key).ok().flatten().is_some();
        let keeps = match (bug, table, &value) {
            (Bug::PlaceForgotten, record::FANOUT, Some(_)) => is_there(),
            (Bug::RevokeLeavesRow, record::INBOX, None) => revokes,
            (Bug::RemovalDoesNotCut, record::MEMBER, None) => true,
            _ => false,
        };
        match value {
            _ if keeps => {}
            Some(value) if bug == Bug::RemovalDoesNotCut && table == record::MEMBER => {
                bent.put(key.clone(), uncut(&key, value));
            }
            Some(value) => bent.put(key, value),
            None => bent.delete(key),
        }
    }
    bent
}

/// A member who has left, as one who has not.
fn uncut(key: &[u8], value: Vec<u8>) -> Vec<u8> {
    let Ok(mut member) = record::decode::<Member>(key, &value) else {
        return value;
    };
    member.last = None;
    record::encode(&member).unwrap_or(value)
}

/// What a restart forgets.
pub fn forget(bug: Bug, disk: &MemoryEngine) {
    let table = match bug {
        Bug::FanoutForgotten => record::FANOUT,
        Bug::BlocksForgotten => record::RELATION,
        Bug::MarksForgotten => record::MEMBER,
        Bug::NoDedupeAcrossRestart => record::DEDUPE,
        _ => return,
    };
    let mut found = Vec::new();
    disk.scan(&[table], &[table + 1], &mut |key, value| {
        found.push((key.to_vec(), value.to_vec()));
        true
    })
    .unwrap();
    let mut batch = Batch::default();
    for (key, value) in found {
        if bug != Bug::MarksForgotten {
            batch.delete(key);
        } else if let Ok(mut member) = record::decode::<Member>(&key, &value) {
            member.place = Place::at(member.joined.saturating_sub(1));
            batch.put(key, record::encode(&member).unwrap());
        }
    }
    disk.apply(batch).unwrap();
    disk.flush().unwrap();
}
