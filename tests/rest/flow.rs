//! What users and backends do with it, from end to end.

use actix_web::http::Method;
use serde_json::{Value, json};
use yizhan::id::Uid;

use super::house::{ALICE, Answer, BOB, Call, House, MALLORY, PUBLIC};
use super::support::until_online;

#[tokio::test]
async fn a_payload_comes_back_byte_for_byte() {
    let house = House::start().await;
    let payload = r#"{ "big":12345678901234567890123 , "float":1.10, "text":"\u00fc\/", "twice":1,"twice":2 }"#;
    let body = format!(
        r#"{{"id":"m1","to":"{}","payload":{payload}}}"#,
        house.name(BOB)
    );
    let sent = house
        .send(post(&house, ALICE, "/v1/messages", body))
        .await
        .payload();
    assert_eq!(
        (&sent["state"], &sent["cseq"]),
        (&json!("accepted"), &json!(1))
    );
    let path = format!("/v1/conversations/c2c/{}/messages", house.name(ALICE));
    let read = house.tries(BOB, "GET", &path, json!(null)).await;
    let text = String::from_utf8(read.body).unwrap();
    assert!(text.contains(&format!("\"payload\":{payload}")), "{text}");
}

#[tokio::test]
async fn a_repeat_is_the_same_message_and_another_content_is_a_conflict() {
    let house = House::start().await;
    let message = |payload: i32| json!({"id": "m1", "to": house.name(BOB), "payload": payload});
    let first = house.ask(ALICE, "POST", "/v1/messages", message(1)).await;
    assert_eq!(
        house.ask(ALICE, "POST", "/v1/messages", message(1)).await,
        first
    );
    let other = house.tries(ALICE, "POST", "/v1/messages", message(2)).await;
    assert_eq!(other.refusal(), (409, 409));
}

#[tokio::test]
async fn the_backend_sends_in_a_users_name_either_way() {
    let house = House::start().await;
    let (alice, bob) = (house.name(ALICE), house.name(BOB));
    let from = json!({"id": "m1", "from": alice, "to": bob, "payload": 1});
    admin(&house, "POST", "/v1/messages", from).await.payload();
    let plain = json!({"id": "m2", "to": bob, "payload": 1});
    let path = format!("/v1/messages?uid={alice}");
    admin(&house, "POST", &path, plain.clone()).await.payload();
    let none = admin(&house, "POST", "/v1/messages", plain).await;
    assert_eq!(none.refusal(), (400, 400));
    let both = json!({"id": "m3", "from": bob, "to": bob, "payload": 1});
    assert_eq!(
        admin(&house, "POST", &path, both).await.refusal(),
        (403, 403)
    );
}

#[tokio::test]
async fn what_does_not_fit_is_refused_with_its_code() {
    let house = House::start().await;
    let bob = house.name(BOB);
    let long = "x".repeat(65_536);
    for (body, expected) in [
        (json!({"id": "m1", "to": bob, "payload": long}), (413, 413)),
        (
            json!({"id": "m1", "to": bob, "payload": "x".repeat(80_000)}),
            (413, 413),
        ),
        (json!({"id": "", "to": bob, "payload": 1}), (400, 400)),
        (json!({"id": "a,b", "to": bob, "payload": 1}), (400, 400)),
        (
            json!({"id": "x".repeat(65), "to": bob, "payload": 1}),
            (400, 400),
        ),
        (
            json!({"id": "驿".repeat(22), "to": bob, "payload": 1}),
            (409, 409),
        ),
        (
            json!({"id": "m1", "to": "nobody", "payload": 1}),
            (404, 404),
        ),
        (json!({"id": "m1", "to": bob}), (400, 400)),
        (
            json!({"id": "m1", "to": bob, "payload": 1, "expires_at": 1}),
            (409, 409),
        ),
        (
            json!({"id": "m1", "to": bob, "payload": 1, "expires_at": 1.5}),
            (400, 400),
        ),
        (
            json!({"id": "m1", "to": bob, "payload": 1, "type": "S2C"}),
            (400, 400),
        ),
    ] {
        let answer = house.tries(ALICE, "POST", "/v1/messages", body).await;
        assert_eq!(answer.refusal(), expected, "{answer:?}");
    }
}

