//! Any bytes as a frame of a client: refused in our words, or taken and said again as it was.
#![no_main]

#[path = "../../tests/decoders/dialect.rs"]
mod dialect;

use std::cell::RefCell;

use libfuzzer_sys::fuzz_target;
use yizhan::codec::json::Json;

thread_local! {
    static JSON: RefCell<Json> = RefCell::new(dialect::dialect());
}

fuzz_target!(|bytes: &[u8]| {
    if let Ok(text) = std::str::from_utf8(bytes) {
        let _ = JSON.with_borrow_mut(|json| dialect::judge(json, text));
    }
});
