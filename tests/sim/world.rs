//! The world around the server: virtual time, a network that fails, and what has to be true in the end.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};
use std::sync::Arc;

use yizhan::actor::mailroom::Letter;
use yizhan::code::Code;
use yizhan::id::{Did, MsgId, Seq, Uid};
use yizhan::machine::delivery::Delivery;
use yizhan::machine::device::{Effect, Epoch, Rules, Ticket};
use yizhan::machine::inbox::Bounds;
use yizhan::machine::ranges::Ranges;
use yizhan::machine::schedule::Schedule;
use yizhan::message::{Ack, Answer, Command, Event, Op, State};
use yizhan::store::ledger::{self, Ledger, News, Policy};
use yizhan::store::memory::MemoryEngine;
use yizhan::store::{Batch as Writes, Engine, record};

use crate::client::{AckForm, Client, Progress};
use crate::server::{Batch, Mail, Outbox, Server};

/// How long faults go on, and how long everything may take to come right afterwards, milliseconds.
const FAULTS_MS: u64 = 600;
const RECOVERY_MS: u64 = 30_000;
/// After the faults everybody stays where they are for so long: whoever is connected must need no new login to get
/// what was accepted.
const CALM_MS: u64 = 1_500;

/// A bug put in on purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bug {
    NoDedupeAcrossRestart,
    HeadBeforeRegistration,
    AckByIdAlone,
}

/// What happened in a run, in numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ran {
    pub steps: u64,
    pub accepted: u64,
    pub received: u64,
    pub kills: u64,
    pub lost: u64,
    pub doubled: u64,
    pub replaced: u64,
    pub resent: u64,
}

impl Ran {
    pub fn add(&mut self, other: &Ran) {
        self.steps += other.steps;
        self.accepted += other.accepted;
        self.received += other.received;
        self.kills += other.kills;
        self.lost += other.lost;
        self.doubled += other.doubled;
        self.replaced += other.replaced;
        self.resent += other.resent;
    }
}

/// Something that will happen.
#[derive(Debug)]
enum Step {
    ClientTick(usize),
    ToServer(u64, Command),
    ToClient(u64, Frame),
    Hangup(u64),
    Commit,
    Flush,
    Publish,
    ReadPage,
    Mailbox(u64),
    Pump(u64),
    Due(u64, u64),
    Timer(u64, u64),
    RegisterLate(u64, Epoch),
    Relogin(usize),
    Audit,
    Kill,
    Start,
}

/// What crosses the network towards a client.
#[derive(Debug)]
enum Frame {
    Open,
    Event(Event),
    Closed,
}

/// One connection, from both ends.
struct Conn {
    client: usize,
    /// The process and epoch, while the server knows the connection.
    at: Option<(u64, Epoch)>,
    /// When the last frame in each direction arrives: a connection keeps its order.
    last_up: u64,
    last_down: u64,
}

pub struct World {
    rng: fastrand::Rng,
    now: u64,
    queue: BinaryHeap<Reverse<(u64, u64, u64)>>,
    steps: BTreeMap<u64, Step>,
    order: u64,
    engine: Arc<MemoryEngine>,
    server: Option<Server>,
    serials: u64,
    clients: Vec<Client>,
    conns: BTreeMap<u64, Conn>,
    epochs: BTreeMap<Epoch, u64>,
    faults: bool,
    calm: bool,
    loss: u8,
    doubling: u8,
    loss_cuts: bool,
    schedule: Schedule,
    rules: Rules,
    bug: Option<Bug>,
    trace: bool,
    /// Durable rows, by what they are: a second one for the same message breaks the promise.
    durable: BTreeMap<(Uid, Uid, MsgId), Seq>,
    /// Devices that must get it, for every durable row.
    owed: BTreeMap<(Uid, Seq), Vec<usize>>,
    durable_at: BTreeMap<(Uid, Seq), u64>,
    known: BTreeSet<(Uid, Did)>,
    ran: Ran,
}

