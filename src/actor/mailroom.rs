//! What waits for a device from other threads: letters pile up here, and one wake-up at most is on its way.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use actix::{Addr, Message};
use parking_lot::Mutex;

use crate::code::Code;
use crate::id::{Did, Seq, Uid};
use crate::machine::access::Access;
use crate::machine::device::{Device as Machine, ReadTicket, Slot, Ticket};
use crate::machine::ranges::Ranges;
use crate::message::look::Found;
use crate::message::{Answer, Counted, Event, Receipt, Row, Signal};

use super::device::Device;
use super::dispatch::Trip;
use super::outbox::Meter;
use super::registry::Member;

/// Something for a device. Answers and pages are bounded by the requests that the device has in hand.
#[derive(Debug)]
pub enum Letter {
    /// The committer answers.
    Answer(Ticket, Answer),
    /// What was asked for.
    Found(ReadTicket, Result<Found, Code>),
    /// A row is durable.
    Row(Row),
    /// Rows up to here are durable.
    Head(Seq),
    /// A reader has a message of this user.
    Receipt(Receipt),
    /// A signal for this device.
    Signal(Arc<Trip>),
    /// A signal of this device was acknowledged nowhere.
    SignalFailed(Arc<Signal>),
    /// Members of a group have a message of this user.
    Counted(Counted),
    /// These rows are owed to nobody any more.
    Withdrawn(Ranges),
    /// Something to be said to whoever is there, and to nobody later.
    Mention(Event),
    /// Rows were given up for this device.
    Lagging,
    /// The committer does not know this device any more.
    Forgotten,
    /// An operator has changed what this user may do.
    Restricted(Arc<Access>),
}

/// How many letters of a sort may wait for one device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Rows: beyond it only the head is raised, and the device pulls.
    pub rows: usize,
    /// Receipts, and what else can be asked for again: the ones beyond it are left to a question.
    pub receipts: usize,
    /// Signals: the ones beyond it count as not taken.
    pub signals: usize,
    /// Payload bytes of rows, as of signals; one may always wait.
    pub bytes: usize,
}

impl Default for Bounds {
    fn default() -> Bounds {
        Bounds {
            rows: 64,
            receipts: 1024,
            signals: 64,
            bytes: 1 << 20,
        }
    }
}

/// The letters that wait for one device, in order.
#[derive(Debug, Default)]
pub struct Letters {
    bounds: Bounds,
    waiting: Vec<Letter>,
    rows: usize,
    row_bytes: usize,
    receipts: usize,
    signals: usize,
    signal_bytes: usize,
}

/// Letters are waiting.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "()")]
pub struct Wake;

/// The way to one device process; cheap to clone.
#[derive(Clone, Debug)]
pub struct DeviceRef(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    uid: Uid,
    did: Did,
    serial: u64,
    since_ms: u64,
    addr: Addr<Device>,
    woken: AtomicBool,
    letters: Mutex<Letters>,
    client: Mutex<Client>,
    gauges: Gauges,
}

/// What is known of the connection that is current.
#[derive(Debug, Default)]
struct Client {
    dtype: Option<Box<str>>,
    outbox: Option<Meter>,
}

/// What those who look at all devices read without asking them: each says it of itself.
#[derive(Debug, Default)]
pub struct Gauges {
    walking: AtomicU32,
    behind: AtomicU32,
}

/// How a device stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stand {
    /// Deliveries that walk.
    pub walking: u32,
    /// Rows that the device has not acknowledged.
    pub behind: u32,
    /// Frames that wait in its outbox.
    pub queued: u32,
}

impl Gauges {
    /// So many deliveries walk, and so many rows are not acknowledged.
    pub fn set(&self, walking: usize, behind: u64) {
        let walking = u32::try_from(walking).unwrap_or(u32::MAX);
        let behind = u32::try_from(behind).unwrap_or(u32::MAX);
        self.walking.store(walking, Ordering::Relaxed);
        self.behind.store(behind, Ordering::Relaxed);
    }
}

impl DeviceRef {
    /// The way to a process that was started at `since_ms`, Unix milliseconds, under this number.
    pub fn new(uid: Uid, did: Did, serial: u64, since_ms: u64, addr: Addr<Device>) -> DeviceRef {
        DeviceRef(Arc::new(Inner {
            uid,
            did,
            serial,
            since_ms,
            addr,
            woken: AtomicBool::new(false),
            letters: Mutex::default(),
            client: Mutex::default(),
            gauges: Gauges::default(),
        }))
    }

    /// Its number.
    pub fn number(&self) -> u64 {
        self.0.serial
    }

    /// When it was started, Unix milliseconds.
    pub fn since_ms(&self) -> u64 {
        self.0.since_ms
    }

    /// The device type that its connection has named.
    pub fn dtype(&self) -> Option<Box<str>> {
        self.0.client.lock().dtype.clone()
    }

    /// Whether its connection has named this device type.
    pub fn is_of(&self, dtype: &str) -> bool {
        self.0.client.lock().dtype.as_deref() == Some(dtype)
    }

    /// Notes the device type that a connection names, and where its frames wait.
    pub fn connected(&self, dtype: Option<Box<str>>, outbox: Meter) {
        let outbox = Some(outbox);
        *self.0.client.lock() = Client { dtype, outbox };
    }

    /// Its process has ended.
    pub fn ended(&self) {
        *self.0.client.lock() = Client::default();
    }

    /// What it says of itself.
    pub fn gauges(&self) -> &Gauges {
        &self.0.gauges
    }

