//! What people do on real sockets, told by the real server to a receiver over HTTP, good or bad.
#![allow(clippy::unwrap_used, clippy::expect_used, unreachable_pub)]

#[path = "hooks/clock.rs"]
mod clock;
#[path = "webhook/receiver.rs"]
mod receiver;
#[path = "support/lib.rs"]
mod support;
#[path = "hooks/told.rs"]
mod told;
#[path = "people/town.rs"]
#[allow(dead_code)]
mod town;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, mpsc};

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use yizhan::config::webhook::EventKind;
use yizhan::machine::inbox::Bounds;
use yizhan::message::Op;
use yizhan::store::ledger::{Hooks, Ledger, People, Policy, prepare};
use yizhan::store::memory::MemoryEngine;
use yizhan::store::{Engine, record};
use yizhan::webhook::{Event, What};

use clock::Clock;
use receiver::{Answer, Receiver, Request};
use support::{
    ALICE, BOB, CAROL, Client, DEADLINE, ONCE, Server, text_payload, until, until_online,
};
use told::Told;
use town::{found, hears, name, send_c2g, takes_c2g};

const DAVE: u64 = 7;
const ERIN: u64 = 8;
const SECRET: &str = "hunter2-and-more";
const MINUTE_S: u64 = 60;
/// Behind the only copy of a message by [`ONCE`], and what comes after it.
const WALK_S: u64 = 11 * MINUTE_S;
/// How long the default of `inbox.ttl_ms` is.
const TTL_MS: u64 = 7 * 24 * 3_600_000;
/// A device that is still here when its clock is turned by hours.
const PATIENT: &str = "device.idle_timeout_ms=86400000";
/// Attempts that fail before the receiver is back.
const FAILURES: u64 = 12;
/// How often one device takes the place of another.
const ROUNDS: usize = 200;

/// A server that goes by a clock that is turned, its receiver, and what that was told.
struct Scene {
    receiver: Receiver,
    clock: Clock,
    server: Server,
    told: Told,
    /// How many of its events the test has looked at.
    seen: usize,
}

impl Scene {
    async fn start(receiver: Receiver, sets: &[&str]) -> Scene {
        let clock = Clock::new();
        let url = format!("webhook.url={}", receiver.url());
        let secret = format!("webhook.secret={SECRET}");
        let ours = [&url, &secret, ONCE, PATIENT];
        let server = clock.server(&[&ours, sets].concat()).await;
        Scene {
            receiver,
            clock,
            server,
            told: Told::new(SECRET),
            seen: 0,
        }
    }

    /// The next event, whenever it comes.
    fn event(&mut self) -> Value {
        while self.told.events().len() == self.seen {
            self.take();
        }
        self.seen += 1;
        self.told.events()[self.seen - 1].clone()
    }

    /// Holds that this is the next event, and gives its time.
    fn tells(&mut self, kind: &str, mut members: Value) -> u64 {
        let event = self.event();
        let at = event["at"].as_u64().unwrap();
        let age_s = (at / 1000).abs_diff(self.clock.now_s());
        assert!(age_s <= 5 * MINUTE_S, "{age_s} s away from now: {event}");
        members["id"] = event["id"].clone();
        members["event"] = kind.into();
        members["at"] = at.into();
        assert_eq!(event, members);
        at
    }

    fn take(&mut self) -> Request {
        let request = self.receiver.request();
        self.told.take(&request, self.clock.now_s());
        request
    }

    /// Until this concerns this user.
    fn take_until(&mut self, uid: u64, line: &str) {
        let name = name(uid);
        while !self.told.has(&name, line) {
            self.take();
        }
    }

    /// Turns the clock by so many seconds, and waits until all of the server goes by it.
    async fn turn(&self, seconds: u64) {
        self.clock.turn(seconds);
        let live = async |listener| {
            let request = format!("GET /health/live HTTP/1.0\r\nhost: {listener}\r\n\r\n");
            let mut stream = TcpStream::connect(listener).await.unwrap();
            let mut answer = Vec::new();
            // One that comes too late may be cut in the middle.
            let _ = stream.write_all(request.as_bytes()).await;
            let _ = stream.read_to_end(&mut answer).await;
            answer.get(8..12) == Some(b" 200")
        };
        // Each thread of the HTTP server looks at the clock twice a second, and until then finds every request late.
        let threads = std::thread::available_parallelism().unwrap().get();
        for listener in [self.server.public, self.server.admin] {
            let mut in_a_row = 0;
            while in_a_row < 2 * threads {
                let is_live = timeout(DEADLINE, live(listener)).await;
                in_a_row = match is_live.expect("an answer") {
                    true => in_a_row + 1,
                    false => 0,
                };
            }
        }
    }

