//! Everything a hostile or broken client may send, at the real socket: the right code, in words that name what was
//! wrong, and no harm to the connection or to anybody else.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "bad_input/bystanders.rs"]
mod bystanders;
#[path = "bad_input/raw.rs"]
mod raw;
#[path = "support/lib.rs"]
mod support;

use bystanders::Bystanders;
use raw::{masked, tokens};
use support::{ALICE, BOB, CAROL, Call, Client, Frame, Heard, ONCE, Server, User, c2c};

// ---- frames that cost an ERROR ----

#[tokio::test]
async fn a_text_that_is_no_frame_costs_an_error() {
    let neither =
        "the frame is not a JSON object, and neither `ping` nor `CLIENT_ACK,type,msgid,did`";
    let open = "[".repeat(10_000);
    let deep = format!("{open}{}", "]".repeat(10_000));
    let rows = [
        Row::of("", "the frame is empty"),
        Row::of(" \t\r\n ", "the frame is empty"),
        Row::of("hello", neither),
        Row::of("PING", neither),
        Row::of("ping ", neither),
        Row::of(" ping", neither),
        Row::of("pong", neither),
        Row::of("[]", neither),
        Row::of("null", neither),
        Row::of("7", neither),
        Row::of(r#""C2C""#, neither),
        Row::of("\u{0}", neither),
        Row::of(r#"["m1","C2C","7b4v1b",1]"#, neither),
        Row::of(&open, neither),
        Row::of(&deep, neither),
        Row::of("{", "the frame is not JSON: it ends too early"),
        Row::of(r#"{"id":"m1","type":"C2C","to""#, "it ends too early"),
        Row::of(&format!(r#"{{"payload":{open}"#), "it ends too early"),
        Row::of(
            "{'id':'m1'}",
            "the frame is not JSON: it cannot be read at line 1, column 2",
        ),
        Row::of("{\n\"id\":\"m1\",}", "line 2, column 11"),
        Row::of("{\"id\":\"m\u{0}1\"}", "the frame is not JSON"),
        Row::of(r#"{"payload":01}"#, "the frame is not JSON"),
        Row::of(r#"{"payload":NaN}"#, "the frame is not JSON"),
        Row::of(r#"{"payload":"\x41"}"#, "the frame is not JSON"),
        Row::of("\u{feff}{}", "the frame begins with a byte order mark"),
        Row::of(
            r#"{"type":"SYNC"}{}"#,
            "something follows the JSON object at line 1, column 16",
        ),
        Row::of(
            r#"{"type":"SYNC"} ping"#,
            "something follows the JSON object",
        ),
        Row::of("{}", "type is missing"),
    ];
    hold(rows.into()).await;
}

#[tokio::test]
async fn a_member_of_the_wrong_shape_costs_an_error_that_names_it() {
    let seq = "must be a whole number from 0 to 18446744073709551615";
    let deep = format!("{}{}", "[".repeat(10_000), "]".repeat(10_000));
    let many = vec!["0"; 40_000].join(",");
    let mut rows = vec![
        Row::of(
            r#"{"id":7,"type":"C2C","to":"7b4v1b","payload":1}"#,
            "id must be a string",
        )
        .to("7b4v1b"),
        Row::of(r#"{"id":{},"type":"SYNC"}"#, "id must be a string"),
        Row::of(
            &format!(r#"{{"id":{deep},"type":"SYNC"}}"#),
            "id must be a string",
        ),
        Row::of(r#"{"id":"m1","type":["C2C"]}"#, "type must be a string").id("m1"),
        Row::of(r#"{"id":"m1","type":null}"#, "type is missing").id("m1"),
        Row::of(
            r#"{"id":"m1","type":"C2C","to":108,"payload":1}"#,
            "to must be a string",
        )
        .id("m1"),
        Row::of(r#"{"type":"SYNC","limit":0}"#, "limit is not from 1 to 100"),
        Row::of(
            r#"{"type":"SYNC","limit":101}"#,
            "limit is not from 1 to 100",
        ),
        Row::of(
            r#"{"type":"SYNC","limit":1000000000}"#,
            "limit is not from 1 to 100",
        ),
        Row::of(
            r#"{"type":"SYNC","limit":1e9}"#,
            "limit must be a whole number",
        ),
        Row::of(
            r#"{"type":"SYNC","limit":"1"}"#,
            "limit must be a whole number",
        ),
        Row::of(r#"{"type":"CLIENT_ACK"}"#, "either seqs or up_to is needed"),
        Row::of(
            r#"{"type":"CLIENT_ACK","seqs":[1],"up_to":1}"#,
            "either seqs or up_to is needed",
        ),
        Row::of(
            r#"{"type":"CLIENT_ACK","seqs":"all"}"#,
            "seqs must be a list of sequence numbers",
        ),
        Row::of(
            r#"{"type":"CLIENT_ACK","seqs":[1,-1]}"#,
            &format!("seqs[1] {seq}"),
        ),
        Row::of(
            r#"{"type":"CLIENT_ACK","seqs":[1,2,"3"]}"#,
            &format!("seqs[2] {seq}"),
        ),
        Row::of(
            &format!(r#"{{"type":"CLIENT_ACK","seqs":[{many},-1]}}"#),
            &format!("seqs[40000] {seq}"),
        ),
        Row::of(
            &format!(r#"{{"type":"CLIENT_ACK","seqs":{deep}}}"#),
            &format!("seqs[0] {seq}"),
        ),
        Row::of(r#"{"type":"STATUS"}"#, "of is missing"),
        Row::of(
            r#"{"type":"STATUS","of":{}}"#,
            "of must be a list of objects with to and id",
        ),
        Row::of(
            r#"{"type":"STATUS","of":"m1"}"#,
            "of must be a list of objects with to and id",
        ),
        Row::of(
            r#"{"type":"STATUS","of":["m1"]}"#,
            "of[0]: must be an object with to and id",
        ),
        Row::of(
            r#"{"type":"STATUS","of":[["7b4v1b","m1"]]}"#,
            "of[0]: must be an object",
        ),
        Row::of(
            r#"{"type":"STATUS","of":[{"to":"7b4v1b","id":"m1"},{"id":"m1"}]}"#,
            "of[1]: to is missing",
        ),
        Row::of(
            r#"{"type":"STATUS","of":[{"to":"7b4v1b"}]}"#,
            "of[0]: id is missing",
        ),
        Row::of(
            r#"{"type":"STATUS","of":[{"to":"7b4v1b","id":5}]}"#,
            "of[0]: id must be a string",
        ),
        Row::of(
            r#"{"type":"STATUS","of":[{"to":"nobody","id":"m1"}]}"#,
            "of[0]: to names no user",
        ),
        Row::of(
            r#"{"type":"STATUS","of":[{"to":"7b4v1b","id":"a,b"}]}"#,
            "of[0]: id contains a comma",
        ),
        Row::of(
            &format!(
                r#"{{"type":"STATUS","of":[{}]}}"#,
                vec!["{}"; 257].join(",")
            ),
            "of has more than 256 entries",
        ),
        Row::of(
            &format!(r#"{{"type":"STATUS","of":{deep}}}"#),
            "of[0]: must be an object",
        ),
        Row::of(r#"{"type":"REFRESH"}"#, "token is missing"),
        Row::of(r#"{"type":"REFRESH","token":5}"#, "token must be a string"),
    ];
    for bad in [
        r#""today""#,
        "1.5",
        "1e400",
        "9223372036854775808",
        "[]",
        "true",
    ] {
        let text =
            format!(r#"{{"id":"m1","type":"C2C","to":"7b4v1b","payload":1,"created_at":{bad}}}"#);
        rows.push(
            Row::of(&text, "created_at must be a whole number")
                .id("m1")
                .to("7b4v1b"),
        );
    }
    for name in ["up_to", "after"] {
        for bad in [r#""1""#, "-1", "1.5", "1e3", "18446744073709551616", "{}"] {
            let text = format!(r#"{{"type":"SYNC","{name}":{bad}}}"#);
            rows.push(Row::of(&text, &format!("{name} {seq}")));
        }
    }
    hold(rows).await;
}

#[tokio::test]
async fn a_message_that_is_not_whole_costs_an_error_that_says_what_it_lacks() {
    let to = "7b4v1b";
    let with_id = |id: &str| format!(r#"{{"id":"{id}","type":"C2C","to":"{to}","payload":1}}"#);
    let with_to = |to: &str| format!(r#"{{"id":"m1","type":"C2C","to":"{to}","payload":1}}"#);
    let with_type =
        |kind: &str| format!(r#"{{"id":"m1","type":"{kind}","to":"{to}","payload":1}}"#);
    let (long, wide) = ("x".repeat(65), "驿".repeat(22));
    let mut rows = vec![
        Row::of(
            r#"{"type":"C2C","to":"7b4v1b","payload":1}"#,
            "id is missing",
        )
        .to(to),
        Row::of(
            r#"{"id":null,"type":"C2C","to":"7b4v1b","payload":1}"#,
            "id is missing",
        )
        .to(to),
        Row::of(r#"{"id":"m1","type":"C2C","payload":1}"#, "to is missing").id("m1"),
        Row::of(
            r#"{"id":"m1","type":"C2C","to":"7b4v1b"}"#,
            "payload is missing",
        )
        .id("m1")
        .to(to),
        Row::of(&with_id(""), "id is empty").id("").to(to),
        Row::of(&with_id(&long), "id is longer than 64 bytes")
            .id(&long[..64])
            .to(to),
        Row::of(&with_id(&wide), "id is longer than 64 bytes")
            .id(&wide[..63])
            .to(to),
        Row::of(&with_id("a,b"), "id contains a comma")
            .id("a,b")
            .to(to),
        Row::of(
            &with_id(r"\ud800"),
            "id has an escape that stands for no character",
        )
        .to(to),
        Row::of(
            &with_id(r"\udc00\ud800"),
            "id has an escape that stands for no character",
        )
        .to(to),
        Row::of(
            &with_to(r"\ud800"),
            "to has an escape that stands for no character",
        )
        .id("m1"),
    ];
    for (escape, character) in [
        (r"\u0000", "\0"),
        (r"\n", "\n"),
        (r"\u001b[2J", "\u{1b}[2J"),
        (r"\u007f", "\u{7f}"),
        (r"\u0085", "\u{85}"),
    ] {
        rows.push(
            Row::of(&with_id(escape), "id contains a control character")
                .id(character)
                .to(to),
        );
    }
    for nobody in [
        "",
        "7b4v1",
        "7b4v1B",
        "7b4v1b ",
        "108",
        "-1",
        "驿站",
        "zzzzzzzzzzzzzzzzzzzzzzzzzzzz",
    ] {
        rows.push(
            Row::of(&with_to(nobody), "to names no user")
                .id("m1")
                .to(nobody),
        );
    }
    let endless = "7".repeat(100_000);
    rows.push(
        Row::of(&with_to(&endless), "to names no user")
            .id("m1")
            .to(&endless[..64]),
    );
    for kind in [
        "",
        "C2C ",
        "C2X",
        "C2G_",
        "S2C",
        "ERROR",
        "C2C_SERVER_ACK",
        "C2C_DELIVERED",
        "SYNC_PAGE",
        "WEBRTC",
        &endless,
    ] {
        rows.push(
            Row::of(&with_type(kind), "type is not known")
                .id("m1")
                .to(to),
        );
    }
    for kind in [
        "WEBRTC_A B",
        "WEBRTC_ü",
        "WEBRTC_\\u0000",
        &format!("WEBRTC_{long}"),
    ] {
        rows.push(
            Row::of(&with_type(kind), "type has characters other than")
                .id("m1")
                .to(to),
        );
    }
    let over = format!(
        r#"{{"id":"m1","type":"C2C","to":"{to}","payload":"{}"}}"#,
        "x".repeat(65_535)
    );
    let deep = format!("{}{}", "[".repeat(33_000), "]".repeat(33_000));
    rows.push(
        Row::of(&over, "payload has 65537 bytes, at most 65536")
            .code(413)
            .id("m1")
            .to(to),
    );
    rows.push(
        Row::of(&c2c("m1", to, &deep), "payload has 66000 bytes")
            .code(413)
            .id("m1")
            .to(to),
    );
    hold(rows).await;
}

#[tokio::test]
async fn a_member_twice_costs_an_error_that_names_it_in_every_kind_of_frame() {
    let mut rows = Vec::new();
    for kind in [
        "C2C",
        "WEBRTC_OFFER",
        "CLIENT_ACK",
        "SYNC",
        "STATUS",
        "REFRESH",
        "NO_SUCH_TYPE",
    ] {
        for (twice, name, id) in [
            (r#""id":"a","id":"b""#, "id", None),
            (r#""id":"a","\u0069d":"a""#, "id", None),
            (r#""id":"a","to":"7b4v1b","to":"7b4v1b""#, "to", Some("a")),
            (r#""id":"a","payload":1,"payload":1"#, "payload", Some("a")),
            (r#""id":"a","seqs":[1],"seqs":[1]"#, "seqs", Some("a")),
            (r#""id":"a","from":"x","from":"x""#, "from", Some("a")),
            (r#""type":"SYNC""#, "type", None),
        ] {
            let mut row = Row::of(
                &format!(r#"{{"type":"{kind}",{twice}}}"#),
                &format!("{name} stands there twice"),
            );
            row.id = id.map(str::to_owned);
            rows.push(row);
        }
    }
    let entry = r#"{"type":"STATUS","of":[{"to":"7b4v1b","id":"a","id":"b"}]}"#;
    rows.push(Row::of(entry, "of[0]: id stands there twice"));
    hold(rows).await;
}

#[tokio::test]
async fn a_bad_ack_costs_an_error_and_acknowledges_nothing() {
    let neither = "neither `ping` nor `CLIENT_ACK,type,msgid,did`";
    let rows = [
        Row::of("CLIENT_ACK", neither),
        Row::of("client_ack,C2C,m1,a-phone", neither),
        Row::of(" CLIENT_ACK,C2C,m1,a-phone", neither),
        Row::of("CLIENT_ACK C2C m1 a-phone", neither),
        Row::of(
            "CLIENT_ACK,C2C",
            "four fields, CLIENT_ACK,type,msgid,did, and this has 2",
        ),
        Row::of("CLIENT_ACK,C2C,m1", "this has 3"),
        Row::of("CLIENT_ACK,C2C,m1,a-phone,", "this has 5"),
        Row::of(
            &format!("CLIENT_ACK{}", ",".repeat(100_000)),
            "this has 100001",
        ),
        Row::of("CLIENT_ACK,C2C,,a-phone", "msgid is empty"),
        Row::of(
            "CLIENT_ACK,C2C,m\r\n1,a-phone",
            "msgid contains a control character",
        ),
        Row::of(
            "CLIENT_ACK,C2C,m1\u{0},a-phone",
            "msgid contains a control character",
        ),
        Row::of(
            &format!("CLIENT_ACK,C2C,{},a-phone", "m".repeat(65)),
            "msgid is longer than 64 bytes",
        ),
        Row::of("CLIENT_ACK,C2C,m1,", "did is empty").id("m1"),
        Row::of(
            "CLIENT_ACK,C2C,m1,a-phone\nx",
            "did contains a control character",
        )
        .id("m1"),
        Row::of(
            "CLIENT_ACK,C2C,m1,b-phone",
            "did is not the connection's own",
        )
        .id("m1"),
        Row::of(
            "CLIENT_ACK,C2C,m1,a-phone ",
            "did is not the connection's own",
        )
        .id("m1"),
        Row::of(
            "CLIENT_ACK,C2C,m1,A-PHONE",
            "did is not the connection's own",
        )
        .id("m1"),
        Row::of(
            "CLIENT_ACK,C2C,nothing,a-phone",
            "nothing with this id was sent",
        )
        .code(404)
        .id("nothing"),
        Row::of(
            "CLIENT_ACK,C2C, nothing,a-phone",
            "nothing with this id was sent",
        )
        .code(404)
        .id(" nothing"),
        Row::of(
            "CLIENT_ACK,,nothing,a-phone\r\n",
            "nothing with this id was sent",
        )
        .code(404)
        .id("nothing"),
    ];
    hold(rows.into()).await;
}

#[tokio::test]
async fn an_ack_of_what_is_not_ones_own_changes_nothing_for_anybody() {
    let (server, mut alice, mut bob, mut others) = house(&[]).await;
    let mut carol = server.login(CAROL, "c-phone").await;
    alice.send_c2c("m1", BOB, "hello").await;
    bob.receives("m1").await;

    // Somebody else's message, by its id and by its number.
    carol.ack_text("m1").await;
    assert!(carol.error(404).await.is_about("m1"));
    alice.ack_text("m1").await;
    assert!(alice.error(404).await.is_about("m1"));
    for client in [&mut alice, &mut carol] {
        client.ack_seqs(&[1]).await;
        assert_eq!(client.ack_ok_numbers().await.nums("seqs"), [0; 0]);
        client.ack_up_to(1).await;
        assert_eq!(client.ack_ok_numbers().await.num("up_to"), 0);
    }
    // Beyond the end, in any order, doubled, and more of them than were ever sent.
    bob.ack_seqs(&[u64::MAX, 0, 2, 77, 2]).await;
    assert_eq!(bob.ack_ok_numbers().await.nums("seqs"), [0; 0]);
    let descending: Vec<u64> = (2..20_000).rev().collect();
    bob.ack_seqs(&descending).await;
    assert_eq!(bob.ack_ok_numbers().await.nums("seqs"), [0; 0]);
    bob.ack_up_to(0).await;
    assert_eq!(bob.ack_ok_numbers().await.num("up_to"), 0);
    assert_eq!(alice.status(&[(BOB, "m1")]).await, ["accepted"]);
    alice.accepted("m1").await;

    bob.ack_seqs(&[1, 1, 9, 1]).await;
    assert_eq!(bob.ack_ok_numbers().await.nums("seqs"), [1]);
    alice.delivered("m1").await;
    bob.ack_up_to(u64::MAX).await;
    assert_eq!(bob.ack_ok_numbers().await.num("up_to"), 1);
    good(&mut alice, &mut bob, "after").await;
    others.go_on().await;
}

#[tokio::test]
async fn an_ack_of_a_hundred_thousand_numbers_is_answered() {
    let (_server, mut alice, mut bob, mut others) = house(&["listen.max_frame=2000000"]).await;
    alice.send_c2c("m1", BOB, "hello").await;
    alice.accepted("m1").await;
    bob.receives("m1").await;
    let numbers: Vec<u64> = (1..=100_000).rev().collect();
    bob.ack_seqs(&numbers).await;
    assert_eq!(bob.ack_ok_numbers().await.nums("seqs"), [1]);
    // A number that stands there often is one acknowledgement, and takes nobody's place.
    bob.ack_seqs(&vec![1; 100_000]).await;
    assert_eq!(bob.ack_ok_numbers().await.nums("seqs"), [1]);
    bob.ack_text("m1").await;
    bob.ack_ok("m1").await;
    alice.delivered("m1").await;
    good(&mut alice, &mut bob, "after").await;
    others.go_on().await;
}

#[tokio::test]
async fn a_message_that_is_refused_by_its_content_costs_its_sender_only() {
    let (server, mut alice, mut bob, mut others) = house(&["inbox.max_messages=3"]).await;
    good(&mut alice, &mut bob, "m1").await;
    alice.send_payload("m1", BOB, r#"{"text":"another"}"#).await;
    let error = alice.error(409).await;
    assert_eq!(
        (error.id().as_str(), error.str("to").as_str()),
        ("m1", "7b4v1b")
    );
    bob.heard_nothing_else().await;

    let mut carol = server.login(CAROL, "c-phone").await;
    for id in ["c1", "c2", "c3"] {
        alice.send_c2c(id, CAROL, id).await;
        alice.accepted(id).await;
    }
    alice.send_c2c("c4", CAROL, "c4").await;
    let error = alice.error(507).await;
    assert_eq!(
        (error.id(), error.str("to")),
        ("c4".into(), User::new(CAROL).name)
    );
    good(&mut alice, &mut bob, "m2").await;
    others.go_on().await;
    for id in ["c1", "c2", "c3"] {
        carol.takes(id).await;
    }
    carol.heard_nothing_else().await;
}

#[tokio::test]
async fn what_is_odd_and_allowed_is_taken() {
    let (_server, mut alice, mut bob, mut others) = house(&[]).await;
    // A message to oneself.
    alice.send_c2c("self", ALICE, "a note").await;
    alice.accepted("self").await;
    assert_eq!(alice.takes("self").await.str("from"), User::new(ALICE).name);
    alice.delivered("self").await;

    let bytes64 = format!("{}x", "驿".repeat(21));
    let deep = format!("{}{}", "[".repeat(10_000), "]".repeat(10_000));
    let rows = [
        (bytes64.clone(), c2c(&bytes64, "7b4v1b", "1")),
        ("space".into(), format!(" \n\t\r{}\r\n \t", c2c("space", "7b4v1b", "1"))),
        ("deep".into(), c2c("deep", "7b4v1b", &deep)),
        ("half".into(), c2c("half", "7b4v1b", r#""\ud800""#)),
        ("twice".into(), c2c("twice", "7b4v1b", r#"{"a":1,"a":2}"#)),
        ("unknown".into(), format!(r#"{{"mood":{deep},"mood":1,"id":"unknown","type":"C2C","to":"7b4v1b","payload":1}}"#)),
        ("from".into(), r#"{"from":[7],"id":"from","type":"C2C","to":"7b4v1b","payload":1}"#.into()),
        ("early".into(), r#"{"id":"early","type":"C2C","to":"7b4v1b","payload":1,"created_at":-9223372036854775808}"#.into()),
        ("null".into(), r#"{"id":"null","type":"C2C","to":"7b4v1b","payload":null,"created_at":null,"seqs":null}"#.into()),
        ("a b<\u{2028}".into(), c2c("a b<\u{2028}", "7b4v1b", "1")),
    ];
    for (id, text) in rows {
        alice.send(text).await;
        alice.accepted(&id).await;
        bob.takes(&id).await;
        alice.delivered(&id).await;
    }
    alice.send(r#"{"type":"STATUS","of":[]}"#).await;
    let status = alice.expect("the status", |frame| frame.is("STATUS")).await;
    assert_eq!(status.raw("of"), "[]");
    alice.send("ping\r\n").await;
    assert!(matches!(alice.next().await, Heard::Pong));
    others.go_on().await;
}

// ---- bytes that are no text ----

#[tokio::test]
async fn bytes_that_are_no_text_cost_an_error_in_one_frame_or_in_many() {
    let (_server, mut alice, mut bob, mut others) = house(&[]).await;
    let rows: [(&str, Vec<u8>, &str); 7] = [
        ("a binary frame", masked(0x82, b"ping"), "binary frames"),
        ("an empty one", masked(0x82, b""), "binary frames"),
        (
            "a binary message in fragments",
            [masked(0x02, b"pi"), masked(0x80, b"ng")].concat(),
            "binary frames",
        ),
        (
            "no UTF-8",
            masked(0x81, b"{\"id\":\"\xff\xfe\"}"),
            "not UTF-8",
        ),
        (
            "no UTF-8 in fragments",
            [masked(0x01, b"\xff"), masked(0x80, b"")].concat(),
            "not UTF-8",
        ),
        ("half a character", masked(0x81, b"\xe9\xa9"), "not UTF-8"),
        (
            "an encoded surrogate",
            masked(0x81, b"\xed\xa0\x80"),
            "not UTF-8",
        ),
    ];
    for (at, (what, bytes, words)) in rows.into_iter().enumerate() {
        // In one chunk with good frames before it and after it.
        let ping = masked(0x81, b"ping");
        alice.write_raw(&[&ping[..], &bytes, &ping].concat()).await;
        assert!(matches!(alice.next().await, Heard::Pong), "{what}");
        let Heard::Frame(error) = alice.next().await else {
            panic!("no error for {what}");
        };
        assert_eq!(error.num("code"), 400, "{what}");
        assert!(error.str("msg").contains(words), "{what}: {error:?}");
        assert!(matches!(alice.next().await, Heard::Pong), "{what}");
        good(&mut alice, &mut bob, &format!("m{at}")).await;
        others.go_on().await;
    }
    // A character that two fragments share is whole.
    let whole = c2c("m-é", "7b4v1b", "1").into_bytes();
    let cut = whole.iter().position(|byte| *byte == 0xc3).unwrap() + 1;
    let parts = [
        masked(0x01, &whole[..cut]),
        masked(0x89, b"between"),
        masked(0x80, &whole[cut..]),
    ];
    alice.write_raw(&parts.concat()).await;
    alice.accepted("m-é").await;
}

// ---- what ends a connection ----

#[tokio::test]
async fn a_breach_of_the_websocket_protocol_ends_its_connection_with_the_right_code_and_no_other() {
    let (server, mut alice, mut bob, mut others) = house(&[]).await;
    let ten_gib = [
        &[0x81, 0xff][..],
        &(10_u64 << 30).to_be_bytes(),
        &[1, 2, 3, 4],
    ]
    .concat();
    let beyond = [&[0x81, 0xff][..], &[0xff; 8], &[1, 2, 3, 4]].concat();
    let close = |code: u16| masked(0x88, &code.to_be_bytes());
    let rows: [(&str, Vec<u8>, u16); 27] = [
        ("a frame of 10 GiB", ten_gib, 1009),
        ("a length beyond 63 bits", beyond, 1009),
        (
            "a frame one byte too long",
            masked(0x81, &vec![b'x'; 131_073]),
            1009,
        ),
        ("a binary one", masked(0x82, &vec![b'x'; 131_073]), 1009),
        (
            "fragments one byte too long",
            [masked(0x01, &vec![b'x'; 131_072]), masked(0x00, b"x")].concat(),
            1009,
        ),
        ("a reserved bit", masked(0xc1, b"{}"), 1002),
        ("the second", masked(0xa1, b"{}"), 1002),
        ("the third", masked(0x91, b"{}"), 1002),
        ("a data frame nobody knows", masked(0x83, b""), 1002),
        ("another", masked(0x87, b"x"), 1002),
        ("a control frame nobody knows", masked(0x8b, b""), 1002),
        ("another", masked(0x8f, b"x"), 1002),
        ("no mask", vec![0x81, 4, b'p', b'i', b'n', b'g'], 1002),
        ("no mask on a ping", vec![0x89, 0], 1002),
        ("a ping of 126 bytes", masked(0x89, &[0; 126]), 1002),
        ("a pong of 126 bytes", masked(0x8a, &[0; 126]), 1002),
        ("a close of 126 bytes", masked(0x88, &[0; 126]), 1002),
        ("a ping in fragments", masked(0x09, b""), 1002),
        ("a close in fragments", masked(0x08, b""), 1002),
        ("a continuation of nothing", masked(0x80, b"x"), 1002),
        (
            "a continuation of what is complete",
            [masked(0x81, b"ping"), masked(0x00, b"")].concat(),
            1002,
        ),
        (
            "a message amid another",
            [masked(0x01, b"pi"), masked(0x81, b"ping")].concat(),
            1002,
        ),
        ("a close of one byte", masked(0x88, b"\x03"), 1002),
        ("a close with a code for nobody", close(1005), 1002),
        ("a close with no such code", close(999), 1002),
        ("a close with a code beyond all", close(5000), 1002),
        (
            "a close whose reason is no text",
            masked(0x88, b"\x03\xe8\xff"),
            1002,
        ),
    ];
    for (at, (what, bytes, code)) in rows.into_iter().enumerate() {
        // What stands before it in the same chunk is heard, and its answer comes first.
        let (ping, id) = (masked(0x81, b"ping"), format!("before-{at}"));
        let message = masked(0x81, c2c(&id, "7b4v1b", "1").as_bytes());
        let mut broken = server.login(CAROL, "broken").await;
        broken
            .write_raw(&[&ping[..], &message, &bytes].concat())
            .await;
        assert!(matches!(broken.next().await, Heard::Pong), "{what}");
        assert_eq!(broken.closed().await, Some(code), "{what}");
        bob.takes(&id).await;

        good(&mut alice, &mut bob, &format!("m{at}")).await;
        others.go_on().await;
    }
    // And the device that broke it may come back.
    let mut carol = server.login(CAROL, "broken").await;
    assert_eq!(carol.status(&[(BOB, "before-0")]).await, ["delivered"]);
}

#[tokio::test]
async fn a_close_is_answered_and_what_follows_it_is_nobodys() {
    let (server, mut alice, mut bob, mut others) = house(&[]).await;
    for (bytes, code) in [
        (masked(0x88, b""), None),
        (masked(0x88, &1000_u16.to_be_bytes()), Some(1000)),
        (masked(0x88, b"\x0f\xa0with a reason"), Some(4000)),
    ] {
        let mut carol = server.login(CAROL, "c-phone").await;
        let after = masked(0x81, c2c("after-close", "7b4v1b", "1").as_bytes());
        carol.write_raw(&[bytes, after].concat()).await;
        assert_eq!(carol.closed().await, code);
    }
    let mut carol = server.login(CAROL, "c-phone").await;
    assert_eq!(carol.status(&[(BOB, "after-close")]).await, ["unknown"]);
    good(&mut alice, &mut bob, "m1").await;
    others.go_on().await;
}

#[tokio::test]
async fn a_client_that_closes_its_own_half_has_said_what_it_said() {
    let (server, mut alice, mut bob, mut others) = house(&[]).await;
    let mut carol = server.login(CAROL, "c-phone").await;
    let words = c2c("last words", "7b4v1b", "1");
    carol
        .write_raw(&[masked(0x81, words.as_bytes()), masked(0x81, b"ping")].concat())
        .await;
    carol.close_own_half().await;
    // The answer that is ready at once still comes; then the other half closes as well.
    assert!(matches!(carol.next().await, Heard::Pong));
    assert_eq!(carol.closed().await, None);
    bob.takes("last words").await;

    // In the middle of a frame: nothing was said.
    let mut carol = server.login(CAROL, "c-phone").await;
    let half = masked(0x81, c2c("half", "7b4v1b", "1").as_bytes());
    carol.write_raw(&half[..half.len() - 1]).await;
    carol.close_own_half().await;
    assert_eq!(carol.closed().await, None);
    good(&mut alice, &mut bob, "m1").await;
    assert_eq!(others.status_of_carol(BOB, "half").await, "unknown");
    others.go_on().await;
}

// ---- what would fill the memory ----

/// What the server may grow by, however it is flooded, KiB. It holds a frame of at most `listen.max_frame` for each of
/// the connections here, and what its allocator keeps.
const GROWTH_MAX: u64 = 64 * 1024;

#[tokio::test]
async fn no_flood_of_bad_input_fills_the_memory_or_ends_the_process() {
    let (server, mut alice, mut bob, mut others) = house(&[]).await;
    let process = server.pid();
    good(&mut alice, &mut bob, "before").await;
    let before = raw::memory_kib(process, "VmRSS:");

    // Frames that say they are huge, and go on for as long as anybody listens.
    let ten_gib = [
        &[0x81, 0xff][..],
        &(10_u64 << 30).to_be_bytes(),
        &[1, 2, 3, 4],
    ]
    .concat();
    let mut hose = server.login(CAROL, "hose").await;
    hose.write_raw(&ten_gib).await;
    hose.pour(&vec![0; 1 << 20], 128).await;
    // Many at once, of each kind: all of a frame but its last byte; fragments without an end; and a claim.
    let mut held = Vec::new();
    for at in 0..60 {
        let mut one = server.login(CAROL, &format!("held-{at}")).await;
        match at % 3 {
            0 => {
                let frame = masked(0x81, &vec![b'x'; 131_072]);
                one.write_raw(&frame[..frame.len() - 1]).await;
            }
            1 => one.write_raw(&masked(0x01, &vec![b'x'; 131_072])).await,
            _ => one.write_raw(&ten_gib).await,
        }
        held.push(one);
    }
    good(&mut alice, &mut bob, "among-the-held").await;
    others.go_on().await;
    drop(held);

    // Fragments of nothing without an end: no message, no end, no memory.
    let mut empty = server.login(CAROL, "empty").await;
    let nothing = masked(0x00, b"").repeat(10_000);
    empty.write_raw(&masked(0x01, b"pi")).await;
    for _ in 0..20 {
        empty.write_raw(&nothing).await;
    }
    empty.write_raw(&masked(0x80, b"ng")).await;
    assert!(
        matches!(empty.next().await, Heard::Pong),
        "200,000 empty fragments are one message"
    );
    // Fragments of one byte without an end: 1009 when there are too many.
    let mut bytes = server.login(CAROL, "bytes").await;
    bytes.write_raw(&masked(0x01, b"x")).await;
    let single = masked(0x00, b"x").repeat(10_000);
    for _ in 0..14 {
        bytes.write_raw(&single).await;
    }
    assert_eq!(bytes.closed().await, Some(1009));

    // Nested brackets, in a payload and everywhere else.
    let deep = "[".repeat(10_000);
    for at in 0..100 {
        alice
            .send(format!(r#"{{"id":"{at}","payload":{deep}"#))
            .await;
        alice.error(400).await;
        alice.send(deep.clone()).await;
        alice.error(400).await;
    }
    // Pings that nobody waits for.
    for _ in 0..20 {
        alice.write_raw(&masked(0x89, b"").repeat(10_000)).await;
    }
    alice.ping().await;
    good(&mut alice, &mut bob, "after").await;
    others.go_on().await;

    let peak = raw::memory_kib(process, "VmHWM:");
    assert_eq!(server.pid(), process);
    assert_eq!(server.get("/health/ready").await.status, 200);
    println!("resident at first {before} KiB, at most {peak} KiB");
    assert!(peak < before + GROWTH_MAX, "from {before} to {peak} KiB");
}

// ---- tokens ----

#[tokio::test]
async fn a_bad_token_is_refused_with_its_code_wherever_it_is_shown() {
    let (server, mut alice, mut bob, mut others) = house(&["auth.expiry_leeway_ms=0"]).await;
    let fresh = User::new(ALICE).token;
    for (what, token, code) in tokens(&fresh) {
        if token.len() < 60_000 {
            let path = format!("/ws?did=x&authorization={token}");
            let answer = Call::upgrade(server.public, &path).send().await;
            assert_eq!(answer.refusal(401), code, "{what} in the query");
        }
        if token.bytes().all(|byte| byte.is_ascii_graphic()) {
            for value in [token.clone(), format!("Bearer {token}")] {
                let call =
                    Call::upgrade(server.public, "/ws?did=x").header("authorization", &value);
                assert_eq!(call.send().await.refusal(401), code, "{what} in the header");
            }
            // The header counts, whatever the query shows, and the other way round.
            let path = format!("/ws?did=x&authorization={fresh}");
            let call = Call::upgrade(server.public, &path).header("authorization", &token);
            assert_eq!(
                call.send().await.refusal(401),
                code,
                "{what} beside a good one"
            );
            // What connects nobody buys no new token either, but for a refresh token.
            if what != "a refresh token" {
                let call = Call::post(server.public, "/v1/token/refresh", "").bearer(&token);
                assert_eq!(call.send().await.refusal(401), code, "{what} for a new one");
            }
            let call = Call::get(server.admin, "/metrics").bearer(&token);
            assert_eq!(
                call.send().await.refusal(401),
                code,
                "{what} to an operator's door"
            );
        }
        alice
            .send(format!(
                r#"{{"id":"r","type":"REFRESH","token":"{token}"}}"#
            ))
            .await;
        alice.error(code).await;
        good(
            &mut alice,
            &mut bob,
            &format!("after {}", what.replace(',', "")),
        )
        .await;
    }
    others.go_on().await;
}

#[tokio::test]
async fn a_token_too_long_for_any_request_is_refused_by_http() {
    let (server, mut alice, mut bob, mut others) = house(&[]).await;
    let long = "y".repeat(1 << 20);
    let request = format!("GET /ws?did=x HTTP/1.1\r\nhost: x\r\nauthorization: {long}\r\n\r\n");
    assert_eq!(raw::status(server.public, request.as_bytes()).await, 431);
    let request = format!("GET /ws?did=x&authorization={long} HTTP/1.1\r\nhost: x\r\n\r\n");
    assert_eq!(raw::status(server.public, request.as_bytes()).await, 431);
    let request = format!(
        "GET /ws?did=x&authorization={} HTTP/1.1\r\nhost: x\r\n\r\n",
        "y".repeat(70_000)
    );
    assert_eq!(raw::status(server.public, request.as_bytes()).await, 400);
    good(&mut alice, &mut bob, "m1").await;
    others.go_on().await;
}

// ---- handshakes ----

#[tokio::test]
async fn a_bad_handshake_is_refused_before_it_takes_anybodys_place() {
    let (server, mut alice, mut bob, mut others) = house(&[]).await;
    let token = User::new(ALICE).token;
    let path = format!("/ws?authorization={token}&did=a-phone");
    let lines = [
        "host: x",
        "connection: Upgrade",
        "upgrade: websocket",
        "sec-websocket-version: 13",
        "sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==",
    ];
    let request = |start: &str, without: &str, with: &str| {
        let mut text = format!("{start}\r\n");
        for line in lines
            .iter()
            .filter(|line| without.is_empty() || !line.starts_with(without))
        {
            text.push_str(line);
            text.push_str("\r\n");
        }
        if !with.is_empty() {
            text.push_str(with);
            text.push_str("\r\n");
        }
        text + "\r\n"
    };
    let get = format!("GET {path} HTTP/1.1");
    let bare = format!("GET /ws?authorization={token}&did=");
    let rows = [
        (
            "no version",
            request(&get, "sec-websocket-version", ""),
            400,
        ),
        (
            "a draft's version",
            request(&get, "sec-websocket-version", "sec-websocket-version: 8"),
            400,
        ),
        (
            "no such version",
            request(&get, "sec-websocket-version", "sec-websocket-version: x"),
            400,
        ),
        ("no key", request(&get, "sec-websocket-key", ""), 400),
        (
            "a key that is none",
            request(&get, "sec-websocket-key", "sec-websocket-key: x"),
            400,
        ),
        (
            "a key too long",
            request(
                &get,
                "sec-websocket-key",
                &format!("sec-websocket-key: {}", "A".repeat(100)),
            ),
            400,
        ),
        ("no upgrade", request(&get, "upgrade", ""), 400),
        (
            "another upgrade",
            request(&get, "upgrade", "upgrade: h2c"),
            400,
        ),
        ("no connection", request(&get, "connection", ""), 400),
        (
            "HTTP/1.0",
            request(&format!("GET {path} HTTP/1.0"), "", ""),
            400,
        ),
        (
            "HTTP/9.9",
            request(&format!("GET {path} HTTP/9.9"), "", ""),
            400,
        ),
        ("a body", request(&get, "", "content-length: 5"), 400),
        (
            "chunks",
            request(&get, "", "transfer-encoding: chunked"),
            400,
        ),
        (
            "POST",
            request(&format!("POST {path} HTTP/1.1"), "", ""),
            404,
        ),
        ("PUT", request(&format!("PUT {path} HTTP/1.1"), "", ""), 404),
        (
            "another path",
            request(
                &format!("GET /ws/x?authorization={token}&did=x HTTP/1.1"),
                "",
                "",
            ),
            404,
        ),
        (
            "a control character in the did",
            request(&format!("{bare}a%0ab HTTP/1.1"), "", ""),
            400,
        ),
        (
            "NUL in the did",
            request(&format!("{bare}a%00 HTTP/1.1"), "", ""),
            400,
        ),
        (
            "an escape character in the did",
            request(&format!("{bare}%1b HTTP/1.1"), "", ""),
            400,
        ),
        (
            "a comma in the did",
            request(&format!("{bare}a,b HTTP/1.1"), "", ""),
            400,
        ),
        (
            "a did too long",
            request(&format!("{bare}{} HTTP/1.1", "x".repeat(65)), "", ""),
            400,
        ),
        (
            "an empty did",
            request(&format!("{bare} HTTP/1.1"), "", ""),
            400,
        ),
        (
            "a bad did in the header",
            request(&get, "", "did: a,b"),
            400,
        ),
        (
            "a did that is no text",
            request(&get, "", "did: \u{e9}"),
            400,
        ),
        (
            "a bad dtype",
            request(&format!("{bare}x&dtype=a%2cb HTTP/1.1"), "", ""),
            400,
        ),
        (
            "a raw control character",
            request(&format!("{bare}a\u{1} HTTP/1.1"), "", ""),
            400,
        ),
        (
            "a header with a control character",
            request(&get, "", "did: a\u{1}b"),
            400,
        ),
        (
            "200 headers",
            request(&get, "", &vec!["x: y"; 200].join("\r\n")),
            431,
        ),
        (
            "a query of 70,000 bytes",
            request(
                &format!("{bare}x&y={} HTTP/1.1", "y".repeat(70_000)),
                "",
                "",
            ),
            400,
        ),
        ("no HTTP", "\u{0}\u{1}\u{2}\r\n\r\n".to_owned(), 400),
    ];
    for (what, text, status) in rows {
        assert_eq!(
            raw::status(server.public, text.as_bytes()).await,
            status,
            "{what}"
        );
        // Whoever is connected as that device still is.
        good(
            &mut alice,
            &mut bob,
            &format!("after {}", what.replace(',', "")),
        )
        .await;
    }
    others.go_on().await;
}

#[tokio::test]
async fn of_two_values_the_first_counts_and_a_header_before_a_query() {
    let server = Server::start(&[ONCE]).await;
    let token = User::new(ALICE).token;
    let is = async |client: &mut Client, did: &str| {
        assert!(client.frame().await.is("S2C"));
        client.send(format!("CLIENT_ACK,C2C,nothing,{did}")).await;
        client.error(404).await;
    };
    let path = format!("/ws?did=first&did=second&authorization={token}&authorization=bad");
    let mut client = Client::open(server.public, &path).await;
    is(&mut client, "first").await;
    let headers = [("did", "header"), ("authorization", token.as_str())];
    let mut client =
        Client::open_with(server.public, "/ws?did=query&authorization=bad", &headers).await;
    is(&mut client, "header").await;
    // A long query is only long.
    let path = format!(
        "/ws?did=long&x={}&authorization={token}",
        "y".repeat(50_000)
    );
    let mut client = Client::open(server.public, &path).await;
    is(&mut client, "long").await;
}

// ---- the door of the app's own server ----

#[tokio::test]
async fn a_bad_post_is_refused_with_its_code_and_in_our_words() {
    let (server, mut alice, mut bob, mut others) = house(&[]).await;
    let (a, b) = (User::new(ALICE).name, User::new(BOB).name);
    let whole = |member: &str| format!(r#"{{"from":"{a}","to":"{b}","payload":1,{member}}}"#);
    let open = "[".repeat(10_000);
    let rows: Vec<(Vec<u8>, u16, &str)> = [
        (String::new(), 400, "it is not a JSON object"),
        ("{".into(), 400, "EOF while parsing"),
        ("[]".into(), 400, "it is not a JSON object"),
        ("hello".into(), 400, "it is not a JSON object"),
        (open.clone(), 400, "it is not a JSON object"),
        (
            format!("{{\"payload\":{open}"),
            400,
            "the body cannot be read",
        ),
        ("{}".into(), 400, "missing field `id`"),
        (whole(r#""id":"m","id":"m""#), 400, "duplicate field `id`"),
        (
            whole(r#""id":"m","from":"x""#),
            400,
            "duplicate field `from`",
        ),
        (whole(r#""id":7"#), 400, "expected a string"),
        (whole(r#""id":"a,b""#), 400, "id contains a comma"),
        (whole(r#""id":"""#), 400, "id is empty"),
        (
            whole(r#""id":"m","created_at":1e400"#),
            400,
            "number out of range",
        ),
        (
            whole(r#""id":"m","type":"WEBRTC_OFFER""#),
            400,
            "unknown variant",
        ),
        (whole(r#""id":"m","type":"SYNC""#), 400, "unknown variant"),
        (whole(r#""x":1"#), 400, "unknown field `x`"),
        (
            format!(r#"{{"id":"m","from":5,"to":"{b}","payload":1}}"#),
            400,
            "expected a string",
        ),
        (
            format!(r#"{{"id":"m","from":"nobody","to":"{b}","payload":1}}"#),
            404,
            "from names no user",
        ),
        (
            format!(r#"{{"id":"m","from":"{a}","to":"nobody","payload":1}}"#),
            404,
            "to names no user",
        ),
        (
            format!(r#"{{"id":"m","from":"{a}","to":"{b}"}}"#),
            400,
            "missing field `payload`",
        ),
        (whole(r#""id":"m""#) + "x", 400, "trailing characters"),
        (
            format!(
                r#"{{"id":"m","from":"{a}","to":"{b}","payload":"{}"}}"#,
                "x".repeat(66_000)
            ),
            413,
            "payload has 66002 bytes",
        ),
        ("x".repeat(1 << 20), 413, "Too large"),
    ]
    .into_iter()
    .map(|(text, code, words)| (text.into_bytes(), code, words))
    .chain([
        (vec![0xff], 400, "it is not a JSON object"),
        (b"\xef\xbb\xbf{}".to_vec(), 400, "it is not a JSON object"),
    ])
    .collect();
    for (body, code, words) in rows {
        let start = String::from_utf8_lossy(&body[..body.len().min(60)]).into_owned();
        let answer = raw::post(server.admin, "/v1/messages", &body).await;
        assert_eq!(answer.refusal(code), u64::from(code), "{start}");
        let msg = answer.json()["msg"].as_str().unwrap().to_owned();
        assert!(msg.contains(words), "{start}: {msg}");
    }
    good(&mut alice, &mut bob, "m1").await;
    others.go_on().await;
}

// ---- helpers ----

/// A frame that is refused, and how.
struct Row {
    text: String,
    code: u64,
    words: String,
    id: Option<String>,
    to: Option<String>,
}

impl Row {
    fn of(text: &str, words: &str) -> Self {
        Self {
            text: text.to_owned(),
            code: 400,
            words: words.to_owned(),
            id: None,
            to: None,
        }
    }

    fn code(self, code: u64) -> Self {
        Self { code, ..self }
    }

    fn id(self, id: &str) -> Self {
        Self {
            id: Some(id.to_owned()),
            ..self
        }
    }

    fn to(self, to: &str) -> Self {
        Self {
            to: Some(to.to_owned()),
            ..self
        }
    }
}

/// Sends each bad frame and holds that it costs exactly its ERROR: the next good message goes through on the same
/// connection, nothing else has come there or to its reader, and others go on.
async fn hold(rows: Vec<Row>) {
    let (server, mut alice, mut bob, mut others) = house(&[]).await;
    let process = server.pid();
    for (at, row) in rows.iter().enumerate() {
        let start: String = row.text.chars().take(90).collect();
        alice.send(row.text.clone()).await;
        let error: Frame = alice.frame().await;
        assert!(error.is("ERROR"), "{start}: {error:?}");
        assert_eq!(error.num("code"), row.code, "{start}: {error:?}");
        assert!(error.str("msg").contains(&row.words), "{start}: {error:?}");
        assert!(error.text.len() < 700, "{start}: a long ERROR");
        assert!(!error.has("retry_ms"), "{start}: {error:?}");
        for (name, expected) in [("id", &row.id), ("to", &row.to)] {
            let told = error.has(name).then(|| error.str(name));
            assert_eq!(&told, expected, "{start}: {error:?}");
        }
        good(&mut alice, &mut bob, &format!("m{at}")).await;
        others.go_on().await;
    }
    assert_eq!(server.pid(), process);
}

async fn house(sets: &[&str]) -> (Server, Client, Client, Bystanders) {
    let sets: Vec<&str> = [&[ONCE], sets].concat();
    let server = Server::start(&sets).await;
    let alice = server.login(ALICE, "a-phone").await;
    let bob = server.login(BOB, "b-phone").await;
    let others = Bystanders::of(&server).await;
    (server, alice, bob, others)
}

/// A message that goes the whole way, and nothing else on it.
async fn good(alice: &mut Client, bob: &mut Client, id: &str) {
    alice.send_c2c(id, BOB, "good").await;
    alice.accepted(id).await;
    bob.takes(id).await;
    alice.delivered(id).await;
    assert!(alice.take_aside().is_empty() && bob.take_aside().is_empty());
}
