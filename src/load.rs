//! The load tool: a client of any server that loads it, times it, and keeps a ledger of every message.
//!
//! It shares nothing with the server but names and tokens. A thread of a run is a `crew`: clients on sockets that never
//! block, served by one loop. What a `mode` does is a script that a crew follows.

mod client;
mod crew;
mod frame;
mod inbox;
mod ledger;
mod live;
mod mode;
mod naming;
mod page;
mod plan;
mod proof;
mod report;
mod stage;
mod summary;
mod tally;
mod target;
mod temper;
mod watch;
mod wire;
mod ws;

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use serde_json::Value;

use crew::Crew;
use live::Live;
use mode::Share;
use naming::Run;
use report::{Latency, Machine, Rates, Series, ServerUsage};
use stage::{Mint, Payload, Stage};
use tally::{Board, Counts, Times};
use target::Target;
use watch::{Mark, Watch};

pub use page::page;
pub use plan::{Flaky, Idle, Mode, Offline, Pairs, Plan, Rate, ServerPid, Soak, Storm};
pub use proof::{Finding, Proof};
pub use report::Report;
pub use stage::Acks;
pub use summary::summary;

/// How often a run is looked at.
const LOOK: Duration = Duration::from_millis(250);

/// Why a run came to no result, in one line.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// It could not begin.
    #[error("{0}")]
    Setup(String),
    /// It had to be broken off.
    #[error("the run was broken off: {0}")]
    Run(String),
}

/// Loads a server as planned; `stop` ends it early, and everything that was sent is still waited for.
pub fn run(plan: &Plan, is_quiet: bool, stop: Arc<AtomicBool>) -> Result<Report, LoadError> {
    plan.check()?;
    let target = Target::find(&plan.server, plan.ca.as_deref())?;
    target.make_room(plan.mode.connections())?;
    let run = Run::new(plan.now_ms);
    let watch = Watch::new(plan.server_pid.clone(), plan.server_dir.clone());
    let stage = Stage {
        target: Arc::new(target),
        run,
        payload: Payload::new(plan.size, plan.now_ms),
        acks: plan.acks,
        threads: plan.threads,
        drain: plan.drain,
        patience: plan.patience,
        first_client: 0,
        is_inbox_bounded: matches!(plan.mode, Mode::Offline(_)),
        met: Arc::new(AtomicUsize::new(0)),
        stop,
        broken: Arc::new(AtomicBool::new(false)),
        began: Instant::now(),
        mint: Mint {
            tokens: plan.tokens.clone(),
            hashids: plan.hashids.clone(),
            now_ms: plan.now_ms,
            run_ms: plan.mode.time().as_millis() as u64,
        },
        watch: Arc::new(Mutex::new(watch)),
    };
    let (ended, ends) = mpsc::channel();
    let mut boards = Vec::new();
    let mut threads = Vec::new();
    for thread in 0..plan.threads {
        let share = Share {
            thread,
            threads: plan.threads,
            users_from: plan.users_from.unwrap_or_else(|| run.users()),
        };
        let board = Arc::new(Board::new()?);
        boards.push(board.clone());
        let part = Part {
            stage: stage.clone(),
            share,
            board,
            mode: plan.mode.clone(),
            ended: ended.clone(),
        };
        threads.push(part.start()?);
    }
    drop(ended);
    let series = attend(
        &stage,
        &boards,
        &ends,
        Live::new(is_quiet, plan.mode.time()),
    )?;
    let outcome = gather(threads)?;
    Ok(describe(plan, &stage, outcome, series))
}

/// What one thread has to do.
struct Part {
    stage: Stage,
    share: Share,
    board: Arc<Board>,
    mode: Mode,
    ended: mpsc::Sender<()>,
}

/// What came of it.
struct Outcome {
    counts: Counts,
    measured: Counts,
    errors: BTreeMap<u16, u64>,
    times: Times,
    proof: Proof,
    marks: Vec<Mark>,
    detail: Option<Value>,
}

