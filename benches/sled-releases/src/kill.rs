//! Acknowledged rows after SIGKILL: a child commits, dies at a random moment, and its database is opened again.
//!
//! The database lives on from round to round, so that every kill meets one that was already recovered, and some
//! kills strike while it is being opened.

use std::collections::HashSet;
use std::io::{self, BufRead, BufReader, BufWriter, Read, Write};
use std::iter;
use std::path::Path;
use std::process::Stdio;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use clap::Args;

use crate::committer::{Committer, Durability};
use crate::engine::{KeyOrder, Operation, Release, value_of};
use crate::{Scope, this_program};

/// The child is killed between these two moments after its start.
const LIFE_MS: std::ops::RangeInclusive<u64> = 50..=600;

/// Inserts the child keeps in flight, round by round: a few, so that little is left to answer when it dies, and so
/// many that one flush covers several batches.
const OUTSTANDING: [u64; 3] = [8, 64, 512];

/// The most acknowledged keys the child prints at once.
const PRINT_TOGETHER: usize = 32;

/// What the child does until it is killed.
#[derive(Args)]
pub(crate) struct Load {
    keys: KeyOrder,
    /// It goes on from the last acknowledged row of the round before.
    first_row: u64,
    outstanding: u64,
    durability: Durability,
}

/// What happened to one release over all its rounds.
#[derive(Default)]
struct Tally {
    rounds: u32,
    /// Rounds in which the child died before it acknowledged anything.
    silent: u32,
    /// Rounds in which the child ended before it was killed.
    ended_early: u32,
    acknowledged: usize,
    lost: usize,
    altered: usize,
    failed_opens: u32,
    open_times: Vec<Duration>,
}

/// What a check found in a database that opened.
struct Findings {
    open_time: Duration,
    /// Acknowledged keys with no row.
    lost: HashSet<u64>,
    /// Acknowledged keys whose row holds another value.
    altered: HashSet<u64>,
}

/// Runs the rounds of every release and of its control, and prints a table.
pub(crate) fn run(scope: &Scope, rounds: u32) -> Result<()> {
    println!(
        "| sled | keys | answered | rounds | of these silent | child ended early | rows acknowledged | lost | altered \
         | failed opens | open ms, median | slowest |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|---|---|");
    for (release, keys) in scope.cases() {
        for durability in [Durability::Flushed, Durability::Unflushed] {
            let mut tally = kill_rounds(scope, release, keys, durability, rounds)?;
            tally.open_times.sort_unstable();
            let milliseconds = |at: usize| {
                tally
                    .open_times
                    .get(at)
                    .map_or(f64::NAN, |t| t.as_secs_f64() * 1e3)
            };
            let count = tally.open_times.len();
            println!(
                "| {release} | {keys} | {} | {} | {} | {} | {} | {} | {} | {} | {:.0} | {:.0} |",
                match durability {
                    Durability::Flushed => "after the flush",
                    Durability::Unflushed => "without one: the control",
                },
                tally.rounds,
                tally.silent,
                tally.ended_early,
                tally.acknowledged,
                tally.lost,
                tally.altered,
                tally.failed_opens,
                milliseconds(count / 2),
                milliseconds(count.wrapping_sub(1)),
            );
        }
    }
    Ok(())
}

fn kill_rounds(
    scope: &Scope,
    release: Release,
    keys: KeyOrder,
    durability: Durability,
    rounds: u32,
) -> Result<Tally> {
    let folder = scope.temp_dir()?;
    let mut path = folder.path().join("database-0");
    let mut tally = Tally::default();
    let mut acknowledged: Vec<u64> = Vec::new();
    let mut next_row = 0;
    for (round, outstanding) in (1..=rounds).zip(OUTSTANDING.into_iter().cycle()) {
        let load = Load {
            keys,
            first_row: next_row,
            outstanding,
            durability,
        };
        let (answered, ended_early) = write_until_killed(release, &path, &load)?;
        tally.rounds += 1;
        tally.silent += u32::from(answered.is_empty());
        tally.ended_early += u32::from(ended_early);
        tally.acknowledged += answered.len();
        next_row += answered.len() as u64;
        acknowledged.extend(answered);

        match check_in_child(release, &path, &acknowledged) {
            Ok(findings) => {
                tally.open_times.push(findings.open_time);
                tally.lost += findings.lost.len();
                tally.altered += findings.altered.len();
                // A row counts once: what is gone need not be looked for again.
                acknowledged
                    .retain(|key| !findings.lost.contains(key) && !findings.altered.contains(key));
            }
            Err(error) => {
                eprintln!("{release}, round {round}: {error:#}");
                tally.failed_opens += 1;
                acknowledged.clear();
                path = folder.path().join(format!("database-{round}"));
            }
        }
    }
    Ok(tally)
}

