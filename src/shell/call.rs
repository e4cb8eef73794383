//! What the functions of the shell do, a file for each subject.

pub mod accounts;
pub mod help;
pub mod messages;
pub mod order;
pub mod overview;
pub mod people;
pub mod processes;
pub mod relay;
pub mod system;
pub mod why;
