//! Connections: how they come, how they end, and what a client does until the next one.

use std::io::ErrorKind;

use rustix::event::epoll;
use serde::Deserialize;

use crate::load::LoadError;
use crate::load::client::Link;
use crate::load::wire::{Answer, Wire, answer};
use crate::load::ws::{self, Kind};

use super::Crew;

/// How long a connection may take to be there, and then each step of the login.
const STEP_NS: u64 = 10_000_000_000;
/// How long a client waits before it tries again, at first and at most.
const BACK_OFF_NS: u64 = 50_000_000;
const BACK_OFF_MAX_NS: u64 = 2_000_000_000;
/// How often what is overdue is looked for.
const CHECK_NS: u64 = 1_000_000_000;
/// How long a login may take to tell what became of the acknowledgements before it.
pub(super) const DOUBT_NS: u64 = 5_000_000_000;

#[derive(Deserialize)]
struct Refusal {
    code: u16,
    msg: String,
    #[serde(default)]
    payload: Option<Wait>,
}

#[derive(Deserialize)]
struct Wait {
    retry_ms: Option<u64>,
}

/// The first frame of a login.
#[derive(Deserialize)]
struct Summary<'a> {
    #[serde(borrow)]
    payload: Waiting<'a>,
}

#[derive(Deserialize)]
struct Waiting<'a> {
    msg_type: &'a str,
    #[serde(default)]
    count: u64,
    #[serde(default)]
    from_seq: u64,
    #[serde(default)]
    to_seq: u64,
}

impl Crew {
    /// Has a client be connected, or not.
    pub(in crate::load) fn want(&mut self, client: usize, is_wanted: bool) {
        let it = &mut self.clients[client];
        if it.is_wanted == is_wanted {
            return;
        }
        it.is_wanted = is_wanted;
        match is_wanted {
            true => {
                it.off_since = self.now;
                it.link = Link::Away { again: self.now };
                self.wake_by(client, self.now);
            }
            false => self.leave(client, false, u64::MAX),
        }
    }

    /// Ends a connection without a word, as a network does, and comes back at once.
    pub(in crate::load) fn cut(&mut self, client: usize) {
        self.leave(client, true, self.now);
    }

    /// Ends a connection, if there is one, and comes back at `again`.
    pub(super) fn leave(&mut self, client: usize, is_cut: bool, again: u64) {
        let it = &mut self.clients[client];
        if it.link == Link::On {
            self.on -= 1;
            it.off_since = self.now.max(again);
            it.inbox.leave();
            it.late_acks.clear();
            it.batch.clear();
            it.held_acks.clear();
            it.acks_open = 0;
            let sending = &mut it.sending;
            sending.again.clear();
            sending.trying = None;
            sending.is_asking = false;
        }
        it.link = Link::Away { again };
        if let Some(mut wire) = it.wire.take() {
            if is_cut {
                wire.cut();
            } else {
                ws::close(&mut wire.out);
                // It is gone either way.
                let _ = wire.flush();
            }
        }
        if it.is_wanted && again != u64::MAX {
            self.wake_by(client, again);
        }
    }

    /// A connection has ended that was not to.
    fn lose(&mut self, client: usize, why: &str) {
        let it = &mut self.clients[client];
        if it.link == Link::On {
            self.tally.counts.connections_lost += 1;
            it.attempts = 0;
        }
        self.come_back(client, 0, why);
    }

    /// Tries again after a pause that grows, and not before `wait` nanoseconds.
    fn come_back(&mut self, client: usize, wait: u64, why: &str) {
        let it = &mut self.clients[client];
        let was_on = it.link == Link::On;
        let ceiling = BACK_OFF_NS.saturating_mul(1 << it.attempts.min(10));
        let pause = fastrand::u64(0..ceiling.min(BACK_OFF_MAX_NS));
        it.attempts += 1;
        let patience = self.stage.patience.as_nanos() as u64;
        if !was_on && self.now.saturating_sub(it.off_since) > patience {
            let addr = self.stage.target.addr;
            self.fail(LoadError::Run(format!(
                "no login at {addr} for {} s: {why}",
                self.stage.patience.as_secs()
            )));
        }
        self.leave(client, true, self.now + pause.max(wait));
    }

