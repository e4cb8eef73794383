//! How long a start takes over a store with so many rows, and what memory it takes: with everything settled, and with what
//! a kill leaves in the log.
//!
//! `cargo bench --bench start -- 1000000`
#![allow(missing_docs)]

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use yizhan::id::{MsgId, Uid};
use yizhan::machine::inbox::Bounds;
use yizhan::message::chat::Chat;
use yizhan::message::{Draft, Op};
use yizhan::metrics::Metrics;
use yizhan::store::Engine;
use yizhan::store::journal::Journal;
use yizhan::store::ledger::{self, Ledger, People, Policy};

/// Messages that wait for each reader.
const EACH: u64 = 100;
const PAYLOAD: usize = 256;

fn main() -> Result<()> {
    let rows = std::env::args().find_map(|argument| argument.parse().ok());
    let rows: u64 = rows.unwrap_or(1_000_000);
    let dir = tempfile::tempdir()?;
    let begun = Instant::now();
    fill(dir.path(), rows)?;
    println!(
        "{rows} rows written in {:.1} s",
        begun.elapsed().as_secs_f64()
    );
    for part in ["sled", "index", "log"] {
        println!("{part}: {} MB", size(&dir.path().join(part))? >> 20);
    }
    for round in 1..=3 {
        let (took, rss) = start(dir.path())?;
        println!(
            "start {round}: ready after {:.2} s, {rss} MB RSS",
            took.as_secs_f64()
        );
    }
    Ok(())
}

fn fill(path: &Path, rows: u64) -> Result<()> {
    let engine = Arc::new(Journal::at(path, Metrics::new()?)?);
    ledger::prepare(&*engine)?;
    let policy = Policy {
        bounds: Bounds {
            max_messages: 10_000_000,
            max_devices: 10,
            forget_ms: 1 << 40,
        },
        ttl_ms: 1 << 40,
        people: People::DEFAULT,
    };
    let mut ledger = Ledger::new(engine.clone(), policy);
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?;
    let payload = format!("\"{}\"", "x".repeat(PAYLOAD));
    for first in (0..rows).step_by(1024) {
        let messages = (first..rows.min(first + 1024)).map(|n| {
            let id = MsgId::parse(&format!("m{n:019}")).map_err(|e| anyhow::anyhow!("{e:?}"))?;
            let draft = Draft {
                id,
                to: Chat::User(Uid(1 + n / EACH)),
                payload: payload.clone().into(),
                created_at: None,
                expires_at: None,
            };
            Ok(Op::Append(draft.signed_by(Uid(1), None)))
        });
        let messages = messages.collect::<Result<Vec<Op>>>()?;
        ledger.commit(now.as_millis() as u64, &messages)?;
        engine.flush()?;
    }
    engine.settle()?;
    Ok(engine.close()?)
}

/// Starts a server and kills it when it is ready.
fn start(path: &Path) -> Result<(Duration, u64)> {
    let begun = Instant::now();
    let mut server = Command::new(env!("CARGO_BIN_EXE_yizhan"))
        .args(["serve", "--set", "listen.public=127.0.0.1:0"])
        .args(["--set", "listen.admin=127.0.0.1:0"])
        .args(["--set", &format!("store.path={}", path.display())])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()?;
    let output = server.stdout.take().context("no output")?;
    let mut line = String::new();
    BufReader::new(output).read_line(&mut line)?;
    let took = begun.elapsed();
    let status = fs::read_to_string(format!("/proc/{}/status", server.id()))?;
    server.kill()?;
    server.wait()?;
    anyhow::ensure!(line.starts_with("yizhan ready"), "it did not start: {line}");
    let rss = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let rss = rss
        .and_then(|rss| rss.trim().split(' ').next())
        .context("no memory")?;
    Ok((took, rss.parse::<u64>()? >> 10))
}

fn size(dir: &Path) -> Result<u64> {
    let mut bytes = 0;
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        bytes += match entry.file_type()?.is_dir() {
            true => size(&entry.path())?,
            false => entry.metadata()?.len(),
        };
    }
    Ok(bytes)
}
