//! What a run found out, for people and for machines.

use std::collections::BTreeMap;
use std::time::Duration;

use hdrhistogram::Histogram;
use serde::Serialize;
use serde_json::Value;

use super::proof::Proof;
use super::tally::{Counts, Sight, Times};
use super::watch::{Mark, Usage};

/// Points of a series that are kept; when there are more, each two become one.
const POINTS_MAX: usize = 2_000;
const INTERVAL_MIN_S: f64 = 0.2;
const MB: f64 = 1024.0 * 1024.0;

/// The outcome of a run. Units are in the names of the members.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Which mode it was.
    pub mode: &'static str,
    /// The version of this client.
    pub version: &'static str,
    /// The server's URL.
    pub server: String,
    /// What every message id of the run begins with.
    pub run: String,
    /// When it began, Unix milliseconds.
    pub began_ms: u64,
    /// Where it ran.
    pub machine: Machine,
    /// What it was told.
    pub options: Value,
    /// How it ended, in one line.
    pub verdict: String,
    /// Whether the server kept its promise.
    pub kept: bool,
    /// Everything that the server is guilty of.
    pub proof: Proof,
    /// How long was measured.
    pub measured_s: f64,
    /// What happened in the time that was measured.
    pub measured: Counts,
    /// The same, in a second.
    pub rates: Rates,
    /// What happened in all.
    pub counts: Counts,
    /// ERROR frames by code, and refused logins by their HTTP status.
    pub errors: BTreeMap<u16, u64>,
    /// Percentiles.
    pub latency: Latency,
    /// What the server used.
    pub server_usage: ServerUsage,
    /// Processor time of this client for each full loop, or for each accepted message where no loops close.
    pub client_cpu_us_per_message: Option<f64>,
    /// What only this mode finds out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<Value>,
    /// What was seen in the course of the run.
    pub series: Vec<Point>,
}

/// A machine.
#[derive(Clone, Debug, Serialize)]
pub struct Machine {
    /// Its processor.
    pub cpu: String,
    /// How many of them this process may use.
    pub cores: usize,
    /// Its memory.
    pub memory_mb: u64,
    /// Its kernel.
    pub kernel: String,
}

/// Events in a second of the time that was measured.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Rates {
    /// Messages accepted.
    pub accepted_per_s: f64,
    /// First copies, at each device.
    pub delivered_per_s: f64,
    /// Loops closed.
    pub loops_per_s: f64,
}

/// The times of what was measured.
#[derive(Clone, Debug, Serialize)]
pub struct Latency {
    /// From sending to frame 2.
    pub accept: Spread,
    /// From sending to the first copy, at each device.
    pub delivery: Spread,
    /// From sending to the receipt of the last device.
    pub full_loop: Spread,
}

/// A distribution.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Spread {
    /// How many were timed.
    pub count: u64,
    /// Half of them took at most this.
    pub p50_us: f64,
    /// 90 of 100.
    pub p90_us: f64,
    /// 99 of 100.
    pub p99_us: f64,
    /// 999 of 1,000.
    pub p99_9_us: f64,
    /// All.
    pub max_us: f64,
    /// The curve of a plot: percentile, and microseconds.
    pub curve: Vec<(f64, f64)>,
}

/// What the server used, as far as its process could be watched.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct ServerUsage {
    /// Processor time for 1,000 accepted messages, with all that they cause.
    pub cpu_ms_per_1000_messages: Option<f64>,
    /// The most memory that it ever had.
    pub rss_peak_mb: Option<f64>,
    /// Memory when the measurement began.
    pub rss_begin_mb: Option<f64>,
    /// Memory when it ended.
    pub rss_end_mb: Option<f64>,
    /// Disk space when it began.
    pub disk_begin_mb: Option<f64>,
    /// Disk space when it ended.
    pub disk_end_mb: Option<f64>,
}

