//! How a receiver knows that a request is from this server, and not an old one.

use std::fmt;

use hmac::{Hmac, Mac};
use sha2::Sha256;

/// Signs requests with the secret that the receiver has as well: its bytes as they are written.
#[derive(Clone)]
pub struct Signer(Hmac<Sha256>);

impl Signer {
    /// Takes the secret; none if it is empty, because then anybody could sign.
    pub fn new(secret: &str) -> Option<Signer> {
        if secret.is_empty() {
            return None;
        }
        Hmac::new_from_slice(secret.as_bytes()).ok().map(Signer)
    }

    /// The value of `Yizhan-Signature`: `v1=` and the HMAC-SHA256 of `<timestamp>.<body>` in lower-case hexadecimal.
    pub fn sign(&self, timestamp_s: u64, body: &[u8]) -> String {
        let mut mac = self.0.clone();
        mac.update(timestamp_s.to_string().as_bytes());
        mac.update(b".");
        mac.update(body);
        format!("v1={:x}", mac.finalize().into_bytes())
    }
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Signer(hidden)")
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_that_of_openssl() {
        // printf '1668877743.[]' | openssl dgst -sha256 -hmac hunter2
        let signer = Signer::new("hunter2").unwrap();
        assert_eq!(
            signer.sign(1_668_877_743, b"[]"),
            "v1=047f16fa676c767a779f193bbb97bd15c45a9e950bce791b0fe8a21808afcc36"
        );
    }

    #[test]
    fn a_secret_is_needed_and_never_shown() {
        assert!(Signer::new("").is_none());
        let signer = Signer::new("hunter2").unwrap();
        assert_eq!(format!("{signer:?}"), "Signer(hidden)");
    }
}
