//! What the JSON dialect costs: reading each frame of a client, and writing each frame of the server.
//!
//! `cargo bench --bench codec`; a part of a name after `--` takes only those.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use yizhan::code::Code;
use yizhan::codec::Bounds;
use yizhan::codec::json::Json;
use yizhan::config::Ids;
use yizhan::id::{Did, Hashids, MsgId, Uid};
use yizhan::message::chat::Chat;
use yizhan::message::{Ack, Event, Fate, Fault, Kind, Message, Notice, Row, State, Target, What};

const ID: &str = "cdsgrbgppoodp0gvpb60";
const TO: Uid = Uid(108);
const NOW: u64 = 1_668_877_742_828;

criterion_group! {
    name = benches;
    config = Criterion::default()
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2));
    targets = decode, encode
}
criterion_main!(benches);

fn decode(criterion: &mut Criterion) {
    let mut json = dialect();
    let mut group = criterion.benchmark_group("decode");
    let message = |size: usize| {
        let payload = "x".repeat(size - 2);
        format!(
            r#"{{"id":"{ID}","type":"C2C","from":"kybqdp","to":"7b4v1b","payload":"{payload}","created_at":{NOW}}}"#
        )
    };
    let signal = message(256).replace("C2C", "WEBRTC_OFFER");
    let asked = vec![format!(r#"{{"to":"7b4v1b","id":"{ID}"}}"#); 256].join(",");
    let frames = [
        ("message of 256 B", message(256)),
        ("message of 64 KB", message(65_536)),
        ("signal", signal),
        ("ack as text", format!("CLIENT_ACK,C2C,{ID},a-phone")),
        (
            "ack of one number",
            r#"{"type":"CLIENT_ACK","seqs":[123456]}"#.into(),
        ),
        (
            "ack of 64 numbers",
            format!(
                r#"{{"type":"CLIENT_ACK","seqs":{:?}}}"#,
                Vec::from_iter(1000..1064)
            ),
        ),
        (
            "ack up to",
            r#"{"type":"CLIENT_ACK","up_to":123456}"#.into(),
        ),
        ("sync", r#"{"type":"SYNC","after":7,"limit":100}"#.into()),
        (
            "status of 256",
            format!(r#"{{"type":"STATUS","of":[{asked}]}}"#),
        ),
        ("ping", "ping".into()),
        ("no frame", "hello".into()),
    ];
    for (name, frame) in frames {
        group.throughput(Throughput::Bytes(frame.len() as u64));
        group.bench_function(name, |bencher| {
            bencher.iter_with_large_drop(|| json.decode(black_box(&frame)));
        });
    }
}

fn encode(criterion: &mut Criterion) {
    let mut json = dialect();
    let mut group = criterion.benchmark_group("encode");
    let id = MsgId::parse(ID).unwrap();
    let did = Did::parse("a-phone").unwrap();
    let target = Target {
        to: Chat::User(TO),
        id: id.clone(),
    };
    let events = [
        (
            "accepted",
            Event::Accepted {
                id: id.clone(),
                to: Chat::User(TO),
                cseq: 123_456,
                server_ts: NOW,
            },
        ),
        ("message of 256 B", Event::Deliver(row(256))),
        ("message of 64 KB", Event::Deliver(row(65_536))),
        (
            "ack confirmed",
            Event::AckOk(Ack::Id {
                id: id.clone(),
                did: did.clone(),
            }),
        ),
        (
            "delivered",
            Event::Delivered {
                id,
                reader: TO,
                did: Some(did),
                server_ts: NOW,
            },
        ),
        (
            "page of 100",
            Event::SyncPage {
                rows: vec![row(256); 100],
                next: 100,
                more: true,
            },
        ),
        (
            "status of 256",
            Event::Status(vec![(target, State::Delivered, 0); 256]),
        ),
        (
            "error",
            Event::Error {
                fault: Fault::new(Code::TooFast).later(1000),
                server_ts: NOW,
            },
        ),
        (
            "summary",
            Event::Notice {
                id: MsgId::parse(ID).unwrap(),
                to: TO,
                notice: Notice::OfflineSummary {
                    count: 3,
                    from_seq: 1,
                    to_seq: 3,
                },
                server_ts: NOW,
            },
        ),
    ];
    for (name, event) in events {
        let length = json.encode(&event).unwrap().len();
        group.throughput(Throughput::Bytes(length as u64));
        group.bench_function(name, |bencher| {
            bencher.iter_batched(
                || (),
                |()| json.encode(black_box(&event)),
                BatchSize::SmallInput,
            );
        });
    }
}

fn row(size: usize) -> Row {
    let payload = format!("\"{}\"", "x".repeat(size - 2));
    Row {
        reader: TO,
        seq: 123_456,
        since: NOW,
        what: What::Message,
        message: Arc::new(Message {
            id: MsgId::parse(ID).unwrap(),
            kind: Kind::Words,
            from: Uid(1),
            to: Chat::User(TO),
            payload: payload.into(),
            created_at: Some(NOW as i64),
            server_ts: NOW,
            expires_at: None,
            fate: Fate::Whole,
            cseq: 123_456,
        }),
    }
}

fn dialect() -> Json {
    let hashids = Hashids::new(&Ids {
        salt: "cVQtrKNu".into(),
        alphabet: "123456789abcdefghijkmnpqrstuvwxyz".into(),
        separators: "cfhistuu".into(),
        min_length: 6,
    });
    let bounds = Bounds {
        max_payload: 65_536,
        max_page: 100,
        max_status: 256,
    };
    Json::new(hashids.unwrap(), bounds)
}
