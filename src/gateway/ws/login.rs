//! Who is let in: the token, the names of the device, and whether the request is one for a WebSocket at all.

use std::time::Duration;

use actix_http::ws::verify_handshake;
use actix_web::http::Version;
use actix_web::http::header::{AUTHORIZATION, CONTENT_LENGTH, TRANSFER_ENCODING};
use actix_web::{HttpRequest, HttpResponseBuilder, web};
use actix_web_actors::ws::handshake;
use tokio::time::timeout;

use crate::actor::login::{self, Attachment, Peer};
use crate::code::Code;
use crate::gateway::wire::Wire;
use crate::http::reply::{self, bearer};
use crate::http::state::AppState;
use crate::id::Did;
use crate::machine::access::Pass;
use crate::message::Fault;
use crate::metrics::Limit;
use crate::token::{Claims, Kind, TokenError};

/// How long a login waits for its turn, at most.
const PATIENCE: Duration = Duration::from_secs(10);

/// What a connection names in its query, where a header does not; of two values the first counts.
pub type Query = web::Query<Vec<(String, String)>>;

/// A value of the query.
pub(super) fn in_query<'a>(query: &'a Query, name: &str) -> Option<&'a str> {
    let mut found = query.iter().filter(|(key, _)| key == name);
    found.next().map(|(_, value)| value.as_str())
}

/// Checks a request and attaches it to its device.
pub(super) async fn log_in(
    req: &HttpRequest,
    query: &Query,
    state: &AppState,
) -> Result<Attachment, Fault> {
    let header = req.headers().get(AUTHORIZATION);
    let token = match header {
        Some(header) => header.to_str().ok().map(bearer),
        None => in_query(query, "authorization").map(bearer),
    };
    let claims = check(token.unwrap_or_default(), state).map_err(|error| reply::token(&error))?;
    let did = named(req, "did", in_query(query, "did"))?;
    let did = did.or_else(|| state.settings.device.default_did().map(str::to_string));
    let Some(did) = did else {
        return Err(Fault::because(
            Code::BadFrame,
            "did is missing: name the device",
        ));
    };
    let did = Did::parse(&did).map_err(|e| Fault::because(Code::BadFrame, format!("did {e}")))?;
    let dtype = named(req, "dtype", in_query(query, "dtype"))?;
    let dtype = dtype.or_else(|| state.settings.device.default_dtype().map(str::to_string));
    if let Some(dtype) = &dtype {
        // A device type follows the rule of device ids.
        Did::parse(dtype).map_err(|e| Fault::because(Code::BadFrame, format!("dtype {e}")))?;
    }
    // Before the attachment, which takes the place of an older connection.
    shake_hands(req)?;
    if state.is_draining() {
        return Err(Fault::because(Code::Busy, "the server is going down")
            .later(state.services.rules.retry_ms));
    }
    // Only those who may log in use up logins: a stranger must not take them away from others.
    if let Err(too_fast) = state.rates.log_in() {
        state.services.metrics.limited(too_fast.limit);
        let fault = Fault::because(Code::TooFast, "too many logins at once");
        return Err(fault.later(too_fast.retry_ms));
    }
    let busy = || Fault::new(Code::Busy).later(state.services.rules.retry_ms);
    let turn = timeout(PATIENCE, state.logins.acquire()).await;
    // Nobody closes the semaphore: only the wait can fail.
    let _turn = turn.map_err(|_| busy())?;
    let pass = pass(&claims, state);
    let peer = Peer {
        line: req.conn_data::<Wire>().map(Wire::line),
        dtype: dtype.as_deref().map(Into::into),
    };
    let attached = login::attach_as(peer, &state.services, claims.uid, &did, pass).await;
    let attachment = attached.map_err(|code| match code {
        Code::Busy => busy(),
        Code::TooFast => {
            state.services.metrics.limited(Limit::PerUser);
            Fault::because(code, "this user has too many devices connected")
                .later(state.services.rules.retry_ms)
        }
        Code::Forbidden => Fault::because(code, "Banned"),
        code => Fault::new(code),
    })?;
    log::debug!(
        "user {} came as {did}, a device of type {}",
        claims.uid,
        dtype.as_deref().unwrap_or("unknown")
    );
    Ok(attachment)
}

/// An access token that is good now.
pub(super) fn check(token: &str, state: &AppState) -> Result<Claims, TokenError> {
    let leeway = state.settings.auth.expiry_leeway_ms;
    let claims = state
        .tokens
        .verify(token, state.services.clock.wall_ms(), leeway)?;
    match claims.kind {
        Kind::Access => Ok(claims),
        Kind::Refresh => Err(TokenError::Invalid),
    }
}

/// What a connection with this token may; it ends by the server's clock, and was issued by the wall's.
pub(super) fn pass(claims: &Claims, state: &AppState) -> Pass {
    let leeway = state.settings.auth.expiry_leeway_ms;
    let wall = claims.exp_ms.saturating_add(leeway);
    Pass {
        good_until: state.services.clock.at_wall(wall),
        issued_ms: claims.iat_ms,
    }
}

/// A value from its header, or else from the query.
fn named(req: &HttpRequest, name: &str, query: Option<&str>) -> Result<Option<String>, Fault> {
    let Some(header) = req.headers().get(name) else {
        return Ok(query.map(str::to_string));
    };
    match header.to_str() {
        Ok(value) => Ok(Some(value.to_string())),
        Err(_) => Err(Fault::because(
            Code::BadFrame,
            format!("{name} is not plain text"),
        )),
    }
}

/// The answer to an upgrade, or what is wrong with the request for one.
pub(super) fn shake_hands(req: &HttpRequest) -> Result<HttpResponseBuilder, Fault> {
    let refused = |why: &dyn std::fmt::Display| {
        let msg = format!("this address is for WebSockets: {why}");
        Fault::because(Code::BadFrame, msg)
    };
    let length = req.headers().get(CONTENT_LENGTH);
    if length.is_some_and(|length| length != "0") || req.headers().contains_key(TRANSFER_ENCODING) {
        return Err(refused(&"a request to upgrade has no body"));
    }
    if req.version() != Version::HTTP_11 {
        return Err(refused(&"they need HTTP/1.1"));
    }
    // The adapter's own handshake takes drafts of the protocol and any key.
    verify_handshake(req.head()).map_err(|error| refused(&error))?;
    handshake(req).map_err(|error| refused(&error))
}
