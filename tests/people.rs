//! What people do with each other: in groups, as contacts, and with what they have said, over WebSocket and REST at once.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "people/contacts.rs"]
mod contacts;
#[path = "people/groups.rs"]
mod groups;
#[path = "people/messages.rs"]
mod messages;
#[path = "people/presence.rs"]
mod presence;
#[path = "people/reading.rs"]
mod reading;
#[path = "people/restart.rs"]
mod restart;
#[path = "support/lib.rs"]
mod support;
#[path = "people/town.rs"]
mod town;
