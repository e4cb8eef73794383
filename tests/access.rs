//! Bans and invalidated tokens: who is sent away, who stays, and who comes in again.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "support/lib.rs"]
mod support;

use serde_json::{Value, json};
use support::token::{now_ms, token};
use support::{
    ADMIN_TOKEN, ALICE, Answer, BOB, CAROL, Call, Client, DEADLINE, Heard, ONCE, Server, User,
};

#[tokio::test]
async fn a_ban_closes_every_connection_of_its_user_and_nobody_elses() {
    let server = Server::start(&[ONCE]).await;
    let mut alice = server.login(ALICE, "phone").await;
    let mut phone = server.login(BOB, "phone").await;
    let mut web = server.login(BOB, "web").await;
    let access = ban(&server, BOB).await.payload();
    assert_eq!(
        access,
        json!({"banned": true, "banned_devices": [], "tokens_not_before": null})
    );
    assert_eq!(phone.closed().await, Some(4013));
    assert_eq!(web.closed().await, Some(4013));
    alice.heard_nothing_else().await;
    let mut carol = server.login(CAROL, "phone").await;
    alice.send_c2c("m1", CAROL, "still here").await;
    carol.takes("m1").await;
}

#[tokio::test]
async fn a_ban_of_one_device_leaves_the_others() {
    let server = Server::start(&[ONCE]).await;
    let mut phone = server.login(BOB, "phone").await;
    let mut web = server.login(BOB, "web").await;
    let access = put(&server, &device_path(BOB, "phone")).await.payload();
    assert_eq!(access["banned_devices"], json!(["phone"]));
    assert_eq!(access["banned"], json!(false));
    assert_eq!(phone.closed().await, Some(4013));
    web.heard_nothing_else().await;
    assert_eq!(knock(&server, BOB, "phone").await.refusal(403), 403);
    server.login(BOB, "tablet").await.leave().await;
    // The same name on another user's device is another device.
    server.login(ALICE, "phone").await.leave().await;

    let access = delete(&server, &device_path(BOB, "phone")).await.payload();
    assert_eq!(access["banned_devices"], json!([]));
    server.login(BOB, "phone").await.leave().await;
    web.heard_nothing_else().await;
}

