//! The JSON dialect: every frame as it stands on the wire, both ways, and what becomes of frames that are none.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::sync::Arc;

use serde_json::Value;
use yizhan::code::{Close, Code};
use yizhan::codec::json::Json;
use yizhan::codec::{Bounds, Inbound};
use yizhan::config::Ids;
use yizhan::id::{Did, Hashids, MsgId, Uid};
use yizhan::message::chat::Chat;
use yizhan::message::{
    Ack, Address, Command, Draft, Event, Fate, Fault, Kind, Message, Notice, Row, Signal,
    SignalDraft, State, Target, What,
};

const ALICE: Uid = Uid(1);
const BOB: Uid = Uid(108);

/// Ids with everything in them that a name may have and JSON has to mind.
const NASTY: [&str; 9] = [
    "plain",
    "a \"quoted\" word",
    r"C:\new\table",
    r"\",
    "\"",
    "\\\"",
    "驿站 ü 🚉",
    "\u{2028}\u{2029}\u{fffd}",
    "<script>'&`{}[]:",
];

/// Payloads that a parser and a printer would not give back as they came.
const PAYLOADS: [&str; 14] = [
    "null",
    "true",
    "0",
    "-0.0",
    "1e400",
    "123456789012345678901234567890",
    "1.10",
    r#""""#,
    r#""\u0041\/\ud83d\ude89\n""#,
    r#""a lone half: \ud83d""#,
    r#"{"b":1,"a":2,"b":3}"#,
    "{ \"spaced\" :\t[ 1 ,\n 2 ] }",
    "[]",
    r#"{"type":"ERROR","seq":9,"id":"not this one"}"#,
];

fn json() -> Json {
    let hashids = Hashids::new(&Ids {
        salt: "cVQtrKNu".into(),
        alphabet: "123456789abcdefghijkmnpqrstuvwxyz".into(),
        separators: "cfhistuu".into(),
        min_length: 6,
    });
    let bounds = Bounds {
        max_payload: 65_536,
        max_page: 100,
        max_status: 3,
    };
    Json::new(hashids.unwrap(), bounds)
}

fn id(text: &str) -> MsgId {
    MsgId::parse(text).unwrap()
}

fn did(text: &str) -> Did {
    Did::parse(text).unwrap()
}

fn row(seq: u64, name: &str, payload: &str, created_at: Option<i64>) -> Row {
    let message = Message {
        id: id(name),
        kind: Kind::Words,
        from: ALICE,
        to: Chat::User(BOB),
        payload: payload.into(),
        created_at,
        server_ts: 1_700_000_000_123,
        expires_at: None,
        fate: Fate::Whole,
        cseq: 0,
    };
    Row {
        reader: BOB,
        seq,
        since: 1_700_000_000_123,
        what: What::Message,
        message: Arc::new(message),
    }
}

fn signal(name: &str, payload: &str, created_at: Option<i64>) -> Event {
    Event::Signal(Arc::new(Signal {
        id: id(name),
        kind: "WEBRTC_OFFER".into(),
        from: ALICE,
        to: BOB,
        payload: payload.into(),
        created_at,
        bare: false,
    }))
}

fn notice(notice: Notice) -> Event {
    Event::Notice {
        id: id("s1"),
        to: BOB,
        notice,
        server_ts: 9,
    }
}

fn draft(name: &str, payload: &str, created_at: Option<i64>) -> Inbound {
    Inbound::Command(Command::Send(Draft {
        id: id(name),
        to: Chat::User(BOB),
        payload: payload.into(),
        created_at,
        expires_at: None,
    }))
}

fn writes(event: &Event, text: &str) {
    assert_eq!(json().encode(event).as_deref(), Some(text));
}

fn reads(text: &str, expected: &Inbound) {
    assert_eq!(json().decode(text).as_ref(), Ok(expected), "{text}");
}

/// The fault of a frame, whose sentence must have these words in it.
fn refuses(text: &str, words: &str) -> Fault {
    let fault = json().decode(text).expect_err("the frame was taken");
    assert_eq!(fault.code, Code::BadFrame, "{text}");
    assert!(fault.msg.contains(words), "{text}: {}", fault.msg);
    assert_eq!(fault.retry_ms, None);
    fault
}

/// The code alone, for frames that are too long to be shown.
fn code_of(text: &str) -> Code {
    json().decode(text).expect_err("the frame was taken").code
}

fn quoted(text: &str) -> String {
    serde_json::to_string(text).unwrap()
}

#[test]
fn frame_2_accepted() {
    let accepted = |cseq| Event::Accepted {
        id: id("m1"),
        to: Chat::User(BOB),
        cseq,
        server_ts: 1_700_000_000_123,
    };
    writes(
        &accepted(5),
        r#"{"id":"m1","type":"C2C_SERVER_ACK","to":"7b4v1b","cseq":5,"server_ts":1700000000123}"#,
    );
    // A repeat of one from before there were conversations.
    writes(
        &accepted(0),
        r#"{"id":"m1","type":"C2C_SERVER_ACK","to":"7b4v1b","server_ts":1700000000123}"#,
    );
}