impl Part {
    fn start(mut self) -> Result<JoinHandle<Result<Outcome, LoadError>>, LoadError> {
        let failed = |error: io::Error| LoadError::Setup(format!("a thread: {error}"));
        let (first_client, first_flow) = self.mode.before(self.share);
        self.stage.first_client = first_client;
        std::thread::Builder::new()
            .name(format!("load-{}", self.share.thread))
            .spawn(move || {
                let stage = Arc::new(self.stage);
                let mut crew = Crew::new(stage.clone(), self.board, first_flow)?;
                let played = mode::play(&mut crew, &self.mode, self.share);
                crew.publish();
                if played.is_err() {
                    stage.break_off();
                }
                // Nobody listens any more if another thread has failed.
                let _ = self.ended.send(());
                Ok(Outcome {
                    detail: played?,
                    counts: crew.tally.counts,
                    measured: crew.tally.measured,
                    errors: crew.tally.errors,
                    times: crew.tally.times,
                    proof: crew.proof,
                    marks: crew.marks,
                })
            })
            .map_err(failed)
    }
}

/// Looks at a run and shows it until all of its threads have ended.
fn attend(
    stage: &Stage,
    boards: &[Arc<Board>],
    ends: &mpsc::Receiver<()>,
    mut live: Live,
) -> Result<Series, LoadError> {
    let mut series = Series::default();
    loop {
        let ended = ends.recv_timeout(LOOK);
        let sight = Board::look(boards.iter().map(|board| &**board))?;
        let usage = stage.watch.lock().look();
        let at = stage.began.elapsed();
        let point = series.look(at, &sight, &usage);
        live.show(at, &sight, &point);
        if ended == Err(RecvTimeoutError::Disconnected) {
            live.end();
            return Ok(series);
        }
    }
}

/// Puts together what came of all threads; the failure of one is that of the run.
fn gather(threads: Vec<JoinHandle<Result<Outcome, LoadError>>>) -> Result<Outcome, LoadError> {
    let mut whole: Option<Outcome> = None;
    let mut failure = None;
    for thread in threads {
        let ended = thread.join();
        let ended = ended.unwrap_or_else(|_| Err(LoadError::Run("a thread panicked".into())));
        match (ended, &mut whole) {
            (Ok(part), None) => whole = Some(part),
            (Ok(part), Some(whole)) => whole.add(part),
            (Err(error), _) => {
                failure.get_or_insert(error);
            }
        }
    }
    match (failure, whole) {
        (Some(error), _) => Err(error),
        (None, Some(whole)) => Ok(whole),
        (None, None) => Err(LoadError::Setup("there was nothing to do".into())),
    }
}

impl Outcome {
    /// The marks and the detail are those of the first thread.
    fn add(&mut self, part: Outcome) {
        self.counts = self.counts.plus(&part.counts);
        self.measured = self.measured.plus(&part.measured);
        for (code, count) in part.errors {
            *self.errors.entry(code).or_default() += count;
        }
        self.times.add(&part.times);
        self.proof.add(part.proof);
    }
}

fn describe(plan: &Plan, stage: &Stage, outcome: Outcome, series: Series) -> Report {
    let Outcome {
        counts,
        measured,
        marks,
        proof,
        ..
    } = outcome;
    let (first, last) = (marks.first(), marks.last());
    let span = |first: &Mark, last: &Mark| (last.at - first.at) as f64 / 1e9;
    let measured_s = first
        .zip(last)
        .map_or(0.0, |(first, last)| span(first, last));
    let client_cpu = |mark: Option<&Mark>| mark.and_then(|mark| mark.client_cpu);
    let messages = match measured.loops {
        0 => measured.accepted,
        loops => loops,
    };
    let peak = stage.watch.lock().peak();
    Report {
        mode: plan.mode.name(),
        version: env!("CARGO_PKG_VERSION"),
        server: plan.server.clone(),
        run: stage.run.as_str().into(),
        began_ms: plan.now_ms,
        machine: Machine::this(),
        options: plan.options(),
        verdict: proof.verdict(),
        kept: proof.is_kept(),
        proof,
        measured_s,
        measured,
        rates: Rates::of(&measured, measured_s),
        counts,
        errors: outcome.errors,
        latency: Latency::of(&outcome.times),
        server_usage: ServerUsage::between(first, last, measured.accepted, peak),
        client_cpu_us_per_message: report::per_message_us(
            client_cpu(first),
            client_cpu(last),
            messages,
        ),
        detail: outcome.detail,
        series: series.points(),
    }
}
