//! The clients of one thread, and the loop that serves them: one read and one write for each that has something to say.

mod link;
mod reading;
mod sending;

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use rustix::buffer::spare_capacity;
use rustix::event::{Timespec, epoll};
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, timerfd_create, timerfd_settime,
};

use super::LoadError;
use super::client::{Client, Flow, Link, Pace, User};
use super::ledger::{Frees, Ledger, Owed};
use super::naming::{FLOWS_MAX, NAME, Name, RUN};
use super::proof::Proof;
use super::stage::{Acks, Stage};
use super::tally::{Board, Tally};
use super::temper::{Temper, Traits};
use super::watch::{self, Mark};
use super::ws;

/// Bytes that are read at once.
const BUFFER: usize = 256 * 1024;
/// Connections that are looked at in one turn.
const EVENTS: usize = 1024;
/// How often whoever watches is told.
const PUBLISH_NS: u64 = 100_000_000;
/// What the timer is called among the connections.
const TIMER: u64 = u64::MAX;

/// How a wait ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Waited {
    /// What was waited for is there.
    Yes,
    Late,
    /// Somebody wants the run to end.
    Stopped,
}

/// Everything that one thread keeps.
pub(super) struct Crew {
    pub(super) stage: Arc<Stage>,
    pub(super) users: Vec<User>,
    pub(super) clients: Vec<Client>,
    pub(super) flows: Vec<Flow>,
    pub(super) tally: Tally,
    pub(super) proof: Proof,
    pub(super) board: Arc<Board>,
    pub(super) marks: Vec<Mark>,
    /// Nanoseconds of the run; taken anew for each connection that is looked at.
    pub(super) now: u64,
    /// Clients that are connected, and messages of which not all is heard, or not that they are accepted.
    pub(super) on: usize,
    pub(super) unsettled: u64,
    pub(super) unanswered: u64,
    /// The number that the first flow of this thread has in the run.
    first_flow: usize,
    epoll: OwnedFd,
    timer: OwnedFd,
    armed: u64,
    alarms: BinaryHeap<Reverse<(u64, usize)>>,
    events: Vec<epoll::Event>,
    buffer: Vec<u8>,
    settled: Vec<Name>,
    /// Clients with something to write that the turn has not looked at.
    touched: Vec<usize>,
    publish_at: u64,
    failed: Option<LoadError>,
}