#[tokio::test]
async fn a_banned_user_gets_neither_a_connection_nor_a_token() {
    let server = Server::start_with(&["--dev", "--config", support::SEED], &[]).await;
    ban(&server, BOB).await.payload();
    let refused = knock(&server, BOB, "phone").await;
    assert_eq!(refused.status, 403);
    assert_eq!(
        refused.json(),
        json!({"code": 403, "msg": "Banned", "payload": {}})
    );
    let bought = buy(&server, &User::new(BOB).refresh_token()).await;
    assert_eq!(bought.refusal(403), 403);
    let body = format!(r#"{{"uid":{BOB}}}"#);
    let given = Call::post(server.public, "/v1/dev/token", &body);
    assert_eq!(given.send().await.refusal(403), 403);
    assert_eq!(
        server.metric(r#"yizhan_refused_total{code="403"}"#).await,
        3.0
    );

    let path = format!("{}&errors=close", path_of(&User::new(BOB).token, "phone"));
    let mut browser = Client::open(server.public, &path).await;
    browser.error(403).await;
    match browser.next().await {
        Heard::Closed(code) => assert_eq!(code, Some(4013)),
        other => panic!("one ERROR and then {other:?}"),
    }
}

#[tokio::test]
async fn bans_and_invalidations_outlive_a_kill() {
    let mut server = Server::start(&[ONCE]).await;
    let instant = now_ms();
    ban(&server, ALICE).await.payload();
    put(&server, &device_path(BOB, "phone")).await.payload();
    let body = format!(r#"{{"issued_before":{instant}}}"#);
    invalidate(&server, CAROL, &body).await.payload();
    server.kill9().await;
    server.restart().await;

    assert_eq!(access_of(&server, ALICE).await["banned"], json!(true));
    assert_eq!(knock(&server, ALICE, "phone").await.refusal(403), 403);
    let of_bob = access_of(&server, BOB).await;
    assert_eq!(of_bob["banned_devices"], json!(["phone"]));
    assert_eq!(knock(&server, BOB, "phone").await.refusal(403), 403);
    server.login(BOB, "web").await.leave().await;
    let of_carol = access_of(&server, CAROL).await;
    assert_eq!(of_carol["tokens_not_before"], json!(instant));
    let old = token(CAROL, "tk", Some(instant - 1));
    assert_eq!(knock_with(&server, &old, "phone").await.refusal(401), 706);

    delete(&server, &ban_path(ALICE)).await.payload();
    server.kill9().await;
    server.restart().await;
    server.login(ALICE, "phone").await.leave().await;
}

#[tokio::test]
async fn what_waited_for_a_banned_user_comes_in_order_and_once_when_the_ban_is_lifted() {
    let server = Server::start(&[ONCE]).await;
    let mut alice = server.login(ALICE, "a-phone").await;
    let mut bob = server.login(BOB, "b-phone").await;
    alice.send_c2c("m1", BOB, "taken").await;
    bob.takes("m1").await;
    alice.delivered("m1").await;
    alice.send_c2c("m2", BOB, "seen and not taken").await;
    bob.receives("m2").await;
    bob.send_c2c("from-bob", ALICE, "accepted before the ban")
        .await;
    bob.accepted("from-bob").await;
    ban(&server, BOB).await.payload();
    assert_eq!(bob.closed().await, Some(4013));
    for n in 3..=30 {
        let id = format!("m{n}");
        alice.send_c2c(&id, BOB, "while banned").await;
        alice.accepted(&id).await;
    }
    alice.takes("from-bob").await;
    assert_eq!(
        alice.status(&[(BOB, "m2"), (BOB, "m30")]).await,
        ["accepted"; 2]
    );

    delete(&server, &ban_path(BOB)).await.payload();
    let mut bob = server.login(BOB, "b-phone").await;
    assert_eq!(bob.waiting(), 29);
    for n in 2..=30 {
        let frame = bob.frame().await;
        assert_eq!((frame.id(), frame.seq()), (format!("m{n}"), n));
    }
    bob.ack_up_to(30).await;
    bob.ack_ok_numbers().await;
    bob.heard_nothing_else().await;
}

#[tokio::test]
async fn a_client_that_stays_after_it_was_banned_is_heard_no_more_but_for_its_acks() {
    let server = Server::start(&[ONCE]).await;
    let mut alice = server.login(ALICE, "a-phone").await;
    let mut bob = server.login(BOB, "b-phone").await;
    alice.send_c2c("m1", BOB, "hello").await;
    alice.accepted("m1").await;
    bob.receives("m1").await;
    ban(&server, BOB).await.payload();
    // This client has not read that it is to go, and goes on.
    bob.send_c2c("late", ALICE, "one more thing").await;
    bob.send(signal("call")).await;
    bob.ack_text("m1").await;
    assert_eq!(bob.closed().await, Some(4013));
    alice.delivered("m1").await;
    drop(bob);
    online(&server, 1.0).await;
    alice.heard_nothing_else().await;
    assert!(!bob_sent(&server, "late").await);
}

#[tokio::test]
async fn an_invalidation_ends_the_connections_of_older_tokens_and_leaves_newer_ones() {
    let server = Server::start(&[ONCE]).await;
    let instant = now_ms() - 60_000;
    let comes = async |did: &str, iat: Option<u64>| {
        let user = User::with_token(BOB, &token(BOB, "tk", iat));
        Client::login(server.public, &user, did).await
    };
    let mut older = comes("older", Some(instant - 1)).await;
    let mut undated = comes("undated", None).await;
    // What a library of the standard writes: read in milliseconds, it is January 1970.
    let mut in_seconds = comes("in-seconds", Some(instant / 1000)).await;
    let mut exact = comes("exact", Some(instant)).await;
    let mut newer = comes("newer", Some(instant + 1)).await;
    let mut refreshed = comes("refreshed", None).await;
    refresh(&mut refreshed, &token(BOB, "tk", Some(instant + 5))).await;
    refreshed
        .expect("the new expiry", |f| f.is("REFRESH_OK"))
        .await;
    let mut carol = server.login(CAROL, "phone").await;

    let body = format!(r#"{{"issued_before":{instant}}}"#);
    let access = invalidate(&server, BOB, &body).await.payload();
    assert_eq!(
        access,
        json!({"banned": false, "banned_devices": [], "tokens_not_before": instant})
    );
    for client in [&mut older, &mut undated, &mut in_seconds] {
        assert_eq!(client.closed().await, Some(4013), "{}", client.did);
    }
    for client in [&mut exact, &mut newer, &mut refreshed, &mut carol] {
        client.heard_nothing_else().await;
    }
}

#[tokio::test]
async fn older_tokens_are_refused_everywhere_and_newer_ones_are_good() {
    let server = Server::start(&[ONCE]).await;
    let instant = now_ms() - 60_000;
    let good = token(BOB, "tk", Some(instant));
    let bob = User::with_token(BOB, &good);
    let mut bob = Client::login(server.public, &bob, "phone").await;
    let body = format!(r#"{{"issued_before":{instant}}}"#);
    invalidate(&server, BOB, &body).await.payload();

    for iat in [None, Some(instant - 1), Some(instant / 1000), Some(0)] {
        let old = token(BOB, "tk", iat);
        let refused = knock_with(&server, &old, "web").await;
        assert_eq!(refused.refusal(401), 706, "{iat:?}");
        let path = format!("{}&errors=close", path_of(&old, "web"));
        let mut browser = Client::open(server.public, &path).await;
        browser.error(706).await;
        assert_eq!(browser.closed().await, Some(4006));
        refresh(&mut bob, &old).await;
        bob.error(706).await;
        let rtk = token(BOB, "rtk", iat);
        assert_eq!(buy(&server, &rtk).await.refusal(401), 706, "{iat:?}");
    }
    // What was shown in vain changed nothing.
    bob.heard_nothing_else().await;
    refresh(&mut bob, &good).await;
    bob.expect("the new expiry", |f| f.is("REFRESH_OK")).await;

    let rtk = token(BOB, "rtk", Some(instant));
    let bought = buy(&server, &rtk).await.payload();
    let fresh = User::with_token(BOB, bought["token"].as_str().unwrap());
    let mut web = Client::login(server.public, &fresh, "web").await;
    web.heard_nothing_else().await;
    // Nobody else's tokens are concerned.
    let undated = User::with_token(CAROL, &token(CAROL, "tk", None));
    Client::login(server.public, &undated, "phone").await;
}

#[tokio::test]
async fn a_token_made_right_before_an_invalidation_is_old_and_one_right_after_is_new() {
    let server = Server::start(&[ONCE]).await;
    for _ in 0..50 {
        let rtk = token(BOB, "rtk", Some(now_ms()));
        let bought = buy(&server, &rtk).await.payload();
        let before = token(BOB, "tk", Some(now_ms()));
        let access = invalidate(&server, BOB, "").await.payload();
        let after = token(BOB, "tk", Some(now_ms()));
        assert!(access["tokens_not_before"].as_u64().is_some(), "{access}");
        let bought = bought["token"].as_str().unwrap();
        for old in [before.as_str(), bought] {
            assert_eq!(knock_with(&server, old, "phone").await.refusal(401), 706);
        }
        assert_eq!(buy(&server, &rtk).await.refusal(401), 706);
        let bob = User::with_token(BOB, &after);
        Client::login(server.public, &bob, "phone").await.vanish();
    }
}

#[tokio::test]
async fn every_token_that_the_server_mints_says_when_it_was_issued() {
    let server = Server::start_with(&["--dev", "--config", support::SEED], &[ONCE]).await;
    invalidate(&server, BOB, "").await.payload();
    let uid = BOB.to_string();
    let access = support::cli(&["token", &uid, "--config", support::SEED]);
    let rtk = User::new(BOB).refresh_token();
    let bought = buy(&server, &rtk).await.payload();
    let body = format!(r#"{{"uid":{BOB}}}"#);
    let given = Call::post(server.public, "/v1/dev/token", &body);
    let given = given.send().await.payload();
    for token in [
        access.trim(),
        bought["token"].as_str().unwrap(),
        given["token"].as_str().unwrap(),
    ] {
        let bob = User::with_token(BOB, token);
        Client::login(server.public, &bob, "phone").await.vanish();
    }
}

#[tokio::test]
async fn an_instant_never_moves_back() {
    let server = Server::start(&[]).await;
    let instant = now_ms() + 3_600_000;
    for (asked, held) in [
        (instant, instant),
        (instant - 1, instant),
        (instant + 1, instant + 1),
    ] {
        let body = format!(r#"{{"issued_before":{asked}}}"#);
        let access = invalidate(&server, BOB, &body).await.payload();
        assert_eq!(access["tokens_not_before"], json!(held));
    }
    // Up to then no token is new enough.
    assert_eq!(knock(&server, BOB, "phone").await.refusal(401), 706);
}

#[tokio::test]
async fn an_instant_that_cannot_be_meant_is_refused_and_changes_nothing() {
    let server = Server::start(&[]).await;
    let seconds = now_ms() / 1000;
    let ahead = now_ms() + 2 * 24 * 3_600_000;
    for (body, word) in [
        (format!(r#"{{"issued_before":{seconds}}}"#), "milliseconds"),
        (r#"{"issued_before":0}"#.into(), "milliseconds"),
        (r#"{"issued_before":-1}"#.into(), "issued_before"),
        (r#"{"issued_before":"now"}"#.into(), "issued_before"),
        (r#"{"issued_befor":1}"#.into(), "issued_befor"),
        (
            r#"{"issued_before":1700000000000,"issued_before":1700000000001}"#.into(),
            "duplicate",
        ),
        ("[]".into(), "issued_before"),
        ("now".into(), "issued_before"),
    ] {
        let answer = invalidate(&server, BOB, &body).await;
        assert_eq!(answer.refusal(400), 400, "{body}");
        let msg = answer.json()["msg"].to_string();
        assert!(msg.contains(word), "{body}: {msg}");
    }
    // It can be read, and makes no sense as the clock is.
    let late = format!(r#"{{"issued_before":{ahead}}}"#);
    let answer = invalidate(&server, BOB, &late).await;
    assert_eq!(answer.refusal(409), 409);
    let msg = answer.json()["msg"].to_string();
    assert!(msg.contains("a day ahead"), "{msg}");
    let nothing = access_of(&server, BOB).await;
    assert_eq!(nothing["tokens_not_before"], Value::Null);
    server.login(BOB, "phone").await.leave().await;
}

#[tokio::test]
async fn a_change_said_twice_is_said_once() {
    let server = Server::start(&[]).await;
    let open = json!({"banned": false, "banned_devices": [], "tokens_not_before": null});
    assert_eq!(access_of(&server, BOB).await, open);
    for path in [ban_path(BOB), device_path(BOB, "phone")] {
        assert_eq!(delete(&server, &path).await.payload(), open);
        let once = put(&server, &path).await.payload();
        assert_ne!(once, open);
        assert_eq!(put(&server, &path).await.payload(), once);
        assert_eq!(access_of(&server, BOB).await, once);
        assert_eq!(delete(&server, &path).await.payload(), open);
        assert_eq!(delete(&server, &path).await.payload(), open);
    }
}

#[tokio::test]
async fn a_user_or_a_device_that_cannot_be_is_refused_by_name() {
    let server = Server::start(&[]).await;
    for (path, word) in [
        ("/v1/users/nobody/ban".to_owned(), "nobody"),
        ("/v1/users/108/ban".to_owned(), "108"),
        ("/v1/users/%20/ban".to_owned(), "user"),
        (device_path(BOB, "a,b"), "did contains a comma"),
        (device_path(BOB, "a%0Ab"), "did contains a control"),
        (device_path(BOB, &"x".repeat(65)), "did is longer"),
        ("/v1/users/nobody/devices/phone/ban".to_owned(), "nobody"),
    ] {
        for answer in [put(&server, &path).await, delete(&server, &path).await] {
            assert_eq!(answer.refusal(404), 404, "{path}");
            let msg = answer.json()["msg"].to_string();
            assert!(msg.contains(word), "{path}: {msg}");
        }
    }
    let access = get(&server, "/v1/users/nobody/access").await;
    assert_eq!(access.refusal(404), 404);
    let tokens = post(&server, "/v1/users/nobody/tokens/invalidate", "").await;
    assert_eq!(tokens.refusal(404), 404);
    assert_eq!(get(&server, &ban_path(BOB)).await.refusal(405), 400);
}

#[tokio::test]
async fn a_device_may_have_any_name_that_a_connection_may() {
    let server = Server::start(&[]).await;
    // Percent-encoded as a query and as a path take it.
    for (encoded, name) in [
        ("a%2Fb", "a/b"),
        ("a%20b%25%2B", "a b%+"),
        ("%C3%BC%3F%23", "ü?#"),
        ("%2E%2E", ".."),
    ] {
        let path = path_of(&User::new(BOB).token, encoded);
        let mut client = Client::open(server.public, &path).await;
        assert!(client.frame().await.is("S2C"));
        let banned = put(&server, &device_path(BOB, encoded)).await.payload();
        assert_eq!(banned["banned_devices"], json!([name]));
        assert_eq!(client.closed().await, Some(4013), "{name}");
        let open = delete(&server, &device_path(BOB, encoded)).await.payload();
        assert_eq!(open["banned_devices"], json!([]), "{name}");
    }
}

#[tokio::test]
async fn bans_are_listed_page_by_page() {
    let server = Server::start(&[]).await;
    let empty = get(&server, "/v1/bans").await.payload();
    assert_eq!(empty, json!({"users": [], "next": null, "more": false}));
    for uid in 1..=7 {
        ban(&server, uid).await.payload();
    }
    delete(&server, &ban_path(3)).await.payload();
    put(&server, &device_path(3, "phone")).await.payload();
    delete(&server, &ban_path(4)).await.payload();
    let instant = now_ms();
    let body = format!(r#"{{"issued_before":{instant}}}"#);
    invalidate(&server, 5, &body).await.payload();
    invalidate(&server, 8, &body).await.payload();

    let (mut listed, mut after) = (Vec::new(), String::new());
    for page in 1.. {
        let path = format!("/v1/bans?limit=2{after}");
        let told = get(&server, &path).await.payload();
        let users = told["users"].as_array().unwrap().clone();
        assert!(users.len() <= 2 && page < 10, "{told}");
        listed.extend(users);
        if told["more"] == json!(false) {
            assert_eq!(told["next"], Value::Null);
            break;
        }
        after = format!("&after={}", told["next"].as_str().unwrap());
    }
    let expected: Vec<Value> = [1, 2, 3, 5, 6, 7]
        .map(|uid| {
            json!({
                "uid": User::new(uid).name,
                "banned": uid != 3,
                "banned_devices": if uid == 3 { vec!["phone"] } else { vec![] },
                "tokens_not_before": (uid == 5).then_some(instant),
            })
        })
        .into();
    assert_eq!(listed, expected);
    for (query, status) in [
        ("limit=0", 400),
        ("limit=101", 400),
        ("limit=x", 400),
        ("after=nobody", 404),
    ] {
        let refused = get(&server, &format!("/v1/bans?{query}")).await;
        assert_eq!(refused.refusal(status), u64::from(status), "{query}");
    }
}

#[tokio::test]
async fn only_an_operator_may_ban() {
    let server = Server::start(&[]).await;
    let shown = User::new(BOB).token;
    for (listener, token, status) in [
        (server.admin, shown.as_str(), 403),
        (server.admin, "", 401),
        (server.public, ADMIN_TOKEN, 404),
    ] {
        for call in [
            Call::put(listener, &ban_path(ALICE)),
            Call::delete(listener, &ban_path(ALICE)),
            Call::get(listener, "/v1/bans"),
            Call::post(
                listener,
                &format!("/v1/users/{}/tokens/invalidate", User::new(ALICE).name),
                "",
            ),
        ] {
            call.bearer(token).send().await.refusal(status);
        }
    }
    server.login(ALICE, "phone").await.leave().await;
}

// ---- the words of these stories ----

async fn get(server: &Server, path: &str) -> Answer {
    Call::get(server.admin, path)
        .bearer(ADMIN_TOKEN)
        .send()
        .await
}

async fn put(server: &Server, path: &str) -> Answer {
    Call::put(server.admin, path)
        .bearer(ADMIN_TOKEN)
        .send()
        .await
}

async fn delete(server: &Server, path: &str) -> Answer {
    let call = Call::delete(server.admin, path);
    call.bearer(ADMIN_TOKEN).send().await
}

async fn post(server: &Server, path: &str, body: &str) -> Answer {
    let call = Call::post(server.admin, path, body);
    call.bearer(ADMIN_TOKEN).send().await
}

async fn ban(server: &Server, uid: u64) -> Answer {
    put(server, &ban_path(uid)).await
}

async fn invalidate(server: &Server, uid: u64, body: &str) -> Answer {
    let path = format!("/v1/users/{}/tokens/invalidate", User::new(uid).name);
    post(server, &path, body).await
}

async fn access_of(server: &Server, uid: u64) -> Value {
    let path = format!("/v1/users/{}/access", User::new(uid).name);
    get(server, &path).await.payload()
}

fn ban_path(uid: u64) -> String {
    format!("/v1/users/{}/ban", User::new(uid).name)
}

fn device_path(uid: u64, did: &str) -> String {
    format!("/v1/users/{}/devices/{did}/ban", User::new(uid).name)
}

/// Tries to log in, and gives the answer to the handshake.
async fn knock(server: &Server, uid: u64, did: &str) -> Answer {
    knock_with(server, &User::new(uid).token, did).await
}

async fn knock_with(server: &Server, token: &str, did: &str) -> Answer {
    Call::upgrade(server.public, &path_of(token, did))
        .send()
        .await
}

fn path_of(token: &str, did: &str) -> String {
    format!("/ws?authorization={token}&did={did}")
}

/// Shows a refresh token for a new access token.
async fn buy(server: &Server, rtk: &str) -> Answer {
    let call = Call::post(server.public, "/v1/token/refresh", "");
    call.bearer(rtk).send().await
}

async fn refresh(client: &mut Client, token: &str) {
    let frame = format!(r#"{{"type":"REFRESH","token":"{token}"}}"#);
    client.send(frame).await;
}

fn signal(id: &str) -> String {
    let to = User::new(ALICE).name;
    format!(r#"{{"id":"{id}","type":"WEBRTC_OFFER","to":"{to}","payload":1}}"#)
}

/// Whether a message of Bob's to Alice was accepted.
async fn bob_sent(server: &Server, id: &str) -> bool {
    delete(server, &ban_path(BOB)).await.payload();
    let mut bob = server.login(BOB, "another").await;
    bob.status(&[(ALICE, id)]).await != ["unknown"]
}

/// Waits until so many devices are connected: the server sees a connection end a little after its client does.
async fn online(server: &Server, devices: f64) {
    let falls = async { while server.metric("yizhan_online_devices").await != devices {} };
    tokio::time::timeout(DEADLINE, falls)
        .await
        .expect("the gauge stays");
}
