//! What operators and the app's backend may ask, with the admin token.

use actix_web::middleware::from_fn;
use actix_web::{HttpResponse, web};

use super::state::AppState;
use super::{console, door, observe, repl, reply, v1};

/// The routes of the admin listener: health and the pages without a token, the rest with one.
pub fn routes(config: &mut web::ServiceConfig, max_payload: usize) {
    config
        // First: its routes look after their own tokens.
        .configure(|config| v1::admin(config, max_payload))
        .configure(console::routes)
        // A browser shows its token in the first frame.
        .route("/repl/ws", web::get().to(repl::socket::connect))
        .service(
            web::scope("")
                .wrap(from_fn(door::authorized))
                .service(repl::resource())
                .route("/repl/table", web::get().to(repl::table))
                .route("/observe", web::get().to(observe::observe))
                .default_service(web::to(reply::nothing_here)),
        );
}

/// Shows the metrics, as Prometheus reads them.
#[utoipa::path(
    get,
    path = "/metrics",
    operation_id = "metrics",
    responses(
        (status = 200, description = "Prometheus text.", body = String, content_type = "text/plain"),
    )
)]
pub(super) async fn metrics(state: web::Data<AppState>) -> HttpResponse {
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
