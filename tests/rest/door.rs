//! Over every route: which tokens open it.

use actix_web::http::Method;
use futures_util::future::join_all;
use serde_json::json;
use yizhan::http::v1::table::{Listener, Needs};
use yizhan::token::Kind;

use super::house::{
    ADMIN, ALICE, BOB, BOTH, Call, House, PUBLIC, READER, everywhere, for_users, guarded,
};
use super::support::{Deaf, User, token, until};

#[tokio::test]
async fn nobody_comes_in_without_a_good_token() {
    let house = House::start().await;
    let now = token::now_ms();
    let expired = house.minted(ALICE, Kind::Access, now - 1);
    let refresh = house.minted(ALICE, Kind::Refresh, now + 60_000);
    for (on, route) in guarded() {
        let what = format!("{on:?} {} {}", route.method, route.path);
        let none = house.send(house.call(&route, on)).await;
        assert_eq!(none.refusal(), (401, 706), "{what}");
        for (token, code) in [("nonsense", 706), (&expired, 705), (&refresh, 706)] {
            let answer = house.send(house.call(&route, on).as_(token)).await;
            assert_eq!(answer.refusal(), (401, code), "{what}");
        }
    }
}

#[tokio::test]
async fn the_admin_tokens_open_nothing_on_the_public_listener() {
    let house = House::start().await;
    for (on, route) in guarded().into_iter().filter(|(on, _)| *on == PUBLIC) {
        for token in [ADMIN, READER] {
            let answer = house.send(house.call(&route, on).as_(token)).await;
            assert_eq!(
                answer.refusal(),
                (401, 706),
                "{} {}",
                route.method,
                route.path
            );
        }
    }
}

#[tokio::test]
async fn a_users_token_cannot_act_for_another() {
    let house = House::start().await;
    let alice = house.token(ALICE);
    for (on, route) in for_users() {
        let what = format!("{on:?} {} {}", route.method, route.path);
        for other in [house.name(BOB), "nobody".into(), String::new()] {
            let call = house.call(&route, on).as_(&alice);
            let answer = house.send(call.with_query(&format!("uid={other}"))).await;
            assert_eq!(answer.refusal(), (403, 403), "{what} for {other:?}");
        }
        let own = house.call(&route, on).as_(&alice);
        let own = own.with_query(&format!("uid={}", house.name(ALICE)));
        let twice = house.call(&route, on).as_(&alice);
        let twice = twice.with_query(&format!("uid={0}&uid={0}", house.name(ALICE)));
        assert_ne!(house.send(own).await.status, 401, "{what}");
        assert_eq!(house.send(twice).await.refusal(), (400, 400), "{what}");
    }
}

#[tokio::test]
async fn a_users_token_sends_nothing_in_another_name() {
    let house = House::start().await;
    let message = |from: &str| {
        let to = house.name(BOB);
        json!({"id": "m1", "from": from, "to": to, "payload": 1})
    };
    let other = message(&house.name(BOB));
    let forged = house.tries(ALICE, "POST", "/v1/messages", other).await;
    assert_eq!(forged.refusal(), (403, 403));
    let own = message(&house.name(ALICE));
    house.ask(ALICE, "POST", "/v1/messages", own).await;
}

#[tokio::test]
async fn what_is_for_operators_is_not_for_users() {
    let house = House::start().await;
    let alice = house.token(ALICE);
    for (on, route) in guarded() {
        if matches!(route.needs, Needs::Admin | Needs::Operator) {
            assert_eq!(on, Listener::Admin, "{}", route.path);
            let answer = house.send(house.call(&route, on).as_(&alice)).await;
            assert_eq!(
                answer.refusal(),
                (403, 403),
                "{} {}",
                route.method,
                route.path
            );
        }
    }
}

#[tokio::test]
async fn the_token_that_reads_only_reads() {
    let house = House::start().await;
    let alice = format!("uid={}", house.name(ALICE));
    for (on, route) in guarded()
        .into_iter()
        .filter(|(on, _)| *on == Listener::Admin)
    {
        let what = format!("{} {}", route.method, route.path);
        let mut call = house.call(&route, on).as_(READER);
        if matches!(route.needs, Needs::User | Needs::Anybody) {
            call = call.with_query(&alice);
        }
        let answer = house.send(call).await;
        // What users say to each other is no look at the server.
        let reads = route.method == Method::GET && route.needs == Needs::Admin;
        let refused = answer.json_or_nothing()["msg"]
            == "this token only reads, and that is more than reading";
        assert_eq!(refused, !reads, "{what}: {answer:?}");
        let status = if reads { 200 } else { 403 };
        assert_eq!(answer.status, status, "{what}: {answer:?}");
    }
}

#[tokio::test]
async fn the_admin_token_names_for_whom_it_acts() {
    let house = House::start().await;
    for (on, route) in for_users()
        .into_iter()
        .filter(|(on, _)| *on == Listener::Admin)
    {
        let what = format!("{} {}", route.method, route.path);
        if route.needs == Needs::User {
            let nobody = house.send(house.call(&route, on).as_(ADMIN)).await;
            assert_eq!(nobody.refusal(), (400, 400), "{what}");
        }
        let unknown = house.call(&route, on).as_(ADMIN).with_query("uid=nobody");
        assert_eq!(house.send(unknown).await.refusal(), (404, 404), "{what}");
        let alice = format!("uid={}", house.name(ALICE));
        let named = house.call(&route, on).as_(ADMIN).with_query(&alice);
        assert_ne!(house.send(named).await.status, 401, "{what}");
    }
}

