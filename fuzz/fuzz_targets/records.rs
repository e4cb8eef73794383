//! Any bytes as each record of the store.
#![no_main]

#[path = "../../tests/decoders/records.rs"]
#[allow(dead_code)]
mod records;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let _ = records::judge(bytes);
});
