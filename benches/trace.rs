//! What the trace costs: a record for the thread that leaves it, everything together, the disk, and a look-up.
//!
//! `cargo bench --bench trace`, with `-- record`, `steady` or `find` for a part;
//! `YIZHAN_TRACE_MIB=1024` says how much the look-up searches, `YIZHAN_TRACE_DIR` where.

use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rustix::time::{ClockId, clock_gettime};
use xxhash_rust::xxh3::xxh3_64;
use yizhan::store::files::{DiskFolder, Folder};
use yizhan::store::trace::{Keep, Now, Tracer};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

type Failure = Box<dyn std::error::Error>;

fn main() -> Result<(), Failure> {
    let place: PathBuf =
        std::env::var_os("YIZHAN_TRACE_DIR").map_or(std::env::temp_dir(), PathBuf::from);
    let dir = tempfile::tempdir_in(place)?;
    let mib = std::env::var("YIZHAN_TRACE_MIB").map_or(Ok(1024), |mib| mib.parse())?;
    let asked: Vec<String> = std::env::args().skip(1).collect();
    let named = |name| asked.iter().any(|asked| asked == name);
    let is_asked_for = |name| named(name) || !["record", "steady", "find"].into_iter().any(named);
    for threads in [1, 2].into_iter().filter(|_| is_asked_for("record")) {
        record(threads)?;
    }
    for rate in [30_000, 300_000]
        .into_iter()
        .filter(|_| is_asked_for("steady"))
    {
        steady(&dir.path().join(format!("steady-{rate}")), rate)?;
    }
    match is_asked_for("find") {
        true => look_up(&dir.path().join("find"), mib << 20),
        false => Ok(()),
    }
}

fn keep() -> Keep {
    Keep {
        ms: 1 << 40,
        bytes: 1 << 40,
        free: 0,
    }
}

fn now() -> Now {
    Arc::new(|| {
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        since.map_or(0, |since| since.as_millis() as u64)
    })
}

/// The time this process has had on any processor.
fn cpu() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// How many messages are on their way at once.
const CROWD: usize = 4096;

/// What a server sees: many messages on their way, each with five records that come far from each other.
struct Traffic {
    rng: fastrand::Rng,
    lives: Vec<Life>,
    at: usize,
    ms: u64,
}

/// A message: an id, two users, a device.
#[derive(Clone, Copy)]
struct Life {
    id: [u8; 20],
    key: u64,
    users: [u32; 2],
    step: u8,
    ms: u64,
}

impl Traffic {
    fn new(seed: u64) -> Traffic {
        let mut rng = fastrand::Rng::with_seed(seed);
        let life = Life {
            id: *b"cdsgrbgppoodp0gvpb60",
            key: 0,
            users: [0; 2],
            step: 0,
            ms: 0,
        };
        let mut lives = vec![life; CROWD];
        for life in &mut lives {
            life.step = rng.u8(..5);
        }
        Traffic {
            rng,
            lives,
            at: 0,
            ms: 1_668_877_742_828,
        }
    }

    fn next(&mut self) -> Life {
        self.at = (self.at + 1) % CROWD;
        // About what 300,000 records a second are.
        self.ms += u64::from(self.at.is_multiple_of(300));
        let life = &mut self.lives[self.at];
        life.step = (life.step + 1) % 5;
        life.ms = self.ms;
        if life.step == 0 {
            // An id begins with the time and the process, and ends in a counter.
            for place in [4, 5, 6, 15, 16, 17, 18, 19] {
                life.id[place] = b"0123456789abcdefghijklmnopqrstuv"[self.rng.usize(..32)];
            }
            life.key = xxh3_64(&life.id);
            life.users = [self.rng.u32(..1 << 20), self.rng.u32(..1 << 20)];
        }
        *life
    }
}

impl Life {
    /// 60 bytes.
    fn write(&self, bytes: &mut Vec<u8>) {
        bytes.push(self.step);
        bytes.extend_from_slice(&self.ms.to_le_bytes());
        bytes.extend_from_slice(&self.id);
        bytes.extend_from_slice(&u64::from(self.users[0]).to_le_bytes());
        bytes.extend_from_slice(&u64::from(self.users[1]).to_le_bytes());
        bytes.extend_from_slice(b"ios/phone-");
        bytes.extend_from_slice(&self.users[1].to_le_bytes());
        bytes.push(self.step);
    }
}

