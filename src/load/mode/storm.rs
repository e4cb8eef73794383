//! `storm`: all clients are cut at once and come back at once, while a steady pair and messages to all of them go on.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use hdrhistogram::Histogram;
use serde_json::{Value, json};

use crate::load::LoadError;
use crate::load::client::Pace;
use crate::load::crew::{Crew, Waited};
use crate::load::ledger::Frees;
use crate::load::plan::Storm;
use crate::load::proof::Proof;
use crate::load::stage::Stage;
use crate::load::tally::{Board, Counts};

use super::{Played, Share, connect_all};

/// Senders who share the messages to the clients, and what each may have without an answer.
const SENDERS: usize = 4;
const WINDOW: usize = 64;
/// How often the steady pair sends.
const STEADY_NS: f64 = 5e6;
/// How long the steady pair is listened to from each cut on, at least.
const STORM_NS: u64 = 500_000_000;
/// Time before the first storm, and between two.
const CALM: Duration = Duration::from_secs(2);
const MB: f64 = 1024.0 * 1024.0;

pub(super) fn play(crew: &mut Crew, plan: &Storm, share: Share) -> Played {
    for number in 0..SENDERS as u64 {
        let user = crew.add_user(share.users_from + number)?;
        crew.add_client(user, 0, WINDOW);
    }
    for number in 0..plan.clients {
        let user = crew.add_user(share.users_from + (SENDERS + number) as u64)?;
        crew.add_client(user, 0, 0);
        crew.add_flow(number % SENDERS, user, 1, Frees::Accept)?;
    }
    if !connect_all(crew)? {
        return Ok(None);
    }
    let users_from = share.users_from + (SENDERS + plan.clients) as u64;
    let steady = Steady::start(
        &crew.stage,
        crew.clients.len(),
        crew.flows.len(),
        users_from,
    )?;
    let stormed = storms(crew, plan, &steady);
    steady.end(crew)?;
    let (before, rounds) = stormed?;
    crew.drain()?;
    Ok(Some(json!({
        "clients": plan.clients,
        "steady_pair_before": before,
        "rounds": rounds,
    })))
}

fn storms(
    crew: &mut Crew,
    plan: &Storm,
    steady: &Steady,
) -> Result<(Value, Vec<Value>), LoadError> {
    steady.times()?;
    crew.measure(true);
    crew.board.phase("calm");
    crew.run_for(CALM)?;
    let rss = |crew: &mut Crew| crew.mark().server.rss.map(|rss| rss as f64 / MB);
    let mut before = spread(&steady.times()?);
    before["server_rss_mb"] = json!(rss(crew));
    let mut rounds = Vec::new();
    let all = crew.clients.len();
    for _ in 0..plan.rounds {
        if crew.stage.is_stopped() {
            break;
        }
        crew.board.phase("storm");
        let began = crew.now;
        for client in SENDERS..all {
            crew.cut(client);
        }
        for flow in 0..crew.flows.len() {
            crew.order(flow, 1);
        }
        let due = crew.tally.counts.sent + crew.flows.len() as u64;
        let mut back = None;
        let mut delivered = None;
        let waited = crew.until(crew.stage.patience, |crew| {
            if crew.on == all {
                back.get_or_insert(crew.now);
            }
            if back.is_some() && crew.unsettled == 0 && crew.tally.counts.sent == due {
                delivered.get_or_insert(crew.now);
            }
            delivered.is_some() && crew.now - began >= STORM_NS
        })?;
        let mut round = spread(&steady.times()?);
        let seconds = |at: u64| (at - began) as f64 / 1e9;
        round["all_back_s"] = json!(back.map(seconds));
        round["all_delivered_s"] = json!(delivered.map(seconds));
        crew.board.phase("calm");
        crew.run_for(CALM)?;
        steady.times()?;
        round["server_rss_mb"] = json!(rss(crew));
        rounds.push(round);
        if waited != Waited::Yes {
            break;
        }
    }
    crew.measure(false);
    Ok((before, rounds))
}

fn spread(times: &Histogram<u64>) -> Value {
    let us = |quantile| times.value_at_quantile(quantile) as f64 / 1e3;
    json!({
        "steady_loops": times.len(),
        "steady_p50_us": us(0.5),
        "steady_p99_us": us(0.99),
        "steady_max_us": times.max() as f64 / 1e3,
    })
}

/// Two users on a thread of their own, whom no storm touches but through the server.
struct Steady {
    board: Arc<Board>,
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Result<(Proof, Counts), LoadError>>,
}

impl Steady {
    fn start(
        stage: &Stage,
        first_client: usize,
        first_flow: usize,
        users_from: u64,
    ) -> Result<Steady, LoadError> {
        let board = Arc::new(Board::new()?);
        let stop = Arc::new(AtomicBool::new(false));
        let stage = Arc::new(Stage {
            first_client,
            ..stage.clone()
        });
        let (shown, until) = (board.clone(), stop.clone());
        let thread = std::thread::Builder::new()
            .name("load-steady".into())
            .spawn(move || {
                let mut crew = Crew::new(stage.clone(), shown, first_flow)?;
                let exchanged = exchange(&mut crew, users_from, &until);
                if exchanged.is_err() {
                    stage.break_off();
                }
                exchanged.map(|()| (crew.proof, crew.tally.counts))
            })
            .map_err(|error| LoadError::Setup(format!("a thread: {error}")))?;
        Ok(Steady {
            board,
            stop,
            thread,
        })
    }

    /// The times of the loops since this was asked last.
    fn times(&self) -> Result<Histogram<u64>, LoadError> {
        Ok(Board::look([&*self.board])?.recent)
    }

    /// Ends it, and adds what it found out to the crew's.
    fn end(self, crew: &mut Crew) -> Result<(), LoadError> {
        self.stop.store(true, Ordering::Relaxed);
        let ended = self.thread.join();
        let ended = ended.unwrap_or_else(|_| Err(LoadError::Run("a thread panicked".into())));
        let (proof, counts) = ended?;
        crew.proof.add(proof);
        crew.tally.counts = crew.tally.counts.plus(&counts);
        Ok(())
    }
}

fn exchange(crew: &mut Crew, users_from: u64, until: &AtomicBool) -> Result<(), LoadError> {
    let reader = crew.add_user(users_from)?;
    crew.add_client(reader, 0, 0);
    let sender = crew.add_user(users_from + 1)?;
    let sender = crew.add_client(sender, 0, WINDOW);
    let flow = crew.add_flow(sender, reader, 1, Frees::Accept)?;
    if connect_all(crew)? {
        let start = crew.now;
        crew.let_run(
            flow,
            Some(Pace {
                start,
                every: STEADY_NS,
            }),
        );
        // Longer than any run may take.
        crew.until(Duration::from_secs(30 * 24 * 3600), |_| {
            until.load(Ordering::Relaxed)
        })?;
    }
    crew.drain()
}
