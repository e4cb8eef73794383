//! What is read, what is not yet, and how it is found again.

use serde_json::{Value, json};

use super::support::{ALICE, BOB, CAROL, Client, Frame, ONCE, Server};
use super::town::{ask, entry, heard, hears, hears_a, name};

async fn writes(client: &mut Client, to: u64, count: usize) {
    for at in 1..=count {
        let id = format!("m{at}");
        client.send_c2c(&id, to, "hello").await;
        client.accepted(&id).await;
    }
}

fn places(page: &Frame) -> Vec<u64> {
    let messages = page.frames("messages");
    messages.iter().map(|message| message.num("cseq")).collect()
}

#[tokio::test]
async fn what_is_marked_as_read_counts_no_more_and_both_sides_hear_of_it() {
    let server = Server::start(&[ONCE]).await;
    let mut alice = server.login(ALICE, "a-phone").await;
    let mut phone = server.login(BOB, "b-phone").await;
    let mut pad = server.login(BOB, "b-pad").await;
    writes(&mut alice, BOB, 3).await;
    assert_eq!(entry(&server, BOB, ALICE).await["unread"], 3);
    let (a, b) = (name(ALICE), name(BOB));
    phone
        .send(format!(
            r#"{{"id":"r1","type":"C2C_READ","to":"{a}","up_to":2}}"#
        ))
        .await;
    assert_eq!(hears(&mut phone, "C2C_READ_OK", "r1").await.num("up_to"), 2);
    let told = hears_a(&mut alice, "C2C_READ").await;
    assert_eq!((told.str("from"), told.num("up_to")), (b.clone(), 2));
    let told = hears_a(&mut pad, "C2C_READ").await;
    assert_eq!((told.str("from"), told.str("to")), (b, a.clone()));
    assert_eq!(entry(&server, BOB, ALICE).await["unread"], 1);
    assert_eq!(entry(&server, ALICE, BOB).await["peer_read"], 2);
    let path = format!("/v1/conversations/c2c/{a}/read");
    let read = ask(&server, BOB, "PUT", &path, json!({"up_to": 3})).await;
    assert_eq!(read.payload(), json!({"up_to": 3}));
    assert_eq!(hears_a(&mut alice, "C2C_READ").await.num("up_to"), 3);
    // It never goes back.
    let back = ask(&server, BOB, "PUT", &path, json!({"up_to": 1})).await;
    assert_eq!(back.payload(), json!({"up_to": 3}));
    assert_eq!(entry(&server, BOB, ALICE).await["unread"], 0);
}

