//! What one server does: pairs of devices, a sender and a reader each, in a closed loop over the real binary on sled.
//!
//! A loop is a message and everything it causes: sent → accepted (frame 2); delivered (3) → acked (4) → ack confirmed (5);
//! receipt at the sender (6). A sender keeps `window` of them open. Accept is the time from sending to frame 2, loop the time
//! from sending to frame 6. Client and server share the machine; the client is one thread and writes its frames by hand, so
//! that most of the machine is the server's.
//!
//! `cargo bench --bench pairs -- --help` lists the options. Without `--bench` (under `cargo test --all-targets`) it makes one
//! short pass, to hold that it works. It ends with an error if an accepted message was not delivered, or was delivered twice.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "../tests/support/lib.rs"]
mod support;
#[path = "support/wire.rs"]
mod wire;

use std::{
    cell::{Cell, RefCell},
    io::Write,
    rc::Rc,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use clap::Parser;
use hdrhistogram::Histogram;
use support::{SEED, Server, User};
use tokio::{
    sync::Notify,
    task::LocalSet,
    time::{sleep, timeout},
};
use wire::{Wire, number, seq, text};

/// How long the last loops may take to close after the measurement.
const DRAIN: Duration = Duration::from_secs(30);

/// Measures full delivery loops over the real server.
#[derive(Parser)]
struct Options {
    /// Seconds of measurement in each row
    #[arg(long)]
    seconds: Option<f64>,
    /// Pairs of devices in the loaded rows
    #[arg(long, default_value_t = 50)]
    pairs: u64,
    /// Bytes of each payload
    #[arg(long, default_value_t = 256)]
    size: usize,
    /// Messages a sender keeps open, one row for each
    #[arg(long, value_delimiter = ',', default_values_t = [1, 32])]
    windows: Vec<usize>,
    /// Settings for the server, as `serve --set` takes them
    #[arg(long = "set")]
    sets: Vec<String>,
    /// Passed by cargo
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> Result<()> {
    let options = Options::parse();
    let seconds = options
        .seconds
        .unwrap_or(if options.bench { 10.0 } else { 0.5 });
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;

    println!("{} B payloads, {seconds} s each\n", options.size);
    println!(
        "| pairs | window | loops/s | accept p50 / p99 ms | loop p50 / p99 ms | server CPU µs per loop | client CPU µs per loop | server peak RSS MB |"
    );
    println!("|---|---|---|---|---|---|---|---|");
    let loaded = options
        .windows
        .iter()
        .map(|&window| (options.pairs, window));
    for (pairs, window) in std::iter::once((1, 1)).chain(loaded) {
        let load = Load {
            pairs,
            window,
            size: options.size,
            seconds,
        };
        let measured = LocalSet::new()
            .block_on(&runtime, measure(&load, &options.sets))
            .with_context(|| format!("{pairs} pairs, window {window}"))?;
        println!("| {pairs} | {window} | {measured} |");
        std::io::stdout().flush()?;
    }
    Ok(())
}

struct Load {
    pairs: u64,
    window: usize,
    size: usize,
    seconds: f64,
}

struct Measured {
    loops: u64,
    seconds: f64,
    accept: Histogram<u64>,
    closed: Histogram<u64>,
    server_cpu: Option<Duration>,
    client_cpu: Option<Duration>,
    peak_rss_mb: Option<f64>,
    repeats: u64,
}

#[derive(Clone, Copy, PartialEq)]
enum Phase {
    WarmUp,
    Measure,
    Drain,
}

/// What all pairs share.
struct Stage {
    began: Instant,
    phase: Cell<Phase>,
    accept: RefCell<Histogram<u64>>,
    closed: RefCell<Histogram<u64>>,
    repeats: Cell<u64>,
}

/// One pair's ledger.
#[derive(Default)]
struct Pair {
    messages: RefCell<Vec<Message>>,
    confirmed: Cell<usize>,
    highest_seq: Cell<u64>,
    /// The sender has heard everything about everything it sent.
    sender_is_done: Cell<bool>,
    done: Notify,
}

#[derive(Default, Clone)]
struct Message {
    /// Nanoseconds since the stage began.
    sent: u64,
    /// The reader's number for it; none has number 0.
    seq: u64,
    accepted: bool,
    delivered: bool,
}

async fn measure(load: &Load, sets: &[String]) -> Result<Measured> {
    let sets: Vec<_> = sets.iter().map(String::as_str).collect();
    let server = Server::start_with(&["--config", SEED], &sets).await;
    let histogram = || RefCell::new(Histogram::new_with_bounds(1_000, 60_000_000_000, 3).unwrap());
    let stage = Rc::new(Stage {
        began: Instant::now(),
        phase: Cell::new(Phase::WarmUp),
        accept: histogram(),
        closed: histogram(),
        repeats: Cell::new(0),
    });

    let mut pairs = Vec::new();
    let mut working = Vec::new();
    for number in 0..load.pairs {
        let (sender, reader) = (User::new(5000 + 2 * number), User::new(5001 + 2 * number));
        let sending = Wire::open(server.public, &sender.token).await?;
        let reading = Wire::open(server.public, &reader.token).await?;
        let pair = Rc::new(Pair::default());
        pairs.push(Rc::clone(&pair));
        let head = format!(
            r#"","type":"C2C","from":"","to":"{}","payload":""#,
            reader.name
        );
        let tail = format!(
            r#"{}","created_at":1668877742828}}"#,
            "x".repeat(load.size - 2)
        );
        working.push(tokio::task::spawn_local(send(
            sending,
            Rc::clone(&pair),
            Rc::clone(&stage),
            load.window,
            (head, tail),
        )));
        working.push(tokio::task::spawn_local(read(
            reading,
            pair,
            Rc::clone(&stage),
        )));
    }

    sleep(Duration::from_secs_f64(load.seconds / 5.0)).await;
    let (server_before, client_before) = (cpu(&server.pid().to_string()), cpu("self"));
    let started = Instant::now();
    stage.phase.set(Phase::Measure);
    sleep(Duration::from_secs_f64(load.seconds)).await;
    stage.phase.set(Phase::Drain);
    let seconds = started.elapsed().as_secs_f64();
    let (server_after, client_after) = (cpu(&server.pid().to_string()), cpu("self"));

    let draining = async {
        for task in working {
            task.await??;
        }
        Ok::<_, anyhow::Error>(())
    };
    match timeout(DRAIN, draining).await {
        Ok(ended) => ended?,
        Err(_) => bail!(
            "{} accepted messages are not delivered",
            undelivered(&pairs)
        ),
    }
    for pair in &pairs {
        let sent = pair.messages.borrow().len() as u64;
        // A second row for a message would have taken a number of its own.
        ensure!(pair.highest_seq.get() == sent, "more rows than messages");
    }

    Ok(Measured {
        loops: stage.closed.borrow().len(),
        seconds,
        accept: stage.accept.borrow().clone(),
        closed: stage.closed.borrow().clone(),
        server_cpu: difference(server_before, server_after),
        client_cpu: difference(client_before, client_after),
        peak_rss_mb: peak_rss_mb(server.pid()),
        repeats: stage.repeats.get(),
    })
}

/// The sender's side of a pair: keeps its window full, times frames 2 and 6.
async fn send(
    mut wire: Wire,
    pair: Rc<Pair>,
    stage: Rc<Stage>,
    window: usize,
    (head, tail): (String, String),
) -> Result<()> {
    let mut open = 0;
    loop {
        while open < window && stage.phase.get() != Phase::Drain {
            let mut messages = pair.messages.borrow_mut();
            let number = messages.len();
            messages.push(Message {
                sent: stage.now(),
                ..Message::default()
            });
            wire.write(format_args!(r#"{{"id":"m-{number}{head}{tail}"#));
            open += 1;
        }
        wire.flush().await?;
        if open == 0 {
            pair.sender_is_done.set(true);
            pair.done.notify_one();
            return Ok(());
        }
        wire.fill().await?;
        let measuring = stage.phase.get() == Phase::Measure;
        while let Some(frame) = wire.next()? {
            let kind = text(frame, r#""type":""#)?;
            let number = number(frame)?;
            let mut messages = pair.messages.borrow_mut();
            let message = messages.get_mut(number).context("an unknown id")?;
            let took = stage.now() - message.sent;
            match kind {
                b"C2C_SERVER_ACK" => {
                    message.accepted = true;
                    if measuring {
                        stage.accept.borrow_mut().record(took)?;
                    }
                }
                b"C2C_DELIVERED" => {
                    message.delivered = true;
                    if measuring {
                        stage.closed.borrow_mut().record(took)?;
                    }
                }
                _ => bail!("a sender hears {}", String::from_utf8_lossy(frame)),
            }
            if message.accepted && message.delivered {
                open -= 1;
            }
        }
    }
}

/// The reader's side of a pair: acks each message by itself, waits for each ack's confirmation.
async fn read(mut wire: Wire, pair: Rc<Pair>, stage: Rc<Stage>) -> Result<()> {
    loop {
        let sent = pair.messages.borrow().len();
        if pair.sender_is_done.get() && pair.confirmed.get() == sent {
            return Ok(());
        }
        tokio::select! {
            filled = wire.fill() => filled?,
            () = pair.done.notified() => {}
        }
        while let Some(frame) = wire.next()? {
            match text(frame, r#""type":""#)? {
                b"C2C" => {
                    let (number, seq) = (number(frame)?, seq(frame)?);
                    let mut messages = pair.messages.borrow_mut();
                    let message = messages.get_mut(number).context("a message nobody sent")?;
                    ensure!(
                        message.seq == 0 || message.seq == seq,
                        "a second row for one message"
                    );
                    if message.seq == seq {
                        stage.repeats.set(stage.repeats.get() + 1);
                    }
                    message.seq = seq;
                    pair.highest_seq.set(pair.highest_seq.get().max(seq));
                    wire.write(format_args!("CLIENT_ACK,C2C,m-{number},did"));
                }
                b"CLIENT_ACK_OK" => pair.confirmed.set(pair.confirmed.get() + 1),
                _ => bail!("a reader hears {}", String::from_utf8_lossy(frame)),
            }
        }
        wire.flush().await?;
    }
}

impl Stage {
    fn now(&self) -> u64 {
        self.began.elapsed().as_nanos() as u64
    }
}

fn undelivered(pairs: &[Rc<Pair>]) -> usize {
    let owed = |message: &&Message| message.accepted && message.seq == 0;
    pairs
        .iter()
        .map(|pair| pair.messages.borrow().iter().filter(owed).count())
        .sum()
}

// ---- the figures ----

impl std::fmt::Display for Measured {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let ms = |histogram: &Histogram<u64>, quantile| {
            histogram.value_at_quantile(quantile) as f64 / 1e6
        };
        let each = |cpu: Option<Duration>| {
            cpu.map_or("–".to_owned(), |cpu| {
                format!("{:.1}", cpu.as_secs_f64() * 1e6 / self.loops.max(1) as f64)
            })
        };
        write!(
            out,
            "{:.0} | {:.3} / {:.3} | {:.3} / {:.3} | {} | {} | {}",
            self.loops as f64 / self.seconds,
            ms(&self.accept, 0.5),
            ms(&self.accept, 0.99),
            ms(&self.closed, 0.5),
            ms(&self.closed, 0.99),
            each(self.server_cpu),
            each(self.client_cpu),
            self.peak_rss_mb
                .map_or("–".to_owned(), |mb| format!("{mb:.0}")),
        )?;
        if self.repeats > 0 {
            write!(out, " ({} messages came again unacked)", self.repeats)?;
        }
        Ok(())
    }
}

/// User and system time of a process. Linux counts it in hundredths of a second; elsewhere there is none.
fn cpu(pid: &str) -> Option<Duration> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name, in brackets, may hold spaces: the fields are counted from behind it.
    let fields: Vec<_> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks: u64 = fields.get(11)?.parse::<u64>().ok()? + fields.get(12)?.parse::<u64>().ok()?;
    Some(Duration::from_millis(ticks * 10))
}

fn difference(before: Option<Duration>, after: Option<Duration>) -> Option<Duration> {
    Some(after? - before?)
}

fn peak_rss_mb(pid: u32) -> Option<f64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kb: f64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kb / 1024.0)
}
