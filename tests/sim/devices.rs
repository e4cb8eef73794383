//! The device processes: their mailboxes, timers and deliveries. They obey the machine as `actor::device` does.

use std::sync::Arc;

use parking_lot::Mutex;
use yizhan::actor::dispatch::Trip;
use yizhan::actor::mailroom::{self, Addressee, Letter};
use yizhan::code::Code;
use yizhan::id::MsgId;
use yizhan::machine::access::Pass;
use yizhan::machine::delivery::Delivery;
use yizhan::machine::device::{Effect, Epoch, ReadTicket, Resend, Slot, Ticket};
use yizhan::message::chat::Chat;
use yizhan::message::look::Look;
use yizhan::message::{Address, Event, Op, Signal};

use crate::bugs::Bug;
use crate::network::Frame;
use crate::server::{Line, Mail, Proc};
use crate::world::{Step, World};

/// A signal, from its sender to all of its readers' devices.
pub struct Journey {
    pub signal: Arc<Signal>,
    /// The process it came from.
    pub origin: u64,
    pub targets: usize,
    pub acked: u32,
    pub failed: u32,
}

/// Takes the word of a journey's failure to its sender.
#[derive(Debug)]
struct Origin {
    journey: usize,
    failed: Arc<Mutex<Vec<usize>>>,
}

impl Addressee for Origin {
    fn post(&self, _: Letter) {
        self.failed.lock().push(self.journey);
    }
}

impl World {
    pub fn mail(&mut self, serial: u64, mail: Mail) {
        let (bound, drops) = (self.scenario.mailbox, self.is_planted(Bug::WakeUpDropped));
        let Some(proc) = self.proc(serial) else {
            return;
        };
        if drops && matches!(mail, Mail::Wake) && proc.mailbox.len() >= bound {
            return;
        }
        proc.mailbox.push_back(mail);
        self.soon(Step::Mailbox(serial));
    }

    pub fn mailbox(&mut self, serial: u64) -> Result<(), String> {
        let now = self.now;
        let Some(proc) = self.server.as_mut().and_then(|s| s.procs.get_mut(&serial)) else {
            return Ok(());
        };
        catch_up(proc);
        let Some(mail) = proc.mailbox.pop_front() else {
            return Ok(());
        };
        let wakes = |mail: &Mail| matches!(mail, Mail::Wake);
        if wakes(&mail) && proc.mailbox.iter().any(wakes) {
            return Err("two wake-ups are on their way to one device".into());
        }
        match mail {
            Mail::Connect(epoch, good_until) => {
                proc.lines.insert(epoch, Line::default());
                proc.latest = epoch;
                proc.machine.connect(epoch, Pass::until(good_until));
            }
            Mail::Ask(epoch, command) => proc.machine.command(now, epoch, command),
            Mail::Renewed(epoch, good_until) => {
                let pass = Pass::until(good_until);
                proc.machine.renew(now, epoch, pass, good_until);
            }
            Mail::Closed(epoch) => {
                proc.machine.closed(epoch);
                proc.lines.remove(&epoch);
            }
            Mail::Resend(slot, last) => {
                if proc.machine.resend(now, slot, last) == Resend::Written {
                    self.ran.resent += 1;
                }
                if last && proc.deliveries.remove(&slot).is_some() {
                    self.ran.parked += 1;
                }
            }
            Mail::Alive => proc.machine.alive(),
            Mail::Drain => proc.machine.drain(),
            Mail::Wake => {
                let letters = proc.collect();
                let trips = &mut proc.trips;
                mailroom::open(letters, &mut proc.machine, now, |slot, trip| {
                    trips.insert(slot, trip);
                });
            }
        }
        self.settle(serial)?;
        self.read_on(serial);
        Ok(())
    }

    /// There is room in the mailbox: the adapters that wait for it go on.
    fn read_on(&mut self, serial: u64) {
        let Some(proc) = self.proc(serial) else {
            return;
        };
        let epochs: Vec<Epoch> = proc.lines.keys().copied().collect();
        for epoch in epochs {
            let Some(conn) = self.epochs.get(&epoch).copied() else {
                continue;
            };
            if self.conns.get(&conn).is_some_and(|conn| conn.waits()) {
                self.read_socket(conn);
                self.soon(Step::Pump(epoch));
            }
        }
    }

