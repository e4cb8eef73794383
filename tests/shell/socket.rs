//! The shell over a WebSocket.

use serde_json::{Value, json};

use crate::support::{ADMIN_TOKEN, Client, Heard, Server};
use crate::{READ, READ_TOKEN};

async fn says(client: &mut Client, frame: Value) {
    client.send(frame.to_string()).await;
}

async fn hears(client: &mut Client) -> Value {
    serde_json::from_str(&client.text().await).unwrap()
}

async fn connect(server: &Server, session: &str) -> Client {
    let token = format!("Bearer {ADMIN_TOKEN}");
    let headers = [("authorization", token.as_str()), ("x-session", session)];
    Client::open_with(server.admin, "/repl/ws", &headers).await
}

#[tokio::test]
async fn output_comes_as_it_is_printed_and_the_end_says_what_came_of_it() {
    let server = Server::start(&[]).await;
    let mut shell = connect(&server, "night").await;
    let hello = hears(&mut shell).await;
    assert_eq!(
        (&hello["type"], &hello["read_only"], &hello["next"]),
        (&json!("hello"), &json!(false), &json!(1))
    );
    says(
        &mut shell,
        json!({"type": "eval", "id": 1, "text": "io:format(\"one~n\"), X = 2."}),
    )
    .await;
    assert_eq!(
        hears(&mut shell).await,
        json!({"type": "output", "id": 1, "text": "one\n"})
    );
    assert_eq!(
        hears(&mut shell).await,
        json!({"type": "output", "id": 1, "text": "2\n"})
    );
    assert_eq!(
        hears(&mut shell).await,
        json!({"type": "done", "id": 1, "value": "2", "error": null, "next": 2})
    );
    says(
        &mut shell,
        json!({"type": "complete", "id": 2, "text": "yizhan:kic"}),
    )
    .await;
    assert_eq!(
        hears(&mut shell).await,
        json!({"type": "complete", "id": 2, "from": 7, "candidates": ["kick/1", "kick/2"]})
    );
    drop(shell);
    let mut again = connect(&server, "night").await;
    assert_eq!(hears(&mut again).await["next"], 2);
    says(
        &mut again,
        json!({"type": "eval", "id": 3, "text": "X + 1."}),
    )
    .await;
    assert_eq!(hears(&mut again).await["text"], "3\n");
}

#[tokio::test]
async fn an_interruption_ends_the_evaluation_and_not_the_session() {
    let server = Server::start(&["shell.eval_ms=60000"]).await;
    let mut shell = connect(&server, "day").await;
    hears(&mut shell).await;
    for endless in [
        "X = 1, io:format(\"begun~n\"), (fun L() -> L() end)().",
        "io:format(\"begun~n\"), receive x -> x end.",
    ] {
        says(
            &mut shell,
            json!({"type": "eval", "id": 1, "text": endless}),
        )
        .await;
        assert_eq!(hears(&mut shell).await["text"], "begun\n");
        says(&mut shell, json!({"type": "interrupt"})).await;
        let output = hears(&mut shell).await;
        assert!(
            output["text"].as_str().unwrap().contains("interrupted"),
            "{output}"
        );
        assert_eq!(hears(&mut shell).await["type"], "done");
    }
    says(
        &mut shell,
        json!({"type": "eval", "id": 2, "text": "1 + 1."}),
    )
    .await;
    assert_eq!(hears(&mut shell).await["text"], "2\n");
}

#[tokio::test]
async fn a_browser_shows_its_token_in_the_first_frame() {
    let server = Server::start(&[READ]).await;
    let mut shell = Client::open(server.admin, "/repl/ws").await;
    says(
        &mut shell,
        json!({"type": "auth", "token": READ_TOKEN, "session": "console-1"}),
    )
    .await;
    let hello = hears(&mut shell).await;
    assert_eq!(
        (&hello["session"], &hello["read_only"]),
        (&json!("console-1"), &json!(true))
    );
    says(
        &mut shell,
        json!({"type": "eval", "id": 1, "text": "yizhan:ban(1)."}),
    )
    .await;
    assert!(
        hears(&mut shell).await["text"]
            .as_str()
            .unwrap()
            .contains("not_allowed")
    );
    for first in [
        json!({"type": "auth", "token": "wrong"}),
        json!({"type": "eval", "id": 1, "text": "1."}),
    ] {
        let mut stranger = Client::open(server.admin, "/repl/ws").await;
        says(&mut stranger, first).await;
        match stranger.next().await {
            Heard::Closed(code) => assert_eq!(code, Some(4001)),
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn a_frame_that_is_not_understood_is_named_and_costs_nothing() {
    let server = Server::start(&[]).await;
    let mut shell = connect(&server, "odd").await;
    hears(&mut shell).await;
    for odd in [
        "",
        "1",
        "{}",
        r#"{"type":"dance"}"#,
        r#"{"type":"eval","id":1}"#,
    ] {
        shell.send(odd).await;
        let told = hears(&mut shell).await;
        assert_eq!(told["type"], "error", "{odd}");
    }
    says(
        &mut shell,
        json!({"type": "eval", "id": 1, "text": "fine."}),
    )
    .await;
    assert_eq!(hears(&mut shell).await["text"], "fine\n");
}