    /// The alarm of a client has rung.
    pub(super) fn on_alarm(&mut self, client: usize) {
        let it = &mut self.clients[client];
        match it.link {
            Link::Away { again } if it.is_wanted && again <= self.now => self.connect(client),
            Link::Away { again } if it.is_wanted && again != u64::MAX => {
                self.wake_by(client, again);
            }
            Link::Away { .. } => {}
            Link::Connecting { until } | Link::Shaking { until } | Link::Greeting { until } => {
                match until <= self.now {
                    true => self.come_back(client, 0, "no answer"),
                    false => self.wake_by(client, until),
                }
            }
            Link::On => {
                if let Some(temper) = &mut it.temper
                    && temper.leaves_at <= self.now
                {
                    let (away, is_cut) = (temper.goes(), temper.cuts());
                    return self.leave(client, is_cut, self.now + away);
                }
                self.send_late_acks(client);
                if self.clients[client].check_at <= self.now {
                    self.clients[client].check_at = self.now + CHECK_NS;
                    self.check(client);
                }
                self.pump(client);
                self.flush(client);
                self.rest(client);
            }
        }
    }

    /// Sets the alarm of a client that is connected.
    pub(super) fn rest(&mut self, client: usize) {
        let it = &self.clients[client];
        if it.link != Link::On {
            return;
        }
        let late_ack = it.late_acks.front().map_or(u64::MAX, |(at, _)| *at);
        let leaves = it.temper.as_ref().map_or(u64::MAX, |t| t.leaves_at);
        self.wake_by(client, it.check_at.min(late_ack).min(leaves));
    }

    fn connect(&mut self, client: usize) {
        let source = self.stage.target.source(self.stage.first_client + client);
        let wire = match Wire::open(&self.stage.target, source) {
            Ok(wire) => wire,
            Err(error) => return self.come_back(client, 0, &error.to_string()),
        };
        let flags = epoll::EventFlags::IN
            | epoll::EventFlags::OUT
            | epoll::EventFlags::RDHUP
            | epoll::EventFlags::ET;
        let data = epoll::EventData::new_u64(client as u64);
        if let Err(error) = epoll::add(&self.epoll, wire.fd(), data, flags) {
            return self.failed_by("epoll", &error.into());
        }
        let until = self.now + STEP_NS;
        let it = &mut self.clients[client];
        it.wire = Some(wire);
        it.link = Link::Connecting { until };
        self.wake_by(client, until);
    }

    /// The kernel has something to say about a connection.
    pub(super) fn attend(&mut self, client: usize, flags: epoll::EventFlags) {
        let it = &mut self.clients[client];
        let Some(wire) = &mut it.wire else {
            return;
        };
        if let Link::Connecting { .. } = it.link {
            if let Err(error) = wire.failed() {
                return self.come_back(client, 0, &error.to_string());
            }
            if !flags.contains(epoll::EventFlags::OUT) {
                return;
            }
            let until = self.now + STEP_NS;
            let token = &self.users[it.user].token;
            wire.shake(&self.stage.target, token, &it.did);
            it.link = Link::Shaking { until };
            self.wake_by(client, until);
        }
        let to_read = epoll::EventFlags::IN | epoll::EventFlags::RDHUP | epoll::EventFlags::HUP;
        if flags.intersects(to_read | epoll::EventFlags::ERR) {
            self.read(client);
            self.write_batch(client);
        }
        if self.clients[client].link == Link::On {
            self.pump(client);
        }
        self.flush(client);
    }

    pub(super) fn flush(&mut self, client: usize) {
        if let Some(wire) = &mut self.clients[client].wire
            && let Err(error) = wire.flush()
        {
            self.lose(client, &error.to_string());
        }
    }

    fn read(&mut self, client: usize) {
        let mut buffer = std::mem::take(&mut self.buffer);
        while let Some(wire) = &mut self.clients[client].wire {
            let kept = wire.rest.len();
            if buffer.len() < 2 * kept {
                buffer.resize(2 * kept, 0);
            }
            let is_plain = wire.is_plain();
            buffer[..kept].copy_from_slice(&wire.rest);
            let read = match wire.read(&mut buffer[kept..]) {
                Ok(0) => {
                    self.lose(client, "the server closed the connection");
                    break;
                }
                Ok(read) => read,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => {
                    self.lose(client, &error.to_string());
                    break;
                }
            };
            wire.rest.clear();
            let whole = kept + read;
            let taken = self.take(client, &buffer[..whole]);
            if let Some(wire) = &mut self.clients[client].wire {
                wire.rest.extend_from_slice(&buffer[taken..whole]);
            }
            if is_plain && whole < buffer.len() {
                break;
            }
        }
        self.buffer = buffer;
    }