#[test]
fn the_answer_to_a_signal() {
    let event = Event::Relayed {
        id: id("m1"),
        to: BOB,
        server_ts: 9,
    };
    writes(
        &event,
        r#"{"id":"m1","type":"WEBRTC_SERVER_ACK","to":"7b4v1b","server_ts":9}"#,
    );
}

#[test]
fn frame_3_a_delivery() {
    writes(
        &Event::Deliver(row(7, "m1", r#"{"text":"hi"}"#, Some(-5))),
        r#"{"id":"m1","type":"C2C","from":"kybqdp","to":"7b4v1b","payload":{"text":"hi"},"created_at":-5,"server_ts":1700000000123,"seq":7}"#,
    );
    writes(
        &Event::Deliver(row(u64::MAX, "m1", "null", None)),
        r#"{"id":"m1","type":"C2C","from":"kybqdp","to":"7b4v1b","payload":null,"server_ts":1700000000123,"seq":18446744073709551615}"#,
    );
    let mut placed = row(7, "m1", "1", None);
    Arc::make_mut(&mut placed.message).cseq = 5;
    writes(
        &Event::Deliver(placed),
        r#"{"id":"m1","type":"C2C","from":"kybqdp","to":"7b4v1b","payload":1,"server_ts":1700000000123,"seq":7,"cseq":5}"#,
    );
}

#[test]
fn a_relayed_signal_has_no_seq() {
    writes(
        &signal("m1", r#"{"sdp":"v=0"}"#, Some(5)),
        r#"{"id":"m1","type":"WEBRTC_OFFER","from":"kybqdp","to":"7b4v1b","payload":{"sdp":"v=0"},"created_at":5}"#,
    );
    writes(
        &signal("m1", "[]", None),
        r#"{"id":"m1","type":"WEBRTC_OFFER","from":"kybqdp","to":"7b4v1b","payload":[]}"#,
    );
}

#[test]
fn frame_5_in_each_form() {
    let by_id = Ack::Id {
        id: id("m1"),
        did: did("phone"),
    };
    writes(
        &Event::AckOk(by_id),
        r#"{"type":"CLIENT_ACK_OK","id":"m1"}"#,
    );
    writes(
        &Event::AckOk(Ack::Seqs(vec![3, 1, 2])),
        r#"{"type":"CLIENT_ACK_OK","seqs":[3,1,2]}"#,
    );
    writes(
        &Event::AckOk(Ack::Seqs(vec![])),
        r#"{"type":"CLIENT_ACK_OK","seqs":[]}"#,
    );
    writes(
        &Event::AckOk(Ack::UpTo(12)),
        r#"{"type":"CLIENT_ACK_OK","up_to":12}"#,
    );
}

#[test]
fn frame_6_with_and_without_the_device() {
    let delivered = |did| Event::Delivered {
        id: id("m1"),
        reader: BOB,
        did,
        server_ts: 9,
    };
    writes(
        &delivered(Some(did("phone"))),
        r#"{"id":"m1","type":"C2C_DELIVERED","from":"7b4v1b","to":"7b4v1b","did":"phone","server_ts":9}"#,
    );
    writes(
        &delivered(None),
        r#"{"id":"m1","type":"C2C_DELIVERED","from":"7b4v1b","to":"7b4v1b","server_ts":9}"#,
    );
}

#[test]
fn a_page_of_rows() {
    let page = |rows, next, more| Event::SyncPage { rows, next, more };
    writes(
        &page(
            vec![row(1, "m1", "1", None), row(3, "m3", "3", None)],
            3,
            true,
        ),
        concat!(
            r#"{"type":"SYNC_PAGE","messages":["#,
            r#"{"id":"m1","type":"C2C","from":"kybqdp","to":"7b4v1b","payload":1,"server_ts":1700000000123,"seq":1},"#,
            r#"{"id":"m3","type":"C2C","from":"kybqdp","to":"7b4v1b","payload":3,"server_ts":1700000000123,"seq":3}"#,
            r#"],"next":3,"more":true}"#
        ),
    );
    writes(
        &page(vec![], 0, false),
        r#"{"type":"SYNC_PAGE","messages":[],"next":0,"more":false}"#,
    );
}

#[test]
fn the_states_of_messages() {
    let states = [
        ("m1", State::Unknown),
        ("m2", State::Accepted),
        ("m3", State::Delivered),
        ("m4", State::Expired),
    ];
    let states = states.map(|(name, state)| {
        let target = Target {
            to: Chat::User(BOB),
            id: id(name),
        };
        (target, state, 0)
    });
    writes(
        &Event::Status(states.to_vec()),
        concat!(
            r#"{"type":"STATUS","of":[{"to":"7b4v1b","id":"m1","state":"unknown"},"#,
            r#"{"to":"7b4v1b","id":"m2","state":"accepted"},"#,
            r#"{"to":"7b4v1b","id":"m3","state":"delivered"},"#,
            r#"{"to":"7b4v1b","id":"m4","state":"expired"}]}"#
        ),
    );
    writes(&Event::Status(vec![]), r#"{"type":"STATUS","of":[]}"#);
}

#[test]
fn a_renewed_token() {
    writes(
        &Event::RefreshOk { expire_at: 12 },
        r#"{"type":"REFRESH_OK","exp":12}"#,
    );
}

#[test]
fn an_error_says_what_is_known() {
    let error = |fault| Event::Error {
        fault,
        server_ts: 9,
    };
    writes(
        &error(Fault::new(Code::Storage)),
        r#"{"type":"ERROR","code":500,"msg":"Storage failed, outcome unknown","server_ts":9}"#,
    );
    writes(
        &error(Fault::new(Code::InboxFull).about(&id("m1"), Chat::User(BOB))),
        r#"{"id":"m1","type":"ERROR","to":"7b4v1b","code":507,"msg":"Inbox full","server_ts":9}"#,
    );
    let slow = Fault {
        retry_ms: Some(1000),
        ..Fault::because(Code::TooFast, "slow \"down\"\n").with_id(&id("m1"))
    };
    writes(
        &error(slow),
        r#"{"id":"m1","type":"ERROR","code":429,"msg":"slow \"down\"\u000a","retry_ms":1000,"server_ts":9}"#,
    );
    let raw = Fault {
        to: Some(Address::Raw("no\\body\u{1}".into())),
        id: Some("\t".into()),
        ..Fault::new(Code::BadFrame)
    };
    writes(
        &error(raw),
        r#"{"id":"\u0009","type":"ERROR","to":"no\\body\u0001","code":400,"msg":"Bad frame","server_ts":9}"#,
    );
}

#[test]
fn the_notices() {
    let summary = Notice::OfflineSummary {
        count: 3,
        from_seq: 5,
        to_seq: 9,
    };
    writes(
        &notice(summary),
        r#"{"id":"s1","type":"S2C","from":"","to":"7b4v1b","payload":{"msg_type":"offline_summary","count":3,"from_seq":5,"to_seq":9},"server_ts":9}"#,
    );
    writes(
        &notice(Notice::PleaseRefreshToken { expire_at: 77 }),
        r#"{"id":"s1","type":"S2C","from":"","to":"7b4v1b","payload":{"msg_type":"please_refresh_token","expire_at":77},"server_ts":9}"#,
    );
    writes(
        &notice(Notice::Resync),
        r#"{"id":"s1","type":"S2C","from":"","to":"7b4v1b","payload":{"msg_type":"resync"},"server_ts":9}"#,
    );
}

#[test]
fn a_close_is_no_frame() {
    assert_eq!(json().encode(&Event::Close(Close::Kicked)), None);
}

#[test]
fn frame_1_as_the_notes_have_it() {
    reads(
        r#"{"id":"cdsgrbgppoodp0gvpb60","type":"C2C","from":"kybqdp","to":"7b4v1b","payload":{"msg_type":"text","text":"1to108"},"created_at":1668877742828}"#,
        &draft(
            "cdsgrbgppoodp0gvpb60",
            r#"{"msg_type":"text","text":"1to108"}"#,
            Some(1_668_877_742_828),
        ),
    );
}

#[test]
fn the_order_of_members_the_case_of_the_type_and_members_nobody_knows_do_not_matter() {
    reads(
        " {\"payload\":1,\n\"new\":{\"deep\":[null]},\"to\":\"7b4v1b\",\"type\":\"c2c\",\"id\":\"m1\",\"created_at\":null} ",
        &draft("m1", "1", None),
    );
    reads(
        r#"{"typ\u0065":"C\u0032C","id":"m\u0031","to":"7\u00624v1b","payload":1}"#,
        &draft("m1", "1", None),
    );
}

#[test]
fn a_signal_is_any_type_of_its_family() {
    let read = |kind: &str| {
        let text = format!(r#"{{"id":"m1","type":"{kind}","to":"7b4v1b","payload":null}}"#);
        json().decode(&text)
    };
    for kind in ["webrtc_offer", "WEBRTC_ICE_2", "Webrtc_"] {
        let expected = SignalDraft {
            id: id("m1"),
            kind: kind.into(),
            to: BOB,
            payload: "null".into(),
            created_at: None,
        };
        assert_eq!(read(kind), Ok(Inbound::Command(Command::Signal(expected))));
    }
    let longest = format!("WEBRTC_{}", "A".repeat(57));
    assert!(read(&longest).is_ok());
    for kind in [
        format!("{longest}A"),
        "WEBRTC_a b".into(),
        "WEBRTC_ü".into(),
    ] {
        let fault = read(&kind).expect_err(&kind);
        assert!(fault.msg.contains("type"), "{}", fault.msg);
        assert_eq!(fault.id.as_deref(), Some("m1"));
    }
}

#[test]
fn frame_4_in_each_form() {
    let ack = |ack| Inbound::Command(Command::Ack(ack));
    let by_id = |name, device| {
        ack(Ack::Id {
            id: id(name),
            did: did(device),
        })
    };
    reads("CLIENT_ACK,type,msgid,did", &by_id("msgid", "did"));
    reads(
        "CLIENT_ACK,C2C,驿站 \"1\",my phone",
        &by_id("驿站 \"1\"", "my phone"),
    );
    reads("CLIENT_ACK,,m1,d1", &by_id("m1", "d1"));
    reads(
        r#"{"type":"CLIENT_ACK","seqs":[3,1,3]}"#,
        &ack(Ack::Seqs(vec![3, 1, 3])),
    );
    reads(
        r#"{"type":"client_ack","up_to":18446744073709551615}"#,
        &ack(Ack::UpTo(u64::MAX)),
    );
}

#[test]
fn a_text_ack_of_another_shape_is_refused() {
    refuses("CLIENT_ACK,C2C,m1", "four fields");
    refuses("CLIENT_ACK,C2C,m1,d1,", "has 5");
    refuses("CLIENT_ACK,", "has 2");
    refuses("CLIENT_ACK,C2C,,d1", "msgid is empty");
    refuses("client_ack,C2C,m1,d1", "nor `CLIENT_ACK,type,msgid,did`");
    let fault = refuses("CLIENT_ACK,C2C,m1,", "did is empty");
    assert_eq!(fault.id.as_deref(), Some("m1"));
    refuses(&format!("CLIENT_ACK,C2C,{},d", "m".repeat(65)), "64 bytes");
}

#[test]
fn an_ack_needs_one_form_and_one_only() {
    refuses(r#"{"type":"CLIENT_ACK"}"#, "seqs or up_to");
    refuses(
        r#"{"type":"CLIENT_ACK","seqs":[1],"up_to":1}"#,
        "seqs or up_to",
    );
    for bad in ["[1,-1]", "[1,1.5]", "[1,\"1\"]", "[1,18446744073709551616]"] {
        refuses(
            &format!(r#"{{"type":"CLIENT_ACK","seqs":{bad}}}"#),
            "seqs[1] must be a whole number from 0 to 18446744073709551615",
        );
    }
    for bad in ["{}", "7", "\"all\"", "true"] {
        let text = format!(r#"{{"type":"CLIENT_ACK","seqs":{bad}}}"#);
        refuses(&text, "seqs must be a list of sequence numbers");
    }
}

#[test]
fn a_sync_has_bounds() {
    let sync = |after, limit| Inbound::Command(Command::Sync { after, limit });
    reads(r#"{"type":"SYNC","after":5,"limit":1}"#, &sync(5, 1));
    reads(r#"{"type":"SYNC","after":5,"limit":100}"#, &sync(5, 100));
    reads(r#"{"type":"SYNC"}"#, &sync(0, 100));
    for limit in [0, 101] {
        let text = format!(r#"{{"type":"SYNC","after":5,"limit":{limit}}}"#);
        refuses(&text, "1 to 100");
    }
    refuses(r#"{"type":"SYNC","after":-1}"#, "after must be");
    refuses(r#"{"type":"SYNC","limit":1e400}"#, "limit must be");
}

#[test]
fn a_status_question_has_a_bound() {
    let ask = |n: usize| {
        let of = vec![r#"{"to":"7b4v1b","id":"m1"}"#; n].join(",");
        format!(r#"{{"type":"STATUS","of":[{of}]}}"#)
    };
    let target = Target {
        to: Chat::User(BOB),
        id: id("m1"),
    };
    for n in [0, 1, 3] {
        let of = vec![target.clone(); n];
        reads(&ask(n), &Inbound::Command(Command::Status(of)));
    }
    refuses(&ask(4), "more than 3");
    refuses(r#"{"type":"STATUS"}"#, "of is missing");
    let text = r#"{"type":"STATUS","of":[{"to":"nobody","id":"m1"}]}"#;
    refuses(text, "names no user");
    let text = r#"{"type":"STATUS","of":[{"to":"7b4v1b","id":"a,b"}]}"#;
    refuses(text, "comma");
    refuses(
        r#"{"type":"STATUS","of":[{"to":"7b4v1b"}]}"#,
        "of[0]: id is missing",
    );
}

#[test]
fn a_line_break_at_the_end_of_a_text_frame_is_that_of_a_terminal() {
    for end in ["\n", "\r\n"] {
        reads(&format!("ping{end}"), &Inbound::Ping);
        let ack = Ack::Id {
            id: id("m1"),
            did: did("d1"),
        };
        let expected = Inbound::Command(Command::Ack(ack));
        reads(&format!("CLIENT_ACK,C2C,m1,d1{end}"), &expected);
    }
}

#[test]
fn a_new_token_and_a_ping() {
    reads(
        r#"{"type":"REFRESH","token":"a.b.c"}"#,
        &Inbound::Refresh("a.b.c".into()),
    );
    refuses(r#"{"type":"REFRESH"}"#, "token is missing");
    reads("ping", &Inbound::Ping);
    refuses("ping ", "nor `CLIENT_ACK");
    refuses("PING", "nor `CLIENT_ACK");
}

#[test]
fn payloads_pass_byte_for_byte_both_ways() {
    for payload in PAYLOADS {
        let text = format!(r#"{{"id":"m1","type":"C2C","to":"7b4v1b","payload": {payload} }}"#);
        reads(&text, &draft("m1", payload, None));
        for event in [
            Event::Deliver(row(1, "m1", payload, None)),
            signal("m1", payload, None),
        ] {
            let text = json().encode(&event).unwrap();
            assert!(text.contains(&format!(r#""payload":{payload}"#)), "{text}");
        }
    }
}

#[test]
fn ids_pass_whatever_is_in_them_both_ways() {
    for name in NASTY {
        let quoted = quoted(name);
        let text = format!(r#"{{"id":{quoted},"type":"C2C","to":"7b4v1b","payload":1}}"#);
        reads(&text, &draft(name, "1", None));
        let accepted = Event::Accepted {
            id: id(name),
            to: Chat::User(BOB),
            cseq: 0,
            server_ts: 9,
        };
        writes(
            &accepted,
            &format!(r#"{{"id":{quoted},"type":"C2C_SERVER_ACK","to":"7b4v1b","server_ts":9}}"#),
        );
        let delivered = Event::Delivered {
            id: id(name),
            reader: BOB,
            did: Some(did(name)),
            server_ts: 9,
        };
        writes(
            &delivered,
            &format!(
                r#"{{"id":{quoted},"type":"C2C_DELIVERED","from":"7b4v1b","to":"7b4v1b","did":{quoted},"server_ts":9}}"#
            ),
        );
    }
}

#[test]
fn a_fault_names_the_problem_and_echoes_id_and_reader() {
    let raw = |text: &str| Some(Address::Raw(text.into()));
    let missing = refuses(
        r#"{"type":"C2C","id":"m1","to":"7b4v1b"}"#,
        "payload is missing",
    );
    assert_eq!(missing.id.as_deref(), Some("m1"));
    assert_eq!(missing.to, raw("7b4v1b"));

    let nobody = r#"{"type":"C2C","id":"m1","to":"nobody","payload":1}"#;
    assert_eq!(refuses(nobody, "to names no user").to, raw("nobody"));
    refuses(
        r#"{"type":"C2C","to":"7b4v1b","payload":1}"#,
        "id is missing",
    );
    refuses(
        r#"{"type":"C2C","id":null,"to":"7b4v1b","payload":1}"#,
        "id is missing",
    );
    refuses(r#"{"type":"C2C","id":"m1","payload":1}"#, "to is missing");
    refuses(
        r#"{"type":"C2C","id":"","to":"7b4v1b","payload":1}"#,
        "id is empty",
    );
    refuses(
        r#"{"type":"C2C","id":"a,b","to":"7b4v1b","payload":1}"#,
        "comma",
    );
    refuses(
        r#"{"type":"C2C","id":"a\nb","to":"7b4v1b","payload":1}"#,
        "control",
    );
    refuses(
        r#"{"id":"m1","to":"7b4v1b","payload":1}"#,
        "type is missing",
    );
    let unknown = refuses(
        r#"{"type":"C2X","id":"m1","to":"7b4v1b"}"#,
        "type is not known",
    );
    assert_eq!(unknown.id.as_deref(), Some("m1"));
    assert_eq!(unknown.to, raw("7b4v1b"));
    // What only the server says is not for clients to say.
    for kind in ["S2C", "C2C_SERVER_ACK", "ERROR", ""] {
        refuses(&format!(r#"{{"type":"{kind}"}}"#), "type is not known");
    }
}

#[test]
fn a_frame_of_the_wrong_shape_still_has_its_id_echoed() {
    let text = r#"{"type":"C2C","id":"m1","to":"7b4v1b","payload":1,"created_at":"today"}"#;
    let fault = refuses(text, "created_at must be a whole number");
    assert_eq!(fault.id.as_deref(), Some("m1"));
    assert_eq!(fault.to, Some(Address::Raw("7b4v1b".into())));
    let text = r#"{"type":"C2C","id":7,"to":"7b4v1b","payload":1}"#;
    let fault = refuses(text, "id must be a string");
    assert_eq!(fault.id, None);
    assert_eq!(fault.to, Some(Address::Raw("7b4v1b".into())));
    for created_at in ["1.5", "9223372036854775808", "[]"] {
        let text = format!(
            r#"{{"type":"C2C","id":"m1","to":"7b4v1b","payload":1,"created_at":{created_at}}}"#
        );
        assert_eq!(refuses(&text, "created_at").id.as_deref(), Some("m1"));
    }
}

#[test]
fn what_is_echoed_is_cut_to_64_bytes_at_a_character() {
    let long = "驿".repeat(1_000);
    let cut = "驿".repeat(21);
    for created_at in ["1", "\"not a number\""] {
        let text = format!(
            r#"{{"type":"C2C","id":"{long}","to":"{long}","payload":1,"created_at":{created_at}}}"#
        );
        let fault = json().decode(&text).unwrap_err();
        assert_eq!(fault.id.as_deref(), Some(&*cut));
        assert_eq!(fault.to, Some(Address::Raw(cut.as_str().into())));
    }
    let plain = "m".repeat(65);
    let text = format!(r#"{{"type":"C2C","id":"{plain}","to":"7b4v1b","payload":1}}"#);
    let fault = refuses(&text, "64 bytes");
    assert_eq!(fault.id.as_deref(), Some(&plain[..64]));
}

#[test]
fn the_sentence_of_a_fault_is_short_however_long_the_frame() {
    let long = "x".repeat(100_000);
    for text in [
        format!(r#"{{"type":"{long}"}}"#),
        format!(r#"{{"type":"C2C","id":"m1","to":"{long}","payload":1}}"#),
        format!(r#"{{"type":"C2C","id":"m1","to":"7b4v1b","payload":1,"created_at":"{long}"}}"#),
        format!("CLIENT_ACK,{long}"),
        format!("\"{long}\""),
        long,
    ] {
        let fault = json().decode(&text).unwrap_err();
        let (start, length) = (&text[..20], fault.msg.len());
        assert!(length <= 512, "a sentence of {length} bytes for {start}…");
    }
}

#[test]
fn a_member_twice_is_refused_where_the_server_reads_it() {
    for (twice, name) in [
        (r#""id":"m1","id":"m2""#, "id"),
        (r#""id":"m1","\u0069d":"m1""#, "id"),
        (r#""id":"m1","payload":1,"payload":2"#, "payload"),
        (r#""id":"m1","to":"7b4v1b","to":"kybqdp""#, "to"),
        (r#""id":"m1","type":"C2C""#, "type"),
        (r#""id":"m1","type":null"#, "type"),
        (r#""from":"x","from":"x""#, "from"),
        (r#""seqs":[1],"seqs":[1]"#, "seqs"),
        (r#""token":"a","token":"a""#, "token"),
    ] {
        for kind in [
            "C2C",
            "WEBRTC_OFFER",
            "CLIENT_ACK",
            "SYNC",
            "STATUS",
            "REFRESH",
        ] {
            let text = format!(r#"{{"type":"{kind}",{twice}}}"#);
            let fault = refuses(&text, &format!("{name} stands there twice"));
            let echoed = (name != "id" && twice.contains("m1")).then_some("m1");
            assert_eq!(fault.id.as_deref(), echoed, "{text}");
        }
    }
    let entry = r#"{"type":"STATUS","of":[{"to":"7b4v1b","id":"a","id":"b"}]}"#;
    refuses(entry, "of[0]: id stands there twice");
    let text = r#"{"type":"C2C","id":"m1","to":"7b4v1b","payload":{"a":1,"a":2},"x":1,"x":2}"#;
    reads(text, &draft("m1", r#"{"a":1,"a":2}"#, None));
}

#[test]
fn a_payload_has_a_bound_in_bytes_as_they_came() {
    let text =
        |payload: &str| format!(r#"{{"type":"C2C","id":"m1","to":"7b4v1b","payload":{payload}}}"#);
    let largest = format!("\"{}\"", "x".repeat(65_534));
    reads(&text(&largest), &draft("m1", &largest, None));
    let spaced = format!("[{}]", " ".repeat(65_535));
    let fault = json().decode(&text(&spaced)).unwrap_err();
    assert_eq!(fault.code, Code::TooLarge);
    assert!(fault.msg.contains("65537") && fault.msg.contains("65536"));
    assert_eq!(fault.id.as_deref(), Some("m1"));
    assert_eq!(fault.to, Some(Address::Chat(Chat::User(BOB))));
}

#[test]
fn nested_brackets_do_no_harm_wherever_they_stand() {
    let nested = format!("{}{}", "[".repeat(10_000), "]".repeat(10_000));
    let open = "[".repeat(10_000);
    let objects = format!("{}1{}", "{\"a\":".repeat(10_000), "}".repeat(10_000));
    for deep in [&nested, &objects] {
        let text = format!(r#"{{"type":"C2C","id":"m1","to":"7b4v1b","payload":{deep}}}"#);
        reads(&text, &draft("m1", deep, None));
        for member in ["id", "to", "token", "seqs", "created_at"] {
            let text = format!(r#"{{"type":"STATUS","{member}":{deep}}}"#);
            assert_eq!(code_of(&text), Code::BadFrame, "{member}");
        }
        let text = format!(r#"{{"type":"STATUS","of":{deep}}}"#);
        assert_eq!(code_of(&text), Code::BadFrame);
        let text = format!(r#"{{"unknown":{deep},"type":"SYNC"}}"#);
        assert!(json().decode(&text).is_ok());
    }
    for text in [&nested, &open, &format!("{{\"payload\":{open}")] {
        assert!(json().decode(text).is_err());
    }
}

#[test]
fn what_is_no_object_is_refused() {
    for text in [
        "",
        " ",
        "{",
        "null",
        "7",
        "\"C2C\"",
        "{}x",
        "\u{feff}{}",
        "pong",
        "{'a':1}",
    ] {
        let fault = json().decode(text).expect_err(text);
        assert_eq!(fault.code, Code::BadFrame);
        assert!(!fault.msg.is_empty());
    }
    refuses("{}", "type is missing");
    let lone_half = r#"{"type":"C2C","id":"\ud83d","to":"7b4v1b","payload":1}"#;
    refuses(lone_half, "id has an escape that stands for no character");
}

#[test]
fn a_frame_is_an_object_and_no_list_of_its_members() {
    let list = r#"["m1","C2C","7b4v1b",{},1,null,null,null,null,null,null]"#;
    refuses(list, "not a JSON object");
    let entry = r#"{"type":"STATUS","of":[["7b4v1b","m1"]]}"#;
    refuses(entry, "of[0]: must be an object with to and id");
}

#[test]
fn a_message_for_the_store_may_leave_its_type_out() {
    let mut dialect = json();
    let text = r#"{"id":"m1","to":"7b4v1b","payload": {} ,"from":"kybqdp"}"#;
    let (from, read) = dialect.decode_message(text).unwrap();
    assert_eq!(from, ALICE);
    assert_eq!(
        Inbound::Command(Command::Send(read)),
        draft("m1", "{}", None)
    );
    let named = r#"{"id":"m1","from":"kybqdp","type":"c2c","to":"7b4v1b","payload":1}"#;
    assert!(dialect.decode_message(named).is_ok());
    let signal = r#"{"id":"m1","from":"kybqdp","type":"WEBRTC_OFFER","to":"7b4v1b","payload":1}"#;
    let fault = dialect.decode_message(signal).unwrap_err();
    assert_eq!(fault.id.as_deref(), Some("m1"));
    assert!(dialect.decode_message("ping").is_err());
    for (from, words) in [
        ("", "from is missing"),
        (r#""from":null,"#, "from is missing"),
        (r#""from":7,"#, "from must be a string"),
        (r#""from":"nobody","#, "from names no user"),
        (
            r#""from":"kybqdp","from":"7b4v1b","#,
            "from stands there twice",
        ),
    ] {
        let text = format!(r#"{{{from}"id":"m1","to":"7b4v1b","payload":1}}"#);
        let fault = dialect.decode_message(&text).unwrap_err();
        assert!(fault.msg.contains(words), "{text}: {}", fault.msg);
        assert_eq!(fault.id.as_deref(), Some("m1"), "{text}");
    }
}

/// Frames that are right, to be spoilt.
fn samples() -> Vec<String> {
    let mut samples: Vec<String> = [
        r#"{"id":"m1","type":"C2C","from":"kybqdp","to":"7b4v1b","payload":{"a":[1,"é\u00e9"]},"created_at":1}"#,
        r#"{"id":"m1","type":"WEBRTC_OFFER","to":"7b4v1b","payload":null}"#,
        "CLIENT_ACK,C2C,m1,d1",
        r#"{"type":"CLIENT_ACK","seqs":[1,2,3]}"#,
        r#"{"type":"CLIENT_ACK","up_to":9}"#,
        r#"{"type":"SYNC","after":1,"limit":10}"#,
        r#"{"type":"STATUS","of":[{"to":"7b4v1b","id":"m1"},{"to":"kybqdp","id":"m2"}]}"#,
        r#"{"type":"REFRESH","token":"a.b.c"}"#,
        "ping",
    ]
    .map(String::from)
    .to_vec();
    for payload in PAYLOADS {
        samples.push(format!(
            r#"{{"id":"驿站","type":"C2C","to":"7b4v1b","payload":{payload}}}"#
        ));
    }
    samples
}

fn spoil(rng: &mut fastrand::Rng, bytes: &mut Vec<u8>, samples: &[String]) {
    const PIECES: [&str; 16] = [
        "\"", "\\", "{", "}", "[", "]", ",", ":", "null", "\\u0000", "\\ud800", "1e999", "é",
        "\"id\":", "\u{0}", "-",
    ];
    let at = rng.usize(0..=bytes.len());
    let to = (at + rng.usize(0..8)).min(bytes.len());
    match rng.u8(0..6) {
        0 => drop(bytes.drain(at..to)),
        1 => drop(bytes.splice(at..at, PIECES[rng.usize(0..16)].bytes())),
        2 => bytes.truncate(at),
        3 => {
            let other = samples[rng.usize(0..samples.len())].as_bytes();
            let from = rng.usize(0..other.len());
            bytes.splice(at..to, other[from..].iter().copied());
        }
        4 => {
            let again = bytes[at..to].to_vec();
            drop(bytes.splice(at..at, again));
        }
        _ if at < bytes.len() => bytes[at] = rng.u8(..),
        _ => bytes.push(rng.u8(..)),
    }
}

#[test]
fn no_frame_however_spoilt_makes_the_reader_panic() {
    let (mut dialect, samples) = (json(), samples());
    for sample in &samples {
        assert!(dialect.decode(sample).is_ok(), "{sample}");
    }
    let (mut taken, mut refused) = (0, 0);
    for seed in 0..20_000 {
        let mut rng = fastrand::Rng::with_seed(seed);
        let mut bytes = if rng.u8(0..10) == 0 {
            (0..rng.usize(0..200)).map(|_| rng.u8(..)).collect()
        } else {
            samples[rng.usize(0..samples.len())].clone().into_bytes()
        };
        for _ in 0..rng.usize(1..5) {
            spoil(&mut rng, &mut bytes, &samples);
        }
        let text = String::from_utf8_lossy(&bytes);
        let Err(fault) = dialect.decode(&text) else {
            taken += 1;
            continue;
        };
        refused += 1;
        assert!(!fault.msg.is_empty(), "seed {seed}");
        assert!(
            fault.id.as_ref().is_none_or(|id| id.len() <= 64),
            "seed {seed}"
        );
        let error = Event::Error {
            fault,
            server_ts: 9,
        };
        let told = dialect.encode(&error).unwrap();
        let told: Value = serde_json::from_str(&told).expect("an ERROR that is no JSON");
        assert_eq!(told["type"], "ERROR", "seed {seed}");
        // The same text, where only a message is expected.
        let _ = dialect.decode_message(&text);
    }
    assert!(taken > 500 && refused > 5_000, "{taken} and {refused}");
}

fn any_name(rng: &mut fastrand::Rng) -> String {
    let mut name = String::new();
    let wanted = rng.usize(1..=64);
    loop {
        let next = match rng.u8(0..4) {
            0 => ['"', '\\', '/', '\u{2028}', '\u{feff}', ' '][rng.usize(0..6)],
            1 => rng.char(..),
            _ => rng.char(' '..'~'),
        };
        if next == ',' || next.is_control() {
            continue;
        }
        if name.len() + next.len_utf8() > wanted {
            if name.is_empty() {
                continue;
            }
            return name;
        }
        name.push(next);
    }
}

fn any_payload(rng: &mut fastrand::Rng) -> String {
    match rng.u8(0..3) {
        0 => PAYLOADS[rng.usize(0..PAYLOADS.len())].into(),
        1 => quoted(
            &(0..rng.usize(0..40))
                .map(|_| rng.char(..))
                .collect::<String>(),
        ),
        _ => format!(
            "{{{}: {} }}",
            quoted(&any_name(rng)),
            PAYLOADS[rng.usize(0..PAYLOADS.len())]
        ),
    }
}

#[test]
fn what_is_written_is_json_that_says_the_same() {
    let mut dialect = json();
    for seed in 0..20_000 {
        let mut rng = fastrand::Rng::with_seed(seed);
        let (name, device, payload) = (
            any_name(&mut rng),
            any_name(&mut rng),
            any_payload(&mut rng),
        );
        let created_at = rng.bool().then(|| rng.i64(..));

        // A delivery reads as the message that was sent.
        let event = Event::Deliver(row(rng.u64(..), &name, &payload, created_at));
        let text = dialect.encode(&event).unwrap();
        let same = dialect.decode(&text);
        assert_eq!(same, Ok(draft(&name, &payload, created_at)), "seed {seed}");

        let text = dialect
            .encode(&signal(&name, &payload, created_at))
            .unwrap();
        let Ok(Inbound::Command(Command::Signal(same))) = dialect.decode(&text) else {
            panic!("seed {seed}: {text}");
        };
        assert_eq!((same.id.as_str(), &*same.payload), (&*name, &*payload));

        let delivered = Event::Delivered {
            id: id(&name),
            reader: Uid(rng.u64(..)),
            did: Some(did(&device)),
            server_ts: rng.u64(..),
        };
        let text = dialect.encode(&delivered).unwrap();
        let same: Value = serde_json::from_str(&text).expect("a receipt that is no JSON");
        assert_eq!(same["id"], name, "seed {seed}");
        assert_eq!(same["did"], device, "seed {seed}");

        let anything: String = (0..rng.usize(0..80)).map(|_| rng.char(..)).collect();
        let fault = Fault {
            id: Some(anything.as_str().into()),
            to: Some(Address::Raw(anything.as_str().into())),
            ..Fault::because(Code::BadFrame, anything.as_str())
        };
        let error = Event::Error {
            fault,
            server_ts: 9,
        };
        let text = dialect.encode(&error).unwrap();
        let same: Value = serde_json::from_str(&text).expect("an ERROR that is no JSON");
        for member in ["id", "to", "msg"] {
            assert_eq!(same[member], anything, "seed {seed}");
        }
    }
}
