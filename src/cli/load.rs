//! `yizhan load`.

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use clap::{Args, Subcommand, ValueEnum};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;

use crate::clock::wall_ms;
use crate::config::{Settings, keys};
use crate::id::Hashids;
use crate::load::{
    self, Acks, Flaky, Idle, LoadError, Mode, Offline, Pairs, Plan, Rate, Report, ServerPid, Soak,
    Storm,
};
use crate::token::Tokens;

use super::health::reachable;

/// The server did not keep its promise.
const BROKEN: u8 = 1;
/// The run came to no result.
const FAILED: u8 = 2;
/// The exit code of who asks twice to end.
const INTERRUPTED: i32 = 130;

/// How long a client may fail to log in, if nobody says so; a server that dies may need longer.
const PATIENCE_S: f64 = 30.0;
const SOAK_PATIENCE_S: f64 = 300.0;

#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct LoadArgs {
    #[command(subcommand)]
    mode: ModeArgs,
    #[command(flatten)]
    common: CommonArgs,
}

const AFTER_HELP: &str = "\
The key, salt and alphabet are those of the settings (--config, --set, environment), and the key that a server generated
is found in store.path, as for `yizhan token`. Every run has users, devices and message ids of its own.

Exit code: 0 if the server kept its promise, 1 if anything was lost, doubled, out of order or wrong (the first 20 ids of
each are named), 2 if the run came to no result. Ctrl-C ends a run early; what was sent is waited for and judged.";

