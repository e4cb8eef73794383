//! What is read beside the commits: parts of a conversation.

use std::sync::Arc;

use crate::id::{Cid, Seq};
use crate::machine::conversation::Conversation;
use crate::message::chat::Side;
use crate::message::look::History;
use crate::message::{Fate, Message};

use super::page::ROW_OVERHEAD;
use super::{Engine, EngineError, intact, record};

/// Scans of one part at most: where much has expired, a page may stay empty.
const SCANS: usize = 16;

/// Which part of a conversation may be shown, and how much of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Part {
    pub(super) cid: Cid,
    pub(super) first: Seq,
    pub(super) head: Seq,
    pub(super) limit: usize,
    pub(super) max_bytes: usize,
}

/// Reads a part; what was accepted at or before `kept`, Unix milliseconds, is not in the history any more.
pub(super) fn read(
    engine: &dyn Engine,
    part: &Part,
    side: Side,
    now: u64,
    kept: u64,
) -> Result<History, EngineError> {
    let Some(conversation) = conversation(engine, part.cid)? else {
        return Ok(History::default());
    };
    let head = part.head.min(conversation.head());
    match side {
        Side::After(cseq) => after(engine, &conversation, part, (cseq, head), (now, kept)),
        Side::Newest => before(engine, &conversation, part, head, (now, kept)),
        Side::Before(cseq) => {
            let last = head.min(cseq.saturating_sub(1));
            before(engine, &conversation, part, last, (now, kept))
        }
    }
}

/// A conversation, as it stands in the store.
pub(super) fn conversation(
    engine: &dyn Engine,
    cid: Cid,
) -> Result<Option<Conversation>, EngineError> {
    let key = record::chat_key(cid);
    let found = engine.get(&key)?;
    let read = found.map(|bytes| record::decode(&key, &bytes));
    Ok(intact(read.transpose())?.flatten())
}

/// The newest message up to that place that can be shown.
pub(super) fn last(
    engine: &dyn Engine,
    cid: Cid,
    conversation: &Conversation,
    first: Seq,
    (now, kept): (u64, u64),
) -> Result<Option<Arc<Message>>, EngineError> {
    let part = Part {
        cid,
        first,
        head: conversation.head(),
        limit: 1,
        max_bytes: 0,
    };
    let found = before(engine, conversation, &part, part.head, (now, kept))?;
    Ok(found.messages.into_iter().next())
}

fn before(
    engine: &dyn Engine,
    conversation: &Conversation,
    part: &Part,
    mut last: Seq,
    (now, kept): (u64, u64),
) -> Result<History, EngineError> {
    let mut messages: Vec<Arc<Message>> = Vec::new();
    let (mut bytes, mut more) = (0, false);
    for _ in 0..SCANS {
        last = conversation.readable_up_to(last);
        if last < part.first || last == 0 {
            more = false;
            break;
        }
        let wanted = (part.limit - messages.len()) as u64;
        let from = (last + 1).saturating_sub(wanted).max(part.first).max(1);
        let found = scan(engine, part.cid, from, last, (now, kept))?;
        if found.total == 0 {
            // Below what is too old all is; a hole is what was lost, and there may be something below it.
            let below = match found.is_too_old {
                true => None,
                false => last_kept(engine, part.cid, part.first.max(1), from - 1)?,
            };
            more = below.is_some();
            match below {
                Some(below) => last = below,
                None => break,
            }
            continue;
        }
        more = from > part.first;
        let mut is_full = false;
        for message in found.messages.into_iter().rev() {
            bytes += message.payload.len() + ROW_OVERHEAD;
            if bytes > part.max_bytes && !messages.is_empty() {
                (is_full, more) = (true, true);
                break;
            }
            messages.push(message);
        }
        if is_full || messages.len() >= part.limit {
            break;
        }
        last = from - 1;
    }
    messages.reverse();
    // What stands at `last` was not looked at.
    let looked_down_to = last.saturating_add(u64::from(more));
    let next = messages.first().map_or(looked_down_to, |first| first.cseq);
    Ok(History {
        messages,
        next,
        more,
    })
}

