//! What a run is to do.

use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Value, json};

use crate::id::Hashids;
use crate::token::Tokens;

use super::LoadError;
use super::ledger::DEVICES_MAX;
use super::mode::Share;
use super::stage::Acks;

/// Connections of a storm besides those that are cut.
const STORM_OTHERS: usize = 6;
/// What a storm takes, about.
const STORM: Duration = Duration::from_secs(5);

/// Everything that a run has to know.
#[derive(Clone)]
pub struct Plan {
    /// The server's `ws://` or `wss://` URL.
    pub server: String,
    /// Who signed its certificate; the public authorities if nobody is named.
    pub ca: Option<PathBuf>,
    /// Makes tokens with the server's key.
    pub tokens: Tokens,
    /// Names users as the server does.
    pub hashids: Hashids,
    /// The wall clock when the run begins, Unix milliseconds.
    pub now_ms: u64,
    /// The number of the first user; numbers that no other run is likely to use if there is none.
    pub users_from: Option<u64>,
    /// Threads that share the clients.
    pub threads: usize,
    /// Bytes of each payload.
    pub size: usize,
    /// How readers acknowledge.
    pub acks: Acks,
    /// How long the last messages may take to arrive.
    pub drain: Duration,
    /// How long a client may fail to log in before the run fails.
    pub patience: Duration,
    /// The server's process, to be watched.
    pub server_pid: Option<ServerPid>,
    /// The server's directory, to be measured.
    pub server_dir: Option<PathBuf>,
    /// What is done.
    pub mode: Mode,
}

/// Which process the server is.
#[derive(Clone, Debug)]
pub enum ServerPid {
    /// This one.
    Number(u32),
    /// The one whose number this file holds, whenever it is looked at.
    File(PathBuf),
}

/// What is done.
#[derive(Clone, Debug)]
pub enum Mode {
    /// Senders keep a window of full loops open.
    Pairs(Pairs),
    /// Messages leave at a fixed rate, whatever becomes of them.
    Rate(Rate),
    /// Clients log in and say nothing.
    Idle(Idle),
    /// Messages wait for readers who come later.
    Offline(Offline),
    /// Clients are cut at once and come back at once.
    Storm(Storm),
    /// Clients misbehave within what the protocol allows.
    Flaky(Flaky),
    /// All of it for long, against a server that may die and come back.
    Soak(Soak),
}

/// Senders who keep a window of full loops open.
#[derive(Clone, Debug)]
pub struct Pairs {
    /// Readers.
    pub pairs: usize,
    /// Senders of each reader.
    pub senders: usize,
    /// Devices of each reader.
    pub devices: usize,
    /// Loops that each sender keeps open.
    pub window: usize,
    /// Time before the measurement.
    pub warm_up: Duration,
    /// Time of the measurement.
    pub time: Duration,
}

/// Messages at a fixed rate.
#[derive(Clone, Debug)]
pub struct Rate {
    /// Pairs of a sender and a reader.
    pub pairs: usize,
    /// Devices of each reader.
    pub devices: usize,
    /// Messages in a second, of all pairs together.
    pub per_second: f64,
    /// Messages that each sender may have without the server's answer.
    pub window: usize,
    /// Time before the measurement.
    pub warm_up: Duration,
    /// Time of the measurement.
    pub time: Duration,
}

/// Clients that log in and say nothing.
#[derive(Clone, Debug)]
pub struct Idle {
    /// How many.
    pub clients: usize,
    /// How long they stay.
    pub time: Duration,
}

/// Messages that wait for their readers.
#[derive(Clone, Debug)]
pub struct Offline {
    /// Messages in all.
    pub messages: u64,
    /// Readers, each with a sender of its own.
    pub readers: usize,
    /// Messages that each sender may have without the server's answer.
    pub window: usize,
    /// How long each half may take.
    pub most: Duration,
    /// Whether the readers stay away, and leave what waits for them.
    pub stay_away: bool,
}

/// Clients that are cut at once and come back at once.
#[derive(Clone, Debug)]
pub struct Storm {
    /// How many.
    pub clients: usize,
    /// How often.
    pub rounds: usize,
}

