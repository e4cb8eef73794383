//! The OpenAPI document and the page to browse it, out of the binary. Neither holds anything of this server.

use actix_web::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
    X_FRAME_OPTIONS,
};
use actix_web::{HttpResponse, web};

use super::table;

/// Nothing but the page's own files, and the server it comes from.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const SVG: &str = "image/svg+xml";

macro_rules! file {
    ($name:literal, $kind:expr) => {
        (
            concat!("/v1/docs/", $name),
            $kind,
            include_str!(concat!("docs/", $name)),
        )
    };
}

/// Where each file is, what it is, and what is in it.
const FILES: &[(&str, &str, &str)] = &[
    ("/v1/docs", HTML, include_str!("docs/docs.html")),
    file!("docs.css", CSS),
    file!("docs.js", SCRIPT),
    file!("dom.js", SCRIPT),
    file!("curl.js", SCRIPT),
    file!("icon.svg", SVG),
    file!("operation.js", SCRIPT),
    file!("schema.js", SCRIPT),
    file!("try.js", SCRIPT),
];

/// The routes, which need no token.
pub(super) fn routes(config: &mut web::ServiceConfig, document: &'static str) {
    let answer = move || async move { asset("application/json").body(document) };
    config.service(table::readable("/v1/openapi.json", answer));
    for (path, kind, text) in FILES {
        let answer = move || async move { asset(kind).body(*text) };
        config.service(table::readable(path, answer));
    }
}

fn asset(kind: &str) -> actix_web::HttpResponseBuilder {
    let mut answer = HttpResponse::Ok();
    answer
        .content_type(kind)
        .insert_header((CONTENT_SECURITY_POLICY, POLICY))
        .insert_header((X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .insert_header((X_FRAME_OPTIONS, "DENY"))
        .insert_header((REFERRER_POLICY, "no-referrer"))
        // One of an older server must not stay behind.
        .insert_header((CACHE_CONTROL, "no-cache"));
    answer
}
