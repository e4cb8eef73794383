//! docs/asyncapi.yaml against the codec: what clients may send is read, and what the server writes is described.
#![allow(clippy::unwrap_used, clippy::expect_used, unreachable_pub)]

#[path = "asyncapi/coverage.rs"]
mod coverage;
#[path = "asyncapi/document.rs"]
mod document;
#[path = "asyncapi/told.rs"]
mod told;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use serde_json::{Map, Value, json};
use yizhan::code::{Close, Code};
use yizhan::codec::json::Json;
use yizhan::codec::{Bounds, Inbound};
use yizhan::config::Ids;
use yizhan::id::Hashids;
use yizhan::message::chat::Amendment;
use yizhan::message::{Ack, Command, Fault, Query};
use yizhan::node::{PAGE_MAX, STATUS_MAX};

use coverage::Coverage;
use document::{Document, Side, entries, keys, payload, target, texts};

fn codec() -> Json {
    let hashids = Hashids::new(&Ids {
        salt: "cVQtrKNu".into(),
        alphabet: "123456789abcdefghijkmnpqrstuvwxyz".into(),
        separators: "cfhistuu".into(),
        min_length: 6,
    });
    let bounds = Bounds {
        max_payload: 65_536,
        max_page: PAGE_MAX,
        max_status: STATUS_MAX,
    };
    Json::new(hashids.unwrap(), bounds)
}

/// The names of all messages, and a function from what was read to its own; a variant that is left out does not compile.
macro_rules! named {
    ($kind:ty { $($variant:pat => $message:literal),+ $(,)? }) => {{
        let name: fn(&$kind) -> &'static str = |one| match one {
            $($variant => $message),+
        };
        (BTreeSet::from([$($message),+]), name)
    }};
}

type Named = (BTreeSet<&'static str>, fn(&Inbound) -> &'static str);

fn asked() -> Named {
    named!(Inbound {
        Inbound::Command(Command::Send(_)) => "message",
        Inbound::Command(Command::Signal(_)) => "signal",
        Inbound::Command(Command::Ack(Ack::Id { .. })) => "textAck",
        Inbound::Command(Command::Ack(Ack::Seqs(_) | Ack::UpTo(_))) => "ack",
        Inbound::Command(Command::Sync { .. }) => "sync",
        Inbound::Command(Command::Status(_)) => "status",
        Inbound::Command(Command::Amend { amendment: Amendment::Revoke { .. }, .. }) => "revoke",
        Inbound::Command(Command::Amend { amendment: Amendment::Edit { .. }, .. }) => "edit",
        Inbound::Command(Command::MarkRead { .. }) => "markRead",
        Inbound::Command(Command::Typing(_)) => "type",
        Inbound::Command(Command::Query { query: Query::History { .. }, .. }) => "history",
        Inbound::Command(Command::Query { query: Query::Waiting { .. }, .. }) => "chatSync",
        Inbound::Command(Command::Query { query: Query::Chats { .. }, .. }) => "conversations",
        Inbound::Command(Command::Query { query: Query::Receipts { .. }, .. }) => "receipts",
        Inbound::Command(Command::Query { query: Query::Presence(_), .. }) => "presence",
        Inbound::Refresh(_) => "refresh",
        Inbound::Ping => "ping",
    })
}

// ---- what clients send ----

#[test]
fn every_type_that_the_codec_reads_is_in_the_document_and_the_other_way_round() {
    let document = Document::read();
    let (named, _) = asked();
    let messages = document.messages(Side::Client);
    assert_eq!(messages, named);
    let read = types_that_are_read();
    for kind in &read {
        let of_type = |message: &&&str| {
            let schema = format!("{}/properties/type", payload(message));
            let is_object = document.root().pointer(&schema).is_some();
            is_object && document.fits(&schema, &json!(kind))
        };
        let of_type: Vec<_> = messages.iter().filter(of_type).collect();
        assert_eq!(of_type.len(), 1, "{kind} is described by {of_type:?}");
    }
    for kind in messages.iter().flat_map(|name| types(&document, name)) {
        assert!(read.contains(&kind), "the codec does not read {kind}");
    }
}