impl Crew {
    pub(super) fn new(
        stage: Arc<Stage>,
        board: Arc<Board>,
        first_flow: usize,
    ) -> Result<Crew, LoadError> {
        let failed = |error: rustix::io::Errno| LoadError::Setup(format!("epoll: {error}"));
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC).map_err(failed)?;
        let flags = TimerfdFlags::CLOEXEC | TimerfdFlags::NONBLOCK;
        let timer = timerfd_create(TimerfdClockId::Monotonic, flags).map_err(failed)?;
        let data = epoll::EventData::new_u64(TIMER);
        epoll::add(
            &epoll,
            &timer,
            data,
            epoll::EventFlags::IN | epoll::EventFlags::ET,
        )
        .map_err(failed)?;
        Ok(Crew {
            now: stage.now(),
            stage,
            users: Vec::new(),
            clients: Vec::new(),
            flows: Vec::new(),
            tally: Tally::new()?,
            proof: Proof::default(),
            board,
            marks: Vec::new(),
            on: 0,
            unsettled: 0,
            unanswered: 0,
            first_flow,
            epoll,
            timer,
            armed: u64::MAX,
            alarms: BinaryHeap::new(),
            events: Vec::with_capacity(EVENTS),
            buffer: vec![0; BUFFER],
            settled: Vec::new(),
            touched: Vec::new(),
            publish_at: 0,
            failed: None,
        })
    }

    /// Adds a user by number, and returns its place.
    pub(super) fn add_user(&mut self, number: u64) -> Result<usize, LoadError> {
        self.users.push(self.stage.user(number)?);
        Ok(self.users.len() - 1)
    }

    /// Adds a device of a user, and returns its place; `window` messages of it may be open at once.
    pub(super) fn add_client(&mut self, user: usize, device: usize, window: usize) -> usize {
        let did = self.stage.run.did(device);
        self.clients.push(Client::new(user, device, did, window));
        self.clients.len() - 1
    }

    /// Adds a stream of messages to a user of so many devices, and returns its place.
    pub(super) fn add_flow(
        &mut self,
        sender: usize,
        reader: usize,
        devices: usize,
        frees: Frees,
    ) -> Result<usize, LoadError> {
        let place = self.flows.len();
        if self.first_flow + place >= FLOWS_MAX {
            return Err(LoadError::Setup(format!(
                "a run can have {FLOWS_MAX} pairs of a sender and a reader, and not more"
            )));
        }
        let body = format!(
            r#"{{"id":"{}{}","type":"C2C","to":"{}","payload":"#,
            self.stage.run.as_str(),
            "0".repeat(NAME),
            self.users[reader].name
        );
        let mut head = Vec::new();
        ws::text_head(&mut head, body.len() + self.stage.payload.tail.len());
        let name_at = head.len() + r#"{"id":""#.len() + RUN;
        head.extend_from_slice(body.as_bytes());
        self.flows.push(Flow {
            sender,
            reader,
            ledger: Ledger::new(devices, frees),
            head,
            name_at,
            budget: 0,
            pace: None,
            is_ready: false,
        });
        self.clients[sender].sending.flows.push(place);
        Ok(place)
    }

    /// Makes a client misbehave, by a chance of its own.
    pub(super) fn spoil(&mut self, client: usize, traits: &Traits, seed: u64) {
        let mut temper = Temper::new(traits.clone(), seed);
        temper.came(self.now);
        self.clients[client].temper = Some(temper);
        self.wake_by(client, self.now);
    }

    /// Makes everybody behave, and acknowledge what they have not.
    pub(super) fn behave(&mut self) {
        for client in 0..self.clients.len() {
            if self.clients[client].temper.take().is_some() {
                self.ack_all(client);
                self.touched.push(client);
            }
        }
    }

    /// Lets a flow send so many messages more.
    pub(super) fn order(&mut self, flow: usize, messages: u64) {
        let Flow {
            sender,
            budget,
            is_ready,
            ..
        } = &mut self.flows[flow];
        *budget = budget.saturating_add(messages);
        let sender = *sender;
        if !std::mem::replace(is_ready, true) {
            self.clients[sender].sending.ready.push_back(flow);
        }
        self.touched.push(sender);
    }

    /// Lets a flow send without end: as fast as its window allows, or by a pace.
    pub(super) fn let_run(&mut self, flow: usize, pace: Option<Pace>) {
        self.flows[flow].pace = pace;
        self.order(flow, u64::MAX);
    }

    /// No flow sends anything new.
    pub(super) fn stop_sending(&mut self) {
        for flow in &mut self.flows {
            flow.budget = flow.ledger.next();
        }
    }

    /// Serves until `there` says so, for `most` at most.
    pub(super) fn until(
        &mut self,
        most: Duration,
        there: impl FnMut(&mut Crew) -> bool,
    ) -> Result<Waited, LoadError> {
        self.serve(most, false, there)
    }

    /// Serves for so long; false if somebody wants the run to end.
    pub(super) fn run_for(&mut self, time: Duration) -> Result<bool, LoadError> {
        Ok(self.serve(time, false, |_| false)? == Waited::Late)
    }

    /// Serves until everything is heard of every message, whoever wants the run to end; for `most` at most.
    pub(super) fn drain(&mut self) -> Result<(), LoadError> {
        self.board.phase("draining");
        self.stop_sending();
        self.behave();
        for client in 0..self.clients.len() {
            if !self.clients[client].sending.flows.is_empty() || self.has_mail(client) {
                self.want(client, true);
            }
        }
        self.serve(self.stage.drain, true, |crew| crew.unsettled == 0)?;
        self.judge();
        Ok(())
    }

    /// Waits until every thread of the run has come this far.
    pub(super) fn meet(&mut self) -> Result<(), LoadError> {
        let stage = self.stage.clone();
        let arrived = stage.met.fetch_add(1, Ordering::SeqCst);
        let all = (arrived / stage.threads + 1) * stage.threads;
        let patience = stage.patience + stage.drain;
        let waited = self.serve(patience, true, |_| {
            stage.met.load(Ordering::SeqCst) >= all || stage.is_stopped()
        })?;
        match waited {
            Waited::Late => Err(LoadError::Run("another thread of the run is stuck".into())),
            _ => Ok(()),
        }
    }

    /// Begins to count what is measured, or ends it.
    pub(super) fn measure(&mut self, is_on: bool) {
        if is_on {
            self.board.phase("measuring");
        }
        let mark = self.mark();
        self.marks.push(mark);
        self.tally.measure(is_on);
    }

    /// Looks at what the server and this process have used so far.
    pub(super) fn mark(&mut self) -> Mark {
        Mark {
            at: self.stage.now(),
            server: self.stage.watch.lock().look(),
            client_cpu: watch::cpu("self"),
        }
    }

    fn serve(
        &mut self,
        most: Duration,
        is_last: bool,
        mut there: impl FnMut(&mut Crew) -> bool,
    ) -> Result<Waited, LoadError> {
        self.now = self.stage.now();
        let end = self.now.saturating_add(most.as_nanos() as u64);
        loop {
            self.look_at_touched();
            if let Some(error) = self.failed.take() {
                self.stage.break_off();
                return Err(error);
            }
            if there(self) {
                return Ok(Waited::Yes);
            }
            if self.stage.is_broken() {
                return Err(LoadError::Run(
                    "another thread of the run has failed".into(),
                ));
            }
            if !is_last && self.stage.is_stopped() {
                return Ok(Waited::Stopped);
            }
            if self.now >= end {
                return Ok(Waited::Late);
            }
            self.turn(end)?;
        }
    }

    /// Waits for something to happen, not beyond `end`, and sees to all of it.
    fn turn(&mut self, end: u64) -> Result<(), LoadError> {
        let next = self.alarms.peek().map_or(u64::MAX, |Reverse((at, _))| *at);
        self.arm(next.min(end).min(self.publish_at))?;
        let mut events = std::mem::take(&mut self.events);
        let waited = epoll::wait(&self.epoll, spare_capacity(&mut events), None);
        match waited {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(LoadError::Run(format!("epoll: {error}"))),
        }
        for event in events.drain(..) {
            let client = event.data.u64();
            if client == TIMER {
                self.armed = u64::MAX;
                self.hear_the_timer();
            } else {
                self.now = self.stage.now();
                self.attend(client as usize, event.flags);
            }
        }
        self.events = events;
        self.now = self.stage.now();
        while let Some(&Reverse((at, client))) = self.alarms.peek()
            && at <= self.now
        {
            self.alarms.pop();
            if self.clients[client].alarm == at {
                self.clients[client].alarm = u64::MAX;
                self.on_alarm(client);
            }
        }
        if self.now >= self.publish_at {
            self.publish();
        }
        Ok(())
    }

    pub(super) fn publish(&mut self) {
        self.publish_at = self.now + PUBLISH_NS;
        self.tally.publish(&self.board, self.on, self.unsettled);
    }

    /// Has this client looked at by then.
    fn wake_by(&mut self, client: usize, at: u64) {
        let alarm = &mut self.clients[client].alarm;
        if at < *alarm {
            *alarm = at;
            self.alarms.push(Reverse((at, client)));
        }
    }

    /// Pumps and writes for those whom somebody else gave something to do.
    fn look_at_touched(&mut self) {
        while let Some(client) = self.touched.pop() {
            if self.clients[client].link == Link::On {
                self.pump(client);
                self.flush(client);
            }
        }
    }

    /// Sets the timer, if it is not set to that.
    fn arm(&mut self, at: u64) -> Result<(), LoadError> {
        if at == self.armed {
            return Ok(());
        }
        // Nothing at all would disarm it.
        let wait = at.saturating_sub(self.stage.now()).max(1);
        let spec = Itimerspec {
            it_interval: Timespec::default(),
            it_value: Timespec {
                tv_sec: (wait / 1_000_000_000) as i64,
                tv_nsec: (wait % 1_000_000_000) as i64,
            },
        };
        timerfd_settime(&self.timer, TimerfdTimerFlags::empty(), &spec)
            .map_err(|error| LoadError::Run(format!("timer: {error}")))?;
        self.armed = at;
        Ok(())
    }

    fn hear_the_timer(&mut self) {
        let mut count = [MaybeUninit::uninit(); 8];
        // It may have been set anew in between; then there is nothing to hear.
        let _ = rustix::io::read(&self.timer, &mut count);
    }

    /// Whether messages may be on their way to this client.
    fn has_mail(&self, client: usize) -> bool {
        let user = self.clients[client].user;
        self.flows
            .iter()
            .any(|flow| flow.reader == user && flow.ledger.unsettled() > 0)
    }

    /// Names what is owed of every message that is not settled.
    fn judge(&mut self) {
        for (place, flow) in self.flows.iter().enumerate() {
            for (number, owed) in flow.ledger.owed() {
                let finding = match owed {
                    Owed::Lost => &mut self.proof.lost,
                    Owed::Unanswered => &mut self.proof.unanswered,
                    Owed::Unconfirmed => &mut self.proof.unconfirmed,
                    Owed::Untold => &mut self.proof.untold,
                };
                let name = Name {
                    flow: (self.first_flow + place) as u32,
                    number,
                };
                finding.note(|| self.stage.run.id(name));
            }
        }
    }

    fn fail(&mut self, error: LoadError) {
        self.failed.get_or_insert(error);
    }

    fn failed_by(&mut self, what: &str, error: &io::Error) {
        self.fail(LoadError::Run(format!("{what}: {error}")));
    }

    /// The flow that an id names, and the message's number in it.
    fn find(&self, id: Option<&[u8]>) -> Option<(usize, Name)> {
        let name = self.stage.run.name(id?)?;
        let flow = (name.flow as usize).checked_sub(self.first_flow)?;
        (flow < self.flows.len()).then_some((flow, name))
    }

    fn acks(&self) -> Acks {
        self.stage.acks
    }
}
