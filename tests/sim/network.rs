//! The network and the adapters: frames are lost, doubled and late, clients stop reading, and an adapter waits for a
//! device whose mailbox is full.

use std::collections::VecDeque;

use yizhan::code::Close;
use yizhan::machine::device::Epoch;
use yizhan::message::{Ack, Command, Event};

use crate::bugs::Bug;
use crate::server::Mail;
use crate::world::{Phase, Step, World};

/// What crosses the network towards the server.
#[derive(Clone, Debug)]
pub enum Up {
    Command(Box<Command>),
    /// A new token.
    Renewal,
}

/// What crosses the network towards a client.
#[derive(Debug)]
pub enum Frame {
    Open,
    Event(Box<Event>),
    Closed(Option<Close>),
}

/// One connection, from both ends.
pub struct Conn {
    pub client: usize,
    /// The process and epoch, while the server knows the connection.
    pub at: Option<(u64, Epoch)>,
    /// When the last frame in each direction arrives: a connection keeps its order.
    last_up: u64,
    last_down: u64,
    /// The client reads nothing, so the adapter is stuck in both directions.
    jammed: bool,
    /// What has reached the socket and is not read.
    inbound: VecDeque<Up>,
}

impl Conn {
    pub fn new(client: usize, at: (u64, Epoch), now: u64) -> Conn {
        Conn {
            client,
            at: Some(at),
            last_up: now,
            last_down: now,
            jammed: false,
            inbound: VecDeque::new(),
        }
    }

    /// Whether the adapter waits for room in its device's mailbox.
    pub fn waits(&self) -> bool {
        !self.jammed && !self.inbound.is_empty()
    }
}

impl World {
    pub fn ask(&mut self, who: usize, commands: Vec<Command>) {
        let boxed = commands
            .into_iter()
            .map(|command| Up::Command(Box::new(command)));
        self.send(who, boxed);
    }

    pub fn send(&mut self, who: usize, ups: impl IntoIterator<Item = Up>) {
        for up in ups {
            // A loss may have ended the connection.
            let Some(conn) = self.clients[who].conn else {
                return;
            };
            for _ in 0..self.copies(conn) {
                let delay = self.rng.u64(..8);
                let Some(wire) = self.conns.get_mut(&conn) else {
                    return;
                };
                wire.last_up = wire.last_up.max(self.now + delay) + 1;
                let at = wire.last_up;
                self.at(at, Step::ToServer(conn, up.clone()));
            }
        }
    }

    /// How often a frame arrives: not at all, once, or twice.
    fn copies(&mut self, conn: u64) -> u32 {
        if self.phase > Phase::Faults {
            return 1;
        }
        if self.chance(self.scenario.loss) {
            self.ran.lost += 1;
            let who = self.conns.get(&conn).map(|c| c.client);
            if let Some(who) = who.filter(|_| self.scenario.loss_cuts)
                && self.clients[who].conn == Some(conn)
            {
                self.leave(who);
            }
            return 0;
        }
        if self.chance(self.scenario.doubling) {
            self.ran.doubled += 1;
            return 2;
        }
        1
    }

    pub fn reaches_client(&mut self, conn: u64, frame: Frame) -> Result<(), String> {
        let Some(who) = self.conns.get(&conn).map(|c| c.client) else {
            return Ok(());
        };
        if self.clients[who].conn != Some(conn) {
            // A connection that its client has replaced reads on until the server closes it.
            if let Frame::Closed(_) = frame {
                let ms = self.rng.u64(..40);
                self.after(ms, Step::Hangup(conn));
            }
            return Ok(());
        }
        match frame {
            Frame::Open => self.clients[who].open = true,
            Frame::Closed(close) => {
                self.clients[who].disconnected();
                match close {
                    Some(Close::Kicked) => self.kicked(who),
                    Some(Close::Token) => self.ran.tokens_ended += 1,
                    Some(Close::TooSlow) => self.ran.too_slow += 1,
                    _ => {}
                }
                self.soon(Step::Hangup(conn));
            }
            Frame::Event(event) => {
                self.check_said(who, &event)?;
                match &*event {
                    Event::Delivered { did: Some(_), .. } => self.ran.receipts += 1,
                    Event::SyncPage { .. } => self.ran.pages += 1,
                    Event::Unwanted { .. } => self.ran.unwanted += 1,
                    Event::ReadOk { .. } => self.ran.marks += 1,
                    _ => {}
                }
                let answers = self.clients[who].receive(self.now, *event)?;
                self.ask(who, answers);
                self.listen(who);
            }
        }
        Ok(())
    }

    /// Told not to come straight back: for a while, and after the faults for good, if there are more devices than the
    /// server remembers and it is not the last of them.
    fn kicked(&mut self, who: usize) {
        self.ran.kicked += 1;
        let uid = self.clients[who].uid;
        let devices = self.dids.iter().filter(|(of, _)| *of == uid).count();
        let too_many = devices > self.scenario.policy.bounds.max_devices;
        self.clients[who].away_until = self.now + self.rng.u64(50..300);
        let mut others = self.clients.iter().enumerate();
        let another = others.any(|(n, other)| n != who && other.uid == uid && !other.barred);
        self.clients[who].barred = too_many && another && self.phase > Phase::Faults;
    }

    pub fn reaches_server(&mut self, conn: u64, up: Up) {
        if let Some(wire) = self.conns.get_mut(&conn)
            && wire.at.is_some()
        {
            wire.inbound.push_back(up);
            self.read_socket(conn);
        }
    }

