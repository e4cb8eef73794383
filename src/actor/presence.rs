//! Tells contacts who comes and goes, on a thread of its own and no faster than the server may: a crowd that reconnects
//! is not multiplied by its contacts.

use std::collections::HashSet;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

use crate::clock::Clock;
use crate::id::Uid;
use crate::id::xid::xid;
use crate::machine::presence::{Pace, Watch};
use crate::message::contact::Tie;
use crate::message::look::{Found, Look, Which};
use crate::message::{Event, Notice};
use crate::store::{Engine, ledger};

use super::mailroom::{DeviceRef, Letter};
use super::registry::Registry;

/// Contacts that are read at once.
const STEP: usize = 500;

/// Where it is said that somebody may have come or gone; cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Board(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    news: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// Who may have come or gone: each stands here once.
    changed: HashSet<Uid>,
    stops: bool,
}

/// What the thread needs.
pub struct Teller {
    /// Who is there.
    pub registry: Arc<Registry<DeviceRef>>,
    /// Where contacts are read.
    pub engine: Arc<dyn Engine>,
    /// The time.
    pub clock: Clock,
    /// How long somebody is gone before that is told, milliseconds.
    pub linger_ms: u64,
    /// Notices in a second; 0 sends none.
    pub per_second: u64,
}

impl Board {
    /// That user may have come or gone.
    pub fn changed(&self, uid: Uid) {
        if self.0.state.lock().changed.insert(uid) {
            self.0.news.notify_one();
        }
    }

    /// Ends the thread.
    pub fn stop(&self) {
        self.0.state.lock().stops = true;
        self.0.news.notify_all();
    }

    /// Waits until somebody may have come or gone, or until `wait` has passed; none when it is to end.
    fn wait(&self, wait: Option<Duration>) -> Option<HashSet<Uid>> {
        let mut state = self.0.state.lock();
        if state.changed.is_empty() && !state.stops {
            match wait {
                Some(wait) => drop(self.0.news.wait_for(&mut state, wait)),
                None => self.0.news.wait(&mut state),
            }
        }
        (!state.stops).then(|| std::mem::take(&mut state.changed))
    }
}

impl Teller {
    /// Starts the thread.
    pub fn start(self, board: Board) -> std::io::Result<JoinHandle<()>> {
        let thread = std::thread::Builder::new().name("presence".into());
        thread.spawn(move || self.run(&board))
    }

    fn run(&self, board: &Board) {
        let mut watch = Watch::new(self.linger_ms);
        let mut pace = Pace::new(self.per_second);
        let started = Instant::now();
        let mut wait = None;
        while let Some(changed) = board.wait(wait) {
            let now = self.clock.now_ms();
            for uid in changed {
                watch.changed(now, uid, self.registry.is_online(uid));
            }
            // By a clock of its own, which nobody sets.
            let elapsed_us = || started.elapsed().as_micros() as u64;
            let mut rest_us = pace.rest_us(elapsed_us());
            while rest_us == 0 {
                let Some((uid, online)) = watch.next(now) else {
                    break;
                };
                if self.per_second > 0 {
                    // Who has no contacts there costs as much as a notice: they had to be looked for.
                    pace.told(self.tell(uid, online).max(1));
                }
                rest_us = pace.rest_us(elapsed_us());
            }
            wait = watch.deadline().map(|at| {
                let due = Duration::from_millis(at.saturating_sub(now).max(1));
                due.max(Duration::from_micros(rest_us))
            });
        }
    }

    /// Tells the contacts of a user who are there; returns how many notices that were.
    fn tell(&self, uid: Uid, online: bool) -> u64 {
        let (mut after, mut told) = (None, 0);
        loop {
            let look = Look::Contacts {
                uid,
                which: Which::Tied(Tie::Confirmed),
                after,
                limit: STEP,
            };
            let now = self.clock.now_ms();
            let found = |look| ledger::found(&*self.engine, &look, now, 0, 0);
            let Ok(Found::Contacts(page)) = found(look) else {
                return told;
            };
            let contacts = page.items.iter().map(|contact| contact.uid);
            let there: Vec<Uid> = contacts
                .filter(|uid| self.registry.is_online(*uid))
                .collect();
            let look = Look::Visible {
                to: uid,
                of: there.clone(),
            };
            let Ok(Found::Visible(visible)) = found(look) else {
                return told;
            };
            let may_know = there.into_iter().zip(visible).filter(|(_, may)| *may);
            for (to, _) in may_know {
                self.registry.lookup(to, |device| {
                    told += 1;
                    device.post(Letter::Mention(Event::Notice {
                        id: xid(now),
                        to,
                        notice: Notice::Presence { uid, online },
                        server_ts: now,
                    }));
                });
            }
            match page.next {
                Some(next) => after = Some(next),
                None => return told,
            }
        }
    }
}
