//! The HTTP doors: the public one for apps and their clients, the admin one for operators.

pub mod access;
pub mod admin;
pub mod backup;
pub mod public;
pub mod reply;
pub mod state;