#[tokio::test]
async fn a_message_is_changed_and_taken_back() {
    let house = House::start().await;
    let to = house.name(BOB);
    let message = json!({"id": "m1", "to": to, "payload": "helo", "created_at": -5});
    house.ask(ALICE, "POST", "/v1/messages", message).await;
    let path = format!("/v1/conversations/c2c/{to}/messages/m1");
    let edit = json!({"id": "e1", "payload": "hello"});
    let edited = house.ask(ALICE, "PUT", &path, edit).await;
    assert_eq!(
        (&edited["id"], &edited["target"]),
        (&json!("e1"), &json!("m1"))
    );
    let history = format!("/v1/conversations/c2c/{}/messages", house.name(ALICE));
    let read = async || get(&house, BOB, &history).await.payload()["messages"][0].clone();
    let seen = read().await;
    assert_eq!(
        (&seen["payload"], &seen["created_at"]),
        (&json!("hello"), &json!(-5))
    );
    assert!(seen["edited_at"].is_u64());
    house.ask(ALICE, "DELETE", &path, json!(null)).await;
    let seen = read().await;
    assert!(seen["payload"].is_null() && seen["revoked_at"].is_u64());
    let unknown = house.tries(BOB, "DELETE", &path, json!(null)).await;
    assert_eq!(unknown.refusal(), (404, 404));
}

#[tokio::test]
async fn history_is_read_in_pages_and_between_two_places() {
    let house = House::start().await;
    for at in 1..=7 {
        let message = json!({"id": format!("m{at}"), "to": house.name(BOB), "payload": at});
        house.ask(ALICE, "POST", "/v1/messages", message).await;
    }
    let path = format!("/v1/conversations/c2c/{}/messages", house.name(BOB));
    for (query, places, more) in [
        ("", vec![1, 2, 3, 4, 5, 6, 7], false),
        ("?limit=2", vec![6, 7], true),
        ("?before=6&limit=2", vec![4, 5], true),
        ("?after=5", vec![6, 7], false),
        ("?after=2&before=5", vec![3, 4], false),
        ("?after=2&before=6&limit=2", vec![3, 4], true),
        ("?before=0", vec![], false),
    ] {
        let page = house
            .ask(ALICE, "GET", &format!("{path}{query}"), json!(null))
            .await;
        let found = page["messages"].as_array().unwrap().iter();
        let found: Vec<u64> = found
            .map(|message| message["cseq"].as_u64().unwrap())
            .collect();
        assert_eq!(
            (found, &page["more"], &page["head"]),
            (places, &json!(more), &json!(7)),
            "{query}"
        );
    }
    for query in [
        "?limit=0",
        "?limit=101",
        "?limit=",
        "?limit=1&limit=2",
        "?before=-1",
        "?after=x",
        "?befor=1",
    ] {
        let answer = house
            .tries(ALICE, "GET", &format!("{path}{query}"), json!(null))
            .await;
        assert_eq!(answer.refusal(), (400, 400), "{query}");
    }
}

#[tokio::test]
async fn a_conversation_is_read_and_its_messages_live_so_long() {
    let house = House::start().await;
    let message = json!({"id": "m1", "to": house.name(BOB), "payload": 1});
    house.ask(ALICE, "POST", "/v1/messages", message).await;
    let path = format!("/v1/conversations/c2c/{}", house.name(ALICE));
    let none = format!("/v1/conversations/c2c/{}", house.name(MALLORY));
    assert_eq!(get(&house, BOB, &none).await.refusal(), (404, 404));
    assert_eq!(get(&house, BOB, &path).await.payload()["unread"], json!(1));
    let read = house
        .ask(BOB, "PUT", &format!("{path}/read"), json!({"up_to": 1.0}))
        .await;
    assert_eq!(read, json!({"up_to": 1}));
    for (ms, status) in [(0, 200), (999, 400), (1000, 200)] {
        let (path, body) = (format!("{path}/expiry"), json!({"expire_ms": ms}));
        let set = house.tries(BOB, "PUT", &path, body).await;
        assert_eq!(set.status, status, "{ms}");
    }
    let entry = get(&house, BOB, &path).await.payload();
    // The notice of it is no news to whoever has caused it.
    assert_eq!(
        (&entry["unread"], &entry["expire_ms"]),
        (&json!(0), &json!(1000))
    );
    let listed = get(&house, BOB, "/v1/conversations").await.payload();
    assert_eq!(listed["conversations"], json!([entry]));
}

