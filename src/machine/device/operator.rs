//! What an operator sees of a device and does to it.

use std::sync::Arc;

use crate::code::{Close, Code};
use crate::id::{MsgId, Seq, Uid};
use crate::machine::ranges::Ranges;
use crate::message::{Event, Row, Signal};

use super::{Device, Effect, Epoch, Phase, Slot, Walk};

/// What a delivery carries.
#[derive(Clone, Debug)]
pub enum Carried {
    /// A row of the inbox.
    Row(Row),
    /// A relayed signal, or a text of an operator.
    Signal(Arc<Signal>),
}

impl Carried {
    /// The message's id.
    pub fn id(&self) -> &MsgId {
        match self {
            Carried::Row(row) => row.id(),
            Carried::Signal(signal) => &signal.id,
        }
    }

    /// Its sender; none if an operator wrote it.
    pub fn from(&self) -> Option<Uid> {
        match self {
            Carried::Row(row) => Some(row.message.from),
            Carried::Signal(signal) => (!signal.bare).then_some(signal.from),
        }
    }

    /// Its reader.
    pub fn to(&self) -> Uid {
        match self {
            Carried::Row(row) => row.reader,
            Carried::Signal(signal) => signal.to,
        }
    }

    /// Its place in the inbox, if it is stored.
    pub fn seq(&self) -> Option<Seq> {
        match self {
            Carried::Row(row) => Some(row.seq),
            Carried::Signal(_) => None,
        }
    }

    /// Its type as on the wire; `text` if an operator wrote it.
    pub fn kind(&self) -> &str {
        match self {
            Carried::Row(row) => row.name(),
            Carried::Signal(signal) if signal.bare => "text",
            Carried::Signal(signal) => &signal.kind,
        }
    }
}

/// How a device stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct View {
    /// Whether its login is complete.
    pub live: bool,
    /// The connection that is current.
    pub epoch: Option<Epoch>,
    /// Older connections that have not ended.
    pub lingering: usize,
    /// The last sequence number of the inbox, as far as the device knows.
    pub head: Seq,
    /// The next row to be sent.
    pub next: Seq,
    /// Rows that the device has not acknowledged.
    pub behind: u64,
    /// Deliveries that walk.
    pub walking: usize,
    /// Frames in the outbox that the client's adapter has not taken.
    pub queued: u64,
    /// Whether rows wait because no frame leaves the outbox, or the window is full.
    pub held_back: bool,
}

impl Device {
    /// How the device stands.
    pub fn view(&self) -> View {
        let live = self.phase == Phase::Live;
        let current = self.current.as_ref();
        View {
            live,
            epoch: current.map(|session| session.epoch),
            lingering: self.lingering.len(),
            head: self.head,
            next: self.next,
            behind: self.behind(),
            walking: self.walking.len(),
            queued: self.queued(),
            held_back: live && self.next <= self.head && !self.has_credit(),
        }
    }

    /// Rows that the device has not acknowledged, once its login is complete.
    pub fn behind(&self) -> u64 {
        match self.phase {
            Phase::Live => self.head.saturating_sub(self.acks.len()),
            _ => 0,
        }
    }

    /// Frames in the outbox that the client's adapter has not taken.
    pub fn queued(&self) -> u64 {
        self.current.as_ref().map_or(0, |session| session.queued())
    }

    /// What that delivery carries, while it walks.
    pub fn carried(&self, slot: Slot) -> Option<Carried> {
        Some(match self.walking.get(&slot)? {
            Walk::Row(row) => Carried::Row(row.clone()),
            Walk::Signal(signal) => Carried::Signal(signal.clone()),
        })
    }

    /// An operator writes a frame to the client.
    pub fn text(&mut self, text: Arc<str>) {
        let room = (self.rules.deliver_window + 2 * self.rules.send_window) as u64;
        if self.current.as_ref().is_some_and(|s| s.queued() < room) {
            self.tell(Event::Text(text));
        }
    }

    /// An operator ends every connection.
    pub fn kicked(&mut self) {
        let epochs: Vec<Epoch> = self.sessions().map(|session| session.epoch).collect();
        for epoch in epochs {
            if self.is_current(epoch) && self.phase != Phase::Live {
                self.refuse(epoch, Code::Busy);
                continue;
            }
            self.end(epoch, Close::Kicked);
        }
    }

    /// An operator has these rows sent anew, as at a login; all that are not acknowledged if none are named.
    pub fn redeliver(&mut self, rows: Option<&Ranges>) {
        let Some(session) = self.current.as_ref() else {
            return;
        };
        if self.phase != Phase::Live {
            return;
        }
        let mut again = session.sent.rows().difference(&self.acks);
        again.subtract(&self.pending);
        if let Some(rows) = rows {
            again = again.intersection(rows);
        }
        let Some((first, _)) = again.iter().next() else {
            return self.fill();
        };
        self.halt_rows(&again);
        if let Some(session) = self.current.as_mut() {
            session.again.union(&again);
        }
        self.next = self.next.min(first);
        self.fill();
    }

    /// Nothing of these rows is owed any more: they were withdrawn, or an operator has had them expire.
    pub fn expired(&mut self, rows: &Ranges) {
        self.halt_rows(rows);
        self.acks.union(rows);
        self.fill();
    }

    /// Ends a connection on which nothing more is to be said; what its client has, it may still acknowledge.
    pub(super) fn end(&mut self, epoch: Epoch, close: Close) {
        if let Some(session) = self.session_mut(epoch)
            && std::mem::replace(&mut session.barred, true)
        {
            return;
        }
        self.effects.push_back(Effect::Discard(epoch));
        self.close(epoch, close);
    }
}
