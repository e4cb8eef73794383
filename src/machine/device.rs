//! One device of one user: who is connected as it, what it still has to get, and what it was sent.
//!
//! Every input may leave [`Effect`]s; a driver takes them in order and carries them out, then re-arms one timer at
//! [`Device::deadline`]. The order of two effects matters to the promise: a device is registered before its head is
//! read, so that whatever is committed afterwards is announced to it.

mod access;
mod acks;
mod answers;
mod attach;
mod chat;
mod effect;
mod operator;
mod pull;
mod session;
mod watch;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use crate::code::{Close, Code};
use crate::id::{Did, MsgId, Seq, Uid};
use crate::message::chat::{By, Chat};
use crate::message::{
    Command, Draft, EVENT_BYTES, Event, Fault, Notice, Op, Query, Receipt, Row, Signal, Target,
};

use super::ranges::Ranges;
use super::sent::Item;

use session::{Pages, Session};

pub use super::sent::Slot;
pub use effect::{Effect, ReadTicket, Ticket};
pub use operator::{Carried, View};

/// Bytes of the messages that walk at the same time, as of the signals; one may always walk.
const WALK_BYTES: usize = 4 << 20;

/// One connection of a device; a later one has a higher number.
pub type Epoch = u64;

/// The bounds a device works within.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    /// Deliveries that walk at the same time.
    pub deliver_window: usize,
    /// Requests of each sort that wait for their answer.
    pub send_window: usize,
    /// Payload bytes in one page.
    pub page_bytes: usize,
    /// How long before its end a token's owner is asked to refresh it, milliseconds.
    pub token_notice_ms: u64,
    /// How long a failed read waits before it is tried again, milliseconds.
    pub read_retry_ms: u64,
    /// What a client that is too fast is told to wait, milliseconds.
    pub retry_ms: u64,
    /// How often a connected device is noted as seen, milliseconds.
    pub seen_every_ms: u64,
    /// How long a message waits, milliseconds.
    pub ttl_ms: u64,
    /// How long no frame may leave an outbox where some wait, milliseconds.
    pub write_deadline_ms: u64,
    /// How long an adapter may say nothing of its connection, milliseconds.
    pub silence_ms: u64,
}

impl Rules {
    /// Frames that one connection's outbox may hold: deliveries, answers to everything in hand, and receipts.
    pub fn outbox(&self) -> u64 {
        (self.deliver_window + 4 * self.send_window) as u64
    }
}

/// How a copy fared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resend {
    /// It was written.
    Written,
    /// An earlier copy still waits to be written, or there is no room: it counts and writes nothing.
    Skipped,
    /// There is no such delivery any more.
    Over,
}

/// The state of one device.
#[derive(Debug)]
pub struct Device {
    uid: Uid,
    did: Did,
    rules: Arc<Rules>,
    phase: Phase,
    current: Option<Session>,
    /// The connection that commits are announced to.
    registered: Option<Epoch>,
    /// Older connections whose adapters have not reported their end: a late acknowledgement still counts.
    lingering: Vec<Session>,
    /// Acknowledged and durable.
    acks: Ranges,
    /// Acknowledged, on its way to the store.
    pending: Ranges,
    /// The highest sequence number known to be durable.
    head: Seq,
    /// The next row that the current connection has not been sent.
    next: Seq,
    /// The first row of the page that was asked for and has not come.
    pulling: Option<Seq>,
    retry_at: Option<u64>,
    seen_at: Option<u64>,
    look_at: Option<u64>,
    walking: BTreeMap<Slot, Walk>,
    walking_rows: BTreeMap<Seq, Slot>,
    /// Bytes of the rows and of the signals that walk.
    row_bytes: usize,
    signal_bytes: usize,
    next_slot: Slot,
    /// Frames that came before the first frame of the login could be sent.
    early: Vec<Event>,
    sends: usize,
    requests: usize,
    /// What clients want to know, in turn; one at a time is looked up, and written before the next.
    queries: VecDeque<(Epoch, Option<MsgId>, Query)>,
    querying: bool,
    /// When it may be told again that the user writes, Unix milliseconds.
    typing_from: u64,
    draining: bool,
    effects: VecDeque<Effect>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Idle,
    Attaching,
    /// What it is to be told comes after the first frame of its login.
    Heading {
        resync: bool,
        forgotten: bool,
    },
    Live,
}

#[derive(Debug)]
enum Walk {
    Row(Row),
    Signal(Arc<Signal>),
}

impl Walk {
    fn item(&self, slot: Slot) -> Item {
        match self {
            Walk::Row(row) => Item::Row(row.seq),
            Walk::Signal(_) => Item::Signal(slot),
        }
    }

