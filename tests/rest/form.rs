//! Over every route: it is described, its refusals have one shape, and it takes nothing that it does not know.

use std::collections::BTreeSet;

use actix_web::http::Method;
use serde_json::{Value, json};
use yizhan::http::v1::table::{Listener, Needs, TAGS};

use super::house::{ADMIN, ALICE, BOTH, Call, House, PUBLIC, document, everywhere};
use super::support::until;

#[tokio::test]
async fn every_route_is_described_and_everything_described_is_there() {
    let house = House::start().await;
    for on in BOTH {
        let described: BTreeSet<(String, String)> = operations(&document(on)).into_keys().collect();
        let registered: BTreeSet<(String, String)> = everywhere()
            .into_iter()
            .filter(|(at, _)| *at == on)
            .map(|(_, route)| (route.method.as_str().to_lowercase(), route.path))
            .collect();
        assert_eq!(described, registered);
    }
    for (on, route) in everywhere() {
        let answer = house.send(house.call(&route, on)).await;
        let what = format!("{on:?} {} {}: {answer:?}", route.method, route.path);
        assert_ne!(answer.status, 405, "{what}");
        assert_ne!(answer.status, 404, "{what}");
    }
}

#[tokio::test]
async fn every_description_is_whole() {
    for on in BOTH {
        let document = document(on);
        assert_eq!(document["openapi"], "3.1.0");
        let mut names = BTreeSet::new();
        for ((method, path), operation) in operations(&document) {
            let what = format!("{on:?} {method} {path}");
            assert!(!operation["summary"].as_str().unwrap().is_empty(), "{what}");
            assert!(names.insert(operation["operationId"].to_string()), "{what}");
            let tag = operation["tags"][0].as_str().unwrap();
            assert!(TAGS.iter().any(|(known, _)| *known == tag), "{what}");
            for parameter in operation["parameters"].as_array().into_iter().flatten() {
                assert!(parameter["description"].is_string(), "{what}: {parameter}");
            }
            for response in operation["responses"].as_object().unwrap().values() {
                assert!(
                    !response["description"].as_str().unwrap().is_empty(),
                    "{what}"
                );
            }
        }
        let text = document.to_string();
        for reference in text.split("\"#/components/schemas/").skip(1) {
            let name = reference.split('"').next().unwrap();
            let named = &document["components"]["schemas"][name];
            assert!(named.is_object(), "{on:?}: {name}");
        }
    }
}

#[tokio::test]
async fn a_method_that_is_not_there_is_405_and_says_which_are() {
    let house = House::start().await;
    for (on, route) in everywhere() {
        for method in [
            Method::TRACE,
            Method::OPTIONS,
            Method::from_bytes(b"QUERY").unwrap(),
        ] {
            let call = Call {
                method,
                ..house.call(&route, on)
            };
            let answer = house.send(call).await;
            assert_eq!(answer.refusal(), (405, 400), "{}", route.path);
            let allowed = answer.headers["allow"].as_str();
            let allowed: Vec<&str> = allowed.split(", ").collect();
            assert!(allowed.contains(&route.method.as_str()), "{}", route.path);
            let reads = allowed.contains(&"GET");
            assert_eq!(allowed.contains(&"HEAD"), reads, "{}", route.path);
        }
    }
}

#[tokio::test]
async fn what_can_be_got_has_a_head() {
    let house = House::start().await;
    let alice = format!("uid={}", house.name(ALICE));
    for (on, route) in everywhere() {
        if route.method != Method::GET {
            continue;
        }
        let call = || {
            let token = match on {
                Listener::Admin => ADMIN.to_string(),
                _ => house.token(ALICE),
            };
            let call = house.call(&route, on).as_(token);
            match route.needs {
                Needs::User => call.with_query(&alice),
                _ => call,
            }
        };
        let got = house.send(call()).await;
        let head = Call {
            method: Method::HEAD,
            ..call()
        };
        // There is one backup at a time, and the first may be about to end.
        let has_a_head = async || {
            let answer = house.line(on).await.ask(&head).await;
            assert!([got.status, 429].contains(&answer.status), "{answer:?}");
            answer.status == got.status
        };
        until(&route.path, has_a_head).await;
    }
}

