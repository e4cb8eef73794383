//! The process of one device: obeys [`crate::machine::device::Device`] and touches no socket.

pub mod operator;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use actix::{Actor, ActorContext, AsyncContext, Context, Handler, Message, SpawnHandle};
use arc_swap::ArcSwap;
use foldhash::fast::RandomState;
use litemap::LiteMap;
use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::clock::Clock;
use crate::code::{Close, Code};
use crate::id::xid::xid;
use crate::id::{Did, Uid};
use crate::machine::access::Pass;
use crate::machine::device::{
    Carried, Device as Machine, Effect, Epoch, ReadTicket, Resend as Resent, Rules, Slot, Ticket,
};
use crate::machine::schedule::Schedule;
use crate::message::hook::What;
use crate::message::look::Look;
use crate::message::trace::{Cause, Step, Turn};
use crate::message::{Command, Event, Op, Presence, Signal};
use crate::metrics::{Counted, Metrics};
use crate::store::committer::CommitQueue;
use crate::store::reader::ReadQueue;

use super::delivery::{Delivery, Link};
use super::diary::Diary;
use super::dispatch::{Asker, Looker, Trip};
use super::line::Line;
use super::mailroom::{self, DeviceRef, Letter, Wake};
use super::outbox::Outbox;
use super::presence::Board;
use super::processes::{BLOCK, Processes};
use super::registry::{Member, Registry};

/// Messages that may wait in the mailbox; the adapter stops reading when it is full.
const MAILBOX: usize = 16;

/// Requests of a client that one [`Ask`] may hold.
pub const ASK_MAX: usize = 16;

/// What every device works with.
pub struct Services {
    /// The way to the committer.
    pub commits: CommitQueue<Asker>,
    /// The way to the readers.
    pub reads: ReadQueue<Looker>,
    /// Who is there.
    pub registry: Arc<Registry<DeviceRef>>,
    /// The counters.
    pub metrics: Metrics,
    /// The time.
    pub clock: Clock,
    /// When copies leave, of deliveries that begin from here on.
    pub schedule: ArcSwap<Schedule>,
    /// The bounds.
    pub rules: Arc<Rules>,
    /// Every process by its number.
    pub processes: Processes,
    /// What is written down of the life of each message.
    pub diary: Diary,
    /// Where it is said that somebody may have come or gone.
    pub presence: Board,
    /// Whether the webhook's receiver is told who comes and goes.
    pub tells: bool,
    /// Numbers connections.
    pub epochs: AtomicU64,
}

/// One device of one user, for as long as a connection of it lives.
pub struct Device {
    machine: Machine,
    me: Option<DeviceRef>,
    services: Arc<Services>,
    /// Nearly always one.
    connections: LiteMap<Epoch, Connection>,
    deliveries: HashMap<Slot, Running, RandomState>,
    /// The first slots of the blocks that its deliveries are numbered by, and their numbers.
    blocks: Vec<(Slot, u64)>,
    trips: BTreeMap<Slot, Arc<Trip>>,
    timer: Option<(u64, SpawnHandle)>,
    /// When the message that is handled was begun: the time is read once for each.
    turn: Instant,
    online: Option<(Epoch, Counted)>,
    /// With which code the connection that is announced to was ended.
    closing: Option<u16>,
}

/// A delivery that walks.
struct Running {
    _link: Link,
    carried: Carried,
    schedule: Schedule,
    /// When the first copy left.
    started: Instant,
    /// Copies that were due so far.
    attempts: u32,
}

struct Connection {
    outbox: Outbox,
    line: Option<Arc<dyn Line>>,
    ready: Option<oneshot::Sender<Result<(), Code>>>,
}

/// The way to the process, which it cannot know before it runs.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Meet(pub DeviceRef);

/// A connection has been made.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Connect {
    /// Its number.
    pub epoch: Epoch,
    /// What its token says about it.
    pub pass: Pass,
    /// The device type that it names.
    pub dtype: Option<Box<str>>,
    /// Its frames go here.
    pub outbox: Outbox,
    /// What can end it without its adapter, where something can.
    pub line: Option<Arc<dyn Line>>,
    /// Hears when the first frame is there, or why there will be none.
    pub ready: oneshot::Sender<Result<(), Code>>,
}

/// A client asks.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Ask {
    /// The connection.
    pub epoch: Epoch,
    /// What, in order: as much as came at once, up to [`ASK_MAX`].
    pub commands: Vec<Command>,
}

