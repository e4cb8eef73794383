//! The engine that is a log first, on a disk that crashes, fails and rots: what was flushed is there, or it is said
//! what is not.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "journal/crash.rs"]
mod crash;
#[path = "journal/damage.rs"]
mod damage;
#[path = "journal/disk.rs"]
mod disk;
#[path = "journal/faults.rs"]
mod faults;
#[path = "journal/older.rs"]
mod older;
#[path = "journal/store.rs"]
mod store;
