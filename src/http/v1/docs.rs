//! The OpenAPI document and the page to browse it, out of the binary. Neither holds anything of this server.

use actix_web::web;

use crate::http::files::{CSS, File, HTML, SCRIPT, SVG, headed};

use super::table;

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
const FILES: &[File] = &[
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
    let answer = move || async move { headed("application/json").body(document) };
    config.service(table::readable("/v1/openapi.json", answer));
    for (path, kind, text) in FILES {
        let answer = move || async move { headed(kind).body(*text) };
        config.service(table::readable(path, answer));
    }
}
