//! The processes: one for each connected device, one for each delivery, and what they find each other by.

pub mod delivery;
pub mod device;
pub mod diary;
pub mod dispatch;
pub mod events;
pub mod fence;
pub mod line;
pub mod login;
pub mod mailroom;
pub mod outbox;
pub mod presence;
pub mod processes;
pub mod registry;
