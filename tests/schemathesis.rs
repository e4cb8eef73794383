//! The server against its own OpenAPI documents, by schemathesis.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "support/lib.rs"]
mod support;

use std::env;
use std::process::{Command, Output};

use serde_json::json;
use support::{ADMIN_TOKEN, Call, SEED, Server};

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/schemathesis.sh");

/// The script ends with this if it cannot begin.
const NOT_THERE: i32 = 77;

#[tokio::test(flavor = "multi_thread")]
async fn what_the_public_document_says_holds() {
    check(|server, user| (format!("http://{}", server.public), user.to_owned())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_admin_document_says_holds() {
    check(|server, _| (format!("http://{}", server.admin), ADMIN_TOKEN.to_owned())).await;
}

/// Tries a listener of a new server with a token; both are told by who knows the first user's token.
async fn check(of: impl Fn(&Server, &str) -> (String, String)) {
    let server = Server::start_with(&["--dev", "--config", SEED], &[]).await;
    let (mut users, mut tokens) = (Vec::new(), Vec::new());
    for uid in 1..=3 {
        let body = json!({"uid": uid});
        let call = Call::of("POST", server.public, "/v1/dev/token", &body);
        let made = call.send().await.payload();
        users.push(made["uid"].as_str().unwrap().to_owned());
        tokens.push(made["token"].as_str().unwrap().to_owned());
    }
    let body = json!({"id": "g1", "name": "Hikers", "members": [users[1]]});
    let call = Call::of("POST", server.public, "/v1/groups", &body);
    let group = call.bearer(&tokens[0]).send().await.payload();
    let (url, token) = of(&server, &tokens[0]);
    let gid = group["gid"].as_str().unwrap().to_owned();
    let ran = tokio::task::spawn_blocking(move || run(&url, &token, &users.join(","), &gid)).await;
    let Output {
        status,
        stdout,
        stderr,
    } = ran.unwrap();
    let [stdout, stderr] = [stdout, stderr].map(|said| String::from_utf8(said).unwrap());
    let said = stdout + &stderr;
    let must = env::var_os("CI").is_some_and(|ci| !ci.is_empty());
    match status.code() {
        Some(0) => {}
        Some(NOT_THERE) if !must => println!("skipped: {said}"),
        _ => panic!("{said}"),
    }
}

fn run(url: &str, token: &str, users: &str, groups: &str) -> Output {
    let mut script = Command::new("bash");
    script.args([SCRIPT, url, token, users, groups]);
    script.output().unwrap()
}