    fn id(&self) -> &MsgId {
        match self {
            Walk::Row(row) => row.id(),
            Walk::Signal(signal) => &signal.id,
        }
    }

    fn bytes(&self) -> usize {
        match self {
            Walk::Row(row) => row.message.payload.len(),
            Walk::Signal(signal) => signal.payload.len(),
        }
    }

    fn event(&self) -> Event {
        match self {
            Walk::Row(row) => Event::Deliver(row.clone()),
            Walk::Signal(signal) => Event::Signal(signal.clone()),
        }
    }
}

impl Device {
    /// A device that nobody is connected as.
    pub fn new(uid: Uid, did: Did, rules: impl Into<Arc<Rules>>) -> Device {
        Device {
            uid,
            did,
            rules: rules.into(),
            phase: Phase::Idle,
            current: None,
            registered: None,
            lingering: Vec::new(),
            acks: Ranges::new(),
            pending: Ranges::new(),
            head: 0,
            next: 1,
            pulling: None,
            retry_at: None,
            seen_at: None,
            look_at: None,
            walking: BTreeMap::new(),
            walking_rows: BTreeMap::new(),
            row_bytes: 0,
            signal_bytes: 0,
            next_slot: 0,
            early: Vec::new(),
            sends: 0,
            requests: 0,
            queries: VecDeque::new(),
            querying: false,
            typing_from: 0,
            draining: false,
            // As many as a login has at once.
            effects: VecDeque::with_capacity(2),
        }
    }

    /// Takes the next thing to do.
    pub fn next_effect(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }

    /// When [`Device::tick`] is due, Unix milliseconds.
    pub fn deadline(&self) -> Option<u64> {
        // Before the first frame of the login nothing else may be said.
        let live = self.current.as_ref().filter(|_| self.phase == Phase::Live);
        let token = live.filter(|s| !s.closing);
        let token = token.map(|session| match session.noticed {
            true => session.good_until,
            false => self.notice_at(session),
        });
        [token, self.retry_at, self.seen_at, self.look_at]
            .into_iter()
            .flatten()
            .min()
    }

    /// The deadline has passed.
    pub fn tick(&mut self, now: u64) {
        if self.retry_at.is_some_and(|at| at <= now) {
            self.retry_at = None;
            self.fill();
        }
        if self.seen_at.is_some_and(|at| at <= now) {
            self.seen_at = Some(now.saturating_add(self.rules.seen_every_ms));
            self.submit_seen();
        }
        if self.look_at.is_some_and(|at| at <= now) {
            self.look(now);
        }
        let live = self.current.as_ref().filter(|_| self.phase == Phase::Live);
        let Some(session) = live else {
            return;
        };
        let (epoch, expire_at) = (session.epoch, session.good_until);
        if expire_at <= now {
            self.close(epoch, Close::Token);
        } else if !session.noticed && self.notice_at(session) <= now {
            if let Some(session) = self.session_mut(epoch) {
                session.noticed = true;
            }
            self.notify(epoch, Notice::PleaseRefreshToken { expire_at });
        }
    }

    /// The adapter of that connection has taken this many frames out of its outbox since it began.
    pub fn taken(&mut self, epoch: Epoch, taken: u64) {
        if let Some(session) = self.session_mut(epoch) {
            session.take(taken);
        }
    }

    /// A sign of life, or room in the outbox: whatever can be delivered is.
    pub fn alive(&mut self) {
        self.fill();
        self.next_query();
    }

    /// The adapter of that connection is at work, and its client was not silent for too long.
    pub fn attended(&mut self, epoch: Epoch) {
        if let Some(session) = self.session_mut(epoch) {
            session.heard = true;
        }
    }

    /// A client asks something on that connection.
    pub fn command(&mut self, now: u64, epoch: Epoch, command: Command) {
        let Some(session) = self.session_mut(epoch) else {
            return;
        };
        // A client may ignore that it was told to go; what it has, it has.
        if session.barred && !matches!(command, Command::Ack(_)) {
            return;
        }
        match command {
            Command::Send(draft) => self.send(now, draft),
            Command::Signal(draft) => {
                let signal = Arc::new(Signal {
                    id: draft.id,
                    kind: draft.kind,
                    from: self.uid,
                    to: draft.to,
                    payload: draft.payload,
                    created_at: draft.created_at,
                    bare: false,
                });
                self.ask_signal(now, epoch, signal);
            }
            Command::Amend { chat, amendment } => self.amend(now, epoch, chat, amendment),
            Command::MarkRead { chat, up_to, id } => self.mark_read(now, epoch, chat, up_to, id),
            Command::Typing(chat) => self.typing(now, epoch, chat),
            Command::Query { id, query } => self.query(now, epoch, id, query),
            Command::Ack(ack) => self.ack(now, epoch, ack),
            Command::Sync { after, limit } => self.sync(now, epoch, after, limit),
            Command::Status(of) => self.status(now, epoch, of),
        }
    }