    async fn failed(&self) -> u64 {
        self.server.metric("yizhan_webhook_failed_total").await as u64
    }

    /// Waits until more attempts than so many have failed, and gives how many.
    async fn fails_more(&mut self, before: u64) -> u64 {
        let has = async || self.failed().await > before;
        until("another attempt that fails", has).await;
        while let Some(request) = self.receiver.try_request() {
            self.told.take(&request, self.clock.now_s());
        }
        self.failed().await
    }

    /// Waits until so many events are counted there.
    async fn counts(&self, metric: &str, count: u64) {
        let what = format!("{metric} {count}");
        let has = async || self.server.metric(metric).await == count as f64;
        until(&what, has).await;
    }
}

// ---- what arrives ----

#[tokio::test]
async fn every_kind_of_event_comes_of_what_people_do_with_the_members_that_the_page_names() {
    let mut scene = Scene::start(Receiver::start(), &[]).await;
    let [a, b, c, d] = [ALICE, BOB, CAROL, DAVE].map(name);
    scene.tells("started", json!({}));
    let mut alice = scene.server.login(ALICE, "a-phone").await;
    let online = |uid: &str, did: &str| json!({"uid": uid, "did": did, "dtype": "test"});
    scene.tells("online", online(&a, "a-phone"));

    // To somebody who is away.
    let payload = r#"{"msg_type":"text",  "text":"caf\u00e9","n":1.0}"#;
    alice.send_payload("m1", BOB, payload).await;
    let accepted = alice.accepted("m1").await;
    let direct = |to: &str, id: &str, text: &str, accepted: &support::Frame| {
        json!({
            "id": id, "type": "C2C", "from": a, "to": to, "cseq": accepted.num("cseq"),
            "payload": serde_json::from_str::<Value>(text).unwrap(), "created_at": 1_668_877_742_828_u64,
            "expires_at": accepted.num("server_ts") + TTL_MS,
        })
    };
    let m1 = direct(&b, "m1", payload, &accepted);
    let at = scene.tells("accepted", json!({"message": m1}));
    assert_eq!(at, accepted.num("server_ts"));
    scene.tells(
        "parked",
        json!({"message": m1, "readers": [b], "reason": "offline"}),
    );

    // He comes, takes it and reads it, and another device of his comes and goes.
    let mut bob = scene.server.login(BOB, "b-phone").await;
    scene.tells("online", online(&b, "b-phone"));
    let place = bob.takes("m1").await.num("cseq");
    let target = json!({"id": "m1", "type": "C2C", "from": a, "to": b});
    let delivered = json!({"message": target, "reader": b, "did": "b-phone"});
    scene.tells("delivered", delivered);
    reads(&mut bob, "C2C", &a, place).await;
    let read = json!({"type": "C2C", "reader": b, "to": a, "up_to": place});
    scene.tells("read", read);
    let pad = scene.server.login(BOB, "b-pad").await;
    scene.tells("online", online(&b, "b-pad"));
    pad.leave().await;
    scene.tells("offline", json!({"uid": b, "did": "b-pad"}));

    // To somebody who is there and acknowledges nothing.
    let mut carol = scene.server.login(CAROL, "c-phone").await;
    scene.tells("online", online(&c, "c-phone"));
    alice.send_c2c("m2", CAROL, "hello").await;
    let accepted = alice.accepted("m2").await;
    carol.receives("m2").await;
    let m2 = direct(&c, "m2", &text_payload("hello"), &accepted);
    scene.tells("accepted", json!({"message": m2}));
    scene.turn(WALK_S).await;
    let parked = json!({"message": m2, "readers": [c], "reason": "unacknowledged"});
    scene.tells("parked", parked);

    // To a group: one takes it, one acknowledges nothing, and two are away.
    let gid = found(&scene.server, ALICE, &[BOB, CAROL, DAVE, ERIN]).await;
    send_c2g(&mut alice, "g1", &gid).await;
    let accepted = hears(&mut alice, "C2G_SERVER_ACK", "g1").await;
    let g1 = json!({
        "id": "g1", "type": "C2G", "from": a, "to": gid, "cseq": accepted.num("cseq"),
        "payload": {"msg_type": "text", "text": "to all of you"},
        "expires_at": accepted.num("server_ts") + TTL_MS,
    });
    scene.tells("accepted", json!({"message": g1}));
    let away = json!({"message": g1, "readers": [d, name(ERIN)], "reason": "offline"});
    scene.tells("parked", away);
    let place = takes_c2g(&mut bob, "g1").await.num("cseq");
    let target = json!({"id": "g1", "type": "C2G", "from": a, "to": gid});
    let delivered = json!({"message": target, "reader": b, "did": "b-phone"});
    scene.tells("delivered", delivered);
    reads(&mut bob, "C2G", &gid, place).await;
    let read = json!({"type": "C2G", "reader": b, "to": gid, "up_to": place});
    scene.tells("read", read);
    hears(&mut carol, "C2G", "g1").await;
    scene.turn(WALK_S).await;
    let parked = json!({"message": g1, "readers": [c], "reason": "unacknowledged"});
    scene.tells("parked", parked);

    // One says goodbye, one is gone without a word, and one is there when the server ends.
    bob.leave().await;
    scene.tells("offline", json!({"uid": b}));
    carol.vanish();
    scene.tells("offline", json!({"uid": c}));
    scene.server.signal_term();
    assert_eq!(alice.closed().await, Some(4052));
    assert!(scene.server.ended().await.success());
    scene.server.restart().await;
    scene.tells("offline", json!({"uid": a}));
    scene.tells("started", json!({}));

    let told = scene.told.events().iter();
    let told: BTreeSet<&str> = told.map(|event| event["event"].as_str().unwrap()).collect();
    assert_eq!(told, EventKind::ALL.map(EventKind::name).into());
}

