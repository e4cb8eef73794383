//! The HTTP doors: what they answer, in which form, and to whom.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "support/lib.rs"]
mod support;

use serde_json::json;
use support::{ADMIN_TOKEN, ALICE, Answer, BOB, CAROL, Call, Client, Heard, ONCE, Server, User};

/// Signed with the sample key for user 1, and expired in 2022.
const EXPIRED: &str = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJleHAiOjE2NjExMDM5NDQ5MTgsInN1YiI6InRrIiwidWlkIjoia3licWRwIn0.FYhYR0KzHZe9kHEeTbcYWwahyqLXBE7rUWaQgyI5I14";

#[tokio::test]
async fn health_is_open_to_everybody() {
    let server = Server::start(&[]).await;
    for path in ["/health/live", "/health/ready"] {
        assert_eq!(server.get(path).await.status, 200);
    }
}

#[tokio::test]
async fn an_unknown_route_is_404_in_the_common_form() {
    let server = Server::start(&[]).await;
    assert_eq!(server.get("/no/such/thing").await.refusal(404), 404);
    let admin = Call::get(server.admin, "/no/such/thing")
        .bearer(ADMIN_TOKEN)
        .send()
        .await;
    assert_eq!(admin.refusal(404), 404);
}

// ---- logging in ----

#[tokio::test]
async fn a_connection_without_a_good_token_is_refused_with_401() {
    let server = Server::start(&[]).await;
    let forged = format!("{}x", User::new(ALICE).token);
    let bad = [
        "did=x".to_owned(),
        "did=x&authorization=".to_owned(),
        "did=x&authorization=nonsense".to_owned(),
        format!("did=x&authorization={forged}"),
        format!("did=x&authorization={}", User::new(ALICE).refresh_token()),
    ];
    for query in bad {
        let answer = Call::upgrade(server.public, &format!("/ws?{query}"))
            .send()
            .await;
        assert_eq!(answer.status, 401, "{query}: {answer:?}");
        assert_eq!(
            answer.json(),
            json!({"code": 706, "msg": "Invalid token", "payload": {}}),
            "{query}"
        );
    }
}

#[tokio::test]
async fn an_expired_token_is_refused_with_705() {
    let server = Server::start(&["auth.expiry_leeway_ms=0"]).await;
    let answer = Call::upgrade(server.public, &format!("/ws?did=x&authorization={EXPIRED}"))
        .send()
        .await;
    assert_eq!(answer.refusal(401), 705);
    assert_eq!(answer.json()["msg"], "Please refresh token");
}

#[tokio::test]
async fn a_browser_that_asks_gets_the_refusal_as_a_frame_and_close_4006() {
    let server = Server::start(&["auth.expiry_leeway_ms=0"]).await;
    for (token, code) in [("nonsense", 706), (EXPIRED, 705)] {
        let path = format!("/ws?did=x&errors=close&authorization={token}");
        let mut client = Client::open(server.public, &path).await;
        let error = client.error(code).await;
        assert!(!error.has("id"), "{error:?}");
        match client.next().await {
            Heard::Closed(code) => assert_eq!(code, Some(4006)),
            other => panic!("one ERROR and then {other:?}"),
        }
    }
}

#[tokio::test]
async fn token_and_device_may_come_as_headers() {
    let server = Server::start(&[ONCE]).await;
    let token = User::new(ALICE).token;
    for value in [
        token.clone(),
        format!("Bearer {token}"),
        format!("bearer {token}"),
    ] {
        let headers = [
            ("authorization", value.as_str()),
            ("did", "h-phone"),
            ("dtype", "test"),
        ];
        let mut alice = Client::open_with(server.public, "/ws", &headers).await;
        assert!(alice.frame().await.is("S2C"));
        // The device is the one the header names: another could not be acked for.
        alice.send("CLIENT_ACK,C2C,nothing,h-phone").await;
        alice.error(404).await;
        alice.send("CLIENT_ACK,C2C,nothing,did").await;
        alice.error(400).await;
    }
}

