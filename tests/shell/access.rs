//! Who may use the shell, and for what.

use serde_json::Value;

use crate::support::{ADMIN_TOKEN, ALICE, BOB, Call, ONCE, Server};
use crate::{READ, READ_TOKEN};

#[tokio::test]
async fn nothing_is_evaluated_without_a_token_or_with_a_wrong_one() {
    let server = Server::start(&[READ]).await;
    for path in ["/repl/table", "/observe", "/metrics"] {
        assert_eq!(
            Call::get(server.admin, path).send().await.status,
            401,
            "{path}"
        );
        let wrong = Call::get(server.admin, path).bearer("wrong");
        assert_eq!(wrong.send().await.status, 401, "{path}");
    }
    assert_eq!(
        Call::post(server.admin, "/repl", "1.").send().await.status,
        401
    );
    assert_eq!(server.shell_as("", "1.").send().await.status, 401);
    assert_eq!(server.shell_as("wrong", "1.").send().await.status, 401);
    let upgrade = Call::upgrade(server.admin, "/repl/ws").bearer("wrong");
    assert_eq!(upgrade.send().await.status, 401);
    assert_eq!(server.shell_as(ADMIN_TOKEN, "1.").send().await.body, "1\n");
    assert_eq!(server.shell_as(READ_TOKEN, "1.").send().await.body, "1\n");
    let public = Call::post(server.public, "/repl", "1.").bearer(ADMIN_TOKEN);
    assert_eq!(public.send().await.status, 404, "clients have no shell");
}

#[tokio::test]
async fn a_token_in_a_url_is_refused_even_if_it_is_right() {
    let server = Server::start(&[]).await;
    for path in [
        "/repl/ws?token=",
        "/observe?authorization=",
        "/?access_token=",
    ] {
        let path = format!("{path}{ADMIN_TOKEN}");
        let answer = Call::upgrade(server.admin, &path)
            .bearer(ADMIN_TOKEN)
            .send()
            .await;
        assert_eq!(answer.status, 400, "{path}");
        assert!(answer.body.contains("a token in a URL"), "{}", answer.body);
        assert!(!answer.body.contains(ADMIN_TOKEN));
    }
    assert!(!server.log().contains(ADMIN_TOKEN));
}

#[tokio::test]
async fn a_page_of_another_site_gets_nothing() {
    let server = Server::start(&[]).await;
    let own = format!("http://{}", server.admin);
    for (header, value, status) in [
        ("origin", "http://evil.example", 403),
        ("origin", "null", 403),
        ("origin", own.as_str(), 200),
        ("sec-fetch-site", "cross-site", 403),
        ("sec-fetch-site", "same-origin", 200),
    ] {
        let call = server.shell_as(ADMIN_TOKEN, "1.").header(header, value);
        assert_eq!(call.send().await.status, status, "{header}: {value}");
        let call = Call::upgrade(server.admin, "/repl/ws").bearer(ADMIN_TOKEN);
        let status = if status == 200 { 101 } else { status };
        let answer = call.header(header, value).send().await;
        assert_eq!(answer.status, status, "{header}: {value}");
    }
    let answer = server.shell_as(ADMIN_TOKEN, "1.").send().await;
    let cors = |(name, _): &(String, String)| name.starts_with("access-control");
    assert!(!answer.headers.iter().any(cors), "{:?}", answer.headers);
}

