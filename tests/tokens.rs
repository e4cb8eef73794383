//! Tokens that are not good, at every door that takes one: each is refused with 401 and 705 or 706, and costs nothing else.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "support/lib.rs"]
mod support;

use jsonwebtoken::Algorithm;
use support::token::{HEADER, KEY, now_ms, signed, token, unsigned};
use support::{ALICE, BOB, Call, Client, Heard, Server, User};

/// What each door says to each bad token. The seed's leeway of a century is off: expired is expired.
const SETS: &[&str] = &["auth.expiry_leeway_ms=0"];

struct Bad {
    what: &'static str,
    token: String,
    code: u64,
}

#[tokio::test]
async fn a_bad_token_connects_nobody_and_the_answer_says_what_to_do() {
    let server = Server::start(SETS).await;
    for bad in bad_tokens(ALICE) {
        let path = format!("/ws?did=x&authorization={}", bad.token);
        let in_query = Call::upgrade(server.public, &path).send().await;
        assert_eq!(in_query.refusal(401), bad.code, "{}", bad.what);
        let in_header = Call::upgrade(server.public, "/ws?did=x").bearer(&bad.token);
        let in_header = in_header.send().await;
        assert_eq!(in_header.refusal(401), bad.code, "{}", bad.what);
        let msg = &in_header.json()["msg"];
        match bad.code {
            705 => assert_eq!(msg, "Please refresh token"),
            _ => assert_eq!(msg, "Invalid token"),
        }
        let mut browser = Client::open(server.public, &format!("{path}&errors=close")).await;
        browser.error(bad.code).await;
        match browser.next().await {
            Heard::Closed(code) => assert_eq!(code, Some(4006), "{}", bad.what),
            other => panic!("{}: one ERROR and then {other:?}", bad.what),
        }
    }
    assert_eq!(server.metric("yizhan_online_devices").await, 0.0);
}

