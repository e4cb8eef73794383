//! What waits for a device from other threads: letters pile up here, and one wake-up at most is on its way.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use actix::{Addr, Message};
use parking_lot::Mutex;

use crate::code::Code;
use crate::id::{Did, Seq, Uid};
use crate::machine::device::{ReadTicket, Ticket};
use crate::message::{Answer, Page, Receipt, Row, Signal};

use super::device::Device;
use super::dispatch::Trip;
use super::registry::Member;

/// Rows that wait: beyond it only the head is raised, and the device pulls.
const ROWS_MAX: usize = 64;
/// Payload bytes of rows that wait, as of signals; one may always wait.
const BYTES_MAX: usize = 1 << 20;
/// Receipts that wait: they are derived, so the ones beyond it are left to a status question.
const RECEIPTS_MAX: usize = 1024;
/// Signals that wait: the ones beyond it count as not taken.
const SIGNALS_MAX: usize = 64;

/// Something for a device. Answers and pages are bounded by the requests that the device has in hand.
#[derive(Debug)]
pub enum Letter {
    /// The committer answers.
    Answer(Ticket, Answer),
    /// The rows asked for.
    Page(ReadTicket, Result<Page, Code>),
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
    /// Rows were given up for this device.
    Lagging,
    /// The committer does not know this device any more.
    Forgotten,
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
    addr: Addr<Device>,
    woken: AtomicBool,
    letters: Mutex<Letters>,
}

#[derive(Debug, Default)]
struct Letters {
    waiting: Vec<Letter>,
    rows: usize,
    row_bytes: usize,
    receipts: usize,
    signals: usize,
    signal_bytes: usize,
}

impl DeviceRef {
    /// The way to a process that has just been started.
    pub fn new(uid: Uid, did: Did, serial: u64, addr: Addr<Device>) -> DeviceRef {
        DeviceRef(Arc::new(Inner {
            uid,
            did,
            serial,
            addr,
            woken: AtomicBool::new(false),
            letters: Mutex::default(),
        }))
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
        std::mem::take(&mut *self.0.letters.lock()).waiting
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

impl Letters {
    fn add(&mut self, letter: Letter) {
        let letter = match letter {
            Letter::Row(row) if self.rows >= ROWS_MAX || self.row_bytes >= BYTES_MAX => {
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
            Letter::Receipt(_) if self.receipts >= RECEIPTS_MAX => return,
            Letter::Receipt(_) => self.receipts += 1,
            Letter::Signal(_) if self.signals >= SIGNALS_MAX || self.signal_bytes >= BYTES_MAX => {
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
}