/// A call of each function, with arguments that would do something.
fn call_of(function: &Value, pid: &str) -> String {
    let text = |name: &str| function[name].as_str().unwrap().to_owned();
    let arguments: Vec<String> = (0..function["arity"].as_u64().unwrap())
        .map(|at| match (text("name").as_str(), at) {
            ("exit", 0) => pid.to_owned(),
            ("exit", _) => "kill".to_owned(),
            ("schedule", _) => "[0]".to_owned(),
            ("run", 0) => "0".to_owned(),
            ("run", _) => "<<\"rtmp://127.0.0.1/live\">>".to_owned(),
            (_, 0) => "108".to_owned(),
            ("event" | "send_next", 1) if function["arity"].as_u64() > Some(4) => "test".to_owned(),
            ("send_next", at) if at + 1 == function["arity"].as_u64().unwrap() => "[0]".to_owned(),
            (_, 1) => "<<\"phone\">>".to_owned(),
            (_, at) => format!("<<\"{at}\">>"),
        })
        .collect();
    let (module, name) = (text("module"), text("name"));
    let arguments = arguments.join(", ");
    match module.as_str() {
        "shell" => format!("{name}({arguments})."),
        _ => format!("{module}:'{name}'({arguments})."),
    }
}

#[tokio::test]
async fn a_token_that_only_reads_can_change_nothing() {
    let server = Server::start(&[READ, ONCE]).await;
    let mut alice = server.login(ALICE, "laptop").await;
    let mut bob = server.login(BOB, "phone").await;
    alice
        .send_c2c("phone", BOB, "a message whose id is phone")
        .await;
    alice.accepted("phone").await;
    bob.receives("phone").await;
    let device = "hd([P || P <- processes(), {kind, device} =:= process_info(P, kind), {did, <<\"phone\">>} =:= process_info(P, did)])";
    let table = Call::get(server.admin, "/repl/table")
        .bearer(READ_TOKEN)
        .send()
        .await;
    let table: Value = serde_json::from_str(&table.body).unwrap();
    let functions = table["payload"]["functions"].as_array().unwrap();
    let mut refused = 0;
    for function in functions {
        let call = call_of(function, device);
        let answer = server.shell_as(READ_TOKEN, &call).send().await;
        assert_eq!(answer.status, 200, "{call}");
        if function["changes"] == true {
            refused += 1;
            assert!(
                answer.body.contains("not_allowed"),
                "{call}\n{}",
                answer.body
            );
            let name = function["name"].as_str().unwrap();
            assert!(
                answer.body.contains(&format!("{name}/")),
                "{call}\n{}",
                answer.body
            );
        }
    }
    assert!(refused >= 18, "{refused} functions change something");
    for sneaky in [
        format!("{device} ! <<\"boo\">>."),
        format!("erlang:send({device}, <<\"boo\">>)."),
        "apply(yizhan, kick, [108]).".to_owned(),
        "(fun yizhan:kick/1)(108).".to_owned(),
        "lists:foreach(fun yizhan:kick/1, [108]).".to_owned(),
        "M = yizhan, M:kick(108).".to_owned(),
        format!("catch exit({device}, kill)."),
    ] {
        let answer = server.shell_as(READ_TOKEN, &sneaky).send().await;
        assert!(
            answer.body.contains("not_allowed"),
            "{sneaky}\n{}",
            answer.body
        );
    }
    for (call, status) in [
        (Call::post(server.admin, "/v1/messages", "{}"), 403),
        (Call::get(server.admin, "/v1/backup"), 403),
        (Call::put(server.admin, "/v1/users/7b4v1b/ban"), 403),
        (Call::get(server.admin, "/v1/users/7b4v1b/access"), 200),
    ] {
        assert_eq!(call.bearer(READ_TOKEN).send().await.status, status);
    }
    assert_eq!(server.value("yizhan:schedule().").await, "[0,600000]");
    assert_eq!(server.value("yizhan:bans().").await, "[]");
    assert!(
        server
            .value("yizhan:inbox(108).")
            .await
            .contains("waiting => 1")
    );
    bob.heard_nothing_else().await;
    bob.ack_text("phone").await;
    bob.ack_ok("phone").await;
}

