//! The lines of the notes yizhan follows work as they were typed there; only the host is another.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "support/lib.rs"]
mod support;

use support::{Client, Frame, Server, c2c};

const TOKEN_OF_1: &str = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJleHAiOjE2NjExMDM5NDQ5MTgsInN1YiI6InRrIiwidWlkIjoia3licWRwIn0.FYhYR0KzHZe9kHEeTbcYWwahyqLXBE7rUWaQgyI5I14";
const TOKEN_OF_108: &str = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJleHAiOjE2NjkwNDc2Nzc3MDgsInN1YiI6InRrIiwidWlkIjoiN2I0djFiIn0.n19M6-kR_p4EtqJMst4kO1cqgdG5F2gyNY6QL46xpR8";

const LINE_1_TO_108: &str = r#"{"id":"cdsgrbgppoodp0gvpb60","type":"C2C","from":"kybqdp","to":"7b4v1b","payload":{"msg_type":"text","text":"1to108"},"created_at":1668877742828}"#;
const LINE_108_TO_1: &str = r#"{"id":"cdsgrbgppoodp0gvpb6g","type":"C2C","from":"7b4v1b","to":"kybqdp","payload":{"msg_type":"text","text":"108to1"},"created_at":1668877742828}"#;

#[tokio::test]
async fn a_line_from_1_arrives_at_108_and_shows_six_frames() {
    let server = Server::start(&[]).await;
    let (mut one, mut other) = both(&server).await;
    one.send(LINE_1_TO_108).await;
    let message = six_frames(&mut one, &mut other, "cdsgrbgppoodp0gvpb60").await;
    assert_eq!(message.str("from"), "kybqdp");
    assert_eq!(message.str("to"), "7b4v1b");
    assert_eq!(
        message.raw("payload"),
        r#"{"msg_type":"text","text":"1to108"}"#
    );
}

#[tokio::test]
async fn a_line_from_108_arrives_at_1_and_shows_six_frames() {
    let server = Server::start(&[]).await;
    let (mut one, mut other) = both(&server).await;
    other.send(LINE_108_TO_1).await;
    let message = six_frames(&mut other, &mut one, "cdsgrbgppoodp0gvpb6g").await;
    assert_eq!(message.str("from"), "7b4v1b");
    assert_eq!(message.str("to"), "kybqdp");
    assert_eq!(
        message.raw("payload"),
        r#"{"msg_type":"text","text":"108to1"}"#
    );
}

#[tokio::test]
async fn both_lines_cross() {
    let server = Server::start(&[]).await;
    let (mut one, mut other) = both(&server).await;
    one.send(LINE_1_TO_108).await;
    other.send(LINE_108_TO_1).await;
    six_frames(&mut one, &mut other, "cdsgrbgppoodp0gvpb60").await;
    six_frames(&mut other, &mut one, "cdsgrbgppoodp0gvpb6g").await;
}

#[tokio::test]
async fn the_literal_ack_of_the_notes_acks_the_message_msgid() {
    let server = Server::start(&[]).await;
    let (mut one, mut other) = both(&server).await;
    one.send(c2c("msgid", "7b4v1b", r#""the id is the word""#))
        .await;
    other.receives("msgid").await;
    other.send("CLIENT_ACK,type,msgid,did").await;
    other.ack_ok("msgid").await;
    assert_eq!(one.delivered("msgid").await.str("did"), "did");
}

#[tokio::test]
async fn the_slash_after_ws_may_be_left_out() {
    let server = Server::start(&[]).await;
    let mut one = Client::open(server.public, &format!("/ws?authorization={TOKEN_OF_1}")).await;
    assert!(one.frame().await.is("S2C"));
}

/// Users 1 and 108, connected as the notes do: a token in the query and nothing that names a device.
async fn both(server: &Server) -> (Client, Client) {
    let mut one = Client::open(server.public, &format!("/ws/?authorization={TOKEN_OF_1}")).await;
    let mut other =
        Client::open(server.public, &format!("/ws/?authorization={TOKEN_OF_108}")).await;
    for client in [&mut one, &mut other] {
        let summary = client.frame().await;
        assert!(summary.is("S2C"), "{summary:?}");
        assert_eq!(summary.json("payload")["count"], 0);
    }
    (one, other)
}

/// Frame 1 is sent; sees the other five, all with this id, and gives the message.
async fn six_frames(sender: &mut Client, reader: &mut Client, id: &str) -> Frame {
    let accepted = sender.accepted(id).await;
    let message = reader.receives(id).await;
    assert_eq!(message.num("created_at"), 1_668_877_742_828);
    assert_eq!(message.num("server_ts"), accepted.num("server_ts"));
    reader.ack_text(id).await;
    reader.ack_ok(id).await;
    let delivered = sender.delivered(id).await;
    assert_eq!(delivered.str("from"), message.str("to"));
    assert_eq!(delivered.str("did"), "did");
    message
}
