//! The counters that an operator watches, for Prometheus.

use std::sync::Arc;
use std::time::Duration;

use prometheus::core::Metric;
use prometheus::{
    Encoder, Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts,
    Registry, TextEncoder,
};

use serde::Serialize;

use crate::code::Code;
use crate::store::ledger::Tally;

/// Shared by every part that counts; cheap to clone.
#[derive(Clone, Debug)]
pub struct Metrics(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    registry: Registry,
    accepted: IntCounter,
    delivered: IntCounter,
    redelivered: IntCounter,
    parked: IntCounter,
    expired: IntCounter,
    overflowed: IntCounter,
    events_sent: IntCounter,
    events_failed: IntCounter,
    events_dropped: IntCounter,
    refused: IntCounterVec,
    limited: IntCounterVec,
    connections: IntGauge,
    online: IntGauge,
    in_flight: IntGauge,
    rows: IntGauge,
    store_ready: IntGauge,
    store_free: IntGauge,
    store_failures: IntCounter,
    unsettled_memory: IntGauge,
    unsettled_log: IntGauge,
    cut_tails: IntCounter,
    settle: Histogram,
    trace_lost: IntCounter,
    trace_bytes: IntGauge,
    last_backup: IntGauge,
    batch: Histogram,
    commit: Histogram,
    flush: Histogram,
    accept: Histogram,
    certificates: IntGaugeVec,
}

impl Metrics {
    /// All counters at zero, each registered under its name.
    pub fn new() -> Result<Metrics, prometheus::Error> {
        let registry = Registry::new();
        let seconds = || prometheus::exponential_buckets(0.000_025, 2.0, 20);
        let inner = Inner {
            accepted: counter(
                &registry,
                "yizhan_accepted_total",
                "Messages made durable for the first time.",
            )?,
            delivered: counter(
                &registry,
                "yizhan_delivered_total",
                "Messages acknowledged by a first device of their reader.",
            )?,
            redelivered: counter(
                &registry,
                "yizhan_redelivered_total",
                "Copies sent again by the schedule.",
            )?,
            parked: counter(
                &registry,
                "yizhan_parked_total",
                "Messages left to wait for a login: nobody was there, or no acknowledgement came.",
            )?,
            expired: counter(
                &registry,
                "yizhan_expired_total",
                "Messages that left the inbox unread, being too old.",
            )?,
            overflowed: counter(
                &registry,
                "yizhan_group_overflow_total",
                "Messages of groups, and changes, for which an inbox had no room.",
            )?,
            events_sent: counter(
                &registry,
                "yizhan_webhook_sent_total",
                "Events that the webhook's receiver has got.",
            )?,
            events_failed: counter(
                &registry,
                "yizhan_webhook_failed_total",
                "Attempts to tell the webhook's receiver that have failed.",
            )?,
            events_dropped: counter(
                &registry,
                "yizhan_webhook_dropped_total",
                "Events that were dropped before the webhook's receiver had them.",
            )?,
            refused: {
                let opts = Opts::new("yizhan_refused_total", "Refusals told to clients, by code.");
                let refused = IntCounterVec::new(opts, &["code"])?;
                registry.register(Box::new(refused.clone()))?;
                refused
            },
            limited: {
                let opts = Opts::new(
                    "yizhan_limited_total",
                    "Frames, logins and connections refused by a limit, by `limit`.",
                );
                let limited = IntCounterVec::new(opts, &["limit"])?;
                registry.register(Box::new(limited.clone()))?;
                limited
            },
            connections: gauge(
                &registry,
                "yizhan_connections",
                "Connections open on the public listener now, those not logged in among them.",
            )?,
            online: gauge(&registry, "yizhan_online_devices", "Devices connected now.")?,
            in_flight: gauge(
                &registry,
                "yizhan_deliveries_in_flight",
                "Deliveries that walk their schedule now.",
            )?,
            rows: gauge(
                &registry,
                "yizhan_inbox_rows",
                "Rows stored in all inboxes now.",
            )?,
            store_ready: gauge(
                &registry,
                "yizhan_store_ready",
                "Whether the store takes messages: 1, or 0 while it does not.",
            )?,
            store_free: gauge(
                &registry,
                "yizhan_store_free_bytes",
                "Free bytes on the file system of the store.",
            )?,
            store_failures: counter(
                &registry,
                "yizhan_store_failures_total",
                "Times that the store failed, or could not be opened again.",
            )?,
            unsettled_memory: gauge(
                &registry,
                "yizhan_unsettled_bytes",
                "Memory that holds what is in the log and not settled yet, about.",
            )?,
            unsettled_log: gauge(
                &registry,
                "yizhan_log_bytes",
                "Bytes of the log's closed segments that are not settled yet.",
            )?,
            cut_tails: counter(
                &registry,
                "yizhan_log_cuts_total",
                "Ends of the log that a crash left unfinished, and that were cut when it was opened.",
            )?,
            settle: histogram(
                &registry,
                "yizhan_settle_seconds",
                "Time to move what has rested in the log to its place.",
                prometheus::exponential_buckets(0.001, 2.0, 16)?,
            )?,
            trace_lost: counter(
                &registry,
                "yizhan_trace_lost_total",
                "Moments in the lives of messages that were not written down, under load or for want of room.",
            )?,
            trace_bytes: gauge(
                &registry,
                "yizhan_trace_bytes",
                "Bytes of the lives of messages on disk.",
            )?,
            last_backup: gauge(
                &registry,
                "yizhan_backup_last_success_timestamp_seconds",
                "When the last whole backup was sent, Unix seconds; 0 if none was since the start.",
            )?,
            batch: histogram(
                &registry,
                "yizhan_commit_batch_size",
                "Requests that shared one flush.",
                prometheus::exponential_buckets(1.0, 2.0, 12)?,
            )?,
            commit: histogram(
                &registry,
                "yizhan_commit_seconds",
                "Time to commit one batch, its flush included.",
                seconds()?,
            )?,
            flush: histogram(
                &registry,
                "yizhan_flush_seconds",
                "Time of one flush to the disk.",
                seconds()?,
            )?,
            accept: histogram(
                &registry,
                "yizhan_accept_seconds",
                "Time from a message's arrival to its acknowledgement.",
                seconds()?,
            )?,
            certificates: {
                let opts = Opts::new(
                    "yizhan_tls_certificate_expiry_timestamp_seconds",
                    "When the certificate of a listener expires, Unix time; 0 without TLS.",
                );
                let certificates = IntGaugeVec::new(opts, &["listener"])?;
                registry.register(Box::new(certificates.clone()))?;
                certificates
            },
            registry,
        };
        #[cfg(target_os = "linux")]
        inner.registry.register(Box::new(
            prometheus::process_collector::ProcessCollector::for_self(),
        ))?;
        for listener in ["public", "admin"] {
            inner.certificates.with_label_values(&[listener]);
        }
        for code in Code::ALL {
            let number = code.number().to_string();
            inner.refused.with_label_values(&[number.as_str()]);
        }
        for limit in Limit::ALL {
            inner.limited.with_label_values(&[limit.name()]);
        }
        Ok(Metrics(Arc::new(inner)))
    }

