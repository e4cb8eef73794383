//! `yizhan:why/1` tells the truth of six messages that are brought into six situations.

use crate::support::{ADMIN_TOKEN, ALICE, BOB, Call, Deaf, ONCE, Server, User, until};

async fn verdict(server: &Server, id: &str) -> String {
    let told = format!("#{{verdict := V}} = yizhan:why(<<\"{id}\">>), V.");
    server.value(&told).await.replace('\n', " ")
}

#[tokio::test]
async fn a_message_that_was_delivered_at_once() {
    let server = Server::start(&[]).await;
    let mut alice = server.login(ALICE, "laptop").await;
    let mut bob = server.login(BOB, "phone").await;
    alice.send_c2c("at-once", BOB, "hello").await;
    alice.accepted("at-once").await;
    bob.takes("at-once").await;
    alice.delivered("at-once").await;
    let said = verdict(&server, "at-once").await;
    assert!(
        said.contains("Delivered at once: phone acknowledged the first copy"),
        "{said}"
    );
    assert!(!said.contains("Still owed"), "{said}");
    let printed = server.shell("yizhan:why(<<\"at-once\">>).").await;
    assert!(printed.starts_with("Delivered at once: "), "{printed}");
    let life = server.value("#{life := L, state := S, from := F, to := T} = yizhan:why(\"at-once\"), {[Step || {_, _, Step, _} <- L], S, F, T}.").await;
    assert_eq!(
        life,
        "{[accepted,sent,acked,receipt],\n delivered,<<\"kybqdp\">>,<<\"7b4v1b\">>}"
    );
}

#[tokio::test]
async fn a_message_that_was_acknowledged_at_the_third_attempt() {
    let server = Server::start(&["delivery.schedule_ms=[0,100,100,600000]"]).await;
    let mut alice = server.login(ALICE, "laptop").await;
    let mut bob = server.login(BOB, "phone").await;
    alice.send_c2c("third", BOB, "hello").await;
    for _ in 0..3 {
        bob.receives("third").await;
    }
    bob.ack_text("third").await;
    alice.delivered("third").await;
    let said = verdict(&server, "third").await;
    assert!(
        said.contains("Delivered at the third attempt: phone acknowledged it"),
        "{said}"
    );
}

#[tokio::test]
async fn a_message_whose_reader_is_offline() {
    let server = Server::start(&[]).await;
    let mut alice = server.login(ALICE, "laptop").await;
    alice.send_c2c("nobody", BOB, "hello").await;
    alice.accepted("nobody").await;
    let said = verdict(&server, "nobody").await;
    assert!(
        said.contains("The reader is offline: no device of theirs is known"),
        "{said}"
    );
    let mut phone = server.login(BOB, "phone").await;
    phone.receives("nobody").await;
    phone.leave().await;
    until("the device is gone", async || {
        server.value("yizhan:online(108).").await == "[]"
    })
    .await;
    let said = verdict(&server, "nobody").await;
    assert!(
        said.contains("Parked: the connection of phone ended"),
        "{said}"
    );
    assert!(said.contains("waits in the inbox"), "{said}");
    alice.send_c2c("later", BOB, "hello").await;
    alice.accepted("later").await;
    let said = verdict(&server, "later").await;
    assert!(
        said.contains("The reader is offline: no device was connected"),
        "{said}"
    );
    assert!(said.contains("phone was seen last"), "{said}");
}

#[tokio::test]
async fn a_message_whose_reader_is_jammed() {
    let sets = [
        "delivery.schedule_ms=[0,50,50,600000]",
        "listen.max_payload=1048576",
        "listen.max_frame=2097152",
    ];
    let server = Server::start(&sets).await;
    let mut alice = server.login(ALICE, "laptop").await;
    let deaf = Deaf::login(server.public, &User::new(BOB), "phone").await;
    let payload = format!("\"{}\"", "x".repeat(900_000));
    for n in 0..8 {
        alice.send_payload(&format!("big-{n}"), BOB, &payload).await;
        alice.accepted(&format!("big-{n}")).await;
    }
    // Which one is the first that is not written depends on what the outbox held when it came.
    let mut said = String::new();
    until("a copy is skipped", async || {
        for n in 1..4 {
            said = verdict(&server, &format!("big-{n}")).await;
            if said.contains("jammed") {
                return true;
            }
        }
        false
    })
    .await;
    assert!(
        said.contains("The reader is jammed: phone is connected and does not read"),
        "{said}"
    );
    // Beyond the window, nothing was tried.
    alice.send_c2c("small", BOB, "hello").await;
    alice.accepted("small").await;
    let said = verdict(&server, "small").await;
    assert!(said.contains("phone is connected"), "{said}");
    drop(deaf);
}

