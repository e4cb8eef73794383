//! The engine cannot be read for a while, though it can be written: devices try again, and nobody misses anything.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "support/faulty.rs"]
mod faulty;

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::mpsc::{Sender, channel};
use std::time::Duration;

use actix::System;
use arc_swap::ArcSwap;
use faulty::{Call, Fault, Faulty, Ill, When};
use futures_util::StreamExt;
use parking_lot::Mutex;
use tokio::sync::oneshot;
use tokio::time::timeout;
use yizhan::actor::device::{Ask, Report, Services};
use yizhan::actor::diary::Diary;
use yizhan::actor::dispatch::{Dispatch, Pages};
use yizhan::actor::login::{Attachment, attach};
use yizhan::actor::mailroom::DeviceRef;
use yizhan::actor::outbox::Frames;
use yizhan::actor::presence::Board;
use yizhan::actor::processes::Processes;
use yizhan::actor::registry::Registry;
use yizhan::clock::Clock;
use yizhan::code::Code;
use yizhan::config::{Settings, Sources};
use yizhan::id::{Did, Hashids, MsgId, Seq, Uid};
use yizhan::machine::access::Pass;
use yizhan::machine::device::Rules;
use yizhan::machine::inbox::Bounds;
use yizhan::machine::schedule::Schedule;
use yizhan::message::chat::Chat;
use yizhan::message::look::{Found, Look};
use yizhan::message::{Ack, Command, Draft, Event, Fault as Told, Read};
use yizhan::metrics::Metrics;
use yizhan::node::Node;
use yizhan::store::durable::Durable;
use yizhan::store::ledger::{Ledger, People, Policy, prepare};
use yizhan::store::memory::MemoryEngine;
use yizhan::store::reader::{FoundOutlet, Keeps};
use yizhan::store::{committer, reader};

const ALICE: Uid = Uid(1);
const BOB: Uid = Uid(108);
/// More than a window, so that most have to be read.
const MESSAGES: u64 = 40;
const WINDOW: usize = 4;
/// Reads that fail before one succeeds.
const FAILURES: usize = 12;
/// A test that passes never waits it out.
const DEADLINE: Duration = Duration::from_secs(60);

/// A server without sockets, whose readers have an engine of their own.
fn server(reads: &Arc<Faulty<MemoryEngine>>) -> Arc<Services> {
    let engine = reads.inner.clone();
    prepare(&*engine).unwrap();
    let policy = Policy {
        bounds: Bounds {
            max_messages: 1_000,
            max_devices: 10,
            forget_ms: u64::MAX,
        },
        ttl_ms: 1 << 40,
        people: People::DEFAULT,
    };
    let (clock, metrics) = (Clock::start(), Metrics::new().unwrap());
    let registry: Arc<Registry<DeviceRef>> = Arc::default();
    let ledger = Ledger::new(engine.clone(), policy);
    let dispatch = Dispatch::new(registry.clone(), metrics.clone(), Diary::none());
    let (commits, _) =
        committer::start(engine, ledger, clock.clone(), metrics.clone(), dispatch).unwrap();
    let keeps = Keeps {
        ttl_ms: policy.ttl_ms,
        history_ms: policy.people.keep_ms,
    };
    let durable = commits.durable().clone();
    let (reads, _) = reader::start(reads.clone(), clock.clone(), keeps, durable, Pages).unwrap();
    let rules = Rules {
        deliver_window: WINDOW,
        send_window: 256,
        page_bytes: 130_000,
        token_notice_ms: 0,
        read_retry_ms: 1,
        retry_ms: 1_000,
        seen_every_ms: 1 << 40,
        write_deadline_ms: u64::MAX,
        silence_ms: u64::MAX,
        ttl_ms: policy.ttl_ms,
    };
    Arc::new(Services {
        commits,
        reads,
        registry,
        metrics,
        clock,
        schedule: ArcSwap::from_pointee(Schedule::from_gaps(&[0, 600_000])),
        rules: rules.into(),
        processes: Processes::default(),
        diary: Diary::none(),
        presence: Board::default(),
        tells: false,
        epochs: AtomicU64::new(1),
    })
}

struct Client {
    attachment: Attachment,
    frames: Frames,
    heard: Vec<Event>,
}

impl Client {
    async fn login(services: &Arc<Services>, uid: Uid, did: &str) -> Client {
        let did = Did::parse(did).unwrap();
        let pass = Pass::until(services.clock.now_ms() + (1 << 40));
        let mut attachment = attach(services, uid, &did, pass).await.unwrap();
        let frames = attachment.take_frames().unwrap();
        let mut client = Client {
            attachment,
            frames,
            heard: Vec::new(),
        };
        let first = client.next().await;
        assert!(matches!(first, Event::Notice { .. }), "{first:?}");
        client
    }

