//! Where clients connect: an adapter for each transport, joined to a device by a bounded outbox.

pub mod admission;
pub mod guard;
pub mod rates;
pub mod wire;
pub mod ws;
