//! Any bytes as a token, and any bytes as the header and the claims of one that is signed with the key.
#![no_main]

#[path = "../../tests/decoders/dialect.rs"]
#[allow(dead_code)]
mod dialect;
#[path = "../../tests/decoders/tokens.rs"]
mod tokens;

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use yizhan::id::Hashids;
use yizhan::token::Tokens;

static HASHIDS: LazyLock<Hashids> = LazyLock::new(dialect::hashids);
static TOKENS: LazyLock<Tokens> = LazyLock::new(|| Tokens::new(tokens::KEY, HASHIDS.clone()));

fuzz_target!(|bytes: &[u8]| {
    if let Ok(text) = std::str::from_utf8(bytes) {
        tokens::refuses(&TOKENS, text);
        if let Ok(uid) = HASHIDS.decode(text) {
            assert_eq!(HASHIDS.encode(uid), text);
        }
    }
    let header = br#"{"alg":"HS256","typ":"JWT"}"#;
    let (header, claims) = match bytes.iter().position(|byte| *byte == b'\n') {
        Some(at) => (&bytes[..at], &bytes[at + 1..]),
        None => (&header[..], bytes),
    };
    tokens::judge_signed(&TOKENS, &HASHIDS, header, claims);
});