    async fn asks(&self, command: Command) {
        let ask = Ask {
            epoch: self.attachment.epoch(),
            commands: vec![command],
        };
        self.attachment.device().addr().send(ask).await.unwrap();
    }

    async fn next(&mut self) -> Event {
        while self.heard.is_empty() {
            let taken = timeout(DEADLINE, self.frames.next()).await;
            let taken = taken.expect("nothing comes").expect("the outbox is gone");
            if taken.wanted {
                let device = self.attachment.device().addr();
                device.send(Report::Alive).await.unwrap();
            }
            self.heard.extend(taken.events);
        }
        self.heard.remove(0)
    }

    async fn sends(&mut self, n: u64) {
        self.asks(Command::Send(Draft {
            id: MsgId::parse(&format!("m{n}")).unwrap(),
            to: Chat::User(BOB),
            payload: "{}".into(),
            created_at: None,
            expires_at: None,
        }))
        .await;
        let answer = self.next().await;
        assert!(matches!(answer, Event::Accepted { .. }), "{answer:?}");
    }

    /// The next message, which is acknowledged so that there is room for another.
    async fn takes(&mut self) -> (Seq, String) {
        loop {
            match self.next().await {
                Event::Deliver(row) => {
                    self.asks(Command::Ack(Ack::UpTo(row.seq))).await;
                    return (row.seq, row.message.id.to_string());
                }
                Event::AckOk(_) => {}
                other => panic!("{other:?}"),
            }
        }
    }
}

fn failing(call: Call, times: usize, ill: Ill) -> Fault {
    Fault {
        call: Some(call),
        after: 0,
        times,
        when: When::Before,
        ill,
    }
}

#[test]
fn a_device_whose_reads_fail_tries_again_and_misses_nothing() {
    for call in [Call::Scan, Call::Get] {
        for ill in [Ill::Error, Ill::Panic] {
            System::new().block_on(async {
                let reads = Arc::new(Faulty::over(Arc::new(MemoryEngine::new())));
                let services = server(&reads);
                let mut alice = Client::login(&services, ALICE, "a-phone").await;
                let mut bob = Client::login(&services, BOB, "b-phone").await;
                reads.plan(failing(call, FAILURES, ill));
                for n in 1..=MESSAGES {
                    alice.sends(n).await;
                }
                for n in 1..=MESSAGES {
                    assert_eq!(bob.takes().await, (n, format!("m{n}")), "{call:?} {ill:?}");
                }
                assert_eq!(reads.failed(), FAILURES);
                assert_eq!(services.commits.health().trouble(), None);
            });
        }
    }
}

#[test]
fn a_page_that_cannot_be_read_is_refused_and_can_be_asked_for_again() {
    System::new().block_on(async {
        let reads = Arc::new(Faulty::over(Arc::new(MemoryEngine::new())));
        let services = server(&reads);
        let mut alice = Client::login(&services, ALICE, "a-phone").await;
        alice.sends(1).await;
        let mut bob = Client::login(&services, BOB, "b-phone").await;
        let delivered = bob.next().await;
        assert!(matches!(delivered, Event::Deliver(_)), "{delivered:?}");
        reads.plan(failing(Call::Scan, 1, Ill::Error));
        let sync = Command::Sync { after: 0, limit: 9 };
        bob.asks(sync.clone()).await;
        match bob.next().await {
            Event::Error { fault, .. } => assert_eq!(fault, Told::new(Code::Storage)),
            other => panic!("{other:?}"),
        }
        bob.asks(sync).await;
        match bob.next().await {
            Event::SyncPage { rows, .. } => assert_eq!(rows.len(), 1),
            other => panic!("{other:?}"),
        }
    });
}

/// Keeps whoever reads for the first askers until it is told to go on.
struct Slow {
    gate: Arc<Mutex<()>>,
    done: Sender<u32>,
}

impl FoundOutlet<u32> for Slow {
    fn found(&self, asker: u32, _: Option<Found>) {
        if asker < 10 {
            drop(self.gate.lock());
        }
        self.done.send(asker).unwrap();
    }
}