    /// A signal of this device was handed to `devices` devices.
    pub fn relayed(&mut self, now: u64, signal: &Signal, devices: usize) {
        let event = if devices == 0 {
            let fault = Fault::because(Code::NotFound, "nobody is online to take this");
            error(fault.about(&signal.id, Chat::User(signal.to)), now)
        } else {
            Event::Relayed {
                id: signal.id.clone(),
                to: signal.to,
                server_ts: now,
            }
        };
        self.tell(event);
    }

    /// A signal of this device ended without any acknowledgement.
    pub fn signal_failed(&mut self, now: u64, signal: &Signal) {
        let fault = Fault::because(Code::NotFound, "nobody acknowledged this");
        self.tell(error(fault.about(&signal.id, Chat::User(signal.to)), now));
    }

    /// A device of a reader has a message of this user.
    pub fn receipt(&mut self, receipt: Receipt) {
        let event = Event::Delivered {
            id: receipt.id,
            reader: receipt.reader,
            did: Some(receipt.did),
            server_ts: receipt.server_ts,
        };
        self.mention(event);
    }

    /// Says something that a client can ask for again: one that does not read loses it.
    pub fn mention(&mut self, event: Event) {
        let room = (self.rules.deliver_window + 2 * self.rules.send_window) as u64;
        if self.phase == Phase::Live && self.current.as_ref().is_some_and(|s| s.queued() >= room) {
            return;
        }
        self.tell(event);
    }

    /// A signal for this device; returns its slot, or none if there is no room for it.
    pub fn signal(&mut self, signal: Arc<Signal>) -> Option<Slot> {
        let walking = self.walking.len() - self.walking_rows.len();
        // Half of the window is for messages, however many signals a client leaves unacknowledged.
        let most = (self.rules.deliver_window / 2).max(1);
        let is_half = walking >= most || self.signal_bytes >= WALK_BYTES / 2;
        if self.phase != Phase::Live || !self.has_credit() || is_half {
            return None;
        }
        self.start(Walk::Signal(signal))
    }

    /// Copy after the first: written unless an earlier one still waits. `last` ends the delivery, and so does the
    /// message's expiry.
    pub fn resend(&mut self, now: u64, slot: Slot, last: bool) -> Resend {
        if let Some(Walk::Row(row)) = self.walking.get(&slot)
            && row.is_expired(now, self.rules.ttl_ms)
        {
            self.stop(slot);
            self.effects.push_back(Effect::Halt {
                slot,
                parked: false,
            });
            self.fill();
            return Resend::Over;
        }
        let window = self.rules.deliver_window as u64;
        let (Some(walk), Some(session)) = (self.walking.get(&slot), self.current.as_mut()) else {
            return Resend::Over;
        };
        let item = walk.item(slot);
        let waiting = session
            .sent
            .last_push(item)
            .is_some_and(|push| push >= session.taken);
        let written = !waiting && !session.closing && session.has_room(window);
        if written {
            session.sent.copied(walk.id(), item, session.pushed);
            let event = walk.event();
            session.push(event.weight());
            let epoch = session.epoch;
            self.effects.push_back(Effect::Push { epoch, event });
        }
        if last {
            self.park(slot);
        }
        if written {
            Resend::Written
        } else {
            Resend::Skipped
        }
    }

    /// A delivery ends without an acknowledgement: a row waits for the next login.
    pub fn park(&mut self, slot: Slot) {
        match self.stop(slot) {
            Some(Walk::Row(_)) => {}
            Some(Walk::Signal(_)) => {
                if let Some(session) = self.current.as_mut() {
                    session.sent.settle(Item::Signal(slot));
                }
                self.effects
                    .push_back(Effect::SignalOver { slot, acked: false });
            }
            None => return,
        }
        self.fill();
    }

    /// The server is going down: every connection ends after what waits for it.
    pub fn drain(&mut self) {
        self.draining = true;
        let epochs: Vec<Epoch> = self.sessions().map(|session| session.epoch).collect();
        for epoch in epochs {
            self.close(epoch, Close::Draining);
        }
    }

    /// The user and device.
    pub fn name(&self) -> (Uid, &Did) {
        (self.uid, &self.did)
    }