#[tokio::test]
async fn a_bad_token_shown_on_a_connection_leaves_the_old_one_in_force() {
    let server = Server::start(SETS).await;
    let mut alice = server.login(ALICE, "phone").await;
    let another_user = Bad {
        what: "another user's",
        token: token(BOB, "tk", Some(now_ms())),
        code: 706,
    };
    for bad in bad_tokens(ALICE).into_iter().chain([another_user]) {
        alice
            .send(format!(r#"{{"type":"REFRESH","token":"{}"}}"#, bad.token))
            .await;
        let error = alice.error(bad.code).await;
        assert!(!error.has("id"), "{}: {error:?}", bad.what);
    }
    alice.send_c2c("m1", BOB, "still here").await;
    alice.accepted("m1").await;
    alice.heard_nothing_else().await;
}

#[tokio::test]
async fn a_bad_token_buys_no_new_one() {
    let server = Server::start(SETS).await;
    let access = Bad {
        what: "an access token",
        token: User::new(ALICE).token,
        code: 706,
    };
    let bought = async |token: &str| {
        let call = Call::post(server.public, "/v1/token/refresh", "");
        call.bearer(token).send().await
    };
    for mut bad in bad_tokens(ALICE).into_iter().chain([access]) {
        if bad.what == "a refresh token" {
            bad = expired_refresh_token(ALICE);
        }
        let answer = bought(&bad.token).await;
        assert_eq!(answer.refusal(401), bad.code, "{}", bad.what);
    }
    bought(&token(ALICE, "rtk", None)).await.payload();
}

/// Everything that is no access token of this user's, one fault each.
fn bad_tokens(uid: u64) -> Vec<Bad> {
    let name = User::new(uid).name;
    let (exp, past) = (now_ms() + 3_600_000, now_ms() - 1);
    let good = format!(r#"{{"exp":{exp},"sub":"tk","uid":"{name}"}}"#);
    let ours = |header: &str, claims: &str| signed(header, claims, KEY, Algorithm::HS256);
    let claims = |claims: String| ours(HEADER, &claims);
    let none = r#"{"alg":"none","typ":"JWT"}"#;
    let mut tokens = vec![
        ("a refresh token", token(uid, "rtk", None)),
        (
            "of a foreign key",
            signed(HEADER, &good, "another key", Algorithm::HS256),
        ),
        ("alg none, unsigned", format!("{}.", unsigned(none, &good))),
        ("alg none, without the last part", unsigned(none, &good)),
        ("alg none, signed", ours(none, &good)),
        (
            "alg None",
            format!("{}.", unsigned(r#"{"alg":"None","typ":"JWT"}"#, &good)),
        ),
        ("unsigned", format!("{}.", unsigned(HEADER, &good))),
        (
            "another algorithm, and signed by it",
            signed(
                r#"{"alg":"HS512","typ":"JWT"}"#,
                &good,
                KEY,
                Algorithm::HS512,
            ),
        ),
        (
            "alg twice",
            ours(r#"{"alg":"none","alg":"HS256","typ":"JWT"}"#, &good),
        ),
        (
            "exp twice",
            claims(format!(
                r#"{{"exp":1,"exp":{exp},"sub":"tk","uid":"{name}"}}"#
            )),
        ),
        (
            "sub twice",
            claims(format!(
                r#"{{"exp":{exp},"sub":"rtk","sub":"tk","uid":"{name}"}}"#
            )),
        ),
        (
            "uid twice",
            claims(format!(
                r#"{{"exp":{exp},"sub":"tk","uid":"{name}","uid":"{name}"}}"#
            )),
        ),
        (
            "iat twice",
            claims(format!(
                r#"{{"exp":{exp},"iat":1,"iat":2,"sub":"tk","uid":"{name}"}}"#
            )),
        ),
        (
            "uid twice, once in disguise",
            claims(format!(
                r#"{{"exp":{exp},"sub":"tk","uid":"{name}","\u0075id":"{name}"}}"#
            )),
        ),
        (
            "no exp",
            claims(format!(r#"{{"sub":"tk","uid":"{name}"}}"#)),
        ),
        (
            "no sub",
            claims(format!(r#"{{"exp":{exp},"uid":"{name}"}}"#)),
        ),
        ("no uid", claims(format!(r#"{{"exp":{exp},"sub":"tk"}}"#))),
        (
            "no user",
            claims(format!(r#"{{"exp":{exp},"sub":"tk","uid":"nobody"}}"#)),
        ),
        (
            "another sub",
            claims(format!(r#"{{"exp":{exp},"sub":"TK","uid":"{name}"}}"#)),
        ),
        ("no object", claims("[]".to_owned())),
        ("no JSON", claims(good.replace(':', "="))),
        ("nothing", String::new()),
    ];
    let whole = ours(HEADER, &good);
    tokens.push(("cut short", whole[..whole.len() - 1].to_owned()));
    let changed = good.replace(&name, &User::new(BOB).name);
    let (_, signature) = whole.rsplit_once('.').unwrap();
    tokens.push((
        "changed",
        format!("{}.{signature}", unsigned(HEADER, &changed)),
    ));
    let expired = |sub| format!(r#"{{"exp":{past},"sub":"{sub}","uid":"{name}"}}"#);
    let foreign = signed(HEADER, &expired("tk"), "another key", Algorithm::HS256);
    tokens.push(("foreign and expired", foreign));
    let invalid = tokens.into_iter().map(|(what, token)| Bad {
        what,
        token,
        code: 706,
    });
    let expired = Bad {
        what: "expired",
        token: claims(expired("tk")),
        code: 705,
    };
    let in_seconds = Bad {
        what: "exp in seconds",
        token: claims(format!(
            r#"{{"exp":{},"sub":"tk","uid":"{name}"}}"#,
            exp / 1000
        )),
        code: 705,
    };
    invalid.chain([expired, in_seconds]).collect()
}

fn expired_refresh_token(uid: u64) -> Bad {
    let (past, name) = (now_ms() - 1, User::new(uid).name);
    let claims = format!(r#"{{"exp":{past},"sub":"rtk","uid":"{name}"}}"#);
    Bad {
        what: "an expired refresh token",
        token: signed(HEADER, &claims, KEY, Algorithm::HS256),
        code: 705,
    }
}
