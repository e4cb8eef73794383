//! The sender of webhooks against receivers on the loopback, good and bad.
#![allow(clippy::unwrap_used, clippy::expect_used, unreachable_pub)]

#[path = "webhook/queue.rs"]
mod queue;
#[path = "webhook/receiver.rs"]
mod receiver;

use std::collections::HashSet;
use std::net::TcpListener;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;
use std::sync::{Arc, Mutex, Once};
use std::thread;
use std::time::{Duration, Instant};

use yizhan::config::Secret;
use yizhan::config::webhook::{EventKind, Webhook};
use yizhan::webhook::{
    Bell, Board, Clocks, Event, Message, Meter, Party, Plan, Reason, Renderer, Sender, StartError,
    Target, Timing, What,
};

use queue::MemoryQueue;
use receiver::{Answer, Receiver, Request, SOON, hmac};

const SECRET: &str = "hunter2-and-more";
const TAG: &str = "9f86d081";
const WALL_MS: u64 = 1_668_877_743_210;
const MINUTE: u64 = 60_000;
/// How long a request takes at most that a receiver leaves hanging; a machine under load still makes it in this.
const HANG: Duration = Duration::from_secs(1);

// ---- what arrives ----

#[test]
fn events_arrive_in_order_and_signed() {
    let (receiver, mut world) = world(|_| {});
    world.queue.push_online(3);
    world.start();
    let request = receiver.request();
    world.sent(3);
    assert_eq!(request.line, "POST /yizhan?key=in-the-url HTTP/1.1");
    assert_eq!(request.ids(), ids(1..=3));
    assert_eq!(request.header("content-type"), "application/json");
    let agent = concat!("yizhan/", env!("CARGO_PKG_VERSION"));
    assert_eq!(request.header("user-agent"), agent);
    assert_eq!(request.header("yizhan-delivery"), "1-3");
    assert_eq!(request.header("yizhan-timestamp"), "1668877743");
    assert_eq!(
        request.header("yizhan-signature"),
        request.signature(SECRET)
    );
    assert!(!request.headers.contains_key("transfer-encoding"));
    assert_eq!(world.queue.inner().cursor, 3);
}

#[test]
fn what_is_rung_is_sent_and_many_events_go_together_over_one_connection() {
    let (receiver, mut world) = world(|plan| plan.settings.batch = 100);
    world.start();
    let (gate, gated) = mpsc::channel();
    receiver.next(Answer::Gate(Arc::new(Mutex::new(gated))));
    world.push_online(1);
    assert_eq!(receiver.request().ids(), ids(1..=1));
    // They come while the receiver is slow.
    world.push_online(249);
    gate.send(()).unwrap();
    assert_eq!(receiver.request().ids(), ids(2..=101));
    assert_eq!(receiver.request().ids(), ids(102..=201));
    let last = receiver.request();
    assert_eq!(last.ids(), ids(202..=250));
    assert_eq!(last.header("yizhan-delivery"), "202-250");
    for count in [1, 100, 100, 49] {
        world.sent(count);
    }
    assert_eq!(world.queue.inner().moves, [1, 101, 201, 250]);
    assert_eq!(receiver.connections(), 1);
}

#[test]
fn what_is_rung_while_the_queue_is_read_is_not_missed() {
    let (receiver, mut world) = world(|_| {});
    let (came, has_come) = mpsc::channel();
    let (gate, gated) = mpsc::channel();
    world.push_online(1);
    world.start();
    world.sent(1);
    assert_eq!(receiver.request().ids(), ids(1..=1));
    world.queue.inner().hang = Some((came, gated));
    world.bell.ring();
    has_come.recv_timeout(SOON).unwrap();
    // The thread waits for the gate, which may well take what the ring leaves to wake it.
    world.push_online(1);
    gate.send(()).unwrap();
    world.sent(1);
    assert_eq!(receiver.request().ids(), ids(2..=2));
}