    fn settle(&mut self, serial: u64) -> Result<(), String> {
        loop {
            while let Some(effect) = self.proc(serial).and_then(|p| p.machine.next_effect()) {
                self.obey(serial, effect)?;
            }
            let Some(proc) = self.proc(serial) else {
                return Ok(());
            };
            let line = proc.machine.starved().and_then(|e| proc.lines.get(&e));
            if line.is_none_or(|line| line.outbox.want_room()) {
                break;
            }
            catch_up(proc);
            proc.machine.alive();
        }
        self.check_device(serial)?;
        let now = self.now;
        let Some(proc) = self.proc(serial) else {
            return Ok(());
        };
        let deadline = proc.machine.deadline().filter(|at| *at < u64::MAX);
        if proc.timer != deadline {
            proc.timer = deadline;
            if let Some(at) = deadline {
                self.at(at.max(now), Step::Timer(serial, at));
            }
        }
        Ok(())
    }

    fn obey(&mut self, serial: u64, effect: Effect) -> Result<(), String> {
        let now = self.now;
        if self.trace {
            println!("       process {serial}: {effect:?}");
        }
        match effect {
            Effect::Push { epoch, event } => return self.push(serial, epoch, event),
            Effect::Notify { epoch, notice } => {
                let event = Event::Notice {
                    id: MsgId::parse("notice").unwrap(),
                    to: yizhan::id::Uid(0),
                    notice,
                    server_ts: now,
                };
                return self.push(serial, epoch, event);
            }
            Effect::Close { epoch, close } => return self.push(serial, epoch, Event::Close(close)),
            // This world does not ask for the watch: its adapters freeze for a while and never for ever.
            // Nobody is banned in it either.
            Effect::Discard(epoch) => return Err(format!("{epoch} lost its frames")),
            Effect::Cut { epoch, .. } => return Err(format!("connection {epoch} was cut")),
            Effect::Ready { epoch, result } => {
                if let Some(conn) = self.epochs.get(&epoch).copied() {
                    let frame = match result {
                        Ok(()) => Frame::Open,
                        Err(_) => Frame::Closed(None),
                    };
                    self.down(conn, frame);
                }
            }
            Effect::Submit { op, ticket } => return self.submit(serial, ticket, op),
            Effect::Read { read, ticket } => self.ask_reader(serial, ticket, Look::Rows(read)),
            Effect::Look { look, ticket } => self.ask_reader(serial, ticket, look),
            Effect::Presence { .. } => return Err("nobody asked who is there".into()),
            Effect::Register(epoch) if self.is_planted(Bug::HeadBeforeRegistration) => {
                let ms = self.rng.u64(4..20);
                self.after(ms, Step::RegisterLate(serial, epoch));
            }
            Effect::Register(epoch) => self.register(serial, epoch),
            Effect::Unregister(_) if self.is_planted(Bug::UnregisterSkipped) => {}
            Effect::Unregister(epoch) => {
                if let Some(server) = self.server.as_mut()
                    && let Some(proc) = server.procs.get_mut(&serial)
                {
                    server.registry.unregister(proc.uid, &proc.did, epoch);
                    if proc.online == Some(epoch) && self.bug != Some(Bug::GhostsOnline) {
                        proc.online = None;
                        self.online -= 1;
                    }
                }
            }
            Effect::Walk(slot) => self.walk(serial, slot),
            Effect::Halt { slot, .. } => {
                if let Some(proc) = self.proc(serial) {
                    proc.deliveries.remove(&slot);
                }
            }
            Effect::Stop => {
                let counts_down = self.bug != Some(Bug::GhostsOnline);
                if let Some(server) = self.server.as_mut() {
                    if let Some(proc) = server.procs.get(&serial).filter(|_| counts_down) {
                        self.online -= i64::from(proc.online.is_some());
                    }
                    server.end(serial);
                }
            }
            Effect::Relay(signal) => self.relay(serial, signal),
            Effect::SignalOver { slot, acked } => {
                let trip = self.proc(serial).and_then(|proc| proc.trips.remove(&slot));
                let Some(trip) = trip else {
                    return Err("a signal is over that nobody carries".into());
                };
                if acked {
                    trip.settle();
                    self.note_acked(trip.signal());
                }
                if self.is_planted(Bug::SignalNeverFails) {
                    std::mem::forget(trip);
                }
            }
        }
        Ok(())
    }

