//! A client that keeps docs/PROTOCOL.md: it repeats what was not answered, acknowledges what it gets, and drops repeats.

use std::collections::{BTreeMap, BTreeSet};

use yizhan::id::{Did, MsgId, Seq, Uid};
use yizhan::message::{Ack, Command, Draft, Event, Kind, Notice, Row, State, Target};

/// How long a client waits for an answer before it repeats, milliseconds.
const PATIENCE: u64 = 60;
/// Messages that wait for their acceptance at once.
const WINDOW: usize = 2;

/// How a client acknowledges.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AckForm {
    Text,
    Seqs,
    UpTo,
}

/// One message of this client.
#[derive(Clone, Debug)]
pub struct Outgoing {
    pub id: MsgId,
    pub to: Uid,
    pub progress: Progress,
    /// When its user writes it.
    pub written_at: u64,
    /// When it was sent or asked about last.
    pub at: Option<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd)]
pub enum Progress {
    Unsent,
    Accepted,
    Delivered,
}

/// One device of one user.
pub struct Client {
    pub uid: Uid,
    pub did: Did,
    pub form: AckForm,
    pub conn: Option<u64>,
    pub open: bool,
    pub welcomed: bool,
    /// When this connection got its first frame.
    pub since: Option<u64>,
    pub outgoing: Vec<Outgoing>,
    /// What was received, by its place; the promise is about this.
    pub seen: BTreeMap<(Uid, MsgId), Seq>,
    /// Acknowledged on this connection and not confirmed: when.
    pub tried: BTreeMap<Seq, u64>,
    pub confirmed: BTreeSet<Seq>,
    /// Rows that this connection was sent.
    pub here: BTreeMap<Seq, MsgId>,
}

impl Client {
    pub fn new(uid: Uid, did: &str, form: AckForm) -> Client {
        Client {
            uid,
            did: Did::parse(did).unwrap(),
            form,
            conn: None,
            open: false,
            welcomed: false,
            since: None,
            outgoing: Vec::new(),
            seen: BTreeMap::new(),
            tried: BTreeMap::new(),
            confirmed: BTreeSet::new(),
            here: BTreeMap::new(),
        }
    }

    pub fn will_send(&mut self, id: &str, to: Uid) {
        self.outgoing.push(Outgoing {
            id: MsgId::parse(id).unwrap(),
            to,
            progress: Progress::Unsent,
            written_at: 0,
            at: None,
        });
    }

    /// Spreads the messages over time.
    pub fn release(&mut self, mut times: Vec<u64>) {
        times.sort_unstable();
        for (message, at) in self.outgoing.iter_mut().zip(times) {
            message.written_at = at;
        }
    }

    pub fn connecting(&mut self, conn: u64) {
        self.disconnected();
        self.conn = Some(conn);
    }

    pub fn disconnected(&mut self) {
        self.conn = None;
        self.open = false;
        self.welcomed = false;
        self.since = None;
        self.tried.clear();
        self.here.clear();
        for message in &mut self.outgoing {
            message.at = None;
        }
    }

    /// What is due at `now`.
    pub fn due(&mut self, now: u64, repeat_rather_than_ask: bool) -> Vec<Command> {
        let mut commands = Vec::new();
        let late = |at: Option<u64>| at.is_none_or(|at| at + PATIENCE <= now);
        let mut waiting = 0;
        let mut ask = Vec::new();
        for message in &mut self.outgoing {
            match message.progress {
                Progress::Unsent if message.written_at <= now => {
                    waiting += 1;
                    if waiting <= WINDOW && late(message.at) {
                        message.at = Some(now);
                        commands.push(Command::Send(draft(&message.id, message.to, self.uid)));
                    }
                }
                Progress::Accepted if late(message.at) => {
                    message.at = Some(now);
                    if repeat_rather_than_ask {
                        commands.push(Command::Send(draft(&message.id, message.to, self.uid)));
                    } else {
                        ask.push(Target {
                            to: message.to,
                            id: message.id.clone(),
                        });
                    }
                }
                _ => {}
            }
        }
        if !ask.is_empty() {
            commands.push(Command::Status(ask));
        }
        let unanswered: Vec<Seq> = self
            .tried
            .iter()
            .filter(|(_, at)| late(Some(**at)))
            .map(|(seq, _)| *seq)
            .collect();
        if !unanswered.is_empty() {
            for seq in &unanswered {
                self.tried.insert(*seq, now);
            }
            commands.push(Command::Ack(Ack::Seqs(unanswered)));
        }
        commands
    }

