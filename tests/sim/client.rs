//! A client that keeps docs/PROTOCOL.md: it repeats what was not answered, acknowledges what it gets, and drops repeats.

use std::collections::{BTreeMap, BTreeSet};

use yizhan::code::Code;
use yizhan::id::{Did, MsgId, Seq, Uid};
use yizhan::message::chat::{Amendment, Chat};
use yizhan::message::{
    Ack, Address, Command, Draft, Event, Fault, Notice, Row, SignalDraft, State, Target, What,
};

use crate::wishes::{Change, Mark};

/// How long a client waits for an answer before it repeats, milliseconds.
const PATIENCE: u64 = 60;
/// Messages that wait for their acceptance at once.
const WINDOW: usize = 3;

/// How a client acknowledges.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AckForm {
    Text,
    Seqs,
    UpTo,
}

/// What its connections and its server do to it.
#[derive(Clone, Copy, Debug)]
pub struct Conditions {
    /// Whether a connection loses nothing as long as it lives.
    pub reliable: bool,
    /// How long the server remembers an id, milliseconds.
    pub dedupe_ms: u64,
}

/// One message of this client.
#[derive(Clone, Debug)]
pub struct Outgoing {
    pub id: MsgId,
    pub to: Chat,
    pub progress: Progress,
    /// When it must be gone.
    pub expires_at: Option<u64>,
    /// When its user writes it.
    pub written_at: u64,
    /// When it was sent or asked about last.
    pub at: Option<u64>,
    /// When the server accepted it, by the server's word.
    pub accepted_at: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd)]
pub enum Progress {
    Unsent,
    Accepted,
    /// Everything from here on is final.
    Delivered,
    Expired,
    /// Taken back, or never taken.
    Over,
    /// Accepted so long ago that the server remembers nothing of it.
    TooOld,
}

/// A signal of this client, sent once.
#[derive(Clone, Debug)]
pub struct Call {
    pub id: MsgId,
    pub to: Uid,
    pub at: u64,
}

/// One device of one user.
pub struct Client {
    pub uid: Uid,
    pub did: Did,
    pub form: AckForm,
    pub conditions: Conditions,
    pub conn: Option<u64>,
    pub open: bool,
    pub welcomed: bool,
    /// When this connection got its first frame.
    pub since: Option<u64>,
    /// It does not connect before.
    pub away_until: u64,
    /// It acknowledges nothing before.
    pub silent_until: u64,
    /// It was told not to come straight back.
    pub barred: bool,
    pub outgoing: Vec<Outgoing>,
    pub calls: Vec<Call>,
    pub changes: Vec<Change>,
    pub marks: Vec<Mark>,
    /// How far it has read, by the server's word.
    pub read: BTreeMap<Chat, Seq>,
    /// What was told of messages.
    pub told: BTreeMap<(Chat, Uid, MsgId, Seq), (Seq, u64)>,
    /// What was received, by its place, with the time of its acceptance; the promise is about this.
    pub seen: BTreeMap<(Chat, Uid, MsgId), (Seq, u64)>,
    /// Every place that something was received from.
    pub got: BTreeSet<Seq>,
    /// Acknowledged on this connection and not confirmed: when.
    pub tried: BTreeMap<Seq, u64>,
    pub confirmed: BTreeSet<Seq>,
    /// Rows that this connection was sent.
    pub here: BTreeMap<Seq, MsgId>,
    /// Ids of signals that this connection was sent.
    pub signalled: BTreeSet<MsgId>,
    /// Rows were given up for it, and it has not been told.
    pub must_resync: bool,
    /// Notices and refusals for the world to count.
    pub heard: Vec<Heard>,
}

/// Something a client was told that changes nothing for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heard {
    Refusal(Code),
    TokenEnds,
}

