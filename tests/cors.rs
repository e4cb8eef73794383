//! Which pages a browser lets call the public API.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "support/lib.rs"]
mod support;

use support::{ADMIN_TOKEN, ALICE, BOB, Call, Client, ONCE, Refusal, Server, User};

const OURS: &str = "https://app.example";
const THEIRS: &str = "https://elsewhere.example";
const BOTH: &str = r#"listen.cors_origins=["https://app.example", "http://localhost:8080"]"#;
const REFRESH: &str = "/v1/token/refresh";
const ALLOWED: &str = "access-control-allow-origin";

#[tokio::test]
async fn a_page_of_a_listed_origin_may_ask() {
    let server = Server::start(&[BOTH]).await;
    for origin in [OURS, "http://localhost:8080"] {
        for method in ["GET", "POST", "PUT", "PATCH", "DELETE"] {
            let answer = Call::preflight(server.public, REFRESH, origin, method)
                .send()
                .await;
            assert_eq!(answer.status, 200, "{answer:?}");
            assert_eq!(answer.header(ALLOWED), Some(origin));
            assert_eq!(answer.header("access-control-max-age"), Some("3600"));
            assert_eq!(answer.header("access-control-allow-credentials"), None);
            for (name, words) in [
                (
                    "access-control-allow-methods",
                    &["GET", "POST", "PUT", "PATCH", "DELETE"][..],
                ),
                (
                    "access-control-allow-headers",
                    &["authorization", "content-type"],
                ),
            ] {
                let list = answer.header(name).unwrap();
                let mut words = words.iter();
                assert!(words.all(|word| list.contains(word)), "{name}: {list}");
            }
        }
        let refresh = User::new(ALICE).refresh_token();
        let answer = Call::post(server.public, REFRESH, "")
            .bearer(&refresh)
            .header("origin", origin)
            .send()
            .await;
        assert_eq!(answer.header(ALLOWED), Some(origin));
        // A cache must not show one page's answer to another.
        let vary = answer.header("vary").unwrap().to_ascii_lowercase();
        assert!(vary.contains("origin"), "{vary}");
        answer.payload();
    }
}

#[tokio::test]
async fn a_refusal_can_be_read_by_a_page_of_a_listed_origin_too() {
    let server = Server::start(&[BOTH]).await;
    let post = Call::post(server.public, REFRESH, "").header("origin", OURS);
    let answer = post.send().await;
    assert_eq!(answer.header(ALLOWED), Some(OURS));
    assert_eq!(answer.refusal(401), 706);
}

#[tokio::test]
async fn a_page_of_another_origin_may_not() {
    let server = Server::start(&[BOTH]).await;
    for (origin, method) in [
        (THEIRS, "POST"),
        ("https://app.example:8443", "POST"),
        ("null", "POST"),
        (OURS, "TRACE"),
    ] {
        let answer = Call::preflight(server.public, REFRESH, origin, method)
            .send()
            .await;
        assert_eq!(answer.header(ALLOWED), None, "{origin} {method}");
        assert_eq!(answer.refusal(400), 400);
    }
    let answer = Call::get(server.public, "/health/ready")
        .header("origin", THEIRS)
        .send()
        .await;
    assert_eq!(answer.header(ALLOWED), None);
    answer.payload();
}

#[tokio::test]
async fn without_a_list_no_page_may() {
    let server = Server::start(&[]).await;
    let answer = Call::preflight(server.public, REFRESH, OURS, "POST")
        .send()
        .await;
    assert_ne!(answer.status, 200);
    assert_eq!(answer.header(ALLOWED), None);
    let answer = Call::get(server.public, "/health/ready")
        .header("origin", OURS)
        .send()
        .await;
    assert_eq!(answer.header(ALLOWED), None);
    answer.payload();
}

#[tokio::test]
async fn a_star_lets_every_page() {
    let server = Server::start(&[r#"listen.cors_origins=["*"]"#]).await;
    for origin in [OURS, THEIRS] {
        let answer = Call::preflight(server.public, REFRESH, origin, "POST")
            .send()
            .await;
        assert_eq!(answer.status, 200);
        assert_eq!(answer.header(ALLOWED), Some("*"));
    }
}

#[tokio::test]
async fn a_websocket_is_let_in_by_its_token_whatever_page_opens_it() {
    let server = Server::start(&[BOTH, ONCE]).await;
    let path = |uid| format!("/ws?did=browser&authorization={}", User::new(uid).token);
    let headers = [("origin", THEIRS)];
    let mut alice = Client::open_with(server.public, &path(ALICE), &headers).await;
    let mut bob = Client::open(server.public, &path(BOB)).await;
    bob.did = "browser".into();
    alice.send_c2c("m1", BOB, "hello").await;
    bob.takes("m1").await;
    alice.delivered("m1").await;
}

#[tokio::test]
async fn operators_doors_are_open_to_no_page() {
    let server = Server::start(&[BOTH]).await;
    let answer = Call::preflight(server.admin, "/metrics", OURS, "GET")
        .bearer(ADMIN_TOKEN)
        .send()
        .await;
    assert_eq!(answer.header(ALLOWED), None);
}

#[tokio::test]
async fn what_is_no_origin_stops_the_start() {
    let home = tempfile::tempdir().unwrap();
    for (list, named) in [
        (r#"["https://app.example/"]"#, "https://app.example/"),
        (r#"["app.example"]"#, "app.example"),
        (r#"["*", "https://app.example"]"#, "alone"),
        ("https://app.example", "a list of texts"),
    ] {
        let set = format!("listen.cors_origins={list}");
        let refusal = Refusal::of_serving(&[], &home.path().join("data"), &[&set]).await;
        let line = refusal.one_line();
        assert!(
            line.contains("listen.cors_origins") && line.contains(named),
            "{line}"
        );
    }
}