#[test]
fn a_request_ends_at_a_mebibyte_and_an_event_that_is_longer_goes_alone() {
    let (receiver, mut world) = world(|_| {});
    for length in [600_000, 400_000, 600_000, 3_000_000, 10] {
        let payload = format!("\"{}\"", "x".repeat(length));
        let message = message(Some(&payload));
        world.queue.push(What::Accepted { message });
    }
    world.start();
    let numbers = [1..=2, 3..=3, 4..=4, 5..=5];
    for numbers in numbers {
        assert_eq!(receiver.request().ids(), ids(numbers));
    }
}

#[test]
fn what_the_receiver_does_not_want_it_does_not_get() {
    let (receiver, mut world) = world(|plan| {
        plan.settings.events = vec![EventKind::Accepted];
        plan.settings.payload = false;
        plan.settings.batch = 2;
    });
    world.push_online(5);
    let message = message(Some("{}"));
    world.queue.push(What::Accepted { message });
    world.push_online(5);
    world.start();
    let request = receiver.request();
    assert_eq!(request.ids(), ids(6..=6));
    let body = String::from_utf8(request.body).unwrap();
    assert!(!body.contains("payload"), "{body}");
    world.sent(1);
    assert!(world.sender().stop());
    assert_eq!(receiver.try_request(), None);
    // The cursor passes over all the same.
    assert_eq!(world.queue.inner().cursor, 11);
}

#[test]
fn the_page_shows_every_event_as_it_is_sent() {
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/WEBHOOKS.md"));
    let page = page.unwrap();
    let blocks = page.split("```json\n").skip(1);
    let shown: Vec<&str> = blocks
        .map(|block| block.split_once("\n```").unwrap().0)
        .collect();
    let renderer = Renderer::new(TAG, true, Box::new(name));
    let examples = examples();
    let numbered = (42..).zip(&examples);
    let sent: Vec<String> = numbered
        .map(|(number, event)| renderer.render(number, event).unwrap())
        .collect();
    assert_eq!(shown, sent);
    let kinds: HashSet<EventKind> = examples.iter().map(|event| event.what.kind()).collect();
    assert_eq!(kinds, EventKind::ALL.into());
}

#[test]
fn the_page_tells_the_signature_of_its_own_example() {
    // What openssl makes of this secret, this timestamp and this body; the code agrees with it in webhook::sign.
    let page = include_str!("../docs/WEBHOOKS.md");
    assert!(page.contains(&hmac("hunter2", b"1668877743.[]")));
}

// ---- what fails ----

#[test]
fn a_receiver_that_fails_for_ten_minutes_and_comes_back_has_every_event_once_and_in_order() {
    let (receiver, mut world) = world(|plan| plan.settings.batch = 7);
    let begin = world.now();
    let failures = [
        Answer::status(500),
        Answer::Cut,
        Answer::status(404),
        Answer::Garbage,
        Answer::with(429, "retry-after", "60"),
    ];
    let mut failures = failures.into_iter().cycle();
    receiver.always(Answer::status(500));
    world.push_online(10);
    world.start();
    let mut kept: Vec<String> = Vec::new();
    let mut requests = 0;
    while world.now() < begin + 10 * MINUTE {
        world.failed();
        requests += 1;
        // A receiver may well have kept what it did not confirm.
        let request = receiver.request();
        assert_eq!(request.ids(), ids(1..=7), "nothing passes what waits");
        keep(&mut kept, &request);
        world.push_online(3);
        receiver.next(failures.next().unwrap());
        world.turn_to_the_next_attempt();
    }
    // The clock has reached the end, and this attempt fails for the last time.
    world.failed();
    keep(&mut kept, &receiver.request());
    world.turn_to_the_next_attempt();
    receiver.always(Answer::status(200));
    let mut sent = 0;
    while sent < world.last() {
        match world.told() {
            Told::Sent(events) => sent += events,
            Told::Failed => world.turn_to_the_next_attempt(),
        }
        keep(&mut kept, &receiver.request());
    }
    let last = world.last();
    assert!(
        last > 30 && requests >= 8,
        "{last} events, {requests} requests"
    );
    assert_eq!(kept, ids(1..=last));
    let status = world.board.status();
    assert_eq!((status.attempts, status.next_attempt_ms), (0, None));
    assert_eq!(status.sent, last);
    assert_eq!(world.queue.inner().cursor, last);
}

