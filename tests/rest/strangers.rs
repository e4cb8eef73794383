//! Over every route of a group: whoever is no member gets nothing, and does not hear whether there is such a group.

use serde_json::json;
use yizhan::http::v1::table::Route;

use super::house::{ALICE, BOB, Call, House, MALLORY, for_users};

#[tokio::test]
async fn a_stranger_gets_nothing_of_a_group_and_does_not_hear_that_there_is_one() {
    let house = House::start().await;
    let gid = house.group().await;
    let missing = house.hashids.encode_group(yizhan::id::Cid(987_654));
    let mallory = house.token(MALLORY);
    let mut tried = 0;
    for (on, route) in for_users()
        .into_iter()
        .filter(|(_, route)| is_of_a_group(route))
    {
        let what = format!("{on:?} {} {}", route.method, route.path);
        let mut answers = Vec::new();
        for gid in [gid.as_str(), missing.as_str(), "nobody"] {
            let call = Call {
                path: house.path(&route.path, gid),
                ..house.call(&route, on)
            };
            let answer = house.send(call.as_(&mallory)).await;
            assert_eq!(answer.refusal(), (403, 403), "{what} of {gid}");
            answers.push(answer.json());
        }
        assert_eq!(answers[0], answers[1], "{what}");
        tried += 1;
    }
    assert!(tried >= 30, "{tried} routes of groups");
}

#[tokio::test]
async fn a_member_gets_the_same() {
    let house = House::start().await;
    let gid = house.group().await;
    for path in [
        format!("/v1/groups/{gid}"),
        format!("/v1/groups/{gid}/members"),
        format!("/v1/conversations/c2g/{gid}"),
        format!("/v1/conversations/c2g/{gid}/messages"),
    ] {
        house.ask(BOB, "GET", &path, json!(null)).await;
        let stranger = house.tries(MALLORY, "GET", &path, json!(null)).await;
        assert_eq!(stranger.refusal(), (403, 403), "{path}");
    }
    // An id is its author's: other members know none of that name.
    let path = format!("/v1/conversations/c2g/{gid}/messages/m1/receipts");
    house.ask(ALICE, "GET", &path, json!(null)).await;
    let other = house.tries(BOB, "GET", &path, json!(null)).await;
    assert_eq!(other.refusal(), (404, 404));
}

#[tokio::test]
async fn whoever_has_left_is_a_stranger() {
    let house = House::start().await;
    let gid = house.group().await;
    house
        .ask(BOB, "POST", &format!("/v1/groups/{gid}/leave"), json!(null))
        .await;
    let path = format!("/v1/conversations/c2g/{gid}/messages");
    assert_eq!(
        house.tries(BOB, "GET", &path, json!(null)).await.refusal(),
        (403, 403)
    );
}

#[tokio::test]
async fn nobody_reads_what_two_others_said() {
    let house = House::start().await;
    let message = json!({"id": "m1", "to": house.name(BOB), "payload": "secret"});
    house.ask(ALICE, "POST", "/v1/messages", message).await;
    for other in [ALICE, BOB] {
        let path = format!("/v1/conversations/c2c/{}/messages", house.name(other));
        let read = house.ask(MALLORY, "GET", &path, json!(null)).await;
        assert_eq!(read["messages"], json!([]));
        assert_eq!(read["head"], json!(0));
    }
}

#[tokio::test]
async fn a_stranger_sends_nothing_into_a_group() {
    let house = House::start().await;
    let gid = house.group().await;
    let message = json!({"id": "m2", "type": "C2G", "to": gid, "payload": 1});
    let answer = house.tries(MALLORY, "POST", "/v1/messages", message).await;
    assert_eq!(answer.refusal(), (403, 403));
}

fn is_of_a_group(route: &Route) -> bool {
    let is_of_one = route.path.contains("{gid}") || route.path.contains("/conversations/{type}");
    is_of_one || route.path.contains("/c2g/")
}
