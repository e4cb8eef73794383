//! Who gets a message, how often, and what a death in between changes: nothing.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "support/lib.rs"]
mod support;

use support::{ALICE, BOB, Frame, ONCE, Server, User};

#[tokio::test]
async fn a_message_to_an_absent_reader_waits_and_comes_at_login() {
    let server = Server::start(&[ONCE]).await;
    let mut alice = server.login(ALICE, "a-phone").await;
    alice.send_c2c("m1", BOB, "are you there?").await;
    alice.accepted("m1").await;
    alice.heard_nothing_else().await;

    let mut bob = server.login(BOB, "b-phone").await;
    assert_eq!(bob.waiting(), 1);
    bob.takes("m1").await;
    assert_eq!(alice.delivered("m1").await.str("did"), "b-phone");
}

#[tokio::test]
async fn what_is_not_acked_comes_again_at_the_next_login_and_what_is_acked_never() {
    let server = Server::start(&[ONCE]).await;
    let mut alice = server.login(ALICE, "a-phone").await;
    let mut bob = server.login(BOB, "b-phone").await;
    alice.send_c2c("acked", BOB, "1").await;
    alice.send_c2c("not-acked", BOB, "2").await;
    alice.send_c2c("acked-too", BOB, "3").await;
    let first = bob.receives("not-acked").await;
    bob.takes("acked").await;
    bob.takes("acked-too").await;
    bob.leave().await;

    let mut bob = server.login(BOB, "b-phone").await;
    assert!(bob.waiting() >= 1);
    let again = bob.takes("not-acked").await;
    assert_eq!(
        again.text, first.text,
        "the same message under the same number"
    );
    bob.vanish();

    // Whatever came before the marker would have come before it.
    let mut bob = server.login(BOB, "b-phone").await;
    assert_eq!(bob.waiting(), 0);
    alice.send_c2c("marker", BOB, "4").await;
    bob.takes("marker").await;
    bob.heard_nothing_else().await;
}

#[tokio::test]
async fn a_message_waits_for_a_reader_who_vanished_without_a_word() {
    let server = Server::start(&[ONCE]).await;
    let mut alice = server.login(ALICE, "a-phone").await;
    let bob = server.login(BOB, "b-phone").await;
    bob.vanish();
    alice.send_c2c("m1", BOB, "hello?").await;
    alice.accepted("m1").await;
    let mut bob = server.login(BOB, "b-phone").await;
    bob.takes("m1").await;
    alice.delivered("m1").await;
}

#[tokio::test]
async fn a_reader_with_two_devices_gets_it_on_each_and_the_sender_is_told_of_each() {
    let server = Server::start(&[ONCE]).await;
    let mut alice = server.login(ALICE, "a-phone").await;
    let mut phone = server.login(BOB, "b-phone").await;
    let mut tablet = server.login(BOB, "b-tablet").await;
    alice.send_c2c("m1", BOB, "to both").await;
    alice.accepted("m1").await;

    let on_phone = phone.takes("m1").await;
    assert_eq!(alice.delivered("m1").await.str("did"), "b-phone");
    // One device's ack is not the other's.
    let on_tablet = tablet.takes("m1").await;
    assert_eq!(on_phone.text, on_tablet.text);
    assert_eq!(alice.delivered("m1").await.str("did"), "b-tablet");

    alice.send_c2c("marker", BOB, "marker").await;
    for device in [&mut phone, &mut tablet] {
        device.takes("marker").await;
        device.heard_nothing_else().await;
    }
    alice.accepted("marker").await;
    alice.delivered("marker").await;
    alice.delivered("marker").await;
    alice.heard_nothing_else().await;
}

#[tokio::test]
async fn a_known_device_that_was_away_gets_what_another_device_acked() {
    let server = Server::start(&[ONCE]).await;
    let mut alice = server.login(ALICE, "a-phone").await;
    let mut phone = server.login(BOB, "b-phone").await;
    server.login(BOB, "b-tablet").await.leave().await;
    alice.send_c2c("m1", BOB, "hello").await;
    phone.takes("m1").await;
    alice.delivered("m1").await;

    let mut tablet = server.login(BOB, "b-tablet").await;
    assert_eq!(tablet.waiting(), 1);
    tablet.takes("m1").await;
    assert_eq!(alice.delivered("m1").await.str("did"), "b-tablet");
}