#[test]
fn whatever_a_receiver_does_wrong_the_same_request_comes_again() {
    let elsewhere = Receiver::start();
    let location = format!("http://{}/", elsewhere.address);
    let cases = [
        (Answer::status(500), "the receiver answered 500"),
        (Answer::status(404), "the receiver answered 404"),
        (Answer::status(410), "the receiver answered 410"),
        (
            Answer::Cut,
            "the connection ended before the receiver answered",
        ),
        (Answer::Hang, "the receiver did not answer in time"),
        (Answer::DripHead, "the receiver did not answer in time"),
        (Answer::Garbage, "the receiver's answer is not HTTP"),
        (
            Answer::with(301, "location", &*location),
            "the receiver answered 301",
        ),
        (
            Answer::with(302, "location", &*location),
            "the receiver answered 302",
        ),
        (
            Answer::with(307, "location", &*location),
            "the receiver answered 307",
        ),
        (
            Answer::with(308, "location", &*location),
            "the receiver answered 308",
        ),
        (Answer::status(304), "the receiver answered 304"),
    ];
    for (answer, expected) in cases {
        let (receiver, mut world) = world(|plan| plan.timing.whole = HANG);
        receiver.next(answer.clone());
        world.push_online(2);
        world.start();
        world.failed();
        let status = world.board.status();
        let said = status.last_error.clone().unwrap();
        assert!(said.starts_with(expected), "{answer:?}: {said}");
        assert_eq!((status.attempts, status.failed, status.sent), (1, 1, 0));
        assert_eq!((status.cursor, status.in_flight), (0, false));
        assert_eq!(status.last_failure_ms, Some(world.now()));
        let first = receiver.request();
        world.turn_to_the_next_attempt();
        let second = receiver.request();
        world.sent(2);
        assert_eq!(second.body, first.body);
        assert_eq!(second.header("yizhan-delivery"), "1-2");
        assert_eq!(world.board.status().last_success_ms, Some(world.now()));
    }
    assert_eq!(elsewhere.try_request(), None, "no redirect is followed");
    assert_eq!(elsewhere.connections(), 0);
}

#[test]
fn a_receiver_for_whom_a_request_is_too_long_gets_the_same_events_in_shorter_ones() {
    let (receiver, mut world) = world(|_| {});
    receiver.next(Answer::status(413));
    receiver.next(Answer::status(413));
    world.push_online(40);
    world.start();
    let mut lengths = Vec::new();
    for _ in 0..2 {
        world.failed();
        lengths.push(receiver.request().body.len());
        world.turn_to_the_next_attempt();
    }
    let mut kept = Vec::new();
    while kept.len() < 40 {
        let request = receiver.request();
        lengths.push(request.body.len());
        kept.extend(request.ids());
    }
    assert_eq!(kept, ids(1..=40));
    let longest = lengths[0];
    assert!(lengths[1] <= longest / 2 && lengths[1] > longest / 3);
    assert!(lengths[2..].iter().all(|length| *length <= lengths[1] / 2));
    assert!(lengths.len() <= 8, "{lengths:?}");
}

#[test]
fn each_attempt_is_signed_at_its_own_time() {
    let (receiver, mut world) = world(|_| {});
    receiver.next(Answer::status(500));
    world.push_online(1);
    world.start();
    world.failed();
    let first = receiver.request();
    world.wall.fetch_add(400_000, Ordering::Relaxed);
    world.turn_to_the_next_attempt();
    let second = receiver.request();
    assert_eq!(second.header("yizhan-timestamp"), "1668878143");
    assert_eq!(second.header("yizhan-signature"), second.signature(SECRET));
    assert_ne!(second.header("yizhan-signature"), first.signature(SECRET));
}

