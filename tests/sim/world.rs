//! The world around the server: virtual time, and one step after the other.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BinaryHeap};
use std::sync::Arc;

use parking_lot::Mutex;
use yizhan::id::{Cid, Did, Seq, Uid};
use yizhan::machine::device::{Epoch, Slot};
use yizhan::message::Op;
use yizhan::store::ledger::{self, News};

use crate::book::Book;
use crate::bugs::Bug;
use crate::client::Client;
use crate::devices::Journey;
use crate::engine::FailingEngine;
use crate::network::{Conn, Frame, Up};
use crate::orders::Ordered;
use crate::scenario::{Family, Scenario};
use crate::server::Server;
use crate::store::Trouble;
use crate::tally::Ran;

/// After the faults everybody stays where they are for so long: whoever is connected must need no new login to get
/// what was accepted.
pub const CALM_MS: u64 = 1_500;
/// Within so long after the faults everybody logs in anew.
pub const RELOGIN_MS: u64 = 80;
/// How long everything may take to come right after the faults, and everybody to leave after that.
const RECOVERY_MS: u64 = 30_000;
const LEAVING_MS: u64 = 2_000;

/// Something that will happen.
#[derive(Debug)]
pub enum Step {
    ClientTick(usize),
    ToServer(u64, Up),
    ToClient(u64, Frame),
    Hangup(u64),
    Unjam(u64),
    Sweep,
    Commit,
    Flush,
    Publish,
    Read,
    Mailbox(u64),
    Pump(Epoch),
    Due(u64, Slot),
    Timer(u64, u64),
    RegisterLate(u64, Epoch),
    Relogin(usize),
    Calm,
    Audit,
    StoreFault,
    Crash,
    Kill,
    Order(usize),
    Drained,
    Start,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// Everything goes wrong.
    Faults,
    /// Nothing does, and nobody moves.
    Calm,
    /// Clients come and go as they like.
    Recovery,
    /// Everything is done: everybody goes.
    Leaving,
}

pub struct World {
    pub rng: fastrand::Rng,
    pub begun: u64,
    pub now: u64,
    agenda: BinaryHeap<Planned>,
    pub phase: Phase,
    pub scenario: Scenario,
    pub bug: Option<Bug>,
    pub trace: bool,
    // The server.
    pub engine: Arc<FailingEngine>,
    pub server: Option<Server>,
    pub serials: u64,
    pub trouble: Option<Trouble>,
    /// Requests of a failed batch: what became of them is seen when the engine is open again.
    pub maybe: Vec<(u64, Op)>,
    /// The news of that batch.
    pub doubtful: Vec<News>,
    pub sweep_due: bool,
    pub draining: bool,
    /// The gauge of rows.
    pub rows: i64,
    /// The gauge of connected devices.
    pub online: i64,
    pub journeys: Vec<Journey>,
    /// Journeys that have ended unsettled, not yet told to their senders.
    pub failed: Arc<Mutex<Vec<usize>>>,
    // The people and their network.
    pub clients: Vec<Client>,
    pub dids: Vec<(Uid, Did)>,
    pub conns: BTreeMap<u64, Conn>,
    pub epochs: BTreeMap<Epoch, u64>,
    pub orders: Vec<Ordered>,
    /// The highest count that was told of each message of a group.
    pub counted: BTreeMap<(Cid, Seq), u64>,
    // What has to be true.
    pub book: Book,
    /// When each row was announced to the devices that were there.
    pub announced: BTreeMap<(Uid, Seq), u64>,
    pub not_found: u64,
    pub ran: Ran,
}

/// A step at its time; steps of the same moment come in any order.
struct Planned {
    at: u64,
    tie: u64,
    step: Step,
}

impl Ord for Planned {
    fn cmp(&self, other: &Planned) -> Ordering {
        (other.at, other.tie).cmp(&(self.at, self.tie))
    }
}