#[tokio::test]
async fn a_device_nobody_knew_starts_after_what_any_device_acked() {
    let server = Server::start(&[ONCE]).await;
    let mut alice = server.login(ALICE, "a-phone").await;
    let mut phone = server.login(BOB, "b-phone").await;
    for id in ["m1", "m2", "m3"] {
        alice.send_c2c(id, BOB, id).await;
        phone.receives(id).await;
    }
    phone.ack_seqs(&[1, 3]).await;
    phone.ack_ok_numbers().await;

    let mut tablet = server.login(BOB, "b-tablet").await;
    assert!(tablet.waiting() >= 1);
    tablet.takes("m2").await;
    alice.send_c2c("marker", BOB, "marker").await;
    tablet.takes("marker").await;
    tablet.heard_nothing_else().await;
}

#[tokio::test]
async fn a_sender_with_two_devices_is_told_on_both_that_it_is_delivered() {
    let server = Server::start(&[ONCE]).await;
    let mut phone = server.login(ALICE, "a-phone").await;
    let mut tablet = server.login(ALICE, "a-tablet").await;
    let mut bob = server.login(BOB, "b-phone").await;
    phone.send_c2c("m1", BOB, "hello").await;
    phone.accepted("m1").await;
    bob.takes("m1").await;
    // The other device is told what was sent, too.
    let copy = tablet.takes("m1").await;
    assert_eq!(copy.str("from"), User::new(ALICE).name);
    assert_eq!(copy.str("to"), User::new(BOB).name);
    for device in [&mut phone, &mut tablet] {
        assert_eq!(device.delivered("m1").await.str("did"), "b-phone");
        device.heard_nothing_else().await;
    }
}

#[tokio::test]
async fn a_message_to_oneself_arrives_on_every_device() {
    let server = Server::start(&[ONCE]).await;
    let mut phone = server.login(ALICE, "a-phone").await;
    let mut tablet = server.login(ALICE, "a-tablet").await;
    phone.send_c2c("note", ALICE, "to myself").await;
    phone.accepted("note").await;
    phone.takes("note").await;
    tablet.takes("note").await;
    phone.delivered("note").await;
    phone.delivered("note").await;
}

#[tokio::test]
async fn a_device_that_logs_in_again_replaces_its_older_connection_and_gets_what_that_left_unacked()
{
    let server = Server::start(&[ONCE]).await;
    let mut alice = server.login(ALICE, "a-phone").await;
    let mut old = server.login(BOB, "b-phone").await;
    for id in ["m1", "m2", "m3"] {
        alice.send_c2c(id, BOB, id).await;
        old.receives(id).await;
    }
    old.ack_text("m2").await;
    old.ack_ok("m2").await;

    let mut new = server.login(BOB, "b-phone").await;
    assert_eq!(old.closed().await, Some(4008));
    assert!(new.waiting() >= 2);
    assert_eq!(new.frame().await.id(), "m1");
    assert_eq!(new.frame().await.id(), "m3");
    for id in ["m1", "m3"] {
        new.ack_text(id).await;
        new.ack_ok(id).await;
        alice.delivered(id).await;
    }
    alice.send_c2c("marker", BOB, "marker").await;
    new.takes("marker").await;
    new.heard_nothing_else().await;
}

#[tokio::test]
async fn an_unacked_message_is_sent_by_the_schedule_and_then_waits_for_the_next_login() {
    let server = Server::start(&["delivery.schedule_ms=[0,50,50]"]).await;
    let mut alice = server.login(ALICE, "a-phone").await;
    let mut bob = server.login(BOB, "b-phone").await;
    alice.send_c2c("m1", BOB, "hello?").await;
    for _ in 0..3 {
        bob.receives("m1").await;
    }
    // The marker's own three sends take as long as a fourth of m1 would have.
    alice.send_c2c("marker", BOB, "marker").await;
    for _ in 0..3 {
        bob.receives("marker").await;
    }
    bob.heard_nothing_else().await;

    let mut bob = server.login(BOB, "b-phone").await;
    assert_eq!(bob.waiting(), 2);
    bob.takes("m1").await;
    bob.takes("marker").await;
    alice.delivered("m1").await;
}

#[tokio::test]
async fn an_ack_ends_the_resends_of_its_own_message_and_device_only() {
    let server = Server::start(&["delivery.schedule_ms=[0,50,50]"]).await;
    let mut alice = server.login(ALICE, "a-phone").await;
    let mut phone = server.login(BOB, "b-phone").await;
    let mut tablet = server.login(BOB, "b-tablet").await;
    alice.send_c2c("m1", BOB, "1").await;
    alice.send_c2c("m2", BOB, "2").await;
    phone.takes("m1").await;
    // A copy may have left before the ack came; none may after its confirmation.
    phone.take_aside();
    for _ in 0..3 {
        tablet.receives("m1").await;
        tablet.receives("m2").await;
    }
    alice.send_c2c("marker", BOB, "marker").await;
    for _ in 0..3 {
        phone.receives("marker").await;
    }
    let late: Vec<_> = phone
        .take_aside()
        .into_iter()
        .filter(|frame| frame.is_about("m1"))
        .collect();
    assert!(late.is_empty(), "{late:#?}");
}

