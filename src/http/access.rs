//! Bans, by the admin token: who may not come, on which device, or with tokens of what age.

use std::time::Duration;

use actix_web::{HttpResponse, web};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::actor::fence;
use crate::code::Code;
use crate::id::{Did, Uid};
use crate::machine::access::{Access, Change, DEVICES_MAX};
use crate::message::{Answer, Fault, Op};

use super::reply;
use super::state::AppState;
use super::v1::{Envelope, UserName, Within, bad, device, nobody};

/// The earliest instant that is taken for one, Unix milliseconds: in seconds, it would be the year 5138.
const EARLIEST_MS: i64 = 100_000_000_000;
/// The latest one that can be read: 2^53 - 1.
const LATEST_MS: u64 = (1 << 53) - 1;
/// How far ahead tokens may be invalidated, by the wall clock and by the server's own: a slip locks a user out no longer
/// than this.
const AHEAD_MS: u64 = 24 * 60 * 60 * 1000;
/// Users of one listing, if it does not say, and at most.
const BANS_MAX: usize = 100;

/// Shows what is forbidden to a user.
#[utoipa::path(
    get,
    path = "/v1/users/{uid}/access",
    operation_id = "getAccess",
    params(("uid" = inline(UserName), Path, description = "The user.")),
    responses((status = 200, description = "It.", body = Envelope<AccessView>))
)]
pub(super) async fn access(uid: web::Path<String>, state: web::Data<AppState>) -> HttpResponse {
    let found = async {
        match state.commit(Op::Access(user(&uid, &state)?)).await? {
            Answer::Access(access) => Ok(access),
            _ => Err(Fault::new(Code::Storage)),
        }
    };
    shown(found.await, &state)
}

/// Bans a user.
///
/// When this is answered it is on the disk, and every connection of theirs has been told to close.
#[utoipa::path(
    put,
    path = "/v1/users/{uid}/ban",
    operation_id = "banUser",
    params(("uid" = inline(UserName), Path, description = "The user.")),
    responses((status = 200, description = "What is forbidden now.", body = Envelope<AccessView>))
)]
pub(super) async fn ban_user(uid: web::Path<String>, state: web::Data<AppState>) -> HttpResponse {
    shown(asked(&uid, Ok(Change::Ban), &state).await, &state)
}

/// Lifts the ban of a user.
#[utoipa::path(
    delete,
    path = "/v1/users/{uid}/ban",
    operation_id = "unbanUser",
    params(("uid" = inline(UserName), Path, description = "The user.")),
    responses((status = 200, description = "What is forbidden now.", body = Envelope<AccessView>))
)]
pub(super) async fn unban_user(uid: web::Path<String>, state: web::Data<AppState>) -> HttpResponse {
    shown(asked(&uid, Ok(Change::Unban), &state).await, &state)
}

/// Bans a device of a user, by its name; at most 256 of one user.
#[utoipa::path(
    put,
    path = "/v1/users/{uid}/devices/{did}/ban",
    operation_id = "banDevice",
    params(
        ("uid" = inline(UserName), Path, description = "The user."),
        ("did" = String, Path, description = "The device."),
    ),
    responses((status = 200, description = "What is forbidden now.", body = Envelope<AccessView>))
)]
pub(super) async fn ban_device(
    path: web::Path<(String, String)>,
    state: web::Data<AppState>,
) -> HttpResponse {
    let change = device(&path.1).map(Change::BanDevice);
    shown(asked(&path.0, change, &state).await, &state)
}

/// Lifts the ban of a device.
#[utoipa::path(
    delete,
    path = "/v1/users/{uid}/devices/{did}/ban",
    operation_id = "unbanDevice",
    params(
        ("uid" = inline(UserName), Path, description = "The user."),
        ("did" = String, Path, description = "The device."),
    ),
    responses((status = 200, description = "What is forbidden now.", body = Envelope<AccessView>))
)]
pub(super) async fn unban_device(
    path: web::Path<(String, String)>,
    state: web::Data<AppState>,
) -> HttpResponse {
    let change = device(&path.1).map(Change::UnbanDevice);
    shown(asked(&path.0, change, &state).await, &state)
}

