//! A reader who does not read, in every way there is: its connection ends, everything waits, and nobody else notices.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "support/lib.rs"]
mod support;

use std::{net::Ipv4Addr, time::Duration};

use support::{
    ALICE, BOB, CAROL, Client, Deaf, ONCE, SEED, Server, User, in_own_network, lose_packets_to,
    resident, until, until_online,
};
use tokio::time::sleep;

/// What the messages to one reader come to in these tests.
const JAM: usize = 50 << 20;
/// Messages that are sent before the answer to the first of them is waited for.
const AHEAD: usize = 8;
/// How much more memory a jam may take than its messages do in the engine.
const MARGIN: u64 = 16 << 20;

/// What it takes to send messages of a megabyte.
const LONG: [&str; 2] = ["listen.max_payload=1048576", "listen.max_frame=2097152"];

/// A settings line that keeps the pings out of a test.
const NO_PINGS: &str = "device.idle_timeout_ms=3600000";
/// One that leaves it to the pings to find out who is gone.
const NO_WRITE_DEADLINE: &str = "device.write_deadline_ms=3600000";

/// Sends `count` messages of so many bytes and sees them accepted; looks at something after each.
async fn send_many(
    sender: &mut Client,
    to: u64,
    (prefix, count, size): (&str, usize, usize),
    mut look: impl FnMut(),
) {
    let payload = format!("\"{}\"", "x".repeat(size - 2));
    for n in 0..count + AHEAD {
        if n < count {
            let id = format!("{prefix}-{n}");
            sender.send_payload(&id, to, &payload).await;
        }
        if let Some(n) = n.checked_sub(AHEAD) {
            sender.accepted(&format!("{prefix}-{n}")).await;
        }
        look();
    }
}

/// The most memory that the server has while this goes on, above what it has before.
async fn growth(
    server: &Server,
    sender: &mut Client,
    to: u64,
    (prefix, count, size): (&str, usize, usize),
) -> u64 {
    let before = resident(server.pid());
    let mut most = before;
    let look = || most = most.max(resident(server.pid()));
    send_many(sender, to, (prefix, count, size), look).await;
    most - before
}

/// Holds that everything waits for this user, comes at the next login in order and once, and that nothing is left then.
async fn everything_waits(server: &Server, uid: u64, prefix: &str, count: usize) {
    let mut reader = server.login(uid, "b-phone").await;
    assert_eq!(reader.waiting(), count as u64);
    for n in 0..count {
        let message = reader.frame().await;
        assert!(message.is("C2C"), "{message:?}");
        assert_eq!(message.id(), format!("{prefix}-{n}"));
        assert_eq!(message.seq(), n as u64 + 1);
        reader.ack_up_to(message.seq()).await;
        reader.ack_ok_numbers().await;
    }
    reader.heard_nothing_else().await;
    reader.leave().await;
    let reader = server.login(uid, "b-phone").await;
    assert_eq!(reader.waiting(), 0);
    reader.leave().await;
}

/// One message of a pair who have nothing to do with the jam, all six frames of it.
async fn exchange(sender: &mut Client, reader: &mut Client, id: &str) {
    sender.send_c2c(id, CAROL, "are you there?").await;
    sender.accepted(id).await;
    reader.takes(id).await;
    sender.delivered(id).await;
}

async fn nothing_is_on_its_way(server: &Server) {
    assert_eq!(server.metric("yizhan_deliveries_in_flight").await, 0.0);
}

/// 50 MB to a reader who does not read, in messages of this size.
async fn jam(size: usize, sets: &[&str]) {
    let ours = [ONCE, NO_PINGS, "device.write_deadline_ms=3000"];
    // This engine has every message in memory, and once: what is more than that is not the store's.
    let ours = [&ours[..], &["store.engine=memory"], sets].concat();
    // What is freed goes back to the system at once: else what is measured is when the allocator gets round to it.
    let at_once = ["env", "MIMALLOC_PURGE_DELAY=0"];
    let server = Server::start_under(&at_once, &["--config", SEED], &ours).await;
    let mut alice = server.login(ALICE, "a-phone").await;
    let mut carol = server.login(CAROL, "c-phone").await;
    let count = JAM / size;
    // The first time there is more that stays, such as the buffers of those who write and read.
    growth(&server, &mut alice, 5001, ("w", count, size)).await;

    let jammed = Deaf::login(server.public, &User::new(BOB), "b-phone").await;
    until_online(&server, 3).await;
    let growth = growth(&server, &mut alice, BOB, ("m", count, size)).await;
    println!("{} MB more", growth >> 20);
    assert!(
        growth < JAM as u64 + MARGIN,
        "{growth} bytes more for messages of {JAM}"
    );
    exchange(&mut alice, &mut carol, "during").await;

    until_online(&server, 2).await;
    until("the socket is cut", async || jammed.is_cut()).await;
    nothing_is_on_its_way(&server).await;
    assert!(server.metric("yizhan_parked_total").await > count as f64);
    exchange(&mut alice, &mut carol, "after").await;
    everything_waits(&server, BOB, "m", count).await;
}

#[tokio::test]
async fn a_reader_who_jams_is_cut_after_the_write_deadline_and_costs_disk_not_memory() {
    jam(64 << 10, &[]).await;
}

#[tokio::test]
async fn a_reader_who_jams_costs_no_more_memory_when_messages_are_long() {
    jam(1 << 20, &LONG).await;
}