    /// A batch was committed.
    pub fn committed(&self, tally: &Tally, took: Duration) {
        self.0.accepted.inc_by(tally.accepted);
        self.0.delivered.inc_by(tally.delivered);
        self.0.expired.inc_by(tally.expired);
        self.0.overflowed.inc_by(tally.overflowed);
        self.0.events_dropped.inc_by(tally.events_dropped);
        self.0.rows.add(tally.rows);
        if tally.wrote {
            self.0.commit.observe(took.as_secs_f64());
        }
    }

    /// The webhook's receiver has got so many events.
    pub fn events_sent(&self, events: u64) {
        self.0.events_sent.inc_by(events);
    }

    /// An attempt to tell the webhook's receiver has failed.
    pub fn events_failed(&self) {
        self.0.events_failed.inc();
    }

    /// A batch of this many requests was flushed.
    pub fn flushed(&self, requests: usize, took: Duration) {
        self.0.batch.observe(requests as f64);
        self.0.flush.observe(took.as_secs_f64());
    }

    /// The store was opened with this many rows.
    pub fn found_rows(&self, rows: i64) {
        self.0.rows.set(rows);
    }

    /// The store takes messages, or has stopped taking them.
    pub fn store_ready(&self, ready: bool) {
        self.0.store_ready.set(i64::from(ready));
    }