#[tokio::test]
async fn a_payload_is_told_byte_for_byte_and_signed_with_the_secret_of_the_keys_file() {
    let receiver = Receiver::start();
    let url = format!("webhook.url={}", receiver.url());
    let only = r#"webhook.events=["accepted"]"#;
    let server = Server::start(&[&url, only, ONCE]).await;
    let keys = std::fs::read_to_string(server.data_dir().join("keys.toml")).unwrap();
    let keys: toml::Table = keys.parse().unwrap();
    let secret = keys["webhook_secret"].as_str().unwrap();
    let mut alice = server.login(ALICE, "a-phone").await;
    let payload = r#"{"msg_type":"text",  "text":"caf\u00e9 \/ 驿站","n":1.00}"#;
    alice.send_payload("m1", BOB, payload).await;
    let request = receiver.request();
    assert_eq!(request.line, "POST /yizhan?key=in-the-url HTTP/1.1");
    assert_eq!(request.header("content-type"), "application/json");
    let signature = request.header("yizhan-signature");
    assert_eq!(signature, request.signature(secret));
    let body = String::from_utf8(request.body).unwrap();
    assert!(body.contains(&format!(r#""payload":{payload}"#)), "{body}");
}

// ---- what fails ----

#[tokio::test]
async fn a_receiver_that_fails_for_more_than_ten_minutes_and_comes_back_has_every_event_once_and_in_order()
 {
    let receiver = Receiver::start();
    receiver.always(Answer::status(503));
    let mut scene = Scene::start(receiver, &["webhook.batch=7"]).await;
    let mut friends = Friends::meet(&scene.server).await;

    // Every attempt fails, in one way or another. Meanwhile people talk, and nobody waits for anything.
    let ways = [
        Some(Answer::status(500)),
        Some(Answer::Cut),
        Some(Answer::with(503, "retry-after", "120")),
        Some(Answer::status(404)),
        // Nobody can connect.
        None,
        None,
    ];
    let mut ways = ways.iter().cycle();
    let mut failed = 0;
    while failed < FAILURES {
        friends.live(&scene.server).await;
        failed = scene.fails_more(failed).await;
        match ways.next().unwrap() {
            Some(answer) => {
                scene.receiver.always(answer.clone());
                scene.receiver.admit();
            }
            None => scene.receiver.refuse(),
        }
        // As long as the pause is at most: whatever happens next, the next attempt is due.
        let doubled_s = 1 << (failed - 1).min(20);
        let pause_s = doubled_s.clamp(120, 5 * MINUTE_S);
        scene.turn(pause_s).await;
    }
    assert!(scene.clock.turned_s() > 10 * MINUTE_S);

    // It is back, but slow at first: still nobody waits.
    let (let_go, gate) = mpsc::channel();
    scene.receiver.admit();
    scene.receiver.always(Answer::status(200));
    scene
        .receiver
        .next(Answer::Gate(Arc::new(Mutex::new(gate))));
    friends.live(&scene.server).await;
    let held = scene.take();
    friends.live(&scene.server).await;
    // It fails once more in the middle.
    scene.receiver.next(Answer::status(200));
    scene.receiver.next(Answer::status(503));
    let_go.send(()).unwrap();
    let last = friends.live(&scene.server).await;
    scene.take_until(BOB, &last);
    while count(&scene.told.by_user()) < count(&friends.lines) {
        scene.take();
    }
    assert_eq!(scene.told.by_user(), friends.lines);

    let events = scene.told.events();
    assert_eq!(held.ids()[0], events[0]["id"]);
    let kinds: BTreeSet<&str> = events
        .iter()
        .map(|e| e["event"].as_str().unwrap())
        .collect();
    assert_eq!(kinds, EventKind::ALL.map(EventKind::name).into());
    let times = events.iter().map(|event| event["at"].as_u64().unwrap());
    let lasted_ms = times.clone().max().unwrap() - times.min().unwrap();
    assert!(lasted_ms > 10 * MINUTE_S * 1000, "{lasted_ms} ms");
    // What it has confirmed did not come to it again.
    let count = events.len() as u64;
    scene.counts("yizhan_webhook_sent_total", count).await;
}

#[tokio::test]
async fn nothing_is_missing_although_the_server_is_killed_while_the_receiver_is_away_and_while_it_takes()
 {
    let receiver = Receiver::start();
    receiver.refuse();
    let url = format!("webhook.url={}", receiver.url());
    let secret = format!("webhook.secret={SECRET}");
    let sets = [&*url, &secret, "webhook.batch=10", ONCE];
    let mut server = Server::start(&sets).await;
    let mut told = Told::new(SECRET);
    let ids = |kind: char, count| (0..count).map(move |at| format!("{kind}{at}"));
    let (direct, to_group) = (ids('m', 40), ids('g', 20));

    // Killed in the middle of what is said, while nobody can be told.
    let gid = found(&server, ALICE, &[BOB, CAROL]).await;
    let mut bob = server.login(BOB, "b-phone").await;
    let mut alice = server.login(ALICE, "a-phone").await;
    let say = async |alice: &mut Client| {
        for id in direct.clone() {
            alice.send_c2c(&id, BOB, "hello").await;
        }
        for id in to_group.clone() {
            send_c2g(alice, &id, &gid).await;
        }
    };
    say(&mut alice).await;
    for id in direct.clone().take(5) {
        bob.takes(&id).await;
    }
    server.kill9().await;
    receiver.always(Answer::status(503));
    receiver.admit();
    server.restart().await;
    let mut bob = server.login(BOB, "b-phone").await;
    let mut alice = server.login(ALICE, "a-phone").await;
    say(&mut alice).await;
    for id in to_group.clone() {
        hears(&mut alice, "C2G_SERVER_ACK", &id).await;
    }
    for id in direct.clone().skip(5) {
        bob.takes(&id).await;
    }
    for id in to_group.clone() {
        takes_c2g(&mut bob, &id).await;
    }

    // Killed with a request in the receiver's hands that it has not answered.
    while let Some(request) = receiver.try_request() {
        told.take(&request, now_s());
    }
    let (held, gate) = mpsc::channel::<()>();
    let failing = receiver.request();
    told.take(&failing, now_s());
    receiver.next(Answer::Gate(Arc::new(Mutex::new(gate))));
    receiver.always(Answer::status(200));
    let unanswered = receiver.request();
    assert_eq!(unanswered.ids(), failing.ids());
    told.take(&unanswered, now_s());
    server.kill9().await;
    drop(held);

    // Killed while the receiver takes one request after the other.
    server.restart().await;
    let again = receiver.request();
    assert_eq!(again.ids(), unanswered.ids());
    told.take(&again, now_s());
    for _ in 0..3 {
        told.take(&receiver.request(), now_s());
    }
    server.kill9().await;

    server.restart().await;
    let mut bob = server.login(BOB, "b-phone").await;
    let mut alice = server.login(ALICE, "a-phone").await;
    alice.send_c2c("last", BOB, "hello").await;
    alice.accepted("last").await;
    bob.takes("last").await;
    while !told.has(&name(BOB), "delivered last b-phone") {
        told.take(&receiver.request(), now_s());
    }

    let line = |kind: &str, id: String, more: &str| format!("{kind} {id}{more}");
    let all = || direct.clone().chain(to_group.clone());
    let delivered = all().map(|id| line("delivered", id, " b-phone"));
    let mut bobs: Vec<String> = delivered.collect();
    bobs.insert(5, "online b-phone".into());
    bobs.insert(0, "online b-phone".into());
    bobs.extend(["online b-phone".into(), "delivered last b-phone".into()]);
    let accepted = all().chain(["last".into()]);
    let alices: Vec<String> = accepted.map(|id| line("accepted", id, "")).collect();
    let parked = to_group.clone().map(|id| line("parked", id, " offline"));
    let mut by_user = told.by_user();
    assert_eq!(by_user[&name(BOB)], bobs);
    assert_eq!(by_user[&name(CAROL)], parked.collect::<Vec<_>>());
    // When she came back first, nobody knows how much of what she had said was accepted.
    let mut came = 0;
    by_user.get_mut(&name(ALICE)).unwrap().retain(|line| {
        let is_online = line == "online a-phone";
        came += u32::from(is_online);
        !is_online
    });
    assert_eq!((came, &by_user[&name(ALICE)]), (3, &alices));
    let starts = told.events().iter().filter(|e| e["event"] == "started");
    assert_eq!(starts.count(), 4);
}

#[tokio::test]
async fn what_waits_too_long_or_beyond_the_most_is_dropped_the_oldest_first_and_counted() {
    let receiver = Receiver::start();
    receiver.refuse();
    let sets = [
        r#"webhook.events=["accepted"]"#,
        "webhook.max_events=10",
        "webhook.keep_ms=3600000",
    ];
    let mut scene = Scene::start(receiver, &sets).await;
    let mut alice = scene.server.login(ALICE, "a-phone").await;
    let says = async |alice: &mut Client, ids: Range<u32>| {
        for at in ids {
            let id = format!("m{at}");
            alice.send_c2c(&id, BOB, "hello").await;
            alice.accepted(&id).await;
        }
    };
    // Ten of thirty may stay, and none for longer than an hour.
    says(&mut alice, 0..30).await;
    scene.counts("yizhan_webhook_dropped_total", 20).await;
    scene.turn(61 * MINUTE_S).await;
    scene.counts("yizhan_webhook_dropped_total", 30).await;
    let failed = scene.failed().await;
    says(&mut alice, 30..33).await;
    scene.fails_more(failed).await;
    scene.receiver.admit();
    scene.turn(5 * MINUTE_S).await;
    says(&mut alice, 33..34).await;
    scene.take_until(ALICE, "accepted m33");
    let kept = (30..34).map(|at| format!("accepted m{at}")).collect();
    assert_eq!(scene.told.by_user(), [(name(ALICE), kept)].into());
    scene.counts("yizhan_webhook_sent_total", 4).await;
    scene.counts("yizhan_webhook_dropped_total", 30).await;
}

// ---- in which order ----

#[tokio::test]
async fn nobody_is_said_to_be_gone_who_has_come_meanwhile_on_another_device() {
    let receiver = Receiver::start();
    let url = format!("webhook.url={}", receiver.url());
    let secret = format!("webhook.secret={SECRET}");
    let events = r#"webhook.events=["online","offline"]"#;
    let server = Server::start(&[&url, &secret, events]).await;
    let mut told = Told::new(SECRET);
    let mut here = server.login(BOB, "b-0").await;
    for turn in 1..=ROUNDS {
        let did = format!("b-{}", turn % 2);
        let coming = server.login(BOB, &did);
        (here, ()) = tokio::join!(coming, here.leave());
        let mut connected = BTreeSet::new();
        // One has come first, and in each turn one comes and one goes.
        while told.events().len() < 1 + 2 * turn {
            told.take(&receiver.request(), now_s());
        }
        for line in &told.by_user()[&name(BOB)] {
            match line.split_once(' ').unwrap() {
                ("online", did) => drop(connected.insert(did.to_owned())),
                (_, "all") => connected.clear(),
                (_, did) => drop(connected.remove(did)),
            }
        }
        assert_eq!(connected, [did].into(), "turn {turn}");
    }
}

#[test]
fn whether_a_device_was_the_last_of_its_user_is_judged_in_the_commit_that_tells_of_it() {
    let engine = Arc::new(MemoryEngine::new());
    prepare(&*engine).unwrap();
    let policy = Policy {
        bounds: Bounds {
            max_messages: 10,
            max_devices: 2,
            forget_ms: u64::MAX,
        },
        ttl_ms: TTL_MS,
        people: People::DEFAULT,
    };
    let mut ledger = Ledger::new(engine.clone(), policy);
    let has_others = Arc::new(AtomicBool::new(true));
    let has = has_others.clone();
    ledger.tell_receiver(Hooks {
        wanted: EventKind::ALL.to_vec(),
        payload: true,
        keep_ms: u64::MAX,
        max_events: 10,
        park_ms: 0,
        is_online: Arc::new(move |_| has.load(Ordering::Relaxed)),
    });
    let left = What::Offline {
        uid: BOB,
        did: Some("b-phone".into()),
    };
    ledger.commit(1, &[Op::Tell(left.clone())]).unwrap();
    has_others.store(false, Ordering::Relaxed);
    ledger.commit(2, &[Op::Tell(left.clone())]).unwrap();
    let told = [1, 2].map(|number| {
        let key = record::event_key(number);
        let value = engine.get(&key).unwrap().expect("an event");
        record::decode::<Event>(&key, &value).unwrap().what
    });
    let all_left = What::Offline {
        uid: BOB,
        did: None,
    };
    assert_eq!(told, [left, all_left]);
}

fn now_s() -> u64 {
    yizhan::clock::wall_ms() / 1000
}

async fn reads(client: &mut Client, kind: &str, to: &str, up_to: u64) {
    let mark = format!(r#"{{"id":"r","type":"{kind}_READ","to":"{to}","up_to":{up_to}}}"#);
    client.send(mark).await;
    hears(client, &format!("{kind}_READ_OK"), "r").await;
}

fn count(lines: &BTreeMap<String, Vec<String>>) -> usize {
    lines.values().map(Vec::len).sum()
}

/// Alice and Bob, who are here; Carol, who is away; Dave, who comes and goes; and what is to be told of each.
struct Friends {
    alice: Client,
    bob: Client,
    gid: String,
    turns: usize,
    lines: BTreeMap<String, Vec<String>>,
}

impl Friends {
    async fn meet(server: &Server) -> Friends {
        let alice = server.login(ALICE, "a-phone").await;
        let bob = server.login(BOB, "b-phone").await;
        let gid = found(server, ALICE, &[BOB, CAROL]).await;
        let mut friends = Friends {
            alice,
            bob,
            gid,
            turns: 0,
            lines: BTreeMap::new(),
        };
        friends.note(ALICE, "online a-phone");
        friends.note(BOB, "online b-phone");
        friends
    }

    fn note(&mut self, uid: u64, line: impl Into<String>) {
        self.lines.entry(name(uid)).or_default().push(line.into());
    }

    /// A bit of everything, from the sender to the reader and back; the line of what Bob did last.
    async fn live(&mut self, server: &Server) -> String {
        self.turns += 1;
        let [direct, waits, group] = ["m", "w", "g"].map(|kind| format!("{kind}{}", self.turns));
        let (alice, bob) = (&mut self.alice, &mut self.bob);

        alice.send_c2c(&direct, BOB, "hello").await;
        alice.accepted(&direct).await;
        let place = bob.takes(&direct).await.num("cseq");
        alice.delivered(&direct).await;
        alice.send_c2c(&waits, CAROL, "hello").await;
        alice.accepted(&waits).await;
        send_c2g(alice, &group, &self.gid).await;
        hears(alice, "C2G_SERVER_ACK", &group).await;
        takes_c2g(bob, &group).await;
        hears(alice, "C2G_DELIVERED", &group).await;
        reads(bob, "C2C", &name(ALICE), place).await;
        server.login(DAVE, "d-phone").await.leave().await;
        until_online(server, 2).await;

        for id in [&direct, &waits, &group] {
            self.note(ALICE, format!("accepted {id}"));
        }
        for id in [&waits, &group] {
            self.note(CAROL, format!("parked {id} offline"));
        }
        for id in [&direct, &group] {
            self.note(BOB, format!("delivered {id} b-phone"));
        }
        let last = format!("read {} {place}", name(ALICE));
        self.note(BOB, &*last);
        self.note(DAVE, "online d-phone");
        self.note(DAVE, "offline all");
        last
    }
}