/// The words in the source of the codec, alone or after those for conversations, that it takes for the type of a frame.
fn types_that_are_read() -> BTreeSet<String> {
    let mut codec = codec();
    let is_read = |kind: &String| {
        let fault = codec.decode(&json!({ "type": kind }).to_string()).err();
        fault.is_none_or(|fault| &*fault.msg != "type is not known")
    };
    let mut words = words(|b| b.is_ascii_uppercase() || b.is_ascii_digit());
    words.insert(String::new());
    let candidates = words
        .iter()
        .flat_map(|word| ["", "C2C", "C2G"].map(|sort| format!("{sort}{word}")));
    candidates.filter(is_read).collect()
}

#[test]
fn every_member_that_the_codec_reads_is_in_the_document_and_the_other_way_round() {
    let document = Document::read();
    let mut reachable = BTreeSet::new();
    for message in document.messages(Side::Client) {
        document.reachable(&payload(message), &mut reachable);
    }
    let properties = reachable.iter().map(|at| &document.at(at)["properties"]);
    let mut described: BTreeSet<&str> = properties.flat_map(keys).collect();
    // Of the frames over the WebSocket only the server's have it.
    described.insert("from");
    let mut codec = codec();
    let words = words(|b| b.is_ascii_lowercase());
    let is_read = |word: &&String| {
        let twice = format!(r#"{{"{word}":null,"{word}":null}}"#);
        let fault = codec.decode(&twice).expect_err(&twice);
        *fault.msg == format!("{word} stands there twice")
    };
    let read: BTreeSet<&str> = words.iter().filter(is_read).map(|word| &**word).collect();
    assert_eq!(described, read);
}

/// The words of these bytes and of `_` in the source of the codec.
fn words(is_of_word: impl Fn(u8) -> bool) -> BTreeSet<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/codec");
    let mut files = vec![folder.with_extension("rs")];
    let mut folders = vec![folder];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => folders.push(path),
                false => files.push(path),
            }
        }
    }
    let mut words = BTreeSet::new();
    for file in files {
        let text = fs::read_to_string(file).unwrap();
        let pieces = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        let of_them = |piece: &&str| piece.bytes().all(|b| b == b'_' || is_of_word(b));
        words.extend(pieces.filter(of_them).map(str::to_string));
    }
    words
}

#[test]
fn every_example_of_a_client_is_read_as_what_it_is_and_members_without_a_name_are_ignored() {
    let document = Document::read();
    let frames = client_frames(&document);
    let mut codec = codec();
    for (message, frame) in &frames {
        let read = read_as(&mut codec, &document, message, frame);
        let read = read.unwrap_or_else(|fault| panic!("{frame}: {}", fault.msg));
        let Some(members) = frame.as_object() else {
            continue;
        };
        let named = &document.at(&payload(message))["properties"];
        let mut others = Map::from_iter([("from".to_string(), json!("kybqdp"))]);
        for (_, other) in &frames {
            others.extend(other.as_object().cloned().unwrap_or_default());
        }
        others.retain(|name, _| named.get(name).is_none());
        let mut all = members.clone();
        all.extend(others);
        let again = read_as(&mut codec, &document, message, &all.into());
        assert_eq!(again, Ok(read), "{frame} with members of others");
    }
}

#[test]
fn a_frame_without_something_required_is_refused() {
    let document = Document::read();
    let mut codec = codec();
    let mut removed = 0;
    for (message, frame) in client_frames(&document) {
        for place in places(&document, &payload(message), &frame) {
            if !place.required {
                continue;
            }
            let less = place.remove(&frame);
            assert!(codec.decode(&less.to_string()).is_err(), "{less}");
            removed += 1;
        }
    }
    assert!(removed > 60, "{removed}");
}

