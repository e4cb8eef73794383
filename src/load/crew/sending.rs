//! The sender's half: messages out, and what is heard of them.

use std::fmt::Write;

use serde::Deserialize;

use crate::load::LoadError;
use crate::load::client::Link;
use crate::load::frame::Frame;
use crate::load::ledger::News;
use crate::load::naming::{NAME, Name};
use crate::load::ws;

use super::Crew;

/// What may wait to be written before nothing more is added, bytes.
const OUT_MAX: usize = 512 * 1024;
/// How long a sender waits for frame 2 before it sends again.
const RESEND_NS: u64 = 10_000_000_000;
/// How long it waits after an ERROR that does not say how long.
const PAUSE_MS: u64 = 500;
/// Messages of one question about states.
const ASKED_MAX: usize = 256;

#[derive(Deserialize)]
struct Told<'a> {
    #[serde(borrow)]
    of: Vec<State<'a>>,
}

#[derive(Deserialize)]
struct State<'a> {
    id: &'a str,
    state: &'a str,
}

#[derive(Deserialize)]
struct Error {
    id: Option<String>,
    to: Option<String>,
    code: u16,
    msg: String,
    retry_ms: Option<u64>,
}

impl Crew {
    /// Writes what a client may send now.
    pub(super) fn pump(&mut self, client: usize) {
        if self.clients[client].sending.held_until > self.now {
            let until = self.clients[client].sending.held_until;
            return self.wake_by(client, until);
        }
        if !self.try_again(client) {
            return;
        }
        loop {
            let it = &mut self.clients[client];
            let Some(wire) = &mut it.wire else {
                return;
            };
            let sending = &mut it.sending;
            if sending.open >= sending.window || wire.waiting() >= OUT_MAX {
                return;
            }
            let Some(&place) = sending.ready.front() else {
                return;
            };
            let flow = &mut self.flows[place];
            let number = flow.ledger.next();
            if number >= flow.budget {
                flow.is_ready = false;
                sending.ready.pop_front();
                continue;
            }
            let due = flow.pace.map_or(self.now, |pace| pace.due(number));
            if due > self.now {
                return self.wake_by(client, due);
            }
            flow.ledger.send(due, self.now);
            sending.open += 1;
            self.unsettled += 1;
            self.unanswered += 1;
            self.tally.counts.sent += 1;
            let twice = it
                .temper
                .as_mut()
                .is_some_and(|temper| temper.sends_twice());
            self.write(place, number);
            if twice {
                self.tally.counts.resent += 1;
                self.write(place, number);
            }
        }
    }

    /// A client is connected again: what has no answer is sent again, and the rest is asked for.
    pub(super) fn resume(&mut self, client: usize) {
        let sending = &mut self.clients[client].sending;
        sending.held_until = 0;
        sending.asks_of_all = true;
        sending.ask_from = Some((0, 0));
        if self.tally.counts.sent > 0 {
            self.send_again(client, self.now);
            self.ask(client);
        }
        self.pump(client);
    }

    /// Looks for what is overdue.
    pub(super) fn check(&mut self, client: usize) {
        self.repeat_acks(client);
        if self.clients[client].sending.flows.is_empty() {
            return;
        }
        self.send_again(client, self.now.saturating_sub(RESEND_NS));
        let sending = &mut self.clients[client].sending;
        if sending.ask_from.is_none() {
            sending.ask_from = Some((0, 0));
        }
        self.ask(client);
    }

    pub(super) fn hear_accepted(&mut self, client: usize, frame: &Frame<'_>, text: &[u8]) {
        let Some((place, name)) = self.own(client, frame) else {
            return self.strange(text);
        };
        match self.flows[place].ledger.accept(name.number) {
            Ok(news) => self.take_news(client, place, name, news),
            Err(_) => self.strange(text),
        }
    }

    pub(super) fn hear_delivered(&mut self, client: usize, frame: &Frame<'_>, text: &[u8]) {
        let Some((place, name)) = self.own(client, frame) else {
            // Another device of this user may have sent it.
            let found = self.find(frame.id);
            let is_of_user = found.is_some_and(|(place, _)| {
                self.clients[self.flows[place].sender].user == self.clients[client].user
            });
            return match is_of_user {
                true => {}
                false => self.strange(text),
            };
        };
        let device = match frame.did {
            None => None,
            Some(did) => match self.stage.run.device(did) {
                Some(device) => Some(device),
                None => return self.strange(text),
            },
        };
        match self.flows[place].ledger.tell(name.number, device) {
            Ok(news) => self.take_news(client, place, name, news),
            Err(_) => self.strange(text),
        }
    }