/// One look at a run.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Point {
    /// Since the run began.
    pub at_s: f64,
    /// Since the point before.
    pub accepted_per_s: f64,
    /// Since the point before.
    pub delivered_per_s: f64,
    /// Since the point before.
    pub loops_per_s: f64,
    /// Of the loops since the point before; 0 if there were none.
    pub loop_p99_us: f64,
    /// Clients that are connected.
    pub connected: usize,
    /// The server's memory.
    pub server_rss_mb: Option<f64>,
    /// The server's disk space.
    pub server_disk_mb: Option<f64>,
}

impl Spread {
    pub(super) fn of(times: &Histogram<u64>) -> Spread {
        if times.is_empty() {
            return Spread::default();
        }
        let us = |ns: u64| ns as f64 / 1e3;
        let at = |quantile| us(times.value_at_quantile(quantile));
        let curve = times.iter_quantiles(5);
        let curve = curve.map(|it| {
            (
                it.quantile_iterated_to() * 100.0,
                us(it.value_iterated_to()),
            )
        });
        Spread {
            count: times.len(),
            p50_us: at(0.5),
            p90_us: at(0.9),
            p99_us: at(0.99),
            p99_9_us: at(0.999),
            max_us: us(times.max()),
            curve: curve.collect(),
        }
    }
}

impl Latency {
    pub(super) fn of(times: &Times) -> Latency {
        Latency {
            accept: Spread::of(&times.accept),
            delivery: Spread::of(&times.delivery),
            full_loop: Spread::of(&times.full_loop),
        }
    }
}

impl Rates {
    pub(super) fn of(counts: &Counts, seconds: f64) -> Rates {
        let each = |count: u64| match seconds > 0.0 {
            true => count as f64 / seconds,
            false => 0.0,
        };
        Rates {
            accepted_per_s: each(counts.accepted),
            delivered_per_s: each(counts.delivered),
            loops_per_s: each(counts.loops),
        }
    }
}

impl ServerUsage {
    pub(super) fn between(
        first: Option<&Mark>,
        last: Option<&Mark>,
        accepted: u64,
        peak: Option<u64>,
    ) -> ServerUsage {
        let usage = |mark: Option<&Mark>| mark.map_or(Usage::default(), |mark| mark.server);
        let (begin, end) = (usage(first), usage(last));
        let mb = |bytes: Option<u64>| bytes.map(|bytes| bytes as f64 / MB);
        ServerUsage {
            cpu_ms_per_1000_messages: per_message_us(begin.cpu, end.cpu, accepted),
            rss_peak_mb: mb(peak),
            rss_begin_mb: mb(begin.rss),
            rss_end_mb: mb(end.rss),
            disk_begin_mb: mb(begin.disk),
            disk_end_mb: mb(end.disk),
        }
    }
}

/// Microseconds of each message, which are as many milliseconds of a thousand.
pub(super) fn per_message_us(
    begin: Option<Duration>,
    end: Option<Duration>,
    messages: u64,
) -> Option<f64> {
    let used = end?.checked_sub(begin?)?;
    (messages > 0).then(|| used.as_secs_f64() * 1e6 / messages as f64)
}

/// The points of a run as it goes on.
#[derive(Debug, Default)]
pub(super) struct Series {
    points: Vec<Point>,
    /// Looks that are gathered into one point; doubles when there are too many points.
    stride: usize,
    looks: usize,
    last: Counts,
    last_s: f64,
    p99_ns: u64,
}