    /// The adapter hands on what it has read, for as long as its device takes it.
    pub fn read_socket(&mut self, conn: u64) {
        while let Some(wire) = self.conns.get_mut(&conn) {
            let Some((serial, epoch)) = wire.at.filter(|_| !wire.jammed) else {
                return;
            };
            if wire.inbound.is_empty() {
                return;
            }
            let proc = self.server.as_ref().and_then(|s| s.procs.get(&serial));
            let Some(proc) = proc else {
                return;
            };
            if proc.mailbox.len() >= self.scenario.mailbox {
                self.ran.mailbox_full += 1;
                return;
            }
            if proc.latest != epoch
                && let Some(Up::Command(command)) = wire.inbound.front()
                && matches!(**command, Command::Ack(_))
            {
                self.ran.late_acks += 1;
            }
            match wire.inbound.pop_front() {
                Some(Up::Command(command)) => {
                    self.plant_ack(serial, &command);
                    if let Command::Ack(Ack::UpTo(_)) = &*command {
                        self.ran.acks_up_to += 1;
                    }
                    self.mail(serial, Mail::Ask(epoch, *command));
                }
                Some(Up::Renewal) => {
                    let good_until = self.now + self.scenario.token_ms;
                    self.mail(serial, Mail::Renewed(epoch, good_until));
                }
                None => return,
            }
        }
    }

    /// Bugs that take an acknowledgement for more than it says.
    fn plant_ack(&mut self, serial: u64, command: &Command) {
        match command {
            Command::Ack(Ack::Id { id, .. }) if self.is_planted(Bug::AckByIdAlone) => {
                self.ack_everything_called(serial, &id.clone());
            }
            Command::Ack(Ack::UpTo(_)) if self.is_planted(Bug::AckBeyondSent) => {
                self.ack_everything(serial);
            }
            _ => {}
        }
    }

    pub fn jam(&mut self, who: usize) {
        let Some(conn) = self.clients[who].conn else {
            return;
        };
        if let Some(wire) = self.conns.get_mut(&conn)
            && !std::mem::replace(&mut wire.jammed, true)
        {
            self.ran.jams += 1;
            let ms = self.rng.u64(10..250);
            self.after(ms, Step::Unjam(conn));
        }
    }

    /// The client reads again, or the kernel has had enough.
    pub fn unjam(&mut self, conn: u64) {
        let cut = self.chance(30);
        let Some(wire) = self.conns.get_mut(&conn) else {
            return;
        };
        wire.jammed = false;
        let (who, at) = (wire.client, wire.at);
        if cut {
            self.ran.cut += 1;
            if self.clients[who].conn == Some(conn) {
                self.clients[who].disconnected();
            }
            return self.hangup(conn);
        }
        self.read_socket(conn);
        if let Some((_, epoch)) = at {
            self.soon(Step::Pump(epoch));
        }
    }

    pub fn hangup(&mut self, conn: u64) {
        let Some((serial, epoch)) = self.conns.get_mut(&conn).and_then(|c| c.at.take()) else {
            return;
        };
        self.epochs.remove(&epoch);
        self.mail(serial, Mail::Closed(epoch));
    }

    /// The adapter takes some of the frames that wait.
    pub fn pump(&mut self, epoch: Epoch) {
        let Some(conn) = self.epochs.get(&epoch).copied() else {
            return;
        };
        let Some(wire) = self.conns.get(&conn) else {
            return;
        };
        // A jammed adapter is not polled, and one that waits for its device does nothing else.
        let Some((serial, _)) = wire.at.filter(|_| !wire.jammed && wire.inbound.is_empty()) else {
            return;
        };
        let Some(line) = self.line(serial, epoch) else {
            return;
        };
        let Some(taken) = line.frames.take() else {
            line.pumping = false;
            return;
        };
        let is_last = line.pushed == line.outbox.taken();
        line.pumping = !is_last;
        for event in taken.events {
            match event {
                Event::Close(close) => self.down(conn, Frame::Closed(Some(close))),
                event => {
                    // The first frame of a login opens the connection, so its loss would be that of the connection.
                    let first = matches!(event, Event::Notice { .. });
                    for _ in 0..if first { 1 } else { self.copies(conn) } {
                        self.down(conn, Frame::Event(Box::new(event.clone())));
                    }
                }
            }
        }
        if taken.wanted {
            self.mail(serial, Mail::Alive);
        }
        if !is_last {
            self.soon(Step::Pump(epoch));
        }
    }

    pub fn down(&mut self, conn: u64, frame: Frame) {
        let delay = self.rng.u64(..8);
        let Some(wire) = self.conns.get_mut(&conn) else {
            return;
        };
        wire.last_down = wire.last_down.max(self.now + delay) + 1;
        let at = wire.last_down;
        self.at(at, Step::ToClient(conn, frame));
    }

    /// The connections of a process, or of all of them, end without a word from their devices.
    pub fn break_lines(&mut self, of: Option<u64>) {
        let broken = self.conns.iter().filter(|(_, conn)| match (conn.at, of) {
            (Some((serial, _)), Some(of)) => serial == of,
            (at, None) => at.is_some(),
            _ => false,
        });
        let broken: Vec<u64> = broken.map(|(id, _)| *id).collect();
        for conn in broken {
            if let Some(wire) = self.conns.get_mut(&conn)
                && let Some((_, epoch)) = wire.at.take()
            {
                self.epochs.remove(&epoch);
            }
            self.down(conn, Frame::Closed(None));
        }
    }
}