/// Starts the writing child, kills it at a random moment, and returns what it acknowledged and whether it had
/// ended before that.
fn write_until_killed(release: Release, path: &Path, load: &Load) -> Result<(Vec<u64>, bool)> {
    let mut command = this_program("write", release, path)?;
    command
        .arg(load.keys.to_string())
        .arg(load.first_row.to_string())
        .arg(load.outstanding.to_string())
        .arg(load.durability.to_string());
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()?;
    let pipe = child.stdout.take().context("the child has no output")?;
    let reader = thread::spawn(move || complete_lines(pipe));
    thread::sleep(Duration::from_millis(fastrand::u64(LIFE_MS)));
    let ended_early = child.try_wait()?.is_some();
    child.kill()?;
    child.wait()?;
    let Ok(keys) = reader.join() else {
        bail!("the reader panicked")
    };
    Ok((keys?, ended_early))
}

/// The number on every line that was written to its end.
fn complete_lines(pipe: impl Read) -> Result<Vec<u64>> {
    let mut pipe = BufReader::new(pipe);
    let (mut keys, mut line) = (Vec::new(), String::new());
    while pipe.read_line(&mut line)? > 0 {
        if let Some(number) = line.strip_suffix('\n') {
            keys.push(number.parse()?);
        }
        line.clear();
    }
    Ok(keys)
}

/// Checks in a process of its own: a panic in an engine is then a failed open like any other.
fn check_in_child(release: Release, path: &Path, acknowledged: &[u64]) -> Result<Findings> {
    let mut command = this_program("check", release, path)?;
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    {
        let mut input = BufWriter::new(child.stdin.take().context("the child has no input")?);
        for key in acknowledged {
            writeln!(input, "{key}")?;
        }
        input.flush()?;
    }
    let output = child.wait_with_output()?;
    if !output.status.success() {
        bail!(
            "{}: {}",
            output.status,
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    let mut findings = Findings {
        open_time: Duration::ZERO,
        lost: HashSet::new(),
        altered: HashSet::new(),
    };
    for line in String::from_utf8(output.stdout)?.lines() {
        let (word, number) = line
            .split_once(' ')
            .with_context(|| format!("unexpected line {line:?}"))?;
        let number = number.parse()?;
        match word {
            "opened" => findings.open_time = Duration::from_micros(number),
            "lost" => _ = findings.lost.insert(number),
            "altered" => _ = findings.altered.insert(number),
            _ => bail!("unexpected line {line:?}"),
        }
    }
    Ok(findings)
}

/// Hidden task: inserts new rows until killed, and prints every key once it is answered.
pub(crate) fn write(release: Release, path: &Path, load: &Load) -> Result<()> {
    let committer = Committer::start(release.open(path)?, load.durability);
    let mut out = BufWriter::new(io::stdout().lock());
    let mut next_row = load.first_row + load.outstanding;
    for row in load.first_row..next_row {
        committer.submit(Operation::Insert(load.keys.key(row)))?;
    }
    while let Ok(first) = committer.answer() {
        // Small groups, so that an answer is on its way out before many more are given.
        let more = iter::from_fn(|| committer.answer_at_hand()).take(PRINT_TOGETHER - 1);
        let mut answered = 0;
        for operation in iter::once(first).chain(more) {
            if let Operation::Insert(key) = operation {
                writeln!(out, "{key}")?;
            }
            answered += 1;
        }
        out.flush()?;
        for row in next_row..next_row + answered {
            committer.submit(Operation::Insert(load.keys.key(row)))?;
        }
        next_row += answered;
    }
    committer.stop()
}

/// Hidden task: reads acknowledged keys, opens the database, and prints how long that took and which are not there.
pub(crate) fn check(release: Release, path: &Path) -> Result<()> {
    let keys = complete_lines(io::stdin().lock())?;
    let started = Instant::now();
    let engine = release.open(path)?;
    let mut out = BufWriter::new(io::stdout().lock());
    writeln!(out, "opened {}", started.elapsed().as_micros())?;
    for key in keys {
        match engine.get(key)? {
            None => writeln!(out, "lost {key}")?,
            Some(value) if value != value_of(key) => writeln!(out, "altered {key}")?,
            Some(_) => {}
        }
    }
    Ok(out.flush()?)
}