/// What is forbidden to a user.
#[derive(Serialize, ToSchema)]
pub(super) struct AccessView {
    /// Whether the user is banned on every device.
    banned: bool,
    /// The devices that are banned one by one.
    banned_devices: Vec<String>,
    /// Tokens issued before then are not good, Unix milliseconds.
    tokens_not_before: Option<u64>,
}

impl AccessView {
    fn of(access: &Access) -> AccessView {
        AccessView {
            banned: access.banned,
            banned_devices: access.banned_devices.iter().map(Did::to_string).collect(),
            tokens_not_before: access.tokens_not_before,
        }
    }
}

/// When tokens were issued, Unix milliseconds.
type Instant = Within<EARLIEST_MS, LATEST_MS>;

/// Which tokens are to be good no more.
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"issued_before": 1668877742828u64}))]
pub(super) struct Invalidate {
    /// Those issued before then, Unix milliseconds and at most a day ahead; before the answer if it is not there.
    #[schema(inline)]
    issued_before: Option<Instant>,
}

/// Makes tokens of a user invalid that were issued before an instant, or before the answer.
#[utoipa::path(
    post,
    path = "/v1/users/{uid}/tokens/invalidate",
    operation_id = "invalidateTokens",
    params(("uid" = inline(UserName), Path, description = "The user.")),
    request_body(content = Option<Invalidate>, description = "May be left out."),
    responses((status = 200, description = "What is forbidden now.", body = Envelope<AccessView>))
)]
pub(super) async fn invalidate(
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
    let asked: Option<Invalidate> = serde_json::from_slice(&body).map_err(|error| {
        bad(format!(
            "{{\"issued_before\":MILLISECONDS}} is needed, in milliseconds since 1970: {error}"
        ))
    })?;
    match asked.unwrap_or_default().issued_before.map(Instant::get) {
        Some(instant) if instant > now.saturating_add(AHEAD_MS) => {
            let msg = format!(
                "issued_before is {instant}, more than a day ahead: nobody could log in until then"
            );
            Err(Fault::because(Code::Conflict, msg))
        }
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
            let msg =
                format!("{DEVICES_MAX} devices of this user are banned already: ban the user");
            return Err(Fault::because(Code::Conflict, msg));
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

/// Which bans are wanted.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Listing {
    /// Only users after this one: `next` of the page before.
    #[param(inline, value_type = UserName, required = false)]
    after: Option<String>,
    /// At most this many; 100 if it is not there.
    #[param(minimum = 1, maximum = 100, value_type = u64, required = false)]
    limit: Option<usize>,
}

/// A user who is banned, or has a banned device.
#[derive(Serialize, ToSchema)]
pub(super) struct BannedView {
    /// The user.
    uid: String,
    #[serde(flatten)]
    access: AccessView,
}

/// Users who are banned, or have a banned device.
#[derive(Serialize, ToSchema)]
pub(super) struct BansView {
    users: Vec<BannedView>,
    /// Ask for those `after` this one next; none at the end.
    next: Option<String>,
    /// Whether there may be more.
    more: bool,
}

/// Lists who is banned, or has a banned device. A page may be empty.
#[utoipa::path(
    get,
    path = "/v1/bans",
    operation_id = "listBans",
    params(Listing),
    responses((status = 200, description = "A page of them.", body = Envelope<BansView>))
)]
pub(super) async fn bans(
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
            let users = bans.users.iter().map(|(uid, access)| BannedView {
                uid: state.hashids.encode(*uid),
                access: AccessView::of(access),
            });
            reply::success(BansView {
                users: users.collect(),
                next: bans.next.map(|uid| state.hashids.encode(uid)),
                more: bans.next.is_some(),
            })
        }
        Err(fault) => refused(&fault, &state),
    }
}

fn shown(access: Result<Access, Fault>, state: &AppState) -> HttpResponse {
    match access {
        Ok(access) => reply::success(AccessView::of(&access)),
        Err(fault) => refused(&fault, state),
    }
}

fn refused(fault: &Fault, state: &AppState) -> HttpResponse {
    state.services.metrics.refused(fault.code);
    reply::refused(fault)
}

fn user(text: &str, state: &AppState) -> Result<Uid, Fault> {
    let uid = state.hashids.decode(text);
    uid.map_err(|error| nobody(format!("{text:?} names no user: {error}")))
}