impl Client {
    pub fn new(uid: Uid, did: &str, form: AckForm, conditions: Conditions) -> Client {
        Client {
            uid,
            did: Did::parse(did).unwrap(),
            form,
            conditions,
            conn: None,
            open: false,
            welcomed: false,
            since: None,
            away_until: 0,
            silent_until: 0,
            barred: false,
            outgoing: Vec::new(),
            calls: Vec::new(),
            changes: Vec::new(),
            marks: Vec::new(),
            read: BTreeMap::new(),
            told: BTreeMap::new(),
            seen: BTreeMap::new(),
            got: BTreeSet::new(),
            tried: BTreeMap::new(),
            confirmed: BTreeSet::new(),
            here: BTreeMap::new(),
            signalled: BTreeSet::new(),
            must_resync: false,
            heard: Vec::new(),
        }
    }

    pub fn will_send(&mut self, id: &str, to: Uid, at: u64) {
        self.will_say(id, Chat::User(to), at, None);
    }

    pub fn will_say(&mut self, id: &str, to: Chat, at: u64, expires_at: Option<u64>) {
        self.outgoing.push(Outgoing {
            id: MsgId::parse(id).unwrap(),
            to,
            progress: Progress::Unsent,
            expires_at,
            written_at: at,
            at: None,
            accepted_at: 0,
        });
        self.outgoing.sort_by_key(|message| message.written_at);
    }

    pub fn will_call(&mut self, id: &str, to: Uid, at: u64) {
        self.calls.push(Call {
            id: MsgId::parse(id).unwrap(),
            to,
            at,
        });
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
        self.signalled.clear();
        for message in &mut self.outgoing {
            message.at = None;
        }
        for change in &mut self.changes {
            change.asked = None;
        }
        for mark in &mut self.marks {
            mark.asked = None;
        }
    }