impl Series {
    /// Adds what is seen now, and returns it as a point of its own.
    pub(super) fn look(&mut self, at: Duration, sight: &Sight, usage: &Usage) -> Point {
        let recent = sight.recent.value_at_quantile(0.99);
        self.p99_ns = self
            .p99_ns
            .max(if sight.recent.is_empty() { 0 } else { recent });
        let at_s = at.as_secs_f64();
        let since = sight.counts.since(&self.last);
        let rates = Rates::of(&since, at_s - self.last_s);
        let mb = |bytes: Option<u64>| bytes.map(|bytes| bytes as f64 / MB);
        let point = Point {
            at_s,
            accepted_per_s: rates.accepted_per_s,
            delivered_per_s: rates.delivered_per_s,
            loops_per_s: rates.loops_per_s,
            loop_p99_us: self.p99_ns as f64 / 1e3,
            connected: sight.on,
            server_rss_mb: mb(usage.rss),
            server_disk_mb: mb(usage.disk),
        };
        self.looks += 1;
        // The last look comes whenever the run ends, and a rate of a moment is noise.
        if at_s - self.last_s >= INTERVAL_MIN_S && self.looks >= self.stride.max(1) {
            self.keep(point);
            (self.looks, self.last, self.last_s, self.p99_ns) = (0, sight.counts, at_s, 0);
        }
        point
    }

    pub(super) fn points(self) -> Vec<Point> {
        self.points
    }

    fn keep(&mut self, point: Point) {
        self.points.push(point);
        if self.points.len() < POINTS_MAX {
            return;
        }
        self.stride = self.stride.max(1) * 2;
        let pairs = self.points.chunks(2);
        self.points = pairs
            .map(|pair| mean(pair[0], pair[pair.len() - 1]))
            .collect();
    }
}

/// Two points of the same length as one.
fn mean(a: Point, b: Point) -> Point {
    Point {
        at_s: b.at_s,
        accepted_per_s: (a.accepted_per_s + b.accepted_per_s) / 2.0,
        delivered_per_s: (a.delivered_per_s + b.delivered_per_s) / 2.0,
        loops_per_s: (a.loops_per_s + b.loops_per_s) / 2.0,
        loop_p99_us: a.loop_p99_us.max(b.loop_p99_us),
        connected: b.connected,
        server_rss_mb: b.server_rss_mb.or(a.server_rss_mb),
        server_disk_mb: b.server_disk_mb.or(a.server_disk_mb),
    }
}

impl Machine {
    pub(super) fn this() -> Machine {
        let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
        let field = |text: &str, name: &str| {
            let line = text.lines().find(|line| line.starts_with(name))?;
            Some(line.split_once(':')?.1.trim().to_string())
        };
        let memory = field(&read("/proc/meminfo"), "MemTotal");
        let memory = memory.and_then(|m| m.trim_end_matches(" kB").parse::<u64>().ok());
        Machine {
            cpu: field(&read("/proc/cpuinfo"), "model name").unwrap_or_default(),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            memory_mb: memory.unwrap_or(0) / 1024,
            kernel: read("/proc/sys/kernel/osrelease").trim().to_string(),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;
    use crate::load::tally::histogram;

    #[test]
    fn a_spread_has_the_percentiles_of_what_was_timed() {
        let mut times = histogram(3).unwrap();
        for us in 1..=1_000 {
            times.record(us * 1_000).unwrap();
        }
        let spread = Spread::of(&times);
        assert_eq!(spread.count, 1_000);
        let near = |is: f64, should: f64| (is - should).abs() / should < 0.01;
        assert!(near(spread.p50_us, 500.0) && near(spread.p99_us, 990.0));
        assert!(near(spread.max_us, 1_000.0));
        assert!(spread.curve.len() > 10);
        assert_eq!(Spread::of(&histogram(3).unwrap()).count, 0);
    }

    #[test]
    fn a_long_series_is_thinned_and_keeps_its_rates() {
        let mut series = Series::default();
        let mut counts = Counts::default();
        for second in 1..=10_000 {
            counts.accepted += 7;
            let sight = Sight {
                counts,
                phase: "",
                on: 3,
                unsettled: 0,
                recent: histogram(2).unwrap(),
            };
            series.look(Duration::from_secs(second), &sight, &Usage::default());
        }
        let points = series.points();
        assert!((1_000..=2_000).contains(&points.len()));
        assert!(
            points
                .iter()
                .all(|point| (point.accepted_per_s - 7.0).abs() < 0.01)
        );
        assert!(points.is_sorted_by_key(|point| point.at_s));
    }
}