impl World {
    pub fn new(seed: u64, bug: Option<Bug>, trace: bool) -> World {
        let mut rng = fastrand::Rng::with_seed(seed);
        let loss = [0, 0, 15, 40][rng.usize(..4)];
        let doubling = [0, 0, 20][rng.usize(..3)];
        let shared_ids = rng.bool();
        let mut forms = vec![AckForm::Seqs, AckForm::UpTo];
        if doubling == 0 || !shared_ids {
            forms.extend([AckForm::Text, AckForm::Text]);
        }
        // A text acknowledgement does not say whose message it is for. When ids are shared it relies on what a
        // connection is: nothing on it is doubled, and what it loses ends it.
        let loss_cuts = shared_ids && doubling == 0;
        let form = |rng: &mut fastrand::Rng| forms[rng.usize(..forms.len())];
        let mut clients = vec![
            Client::new(Uid(1), "a", form(&mut rng)),
            Client::new(Uid(2), "c", form(&mut rng)),
            Client::new(Uid(3), "phone", form(&mut rng)),
        ];
        if rng.bool() {
            clients.push(Client::new(Uid(3), "web", form(&mut rng)));
        }
        for n in 0..rng.usize(1..6) {
            clients[0].will_send(&format!("m{n}"), Uid(3));
            let other = if shared_ids {
                format!("m{n}")
            } else {
                format!("c{n}")
            };
            clients[1].will_send(&other, Uid(3));
        }
        if rng.bool() {
            clients[2].will_send("back", Uid(1));
            clients[2].will_send("self", Uid(3));
        }
        let window = rng.usize(1..5);
        let engine = Arc::new(MemoryEngine::new());
        ledger::prepare(&*engine).unwrap();
        World {
            now: 1_000_000,
            queue: BinaryHeap::new(),
            steps: BTreeMap::new(),
            order: 0,
            engine,
            server: None,
            serials: 1,
            clients,
            conns: BTreeMap::new(),
            epochs: BTreeMap::new(),
            faults: true,
            calm: false,
            loss,
            doubling,
            loss_cuts,
            schedule: Schedule::from_gaps(&[0, 30, 30, 60]),
            rules: Rules {
                deliver_window: window,
                send_window: 4,
                page_bytes: 4096,
                token_notice_ms: 0,
                read_retry_ms: 20,
                retry_ms: 10,
                seen_every_ms: 10_000_000,
                write_deadline_ms: u64::MAX,
                silence_ms: u64::MAX,
            },
            bug,
            trace,
            durable: BTreeMap::new(),
            owed: BTreeMap::new(),
            durable_at: BTreeMap::new(),
            known: BTreeSet::new(),
            ran: Ran::default(),
            rng,
        }
    }

    /// Runs until everything has come right.
    pub fn run(mut self) -> Result<Ran, String> {
        let begun = self.now;
        self.after(0, Step::Start);
        self.after(FAULTS_MS + CALM_MS, Step::Audit);
        for client in 0..self.clients.len() {
            let at = self.rng.u64(..20);
            self.after(at, Step::ClientTick(client));
            // A login in the moment when the last messages come: nothing later would make up for what it misses.
            let at = FAULTS_MS + self.rng.u64(..80);
            self.after(at, Step::Relogin(client));
            let released: Vec<u64> = (0..self.clients[client].outgoing.len())
                .map(|_| begun + self.rng.u64(..FAULTS_MS + 80))
                .collect();
            self.clients[client].release(released);
        }
        for _ in 0..self.rng.usize(..4) {
            let at = self.rng.u64(20..FAULTS_MS);
            self.after(at, Step::Kill);
        }
        while let Some(Reverse((at, _, key))) = self.queue.pop() {
            self.now = at;
            self.faults = self.now < begun + FAULTS_MS;
            self.calm = !self.faults && self.now < begun + FAULTS_MS + CALM_MS;
            let Some(step) = self.steps.remove(&key) else {
                continue;
            };
            self.ran.steps += 1;
            if self.trace {
                println!("{:>6} {step:?}", self.now - begun);
            }
            self.step(step)?;
            if !self.faults && self.is_done() {
                return self.verify();
            }
            if self.now > begun + FAULTS_MS + RECOVERY_MS {
                return Err(format!("it does not come right: {}", self.unfinished()));
            }
        }
        Err("nothing happens any more".into())
    }

    fn step(&mut self, step: Step) -> Result<(), String> {
        match step {
            Step::ClientTick(client) => self.client_tick(client),
            Step::ToServer(conn, command) => self.reaches_server(conn, command),
            Step::ToClient(conn, frame) => return self.reaches_client(conn, frame),
            Step::Hangup(conn) => self.hangup(conn),
            Step::Commit => return self.commit(),
            Step::Flush => return self.flush(),
            Step::Publish => self.publish(),
            Step::ReadPage => self.read_page(),
            Step::Mailbox(serial) => return self.mailbox(serial),
            Step::Pump(epoch) => self.pump(epoch),
            Step::Due(serial, slot) => self.due(serial, slot),
            Step::Timer(serial, at) => return self.timer(serial, at),
            Step::RegisterLate(serial, epoch) => self.register(serial, epoch),
            Step::Relogin(client) => {
                self.leave(client);
                self.connect(client);
            }
            Step::Audit => return self.audit(),
            Step::Kill => self.kill(),
            Step::Start => self.start(),
        }
        Ok(())
    }

