//! The one shape of every JSON answer: `{"code","msg","payload"}`.

use actix_web::http::StatusCode;
use actix_web::http::header::{AUTHORIZATION, HeaderMap, RETRY_AFTER};
use actix_web::{HttpRequest, HttpResponse};
use serde::Serialize;
use serde_json::json;

use crate::code::Code;
use crate::message::Fault;
use crate::token::TokenError;

use super::v1::Envelope;

/// Success, with what was asked for; JSON text in it stays as it is, byte for byte.
pub fn success(payload: impl Serialize) -> HttpResponse {
    HttpResponse::Ok().json(Envelope {
        code: 0,
        msg: "success",
        payload,
    })
}

/// A refusal under the HTTP status that fits its code; one that is worth repeating says when, in the header too.
pub fn refused(fault: &Fault) -> HttpResponse {
    let mut response = HttpResponse::build(status(fault));
    if let Some(retry_ms) = fault.retry_ms {
        response.insert_header((RETRY_AFTER, retry_ms.div_ceil(1000)));
    }
    response.json(refusal(fault))
}

/// The same as bytes, for a connection that is closed before it has asked.
pub fn raw(fault: &Fault) -> String {
    let retry_s = fault.retry_ms.unwrap_or_default().div_ceil(1000);
    let body = refusal(fault).to_string();
    format!(
        "HTTP/1.1 {}\r\nconnection: close\r\nretry-after: {retry_s}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        status(fault),
        body.len(),
    )
}

/// The HTTP status that fits.
pub fn status(fault: &Fault) -> StatusCode {
    let status = StatusCode::from_u16(fault.code.http_status());
    status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

fn refusal(fault: &Fault) -> serde_json::Value {
    let payload = match fault.retry_ms {
        Some(retry_ms) => json!({"retry_ms": retry_ms}),
        None => json!({}),
    };
    json!({"code": fault.code.number(), "msg": fault.msg, "payload": payload})
}

/// A request body that was not taken.
pub fn body(error: &actix_web::Error) -> Fault {
    match error.as_response_error().status_code() {
        StatusCode::PAYLOAD_TOO_LARGE => Fault::new(Code::TooLarge),
        _ => Fault::because(Code::BadFrame, "the body cannot be read to its end"),
    }
}

/// What a token that is not good is told.
pub fn token(error: &TokenError) -> Fault {
    Fault::new(error.code())
}

/// `404` for everything that is not there.
pub async fn nothing_here(req: HttpRequest) -> HttpResponse {
    refused(&Fault::because(
        Code::NotFound,
        format!("there is nothing at {} {}", req.method(), req.path()),
    ))
}

/// `405` for what is there and cannot be done to it; who answers it adds what can be.
pub fn not_allowed(req: &HttpRequest) -> HttpResponse {
    let msg = format!("{} cannot be done to {}", req.method(), req.path());
    let mut answer = refused(&Fault::because(Code::BadFrame, msg));
    *answer.status_mut() = StatusCode::METHOD_NOT_ALLOWED;
    answer
}

/// The token in an `authorization` value, which may begin with `Bearer`.
pub fn bearer(value: &str) -> &str {
    let value = value.trim();
    match value.split_once(' ') {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => token.trim(),
        _ => value,
    }
}

/// The token in the `authorization` header, empty if there is none.
pub fn bearer_of(headers: &HeaderMap) -> &str {
    let value = headers.get(AUTHORIZATION);
    value.and_then(|v| v.to_str().ok()).map_or("", bearer)
}