#[tokio::test]
async fn a_message_that_was_refused() {
    let server = Server::start(&[ONCE]).await;
    let mut alice = server.login(ALICE, "laptop").await;
    alice.send_c2c("taken", BOB, "one").await;
    alice.accepted("taken").await;
    alice.send_c2c("taken", BOB, "another").await;
    alice.error(409).await;
    let said = verdict(&server, "taken").await;
    assert!(said.contains("The reader is offline"), "{said}");
    assert!(
        said.contains("Something else under the same id was refused: 409"),
        "{said}"
    );
    let long = format!("\"{}\"", "x".repeat(70_000));
    alice.send_payload("too-long", BOB, &long).await;
    alice.error(413).await;
    let said = verdict(&server, "too-long").await;
    assert!(
        said.contains("Refused: the sender was told 413, Too large. Nothing of it was stored"),
        "{said}"
    );
    let body = r#"{"id":"taken","from":"kybqdp","to":"7b4v1b","payload":1}"#;
    let posted = Call::post(server.admin, "/v1/messages", body).bearer(ADMIN_TOKEN);
    assert_eq!(posted.send().await.status, 409);
}

#[tokio::test]
async fn a_message_that_has_expired() {
    let server = Server::start(&[
        "inbox.ttl_ms=300",
        "message.revoke_ms=0",
        "message.edit_ms=0",
    ])
    .await;
    let mut alice = server.login(ALICE, "laptop").await;
    alice.send_c2c("old", BOB, "hello").await;
    alice.accepted("old").await;
    until("it expires", async || {
        alice.status(&[(BOB, "old")]).await == ["expired"]
    })
    .await;
    let said = verdict(&server, "old").await;
    assert!(
        said.contains("Expired: it waited for 300 ms, which is inbox.ttl_ms"),
        "{said}"
    );
    assert!(
        said.contains("no device of the reader was connected"),
        "{said}"
    );
}

#[tokio::test]
async fn a_message_of_which_nothing_is_known_and_one_whose_server_was_killed() {
    let mut server = Server::start(&[]).await;
    let said = verdict(&server, "never-sent").await;
    assert!(
        said.contains("Nothing is known of a message with this id"),
        "{said}"
    );
    let mut alice = server.login(ALICE, "laptop").await;
    let mut bob = server.login(BOB, "phone").await;
    alice.send_c2c("before", BOB, "hello").await;
    bob.takes("before").await;
    alice.delivered("before").await;
    // What was written down by then outlives the process.
    assert!(
        verdict(&server, "before")
            .await
            .contains("Delivered at once")
    );
    server.kill9().await;
    server.restart().await;
    let said = verdict(&server, "before").await;
    assert!(
        said.contains("Delivered at once: phone acknowledged the first copy"),
        "{said}"
    );
}

#[tokio::test]
async fn one_id_of_two_senders_has_two_lives() {
    let server = Server::start(&[ONCE]).await;
    let mut alice = server.login(ALICE, "laptop").await;
    let mut bob = server.login(BOB, "phone").await;
    alice.send_c2c("same", BOB, "from alice").await;
    bob.send_c2c("same", ALICE, "from bob").await;
    alice.accepted("same").await;
    bob.accepted("same").await;
    let both = "lists:sort([{From, To} || #{from := From, to := To} <- yizhan:why(same)]).";
    assert_eq!(
        server.value(both).await,
        "[{<<\"7b4v1b\">>,<<\"kybqdp\">>},{<<\"kybqdp\">>,<<\"7b4v1b\">>}]"
    );
}

#[tokio::test]
async fn nothing_is_written_down_where_nobody_wants_it() {
    let server = Server::start(&["trace.max_bytes=0"]).await;
    let error = server.raises("yizhan:why(m1).").await;
    assert!(error.contains("trace.max_bytes is 0"), "{error}");
    assert!(!server.data_dir().join("trace").exists());
}