#[test]
fn a_receiver_that_asks_for_a_pause_gets_it() {
    let date = "Sat, 19 Nov 2022 17:09:33 GMT";
    let cases = [
        (Answer::with(429, "retry-after", "7"), 7_000),
        (Answer::with(503, "retry-after", "7"), 7_000),
        (Answer::with(503, "retry-after", "86400"), 300_000),
        (Answer::with(503, "retry-after", date), 29_790),
        (Answer::with(429, "retry-after", "0"), 1_000),
    ];
    for (answer, pause) in cases {
        let (receiver, mut world) = world(|_| {});
        receiver.next(answer.clone());
        world.push_online(1);
        world.start();
        world.failed();
        let due = world.board.status().next_attempt_ms.unwrap();
        assert_eq!(due - world.now(), pause, "{answer:?}");
    }
}

#[test]
fn the_body_of_an_answer_is_nobodys_concern() {
    for answer in [
        Answer::Flood,
        Answer::DripBody,
        Answer::Status(200, vec![], vec![b'x'; 3 << 20]),
        Answer::status(204),
    ] {
        let (receiver, mut world) = world(|plan| plan.timing.body = Duration::from_millis(100));
        receiver.next(answer);
        world.push_online(1);
        let begin = Instant::now();
        world.start();
        world.sent(1);
        assert!(begin.elapsed() < Timing::default().whole / 2);
        assert_eq!(receiver.request().ids(), ids(1..=1));
        world.push_online(1);
        world.sent(1);
        assert_eq!(receiver.request().ids(), ids(2..=2));
    }
}

#[test]
fn a_receiver_that_is_not_there_costs_nothing_but_attempts() {
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr();
    let nobody = nobody.unwrap();
    let (_receiver, mut world) = world(|_| {});
    world.url = format!("http://{nobody}/");
    world.push_online(1);
    world.start();
    for attempts in 1..=20 {
        world.failed();
        assert_eq!(world.board.status().attempts, attempts);
        world.turn_to_the_next_attempt();
    }
    let said = world.board.status().last_error.unwrap();
    assert!(
        said.starts_with("the receiver cannot be connected to: "),
        "{said}"
    );
}

#[test]
fn a_certificate_that_nobody_vouches_for_is_not_believed() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let key = rcgen::generate_simple_self_signed(["localhost".into()]).unwrap();
    let tls = rustls::ServerConfig::builder_with_provider(Arc::new(
        rustls::crypto::ring::default_provider(),
    ))
    .with_safe_default_protocol_versions()
    .unwrap()
    .with_no_client_auth()
    .with_single_cert(
        vec![key.cert.der().clone()],
        rustls::pki_types::PrivateKeyDer::Pkcs8(key.signing_key.serialize_der().into()),
    )
    .unwrap();
    let server = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut tls = rustls::ServerConnection::new(Arc::new(tls)).unwrap();
        let mut read = String::new();
        let mut stream = rustls::Stream::new(&mut tls, &mut stream);
        let failed = std::io::Read::read_to_string(&mut stream, &mut read).is_err();
        (failed, read)
    });
    let (_receiver, mut world) = world(|_| {});
    world.url = format!("https://localhost:{}/", address.port());
    world.push_online(1);
    world.start();
    world.failed();
    let said = world.board.status().last_error.unwrap();
    assert!(
        said.contains("TLS") && said.contains("UnknownIssuer"),
        "{said}"
    );
    assert_eq!(server.join().unwrap(), (true, String::new()));
}

#[test]
fn a_queue_that_cannot_be_read_is_read_later() {
    let (receiver, mut world) = world(|_| {});
    world.start();
    world.push_online(1);
    world.sent(1);
    receiver.request();
    world.queue.inner().is_unreadable = true;
    world.push_online(1);
    world.failed();
    let said = world.board.status().last_error.unwrap();
    assert_eq!(
        said,
        "the queue of events cannot be read: the disk does not answer"
    );
    world.queue.inner().is_unreadable = false;
    world.turn_to_the_next_attempt();
    assert_eq!(receiver.request().ids(), ids(2..=2));
    world.sent(1);
}

