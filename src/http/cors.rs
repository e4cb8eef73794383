//! Which pages may call the public API from a browser.
//!
//! Every request shows its token itself and no cookie speaks for it, so a page can do nothing here that its own server
//! could not do. WebSockets are outside of this: browsers let any page open one, and the token decides.

use actix_cors::{Cors, CorsError};
use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{AUTHORIZATION, CONTENT_TYPE};
use actix_web::middleware::Next;

use crate::code::Code;
use crate::message::Fault;

use super::reply;

/// How long a browser may remember the answer, seconds.
const MAX_AGE_S: usize = 3600;

/// Lets these origins; `*` alone lets all.
pub(super) fn of(origins: &[String]) -> Cors {
    let cors = Cors::default()
        .allowed_methods(["GET", "POST", "PUT", "PATCH", "DELETE"])
        .allowed_headers([AUTHORIZATION, CONTENT_TYPE])
        .max_age(MAX_AGE_S);
    if origins.iter().any(|origin| origin == "*") {
        return cors.allow_any_origin().send_wildcard();
    }
    origins
        .iter()
        .fold(cors, |cors, origin| cors.allowed_origin(origin))
}

/// Gives a refused preflight the form of every other answer.
pub(super) async fn in_form<B: MessageBody + 'static>(
    req: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<impl MessageBody + use<B>>, actix_web::Error> {
    let answer = next.call(req).await?;
    let error = answer.response().error();
    let Some(refused) = error.and_then(|error| error.as_error::<CorsError>()) else {
        return Ok(answer.map_into_left_body());
    };
    let fault = Fault::because(Code::BadFrame, refused.to_string());
    Ok(answer
        .into_response(reply::refused(&fault))
        .map_into_right_body())
}
