//! What each mode does, step by step: a script that a crew follows.

mod flaky;
mod idle;
mod offline;
mod pairs;
mod rate;
mod soak;
mod storm;

use std::ops::Range;
use std::time::Duration;

use serde_json::Value;

use super::LoadError;
use super::client::Pace;
use super::crew::{Crew, Waited};
use super::ledger::Frees;
use super::plan::Mode;

/// The part of a run that one thread does.
#[derive(Clone, Copy, Debug)]
pub(super) struct Share {
    /// The number of this thread, and how many there are.
    pub(super) thread: usize,
    pub(super) threads: usize,
    /// The number of the run's first user.
    pub(super) users_from: u64,
}

impl Share {
    /// Which of so many things are this thread's.
    pub(super) fn of(&self, things: usize) -> std::ops::Range<usize> {
        let at = |thread: usize| things * thread / self.threads;
        at(self.thread)..at(self.thread + 1)
    }
}

/// What came of a mode that only this mode finds out.
type Played = Result<Option<Value>, LoadError>;

/// Does this thread's share of a mode.
pub(super) fn play(crew: &mut Crew, mode: &Mode, share: Share) -> Played {
    match mode {
        Mode::Pairs(it) => pairs::play(crew, it, share),
        Mode::Rate(it) => rate::play(crew, it, share),
        Mode::Idle(it) => idle::play(crew, it, share),
        Mode::Offline(it) => offline::play(crew, it, share),
        Mode::Storm(it) => storm::play(crew, it, share),
        Mode::Flaky(it) => flaky::play(crew, it, share),
        Mode::Soak(it) => soak::play(crew, it, share),
    }
}

/// Adds this thread's part of so many pairs: a reader with so many devices, and a sender with a window of messages that
/// the server has not accepted.
fn add_pairs(
    crew: &mut Crew,
    share: Share,
    (pairs, devices, window): (usize, usize, usize),
) -> Result<(), LoadError> {
    for pair in share.of(pairs) {
        let first = share.users_from + 2 * pair as u64;
        let reader = crew.add_user(first)?;
        for device in 0..devices {
            crew.add_client(reader, device, 0);
        }
        let sender = crew.add_user(first + 1)?;
        let client = crew.add_client(sender, 0, window);
        crew.add_flow(client, reader, devices, Frees::Accept)?;
    }
    Ok(())
}

/// Lets the flows of this thread's pairs send, one message of each of all `pairs` in turn, so that all together are evenly
/// spread.
fn let_run_evenly(crew: &mut Crew, mine: Range<usize>, pairs: usize, per_second: f64) {
    let gap = 1e9 / per_second;
    let every = gap * pairs as f64;
    for (flow, pair) in mine.enumerate() {
        let start = crew.now + (gap * pair as f64) as u64;
        crew.let_run(flow, Some(Pace { start, every }));
    }
}

/// Connects everybody; false if somebody wants the run to end before that.
fn connect_all(crew: &mut Crew) -> Result<bool, LoadError> {
    crew.board.phase("connecting");
    for client in 0..crew.clients.len() {
        crew.want(client, true);
    }
    let all = crew.clients.len();
    // A client that cannot come says why before that.
    let patience = crew.stage.patience * 2 + Duration::from_secs(10);
    match crew.until(patience, |crew| crew.on == all)? {
        Waited::Yes => Ok(true),
        Waited::Stopped => Ok(false),
        Waited::Late => Err(LoadError::Run(format!(
            "{} of {all} clients are logged in after {} s",
            crew.on,
            patience.as_secs()
        ))),
    }
}

/// Warms up and measures; the flows run already.
fn measure(crew: &mut Crew, warm_up: Duration, time: Duration) -> Played {
    crew.board.phase("warming up");
    let goes_on = crew.run_for(warm_up)?;
    crew.meet()?;
    crew.measure(true);
    if goes_on {
        crew.run_for(time)?;
    }
    crew.measure(false);
    crew.drain()?;
    Ok(None)
}
