//! Bans, by the admin token: who may not come, on which device, or with tokens of what age.

use std::time::Duration;

use actix_web::{HttpResponse, web};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::actor::fence;
use crate::code::Code;
use crate::id::{Did, Uid};
use crate::machine::access::{Access, Change, DEVICES_MAX};
use crate::message::{Answer, Fault, Op};

use super::reply;
use super::state::AppState;

/// The earliest instant that is taken for one, Unix milliseconds: in seconds, it would be the year 5138.
const EARLIEST_MS: u64 = 100_000_000_000;
/// How far ahead tokens may be invalidated, by the wall clock and by the server's own: a slip locks a user out no longer
/// than this.
const AHEAD_MS: u64 = 24 * 60 * 60 * 1000;
/// Users of one listing, if it does not say, and at most.
const BANS_MAX: usize = 100;

/// The routes; the caller asks for the admin token first.
pub fn routes(config: &mut web::ServiceConfig) {
    config
        .route("/v1/bans", web::get().to(bans))
        .route("/v1/users/{uid}/access", web::get().to(access))
        .route("/v1/users/{uid}/ban", web::put().to(ban_user))
        .route("/v1/users/{uid}/ban", web::delete().to(unban_user))
        .route(
            "/v1/users/{uid}/devices/{did}/ban",
            web::put().to(ban_device),
        )
        .route(
            "/v1/users/{uid}/devices/{did}/ban",
            web::delete().to(unban_device),
        )
        .route(
            "/v1/users/{uid}/tokens/invalidate",
            web::post().to(invalidate),
        );
}

/// `GET /v1/users/{uid}/access`: what is forbidden to a user.
async fn access(uid: web::Path<String>, state: web::Data<AppState>) -> HttpResponse {
    let found = async {
        match state.commit(Op::Access(user(&uid, &state)?)).await? {
            Answer::Access(access) => Ok(access),
            _ => Err(Fault::new(Code::Storage)),
        }
    };
    shown(found.await, &state)
}

/// `PUT /v1/users/{uid}/ban`.
async fn ban_user(uid: web::Path<String>, state: web::Data<AppState>) -> HttpResponse {
    shown(asked(&uid, Ok(Change::Ban), &state).await, &state)
}

/// `DELETE /v1/users/{uid}/ban`.
async fn unban_user(uid: web::Path<String>, state: web::Data<AppState>) -> HttpResponse {
    shown(asked(&uid, Ok(Change::Unban), &state).await, &state)
}

/// `PUT /v1/users/{uid}/devices/{did}/ban`.
async fn ban_device(path: web::Path<(String, String)>, state: web::Data<AppState>) -> HttpResponse {
    let change = device(&path.1).map(Change::BanDevice);
    shown(asked(&path.0, change, &state).await, &state)
}