#[tokio::test]
async fn a_connection_that_names_no_device_is_refused_unless_the_configuration_names_one() {
    let key = "auth.jwt_key=a-key-of-this-test-that-is-long-enough";
    let server = Server::start_plain(&[key]).await;
    let token = support::cli(&["token", "1", "--set", key]);
    let path = format!("/ws?authorization={}", token.trim());
    let answer = Call::upgrade(server.public, &path).send().await;
    assert_eq!(answer.refusal(400), 400);
    for did in ["", "with,comma", "with%0acontrol", &"x".repeat(65)] {
        let answer = Call::upgrade(server.public, &format!("{path}&did={did}"))
            .send()
            .await;
        assert_eq!(answer.refusal(400), 400, "{did}");
    }
    let mut named = Client::open(server.public, &format!("{path}&did=phone")).await;
    assert!(named.frame().await.is("S2C"));
}

#[tokio::test]
async fn a_refresh_token_buys_a_new_access_token() {
    let server = Server::start(&[]).await;
    let alice = User::new(ALICE);
    let refresh = async |token: &str| {
        Call::post(server.public, "/v1/token/refresh", "")
            .bearer(token)
            .send()
            .await
    };

    let payload = refresh(&alice.refresh_token()).await.payload();
    let fresh = User::with_token(ALICE, payload["token"].as_str().unwrap());
    assert_eq!(fresh.name, alice.name);
    Client::login(server.public, &fresh, "a-phone")
        .await
        .leave()
        .await;

    assert_eq!(refresh(&alice.token).await.refusal(401), 706);
    assert_eq!(refresh("nonsense").await.refusal(401), 706);
    let none = Call::post(server.public, "/v1/token/refresh", "")
        .send()
        .await;
    assert_eq!(none.refusal(401), 706);
}

