//! Any bytes as a stream of WebSocket frames, in any chunks: the guard says what the book says.
#![no_main]

#[path = "../../tests/decoders/wire.rs"]
mod wire;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| wire::judge(bytes));