#[tokio::test]
async fn the_history_is_paged_both_ways() {
    let server = Server::start(&[ONCE]).await;
    let mut alice = server.login(ALICE, "a-phone").await;
    writes(&mut alice, BOB, 7).await;
    for (range, expected, more) in [
        (r#""limit":3"#, vec![5, 6, 7], true),
        (r#""before":5,"limit":3"#, vec![2, 3, 4], true),
        (r#""before":2,"limit":3"#, vec![1], false),
        (r#""after":0,"limit":4"#, vec![1, 2, 3, 4], true),
        (r#""after":4,"limit":4"#, vec![5, 6, 7], false),
        (r#""after":7"#, vec![], false),
    ] {
        let to = name(BOB);
        alice
            .send(format!(
                r#"{{"id":"h","type":"C2C_HISTORY","to":"{to}",{range}}}"#
            ))
            .await;
        let page = hears(&mut alice, "C2C_HISTORY_PAGE", "h").await;
        assert_eq!(
            (places(&page), page.flag("more")),
            (expected, more),
            "{range}"
        );
        assert_eq!(page.num("head"), 7);
    }
}

#[tokio::test]
async fn what_waits_can_be_asked_for_by_conversation() {
    let server = Server::start(&[ONCE]).await;
    server.login(BOB, "b-phone").await.leave().await;
    let mut alice = server.login(ALICE, "a-phone").await;
    let mut carol = server.login(CAROL, "c-phone").await;
    writes(&mut alice, BOB, 3).await;
    writes(&mut carol, BOB, 2).await;
    let mut bob = server.login(BOB, "b-phone").await;
    for (with, count) in [(ALICE, 3), (CAROL, 2)] {
        let with = name(with);
        bob.send(format!(r#"{{"id":"s","type":"C2C_SYNC","to":"{with}"}}"#))
            .await;
        let page = hears(&mut bob, "C2C_SYNC_PAGE", "s").await;
        let rows = page.frames("messages");
        assert!(rows.iter().all(|row| row.str("from") == with), "{page:?}");
        assert_eq!(rows.len(), count);
    }
}

#[tokio::test]
async fn conversations_are_listed_the_latest_first() {
    let server = Server::start(&[ONCE]).await;
    let mut alice = server.login(ALICE, "a-phone").await;
    let mut carol = server.login(CAROL, "c-phone").await;
    let mut bob = server.login(BOB, "b-phone").await;
    writes(&mut alice, BOB, 2).await;
    writes(&mut carol, BOB, 1).await;
    bob.send(r#"{"id":"l","type":"CONVERSATIONS"}"#).await;
    let page = hears(&mut bob, "CONVERSATIONS_PAGE", "l").await;
    let listed = page.frames("conversations");
    let shown: Vec<(String, u64)> = listed
        .iter()
        .map(|one| (one.str("to"), one.num("unread")))
        .collect();
    assert_eq!(shown, [(name(CAROL), 1), (name(ALICE), 2)]);
    let rest = ask(&server, BOB, "GET", "/v1/conversations", Value::Null).await;
    let rest = rest.payload();
    assert_eq!(rest["conversations"], page.json("conversations"));
}

#[tokio::test]
async fn between_two_of_whom_one_has_blocked_the_other_nobody_hears_what_is_read() {
    let server = Server::start(&[ONCE]).await;
    let mut alice = server.login(ALICE, "a-phone").await;
    let mut bob = server.login(BOB, "b-phone").await;
    let mut pad = server.login(BOB, "b-pad").await;
    writes(&mut alice, BOB, 3).await;
    bob.send_c2c("b1", ALICE, "hello").await;
    bob.accepted("b1").await;
    let (a, b) = (name(ALICE), name(BOB));
    let block = format!("/v1/blocks/{a}");
    ask(&server, BOB, "PUT", &block, Value::Null)
        .await
        .payload();
    for (reader, other, up_to) in [(BOB, &a, 2), (ALICE, &b, 4)] {
        let path = format!("/v1/conversations/c2c/{other}/read");
        let read = ask(&server, reader, "PUT", &path, json!({"up_to": up_to})).await;
        assert_eq!(read.payload(), json!({"up_to": up_to}));
    }
    // The reader's own devices go on together.
    assert_eq!(hears_a(&mut pad, "C2C_READ").await.num("up_to"), 2);
    for (reader, other) in [(ALICE, BOB), (BOB, ALICE)] {
        let listed = entry(&server, reader, other).await;
        assert!(listed.get("peer_read").is_none(), "{listed}");
    }
    ask(&server, BOB, "DELETE", &block, Value::Null)
        .await
        .payload();
    let path = format!("/v1/conversations/c2c/{a}/read");
    ask(&server, BOB, "PUT", &path, json!({"up_to": 3}))
        .await
        .payload();
    // Nothing came before that.
    let told = alice.expect("C2C_READ", |frame| {
        frame.is("C2C_READ") && frame.str("from") == b
    });
    assert_eq!(told.await.num("up_to"), 3);
    let of_alice = |frame: &&Frame| frame.str("from") == a;
    let heard = heard(&mut pad, "C2C_READ").await;
    assert_eq!(heard.iter().filter(of_alice).count(), 0, "{heard:?}");
    assert_eq!(entry(&server, ALICE, BOB).await["peer_read"], 3);
}
