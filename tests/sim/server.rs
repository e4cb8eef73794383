//! The server under simulation: the real machines, ledger and registry; threads, sockets and timers are events.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use yizhan::actor::mailroom::Letter;
use yizhan::actor::registry::{Member, Registry};
use yizhan::code::Code;
use yizhan::id::{Did, Seq, Uid};
use yizhan::machine::delivery::Delivery;
use yizhan::machine::device::{Device, Epoch, ReadTicket, Rules, Slot, Ticket};
use yizhan::message::{Answer, Command, Event, Op, Page, Read};
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
    Connect(Epoch),
    Ask(Epoch, Command),
    Wake,
    Closed(Epoch),
    Resend(Slot, bool),
    Tick,
}

/// A device process.
pub struct Proc {
    pub me: ProcRef,
    pub uid: Uid,
    pub did: Did,
    pub machine: Device,
    pub mailbox: VecDeque<Mail>,
    pub letters: Vec<Letter>,
    pub woken: bool,
    pub outboxes: BTreeMap<Epoch, Outbox>,
    pub deliveries: BTreeMap<Slot, (u64, Delivery)>,
    pub timer: Option<u64>,
}

/// Frames that the adapter has not taken.
#[derive(Default)]
pub struct Outbox {
    pub queue: VecDeque<Event>,
    pub taken: u64,
    pub pumping: bool,
    pub wants_room: bool,
    /// Rows that have left, to see that their first copies leave in order.
    pub left: BTreeSet<Seq>,
}

/// One life of the server process.
pub struct Server {
    pub ledger: Ledger,
    pub registry: Registry<ProcRef>,
    pub procs: BTreeMap<u64, Proc>,
    pub requests: VecDeque<(u64, Ticket, Op)>,
    pub committing: bool,
    pub flushing: Option<Batch>,
    pub reads: Vec<(u64, ReadTicket, Read)>,
    pub rules: Rules,
}

/// A batch between its commit and its publication.
pub struct Batch {
    pub askers: Vec<(u64, Ticket, Op)>,
    pub done: Committed,
}

impl Server {
    pub fn new(ledger: Ledger, rules: Rules) -> Server {
        Server {
            ledger,
            registry: Registry::default(),
            procs: BTreeMap::new(),
            requests: VecDeque::new(),
            committing: false,
            flushing: None,
            reads: Vec::new(),
            rules,
        }
    }

    /// The process of a device, started if there is none.
    pub fn process(&mut self, uid: Uid, did: &Did, serial: u64) -> u64 {
        let (procs, rules) = (&mut self.procs, self.rules);
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
                letters: Vec::new(),
                woken: false,
                outboxes: BTreeMap::new(),
                deliveries: BTreeMap::new(),
                timer: None,
            };
            procs.insert(serial, proc);
            me
        });
        found.expect("the registry has no bound").serial
    }

    /// Ends a process as the actor's end does.
    pub fn end(&mut self, serial: u64) {
        if let Some(proc) = self.procs.remove(&serial) {
            proc.me.alive.store(false, Ordering::Relaxed);
            self.registry.remove(proc.uid, &proc.did, serial);
        }
    }

    /// Leaves a letter; true if the process has to be woken.
    pub fn leave(&mut self, serial: u64, letter: Letter) -> bool {
        let Some(proc) = self.procs.get_mut(&serial) else {
            return false;
        };
        proc.letters.push(letter);
        !std::mem::replace(&mut proc.woken, true)
    }

    /// Publishes a batch as the dispatch does; returns the processes to wake.
    pub fn publish(&mut self, batch: Batch) -> Vec<u64> {
        let mut left: Vec<(u64, Letter)> = Vec::new();
        let answers: Vec<Answer> = batch.done.answers;
        for ((serial, ticket, _), answer) in batch.askers.into_iter().zip(answers) {
            left.push((serial, Letter::Answer(ticket, answer)));
        }
        yizhan::actor::dispatch::route(&self.registry, batch.done.news, |proc, letter| {
            left.push((proc.serial, letter));
        });
        let mut woken = Vec::new();
        for (serial, letter) in left {
            if self.leave(serial, letter) {
                woken.push(serial);
            }
        }
        woken
    }

    /// A page has been read.
    pub fn page(&mut self, serial: u64, ticket: ReadTicket, page: Result<Page, Code>) -> bool {
        self.leave(serial, Letter::Page(ticket, page))
    }
}
