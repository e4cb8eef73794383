//! The rules of delivery, pure: input and the time in, effects and the next deadline out.

pub mod access;
pub mod contact;
pub mod conversation;
pub mod dedupe;
pub mod delivery;
pub mod device;
pub mod group;
pub mod inbox;
pub mod life;
pub mod presence;
pub mod ranges;
pub mod schedule;
pub mod sent;
