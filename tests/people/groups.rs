//! Groups: who gets what is said in one.

use serde_json::{Value, json};

use super::support::{ALICE, BOB, CAROL, Client, ONCE, Server, token};
use super::town::{ask, found, heard, hears, history, is_told, name, send_c2g, takes_c2g};

const DAVE: u64 = 7;

#[tokio::test]
async fn a_message_to_a_group_goes_through_the_six_frames_and_its_author_hears_the_count() {
    let server = Server::start(&[ONCE]).await;
    let mut alice = server.login(ALICE, "a-phone").await;
    let mut bob = server.login(BOB, "b-phone").await;
    let mut carol = server.login(CAROL, "c-phone").await;
    let gid = found(&server, ALICE, &[BOB, CAROL]).await;
    send_c2g(&mut alice, "m1", &gid).await;
    let accepted = hears(&mut alice, "C2G_SERVER_ACK", "m1").await;
    assert_eq!(accepted.str("to"), gid);
    for reader in [&mut bob, &mut carol] {
        let message = takes_c2g(reader, "m1").await;
        assert_eq!(
            (message.str("from"), message.str("to")),
            (name(ALICE), gid.clone())
        );
        assert_eq!(message.num("cseq"), accepted.num("cseq"));
    }
    let mut counts = Vec::new();
    while counts.last() != Some(&2) {
        let told = hears(&mut alice, "C2G_DELIVERED", "m1").await;
        assert_eq!(told.str("from"), gid);
        counts.push(told.num("count"));
    }
    assert!(counts.is_sorted(), "{counts:?}");
    let path = format!("/v1/conversations/c2g/{gid}/messages/m1/receipts");
    let receipts = ask(&server, ALICE, "GET", &path, Value::Null)
        .await
        .payload();
    let delivered = |uid: u64| {
        let of = receipts["members"].as_array().unwrap().iter();
        of.filter(|member| member["uid"] == name(uid))
            .all(|member| member["delivered"] == true)
    };
    assert!(delivered(BOB) && delivered(CAROL), "{receipts}");
}

#[tokio::test]
async fn whoever_is_invited_hears_what_comes_from_then_on() {
    let server = Server::start(&[ONCE]).await;
    let mut alice = server.login(ALICE, "a-phone").await;
    let mut dave = server.login(DAVE, "d-phone").await;
    let gid = found(&server, ALICE, &[BOB]).await;
    send_c2g(&mut alice, "before", &gid).await;
    hears(&mut alice, "C2G_SERVER_ACK", "before").await;
    let body = json!({"uids": [name(DAVE)]});
    let invited = ask(
        &server,
        ALICE,
        "POST",
        &format!("/v1/groups/{gid}/members"),
        body,
    )
    .await;
    assert_eq!(invited.payload()["added"], json!([name(DAVE)]));
    let told = is_told(&mut dave, "group_joined").await;
    assert_eq!(told.json("payload")["group"], gid);
    send_c2g(&mut alice, "after", &gid).await;
    takes_c2g(&mut dave, "after").await;
    assert!(heard(&mut dave, "C2G").await.is_empty());
}

#[tokio::test]
async fn whoever_has_left_hears_nothing_more_and_may_say_nothing() {
    let server = Server::start(&[ONCE]).await;
    let mut alice = server.login(ALICE, "a-phone").await;
    let mut bob = server.login(BOB, "b-phone").await;
    let gid = found(&server, ALICE, &[BOB]).await;
    let left = ask(
        &server,
        BOB,
        "POST",
        &format!("/v1/groups/{gid}/leave"),
        Value::Null,
    )
    .await;
    left.payload();
    is_told(&mut alice, "group_left").await;
    send_c2g(&mut alice, "m1", &gid).await;
    hears(&mut alice, "C2G_SERVER_ACK", "m1").await;
    assert!(heard(&mut bob, "C2G").await.is_empty());
    send_c2g(&mut bob, "m2", &gid).await;
    assert!(bob.error(403).await.is_about("m2"));
}

#[tokio::test]
async fn whoever_is_removed_in_mid_burst_gets_nothing_above_the_place_of_the_removal() {
    let server = Server::start(&[ONCE, "device.deliver_window=1000"]).await;
    let mut alice = server.login(ALICE, "a-phone").await;
    let mut bob = server.login(BOB, "b-phone").await;
    let mut carol = server.login(CAROL, "c-phone").await;
    let gid = found(&server, ALICE, &[BOB, CAROL]).await;
    let burst = async {
        for at in 0..200 {
            send_c2g(&mut alice, &format!("m{at}"), &gid).await;
        }
        for at in 0..200 {
            hears(&mut alice, "C2G_SERVER_ACK", &format!("m{at}")).await;
        }
    };
    let path = format!("/v1/groups/{gid}/members/{}", name(BOB));
    let removal = async {
        // In the middle, as a reader sees it.
        takes_c2g(&mut carol, "m20").await;
        ask(&server, ALICE, "DELETE", &path, Value::Null)
            .await
            .payload();
        is_told(&mut carol, "group_removed").await.num("cseq")
    };
    let ((), place) = tokio::join!(burst, removal);
    let mut got = heard(&mut bob, "C2G").await;
    bob.leave().await;
    let mut again = server.login(BOB, "b-phone").await;
    got.extend(heard(&mut again, "C2G").await);
    got.extend(
        again
            .sync(0, 100)
            .await
            .frames("messages")
            .into_iter()
            .filter(|row| row.is("C2G")),
    );
    assert!(!got.is_empty());
    for frame in got {
        assert!(frame.num("cseq") < place, "above {place}: {frame:?}");
    }
    let path = format!("/v1/conversations/c2g/{gid}/messages");
    let read = ask(&server, BOB, "GET", &path, Value::Null).await;
    assert_eq!(read.refusal(403), 403);
}