    /// The connection whose full outbox is all that holds back rows that wait.
    pub fn starved(&self) -> Option<Epoch> {
        let session = self.current.as_ref().filter(|s| !s.closing)?;
        let full = !session.has_room(self.rules.deliver_window as u64);
        let waiting = self.phase == Phase::Live && self.next <= self.head;
        let is_starved = full && waiting && self.pulling.is_none();
        (is_starved || self.waits_for_page()).then_some(session.epoch)
    }

    /// How many deliveries walk.
    pub fn walking(&self) -> usize {
        self.walking.len()
    }

    fn notice_at(&self, session: &Session) -> u64 {
        session
            .good_until
            .saturating_sub(self.rules.token_notice_ms)
    }

    fn send(&mut self, now: u64, draft: Draft) {
        if self.draining {
            let fault = Fault::new(Code::Busy).about(&draft.id, draft.to);
            return self.tell(error(self.retry(fault), now));
        }
        if self.sends >= self.rules.send_window {
            let fault = Fault::because(Code::TooFast, "too many sends wait for their answer");
            let fault = fault.about(&draft.id, draft.to);
            return self.tell(error(self.retry(fault), now));
        }
        self.sends += 1;
        let ticket = Ticket::Send {
            id: draft.id.clone(),
            to: draft.to,
        };
        let op = Op::Append(draft.signed_by(self.uid, Some(self.did.clone())));
        self.effects.push_back(Effect::Submit { op, ticket });
    }

    fn status(&mut self, now: u64, epoch: Epoch, of: Vec<Target>) {
        if !self.take_request(now, epoch) {
            return;
        }
        let op = Op::Status { from: self.uid, of };
        let ticket = Ticket::Status(epoch);
        self.effects.push_back(Effect::Submit { op, ticket });
    }

    /// Counts a request other than a send; tells the client when it has too many.
    fn take_request(&mut self, now: u64, epoch: Epoch) -> bool {
        if self.requests < self.rules.send_window {
            self.requests += 1;
            return true;
        }
        let fault = Fault::because(Code::TooFast, "too many requests wait for their answer");
        self.reply(epoch, error(self.retry(fault), now));
        false
    }

    /// The user, on this device.
    fn by(&self) -> By {
        By {
            uid: self.uid,
            did: Some(self.did.clone()),
        }
    }

    fn retry(&self, fault: Fault) -> Fault {
        fault.later(self.rules.retry_ms)
    }

    fn sessions(&self) -> impl Iterator<Item = &Session> {
        self.current.iter().chain(self.lingering.iter())
    }

    fn session_mut(&mut self, epoch: Epoch) -> Option<&mut Session> {
        self.current
            .iter_mut()
            .chain(self.lingering.iter_mut())
            .find(|session| session.epoch == epoch)
    }

    fn is_current(&self, epoch: Epoch) -> bool {
        self.current.as_ref().is_some_and(|s| s.epoch == epoch)
    }

    /// Answers on the connection that asked, and on no other: what is covered differs between them.
    fn reply(&mut self, epoch: Epoch, event: Event) {
        if self.is_current(epoch) {
            self.tell(event);
        }
    }

    /// Sends to the current connection, after the first frame of its login.
    fn tell(&mut self, event: Event) {
        match (&self.current, self.phase) {
            (Some(session), Phase::Live) => {
                let epoch = session.epoch;
                self.push(epoch, event);
            }
            (Some(_), _) if (self.early.len() as u64) < self.rules.outbox() / 2 => {
                self.early.push(event);
            }
            _ => {}
        }
    }

    fn push(&mut self, epoch: Epoch, event: Event) {
        let (bound, page) = (self.rules.outbox(), self.rules.page_bytes as u64);
        let Some(session) = self.session_mut(epoch) else {
            return;
        };
        if session.closing {
            return;
        }
        if session.queued() >= bound || session.is_heavy(page) {
            return self.close(epoch, Close::TooSlow);
        }
        session.push(event.weight());
        self.effects.push_back(Effect::Push { epoch, event });
    }

    fn notify(&mut self, epoch: Epoch, notice: Notice) {
        let Some(session) = self.session_mut(epoch) else {
            return;
        };
        if session.closing {
            return;
        }
        session.push(EVENT_BYTES);
        self.effects.push_back(Effect::Notify { epoch, notice });
    }

    fn close(&mut self, epoch: Epoch, close: Close) {
        let Some(session) = self.session_mut(epoch) else {
            return;
        };
        if !session.closing {
            session.closing = true;
            self.effects.push_back(Effect::Close { epoch, close });
        }
    }
}

fn error(fault: Fault, now: u64) -> Event {
    Event::Error {
        fault,
        server_ts: now,
    }
}
