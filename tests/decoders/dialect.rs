//! What holds of the JSON dialect whatever a client sends. The tests of the decoders and the fuzz target `frames` share
//! this file.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::sync::Arc;

use yizhan::code::Code;
use yizhan::codec::json::Json;
use yizhan::codec::{Bounds, Inbound};
use yizhan::config::Ids;
use yizhan::id::{Hashids, Uid};
use yizhan::message::chat::{Amendment, Chat};
use yizhan::message::{
    Ack, Command, Draft, Event, Fate, Fault, Kind, Message, Query, Row, Signal, State, What,
};

/// The dialect with the ids of the notes and the bounds of the default settings.
pub(crate) fn dialect() -> Json {
    let bounds = Bounds {
        max_payload: 65_536,
        max_page: 100,
        max_status: 256,
    };
    Json::new(hashids(), bounds)
}

pub(crate) fn hashids() -> Hashids {
    Hashids::new(&Ids {
        salt: "cVQtrKNu".into(),
        alphabet: "123456789abcdefghijkmnpqrstuvwxyz".into(),
        separators: "cfhistuu".into(),
        min_length: 6,
    })
    .unwrap()
}

/// Decodes the text, and holds that what was refused was refused in our words, and that what was taken can be said again.
pub(crate) fn judge(json: &mut Json, text: &str) -> Result<Inbound, Fault> {
    let read = json.decode(text);
    match &read {
        Ok(Inbound::Command(command)) => said_again(json, command),
        Ok(Inbound::Refresh(_) | Inbound::Ping) => {}
        Err(fault) => in_our_words(json, fault),
    }
    if let Err(fault) = json.decode_message(text) {
        in_our_words(json, &fault);
    }
    read
}

fn in_our_words(json: &mut Json, fault: &Fault) {
    assert!(matches!(fault.code, Code::BadFrame | Code::TooLarge));
    assert!(fault.retry_ms.is_none());
    assert!(!fault.msg.is_empty() && fault.msg.len() <= 200);
    let plain = |c: char| (' '..='~').contains(&c);
    assert!(fault.msg.chars().all(plain), "{}", fault.msg);
    // The words of a derived reader.
    for word in [
        "expected",
        "invalid type",
        "missing field",
        "duplicate",
        "struct",
        "u64",
        "EOF",
    ] {
        assert!(!fault.msg.contains(word), "{}", fault.msg);
    }
    assert!(fault.id.as_ref().is_none_or(|id| id.len() <= 64));
    let event = Event::Error {
        fault: fault.clone(),
        server_ts: 9,
    };
    let told = json.encode(&event).expect("an ERROR is a frame");
    let told: serde_json::Value = serde_json::from_str(&told).expect("an ERROR is JSON");
    assert_eq!(told["type"], "ERROR");
    assert_eq!(told["id"].as_str(), fault.id.as_deref());
}

/// What is said in a conversation reads as the frame that its readers get of it, and an ack as its confirmation.
fn said_again(json: &mut Json, command: &Command) {
    let again = match command {
        Command::Send(draft) => delivery(draft.clone(), Fate::Whole, What::Message),
        Command::Signal(draft) => Event::Signal(Arc::new(Signal {
            id: draft.id.clone(),
            kind: draft.kind.clone(),
            from: Uid(1),
            to: draft.to,
            payload: draft.payload.clone(),
            created_at: draft.created_at,
            bare: false,
        })),
        Command::Ack(Ack::Id { .. }) => return,
        Command::Ack(ack) => {
            let text = json.encode(&Event::AckOk(ack.clone())).unwrap();
            let text = text.replace("CLIENT_ACK_OK", "CLIENT_ACK");
            assert_eq!(json.decode(&text), Ok(Inbound::Command(command.clone())));
            return;
        }
        Command::Sync { limit, .. } => return assert!((1..=100).contains(limit)),
        Command::Status(of) => {
            assert!(of.len() <= 256);
            let states = of.iter().map(|target| (target.clone(), State::Unknown, 0));
            Event::Status(states.collect())
        }
        Command::Amend { chat, amendment } => {
            let (what, id, payload) = match amendment {
                Amendment::Revoke { id } => (What::Revoke, id, "1"),
                Amendment::Edit {
                    id,
                    target,
                    payload,
                    ..
                } => (What::Edit(id.clone()), target, &**payload),
            };
            let draft = Draft {
                id: id.clone(),
                to: *chat,
                payload: payload.into(),
                created_at: None,
                expires_at: None,
            };
            let fate = match what {
                What::Revoke => Fate::Revoked(9),
                _ => Fate::Edited(9),
            };
            delivery(draft, fate, what)
        }
        // An answer has the id of its question, and nobody else hears of it.
        Command::MarkRead { id: Some(_), .. } => return,
        Command::MarkRead { chat, up_to, .. } => Event::Read {
            chat: *chat,
            by: Uid(1),
            to: Uid(1),
            up_to: *up_to,
            server_ts: 9,
        },
        Command::Typing(chat) => Event::Typing {
            from: Uid(1),
            to: *chat,
        },
        Command::Query { query, .. } => return within_bounds(query),
    };
    let text = json.encode(&again).unwrap();
    let read = json.decode(&text);
    assert_eq!(read, Ok(Inbound::Command(command.clone())), "{text}");
}

fn delivery(draft: Draft, fate: Fate, what: What) -> Event {
    let message = Message {
        id: draft.id,
        kind: Kind::Words,
        from: Uid(1),
        to: draft.to,
        payload: draft.payload,
        created_at: draft.created_at,
        server_ts: 9,
        expires_at: draft.expires_at,
        fate,
        cseq: 5,
    };
    Event::Deliver(Row {
        reader: Uid(2),
        seq: 7,
        since: 9,
        what,
        message: Arc::new(message),
    })
}

fn within_bounds(query: &Query) {
    match query {
        Query::History { limit, .. }
        | Query::Waiting { limit, .. }
        | Query::Chats { limit, .. }
        | Query::Receipts { limit, .. } => assert!((1..=100).contains(limit)),
        Query::Presence(of) => assert!(of.len() <= 256),
    }
    assert!(!matches!(
        (query, query.chat()),
        (Query::Receipts { .. }, Some(Chat::User(_)))
    ));
}
