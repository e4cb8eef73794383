//! A server whose disk has no room: a real process on a file system of a few megabytes.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "support/lib.rs"]
mod support;

use std::collections::{BTreeMap, BTreeSet};

use support::{
    ADMIN_TOKEN, ALICE, BOB, CAROL, Call, Client, Frame, Heard, ONCE, Server, SmallDisk, User, c2c,
    text_payload,
};

const MIB: u64 = 1 << 20;
/// Room for the store of these tests several times over.
const DISK: u64 = 24 * MIB;
/// What the threshold is where there is one.
const LEAST: u64 = 8 * MIB;
/// Times that the disk is filled in one test.
const ROUNDS: usize = 3;
/// Refused messages that show that a disk is full.
const REFUSED: usize = 8;

async fn serve_on(disk: &SmallDisk, min_free_bytes: u64) -> Server {
    let path = format!("store.path={}", disk.path().join("data").display());
    let least = format!("store.min_free_bytes={min_free_bytes}");
    Server::start(&[&path, &least, ONCE, "device.deliver_window=1024"]).await
}

/// Sends one message and tells whether it was accepted; otherwise the store has failed.
async fn is_accepted(sender: &mut Client, id: &str) -> bool {
    sender.send_c2c(id, BOB, &"x".repeat(3000)).await;
    let answer = sender
        .expect("an answer", |frame| {
            frame.is_about(id) && (frame.is("C2C_SERVER_ACK") || frame.is("ERROR"))
        })
        .await;
    if answer.is("ERROR") {
        assert_eq!(answer.num("code"), 500, "{answer:?}");
        assert_eq!(answer.str("to"), User::new(BOB).name);
    }
    answer.is("C2C_SERVER_ACK")
}

/// Takes what a reader is sent until it has been sent that message; nothing comes twice.
async fn takes_in(reader: &mut Client, seen: &mut BTreeMap<String, u64>, last: &str) {
    while !seen.contains_key(last) {
        let frame = reader.expect("a message", |frame| frame.is("C2C")).await;
        let twice = seen.insert(frame.id(), frame.seq());
        assert_eq!(twice, None, "{frame:?} came before");
    }
}

/// Acknowledges one message: whether that is durable, or the store has failed.
async fn is_acked(reader: &mut Client, id: &str) -> bool {
    reader.ack_text(id).await;
    let answer = reader
        .expect("an answer to the ack", |frame| {
            frame.is_about(id) && (frame.is("CLIENT_ACK_OK") || frame.is("ERROR"))
        })
        .await;
    if answer.is("ERROR") {
        assert_eq!(answer.num("code"), 500, "{answer:?}");
    }
    answer.is("CLIENT_ACK_OK")
}

/// Repeats an acknowledgement as a client does, by number; whether it holds now.
async fn repeats_ack(reader: &mut Client, seq: u64) -> bool {
    reader.ack_seqs(&[seq]).await;
    reader.ack_ok_numbers().await.nums("seqs") == [seq]
}

#[tokio::test]
async fn a_full_disk_costs_a_refusal_and_nothing_that_was_accepted() {
    let Some(disk) = SmallDisk::mount(DISK) else {
        return;
    };
    let mut server = serve_on(&disk, 0).await;
    let mut alice = server.login(ALICE, "a-phone").await;
    let mut bob = server.login(BOB, "b-phone").await;
    let (mut accepted, mut acked) = (BTreeSet::new(), BTreeSet::new());
    let mut seen = BTreeMap::new();

    for round in 0..ROUNDS {
        for n in 0..20 {
            let id = format!("before-{round}-{n}");
            assert!(is_accepted(&mut alice, &id).await, "there was room");
            accepted.insert(id);
        }
        takes_in(&mut bob, &mut seen, &format!("before-{round}-19")).await;
        let id = format!("before-{round}-0");
        assert!(is_acked(&mut bob, &id).await, "there was room");
        acked.insert(id);

        disk.fill();
        let mut owed = BTreeSet::new();
        let mut said_why = false;
        for n in 0.. {
            let id = format!("during-{round}-{n}");
            if is_accepted(&mut alice, &id).await {
                // What the store had taken from the disk before still has some room.
                accepted.insert(id);
                continue;
            }
            owed.insert(id);
            let ready = server.get("/health/ready").await;
            if ready.status == 503 {
                let msg = ready.json()["msg"].as_str().unwrap().to_owned();
                assert!(msg.starts_with("storage: "), "{msg}");
                said_why = true;
            }
            if said_why && owed.len() >= REFUSED {
                break;
            }
        }
        assert!(server.metric("yizhan_store_failures_total").await > 0.0);
        let id = format!("before-{round}-1");
        let is_durable = is_acked(&mut bob, &id).await;
        // Whoever is connected stays so.
        alice.ping().await;
        bob.ping().await;

        disk.free();
        server.until_ready_is(200, |_| true).await;
        assert!(is_durable || repeats_ack(&mut bob, seen[&id]).await);
        acked.insert(id);
        for id in owed {
            assert!(is_accepted(&mut alice, &id).await, "there is room again");
            accepted.insert(id);
        }
    }
    assert_eq!(server.metric("yizhan_store_ready").await, 1.0);
    let rows = server.metric("yizhan_inbox_rows").await;
    assert_eq!(rows as usize, accepted.len() - acked.len());

    server.kill9().await;
    server.restart().await;
    assert_eq!(server.metric("yizhan_inbox_rows").await, rows);
    let mut alice = server.login(ALICE, "a-phone").await;
    let states = states_of(&mut alice, &accepted).await;
    for (id, state) in &states {
        let expected = match acked.contains(id) {
            true => "delivered",
            false => "accepted",
        };
        assert_eq!(state, expected, "{id}");
    }
    let mut bob = server.login(BOB, "b-phone").await;
    let (mut came, mut next) = (BTreeMap::new(), 1);
    while came.len() < accepted.len() - acked.len() {
        let Heard::Frame(frame) = bob.next().await else {
            panic!("the connection ended");
        };
        if frame.is("C2C") {
            assert!(frame.seq() >= next, "out of order: {frame:?}");
            next = frame.seq() + 1;
            assert_eq!(came.insert(frame.id(), frame.seq()), None, "{frame:?}");
        }
    }
    bob.ack_up_to(next - 1).await;
    assert_eq!(bob.ack_ok_numbers().await.num("up_to"), next - 1);
    let owed: BTreeSet<&String> = accepted.difference(&acked).collect();
    assert_eq!(came.keys().collect::<BTreeSet<_>>(), owed);
    for (id, seq) in &seen {
        let again = came.get(id);
        assert!(again.is_none_or(|again| again == seq), "{id} changed place");
    }
    let left: Vec<Frame> = bob.sync(0, 100).await.frames("messages");
    assert!(left.is_empty(), "{left:?}");
}