#[tokio::test]
async fn a_body_is_taken_only_if_every_member_of_it_is_known() {
    let house = House::start().await;
    let mut tried = 0;
    for (on, route) in everywhere() {
        let Some(mut body) = house.example(&route, on) else {
            continue;
        };
        let what = format!("{on:?} {} {}", route.method, route.path);
        assert!(body.is_object(), "{what} has no example");
        body["surplus"] = json!(1);
        for (body, named) in [
            (body.to_string(), "`surplus`"),
            ("{".into(), "cannot be read"),
            ("[]".into(), ""),
        ] {
            let token = match on {
                Listener::Admin => ADMIN.to_string(),
                _ => house.token(ALICE),
            };
            let call = Call {
                body: body.into_bytes(),
                ..house.call(&route, on)
            };
            let call = call.as_(token);
            let call = match on {
                Listener::Admin if route.needs == Needs::User => {
                    call.with_query(&format!("uid={}", house.name(ALICE)))
                }
                _ => call,
            };
            let answer = house.send(call).await;
            assert_eq!(answer.refusal(), (400, 400), "{what}: {answer:?}");
            let msg = answer.json()["msg"].as_str().unwrap().to_string();
            let is_named = msg.contains(named) || msg.contains("is needed");
            assert!(is_named, "{what}: {msg}");
        }
        tried += 1;
    }
    assert!(tried >= 20, "{tried} bodies");
}

#[tokio::test]
async fn nothing_is_at_an_unknown_path() {
    let house = House::start().await;
    for (on, token) in [
        (PUBLIC, house.token(ALICE)),
        (Listener::Admin, ADMIN.into()),
    ] {
        for path in ["/v1", "/v1/nothing", "/v1/groups/", "/v1/conversations/c2x"] {
            let call = Call {
                on,
                method: Method::GET,
                path: path.into(),
                token: Some(token.clone()),
                body: Vec::new(),
            };
            assert_eq!(house.send(call).await.refusal(), (404, 404), "{path}");
        }
    }
}

#[tokio::test]
async fn the_document_and_its_page_are_open_and_the_page_needs_nothing_from_elsewhere() {
    let house = House::start().await;
    for on in BOTH {
        let get = |path: &str| {
            house.send(Call {
                on,
                method: Method::GET,
                path: path.into(),
                token: None,
                body: Vec::new(),
            })
        };
        let served = get("/v1/openapi.json").await;
        assert_eq!(served.headers["content-type"], "application/json");
        assert_eq!(served.json(), document(on));
        let page = get("/v1/docs").await;
        assert_eq!(page.status, 200);
        let policy = &page.headers["content-security-policy"];
        assert!(policy.starts_with("default-src 'none'") && !policy.contains("unsafe"));
        let html = String::from_utf8(page.body).unwrap();
        assert!(!html.contains("<style") && !html.contains(" style="));
        let named = html.split('"').filter(|text| text.starts_with("/v1/docs/"));
        for path in named {
            assert_eq!(get(path).await.status, 200, "{path}");
        }
        assert!(!html.contains("https://") && !html.contains("http://"));
    }
}

#[tokio::test]
async fn the_document_of_a_listener_says_what_that_listener_has() {
    let (public, admin) = (document(PUBLIC), document(Listener::Admin));
    assert!(public["paths"]["/v1/dev/token"].is_object());
    let plain = document(Listener::Public { dev: false });
    assert!(plain["paths"]["/v1/dev/token"].is_null());
    for path in ["/v1/bans", "/v1/backup", "/v1/tokens", "/metrics"] {
        assert!(public["paths"][path].is_null(), "{path}");
        assert!(admin["paths"][path].is_object(), "{path}");
    }
    assert!(public["components"]["securitySchemes"]["admin_token"].is_null());
    assert!(
        !public
            .to_string()
            .contains("\"name\":\"uid\",\"in\":\"query\"")
    );
}

fn operations(document: &Value) -> std::collections::BTreeMap<(String, String), Value> {
    let paths = document["paths"].as_object().unwrap();
    let all = paths.iter().flat_map(|(path, item)| {
        let item = item.as_object().unwrap().iter();
        item.map(|(method, operation)| ((method.clone(), path.clone()), operation.clone()))
    });
    all.collect()
}