    /// Takes a frame; what it answers.
    pub fn receive(&mut self, now: u64, event: Event) -> Result<Vec<Command>, String> {
        if !self.welcomed {
            let Event::Notice {
                notice: Notice::OfflineSummary { .. },
                ..
            } = event
            else {
                return Err(format!("the first frame is not the summary: {event:?}"));
            };
            self.welcomed = true;
            self.since = Some(now);
            return Ok(Vec::new());
        }
        match event {
            Event::Deliver(row) => self.got(now, &[row]),
            Event::SyncPage { rows, .. } => self.got(now, &rows),
            Event::Accepted { id, to, .. } => self.progress(&id, to, Progress::Accepted),
            Event::Delivered { id, reader, .. } => self.progress(&id, reader, Progress::Delivered),
            Event::Status(states) => {
                for (target, state) in states {
                    match state {
                        State::Accepted => {}
                        State::Delivered => {
                            self.progress(&target.id, target.to, Progress::Delivered)?;
                        }
                        state => {
                            return Err(format!(
                                "{target:?} was accepted, and its status is {state:?}"
                            ));
                        }
                    }
                }
                Ok(Vec::new())
            }
            Event::AckOk(ack) => {
                let covered: Vec<Seq> = match ack {
                    Ack::Id { id, .. } => {
                        let called = self.here.iter().filter(|(_, of)| **of == id);
                        let called: Vec<Seq> = called.map(|(seq, _)| *seq).collect();
                        // Of two with the same id this does not say which: both are acknowledged again, by seq.
                        if called.len() > 1 { Vec::new() } else { called }
                    }
                    Ack::Seqs(seqs) => seqs,
                    Ack::UpTo(up_to) => self.tried.range(..=up_to).map(|(seq, _)| *seq).collect(),
                };
                for seq in covered {
                    self.tried.remove(&seq);
                    self.confirmed.insert(seq);
                }
                Ok(Vec::new())
            }
            _ => Ok(Vec::new()),
        }
    }

    fn got(&mut self, now: u64, rows: &[Row]) -> Result<Vec<Command>, String> {
        let mut acks = Vec::new();
        for row in rows {
            let (seq, message) = (row.seq, &row.message);
            if self.confirmed.contains(&seq) {
                return Err(format!(
                    "row {seq} came back to {} after its ack was confirmed",
                    self.did
                ));
            }
            let key = (message.from, message.id.clone());
            if let Some(before) = self.seen.insert(key, seq)
                && before != seq
            {
                return Err(format!(
                    "{} of {} has two rows, {before} and {seq}",
                    message.id, message.from
                ));
            }
            self.here.insert(seq, message.id.clone());
            self.tried.insert(seq, now);
            acks.push(Command::Ack(match self.form {
                AckForm::Text => Ack::Id {
                    id: message.id.clone(),
                    did: self.did.clone(),
                },
                AckForm::Seqs => Ack::Seqs(vec![seq]),
                // Everything below it must have come, or the acknowledgement would say too much.
                AckForm::UpTo
                    if (1..seq)
                        .all(|s| self.confirmed.contains(&s) || self.here.contains_key(&s)) =>
                {
                    Ack::UpTo(seq)
                }
                AckForm::UpTo => Ack::Seqs(vec![seq]),
            }));
        }
        Ok(acks)
    }

    fn progress(&mut self, id: &MsgId, to: Uid, reached: Progress) -> Result<Vec<Command>, String> {
        let mut mine = self.outgoing.iter_mut();
        let Some(message) = mine.find(|m| m.id == *id && m.to == to) else {
            // A receipt goes to every device of the sender, also to one that did not send it.
            return match reached {
                Progress::Delivered => Ok(Vec::new()),
                _ => Err(format!("{id} to {to} was never sent from here")),
            };
        };
        if message.progress < reached {
            message.progress = reached;
        }
        Ok(Vec::new())
    }
}

fn draft(id: &MsgId, to: Uid, from: Uid) -> Draft {
    Draft {
        id: id.clone(),
        kind: Kind::C2c,
        to,
        payload: format!("{{\"from\":{from},\"id\":\"{id}\"}}").into(),
        created_at: None,
    }
}