    /// How it stands.
    pub fn stand(&self) -> Stand {
        let gauges = &self.0.gauges;
        let client = self.0.client.lock();
        let queued = client.outbox.as_ref().map_or(0, Meter::waiting);
        Stand {
            walking: gauges.walking.load(Ordering::Relaxed),
            behind: gauges.behind.load(Ordering::Relaxed),
            queued: u32::try_from(queued).unwrap_or(u32::MAX),
        }
    }

    /// Letters that wait.
    pub fn waiting(&self) -> usize {
        self.0.letters.lock().waiting.len()
    }

    /// The user.
    pub fn uid(&self) -> Uid {
        self.0.uid
    }

    /// The device.
    pub fn did(&self) -> &Did {
        &self.0.did
    }

    /// Its mailbox.
    pub fn addr(&self) -> &Addr<Device> {
        &self.0.addr
    }

    /// Leaves a letter and wakes the device.
    pub fn post(&self, letter: Letter) {
        if self.leave(letter) {
            self.wake();
        }
    }

    /// Leaves a letter; true if the device has to be woken, which only the first to hear of it does.
    pub fn leave(&self, letter: Letter) -> bool {
        self.0.letters.lock().add(letter);
        !self.0.woken.swap(true, Ordering::AcqRel)
    }

    /// Wakes the device. A wake-up must never be dropped, so it passes over the bound of the mailbox; there is at
    /// most one.
    pub fn wake(&self) {
        self.0.addr.do_send(Wake);
    }

    /// Takes the letters that wait, in order; from here on a letter wakes the device again.
    pub fn collect(&self) -> Vec<Letter> {
        self.0.woken.store(false, Ordering::Release);
        self.0.letters.lock().take()
    }
}

impl Member for DeviceRef {
    fn is_alive(&self) -> bool {
        self.0.addr.connected()
    }

    fn serial(&self) -> u64 {
        self.0.serial
    }
}

/// Somebody for whom a letter can be left.
pub trait Addressee: std::fmt::Debug + Send + Sync {
    /// Leaves a letter and sees to it that it is opened.
    fn post(&self, letter: Letter);
}

impl Addressee for DeviceRef {
    fn post(&self, letter: Letter) {
        DeviceRef::post(self, letter);
    }
}

impl Letters {
    /// None so far, and never more of a sort than this.
    pub fn within(bounds: Bounds) -> Letters {
        Letters {
            bounds,
            ..Letters::default()
        }
    }

    /// Adds a letter; one for which there is no room becomes a raised head, or nothing.
    pub fn add(&mut self, letter: Letter) {
        let letter = match letter {
            Letter::Row(row)
                if self.rows >= self.bounds.rows || self.row_bytes >= self.bounds.bytes =>
            {
                Letter::Head(row.seq)
            }
            letter => letter,
        };
        match &letter {
            Letter::Row(row) => {
                self.rows += 1;
                self.row_bytes += row.message.payload.len();
            }
            Letter::Head(head) => {
                if let Some(Letter::Head(last)) = self.waiting.last_mut() {
                    *last = (*last).max(*head);
                    return;
                }
            }
            Letter::Receipt(_) | Letter::Counted(_) | Letter::Mention(_)
                if self.receipts >= self.bounds.receipts =>
            {
                return;
            }
            Letter::Receipt(_) | Letter::Counted(_) | Letter::Mention(_) => self.receipts += 1,
            Letter::Signal(_)
                if self.signals >= self.bounds.signals
                    || self.signal_bytes >= self.bounds.bytes =>
            {
                return;
            }
            Letter::Signal(trip) => {
                self.signals += 1;
                self.signal_bytes += trip.signal().payload.len();
            }
            _ => {}
        }
        self.waiting.push(letter);
    }

    /// Takes all of them.
    pub fn take(&mut self) -> Vec<Letter> {
        let bounds = self.bounds;
        std::mem::replace(self, Letters::within(bounds)).waiting
    }
}

/// Hands letters to the machine of their device, rows that follow each other as one hint. `carry` keeps the trip of a
/// signal for as long as it walks; without room for it the trip ends here, and its sender hears of that.
pub fn open(
    letters: Vec<Letter>,
    machine: &mut Machine,
    now: u64,
    mut carry: impl FnMut(Slot, Arc<Trip>),
) {
    let mut rows: Vec<Row> = Vec::new();
    let hint = |machine: &mut Machine, rows: &mut Vec<Row>| {
        if let Some(last) = rows.last() {
            let head = last.seq;
            machine.hint(head, std::mem::take(rows));
        }
    };
    for letter in letters {
        match letter {
            Letter::Row(row) => {
                rows.push(row);
                continue;
            }
            _ => hint(machine, &mut rows),
        }
        match letter {
            Letter::Answer(ticket, answer) => machine.answered(now, ticket, answer),
            Letter::Found(ticket, found) => machine.found(now, ticket, found),
            Letter::Head(head) => machine.hint(head, Vec::new()),
            Letter::Receipt(receipt) => machine.receipt(receipt),
            Letter::Counted(counted) => machine.mention(Event::Counted(counted)),
            Letter::Withdrawn(rows) => machine.expired(&rows),
            Letter::Mention(event) => machine.mention(event),
            Letter::Signal(trip) => {
                if let Some(slot) = machine.signal(trip.signal().clone()) {
                    carry(slot, trip);
                }
            }
            Letter::SignalFailed(signal) => machine.signal_failed(now, &signal),
            Letter::Lagging => machine.lags(),
            Letter::Forgotten => machine.forgotten(),
            Letter::Restricted(access) => machine.restricted(&access),
            Letter::Row(_) => {}
        }
    }
    hint(machine, &mut rows);
}
