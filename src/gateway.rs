//! Where clients connect: an adapter for each transport, joined to a device by a bounded outbox.

pub mod guard;
pub mod wire;
pub mod ws;