    fn push(&mut self, serial: u64, epoch: Epoch, event: Event) -> Result<(), String> {
        self.check_push(serial, epoch, &event)?;
        if let Event::Error { fault, .. } = &event
            && fault.code == Code::NotFound
            && matches!(fault.to, Some(Address::Chat(Chat::User(_))))
        {
            self.not_found += 1;
        }
        let is_shaken = self.scenario.is_crowded() && self.engine.failures().0 > 0;
        let has_it = matches!(&event, Event::Deliver(row) if self.has_got(serial, row.seq));
        // Notices and the close frame come on top.
        let bound = self.scenario.rules.outbox() + 8;
        let Some(line) = self.line(serial, epoch) else {
            return Ok(());
        };
        if let Event::Deliver(row) = &event {
            let highest = line.left.last().copied().unwrap_or(0);
            // An acknowledgement on an older connection that could not be stored brings its row again, out of order, and so
            // does a revoke that was seen before it was lost.
            if line.left.insert(row.seq) && row.seq < highest && !has_it && !is_shaken {
                return Err(format!("row {} leaves after row {highest}", row.seq));
            }
        }
        if let Event::SyncPage { rows, .. } | Event::WaitingPage { rows, .. } = &event {
            line.paged.extend(rows.iter().map(|row| row.seq));
        }
        line.pushed += 1;
        if line.pushed - line.outbox.taken() > bound {
            return Err("an outbox grows beyond its bound".into());
        }
        line.outbox.push(event);
        if !std::mem::replace(&mut line.pumping, true) {
            self.soon(Step::Pump(epoch));
        }
        Ok(())
    }

    pub fn register(&mut self, serial: u64, epoch: Epoch) {
        if let Some(server) = self.server.as_mut()
            && let Some(proc) = server.procs.get_mut(&serial)
        {
            server.registry.register(proc.uid, &proc.did, serial, epoch);
            if proc.online.replace(epoch).is_none() {
                self.online += 1;
            }
        }
    }

    fn submit(&mut self, serial: u64, ticket: Ticket, mut op: Op) -> Result<(), String> {
        let now = self.now;
        self.check_ack(&op)?;
        let (bound, ignores) = (self.scenario.commits, self.is_planted(Bug::BusyIgnored));
        let Some(server) = self.server.as_mut() else {
            return Ok(());
        };
        if let Op::Attach { uid, online, .. } = &mut op {
            let procs = &server.procs;
            server.registry.lookup(*uid, |member| {
                online.push(procs[&member.serial].did.clone())
            });
        }
        if server.requests.len() >= bound {
            if !ignores && let Some(proc) = server.procs.get_mut(&serial) {
                proc.machine.busy(now, ticket);
            }
            return Ok(());
        }
        server.requests.push_back((serial, ticket, op));
        if !std::mem::replace(&mut server.committing, true) {
            self.soon(Step::Commit);
        }
        Ok(())
    }

    fn ask_reader(&mut self, serial: u64, ticket: ReadTicket, look: Look) {
        let (now, bound) = (self.now, self.scenario.reads);
        let Some(server) = self.server.as_mut() else {
            return;
        };
        if server.reads.len() >= bound {
            if let Some(proc) = server.procs.get_mut(&serial) {
                proc.machine.found(now, ticket, Err(Code::Busy));
            }
            return;
        }
        server.reads.push((serial, ticket, look));
        self.soon(Step::Read);
    }

    fn walk(&mut self, serial: u64, slot: Slot) {
        let now = self.now;
        let schedule = self.scenario.schedule.clone();
        let Some(proc) = self.proc(serial) else {
            return;
        };
        // A schedule of one copy: there is nothing to walk.
        if schedule.is_last(0) {
            proc.machine.park(slot);
            self.ran.parked += 1;
            return;
        }
        let delivery = Delivery::after_first(schedule);
        let due = delivery.due();
        proc.deliveries.insert(slot, (now, delivery));
        if let Some(due) = due {
            self.after(due, Step::Due(serial, slot));
        }
    }