    pub(super) fn hear_status(&mut self, client: usize, text: &[u8]) {
        self.clients[client].sending.is_asking = false;
        let Ok(told) = serde_json::from_slice::<Told<'_>>(text) else {
            return self.strange(text);
        };
        for State { id, state } in told.of {
            let Some((place, name)) = self.find(Some(id.as_bytes())) else {
                return self.strange(text);
            };
            let news = match state {
                "delivered" => self.flows[place].ledger.tell(name.number, None),
                "accepted" => self.flows[place].ledger.accept(name.number),
                // It was accepted, or it would not have been asked for.
                _ => {
                    let id = format!("{id} (STATUS says {state})");
                    self.proof.lost.note(|| id);
                    self.flows[place].ledger.give_up(name.number)
                }
            };
            match news {
                Ok(news) => self.take_news(client, place, name, news),
                Err(_) => self.strange(text),
            }
        }
        self.ask(client);
    }

    pub(super) fn hear_error(&mut self, client: usize, text: &[u8]) {
        let Ok(error) = serde_json::from_slice::<Error>(text) else {
            return self.strange(text);
        };
        self.tally.error(error.code);
        let wait = error.retry_ms.unwrap_or(PAUSE_MS) * 1_000_000;
        let found = self.find(error.id.as_deref().map(str::as_bytes));
        if error.to.is_none() {
            return self.hear_other_error(client, &error, found, wait, text);
        }
        let Some((place, name)) = found.filter(|(place, _)| self.flows[*place].sender == client)
        else {
            return self.strange(text);
        };
        match error.code {
            429 | 500 | 503 | 507 => {
                let sending = &mut self.clients[client].sending;
                sending.held_until = sending.held_until.max(self.now + wait);
                if sending.trying == Some(name) {
                    sending.trying = None;
                    sending.again.push_front(name);
                } else if !sending.again.contains(&name) {
                    sending.again.push_back(name);
                }
                let until = sending.held_until;
                self.wake_by(client, until);
                if error.code == 507 && self.stage.is_inbox_bounded {
                    self.fail(LoadError::Setup(format!(
                        "a reader's inbox is full ({}): send fewer messages to each, or raise inbox.max_messages of the server",
                        error.msg
                    )));
                }
            }
            403 | 705 | 706 => self.fail(LoadError::Run(format!("{}: {}", error.code, error.msg))),
            _ => {
                let id = format!(
                    "{} ({}: {})",
                    self.stage.run.id(name),
                    error.code,
                    error.msg
                );
                self.proof.refused.note(|| id);
                if let Ok(news) = self.flows[place].ledger.give_up(name.number) {
                    // It is answered, and not accepted.
                    let refused = News {
                        accepted: false,
                        ..news
                    };
                    self.unanswered -= u64::from(news.accepted);
                    self.take_news(client, place, name, refused);
                }
            }
        }
    }

    /// About an acknowledgement, or about a question, which is repeated in time.
    fn hear_other_error(
        &mut self,
        client: usize,
        error: &Error,
        found: Option<(usize, Name)>,
        wait: u64,
        text: &[u8],
    ) {
        match (error.code, found) {
            (429 | 500 | 503, Some((_, name))) => {
                self.answered(client);
                self.ack_again(client, name, wait);
            }
            // Final: if the message is still owed, it comes again.
            (404, Some(_)) => self.answered(client),
            // It does not say whether it is about an acknowledgement by numbers or a question.
            (429 | 500 | 503, None) => {
                self.answered(client);
                self.clients[client].sending.is_asking = false;
            }
            _ => self.strange(text),
        }
    }

    /// Counts what is new, makes room for the next message, and drops what is settled.
    fn take_news(&mut self, client: usize, place: usize, name: Name, news: News) {
        let took = self.now.saturating_sub(news.sent);
        if news.accepted {
            self.unanswered -= 1;
            self.tally.accepted(took);
        }
        if news.closed {
            self.tally.closed(took);
        }
        let sending = &mut self.clients[client].sending;
        sending.open -= usize::from(news.frees);
        if sending.trying == Some(name) {
            sending.trying = None;
        }
        self.settle(place);
    }

    /// Drops what is settled in a flow.
    pub(super) fn settle(&mut self, place: usize) {
        let flow = &mut self.flows[place];
        let (settled, open) = flow.ledger.settle();
        self.unsettled -= settled;
        if open > 0 {
            let sender = flow.sender;
            self.clients[sender].sending.open -= open;
            self.touched.push(sender);
        }
    }

    /// The flow of this client that an answer is about, if it also names the reader rightly.
    fn own(&self, client: usize, frame: &Frame<'_>) -> Option<(usize, Name)> {
        let (place, name) = self.find(frame.id)?;
        let flow = &self.flows[place];
        let is_to = frame.to == Some(self.users[flow.reader].name.as_bytes());
        (flow.sender == client && is_to).then_some((place, name))
    }

    /// Appends a message to what its sender writes.
    fn write(&mut self, place: usize, number: u64) {
        let flow = &mut self.flows[place];
        let name = Name {
            flow: (self.first_flow + place) as u32,
            number,
        };
        flow.head[flow.name_at..flow.name_at + NAME].copy_from_slice(&name.digits());
        if let Some(wire) = &mut self.clients[flow.sender].wire {
            wire.out.extend_from_slice(&flow.head);
            wire.out.extend_from_slice(&self.stage.payload.tail);
        }
    }

    /// Sends what was refused for the moment, one after the other; false while that is not over.
    fn try_again(&mut self, client: usize) -> bool {
        let sending = &mut self.clients[client].sending;
        if sending.trying.is_some() {
            return false;
        }
        let Some(name) = sending.again.pop_front() else {
            return true;
        };
        sending.trying = Some(name);
        self.rewrite(name);
        false
    }

    /// Sends again what was written before `before` and has no answer.
    fn send_again(&mut self, client: usize, before: u64) {
        let flows = std::mem::take(&mut self.clients[client].sending.flows);
        for &place in &flows {
            let due = self.flows[place].ledger.iter();
            let due = due.filter(|(_, m)| !m.is_accepted() && m.tried <= before);
            let due: Vec<_> = due.map(|(number, _)| number).collect();
            for number in due {
                let flow = (self.first_flow + place) as u32;
                self.rewrite(Name { flow, number });
            }
        }
        self.clients[client].sending.flows = flows;
    }

    fn rewrite(&mut self, name: Name) {
        let place = name.flow as usize - self.first_flow;
        if let Some(message) = self.flows[place].ledger.message(name.number) {
            message.tried = self.now;
            self.tally.counts.resent += 1;
            self.write(place, name.number);
        }
    }

    /// Asks about states, from where the last question ended; one question at a time.
    fn ask(&mut self, client: usize) {
        let it = &mut self.clients[client];
        let sending = &mut it.sending;
        let (Some((mut at, mut from)), false) = (sending.ask_from, sending.is_asking) else {
            return;
        };
        let of_all = sending.asks_of_all;
        let mut question = String::new();
        let mut asked = 0;
        while let Some(&place) = sending.flows.get(at)
            && asked < ASKED_MAX
        {
            let flow = &self.flows[place];
            let room = ASKED_MAX - asked;
            let due = flow.ledger.iter_from(from);
            let due = due.filter(|(_, message)| message.is_worth_asking(of_all));
            let (mut last, before) = (None, asked);
            for (number, _) in due.take(room) {
                let name = Name {
                    flow: (self.first_flow + place) as u32,
                    number,
                };
                let to = &self.users[flow.reader].name;
                let id = self.stage.run.id(name);
                let comma = if asked > 0 { "," } else { "" };
                // Writing to a string cannot fail.
                let _ = write!(question, r#"{comma}{{"to":"{to}","id":"{id}"}}"#);
                (asked, last) = (asked + 1, Some(number));
            }
            match last.filter(|_| asked - before == room) {
                Some(last) => from = last + 1,
                None => (at, from) = (at + 1, 0),
            }
        }
        sending.ask_from = (at < sending.flows.len()).then_some((at, from));
        if sending.ask_from.is_none() {
            sending.asks_of_all = false;
        }
        if asked > 0
            && it.link == Link::On
            && let Some(wire) = &mut it.wire
        {
            sending.is_asking = true;
            let question = format!(r#"{{"type":"STATUS","of":[{question}]}}"#);
            ws::text(&mut wire.out, question.as_bytes());
        }
    }
}
