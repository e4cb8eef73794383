//! The operator's shell on a running server: the lines of the notes, what an operator sees and does, and who may not.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "shell/access.rs"]
mod access;
#[path = "shell/budget.rs"]
mod budget;
#[path = "shell/notes.rs"]
mod notes;
#[path = "shell/orders.rs"]
mod orders;
#[path = "shell/people.rs"]
mod people;
#[path = "shell/processes.rs"]
mod processes;
#[path = "shell/socket.rs"]
mod socket;
#[path = "support/lib.rs"]
mod support;
#[path = "shell/why.rs"]
mod why;

/// A token that only reads.
const READ_TOKEN: &str = "the-tests-own-token-for-reading";
const READ: &str = "admin.read_token=the-tests-own-token-for-reading";
