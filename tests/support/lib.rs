//! The vocabulary of the black-box tests: a server that is a real process, devices that are real WebSocket clients.
//! Nothing here looks inside the server; it knows the contract only.
// Each test binary compiles all of this and speaks a part of it.
#![allow(
    dead_code,
    unused_imports,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used
)]

mod browser;
mod client;
mod disk;
mod frame;
mod http;
mod namespace;
mod raw;
mod server;
mod shell;
mod tls;
pub mod token;
mod traffic;
mod user;

use std::time::Duration;

pub use browser::{Browser, Page};
pub use client::{Client, Heard, c2c, text_payload};
pub use disk::SmallDisk;
pub use frame::{Frame, field, keys};
pub use http::{Answer, Call};
pub use namespace::{in_own_network, lose_packets_to};
pub use raw::{Deaf, resident, until, until_online};
pub use server::{ADMIN_TOKEN, Refusal, SEED, Server, cli};
pub use tls::{Authority, Pair, get_over_tls, shake_hands};
pub use traffic::{End, Messages, Pulse, Reader, Sender};
pub use user::User;

/// How long anything may take before the test calls it lost. It is never waited out by a test that passes.
pub const DEADLINE: Duration = Duration::from_secs(20);

/// One send at once and none again within a test's life: for tests that count frames and are not about resending.
pub const ONCE: &str = "delivery.schedule_ms=[0,600000]";

/// The users of the notes, and a third.
pub const ALICE: u64 = 1;
pub const BOB: u64 = 108;
pub const CAROL: u64 = 12345;

/// The seed of a randomised test: `YIZHAN_SEED` when it is set, otherwise a new one. It is printed either way.
pub fn seed() -> u64 {
    let seed = std::env::var("YIZHAN_SEED").map_or_else(
        |_| fastrand::u64(..),
        |text| text.parse().expect("YIZHAN_SEED is a number"),
    );
    println!("run again with YIZHAN_SEED={seed}");
    seed
}
