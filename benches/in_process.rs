//! One full loop inside the process: real devices, deliveries, committer and codec, without a socket and without a disk.
//!
//! A loop is a message and everything it causes: six frames, two commits. What it costs here is what the server itself
//! costs, without the kernel and the WebSocket stack. `--loops N` runs so many and ends, for a profiler that counts
//! instructions; otherwise Criterion measures.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, Instant};

use actix::System;
use arc_swap::ArcSwap;
use futures_util::StreamExt;
use yizhan::actor::device::{Ask, Services};
use yizhan::actor::diary::Diary;
use yizhan::actor::dispatch::{Dispatch, Pages};
use yizhan::actor::login::{Attachment, attach};
use yizhan::actor::outbox::Frames;
use yizhan::actor::presence::Board;
use yizhan::actor::processes::Processes;
use yizhan::actor::registry::Registry;
use yizhan::clock::Clock;
use yizhan::codec::json::Json;
use yizhan::codec::{Bounds as FrameBounds, Inbound};
use yizhan::config::Ids;
use yizhan::id::{Did, Hashids, Uid};
use yizhan::machine::access::Pass;
use yizhan::machine::device::Rules;
use yizhan::machine::inbox::Bounds;
use yizhan::machine::schedule::Schedule;
use yizhan::message::Event;
use yizhan::metrics::Metrics;
use yizhan::store::durable::Durable;
use yizhan::store::ledger::{Ledger, People, Policy, prepare};
use yizhan::store::memory::MemoryEngine;
use yizhan::store::reader::Keeps;
use yizhan::store::{committer, reader};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const GAPS: [u64; 7] = [0, 1500, 1500, 3000, 1000, 3000, 5000];
const PAIRS: u64 = 50;
const PAYLOAD: usize = 256;
const FOR_EVER: u64 = u64::MAX / 4;

fn main() {
    let mut arguments = std::env::args().skip_while(|argument| argument != "--loops");
    let loops: Option<u64> = arguments.nth(1).map(|n| n.parse().expect("a number"));
    match loops {
        Some(loops) => {
            for window in [1, 32] {
                let took = measure(window, loops);
                let each = took.as_nanos() as f64 / 1e3 / loops as f64;
                println!("window {window}: {each:.2} µs a loop");
            }
        }
        None => {
            let mut criterion = criterion::Criterion::default().configure_from_args();
            let mut group = criterion.benchmark_group("loop in process, 50 pairs");
            group
                .sample_size(10)
                .measurement_time(Duration::from_secs(4));
            for window in [1, 32] {
                group.bench_function(format!("window {window}"), |bencher| {
                    bencher.iter_custom(|loops| measure(window, loops));
                });
            }
            group.finish();
            criterion.final_summary();
        }
    }
}

fn measure(window: u64, loops: u64) -> Duration {
    System::new().block_on(async move {
        let services = services();
        let mut pairs = Vec::new();
        for n in 0..PAIRS {
            pairs.push(Pair::log_in(&services, n).await);
        }
        let each = loops.div_ceil(PAIRS);
        let begun = Instant::now();
        let tasks: Vec<_> = pairs
            .into_iter()
            .map(|pair| actix::spawn(pair.run(window, each)))
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
        let took = begun.elapsed();
        services.commits.end();
        took
    })
}

struct Client {
    attachment: Attachment,
    frames: Frames,
    json: Json,
}

struct Pair {
    sender: Client,
    reader: Client,
    to: String,
}

impl Pair {
    async fn log_in(services: &Arc<Services>, n: u64) -> Pair {
        let (sender, reader) = (Uid(2 * n + 1), Uid(2 * n + 2));
        Pair {
            sender: Client::log_in(services, sender).await,
            reader: Client::log_in(services, reader).await,
            to: hashids().encode(reader),
        }
    }

    async fn run(self, window: u64, loops: u64) {
        let Pair { sender, reader, to } = self;
        let reading = actix::spawn(reader.read(loops));
        sender.send(window, loops, &to).await;
        reading.await.unwrap();
    }
}