    /// Takes what is whole of what was read, and says how much that is.
    fn take(&mut self, client: usize, bytes: &[u8]) -> usize {
        let mut at = 0;
        if let Link::Shaking { .. } = self.clients[client].link {
            match answer(bytes) {
                Ok(None) => return 0,
                Ok(Some(Answer::Upgraded(end))) => {
                    at = end;
                    let until = self.now + STEP_NS;
                    self.clients[client].link = Link::Greeting { until };
                    self.wake_by(client, until);
                }
                Ok(Some(Answer::Refused(status, body))) => {
                    self.refused(client, status, &body);
                    return bytes.len();
                }
                Err(why) => {
                    self.fail(LoadError::Setup(format!(
                        "{}: {why}",
                        self.stage.target.host
                    )));
                    return bytes.len();
                }
            }
        }
        loop {
            let found = match ws::find(&bytes[at..]) {
                Ok(None) => return at,
                Ok(Some(found)) => found,
                Err(why) => {
                    self.fail(LoadError::Run(format!("the server sent {why}")));
                    return bytes.len();
                }
            };
            let body = &bytes[at..][found.body.clone()];
            at += found.body.end;
            match found.kind {
                Kind::Text => self.hear(client, body),
                Kind::Pong => {}
                Kind::Ping => {
                    if let Some(wire) = &mut self.clients[client].wire {
                        ws::pong(&mut wire.out, body);
                    }
                }
                Kind::Close => self.closed(client, ws::close_code(body)),
            }
            if self.clients[client].wire.is_none() {
                return bytes.len();
            }
        }
    }

    fn refused(&mut self, client: usize, status: u16, body: &str) {
        self.tally.error(status);
        let said = serde_json::from_str::<Refusal>(body).ok();
        let msg = said.as_ref().map_or(body, |refusal| &refusal.msg);
        let line = msg.lines().next().unwrap_or_default();
        let why = format!("the login was refused with HTTP status {status}: {line}");
        match status {
            429 | 500.. => {
                let wait = said.and_then(|refusal| refusal.payload?.retry_ms);
                self.come_back(client, wait.unwrap_or(0) * 1_000_000, &why);
            }
            _ => {
                let hint = match said.map(|refusal| refusal.code) {
                    Some(706) => {
                        ": the settings here (auth.jwt_key or store.path, ids) must be those of the server"
                    }
                    _ => "",
                };
                self.fail(LoadError::Setup(format!("{why}{hint}")));
            }
        }
    }

    fn closed(&mut self, client: usize, code: Option<u16>) {
        match code {
            Some(code @ 4000..=4049) | Some(code @ (1002 | 1009)) => {
                self.fail(LoadError::Run(format!(
                    "the server closed a connection with {code}, which says not to come back"
                )));
            }
            Some(code) => self.lose(
                client,
                &format!("the server closed the connection with {code}"),
            ),
            None => self.lose(client, "the server closed the connection"),
        }
    }

    /// A notice has come; the first one makes the client a connected one.
    pub(super) fn hear_notice(&mut self, client: usize, text: &[u8]) {
        let Ok(Summary { payload }) = serde_json::from_slice::<Summary<'_>>(text) else {
            return self.strange(text);
        };
        let it = &mut self.clients[client];
        match (payload.msg_type, it.link) {
            ("offline_summary", Link::Greeting { .. }) => {
                it.link = Link::On;
                it.attempts = 0;
                self.on += 1;
                self.tally.counts.logins += 1;
                if self.tally.counts.sent == 0 {
                    it.has_leftovers = payload.count > 0;
                }
                if let Some(temper) = &mut it.temper {
                    temper.came(self.now);
                }
                // Spread, so that not all look for what is overdue at once.
                it.check_at = self.now + CHECK_NS / 2 + fastrand::u64(0..CHECK_NS);
                let settled = &mut self.settled;
                let Waiting { count, from_seq, to_seq, .. } = payload;
                it.inbox.arrive(count, from_seq, to_seq, settled);
                it.doubts_until = self.now + DOUBT_NS;
                self.settle_confirmed(client);
                self.resume(client);
                self.rest(client);
            }
            ("resync", _) => self.fail(LoadError::Run(
                "the server gave up messages for a device (resync): it lagged by more than inbox.max_messages".into(),
            )),
            ("please_refresh_token", Link::On) => {}
            _ => self.strange(text),
        }
    }
}
