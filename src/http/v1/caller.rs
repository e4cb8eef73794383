//! Who asks, and for whom: a user by their own token, or somebody with the admin token in a user's name.

use std::future::{Ready, ready};

use actix_web::body::MessageBody;
use actix_web::dev::{Payload, ServiceRequest, ServiceResponse};
use actix_web::http::Method;
use actix_web::http::header::{CONTENT_LENGTH, TRANSFER_ENCODING};
use actix_web::middleware::Next;
use actix_web::{FromRequest, HttpMessage, HttpRequest, web};

use crate::code::Code;
use crate::http::state::AppState;
use crate::http::{door, reply};
use crate::id::Uid;
use crate::message::{Fault, Op};
use crate::shell::Role;
use crate::token::{Kind, TokenError};

use super::answer::Refused;
use super::ask;
use super::table::{Listener, Needs};

/// Who asks. A request has one as soon as its token was found to be good enough for its route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Caller {
    uid: Option<Uid>,
    is_admin: bool,
}

impl Caller {
    /// The user who does it, or in whose name it is done.
    pub fn uid(&self) -> Result<Uid, Fault> {
        self.uid.ok_or_else(|| {
            let msg = "the admin token acts for a user: name them, ?uid=USER";
            Fault::because(Code::BadFrame, msg)
        })
    }

    /// The same, where the request itself may say who it is.
    pub fn or_named(&self, named: Option<Uid>) -> Result<Uid, Fault> {
        match (self.uid, named) {
            (Some(uid), Some(named)) if uid != named => Err(match self.is_admin {
                true => Fault::because(Code::Forbidden, "from and uid name two users"),
                false => somebody_else(),
            }),
            (None, Some(named)) => Ok(named),
            _ => self.uid(),
        }
    }

    /// Whether the admin token was shown.
    pub fn is_admin(&self) -> bool {
        self.is_admin
    }
}

impl FromRequest for Caller {
    type Error = Refused;
    type Future = Ready<Result<Caller, Refused>>;

    fn from_request(req: &HttpRequest, _: &mut Payload) -> Self::Future {
        let caller = req.extensions().get::<Caller>().copied();
        ready(caller.ok_or_else(|| Fault::new(Code::InvalidToken).into()))
    }
}

/// Lets a request in whose token is good for its route, and counts what is refused.
pub(super) async fn admit<B: MessageBody + 'static>(
    req: ServiceRequest,
    next: Next<B>,
    needs: Needs,
    listener: Listener,
) -> Result<ServiceResponse<impl MessageBody + use<B>>, actix_web::Error> {
    let Some(state) = req.app_data::<web::Data<AppState>>().cloned() else {
        let fault = reply::refused(&Fault::new(Code::Storage));
        return Ok(req.into_response(fault).map_into_right_body());
    };
    let fault = match caller(req.request(), needs, listener, &state).await {
        Ok(caller) => {
            req.extensions_mut().insert(caller);
            let answer = next.call(req).await?;
            let error = answer.response().error();
            if let Some(refused) = error.and_then(|error| error.as_error::<Refused>()) {
                state.services.metrics.refused(refused.fault().code);
            }
            return Ok(answer.map_into_left_body());
        }
        Err(fault) => fault,
    };
    state.services.metrics.refused(fault.code);
    Ok(req
        .into_response(reply::refused(&fault))
        .map_into_right_body())
}

async fn caller(
    req: &HttpRequest,
    needs: Needs,
    listener: Listener,
    state: &AppState,
) -> Result<Caller, Fault> {
    if let Some(fault) = door::token_in_url(req.uri()) {
        return Err(fault);
    }
    let shown = reply::bearer_of(req.headers());
    let role = match listener {
        Listener::Admin => door::role(shown, state),
        Listener::Public { .. } => None,
    };
    let is_looking = matches!(*req.method(), Method::GET | Method::HEAD);
    let caller = match role {
        Some(Role::Operator) => named(req, state)?,
        // Whoever only looks at the server reads nobody's messages.
        Some(Role::Reader) if is_looking && needs == Needs::Admin => named(req, state)?,
        Some(Role::Reader) => {
            let msg = "this token only reads, and that is more than reading";
            return Err(Fault::because(Code::Forbidden, msg));
        }
        None => user(req, needs, shown, state).await?,
    };
    if needs == Needs::User {
        caller.uid()?;
    }
    if !is_looking && matches!(needs, Needs::User | Needs::Anybody) && state.is_draining() {
        let fault = Fault::because(Code::Busy, "the server is going down");
        return Err(fault.later(state.services.rules.retry_ms));
    }
    if !is_looking && !caller.is_admin {
        spend(req, caller.uid()?, state)?;
    }
    Ok(caller)
}

/// Takes what changes anything from what its user may send, whatever it is.
fn spend(req: &HttpRequest, uid: Uid, state: &AppState) -> Result<(), Fault> {
    let Some(allowance) = state.rates.user(uid) else {
        return Ok(());
    };
    let headers = req.headers();
    let longest = state.settings.listen.max_payload + ask::ENVELOPE_MAX;
    let said = headers.get(CONTENT_LENGTH).and_then(|v| v.to_str().ok());
    let bytes = match said.and_then(|said| said.parse::<usize>().ok()) {
        Some(bytes) => bytes.min(longest),
        // Nobody says how long it will be.
        None if headers.contains_key(TRANSFER_ENCODING) => longest,
        None => 0,
    };
    allowance.spend(bytes, true).map_err(|too_fast| {
        state.services.metrics.limited(too_fast.limit);
        too_fast.fault()
    })
}

/// Whoever holds the admin token, in the name of the user whom they name, if they do.
fn named(req: &HttpRequest, state: &AppState) -> Result<Caller, Fault> {
    let uid = ask::acts_for(req)?;
    let uid = uid.map(|uid| ask::user("uid", &uid, state)).transpose()?;
    Ok(Caller {
        uid,
        is_admin: true,
    })
}

async fn user(
    req: &HttpRequest,
    needs: Needs,
    shown: &str,
    state: &AppState,
) -> Result<Caller, Fault> {
    let now = state.services.clock.wall_ms();
    let leeway = state.settings.auth.expiry_leeway_ms;
    let claims = match state.tokens.verify(shown, now, leeway) {
        Ok(claims) if claims.kind == Kind::Access => claims,
        Ok(_) => return Err(reply::token(&TokenError::Invalid)),
        Err(error) => return Err(reply::token(&error)),
    };
    let (uid, issued_ms) = (claims.uid, claims.iat_ms);
    let admit = Op::Admit {
        uid,
        did: None,
        issued_ms,
    };
    state.commit(admit).await?;
    if matches!(needs, Needs::Admin | Needs::Operator) {
        let msg = "this is for the admin token";
        return Err(Fault::because(Code::Forbidden, msg));
    }
    match ask::acts_for(req)? {
        Some(name) if state.hashids.decode(&name) != Ok(uid) => Err(somebody_else()),
        _ => Ok(Caller {
            uid: Some(uid),
            is_admin: false,
        }),
    }
}

fn somebody_else() -> Fault {
    let msg = "a user's token acts for its own user only";
    Fault::because(Code::Forbidden, msg)
}