/// Another token was shown.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "()")]
pub struct Renew {
    /// The connection.
    pub epoch: Epoch,
    /// What the token says about it.
    pub pass: Pass,
    /// The token's own expiry, for the client, Unix milliseconds.
    pub expire_at: u64,
}

/// The adapter has news of its connection.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "()")]
pub enum Report {
    /// The client lives, or the outbox has room.
    Alive,
    /// The adapter of that connection is at work, and its client was not silent for too long.
    Attended(Epoch),
    /// The connection has ended.
    Closed(Epoch),
}

/// A copy is due.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "()")]
pub struct Resend {
    /// The delivery.
    pub slot: Slot,
    /// Whether it ends with this copy.
    pub last: bool,
}

/// The server goes down.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "()")]
pub struct Drain;

impl Device {
    /// Starts the process on the current thread.
    pub fn spawn(uid: Uid, did: Did, services: Arc<Services>) -> DeviceRef {
        let (number, since_ms) = (services.processes.number(), services.clock.now_ms());
        let shared = services.clone();
        let addr = Device {
            machine: Machine::new(uid, did.clone(), services.rules.clone()),
            me: None,
            services,
            connections: LiteMap::with_capacity(1),
            deliveries: HashMap::default(),
            blocks: Vec::new(),
            trips: BTreeMap::new(),
            timer: None,
            turn: Instant::now(),
            online: None,
            closing: None,
        }
        .start();
        let me = DeviceRef::new(uid, did, number, since_ms, addr);
        shared.processes.add_device(me.clone());
        me.addr().do_send(Meet(me.clone()));
        me
    }

    /// Begins a turn; returns its time.
    fn begin(&mut self) -> u64 {
        self.turn = Instant::now();
        self.now()
    }

    /// The time of the turn.
    fn now(&self) -> u64 {
        self.services.clock.ms_at(self.turn)
    }

    /// Tells the machine what the adapters have taken since it was asked last.
    fn catch_up(&mut self) {
        for (epoch, connection) in &self.connections {
            self.machine.taken(*epoch, connection.outbox.taken());
        }
    }

    /// Carries out what the machine wants and re-arms the one timer.
    fn settle(&mut self, now: u64, ctx: &mut Context<Self>) {
        loop {
            while let Some(effect) = self.machine.next_effect() {
                self.obey(effect, ctx);
            }
            let starved = self.machine.starved();
            let outbox = starved.and_then(|epoch| self.connections.get(&epoch));
            if outbox.is_none_or(|connection| connection.outbox.want_room()) {
                break;
            }
            // The adapter was quicker: nobody would say so any more.
            self.catch_up();
            self.machine.alive();
        }
        self.machine.watch(now);
        self.set_timer(now, ctx);
        if let Some(me) = &self.me {
            me.gauges()
                .set(self.machine.walking(), self.machine.behind());
        }
    }

    /// Sees to it that the machine's deadline is not missed. A timer that is too early is left: deadlines are put off with
    /// nearly every message, and what is set off for nothing looks again.
    fn set_timer(&mut self, now: u64, ctx: &mut Context<Self>) {
        let Some(at) = self.machine.deadline() else {
            return;
        };
        if let Some((set, timer)) = self.timer {
            if set <= at {
                return;
            }
            ctx.cancel_future(timer);
        }
        let wait = Duration::from_millis(at.saturating_sub(now));
        let timer = ctx.run_later(wait, |device, ctx| {
            device.timer = None;
            device.catch_up();
            let now = device.begin();
            device.machine.tick(now);
            device.settle(now, ctx);
        });
        self.timer = Some((at, timer));
    }

