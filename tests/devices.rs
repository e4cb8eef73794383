//! Several devices of one user, each on its own way through the same inbox. `delivery.rs` has the simple cases.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "support/lib.rs"]
mod support;

use std::sync::Arc;

use support::{
    ALICE, BOB, Client, End, Frame, ONCE, Pulse, Reader, Sender, Server, until, until_online,
};

/// Takes this many messages, acks them all, and gives their ids in the order they came.
async fn take(client: &mut Client, count: usize) -> Vec<String> {
    let mut ids = Vec::new();
    let mut last = 0;
    while ids.len() < count {
        let message = client.expect("a message", |frame| frame.is("C2C")).await;
        ids.push(message.id());
        last = message.seq();
    }
    client.ack_up_to(last).await;
    assert_eq!(client.ack_ok_numbers().await.num("up_to"), last);
    ids
}

fn ids(prefix: &str, count: usize) -> Vec<String> {
    (0..count).map(|n| format!("{prefix}{n}")).collect()
}

async fn send(client: &mut Client, to: u64, ids: &[String]) {
    for id in ids {
        client.send_c2c(id, to, id).await;
        client.accepted(id).await;
    }
}

/// Logs in, sees that nothing waits or comes, and leaves.
async fn nothing_waits(server: &Server, uid: u64, did: &str) {
    let mut client = server.login(uid, did).await;
    assert_eq!(client.waiting(), 0, "for {did}");
    client.heard_nothing_else().await;
    client.leave().await;
}

#[tokio::test]
async fn two_devices_of_one_and_one_of_the_other_get_every_message_once() {
    let server = Server::start(&[ONCE]).await;
    let mut phone = server.login(ALICE, "a-phone").await;
    let mut web = server.login(ALICE, "a-web").await;
    let mut bob = server.login(BOB, "b-phone").await;
    let (to_bob, to_alice) = (ids("from-a-", 50), ids("from-b-", 50));
    // Both ways at once, and every device reads while it writes.
    tokio::join!(
        async {
            send(&mut phone, BOB, &to_bob).await;
            assert_eq!(take(&mut phone, 50).await, to_alice);
        },
        async {
            send(&mut bob, ALICE, &to_alice).await;
            assert_eq!(take(&mut bob, 50).await, to_bob);
        },
        async {
            let taken = take_in_parts(&mut web, 100, 50).await.into_iter();
            let (sent, received): (Vec<_>, Vec<_>) = taken.partition(|id| id.starts_with("from-a"));
            assert_eq!((sent, received), (to_bob.clone(), to_alice.clone()));
        },
    );
    for id in &to_bob {
        assert_eq!(phone.delivered(id).await.str("did"), "b-phone");
        assert_eq!(web.delivered(id).await.str("did"), "b-phone");
    }
    for id in &to_alice {
        let mut told = [bob.delivered(id).await, bob.delivered(id).await].map(|f| f.str("did"));
        told.sort();
        assert_eq!(told, ["a-phone", "a-web"]);
    }
    for device in [&mut phone, &mut web, &mut bob] {
        device.heard_nothing_else().await;
    }
    until_rows(&server, 0).await;
}

#[tokio::test]
async fn what_one_device_sends_the_others_of_its_user_get_once_however_late_they_come() {
    let server = Server::start(&[ONCE]).await;
    let mut phone = server.login(ALICE, "a-phone").await;
    server.login(ALICE, "a-web").await.leave().await;
    let mut bob = server.login(BOB, "b-phone").await;
    send(&mut phone, BOB, &ids("m", 3)).await;
    assert_eq!(take(&mut bob, 3).await, ids("m", 3));
    until_rows(&server, 3).await;
    phone.leave().await;
    nothing_waits(&server, ALICE, "a-phone").await;
    // A device that was not known then finds it in the history.
    nothing_waits(&server, ALICE, "a-tablet").await;
    let mut web = server.login(ALICE, "a-web").await;
    assert_eq!(web.waiting(), 3);
    assert_eq!(take(&mut web, 3).await, ids("m", 3));
    web.heard_nothing_else().await;
    bob.heard_nothing_else().await;
    until_rows(&server, 0).await;
}