    /// The file system of the store has so many free bytes.
    pub fn store_free(&self, bytes: u64) {
        self.0
            .store_free
            .set(i64::try_from(bytes).unwrap_or(i64::MAX));
    }

    /// The store failed, or could not be opened again.
    pub fn store_failed(&self) {
        self.0.store_failures.inc();
    }

    /// What was written and is not settled takes so many bytes of memory, and of closed segments.
    pub fn unsettled(&self, memory: usize, log: u64) {
        let gauged = |bytes: u64| i64::try_from(bytes).unwrap_or(i64::MAX);
        self.0.unsettled_memory.set(gauged(memory as u64));
        self.0.unsettled_log.set(gauged(log));
    }

    /// So many unfinished ends of the log were cut.
    pub fn cut_tails(&self, tails: u64) {
        self.0.cut_tails.inc_by(tails);
    }

    /// What had rested in the log was moved to its place.
    pub fn settled(&self, took: Duration) {
        self.0.settle.observe(took.as_secs_f64());
    }

    /// So much was lost of the lives of messages since the start, and they take so many bytes.
    pub fn trace(&self, lost: u64, bytes: u64) {
        let counted = self.0.trace_lost.get();
        self.0.trace_lost.inc_by(lost.saturating_sub(counted));
        let bytes = i64::try_from(bytes).unwrap_or(i64::MAX);
        self.0.trace_bytes.set(bytes);
    }

    /// A whole backup was sent, at this time in Unix milliseconds.
    pub fn backed_up(&self, now_ms: u64) {
        let seconds = now_ms / 1000;
        self.0.last_backup.set(seconds.try_into().unwrap_or(0));
    }

    /// A message was acknowledged to its sender, this long after it came.
    pub fn answered_accept(&self, took: Duration) {
        self.0.accept.observe(took.as_secs_f64());
    }

    /// A copy was sent again.
    pub fn redelivered(&self) {
        self.0.redelivered.inc();
    }

    /// So many messages were left to wait: nobody was there, or a delivery ended without an acknowledgement.
    pub fn parked(&self, messages: u64) {
        self.0.parked.inc_by(messages);
    }

    /// A client was told this.
    pub fn refused(&self, code: Code) {
        let number = code.number().to_string();
        self.0.refused.with_label_values(&[number.as_str()]).inc();
    }

    /// A limit kept something out.
    pub fn limited(&self, limit: Limit) {
        self.0.limited.with_label_values(&[limit.name()]).inc();
    }

    /// Counts one connection of the public listener until it is dropped.
    pub fn connection(&self) -> Counted {
        Counted::one(&self.0.connections)
    }

    /// Counts one connected device until it is dropped.
    pub fn online(&self) -> Counted {
        Counted::one(&self.0.online)
    }

    /// Counts one delivery until it is dropped.
    pub fn in_flight(&self) -> Counted {
        Counted::one(&self.0.in_flight)
    }

    /// The certificate of this listener, `public` or `admin`, expires then (Unix seconds).
    pub fn certificate(&self, listener: &str, expires: i64) {
        let gauge = self.0.certificates.with_label_values(&[listener]);
        gauge.set(expires);
    }

    /// The counters that an operator looks at most.
    pub fn counts(&self) -> Counts {
        let inner = &*self.0;
        let gauge = |gauge: &IntGauge| u64::try_from(gauge.get()).unwrap_or(0);
        let refused = Code::ALL.map(|code| {
            let number = code.number().to_string();
            inner.refused.with_label_values(&[number.as_str()]).get()
        });
        Counts {
            accepted: inner.accepted.get(),
            delivered: inner.delivered.get(),
            redelivered: inner.redelivered.get(),
            parked: inner.parked.get(),
            expired: inner.expired.get(),
            refused: refused.iter().sum(),
            connections: gauge(&inner.connections),
            online_devices: gauge(&inner.online),
            in_flight: gauge(&inner.in_flight),
            inbox_rows: gauge(&inner.rows),
        }
    }

    /// What the process has in memory; none if the system does not say it.
    pub fn memory(&self) -> Option<Memory> {
        let status = procfs::process::Process::myself().ok()?.status().ok()?;
        Some(Memory {
            resident: status.vmrss?.saturating_mul(1024),
            peak: status.vmhwm?.saturating_mul(1024),
            unsettled: u64::try_from(self.0.unsettled_memory.get()).unwrap_or(0),
        })
    }

