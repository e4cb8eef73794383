//! Contacts and blocks: who may write to whom.

use serde_json::{Value, json};

use super::support::{ALICE, BOB, Client, ONCE, Server};
use super::town::{ask, befriend, heard, hears, history, is_told, name};

const STRICT: &str = "contacts.required=true";

/// The notice that a message was not wanted, which has the message's id.
async fn is_unwanted(alice: &mut Client, id: &str, why: &str) {
    let notice = hears(alice, "S2C", id).await;
    let payload = notice.json("payload");
    assert_eq!(payload, json!({"msg_type": why, "to": name(BOB)}));
}

async fn change(alice: &mut Client, id: &str, target: &str) {
    let to = name(BOB);
    let said = format!(r#""to":"{to}","target":"{target}","payload":{{"text":"{id}"}}"#);
    alice
        .send(format!(r#"{{"id":"{id}","type":"C2C_EDIT",{said}}}"#))
        .await;
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

#[tokio::test]
async fn a_change_passes_no_block_and_a_revocation_does() {
    let server = Server::start(&[ONCE]).await;
    let mut alice = server.login(ALICE, "a-phone").await;
    let mut bob = server.login(BOB, "b-phone").await;
    alice.send_c2c("m1", BOB, "hello").await;
    bob.takes("m1").await;
    let path = format!("/v1/blocks/{}", name(ALICE));
    ask(&server, BOB, "PUT", &path, Value::Null).await.payload();
    change(&mut alice, "e1", "m1").await;
    is_unwanted(&mut alice, "e1", "in_denylist").await;
    let path = format!("/v1/conversations/c2c/{}/messages/m1", name(BOB));
    let body = json!({"id": "e2", "payload": "what you did not want to hear"});
    let refused = ask(&server, ALICE, "PUT", &path, body).await;
    assert_eq!(
        (refused.status, refused.json()["msg"].clone()),
        (403, json!("in_denylist"))
    );
    let kept = history(&server, BOB, &format!("c2c/{}", name(ALICE))).await;
    assert_eq!(kept[0]["payload"]["text"], "hello");
    ask(&server, ALICE, "DELETE", &path, Value::Null)
        .await
        .payload();
    hears(&mut bob, "C2C_REVOKE", "m1").await;
    assert!(heard(&mut bob, "C2C_EDIT").await.is_empty());
}

#[tokio::test]
async fn where_contacts_are_required_only_they_change_what_they_said() {
    let server = Server::start(&[ONCE, STRICT]).await;
    let mut alice = server.login(ALICE, "a-phone").await;
    befriend(&server, ALICE, BOB).await;
    alice.send_c2c("m1", BOB, "hello").await;
    alice.accepted("m1").await;
    change(&mut alice, "e1", "m1").await;
    hears(&mut alice, "C2C_EDIT_ACK", "e1").await;
    let path = format!("/v1/contacts/{}", name(ALICE));
    ask(&server, BOB, "DELETE", &path, Value::Null)
        .await
        .payload();
    change(&mut alice, "e2", "m1").await;
    is_unwanted(&mut alice, "e2", "not_a_friend").await;
    // What was changed before is said again.
    change(&mut alice, "e1", "m1").await;
    hears(&mut alice, "C2C_EDIT_ACK", "e1").await;
    // One is no contact of oneself, and changes what one has noted down.
    let own = json!({"id": "n1", "to": name(ALICE), "payload": 1});
    ask(&server, ALICE, "POST", "/v1/messages", own)
        .await
        .payload();
    let path = format!("/v1/conversations/c2c/{}/messages/n1", name(ALICE));
    let body = json!({"id": "e3", "payload": 2});
    ask(&server, ALICE, "PUT", &path, body).await.payload();
}
