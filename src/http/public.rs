//! What apps and clients may ask without a WebSocket.

use actix_web::middleware::{Condition, from_fn};
use actix_web::{HttpResponse, web};

use crate::code::Code;
use crate::gateway::ws;
use crate::message::Fault;

use super::chat;
use super::cors;
use super::reply;
use super::state::AppState;
use super::v1::{self, Empty, Envelope, Refusal};

/// The routes of the public listener; `dev` adds the developer's login and the chat page, and pages of these origins may call all but the
/// WebSocket's.
pub fn routes(config: &mut web::ServiceConfig, dev: bool, origins: &[String], max_payload: usize) {
    let mut api = web::scope("").configure(|config| v1::public(config, dev, max_payload));
    if dev {
        api = api.configure(chat::routes);
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

/// Tells that the process answers.
#[utoipa::path(
    get,
    path = "/health/live",
    operation_id = "live",
    responses((status = 200, description = "It does.", body = Envelope<Empty>))
)]
pub async fn live() -> HttpResponse {
    reply::success(Empty {})
}

/// Tells whether messages are accepted.
#[utoipa::path(
    get,
    path = "/health/ready",
    operation_id = "ready",
    responses(
        (status = 200, description = "They are.", body = Envelope<Empty>),
        (status = 503, description = "They are not; `msg` says why.", body = Refusal),
    )
)]
pub async fn ready(state: web::Data<AppState>) -> HttpResponse {
    match state.trouble() {
        None => reply::success(Empty {}),
        Some(trouble) => reply::refused(&Fault::because(Code::Busy, trouble)),
    }
}
