//! Who is there, and who is writing.

use serde_json::{Value, json};

use super::support::{ALICE, BOB, CAROL, Client, ONCE, Server};
use super::town::{ask, befriend, heard, hears, hears_a, is_told, name};

/// Who of these is there, as somebody is told who asks.
async fn states(client: &mut Client, of: &[u64]) -> Vec<String> {
    let of: Vec<String> = of.iter().map(|&uid| name(uid)).collect();
    let of = json!(of);
    client
        .send(format!(r#"{{"id":"p","type":"PRESENCE","of":{of}}}"#))
        .await;
    let told = hears(client, "PRESENCE", "p").await.frames("of");
    told.iter().map(|one| one.str("state")).collect()
}

#[tokio::test]
async fn contacts_are_told_who_comes_and_goes_and_strangers_are_not() {
    let server = Server::start(&[ONCE, "presence.linger_ms=0"]).await;
    befriend(&server, ALICE, BOB).await;
    let mut alice = server.login(ALICE, "a-phone").await;
    let mut carol = server.login(CAROL, "c-phone").await;
    let bob = server.login(BOB, "b-phone").await;
    let come = is_told(&mut alice, "presence").await.json("payload");
    assert_eq!(
        (&come["uid"], &come["state"]),
        (&json!(name(BOB)), &json!("online"))
    );
    assert_eq!(
        states(&mut alice, &[BOB, CAROL]).await,
        ["online", "unknown"]
    );
    bob.leave().await;
    let gone = is_told(&mut alice, "presence").await.json("payload");
    assert_eq!(
        (&gone["uid"], &gone["state"]),
        (&json!(name(BOB)), &json!("offline"))
    );
    assert!(heard(&mut carol, "S2C").await.is_empty());
}

#[tokio::test]
async fn whoever_is_back_soon_was_not_away() {
    let server = Server::start(&[ONCE, "presence.linger_ms=600000"]).await;
    befriend(&server, ALICE, BOB).await;
    let mut alice = server.login(ALICE, "a-phone").await;
    let bob = server.login(BOB, "b-phone").await;
    is_told(&mut alice, "presence").await;
    bob.leave().await;
    let mut bob = server.login(BOB, "b-phone").await;
    // What is sent through the whole server comes behind what would have been told.
    bob.send_c2c("m1", ALICE, "back again").await;
    alice.takes("m1").await;
    let told = heard(&mut alice, "S2C").await;
    let is_presence = |payload: Value| payload["msg_type"] == "presence";
    assert!(
        !told.iter().any(|frame| is_presence(frame.json("payload"))),
        "{told:?}"
    );
}

#[tokio::test]
async fn who_is_writing_is_told_to_who_is_there_and_to_nobody_who_has_blocked_them() {
    let server = Server::start(&[ONCE]).await;
    let mut alice = server.login(ALICE, "a-phone").await;
    let mut bob = server.login(BOB, "b-phone").await;
    let typing = format!(r#"{{"type":"C2C_TYPING","to":"{}"}}"#, name(BOB));
    alice.send(&typing).await;
    assert_eq!(
        hears_a(&mut bob, "C2C_TYPING").await.str("from"),
        name(ALICE)
    );
    let path = format!("/v1/blocks/{}", name(ALICE));
    ask(&server, BOB, "PUT", &path, Value::Null).await.payload();
    alice.send(&typing).await;
    alice.ping().await;
    ask(&server, BOB, "DELETE", &path, Value::Null)
        .await
        .payload();
    alice.send_c2c("m1", BOB, "hello").await;
    bob.takes("m1").await;
    assert!(heard(&mut bob, "C2C_TYPING").await.is_empty());
}

#[tokio::test]
async fn whoever_has_blocked_another_is_seen_by_them_no_more_and_does_not_see_them() {
    let server = Server::start(&[ONCE, "presence.linger_ms=0"]).await;
    befriend(&server, ALICE, BOB).await;
    befriend(&server, ALICE, CAROL).await;
    let mut alice = server.login(ALICE, "a-phone").await;
    let path = format!("/v1/blocks/{}", name(ALICE));
    ask(&server, BOB, "PUT", &path, Value::Null).await.payload();
    let mut bob = server.login(BOB, "b-phone").await;
    // Those who come are told of in their order.
    let carol = server.login(CAROL, "c-phone").await;
    let told = is_told(&mut alice, "presence").await.json("payload");
    assert_eq!(told["uid"], name(CAROL));
    assert_eq!(
        states(&mut alice, &[BOB, CAROL]).await,
        ["unknown", "online"]
    );
    assert_eq!(states(&mut bob, &[ALICE]).await, ["unknown"]);
    let path = format!("/v1/presence?uids={}", name(BOB));
    let seen = ask(&server, ALICE, "GET", &path, Value::Null).await;
    assert_eq!(seen.payload()["presence"][0]["state"], "unknown");
    alice.leave().await;
    let mut alice = server.login(ALICE, "a-phone").await;
    carol.leave().await;
    is_told(&mut alice, "presence").await;
    assert!(heard(&mut bob, "S2C").await.iter().all(|frame| {
        let payload = frame.json("payload");
        payload["msg_type"] != "presence"
    }));
    let path = format!("/v1/blocks/{}", name(ALICE));
    ask(&server, BOB, "DELETE", &path, Value::Null)
        .await
        .payload();
    assert_eq!(states(&mut alice, &[BOB]).await, ["online"]);
}

#[tokio::test]
async fn one_sees_oneself() {
    let server = Server::start(&[ONCE]).await;
    let mut alice = server.login(ALICE, "a-phone").await;
    assert_eq!(
        states(&mut alice, &[ALICE, BOB]).await,
        ["online", "unknown"]
    );
    let path = format!("/v1/presence?uids={}", name(ALICE));
    let seen = ask(&server, ALICE, "GET", &path, Value::Null).await;
    assert_eq!(seen.payload()["presence"][0]["state"], "online");
}