impl Client {
    async fn log_in(services: &Arc<Services>, uid: Uid) -> Client {
        let did = Did::parse("d").unwrap();
        let attached = attach(services, uid, &did, Pass::until(FOR_EVER)).await;
        let mut attachment = attached.unwrap();
        let mut frames = attachment.take_frames().unwrap();
        frames.next().await.unwrap();
        Client {
            attachment,
            frames,
            json: json(),
        }
    }

    fn asks(&mut self, text: &str) {
        let Ok(Inbound::Command(command)) = self.json.decode(text) else {
            panic!("{text} is refused");
        };
        let epoch = self.attachment.epoch();
        let addr = self.attachment.device().addr();
        let commands = vec![command];
        addr.do_send(Ask { epoch, commands });
    }

    async fn send(mut self, window: u64, loops: u64, to: &str) {
        let payload = "x".repeat(PAYLOAD - 2);
        let (mut sent, mut open, mut closed) = (0, 0, 0);
        while closed < loops {
            while open < window && sent < loops {
                self.asks(&format!(
                    r#"{{"id":"m-{sent}","type":"C2C","from":"","to":"{to}","payload":"{payload}","created_at":1668877742828}}"#
                ));
                sent += 1;
                open += 1;
            }
            for event in self.frames.next().await.unwrap().events {
                assert!(self.json.encode(&event).is_some());
                if let Event::Delivered { .. } = event {
                    open -= 1;
                    closed += 1;
                }
            }
        }
    }

    async fn read(mut self, loops: u64) {
        let mut confirmed = 0;
        while confirmed < loops {
            for event in self.frames.next().await.unwrap().events {
                assert!(self.json.encode(&event).is_some());
                match event {
                    Event::Deliver(row) => {
                        self.asks(&format!("CLIENT_ACK,C2C,{},d", row.message.id));
                    }
                    Event::AckOk(_) => confirmed += 1,
                    other => panic!("a reader hears {other:?}"),
                }
            }
        }
    }
}

fn hashids() -> Hashids {
    let ids = Ids {
        salt: "salt".into(),
        alphabet: "abcdefghijklmnopqrstuvwxyz1234567890".into(),
        separators: "cfhistu".into(),
        min_length: 6,
    };
    Hashids::new(&ids).unwrap()
}

fn json() -> Json {
    let bounds = FrameBounds {
        max_payload: 65_536,
        max_page: 100,
        max_status: 256,
    };
    Json::new(hashids(), bounds)
}

fn services() -> Arc<Services> {
    let policy = Policy {
        bounds: Bounds {
            max_messages: 10_000,
            max_devices: 10,
            forget_ms: FOR_EVER,
        },
        ttl_ms: 604_800_000,
        people: People::DEFAULT,
    };
    let clock = Clock::start();
    let metrics = Metrics::new().unwrap();
    let registry: Arc<Registry<_>> = Arc::default();
    let engine = Arc::new(MemoryEngine::new());
    prepare(&*engine).unwrap();
    let ledger = Ledger::new(engine.clone(), policy);
    let dispatch = Dispatch::new(registry.clone(), metrics.clone(), Diary::none());
    let (engine_for_reads, time) = (engine.clone(), clock.clone());
    let started = committer::start(engine, ledger, clock.clone(), metrics.clone(), dispatch);
    let (commits, _) = started.unwrap();
    let keeps = Keeps {
        ttl_ms: policy.ttl_ms,
        history_ms: policy.people.keep_ms,
    };
    let (reads, _) =
        reader::start(engine_for_reads, time, keeps, Durable::default(), Pages).unwrap();
    Arc::new(Services {
        commits,
        reads,
        registry,
        metrics,
        clock,
        schedule: ArcSwap::from_pointee(Schedule::from_gaps(&GAPS)),
        rules: Arc::new(Rules {
            deliver_window: 64,
            send_window: 256,
            page_bytes: 130_000,
            token_notice_ms: 300_000,
            read_retry_ms: 200,
            retry_ms: 1000,
            seen_every_ms: FOR_EVER,
            ttl_ms: policy.ttl_ms,
            write_deadline_ms: 30_000,
            silence_ms: FOR_EVER,
        }),
        processes: Processes::default(),
        diary: Diary::none(),
        presence: Board::default(),
        tells: false,
        epochs: AtomicU64::new(1),
    })
}