async fn until_rows(server: &Server, rows: u64) {
    let there = async || server.metric("yizhan_inbox_rows").await == rows as f64;
    until(&format!("{rows} rows"), there).await;
}

#[tokio::test]
async fn a_device_that_was_away_catches_up_from_its_own_cursor_although_the_other_acked() {
    let server = Server::start(&[ONCE, "device.deliver_window=8"]).await;
    let mut alice = server.login(ALICE, "a-phone").await;
    let mut phone = server.login(BOB, "b-phone").await;
    let mut web = server.login(BOB, "b-web").await;
    send(&mut alice, BOB, &ids("before-", 5)).await;
    assert_eq!(take(&mut phone, 5).await, ids("before-", 5));
    // The web leaves with a hole behind it.
    for n in 0..5 {
        web.receives(&format!("before-{n}")).await;
    }
    web.ack_seqs(&[1, 2, 3, 5]).await;
    web.ack_ok_numbers().await;
    web.leave().await;
    send(&mut alice, BOB, &ids("meanwhile-", 40)).await;
    assert_eq!(
        take_in_parts(&mut phone, 40, 8).await,
        ids("meanwhile-", 40)
    );
    until_rows(&server, 41).await;

    let mut web = server.login(BOB, "b-web").await;
    assert_eq!(web.waiting(), 41);
    let mut expected = ids("before-", 5).split_off(3);
    expected.truncate(1);
    expected.extend(ids("meanwhile-", 40));
    assert_eq!(take_in_parts(&mut web, 41, 8).await, expected);
    web.heard_nothing_else().await;
    until_rows(&server, 0).await;
}

/// As `take`, where no more than a window comes before an ack.
async fn take_in_parts(client: &mut Client, mut count: usize, window: usize) -> Vec<String> {
    let mut ids = Vec::new();
    while count > 0 {
        let part = count.min(window);
        ids.extend(take(client, part).await);
        count -= part;
    }
    ids
}

#[tokio::test]
async fn a_new_device_skips_what_any_device_acked_and_gets_what_none_did() {
    let server = Server::start(&[ONCE]).await;
    let mut alice = server.login(ALICE, "a-phone").await;
    let mut phone = server.login(BOB, "b-phone").await;
    let mut web = server.login(BOB, "b-web").await;
    send(&mut alice, BOB, &ids("m", 7)).await;
    for id in ids("m", 7) {
        phone.receives(&id).await;
        web.receives(&id).await;
    }
    // Numbers begin with 1: of seven, 3 and 6 were acked by nobody; 2 and 5 by one device only.
    phone.ack_seqs(&[1, 2, 4]).await;
    phone.ack_ok_numbers().await;
    web.ack_seqs(&[1, 4, 5, 7]).await;
    web.ack_ok_numbers().await;

    let mut third = server.login(BOB, "b-tablet").await;
    let summary = third.summary.as_ref().unwrap().json("payload");
    assert_eq!(support::field(&summary, "from_seq"), 3);
    assert_eq!(third.waiting(), 2);
    send(&mut alice, BOB, &["marker".to_owned()]).await;
    assert_eq!(take_seqs(&mut third, 3).await, [3, 6, 8]);
    third.heard_nothing_else().await;
    // And the others still get what they lack, each by itself.
    let mut phone = server.login(BOB, "b-phone").await;
    assert_eq!(take_seqs(&mut phone, 5).await, [3, 5, 6, 7, 8]);
    let mut web = server.login(BOB, "b-web").await;
    assert_eq!(take_seqs(&mut web, 4).await, [2, 3, 6, 8]);
}