#[tokio::test]
async fn messages_of_one_sender_arrive_in_the_order_they_were_accepted() {
    let server = Server::start(&[ONCE, "device.deliver_window=8"]).await;
    let mut alice = server.login(ALICE, "a-phone").await;
    let mut bob = server.login(BOB, "b-phone").await;
    for number in 1..=100 {
        alice.send_c2c(&format!("m{number}"), BOB, "in order").await;
    }
    // The window is smaller than what waits: acks must pull the rest.
    for number in 1..=100 {
        let message = next_message(&mut bob).await;
        assert_eq!(
            (message.id(), message.seq()),
            (format!("m{number}"), number)
        );
        bob.ack_up_to(number).await;
    }
    for number in 1..=100 {
        alice.accepted(&format!("m{number}")).await;
        alice.delivered(&format!("m{number}")).await;
    }
}

#[tokio::test]
async fn a_device_gets_no_more_unacked_messages_than_its_window() {
    let server = Server::start(&[ONCE, "device.deliver_window=2"]).await;
    let mut alice = server.login(ALICE, "a-phone").await;
    let mut bob = server.login(BOB, "b-phone").await;
    for id in ["m1", "m2", "m3"] {
        alice.send_c2c(id, BOB, id).await;
        alice.accepted(id).await;
    }
    bob.receives("m1").await;
    bob.receives("m2").await;
    bob.heard_nothing_else().await;
    bob.ack_text("m2").await;
    bob.ack_ok("m2").await;
    bob.receives("m3").await;
}

// ---- the server dies ----

#[tokio::test]
async fn a_message_accepted_before_the_server_was_killed_comes_at_login_after_it() {
    let mut server = Server::start(&[ONCE]).await;
    let mut alice = server.login(ALICE, "a-phone").await;
    alice.send_c2c("m1", BOB, "hello").await;
    let server_ts = alice.accepted("m1").await.num("server_ts");
    server.kill9().await;

    server.restart().await;
    let mut alice = server.login(ALICE, "a-phone").await;
    assert_eq!(alice.status(&[(BOB, "m1")]).await, ["accepted"]);
    alice.send_c2c("m1", BOB, "hello").await;
    assert_eq!(alice.accepted("m1").await.num("server_ts"), server_ts);
    let mut bob = server.login(BOB, "b-phone").await;
    assert_eq!(bob.waiting(), 1, "the repeat made no second row");
    assert_eq!(bob.takes("m1").await.num("server_ts"), server_ts);
    alice.delivered("m1").await;
}

#[tokio::test]
async fn a_message_received_but_not_acked_when_the_server_was_killed_comes_again() {
    let mut server = Server::start(&[ONCE]).await;
    let mut alice = server.login(ALICE, "a-phone").await;
    let mut bob = server.login(BOB, "b-phone").await;
    alice.send_c2c("m1", BOB, "hello").await;
    alice.accepted("m1").await;
    let first = bob.receives("m1").await;
    server.kill9().await;

    server.restart().await;
    let mut bob = server.login(BOB, "b-phone").await;
    assert_eq!(bob.takes("m1").await.text, first.text);
    bob.heard_nothing_else().await;
}

#[tokio::test]
async fn a_message_whose_ack_was_confirmed_before_the_server_was_killed_never_comes_again() {
    let mut server = Server::start(&[ONCE]).await;
    let mut alice = server.login(ALICE, "a-phone").await;
    let mut bob = server.login(BOB, "b-phone").await;
    alice.send_c2c("m1", BOB, "hello").await;
    let server_ts = alice.accepted("m1").await.num("server_ts");
    bob.takes("m1").await;
    server.kill9().await;

    server.restart().await;
    let mut alice = server.login(ALICE, "a-phone").await;
    let mut bob = server.login(BOB, "b-phone").await;
    assert_eq!(bob.waiting(), 0);
    assert_eq!(alice.status(&[(BOB, "m1")]).await, ["delivered"]);

    // A sender who missed the receipt asks by repeating.
    alice.send_c2c("m1", BOB, "hello").await;
    assert_eq!(alice.accepted("m1").await.num("server_ts"), server_ts);
    assert!(!alice.delivered("m1").await.has("did"));

    // And the emptied inbox goes on where it was.
    alice.send_c2c("m2", BOB, "next").await;
    assert_eq!(bob.takes("m2").await.seq(), 2);
    bob.heard_nothing_else().await;
}

