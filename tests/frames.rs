//! The forms of the JSON dialect, as a client sees them: every frame's exact fields, every refusal's code.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "support/lib.rs"]
mod support;

use support::{
    ALICE, BOB, CAROL, Client, Frame, Heard, ONCE, Server, User, c2c, field, keys, text_payload,
};

// ---- the six frames ----

#[tokio::test]
async fn a_message_shows_six_frames_of_exact_form() {
    let (_server, mut alice, mut bob) = alice_and_bob(&[ONCE]).await;
    let (a, b) = (User::new(ALICE).name, User::new(BOB).name);

    alice.send_c2c("m1", BOB, "hello").await;
    let accepted = alice.accepted("m1").await;
    assert_eq!(accepted.keys(), ["cseq", "id", "server_ts", "to", "type"]);
    assert_eq!(accepted.num("cseq"), 1);
    assert_eq!(accepted.str("to"), b);
    let server_ts = accepted.num("server_ts");
    assert!(
        server_ts > 1_700_000_000_000,
        "milliseconds since 1970: {server_ts}"
    );

    let message = bob.receives("m1").await;
    assert_eq!(
        message.keys(),
        [
            "created_at",
            "cseq",
            "from",
            "id",
            "payload",
            "seq",
            "server_ts",
            "to",
            "type"
        ]
    );
    assert_eq!(message.str("from"), a);
    assert_eq!(message.str("to"), b);
    assert_eq!(
        message.raw("payload"),
        r#"{"msg_type":"text","text":"hello"}"#
    );
    assert_eq!(message.num("created_at"), 1_668_877_742_828);
    assert_eq!(message.num("server_ts"), server_ts);
    assert_eq!((message.seq(), message.num("cseq")), (1, 1));

    bob.ack_text("m1").await;
    assert_eq!(bob.ack_ok("m1").await.keys(), ["id", "type"]);

    let delivered = alice.delivered("m1").await;
    assert_eq!(
        delivered.keys(),
        ["did", "from", "id", "server_ts", "to", "type"]
    );
    assert_eq!(delivered.str("from"), b);
    assert_eq!(delivered.str("to"), b);
    assert_eq!(delivered.str("did"), "b-phone");
    assert!(delivered.num("server_ts") > 0);

    alice.heard_nothing_else().await;
    bob.heard_nothing_else().await;
}

#[tokio::test]
async fn the_first_frame_at_login_is_a_summary_of_what_waits() {
    let server = Server::start(&[ONCE]).await;
    let mut alice = server.login(ALICE, "a-phone").await;
    for id in ["m1", "m2", "m3"] {
        alice.send_c2c(id, BOB, id).await;
        alice.accepted(id).await;
    }

    let bob = server.login(BOB, "b-phone").await;
    let summary = bob.summary.unwrap();
    assert_eq!(
        summary.keys(),
        ["from", "id", "payload", "server_ts", "to", "type"]
    );
    assert_eq!(summary.str("from"), "");
    assert_eq!(summary.str("to"), User::new(BOB).name);
    let payload = summary.json("payload");
    assert_eq!(keys(&payload), ["count", "from_seq", "msg_type", "to_seq"]);
    assert_eq!(payload["msg_type"], "offline_summary");
    assert_eq!(field(&payload, "count"), 3);
    assert_eq!(field(&payload, "from_seq"), 1);
    assert_eq!(field(&payload, "to_seq"), 3);
}