#[test]
fn what_the_queue_drops_is_passed_over() {
    let (receiver, mut world) = world(|plan| plan.settings.batch = 4);
    receiver.next(Answer::status(500));
    world.push_online(10);
    world.start();
    world.failed();
    assert_eq!(receiver.request().ids(), ids(1..=4));
    world.queue.inner().events.retain(|number, _| *number > 2);
    world.turn_to_the_next_attempt();
    assert_eq!(receiver.request().ids(), ids(3..=4));
    assert_eq!(receiver.request().ids(), ids(5..=8));
}

// ---- the end ----

#[test]
fn it_stops_at_once_when_nothing_is_to_do_and_in_a_pause() {
    for status in [200, 500] {
        let (receiver, mut world) = world(|plan| plan.timing.grace = Duration::from_secs(1000));
        receiver.always(Answer::status(status));
        world.push_online(1);
        world.start();
        world.told();
        assert!(world.sender().stop());
        assert!(world.sender().stop(), "and again");
    }
}

#[test]
fn a_request_that_hangs_is_left_behind_and_its_events_come_again_after_the_next_start() {
    let (receiver, mut world) = world(|plan| plan.timing = Timing::default());
    receiver.next(Answer::Hang);
    world.push_online(3);
    world.start();
    assert_eq!(receiver.request().ids(), ids(1..=3));
    assert!(world.board.status().in_flight);
    let begin = Instant::now();
    assert!(world.sender().stop());
    assert!(
        begin.elapsed() < Duration::from_secs(2),
        "{:?}",
        begin.elapsed()
    );
    assert!(!world.board.status().in_flight);
    assert_eq!(world.queue.inner().cursor, 0);
    world.restart();
    assert_eq!(receiver.request().ids(), ids(1..=3));
    world.sent(3);
}

#[test]
fn a_request_that_is_answered_shortly_counts_at_the_end_too_and_nothing_follows_it() {
    let (receiver, mut world) = world(|plan| {
        plan.settings.batch = 2;
        plan.timing.grace = SOON;
    });
    let (gate, gated) = mpsc::channel();
    receiver.next(Answer::Gate(Arc::new(Mutex::new(gated))));
    world.push_online(4);
    world.start();
    receiver.request();
    thread::scope(|scope| {
        let sender = world.sender();
        let stopped = scope.spawn(|| sender.stop());
        // Whether it comes before the end has begun or after, it counts.
        gate.send(()).unwrap();
        assert!(stopped.join().unwrap());
    });
    let cursor = world.queue.inner().cursor;
    assert!(cursor >= 2, "{cursor}");
    assert_eq!(world.board.status().cursor, cursor);
    world.restart();
    if cursor == 2 {
        assert_eq!(receiver.request().ids(), ids(3..=4));
    }
}

#[test]
fn a_store_that_does_not_answer_holds_the_end_up_for_two_seconds() {
    let (_receiver, mut world) = world(|_| {});
    let (came, has_come) = mpsc::channel();
    let (gate, gated) = mpsc::channel();
    world.queue.inner().hang = Some((came, gated));
    world.start();
    has_come.recv_timeout(SOON).unwrap();
    let begin = Instant::now();
    assert!(!world.sender().stop());
    assert!(
        begin.elapsed() < Duration::from_secs(4),
        "{:?}",
        begin.elapsed()
    );
    gate.send(()).unwrap();
}

#[test]
fn it_does_not_start_without_an_address_and_a_secret() {
    let (_receiver, world) = world(|_| {});
    let start = |url: &str, secret: &str| {
        let mut plan = plan(url);
        plan.secret = Secret::new(secret);
        world.try_start(plan).unwrap_err()
    };
    assert!(matches!(start("", SECRET), StartError::NoUrl));
    assert!(matches!(
        start("http://127.0.0.1/", ""),
        StartError::NoSecret
    ));
    let error = start("mailto:someone", SECRET);
    assert!(matches!(error, StartError::Impossible(_)), "{error}");
}

// ---- what nobody may see ----

