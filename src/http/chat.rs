//! The chat page of `--dev`, and the JavaScript client that it is built on, out of the binary.

use actix_web::web;

use super::files::{self, CSS, File, HTML, SCRIPT, SVG};

macro_rules! page {
    ($name:literal, $kind:expr) => {
        (
            concat!("/chat/", $name),
            $kind,
            include_str!(concat!("chat/", $name)),
        )
    };
}

macro_rules! client {
    ($name:literal) => {
        (
            concat!("/client/", $name),
            SCRIPT,
            include_str!(concat!("../../clients/js/src/", $name)),
        )
    };
}

/// Where each file is, what it is, and what is in it.
const FILES: &[File] = &[
    ("/", HTML, include_str!("chat/index.html")),
    page!("chat.css", CSS),
    page!("chat.js", SCRIPT),
    page!("icon.svg", SVG),
    page!("parts/avatar.js", SCRIPT),
    page!("parts/beginnings.js", SCRIPT),
    page!("parts/chance.js", SCRIPT),
    page!("parts/chat-row.js", SCRIPT),
    page!("parts/chats.js", SCRIPT),
    page!("parts/composer.css", CSS),
    page!("parts/composer.js", SCRIPT),
    page!("parts/contacts.js", SCRIPT),
    page!("parts/conversation.js", SCRIPT),
    page!("parts/conversations.js", SCRIPT),
    page!("parts/dialog.css", CSS),
    page!("parts/dialog.js", SCRIPT),
    page!("parts/directory.js", SCRIPT),
    page!("parts/dom.js", SCRIPT),
    page!("parts/fates.js", SCRIPT),
    page!("parts/format.js", SCRIPT),
    page!("parts/frame.js", SCRIPT),
    page!("parts/head.js", SCRIPT),
    page!("parts/icons.js", SCRIPT),
    page!("parts/link.js", SCRIPT),
    page!("parts/list.css", CSS),
    page!("parts/list.js", SCRIPT),
    page!("parts/login.css", CSS),
    page!("parts/login.js", SCRIPT),
    page!("parts/members.js", SCRIPT),
    page!("parts/menu.js", SCRIPT),
    page!("parts/message-row.js", SCRIPT),
    page!("parts/message.css", CSS),
    page!("parts/mistake.js", SCRIPT),
    page!("parts/narrow.css", CSS),
    page!("parts/notice-row.js", SCRIPT),
    page!("parts/older.js", SCRIPT),
    page!("parts/receipts.js", SCRIPT),
    page!("parts/requests.js", SCRIPT),
    page!("parts/route.js", SCRIPT),
    page!("parts/rows.js", SCRIPT),
    page!("parts/scroller.js", SCRIPT),
    page!("parts/separators.js", SCRIPT),
    page!("parts/session.js", SCRIPT),
    page!("parts/shelf.js", SCRIPT),
    page!("parts/signal.js", SCRIPT),
    page!("parts/texts.js", SCRIPT),
    page!("parts/thread.css", CSS),
    page!("parts/thread.js", SCRIPT),
    page!("parts/ticks.js", SCRIPT),
    page!("parts/timeline.js", SCRIPT),
    page!("parts/toast.js", SCRIPT),
    page!("parts/token.js", SCRIPT),
    page!("parts/typing.js", SCRIPT),
    page!("parts/viewport.js", SCRIPT),
    page!("parts/words.js", SCRIPT),
    client!("address.js"),
    client!("backoff.js"),
    client!("client.js"),
    client!("clock.js"),
    client!("codes.js"),
    client!("device.js"),
    client!("emitter.js"),
    client!("error.js"),
    client!("frames.js"),
    client!("handover.js"),
    client!("ids.js"),
    client!("inbox.js"),
    client!("index.js"),
    client!("indexeddb.js"),
    client!("line.js"),
    client!("link.js"),
    client!("locks.js"),
    client!("network.js"),
    client!("outbox.js"),
    client!("pages.js"),
    client!("persistence.js"),
    client!("reads.js"),
    client!("receipts.js"),
    client!("refresh.js"),
    client!("requests.js"),
    client!("rest.js"),
    client!("route.js"),
    client!("seen.js"),
    client!("socket.js"),
    client!("store.js"),
    client!("token.js"),
];

/// The routes, which need no token.
pub(super) fn routes(config: &mut web::ServiceConfig) {
    files::serve(config, FILES);
}
