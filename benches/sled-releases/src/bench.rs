//! Throughput, processor time, memory and disk. Every measurement has a process and a database of its own.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::committer::{Committer, Durability, GROUP_MAX};
use crate::engine::{KeyOrder, Operation, Release, VALUE_BYTES};
use crate::{Scope, this_program, usage};

/// How many messages wait for their answer at a time.
const OUTSTANDING: [usize; 3] = [1, 64, 1024];

/// Rows that stand in the database while pairs come and go.
const LIVE_ROWS: u64 = 100_000;

const WARM_UP: Duration = Duration::from_millis(500);

/// Measures the releases and prints a table for each kind of work.
pub(crate) fn run(scope: &Scope, seconds: u64) -> Result<()> {
    println!("Group commit, values of {VALUE_BYTES} bytes.\n");
    println!("| sled | keys | outstanding | durable messages/s | CPU µs per message |");
    println!("|---|---|---|---|---|");
    for (release, keys) in scope.cases() {
        for outstanding in OUTSTANDING {
            let folder = scope.temp_dir()?;
            let path = folder.path().join("database");
            let mut child = this_program("measure-commits", release, &path)?;
            child
                .arg(keys.to_string())
                .arg(outstanding.to_string())
                .arg(seconds.to_string());
            let [rate, cpu] = numbers_of(child)?;
            println!("| {release} | {keys} | {outstanding} | {rate:.0} | {cpu:.1} |");
        }
    }

    println!(
        "\nInsert, then delete once answered; {LIVE_ROWS} live rows, {GROUP_MAX} outstanding.\n"
    );
    println!("| sled | keys | pairs/s | CPU µs per pair | RSS MB | disk MB | disk ÷ live rows |");
    println!("|---|---|---|---|---|---|---|");
    for (release, keys) in scope.cases() {
        let folder = scope.temp_dir()?;
        let path = folder.path().join("database");
        let mut child = this_program("measure-pairs", release, &path)?;
        child.arg(keys.to_string()).arg(seconds.to_string());
        let [rate, cpu, resident, disk] = numbers_of(child)?;
        let live = LIVE_ROWS as f64 * (VALUE_BYTES + size_of::<u64>()) as f64;
        let (resident_mb, disk_mb) = (resident / 1e6, disk / 1e6);
        println!(
            "| {release} | {keys} | {rate:.0} | {cpu:.1} | {resident_mb:.0} | {disk_mb:.0} | {:.1} |",
            disk / live
        );
    }
    Ok(())
}

/// Hidden task: keeps some inserts outstanding, and prints the rate and the µs of processor time per message.
pub(crate) fn measure_commits(
    release: Release,
    path: &Path,
    keys: KeyOrder,
    outstanding: usize,
    seconds: u64,
) -> Result<()> {
    let mut load = Load::new(release, path, keys)?;
    load.insert_for(WARM_UP, outstanding)?;
    let cost = load.measure(|load| load.insert_for(Duration::from_secs(seconds), outstanding))?;
    println!("{} {}", cost.per_second, cost.cpu_micros);
    load.committer.stop()
}

/// Hidden task: lays down the live rows, runs pairs over them, and prints rate, µs of processor time per pair,
/// resident bytes and bytes on disk.
pub(crate) fn measure_pairs(
    release: Release,
    path: &Path,
    keys: KeyOrder,
    seconds: u64,
) -> Result<()> {
    let mut load = Load::new(release, path, keys)?;
    load.insert_rows(LIVE_ROWS, GROUP_MAX)?;
    load.pairs_for(WARM_UP, GROUP_MAX)?;
    let cost = load.measure(|load| load.pairs_for(Duration::from_secs(seconds), GROUP_MAX))?;
    println!(
        "{} {} {} {}",
        cost.per_second,
        cost.cpu_micros,
        usage::resident_bytes()?,
        usage::disk_bytes(path)?
    );
    load.committer.stop()
}

/// What one unit of work took.
struct Cost {
    per_second: f64,
    cpu_micros: f64,
}

/// One client of a committer; every row it inserts is a new one.
struct Load {
    committer: Committer,
    keys: KeyOrder,
    next_row: u64,
}

impl Load {
    fn new(release: Release, path: &Path, keys: KeyOrder) -> Result<Self> {
        Ok(Self {
            committer: Committer::start(release.open(path)?, Durability::Flushed),
            keys,
            next_row: 0,
        })
    }

    /// Runs work that returns how many units it did.
    fn measure(&mut self, work: impl FnOnce(&mut Self) -> Result<u64>) -> Result<Cost> {
        let (started, cpu_before) = (Instant::now(), usage::cpu_time()?);
        let units = work(self)? as f64;
        let cpu = usage::cpu_time()? - cpu_before;
        Ok(Cost {
            per_second: units / started.elapsed().as_secs_f64(),
            cpu_micros: cpu.as_secs_f64() * 1e6 / units,
        })
    }

    fn submit_insert(&mut self) -> Result<()> {
        self.committer
            .submit(Operation::Insert(self.keys.key(self.next_row)))?;
        self.next_row += 1;
        Ok(())
    }

    /// Keeps `outstanding` inserts in flight for as long as `more` says of the number answered; returns the number.
    fn insert_while(&mut self, outstanding: usize, more: impl Fn(u64) -> bool) -> Result<u64> {
        let (mut answered, mut in_flight) = (0, 0);
        loop {
            while in_flight < outstanding && more(answered + in_flight as u64) {
                self.submit_insert()?;
                in_flight += 1;
            }
            if in_flight == 0 {
                return Ok(answered);
            }
            self.committer.answer()?;
            in_flight -= 1;
            answered += 1;
        }
    }

    fn insert_for(&mut self, time: Duration, outstanding: usize) -> Result<u64> {
        let started = Instant::now();
        self.insert_while(outstanding, |_| started.elapsed() < time)
    }

    fn insert_rows(&mut self, rows: u64, outstanding: usize) -> Result<u64> {
        self.insert_while(outstanding, |begun| begun < rows)
    }

    /// Keeps `outstanding` pairs in flight: an answered insert is deleted, an answered delete is a pair done.
    fn pairs_for(&mut self, time: Duration, outstanding: usize) -> Result<u64> {
        let started = Instant::now();
        for _ in 0..outstanding {
            self.submit_insert()?;
        }
        let (mut pairs, mut in_flight) = (0, outstanding);
        while in_flight > 0 {
            match self.committer.answer()? {
                Operation::Insert(key) => self.committer.submit(Operation::Delete(key))?,
                Operation::Delete(_) => {
                    pairs += 1;
                    if started.elapsed() < time {
                        self.submit_insert()?;
                    } else {
                        in_flight -= 1;
                    }
                }
            }
        }
        Ok(pairs)
    }
}

/// Runs a hidden task and reads the numbers of its only line.
fn numbers_of<const N: usize>(mut child: Command) -> Result<[f64; N]> {
    let output = child.stderr(Stdio::inherit()).output()?;
    if !output.status.success() {
        bail!("a measurement failed: {}", output.status);
    }
    let line = String::from_utf8(output.stdout)?;
    let numbers = line
        .split_whitespace()
        .map(str::parse)
        .collect::<Result<Vec<f64>, _>>()?;
    numbers
        .try_into()
        .ok()
        .with_context(|| format!("{N} numbers expected, got {line:?}"))
}