#[derive(Debug, Args)]
#[command(next_help_heading = "Options of every mode")]
struct CommonArgs {
    /// Where the server is: ws://HOST:PORT or wss://HOST:PORT, with the path if it is not /ws [default: listen.public]
    #[arg(long, value_name = "URL", global = true)]
    server: Option<String>,
    /// With wss, the PEM file of who signed the server's certificate [default: the public authorities]
    #[arg(long, value_name = "FILE", global = true)]
    ca: Option<PathBuf>,
    /// The number of the first user [default: a range above 2^40 that no other run is likely to have]
    #[arg(long, value_name = "N", global = true)]
    users_from: Option<u64>,
    /// Threads that share the clients; only of pairs, rate, flaky and soak
    #[arg(long, value_name = "N", default_value_t = 1, global = true)]
    threads: usize,
    /// Bytes of each payload, a JSON string with its quotes
    #[arg(long, value_name = "BYTES", default_value_t = 256, global = true)]
    size: usize,
    /// How readers acknowledge
    #[arg(long, value_enum, default_value_t = AcksArg::Each, global = true)]
    acks: AcksArg,
    /// The server's process, to tell what it uses: its number, or a file that holds it, such as LOCK in store.path
    #[arg(long, value_name = "PID|FILE", global = true)]
    server_pid: Option<String>,
    /// The server's store.path, to tell the disk space that it takes
    #[arg(long, value_name = "DIR", global = true)]
    server_dir: Option<PathBuf>,
    /// Seconds that the last messages may take, before what is missing counts as lost
    #[arg(long, value_name = "SECONDS", default_value_t = 30.0, global = true)]
    drain: f64,
    /// Seconds that a client may fail to log in before the run is broken off [default: 30, and 300 for soak]
    #[arg(long, value_name = "SECONDS", global = true)]
    patience: Option<f64>,
    /// Prints one JSON document instead of the summary
    #[arg(long, global = true)]
    json: bool,
    /// Also writes a page with plots, which needs no other file and no other host
    #[arg(long, value_name = "FILE", global = true)]
    html: Option<PathBuf>,
    /// Shows nothing while the run goes on
    #[arg(long, global = true)]
    quiet: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum AcksArg {
    /// Each message by a text of its own
    Each,
    /// Those that came together by their numbers
    Seqs,
    /// Those that came together by the last number
    UpTo,
}

#[derive(Debug, Subcommand)]
enum ModeArgs {
    /// A closed loop: each sender keeps a window of messages open until their receipts are there
    Pairs(PairsArgs),
    /// An open loop: messages are due at a fixed rate, and their times count from when they were due
    Rate(RateArgs),
    /// Clients log in and say nothing: what each of them costs the server
    Idle(IdleArgs),
    /// Messages to readers who are away, and then come and take them all
    Offline(OfflineArgs),
    /// All clients are cut at once and come back at once, again and again, while a steady pair goes on
    Storm(StormArgs),
    /// Clients drop and delay acknowledgements, send twice, leave and come back, by chance
    Flaky(FlakyArgs),
    /// All of it for long, against a server that may die and come back
    Soak(SoakArgs),
}

#[derive(Debug, Args)]
struct PairsArgs {
    /// Readers, each with senders of its own
    #[arg(long, value_name = "P", default_value_t = 50)]
    pairs: usize,
    /// Messages that each sender keeps open; the server may refuse more than device.send_window
    #[arg(long, value_name = "W", default_value_t = 32)]
    window: usize,
    /// Senders of each reader: with --pairs 1 this is a fan-in
    #[arg(long, value_name = "K", default_value_t = 1)]
    senders_per_reader: usize,
    /// Devices of each reader, all of which get every message
    #[arg(long, value_name = "D", default_value_t = 1)]
    devices: usize,
    #[command(flatten)]
    time: TimeArgs,
}

#[derive(Debug, Args)]
struct RateArgs {
    /// Messages in a second, of all pairs together
    #[arg(long, value_name = "N", default_value_t = 1000.0)]
    per_second: f64,
    /// Pairs of a sender and a reader
    #[arg(long, value_name = "P", default_value_t = 50)]
    pairs: usize,
    /// Messages of one sender that may wait for the server's answer; those above it leave late, and count from when they were due
    #[arg(long, value_name = "W", default_value_t = 256)]
    window: usize,
    /// Devices of each reader
    #[arg(long, value_name = "D", default_value_t = 1)]
    devices: usize,
    #[command(flatten)]
    time: TimeArgs,
}

#[derive(Debug, Args)]
struct IdleArgs {
    /// How many
    #[arg(long, value_name = "N", default_value_t = 1000)]
    clients: usize,
    /// Seconds that they stay; then a message to each shows that it is there
    #[arg(long, value_name = "SECONDS", default_value_t = 10.0)]
    seconds: f64,
}

#[derive(Debug, Args)]
struct OfflineArgs {
    /// Messages in all; each reader's part must fit into inbox.max_messages
    #[arg(long, value_name = "M", default_value_t = 100_000)]
    messages: u64,
    /// Readers, each with a sender of its own
    #[arg(long, value_name = "R", default_value_t = 100)]
    readers: usize,
    /// Messages of one sender that may wait for the server's answer
    #[arg(long, value_name = "W", default_value_t = 64)]
    window: usize,
    /// Seconds that each half may take
    #[arg(long, value_name = "SECONDS", default_value_t = 600.0)]
    most: f64,
    /// The readers do not come: the messages are left to wait, so that another run meets a store that is not empty
    #[arg(long)]
    stay_away: bool,
}

#[derive(Debug, Args)]
struct StormArgs {
    /// How many
    #[arg(long, value_name = "N", default_value_t = 1000)]
    clients: usize,
    /// How often they are cut
    #[arg(long, value_name = "R", default_value_t = 3)]
    rounds: usize,
}

#[derive(Debug, Args)]
struct FlakyArgs {
    /// Pairs of a sender and a reader
    #[arg(long, value_name = "P", default_value_t = 20)]
    pairs: usize,
    /// Devices of each reader
    #[arg(long, value_name = "D", default_value_t = 2)]
    devices: usize,
    /// Messages of one sender that may wait for the server's answer
    #[arg(long, value_name = "W", default_value_t = 4)]
    window: usize,
    /// Seconds that they misbehave
    #[arg(long, value_name = "SECONDS", default_value_t = 30.0)]
    seconds: f64,
    /// What chance begins with [default: by chance; it is printed]
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
}

#[derive(Debug, Args)]
struct SoakArgs {
    /// Pairs of a sender and a reader
    #[arg(long, value_name = "P", default_value_t = 50)]
    pairs: usize,
    /// Devices of each reader
    #[arg(long, value_name = "D", default_value_t = 2)]
    devices: usize,
    /// Messages in a second, of all pairs together
    #[arg(long, value_name = "N", default_value_t = 500.0)]
    per_second: f64,
    /// Messages of one sender that may wait for the server's answer
    #[arg(long, value_name = "W", default_value_t = 16)]
    window: usize,
    /// Seconds between two times that all clients are cut at once
    #[arg(long, value_name = "SECONDS", default_value_t = 60.0)]
    storm_every: f64,
    /// Seconds in all
    #[arg(long, value_name = "SECONDS", default_value_t = 1800.0)]
    seconds: f64,
    /// What chance begins with [default: by chance; it is printed]
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
}

#[derive(Debug, Args)]
struct TimeArgs {
    /// Seconds that are measured
    #[arg(long, value_name = "SECONDS", default_value_t = 10.0)]
    seconds: f64,
    /// Seconds before the measurement
    #[arg(long, value_name = "SECONDS", default_value_t = 2.0)]
    warm_up: f64,
}

/// Loads a server, says what came of it, and judges it by the exit code.
pub(super) fn load(settings: &Settings, args: &LoadArgs) -> Result<ExitCode> {
    let report = match plan(settings, args).and_then(|plan| Ok(run(&plan, args)?)) {
        Ok(report) => report,
        Err(error) => {
            eprintln!("yizhan: {error:#}");
            return Ok(ExitCode::from(FAILED));
        }
    };
    if let Some(file) = &args.common.html {
        let written = fs::write(file, load::page(&report));
        written.with_context(|| format!("--html {}", file.display()))?;
    }
    match args.common.json {
        true => super::print(&serde_json::to_string(&report)?)?,
        false => super::print(&load::summary(&report))?,
    }
    Ok(match report.kept {
        true => ExitCode::SUCCESS,
        false => ExitCode::from(BROKEN),
    })
}

fn run(plan: &Plan, args: &LoadArgs) -> Result<Report, LoadError> {
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        // In this order the first signal does not end the process, and the second one does.
        let set = flag::register_conditional_shutdown(signal, INTERRUPTED, stop.clone())
            .and_then(|_| flag::register(signal, stop.clone()));
        set.map_err(|error| LoadError::Setup(format!("signals: {error}")))?;
    }
    load::run(plan, args.common.quiet, stop)
}