    /// How long it took to accept messages since the start.
    pub fn accept_times(&self) -> Times {
        let metric = self.0.accept.metric();
        let histogram = metric.get_histogram();
        let buckets = histogram.get_bucket().iter();
        Times {
            buckets: buckets
                .map(|bucket| (bucket.upper_bound(), bucket.cumulative_count()))
                .collect(),
            count: histogram.get_sample_count(),
            sum: histogram.get_sample_sum(),
        }
    }

    /// Everything in the text format of Prometheus.
    pub fn render(&self) -> Result<Vec<u8>, prometheus::Error> {
        let mut text = Vec::new();
        TextEncoder::new().encode(&self.0.registry.gather(), &mut text)?;
        Ok(text)
    }
}

/// Counters and gauges at one moment, as the README explains them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// `yizhan_accepted_total`.
    pub accepted: u64,
    /// `yizhan_delivered_total`.
    pub delivered: u64,
    /// `yizhan_redelivered_total`.
    pub redelivered: u64,
    /// `yizhan_parked_total`.
    pub parked: u64,
    /// `yizhan_expired_total`.
    pub expired: u64,
    /// `yizhan_refused_total`, of all codes.
    pub refused: u64,
    /// `yizhan_connections`.
    pub connections: u64,
    /// `yizhan_online_devices`.
    pub online_devices: u64,
    /// `yizhan_deliveries_in_flight`.
    pub in_flight: u64,
    /// `yizhan_inbox_rows`.
    pub inbox_rows: u64,
}

/// What the process has in memory, bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Memory {
    /// Now.
    pub resident: u64,
    /// At most since the start.
    pub peak: u64,
    /// `yizhan_unsettled_bytes`.
    pub unsettled: u64,
}

/// A histogram of spans.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Times {
    /// Upper bounds in seconds, each with how many spans were not longer.
    pub buckets: Vec<(f64, u64)>,
    /// How many there were.
    pub count: u64,
    /// Their sum, seconds.
    pub sum: f64,
}

/// What keeps a client within bounds; the first five are settings under `limits`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Limit {
    /// `limits.messages_per_s`.
    Messages,
    /// `limits.bytes_per_s`.
    Bytes,
    /// `limits.connections_per_user`.
    PerUser,
    /// `limits.connections_per_address`.
    PerAddress,
    /// `limits.handshakes_per_s`.
    Handshakes,
    /// The file descriptors of the process.
    Descriptors,
}

impl Limit {
    /// Every limit.
    pub const ALL: [Limit; 6] = [
        Limit::Messages,
        Limit::Bytes,
        Limit::PerUser,
        Limit::PerAddress,
        Limit::Handshakes,
        Limit::Descriptors,
    ];

    /// Returns the name by which it is counted: that of the setting, where there is one.
    pub const fn name(self) -> &'static str {
        match self {
            Limit::Messages => "messages_per_s",
            Limit::Bytes => "bytes_per_s",
            Limit::PerUser => "connections_per_user",
            Limit::PerAddress => "connections_per_address",
            Limit::Handshakes => "handshakes_per_s",
            Limit::Descriptors => "descriptors",
        }
    }
}

/// One more in a gauge, for as long as it lives: a process that dies is not counted on.
#[derive(Debug)]
pub struct Counted(IntGauge);

impl Counted {
    fn one(gauge: &IntGauge) -> Counted {
        gauge.inc();
        Counted(gauge.clone())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.dec();
    }
}

fn counter(registry: &Registry, name: &str, help: &str) -> Result<IntCounter, prometheus::Error> {
    let counter = IntCounter::new(name, help)?;
    registry.register(Box::new(counter.clone()))?;
    Ok(counter)
}

fn gauge(registry: &Registry, name: &str, help: &str) -> Result<IntGauge, prometheus::Error> {
    let gauge = IntGauge::new(name, help)?;
    registry.register(Box::new(gauge.clone()))?;
    Ok(gauge)
}

fn histogram(
    registry: &Registry,
    name: &str,
    help: &str,
    buckets: Vec<f64>,
) -> Result<Histogram, prometheus::Error> {
    let histogram = Histogram::with_opts(HistogramOpts::new(name, help).buckets(buckets))?;
    registry.register(Box::new(histogram.clone()))?;
    Ok(histogram)
}
