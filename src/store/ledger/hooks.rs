//! What the webhook's receiver is told: written in the commit that it tells of.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use crate::config::webhook::EventKind;
use crate::id::{Cid, Seq, Uid};
use crate::message::chat::Chat;
use crate::message::hook::{self, Event, Party, Reason, Target, What};
use crate::message::{Message, Receipt};

use super::rows::Told;
use super::{Body, EngineError, Ledger, News, RowRef, Sort, intact, record};

/// Readers whom one event names.
const READERS: usize = 256;
/// Rows that one look finds parked, and events that it removes.
const SWEEP: usize = 512;

/// Says whether a device of a user is connected.
pub type IsOnline = Arc<dyn Fn(Uid) -> bool + Send + Sync>;

/// Of what the receiver is told, and how.
#[derive(Clone)]
pub struct Hooks {
    /// Of what; nothing if there is no receiver.
    pub wanted: Vec<EventKind>,
    /// Whether it is told payloads.
    pub payload: bool,
    /// How long an event waits, milliseconds.
    pub keep_ms: u64,
    /// How many wait.
    pub max_events: u64,
    /// How long after its acceptance a message counts as parked that no device has taken, milliseconds.
    pub park_ms: u64,
    /// Whether a device of a user is connected.
    pub is_online: IsOnline,
}

impl fmt::Debug for Hooks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hooks")
            .field("wanted", &self.wanted)
            .finish_non_exhaustive()
    }
}

/// Where the queue of events stands.
#[derive(Debug, Default)]
pub(super) struct Queue {
    /// The last number that was given out; none until it is asked for.
    last: Option<u64>,
    /// Whether the batch at hand has events.
    is_new: bool,
    /// Whether the last look found as much as it may take on.
    pub(super) is_behind: bool,
}

impl Ledger {
    /// Tells a receiver of what happens from here on.
    pub fn tell_receiver(&mut self, hooks: Hooks) {
        self.hooks = Some(hooks);
    }

    fn wants(&self, kind: EventKind) -> bool {
        let hooks = self.hooks.as_ref();
        hooks.is_some_and(|hooks| hooks.wanted.contains(&kind))
    }

    /// Writes an event; the caller has made room for two writes.
    pub(super) fn hook(&mut self, at: u64, what: What) -> Result<(), EngineError> {
        if !self.wants(what.kind()) {
            return Ok(());
        }
        let last = match self.events.last {
            Some(last) => last,
            None => self.load(record::EVENTS_KEY)?.unwrap_or(0),
        };
        let number = last + 1;
        self.events.last = Some(number);
        self.events.is_new = true;
        let event = record::encode_long(&Event { at, what }, 0)?;
        self.batch.insert(record::event_key(number), event);
        self.batch
            .put(record::EVENTS_KEY.to_vec(), record::encode(&number)?);
        Ok(())
    }

    /// The news that events were written, if any were.
    pub(super) fn event_news(&mut self) -> Option<News> {
        let is_new = std::mem::take(&mut self.events.is_new);
        let last = self.events.last.filter(|_| is_new)?;
        Some(News::Events(last))
    }

    /// A message was accepted.
    pub(super) fn hook_accepted(&mut self, message: &Message) -> Result<(), EngineError> {
        if !self.wants(EventKind::Accepted) {
            return Ok(());
        }
        let told = self.message_told(message);
        self.hook(message.server_ts, What::Accepted { message: told })
    }

    /// A message came into an inbox: it is parked at once if nobody is there, or when its schedule is used up. Of a group, whoever
    /// is not there is returned to be told of with others.
    pub(super) fn hook_waiting(
        &mut self,
        reader: Uid,
        seq: Seq,
        told: &Told,
    ) -> Result<bool, EngineError> {
        if !self.wants(EventKind::Parked) || !matches!(told.sort, Sort::C2c | Sort::C2g) {
            return Ok(false);
        }
        let Some(hooks) = &self.hooks else {
            return Ok(false);
        };
        if !(hooks.is_online)(reader) {
            return Ok(true);
        }
        let at = told.since.saturating_add(hooks.park_ms);
        self.batch
            .insert(record::parking_key(at, reader, seq), Vec::new());
        Ok(false)
    }