#[tokio::test]
async fn a_group_lives_from_its_founding_to_its_end() {
    let house = House::start().await;
    let gid = house.group().await;
    let (bob, mallory) = (house.name(BOB), house.name(MALLORY));
    let group = |suffix: &str| format!("/v1/groups/{gid}{suffix}");
    let again = json!({"id": "g1", "name": "Hikers", "members": [bob]});
    assert_eq!(
        house.ask(ALICE, "POST", "/v1/groups", again).await["gid"],
        json!(gid)
    );
    let invited = json!({"uids": [mallory, bob, mallory]});
    let invited = house.ask(BOB, "POST", &group("/members"), invited).await;
    let expected = json!({"added": [mallory], "refused": [{"uid": bob, "why": "member"}]});
    assert_eq!(invited, expected);
    let renamed = json!({"name": "Climbers"});
    let refused = house.tries(BOB, "PATCH", &group(""), renamed.clone()).await;
    assert_eq!(refused.refusal(), (403, 403));
    let role = json!({"role": "admin"});
    let member = house
        .ask(ALICE, "PUT", &group(&format!("/members/{bob}/role")), role)
        .await;
    assert_eq!(member["role"], json!("admin"));
    let renamed = house.ask(BOB, "PATCH", &group(""), renamed).await;
    assert_eq!(
        (&renamed["name"], &renamed["members"]),
        (&json!("Climbers"), &json!(3))
    );
    let mute = json!({"until": 5});
    let muted = house
        .ask(
            BOB,
            "PUT",
            &group(&format!("/members/{mallory}/mute")),
            mute,
        )
        .await;
    assert_eq!(muted["muted_until"], json!(5));
    let page = get(&house, BOB, &group("/members?limit=2")).await.payload();
    assert_eq!(page["next"], json!(bob));
    let rest = get(&house, BOB, &group(&format!("/members?after={bob}")))
        .await
        .payload();
    assert_eq!(
        (&rest["members"][0]["uid"], &rest["more"]),
        (&json!(mallory), &json!(false))
    );
    let receipts = format!("/v1/conversations/c2g/{gid}/messages/m1/receipts");
    let receipts = get(&house, ALICE, &receipts).await.payload();
    // Who came later is not owed it.
    let members = receipts["members"].as_array().unwrap();
    assert_eq!((members.len(), &members[0]["uid"]), (1, &json!(bob)));
    house
        .ask(
            BOB,
            "DELETE",
            &group(&format!("/members/{mallory}")),
            json!(null),
        )
        .await;
    let leaving = house
        .tries(ALICE, "POST", &group("/leave"), json!(null))
        .await;
    assert_eq!(leaving.refusal(), (403, 403));
    let ended = house.ask(ALICE, "DELETE", &group(""), json!(null)).await;
    assert_eq!(ended["dissolved"], json!(true));
}

#[tokio::test]
async fn the_bounds_of_a_group_hold() {
    let house = House::start().await;
    let gid = house.group().await;
    let bob = house.name(BOB);
    for (body, status) in [
        (json!({"name": ""}), 400),
        (json!({"name": "x".repeat(256)}), 200),
        (json!({"name": "x".repeat(257)}), 400),
        (json!({"name": "驿".repeat(86)}), 409),
        (json!({}), 200),
    ] {
        let answer = house
            .tries(ALICE, "PATCH", &format!("/v1/groups/{gid}"), body)
            .await;
        assert_eq!(answer.status, status, "{answer:?}");
    }
    for (count, status) in [(0, 200), (500, 200), (501, 400)] {
        let uids = vec![bob.as_str(); count];
        let path = format!("/v1/groups/{gid}/members");
        let answer = house
            .tries(ALICE, "POST", &path, json!({"uids": uids}))
            .await;
        assert_eq!(answer.status, status, "{count}");
    }
}

#[tokio::test]
async fn two_users_become_contacts_and_see_each_other() {
    let house = House::start().await;
    let (alice, bob) = (house.name(ALICE), house.name(BOB));
    let presence = format!("/v1/presence?uids={bob},{}", house.name(MALLORY));
    let _phone = house.bring(BOB, "phone", "ios").await;
    let seen = get(&house, ALICE, &presence).await.payload();
    assert_eq!(seen["presence"][0]["state"], json!("unknown"));
    let asked = house
        .ask(
            ALICE,
            "PUT",
            &format!("/v1/contacts/{bob}"),
            json!({"text": "me"}),
        )
        .await;
    assert_eq!(asked["state"], json!("requested"));
    let pending = get(&house, BOB, "/v1/contacts?state=pending")
        .await
        .payload();
    assert_eq!(
        (
            &pending["contacts"][0]["uid"],
            &pending["contacts"][0]["text"]
        ),
        (&json!(alice), &json!("me"))
    );
    house
        .ask(
            BOB,
            "POST",
            &format!("/v1/contacts/{alice}/confirm"),
            json!(null),
        )
        .await;
    let seen = get(&house, ALICE, &presence).await.payload();
    assert_eq!(seen["presence"][0]["state"], json!("online"));
    assert_eq!(
        seen["presence"][1],
        json!({"uid": house.name(MALLORY), "state": "unknown", "last_seen": null})
    );
    let all = admin(&house, "GET", &presence, json!(null)).await.payload();
    assert_eq!(all["presence"][1]["state"], json!("offline"));
    house
        .ask(BOB, "DELETE", &format!("/v1/contacts/{alice}"), json!(null))
        .await;
    let left = get(&house, ALICE, "/v1/contacts").await.payload();
    assert_eq!(left, json!({"contacts": [], "next": null, "more": false}));
    let unasked = house
        .tries(
            BOB,
            "POST",
            &format!("/v1/contacts/{alice}/confirm"),
            json!(null),
        )
        .await;
    assert_eq!(unasked.refusal(), (404, 404));
    let own = house
        .tries(BOB, "PUT", &format!("/v1/contacts/{bob}"), json!(null))
        .await;
    assert_eq!(own.refusal(), (409, 409));
    let wrong = get(&house, ALICE, "/v1/contacts?state=best").await;
    assert_eq!(wrong.refusal(), (400, 400));
}