fn after(
    engine: &dyn Engine,
    conversation: &Conversation,
    part: &Part,
    (after, head): (Seq, Seq),
    (now, kept): (u64, u64),
) -> Result<History, EngineError> {
    let mut history = History {
        next: after,
        ..History::default()
    };
    let (mut from, mut bytes) = (after.saturating_add(1).max(part.first), 0);
    for _ in 0..SCANS {
        from = conversation.readable_from(from);
        if from > head {
            history.more = false;
            break;
        }
        let wanted = (part.limit - history.messages.len()) as u64;
        let to = head.min(from.saturating_add(wanted - 1));
        let found = scan(engine, part.cid, from, to, (now, kept))?;
        history.more = to < head;
        for message in found.messages {
            bytes += message.payload.len() + ROW_OVERHEAD;
            if bytes > part.max_bytes && !history.messages.is_empty() {
                history.more = true;
                return Ok(history);
            }
            history.next = message.cseq;
            history.messages.push(message);
        }
        history.next = to;
        if history.messages.len() >= part.limit {
            break;
        }
        // What is not kept any more stands before what is.
        from = match found.total {
            0 => match first_kept(engine, part.cid, to + 1, head)? {
                Some(first) => first,
                None => {
                    history.more = false;
                    break;
                }
            },
            _ => to + 1,
        };
    }
    Ok(history)
}

/// The first place from `from` to `to` that the store has a message for. One that cannot be read may be there.
fn first_kept(
    engine: &dyn Engine,
    cid: Cid,
    from: Seq,
    to: Seq,
) -> Result<Option<Seq>, EngineError> {
    let mut first = None;
    if from > to {
        return Ok(None);
    }
    let keys = (record::history_key(cid, from), record::history_key(cid, to));
    let read = engine.scan(&keys.0, &keys.1, &mut |key, _| {
        first = record::numbers(key).map(|(_, cseq)| cseq);
        false
    });
    Ok(match intact(read)? {
        Some(()) => first,
        None => Some(from),
    })
}

/// The last such place. A store is read upwards only, so it is closed in on from both sides.
fn last_kept(
    engine: &dyn Engine,
    cid: Cid,
    from: Seq,
    to: Seq,
) -> Result<Option<Seq>, EngineError> {
    let Some(mut low) = first_kept(engine, cid, from, to)? else {
        return Ok(None);
    };
    let mut high = to;
    while low < high {
        let middle = low + (high - low).div_ceil(2);
        match first_kept(engine, cid, middle, high)? {
            Some(found) => low = found,
            None => high = middle - 1,
        }
    }
    Ok(Some(low))
}

struct Scanned {
    messages: Vec<Arc<Message>>,
    /// Places that the store has something for.
    total: usize,
    /// There was a message that is not kept any more.
    is_too_old: bool,
}

impl Scanned {
    /// Takes in what stands at a place.
    fn take(&mut self, key: &[u8], value: &[u8], (now, kept): (u64, u64)) {
        let Ok(Some(message)) = intact(record::decode::<Message>(key, value)) else {
            self.total += 1;
            return;
        };
        if message.server_ts <= kept {
            self.is_too_old = true;
            return;
        }
        self.total += 1;
        let is_shown = message.fate != Fate::Expired && !message.is_over(now);
        if let Some((_, cseq)) = record::numbers(key).filter(|_| is_shown) {
            let message = Message { cseq, ..message };
            self.messages.push(Arc::new(message));
        }
    }
}

fn scan(
    engine: &dyn Engine,
    cid: Cid,
    from: Seq,
    to: Seq,
    times: (u64, u64),
) -> Result<Scanned, EngineError> {
    let begin = || Scanned {
        messages: Vec::new(),
        total: 0,
        is_too_old: false,
    };
    let mut scanned = begin();
    let keys = (record::history_key(cid, from), record::history_key(cid, to));
    let read = engine.scan(&keys.0, &keys.1, &mut |key, value| {
        scanned.take(key, value, times);
        true
    });
    if intact(read)?.is_some() {
        return Ok(scanned);
    }
    // A part of the store is damaged: what stands beside it can be read one by one.
    let mut scanned = begin();
    for cseq in from..=to {
        let key = record::history_key(cid, cseq);
        match intact(engine.get(&key))? {
            Some(Some(value)) => scanned.take(&key, &value, times),
            Some(None) => {}
            None => scanned.total += 1,
        }
    }
    Ok(scanned)
}
