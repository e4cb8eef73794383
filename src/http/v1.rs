//! The REST API, for the app's backend and for clients that want no WebSocket: one table of routes, from which the
//! listeners and the OpenAPI document are built.

mod answer;
mod ask;
mod blocks;
pub mod caller;
mod contacts;
mod conversations;
mod devices;
mod docs;
mod groups;
mod members;
mod messages;
mod openapi;
mod presence;
mod receipts;
mod schema;
pub mod table;
mod tokens;
mod view;
mod whole;

use actix_web::web;

pub(super) use ask::{bad, device, nobody};
pub use schema::Envelope;
pub(super) use schema::{Empty, Refusal, UserName};
pub(super) use whole::Within;

use table::Listener;

/// The routes of the public listener; `dev` adds the developer's login.
pub fn public(config: &mut web::ServiceConfig, dev: bool, max_payload: usize) {
    routes(config, Listener::Public { dev }, max_payload);
}

/// The routes of the admin listener, each of which looks after its own token.
pub fn admin(config: &mut web::ServiceConfig, max_payload: usize) {
    routes(config, Listener::Admin, max_payload);
}

/// The OpenAPI document of a listener, as JSON.
pub fn document(listener: Listener) -> &'static str {
    openapi::document(listener)
}

fn routes(config: &mut web::ServiceConfig, listener: Listener, max_payload: usize) {
    config
        .app_data(web::PayloadConfig::new(max_payload + ask::ENVELOPE_MAX))
        .configure(|config| docs::routes(config, openapi::document(listener)));
    table::register(config, table::of(listener), listener);
}