/// Bursts, with pauses in which the tracer catches up; only the bursts are counted.
fn record(threads: u64) -> Result<(), Failure> {
    const BURST: u32 = 500;
    const BURSTS: u32 = 4000;
    let dir = tempfile::tempdir()?;
    let tracer = Tracer::start(Some(dir.path()), keep(), now())?;
    let mut spent: Vec<Duration> = std::thread::scope(|scope| {
        let working: Vec<_> = (0..threads)
            .map(|seed| {
                let tracer = tracer.clone();
                scope.spawn(move || {
                    let mut traffic = Traffic::new(seed);
                    let mut spent = Vec::new();
                    for _ in 0..BURSTS {
                        let begun = Instant::now();
                        for _ in 0..BURST {
                            let life = traffic.next();
                            tracer.record(life.key, |bytes| life.write(bytes));
                        }
                        let with = begun.elapsed();
                        let begun = Instant::now();
                        for _ in 0..BURST {
                            black_box(traffic.next());
                        }
                        spent.push(with.saturating_sub(begun.elapsed()));
                        std::thread::sleep(Duration::from_micros(500));
                    }
                    spent
                })
            })
            .collect();
        let joined = working.into_iter().filter_map(|thread| thread.join().ok());
        joined.flatten().collect()
    });
    tracer.end();
    spent.sort_unstable();
    let each = |time: Duration| time.as_nanos() as f64 / f64::from(BURST);
    let mean = spent.iter().sum::<Duration>() / spent.len() as u32;
    println!(
        "record, {threads} threads: {:.1} ns in the median burst, {:.1} mean, {:.1} in the 99th percentile; {} lost",
        each(spent[spent.len() / 2]),
        each(mean),
        each(spent[spent.len() * 99 / 100]),
        tracer.counts().lost,
    );
    Ok(())
}

/// A steady load from two threads for some seconds, less what the same load takes without a trace.
fn steady(dir: &Path, rate: u64) -> Result<(), Failure> {
    let run = |tracer: &Tracer| {
        let begun = (cpu(), Instant::now());
        std::thread::scope(|scope| {
            for seed in 0..2 {
                scope.spawn(move || {
                    let mut traffic = Traffic::new(seed);
                    for tick in 1..=5000 {
                        for _ in 0..rate / 2000 {
                            let life = traffic.next();
                            tracer.record(life.key, |bytes| life.write(bytes));
                        }
                        let until = begun.1 + Duration::from_millis(tick);
                        std::thread::sleep(until.saturating_duration_since(Instant::now()));
                    }
                });
            }
        });
        let _ = tracer.flush();
        cpu() - begun.0
    };
    let without = run(&Tracer::off());
    let tracer = Tracer::start(Some(dir), keep(), now())?;
    let with = run(&tracer);
    tracer.end();
    let counts = tracer.counts();
    let records = (counts.records + counts.lost) as f64;
    println!(
        "{rate} records a second: {:.3} us of processor for each, {:.1} bytes on disk for each; {} lost of {}",
        with.saturating_sub(without).as_secs_f64() * 1e6 / records,
        counts.on_disk as f64 / records,
        counts.lost,
        counts.records + counts.lost,
    );
    Ok(())
}

/// Look-ups in a trace of so many bytes.
fn look_up(dir: &Path, bytes: u64) -> Result<(), Failure> {
    let tracer = Tracer::start(Some(dir), keep(), now())?;
    let mut traffic = Traffic::new(1);
    let mut asked = Vec::new();
    let begun = Instant::now();
    while tracer.counts().on_disk < bytes {
        for _ in 0..10_000 {
            let life = traffic.next();
            tracer.record(life.key, |bytes| life.write(bytes));
        }
        asked.push(traffic.lives[traffic.at].key);
        tracer.flush()?;
    }
    let counts = tracer.counts();
    println!(
        "{} records in {} MiB and {} files, written in {:.1} s",
        counts.records,
        counts.on_disk >> 20,
        counts.files,
        begun.elapsed().as_secs_f64()
    );
    let middle = vec![asked[asked.len() / 2]];
    let five = asked.iter().rev().step_by(7).take(5).copied().collect();
    let folder = DiskFolder::open(dir)?;
    for (what, keys, cold) in [
        ("a key that is there", middle.clone(), false),
        ("one that is not", vec![xxh3_64(b"nobody")], false),
        ("five keys", five, false),
        ("a key that is there, nothing cached", middle, true),
    ] {
        for name in folder.names()?.iter().filter(|_| cold) {
            folder.open(name)?.go_by_the_disk()?;
        }
        let mut shown = 0;
        let begun = (cpu(), Instant::now());
        let found = tracer.find(&keys, &mut |_, _| shown += 1)?;
        println!(
            "find, {what}: {:.1} ms, {:.1} ms of processor; {shown} records, {} damaged",
            begun.1.elapsed().as_secs_f64() * 1e3,
            (cpu() - begun.0).as_secs_f64() * 1e3,
            found.damaged,
        );
    }
    tracer.end();
    let begun = Instant::now();
    let tracer = Tracer::start(Some(dir), keep(), now())?;
    println!("start: {:.1} ms", begun.elapsed().as_secs_f64() * 1e3);
    tracer.end();
    Ok(())
}