    // Time.

    fn after(&mut self, ms: u64, step: Step) {
        self.at(self.now + ms, step);
    }

    fn at(&mut self, at: u64, step: Step) {
        self.order += 1;
        // Steps of the same moment come in any order.
        let tie = self.rng.u64(..);
        self.queue.push(Reverse((at, tie, self.order)));
        self.steps.insert(self.order, step);
    }

    fn soon(&mut self, step: Step) {
        let ms = self.rng.u64(..4);
        self.after(ms, step);
    }

    fn chance(&mut self, percent: u8) -> bool {
        self.rng.u8(..100) < percent
    }

    // Clients.

    fn client_tick(&mut self, who: usize) {
        let next = self.rng.u64(3..25);
        self.after(next, Step::ClientTick(who));
        if self.clients[who].conn.is_none() {
            if !self.faults || self.chance(60) {
                self.connect(who);
            }
            return;
        }
        if !self.clients[who].open {
            // A login that does not get through is given up.
            if self.chance(3) {
                self.leave(who);
            }
            return;
        }
        let restless = if self.faults { 6 } else { u8::from(!self.calm) };
        if self.chance(restless) {
            self.leave(who);
            if self.chance(50) {
                self.connect(who);
            }
            return;
        }
        if self.faults && self.chance(4) {
            // Comes again while the server still takes the old connection for good.
            self.ran.replaced += 1;
            self.connect(who);
            return;
        }
        let repeat = self.rng.bool();
        let mut commands = self.clients[who].due(self.now, repeat);
        if self.chance(10) {
            let after = self.rng.u64(..4);
            commands.push(Command::Sync { after, limit: 3 });
        }
        self.send(who, commands);
    }

    fn connect(&mut self, who: usize) {
        if self.server.is_none() {
            return;
        }
        self.serials += 1;
        let (id, now) = (self.serials, self.now);
        self.clients[who].connecting(id);
        let (uid, did) = (self.clients[who].uid, self.clients[who].did.clone());
        self.serials += 2;
        let (serial, epoch) = (self.serials - 1, self.serials);
        let Some(server) = self.server.as_mut() else {
            return;
        };
        let serial = server.process(uid, &did, serial);
        self.conns.insert(
            id,
            Conn {
                client: who,
                at: Some((serial, epoch)),
                last_up: now,
                last_down: now,
            },
        );
        self.epochs.insert(epoch, id);
        self.mail(serial, Mail::Connect(epoch));
    }

    /// The client goes; the server hears of it sooner or later.
    fn leave(&mut self, who: usize) {
        let Some(conn) = self.clients[who].conn else {
            return;
        };
        self.clients[who].disconnected();
        let ms = self.rng.u64(..60);
        self.after(ms, Step::Hangup(conn));
    }

    fn send(&mut self, who: usize, commands: Vec<Command>) {
        let Some(conn) = self.clients[who].conn else {
            return;
        };
        for command in commands {
            let copies = self.copies(conn);
            for _ in 0..copies {
                let delay = self.rng.u64(..8);
                let Some(wire) = self.conns.get_mut(&conn) else {
                    return;
                };
                wire.last_up = wire.last_up.max(self.now + delay);
                let at = wire.last_up;
                self.at(at, Step::ToServer(conn, command.clone()));
            }
        }
    }

    /// How often a frame arrives: not at all, once, or twice.
    fn copies(&mut self, conn: u64) -> u32 {
        if self.faults && self.chance(self.loss) {
            self.ran.lost += 1;
            let who = self.conns.get(&conn).map(|c| c.client);
            if let Some(who) = who.filter(|_| self.loss_cuts)
                && self.clients[who].conn == Some(conn)
            {
                self.leave(who);
            }
            return 0;
        }
        if self.faults && self.chance(self.doubling) {
            self.ran.doubled += 1;
            return 2;
        }
        1
    }