    fn obey(&mut self, effect: Effect, ctx: &mut Context<Self>) {
        match effect {
            Effect::Push { epoch, event } => self.push(epoch, event),
            Effect::Notify { epoch, notice } => {
                let now = self.now();
                let to = self.machine.name().0;
                let event = Event::Notice {
                    id: xid(now),
                    to,
                    notice,
                    server_ts: now,
                };
                self.push(epoch, event);
            }
            Effect::Close { epoch, close } => {
                self.note_close(epoch, close.number());
                self.push(epoch, Event::Close(close));
            }
            Effect::Discard(epoch) => {
                if let Some(connection) = self.connections.get(&epoch) {
                    connection.outbox.discard();
                }
            }
            Effect::Cut { epoch, close } => {
                self.note_close(epoch, close.number());
                if let Some(connection) = self.connections.remove(&epoch) {
                    let (uid, did) = self.machine.name();
                    log::info!(
                        "cut a connection of {did} of user {uid}: {}",
                        close.reason()
                    );
                    connection.outbox.abandon(Event::Close(close));
                    if let Some(line) = connection.line {
                        line.cut();
                    }
                }
            }
            Effect::Ready { epoch, result } => {
                let connection = self.connections.get_mut(&epoch);
                if let Some(ready) = connection.and_then(|c| c.ready.take()) {
                    // The login may have been given up meanwhile.
                    let _ = ready.send(result);
                }
            }
            Effect::Submit { op, ticket } => self.submit(op, ticket),
            Effect::Read { read, ticket } => self.look(Look::Rows(read), ticket),
            Effect::Look { look, ticket } => self.look(look, ticket),
            Effect::Presence { epoch, id, of } => {
                let registry = &self.services.registry;
                let present = of.into_iter().map(|(uid, may_know)| {
                    let presence = match (may_know, registry.is_online(uid)) {
                        (false, _) => Presence::Unknown,
                        (true, true) => Presence::Online,
                        (true, false) => Presence::Offline,
                    };
                    (uid, presence)
                });
                let present = present.collect();
                self.machine.present(epoch, id, present);
            }
            Effect::Register(epoch) => {
                if let Some(me) = &self.me {
                    let registry = &self.services.registry;
                    registry.register(me.uid(), me.did(), me.serial(), epoch);
                    self.services.presence.changed(me.uid());
                    self.online = Some((epoch, self.services.metrics.online()));
                    self.closing = None;
                    self.note_turn(Turn::Came);
                    self.tell_came();
                }
            }
            Effect::Unregister(epoch) => {
                let (uid, did) = self.machine.name();
                self.services.registry.unregister(uid, did, epoch);
                self.services.presence.changed(uid);
                self.online = self.online.take().filter(|(online, _)| *online != epoch);
                let close = self.closing.take();
                self.note_turn(Turn::Left { close });
                self.tell_left();
            }
            Effect::Walk(slot) => self.walk(slot, ctx),
            Effect::Halt { slot, parked } => {
                let running = self.deliveries.remove(&slot);
                if parked {
                    self.services.metrics.parked(1);
                }
                if let Some(running) = running.filter(|_| parked) {
                    self.note_parked(&running.carried, running.attempts, Cause::Disconnected);
                }
            }
            Effect::Relay(signal) => self.relay(signal),
            Effect::SignalOver { slot, acked } => {
                if let Some(trip) = self.trips.remove(&slot)
                    && acked
                {
                    trip.settle();
                    let carried = Carried::Signal(trip.signal().clone());
                    self.note(&carried, |did| Step::Acked { did });
                }
            }
            Effect::Stop => ctx.stop(),
        }
    }

    fn push(&mut self, epoch: Epoch, event: Event) {
        match &event {
            Event::Error { fault, .. } => {
                self.services.metrics.refused(fault.code);
                let from = self.machine.name().0;
                self.services.diary.refused(self.now(), from, fault);
            }
            Event::Delivered { id, reader, .. } => {
                let (uid, did) = self.machine.name();
                let step = Step::Told { did: did.clone() };
                let now = self.now();
                self.services
                    .diary
                    .message(now, id, Some(uid), *reader, step);
            }
            _ => {}
        }
        if let Some(connection) = self.connections.get(&epoch) {
            connection.outbox.push(event);
        }
    }

    /// Starts the delivery whose first copy has left, unless its schedule has one copy only.
    fn walk(&mut self, slot: Slot, ctx: &mut Context<Self>) {
        let Some(carried) = self.machine.carried(slot) else {
            return;
        };
        let own = self.trips.get(&slot).and_then(|trip| trip.schedule());
        let schedule = match own {
            Some(schedule) => schedule.clone(),
            None => Schedule::clone(&self.services.schedule.load()),
        };
        self.note(&carried, |did| Step::Sent { did, attempt: 1 });
        if schedule.is_last(0) {
            if !self.trips.contains_key(&slot) {
                self.services.metrics.parked(1);
                self.note_parked(&carried, 1, Cause::UsedUp);
            }
            return self.machine.park(slot);
        }
        let counted = self.services.metrics.in_flight();
        let link = Delivery::start(slot, schedule.clone(), ctx.address(), counted, self.turn);
        self.number(slot);
        let running = Running {
            _link: link,
            carried,
            schedule,
            started: self.turn,
            attempts: 1,
        };
        self.deliveries.insert(slot, running);
    }