#[tokio::test]
async fn a_dry_run_says_what_would_be_done_and_does_nothing() {
    let server = Server::start(&[]).await;
    let mut bob = server.login(BOB, "phone").await;
    let dry = async |text: &str| -> Value {
        let call = server.shell_as(ADMIN_TOKEN, text);
        let call = call
            .header("x-dry-run", "1")
            .header("accept", "application/json");
        serde_json::from_str(&call.send().await.body).unwrap()
    };
    let told = dry("yizhan:kick(108).").await;
    assert_eq!(
        told["output"],
        "dry run: would close the connections of phone of user 108\n{dry_run,<<\"close the connections of phone of user 108\">>}\n"
    );
    for text in [
        "yizhan:ban(108).",
        "yizhan:schedule([0, 5]).",
        "yizhan:drain().",
        "webrtc_ws_logic:event(108, <<\"m1\">>, <<\"boo\">>).",
        "rtmp_proxy:run(1935, <<\"rtmp://127.0.0.1/live\">>).",
        "[exit(P, kill) || P <- processes(), {kind, device} =:= process_info(P, kind)].",
    ] {
        let told = dry(text).await;
        assert!(
            told["output"].as_str().unwrap().contains("dry run: would "),
            "{told}"
        );
    }
    let wrong = dry("yizhan:kick(108, 5.0).").await;
    assert!(
        wrong["error"].as_str().unwrap().contains("bad_did"),
        "{wrong}"
    );
    bob.heard_nothing_else().await;
    assert_eq!(server.value("yizhan:bans().").await, "[]");
}

#[tokio::test]
async fn the_audit_log_has_every_line_and_no_secret() {
    let server = Server::start(&[READ]).await;
    let token = server
        .value("binary_to_list(token_ds:encrypt_token(1)).")
        .await;
    let token = token.trim_matches('"').to_owned();
    assert!(token.starts_with("eyJ"), "{token}");
    server
        .shell(&format!("token_ds:decrypt_token(<<\"{token}\">>)."))
        .await;
    server
        .shell(&format!("\"{ADMIN_TOKEN}\" = \"{READ_TOKEN}\"."))
        .await;
    server
        .shell(&format!("{{wrong, <<\"{token}\">>}} = ok."))
        .await;
    server
        .shell_as(READ_TOKEN, "yizhan:kick(108).")
        .send()
        .await;
    server
        .shell_as(ADMIN_TOKEN, "yizhan:ban(108).")
        .header("x-session", "night.shift")
        .send()
        .await;
    let read = |name: &str| std::fs::read_to_string(server.data_dir().join(name)).unwrap();
    let (audit, readers) = (read("audit.log"), read("audit-read.log"));
    for secret in [
        token.as_str(),
        ADMIN_TOKEN,
        READ_TOKEN,
        "Ap2fQm5aBgE8Qzuar6oixYmXpffcL3yw",
    ] {
        assert!(!audit.contains(secret), "{audit}");
        assert!(!readers.contains(secret), "{readers}");
        assert!(!server.log().contains(secret));
    }
    let lines: Vec<Value> = audit
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines.len(), 5);
    let refused: Value = serde_json::from_str(readers.trim()).unwrap();
    assert_eq!(
        lines[1]["text"],
        "token_ds:decrypt_token(<<\"(secret)\">>)."
    );
    assert_eq!(
        (&refused["who"], &refused["outcome"]),
        (
            &Value::from("reader"),
            &Value::from(
                "** exception error: {not_allowed,<<\"yizhan:kick/1 changes the server, and this token only reads\">>}"
            ),
        )
    );
    let last = &lines[4];
    assert_eq!(
        (&last["who"], &last["session"], &last["address"]),
        (
            &Value::from("operator"),
            &Value::from("night.shift"),
            &Value::from("127.0.0.1"),
        )
    );
    assert_eq!(last["changes"], serde_json::json!(["ban user 108"]));
    assert_eq!(last["outcome"], "ok");
    let mode = std::os::unix::fs::MetadataExt::mode(
        &std::fs::metadata(server.data_dir().join("audit.log")).unwrap(),
    );
    assert_eq!(mode & 0o777, 0o600);
}
