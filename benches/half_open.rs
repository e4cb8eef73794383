//! What thousands of connections that never finish their request cost the server, and those who use it meanwhile.
//!
//! A crowd on other loopback addresses holds its connections half open, and opens each again when the server cuts it. In
//! the meantime one pair exchanges messages, one at a time, and one device logs in again and again. The crowd is a thread
//! of its own, and shares the machine with the server.
//!
//! `cargo bench --bench half_open -- --help` lists the options. Without `--bench` (under `cargo test --all-targets`) it makes
//! one short pass with a small crowd, to hold that it works. It ends with an error if a message or a login fails.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "../tests/support/lib.rs"]
mod support;

use std::{
    io::Write,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use clap::Parser;
use hdrhistogram::Histogram;
use support::{ALICE, BOB, CAROL, Client, SEED, Server, User};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
    task::LocalSet,
    time::{sleep, timeout},
};

/// Loopback addresses that the crowd comes from, beginning with 127.0.0.2.
const ADDRESSES: u64 = 10;
/// How long it may take until the crowd is there, and until it has gone.
const PATIENCE: Duration = Duration::from_secs(60);
/// How often a device logs in, and the memory is looked at.
const PACE: Duration = Duration::from_millis(100);

/// Measures the cost of half-open connections.
#[derive(Parser)]
struct Options {
    /// Connections of the crowd
    #[arg(long)]
    crowd: Option<u64>,
    /// Seconds of measurement in each row
    #[arg(long)]
    seconds: Option<f64>,
    /// Settings for the server, as `serve --set` takes them
    #[arg(long = "set")]
    sets: Vec<String>,
    /// Passed by cargo
    #[arg(long, hide = true)]
    bench: bool,
}

/// What a member of the crowd sends.
#[derive(Clone, Copy)]
enum Habit {
    /// Nothing.
    Silent,
    /// The beginning of a request, and then a byte each second.
    Trickle,
    /// A request of one header that goes on for 100 KB and does not end.
    Fat,
}

/// What the crowd's thread and the measurement share.
#[derive(Default)]
struct Crowd {
    open: AtomicU64,
    cut: AtomicU64,
    over: AtomicBool,
}

struct Measured {
    open: u64,
    cuts: f64,
    rss_mb: f64,
    loops: Histogram<u64>,
    logins: Histogram<u64>,
}

fn main() -> Result<()> {
    let options = Options::parse();
    let full = options.bench;
    let crowd = options.crowd.unwrap_or(if full { 10_000 } else { 100 });
    let seconds = options.seconds.unwrap_or(if full { 15.0 } else { 0.5 });
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()?;
    println!("{crowd} half-open connections, {seconds} s each\n");
    println!(
        "| the crowd | open | cut / s | server RSS MB | KB each | loop p50 / p99 / max ms | login p50 / p99 / max ms |"
    );
    println!("|---|---|---|---|---|---|---|");
    runtime.block_on(LocalSet::new().run_until(rows(crowd, seconds, &options.sets)))
}

async fn rows(crowd: u64, seconds: f64, sets: &[String]) -> Result<()> {
    let habits = [
        ("is not there", None),
        ("says nothing", Some(Habit::Silent)),
        ("sends a byte a second", Some(Habit::Trickle)),
        ("sends 100 KB of a head", Some(Habit::Fat)),
    ];
    let mut base = 0.0;
    for (name, habit) in habits {
        let sets: Vec<_> = sets.iter().map(String::as_str).collect();
        let server = Server::start_with(&["--config", SEED], &sets).await;
        let shared = Arc::new(Crowd::default());
        let gathered = habit.map(|habit| {
            let (shared, listener) = (Arc::clone(&shared), server.public);
            std::thread::spawn(move || gather(listener, crowd, habit, &shared))
        });
        if gathered.is_some() {
            // With limits on, not all of them are let in; then it begins when as many have tried.
            let there = async {
                while shared.open.load(Ordering::Relaxed) + shared.cut.load(Ordering::Relaxed)
                    < crowd
                {
                    sleep(PACE).await;
                }
            };
            timeout(PATIENCE, there)
                .await
                .context("the crowd does not come")?;
        }
        let measured = measure(&server, &shared, seconds).await?;
        if habit.is_none() {
            base = measured.rss_mb;
        }
        println!("| {name} | {} |", measured.row(base));
        std::io::stdout().flush()?;
        shared.over.store(true, Ordering::Relaxed);
        if let Some(thread) = gathered {
            thread.join().expect("the crowd's thread ends");
        }
    }
    Ok(())
}