    fn reaches_client(&mut self, conn: u64, frame: Frame) -> Result<(), String> {
        let Some(who) = self.conns.get(&conn).map(|c| c.client) else {
            return Ok(());
        };
        if self.clients[who].conn != Some(conn) {
            return Ok(());
        }
        match frame {
            Frame::Open => self.clients[who].open = true,
            Frame::Closed => {
                self.clients[who].disconnected();
                self.soon(Step::Hangup(conn));
            }
            Frame::Event(event) => {
                self.check_said(who, &event)?;
                let answers = self.clients[who].receive(self.now, event)?;
                self.send(who, answers);
            }
        }
        Ok(())
    }

    /// What the server says must be so.
    fn check_said(&self, who: usize, event: &Event) -> Result<(), String> {
        let from = self.clients[who].uid;
        let is_durable = |to: Uid, id: &MsgId| self.durable.contains_key(&(to, from, id.clone()));
        let has_it = |to: Uid, id: &MsgId| {
            let readers = self.clients.iter().filter(|c| c.uid == to);
            readers
                .into_iter()
                .any(|c| c.seen.contains_key(&(from, id.clone())))
        };
        match event {
            Event::Accepted { id, to, .. } if !is_durable(*to, id) => {
                Err(format!("{id} to {to} was accepted and is not durable"))
            }
            Event::Delivered { id, reader, .. } if !has_it(*reader, id) => Err(format!(
                "{id} is said to be delivered, and {reader} has not got it"
            )),
            Event::Status(states) => {
                for (target, state) in states {
                    if *state == State::Delivered && !has_it(target.to, &target.id) {
                        return Err(format!("{target:?} is said to be delivered and is not"));
                    }
                    if *state == State::Accepted && !is_durable(target.to, &target.id) {
                        return Err(format!(
                            "{target:?} is said to be accepted and is not durable"
                        ));
                    }
                }
                Ok(())
            }
            Event::Deliver(row)
                if self.durable.get(&(
                    row.message.to,
                    row.message.from,
                    row.message.id.clone(),
                )) != Some(&row.seq) =>
            {
                Err(format!(
                    "row {} was delivered before it was durable",
                    row.seq
                ))
            }
            _ => Ok(()),
        }
    }

    // The server's edge.

    fn reaches_server(&mut self, conn: u64, command: Command) {
        let Some((serial, epoch)) = self.conns.get(&conn).and_then(|c| c.at) else {
            return;
        };
        if self.bug == Some(Bug::AckByIdAlone)
            && let Command::Ack(Ack::Id { id, .. }) = &command
        {
            self.ack_everything_called(serial, &id.clone());
        }
        self.mail(serial, Mail::Ask(epoch, command));
    }

    fn hangup(&mut self, conn: u64) {
        let Some((serial, epoch)) = self.conns.get_mut(&conn).and_then(|c| c.at.take()) else {
            return;
        };
        self.epochs.remove(&epoch);
        self.mail(serial, Mail::Closed(epoch));
    }

    fn pump(&mut self, epoch: Epoch) {
        let Some(conn) = self.epochs.get(&epoch).copied() else {
            return;
        };
        let Some((serial, _)) = self.conns.get(&conn).and_then(|c| c.at) else {
            return;
        };
        let Some(outbox) = self.outbox(serial, epoch) else {
            return;
        };
        outbox.pumping = false;
        let events: Vec<Event> = outbox.queue.drain(..).collect();
        outbox.taken += events.len() as u64;
        let wanted = std::mem::take(&mut outbox.wants_room);
        for event in events {
            match event {
                Event::Close(_) => self.down(conn, Frame::Closed),
                event => {
                    // The first frame of a login opens the connection, so its loss would be that of the connection.
                    let first = matches!(event, Event::Notice { .. });
                    for _ in 0..if first { 1 } else { self.copies(conn) } {
                        self.down(conn, Frame::Event(event.clone()));
                    }
                }
            }
        }
        if wanted {
            self.mail(serial, Mail::Tick);
        }
    }

    fn down(&mut self, conn: u64, frame: Frame) {
        let delay = self.rng.u64(..8);
        let Some(wire) = self.conns.get_mut(&conn) else {
            return;
        };
        wire.last_down = wire.last_down.max(self.now + delay) + 1;
        let at = wire.last_down;
        self.at(at, Step::ToClient(conn, frame));
    }

    // The server's inside.

    fn start(&mut self) {
        if self.bug == Some(Bug::NoDedupeAcrossRestart) {
            self.forget_dedupe();
        }
        let policy = Policy {
            bounds: Bounds {
                max_messages: 10_000,
                max_devices: 10,
                forget_ms: 1 << 40,
            },
            ttl_ms: 1 << 40,
        };
        let ledger = Ledger::new(self.engine.clone(), policy);
        self.server = Some(Server::new(ledger, self.rules));
    }