#[tokio::test]
async fn a_payload_passes_byte_for_byte() {
    let (_server, mut alice, mut bob) = alice_and_bob(&[ONCE]).await;
    let payloads = [
        r#"{ "a" :  1 ,	"b":[ 1,2 ,3 ] }"#,
        "{\n\"lines\":\r\n[ ]\n}",
        r#""\u00e9\ud83d\ude00 é 😀 \/ \b\f\n\r\t\"\\""#,
        r#"{"\u0061":"a","a":1,"a":2}"#,
        "123456789012345678901234567890.000100e+400",
        "-0.0",
        "1E5",
        "null",
        "true",
        "[]",
        "{}",
        r#""""#,
        r#""\ud800""#,
        r#""</script>&'""#,
        r#"{"type":"CLIENT_ACK","seqs":[1]}"#,
    ];
    for (at, payload) in payloads.iter().enumerate() {
        let id = format!("m{at}");
        alice.send_payload(&id, BOB, payload).await;
        alice.accepted(&id).await;
        assert_eq!(bob.takes(&id).await.raw("payload"), *payload);
    }
}

#[tokio::test]
async fn the_type_is_case_insensitive_and_from_is_ignored() {
    let (_server, mut alice, mut bob) = alice_and_bob(&[ONCE]).await;
    let carol = User::new(CAROL).name;
    for (id, kind) in [("m1", "c2c"), ("m2", "C2c"), ("m3", "C2C")] {
        let to = User::new(BOB).name;
        alice
            .send(format!(
                r#"{{"id":"{id}","type":"{kind}","from":"{carol}","to":"{to}","payload":1,"created_at":5}}"#
            ))
            .await;
        alice.accepted(id).await;
        let message = bob.receives(id).await;
        assert_eq!(message.kind(), "C2C");
        assert_eq!(message.str("from"), User::new(ALICE).name);
    }
    alice.send(r#"{"type":"status","of":[]}"#).await;
    alice.expect("the status", |frame| frame.is("STATUS")).await;
    bob.send(r#"{"type":"client_ack","seqs":[1]}"#).await;
    assert_eq!(bob.ack_ok_numbers().await.nums("seqs"), [1]);
}

#[tokio::test]
async fn the_fields_may_come_in_any_order_and_unknown_ones_are_ignored() {
    let (_server, mut alice, mut bob) = alice_and_bob(&[ONCE]).await;
    let to = User::new(BOB).name;
    alice
        .send(format!(
            r#" {{ "created_at" : 5, "mood":{{"id":"no"}}, "payload" : 1, "to":"{to}", "from":"x", "type":"C2C", "id":"m1" }} "#
        ))
        .await;
    alice.accepted("m1").await;
    assert_eq!(bob.receives("m1").await.num("created_at"), 5);
}

#[tokio::test]
async fn a_message_in_fragments_is_one_message() {
    let (_server, mut alice, mut bob) = alice_and_bob(&[ONCE]).await;
    let whole = c2c("m1", &User::new(BOB).name, r#""in three pieces: é""#);
    alice.send_in_fragments(&whole, 3).await;
    alice.accepted("m1").await;
    assert_eq!(
        bob.receives("m1").await.raw("payload"),
        r#""in three pieces: é""#
    );
}

// ---- acks ----

#[tokio::test]
async fn a_message_can_be_acked_in_three_forms() {
    let (_server, mut alice, mut bob) = alice_and_bob(&[ONCE]).await;
    for id in ["m1", "m2", "m3", "m4", "m5"] {
        alice.send_c2c(id, BOB, id).await;
        bob.receives(id).await;
    }

    bob.send("CLIENT_ACK,whatever,m1,b-phone").await;
    assert_eq!(bob.ack_ok("m1").await.keys(), ["id", "type"]);
    alice.delivered("m1").await;

    bob.ack_seqs(&[2, 4]).await;
    let confirmed = bob.ack_ok_numbers().await;
    assert_eq!(confirmed.keys(), ["seqs", "type"]);
    assert_eq!(confirmed.nums("seqs"), [2, 4]);
    alice.delivered("m2").await;
    alice.delivered("m4").await;

    bob.ack_up_to(5).await;
    let confirmed = bob.ack_ok_numbers().await;
    assert_eq!(confirmed.keys(), ["type", "up_to"]);
    assert_eq!(confirmed.num("up_to"), 5);
    alice.delivered("m3").await;
    alice.delivered("m5").await;
    alice.ping().await;
    let receipts = alice
        .take_aside()
        .into_iter()
        .filter(|frame| frame.is("C2C_DELIVERED"));
    assert_eq!(receipts.count(), 0, "each is told once");
}

#[tokio::test]
async fn an_ack_covers_only_what_was_sent_on_this_connection_and_says_so() {
    let (_server, mut alice, mut bob) = alice_and_bob(&[ONCE]).await;
    for id in ["m1", "m2", "m3"] {
        alice.send_c2c(id, BOB, id).await;
        bob.receives(id).await;
    }
    bob.ack_seqs(&[1, 77]).await;
    assert_eq!(bob.ack_ok_numbers().await.nums("seqs"), [1]);
    bob.ack_up_to(99).await;
    assert_eq!(bob.ack_ok_numbers().await.num("up_to"), 3);

    // What comes later is not acked in advance.
    alice.send_c2c("m4", BOB, "later").await;
    alice.accepted("m4").await;
    assert_eq!(bob.receives("m4").await.seq(), 4);
    assert_eq!(alice.status(&[(BOB, "m4")]).await, ["accepted"]);
}

#[tokio::test]
async fn a_repeated_ack_is_confirmed_again() {
    let (_server, mut alice, mut bob) = alice_and_bob(&[ONCE]).await;
    alice.send_c2c("m1", BOB, "hello").await;
    bob.takes("m1").await;
    bob.ack_text("m1").await;
    bob.ack_ok("m1").await;
    bob.ack_seqs(&[1]).await;
    assert_eq!(bob.ack_ok_numbers().await.nums("seqs"), [1]);
    bob.ack_up_to(1).await;
    assert_eq!(bob.ack_ok_numbers().await.num("up_to"), 1);
    alice.delivered("m1").await;
    alice.accepted("m1").await;
    alice.heard_nothing_else().await;
}

#[tokio::test]
async fn a_text_ack_of_an_id_two_senders_use_goes_to_the_older_row_first() {
    let (server, mut alice, mut bob) = alice_and_bob(&[ONCE]).await;
    let mut carol = server.login(CAROL, "c-phone").await;
    alice.send_c2c("same", BOB, "from alice").await;
    assert_eq!(bob.receives("same").await.seq(), 1);
    carol.send_c2c("same", BOB, "from carol").await;
    assert_eq!(bob.receives("same").await.seq(), 2);

    bob.ack_text("same").await;
    bob.ack_ok("same").await;
    alice.delivered("same").await;
    assert_eq!(carol.status(&[(BOB, "same")]).await, ["accepted"]);

    bob.ack_text("same").await;
    bob.ack_ok("same").await;
    carol.delivered("same").await;
}

#[tokio::test]
async fn the_same_id_to_another_reader_is_another_message() {
    let (server, mut alice, mut bob) = alice_and_bob(&[ONCE]).await;
    let mut carol = server.login(CAROL, "c-phone").await;
    alice.send_c2c("same", BOB, "to bob").await;
    assert_eq!(alice.accepted("same").await.str("to"), User::new(BOB).name);
    alice.send_c2c("same", CAROL, "to carol").await;
    assert_eq!(
        alice.accepted("same").await.str("to"),
        User::new(CAROL).name
    );
    bob.takes("same").await;
    assert_eq!(alice.delivered("same").await.str("to"), User::new(BOB).name);
    carol.takes("same").await;
    assert_eq!(
        alice.delivered("same").await.str("to"),
        User::new(CAROL).name
    );
}

// ---- repeats ----

#[tokio::test]
async fn a_repeat_gets_the_same_answer_and_once_delivered_a_receipt_without_a_did() {
    let (_server, mut alice, mut bob) = alice_and_bob(&[ONCE]).await;
    alice.send_c2c("m1", BOB, "hello").await;
    let first = alice.accepted("m1").await.num("server_ts");
    bob.receives("m1").await;

    alice.send_c2c("m1", BOB, "hello").await;
    assert_eq!(alice.accepted("m1").await.num("server_ts"), first);
    alice.heard_nothing_else().await;

    bob.ack_text("m1").await;
    bob.ack_ok("m1").await;
    alice.delivered("m1").await;

    alice.send_c2c("m1", BOB, "hello").await;
    assert_eq!(alice.accepted("m1").await.num("server_ts"), first);
    let receipt = alice.delivered("m1").await;
    assert_eq!(receipt.keys(), ["from", "id", "server_ts", "to", "type"]);
    assert_eq!(receipt.str("to"), User::new(BOB).name);

    bob.heard_nothing_else().await;
}

#[tokio::test]
async fn a_repeat_may_differ_in_what_is_no_content() {
    let (_server, mut alice, mut bob) = alice_and_bob(&[ONCE]).await;
    let to = User::new(BOB).name;
    alice.send(c2c("m1", &to, "1")).await;
    let first = alice.accepted("m1").await.num("server_ts");
    alice
        .send(format!(
            r#"{{"type":"c2c","id":"m1","to":"{to}","payload":1,"created_at":9,"from":"{to}"}}"#
        ))
        .await;
    assert_eq!(alice.accepted("m1").await.num("server_ts"), first);
    bob.receives("m1").await;
    bob.heard_nothing_else().await;
}

#[tokio::test]
async fn the_same_id_with_other_content_is_refused_with_409() {
    let (_server, mut alice, mut bob) = alice_and_bob(&[ONCE]).await;
    alice.send_payload("m1", BOB, r#"{"a":1}"#).await;
    alice.accepted("m1").await;
    alice.send_payload("m1", BOB, r#"{"a": 1}"#).await;
    let error = alice.error(409).await;
    assert_eq!(
        (error.id(), error.str("to")),
        ("m1".to_owned(), User::new(BOB).name)
    );
    assert_eq!(bob.receives("m1").await.raw("payload"), r#"{"a":1}"#);
    bob.heard_nothing_else().await;
}

// ---- STATUS, SYNC, REFRESH, ping ----

#[tokio::test]
async fn status_tells_unknown_accepted_and_delivered() {
    let (_server, mut alice, mut bob) = alice_and_bob(&[ONCE]).await;
    alice.send_c2c("m1", BOB, "one").await;
    alice.send_c2c("m2", BOB, "two").await;
    alice.accepted("m2").await;
    bob.takes("m1").await;
    let of = [(BOB, "m1"), (BOB, "m2"), (BOB, "m3"), (CAROL, "m1")];
    assert_eq!(
        alice.status(&of).await,
        ["delivered", "accepted", "unknown", "unknown"]
    );
    // Only the sender is told: to anybody else it is unknown.
    assert_eq!(bob.status(&[(BOB, "m1")]).await, ["unknown"]);
}

#[tokio::test]
async fn sync_pages_through_what_waits_without_walking_it() {
    let server = Server::start(&[
        "device.deliver_window=1",
        "delivery.schedule_ms=[0,50,600000]",
    ])
    .await;
    let mut alice = server.login(ALICE, "a-phone").await;
    for id in ["m1", "m2", "m3", "m4", "m5"] {
        alice.send_c2c(id, BOB, id).await;
        alice.accepted(id).await;
    }

    // A window of one: the login itself brings m1 and, until that is acked, no other.
    let mut bob = server.login(BOB, "b-phone").await;
    assert_eq!(bob.waiting(), 5);
    let page = bob.sync(1, 2).await;
    assert_eq!(page.keys(), ["messages", "more", "next", "type"]);
    let messages = page.frames("messages");
    assert_eq!(
        messages[0].keys(),
        [
            "created_at",
            "cseq",
            "from",
            "id",
            "payload",
            "seq",
            "server_ts",
            "to",
            "type"
        ]
    );
    assert_eq!(messages[0].raw("payload"), text_payload("m2"));
    assert_eq!(seqs(&messages), [2, 3]);
    assert!(page.flag("more"));

    let page = bob.sync(page.num("next"), 2).await;
    assert_eq!(seqs(&page.frames("messages")), [4, 5]);
    assert!(!page.flag("more"));

    // The next to walk is the marker, not what the pages brought; when it has come twice, that would have, too.
    bob.takes("m1").await;
    alice.send_c2c("marker", BOB, "marker").await;
    bob.receives("marker").await;
    bob.receives("marker").await;
    let walked: Vec<_> = bob.take_aside();
    let walked: Vec<_> = walked
        .iter()
        .filter(|frame| frame.is("C2C") && frame.seq() > 1)
        .collect();
    assert!(walked.is_empty(), "{walked:#?}");

    bob.ack_seqs(&[2, 3, 4, 5]).await;
    assert_eq!(bob.ack_ok_numbers().await.nums("seqs"), [2, 3, 4, 5]);
    for id in ["m2", "m3", "m4", "m5"] {
        alice.delivered(id).await;
    }
}

#[tokio::test]
async fn sync_past_the_end_is_an_empty_page() {
    let (_server, _alice, mut bob) = alice_and_bob(&[]).await;
    let page = bob.sync(0, 10).await;
    assert_eq!(page.frames("messages").len(), 0);
    assert!(!page.flag("more"));
}

#[tokio::test]
async fn a_page_keeps_within_the_frame_limit_and_says_there_is_more() {
    let server = Server::start(&[ONCE, "device.deliver_window=1"]).await;
    let mut alice = server.login(ALICE, "a-phone").await;
    let big = format!(r#""{}""#, "x".repeat(60_000));
    for id in ["m1", "m2", "m3", "m4", "m5"] {
        alice.send_payload(id, BOB, &big).await;
        alice.accepted(id).await;
    }
    let mut bob = server.login(BOB, "b-phone").await;
    let (mut after, mut seen) = (0, Vec::new());
    loop {
        let page = bob.sync(after, 100).await;
        assert!(
            page.text.len() <= 131_072,
            "a page of {} bytes",
            page.text.len()
        );
        seen.extend(seqs(&page.frames("messages")));
        after = page.num("next");
        if !page.flag("more") {
            break;
        }
    }
    assert_eq!(seen, [1, 2, 3, 4, 5]);
}

#[tokio::test]
async fn a_token_is_refreshed_only_by_one_of_the_same_user() {
    let (_server, mut alice, _bob) = alice_and_bob(&[]).await;
    let me = User::new(ALICE);
    alice
        .send(format!(r#"{{"type":"REFRESH","token":"{}"}}"#, me.token))
        .await;
    let refreshed = alice
        .expect("REFRESH_OK", |frame| frame.is("REFRESH_OK"))
        .await;
    assert_eq!(refreshed.keys(), ["exp", "type"]);
    assert_eq!(refreshed.num("exp"), me.expiry());

    let others = [
        User::new(BOB).token,
        me.refresh_token(),
        "nonsense".to_owned(),
    ];
    for token in others {
        alice
            .send(format!(r#"{{"type":"REFRESH","token":"{token}"}}"#))
            .await;
        alice.error(706).await;
    }
    alice.heard_nothing_else().await;
}

#[tokio::test]
async fn a_text_ping_is_answered_by_a_text_pong() {
    let (_server, mut alice, _bob) = alice_and_bob(&[]).await;
    alice.send("ping").await;
    assert!(matches!(alice.next().await, Heard::Pong));
}

// ---- WEBRTC_* ----

#[tokio::test]
async fn a_webrtc_message_is_relayed_as_it_is_and_never_stored() {
    let (server, mut alice, mut bob) = alice_and_bob(&[ONCE]).await;
    let (a, b) = (User::new(ALICE).name, User::new(BOB).name);
    let offer = format!(
        r#"{{"id":"w1","type":"WEBRTC_OFFER","from":"","to":"{b}","payload":{{ "sdp" : "v=0\r\n" }},"created_at":5}}"#
    );
    alice.send(offer.clone()).await;
    let relayed = alice
        .expect("the relay's ack", |frame| frame.is("WEBRTC_SERVER_ACK"))
        .await;
    assert_eq!(relayed.keys(), ["id", "server_ts", "to", "type"]);
    assert_eq!(
        (relayed.id(), relayed.str("to")),
        ("w1".to_owned(), b.clone())
    );

    let call = bob
        .expect("the offer", |frame| frame.is("WEBRTC_OFFER"))
        .await;
    assert!(!call.has("seq"), "{call:?}");
    assert_eq!(
        (call.id(), call.str("from"), call.str("to")),
        ("w1".to_owned(), a, b)
    );
    assert_eq!(call.raw("payload"), r#"{ "sdp" : "v=0\r\n" }"#);
    bob.send("CLIENT_ACK,WEBRTC_OFFER,w1,b-phone").await;
    bob.ack_ok("w1").await;

    bob.leave().await;
    let mut bob = server.login(BOB, "b-phone").await;
    assert_eq!(bob.waiting(), 0);
    alice.send_c2c("marker", BOB, "marker").await;
    assert_eq!(bob.receives("marker").await.seq(), 1);
    bob.heard_nothing_else().await;
}

#[tokio::test]
async fn a_webrtc_message_to_nobody_online_is_refused_with_404_and_not_kept() {
    let server = Server::start(&[ONCE]).await;
    let mut alice = server.login(ALICE, "a-phone").await;
    let b = User::new(BOB).name;
    alice
        .send(format!(
            r#"{{"id":"w1","type":"WEBRTC_OFFER","from":"","to":"{b}","payload":1,"created_at":5}}"#
        ))
        .await;
    let error = alice.error(404).await;
    assert_eq!((error.id(), error.str("to")), ("w1".to_owned(), b));
    let bob = server.login(BOB, "b-phone").await;
    assert_eq!(bob.waiting(), 0);
}

#[tokio::test]
async fn a_webrtc_message_nobody_acks_is_sent_by_the_schedule_and_then_refused_with_404() {
    let (_server, mut alice, mut bob) = alice_and_bob(&["delivery.schedule_ms=[0,30,30]"]).await;
    let b = User::new(BOB).name;
    alice
        .send(format!(
            r#"{{"id":"w1","type":"WEBRTC_OFFER","from":"","to":"{b}","payload":1,"created_at":5}}"#
        ))
        .await;
    for _ in 0..3 {
        bob.expect("the offer", |frame| frame.is("WEBRTC_OFFER"))
            .await;
    }
    assert!(alice.error(404).await.is_about("w1"));
    bob.heard_nothing_else().await;
}

// ---- what is refused ----

#[tokio::test]
async fn a_malformed_frame_costs_an_error_400_and_nothing_else() {
    let (_server, mut alice, mut bob) = alice_and_bob(&[ONCE]).await;
    let b = User::new(BOB).name;
    let long = "x".repeat(65);
    let frames = [
        "{".to_owned(),
        String::new(),
        "[]".to_owned(),
        "1".to_owned(),
        "\"text\"".to_owned(),
        "hello".to_owned(),
        "PING PONG".to_owned(),
        "{}".to_owned(),
        r#"{"id":"m1"}"#.to_owned(),
        r#"{"id":"m1","type":5}"#.to_owned(),
        r#"{"id":"m1","type":"NO_SUCH_TYPE"}"#.to_owned(),
        r#"{"id":"m1","type":"S2C","to":"7b4v1b","payload":1}"#.to_owned(),
        r#"{"id":"m1","type":"C2C","to":"7b4v1b","payload":1} {}"#.to_owned(),
        format!(r#"{{"type":"C2C","to":"{b}","payload":1,"created_at":1}}"#),
        format!(r#"{{"id":7,"type":"C2C","to":"{b}","payload":1,"created_at":1}}"#),
        format!(r#"{{"id":"m1","type":"C2C","to":"{b}","created_at":1}}"#),
        r#"{"id":"m1","type":"C2C","payload":1,"created_at":1}"#.to_owned(),
        c2c("", &b, "1"),
        c2c("with,comma", &b, "1"),
        c2c("with\\ncontrol", &b, "1"),
        c2c(&long, &b, "1"),
        c2c("m1", "7b4v1", "1"),
        c2c("m1", "7b4v1B", "1"),
        c2c("m1", "zzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzz", "1"),
        c2c("m1", "", "1"),
        c2c("m1", "108", "1"),
        "CLIENT_ACK".to_owned(),
        "CLIENT_ACK,C2C,m1".to_owned(),
        "CLIENT_ACK,C2C,m1,b-phone,more".to_owned(),
        "CLIENT_ACK,C2C,,a-phone".to_owned(),
        r#"{"type":"CLIENT_ACK"}"#.to_owned(),
        r#"{"type":"CLIENT_ACK","seqs":"all"}"#.to_owned(),
        r#"{"type":"CLIENT_ACK","seqs":[-1]}"#.to_owned(),
        r#"{"type":"CLIENT_ACK","up_to":1.5}"#.to_owned(),
        r#"{"type":"SYNC","after":"x","limit":1}"#.to_owned(),
        r#"{"type":"STATUS","of":5}"#.to_owned(),
        r#"{"type":"REFRESH"}"#.to_owned(),
    ];
    for frame in frames {
        alice.send(frame.clone()).await;
        alice.ping().await;
        let answers = alice.take_aside();
        assert_eq!(answers.len(), 1, "to {frame}: {answers:?}");
        assert!(answers[0].is("ERROR"), "to {frame}: {answers:?}");
        assert_eq!(answers[0].num("code"), 400, "to {frame}: {answers:?}");
    }
    bob.heard_nothing_else().await;

    alice.send_c2c("after-all", BOB, "still here").await;
    alice.accepted("after-all").await;
    bob.receives("after-all").await;
}

#[tokio::test]
async fn an_error_has_its_exact_form_and_names_the_message_when_it_can() {
    let (_server, mut alice, _bob) = alice_and_bob(&[]).await;
    alice.send("{").await;
    let error = alice.error(400).await;
    assert_eq!(error.keys(), ["code", "msg", "server_ts", "type"]);
    assert!(!error.str("msg").is_empty());

    let b = User::new(BOB).name;
    alice
        .send(format!(r#"{{"id":"m1","type":"NO_SUCH_TYPE","to":"{b}"}}"#))
        .await;
    let error = alice.error(400).await;
    assert_eq!(
        error.keys(),
        ["code", "id", "msg", "server_ts", "to", "type"]
    );
    assert_eq!((error.id(), error.str("to")), ("m1".to_owned(), b));
}

#[tokio::test]
async fn bytes_that_are_no_text_cost_only_an_error() {
    let (_server, mut alice, mut bob) = alice_and_bob(&[ONCE]).await;
    alice.send_as_text(b"{\"id\":\"\xff\xfe\"}").await;
    alice.error(400).await;
    alice.send_binary(b"\x00\x01\x02").await;
    alice.error(400).await;
    alice.send_c2c("m1", BOB, "still here").await;
    alice.accepted("m1").await;
    bob.receives("m1").await;
}

#[tokio::test]
async fn an_ack_of_nothing_is_404_and_of_another_device_400() {
    let (_server, mut alice, mut bob) = alice_and_bob(&[ONCE]).await;
    bob.ack_text("never-sent").await;
    assert!(bob.error(404).await.is_about("never-sent"));

    alice.send_c2c("m1", BOB, "hello").await;
    bob.receives("m1").await;
    bob.send("CLIENT_ACK,C2C,m1,another-phone").await;
    bob.error(400).await;
    assert_eq!(alice.status(&[(BOB, "m1")]).await, ["accepted"]);
    bob.ack_text("m1").await;
    bob.ack_ok("m1").await;
}

#[tokio::test]
async fn a_payload_over_the_limit_is_413_and_one_at_the_limit_passes() {
    let (_server, mut alice, mut bob) = alice_and_bob(&[ONCE, "listen.max_payload=1000"]).await;
    let just = format!(r#""{}""#, "x".repeat(998));
    let over = format!(r#""{}""#, "x".repeat(999));
    alice.send_payload("just", BOB, &just).await;
    alice.accepted("just").await;
    alice.send_payload("over", BOB, &over).await;
    let error = alice.error(413).await;
    assert_eq!(
        (error.id(), error.str("to")),
        ("over".to_owned(), User::new(BOB).name)
    );
    assert_eq!(bob.takes("just").await.raw("payload"), just);
    bob.heard_nothing_else().await;
}

#[tokio::test]
async fn a_frame_over_the_limit_ends_the_connection_with_1009() {
    let (_server, mut alice, _bob) =
        alice_and_bob(&["listen.max_frame=4096", "listen.max_payload=2048"]).await;
    alice.send("x".repeat(4096)).await;
    alice.error(400).await;
    // A client that is cut while it writes may not get to read why: the frame is small enough to be sent whole.
    alice.try_send("x".repeat(4097)).await;
    assert_eq!(alice.closed().await, Some(1009));
}

#[tokio::test]
async fn a_frame_that_only_claims_to_be_huge_ends_the_connection_with_1009() {
    let (_server, mut alice, _bob) = alice_and_bob(&[]).await;
    let mut header = vec![0x81, 0xff];
    header.extend((10_u64 << 30).to_be_bytes());
    header.extend([0; 4]);
    alice.write_raw(&header).await;
    assert_eq!(alice.closed().await, Some(1009));
}

#[tokio::test]
async fn a_full_inbox_is_507_until_its_reader_takes_something() {
    let server = Server::start(&[ONCE, "inbox.max_messages=3"]).await;
    let mut alice = server.login(ALICE, "a-phone").await;
    for id in ["m1", "m2", "m3"] {
        alice.send_c2c(id, BOB, id).await;
        alice.accepted(id).await;
    }
    alice.send_c2c("m4", BOB, "m4").await;
    let error = alice.error(507).await;
    assert_eq!(
        (error.id(), error.str("to")),
        ("m4".to_owned(), User::new(BOB).name)
    );
    // A repeat is no new row, and another reader's inbox is another.
    alice.send_c2c("m1", BOB, "m1").await;
    alice.accepted("m1").await;
    alice.send_c2c("m1", CAROL, "m1").await;
    alice.accepted("m1").await;

    let mut bob = server.login(BOB, "b-phone").await;
    bob.takes("m1").await;
    alice.send_c2c("m4", BOB, "m4").await;
    alice.accepted("m4").await;
    for id in ["m2", "m3", "m4"] {
        bob.takes(id).await;
    }
    bob.heard_nothing_else().await;
}

// ---- helpers ----

async fn alice_and_bob(sets: &[&str]) -> (Server, Client, Client) {
    let server = Server::start(sets).await;
    let alice = server.login(ALICE, "a-phone").await;
    let bob = server.login(BOB, "b-phone").await;
    (server, alice, bob)
}

fn seqs(messages: &[Frame]) -> Vec<u64> {
    messages.iter().map(Frame::seq).collect()
}
