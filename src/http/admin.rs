//! What operators and the app's backend may ask, with the admin token.

use actix_web::middleware::from_fn;
use actix_web::{HttpResponse, web};
use serde_json::json;

use crate::code::Code;
use crate::message::{Answer, Fault, Op};

use super::state::AppState;
use super::{access, backup, console, door, observe, public, repl, reply};

/// What the envelope of a message may take besides its payload, bytes.
const ENVELOPE_MAX: usize = 4096;

/// The routes of the admin listener: health and the console page without a token, the rest with one.
pub fn routes(config: &mut web::ServiceConfig, max_payload: usize) {
    config
        .app_data(web::PayloadConfig::new(max_payload + ENVELOPE_MAX))
        .service(public::health("/health/live", public::live))
        .service(public::health("/health/ready", public::ready))
        .configure(console::routes)
        // A browser shows its token in the first frame.
        .route("/repl/ws", web::get().to(repl::socket::connect))
        .service(
            web::scope("")
                .wrap(from_fn(door::authorized))
                .service(repl::resource())
                .route("/repl/table", web::get().to(repl::table))
                .route("/observe", web::get().to(observe::observe))
                .route("/metrics", web::get().to(metrics))
                .route("/v1/messages", web::post().to(post_message))
                .configure(access::routes)
                .route("/v1/backup", web::get().to(backup::backup))
                .default_service(web::to(reply::nothing_here)),
        );
}

/// `GET /metrics`: Prometheus text.
async fn metrics(state: web::Data<AppState>) -> HttpResponse {
    if let Some(tracer) = state.services.diary.tracer() {
        let counts = tracer.counts();
        state.services.metrics.trace(counts.lost, counts.on_disk);
    }
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
    let answer = state.commit(op).await.map_err(|fault| {
        let fault = fault.about(&id, to);
        let services = &state.services;
        let now = services.clock.now_ms();
        services.diary.refused(now, from, &fault);
        fault
    });
    match answer? {
        Answer::Accepted(accepted) => Ok(json!({
            "id": id.as_str(),
            "to": state.hashids.encode(to),
            "server_ts": accepted.server_ts,
            "state": accepted.state.name(),
        })),
        _ => Err(Fault::new(Code::Storage)),
    }
}
