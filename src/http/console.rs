//! The console page, out of the binary: the shell and the observer for people who would rather look.
//!
//! The files hold nothing of this server: what the page shows, it asks for with a token.

use actix_web::web;

use super::files::{self, CSS, File, HTML, SCRIPT, SVG};

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
const FILES: &[File] = &[
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
    files::serve(config, FILES);
}
