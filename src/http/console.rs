//! The console page, out of the binary: the shell and the observer for people who would rather look.
//!
//! The files hold nothing of this server: what the page shows, it asks for with a token.

use actix_web::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
    X_FRAME_OPTIONS,
};
use actix_web::{HttpResponse, web};

/// Nothing but the page's own files, and the server it comes from.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; font-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const SVG: &str = "image/svg+xml";

macro_rules! part {
    ($name:literal, $kind:expr) => {
        (
            concat!("/console/", $name),
            $kind,
            include_str!(concat!("console/parts/", $name)),
        )
    };
}

/// Where each file is, what it is, and what is in it.
const FILES: &[(&str, &str, &str)] = &[
    ("/", HTML, include_str!("console/console.html")),
    ("/console.css", CSS, include_str!("console/console.css")),
    ("/console.js", SCRIPT, include_str!("console/console.js")),
    part!("api.js", SCRIPT),
    part!("bar.js", SCRIPT),
    part!("cells.js", SCRIPT),
    part!("chart.js", SCRIPT),
    part!("completion.js", SCRIPT),
    part!("confirm.js", SCRIPT),
    part!("deliveries.js", SCRIPT),
    part!("details.js", SCRIPT),
    part!("devices.js", SCRIPT),
    part!("dom.js", SCRIPT),
    part!("erlang.js", SCRIPT),
    part!("format.js", SCRIPT),
    part!("frame.css", CSS),
    part!("functions.js", SCRIPT),
    part!("grid.js", SCRIPT),
    part!("history.js", SCRIPT),
    part!("icon.svg", SVG),
    part!("inboxes.js", SCRIPT),
    part!("meter.js", SCRIPT),
    part!("narrow.css", CSS),
    part!("poll.js", SCRIPT),
    part!("processes.js", SCRIPT),
    part!("rates.js", SCRIPT),
    part!("shell.css", CSS),
    part!("shell.js", SCRIPT),
    part!("socket.js", SCRIPT),
    part!("tables.css", CSS),
    part!("transcript.js", SCRIPT),
];

/// The routes, which need no token.
pub(super) fn routes(config: &mut web::ServiceConfig) {
    for (path, kind, text) in FILES {
        config.route(path, web::get().to(move || async move { file(kind, text) }));
    }
}

fn file(kind: &'static str, text: &'static str) -> HttpResponse {
    HttpResponse::Ok()
        .content_type(kind)
        .insert_header((CONTENT_SECURITY_POLICY, POLICY))
        .insert_header((X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .insert_header((X_FRAME_OPTIONS, "DENY"))
        .insert_header((REFERRER_POLICY, "no-referrer"))
        // A page of an older server must not stay behind.
        .insert_header((CACHE_CONTROL, "no-cache"))
        .body(text)
}
