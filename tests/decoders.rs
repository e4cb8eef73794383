//! Everything that reads what others wrote, under arbitrary input: it never panics, it says what the model says, and
//! what was written is read as it was meant.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "decoders/dialect.rs"]
mod dialect;
#[path = "decoders/records.rs"]
mod records;
#[path = "decoders/tokens.rs"]
mod tokens;
#[path = "decoders/wire.rs"]
mod wire;

use std::time::{Duration, Instant};

use proptest::collection::vec;
use proptest::prelude::*;
use yizhan::code::{Close, Code};
use yizhan::codec::{Inbound, json};
use yizhan::id::{Cid, Did, MsgId, Uid};
use yizhan::message::chat::{Amendment, Chat, Side};
use yizhan::message::{Ack, Command, Draft, Query, SignalDraft, Target};
use yizhan::token::{Claims, Kind as TokenKind, TokenError, Tokens};

// ---- the JSON dialect ----

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn any_text_is_a_frame_or_is_refused_in_our_words(text in any::<String>()) {
        let _ = dialect::judge(&mut dialect::dialect(), &text);
    }

    #[test]
    fn any_json_is_a_frame_or_is_refused_in_our_words(text in json_text()) {
        let _ = dialect::judge(&mut dialect::dialect(), &text);
    }

    #[test]
    fn any_object_of_known_members_is_a_frame_or_is_refused_in_our_words(
        members in vec((member_name(), json_text()), 0..8),
    ) {
        let members: Vec<_> = members.iter().map(|(name, value)| format!("{name}:{value}")).collect();
        let _ = dialect::judge(&mut dialect::dialect(), &format!("{{{}}}", members.join(",")));
    }

    #[test]
    fn a_spoilt_frame_is_a_frame_or_is_refused_in_our_words(
        command in command(), style in style(), spoils in vec((any::<prop::sample::Index>(), spoil()), 1..4),
    ) {
        let mut text: Vec<char> = written(&command, &style).chars().collect();
        for (at, spoil) in spoils {
            let at = at.index(text.len() + 1);
            match spoil {
                Spoil::Cut => text.truncate(at),
                Spoil::Drop(n) => drop(text.drain(at..(at + n).min(text.len()))),
                Spoil::Insert(piece) => drop(text.splice(at..at, piece.chars()).count()),
            }
        }
        let text: String = text.into_iter().collect();
        let _ = dialect::judge(&mut dialect::dialect(), &text);
    }

    #[test]
    fn a_good_frame_is_the_command_it_was_made_from(command in command(), style in style()) {
        let text = written(&command, &style);
        let read = dialect::judge(&mut dialect::dialect(), &text);
        prop_assert_eq!(read, Ok(Inbound::Command(command)), "{}", text);
    }

    #[test]
    fn a_member_that_stands_there_twice_is_refused_by_name(
        command in command(), style in style(), again in any::<prop::sample::Index>(), value in json_text(),
    ) {
        let mut members = members(&command);
        let (name, _) = members[again.index(members.len())].clone();
        members.push((name, value));
        let text = object(&members, &style);
        let fault = dialect::judge(&mut dialect::dialect(), &text).unwrap_err();
        prop_assert_eq!(fault.code, Code::BadFrame);
        prop_assert!(fault.msg.contains(&format!("{name} stands there twice")), "{}: {}", text, fault.msg);
    }
}