#[tokio::test]
async fn the_banned_and_those_with_tokens_that_were_invalidated_are_out() {
    for (path, body, expected) in [
        ("ban", "", (403, 403)),
        (
            "tokens/invalidate",
            r#"{"issued_before":BEFORE}"#,
            (401, 706),
        ),
    ] {
        let house = House::start().await;
        let before = (token::now_ms() + 10_000).to_string();
        let method = if path == "ban" { "PUT" } else { "POST" };
        let path = format!("/v1/users/{}/{path}", house.name(ALICE));
        let body = body.replace("BEFORE", &before);
        house.operate(method, &path, body).await.payload();
        let alice = house.token(ALICE);
        for (on, route) in for_users() {
            let answer = house.send(house.call(&route, on).as_(&alice)).await;
            assert_eq!(
                answer.refusal(),
                expected,
                "{} {}",
                route.method,
                route.path
            );
        }
    }
}

#[tokio::test]
async fn a_token_in_a_url_opens_nothing() {
    let house = House::start().await;
    let alice = house.token(ALICE);
    for (on, route) in guarded() {
        for name in ["authorization", "token", "access_token"] {
            let call = house
                .call(&route, on)
                .with_query(&format!("{name}={alice}"));
            let answer = house.send(call).await;
            assert_eq!(
                answer.refusal(),
                (400, 400),
                "{} {}",
                route.method,
                route.path
            );
        }
    }
}

#[tokio::test]
async fn nothing_is_changed_by_users_while_the_server_goes_down() {
    let house = House::start().await;
    // Nobody new comes in then, and a device that does not say goodbye keeps the server up for those who are.
    let alice = house.token(ALICE);
    let user = User::with_token(ALICE.0, &alice);
    let _deaf = Deaf::login(house.server.public, &user, "a-phone").await;
    let mut lines = Vec::new();
    for (on, route) in for_users() {
        lines.push((
            house.line(on).await,
            house.call(&route, on).as_(&alice),
            route,
        ));
    }
    let ready = everywhere();
    let (on, ready) = ready
        .iter()
        .find(|(_, route)| route.path == "/health/ready")
        .unwrap();
    let mut line = house.line(*on).await;
    house.server.signal_term();
    let is_draining = async || line.ask(&house.call(ready, *on)).await.status == 503;
    until("the server goes down", is_draining).await;
    for (line, call, route) in &mut lines {
        let answer = line.ask(call).await;
        let is_late = answer.status == 503;
        assert_eq!(
            is_late,
            route.method != Method::GET,
            "{} {}",
            route.method,
            route.path
        );
    }
}

#[tokio::test]
async fn an_open_route_is_open_on_purpose() {
    let mut open: Vec<String> = everywhere()
        .into_iter()
        .filter(|(_, route)| route.needs == Needs::Nothing)
        .map(|(_, route)| route.path)
        .collect();
    open.sort();
    open.dedup();
    let expected = [
        "/health/live",
        "/health/ready",
        "/v1/dev/token",
        "/v1/token/refresh",
    ];
    assert_eq!(open, expected);
}

#[tokio::test]
async fn who_changes_too_much_at_once_is_told_when_to_come_back_and_may_look_meanwhile() {
    let house = House::start_with(&["limits.messages_per_s=2"]).await;
    let block = async |uid, on, token: &str| {
        let path = format!("/v1/blocks/{}?uid={}", house.name(BOB), house.name(uid));
        let call = Call {
            on,
            method: Method::PUT,
            path,
            token: Some(token.into()),
            body: Vec::new(),
        };
        house.send(call).await
    };
    let own = house.token(ALICE);
    // Over either listener, and more than fit into the seconds that they can take.
    let crowd = (0..60).map(|at| block(ALICE, BOTH[at % 2], &own));
    let answers = join_all(crowd).await;
    let (taken, refused): (Vec<_>, Vec<_>) = answers.iter().partition(|a| a.status == 200);
    assert!(taken.len() >= 2 && !refused.is_empty());
    for answer in refused {
        assert_eq!(answer.refusal(), (429, 429));
        let retry_ms = answer.json()["payload"]["retry_ms"].as_u64().unwrap();
        assert!((1..=500).contains(&retry_ms), "{answer:?}");
    }
    // Nobody else is concerned, nor who looks, nor the app that acts for its users.
    let blocks = format!("/v1/blocks/{}", house.name(ALICE));
    for _ in 0..2 {
        house.ask(BOB, "PUT", &blocks, json!(null)).await;
    }
    for _ in 0..20 {
        house.ask(ALICE, "GET", "/v1/blocks", json!(null)).await;
        let of_app = block(ALICE, Listener::Admin, ADMIN).await;
        assert_eq!(of_app.status, 200, "{of_app:?}");
    }
    let limited = r#"yizhan_limited_total{limit="messages_per_s"}"#;
    assert!(house.server.metric(limited).await > 0.0);
    let again = async || block(ALICE, PUBLIC, &own).await.status == 200;
    until("it is taken again", again).await;
}