    /// Everything in memory is gone, and of what was not flushed only a beginning is left.
    fn kill(&mut self) {
        if self.server.take().is_none() {
            return;
        }
        self.ran.kills += 1;
        let kept = self.rng.usize(..=self.engine.unflushed());
        self.engine.crash(kept);
        self.survivors();
        self.epochs.clear();
        self.steps.retain(|_, step| {
            matches!(
                step,
                Step::ClientTick(_) | Step::ToClient(..) | Step::Audit | Step::Kill | Step::Start
            )
        });
        let broken: Vec<u64> = self
            .conns
            .iter()
            .filter(|(_, c)| c.at.is_some())
            .map(|(id, _)| *id)
            .collect();
        for conn in broken {
            if let Some(wire) = self.conns.get_mut(&conn) {
                wire.at = None;
            }
            self.down(conn, Frame::Closed);
        }
        let ms = self.rng.u64(1..80);
        self.after(ms, Step::Start);
    }

    /// Rows that a kill between commit and flush has left on the disk are durable all the same.
    fn survivors(&mut self) {
        let mut found = Vec::new();
        self.engine
            .scan(
                &[record::DEDUPE],
                &[record::DEDUPE + 1],
                &mut |key, value| {
                    let to = Uid(u64::from_be_bytes(key[1..9].try_into().unwrap()));
                    let from = Uid(u64::from_be_bytes(key[9..17].try_into().unwrap()));
                    let id = MsgId::parse(std::str::from_utf8(&key[17..]).unwrap()).unwrap();
                    let entry: yizhan::machine::dedupe::Entry = record::decode(key, value).unwrap();
                    found.push(((to, from, id), entry.seq));
                    true
                },
            )
            .unwrap();
        for (key, seq) in found {
            self.durable.entry(key).or_insert(seq);
        }
    }

    fn mail(&mut self, serial: u64, mail: Mail) {
        let Some(proc) = self.server.as_mut().and_then(|s| s.procs.get_mut(&serial)) else {
            return;
        };
        proc.mailbox.push_back(mail);
        self.soon(Step::Mailbox(serial));
    }

    fn mailbox(&mut self, serial: u64) -> Result<(), String> {
        let now = self.now;
        let Some(proc) = self.server.as_mut().and_then(|s| s.procs.get_mut(&serial)) else {
            return Ok(());
        };
        for (epoch, outbox) in &proc.outboxes {
            proc.machine.taken(*epoch, outbox.taken);
        }
        let Some(mail) = proc.mailbox.pop_front() else {
            return Ok(());
        };
        match mail {
            Mail::Connect(epoch) => {
                proc.outboxes.insert(epoch, Outbox::default());
                proc.machine.connect(epoch, u64::MAX);
            }
            Mail::Ask(epoch, command) => proc.machine.command(now, epoch, command),
            Mail::Closed(epoch) => {
                proc.machine.closed(epoch);
                proc.outboxes.remove(&epoch);
            }
            Mail::Resend(slot, last) => {
                if proc.machine.resend(slot, last) == yizhan::machine::device::Resend::Written {
                    self.ran.resent += 1;
                }
                if last {
                    proc.deliveries.remove(&slot);
                }
            }
            Mail::Tick => proc.machine.alive(),
            Mail::Wake => {
                proc.woken = false;
                for letter in std::mem::take(&mut proc.letters) {
                    match letter {
                        Letter::Answer(ticket, answer) => {
                            proc.machine.answered(now, ticket, answer)
                        }
                        Letter::Page(ticket, page) => proc.machine.page(now, ticket, page),
                        Letter::Row(row) => proc.machine.hint(row.seq, vec![row]),
                        Letter::Head(head) => proc.machine.hint(head, Vec::new()),
                        Letter::Receipt(receipt) => proc.machine.receipt(receipt),
                        Letter::Lagging => proc.machine.lags(),
                        Letter::Forgotten => proc.machine.forgotten(),
                        Letter::Signal(_) | Letter::SignalFailed(_) => {}
                    }
                }
            }
        }
        self.settle(serial)
    }

