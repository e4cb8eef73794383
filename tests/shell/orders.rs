//! What an operator does to the running server.

use crate::support::{ALICE, BOB, ONCE, Server, until};

#[tokio::test]
async fn a_kicked_device_may_come_again_and_a_banned_one_may_not() {
    let server = Server::start(&[]).await;
    let mut phone = server.login(BOB, "phone").await;
    let mut laptop = server.login(BOB, "laptop").await;
    assert_eq!(server.value("yizhan:kick(108, <<\"phone\">>).").await, "1");
    assert_eq!(phone.closed().await, Some(4013));
    laptop.heard_nothing_else().await;
    let mut phone = server.login(BOB, "phone").await;
    assert_eq!(server.value("yizhan:kick(\"7b4v1b\").").await, "2");
    assert_eq!(phone.closed().await, Some(4013));
    assert_eq!(laptop.closed().await, Some(4013));
    let mut phone = server.login(BOB, "phone").await;
    let banned = server.value("yizhan:ban(108).").await;
    assert!(banned.contains("banned => true"), "{banned}");
    assert_eq!(phone.closed().await, Some(4013));
    assert_eq!(
        server
            .value("[{User, B} || {User, #{banned := B}} <- yizhan:bans()].")
            .await,
        "[{<<\"7b4v1b\">>,true}]"
    );
    server.value("yizhan:unban(108).").await;
    assert_eq!(server.value("yizhan:bans().").await, "[]");
    server.login(BOB, "phone").await;
}

#[tokio::test]
async fn what_waits_is_redelivered_now_all_of_it_or_one() {
    let server = Server::start(&["delivery.schedule_ms=[0]"]).await;
    let mut alice = server.login(ALICE, "laptop").await;
    let mut bob = server.login(BOB, "phone").await;
    for id in ["m1", "m2", "m3"] {
        alice.send_c2c(id, BOB, "hello").await;
        assert_eq!(bob.receives(id).await.id(), id);
    }
    bob.ack_text("m2").await;
    bob.ack_ok("m2").await;
    bob.heard_nothing_else().await;
    let parked = "[Id || #{id := Id} <- yizhan:parked(108)].";
    assert_eq!(server.value(parked).await, "[<<\"m1\">>,<<\"m3\">>]");
    assert_eq!(
        server.value("yizhan:redeliver(108, <<\"m3\">>).").await,
        "1"
    );
    assert_eq!(bob.receives("m3").await.seq(), 3);
    bob.heard_nothing_else().await;
    assert_eq!(server.value("yizhan:redeliver(108).").await, "1");
    assert_eq!(bob.receives("m1").await.seq(), 1);
    assert_eq!(bob.receives("m3").await.seq(), 3);
    bob.heard_nothing_else().await;
    bob.ack_up_to(3).await;
    bob.ack_ok_numbers().await;
    assert_eq!(server.value("yizhan:redeliver(108).").await, "1");
    bob.heard_nothing_else().await;
    let none = server.raises("yizhan:redeliver(108, m1).").await;
    assert!(none.contains("no message m1 waits for user 108"), "{none}");
}

#[tokio::test]
async fn what_an_operator_expires_is_not_delivered_any_more() {
    let server = Server::start(&["delivery.schedule_ms=[0,200,200,600000]"]).await;
    let mut alice = server.login(ALICE, "laptop").await;
    let mut bob = server.login(BOB, "phone").await;
    alice.send_c2c("m1", BOB, "hello").await;
    alice.accepted("m1").await;
    bob.receives("m1").await;
    assert_eq!(server.value("yizhan:expire(108, <<\"m1\">>).").await, "1");
    assert_eq!(alice.status(&[(BOB, "m1")]).await, ["expired"]);
    let why = server.value("#{verdict := V} = yizhan:why(m1), V.").await;
    assert!(why.contains("Expired: an operator ended it"), "{why}");
    assert_eq!(server.value("yizhan:flights(108).").await, "[]");
    // A copy may have been on its way; the second after it would be the third.
    bob.take_aside();
    alice.send_c2c("m2", BOB, "hello").await;
    bob.takes("m2").await;
    bob.heard_nothing_else().await;
    bob.leave().await;
    assert_eq!(server.login(BOB, "phone").await.waiting(), 0);
}

#[tokio::test]
async fn a_changed_schedule_holds_for_what_begins_after_it() {
    let server = Server::start(&[ONCE]).await;
    let mut alice = server.login(ALICE, "laptop").await;
    let mut bob = server.login(BOB, "phone").await;
    alice.send_c2c("slow", BOB, "hello").await;
    bob.receives("slow").await;
    assert_eq!(
        server.value("yizhan:schedule([0, 50, 50]).").await,
        "[0,600000]"
    );
    alice.send_c2c("quick", BOB, "hello").await;
    for _ in 0..3 {
        bob.receives("quick").await;
    }
    bob.heard_nothing_else().await;
    assert_eq!(server.value("yizhan:schedule().").await, "[0,50,50]");
    for wrong in ["[]", "[1]", "[0, -1]", "[0, a]", "fast", "[0, 86400001]"] {
        let error = server.raises(&format!("yizhan:schedule({wrong}).")).await;
        assert!(error.contains("bad_millisecond_list"), "{wrong}\n{error}");
    }
    assert_eq!(server.value("yizhan:schedule().").await, "[0,50,50]");
}

#[tokio::test]
async fn an_ended_delivery_is_parked_and_an_ended_device_comes_again() {
    let server = Server::start(&[ONCE]).await;
    let mut alice = server.login(ALICE, "laptop").await;
    let mut bob = server.login(BOB, "phone").await;
    alice.send_c2c("m1", BOB, "hello").await;
    bob.receives("m1").await;
    let pid = "#{pid := P} = hd(yizhan:flights(108)), ";
    assert_eq!(
        server
            .value(&format!("{pid} exit(P, normal), is_process_alive(P)."))
            .await,
        "true"
    );
    assert_eq!(
        server
            .value(&format!("{pid} exit(P, kill), is_process_alive(P)."))
            .await,
        "false"
    );
    let why = server.value("#{verdict := V} = yizhan:why(m1), V.").await;
    assert!(why.contains("Parked: "), "{why}");
    let device = "#{pid := P} = hd(yizhan:online(108)), ";
    assert_eq!(
        server.value(&format!("{device} exit(P, shutdown).")).await,
        "true"
    );
    assert_eq!(bob.closed().await, Some(4053));
    until("it is gone", async || {
        server.value("yizhan:online(108).").await == "[]"
    })
    .await;
    let mut bob = server.login(BOB, "phone").await;
    bob.takes("m1").await;
    let part = server.raises("exit(whereis(committer), kill).").await;
    assert!(part.contains("a part of the server"), "{part}");
}

#[tokio::test]
async fn a_drained_server_ends_in_order() {
    let mut server = Server::start(&[]).await;
    let mut bob = server.login(BOB, "phone").await;
    assert_eq!(server.value("yizhan:drain().").await, "ok");
    assert_eq!(bob.closed().await, Some(4052));
    assert!(server.ended().await.success());
}