#[tokio::test]
async fn a_group_that_is_dissolved_tells_its_members_and_takes_nothing_more() {
    let server = Server::start(&[ONCE]).await;
    let mut alice = server.login(ALICE, "a-phone").await;
    let mut bob = server.login(BOB, "b-phone").await;
    let gid = found(&server, ALICE, &[BOB]).await;
    let path = format!("/v1/groups/{gid}");
    let bobs = ask(&server, BOB, "DELETE", &path, Value::Null).await;
    assert_eq!(bobs.refusal(403), 403);
    ask(&server, ALICE, "DELETE", &path, Value::Null)
        .await
        .payload();
    is_told(&mut bob, "group_dissolved").await;
    send_c2g(&mut alice, "m1", &gid).await;
    assert!(alice.error(403).await.is_about("m1"));
}

#[tokio::test]
async fn a_notice_in_the_history_is_the_same_over_both_doors_and_names_nobody_by_number() {
    let server = Server::start(&[]).await;
    let gid = found(&server, ALICE, &[BOB]).await;
    let mut bob = server.login(BOB, "b-phone").await;
    let asked = format!(r#"{{"id":"h","type":"C2G_HISTORY","to":"{gid}","after":0,"limit":9}}"#);
    bob.send(asked).await;
    let page = hears(&mut bob, "C2G_HISTORY_PAGE", "h").await;
    let over_frames = page.json("messages");
    let over_rest = history(&server, BOB, &format!("c2g/{gid}")).await;
    assert_eq!(Value::Array(over_rest.clone()), over_frames);
    let founding = &over_rest[0];
    assert_eq!(
        (&founding["type"], &founding["from"], &founding["to"]),
        (&json!("S2C"), &json!(name(ALICE)), &json!(gid))
    );
    let said = json!({
        "msg_type": "group_created",
        "group": gid,
        "name": "Hikers",
        "uids": [name(ALICE), name(BOB)],
    });
    assert_eq!(founding["payload"], said);
    let path = format!("/v1/conversations/c2g/{gid}");
    let listed = ask(&server, BOB, "GET", &path, Value::Null).await.payload();
    assert_eq!(listed["last"]["payload"], said);
}

#[tokio::test]
async fn whoever_may_not_send_changes_nothing_they_have_said() {
    let server = Server::start(&[ONCE]).await;
    let mut alice = server.login(ALICE, "a-phone").await;
    let mut bob = server.login(BOB, "b-phone").await;
    let gid = found(&server, ALICE, &[BOB]).await;
    send_c2g(&mut bob, "m1", &gid).await;
    hears(&mut bob, "C2G_SERVER_ACK", "m1").await;
    let change = async |bob: &mut Client, id: &str| {
        let said = format!(r#""to":"{gid}","target":"m1","payload":"{id}""#);
        bob.send(format!(r#"{{"id":"{id}","type":"C2G_EDIT",{said}}}"#))
            .await;
    };
    change(&mut bob, "e1").await;
    hears(&mut bob, "C2G_EDIT_ACK", "e1").await;
    let path = format!("/v1/groups/{gid}/members/{}/mute", name(BOB));
    let until = json!({"until": token::now_ms() + 3_600_000});
    ask(&server, ALICE, "PUT", &path, until).await.payload();
    send_c2g(&mut bob, "m2", &gid).await;
    let muted = bob.error(403).await;
    change(&mut bob, "e2").await;
    let refused = bob.error(403).await;
    assert!(refused.is_about("e2"));
    assert_eq!(refused.str("msg"), muted.str("msg"));
    ask(&server, ALICE, "PUT", &path, json!({"until": 0}))
        .await
        .payload();
    let path = format!("/v1/groups/{gid}");
    ask(&server, ALICE, "DELETE", &path, Value::Null)
        .await
        .payload();
    change(&mut bob, "e3").await;
    assert!(bob.error(403).await.is_about("e3"));
    hears(&mut alice, "C2G_EDIT", "e1").await;
    assert!(heard(&mut alice, "C2G_EDIT").await.is_empty());
}

#[tokio::test]
async fn the_id_of_a_notice_is_always_the_same_and_nobody_can_tell_it_beforehand() {
    let mut server = Server::start(&[ONCE]).await;
    let other = Server::start(&[ONCE]).await;
    let gid = found(&server, ALICE, &[BOB]).await;
    assert_eq!(found(&other, ALICE, &[BOB]).await, gid);
    let mut bob = server.login(BOB, "b-phone").await;
    let told = is_told(&mut bob, "group_created").await.str("id");
    let path = format!("c2g/{gid}");
    let read = history(&server, BOB, &path).await[0]["id"].clone();
    assert_eq!(read, told);
    // Two stores whose first conversation begins in the same way.
    let elsewhere = history(&other, BOB, &path).await[0]["id"].clone();
    assert_ne!(elsewhere, told);
    server.kill9().await;
    server.restart().await;
    assert_eq!(history(&server, BOB, &path).await[0]["id"], told);
    let join = json!({"uids": [name(CAROL)]});
    let path = format!("/v1/groups/{gid}/members");
    ask(&server, ALICE, "POST", &path, join).await.payload();
    let mut bob = server.login(BOB, "b-phone").await;
    let joined = is_told(&mut bob, "group_joined").await.str("id");
    assert_ne!(joined, told);
}