    fn settle(&mut self, serial: u64) -> Result<(), String> {
        loop {
            let Some(proc) = self.proc(serial) else {
                return Ok(());
            };
            let Some(effect) = proc.machine.next_effect() else {
                break;
            };
            self.obey(serial, effect)?;
        }
        let Some(proc) = self.proc(serial) else {
            return Ok(());
        };
        if proc.machine.walking() > proc.deliveries.len() {
            return Err("a delivery walks without a process".into());
        }
        if let Some(epoch) = proc.machine.starved()
            && let Some(outbox) = proc.outboxes.get_mut(&epoch)
        {
            outbox.wants_room = true;
        }
        let deadline = proc.machine.deadline().filter(|at| *at < u64::MAX);
        if proc.timer != deadline {
            proc.timer = deadline;
            if let Some(at) = deadline {
                let at = at.max(self.now);
                self.at(at, Step::Timer(serial, at));
            }
        }
        Ok(())
    }

    fn obey(&mut self, serial: u64, effect: Effect) -> Result<(), String> {
        let now = self.now;
        match effect {
            Effect::Push { epoch, event } => return self.push(serial, epoch, event),
            Effect::Notify { epoch, notice } => {
                let event = Event::Notice {
                    id: MsgId::parse("notice").unwrap(),
                    to: Uid(0),
                    notice,
                    server_ts: now,
                };
                return self.push(serial, epoch, event);
            }
            Effect::Close { epoch, close } => return self.push(serial, epoch, Event::Close(close)),
            // This world does not ask for the watch: its adapters freeze for a while and never for ever.
            Effect::Cut { epoch, .. } => return Err(format!("connection {epoch} was cut")),
            Effect::Ready { epoch, result } => {
                if let Some(conn) = self.epochs.get(&epoch).copied() {
                    let frame = if result.is_ok() {
                        Frame::Open
                    } else {
                        Frame::Closed
                    };
                    self.down(conn, frame);
                }
            }
            Effect::Submit { op, ticket } => self.submit(serial, ticket, op),
            Effect::Read { read, ticket } => {
                if let Some(server) = self.server.as_mut() {
                    server.reads.push((serial, ticket, read));
                }
                self.soon(Step::ReadPage);
            }
            Effect::Register(epoch) if self.bug == Some(Bug::HeadBeforeRegistration) => {
                let ms = self.rng.u64(4..20);
                self.after(ms, Step::RegisterLate(serial, epoch));
            }
            Effect::Register(epoch) => self.register(serial, epoch),
            Effect::Unregister(epoch) => {
                if let Some(server) = self.server.as_ref()
                    && let Some(proc) = server.procs.get(&serial)
                {
                    server.registry.unregister(proc.uid, &proc.did, epoch);
                }
            }
            Effect::Walk(slot) => {
                let delivery = Delivery::after_first(self.schedule.clone());
                let due = delivery.due();
                if let Some(proc) = self.proc(serial) {
                    proc.deliveries.insert(slot, (now, delivery));
                }
                if let Some(due) = due {
                    self.after(due, Step::Due(serial, slot));
                }
            }
            Effect::Halt { slot, .. } => {
                if let Some(proc) = self.proc(serial) {
                    proc.deliveries.remove(&slot);
                }
            }
            Effect::Stop => {
                if let Some(server) = self.server.as_mut() {
                    server.end(serial);
                }
            }
            Effect::Relay(_) | Effect::SignalOver { .. } => {}
        }
        Ok(())
    }

    fn push(&mut self, serial: u64, epoch: Epoch, event: Event) -> Result<(), String> {
        let bound = self.rules.outbox() as usize + 8;
        let Some(outbox) = self.outbox(serial, epoch) else {
            return Ok(());
        };
        if let Event::Deliver(row) = &event {
            let highest = outbox.left.last().copied().unwrap_or(0);
            if outbox.left.insert(row.seq) && row.seq < highest {
                return Err(format!("row {} leaves after row {highest}", row.seq));
            }
        }
        outbox.queue.push_back(event);
        if outbox.queue.len() > bound {
            return Err("an outbox grows beyond its bound".into());
        }
        if !std::mem::replace(&mut outbox.pumping, true) {
            self.soon(Step::Pump(epoch));
        }
        Ok(())
    }

    fn register(&mut self, serial: u64, epoch: Epoch) {
        if let Some(server) = self.server.as_ref()
            && let Some(proc) = server.procs.get(&serial)
        {
            server.registry.register(proc.uid, &proc.did, serial, epoch);
        }
    }

    fn submit(&mut self, serial: u64, ticket: Ticket, op: Op) {
        let Some(server) = self.server.as_mut() else {
            return;
        };
        server.requests.push_back((serial, ticket, op));
        if !std::mem::replace(&mut server.committing, true) {
            self.soon(Step::Commit);
        }
    }

