//! What the people of these tests ask for.

use serde_json::{Value, json};

use super::support::{Answer, Call, Client, Frame, Server, User, text_payload};

pub(crate) fn name(uid: u64) -> String {
    User::new(uid).name
}

/// Asks the REST API as a user.
pub(crate) async fn ask(
    server: &Server,
    uid: u64,
    method: &'static str,
    path: &str,
    body: Value,
) -> Answer {
    let call = Call::of(method, server.public, path, &body);
    call.bearer(&User::new(uid).token).send().await
}

/// A group with an owner and other members.
pub(crate) async fn found(server: &Server, owner: u64, members: &[u64]) -> String {
    let members: Vec<String> = members.iter().map(|&uid| name(uid)).collect();
    let body = json!({"id": "g1", "name": "Hikers", "members": members});
    let group = ask(server, owner, "POST", "/v1/groups", body).await;
    group.payload()["gid"].as_str().unwrap().to_owned()
}

/// Two users become contacts.
pub(crate) async fn befriend(server: &Server, one: u64, other: u64) {
    let path = format!("/v1/contacts/{}", name(other));
    let asked = ask(server, one, "PUT", &path, json!({"text": "it is me"})).await;
    asked.payload();
    let path = format!("/v1/contacts/{}/confirm", name(one));
    let confirmed = ask(server, other, "POST", &path, Value::Null).await;
    confirmed.payload();
}

/// The entry of a conversation with a user.
pub(crate) async fn entry(server: &Server, uid: u64, with: u64) -> Value {
    let path = format!("/v1/conversations/c2c/{}", name(with));
    ask(server, uid, "GET", &path, Value::Null).await.payload()
}

/// The messages of a conversation.
pub(crate) async fn history(server: &Server, uid: u64, chat: &str) -> Vec<Value> {
    let path = format!("/v1/conversations/{chat}/messages?limit=100");
    let page = ask(server, uid, "GET", &path, Value::Null).await.payload();
    page["messages"].as_array().unwrap().clone()
}

pub(crate) async fn send_c2g(client: &mut Client, id: &str, gid: &str) {
    let payload = text_payload("to all of you");
    let frame = format!(r#"{{"id":"{id}","type":"C2G","to":"{gid}","payload":{payload}}}"#);
    client.send(frame).await;
}

/// The next frame of this type about this id.
pub(crate) async fn hears(client: &mut Client, kind: &str, id: &str) -> Frame {
    let what = format!("{kind} about {id}");
    let like = |frame: &Frame| frame.is(kind) && frame.is_about(id);
    client.expect(&what, like).await
}

/// The next frame of this type.
pub(crate) async fn hears_a(client: &mut Client, kind: &str) -> Frame {
    client.expect(kind, |frame| frame.is(kind)).await
}

/// The next notice that says this.
pub(crate) async fn is_told(client: &mut Client, msg_type: &str) -> Frame {
    let like = |frame: &Frame| frame.is("S2C") && frame.json("payload")["msg_type"] == msg_type;
    client.expect(msg_type, like).await
}

/// Takes a message of a group; afterwards the ack is durable.
pub(crate) async fn takes_c2g(client: &mut Client, id: &str) -> Frame {
    let message = hears(client, "C2G", id).await;
    let ack = format!("CLIENT_ACK,C2G,{id},{}", client.did);
    client.send(ack).await;
    client.ack_ok(id).await;
    message
}

/// Everything of this type that came up to the answer to a ping.
pub(crate) async fn heard(client: &mut Client, kind: &str) -> Vec<Frame> {
    client.ping().await;
    let mut frames = client.take_aside();
    frames.retain(|frame| frame.is(kind));
    frames
}
