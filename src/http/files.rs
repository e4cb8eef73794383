//! Pages out of the binary: their files, and the headers that go with each.

use actix_web::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
    X_FRAME_OPTIONS,
};
use actix_web::{HttpResponse, HttpResponseBuilder, web};

/// Nothing but the page's own files, and the server it comes from.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; font-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

pub(super) const HTML: &str = "text/html; charset=utf-8";
pub(super) const CSS: &str = "text/css; charset=utf-8";
pub(super) const SCRIPT: &str = "text/javascript; charset=utf-8";
pub(super) const SVG: &str = "image/svg+xml";

/// Where a file is, what it is, and what is in it.
pub(super) type File = (&'static str, &'static str, &'static str);

/// Routes to these files.
pub(super) fn serve(config: &mut web::ServiceConfig, files: &'static [File]) {
    for (path, kind, text) in files {
        config.route(path, web::get().to(move || async move { file(kind, text) }));
    }
}

fn file(kind: &'static str, text: &'static str) -> HttpResponse {
    headed(kind).body(text)
}

/// The headers of a file of that kind.
pub(super) fn headed(kind: &str) -> HttpResponseBuilder {
    let mut answer = HttpResponse::Ok();
    answer
        .content_type(kind)
        .insert_header((CONTENT_SECURITY_POLICY, POLICY))
        .insert_header((X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .insert_header((X_FRAME_OPTIONS, "DENY"))
        .insert_header((REFERRER_POLICY, "no-referrer"))
        // A page of an older server must not stay behind.
        .insert_header((CACHE_CONTROL, "no-cache"));
    answer
}