    /// Whether nothing of its own is open.
    pub fn is_settled(&self) -> bool {
        let mut outgoing = self.outgoing.iter();
        outgoing.all(|message| match message.to {
            Chat::User(_) => message.progress >= Progress::Delivered,
            // What its members have is asked of the store, once all is quiet.
            Chat::Group(_) => message.progress >= Progress::Accepted,
        }) && self.tried.is_empty()
            && self.has_no_wish()
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
                        commands.push(Command::Send(draft(message, self.uid)));
                    }
                }
                Progress::Accepted if late(message.at) => {
                    message.at = Some(now);
                    if repeat_rather_than_ask {
                        commands.push(Command::Send(draft(message, self.uid)));
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
        commands.extend(self.wishes(now));
        if !ask.is_empty() {
            commands.push(Command::Status(ask));
        }
        self.calls.retain(|call| {
            if call.at > now {
                return true;
            }
            commands.push(Command::Signal(SignalDraft {
                id: call.id.clone(),
                kind: "WEBRTC_OFFER".into(),
                to: call.to,
                payload: "{}".into(),
                created_at: None,
            }));
            false
        });
        if now < self.silent_until {
            return commands;
        }
        let tried = self.tried.iter();
        let late_ones = tried.filter(|(_, at)| late(Some(**at)));
        let unanswered: Vec<Seq> = late_ones.map(|(seq, _)| *seq).collect();
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
            Event::Deliver(row) => return self.got(now, &[row], self.form),
            Event::WaitingPage { rows, .. } => {
                let form = match self.form {
                    AckForm::UpTo => AckForm::Seqs,
                    form => form,
                };
                return self.got(now, &rows, form);
            }
            // A page may overtake messages on their way, which `up_to` would cover as well.
            Event::SyncPage { rows, .. } => {
                let form = match self.form {
                    AckForm::UpTo => AckForm::Seqs,
                    form => form,
                };
                return self.got(now, &rows, form);
            }
            Event::Signal(signal) => {
                self.signalled.insert(signal.id.clone());
                return Ok(vec![Command::Ack(self.text_ack(&signal.id))]);
            }
            Event::Accepted {
                id, to, server_ts, ..
            } => {
                self.progress(&id, to, Progress::Accepted)?;
                let mut mine = self.outgoing.iter_mut();
                if let Some(message) = mine.find(|m| m.id == id && m.to == to) {
                    // An id that was forgotten is that of another message.
                    if message.accepted_at != server_ts {
                        let mut changes = self.changes.iter_mut();
                        let of = |change: &&mut Change| change.chat == to && *change.target() == id;
                        changes
                            .by_ref()
                            .filter(of)
                            .for_each(|change| change.made = None);
                    }
                    message.accepted_at = server_ts;
                }
            }
            Event::Delivered { id, reader, .. } => {
                self.progress(&id, Chat::User(reader), Progress::Delivered)?;
            }
            Event::Unwanted { id, to, .. } => {
                let to = Chat::User(to);
                let mut changes = self.changes.iter_mut();
                match changes.find(|change| change.chat == to && *change.amendment.id() == id) {
                    Some(change) if matches!(change.amendment, Amendment::Edit { .. }) => {
                        change.refused = true;
                    }
                    _ => self.progress(&id, to, Progress::Over)?,
                }
            }
            Event::Amended {
                amendment,
                to,
                server_ts,
            } => self.changed(to, &amendment, server_ts)?,
            Event::ReadOk { id, to, up_to } => self.marked(to, id.as_ref(), up_to)?,
            Event::Status(states) => {
                for (target, state, _) in states {
                    self.told(now, &target, state)?;
                }
            }
            Event::AckOk(ack) => self.confirm(ack),
            Event::Notice { notice, .. } => match notice {
                Notice::Resync => self.must_resync = false,
                Notice::PleaseRefreshToken { .. } => self.heard.push(Heard::TokenEnds),
                _ => {}
            },
            Event::Error { fault, .. } => self.refused(&fault)?,
            _ => {}
        }
        Ok(Vec::new())
    }

    fn got(&mut self, now: u64, rows: &[Row], form: AckForm) -> Result<Vec<Command>, String> {
        let mut acks = Vec::new();
        for row in rows {
            let (seq, message) = (row.seq, &row.message);
            if self.confirmed.contains(&seq) {
                return Err(format!(
                    "row {seq} came back to {} after its ack was confirmed",
                    self.did
                ));
            }
            if row.what == What::Copy && self.has_sent(message.to, &message.id) {
                return Err(format!(
                    "{} is sent a copy of what it has sent itself: {}",
                    self.did, message.id
                ));
            }
            let key = (message.to, message.from, message.id.clone());
            let cseq = message.cseq;
            let what = match &row.what {
                What::Revoke => Some((key.0, key.1, row.id().clone(), cseq)),
                What::Edit(id) => Some((key.0, key.1, id.clone(), cseq)),
                What::Message | What::Copy => None,
            };
            if let Some(what) = what {
                if let Some((before, since)) = self.told.insert(what, (seq, row.since))
                    && before != seq
                    && row.since.abs_diff(since) < self.conditions.dedupe_ms
                {
                    return Err(format!("rows {before} and {seq} tell the same"));
                }
            } else if let Some((before, at)) = self.seen.insert(key, (seq, message.server_ts))
                && before != seq
                && at.abs_diff(message.server_ts) < self.conditions.dedupe_ms
            {
                return Err(format!(
                    "{} of {} has two rows, {before} and {seq}",
                    message.id, message.from
                ));
            }
            self.got.insert(seq);
            self.here.insert(seq, row.id().clone());
            self.tried.insert(seq, now);
            if now < self.silent_until {
                continue;
            }
            acks.push(Command::Ack(match form {
                AckForm::Text => self.text_ack(row.id()),
                AckForm::Seqs => Ack::Seqs(vec![seq]),
                // Whatever was sent on this connection must have come, or it would say too much.
                AckForm::UpTo if self.conditions.reliable => Ack::UpTo(seq),
                AckForm::UpTo => {
                    let mut below = 1..seq;
                    let has = |s| self.confirmed.contains(&s) || self.here.contains_key(&s);
                    match below.all(has) {
                        true => Ack::UpTo(seq),
                        false => Ack::Seqs(vec![seq]),
                    }
                }
            }));
        }
        Ok(acks)
    }

    fn has_sent(&self, to: Chat, id: &MsgId) -> bool {
        let mut mine = self.outgoing.iter();
        mine.any(|m| m.id == *id && m.to == to && m.progress > Progress::Unsent)
    }

    fn text_ack(&self, id: &MsgId) -> Ack {
        Ack::Id {
            id: id.clone(),
            did: self.did.clone(),
        }
    }

    fn confirm(&mut self, ack: Ack) {
        let covered: Vec<Seq> = match ack {
            Ack::Id { id, .. } => {
                let called = self.here.iter().filter(|(_, of)| **of == id);
                let called: Vec<Seq> = called.map(|(seq, _)| *seq).collect();
                // Of two with the same id this does not say which: both are acknowledged again, by seq.
                match called.len() == 1 && !self.signalled.contains(&id) {
                    true => called,
                    false => Vec::new(),
                }
            }
            Ack::Seqs(seqs) => seqs,
            Ack::UpTo(up_to) => self.tried.range(..=up_to).map(|(seq, _)| *seq).collect(),
        };
        for seq in covered {
            self.tried.remove(&seq);
            self.confirmed.insert(seq);
        }
    }

    fn told(&mut self, now: u64, target: &Target, state: State) -> Result<(), String> {
        let mut mine = self.outgoing.iter();
        let asked = mine.find(|m| m.id == target.id && m.to == target.to);
        let asked = asked.ok_or_else(|| format!("{target:?} was never asked about"))?;
        let reached = match state {
            State::Accepted => Progress::Accepted,
            State::Delivered => Progress::Delivered,
            State::Expired => Progress::Expired,
            State::Unknown if asked.accepted_at + self.conditions.dedupe_ms <= now => {
                Progress::TooOld
            }
            State::Revoked => Progress::Over,
            State::Unknown => {
                return Err(format!("{target:?} was accepted, and its state is unknown"));
            }
        };
        self.progress(&target.id, target.to, reached)
    }

    fn refused(&mut self, fault: &Fault) -> Result<(), String> {
        self.heard.push(Heard::Refusal(fault.code));
        match (fault.code, &fault.to) {
            // A question about a conversation that it does not take part in.
            _ if fault.id.as_deref() == Some("q") => Ok(()),
            (code, Some(Address::Chat(chat)))
                if fault
                    .id
                    .as_deref()
                    .is_some_and(|id| self.wish_refused(*chat, id, code)) =>
            {
                Ok(())
            }
            (Code::Forbidden | Code::BadFrame, Some(Address::Chat(chat))) => {
                let id = MsgId::parse(fault.id.as_deref().unwrap_or_default());
                let id = id.map_err(|_| format!("{fault:?} has no id"))?;
                self.progress(&id, *chat, Progress::Over)
            }
            (Code::TooFast | Code::Storage | Code::Busy | Code::InboxFull, _) => Ok(()),
            // Nobody took a signal, or nothing with that id was sent on this connection.
            (Code::NotFound, Some(Address::Chat(Chat::User(_))) | None) => Ok(()),
            _ => Err(format!("{} did nothing to be told {fault:?}", self.did)),
        }
    }

    fn progress(&mut self, id: &MsgId, to: Chat, reached: Progress) -> Result<(), String> {
        let mut mine = self.outgoing.iter_mut();
        let Some(message) = mine.find(|m| m.id == *id && m.to == to) else {
            // A receipt goes to every device of the sender, also to one that did not send it.
            return match reached {
                Progress::Delivered => Ok(()),
                _ => Err(format!("{id} to {to:?} was never sent from here")),
            };
        };
        if message.progress < reached {
            message.progress = reached;
        }
        Ok(())
    }
}

fn draft(message: &Outgoing, from: Uid) -> Draft {
    let id = &message.id;
    Draft {
        id: id.clone(),
        to: message.to,
        payload: format!("{{\"from\":{from},\"id\":\"{id}\"}}").into(),
        created_at: None,
        expires_at: message.expires_at,
    }
}
