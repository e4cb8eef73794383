//! Where the sessions of a relay write down what passes, and where a report is taken from.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::time::Instant;

use super::chunk::{Confusion, Seen};
use super::command::Command;
use super::report::{COMMANDS_MAX, End, Passed, Report, Said, Session, Totals, Way};

/// Sessions at once.
pub(super) const SESSIONS_MAX: usize = 64;
/// Sessions that are remembered after their end.
const ENDED_MAX: usize = 32;

/// Everything that has passed, shared by all sessions of a relay.
#[derive(Debug)]
pub(super) struct Ledger {
    addr: SocketAddr,
    target: Arc<str>,
    began: Instant,
    state: Mutex<State>,
    changed: watch::Sender<()>,
}

#[derive(Debug, Default)]
struct State {
    totals: Totals,
    open: BTreeMap<u64, Arc<Session>>,
    ended: VecDeque<Arc<Session>>,
}

impl Ledger {
    /// An empty one of a relay from `addr` to `target`.
    pub(super) fn new(addr: SocketAddr, target: Arc<str>) -> Ledger {
        Ledger {
            addr,
            target,
            began: Instant::now(),
            state: Mutex::default(),
            changed: watch::Sender::default(),
        }
    }

    /// Opens a session, unless there are as many as there may be.
    pub(super) fn open(self: &Arc<Ledger>, client: SocketAddr) -> Option<Entry> {
        let mut state = self.state.lock();
        if state.open.len() >= SESSIONS_MAX {
            state.totals.turned_away += 1;
            drop(state);
            self.changed.send_replace(());
            return None;
        }
        state.totals.sessions += 1;
        let number = state.totals.sessions;
        let now = Instant::now();
        let session = Session {
            number,
            client,
            server: None,
            began: now,
            last: now,
            up: Passed::default(),
            down: Passed::default(),
            up_lost: None,
            down_lost: None,
            commands: Vec::new(),
            commands_left_out: 0,
            end: None,
        };
        state.open.insert(number, Arc::new(session));
        drop(state);
        self.changed.send_replace(());
        Some(Entry {
            ledger: Arc::clone(self),
            number,
            client,
        })
    }

    /// How things stand.
    pub(super) fn report(&self) -> Report {
        let state = self.state.lock();
        let mut sessions: Vec<_> = state.ended.iter().chain(state.open.values()).collect();
        sessions.sort_unstable_by_key(|session| session.number);
        Report {
            addr: self.addr,
            target: Arc::clone(&self.target),
            began: self.began,
            totals: state.totals,
            sessions: sessions.into_iter().cloned().collect(),
        }
    }

    /// Tells when a client has come, was turned away or has gone, the server has answered it, or a command has passed.
    pub(super) fn changes(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }
}

/// The page of one session. Dropping it ends the session.
#[derive(Debug)]
pub(super) struct Entry {
    ledger: Arc<Ledger>,
    number: u64,
    client: SocketAddr,
}

impl Entry {
    /// The server has answered.
    pub(super) fn reached(&self, server: SocketAddr) {
        self.write(|session, _| session.server = Some(server));
        log::info!("{self}: {} is relayed to {server}", self.client);
        self.ledger.changed.send_replace(());
    }

    /// Something was seen, which is about to be handed on.
    pub(super) fn seen(&self, way: Way, what: Seen) {
        match what {
            Seen::Message(header) => self.write(|session, totals| {
                flow(session, totals, way, |passed| passed.count(&header));
            }),
            Seen::Command(command) => self.said(way, command),
            Seen::Lost(why) => self.lost(way, why),
        }
    }

    /// Bytes were handed on.
    pub(super) fn passed(&self, way: Way, bytes: usize) {
        let now = Instant::now();
        self.write(|session, totals| {
            session.last = now;
            flow(session, totals, way, |passed| passed.bytes += bytes as u64);
        });
    }

    /// When something last passed.
    pub(super) fn last(&self) -> Option<Instant> {
        let state = self.ledger.state.lock();
        state.open.get(&self.number).map(|session| session.last)
    }

    /// The session is over.
    pub(super) fn end(self, end: End) {
        self.ended(end);
    }

    fn said(&self, way: Way, command: Command) {
        let command = Arc::new(command);
        let said = Said {
            at: Instant::now(),
            way,
            command: Arc::clone(&command),
        };
        let mut left_out = 0;
        self.write(|session, _| {
            if session.commands.len() < COMMANDS_MAX {
                session.commands.push(said);
            } else {
                session.commands_left_out += 1;
            }
            left_out = session.commands_left_out;
        });
        match left_out {
            0 => log::info!("{self}: {} says {command}", way.sender()),
            1 => {
                log::info!("{self}: more than {COMMANDS_MAX} commands, the others are only counted")
            }
            _ => {}
        }
        self.ledger.changed.send_replace(());
    }

    fn lost(&self, way: Way, why: Confusion) {
        self.write(|session, _| match way {
            Way::Up => session.up_lost = Some(why),
            Way::Down => session.down_lost = Some(why),
        });
        log::warn!(
            "{self}: {} is relayed, but not understood from here on: {why}",
            way.sender()
        );
        self.ledger.changed.send_replace(());
    }

    fn write(&self, change: impl FnOnce(&mut Session, &mut Totals)) {
        let mut state = self.ledger.state.lock();
        let State { open, totals, .. } = &mut *state;
        if let Some(session) = open.get_mut(&self.number) {
            change(Arc::make_mut(session), totals);
        }
    }

    fn ended(&self, end: End) {
        let now = Instant::now();
        let mut state = self.ledger.state.lock();
        let Some(mut ended) = state.open.remove(&self.number) else {
            return;
        };
        if matches!(end, End::Unreachable(_) | End::Loop) {
            state.totals.unreachable += 1;
        }
        Arc::make_mut(&mut ended).end = Some((now, end.clone()));
        if state.ended.len() == ENDED_MAX {
            state.ended.pop_front();
        }
        state.ended.push_back(Arc::clone(&ended));
        drop(state);
        log::info!(
            "{self}: {} is gone after {:.1} s, {end}; it sent {}; the server sent {}",
            self.client,
            ended.lasted(now).as_secs_f64(),
            ended.up,
            ended.down
        );
        self.ledger.changed.send_replace(());
    }
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "rtmp relay {} session {}", self.ledger.addr, self.number)
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.ended(End::Stopped);
    }
}

fn flow(session: &mut Session, totals: &mut Totals, way: Way, change: impl Fn(&mut Passed)) {
    let (one, all) = match way {
        Way::Up => (&mut session.up, &mut totals.up),
        Way::Down => (&mut session.down, &mut totals.down),
    };
    change(one);
    change(all);
}