#[tokio::test]
async fn a_reader_who_takes_a_few_bytes_a_second_is_cut() {
    let server = Server::start(&[ONCE, NO_PINGS, "device.write_deadline_ms=1000"]).await;
    let mut alice = server.login(ALICE, "a-phone").await;
    let mut carol = server.login(CAROL, "c-phone").await;
    let mut slow = Deaf::login(server.public, &User::new(BOB), "b-phone").await;
    until_online(&server, 3).await;
    let sipping = async {
        while slow.take(1).await.is_some() && !slow.is_cut() {
            sleep(Duration::from_millis(200)).await;
        }
    };
    let others = async {
        send_many(&mut alice, BOB, ("m", 64, 64 << 10), || ()).await;
        exchange(&mut alice, &mut carol, "during").await;
        until_online(&server, 2).await;
    };
    tokio::join!(sipping, others);
    nothing_is_on_its_way(&server).await;
    everything_waits(&server, BOB, "m", 64).await;
}

#[tokio::test]
async fn a_reader_who_always_takes_something_and_never_enough_is_cut() {
    // The kernel sees bytes taken all the time, while no frame leaves within the deadline.
    let ours = [ONCE, NO_PINGS, "device.write_deadline_ms=2000"];
    let server = Server::start(&[&ours[..], &LONG].concat()).await;
    let mut alice = server.login(ALICE, "a-phone").await;
    let (here, bob) = (Ipv4Addr::LOCALHOST, User::new(BOB));
    let mut slow = Deaf::login_from(here, 256 << 10, server.public, &bob, "b-phone").await;
    until_online(&server, 2).await;
    let sipping = async {
        let end = loop {
            // So much at once that a whole segment of the loopback finds room: else the kernel sees no progress.
            match slow.try_take(100_000).await {
                Ok(Some(_)) => sleep(Duration::from_millis(500)).await,
                end => break end,
            }
        };
        let reset = std::io::ErrorKind::ConnectionReset;
        assert_eq!(end.expect_err("it was ended, not cut").kind(), reset);
    };
    let others = async {
        send_many(&mut alice, BOB, ("m", 16, 1 << 20), || ()).await;
        until_online(&server, 1).await;
    };
    tokio::join!(sipping, others);
    nothing_is_on_its_way(&server).await;
    everything_waits(&server, BOB, "m", 16).await;
}

#[tokio::test]
async fn a_reader_who_stops_answering_pings_is_closed_with_4050() {
    let server = Server::start(&[ONCE, NO_WRITE_DEADLINE, "device.idle_timeout_ms=3000"]).await;
    let mut alice = server.login(ALICE, "a-phone").await;
    let mut silent = Deaf::login(server.public, &User::new(BOB), "b-phone").await;
    until_online(&server, 2).await;
    alice.send_c2c("m-0", BOB, "hello?").await;
    alice.accepted("m-0").await;
    // Alice answers hers while she waits for something.
    let alice = tokio::spawn(async move { alice.hear(|_| false).await });
    let mut heard = Vec::new();
    while let Some(bytes) = silent.take(4096).await {
        heard.extend(bytes);
    }
    let close = [0x0f, 0xd2];
    assert_eq!(u16::from_be_bytes(close), 4050);
    assert!(
        heard.windows(2).any(|bytes| bytes == close),
        "no close frame"
    );
    until_online(&server, 1).await;
    nothing_is_on_its_way(&server).await;
    everything_waits(&server, BOB, "m", 1).await;
    alice.abort();
}

#[tokio::test]
async fn a_reader_who_vanishes_with_unacknowledged_bytes_on_the_wire_is_cut() {
    if !in_own_network("a_reader_who_vanishes_with_unacknowledged_bytes_on_the_wire_is_cut") {
        return;
    }
    let server = Server::start(&[ONCE, NO_PINGS, "device.write_deadline_ms=2000"]).await;
    let mut alice = server.login(ALICE, "a-phone").await;
    let there = Ipv4Addr::new(127, 0, 0, 2);
    let _gone = Deaf::login_from(there, 4096, server.public, &User::new(BOB), "b-phone").await;
    until_online(&server, 2).await;
    lose_packets_to("127.0.0.2");
    for n in 0..3 {
        alice.send_c2c(&format!("m-{n}"), BOB, "hello?").await;
        alice.accepted(&format!("m-{n}")).await;
    }
    until_online(&server, 1).await;
    nothing_is_on_its_way(&server).await;
    everything_waits(&server, BOB, "m", 3).await;
}

#[tokio::test]
async fn a_reader_who_vanishes_while_nothing_is_said_is_found_by_the_pings() {
    if !in_own_network("a_reader_who_vanishes_while_nothing_is_said_is_found_by_the_pings") {
        return;
    }
    let server = Server::start(&[ONCE, NO_WRITE_DEADLINE, "device.idle_timeout_ms=3000"]).await;
    let there = Ipv4Addr::new(127, 0, 0, 2);
    let _gone = Deaf::login_from(there, 4096, server.public, &User::new(BOB), "b-phone").await;
    until_online(&server, 1).await;
    lose_packets_to("127.0.0.2");
    until_online(&server, 0).await;
    let mut alice = server.login(ALICE, "a-phone").await;
    alice.send_c2c("m-0", BOB, "hello?").await;
    alice.accepted("m-0").await;
    everything_waits(&server, BOB, "m", 1).await;
}
