//! The server under simulation: the real machines, mailroom, outboxes, ledger and registry; threads, sockets and timers
//! are events.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use yizhan::actor::dispatch::{Trip, route};
use yizhan::actor::mailroom::{Bounds, Letter, Letters};
use yizhan::actor::outbox::{Frames, Outbox, outbox};
use yizhan::actor::registry::{Member, Registry};
use yizhan::code::Code;
use yizhan::id::{Did, Seq, Uid};
use yizhan::machine::delivery::Delivery;
use yizhan::machine::device::{Device, Epoch, ReadTicket, Rules, Slot, Ticket};
use yizhan::message::look::{Found, Look};
use yizhan::message::{Answer, Command, Op};
use yizhan::store::ledger::{Committed, Ledger};

/// A device process, as the registry knows it.
#[derive(Clone, Debug)]
pub struct ProcRef {
    pub serial: u64,
    alive: Arc<AtomicBool>,
}

impl Member for ProcRef {
    fn is_alive(&self) -> bool {
        self.alive.load(Ordering::Relaxed)
    }

    fn serial(&self) -> u64 {
        self.serial
    }
}

/// What waits in the mailbox of a device process.
#[derive(Debug)]
pub enum Mail {
    /// With the end of the token.
    Connect(Epoch, u64),
    Ask(Epoch, Command),
    Renewed(Epoch, u64),
    Wake,
    Alive,
    Closed(Epoch),
    Resend(Slot, bool),
    Drain,
}

/// A device process.
pub struct Proc {
    pub me: ProcRef,
    pub uid: Uid,
    pub did: Did,
    pub machine: Device,
    pub mailbox: VecDeque<Mail>,
    pub letters: Letters,
    pub rows_waiting: usize,
    pub woken: bool,
    pub lines: BTreeMap<Epoch, Line>,
    pub deliveries: BTreeMap<Slot, (u64, Delivery)>,
    pub trips: BTreeMap<Slot, Arc<Trip>>,
    pub timer: Option<u64>,
    /// The connection that came last.
    pub latest: Epoch,
    /// The connection that the gauge of connected devices counts.
    pub online: Option<Epoch>,
}

/// The way from a device to the adapter of one connection.
pub struct Line {
    pub outbox: Outbox,
    pub frames: Frames,
    pub pumping: bool,
    /// Frames that were put in, to see its bound.
    pub pushed: u64,
    /// Rows that have left, to see that their first copies leave in order.
    pub left: BTreeSet<Seq>,
    /// Rows that have left with a page.
    pub paged: BTreeSet<Seq>,
}

impl Default for Line {
    fn default() -> Line {
        let (outbox, frames) = outbox();
        Line {
            outbox,
            frames,
            pumping: false,
            pushed: 0,
            left: BTreeSet::new(),
            paged: BTreeSet::new(),
        }
    }
}

impl Proc {
    /// Takes the letters that wait.
    pub fn collect(&mut self) -> Vec<Letter> {
        self.woken = false;
        self.rows_waiting = 0;
        self.letters.take()
    }
}

/// One life of the server process.
pub struct Server {
    pub ledger: Ledger,
    pub registry: Registry<ProcRef>,
    pub procs: BTreeMap<u64, Proc>,
    pub requests: VecDeque<(u64, Ticket, Op)>,
    pub committing: bool,
    pub flushing: Option<Batch>,
    pub reads: Vec<(u64, ReadTicket, Look)>,
    pub rules: Rules,
    pub letters: Bounds,
    /// Rows that found the mailroom full.
    pub rows_beyond: u64,
    /// A planted bug: those rows raise no head.
    pub loses_rows_beyond: bool,
}

/// A batch between its commit and its publication.
pub struct Batch {
    pub askers: Vec<(u64, Ticket)>,
    pub ops: Vec<Op>,
    pub at: u64,
    pub done: Committed,
    /// Nothing of it was done.
    pub refused: bool,
    pub flushed: bool,
}

impl Server {
    pub fn new(ledger: Ledger, rules: Rules, letters: Bounds) -> Server {
        Server {
            ledger,
            registry: Registry::default(),
            procs: BTreeMap::new(),
            requests: VecDeque::new(),
            committing: false,
            flushing: None,
            reads: Vec::new(),
            rules,
            letters,
            rows_beyond: 0,
            loses_rows_beyond: false,
        }
    }

    /// The process of a device, started if there is none.
    pub fn process(&mut self, uid: Uid, did: &Did, serial: u64) -> u64 {
        let (procs, rules, letters) = (&mut self.procs, self.rules, self.letters);
        let found = self.registry.find_or_insert(uid, did, || {
            let me = ProcRef {
                serial,
                alive: Arc::new(AtomicBool::new(true)),
            };
            let proc = Proc {
                me: me.clone(),
                uid,
                did: did.clone(),
                machine: Device::new(uid, did.clone(), rules),
                mailbox: VecDeque::new(),
                letters: Letters::within(letters),
                rows_waiting: 0,
                woken: false,
                lines: BTreeMap::new(),
                deliveries: BTreeMap::new(),
                trips: BTreeMap::new(),
                timer: None,
                latest: 0,
                online: None,
            };
            procs.insert(serial, proc);
            me
        });
        found.expect("the registry has no bound").serial
    }

    /// Ends a process as the actor's end does.
    pub fn end(&mut self, serial: u64) {
        if let Some(proc) = self.crash(serial) {
            self.registry.remove(proc.uid, &proc.did, serial);
        }
    }

    /// Ends a process as a panic does: it tells nobody.
    pub fn crash(&mut self, serial: u64) -> Option<Proc> {
        let proc = self.procs.remove(&serial)?;
        proc.me.alive.store(false, Ordering::Relaxed);
        Some(proc)
    }

    /// Leaves a letter; true if the process has to be woken.
    pub fn leave(&mut self, serial: u64, letter: Letter) -> bool {
        let Some(proc) = self.procs.get_mut(&serial) else {
            return false;
        };
        if let Letter::Row(_) = letter {
            if proc.rows_waiting < self.letters.rows {
                proc.rows_waiting += 1;
            } else {
                self.rows_beyond += 1;
                if self.loses_rows_beyond {
                    return false;
                }
            }
        }
        proc.letters.add(letter);
        !std::mem::replace(&mut proc.woken, true)
    }

    /// Publishes a batch as the dispatch does; returns the processes to wake.
    pub fn publish(&mut self, askers: Vec<(u64, Ticket)>, done: Committed) -> Vec<u64> {
        let mut left: Vec<(u64, Letter)> = Vec::new();
        let answers: Vec<Answer> = done.answers;
        for ((serial, ticket), answer) in askers.into_iter().zip(answers) {
            left.push((serial, Letter::Answer(ticket, answer)));
        }
        let leave = |proc: &ProcRef, letter| left.push((proc.serial, letter));
        route(&self.registry, done.news, leave, |_| {});
        let mut woken = Vec::new();
        for (serial, letter) in left {
            if self.leave(serial, letter) {
                woken.push(serial);
            }
        }
        woken
    }

    /// What a reader was asked for.
    pub fn found(&mut self, serial: u64, ticket: ReadTicket, found: Result<Found, Code>) -> bool {
        self.leave(serial, Letter::Found(ticket, found))
    }
}