    /// A device has taken a row, which will never be parked.
    pub(super) fn hook_taken(
        &mut self,
        now: u64,
        reader: Uid,
        seq: Seq,
        row: &RowRef,
    ) -> Result<(), EngineError> {
        if !self.wants(EventKind::Parked) || !matches!(row.sort, Sort::C2c | Sort::C2g) {
            return Ok(());
        }
        let park_ms = self.hooks.as_ref().map_or(0, |hooks| hooks.park_ms);
        let at = row.server_ts.saturating_add(park_ms);
        // What was due was found, and nothing is written for who was not there.
        let key = record::parking_key(at, reader, seq);
        if at > now && self.bytes(&key)?.is_some() {
            self.make_room(1)?;
            self.batch.delete(key);
        }
        Ok(())
    }

    /// A message is parked for these readers.
    pub(super) fn hook_parked(
        &mut self,
        at: u64,
        message: &Message,
        readers: &[Uid],
        reason: Reason,
    ) -> Result<(), EngineError> {
        for readers in readers.chunks(READERS) {
            self.make_room(2)?;
            let message = self.message_told(message);
            let readers = readers.iter().map(|uid| uid.0).collect();
            self.hook(
                at,
                What::Parked {
                    message,
                    readers,
                    reason,
                },
            )?;
        }
        Ok(())
    }

    /// A device has a message.
    pub(super) fn hook_delivered(
        &mut self,
        receipt: &Receipt,
        to: Chat,
    ) -> Result<(), EngineError> {
        if !self.wants(EventKind::Delivered) {
            return Ok(());
        }
        self.make_room(2)?;
        let message = Target {
            id: receipt.id.as_str().into(),
            kind: to.name().into(),
            from: receipt.sender.0,
            to: party(to),
        };
        self.hook(
            receipt.server_ts,
            What::Delivered {
                message,
                reader: receipt.reader.0,
                did: receipt.did.as_str().into(),
            },
        )
    }

    /// Somebody has read a conversation.
    pub(super) fn hook_read(
        &mut self,
        at: u64,
        reader: Uid,
        chat: Chat,
        up_to: Seq,
    ) -> Result<(), EngineError> {
        self.make_room(2)?;
        self.hook(
            at,
            What::Read {
                kind: chat.name().into(),
                reader: reader.0,
                to: party(chat),
                up_to,
            },
        )
    }

    /// Something has happened that is in no record of the store.
    pub(super) fn hook_told(&mut self, at: u64, mut what: What) -> Result<(), EngineError> {
        // Another device of the user may have come when this one had left, and be told of before it: whether this was the
        // last is judged in the order in which the receiver hears of both.
        if let What::Offline { uid, did } = &mut what
            && let Some(hooks) = &self.hooks
            && !(hooks.is_online)(Uid(*uid))
        {
            *did = None;
        }
        self.make_room(2)?;
        self.hook(at, what)
    }

    /// The receiver has everything up to there, and it goes; what is more than one request can have held goes later.
    pub(super) fn events_sent(&mut self, up_to: u64) -> Result<(), EngineError> {
        let before: u64 = self.load(record::EVENTS_SENT_KEY)?.unwrap_or(0);
        if up_to <= before {
            return Ok(());
        }
        self.make_room(1)?;
        self.batch
            .put(record::EVENTS_SENT_KEY.to_vec(), record::encode(&up_to)?);
        let first = up_to.saturating_sub(SWEEP as u64).max(before) + 1;
        for number in first..=up_to {
            let key = record::event_key(number);
            if self.bytes(&key)?.is_some() {
                self.make_room(1)?;
                self.batch.delete(key);
            }
        }
        Ok(())
    }

    /// Finds what is parked by now, and removes events that the receiver has, or that are too old or too many.
    pub(super) fn sweep_events(&mut self, now: u64) -> Result<(), EngineError> {
        let (parked, gone) = (self.sweep_parking(now)?, self.sweep_queue(now)?);
        self.events.is_behind = parked >= SWEEP || gone >= SWEEP;
        Ok(())
    }