/// Clients that misbehave within what the protocol allows.
#[derive(Clone, Debug)]
pub struct Flaky {
    /// Pairs of a sender and a reader.
    pub pairs: usize,
    /// Devices of each reader.
    pub devices: usize,
    /// Messages that each sender may have without the server's answer.
    pub window: usize,
    /// How long.
    pub time: Duration,
    /// What chance begins with.
    pub seed: u64,
}

/// All of it for long.
#[derive(Clone, Debug)]
pub struct Soak {
    /// Pairs of a sender and a reader.
    pub pairs: usize,
    /// Devices of each reader.
    pub devices: usize,
    /// Messages in a second, of all pairs together.
    pub per_second: f64,
    /// Messages that each sender may have without the server's answer.
    pub window: usize,
    /// How often all are cut at once.
    pub storm_every: Duration,
    /// How long.
    pub time: Duration,
    /// What chance begins with.
    pub seed: u64,
}

impl Mode {
    /// What the command line calls it.
    pub fn name(&self) -> &'static str {
        match self {
            Mode::Pairs(_) => "pairs",
            Mode::Rate(_) => "rate",
            Mode::Idle(_) => "idle",
            Mode::Offline(_) => "offline",
            Mode::Storm(_) => "storm",
            Mode::Flaky(_) => "flaky",
            Mode::Soak(_) => "soak",
        }
    }

    /// What it was told, for whoever reads the report.
    fn options(&self) -> Value {
        match self {
            Mode::Pairs(it) => json!({
                "pairs": it.pairs,
                "senders_per_reader": it.senders,
                "devices": it.devices,
                "window": it.window,
                "warm_up_s": it.warm_up.as_secs_f64(),
                "seconds": it.time.as_secs_f64(),
            }),
            Mode::Rate(it) => json!({
                "pairs": it.pairs,
                "devices": it.devices,
                "per_second": it.per_second,
                "window": it.window,
                "warm_up_s": it.warm_up.as_secs_f64(),
                "seconds": it.time.as_secs_f64(),
            }),
            Mode::Idle(it) => json!({
                "clients": it.clients,
                "seconds": it.time.as_secs_f64(),
            }),
            Mode::Offline(it) => json!({
                "messages": it.messages,
                "readers": it.readers,
                "window": it.window,
                "stay_away": it.stay_away,
            }),
            Mode::Storm(it) => json!({
                "clients": it.clients,
                "rounds": it.rounds,
            }),
            Mode::Flaky(it) => json!({
                "pairs": it.pairs,
                "devices": it.devices,
                "window": it.window,
                "seconds": it.time.as_secs_f64(),
                "seed": it.seed,
            }),
            Mode::Soak(it) => json!({
                "pairs": it.pairs,
                "devices": it.devices,
                "per_second": it.per_second,
                "window": it.window,
                "storm_every_s": it.storm_every.as_secs_f64(),
                "seconds": it.time.as_secs_f64(),
                "seed": it.seed,
            }),
        }
    }

    /// How many connections it holds at once.
    pub(super) fn connections(&self) -> usize {
        match self {
            Mode::Pairs(it) => it.pairs * (it.senders + it.devices),
            Mode::Rate(it) => it.pairs * (1 + it.devices),
            Mode::Idle(it) => it.clients + 1,
            Mode::Offline(it) => 2 * it.readers,
            // Those that end and those that begin, for a moment, and those who send.
            Mode::Storm(it) => it.clients + STORM_OTHERS,
            Mode::Flaky(it) => it.pairs * (1 + it.devices),
            Mode::Soak(it) => it.pairs * (1 + it.devices),
        }
    }

    /// How many clients and flows the threads before this one have.
    pub(super) fn before(&self, share: Share) -> (usize, usize) {
        match self {
            Mode::Pairs(it) => {
                let pairs = share.of(it.pairs).start;
                (pairs * (it.senders + it.devices), pairs * it.senders)
            }
            Mode::Rate(Rate { pairs, devices, .. })
            | Mode::Flaky(Flaky { pairs, devices, .. })
            | Mode::Soak(Soak { pairs, devices, .. }) => {
                let pairs = share.of(*pairs).start;
                (pairs * (1 + devices), pairs)
            }
            Mode::Idle(_) | Mode::Offline(_) | Mode::Storm(_) => (0, 0),
        }
    }

    /// How long it takes at least.
    pub(super) fn time(&self) -> Duration {
        match self {
            Mode::Pairs(it) => it.warm_up + it.time,
            Mode::Rate(it) => it.warm_up + it.time,
            Mode::Idle(it) => it.time,
            Mode::Offline(it) => it.most * 2,
            Mode::Storm(it) => STORM * (it.rounds as u32 + 1),
            Mode::Flaky(it) => it.time,
            Mode::Soak(it) => it.time,
        }
    }
}

