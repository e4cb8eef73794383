use std::{
    collections::HashMap,
    sync::{LazyLock, Mutex},
};

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use serde_json::Value;

use super::server::{SEED, cli};

/// A user of a server that runs with the seed configuration: a number, its name on the wire, a token.
#[derive(Clone, Debug)]
pub struct User {
    pub uid: u64,
    pub name: String,
    pub token: String,
}

impl User {
    /// The user with this number. Tokens are minted by the command line, once for each user.
    pub fn new(uid: u64) -> Self {
        static KNOWN: LazyLock<Mutex<HashMap<u64, User>>> = LazyLock::new(Mutex::default);
        let mut known = KNOWN.lock().unwrap();
        known
            .entry(uid)
            .or_insert_with(|| {
                let minted = cli(&["token", &uid.to_string(), "--config", SEED]);
                Self::with_token(uid, minted.trim())
            })
            .clone()
    }

    pub fn with_token(uid: u64, token: &str) -> Self {
        let name = claims(token)["uid"]
            .as_str()
            .expect("a token names its user")
            .to_owned();
        Self {
            uid,
            name,
            token: token.to_owned(),
        }
    }

    /// A fresh refresh token for this user.
    pub fn refresh_token(&self) -> String {
        let minted = cli(&[
            "token",
            &self.uid.to_string(),
            "--refresh",
            "--config",
            SEED,
        ]);
        minted.trim().to_owned()
    }

    /// When the token expires, in milliseconds.
    pub fn expiry(&self) -> u64 {
        claims(&self.token)["exp"]
            .as_u64()
            .expect("a token says when it expires")
    }
}

/// The claims inside a token, unverified.
fn claims(token: &str) -> Value {
    let middle = token
        .split('.')
        .nth(1)
        .unwrap_or_else(|| panic!("not a JWT: {token}"));
    serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(middle).unwrap()).unwrap()
}
