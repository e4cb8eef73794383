//! What becomes of a message after it was said.

use serde_json::{Value, json};

use super::support::{ALICE, BOB, Client, ONCE, Server, c2c, token, until};
use super::town::{ask, heard, hears, history, is_told, name};

/// Each message again soon, as long as it is not acknowledged.
const OFTEN: &str = "delivery.schedule_ms=[0,150,150,150,150,150,150,150,150,150]";

async fn revoke(alice: &mut Client, id: &str) {
    let to = name(BOB);
    alice
        .send(format!(
            r#"{{"id":"{id}","type":"C2C_REVOKE","to":"{to}"}}"#
        ))
        .await;
}

#[tokio::test]
async fn a_message_that_is_taken_back_is_gone_for_who_is_there() {
    let server = Server::start(&[ONCE]).await;
    let mut alice = server.login(ALICE, "a-phone").await;
    let mut bob = server.login(BOB, "b-phone").await;
    alice.send_c2c("m1", BOB, "too hasty").await;
    bob.takes("m1").await;
    revoke(&mut alice, "m1").await;
    let done = hears(&mut alice, "C2C_REVOKE_ACK", "m1").await;
    let told = hears(&mut bob, "C2C_REVOKE", "m1").await;
    assert_eq!(told.num("server_ts"), done.num("server_ts"));
    let kept = history(&server, BOB, &format!("c2c/{}", name(ALICE))).await;
    assert_eq!(kept[0]["payload"], Value::Null);
    assert_eq!(kept[0]["revoked_at"], done.num("server_ts"));
}

#[tokio::test]
async fn a_message_that_is_taken_back_never_comes_to_who_was_away() {
    let server = Server::start(&[ONCE]).await;
    let mut alice = server.login(ALICE, "a-phone").await;
    server.login(BOB, "b-phone").await.leave().await;
    alice.send_c2c("m1", BOB, "too hasty").await;
    alice.accepted("m1").await;
    revoke(&mut alice, "m1").await;
    hears(&mut alice, "C2C_REVOKE_ACK", "m1").await;
    assert_eq!(alice.status(&[(BOB, "m1")]).await, ["revoked"]);
    alice.send_c2c("m2", BOB, "better").await;
    let mut bob = server.login(BOB, "b-phone").await;
    bob.takes("m2").await;
    assert!(heard(&mut bob, "C2C").await.is_empty());
}

#[tokio::test]
async fn a_message_that_is_taken_back_is_not_sent_again_while_it_waits_for_an_ack() {
    let server = Server::start(&[OFTEN]).await;
    let mut alice = server.login(ALICE, "a-phone").await;
    let mut bob = server.login(BOB, "b-phone").await;
    alice.send_c2c("m1", BOB, "too hasty").await;
    bob.receives("m1").await;
    bob.receives("m1").await;
    revoke(&mut alice, "m1").await;
    hears(&mut bob, "C2C_REVOKE", "m1").await;
    bob.take_aside();
    // Another message goes out, and again: the first would have, too.
    alice.send_c2c("m2", BOB, "better").await;
    bob.receives("m2").await;
    bob.receives("m2").await;
    bob.receives("m2").await;
    let late = heard(&mut bob, "C2C").await;
    assert!(late.iter().all(|frame| frame.is_about("m2")), "{late:?}");
}

#[tokio::test]
async fn a_message_cannot_be_taken_back_too_late_or_by_another() {
    let server = Server::start(&[ONCE, "message.revoke_ms=0"]).await;
    let mut alice = server.login(ALICE, "a-phone").await;
    let mut bob = server.login(BOB, "b-phone").await;
    alice.send_c2c("m1", BOB, "well considered").await;
    bob.takes("m1").await;
    revoke(&mut alice, "m1").await;
    assert!(alice.error(403).await.is_about("m1"));
    let path = format!("/v1/conversations/c2c/{}/messages/m1", name(ALICE));
    let bobs = ask(&server, BOB, "DELETE", &path, Value::Null).await;
    assert_eq!(bobs.refusal(404), 404);
    assert!(heard(&mut bob, "C2C_REVOKE").await.is_empty());
}