impl Plan {
    /// What the run was told.
    pub(super) fn options(&self) -> Value {
        let mut options = self.mode.options();
        if let Value::Object(members) = &mut options {
            let acks = match self.acks {
                Acks::Each => "each",
                Acks::Seqs => "seqs",
                Acks::UpTo => "up-to",
            };
            members.insert("size_bytes".into(), self.size.into());
            members.insert("acks".into(), acks.into());
            members.insert("threads".into(), self.threads.into());
        }
        options
    }

    /// Refuses what makes no sense, in one line.
    pub(super) fn check(&self) -> Result<(), LoadError> {
        let no = |why: String| Err(LoadError::Setup(why));
        if self.size < 2 || self.size > 16 << 20 {
            return no(format!(
                "--size {}: a payload is a JSON string of 2 to 16777216 bytes, its quotes among them",
                self.size
            ));
        }
        if self.threads == 0 || self.threads > 64 {
            return no(format!("--threads {}: must be 1 to 64", self.threads));
        }
        let at_least_one = |what: &str, number: usize| match number {
            0 => no(format!("--{what} 0: must be at least 1")),
            _ => Ok(()),
        };
        let devices = |devices: usize| match devices {
            1..=DEVICES_MAX => Ok(()),
            _ => no(format!("--devices {devices}: must be 1 to {DEVICES_MAX}")),
        };
        let alone = || match self.threads {
            1 => Ok(()),
            threads => no(format!(
                "--threads {threads}: {} has one thread for its clients",
                self.mode.name()
            )),
        };
        let rate = |per_second: f64| match per_second > 0.0 && per_second <= 1e7 {
            true => Ok(()),
            false => no(format!(
                "--per-second {per_second}: must be above 0 and at most 10000000"
            )),
        };
        match &self.mode {
            Mode::Pairs(it) => {
                at_least_one("pairs", it.pairs)?;
                at_least_one("senders-per-reader", it.senders)?;
                at_least_one("window", it.window)?;
                devices(it.devices)
            }
            Mode::Rate(it) => {
                at_least_one("pairs", it.pairs)?;
                at_least_one("window", it.window)?;
                rate(it.per_second)?;
                devices(it.devices)
            }
            Mode::Idle(it) => {
                alone()?;
                at_least_one("clients", it.clients)
            }
            Mode::Offline(it) => {
                alone()?;
                at_least_one("readers", it.readers)?;
                at_least_one("window", it.window)?;
                match it.messages {
                    0 => no("--messages 0: must be at least 1".into()),
                    _ => Ok(()),
                }
            }
            Mode::Storm(it) => {
                alone()?;
                at_least_one("clients", it.clients)?;
                at_least_one("rounds", it.rounds)
            }
            Mode::Flaky(it) => {
                at_least_one("pairs", it.pairs)?;
                at_least_one("window", it.window)?;
                devices(it.devices)
            }
            Mode::Soak(it) => {
                at_least_one("pairs", it.pairs)?;
                at_least_one("window", it.window)?;
                rate(it.per_second)?;
                match it.storm_every.is_zero() {
                    true => no("--storm-every 0: must be above 0".into()),
                    false => devices(it.devices),
                }
            }
        }
    }
}