    fn due(&mut self, serial: u64, slot: u64) {
        let now = self.now;
        let Some(proc) = self.proc(serial) else {
            return;
        };
        let Some((started, delivery)) = proc.deliveries.get_mut(&slot) else {
            return;
        };
        let Some(attempt) = delivery.fire(now - *started) else {
            return;
        };
        let next = delivery.due().map(|due| *started + due);
        self.mail(serial, Mail::Resend(slot, attempt.last));
        if let Some(at) = next {
            self.at(at, Step::Due(serial, slot));
        }
    }

    fn timer(&mut self, serial: u64, at: u64) -> Result<(), String> {
        let now = self.now;
        let Some(proc) = self.proc(serial) else {
            return Ok(());
        };
        if proc.timer == Some(at) {
            proc.timer = None;
            proc.machine.tick(now);
            return self.settle(serial);
        }
        Ok(())
    }

    fn read_page(&mut self) {
        let Some(server) = self.server.as_mut() else {
            return;
        };
        if server.reads.is_empty() {
            return;
        }
        let (serial, ticket, read) = server.reads.remove(self.rng.usize(..server.reads.len()));
        let fails = self.faults && self.rng.u8(..100) < 3;
        let page = ledger::read_page(&*self.engine, &read, 0).map_err(|_| Code::Storage);
        let page = if fails { Err(Code::Storage) } else { page };
        if server.page(serial, ticket, page) {
            self.mail(serial, Mail::Wake);
        }
    }

    // The committer.

    fn commit(&mut self) -> Result<(), String> {
        let count = self.rng.usize(1..6);
        let Some(server) = self.server.as_mut() else {
            return Ok(());
        };
        let count = count.min(server.requests.len());
        let askers: Vec<_> = server.requests.drain(..count).collect();
        let ops = askers.iter().map(|(_, _, op)| op);
        let done = server
            .ledger
            .commit(self.now, ops)
            .map_err(|e| e.to_string())?;
        server.flushing = Some(Batch { askers, done });
        self.soon(Step::Flush);
        Ok(())
    }

    fn flush(&mut self) -> Result<(), String> {
        self.engine.flush().map_err(|e| e.to_string())?;
        let Some(batch) = self.server.as_mut().and_then(|s| s.flushing.take()) else {
            return Ok(());
        };
        for ((_, _, op), answer) in batch.askers.iter().zip(&batch.done.answers) {
            if let (Op::Attach { uid, did, .. }, Answer::Attached(_)) = (op, answer) {
                self.known.insert((*uid, did.clone()));
            }
            if let (Op::Append(append), Answer::Accepted(accepted)) = (op, answer)
                && !accepted.repeat
            {
                self.ran.accepted += 1;
                let key = (append.draft.to, append.from, append.draft.id.clone());
                if let Some(before) = self.durable.insert(key, accepted.seq) {
                    return Err(format!(
                        "{} of {} has two rows, {before} and {}",
                        append.draft.id, append.from, accepted.seq
                    ));
                }
                let known = |c: &Client| {
                    c.uid == append.draft.to && self.known.contains(&(c.uid, c.did.clone()))
                };
                let owed = (0..self.clients.len()).filter(|n| known(&self.clients[*n]));
                self.durable_at
                    .insert((append.draft.to, accepted.seq), self.now);
                self.owed
                    .insert((append.draft.to, accepted.seq), owed.collect());
            }
        }
        debug_assert!(
            batch
                .done
                .news
                .iter()
                .all(|news| !matches!(news, News::Forgotten { .. }))
        );
        if let Some(server) = self.server.as_mut() {
            server.flushing = Some(batch);
        }
        self.soon(Step::Publish);
        Ok(())
    }

    fn publish(&mut self) {
        let Some(server) = self.server.as_mut() else {
            return;
        };
        let Some(batch) = server.flushing.take() else {
            return;
        };
        let woken = server.publish(batch);
        let more = !server.requests.is_empty();
        server.committing = more;
        for serial in woken {
            self.mail(serial, Mail::Wake);
        }
        if more {
            self.soon(Step::Commit);
        }
    }

