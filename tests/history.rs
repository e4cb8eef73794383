//! The history and its archive, on a disk that crashes, fails and rots: what was kept is there, or it is said what is not.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "history/archive.rs"]
mod archive;
#[path = "history/crash.rs"]
mod crash;
#[path = "history/damage.rs"]
mod damage;
#[path = "journal/disk.rs"]
#[allow(dead_code)]
mod disk;
#[path = "history/model.rs"]
mod model;
#[path = "history/older.rs"]
mod older;
#[path = "history/reads.rs"]
mod reads;
#[path = "history/served.rs"]
mod served;
#[path = "history/world.rs"]
mod world;