#[test]
fn a_list_that_takes_long_keeps_no_device_from_its_rows() {
    let engine = Arc::new(MemoryEngine::new());
    prepare(&*engine).unwrap();
    let (done, finished) = channel();
    let gate = Arc::new(Mutex::new(()));
    let closed = gate.lock();
    let outlet = Slow {
        gate: gate.clone(),
        done,
    };
    let keeps = Keeps {
        ttl_ms: 1,
        history_ms: 1,
    };
    let durable = Durable::default();
    let (queue, _readers) = reader::start(engine, Clock::start(), keeps, durable, outlet).unwrap();
    for asker in 0..10 {
        let list = Look::Chats {
            uid: BOB,
            before: None,
            limit: 10,
            max_bytes: 1 << 20,
        };
        queue.submit(asker, list).unwrap();
    }
    let read = Read {
        uid: BOB,
        from: 1,
        to: 3,
        limit: 10,
        max_bytes: 1 << 20,
    };
    queue.submit(10, Look::Rows(read)).unwrap();
    assert_eq!(finished.recv_timeout(DEADLINE), Ok(10));
    drop(closed);
    let others: Vec<u32> = (0..10).map(|_| finished.recv().unwrap()).collect();
    assert_eq!(others, (0..10).collect::<Vec<_>>());
}

// ---- over HTTP ----

/// Asks an operator's listener, and returns all of what it says.
fn ask(admin: SocketAddr, method: &str, path: &str, body: &str) -> String {
    let mut line = TcpStream::connect(admin).unwrap();
    let length = body.len();
    write!(
        line,
        "{method} {path} HTTP/1.1\r\nHost: {admin}\r\nAuthorization: Bearer t\r\n\
         Content-Type: application/json\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    )
    .unwrap();
    let mut said = String::new();
    line.read_to_string(&mut said).unwrap();
    said
}

#[test]
fn a_change_that_a_crash_takes_back_is_shown_to_nobody_over_http() {
    let engine = Arc::new(Faulty::over(Arc::new(MemoryEngine::new())));
    let ours = [
        "listen.public=127.0.0.1:0",
        "listen.admin=127.0.0.1:0",
        "admin.token=t",
    ];
    let settings = Settings::load(&Sources {
        files: vec![concat!(env!("CARGO_MANIFEST_DIR"), "/config/seed.toml").into()],
        env: Vec::new(),
        sets: ours.map(str::to_owned).into(),
    });
    let settings = settings.unwrap();
    let hashids = Hashids::new(&settings.ids).unwrap();
    let (alice, bob) = (hashids.encode(ALICE), hashids.encode(BOB));
    let (stop, stopped) = oneshot::channel::<()>();
    let (listens, listening) = channel();
    let theirs = engine.clone();
    let server = std::thread::spawn(move || {
        System::new().block_on(async {
            let node = Node::start_over(theirs, settings).unwrap();
            listens.send(node.admin_addr()).unwrap();
            node.serve(async move { drop(stopped.await) }).await;
        });
    });
    let admin = listening.recv().unwrap();
    let message = format!(r#"{{"id":"m1","to":"{bob}","payload":"as sent"}}"#);
    let said = ask(
        admin,
        "POST",
        &format!("/v1/messages?uid={alice}"),
        &message,
    );
    assert!(said.starts_with("HTTP/1.1 200"), "{said}");

    let (porter, comes) = channel();
    *engine.porter.lock() = Some(porter);
    let gate = engine.gate.lock();
    engine.fail_next(Call::Flush, Ill::Error);
    let edit = format!("/v1/conversations/c2c/{bob}/messages/m1?uid={alice}");
    let change = r#"{"id":"e1","payload":"changed"}"#;
    let changing = std::thread::spawn(move || ask(admin, "PUT", &edit, change));
    comes.recv_timeout(DEADLINE).expect("no flush");
    let list = format!("/v1/conversations?uid={bob}");
    let looked = engine.calls(Call::Scan);
    let theirs = list.clone();
    let looking = std::thread::spawn(move || ask(admin, "GET", &theirs, ""));
    // The readers have looked, at a message that is changed and not flushed.
    while engine.calls(Call::Scan) < looked + 2 {
        std::thread::yield_now();
    }
    drop(gate);
    let changed = changing.join().unwrap();
    assert!(changed.starts_with("HTTP/1.1 500"), "{changed}");
    let shown = looking.join().unwrap();
    assert!(!shown.contains("changed"), "{shown}");
    let shown = loop {
        let shown = ask(admin, "GET", &list, "");
        if !shown.starts_with("HTTP/1.1 500") {
            break shown;
        }
    };
    assert!(shown.contains("as sent"), "{shown}");
    drop(stop);
    server.join().unwrap();
}