    /// Sees to it that the slot has a number.
    fn number(&mut self, slot: Slot) {
        if let Some((first, _)) = self.blocks.last()
            && slot < first + BLOCK
        {
            return;
        }
        let Some(me) = &self.me else {
            return;
        };
        let processes = &self.services.processes;
        let oldest = self.deliveries.keys().min().copied().unwrap_or(slot);
        self.blocks.retain(|(first, number)| {
            let is_used = first + BLOCK > oldest;
            if !is_used {
                processes.remove_block(*number);
            }
            is_used
        });
        let number = processes.add_block(me.clone(), slot);
        self.blocks.push((slot, number));
    }

    /// The number of a delivery.
    fn number_of(&self, slot: Slot) -> Option<u64> {
        let block = self.blocks.iter().rev().find(|(first, _)| *first <= slot);
        block.map(|(first, number)| number + (slot - first))
    }

    fn note(&self, carried: &Carried, step: impl FnOnce(Did) -> Step) {
        let diary = &self.services.diary;
        if diary.is_kept() {
            let step = step(self.machine.name().1.clone());
            let (id, from, to) = (carried.id(), carried.from(), carried.to());
            diary.message(self.now(), id, from, to, step);
        }
    }

    fn note_parked(&self, carried: &Carried, attempts: u32, cause: Cause) {
        self.note(carried, |did| Step::Parked {
            did,
            attempts,
            cause,
        });
    }

    fn note_turn(&self, turn: Turn) {
        let (uid, did) = self.machine.name();
        self.services.diary.device(self.now(), uid, did, turn);
    }

    /// Tells the webhook's receiver that this device has connected.
    fn tell_came(&self) {
        if let Some(me) = self.me.as_ref().filter(|_| self.services.tells) {
            self.tell(What::Online {
                uid: me.uid().0,
                did: me.did().as_str().into(),
                dtype: me.dtype(),
            });
        }
    }

    /// And that it is gone.
    fn tell_left(&self) {
        if self.services.tells {
            let (uid, did) = self.machine.name();
            self.tell(What::Offline {
                uid: uid.0,
                did: Some(did.as_str().into()),
            });
        }
    }

    fn tell(&self, what: What) {
        // Nobody waits for the answer.
        let (nobody, _) = oneshot::channel();
        let told = self
            .services
            .commits
            .submit(Asker::Waiting(nobody), Op::Tell(what));
        if told.is_err() {
            log::warn!("the webhook's receiver is not told who came or went: the server is busy");
        }
    }

    fn note_close(&mut self, epoch: Epoch, close: u16) {
        if self
            .online
            .as_ref()
            .is_some_and(|(online, _)| *online == epoch)
        {
            self.closing = Some(close);
        }
    }

    fn submit(&mut self, mut op: Op, ticket: Ticket) {
        let Some(me) = &self.me else {
            return;
        };
        if let Op::Attach { uid, online, .. } = &mut op {
            let registry = &self.services.registry;
            registry.lookup(*uid, |device| online.push(device.did().clone()));
        }
        let asker = Asker::Device {
            device: me.clone(),
            ticket,
            at: self.turn.into_std(),
        };
        if let Err((_, Asker::Device { ticket, .. })) = self.services.commits.submit(asker, op) {
            self.machine.busy(self.now(), ticket);
        }
    }

    fn look(&mut self, look: Look, ticket: ReadTicket) {
        let Some(me) = &self.me else {
            return;
        };
        let looker = Looker::Device(me.clone(), ticket);
        if let Err((_, Looker::Device(_, ticket))) = self.services.reads.submit(looker, look) {
            self.machine.found(self.now(), ticket, Err(Code::Busy));
        }
    }

    fn relay(&mut self, signal: Arc<Signal>) {
        let Some(me) = &self.me else {
            return;
        };
        let trip = Arc::new(Trip::from_device(signal.clone(), me.clone()));
        let mut targets = Vec::new();
        let registry = &self.services.registry;
        registry.lookup(signal.to, |device| targets.push(device.clone()));
        if targets.is_empty() {
            trip.settle();
        }
        self.machine.relayed(self.now(), &signal, targets.len());
        for device in targets {
            device.post(Letter::Signal(trip.clone()));
        }
    }
}

