//! A message to a large group of whom some are there: how fast it reaches them, what it costs the server, and what another
//! pair feels meanwhile; over the real binary on disk, with the engine in memory, and over `support/plain.rs`, which has the
//! same stack and frames, stores nothing, and knows only the members who are there.
//!
//! `cargo bench --bench group`, `… -- --members 10000 --online 1000 --messages 20`. It ends with an error if a member who is
//! there misses a message, or gets one twice. Without `--bench` (under `cargo test --all-targets`) it makes one short pass.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "support/plain.rs"]
mod plain;
#[path = "support/steady.rs"]
mod steady;
#[path = "../tests/support/lib.rs"]
mod support;
#[path = "support/wire.rs"]
mod wire;

use std::cell::{Cell, RefCell};
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use clap::Parser;
use serde_json::json;
use steady::{Steady, p50_p99};
use support::{Call, SEED, Server, User, resident};
use tokio::task::LocalSet;
use tokio::time::sleep;
use wire::{Wire, number, seq, text};

/// How long anything may take that is waited for.
const PATIENCE: Duration = Duration::from_secs(300);
/// Users that one order names.
const NAMED: u64 = 500;
/// The users of the steady pair, the owner, and the first member.
const STEADY: (u64, u64) = (3001, 3002);
const OWNER: u64 = 3003;
const FIRST: u64 = 1_000_000;
const TOKEN: &str = "bench";

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Measures a message to a large group.
#[derive(Clone, Parser)]
struct Options {
    /// Members, the owner among them
    #[arg(long, default_value_t = 10_000)]
    members: u64,
    /// How many of them are connected
    #[arg(long, default_value_t = 1_000)]
    online: u64,
    /// Messages one after the other, and as many in a burst
    #[arg(long, default_value_t = 20)]
    messages: u64,
    /// Bytes of each payload
    #[arg(long, default_value_t = 256)]
    size: usize,
    /// Serves without storage, and measures nothing
    #[arg(long, hide = true)]
    plain: bool,
    #[command(flatten)]
    settings: plain::Plain,
    /// Passed by cargo
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> Result<()> {
    let mut options = Options::parse();
    if options.plain {
        return plain::serve(&options.settings, None);
    }
    if !options.bench {
        (options.members, options.online, options.messages) = (200, 20, 3);
    }
    println!(
        "\n{} messages of {} B to a group of {}, {} of them connected, on {} cores with the clients",
        options.messages,
        options.size,
        options.members,
        options.online,
        std::thread::available_parallelism()?
    );
    println!(
        "\n| server | one after the other: send to last device, ms (median / worst) | burst: deliveries in a second | all rows written after s | RSS before / most / after MB | steady pair before p50 / p99 ms | during |"
    );
    println!("|---|---|---|---|---|---|---|");
    for kind in [Kind::Disk, Kind::Memory, Kind::Plain] {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        LocalSet::new().block_on(&runtime, measure(kind, &options))?;
    }
    Ok(())
}

/// What is measured.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Disk,
    Memory,
    Plain,
}

impl Kind {
    fn label(self) -> &'static str {
        match self {
            Kind::Disk => "yizhan, on disk",
            Kind::Memory => "yizhan, in memory",
            Kind::Plain => "without storage",
        }
    }
}

/// What serves.
enum Served {
    Product(Box<Server>),
    Plain { child: Child, public: SocketAddr },
}

impl Served {
    async fn start(kind: Kind, options: &Options) -> Result<Served> {
        let engine = match kind {
            Kind::Disk => "store.engine=sled",
            Kind::Memory => "store.engine=memory",
            Kind::Plain => return Served::plain(),
        };
        let token_is = format!("admin.token={TOKEN}");
        let members_are = format!("group.max_members={}", options.members.max(2));
        let mut sets = vec![engine, &token_is, &members_are];
        sets.extend(options.settings.sets.iter().map(String::as_str));
        let server = Server::start_with(&["--config", SEED, "--dev"], &sets).await;
        Ok(Served::Product(Box::new(server)))
    }

