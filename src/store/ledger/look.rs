//! What an operator reads beside the commits: what stands in the store now, or stood a moment ago.

use crate::id::{MsgId, Seq, Uid};
use crate::machine::dedupe::Entry;
use crate::machine::inbox::Inbox;
use crate::message::chat::Chat;
use crate::message::look::{Found, KnownDevice, Look};

use super::{Engine, EngineError, RowRef, history, intact, lists, page, record};

/// Inboxes that one scan shows: an engine may have to hold something still for as long as one goes on.
const STEP: usize = 2000;

/// A user's inbox, if it has ever had a row or a device.
pub fn inbox(engine: &dyn Engine, uid: Uid) -> Result<Option<Inbox>, EngineError> {
    let key = record::user_key(uid);
    let found = engine.get(&key)?;
    found.map(|bytes| record::decode(&key, &bytes)).transpose()
}

/// Shows every inbox in the order of the users' numbers, until `visit` returns false.
pub fn inboxes(
    engine: &dyn Engine,
    visit: &mut dyn FnMut(Uid, Inbox) -> bool,
) -> Result<(), EngineError> {
    let (mut from, to) = (record::user_key(Uid(0)), record::user_key(Uid(u64::MAX)));
    loop {
        let (mut seen, mut next, mut failed) = (0, None, None);
        engine.scan(&from, &to, &mut |key, value| {
            seen += 1;
            let mut more = seen < STEP;
            if !more {
                next = Some(key.to_vec());
            }
            let Some(uid) = record::user_of(key) else {
                return more;
            };
            match intact(record::decode(key, value)) {
                Ok(Some(inbox)) => {
                    if !visit(uid, inbox) {
                        (more, next) = (false, None);
                    }
                }
                Ok(None) => {}
                Err(error) => {
                    failed = Some(error);
                    more = false;
                }
            }
            more
        })?;
        if let Some(error) = failed {
            return Err(error);
        }
        let Some(last) = next else {
            return Ok(());
        };
        from = last;
        from.push(0);
    }
}

/// Answers a question; rows and messages accepted at or before `oldest`, Unix milliseconds, are left out of inboxes, and
/// those at or before `kept` out of histories.
pub fn found(
    engine: &dyn Engine,
    look: &Look,
    now: u64,
    oldest: u64,
    kept: u64,
) -> Result<Found, EngineError> {
    Ok(match look {
        Look::Rows(read) => Found::Rows(page::read_page(engine, read, now, oldest, None)?),
        Look::RowsOf(read, cid) => {
            Found::Rows(page::read_page(engine, read, now, oldest, Some(*cid))?)
        }
        Look::History {
            cid,
            first,
            head,
            side,
            limit,
            max_bytes,
        } => {
            let part = history::Part {
                cid: *cid,
                first: *first,
                head: *head,
                limit: *limit,
                max_bytes: *max_bytes,
            };
            Found::History(history::read(engine, &part, *side, now, kept)?)
        }
        Look::Chats {
            uid,
            before,
            limit,
            max_bytes,
        } => {
            let bounds = (*limit, *max_bytes);
            Found::Chats(lists::chats(engine, *uid, *before, bounds, (now, kept))?)
        }
        Look::Chat { uid, cid } => Found::Chat(lists::chat(engine, *uid, *cid, (now, kept))?),
        Look::Receipts {
            from,
            gid,
            id,
            after,
            limit,
        } => Found::Receipts(lists::receipts(engine, *from, *gid, id, *after, *limit)?),
        Look::Group { uid, gid } => Found::Group(lists::group(engine, *uid, *gid)?),
        Look::Groups { uid, after, limit } => {
            Found::Groups(lists::groups(engine, *uid, *after, *limit)?)
        }
        Look::Members { gid, after, limit } => {
            Found::Members(lists::members(engine, *gid, *after, *limit)?)
        }
        Look::Contacts {
            uid,
            which,
            after,
            limit,
        } => Found::Contacts(lists::contacts(engine, *uid, *which, *after, *limit)?),
        Look::Devices(uid) => {
            let inbox = inbox(engine, *uid)?;
            let known = inbox.iter().flat_map(Inbox::devices);
            let devices = known.map(|device| KnownDevice {
                did: device.did.clone(),
                seen_ms: device.seen_ms,
                behind: device.behind,
            });
            Found::Devices(devices.collect())
        }
        Look::Visible { to, of } => Found::Visible(lists::visible(engine, *to, of)?),
    })
}

/// The rows of an inbox from `from` on, at most `limit`.
pub fn rows_of(
    engine: &dyn Engine,
    uid: Uid,
    from: Seq,
    limit: usize,
) -> Result<Vec<(Seq, RowRef)>, EngineError> {
    let (from, to) = (record::row_key(uid, from), record::row_key(uid, Seq::MAX));
    let mut rows = Vec::new();
    engine.scan(&from, &to, &mut |key, value| {
        if let Some((_, seq)) = record::row_place(key)
            && let Ok(Some(row)) = intact(RowRef::decode(key, value))
        {
            rows.push((seq, row));
        }
        rows.len() < limit
    })?;
    Ok(rows)
}

/// What is remembered of a message.
pub fn entry(
    engine: &dyn Engine,
    to: Chat,
    from: Uid,
    id: &MsgId,
) -> Result<Option<Entry>, EngineError> {
    let key = record::dedupe_key(to, from, id);
    let found = engine.get(&key)?;
    found
        .map(|bytes| record::decode_entry(&key, &bytes))
        .transpose()
}
