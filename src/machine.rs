//! The rules of delivery, pure: input and the time in, effects and the next deadline out.

pub mod access;
pub mod dedupe;
pub mod delivery;
pub mod device;
pub mod inbox;
pub mod life;
pub mod ranges;
pub mod schedule;
pub mod sent;
