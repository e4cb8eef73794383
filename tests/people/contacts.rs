//! Contacts and blocks: who may write to whom.

use serde_json::{Value, json};

use super::support::{ALICE, BOB, Client, ONCE, Server};
use super::town::{ask, befriend, heard, hears, is_told, name};

const STRICT: &str = "contacts.required=true";

/// The notice that a message was not wanted, which has the message's id.
async fn is_unwanted(alice: &mut Client, id: &str, why: &str) {
    let notice = hears(alice, "S2C", id).await;
    let payload = notice.json("payload");
    assert_eq!(payload, json!({"msg_type": why, "to": name(BOB)}));
}

async fn posts(server: &Server, id: &str) -> (u16, String) {
    let body = json!({"id": id, "to": name(BOB), "payload": 1});
    let answer = ask(server, ALICE, "POST", "/v1/messages", body).await;
    (answer.status, answer.json()["msg"].as_str().unwrap().into())
}

#[tokio::test]
async fn where_contacts_are_required_a_stranger_hears_not_a_friend_until_they_are_one() {
    let server = Server::start(&[ONCE, STRICT]).await;
    let mut alice = server.login(ALICE, "a-phone").await;
    let mut bob = server.login(BOB, "b-phone").await;
    alice.send_c2c("m1", BOB, "hello").await;
    is_unwanted(&mut alice, "m1", "not_a_friend").await;
    assert_eq!(posts(&server, "m2").await, (403, "not_a_friend".into()));
    befriend(&server, ALICE, BOB).await;
    let asked = is_told(&mut bob, "contact_requested").await;
    assert_eq!(asked.json("payload")["text"], "it is me");
    is_told(&mut alice, "contact_confirmed").await;
    alice.send_c2c("m3", BOB, "hello").await;
    alice.accepted("m3").await;
    bob.takes("m3").await;
    assert!(heard(&mut bob, "C2C").await.is_empty());
    let path = format!("/v1/contacts/{}", name(ALICE));
    ask(&server, BOB, "DELETE", &path, Value::Null)
        .await
        .payload();
    alice.send_c2c("m4", BOB, "hello").await;
    is_unwanted(&mut alice, "m4", "not_a_friend").await;
}

#[tokio::test]
async fn whoever_is_blocked_hears_in_denylist_and_gets_nothing_through() {
    let server = Server::start(&[ONCE]).await;
    let mut alice = server.login(ALICE, "a-phone").await;
    let mut bob = server.login(BOB, "b-phone").await;
    let path = format!("/v1/blocks/{}", name(ALICE));
    ask(&server, BOB, "PUT", &path, Value::Null).await.payload();
    alice.send_c2c("m1", BOB, "hello").await;
    is_unwanted(&mut alice, "m1", "in_denylist").await;
    assert_eq!(posts(&server, "m2").await, (403, "in_denylist".into()));
    ask(&server, BOB, "DELETE", &path, Value::Null)
        .await
        .payload();
    alice.send_c2c("m3", BOB, "hello").await;
    bob.takes("m3").await;
    assert!(heard(&mut bob, "C2C").await.is_empty());
}
