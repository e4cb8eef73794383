//! What holds of tokens whatever they are. The tests of the decoders and the fuzz target `token` share this file.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use yizhan::code::Code;
use yizhan::id::Hashids;
use yizhan::token::{TokenError, Tokens};

/// The key of the tokens here.
pub(crate) const KEY: &str = "a-key-that-signs-nothing-but-the-tokens-of-these-tests";

/// Reads any bytes: as a token, and as the claims of a signed one, or its header and its claims on two lines.
pub(crate) fn judge(tokens: &Tokens, hashids: &Hashids, bytes: &[u8]) {
    if let Ok(text) = std::str::from_utf8(bytes) {
        refuses(tokens, text);
        if let Ok(uid) = hashids.decode(text) {
            assert_eq!(hashids.encode(uid), text);
        }
    }
    let header = br#"{"alg":"HS256","typ":"JWT"}"#;
    let (header, claims) = match bytes.iter().position(|byte| *byte == b'\n') {
        Some(at) => (&bytes[..at], &bytes[at + 1..]),
        None => (&header[..], bytes),
    };
    judge_signed(tokens, hashids, header, claims);
}

/// Verifies a token that nobody with the key has signed.
pub(crate) fn refuses(tokens: &Tokens, token: &str) {
    for (now, leeway) in [(0, 0), (1, u64::MAX), (u64::MAX, 0)] {
        let refused = tokens.verify(token, now, leeway);
        assert_eq!(refused, Err(TokenError::Invalid), "{token}");
    }
}

/// Verifies a token with this header and these claims, signed as they stand: what is good says a user who has that name.
pub(crate) fn judge_signed(tokens: &Tokens, hashids: &Hashids, header: &[u8], claims: &[u8]) {
    let token = signed(header, claims);
    match tokens.verify(&token, 0, 0) {
        Ok(claims) => {
            assert!(claims.exp_ms > 0);
            assert_eq!(hashids.decode(&hashids.encode(claims.uid)), Ok(claims.uid));
            let minted = tokens.mint(&claims).unwrap();
            assert_eq!(tokens.verify(&minted, 0, 0), Ok(claims));
        }
        Err(TokenError::Expired(claims)) => assert_eq!(claims.exp_ms, 0),
        Err(error) => assert_eq!(error.code(), Code::InvalidToken),
    }
}

/// Signs anything with the key.
pub(crate) fn signed(header: &[u8], claims: &[u8]) -> String {
    use jsonwebtoken::{Algorithm, EncodingKey, crypto};
    let parts = [header, claims].map(|part| URL_SAFE_NO_PAD.encode(part));
    let message = parts.join(".");
    let key = EncodingKey::from_secret(KEY.as_bytes());
    let signature = crypto::sign(message.as_bytes(), &key, Algorithm::HS256).unwrap();
    format!("{message}.{signature}")
}
