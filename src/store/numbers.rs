//! Keeps sequence numbers from standing for two messages where the store has lost what it gave out: after a restore, and
//! after a salvage.

use std::collections::BTreeMap;

use crate::id::{Seq, Uid};
use crate::machine::inbox::Inbox;
use crate::machine::ranges::Ranges;

use super::{BATCH_MAX, Batch, Engine, EngineError, record};

/// How far every sequence moves on in a restore. No reader gets as many messages between a backup and the loss of a disk;
/// and a client that keeps numbers in doubles has room for two million restores.
pub const NUMBERS_SKIPPED: Seq = 1 << 32;

/// What a store holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stock {
    /// Messages that wait in inboxes.
    pub rows: u64,
    /// Users that the store knows.
    pub users: u64,
}

/// Raises the head of every inbox to the last row that is there, where what the inbox says is older than its rows: with
/// what was lost of it, they would count as passed.
pub fn raise_heads(engine: &dyn Engine) -> Result<(), EngineError> {
    let mut rows: BTreeMap<Uid, Ranges> = BTreeMap::new();
    engine.scan(&[record::INBOX], &[record::INBOX + 1], &mut |key, _| {
        if let Some((uid, seq)) = record::row_place(key) {
            rows.entry(uid).or_default().insert(seq, seq);
        }
        true
    })?;
    let start = start_of(engine)?;
    for (uid, rows) in rows {
        let key = record::user_key(uid);
        let inbox = match engine.get(&key)? {
            Some(value) => record::decode::<Inbox>(&key, &value),
            None => Ok(Inbox::after(start)),
        };
        match inbox {
            Ok(mut inbox) if rows.last() > Some(inbox.head()) => {
                inbox.reach(&rows);
                let mut batch = Batch::default();
                batch.put(key, record::encode(&inbox)?);
                engine.apply(batch)?;
            }
            Ok(_) => {}
            // It costs its user only.
            Err(error) => log::error!("left as it is: {error}"),
        }
    }
    engine.flush()
}

/// Moves every sequence on by `by`, those of users who are not known yet among them, and says what the store holds.
///
/// A number that was given out after the backup would otherwise stand for another message, and a client that remembers
/// it would acknowledge with `up_to` what it has not seen.
pub fn skip_numbers(engine: &dyn Engine, by: Seq) -> Result<Stock, EngineError> {
    let mut stock = Stock::default();
    engine.scan(&[record::INBOX], &[record::INBOX + 1], &mut |_, _| {
        stock.rows += 1;
        true
    })?;
    let mut from = vec![record::USER];
    loop {
        let mut users = Vec::new();
        engine.scan(&from, &[record::USER + 1], &mut |key, value| {
            users.push((key.to_vec(), value.to_vec()));
            users.len() < BATCH_MAX
        })?;
        let Some((last, _)) = users.last() else {
            break;
        };
        from = [last, &[0][..]].concat();
        let mut batch = Batch::default();
        for (key, value) in users {
            stock.users += 1;
            match record::decode::<Inbox>(&key, &value) {
                Ok(mut inbox) => {
                    inbox.skip(by);
                    batch.put(key, record::encode(&inbox)?);
                }
                // It was damaged before the backup, and costs its user only.
                Err(error) => log::error!("left as it is: {error}"),
            }
        }
        engine.apply(batch)?;
    }
    let start = start_of(engine)?;
    let mut batch = Batch::default();
    let value = record::encode(&start.saturating_add(by))?;
    batch.put(record::START_KEY.to_vec(), value);
    engine.apply(batch)?;
    engine.flush()?;
    Ok(stock)
}

/// The number that the first message of a new reader comes after.
fn start_of(engine: &dyn Engine) -> Result<Seq, EngineError> {
    match engine.get(record::START_KEY)? {
        Some(value) => record::decode(record::START_KEY, &value),
        None => Ok(0),
    }
}
