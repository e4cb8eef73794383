//! Any bytes as a token, and as the header and the claims of one that is signed with the key.
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

fuzz_target!(|bytes: &[u8]| tokens::judge(&TOKENS, &HASHIDS, bytes));