/// `DELETE /v1/users/{uid}/devices/{did}/ban`.
async fn unban_device(
    path: web::Path<(String, String)>,
    state: web::Data<AppState>,
) -> HttpResponse {
    let change = device(&path.1).map(Change::UnbanDevice);
    shown(asked(&path.0, change, &state).await, &state)
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Invalidate {
    issued_before: Option<u64>,
}

/// `POST /v1/users/{uid}/tokens/invalidate`: those issued before an instant, or before the answer.
async fn invalidate(
    uid: web::Path<String>,
    body: Result<web::Bytes, actix_web::Error>,
    state: web::Data<AppState>,
) -> HttpResponse {
    let done = async {
        match instant(body, earliest_now(&state))? {
            Some(instant) => asked(&uid, Ok(Change::TokensNotBefore(instant)), &state).await,
            None => invalidate_all(user(&uid, &state)?, &state).await,
        }
    };
    shown(done.await, &state)
}

/// Everything that was issued before this returns, and nothing that is issued after it.
pub async fn invalidate_all(uid: Uid, state: &AppState) -> Result<Access, Fault> {
    let clock = &state.services.clock;
    if clock.wall_ms() > earliest_now(state).saturating_add(AHEAD_MS) {
        let msg = "the wall clock is more than a day ahead of the server's time: set it, or name issued_before";
        return Err(Fault::because(Code::Busy, msg).later(state.services.rules.retry_ms));
    }
    restrict(uid, Change::TokensNotBefore(clock.wall_ms()), state).await?;
    // A refresh token that was taken just before that commit may have bought a token a moment later.
    let last = clock.wall_ms() + 1;
    let access = restrict(uid, Change::TokensNotBefore(last), state).await?;
    tokio::time::sleep(Duration::from_millis(1)).await;
    Ok(access)
}

/// The earlier of the two clocks: one that was set wrongly must not lock a user out.
fn earliest_now(state: &AppState) -> u64 {
    let clock = &state.services.clock;
    clock.wall_ms().min(clock.now_ms())
}

fn instant(body: Result<web::Bytes, actix_web::Error>, now: u64) -> Result<Option<u64>, Fault> {
    let body = body.map_err(|error| reply::body(&error))?;
    if body.is_empty() {
        return Ok(None);
    }
    let asked: Invalidate = serde_json::from_slice(&body).map_err(|error| {
        bad(format!(
            "{{\"issued_before\":MILLISECONDS}} is needed: {error}"
        ))
    })?;
    match asked.issued_before {
        Some(instant) if instant < EARLIEST_MS => Err(bad(format!(
            "issued_before is in Unix milliseconds, and {instant} would be before 1974"
        ))),
        Some(instant) if instant > now.saturating_add(AHEAD_MS) => Err(bad(format!(
            "issued_before is {instant}, more than a day ahead: nobody could log in until then"
        ))),
        instant => Ok(instant),
    }
}

async fn asked(
    uid: &str,
    change: Result<Change, Fault>,
    state: &AppState,
) -> Result<Access, Fault> {
    restrict(user(uid, state)?, change?, state).await
}

/// Changes what a user may do; when this returns the change is durable, and every connection that it ends has been
/// told to close and takes no message any more.
pub async fn restrict(uid: Uid, change: Change, state: &AppState) -> Result<Access, Fault> {
    let said = describe(&change);
    let answer = state.commit(Op::Restrict { uid, change }).await;
    let access = match answer {
        Ok(Answer::Access(access)) => access,
        Ok(_) => return Err(Fault::new(Code::Storage)),
        Err(fault) if fault.code == Code::BadFrame => {
            return Err(bad(format!(
                "{DEVICES_MAX} devices of this user are banned already: ban the user"
            )));
        }
        Err(fault) => return Err(fault),
    };
    log::info!("user {uid}: {said}");
    fence::opened(&state.services, uid).await;
    Ok(access)
}

fn describe(change: &Change) -> String {
    match change {
        Change::Ban => "banned".to_string(),
        Change::Unban => "the ban is lifted".to_string(),
        Change::BanDevice(did) => format!("device {did} banned"),
        Change::UnbanDevice(did) => format!("the ban of device {did} is lifted"),
        Change::TokensNotBefore(instant) => format!("tokens issued before {instant} invalidated"),
    }
}

#[derive(Deserialize)]
struct Listing {
    after: Option<String>,
    limit: Option<usize>,
}

/// `GET /v1/bans`: who is banned, or has a banned device.
async fn bans(
    query: Result<web::Query<Listing>, actix_web::Error>,
    state: web::Data<AppState>,
) -> HttpResponse {
    let found = async {
        let asked = query.map_err(|error| bad(format!("the query cannot be read: {error}")))?;
        let after = asked.after.as_deref();
        let after = after.map(|uid| user(uid, &state)).transpose()?;
        let limit = asked.limit.unwrap_or(BANS_MAX);
        if !(1..=BANS_MAX).contains(&limit) {
            return Err(bad(format!(
                "limit is {limit}, and 1 to {BANS_MAX} are allowed"
            )));
        }
        match state.commit(Op::Bans { after, limit }).await? {
            Answer::Bans(bans) => Ok(bans),
            _ => Err(Fault::new(Code::Storage)),
        }
    };
    match found.await {
        Ok(bans) => {
            let users: Vec<Value> = bans
                .users
                .iter()
                .map(|(uid, access)| {
                    let mut user = told(access);
                    user["uid"] = state.hashids.encode(*uid).into();
                    user
                })
                .collect();
            let next = bans.next.map(|uid| state.hashids.encode(uid));
            reply::success(json!({"users": users, "next": next, "more": next.is_some()}))
        }
        Err(fault) => refused(&fault, &state),
    }
}

fn shown(access: Result<Access, Fault>, state: &AppState) -> HttpResponse {
    match access {
        Ok(access) => reply::success(told(&access)),
        Err(fault) => refused(&fault, state),
    }
}

fn told(access: &Access) -> Value {
    let devices: Vec<&str> = access.banned_devices.iter().map(Did::as_str).collect();
    json!({
        "banned": access.banned,
        "banned_devices": devices,
        "tokens_not_before": access.tokens_not_before,
    })
}

fn refused(fault: &Fault, state: &AppState) -> HttpResponse {
    state.services.metrics.refused(fault.code);
    reply::refused(fault)
}

fn user(text: &str, state: &AppState) -> Result<Uid, Fault> {
    let uid = state.hashids.decode(text);
    uid.map_err(|error| bad(format!("{text:?} names no user: {error}")))
}

fn device(text: &str) -> Result<Did, Fault> {
    Did::parse(text).map_err(|error| bad(format!("did {error}")))
}

fn bad(msg: String) -> Fault {
    Fault::because(Code::BadFrame, msg)
}
