//! Keeps sequence numbers from standing for two messages where the store has lost what it gave out: after a restore, and
//! after a salvage.

use std::collections::BTreeMap;

use crate::id::{Cid, Seq, Uid};
use crate::machine::conversation::Conversation;
use crate::machine::inbox::Inbox;
use crate::machine::ranges::Ranges;

use super::rebuild::rebuild;
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
    raise_conversations(engine)?;
    engine.flush()
}

/// The same for conversations and their messages: the next one would take the place of another. Those whose record is
/// lost are written anew.
fn raise_conversations(engine: &dyn Engine) -> Result<(), EngineError> {
    let mut lasts: BTreeMap<Cid, Seq> = BTreeMap::new();
    engine.scan(&[record::HISTORY], &[record::HISTORY + 1], &mut |key, _| {
        if let Some((cid, cseq)) = record::numbers(key) {
            lasts.insert(Cid(cid), cseq);
        }
        true
    })?;
    for (cid, last) in &lasts {
        let key = record::chat_key(*cid);
        let Some(value) = engine.get(&key)? else {
            continue;
        };
        match record::decode::<Conversation>(&key, &value) {
            Ok(mut conversation) if conversation.head() < *last => {
                conversation.reach(*last);
                let mut batch = Batch::default();
                batch.put(key, record::encode(&conversation)?);
                engine.apply(batch)?;
            }
            Ok(_) => {}
            Err(error) => log::error!("left as it is: {error}"),
        }
    }
    let last = rebuild(engine, &lasts)?;
    if last > number_of(engine, record::CHATS_KEY)? {
        write_number(engine, record::CHATS_KEY, last)?;
    }
    Ok(())
}

/// Moves every sequence on by `by`, those of users who are not known yet and of conversations among them, and says what the store holds.
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
    skip_conversations(engine, by)?;
    for key in [record::START_KEY, record::CHATS_KEY] {
        let number = number_of(engine, key)?;
        write_number(engine, key, number.saturating_add(by))?;
    }
    let last = last_event(engine)?;
    if last > number_of(engine, record::EVENTS_KEY)? {
        write_number(engine, record::EVENTS_KEY, last)?;
    }
    // Events may get numbers that their receiver has seen: another tag is drawn for them.
    let mut batch = Batch::default();
    batch.delete(record::EVENTS_TAG_KEY.to_vec());
    engine.apply(batch)?;
    engine.flush()?;
    Ok(stock)
}

fn skip_conversations(engine: &dyn Engine, by: Seq) -> Result<(), EngineError> {
    let mut from = vec![record::CHAT];
    loop {
        let mut found = Vec::new();
        engine.scan(&from, &[record::CHAT + 1], &mut |key, value| {
            found.push((key.to_vec(), value.to_vec()));
            found.len() < BATCH_MAX
        })?;
        let Some((last, _)) = found.last() else {
            return Ok(());
        };
        from = [last, &[0][..]].concat();
        let mut batch = Batch::default();
        for (key, value) in found {
            match record::decode::<Conversation>(&key, &value) {
                Ok(mut conversation) => {
                    conversation.skip(by);
                    batch.put(key, record::encode(&conversation)?);
                }
                Err(error) => log::error!("left as it is: {error}"),
            }
        }
        engine.apply(batch)?;
    }
}

/// The last number of an event that is known of: the next one would take the place of one that waits, or count as sent.
/// Nothing is passed over, because what waits is bounded by its numbers.
fn last_event(engine: &dyn Engine) -> Result<u64, EngineError> {
    let mut last = number_of(engine, record::EVENTS_SENT_KEY)?;
    engine.scan(&[record::EVENT], &[record::EVENT + 1], &mut |key, _| {
        last = last.max(record::event_of(key).unwrap_or(0));
        true
    })?;
    Ok(last)
}

/// The number that the first message of a new reader comes after.
fn start_of(engine: &dyn Engine) -> Result<Seq, EngineError> {
    number_of(engine, record::START_KEY)
}

/// A number that stands under a key of its own; 0 where there is none.
pub(super) fn number_of(engine: &dyn Engine, key: &[u8]) -> Result<u64, EngineError> {
    match engine.get(key)? {
        Some(value) => record::decode(key, &value),
        None => Ok(0),
    }
}

fn write_number(engine: &dyn Engine, key: &[u8], number: u64) -> Result<(), EngineError> {
    let mut batch = Batch::default();
    batch.put(key.to_vec(), record::encode(&number)?);
    engine.apply(batch)
}
