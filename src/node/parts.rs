//! The parts of the server as processes, for the shell: they have numbers, and names that they are registered under.

use std::sync::Arc;

use crate::actor::events::Horizon;
use crate::actor::processes::{Fact, Part};
use crate::http::state::AppState;
use crate::webhook::Board;

/// Enters every part of the server; the sender of webhooks if there is one.
pub(super) fn enter(state: &AppState, sender: Option<(Board, Horizon)>) {
    let processes = &state.services.processes;
    let add = |part: Part| processes.add(Arc::new(part));
    let part = |kind, name, label: &str| Part {
        kind,
        name,
        label: label.to_string(),
        parent: None,
        since_ms: state.started_ms,
        mailbox: Box::new(|| 0),
        facts: Box::new(Vec::new),
    };
    let version = concat!("version ", env!("CARGO_PKG_VERSION"));
    let root = Some(add(part("node", "yizhan", version)));
    let (commits, reads) = (state.services.commits.clone(), state.services.reads.clone());
    let listen = &state.settings.listen;
    let mut parts = vec![
        part("listener", "public", &listen.public),
        part("listener", "admin", &listen.admin),
        Part {
            mailbox: Box::new(move || commits.waiting()),
            ..part("committer", "committer", "makes messages durable")
        },
        Part {
            mailbox: Box::new(move || reads.waiting()),
            ..part("readers", "readers", "read pages of inboxes")
        },
        part("registry", "registry", "who is online"),
        part("desk", "desk", "does what shells ask for"),
    ];
    if let Some((board, horizon)) = sender {
        let shown = board.clone();
        parts.push(Part {
            mailbox: Box::new(move || {
                let waiting = horizon.last().saturating_sub(board.status().cursor);
                usize::try_from(waiting).unwrap_or(usize::MAX)
            }),
            facts: Box::new(move || facts(&shown)),
            ..part("webhooks", "webhooks", "tells webhook.url what happens")
        });
    }
    for part in parts {
        add(Part {
            parent: root,
            ..part
        });
    }
}

/// How the sender stands. What is not so is left out.
fn facts(board: &Board) -> Vec<(&'static str, Fact)> {
    let status = board.status();
    let number = |name, value: Option<u64>| value.map(|value| (name, Fact::Number(value)));
    let facts = [
        number("sent", Some(status.sent)),
        number("failed", Some(status.failed)),
        number("failed_in_a_row", Some(status.attempts.into())),
        number("last_success", status.last_success_ms),
        number("last_failure", status.last_failure_ms),
        status
            .last_error
            .map(|error| ("last_error", Fact::Text(error))),
        number("next_attempt", status.next_attempt_ms),
    ];
    facts.into_iter().flatten().collect()
}