#[tokio::test]
async fn each_device_keeps_its_own_cursor_over_a_kill() {
    let mut server = Server::start(&[ONCE]).await;
    let mut alice = server.login(ALICE, "a-phone").await;
    let mut phone = server.login(BOB, "b-phone").await;
    let mut tablet = server.login(BOB, "b-tablet").await;
    for id in ["m1", "m2", "m3"] {
        alice.send_c2c(id, BOB, id).await;
    }
    phone.takes("m2").await;
    tablet.takes("m3").await;
    server.kill9().await;

    server.restart().await;
    let mut phone = server.login(BOB, "b-phone").await;
    let mut tablet = server.login(BOB, "b-tablet").await;
    assert!(phone.waiting() >= 2 && tablet.waiting() >= 2);
    assert_eq!(next_message(&mut phone).await.id(), "m1");
    assert_eq!(next_message(&mut phone).await.id(), "m3");
    assert_eq!(next_message(&mut tablet).await.id(), "m1");
    assert_eq!(next_message(&mut tablet).await.id(), "m2");
}

#[tokio::test]
async fn a_conflict_is_still_refused_after_a_kill() {
    let mut server = Server::start(&[ONCE]).await;
    let mut alice = server.login(ALICE, "a-phone").await;
    alice.send_c2c("m1", BOB, "one thing").await;
    alice.accepted("m1").await;
    server.kill9().await;

    server.restart().await;
    let mut alice = server.login(ALICE, "a-phone").await;
    alice.send_c2c("m1", BOB, "another").await;
    assert_eq!(alice.error(409).await.str("to"), User::new(BOB).name);
}

/// The next frame 3, in the order they come; acks' acks between them are passed over.
async fn next_message(client: &mut support::Client) -> Frame {
    loop {
        let frame = client.frame().await;
        if frame.is("C2C") {
            return frame;
        }
    }
}

/// The notice with this name.
async fn notice(client: &mut support::Client, name: &str) -> Frame {
    let like = |frame: &Frame| frame.is("S2C") && frame.raw("payload").contains(name);
    client.expect(name, like).await
}

#[tokio::test]
async fn a_connected_device_that_falls_too_far_behind_is_told_to_resync() {
    let server = Server::start(&[ONCE, "inbox.max_messages=2"]).await;
    let mut alice = server.login(ALICE, "a-phone").await;
    let mut silent = server.login(BOB, "b-silent").await;
    let mut phone = server.login(BOB, "b-phone").await;
    for n in 1..=3 {
        let id = format!("m{n}");
        alice.send_c2c(&id, BOB, "hello").await;
        phone.takes(&id).await;
    }
    notice(&mut silent, "resync").await;
    silent.takes("m3").await;
    silent.leave().await;
    let mut silent = server.login(BOB, "b-silent").await;
    assert_eq!(silent.waiting(), 0, "what was given up does not wait");
    silent.heard_nothing_else().await;
}

#[tokio::test]
async fn a_connected_device_that_has_to_make_room_is_told_and_ended() {
    let server = Server::start(&[ONCE, "device.max_per_user=1"]).await;
    let mut first = server.login(BOB, "b-first").await;
    let _second = server.login(BOB, "b-second").await;
    notice(&mut first, "resync").await;
    assert_eq!(first.closed().await, Some(4013));
}

#[tokio::test]
async fn a_device_that_has_left_makes_room_before_one_that_is_connected() {
    let server = Server::start(&[ONCE, "device.max_per_user=2"]).await;
    let mut online = server.login(BOB, "b-online").await;
    server.login(BOB, "b-gone").await.leave().await;
    let mut new = server.login(BOB, "b-new").await;
    new.ping().await;
    online.ping().await;
    online.heard_nothing_else().await;
    let mut alice = server.login(ALICE, "a-phone").await;
    alice.send_c2c("m1", BOB, "to both").await;
    online.takes("m1").await;
    new.takes("m1").await;
}

#[tokio::test]
async fn an_ack_that_comes_after_the_server_has_closed_the_connection_still_counts() {
    let server = Server::start(&[ONCE]).await;
    let mut alice = server.login(ALICE, "a-phone").await;
    let mut old = server.login(BOB, "b-phone").await;
    alice.send_c2c("m1", BOB, "hello").await;
    old.receives("m1").await;
    let mut new = server.login(BOB, "b-phone").await;
    // Before the ack: after it, a copy that had not left yet does not leave any more.
    new.receives("m1").await;
    // The old connection has been told to close by now; its client has not read that yet.
    old.ack_text("m1").await;
    alice.delivered("m1").await;
    new.leave().await;
    let new = server.login(BOB, "b-phone").await;
    assert_eq!(new.waiting(), 0);
}
