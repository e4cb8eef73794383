//! What an evaluation may use: it ends and says so, and nobody else notices.

use std::time::Instant;

use serde_json::Value;

use crate::support::{ADMIN_TOKEN, ALICE, BOB, Server};

#[tokio::test]
async fn what_never_ends_is_stopped_and_says_so() {
    let server = Server::start(&["shell.eval_ms=300"]).await;
    for endless in [
        "L = fun L() -> L() end, L().",
        "catch (fun L() -> L() end)().",
        "try (fun L() -> L() end)() catch _:_ -> caught end.",
        "receive never -> ok end.",
    ] {
        let error = server.raises(endless).await;
        assert!(
            error.contains("stopped after 300 ms, which is shell.eval_ms"),
            "{endless}\n{error}"
        );
    }
    let endless =
        "[X || X <- lists:seq(1, 3000), _ <- lists:seq(1, 3000), _ <- lists:seq(1, 3000)].";
    let error = server.raises(endless).await;
    assert!(error.starts_with("* stopped"), "{error}");
    assert_eq!(server.value("1 + 1.").await, "2");
}

#[tokio::test]
async fn what_would_fill_the_memory_is_refused() {
    let server = Server::start(&[]).await;
    let before = server.value("erlang:memory(total).").await;
    for greedy in [
        "lists:seq(1, 100000000000).",
        "1 bsl 1000000000000.",
        "D = fun D(B) -> D(<<B/binary, B/binary>>) end, D(<<\"x\">>).",
        "D = fun D(L) -> D(L ++ L) end, D([1]).",
        "io:format(\"~1000000000c\", [$x]).",
        "[lists:duplicate(10000, X) || X <- lists:seq(1, 10000)].",
    ] {
        server.raises(greedy).await;
    }
    let after = server.value("erlang:memory(total).").await;
    let grown = after.parse::<i64>().unwrap() - before.parse::<i64>().unwrap();
    assert!(grown < 600 << 20, "{grown} bytes");
}

#[tokio::test]
async fn a_text_that_is_too_long_or_no_text_is_refused() {
    let server = Server::start(&[]).await;
    let long = format!("\"{}\".", "x".repeat(65_536));
    let answer = server.shell_as(ADMIN_TOKEN, &long).send().await;
    assert_eq!(answer.status, 413, "{}", answer.body);
    assert!(answer.body.contains("at most 65536"), "{}", answer.body);
    let nested = "[".repeat(60_000);
    let answer = server.raises(&format!("{nested}.")).await;
    assert!(answer.contains("nested"), "{answer}");
    let syntax = server.raises("foo(1 2).").await;
    assert!(
        syntax.starts_with("* 1:7: syntax error before: 2"),
        "{syntax}"
    );
    assert!(syntax.ends_with("\nfoo(1 2).\n      ^"), "{syntax}");
}

#[tokio::test]
async fn a_named_session_keeps_its_variables_and_another_does_not_see_them() {
    let server = Server::start(&[]).await;
    let in_session = async |name: &str, text: &str| -> Value {
        let call = server.shell_as(ADMIN_TOKEN, text);
        let call = call
            .header("x-session", name)
            .header("accept", "application/json");
        serde_json::from_str(&call.send().await.body).unwrap()
    };
    assert_eq!(in_session("one", "X = 1.").await["value"], "1");
    assert_eq!(in_session("one", "X + 1.").await["value"], "2");
    assert_eq!(in_session("one", "v(1) + v(-1).").await["value"], "3");
    let unbound = in_session("two", "X.").await;
    assert_eq!(unbound["value"], Value::Null);
    assert!(
        unbound["error"]
            .as_str()
            .unwrap()
            .contains("variable 'X' is unbound")
    );
    let answer = server
        .shell_as(ADMIN_TOKEN, "1.")
        .header("x-session", "no/name")
        .send()
        .await;
    assert_eq!(answer.status, 400, "{}", answer.body);
    for number in 0..100 {
        assert_eq!(
            in_session(&format!("s{number}"), "Y = 1.").await["value"],
            "1"
        );
    }
    let shells =
        "length([x || #{kind := shell} <- [maps:from_list(process_info(P)) || P <- processes()]]).";
    let shells: usize = server.value(shells).await.parse().unwrap();
    assert!(shells <= 48, "{shells} sessions");
}

#[tokio::test]
async fn shells_that_evaluate_in_loops_lose_no_message() {
    let server = Server::start(&["shell.eval_ms=1000"]).await;
    let busy = "L = fun L(N) -> yizhan:online(), yizhan:behind(), lists:sum(lists:seq(1, 2000)), L(N + 1) end, L(0).";
    let began = Instant::now();
    let shells: Vec<_> = (0..20)
        .map(|_| {
            let call = server.shell_as(ADMIN_TOKEN, busy);
            tokio::spawn(async move { call.send().await })
        })
        .collect();
    let mut alice = server.login(ALICE, "a").await;
    let mut bob = server.login(BOB, "b").await;
    let mut sent = 0;
    while shells.iter().any(|shell| !shell.is_finished()) {
        let id = format!("m{sent}");
        alice.send_c2c(&id, BOB, "hello").await;
        alice.accepted(&id).await;
        bob.takes(&id).await;
        alice.delivered(&id).await;
        sent += 1;
    }
    assert!(began.elapsed().as_millis() >= 1000 && sent > 0);
    for shell in shells {
        let answer = shell.await.unwrap();
        assert!(
            answer.body.contains("stopped after 1000 ms"),
            "{}",
            answer.body
        );
    }
    bob.heard_nothing_else().await;
}
