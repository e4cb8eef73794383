//! What waits for too long is never delivered late, and whoever asks is told.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "support/lib.rs"]
mod support;

use std::time::{SystemTime, UNIX_EPOCH};

use support::{ALICE, BOB, Client, Frame, ONCE, Server, until};

const TTL_MS: u64 = 2_000;
const TTL: &str = "inbox.ttl_ms=2000";
/// Nothing may be changed for longer than it is remembered.
const NO_REVOKE: &str = "message.revoke_ms=0";
const NO_EDIT: &str = "message.edit_ms=0";

fn now_ms() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    now.as_millis() as u64
}

/// Sends and gives the moment until which the message may be delivered.
async fn send(alice: &mut Client, id: &str) -> u64 {
    alice.send_c2c(id, BOB, "before it is too late").await;
    alice.accepted(id).await.num("server_ts") + TTL_MS
}

/// Asks until the message has expired. It may not be said to wait once its time is over.
async fn until_expired(alice: &mut Client, id: &str, over: u64) {
    until("the message expires", async || {
        let asked = now_ms();
        let state = alice.status(&[(BOB, id)]).await.remove(0);
        assert!(state == "expired" || state == "accepted", "it is {state}");
        // The server's clock is the machine's, give or take what passed between two readings of it.
        assert!(
            state == "expired" || asked < over + 100,
            "{} ms after its end it still waits",
            asked - over
        );
        state == "expired"
    })
    .await;
    assert!(now_ms() + 100 >= over, "it expired too early");
}

async fn next_message(client: &mut Client) -> Frame {
    client.expect("a message", |frame| frame.is("C2C")).await
}

#[tokio::test]
async fn a_message_nobody_took_in_time_is_expired_and_never_comes() {
    let server = Server::start(&[ONCE, TTL, NO_REVOKE, NO_EDIT]).await;
    let mut alice = server.login(ALICE, "a-phone").await;
    server.login(BOB, "b-phone").await.leave().await;
    let over = send(&mut alice, "m1").await;
    until_expired(&mut alice, "m1", over).await;

    let mut bob = server.login(BOB, "b-phone").await;
    bob.heard_nothing_else().await;
    assert!(bob.sync(0, 100).await.frames("messages").is_empty());
    // The numbers go on behind it, and an ack passes it.
    let rows = async || server.metric("yizhan_inbox_rows").await == 0.0;
    until("its row is gone", rows).await;
    send(&mut alice, "m2").await;
    assert_eq!(next_message(&mut bob).await.seq(), 2);
    bob.ack_up_to(2).await;
    assert_eq!(bob.ack_ok_numbers().await.num("up_to"), 2);
    bob.leave().await;
    let bob = server.login(BOB, "b-phone").await;
    assert_eq!(bob.waiting(), 0, "the cursor has passed the expired row");
    assert_eq!(alice.status(&[(BOB, "m1")]).await, ["expired"]);
    assert_eq!(alice.status(&[(BOB, "m2")]).await, ["delivered"]);
    assert_eq!(server.metric("yizhan_expired_total").await, 1.0);
}

#[tokio::test]
async fn a_copy_is_not_sent_again_after_the_message_has_expired() {
    // The second copy is due when the message is too old, and the third as well.
    let server =
        Server::start(&[TTL, NO_REVOKE, NO_EDIT, "delivery.schedule_ms=[0,2500,200]"]).await;
    let mut alice = server.login(ALICE, "a-phone").await;
    let mut bob = server.login(BOB, "b-phone").await;
    let over = send(&mut alice, "m1").await;
    bob.receives("m1").await;
    until_expired(&mut alice, "m1", over).await;
    let walking = async || server.metric("yizhan_deliveries_in_flight").await == 0.0;
    until("its delivery ends", walking).await;
    bob.heard_nothing_else().await;
}

#[tokio::test]
async fn a_message_that_a_device_has_acked_never_counts_as_expired() {
    let server = Server::start(&[ONCE, TTL, NO_REVOKE, NO_EDIT]).await;
    let mut alice = server.login(ALICE, "a-phone").await;
    let mut phone = server.login(BOB, "b-phone").await;
    server.login(BOB, "b-web").await.leave().await;
    send(&mut alice, "m1").await;
    phone.takes("m1").await;
    alice.delivered("m1").await;
    // The web never comes for it, and its row goes all the same.
    let rows = async || server.metric("yizhan_inbox_rows").await == 0.0;
    until("its row is gone", rows).await;
    let mut web = server.login(BOB, "b-web").await;
    assert_eq!(web.waiting(), 0);
    web.heard_nothing_else().await;
    assert_eq!(alice.status(&[(BOB, "m1")]).await, ["delivered"]);
    assert_eq!(server.metric("yizhan_expired_total").await, 0.0);
}