fn plan(settings: &Settings, args: &LoadArgs) -> Result<Plan> {
    let common = &args.common;
    let hashids = Hashids::new(&settings.ids).map_err(|e| anyhow!(e))?;
    let key = keys::jwt_key(settings)?;
    let key = key.ok_or_else(|| {
        anyhow!(
            "there is no key to sign tokens with: set auth.jwt_key, or a store.path that has the server's {}",
            keys::FILE
        )
    })?;
    if let Some(file) = &common.html {
        // Before the run, which may take hours.
        fs::write(file, "").with_context(|| format!("--html {}", file.display()))?;
    }
    let patience = match &args.mode {
        ModeArgs::Soak(_) => SOAK_PATIENCE_S,
        _ => PATIENCE_S,
    };
    let mode = mode(&args.mode)?;
    Ok(Plan {
        server: match &common.server {
            Some(url) => url.clone(),
            None => own_url(settings)?,
        },
        ca: common.ca.clone(),
        tokens: Tokens::new(key.expose(), hashids.clone()),
        hashids,
        now_ms: wall_ms(),
        users_from: common.users_from,
        threads: common.threads,
        size: common.size,
        acks: match common.acks {
            AcksArg::Each => Acks::Each,
            AcksArg::Seqs => Acks::Seqs,
            AcksArg::UpTo => Acks::UpTo,
        },
        drain: seconds("drain", common.drain)?,
        patience: seconds("patience", common.patience.unwrap_or(patience))?,
        server_pid: common.server_pid.as_ref().map(|pid| match pid.parse() {
            Ok(number) => ServerPid::Number(number),
            Err(_) => ServerPid::File(pid.into()),
        }),
        server_dir: common.server_dir.clone(),
        mode,
    })
}

fn mode(args: &ModeArgs) -> Result<Mode> {
    Ok(match args {
        ModeArgs::Pairs(it) => Mode::Pairs(Pairs {
            pairs: it.pairs,
            senders: it.senders_per_reader,
            devices: it.devices,
            window: it.window,
            warm_up: seconds("warm-up", it.time.warm_up)?,
            time: seconds("seconds", it.time.seconds)?,
        }),
        ModeArgs::Rate(it) => Mode::Rate(Rate {
            pairs: it.pairs,
            devices: it.devices,
            per_second: it.per_second,
            window: it.window,
            warm_up: seconds("warm-up", it.time.warm_up)?,
            time: seconds("seconds", it.time.seconds)?,
        }),
        ModeArgs::Idle(it) => Mode::Idle(Idle {
            clients: it.clients,
            time: seconds("seconds", it.seconds)?,
        }),
        ModeArgs::Offline(it) => Mode::Offline(Offline {
            messages: it.messages,
            readers: it.readers,
            window: it.window,
            most: seconds("most", it.most)?,
            stay_away: it.stay_away,
        }),
        ModeArgs::Storm(it) => Mode::Storm(Storm {
            clients: it.clients,
            rounds: it.rounds,
        }),
        ModeArgs::Flaky(it) => Mode::Flaky(Flaky {
            pairs: it.pairs,
            devices: it.devices,
            window: it.window,
            time: seconds("seconds", it.seconds)?,
            seed: seed(it.seed),
        }),
        ModeArgs::Soak(it) => Mode::Soak(Soak {
            pairs: it.pairs,
            devices: it.devices,
            per_second: it.per_second,
            window: it.window,
            storm_every: seconds("storm-every", it.storm_every)?,
            time: seconds("seconds", it.seconds)?,
            seed: seed(it.seed),
        }),
    })
}

/// The seed that was asked for, or one that nobody chose.
fn seed(asked: Option<u64>) -> u64 {
    asked.unwrap_or_else(|| wall_ms() % 1_000_000_007)
}

/// A time on the command line: up to a week.
fn seconds(option: &str, seconds: f64) -> Result<Duration> {
    match seconds {
        0.0..=604_800.0 => Ok(Duration::from_secs_f64(seconds)),
        _ => bail!("--{option} {seconds}: must be 0 to 604800 seconds"),
    }
}

/// The public listener of these settings, as this machine reaches it.
fn own_url(settings: &Settings) -> Result<String> {
    let addr = reachable(settings.listen.public_addr()?);
    if addr.port() == 0 {
        bail!(
            "listen.public leaves the port to the system: name it with --server ws://HOST:PORT, as in the server's ready line"
        );
    }
    let scheme = match settings.listen.public_tls() {
        Some(_) => "wss",
        None => "ws",
    };
    Ok(format!("{scheme}://{addr}"))
}