/// The numbers of the next messages.
async fn take_seqs(client: &mut Client, count: usize) -> Vec<u64> {
    let mut seqs = Vec::new();
    while seqs.len() < count {
        let message = client.expect("a message", |frame| frame.is("C2C")).await;
        seqs.push(message.seq());
    }
    seqs
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_device_that_logs_in_again_and_again_under_load_loses_no_ack_and_leaves_no_ghost() {
    const WRITER: u64 = 2001;
    const READER: u64 = 2003;
    const MESSAGES: u64 = 1_000;
    let mut rng = fastrand::Rng::with_seed(support::seed());
    let server = Server::start(&[ONCE]).await;
    let listener = server.public;
    let pulse = Arc::new(Pulse::new());
    let sending = tokio::spawn({
        let pulse = Arc::clone(&pulse);
        async move {
            let mut sender = Sender::new(WRITER, READER);
            let end = sender.stream(listener, 16, MESSAGES, &pulse).await;
            assert_eq!(end, End::Done);
            sender
        }
    });

    let mut reader = Reader::new(READER, "phone", rng.fork());
    let mut client = reader.login(listener).await.expect("the server is there");
    let mut logins = 1;
    while reader.received_count() < MESSAGES as usize {
        let stay = rng.usize(0..40);
        let mut asked = 0;
        let end = reader
            .read(&mut client, &pulse, |reader| {
                asked += 1;
                asked > stay || reader.received_count() == MESSAGES as usize
            })
            .await;
        assert_eq!(end, End::Done);
        // The same did once more, while the older one still stands and its last acks are on their way.
        let newer = reader.login(listener).await.expect("the server is there");
        let mut older = std::mem::replace(&mut client, newer);
        logins += 1;
        assert_eq!(older.closed().await, Some(4008));
    }
    println!("{logins} logins");
    let sender = sending.await.unwrap();
    client.leave().await;
    reader.finish(listener, &sender.accepted()).await;
    reader.assert_gapless();
    reader.assert_nothing_waits(listener).await;

    // Nobody is left behind under that name: a message finds no one, and waits.
    until_online(&server, 0).await;
    let parked = server.metric("yizhan_parked_total").await;
    let mut alice = server.login(ALICE, "a-phone").await;
    send(&mut alice, READER, &["after".to_owned()]).await;
    assert_eq!(server.metric("yizhan_parked_total").await, parked + 1.0);
    assert_eq!(server.metric("yizhan_deliveries_in_flight").await, 0.0);
}

#[tokio::test]
async fn logins_of_one_device_at_the_same_moment_leave_one_of_them() {
    let server = Server::start(&[ONCE]).await;
    let mut alice = server.login(ALICE, "a-phone").await;
    let bob = support::User::new(BOB);
    for round in 0..20 {
        let login = || Client::try_login(server.public, &bob, "b-phone");
        let came = tokio::join!(login(), login(), login(), login());
        // One that another has overtaken is refused, or told so.
        let mut came: Vec<_> = [came.0, came.1, came.2, came.3]
            .into_iter()
            .flatten()
            .collect();
        assert!(!came.is_empty());
        until_online(&server, 2).await;
        let id = format!("m{round}");
        send(&mut alice, BOB, std::slice::from_ref(&id)).await;
        let mut found = 0;
        for client in &mut came {
            let frame = client
                .hear(|frame| frame.is("C2C") && frame.is_about(&id))
                .await;
            if frame.is_some() {
                client.ack_text(&id).await;
                client.ack_ok(&id).await;
                found += 1;
            }
        }
        assert_eq!(found, 1, "the one that is connected gets it");
        drop(came);
        until_online(&server, 1).await;
    }
    nothing_waits(&server, BOB, "b-phone").await;
}

#[tokio::test]
async fn a_device_that_made_room_and_comes_back_is_a_new_one() {
    let server = Server::start(&[ONCE, "device.max_per_user=2"]).await;
    let mut alice = server.login(ALICE, "a-phone").await;
    server.login(BOB, "b-first").await.leave().await;
    let mut phone = server.login(BOB, "b-phone").await;
    send(&mut alice, BOB, &ids("m", 3)).await;
    for id in ids("m", 3) {
        phone.receives(&id).await;
    }
    phone.ack_seqs(&[1, 3]).await;
    phone.ack_ok_numbers().await;
    // The first still holds all three.
    until_rows(&server, 3).await;
    server.login(BOB, "b-third").await.leave().await;
    // Not any more: the second message alone waits, for the two others.
    until_rows(&server, 1).await;

    let mut first = server.login(BOB, "b-first").await;
    assert_eq!(first.waiting(), 1);
    first.takes("m1").await;
    first.heard_nothing_else().await;
    send(&mut alice, BOB, &["marker".to_owned()]).await;
    first.takes("marker").await;
}

#[tokio::test]
async fn a_device_unseen_for_too_long_is_forgotten_and_comes_back_as_a_new_one() {
    let server = Server::start(&[ONCE, "device.forget_ms=1500"]).await;
    let mut alice = server.login(ALICE, "a-phone").await;
    server.login(BOB, "b-web").await.leave().await;
    let mut phone = server.login(BOB, "b-phone").await;
    send(&mut alice, BOB, &ids("m", 2)).await;
    phone.takes("m0").await;
    // The first message waits for the web alone, and goes with it. The phone is connected, and is not forgotten.
    until_rows(&server, 1).await;
    let mut web = server.login(BOB, "b-web").await;
    assert_eq!(web.waiting(), 1);
    web.takes("m1").await;
    web.heard_nothing_else().await;
    phone.takes("m1").await;
    phone.heard_nothing_else().await;
}

#[tokio::test]
async fn a_device_that_was_away_for_too_many_is_told_to_resync_until_it_acks() {
    let server = Server::start(&[ONCE, "inbox.max_messages=3"]).await;
    let mut alice = server.login(ALICE, "a-phone").await;
    let mut phone = server.login(BOB, "b-phone").await;
    server.login(BOB, "b-web").await.leave().await;
    for id in ids("m", 5) {
        send(&mut alice, BOB, std::slice::from_ref(&id)).await;
        phone.takes(&id).await;
    }
    let told = |frame: &Frame| frame.is("S2C") && frame.raw("payload").contains("resync");
    for _ in 0..2 {
        let mut web = server.login(BOB, "b-web").await;
        web.expect("resync", told).await;
        // It was given up when the fourth came; that one and the fifth wait.
        assert_eq!(web.waiting(), 2);
        web.leave().await;
    }
    let mut web = server.login(BOB, "b-web").await;
    web.expect("resync", told).await;
    web.takes("m3").await;
    web.takes("m4").await;
    web.leave().await;
    nothing_waits(&server, BOB, "b-web").await;
}

#[tokio::test]
async fn numbers_have_no_gap_over_an_empty_inbox_and_a_restart() {
    let mut server = Server::start(&[ONCE]).await;
    for round in 0..3 {
        let mut alice = server.login(ALICE, "a-phone").await;
        let mut bob = server.login(BOB, "b-phone").await;
        for n in 0..3 {
            let id = format!("m{round}-{n}");
            send(&mut alice, BOB, std::slice::from_ref(&id)).await;
            assert_eq!(bob.takes(&id).await.seq(), 3 * round + n + 1);
        }
        until_rows(&server, 0).await;
        match round {
            0 => assert!(server.term().await.success()),
            _ => server.kill9().await,
        }
        server.restart().await;
    }
}

#[tokio::test]
async fn a_cumulative_ack_removes_all_below_and_nothing_that_was_not_sent() {
    let server = Server::start(&[ONCE, "device.deliver_window=2"]).await;
    let mut alice = server.login(ALICE, "a-phone").await;
    send(&mut alice, BOB, &ids("m", 5)).await;
    let mut bob = server.login(BOB, "b-phone").await;
    bob.receives("m0").await;
    bob.receives("m1").await;
    bob.ack_up_to(5).await;
    assert_eq!(bob.ack_ok_numbers().await.num("up_to"), 2);
    until_rows(&server, 3).await;
    bob.receives("m2").await;
    bob.receives("m3").await;
    bob.ack_up_to(3).await;
    assert_eq!(bob.ack_ok_numbers().await.num("up_to"), 3);
    bob.receives("m4").await;
    until_rows(&server, 2).await;
    let of: Vec<_> = ids("m", 5);
    let of: Vec<_> = of.iter().map(|id| (BOB, id.as_str())).collect();
    let (yes, no) = ("delivered", "accepted");
    assert_eq!(alice.status(&of).await, [yes, yes, yes, no, no]);
}