async fn states_of(sender: &mut Client, ids: &BTreeSet<String>) -> BTreeMap<String, String> {
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    let mut states = BTreeMap::new();
    for some in ids.chunks(200) {
        let of: Vec<_> = some.iter().map(|id| (BOB, *id)).collect();
        let told = sender.status(&of).await;
        states.extend(some.iter().map(|id| id.to_string()).zip(told));
    }
    states
}

#[tokio::test]
async fn a_disk_that_is_nearly_full_stops_new_messages_before_it_is_full() {
    let Some(disk) = SmallDisk::mount(DISK) else {
        return;
    };
    let server = serve_on(&disk, LEAST).await;
    let mut alice = server.login(ALICE, "a-phone").await;
    alice.send_c2c("m1", BOB, "there is room").await;
    alice.accepted("m1").await;
    server.until_ready_is(200, |_| true).await;

    disk.leave(LEAST / 2);
    let said = "less than store.min_free_bytes";
    let ready = server.until_ready_is(503, |why| why.contains(said)).await;
    let msg = ready.json()["msg"].as_str().unwrap().to_owned();
    let path = disk.path().join("data").display().to_string();
    assert!(msg.starts_with("storage: ") && msg.contains(&path), "{msg}");
    assert_eq!(server.metric("yizhan_store_ready").await, 0.0);
    let free = server.metric("yizhan_store_free_bytes").await;
    assert!(free > 0.0 && free < LEAST as f64, "{free}");

    alice.send_c2c("m2", BOB, "is there room?").await;
    let refusal = alice.error(503).await;
    assert_eq!((refusal.id(), refusal.num("retry_ms")), ("m2".into(), 1000));
    let msg = refusal.str("msg");
    assert!(msg.contains("the disk is nearly full"), "{msg}");
    let posted = |id: &str| {
        let body = c2c(id, &User::new(BOB).name, &text_payload("posted"));
        let body = body.replace(
            r#""from":"""#,
            &format!(r#""from":"{}""#, User::new(CAROL).name),
        );
        Call::post(server.admin, "/v1/messages", &body).bearer(ADMIN_TOKEN)
    };
    let refusal = posted("p1").send().await;
    assert_eq!(refusal.refusal(503), 503);
    assert_eq!(refusal.json()["payload"]["retry_ms"], 1000);

    // A repeat, a new device, a delivery and its acknowledgement need next to nothing, or make room.
    alice.send_c2c("m1", BOB, "there is room").await;
    alice.accepted("m1").await;
    let mut bob = server.login(BOB, "b-phone").await;
    assert_eq!(bob.waiting(), 1);
    bob.takes("m1").await;
    alice.delivered("m1").await;
    assert_eq!(alice.status(&[(BOB, "m2")]).await, ["unknown"]);
    bob.heard_nothing_else().await;

    // Between the mark and a tenth above it nothing changes.
    disk.leave(LEAST + LEAST / 20);
    let said = "not yet a tenth more than store.min_free_bytes";
    server.until_ready_is(503, |why| why.contains(said)).await;
    disk.free();
    server.until_ready_is(200, |_| true).await;
    alice.send_c2c("m2", BOB, "is there room?").await;
    alice.accepted("m2").await;
    assert_eq!(bob.takes("m2").await.seq(), 2);
    assert_eq!(posted("p1").send().await.payload()["state"], "accepted");
}

#[tokio::test]
async fn a_server_that_starts_with_too_little_room_says_so_and_is_up() {
    let most = "store.min_free_bytes=1125899906842624";
    let server = Server::start(&[most, ONCE]).await;
    let log = server.log();
    let warned = log.lines().any(|line| {
        line.contains("WARN") && line.contains("bytes free on") && line.contains("1125899906842624")
    });
    assert!(warned, "{log}");
    assert_eq!(server.get("/health/live").await.status, 200);
    assert_eq!(server.get("/health/ready").await.status, 503);
    let mut alice = server.login(ALICE, "a-phone").await;
    alice.send_c2c("m1", BOB, "hello").await;
    alice.error(503).await;
}
