use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, EncodingKey, crypto};

use super::User;

/// The key of the seed configuration.
pub const KEY: &str = "Ap2fQm5aBgE8Qzuar6oixYmXpffcL3yw";

/// The only header that is good.
pub const HEADER: &str = r#"{"alg":"HS256","typ":"JWT"}"#;

/// A token with this header and these claims, rightly signed with a key.
pub fn signed(header: &str, claims: &str, key: &str, algorithm: Algorithm) -> String {
    let text = unsigned(header, claims);
    let key = EncodingKey::from_secret(key.as_bytes());
    let signature = crypto::sign(text.as_bytes(), &key, algorithm).unwrap();
    format!("{text}.{signature}")
}

/// The first two parts of a token.
pub fn unsigned(header: &str, claims: &str) -> String {
    let [header, claims] = [header, claims].map(|part| BASE64_URL_SAFE_NO_PAD.encode(part));
    format!("{header}.{claims}")
}

/// A token of the seed configuration that is good for an hour, issued then if it says so; `sub` is `tk` or `rtk`.
pub fn token(uid: u64, sub: &str, issued_ms: Option<u64>) -> String {
    let exp = now_ms() + 3_600_000;
    let iat = issued_ms.map_or_else(String::new, |iat| format!(r#""iat":{iat},"#));
    let name = User::new(uid).name;
    let claims = format!(r#"{{"exp":{exp},{iat}"sub":"{sub}","uid":"{name}"}}"#);
    signed(HEADER, &claims, KEY, Algorithm::HS256)
}

/// Unix milliseconds.
pub fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.unwrap_or(Duration::ZERO).as_millis() as u64
}
