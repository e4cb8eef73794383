//! What apps and clients may ask without a WebSocket.

use actix_web::middleware::{Condition, from_fn};
use actix_web::{FromRequest, Handler, HttpRequest, HttpResponse, Resource, web};
use serde::Deserialize;
use serde_json::json;

use crate::code::Code;
use crate::gateway::ws;
use crate::id::Uid;
use crate::message::{Fault, Op};
use crate::token::{Claims, Kind, TokenError};

use super::cors;
use super::reply;
use super::state::AppState;

/// The routes of the public listener; `dev` adds the developer's login, and pages of these origins may call all but the
/// WebSocket's.
pub fn routes(config: &mut web::ServiceConfig, dev: bool, origins: &[String]) {
    let mut api = web::scope("")
        .service(health("/health/live", live))
        .service(health("/health/ready", ready))
        .route("/v1/token/refresh", web::post().to(refresh));
    if dev {
        api = api.route("/v1/dev/token", web::post().to(dev_token));
    }
    let api = api.default_service(web::to(reply::nothing_here));
    let is_open = !origins.is_empty();
    config
        .route("/ws", web::get().to(ws::connect))
        .route("/ws/", web::get().to(ws::connect))
        .service(
            api.wrap(Condition::new(is_open, cors::of(origins)))
                .wrap(Condition::new(is_open, from_fn(cors::in_form))),
        );
}

/// A route that probes ask with GET or HEAD.
pub fn health<F, Args>(path: &str, answer: F) -> Resource
where
    F: Handler<Args, Output = HttpResponse> + Copy,
    Args: FromRequest + 'static,
{
    web::resource(path)
        .route(web::get().to(answer))
        .route(web::head().to(answer))
}

/// `GET /health/live`: the process answers.
pub async fn live() -> HttpResponse {
    reply::success(json!({}))
}

/// `GET /health/ready`: messages are accepted, or 503 and why not.
pub async fn ready(state: web::Data<AppState>) -> HttpResponse {
    match state.trouble() {
        None => reply::success(json!({})),
        Some(trouble) => reply::refused(&Fault::because(Code::Busy, trouble)),
    }
}

/// `POST /v1/token/refresh`: a new access token for a refresh token.
async fn refresh(req: HttpRequest, state: web::Data<AppState>) -> HttpResponse {
    let shown = reply::bearer_of(req.headers());
    match state
        .tokens
        .verify(shown, state.services.clock.wall_ms(), 0)
    {
        Ok(claims) if claims.kind == Kind::Refresh => {
            fresh(claims.uid, claims.iat_ms, &state).await
        }
        Ok(_) => refused(&state, &reply::token(&TokenError::Invalid)),
        Err(error) => refused(&state, &reply::token(&error)),
    }
}

#[derive(Deserialize)]
struct DevLogin {
    uid: u64,
}

/// `POST /v1/dev/token`: a token for anybody, on a developer's own machine.
async fn dev_token(
    body: Result<web::Bytes, actix_web::Error>,
    state: web::Data<AppState>,
) -> HttpResponse {
    let body = match body {
        Ok(body) => body,
        Err(error) => return refused(&state, &reply::body(&error)),
    };
    match serde_json::from_slice::<DevLogin>(&body) {
        Ok(login) => {
            let now = state.services.clock.wall_ms();
            fresh(Uid(login.uid), Some(now), &state).await
        }
        Err(_) => refused(
            &state,
            &Fault::because(
                Code::BadFrame,
                "the body must be {\"uid\":NUMBER}, a whole number that is not negative",
            ),
        ),
    }
}

/// An access token for a user who comes with something issued then, Unix milliseconds.
async fn fresh(uid: Uid, issued_ms: Option<u64>, state: &AppState) -> HttpResponse {
    // Dated before it is admitted: tokens that are invalidated a moment later take this one with them.
    let now = state.services.clock.wall_ms();
    let did = None;
    let admit = Op::Admit {
        uid,
        did,
        issued_ms,
    };
    if let Err(fault) = state.commit(admit).await {
        return refused(state, &fault);
    }
    let exp_ms = now.saturating_add(state.settings.auth.token_ttl_ms);
    let claims = Claims {
        uid,
        exp_ms,
        iat_ms: Some(now),
        kind: Kind::Access,
    };
    match state.tokens.mint(&claims) {
        Ok(token) => reply::success(json!({"token": token, "expire_at": exp_ms})),
        Err(error) => {
            log::error!("no token could be made: {error}");
            refused(
                state,
                &Fault::because(Code::Storage, "no token could be made"),
            )
        }
    }
}

fn refused(state: &AppState, fault: &Fault) -> HttpResponse {
    state.services.metrics.refused(fault.code);
    reply::refused(fault)
}
