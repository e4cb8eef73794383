//! The parts of the server as processes, for the shell: they have numbers, and names that they are registered under.

use crate::actor::processes::{Part, Processes};
use crate::http::state::AppState;

type Mailbox = Box<dyn Fn() -> usize + Send + Sync>;

/// Enters every part of the server.
pub(super) fn enter(state: &AppState) {
    let services = &state.services;
    let processes = &services.processes;
    let label = concat!("version ", env!("CARGO_PKG_VERSION")).to_string();
    let root = add(
        processes,
        ("node", "yizhan"),
        label,
        None,
        state.started_ms,
        nothing(),
    );
    let (commits, reads) = (services.commits.clone(), services.reads.clone());
    let listen = &state.settings.listen;
    let committing: Mailbox = Box::new(move || commits.waiting());
    let reading: Mailbox = Box::new(move || reads.waiting());
    let parts: [(&'static str, &'static str, String, Mailbox); 6] = [
        ("listener", "public", listen.public.clone(), nothing()),
        ("listener", "admin", listen.admin.clone(), nothing()),
        (
            "committer",
            "committer",
            "makes messages durable".into(),
            committing,
        ),
        (
            "readers",
            "readers",
            "read pages of inboxes".into(),
            reading,
        ),
        ("registry", "registry", "who is online".into(), nothing()),
        ("desk", "desk", "does what shells ask for".into(), nothing()),
    ];
    for (kind, name, label, mailbox) in parts {
        add(
            processes,
            (kind, name),
            label,
            Some(root),
            state.started_ms,
            mailbox,
        );
    }
}

fn add(
    processes: &Processes,
    (kind, name): (&'static str, &'static str),
    label: String,
    parent: Option<u64>,
    since_ms: u64,
    mailbox: Mailbox,
) -> u64 {
    processes.add(std::sync::Arc::new(Part {
        kind,
        name,
        label,
        parent,
        since_ms,
        mailbox,
    }))
}

fn nothing() -> Mailbox {
    Box::new(|| 0)
}
