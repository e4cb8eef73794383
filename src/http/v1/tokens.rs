//! Getting and renewing tokens.

use actix_web::{HttpRequest, web};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::code::Code;
use crate::http::reply;
use crate::http::state::AppState;
use crate::id::Uid;
use crate::message::{Fault, Op};
use crate::token::{Claims, Kind, TokenError};

use super::answer::{Refused, Reply, success};
use super::ask::{self, Body};
use super::schema::{Envelope, Refusal, UserName};
use super::whole::Within;

/// The longest life of a token that is asked for, milliseconds: a hundred years.
const TTL_MAX: u64 = 100 * 365 * 24 * 60 * 60 * 1000;

/// How long a token lasts, milliseconds.
type Lifetime = Within<1, TTL_MAX>;
/// A user's number.
type Number = Within<0, { u64::MAX }>;

/// A token.
#[derive(Serialize, ToSchema)]
pub(super) struct Token {
    /// To be shown as `authorization: Bearer TOKEN`.
    token: String,
    /// When it expires, Unix milliseconds.
    expire_at: u64,
}

/// A token that is wanted.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"uid": "kybqdp", "kind": "rtk"}))]
pub(super) struct NewToken {
    /// For whom.
    uid: UserName,
    kind: TokenKind,
    /// How long it lasts, milliseconds; as `auth.token_ttl_ms` or `auth.refresh_ttl_ms` says if it is not there.
    #[schema(inline)]
    ttl_ms: Option<Lifetime>,
}

/// `tk` for connecting and calling, `rtk` for getting such a token and nothing else.
#[derive(Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum TokenKind {
    /// For connecting and calling.
    Tk,
    /// For getting an access token.
    Rtk,
}

/// Makes a token for a user.
#[utoipa::path(
    post,
    path = "/v1/tokens",
    operation_id = "makeToken",
    request_body = NewToken,
    responses((status = 200, description = "It.", body = Envelope<Token>))
)]
pub(super) async fn make(body: Body<NewToken>, state: web::Data<AppState>) -> Reply {
    let auth = &state.settings.auth;
    let (kind, usual) = match body.0.kind {
        TokenKind::Tk => (Kind::Access, auth.token_ttl_ms),
        TokenKind::Rtk => (Kind::Refresh, auth.refresh_ttl_ms),
    };
    let ttl_ms = body.0.ttl_ms.map_or(usual, Lifetime::get);
    let uid = ask::user("uid", body.0.uid.as_str(), &state)?;
    let now = state.services.clock.wall_ms();
    success(issue(uid, kind, ttl_ms, Some(now), &state).await?)
}

/// Gives a new access token for a refresh token.
#[utoipa::path(
    post,
    path = "/v1/token/refresh",
    operation_id = "refreshToken",
    security(("refresh_token" = [])),
    responses(
        (status = 200, description = "An access token.", body = Envelope<Token>),
        (status = 401, description = "705: the refresh token has expired. 706: it is not one.", body = Refusal),
        (status = 403, description = "The user is banned.", body = Refusal),
        (status = 500, description = "The store failed.", body = Refusal),
    )
)]
pub(super) async fn refresh(req: HttpRequest, state: web::Data<AppState>) -> Reply {
    let now = state.services.clock.wall_ms();
    let shown = reply::bearer_of(req.headers());
    let claims = match state.tokens.verify(shown, now, 0) {
        Ok(claims) if claims.kind == Kind::Refresh => Ok(claims),
        Ok(_) => Err(reply::token(&TokenError::Invalid)),
        Err(error) => Err(reply::token(&error)),
    };
    let fresh = async {
        let Claims { uid, iat_ms, .. } = claims?;
        let ttl_ms = state.settings.auth.token_ttl_ms;
        issue(uid, Kind::Access, ttl_ms, iat_ms, &state).await
    };
    success(fresh.await.map_err(|fault| counted(fault, &state))?)
}

/// Who a developer wants to be.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"uid": 1}))]
pub(super) struct DevLogin {
    /// The user's number.
    #[schema(inline)]
    uid: Number,
}

/// A token, and whose it is.
#[derive(Serialize, ToSchema)]
pub(super) struct DevToken {
    /// To be shown as `authorization: Bearer TOKEN`.
    token: String,
    /// When it expires, Unix milliseconds.
    expire_at: u64,
    /// The user, as clients name them.
    uid: String,
}

/// Gives a token for anybody, on a developer's own machine.
#[utoipa::path(
    post,
    path = "/v1/dev/token",
    operation_id = "devToken",
    request_body = DevLogin,
    responses(
        (status = 200, description = "An access token.", body = Envelope<DevToken>),
        (status = 400, description = "The body cannot be read.", body = Refusal),
        (status = 401, description = "706: tokens as new as this are not good for this user.", body = Refusal),
        (status = 403, description = "The user is banned.", body = Refusal),
        (status = 413, description = "The body is too long.", body = Refusal),
        (status = 500, description = "The store failed.", body = Refusal),
    )
)]
pub(super) async fn dev(
    body: Result<Body<DevLogin>, Refused>,
    state: web::Data<AppState>,
) -> Reply {
    let fresh = async {
        let uid = Uid(body.map_err(|refused| refused.fault().clone())?.0.uid.get());
        let now = state.services.clock.wall_ms();
        let ttl_ms = state.settings.auth.token_ttl_ms;
        let made = issue(uid, Kind::Access, ttl_ms, Some(now), &state).await?;
        let Token { token, expire_at } = made;
        let uid = state.hashids.encode(uid);
        Ok(DevToken {
            token,
            expire_at,
            uid,
        })
    };
    success(fresh.await.map_err(|fault: Fault| counted(fault, &state))?)
}

/// A token for a user who comes with something issued then, Unix milliseconds.
async fn issue(
    uid: Uid,
    kind: Kind,
    ttl_ms: u64,
    issued_ms: Option<u64>,
    state: &AppState,
) -> Result<Token, Fault> {
    // Dated before it is admitted: tokens that are invalidated a moment later take this one with them.
    let now = state.services.clock.wall_ms();
    let did = None;
    let admit = Op::Admit {
        uid,
        did,
        issued_ms,
    };
    state.commit(admit).await?;
    let expire_at = now.saturating_add(ttl_ms);
    let claims = Claims {
        uid,
        exp_ms: expire_at,
        iat_ms: Some(now),
        kind,
    };
    let token = state.tokens.mint(&claims).map_err(|error| {
        log::error!("no token could be made: {error}");
        Fault::because(Code::Storage, "no token could be made")
    })?;
    Ok(Token { token, expire_at })
}

/// A route that needs no token of a user is not counted at the door.
fn counted(fault: Fault, state: &AppState) -> Fault {
    state.services.metrics.refused(fault.code);
    fault
}
