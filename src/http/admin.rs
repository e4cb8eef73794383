//! What operators and the app's backend may ask, with the admin token.

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::middleware::{Next, from_fn};
use actix_web::{HttpResponse, web};
use serde_json::json;

use crate::code::Code;
use crate::message::{Answer, Fault, Op};

use super::state::AppState;
use super::{access, backup, public, reply};

/// What the envelope of a message may take besides its payload, bytes.
const ENVELOPE_MAX: usize = 4096;

/// The routes of the admin listener: health without a token, the rest with it.
pub fn routes(config: &mut web::ServiceConfig, max_payload: usize) {
    config
        .app_data(web::PayloadConfig::new(max_payload + ENVELOPE_MAX))
        .service(public::health("/health/live", public::live))
        .service(public::health("/health/ready", public::ready))
        .service(
            web::scope("")
                .wrap(from_fn(authorized))
                .route("/metrics", web::get().to(metrics))
                .route("/v1/messages", web::post().to(post_message))
                .configure(access::routes)
                .route("/v1/backup", web::get().to(backup::backup))
                .default_service(web::to(reply::nothing_here)),
        );
}

async fn authorized<B: MessageBody + 'static>(
    req: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<impl MessageBody + use<B>>, actix_web::Error> {
    let allowed = match req.app_data::<web::Data<AppState>>() {
        Some(state) => {
            let shown = reply::bearer_of(req.headers());
            same(shown.as_bytes(), state.admin_token.expose().as_bytes())
        }
        None => false,
    };
    if allowed {
        return Ok(next.call(req).await?.map_into_left_body());
    }
    let refused = reply::refused(&Fault::new(Code::InvalidToken));
    Ok(req.into_response(refused).map_into_right_body())
}

/// Compares in a time that depends on the lengths alone.
fn same(shown: &[u8], held: &[u8]) -> bool {
    let differing = shown.iter().zip(held).fold(0, |all, (a, b)| all | (a ^ b));
    shown.len() == held.len() && differing == 0
}

/// `GET /metrics`: Prometheus text.
async fn metrics(state: web::Data<AppState>) -> HttpResponse {
    match state.services.metrics.render() {
        Ok(text) => HttpResponse::Ok()
            .content_type("text/plain; version=0.0.4; charset=utf-8")
            .body(text),
        Err(error) => {
            log::error!("the metrics could not be written: {error}");
            HttpResponse::InternalServerError().finish()
        }
    }
}

/// `POST /v1/messages`: frame 1 with its sender, accepted as if that user had sent it; harmless to repeat.
async fn post_message(
    body: Result<web::Bytes, actix_web::Error>,
    state: web::Data<AppState>,
) -> HttpResponse {
    let accepted = match body {
        Ok(body) => accept(&body, &state).await,
        Err(error) => Err(reply::body(&error)),
    };
    match accepted {
        Ok(payload) => reply::success(payload),
        Err(fault) => {
            state.services.metrics.refused(fault.code);
            reply::refused(&fault)
        }
    }
}

async fn accept(body: &[u8], state: &AppState) -> Result<serde_json::Value, Fault> {
    let text = std::str::from_utf8(body)
        .map_err(|_| Fault::because(Code::BadFrame, "the body is not UTF-8"))?;
    let (from, draft) = state.json.clone().decode_message(text)?;
    if state.is_draining() {
        return Err(Fault::because(Code::Busy, "the server is going down")
            .later(state.services.rules.retry_ms));
    }
    let (id, to) = (draft.id.clone(), draft.to);
    let op = Op::Append(draft.signed_by(from));
    match state.commit(op).await? {
        Answer::Accepted(accepted) => Ok(json!({
            "id": id.as_str(),
            "to": state.hashids.encode(to),
            "server_ts": accepted.server_ts,
            "state": accepted.state.name(),
        })),
        _ => Err(Fault::new(Code::Storage)),
    }
}