#[tokio::test]
async fn developer_mode_has_a_login_and_ordinary_service_has_not() {
    let server = Server::start_with(&["--dev", "--config", support::SEED], &[]).await;
    let payload = Call::post(server.public, "/v1/dev/token", r#"{"uid":1}"#)
        .send()
        .await
        .payload();
    let alice = User::with_token(1, payload["token"].as_str().unwrap());
    assert_eq!(alice.name, "kybqdp");
    Client::login(server.public, &alice, "a-phone")
        .await
        .leave()
        .await;

    let server = Server::start(&[]).await;
    let answer = Call::post(server.public, "/v1/dev/token", r#"{"uid":1}"#)
        .send()
        .await;
    assert_eq!(answer.refusal(404), 404);
}

// ---- the admin listener ----

#[tokio::test]
async fn the_admin_listener_answers_only_its_bearer() {
    let server = Server::start(&[]).await;
    let alice = User::new(ALICE).token;
    for token in [None, Some("wrong"), Some(alice.as_str()), Some("")] {
        let with = |call: Call| match token {
            Some(token) => call.bearer(token),
            None => call,
        };
        let read = with(Call::get(server.admin, "/metrics")).send().await;
        // A user is known there, and is not told this all the same.
        let is_user = token == Some(alice.as_str());
        read.refusal(if is_user { 403 } else { 401 });
        let in_carols_name = message("m1").replace(&User::new(ALICE).name, &User::new(CAROL).name);
        let write = with(Call::post(server.admin, "/v1/messages", &in_carols_name))
            .send()
            .await;
        write.refusal(if is_user { 403 } else { 401 });
    }
    // And its token opens nothing on the public one.
    let metrics = Call::get(server.public, "/metrics")
        .bearer(ADMIN_TOKEN)
        .send()
        .await;
    assert_eq!(metrics.refusal(404), 404);
    let write = Call::post(server.public, "/v1/messages", &message("m1"))
        .bearer(ADMIN_TOKEN)
        .send()
        .await;
    assert_eq!(write.refusal(401), 706);
}

#[tokio::test]
async fn a_message_posted_twice_is_one_message() {
    let server = Server::start(&[ONCE]).await;
    let first = post(&server, &message("m1")).await.payload();
    let again = post(&server, &message("m1")).await.payload();
    assert_eq!(first["server_ts"], again["server_ts"]);
    assert!(first["server_ts"].as_u64().is_some(), "{first}");

    let mut bob = server.login(BOB, "b-phone").await;
    assert_eq!(bob.waiting(), 1);
    let received = bob.takes("m1").await;
    assert_eq!(received.str("from"), User::new(ALICE).name);
    assert_eq!(
        received.raw("payload"),
        r#"{"msg_type":"text","text":"posted"}"#
    );
    bob.heard_nothing_else().await;
}

#[tokio::test]
async fn a_message_posted_for_an_online_reader_arrives_and_its_sender_is_told() {
    let server = Server::start(&[ONCE]).await;
    let mut alice = server.login(ALICE, "a-phone").await;
    let mut bob = server.login(BOB, "b-phone").await;
    post(&server, &message("m1")).await.payload();
    bob.takes("m1").await;
    assert_eq!(alice.delivered("m1").await.str("did"), "b-phone");
}

#[tokio::test]
async fn a_message_posted_wrongly_is_refused_with_its_code() {
    let server = Server::start(&["inbox.max_messages=1", "listen.max_payload=100"]).await;
    for body in ["", "{", "[]", "{}"] {
        assert_eq!(post(&server, body).await.refusal(400), 400, "{body}");
    }
    let nobody = r#"{"id":"m1","from":"kybqdp","to":"nobody","payload":1}"#;
    assert_eq!(post(&server, nobody).await.refusal(404), 404);
    post(&server, &message("m1")).await.payload();
    let other = message("m1").replace("posted", "another");
    assert_eq!(post(&server, &other).await.refusal(409), 409);
    let big = message("m2").replace("posted", &"x".repeat(200));
    assert_eq!(post(&server, &big).await.refusal(413), 413);
    assert_eq!(post(&server, &message("m3")).await.refusal(507), 507);
}

#[tokio::test]
async fn metrics_tell_the_truth() {
    let server = Server::start(&[ONCE]).await;
    assert_eq!(server.metric("yizhan_online_devices").await, 0.0);
    let mut alice = server.login(ALICE, "a-phone").await;
    assert_eq!(server.metric("yizhan_online_devices").await, 1.0);

    alice.send_c2c("m1", BOB, "hello").await;
    alice.accepted("m1").await;
    let mut bob = server.login(BOB, "b-phone").await;
    assert_eq!(server.metric("yizhan_online_devices").await, 2.0);
    bob.takes("m1").await;
    alice.delivered("m1").await;
    alice.send("{").await;
    alice.error(400).await;

    let page = Call::get(server.admin, "/metrics")
        .bearer(ADMIN_TOKEN)
        .send()
        .await
        .body;
    for subject in [
        "accepted",
        "delivered",
        "redelivered",
        "parked",
        "expired",
        "refused",
        "online_devices",
        "in_flight",
        "inbox_rows",
        "batch",
        "flush",
        "accept",
    ] {
        let told = page
            .lines()
            .any(|line| line.starts_with("# TYPE yizhan_") && line.contains(subject));
        assert!(told, "nothing about {subject} in\n{page}");
    }

    alice.leave().await;
    bob.leave().await;
    // The server sees a connection end a little after its client does.
    let falls_to_zero = async { while server.metric("yizhan_online_devices").await != 0.0 {} };
    tokio::time::timeout(support::DEADLINE, falls_to_zero)
        .await
        .expect("the gauge stays up");
}

#[tokio::test]
async fn one_device_that_logs_in_again_counts_once() {
    let server = Server::start(&[]).await;
    let mut old = server.login(ALICE, "a-phone").await;
    let _new = server.login(ALICE, "a-phone").await;
    assert_eq!(old.closed().await, Some(4008));
    assert_eq!(server.metric("yizhan_online_devices").await, 1.0);
}

async fn post(server: &Server, body: &str) -> Answer {
    Call::post(server.admin, "/v1/messages", body)
        .bearer(ADMIN_TOKEN)
        .send()
        .await
}

/// A message from Alice to Bob, as an app's own server posts it.
fn message(id: &str) -> String {
    let (from, to) = (User::new(ALICE).name, User::new(BOB).name);
    format!(
        r#"{{"id":"{id}","from":"{from}","to":"{to}","payload":{{"msg_type":"text","text":"posted"}}}}"#
    )
}