impl Actor for Device {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        ctx.set_mailbox_capacity(MAILBOX);
    }

    fn stopped(&mut self, _: &mut Context<Self>) {
        // An operator may have ended it with all that was on its way.
        self.begin();
        for (_, running) in std::mem::take(&mut self.deliveries) {
            self.note_parked(&running.carried, running.attempts, Cause::Disconnected);
        }
        if self.online.is_some() {
            let close = Some(self.closing.unwrap_or(Close::Crashed.number()));
            self.note_turn(Turn::Left { close });
        }
        if let Some(me) = &self.me {
            let registry = &self.services.registry;
            registry.remove(me.uid(), me.did(), me.serial());
            self.services.presence.changed(me.uid());
            if self.online.is_some() {
                self.tell_left();
            }
            for (_, number) in self.blocks.drain(..) {
                self.services.processes.remove_block(number);
            }
            self.services.processes.remove_device(me.number());
            me.ended();
            // A letter may hold its own device: a signal that a user sends to themselves does.
            drop(me.collect());
        }
    }
}

impl Handler<Meet> for Device {
    type Result = ();

    fn handle(&mut self, Meet(me): Meet, _: &mut Context<Self>) {
        self.me = Some(me);
    }
}

impl Handler<Connect> for Device {
    type Result = ();

    fn handle(&mut self, connect: Connect, ctx: &mut Context<Self>) {
        if let Some(me) = &self.me {
            me.connected(connect.dtype, connect.outbox.meter());
        }
        self.connections.insert(
            connect.epoch,
            Connection {
                outbox: connect.outbox,
                line: connect.line,
                ready: Some(connect.ready),
            },
        );
        self.catch_up();
        self.machine.connect(connect.epoch, connect.pass);
        let now = self.begin();
        self.settle(now, ctx);
    }
}

impl Handler<Ask> for Device {
    type Result = ();

    fn handle(&mut self, ask: Ask, ctx: &mut Context<Self>) {
        self.catch_up();
        let now = self.begin();
        for command in ask.commands {
            self.machine.command(now, ask.epoch, command);
        }
        self.settle(now, ctx);
    }
}

impl Handler<Renew> for Device {
    type Result = ();

    fn handle(&mut self, renew: Renew, ctx: &mut Context<Self>) {
        self.catch_up();
        let now = self.begin();
        self.machine
            .renew(now, renew.epoch, renew.pass, renew.expire_at);
        self.settle(now, ctx);
    }
}

impl Handler<Wake> for Device {
    type Result = ();

    fn handle(&mut self, _: Wake, ctx: &mut Context<Self>) {
        let Some(me) = &self.me else {
            return;
        };
        let letters = me.collect();
        self.catch_up();
        let now = self.begin();
        let trips = &mut self.trips;
        mailroom::open(letters, &mut self.machine, now, |slot, trip| {
            trips.insert(slot, trip);
        });
        self.settle(now, ctx);
    }
}

impl Handler<Report> for Device {
    type Result = ();

    fn handle(&mut self, report: Report, ctx: &mut Context<Self>) {
        self.catch_up();
        match report {
            Report::Alive => self.machine.alive(),
            Report::Attended(epoch) => self.machine.attended(epoch),
            Report::Closed(epoch) => {
                self.machine.closed(epoch);
                self.connections.remove(&epoch);
            }
        }
        let now = self.begin();
        self.settle(now, ctx);
    }
}

impl Handler<Resend> for Device {
    type Result = ();

    fn handle(&mut self, resend: Resend, ctx: &mut Context<Self>) {
        self.catch_up();
        let now = self.begin();
        let resent = self.machine.resend(now, resend.slot, resend.last);
        if resent == Resent::Written {
            self.services.metrics.redelivered();
        }
        if let Some(running) = self.deliveries.get_mut(&resend.slot) {
            running.attempts += 1;
            let (carried, attempt) = (running.carried.clone(), running.attempts);
            match resent {
                Resent::Written => self.note(&carried, |did| Step::Sent { did, attempt }),
                Resent::Skipped => self.note(&carried, |did| Step::Skipped { did, attempt }),
                Resent::Over => {}
            }
        }
        if resend.last
            && let Some(running) = self.deliveries.remove(&resend.slot)
            && resent != Resent::Over
        {
            self.note_parked(&running.carried, running.attempts, Cause::UsedUp);
            if !self.trips.contains_key(&resend.slot) {
                self.services.metrics.parked(1);
            }
        }
        self.settle(now, ctx);
    }
}

impl Handler<Drain> for Device {
    type Result = ();

    fn handle(&mut self, _: Drain, ctx: &mut Context<Self>) {
        self.machine.drain();
        let now = self.begin();
        self.settle(now, ctx);
    }
}