/// Ten times the input may take ten times as long, and no more than a hundred times: what is worse is quadratic.
#[test]
fn no_frame_takes_longer_than_its_length_explains() {
    let repeats: [(&str, &str, &str); 10] = [
        ("", "[", ""),
        (r#"{"type":"CLIENT_ACK","seqs":["#, "1,", "1]}"),
        (r#"{"type":"CLIENT_ACK","seqs":["#, "1,", "-1]}"),
        (r#"{"type":"STATUS","of":["#, "0,", "0]}"),
        (r#"{"type":"PRESENCE","of":["#, r#""kybqdp","#, "0]}"),
        (r#"{"type":"C2C","payload":["#, "[],", "0]}"),
        (r#"{"type":"C2C","id":""#, r"\u0041", r#""}"#),
        ("{", r#""id":1,"#, r#""id":1}"#),
        ("{", r#""x":1,"#, r#""x":1}"#),
        ("CLIENT_ACK,", ",", ""),
    ];
    let mut json = dialect::dialect();
    for (before, piece, after) in repeats {
        let mut time = |bytes: usize| {
            let text = format!("{before}{}{after}", piece.repeat(bytes / piece.len()));
            let mut once = || {
                let start = Instant::now();
                let _ = json.decode(&text);
                start.elapsed()
            };
            (0..5).map(|_| once()).min().unwrap()
        };
        let (short, long) = (time(20_000), time(2_000_000));
        let most = short.max(Duration::from_micros(100)) * 100 * 20;
        assert!(
            long < most,
            "{piece}: {short:?} and a hundred times as long {long:?}"
        );
    }
}

// ---- WebSocket frames ----

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn the_guard_says_what_the_book_says_however_the_stream_is_cut(
        frames in vec(wire_frame(), 0..12), cuts in vec(1_usize..300, 0..40), lost in 0_usize..3, max in 125_usize..600,
    ) {
        let mut bytes = frames.concat();
        bytes.truncate(bytes.len().saturating_sub(lost));
        let expected = wire::by_the_book(&bytes, max);
        prop_assert_eq!(&wire::through_the_guard(&bytes, &cuts, max), &expected);
        prop_assert_eq!(&wire::through_the_guard(&bytes, &[], max), &expected);
        let single = vec![1; bytes.len()];
        prop_assert_eq!(&wire::through_the_guard(&bytes, &single, max), &expected);
    }

    #[test]
    fn the_guard_says_what_the_book_says_of_any_bytes(
        bytes in vec(any::<u8>(), 0..400), cuts in vec(1_usize..50, 0..20), max in 125_usize..600,
    ) {
        let expected = wire::by_the_book(&bytes, max);
        prop_assert_eq!(&wire::through_the_guard(&bytes, &cuts, max), &expected);
    }

    #[test]
    fn a_bad_frame_takes_nothing_from_the_good_ones_before_it(
        good in vec(vec(any::<u8>(), 0..100), 1..6), length in 126_u64.., cuts in vec(1_usize..300, 0..20),
    ) {
        let mut bytes: Vec<u8> = good.iter().flat_map(|payload| masked(0x82, payload)).collect();
        bytes.extend([0x82, 0xff]);
        bytes.extend(length.to_be_bytes());
        let heard = wire::through_the_guard(&bytes, &cuts, 125);
        prop_assert_eq!(heard.end, wire::End::Breach(Close::TooBig));
        let payloads: Vec<_> = heard.frames.into_iter().map(|(_, payload)| payload).collect();
        prop_assert_eq!(payloads, good);
    }
}

// ---- tokens and user ids ----

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn no_text_is_a_token(text in any::<String>(), parts in vec("[A-Za-z0-9_-]{0,40}", 0..5)) {
        let tokens = signer();
        tokens::refuses(&tokens, &text);
        tokens::refuses(&tokens, &parts.join("."));
    }

    #[test]
    fn a_token_is_good_only_as_it_was_signed(claims in claims(), at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let tokens = signer();
        let good = tokens.mint(&claims).unwrap();
        prop_assert_eq!(tokens.verify(&good, 0, 0), Ok(claims));
        let mut bytes = good.clone().into_bytes();
        let at = at.index(bytes.len());
        prop_assume!(bytes[at] != byte);
        bytes[at] = byte;
        if let Ok(bad) = String::from_utf8(bytes) {
            tokens::refuses(&tokens, &bad);
        }
    }

    #[test]
    fn a_signature_makes_no_good_token_of_bad_claims(
        claims in prop_oneof![json_text(), vec((token_member(), json_text()), 0..5).prop_map(|members| {
            let members: Vec<_> = members.iter().map(|(name, value)| format!("{name}:{value}")).collect();
            format!("{{{}}}", members.join(","))
        })],
        header in prop_oneof![Just(r#"{"alg":"HS256"}"#.to_string()), json_text()],
    ) {
        tokens::judge_signed(&signer(), &dialect::hashids(), header.as_bytes(), claims.as_bytes());
    }

    #[test]
    fn a_user_has_one_name(uid in any::<u64>(), text in any::<String>(), near in "[1-9a-kmnp-z]{0,16}") {
        let hashids = dialect::hashids();
        prop_assert_eq!(hashids.decode(&hashids.encode(Uid(uid))), Ok(Uid(uid)));
        for text in [text, near] {
            if let Ok(uid) = hashids.decode(&text) {
                prop_assert_eq!(hashids.encode(uid), text);
            }
        }
    }
}

#[test]
fn an_expired_token_says_when_and_an_unexpired_one_whose() {
    let tokens = signer();
    let claims = Claims {
        uid: Uid(7),
        exp_ms: 10,
        iat_ms: Some(9),
        kind: TokenKind::Refresh,
    };
    let token = tokens.mint(&claims).unwrap();
    assert_eq!(tokens.verify(&token, 9, 0), Ok(claims));
    assert_eq!(
        tokens.verify(&token, 10, 0),
        Err(TokenError::Expired(claims))
    );
}

#[test]
fn a_header_that_calls_something_critical_is_refused() {
    let claims = br#"{"exp":5,"sub":"tk","uid":"kybqdp"}"#;
    let tokens = signer();
    let plain = tokens::signed(br#"{"alg":"HS256","kid":"1","x":[1]}"#, claims);
    assert!(tokens.verify(&plain, 0, 0).is_ok());
    for crit in ["[]", r#"["exp"]"#, r#"["b64"]"#] {
        let header = format!(r#"{{"alg":"HS256","crit":{crit}}}"#);
        tokens::refuses(&tokens, &tokens::signed(header.as_bytes(), claims));
    }
}

// ---- records ----

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2048))]

    #[test]
    fn any_bytes_are_a_record_or_a_damaged_one(bytes in vec(any::<u8>(), 0..200)) {
        let _ = records::judge(&bytes);
    }

    #[test]
    fn small_bytes_are_a_record_or_a_damaged_one(bytes in vec(0_u8..9, 0..60)) {
        let _ = records::judge(&bytes);
    }
}

/// A length that was never written must not be believed before its elements are there: this would ask for exabytes.
#[test]
fn a_record_that_declares_to_be_huge_is_damaged() {
    let huge = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f];
    let large = [0xff, 0xff, 0xff, 0xff, 0x0f];
    for length in [&huge[..], &large] {
        let places: [&[u8]; 8] = [
            // As it is; after the head; and as the acks of a device that is known.
            &[],
            &[9],
            &[9, 0],
            &[9, 0, 1, 1, b'd'],
            &[9, 1, 1],
            // As the voids of a conversation, and as what one of two has written; as the name of a group.
            &[9, 9, 0],
            &[9, 9, 0, 0, 0, 1, 9],
            &[9, 9, 0, 0, 1],
        ];
        // As the text of a relation; as what a member has written, and what they have got.
        let more: [&[u8]; 3] = [&[1, 0, 9, 1], &[1, 9, 1, 0, 0, 9], &[1, 9, 1, 0, 0, 9, 0]];
        for before in places.into_iter().chain(more) {
            let bytes = [before, length, &[1, 1]].concat();
            let read = records::judge(&bytes);
            let lists = records::Read {
                row: false,
                entry: false,
                ..read
            };
            assert_eq!(lists, records::Read::default(), "{bytes:?}");
        }
    }
}

// ---- the fuzz targets ----

/// The seeds of the fuzz targets, and whatever they have found: each is judged as its target judges it.
#[test]
fn every_seed_of_a_fuzz_target_holds() {
    let (mut json, hashids, signer) = (dialect::dialect(), dialect::hashids(), signer());
    let seeds = concat!(env!("CARGO_MANIFEST_DIR"), "/fuzz/seeds");
    for target in ["frames", "guard", "token", "records"] {
        let mut seen = 0;
        for entry in std::fs::read_dir(format!("{seeds}/{target}")).unwrap() {
            let bytes = std::fs::read(entry.unwrap().path()).unwrap();
            seen += 1;
            match target {
                "frames" => drop(dialect::judge(&mut json, &String::from_utf8_lossy(&bytes))),
                "guard" => wire::judge(&bytes),
                "token" => tokens::judge(&signer, &hashids, &bytes),
                _ => drop(records::judge(&bytes)),
            }
        }
        assert!(seen > 4, "{target} has no seeds");
    }
}

// ---- what is made ----

/// A way to write the same object: the order of its members, the space between them, and what is escaped.
#[derive(Clone, Debug)]
struct Style {
    order: Vec<u32>,
    space: &'static str,
    escape: bool,
    extra: bool,
    lower: bool,
}

fn style() -> impl Strategy<Value = Style> {
    let space = prop::sample::select(vec!["", " ", "\n\t ", "\r\n"]);
    (vec(any::<u32>(), 8), space, any::<[bool; 3]>()).prop_map(|(order, space, flags)| Style {
        order,
        space,
        escape: flags[0],
        extra: flags[1],
        lower: flags[2],
    })
}

fn written(command: &Command, style: &Style) -> String {
    match command {
        Command::Ack(Ack::Id { id, did }) => format!("CLIENT_ACK,C2C,{id},{did}{}", {
            if style.space.ends_with('\n') {
                style.space
            } else {
                ""
            }
        }),
        command => object(&members(command), style),
    }
}

fn object(members: &[(&'static str, String)], style: &Style) -> String {
    let mut members: Vec<(String, String)> = members
        .iter()
        .map(|(name, value)| {
            let value = match (style.lower, *name, value.as_str()) {
                (true, "type", value) if !value.contains("WEBRTC") => value.to_lowercase(),
                (_, "id" | "to" | "token" | "target", value) if style.escape => escaped(value),
                (_, _, value) => value.to_string(),
            };
            let name = format!("\"{name}\"");
            (if style.escape { escaped(&name) } else { name }, value)
        })
        .collect();
    if style.extra {
        members.push((r#""mood""#.into(), r#"{"id":[1,{"id":2}]}"#.into()));
        members.push((r#""mood""#.into(), "null".into()));
    }
    let mut order: Vec<usize> = (0..members.len()).collect();
    order.sort_by_key(|at| style.order.get(*at).copied().unwrap_or(*at as u32));
    let space = style.space;
    let members: Vec<_> = order
        .into_iter()
        .map(|at| {
            format!(
                "{space}{}{space}:{space}{}{space}",
                members[at].0, members[at].1
            )
        })
        .collect();
    format!("{space}{{{}}}{space}", members.join(","))
}

/// A JSON string with each of its characters as an escape.
fn escaped(quoted: &str) -> String {
    let plain: String = serde_json::from_str(quoted).unwrap_or_default();
    let units = plain.encode_utf16();
    format!(
        "\"{}\"",
        units
            .map(|unit| format!("\\u{unit:04x}"))
            .collect::<String>()
    )
}

fn members(command: &Command) -> Vec<(&'static str, String)> {
    let quoted = |text: &str| serde_json::to_string(text).unwrap();
    let user = |number: u64| quoted(&dialect::hashids().encode(Uid(number)));
    // The verb, in a conversation.
    let of_chat = |chat: &Chat, verb: &str| {
        vec![
            ("type", quoted(&format!("{}{verb}", chat.name()))),
            ("to", user(chat.number())),
        ]
    };
    let own_id = |id: &Option<MsgId>| id.iter().map(|id| ("id", quoted(id.as_str()))).next();
    match command {
        Command::Send(it) => {
            let mut members = of_chat(&it.to, "");
            members.push(("id", quoted(it.id.as_str())));
            members.push(("payload", it.payload.to_string()));
            members.extend(it.created_at.map(|at| ("created_at", at.to_string())));
            members.extend(it.expires_at.map(|at| ("expires_at", at.to_string())));
            members
        }
        Command::Signal(it) => {
            let mut members = vec![
                ("id", quoted(it.id.as_str())),
                ("type", quoted(&it.kind)),
                ("to", user(it.to.0)),
                ("payload", it.payload.to_string()),
            ];
            members.extend(it.created_at.map(|at| ("created_at", at.to_string())));
            members
        }
        Command::Ack(Ack::Seqs(seqs)) => vec![
            ("type", quoted("CLIENT_ACK")),
            ("seqs", serde_json::to_string(seqs).unwrap()),
        ],
        Command::Ack(Ack::UpTo(up_to)) => {
            vec![("type", quoted("CLIENT_ACK")), ("up_to", up_to.to_string())]
        }
        // Its other form; written as text elsewhere.
        Command::Ack(Ack::Id { .. }) => vec![("type", quoted("CLIENT_ACK"))],
        Command::Sync { after, limit } => vec![
            ("type", quoted("SYNC")),
            ("after", after.to_string()),
            ("limit", limit.to_string()),
        ],
        Command::Status(of) => {
            let of = of.iter().map(|target| {
                let (to, id) = (user(target.to.number()), quoted(target.id.as_str()));
                match target.to {
                    Chat::User(_) => format!(r#"{{"id":{id},"to":{to}}}"#),
                    Chat::Group(_) => format!(r#"{{"id":{id},"type":"C2G","to":{to}}}"#),
                }
            });
            let of = of.collect::<Vec<_>>().join(",");
            vec![("type", quoted("STATUS")), ("of", format!("[{of}]"))]
        }
        Command::Amend { chat, amendment } => match amendment {
            Amendment::Revoke { id } => {
                let mut members = of_chat(chat, "_REVOKE");
                members.push(("id", quoted(id.as_str())));
                members
            }
            Amendment::Edit {
                id,
                target,
                payload,
                ..
            } => {
                let mut members = of_chat(chat, "_EDIT");
                members.push(("id", quoted(id.as_str())));
                members.push(("target", quoted(target.as_str())));
                members.push(("payload", payload.to_string()));
                members
            }
        },
        Command::MarkRead { chat, up_to, id } => {
            let mut members = of_chat(chat, "_READ");
            members.push(("up_to", up_to.to_string()));
            members.extend(own_id(id));
            members
        }
        Command::Typing(chat) => of_chat(chat, "_TYPING"),
        Command::Query { id, query } => {
            let mut members = match query {
                Query::History { chat, side, limit } => {
                    let mut members = of_chat(chat, "_HISTORY");
                    members.push(("limit", limit.to_string()));
                    members.extend(match side {
                        Side::Newest => None,
                        Side::Before(before) => Some(("before", before.to_string())),
                        Side::After(after) => Some(("after", after.to_string())),
                    });
                    members
                }
                Query::Waiting { chat, after, limit } => {
                    let mut members = of_chat(chat, "_SYNC");
                    members.push(("after", after.to_string()));
                    members.push(("limit", limit.to_string()));
                    members
                }
                Query::Chats { before, limit } => {
                    let mut members = vec![("type", quoted("CONVERSATIONS"))];
                    members.extend(before.map(|before| ("before", before.to_string())));
                    members.push(("limit", limit.to_string()));
                    members
                }
                Query::Receipts {
                    gid, after, limit, ..
                } => {
                    let mut members = of_chat(&Chat::Group(*gid), "_RECEIPTS");
                    members.extend(after.map(|after| ("after", user(after.0))));
                    members.push(("limit", limit.to_string()));
                    members
                }
                Query::Presence(of) => {
                    let of: Vec<_> = of.iter().map(|uid| user(uid.0)).collect();
                    vec![
                        ("type", quoted("PRESENCE")),
                        ("of", format!("[{}]", of.join(","))),
                    ]
                }
            };
            members.extend(own_id(id));
            members
        }
    }
}

fn command() -> impl Strategy<Value = Command> {
    let letter = || {
        let at = proptest::option::of(any::<i64>());
        (name(), any::<u64>(), json_text(), at)
    };
    let limit = || 1_usize..=100;
    let own_id = || proptest::option::of(msg_id());
    let side = prop_oneof![
        Just(Side::Newest),
        any::<u64>().prop_map(Side::Before),
        any::<u64>().prop_map(Side::After),
    ];
    let query = prop_oneof![
        (own_id(), chat(), side, limit()).prop_map(|(id, chat, side, limit)| {
            let query = Query::History { chat, side, limit };
            Command::Query { id, query }
        }),
        (own_id(), chat(), any::<u64>(), limit()).prop_map(|(id, chat, after, limit)| {
            let query = Query::Waiting { chat, after, limit };
            Command::Query { id, query }
        }),
        (own_id(), any::<Option<u64>>(), limit()).prop_map(|(id, before, limit)| {
            let query = Query::Chats { before, limit };
            Command::Query { id, query }
        }),
        (msg_id(), any::<u64>(), any::<Option<u64>>(), limit()).prop_map(
            |(of, gid, after, limit)| Command::Query {
                id: Some(of.clone()),
                query: Query::Receipts {
                    gid: Cid(gid),
                    of,
                    after: after.map(Uid),
                    limit,
                },
            }
        ),
        (own_id(), vec(any::<u64>(), 0..10)).prop_map(|(id, of)| {
            let query = Query::Presence(of.into_iter().map(Uid).collect());
            Command::Query { id, query }
        }),
    ];
    prop_oneof![
        (letter(), chat(), any::<Option<u64>>()).prop_map(
            |((id, _, payload, created_at), to, expires_at)| {
                Command::Send(Draft {
                    id: MsgId::parse(&id).unwrap(),
                    to,
                    payload: payload.into(),
                    created_at,
                    expires_at,
                })
            }
        ),
        ("[A-Za-z0-9_]{0,57}", letter()).prop_map(|(kind, (id, to, payload, created_at))| {
            Command::Signal(SignalDraft {
                id: MsgId::parse(&id).unwrap(),
                kind: format!("WEBRTC_{kind}").into(),
                to: Uid(to),
                payload: payload.into(),
                created_at,
            })
        }),
        (name(), name()).prop_map(|(id, did)| {
            let (id, did) = (MsgId::parse(&id).unwrap(), Did::parse(&did).unwrap());
            Command::Ack(Ack::Id { id, did })
        }),
        vec(any::<u64>(), 0..20).prop_map(|seqs| Command::Ack(Ack::Seqs(seqs))),
        any::<u64>().prop_map(|up_to| Command::Ack(Ack::UpTo(up_to))),
        (any::<u64>(), limit()).prop_map(|(after, limit)| Command::Sync { after, limit }),
        vec((chat(), msg_id()), 0..10).prop_map(|of| {
            let target = |(to, id)| Target { to, id };
            Command::Status(of.into_iter().map(target).collect())
        }),
        (chat(), msg_id()).prop_map(|(chat, id)| {
            let amendment = Amendment::Revoke { id };
            Command::Amend { chat, amendment }
        }),
        (chat(), msg_id(), msg_id(), json_text()).prop_map(|(chat, id, target, payload)| {
            let amendment = json::edit(id, target, payload.into());
            Command::Amend { chat, amendment }
        }),
        (chat(), any::<u64>(), own_id()).prop_map(|(chat, up_to, id)| Command::MarkRead {
            chat,
            up_to,
            id
        }),
        chat().prop_map(Command::Typing),
        query,
    ]
}

fn chat() -> impl Strategy<Value = Chat> {
    (any::<u64>(), any::<bool>()).prop_map(|(number, is_group)| match is_group {
        true => Chat::Group(Cid(number)),
        false => Chat::User(Uid(number)),
    })
}

fn msg_id() -> impl Strategy<Value = MsgId> {
    name().prop_map(|name| MsgId::parse(&name).unwrap())
}

/// 1 to 64 bytes, no comma, no control character.
fn name() -> impl Strategy<Value = String> {
    vec(any::<char>(), 1..40).prop_map(|all| {
        let mut name = String::new();
        for c in all {
            if c != ',' && !c.is_control() && name.len() + c.len_utf8() <= 64 {
                name.push(c);
            }
        }
        if name.is_empty() { "m".into() } else { name }
    })
}

fn json_text() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("null".to_string()),
        any::<bool>().prop_map(|b| b.to_string()),
        any::<i64>().prop_map(|n| n.to_string()),
        prop::sample::select(vec![
            "-0",
            "1e400",
            "0.1",
            "18446744073709551616",
            r#""\ud800""#,
            r#""\u0000""#
        ])
        .prop_map(str::to_string),
        prop::sample::select(vec![
            "tk",
            "rtk",
            "C2C",
            "C2G",
            "C2G_RECEIPTS",
            "C2C_EDIT",
            "C2C_HISTORY",
            "C2G_READ",
            "CONVERSATIONS",
            "PRESENCE",
            "SYNC",
            "kybqdp",
            "7b4v1b",
            "CLIENT_ACK",
            "STATUS"
        ])
        .prop_map(|word| format!("\"{word}\"")),
        any::<String>().prop_map(|text| serde_json::to_string(&text).unwrap()),
    ];
    leaf.prop_recursive(4, 32, 6, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..6).prop_map(|items| format!("[{}]", items.join(","))),
            vec((any::<String>(), inner), 0..6).prop_map(|members| {
                let members = members.iter().map(|(name, value)| {
                    format!("{} : {value}", serde_json::to_string(name).unwrap())
                });
                format!("{{{}}}", members.collect::<Vec<_>>().join(","))
            }),
        ]
    })
}

fn member_name() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        r#""id""#,
        r#""type""#,
        r#""from""#,
        r#""to""#,
        r#""payload""#,
        r#""created_at""#,
        r#""seqs""#,
        r#""up_to""#,
        r#""before""#,
        r#""after""#,
        r#""target""#,
        r#""expires_at""#,
        r#""limit""#,
        r#""of""#,
        r#""token""#,
        r#""\u0069d""#,
        r#""mood""#,
    ])
}

fn token_member() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        r#""exp""#, r#""sub""#, r#""uid""#, r#""iat""#, r#""aud""#,
    ])
}

fn claims() -> impl Strategy<Value = Claims> {
    let claims = (any::<u64>(), 1_u64.., any::<Option<u64>>(), any::<bool>());
    claims.prop_map(|(uid, exp_ms, iat_ms, refresh)| Claims {
        uid: Uid(uid),
        exp_ms,
        iat_ms,
        kind: if refresh {
            TokenKind::Refresh
        } else {
            TokenKind::Access
        },
    })
}

fn signer() -> Tokens {
    Tokens::new(tokens::KEY, dialect::hashids())
}

#[derive(Clone, Debug)]
enum Spoil {
    Cut,
    Drop(usize),
    Insert(String),
}

fn spoil() -> impl Strategy<Value = Spoil> {
    let pieces = prop::sample::select(vec![
        "\"", "\\", "{", "}", "[", "]", ",", ":", "null", "\\u0000", "\\ud800", "1e999", "\"id\":",
        "\u{0}", "-", "\u{feff}",
    ]);
    prop_oneof![
        Just(Spoil::Cut),
        (1_usize..8).prop_map(Spoil::Drop),
        pieces.prop_map(|piece| Spoil::Insert(piece.into())),
        any::<char>().prop_map(|c| Spoil::Insert(c.into())),
    ]
}

/// Mostly good frames of every kind, and some that are not.
fn wire_frame() -> impl Strategy<Value = Vec<u8>> {
    let first = prop::sample::select(vec![
        0x81, 0x82, 0x81, 0x01, 0x02, 0x00, 0x80, 0x89, 0x8a, 0x89, 0x88, 0x09, 0x83, 0x8b, 0xc1,
    ]);
    let payload = prop_oneof![
        4 => vec(any::<u8>(), 0..126),
        1 => vec(any::<u8>(), 126..400),
    ];
    (first, payload, 0_u8..40).prop_map(|(first, payload, odd)| {
        let mut frame = masked(first, &payload);
        match odd {
            0 => frame[1] &= 0x7f,
            1 => frame[1] = 0xff,
            _ => {}
        }
        frame
    })
}

fn masked(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![first];
    if payload.len() < 126 {
        frame.push(0x80 | payload.len() as u8);
    } else {
        frame.push(0x80 | 126);
        frame.extend((payload.len() as u16).to_be_bytes());
    }
    let mask = [0x11, 0x22, 0x33, 0x44];
    frame.extend(mask);
    frame.extend(
        payload
            .iter()
            .zip(mask.iter().cycle())
            .map(|(byte, mask)| byte ^ mask),
    );
    frame
}
