//! The REST API: who may call what, over every route of its table, and what the document says of them.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "rest/door.rs"]
mod door;
#[path = "rest/flow.rs"]
mod flow;
#[path = "rest/form.rs"]
mod form;
#[path = "rest/house.rs"]
mod house;
#[path = "rest/strangers.rs"]
mod strangers;
#[path = "support/lib.rs"]
mod support;