#[test]
fn no_secret_is_in_the_log_or_in_what_operators_see() {
    record_the_log();
    let cases = [
        Answer::status(404),
        Answer::status(500),
        Answer::Cut,
        Answer::Hang,
        Answer::Garbage,
    ];
    let (receiver, mut world) = world(|plan| plan.timing.whole = HANG);
    let mut shown = String::new();
    for answer in &cases {
        receiver.next(answer.clone());
    }
    world.push_online(1);
    world.start();
    for _ in &cases {
        world.failed();
        let status = world.board.status();
        shown += &format!("{status:?}{}", serde_json::to_string(&status).unwrap());
        world.turn_to_the_next_attempt();
    }
    world.sent(1);
    let begin = format!("webhook to http://{}: ", receiver.address);
    let log = LOG.lock().unwrap().clone();
    let ours = log.iter().filter(|line| line.contains(&begin));
    let ours: Vec<_> = ours.map(|line| line.replace(&begin, "")).collect();
    assert_eq!(ours.len(), cases.len() + 1, "{ours:#?}");
    assert!(ours[0].starts_with("ERROR yizhan::webhook"), "{}", ours[0]);
    assert!(ours[1].starts_with("WARN yizhan::webhook"), "{}", ours[1]);
    assert!(
        ours[5].ends_with("goes on after 5 failed attempts"),
        "{}",
        ours[5]
    );
    shown += &ours.join("\n");
    shown += &format!("{:?}{:?}{:?}", world.sender(), world.board, world.bell);
    assert!(
        !shown.contains("in-the-url") && !shown.contains("/yizhan?"),
        "{shown}"
    );
    let everything = log.join("\n") + &shown;
    assert!(!everything.contains(SECRET));
}

// ---- how it is done ----

/// A sender, what it works with, and clocks that are turned by hand.
struct World {
    sender: Option<Sender>,
    setup: Box<dyn Fn(&mut Plan)>,
    url: String,
    queue: Arc<MemoryQueue>,
    bell: Bell,
    board: Board,
    meter: Arc<Ears>,
    told: mpsc::Receiver<Told>,
    server: Arc<AtomicU64>,
    wall: Arc<AtomicU64>,
}

#[derive(Debug, PartialEq, Eq)]
enum Told {
    Sent(u64),
    Failed,
}

/// Hears what is counted, so that a test can wait for it.
struct Ears(Mutex<mpsc::Sender<Told>>);

impl Meter for Ears {
    fn sent(&self, events: u64) {
        let _ = self.0.lock().unwrap().send(Told::Sent(events));
    }

    fn failed(&self) {
        let _ = self.0.lock().unwrap().send(Told::Failed);
    }
}

/// A receiver that takes everything, and a sender for it that is not started.
fn world(setup: impl Fn(&mut Plan) + 'static) -> (Receiver, World) {
    let receiver = Receiver::start();
    let (ears, told) = mpsc::channel();
    let world = World {
        sender: None,
        setup: Box::new(setup),
        url: receiver.url(),
        queue: Arc::default(),
        bell: Bell::default(),
        board: Board::default(),
        meter: Arc::new(Ears(Mutex::new(ears))),
        told,
        server: Arc::new(AtomicU64::new(1_000_000)),
        wall: Arc::new(AtomicU64::new(WALL_MS)),
    };
    (receiver, world)
}

fn plan(url: &str) -> Plan {
    Plan {
        settings: Webhook {
            url: url.into(),
            secret: Secret::new(""),
            events: EventKind::ALL.to_vec(),
            payload: true,
            batch: 100,
            keep_ms: 1,
            max_events: 1,
        },
        secret: Secret::new(SECRET),
        tag: TAG.into(),
        names: Box::new(name),
        timing: Timing::default(),
    }
}

fn name(party: Party) -> String {
    match party {
        Party::User(1) => "kybqdp".into(),
        Party::User(108) => "7b4v1b".into(),
        Party::User(uid) => format!("u{uid}"),
        Party::Group(gid) => format!("g{gid}"),
    }
}

impl World {
    fn start(&mut self) {
        let mut plan = plan(&self.url);
        (self.setup)(&mut plan);
        self.sender = Some(self.try_start(plan).unwrap());
    }

    /// The next start of the process, over the same queue.
    fn restart(&mut self) {
        (self.bell, self.board) = Default::default();
        self.start();
    }