async fn measure(server: &Server, shared: &Crowd, seconds: f64) -> Result<Measured> {
    let histogram = || Histogram::<u64>::new_with_bounds(1_000, 60_000_000_000, 3).unwrap();
    let until = Instant::now() + Duration::from_secs_f64(seconds);
    let cut_before = shared.cut.load(Ordering::Relaxed);

    let listener = server.public;
    let pair = async move {
        let mut loops = histogram();
        let mut alice = Client::login(listener, &User::new(ALICE), "a-phone").await;
        let mut bob = Client::login(listener, &User::new(BOB), "b-phone").await;
        for n in 0.. {
            if Instant::now() >= until {
                break;
            }
            let id = format!("m{n}");
            let sent = Instant::now();
            alice.send_c2c(&id, BOB, "hello").await;
            bob.takes(&id).await;
            alice.delivered(&id).await;
            loops.record(sent.elapsed().as_nanos() as u64)?;
        }
        Ok::<_, anyhow::Error>(loops)
    };
    let comer = async move {
        let mut logins = histogram();
        let carol = User::new(CAROL);
        while Instant::now() < until {
            let began = Instant::now();
            let client = Client::login(listener, &carol, "c-phone").await;
            logins.record(began.elapsed().as_nanos() as u64)?;
            client.leave().await;
            sleep(PACE).await;
        }
        Ok::<_, anyhow::Error>(logins)
    };
    let pid = server.pid();
    let watch = async move {
        let (mut rss_mb, mut open) = (0.0, 0);
        while Instant::now() < until {
            rss_mb = f64::max(rss_mb, rss(pid).context("no figure of the memory")?);
            open = open.max(shared.open.load(Ordering::Relaxed));
            sleep(PACE).await;
        }
        Ok::<_, anyhow::Error>((rss_mb, open))
    };
    let (loops, logins, (rss_mb, open)) = tokio::try_join!(pair, comer, watch)?;
    ensure!(!loops.is_empty() && !logins.is_empty(), "nothing was done");
    let cut = shared.cut.load(Ordering::Relaxed) - cut_before;
    Ok(Measured {
        open,
        cuts: cut as f64 / seconds,
        rss_mb,
        loops,
        logins,
    })
}

/// Holds so many connections half open until it is over.
fn gather(listener: SocketAddr, crowd: u64, habit: Habit, shared: &Arc<Crowd>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let all = async {
        let members: Vec<_> = (0..crowd)
            .map(|n| tokio::task::spawn_local(member(listener, n, habit, Arc::clone(shared))))
            .collect();
        while !shared.over.load(Ordering::Relaxed) {
            sleep(PACE).await;
        }
        for member in members {
            member.abort();
        }
    };
    runtime.block_on(LocalSet::new().run_until(all));
}

async fn member(listener: SocketAddr, number: u64, habit: Habit, shared: Arc<Crowd>) {
    let address = [127, 0, 0, 2 + (number % ADDRESSES) as u8];
    loop {
        let socket = TcpSocket::new_v4().unwrap();
        let bound = socket.bind((address, 0).into());
        if bound.is_err() {
            sleep(PACE).await;
            continue;
        }
        match socket.connect(listener).await {
            Ok(stream) => {
                shared.open.fetch_add(1, Ordering::Relaxed);
                hold(stream, habit).await;
                shared.open.fetch_sub(1, Ordering::Relaxed);
                shared.cut.fetch_add(1, Ordering::Relaxed);
            }
            Err(_) => sleep(PACE).await,
        }
    }
}

/// Sends by habit until the server has cut the connection.
async fn hold(mut stream: TcpStream, habit: Habit) {
    let fat;
    let beginning = match habit {
        Habit::Silent => "",
        Habit::Trickle => "GET /ws HTTP/1.1\r\nhost: x\r\nx: ",
        Habit::Fat => {
            fat = format!("GET /ws HTTP/1.1\r\nx: {}", "y".repeat(100 * 1024));
            &fat
        }
    };
    let (mut reading, mut writing) = stream.split();
    let write = async {
        if writing.write_all(beginning.as_bytes()).await.is_err() {
            return;
        }
        loop {
            sleep(Duration::from_secs(1)).await;
            if !matches!(habit, Habit::Silent) && writing.write_all(b"y").await.is_err() {
                return;
            }
        }
    };
    let read = async {
        let mut bytes = [0; 1024];
        while matches!(reading.read(&mut bytes).await, Ok(1..)) {}
    };
    tokio::select! {
        () = write => {}
        () = read => {}
    }
}

impl Measured {
    fn row(&self, base: f64) -> String {
        let ms = |histogram: &Histogram<u64>| {
            let at = |quantile| histogram.value_at_quantile(quantile) as f64 / 1e6;
            let max = histogram.max() as f64 / 1e6;
            format!("{:.2} / {:.2} / {max:.1}", at(0.5), at(0.99))
        };
        let each = match self.open {
            0 => "–".to_owned(),
            open => format!("{:.1}", (self.rss_mb - base) * 1024.0 / open as f64),
        };
        format!(
            "{} | {:.0} | {:.0} | {each} | {} | {}",
            self.open,
            self.cuts,
            self.rss_mb,
            ms(&self.loops),
            ms(&self.logins)
        )
    }
}

/// The memory that a process has now, in megabytes.
fn rss(pid: u32) -> Option<f64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kb: f64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kb / 1024.0)
}