    /// Removes events; returns how many.
    fn sweep_queue(&mut self, now: u64) -> Result<usize, EngineError> {
        let last = match self.events.last {
            Some(last) => last,
            None => self.load(record::EVENTS_KEY)?.unwrap_or(0),
        };
        self.events.last = Some(last);
        if last == 0 {
            return Ok(0);
        }
        let sent: u64 = self.load(record::EVENTS_SENT_KEY)?.unwrap_or(0);
        // Where nobody is told any more, nothing waits.
        let (keep_ms, most) = match &self.hooks {
            Some(hooks) => (hooks.keep_ms, hooks.max_events),
            None => (0, 0),
        };
        let first_kept = (last + 1).saturating_sub(most).max(sent + 1);
        let mut gone = Vec::new();
        let (from, to) = (record::event_key(0), record::event_key(u64::MAX));
        self.engine.scan(&from, &to, &mut |key, value| {
            let number = record::event_of(key).unwrap_or(0);
            let is_old = || match record::decode::<Event>(key, value) {
                Ok(event) => event.at.saturating_add(keep_ms) <= now,
                Err(_) => true,
            };
            let is_gone = number < first_kept || is_old();
            if is_gone {
                gone.push((key.to_vec(), number));
            }
            is_gone && gone.len() < SWEEP
        })?;
        let count = gone.len();
        for (key, number) in gone {
            if self.is_removed(&key) {
                continue;
            }
            self.make_room(1)?;
            self.batch.delete(key);
            self.done.tally.events_dropped += u64::from(number > sent);
        }
        Ok(count)
    }

    /// Tells of rows that are parked by now; returns how many there were to look at.
    fn sweep_parking(&mut self, now: u64) -> Result<usize, EngineError> {
        let mut due = Vec::new();
        let to: Vec<u8> = [record::PARKING]
            .into_iter()
            .chain(now.saturating_add(1).to_be_bytes())
            .collect();
        self.engine.scan(&[record::PARKING], &to, &mut |key, _| {
            due.push(key.to_vec());
            due.len() < SWEEP
        })?;
        let count = due.len();
        let mut parked: BTreeMap<(Cid, Seq), Vec<Uid>> = BTreeMap::new();
        for key in due {
            if self.is_removed(&key) {
                continue;
            }
            if let Some((_, Cid(uid), seq)) = record::expiry_of(&key)
                && let Some(row) = self.row(Uid(uid), seq)?
                && let Body::Chat(cid, cseq) = row.body
                && intact(self.inbox(Uid(uid)).map(|inbox| inbox.is_delivered(seq)))? == Some(false)
            {
                parked.entry((cid, cseq)).or_default().push(Uid(uid));
            }
            self.make_room(1)?;
            self.batch.delete(key);
        }
        for ((cid, cseq), readers) in parked {
            let message = intact(self.message(cid, cseq))?.flatten();
            if let Some(message) = message.filter(|message| !message.is_gone()) {
                self.hook_parked(now, &message, &readers, Reason::Unacknowledged)?;
            }
        }
        Ok(count)
    }

    /// Whether the batch at hand removes what a scan of the engine still sees.
    fn is_removed(&self, key: &[u8]) -> bool {
        self.batch.find(key) == Some(None)
    }

    fn message_told(&self, message: &Message) -> hook::Message {
        let with_payload = self.hooks.as_ref().is_some_and(|hooks| hooks.payload);
        let ttl = message.server_ts.saturating_add(self.policy.ttl_ms);
        hook::Message {
            id: message.id.as_str().into(),
            kind: message.name().into(),
            from: message.from.0,
            to: party(message.to),
            cseq: (message.cseq > 0).then_some(message.cseq),
            payload: with_payload.then(|| message.payload.clone()),
            created_at: message.created_at,
            expires_at: Some(message.expires_at.map_or(ttl, |at| at.min(ttl))),
        }
    }
}

/// A conversation as a receiver names it.
fn party(chat: Chat) -> Party {
    match chat {
        Chat::User(Uid(uid)) => Party::User(uid),
        Chat::Group(Cid(gid)) => Party::Group(gid),
    }
}