    fn try_start(&self, plan: Plan) -> Result<Sender, StartError> {
        let clock = |hand: &Arc<AtomicU64>| {
            let hand = hand.clone();
            Arc::new(move || hand.load(Ordering::Relaxed))
        };
        Sender::start(
            plan,
            self.queue.clone(),
            self.bell.clone(),
            self.board.clone(),
            self.meter.clone(),
            Clocks {
                server: clock(&self.server),
                wall: clock(&self.wall),
            },
        )
    }

    fn sender(&self) -> &Sender {
        self.sender.as_ref().unwrap()
    }

    fn push_online(&self, count: u64) {
        self.queue.push_online(count);
        self.bell.ring();
    }

    fn last(&self) -> u64 {
        *self.queue.inner().events.keys().last().unwrap()
    }

    fn now(&self) -> u64 {
        self.server.load(Ordering::Relaxed)
    }

    fn told(&self) -> Told {
        self.told.recv_timeout(SOON).expect("an attempt")
    }

    fn sent(&self, events: u64) {
        let told = self.told();
        assert_eq!(told, Told::Sent(events), "{:?}", self.board);
    }

    fn failed(&self) {
        let told = self.told();
        assert_eq!(told, Told::Failed, "{:?}", self.board);
    }

    fn turn_to_the_next_attempt(&self) {
        let due = self.board.status().next_attempt_ms.expect("a pause");
        self.server.store(due, Ordering::Relaxed);
        self.bell.ring();
    }
}

/// What a receiver does with a request: it keeps what it has not.
fn keep(kept: &mut Vec<String>, request: &Request) {
    for id in request.ids() {
        if !kept.contains(&id) {
            kept.push(id);
        }
    }
}

fn ids(numbers: std::ops::RangeInclusive<u64>) -> Vec<String> {
    numbers.map(|n| format!("evt_{TAG}_{n:020}")).collect()
}

fn message(payload: Option<&str>) -> Message {
    Message {
        id: "cdsgrbgppoodp0gvpb60".into(),
        kind: "C2C".into(),
        from: 1,
        to: Party::User(108),
        cseq: Some(12),
        payload: payload.map(Into::into),
        created_at: Some(1_668_877_742_828),
        expires_at: Some(1_669_482_542_900),
    }
}

/// The events of docs/WEBHOOKS.md.
fn examples() -> Vec<Event> {
    let message = message(Some(r#"{"msg_type":"text","text":"1to108"}"#));
    let target = Target {
        id: message.id.clone(),
        kind: message.kind.clone(),
        from: message.from,
        to: message.to,
    };
    let events = [
        (
            1_668_877_742_900,
            What::Accepted {
                message: message.clone(),
            },
        ),
        (
            1_668_877_742_901,
            What::Parked {
                message,
                readers: vec![108],
                reason: Reason::Offline,
            },
        ),
        (
            1_668_877_790_000,
            What::Delivered {
                message: target,
                reader: 108,
                did: "b-phone".into(),
            },
        ),
        (
            1_668_877_795_000,
            What::Read {
                kind: "C2C".into(),
                reader: 108,
                to: Party::User(1),
                up_to: 12,
            },
        ),
        (
            1_668_877_780_000,
            What::Online {
                uid: 108,
                did: "b-phone".into(),
                dtype: Some("ios".into()),
            },
        ),
        (
            1_668_877_990_000,
            What::Offline {
                uid: 108,
                did: Some("b-phone".into()),
            },
        ),
        (1_668_878_000_000, What::Started),
    ];
    events.map(|(at, what)| Event { at, what }).into()
}

static LOG: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// Takes down what anybody in this process logs from here on, at every level.
fn record_the_log() {
    struct Recorder;

    impl log::Log for Recorder {
        fn enabled(&self, _: &log::Metadata<'_>) -> bool {
            true
        }

        fn log(&self, record: &log::Record<'_>) {
            let line = format!("{} {} {}", record.level(), record.target(), record.args());
            LOG.lock().unwrap().push(line);
        }

        fn flush(&self) {}
    }

    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        log::set_logger(&Recorder).unwrap();
        log::set_max_level(log::LevelFilter::Trace);
    });
}
