//! The HTTP doors: the public one for apps and their clients, the admin one for operators.

pub mod access;
pub mod admin;
pub mod backup;
mod chat;
mod console;
mod cors;
pub mod door;
mod files;
pub mod observe;
pub mod public;
pub mod repl;
pub mod reply;
pub mod state;
pub mod v1;