    /// Whoever has been connected for long was sent everything that is theirs.
    fn audit(&mut self) -> Result<(), String> {
        let early = self.now - CALM_MS / 2;
        for (who, client) in self.clients.iter().enumerate() {
            let Some(conn) = client
                .conn
                .filter(|_| client.since.is_some_and(|at| at < early))
            else {
                continue;
            };
            let at = self.conns.get(&conn).and_then(|c| c.at);
            let server = self.server.as_ref();
            let Some((proc, epoch)) =
                at.and_then(|(serial, epoch)| Some((server?.procs.get(&serial)?, epoch)))
            else {
                continue;
            };
            let Some(outbox) = proc.outboxes.get(&epoch) else {
                continue;
            };
            for ((to, seq), readers) in &self.owed {
                if *to == client.uid
                    && readers.contains(&who)
                    && self.durable_at[&(*to, *seq)] < early
                    && !outbox.left.contains(seq)
                    && !client.seen.values().any(|seen| seen == seq)
                {
                    let did = &client.did;
                    return Err(format!(
                        "row {seq} was never sent to {did}, which is connected"
                    ));
                }
            }
        }
        Ok(())
    }

    // Planted bugs.

    fn forget_dedupe(&self) {
        let mut keys = Vec::new();
        let collect = &mut |key: &[u8], _: &[u8]| {
            keys.push(key.to_vec());
            true
        };
        self.engine
            .scan(&[record::DEDUPE], &[record::DEDUPE + 1], collect)
            .unwrap();
        let mut batch = Writes::default();
        for key in keys {
            batch.delete(key);
        }
        self.engine.apply(batch).unwrap();
        self.engine.flush().unwrap();
    }

    fn ack_everything_called(&mut self, serial: u64, id: &MsgId) {
        let Some(proc) = self.proc(serial) else {
            return;
        };
        let (reader, did) = (proc.uid, proc.did.clone());
        let rows = self
            .durable
            .iter()
            .filter(|((to, _, of), _)| *to == reader && of == id);
        let seqs: Ranges = rows.map(|(_, seq)| *seq).collect();
        // The machine does not count it, so its answer goes nowhere.
        self.submit(u64::MAX, Ticket::Seen, Op::Ack { reader, did, seqs });
    }

    // The end.

    fn is_done(&self) -> bool {
        let sent = self.clients.iter().all(|client| {
            let told = client
                .outgoing
                .iter()
                .all(|m| m.progress == Progress::Delivered);
            told && client.tried.is_empty() && client.welcomed
        });
        sent && self.owed.iter().all(|((_, seq), readers)| {
            readers
                .iter()
                .all(|n| self.clients[*n].seen.values().any(|s| s == seq))
        })
    }

    fn verify(&mut self) -> Result<Ran, String> {
        for ((to, seq), readers) in &self.owed {
            for reader in readers {
                let client = &self.clients[*reader];
                if !client.seen.values().any(|s| s == seq) {
                    return Err(format!("row {seq} of {to} never reached {}", client.did));
                }
            }
        }
        let mut seqs: BTreeMap<Uid, BTreeSet<Seq>> = BTreeMap::new();
        for ((to, ..), seq) in &self.durable {
            if !seqs.entry(*to).or_default().insert(*seq) {
                return Err(format!(
                    "two messages of {to} have the sequence number {seq}"
                ));
            }
        }
        for (to, seqs) in &seqs {
            if !seqs.iter().copied().eq(1..=seqs.len() as u64) {
                return Err(format!("the sequence of {to} has gaps: {seqs:?}"));
            }
        }
        self.ran.received = self.clients.iter().map(|c| c.seen.len() as u64).sum();
        Ok(self.ran)
    }

    fn unfinished(&self) -> String {
        let mut left = String::new();
        for client in &self.clients {
            let undelivered = client
                .outgoing
                .iter()
                .filter(|m| m.progress != Progress::Delivered);
            let undelivered: Vec<String> = undelivered
                .map(|m| format!("{} {:?}", m.id, m.progress))
                .collect();
            left += &format!(
                "{}: undelivered {undelivered:?}, unconfirmed {:?}; ",
                client.did, client.tried
            );
        }
        for ((to, seq), readers) in &self.owed {
            for n in readers {
                if !self.clients[*n].seen.values().any(|s| s == seq) {
                    left += &format!("row {seq} of {to} owed to {}; ", self.clients[*n].did);
                }
            }
        }
        left
    }

    fn proc(&mut self, serial: u64) -> Option<&mut crate::server::Proc> {
        self.server.as_mut()?.procs.get_mut(&serial)
    }

    fn outbox(&mut self, serial: u64, epoch: Epoch) -> Option<&mut Outbox> {
        self.proc(serial)?.outboxes.get_mut(&epoch)
    }
}
