//! What one commit costs: the committer over each engine, with so many requests outstanding, for messages that come in and for
//! acknowledgements.
//!
//! `cargo bench --bench commit`; `cargo bench --bench commit -- journal/append` for a part of it.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use tempfile::TempDir;
use yizhan::clock::Clock;
use yizhan::id::{Did, MsgId, Uid};
use yizhan::machine::inbox::Bounds;
use yizhan::machine::ranges::Ranges;
use yizhan::message::chat::Chat;
use yizhan::message::{Answer, Draft, Op};
use yizhan::metrics::Metrics;
use yizhan::store::Engine;
use yizhan::store::committer::{self, CommitQueue, Outlet};
use yizhan::store::journal::Journal;
use yizhan::store::ledger::{self, Ledger, News, People, Policy};
use yizhan::store::memory::MemoryEngine;
use yizhan::store::sled::SledEngine;

/// Readers, each with one device.
const READERS: u64 = 100;
/// Requests that may wait for their answer.
const OUTSTANDING: [usize; 3] = [1, 64, 1024];
const PAYLOAD: usize = 256;

const POLICY: Policy = Policy {
    bounds: Bounds {
        max_messages: 10_000_000,
        max_devices: 10,
        forget_ms: 1 << 40,
    },
    ttl_ms: 1 << 40,
    people: People::DEFAULT,
};

struct Answers(SyncSender<usize>);

impl Outlet<()> for Answers {
    fn publish(&mut self, answers: Vec<((), Answer)>, _: Vec<News>) {
        for (_, answer) in &answers {
            let well = matches!(
                answer,
                Answer::Accepted(_) | Answer::Acked(_) | Answer::Attached(_)
            );
            assert!(well, "{answer:?}");
        }
        // The bench has ended when nobody listens.
        let _ = self.0.send(answers.len());
    }
}

struct Office {
    queue: CommitQueue<()>,
    answers: Receiver<usize>,
    committer: Option<JoinHandle<()>>,
    sent: u64,
    acked: u64,
    _dir: TempDir,
}

impl Office {
    fn open(engine: &str) -> Office {
        let dir = tempfile::tempdir().unwrap();
        let metrics = Metrics::new().unwrap();
        let engine: Arc<dyn Engine> = match engine {
            "memory" => Arc::new(MemoryEngine::new()),
            "sled" => Arc::new(SledEngine::open(dir.path()).unwrap()),
            _ => Arc::new(Journal::at(dir.path(), metrics.clone()).unwrap()),
        };
        ledger::prepare(&*engine).unwrap();
        let (sender, answers) = sync_channel(1 << 16);
        let ledger = Ledger::new(engine.clone(), POLICY);
        let clock = Clock::start();
        let (queue, committer) =
            committer::start(engine, ledger, clock, metrics, Answers(sender)).unwrap();
        let mut office = Office {
            queue,
            answers,
            committer: Some(committer),
            sent: 0,
            acked: 0,
            _dir: dir,
        };
        let attach = |uid| Op::Attach {
            uid: Uid(uid),
            did: Did::parse("phone").unwrap(),
            online: Vec::new(),
            issued_ms: None,
        };
        office.ask(64, (1..=READERS).map(attach).collect());
        office
    }

    /// Asks for all of this with so many requests outstanding, and returns how long it took.
    fn ask(&mut self, outstanding: usize, ops: Vec<Op>) -> Duration {
        let begun = Instant::now();
        let mut waiting = 0;
        for op in ops {
            while waiting >= outstanding {
                waiting -= self.answers.recv().unwrap();
            }
            assert!(self.queue.submit((), op).is_ok(), "the queue is full");
            waiting += 1;
        }
        while waiting > 0 {
            waiting -= self.answers.recv().unwrap();
        }
        begun.elapsed()
    }

    fn messages(&mut self, count: u64) -> Vec<Op> {
        let first = self.sent;
        self.sent += count;
        let message = |n: u64| {
            let draft = Draft {
                id: MsgId::parse(&format!("m{n:019}")).unwrap(),
                to: Chat::User(Uid(1 + n % READERS)),
                payload: format!("\"{}\"", "x".repeat(PAYLOAD)).into(),
                created_at: None,
                expires_at: None,
            };
            Op::Append(draft.signed_by(Uid(1000 + n % READERS), None))
        };
        (first..self.sent).map(message).collect()
    }

    /// The acknowledgements of what has been sent, one for each message.
    fn acks(&mut self) -> Vec<Op> {
        let ack = |n: u64| Op::Ack {
            reader: Uid(1 + n % READERS),
            did: Did::parse("phone").unwrap(),
            seqs: Ranges::span(1 + n / READERS, 1 + n / READERS),
        };
        let acks = (self.acked..self.sent).map(ack).collect();
        self.acked = self.sent;
        acks
    }
}

impl Drop for Office {
    fn drop(&mut self) {
        self.queue.end();
        if let Some(committer) = self.committer.take() {
            committer.join().unwrap();
        }
    }
}

fn commits(criterion: &mut Criterion) {
    for engine in ["memory", "sled", "journal"] {
        let mut group = criterion.benchmark_group(engine);
        group.sample_size(10).throughput(Throughput::Elements(1));
        for outstanding in OUTSTANDING {
            let mut office = Office::open(engine);
            group.bench_function(BenchmarkId::new("append", outstanding), |bench| {
                bench.iter_custom(|iters| {
                    let messages = office.messages(iters);
                    let took = office.ask(outstanding, messages);
                    // Nothing piles up: it is the cost of a message that is on its way.
                    let acks = office.acks();
                    office.ask(1024, acks);
                    took
                });
            });
            group.bench_function(BenchmarkId::new("ack", outstanding), |bench| {
                bench.iter_custom(|iters| {
                    let messages = office.messages(iters);
                    office.ask(1024, messages);
                    let acks = office.acks();
                    office.ask(outstanding, acks)
                });
            });
        }
        group.finish();
    }
}

criterion_group!(benches, commits);
criterion_main!(benches);