#[tokio::test]
async fn whoever_is_blocked_gets_nothing_through() {
    let house = House::start().await;
    let alice = house.name(ALICE);
    house
        .ask(BOB, "PUT", &format!("/v1/blocks/{alice}"), json!(null))
        .await;
    let blocks = get(&house, BOB, "/v1/blocks").await.payload();
    assert_eq!(blocks["blocks"][0]["uid"], json!(alice));
    let message = json!({"id": "m1", "to": house.name(BOB), "payload": 1});
    let refused = house.tries(ALICE, "POST", "/v1/messages", message).await;
    assert_eq!(refused.refusal(), (403, 403));
    assert_eq!(refused.json()["msg"], "in_denylist");
    house
        .ask(BOB, "DELETE", &format!("/v1/blocks/{alice}"), json!(null))
        .await;
    let blocks = get(&house, BOB, "/v1/blocks").await.payload();
    assert_eq!(blocks["blocks"], json!([]));
}

#[tokio::test]
async fn a_device_is_kicked_and_forgotten() {
    let house = House::start().await;
    let mut connected = house.bring(ALICE, "my phone/1", "ios").await;
    let devices = get(&house, ALICE, "/v1/devices").await.payload();
    let phone = &devices["devices"][0];
    assert_eq!(
        (&phone["did"], &phone["online"], &phone["dtype"]),
        (&json!("my phone/1"), &json!(true), &json!("ios"))
    );
    let kick = "/v1/devices/my%20phone%2F1/kick";
    let kicked = house.ask(ALICE, "POST", kick, json!(null)).await;
    assert_eq!(kicked, json!({"kicked": true}));
    connected.closed().await;
    until_online(&house.server, 0).await;
    let again = house.ask(ALICE, "POST", kick, json!(null)).await;
    assert_eq!(again, json!({"kicked": false}));
    let devices = get(&house, ALICE, "/v1/devices").await.payload();
    let phone = &devices["devices"][0];
    assert_eq!(
        (&phone["online"], &phone["dtype"]),
        (&json!(false), &json!(null))
    );
    assert!(phone["last_seen"].is_u64(), "{phone}");
    house
        .ask(ALICE, "DELETE", "/v1/devices/my%20phone%2F1", json!(null))
        .await;
    assert_eq!(
        get(&house, ALICE, "/v1/devices").await.payload(),
        json!({"devices": []})
    );
}

#[tokio::test]
async fn tokens_are_made_and_renewed() {
    let house = House::start().await;
    let body = json!({"uid": house.name(ALICE), "kind": "rtk"});
    let made = admin(&house, "POST", "/v1/tokens", body).await.payload();
    let refresh = Call {
        on: PUBLIC,
        method: Method::POST,
        path: "/v1/token/refresh".into(),
        token: Some(made["token"].as_str().unwrap().into()),
        body: Vec::new(),
    };
    let fresh = house.send(refresh).await.payload();
    let call = Call {
        on: PUBLIC,
        method: Method::GET,
        path: "/v1/groups".into(),
        token: Some(fresh["token"].as_str().unwrap().into()),
        body: Vec::new(),
    };
    house.send(call).await.payload();
    let dev = post(&house, ALICE, "/v1/dev/token", r#"{"uid":1}"#.into());
    let dev = house.send(dev).await.payload();
    assert_eq!(dev["uid"], json!(house.name(ALICE)));
    for ttl_ms in [json!(0), json!(-1), json!(1e30), json!("1")] {
        let body = json!({"uid": house.name(ALICE), "kind": "tk", "ttl_ms": ttl_ms});
        assert_eq!(
            admin(&house, "POST", "/v1/tokens", body).await.refusal(),
            (400, 400)
        );
    }
}

async fn get(house: &House, uid: Uid, path: &str) -> Answer {
    house.tries(uid, "GET", path, json!(null)).await
}

async fn admin(house: &House, method: &str, path: &str, body: Value) -> Answer {
    let body = if body.is_null() {
        String::new()
    } else {
        body.to_string()
    };
    house.operate(method, path, body).await
}

fn post(house: &House, uid: Uid, path: &str, body: String) -> Call {
    Call {
        on: PUBLIC,
        method: Method::POST,
        path: path.into(),
        token: Some(house.token(uid)),
        body: body.into_bytes(),
    }
}