impl PartialOrd for Planned {
    fn partial_cmp(&self, other: &Planned) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Planned {
    fn eq(&self, other: &Planned) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Planned {}

impl World {
    pub fn new(seed: u64, family: Family, bug: Option<Bug>, trace: bool) -> World {
        let begun = 1_000_000;
        let mut rng = fastrand::Rng::with_seed(seed);
        let mut scenario = Scenario::draw(&mut rng, begun, family);
        let engine = Arc::new(FailingEngine::new(scenario.batch_max, bug));
        ledger::prepare(&*engine).unwrap();
        let clients = std::mem::take(&mut scenario.clients);
        World {
            rng,
            begun,
            now: begun,
            agenda: BinaryHeap::new(),
            phase: Phase::Faults,
            bug,
            trace,
            engine,
            server: None,
            serials: 1,
            trouble: None,
            maybe: Vec::new(),
            doubtful: Vec::new(),
            sweep_due: false,
            draining: false,
            rows: 0,
            online: 0,
            journeys: Vec::new(),
            failed: Arc::default(),
            dids: clients.iter().map(|c| (c.uid, c.did.clone())).collect(),
            clients,
            conns: BTreeMap::new(),
            epochs: BTreeMap::new(),
            orders: Vec::new(),
            counted: BTreeMap::new(),
            book: Book::new(scenario.policy),
            announced: BTreeMap::new(),
            not_found: 0,
            ran: Ran::default(),
            scenario,
        }
    }

    /// Runs until everything has come right and everybody has gone.
    pub fn run(mut self) -> Result<Ran, String> {
        self.plan();
        let calm = self.begun + self.scenario.faults_ms;
        let mut until = calm + RECOVERY_MS;
        while let Some(Planned { at, step, .. }) = self.agenda.pop() {
            self.now = at;
            self.ran.steps += 1;
            if self.trace {
                println!("{:>6} {step:?}", self.now - self.begun);
            }
            let looks = matches!(step, Step::ToClient(..) | Step::ClientTick(_) | Step::Calm);
            self.step(step)?;
            self.tell_failures()?;
            if self.phase == Phase::Leaving {
                if self.is_empty() {
                    return self.verify();
                }
            } else if looks && self.phase > Phase::Faults && self.is_done() {
                self.phase = Phase::Leaving;
                until = self.now + LEAVING_MS;
                for client in 0..self.clients.len() {
                    self.leave(client);
                }
            }
            if self.now > until {
                return Err(format!("it does not come right: {}", self.unfinished()));
            }
        }
        Err("nothing happens any more".into())
    }

    fn plan(&mut self) {
        for (at, op) in std::mem::take(&mut self.scenario.orders) {
            self.order(op, at);
        }
        for (who, chat, id, at) in std::mem::take(&mut self.scenario.thoughts) {
            self.may_change(who, chat, &id, at);
        }
        let faults_ms = self.scenario.faults_ms;
        self.after(0, Step::Start);
        self.after(faults_ms, Step::Calm);
        self.after(faults_ms + CALM_MS, Step::Audit);
        for client in 0..self.clients.len() {
            let at = self.rng.u64(..20);
            self.after(at, Step::ClientTick(client));
            // A login in the moment when the last messages come: nothing later would make up for what it misses.
            let at = faults_ms + self.rng.u64(..RELOGIN_MS);
            self.after(at, Step::Relogin(client));
        }
        for at in std::mem::take(&mut self.scenario.kills) {
            self.after(at, Step::Kill);
        }
        for at in std::mem::take(&mut self.scenario.crashes) {
            self.after(at, Step::Crash);
        }
        for at in std::mem::take(&mut self.scenario.store_faults) {
            self.after(at, Step::StoreFault);
        }
    }

    fn step(&mut self, step: Step) -> Result<(), String> {
        match step {
            Step::ClientTick(client) => self.client_tick(client),
            Step::ToServer(conn, up) => self.reaches_server(conn, up),
            Step::ToClient(conn, frame) => return self.reaches_client(conn, frame),
            Step::Hangup(conn) => self.hangup(conn),
            Step::Unjam(conn) => self.unjam(conn),
            Step::Sweep => self.sweep(),
            Step::Commit => return self.commit(),
            Step::Flush => return self.flush(),
            Step::Publish => self.publish(),
            Step::Read => self.read(),
            Step::Mailbox(serial) => return self.mailbox(serial),
            Step::Pump(epoch) => self.pump(epoch),
            Step::Due(serial, slot) => self.due(serial, slot),
            Step::Timer(serial, at) => return self.timer(serial, at),
            Step::RegisterLate(serial, epoch) => {
                if self.line(serial, epoch).is_some() {
                    self.register(serial, epoch);
                }
            }
            Step::Relogin(client) => self.relogin(client),
            Step::Calm => {
                self.phase = Phase::Calm;
                self.engine.disarm();
            }
            Step::Audit => {
                if self.phase == Phase::Calm {
                    self.phase = Phase::Recovery;
                    return self.audit();
                }
            }
            Step::StoreFault => self.store_fault(),
            Step::Crash => self.crash(),
            Step::Kill => return self.kill(),
            Step::Order(number) => self.give_order(number),
            Step::Drained => return self.drained(),
            Step::Start => return self.start(),
        }
        Ok(())
    }

    pub fn after(&mut self, ms: u64, step: Step) {
        self.at(self.now + ms, step);
    }

    pub fn at(&mut self, at: u64, step: Step) {
        let tie = self.rng.u64(..);
        self.agenda.push(Planned { at, tie, step });
    }

    pub fn soon(&mut self, step: Step) {
        let ms = self.rng.u64(..4);
        self.after(ms, step);
    }

    /// Takes steps back.
    pub fn only(&mut self, keep: impl Fn(&Step) -> bool) {
        self.agenda.retain(|planned| keep(&planned.step));
    }

    pub fn chance(&mut self, percent: u8) -> bool {
        percent > 0 && self.rng.u8(..100) < percent
    }

    pub fn is_planted(&self, bug: Bug) -> bool {
        self.bug == Some(bug)
    }
}