#[tokio::test]
async fn an_edit_reaches_the_reader_and_is_one_however_often_and_by_whatever_door_it_comes() {
    let server = Server::start(&[ONCE]).await;
    let mut alice = server.login(ALICE, "a-phone").await;
    let mut bob = server.login(BOB, "b-phone").await;
    alice.send_c2c("m1", BOB, "helo").await;
    bob.takes("m1").await;
    let to = name(BOB);
    let edit =
        format!(r#"{{"id":"e1","type":"C2C_EDIT","to":"{to}","target":"m1","payload":{{"a":1}}}}"#);
    alice.send(&edit).await;
    let done = hears(&mut alice, "C2C_EDIT_ACK", "e1").await;
    assert_eq!(done.str("target"), "m1");
    let told = hears(&mut bob, "C2C_EDIT", "e1").await;
    assert_eq!(
        (told.str("target"), told.raw("payload")),
        ("m1".into(), r#"{"a":1}"#)
    );
    alice.send(&edit).await;
    let again = hears(&mut alice, "C2C_EDIT_ACK", "e1").await;
    assert_eq!(again.num("server_ts"), done.num("server_ts"));
    let path = format!("/v1/conversations/c2c/{to}/messages/m1");
    let body = json!({"id": "e1", "payload": {"a": 1}});
    let rest = ask(&server, ALICE, "PUT", &path, body).await.payload();
    assert_eq!(rest["server_ts"], done.num("server_ts"));
    assert!(heard(&mut bob, "C2C_EDIT").await.is_empty());
    let kept = history(&server, BOB, &format!("c2c/{}", name(ALICE))).await;
    assert_eq!(kept[0]["payload"], json!({"a": 1}));
}

#[tokio::test]
async fn the_authors_other_device_gets_a_copy_and_the_one_that_sent_does_not() {
    let server = Server::start(&[ONCE]).await;
    let mut phone = server.login(ALICE, "a-phone").await;
    let mut pad = server.login(ALICE, "a-pad").await;
    phone.send_c2c("m1", BOB, "hello").await;
    phone.accepted("m1").await;
    let copy = pad.takes("m1").await;
    assert_eq!((copy.str("from"), copy.str("to")), (name(ALICE), name(BOB)));
    assert!(heard(&mut phone, "C2C").await.is_empty());
}

#[tokio::test]
async fn a_message_with_an_end_of_its_own_is_gone_after_it() {
    let server = Server::start(&[ONCE]).await;
    let mut alice = server.login(ALICE, "a-phone").await;
    server.login(BOB, "b-phone").await.leave().await;
    let end = token::now_ms() + 1_000;
    let message = c2c("m1", &name(BOB), "1");
    let message = message.replacen('{', &format!(r#"{{"expires_at":{end},"#), 1);
    alice.send(message).await;
    alice.accepted("m1").await;
    let expired = async || alice.status(&[(BOB, "m1")]).await == ["expired"];
    until("the message expires", expired).await;
    assert!(token::now_ms() + 100 >= end);
    let mut bob = server.login(BOB, "b-phone").await;
    assert!(heard(&mut bob, "C2C").await.is_empty());
    for message in history(&server, BOB, &format!("c2c/{}", name(ALICE))).await {
        assert_eq!(message["payload"], Value::Null);
    }
}

#[tokio::test]
async fn the_messages_of_a_conversation_live_as_long_as_either_of_the_two_has_said() {
    let server = Server::start(&[ONCE]).await;
    let mut alice = server.login(ALICE, "a-phone").await;
    let mut bob = server.login(BOB, "b-phone").await;
    let path = format!("/v1/conversations/c2c/{}", name(ALICE));
    let body = json!({"expire_ms": 1000});
    ask(&server, BOB, "PUT", &format!("{path}/expiry"), body)
        .await
        .payload();
    let told = is_told(&mut alice, "expiry_changed").await;
    assert_eq!(told.json("payload")["expire_ms"], 1000);
    alice.send_c2c("m1", BOB, "for a moment").await;
    let message = bob.takes("m1").await;
    assert_eq!(message.num("expires_at"), message.num("server_ts") + 1000);
    let gone = async || {
        let kept = history(&server, BOB, &format!("c2c/{}", name(ALICE))).await;
        let mut words = kept.iter().filter(|message| message["id"] == "m1");
        words.all(|message| message["payload"].is_null())
    };
    until("it is gone", gone).await;
    assert!(token::now_ms() + 100 >= message.num("expires_at"));
}