#[test]
fn numbers_are_taken_up_to_their_bounds_and_not_beyond() {
    let document = Document::read();
    let mut codec = codec();
    let (mut bounded, mut integers) = (BTreeSet::new(), BTreeSet::new());
    for (message, frame) in client_frames(&document) {
        for place in places(&document, &payload(message), &frame) {
            let schema = document.at(&place.schema);
            if schema["type"] != "integer" {
                continue;
            }
            let member = (message, place.pointer.clone());
            integers.insert(member.clone());
            if frame.pointer(&place.pointer).is_none() {
                continue;
            }
            bounded.insert(member);
            // A value of JSON here holds 64 bits, and what lies beyond the bounds may not.
            let with = place.put(&frame, &json!("@")).to_string();
            let mut reads = |number: i128| {
                let text = with.replace(r#""@""#, &number.to_string());
                codec.decode(&text).is_ok()
            };
            let (least, most) = (whole(&schema["minimum"]), whole(&schema["maximum"]));
            assert!(reads(least) && reads(most), "{with}");
            assert!(!reads(least - 1) && !reads(most + 1), "{with}");
        }
    }
    assert!(bounded.len() > 10, "{bounded:?}");
    assert_eq!(bounded, integers, "a number without an example");
}

fn whole(number: &Value) -> i128 {
    let unsigned = number.as_u64().map(i128::from);
    let read = unsigned.or_else(|| number.as_i64().map(i128::from));
    read.unwrap_or_else(|| panic!("{number} is no bound"))
}

#[test]
fn what_is_left_out_is_taken_for_its_default() {
    let document = Document::read();
    let mut codec = codec();
    let mut left_out = 0;
    for (message, frame) in client_frames(&document) {
        for place in places(&document, &payload(message), &frame) {
            let Some(default) = document.at(&place.schema).get("default") else {
                continue;
            };
            let without = codec.decode(&place.remove(&frame).to_string());
            let with = codec.decode(&place.put(&frame, default).to_string());
            assert_eq!(without, with, "{frame} without {}", place.pointer);
            left_out += 1;
        }
    }
    assert!(left_out > 8, "{left_out}");
}

#[test]
fn the_codec_takes_what_the_schema_allows_and_nothing_else() {
    let document = Document::read();
    let mut codec = codec();
    let (mut taken, mut refused) = (0, 0);
    for (message, frame) in client_frames(&document) {
        if !frame.is_object() {
            continue;
        }
        let mut tries: Vec<Value> = subsets(&frame).collect();
        for place in places(&document, &payload(message), &frame) {
            let schema = document.at(&place.schema);
            let names_somebody = schema["pattern"] == "^[A-Za-z0-9]+$";
            for value in values(schema, frame.pointer(&place.pointer)) {
                let is_name = value.as_str().is_some_and(|name| name == "7b4v1b");
                // A name that nobody has is refused as well, and no schema knows it.
                if names_somebody && value.is_string() && !is_name {
                    continue;
                }
                tries.push(place.put(&frame, &value));
            }
        }
        for frame in tries {
            let allowed = document.fits(&payload(message), &frame);
            let read = read_as(&mut codec, &document, message, &frame);
            let shown = frame.to_string().chars().take(300).collect::<String>();
            assert_eq!(read.is_ok(), allowed, "{message}: {shown}");
            *(if allowed { &mut taken } else { &mut refused }) += 1;
        }
    }
    assert!(taken > 300 && refused > 1000, "{taken} and {refused}");
}

#[test]
fn texts_that_are_no_json_are_taken_as_the_document_says() {
    let document = Document::read();
    let mut codec = codec();
    let (long, longer) = ("m".repeat(64), "m".repeat(65));
    let mut tries: Vec<String> = ["ping", "PING", "ping ", " ping", "pong", ""]
        .map(String::from)
        .into();
    for (id, did) in [
        ("m1", "phone"),
        (&long, &long),
        (&longer, "phone"),
        ("m1", &longer),
        ("", "phone"),
        ("m1", ""),
        ("m\u{7}1", "phone"),
        ("m1", "pho\u{85}ne"),
        ("驿站", "my \"phone\""),
        ("m1", "phone,"),
    ] {
        tries.push(format!("CLIENT_ACK,C2C,{id},{did}"));
        tries.push(format!("CLIENT_ACK,,{id},{did}"));
        tries.push(format!("client_ack,C2C,{id},{did}"));
        tries.push(format!("CLIENT_ACK,{id},{did}"));
    }
    for message in ["ping", "textAck"] {
        let (mut taken, mut refused) = (0, 0);
        for text in &tries {
            let allowed = document.fits(&payload(message), &json!(text));
            let read = read_as(&mut codec, &document, message, &json!(text));
            assert_eq!(read.is_ok(), allowed, "{message}: {text:?}");
            *(if allowed { &mut taken } else { &mut refused }) += 1;
        }
        assert!(taken > 0 && refused > 0);
    }
}

/// Every example of a client, with the name of its message.
fn client_frames(document: &Document) -> Vec<(&str, Value)> {
    let messages = document.messages(Side::Client);
    let with_examples = |message| {
        let examples = document.examples(message).into_iter().cloned();
        examples.map(move |example| (message, example))
    };
    messages.into_iter().flat_map(with_examples).collect()
}

/// Reads a frame; one that is read as another message than it should be is a fault too.
fn read_as(
    codec: &mut Json,
    document: &Document,
    message: &str,
    frame: &Value,
) -> Result<Inbound, Fault> {
    let (_, name) = asked();
    let read = codec.decode(&document.text(message, frame))?;
    match name(&read) {
        name if name == message => Ok(read),
        other => Err(Fault::because(Code::BadFrame, format!("read as {other}"))),
    }
}

/// A member that a frame has or may have, or the first entry of a list.
struct Place {
    /// In what it stands.
    parent: String,
    name: String,
    pointer: String,
    schema: String,
    required: bool,
}

impl Place {
    fn put(&self, frame: &Value, value: &Value) -> Value {
        let mut frame = frame.clone();
        match frame.pointer_mut(&self.pointer) {
            Some(place) => *place = value.clone(),
            None => frame.pointer_mut(&self.parent).unwrap()[&self.name] = value.clone(),
        }
        frame
    }

    fn remove(&self, frame: &Value) -> Value {
        let mut frame = frame.clone();
        let parent = frame.pointer_mut(&self.parent).unwrap();
        parent.as_object_mut().unwrap().remove(&self.name);
        frame
    }
}

/// The members of a frame, and the first entry of each of its lists with its members.
fn places(document: &Document, schema: &str, frame: &Value) -> Vec<Place> {
    let mut places = Vec::new();
    collect(document, &document.resolved(schema), frame, "", &mut places);
    places
}

fn collect(document: &Document, at: &str, frame: &Value, parent: &str, places: &mut Vec<Place>) {
    let schema = document.at(at);
    let required = texts(&schema["required"]);
    for name in keys(&schema["properties"]) {
        let pointer = format!("{parent}/{name}");
        let schema = document.resolved(&format!("{at}/properties/{name}"));
        let first = format!("{pointer}/0");
        if document.at(&schema).get("items").is_some() && frame.pointer(&first).is_some() {
            let items = document.resolved(&format!("{schema}/items"));
            collect(document, &items, frame, &first, places);
            places.push(Place {
                parent: pointer.clone(),
                name: "0".into(),
                pointer: first,
                schema: items,
                required: false,
            });
        }
        places.push(Place {
            parent: parent.to_string(),
            name: name.to_string(),
            pointer,
            schema,
            required: required.contains(&name),
        });
    }
}

/// A frame with some of its members.
fn subsets(frame: &Value) -> impl Iterator<Item = Value> {
    let members: Vec<_> = frame.as_object().unwrap().iter().collect();
    (0..1_u32 << members.len()).map(move |set| {
        let some = members.iter().enumerate();
        let some = some.filter(|(at, _)| set & (1 << at) != 0);
        let some = some.map(|(_, (name, value))| ((*name).clone(), (*value).clone()));
        Value::Object(some.collect())
    })
}

/// What to try in a place: something of every type, and what lies at the bounds of any.
fn values(schema: &Value, example: Option<&Value>) -> Vec<Value> {
    let mut values = vec![
        json!(true),
        json!(1.5),
        json!({}),
        json!({"to": "7b4v1b", "id": "m1"}),
        json!([]),
        json!([0]),
        json!([u64::MAX]),
        json!([-1]),
        json!([1.5]),
        json!(["7b4v1b"]),
        json!([["7b4v1b"]]),
        json!([{"to": "7b4v1b", "id": "m1"}]),
        json!([{"to": "7b4v1b"}]),
        json!([{"type": "C2G", "to": "7b4v1b", "id": "m1"}]),
    ];
    values.extend([0, 1, 50, 100, 101, 256, 257, u64::MAX].map(|number| json!(number)));
    values.extend([-1, i64::MIN, i64::MAX].map(|number| json!(number)));
    let texts = [
        "",
        "m",
        "7b4v1b",
        "é",
        "a b",
        "a,b",
        "a\u{7}b",
        "a\u{85}b",
        "C2C",
        "C2G",
        "C2X",
        "WEBRTC_",
        "WEBRTC_a_1",
        "WEBRTC_a b",
        "WEBRTC_é",
    ];
    values.extend(texts.map(|text| json!(text)));
    for length in [57, 58, 64, 65] {
        values.push(json!("m".repeat(length)));
        values.push(json!(format!("WEBRTC_{}", "m".repeat(length))));
    }
    values.extend(texts_of_enum(schema));
    if let Some([first, ..]) = example.and_then(Value::as_array).map(Vec::as_slice) {
        values.extend([255, 256, 257].map(|length| vec![first.clone(); length].into()));
    }
    values
}

fn texts_of_enum(schema: &Value) -> Vec<Value> {
    texts(&schema["enum"])
        .into_iter()
        .map(Value::from)
        .collect()
}

// ---- what the server says ----

#[test]
fn every_frame_that_the_server_writes_fits_one_message_and_every_message_is_written() {
    let document = Document::read();
    let messages = document.messages(Side::Server);
    let mut codec = codec();
    // The codec has no part in the answer to a ping.
    let mut frames = vec![("pong", json!("pong"))];
    for (message, event) in told::events() {
        let written = codec.encode(&event);
        if message == told::NO_MESSAGE {
            continue;
        }
        let text = written.unwrap_or_else(|| panic!("{event:?} is not written"));
        frames.push((message, serde_json::from_str(&text).expect(&text)));
    }
    let mut coverage = Coverage::default();
    for (message, frame) in &frames {
        let fitting = document.fitting(&messages, frame);
        let faults = document.faults(&payload(message), frame);
        assert_eq!(fitting, [*message], "{frame}: {faults:#?}");
        coverage.look(&document, &payload(message), frame);
    }
    let written: BTreeSet<&str> = frames.iter().map(|(message, _)| *message).collect();
    assert_eq!(written, messages);
    let gaps = messages
        .iter()
        .flat_map(|m| coverage.gaps(&document, &payload(m)));
    let gaps: BTreeSet<String> = gaps.collect();
    assert!(gaps.is_empty(), "{gaps:#?}");
}

#[test]
fn no_frame_of_the_server_may_have_members_that_the_document_does_not_name() {
    let document = Document::read();
    let mut reachable = BTreeSet::new();
    for message in document.messages(Side::Server) {
        document.reachable(&payload(message), &mut reachable);
    }
    let mut objects = 0;
    for at in reachable {
        let schema = document.at(&at);
        if schema.get("properties").is_some() || schema["type"] == "object" {
            assert_eq!(schema["additionalProperties"], json!(false), "{at}");
            objects += 1;
        }
    }
    assert!(objects > 30, "{objects}");
}

// ---- the document itself ----

#[test]
fn every_reference_leads_somewhere_and_every_component_is_used() {
    let document = Document::read();
    let mut used = BTreeSet::new();
    references(document.root(), &mut used);
    for reference in &used {
        document.at(reference);
    }
    for sort in ["messages", "schemas", "securitySchemes"] {
        let components = format!("/components/{sort}");
        for name in keys(document.at(&components)) {
            let component = format!("{components}/{name}");
            assert!(used.contains(&component), "nothing refers to {component}");
        }
    }
}

fn references(part: &Value, found: &mut BTreeSet<String>) {
    match part {
        Value::Array(items) => items.iter().for_each(|item| references(item, found)),
        Value::Object(members) => {
            if let Some(reference) = members.get("$ref") {
                found.insert(target(reference).to_string());
            }
            members
                .values()
                .for_each(|member| references(member, found));
        }
        _ => {}
    }
}

#[test]
fn every_message_belongs_to_one_side_and_to_an_operation_of_the_channel() {
    let document = Document::read();
    assert_eq!(document.at("/asyncapi"), "3.0.0");
    assert_eq!(document.at("/info/version"), env!("CARGO_PKG_VERSION"));
    let channels: Vec<&str> = keys(document.at("/channels")).collect();
    assert_eq!(channels, ["socket"]);
    for operation in entries(document.at("/operations")) {
        assert_eq!(target(&operation["channel"]["$ref"]), "/channels/socket");
        let reply = &operation["reply"];
        let in_place = reply.is_null() || reply["channel"] == operation["channel"];
        assert!(in_place, "{operation}");
    }
    let of_clients = document.messages(Side::Client);
    let of_server = document.messages(Side::Server);
    let both: Vec<_> = of_clients.intersection(&of_server).collect();
    assert!(both.is_empty(), "{both:?}");
    let all: BTreeSet<&str> = of_clients.union(&of_server).copied().collect();
    let in_channel = keys(document.at("/channels/socket/messages"));
    let in_channel = in_channel.map(|name| {
        let component = document.name_of(&format!("/channels/socket/messages/{name}"));
        assert_eq!(component, name);
        component.to_string()
    });
    let in_channel: BTreeSet<String> = in_channel.collect();
    let all: BTreeSet<String> = all.into_iter().map(String::from).collect();
    assert_eq!(in_channel, all);
    let components = keys(document.at("/components/messages")).map(String::from);
    assert_eq!(components.collect::<BTreeSet<_>>(), all);
}

#[test]
fn every_type_has_an_example_and_every_example_fits_its_own_message_alone() {
    let document = Document::read();
    for side in [Side::Client, Side::Server] {
        let messages = document.messages(side);
        for message in &messages {
            let examples = document.examples(message);
            assert!(!examples.is_empty(), "{message}");
            for example in &examples {
                let faults = document.faults(&payload(message), example);
                let fitting = document.fitting(&messages, example);
                assert_eq!(fitting, [*message], "{example}: {faults:#?}");
            }
            let shown = |name: &str| {
                let members = examples.iter().map(|example| &example[name]);
                members.filter_map(Value::as_str).collect::<BTreeSet<_>>()
            };
            for kind in types(&document, message) {
                assert!(shown("type").contains(&*kind), "no example of {kind}");
            }
            let notices = examples
                .iter()
                .map(|example| &example["payload"]["msg_type"]);
            let notices: BTreeSet<&str> = notices.filter_map(Value::as_str).collect();
            for kind in notice_types(&document, message) {
                assert!(notices.contains(&*kind), "no example of {kind}");
            }
        }
    }
}

/// The types of a message, of one that does not take any of a pattern.
fn types(document: &Document, message: &str) -> Vec<String> {
    let schema = document.resolved(&payload(message));
    let kinds = texts(&document.at(&schema)["properties"]["type"]["enum"]);
    kinds.into_iter().map(String::from).collect()
}

/// What the payload of a notice may be about.
fn notice_types(document: &Document, message: &str) -> Vec<String> {
    let schema = document.resolved(&payload(message));
    let inner = format!("{schema}/properties/payload");
    if document.root().pointer(&inner).is_none() {
        return Vec::new();
    }
    let mut reachable = BTreeSet::new();
    document.reachable(&inner, &mut reachable);
    let kinds = reachable
        .iter()
        .filter(|at| at.ends_with("/msg_type"))
        .flat_map(|at| texts(&document.at(at)["enum"]));
    kinds.map(String::from).collect()
}

#[test]
fn the_codes_are_those_of_the_server() {
    let document = Document::read();
    let closes = document.at("/channels/socket/x-close-codes");
    let told: Vec<_> = closes.as_array().unwrap().iter().collect();
    assert_eq!(told.len(), Close::ALL.len());
    for (told, close) in told.into_iter().zip(Close::ALL) {
        assert_eq!(told["code"], close.number());
        assert_eq!(told["reason"], close.reason());
        assert_eq!(told["reconnect"], close.reconnect());
    }
    let code = document.at("/components/messages/error/payload/properties/code");
    let numbers = Code::ALL.map(Code::number);
    assert_eq!(code["enum"], json!(numbers));
    let lines = code["description"].as_str().unwrap().lines();
    let explained =
        lines.filter_map(|line| line.strip_prefix("- ")?.split_once(':')?.0.parse().ok());
    assert_eq!(explained.collect::<Vec<u16>>(), numbers);
}

#[test]
fn the_query_has_the_parameters_that_the_server_looks_for() {
    let document = Document::read();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/gateway");
    let files = ["ws.rs", "ws/login.rs"].map(|file| folder.join(file));
    let files = files.map(|file| fs::read_to_string(file).unwrap());
    let calls = files
        .iter()
        .flat_map(|text| text.split("in_query(").skip(1));
    let names = calls.filter_map(|call| {
        let (query, name) = call.split_once(", \"")?;
        let is_call = matches!(query, "query" | "&query");
        is_call.then(|| name.split('"').next().unwrap())
    });
    let bindings = document.at("/channels/socket/bindings/ws");
    let described = keys(&bindings["query"]["properties"]);
    assert_eq!(described.collect::<BTreeSet<_>>(), names.collect());
}
