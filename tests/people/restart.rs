//! A server that is killed in the middle of it all.

use serde_json::{Value, json};

use super::support::{ALICE, BOB, CAROL, ONCE, Server};
use super::town::{ask, befriend, entry, found, hears, history, name, send_c2g};

#[tokio::test]
async fn what_was_said_in_a_group_is_there_once_after_the_server_was_killed() {
    let mut server = Server::start(&[ONCE]).await;
    let gid = found(&server, ALICE, &[BOB, CAROL]).await;
    let mut alice = server.login(ALICE, "a-phone").await;
    server.login(BOB, "b-phone").await.leave().await;
    let ids: Vec<String> = (0..60).map(|at| format!("m{at}")).collect();
    for id in &ids {
        send_c2g(&mut alice, id, &gid).await;
    }
    hears(&mut alice, "C2G_SERVER_ACK", "m9").await;
    server.kill9().await;
    server.restart().await;
    let mut alice = server.login(ALICE, "a-phone").await;
    for id in &ids {
        send_c2g(&mut alice, id, &gid).await;
        hears(&mut alice, "C2G_SERVER_ACK", id).await;
    }
    for reader in [BOB, CAROL] {
        let said = history(&server, reader, &format!("c2g/{gid}")).await;
        let places: Vec<u64> = said
            .iter()
            .map(|message| message["cseq"].as_u64().unwrap())
            .collect();
        assert!(
            places.windows(2).all(|pair| pair[0] + 1 == pair[1]),
            "{places:?}"
        );
        let found: Vec<&str> = said
            .iter()
            .filter(|message| message["type"] == "C2G")
            .map(|message| message["id"].as_str().unwrap())
            .collect();
        assert_eq!(found, ids);
    }
    let mut bob = server.login(BOB, "b-phone").await;
    for id in &ids {
        hears(&mut bob, "C2G", id).await;
    }
}

#[tokio::test]
async fn marks_contacts_blocks_and_edits_outlive_the_server() {
    let mut server = Server::start(&[ONCE]).await;
    befriend(&server, ALICE, BOB).await;
    let mut alice = server.login(ALICE, "a-phone").await;
    alice.send_c2c("m1", BOB, "helo").await;
    let place = alice.accepted("m1").await.num("cseq");
    let (a, b) = (name(ALICE), name(BOB));
    let said = json!({"id": "e1", "payload": "hello"});
    let path = format!("/v1/conversations/c2c/{b}/messages/m1");
    ask(&server, ALICE, "PUT", &path, said).await.payload();
    let path = format!("/v1/conversations/c2c/{a}/read");
    ask(&server, BOB, "PUT", &path, json!({"up_to": place}))
        .await
        .payload();
    let path = format!("/v1/blocks/{}", name(CAROL));
    ask(&server, BOB, "PUT", &path, Value::Null).await.payload();
    server.kill9().await;
    server.restart().await;
    assert_eq!(entry(&server, BOB, ALICE).await["unread"], 0);
    assert_eq!(entry(&server, ALICE, BOB).await["peer_read"], place);
    let said = history(&server, BOB, &format!("c2c/{a}")).await;
    let words = said.iter().find(|message| message["id"] == "m1").unwrap();
    assert_eq!(words["payload"], "hello");
    let contacts = ask(&server, BOB, "GET", "/v1/contacts", Value::Null)
        .await
        .payload();
    assert_eq!(contacts["contacts"][0]["uid"], a);
    let blocks = ask(&server, BOB, "GET", "/v1/blocks", Value::Null)
        .await
        .payload();
    assert_eq!(blocks["blocks"][0]["uid"], name(CAROL));
}
