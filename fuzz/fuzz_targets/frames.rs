//! Any bytes as a frame of a client: refused in our words, or taken and said again as it was.
#![no_main]

#[path = "../../tests/decoders/dialect.rs"]
mod dialect;

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use yizhan::codec::json::Json;

static JSON: LazyLock<Json> = LazyLock::new(dialect::dialect);

fuzz_target!(|bytes: &[u8]| {
    if let Ok(text) = std::str::from_utf8(bytes) {
        let _ = dialect::judge(&JSON, text);
    }
});
