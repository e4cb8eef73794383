//! Conversations, groups and contacts as an operator sees them, and the sender of webhooks.

use serde_json::{Value, json};

use crate::support::{ADMIN_TOKEN, ALICE, BOB, CAROL, Call, ONCE, Server, User, until};

async fn order(server: &Server, method: &'static str, path: &str, body: Value) -> Value {
    let path = format!("{path}?uid={}", User::new(ALICE).name);
    let call = Call::of(method, server.admin, &path, &body).bearer(ADMIN_TOKEN);
    let answer = call.send().await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    answer.payload()
}

#[tokio::test]
async fn conversations_groups_members_and_contacts_are_shown_with_what_matters_of_each() {
    let server = Server::start(&[ONCE]).await;
    let mut alice = server.login(ALICE, "laptop").await;
    alice.send_c2c("m1", BOB, "hello").await;
    alice.accepted("m1").await;
    let name = |uid| User::new(uid).name;
    let body = json!({"id": "g1", "name": "Hikers", "members": [name(BOB), name(CAROL)]});
    let group = order(&server, "POST", "/v1/groups", body).await;
    let gid = group["gid"].as_str().unwrap();
    let with_alice = "[{S, R, U, Id} || #{user := <<\"7b4v1b\">>, last_cseq := S, read := R, unread := U, last_id := Id} <- yizhan:conversations(Uid)].";
    let told = |uid: u64| with_alice.replace("Uid", &uid.to_string());
    assert_eq!(server.value(&told(ALICE)).await, "[{1,0,0,<<\"m1\">>}]");
    let unread = format!(
        "[U || #{{user := U0, unread := U}} <- yizhan:conversations({BOB}), U0 =:= <<\"{}\">>].",
        name(ALICE)
    );
    assert_eq!(server.value(&unread).await, "[1]");

    let shown = format!(
        "[{{G, N, M, R}} || #{{group := G, name := N, members := M, role := R}} <- yizhan:groups({CAROL})]."
    );
    assert_eq!(
        server.value(&shown).await,
        format!("[{{<<\"{gid}\">>,<<\"Hikers\">>,3,<<\"member\">>}}]")
    );
    let roles =
        format!("lists:sort([{{U, R}} || #{{uid := U, role := R}} <- yizhan:members(\"{gid}\")]).");
    let mut members = [(ALICE, "owner"), (BOB, "member"), (CAROL, "member")];
    members.sort();
    let members = members.map(|(uid, role)| format!("{{{uid},<<\"{role}\">>}}"));
    let members = format!("[{}]", members.join(","));
    assert_eq!(server.value(&roles).await.replace("\n ", ""), members);

    order(
        &server,
        "PUT",
        &format!("/v1/contacts/{}", name(BOB)),
        json!({}),
    )
    .await;
    order(
        &server,
        "PUT",
        &format!("/v1/blocks/{}", name(CAROL)),
        Value::Null,
    )
    .await;
    let tie = format!("[{{U, T}} || #{{uid := U, tie := T}} <- yizhan:contacts({BOB})].");
    assert_eq!(
        server.value(&tie).await,
        format!("[{{{ALICE},<<\"pending\">>}}]")
    );
    let blocked = format!("[U || #{{uid := U}} <- yizhan:blocked({ALICE})].");
    assert_eq!(server.value(&blocked).await, format!("[{CAROL}]"));
    for wrong in ["yizhan:groups(nobody).", "yizhan:members(<<>>)."] {
        let error = server.raises(wrong).await;
        assert!(
            error.contains("bad_user") || error.contains("bad_group"),
            "{error}"
        );
    }
}

#[tokio::test]
async fn the_sender_of_webhooks_is_a_process_that_says_how_it_stands() {
    let server = Server::start(&[]).await;
    assert_eq!(server.value("whereis(webhooks).").await, "undefined");
    // Nobody listens there.
    let server = Server::start(&["webhook.url=http://127.0.0.1:1/"]).await;
    let mut alice = server.login(ALICE, "laptop").await;
    alice.send_c2c("m1", BOB, "hello").await;
    alice.accepted("m1").await;
    let state = "{state, #{sent := 0, failed := F, last_error := E}} = process_info(whereis(webhooks), state), {message_queue_len, L} = process_info(whereis(webhooks), message_queue_len), ";
    until("an attempt has failed", async || {
        let has = "{state, S} = process_info(whereis(webhooks), state), is_map_key(last_error, S).";
        server.value(has).await == "true"
    })
    .await;
    assert_eq!(
        server
            .value(&format!("{state} {{F > 0, is_binary(E), L > 0}}."))
            .await,
        "{true,true,true}"
    );
}