    fn plain() -> Result<Served> {
        let mut child = Command::new(std::env::current_exe()?)
            .args(["--plain", "--config", SEED])
            .args(["--set", "listen.public=127.0.0.1:0"])
            .stdout(Stdio::piped())
            .spawn()?;
        let mut ready = String::new();
        let said = child.stdout.take().context("no output")?;
        BufReader::new(said).read_line(&mut ready)?;
        let public = ready.trim().rsplit('=').next().unwrap_or_default();
        let public = public.parse().with_context(|| format!("it said {ready}"))?;
        Ok(Served::Plain { child, public })
    }

    fn public(&self) -> SocketAddr {
        match self {
            Served::Product(server) => server.public,
            Served::Plain { public, .. } => *public,
        }
    }

    fn pid(&self) -> u32 {
        match self {
            Served::Product(server) => server.pid(),
            Served::Plain { child, .. } => child.id(),
        }
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        if let Served::Plain { child, .. } = self {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// What the members who are there share.
struct Crowd {
    there: Cell<u64>,
    /// How often each message has come, and when it had come to everybody.
    came: RefCell<Vec<(u64, Option<Instant>)>>,
    online: u64,
}

async fn measure(kind: Kind, options: &Options) -> Result<()> {
    let server = Served::start(kind, options).await?;
    let owner = User::new(OWNER);
    let group = match &server {
        Served::Product(server) => found(server, &owner, options.members).await?,
        // It takes any name, and gives what is sent there to everybody.
        Served::Plain { .. } => owner.name.clone(),
    };
    let crowd = Rc::new(Crowd {
        there: Cell::new(0),
        came: RefCell::new(vec![(0, None); 2 * options.messages as usize]),
        online: options.online,
    });
    let spread = (options.members - 1) / options.online.max(1);
    let mut tasks = Vec::new();
    for n in 0..options.online {
        let member = User::new(FIRST + n * spread);
        let wire = Wire::open(server.public(), &member.token).await?;
        tasks.push(tokio::task::spawn_local(listen(wire, crowd.clone())));
    }
    let (sender, reader) = (User::new(STEADY.0), User::new(STEADY.1));
    let steady = Steady::start(server.public(), sender, reader);
    sleep(Duration::from_millis(if options.bench {
        3000
    } else {
        200
    }))
    .await;
    let before = steady.times();
    let rss = resident(server.pid());
    let mut most = rss;

    let mut wire = Wire::open(server.public(), &owner.token).await?;
    let payload = "x".repeat(options.size.saturating_sub(2));
    let send = |wire: &mut Wire, n: u64| {
        wire.write(format_args!(
            r#"{{"id":"m-{n}","type":"C2G","to":"{group}","payload":"{payload}"}}"#
        ));
    };
    let mut times = Vec::new();
    for n in 0..options.messages {
        let began = Instant::now();
        send(&mut wire, n);
        wire.flush().await?;
        let end = all_have(&crowd, n, &server, &mut most).await?;
        times.push(end.duration_since(began));
        drain(&mut wire).await?;
    }
    times.sort();
    let began = Instant::now();
    for n in options.messages..2 * options.messages {
        send(&mut wire, n);
    }
    wire.flush().await?;
    let mut last = began;
    for n in options.messages..2 * options.messages {
        last = last.max(all_have(&crowd, n, &server, &mut most).await?);
        drain(&mut wire).await?;
    }
    let burst = last.duration_since(began);
    let mut written = "–".to_string();
    if let Served::Product(server) = &server {
        let rows = 2 * options.messages * (options.members - 1 - options.online);
        rows_are(server, rows, &mut most).await?;
        written = format!("{:.1}", began.elapsed().as_secs_f64());
    }
    let during = steady.times();
    steady.end()?;
    for (n, (came, _)) in crowd.came.borrow().iter().enumerate() {
        ensure!(*came == options.online, "message {n} came {came} times");
    }
    let ms = |at: usize| times[at].as_secs_f64() * 1000.0;
    let delivered = (options.messages * options.online) as f64 / burst.as_secs_f64();
    println!(
        "| {} | {:.0} / {:.0} | {delivered:.0} | {written} | {} / {} / {} | {} | {} |",
        kind.label(),
        ms(times.len() / 2),
        ms(times.len() - 1),
        rss >> 20,
        most >> 20,
        resident(server.pid()) >> 20,
        p50_p99(&before),
        p50_p99(&during),
    );
    for task in tasks {
        task.abort();
    }
    Ok(())
}

/// Founds the group and invites its members; returns its name.
async fn found(server: &Server, owner: &User, members: u64) -> Result<String> {
    let path = |path: &str| format!("{path}?uid={}", owner.name);
    let body = json!({"id": "bench", "name": "bench"}).to_string();
    let made = Call::post(server.admin, &path("/v1/groups"), &body)
        .bearer(TOKEN)
        .send()
        .await;
    let gid = made.payload()["gid"]
        .as_str()
        .context("no group")?
        .to_string();
    let mut next = FIRST;
    while next < FIRST + members - 1 {
        let until = (next + NAMED).min(FIRST + members - 1);
        let uids: Vec<String> = (next..until).map(|uid| User::new(uid).name).collect();
        let body = json!({"uids": uids}).to_string();
        let invited = Call::post(
            server.admin,
            &path(&format!("/v1/groups/{gid}/members")),
            &body,
        )
        .bearer(TOKEN)
        .send()
        .await;
        ensure!(invited.status == 200, "an invitation: {}", invited.body);
        next = until;
    }
    Ok(gid)
}

/// A member who is there: acks whatever comes, and counts what was sent by the owner.
async fn listen(mut wire: Wire, crowd: Rc<Crowd>) -> Result<()> {
    crowd.there.set(crowd.there.get() + 1);
    let mut seen = 0;
    loop {
        let mut acks = Vec::new();
        while let Some(frame) = wire.next()? {
            let kind = text(frame, r#""type":""#)?;
            if !matches!(kind, b"C2G" | b"S2C") || !frame.windows(6).any(|w| w == b"\"seq\":") {
                continue;
            }
            let place = seq(frame)?;
            acks.push(place);
            if kind == b"C2G" && place > seen {
                seen = place;
                let mut came = crowd.came.borrow_mut();
                let (count, end) = &mut came[number(frame)?];
                *count += 1;
                if *count == crowd.online {
                    *end = Some(Instant::now());
                }
            }
        }
        for place in acks {
            wire.write(format_args!(r#"{{"type":"CLIENT_ACK","seqs":[{place}]}}"#));
        }
        wire.flush().await?;
        wire.fill().await?;
    }
}

/// Waits until everybody who is there has a message; returns when that was.
async fn all_have(crowd: &Crowd, n: u64, server: &Served, most: &mut u64) -> Result<Instant> {
    let began = Instant::now();
    loop {
        if let (_, Some(end)) = crowd.came.borrow()[n as usize] {
            return Ok(end);
        }
        ensure!(began.elapsed() < PATIENCE, "message {n} does not come");
        *most = (*most).max(resident(server.pid()));
        sleep(Duration::from_millis(1)).await;
    }
}

/// Waits until the members who are away have their rows.
async fn rows_are(server: &Server, rows: u64, most: &mut u64) -> Result<()> {
    let began = Instant::now();
    loop {
        let metrics = Call::get(server.admin, "/metrics")
            .bearer(TOKEN)
            .send()
            .await;
        let line = metrics.body.lines();
        let line = line
            .filter_map(|line| line.strip_prefix("yizhan_inbox_rows "))
            .next();
        let there: f64 = line.context("no gauge")?.parse()?;
        if there as u64 >= rows {
            return Ok(());
        }
        ensure!(began.elapsed() < PATIENCE, "{there} of {rows} rows");
        *most = (*most).max(resident(server.pid()));
        sleep(Duration::from_millis(20)).await;
    }
}

/// Takes what waits for the sender without looking at it.
async fn drain(wire: &mut Wire) -> Result<()> {
    while wire.next()?.is_some() {}
    let more = tokio::time::timeout(Duration::from_millis(1), wire.fill()).await;
    match more {
        Ok(done) => done,
        Err(_) => Ok(()),
    }
}
