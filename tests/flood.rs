//! Many messages have waited for one user, and come at a pace that neither the user nor anybody else suffers from.
//!
//! `cargo bench --bench adversity -- flood` does the same with 100,000 and measures it.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "support/lib.rs"]
mod support;

use support::{ALICE, BOB, CAROL, Client, Heard, ONCE, Server, resident};

const DAVE: u64 = 5000;
const FLOOD: u64 = 10_000;
const WINDOW: u64 = 64;
/// How much more memory the server may take for it.
const GROWTH: u64 = 20 << 20;

/// Sends `m1` to `m<count>` and sees them accepted, some of them at a time.
async fn send_many(sender: &mut Client, to: u64, count: u64) {
    const AHEAD: u64 = 100;
    for n in 1..=count + AHEAD {
        if n <= count {
            sender.send_c2c(&format!("m{n}"), to, "it waited").await;
        }
        if n > AHEAD {
            sender.accepted(&format!("m{}", n - AHEAD)).await;
        }
    }
}

/// Takes the messages above `asked`, up to which an ack is on its way, as far as `last`; one ack at a time.
async fn drain(reader: &mut Client, mut asked: u64, last: u64) {
    let (mut taken, mut acked) = (asked, 0);
    while acked < last {
        let frame = match reader.next().await {
            Heard::Frame(frame) => frame,
            other => panic!("instead of {}: {other:?}", taken + 1),
        };
        if frame.is("CLIENT_ACK_OK") {
            acked = frame.num("up_to");
        } else {
            assert!(frame.is("C2C"), "{frame:?}");
            assert_eq!(frame.seq(), taken + 1, "in order, and each once");
            taken += 1;
            assert_eq!(frame.id(), format!("m{taken}"));
            assert!(
                taken - asked <= WINDOW,
                "{taken} came when {asked} was acked"
            );
        }
        if acked == asked && taken > asked {
            asked = taken;
            reader.ack_up_to(asked).await;
        }
    }
}

#[tokio::test]
async fn a_flood_comes_in_order_each_once_and_a_window_at_a_time() {
    let server = Server::start(&[ONCE, "inbox.max_messages=200000"]).await;
    let mut alice = server.login(ALICE, "a-phone").await;
    let mut carol = server.login(CAROL, "c-phone").await;
    let mut dave = server.login(DAVE, "d-phone").await;
    send_many(&mut alice, BOB, FLOOD).await;

    let before = resident(server.pid());
    let mut bob = server.login(BOB, "b-phone").await;
    let summary = bob.summary.as_ref().unwrap().json("payload");
    let said = |name| support::field(&summary, name);
    assert_eq!(
        (said("count"), said("from_seq"), said("to_seq")),
        (FLOOD, 1, FLOOD)
    );
    for n in 1..=WINDOW {
        assert_eq!(bob.frame().await.seq(), n);
    }
    bob.heard_nothing_else().await;
    let walking = server.metric("yizhan_deliveries_in_flight").await;
    assert_eq!(walking, WINDOW as f64);

    let others = async {
        for n in 0..20 {
            let id = format!("c{n}");
            dave.send_c2c(&id, CAROL, "meanwhile").await;
            carol.takes(&id).await;
            dave.delivered(&id).await;
        }
    };
    bob.ack_up_to(WINDOW).await;
    tokio::join!(drain(&mut bob, WINDOW, FLOOD), others);
    bob.heard_nothing_else().await;
    let grown = resident(server.pid()).saturating_sub(before);
    assert!(grown <= GROWTH, "{grown} bytes more than before the login");
    assert_eq!(server.metric("yizhan_redelivered_total").await, 0.0);
    assert_eq!(server.metric("yizhan_inbox_rows").await, 0.0);
    bob.leave().await;
    assert_eq!(server.login(BOB, "b-phone").await.waiting(), 0);
}

#[tokio::test]
async fn one_message_that_is_never_acked_does_not_keep_the_others() {
    let server = Server::start(&[ONCE, "device.deliver_window=4"]).await;
    let mut alice = server.login(ALICE, "a-phone").await;
    send_many(&mut alice, BOB, 200).await;
    let mut bob = server.login(BOB, "b-phone").await;
    for n in 1..=200 {
        let id = format!("m{n}");
        assert_eq!(bob.receives(&id).await.seq(), n);
        if n != 7 {
            bob.ack_text(&id).await;
        }
    }
    for n in (1..=200).filter(|n| *n != 7) {
        bob.ack_ok(&format!("m{n}")).await;
    }
    bob.heard_nothing_else().await;
    let left = bob.sync(0, 100).await.frames("messages");
    assert_eq!(left.len(), 1);
    assert_eq!(left[0].id(), "m7");
    bob.leave().await;
    assert_eq!(
        server.login(BOB, "b-phone").await.takes("m7").await.seq(),
        7
    );
}

#[tokio::test]
async fn a_client_whose_window_is_taken_by_what_it_does_not_ack_may_sync_past_it() {
    let server = Server::start(&[ONCE, "device.deliver_window=1"]).await;
    let mut alice = server.login(ALICE, "a-phone").await;
    send_many(&mut alice, BOB, 5).await;
    let mut bob = server.login(BOB, "b-phone").await;
    bob.receives("m1").await;
    bob.heard_nothing_else().await;
    let page = bob.sync(1, 100).await;
    let seqs: Vec<_> = page.frames("messages").iter().map(|m| m.seq()).collect();
    assert_eq!(seqs, [2, 3, 4, 5]);
    bob.ack_seqs(&seqs).await;
    assert_eq!(bob.ack_ok_numbers().await.nums("seqs"), seqs);
    bob.heard_nothing_else().await;
    bob.leave().await;
    let mut bob = server.login(BOB, "b-phone").await;
    bob.takes("m1").await;
    bob.heard_nothing_else().await;
}

#[tokio::test]
async fn the_end_of_the_schedule_gives_the_window_to_those_who_wait() {
    let sets = ["delivery.schedule_ms=[0,50,50]", "device.deliver_window=1"];
    let server = Server::start(&sets).await;
    let mut alice = server.login(ALICE, "a-phone").await;
    send_many(&mut alice, BOB, 3).await;
    let mut bob = server.login(BOB, "b-phone").await;
    for n in 1..=3 {
        for _ in 0..3 {
            let frame = bob.frame().await;
            assert_eq!(
                frame.id(),
                format!("m{n}"),
                "the one before walks to its end"
            );
        }
    }
    bob.heard_nothing_else().await;
}