    pub fn due(&mut self, serial: u64, slot: Slot) {
        let now = self.now;
        let keeps = self.is_planted(Bug::WindowNotFreed);
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
        self.mail(serial, Mail::Resend(slot, attempt.last && !keeps));
        if let Some(at) = next {
            self.at(at, Step::Due(serial, slot));
        }
    }

    pub fn timer(&mut self, serial: u64, at: u64) -> Result<(), String> {
        let now = self.now;
        let Some(proc) = self.proc(serial) else {
            return Ok(());
        };
        if proc.timer == Some(at) {
            proc.timer = None;
            catch_up(proc);
            proc.machine.tick(now);
            return self.settle(serial);
        }
        Ok(())
    }

    fn relay(&mut self, serial: u64, signal: Arc<Signal>) {
        let now = self.now;
        let failed = self.failed.clone();
        let journey = self.journeys.len();
        let Some(server) = self.server.as_mut() else {
            return;
        };
        let origin = Origin { journey, failed };
        let trip = Arc::new(Trip::from_device(signal.clone(), origin));
        let mut targets = Vec::new();
        server
            .registry
            .lookup(signal.to, |member| targets.push(member.serial));
        self.ran.signals += 1;
        if targets.is_empty() {
            self.ran.signals_nobody += 1;
            trip.settle();
        }
        self.journeys.push(Journey {
            signal: signal.clone(),
            origin: serial,
            targets: targets.len(),
            acked: 0,
            failed: 0,
        });
        if let Some(proc) = server.procs.get_mut(&serial) {
            proc.machine.relayed(now, &signal, targets.len());
        }
        let woken: Vec<u64> = targets
            .into_iter()
            .filter(|target| server.leave(*target, Letter::Signal(trip.clone())))
            .collect();
        for serial in woken {
            self.mail(serial, Mail::Wake);
        }
    }

    fn note_acked(&mut self, signal: &Arc<Signal>) {
        let same = |journey: &&mut Journey| Arc::ptr_eq(&journey.signal, signal);
        if let Some(journey) = self.journeys.iter_mut().find(same) {
            self.ran.signals_acked += u64::from(journey.acked == 0);
            journey.acked += 1;
        }
    }

    /// Signals that ended unsettled: their senders hear of it, once.
    pub fn tell_failures(&mut self) -> Result<(), String> {
        let failed = std::mem::take(&mut *self.failed.lock());
        for journey in failed {
            let Some(journey) = self.journeys.get_mut(journey) else {
                continue;
            };
            journey.failed += 1;
            if journey.failed > 1 || journey.acked > 0 || journey.targets == 0 {
                let signal = &journey.signal;
                return Err(format!("{signal:?} has failed, and that was settled"));
            }
            self.ran.signals_failed += 1;
            let letter = Letter::SignalFailed(journey.signal.clone());
            let origin = journey.origin;
            if self
                .server
                .as_mut()
                .is_some_and(|s| s.leave(origin, letter))
            {
                self.mail(origin, Mail::Wake);
            }
        }
        Ok(())
    }

    /// One device process dies as by a panic, and its connections with it.
    pub fn crash(&mut self) {
        let Some(server) = self.server.as_mut() else {
            return;
        };
        let serials: Vec<u64> = server.procs.keys().copied().collect();
        if serials.is_empty() {
            return;
        }
        let serial = serials[self.rng.usize(..serials.len())];
        if let Some(proc) = server.crash(serial) {
            self.online -= i64::from(proc.online.is_some());
        }
        self.ran.crashes += 1;
        self.break_lines(Some(serial));
    }

    pub fn proc(&mut self, serial: u64) -> Option<&mut Proc> {
        self.server.as_mut()?.procs.get_mut(&serial)
    }

    pub fn line(&mut self, serial: u64, epoch: Epoch) -> Option<&mut Line> {
        self.proc(serial)?.lines.get_mut(&epoch)
    }
}

/// Tells the machine what the adapters have taken.
fn catch_up(proc: &mut Proc) {
    for (epoch, line) in &proc.lines {
        proc.machine.taken(*epoch, line.outbox.taken());
    }
}
