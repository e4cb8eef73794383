//! What hard cases cost the server and everybody else on it, over the real binary on sled: a flood of messages that waited,
//! a storm of reconnecting clients, a reader who does not read, messages that nobody acknowledges. But for the last, a
//! steady pair exchanges messages on a thread of its own all the while; its loops are timed from sending to the receipt.
//!
//! `cargo bench --bench adversity -- flood`, `… -- storm`, `… -- jam`, `… -- in-flight`; `-- --help` lists the options. Each prints a table and
//! ends with an error if a message was lost, came out of order or came twice. Without `--bench` (under
//! `cargo test --all-targets`) each makes one short pass, to hold that it works.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "support/steady.rs"]
mod steady;
#[path = "../tests/support/lib.rs"]
mod support;
#[path = "support/wire.rs"]
mod wire;

use std::{
    cell::{Cell, RefCell},
    net::SocketAddr,
    rc::Rc,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use clap::{Parser, Subcommand};
use steady::{Steady, p50_p99};
use support::{Call, Deaf, SEED, Server, User, resident};
use tokio::{
    task::LocalSet,
    time::{sleep, timeout},
};
use wire::{Wire, number, seq, text};

/// Sends that wait for their answer at once.
const AHEAD: usize = 200;
/// How long anything may take that is waited for.
const PATIENCE: Duration = Duration::from_secs(120);
/// The users of the steady pair.
const STEADY: (u64, u64) = (3001, 3002);
const SENDER: u64 = 3003;
const READER: u64 = 3004;

/// Measures hard cases over the real server.
#[derive(Parser)]
struct Options {
    #[command(subcommand)]
    case: Option<Case>,
    /// Settings for the server, as `serve --set` takes them
    #[arg(long = "set", global = true)]
    sets: Vec<String>,
    /// Passed by cargo
    #[arg(long, hide = true, global = true)]
    bench: bool,
}

#[derive(Clone, Subcommand)]
enum Case {
    /// Messages that waited for one user come at once
    Flood {
        /// How many
        #[arg(long, default_value_t = 100_000)]
        rows: u64,
        /// Bytes of each payload
        #[arg(long, default_value_t = 256)]
        size: usize,
        /// Start the server anew before the login
        #[arg(long)]
        restart: bool,
    },
    /// All clients are cut at once and come back at once, again and again
    Storm {
        /// How many
        #[arg(long, default_value_t = 5_000)]
        clients: u64,
        /// How often
        #[arg(long, default_value_t = 3)]
        rounds: u64,
    },
    /// Messages for readers who do not read
    Jam {
        /// Megabytes for each of them
        #[arg(long, default_value_t = 50)]
        megabytes: usize,
        /// How many of them
        #[arg(long, default_value_t = 1)]
        readers: u64,
    },
    /// Messages that walk their schedule, because their readers read and acknowledge none
    InFlight {
        /// How many readers, three times
        #[arg(long, default_value_t = 50)]
        readers: u64,
        /// Messages for each of them
        #[arg(long, default_value_t = 1_000)]
        each: u64,
    },
}

fn main() -> Result<()> {
    let options = Options::parse();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let cases = match options.case {
        Some(case) => vec![case],
        None if options.bench => ["flood", "storm", "jam", "in-flight"]
            .map(|case| Options::parse_from(["adversity", case]).case.unwrap())
            .to_vec(),
        None => vec![
            Case::Flood {
                rows: 1_000,
                size: 256,
                restart: true,
            },
            Case::Storm {
                clients: 50,
                rounds: 2,
            },
            Case::Jam {
                megabytes: 8,
                readers: 1,
            },
            Case::InFlight {
                readers: 5,
                each: 20,
            },
        ],
    };
    // What the steady pair is like when nothing else goes on is measured for so long.
    let calm = Duration::from_millis(if options.bench { 5_000 } else { 200 });
    for case in cases {
        let work = async {
            match case {
                Case::Flood {
                    rows,
                    size,
                    restart,
                } => flood(rows, size, restart, calm, &options.sets).await,
                Case::Storm { clients, rounds } => {
                    storm(clients, rounds, calm, &options.sets).await
                }
                Case::Jam { megabytes, readers } => {
                    jam(megabytes, readers, calm, &options.sets).await
                }
                Case::InFlight { readers, each } => {
                    in_flight(readers, each, calm, &options.sets).await
                }
            }
        };
        LocalSet::new().block_on(&runtime, work)?;
    }
    Ok(())
}

async fn start(ours: &[&str], sets: &[String]) -> Server {
    let sets: Vec<_> = ours
        .iter()
        .copied()
        .chain(sets.iter().map(String::as_str))
        .collect();
    Server::start_with(&["--config", SEED, "--dev"], &sets).await
}

fn begin_steady(server: &Server) -> Steady {
    let (sender, reader) = (User::new(STEADY.0), User::new(STEADY.1));
    Steady::start(server.public, sender, reader)
}

// ---- the flood ----

async fn flood(
    rows: u64,
    size: usize,
    restart: bool,
    calm: Duration,
    sets: &[String],
) -> Result<()> {
    let mut server = start(&["inbox.max_messages=200000"], sets).await;
    let reader = User::new(READER);
    let mut sender = Wire::open(server.public, &User::new(SENDER).token).await?;
    let began = Instant::now();
    send_many(&mut sender, &reader.name, rows, size, AHEAD as u64).await?;
    let stored = began.elapsed();
    drop(sender);
    if restart {
        ensure!(server.term().await.success(), "the server did not end well");
        server.restart().await;
    }
    let steady = begin_steady(&server);
    sleep(calm).await;
    let before = steady.times();

    let memory = Memory::of(&server);
    let began = Instant::now();
    let mut wire = Wire::open(server.public, &reader.token).await?;
    ensure!(
        wire.summary.contains(&format!(r#""count":{rows},"#)),
        "the summary says {}",
        wire.summary
    );
    let mut taken = Taken::default();
    while taken.acked < rows {
        taken.read(&mut wire, &memory).await?;
    }
    let drained = began.elapsed();
    let during = steady.times();
    steady.end()?;

    println!(
        "\nA flood of {rows} messages of {size} B, stored in {:.1} s",
        stored.as_secs_f64()
    );
    println!(
        "\n| rows | drained in s | most unacked at once | repeats | RSS before / most / after MB | growth MB | steady pair before p50 / p99 ms | during |"
    );
    println!("|---|---|---|---|---|---|---|---|");
    println!(
        "| {rows} | {:.1} | {} | {} | {memory} | {} | {} |",
        drained.as_secs_f64(),
        taken.most_unacked,
        taken.repeats,
        p50_p99(&before),
        p50_p99(&during),
    );
    Ok(())
}

/// What one reader has taken so far; its messages come in order and once.
#[derive(Default)]
struct Taken {
    seq: u64,
    asked: u64,
    acked: u64,
    most_unacked: u64,
    repeats: u64,
}

impl Taken {
    /// Reads what is there and acks all of it, one ack at a time.
    async fn read(&mut self, wire: &mut Wire, memory: &Memory) -> Result<()> {
        timeout(PATIENCE, wire.fill())
            .await
            .with_context(|| format!("nothing comes after {}", self.seq))??;
        while let Some(frame) = wire.next()? {
            match text(frame, r#""type":""#)? {
                b"C2C" => {
                    let seq = seq(frame)?;
                    if seq <= self.seq {
                        self.repeats += 1;
                        ensure!(seq > self.acked, "{seq} came after its ack was confirmed");
                        continue;
                    }
                    ensure!(seq == self.seq + 1, "{seq} came after {}", self.seq);
                    self.seq = seq;
                    self.most_unacked = self.most_unacked.max(seq - self.asked);
                }
                b"CLIENT_ACK_OK" => {
                    let up_to = String::from_utf8_lossy(frame).into_owned();
                    let up_to = up_to.rsplit(':').next().context("an ack of another form")?;
                    self.acked = up_to.trim_end_matches('}').parse()?;
                }
                _ => {}
            }
        }
        if self.acked == self.asked && self.seq > self.asked {
            self.asked = self.seq;
            wire.write(format_args!(
                r#"{{"type":"CLIENT_ACK","up_to":{}}}"#,
                self.seq
            ));
            wire.flush().await?;
        }
        memory.look();
        Ok(())
    }
}

/// Sends so many messages, `ahead` of them before the answer to the first, and sees them accepted.
async fn send_many(wire: &mut Wire, to: &str, count: u64, size: usize, ahead: u64) -> Result<()> {
    let payload = "x".repeat(size - 2);
    let (mut sent, mut accepted) = (0, 0);
    while accepted < count {
        while sent < count && sent - accepted < ahead {
            wire.write(format_args!(
                r#"{{"id":"{to}-{sent}","type":"C2C","from":"","to":"{to}","payload":"{payload}"}}"#
            ));
            sent += 1;
        }
        wire.flush().await?;
        wire.fill().await?;
        while let Some(frame) = wire.next()? {
            match text(frame, r#""type":""#)? {
                b"C2C_SERVER_ACK" => accepted += 1,
                b"ERROR" => anyhow::bail!("{}", String::from_utf8_lossy(frame)),
                _ => {}
            }
        }
    }
    Ok(())
}

// ---- the storm ----

/// What the storm's clients share.
struct Storm {
    listener: SocketAddr,
    /// Clients that are logged in.
    there: Cell<u64>,
    /// Messages that came, and came first, over all clients.
    came: Cell<u64>,
    repeats: Cell<u64>,
}

async fn storm(clients: u64, rounds: u64, calm: Duration, sets: &[String]) -> Result<()> {
    let server = start(&[], sets).await;
    let mut users = Vec::new();
    for uid in 0..clients {
        users.push(made_by_the_server(&server, 100_000 + uid).await?);
    }
    let storm = Rc::new(Storm {
        listener: server.public,
        there: Cell::new(0),
        came: Cell::new(0),
        repeats: Cell::new(0),
    });
    let seen: Vec<_> = users.iter().map(|_| Rc::new(Cell::new(0))).collect();
    let steady = begin_steady(&server);
    let come = || -> Vec<_> {
        users
            .iter()
            .zip(&seen)
            .map(|(user, seen)| {
                let client = stay(Rc::clone(&storm), user.token.clone(), Rc::clone(seen));
                tokio::task::spawn_local(client)
            })
            .collect()
    };
    let mut tasks = come();
    all(&storm.there, clients, "come").await?;
    sleep(calm).await;

    println!(
        "\n{clients} clients cut at once and back at once, a message to each of them meanwhile"
    );
    println!(
        "\n| round | all back after s | RSS after MB | messages lost | came again | steady pair p50 / p99 ms |"
    );
    println!("|---|---|---|---|---|---|");
    println!(
        "| before | – | {} | – | – | {} |",
        mb(resident(server.pid())),
        p50_p99(&steady.times())
    );
    for round in 1..=rounds {
        let names: Vec<_> = users.iter().map(|user| user.name.clone()).collect();
        let token = User::new(SENDER).token;
        let listener = server.public;
        let sending = tokio::task::spawn_local(async move {
            let mut wire = Wire::open(listener, &token).await?;
            let mut accepted = 0;
            for (n, name) in names.iter().enumerate() {
                wire.write(format_args!(
                    r#"{{"id":"m-{round}","type":"C2C","from":"","to":"{name}","payload":"storm"}}"#
                ));
                while n + 1 - accepted >= AHEAD || (n + 1 == names.len() && accepted < n + 1) {
                    wire.flush().await?;
                    wire.fill().await?;
                    while let Some(frame) = wire.next()? {
                        accepted += usize::from(text(frame, r#""type":""#)? == b"C2C_SERVER_ACK");
                    }
                }
            }
            anyhow::Ok(())
        });
        // The messages of this round begin to come, and then everybody is gone.
        let half = (round - 1) * clients + clients / 4;
        all_at_least(&storm.came, half, "come through").await?;
        for task in &tasks {
            task.abort();
        }
        storm.there.set(0);
        let began = Instant::now();
        tasks = come();
        all(&storm.there, clients, "come back").await?;
        let back = began.elapsed();
        sending.await??;
        all_at_least(&storm.came, round * clients, "arrive").await?;
        sleep(calm).await;
        let lost = round * clients - storm.came.get();
        println!(
            "| {round} | {:.1} | {} | {lost} | {} | {} |",
            back.as_secs_f64(),
            mb(resident(server.pid())),
            storm.repeats.take(),
            p50_p99(&steady.times()),
        );
        ensure!(lost == 0, "messages are lost");
    }
    steady.end()
}

/// One client: logs in, and acks whatever comes.
async fn stay(storm: Rc<Storm>, token: String, seen: Rc<Cell<u64>>) -> Result<()> {
    let mut wire = loop {
        // The listener's queue may be full for a moment.
        match Wire::open(storm.listener, &token).await {
            Ok(wire) => break wire,
            Err(_) => sleep(Duration::from_millis(20)).await,
        }
    };
    storm.there.set(storm.there.get() + 1);
    loop {
        while let Some(frame) = wire.next()? {
            if text(frame, r#""type":""#)? == b"C2C" {
                let (id, seq) = (number(frame)?, seq(frame)?);
                ensure!(id as u64 == seq, "message {id} came as {seq}");
                if seq <= seen.get() {
                    storm.repeats.set(storm.repeats.get() + 1);
                } else {
                    ensure!(seq == seen.get() + 1, "{seq} came after {}", seen.get());
                    seen.set(seq);
                    storm.came.set(storm.came.get() + 1);
                }
                wire.write(format_args!(r#"{{"type":"CLIENT_ACK","up_to":{seq}}}"#));
            }
        }
        wire.flush().await?;
        wire.fill().await?;
    }
}

async fn all(count: &Cell<u64>, of: u64, what: &str) -> Result<()> {
    all_at_least(count, of, what).await?;
    ensure!(count.get() == of, "{} instead of {of} {what}", count.get());
    Ok(())
}

async fn all_at_least(count: &Cell<u64>, least: u64, what: &str) -> Result<()> {
    let until = Instant::now() + PATIENCE;
    while count.get() < least {
        ensure!(Instant::now() < until, "{} of {least} {what}", count.get());
        sleep(Duration::from_millis(5)).await;
    }
    Ok(())
}

/// A user whose token the server makes: thousands of them would take the command line too long.
async fn made_by_the_server(server: &Server, uid: u64) -> Result<User> {
    let body = format!(r#"{{"uid":{uid}}}"#);
    let answer = Call::post(server.public, "/v1/dev/token", &body)
        .send()
        .await;
    let payload = answer.payload();
    let token = payload["token"].as_str().context("no token")?;
    Ok(User::with_token(uid, token))
}

// ---- in flight ----

async fn in_flight(readers: u64, each: u64, calm: Duration, sets: &[String]) -> Result<()> {
    const SIZE: usize = 256;
    let window = format!("device.deliver_window={each}");
    // The second copy leaves when all has been seen.
    let server = start(&[&window, "delivery.schedule_ms=[0, 600000]"], sets).await;
    let mut sender = Wire::open(server.public, &User::new(SENDER).token).await?;
    let came = Rc::new(Cell::new(0));
    println!("\n{readers} readers who acknowledge nothing, {each} messages of {SIZE} B for each");
    println!("\n| messages in flight | RSS MB | bytes for each more |");
    println!("|---|---|---|");
    let mut before = 0;
    for round in 0..3 {
        let first = 20_000 + round * readers;
        let users: Vec<_> = (first..first + readers).map(User::new).collect();
        for user in &users {
            let wire = Wire::open(server.public, &user.token).await?;
            tokio::task::spawn_local(count_messages(wire, Rc::clone(&came)));
        }
        for user in &users {
            send_many(&mut sender, &user.name, each, SIZE, AHEAD as u64).await?;
        }
        let sent = (round + 1) * readers * each;
        all(&came, sent, "come").await?;
        // Until what stood in the log is where it stays.
        sleep(calm).await;
        let now = resident(server.pid());
        let more = now.saturating_sub(before) / (readers * each);
        let more = if round == 0 {
            "–".into()
        } else {
            more.to_string()
        };
        println!("| {sent} | {} | {more} |", mb(now));
        before = now;
    }
    Ok(())
}

/// One reader, who acknowledges nothing.
async fn count_messages(mut wire: Wire, came: Rc<Cell<u64>>) -> Result<()> {
    loop {
        while let Some(frame) = wire.next()? {
            let is_message = text(frame, r#""type":""#)? == b"C2C";
            came.set(came.get() + u64::from(is_message));
        }
        wire.fill().await?;
    }
}

// ---- the jam ----

async fn jam(megabytes: usize, readers: u64, calm: Duration, sets: &[String]) -> Result<()> {
    // Well below the 64 KB that a payload may have: the client here writes no longer frames.
    const SIZE: usize = 60_000;
    let count = (megabytes << 20).div_ceil(SIZE) as u64;
    let server = start(&["device.write_deadline_ms=5000"], sets).await;
    let mut sender = Wire::open(server.public, &User::new(SENDER).token).await?;
    let steady = begin_steady(&server);
    sleep(calm).await;
    let before = steady.times();

    println!("\n{count} messages of {SIZE} B for each of {readers} readers who do not read");
    println!(
        "\n| reader | sent in s | RSS before / most / after MB | growth MB | steady pair p50 / p99 ms |"
    );
    println!("|---|---|---|---|---|");
    println!("| nobody yet | – | – | – | {} |", p50_p99(&before));
    let mut cut = Vec::new();
    let cases = [
        ("absent", false),
        ("absent, again", false),
        ("jammed", true),
        ("jammed, again", true),
    ];
    for ((what, is_there), begin) in cases.into_iter().zip((10_000..).step_by(1_000)) {
        let mut jammed = Vec::new();
        let users: Vec<_> = (begin..begin + readers).map(User::new).collect();
        for user in users.iter().filter(|_| is_there) {
            jammed.push(Deaf::login(server.public, user, "did").await);
        }
        let memory = Memory::of(&server);
        let began = Instant::now();
        let sending = async {
            for user in &users {
                send_many(&mut sender, &user.name, count, SIZE, 4).await?;
            }
            anyhow::Ok(())
        };
        let looking = async {
            loop {
                memory.look();
                sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::select! {
            sent = sending => sent?,
            () = looking => {}
        }
        println!(
            "| {what} | {:.1} | {memory} | {} |",
            began.elapsed().as_secs_f64(),
            p50_p99(&steady.times()),
        );
        if is_there {
            // The sender and the steady pair are left.
            while server.metric("yizhan_online_devices").await > 3.0 {
                ensure!(began.elapsed() < PATIENCE, "nobody was cut");
                sleep(Duration::from_millis(20)).await;
            }
            cut.push(format!("{:.1}", began.elapsed().as_secs_f64()));
        }
    }
    println!(
        "\nall cut, seconds after the first message: {}",
        cut.join(", ")
    );
    steady.end()
}

// ---- the figures ----

/// The server's memory from one moment on.
struct Memory {
    pid: u32,
    before: u64,
    most: RefCell<(u64, Instant)>,
}

impl Memory {
    fn of(server: &Server) -> Self {
        let before = resident(server.pid());
        Self {
            pid: server.pid(),
            before,
            most: RefCell::new((before, Instant::now())),
        }
    }

    /// Looks, unless it has just looked.
    fn look(&self) {
        let (most, at) = *self.most.borrow();
        if at.elapsed() > Duration::from_millis(5) {
            self.most
                .replace((most.max(resident(self.pid)), Instant::now()));
        }
    }
}

impl std::fmt::Display for Memory {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let after = resident(self.pid);
        let most = self.most.borrow().0.max(after);
        let (before, grown) = (mb(self.before), mb(most.saturating_sub(self.before)));
        write!(out, "{before} / {} / {} | {grown}", mb(most), mb(after))
    }
}

fn mb(bytes: u64) -> String {
    format!("{:.1}", bytes as f64 / (1 << 20) as f64)
}
