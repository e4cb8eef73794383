//! Tokens: JSON Web Tokens signed with HS256 whose `exp` is in milliseconds, as the original server's clients carry them.

use std::fmt;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Validation, crypto, decode};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::code::Code;
use crate::id::{Hashids, Uid};

/// What a token is good for.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub enum Kind {
    /// Connecting and calling: `tk` on the wire.
    #[serde(rename = "tk")]
    Access,
    /// Getting a new access token, and nothing else: `rtk` on the wire.
    #[serde(rename = "rtk")]
    Refresh,
}

impl Kind {
    /// Returns the value of the claim `sub`.
    pub const fn sub(self) -> &'static str {
        match self {
            Kind::Access => "tk",
            Kind::Refresh => "rtk",
        }
    }
}

/// What a token says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Claims {
    /// The user who speaks.
    pub uid: Uid,
    /// When the token expires, in milliseconds since 1970.
    pub exp_ms: u64,
    /// When the token was issued, in milliseconds since 1970; none if it does not say so in a whole number.
    pub iat_ms: Option<u64>,
    /// What the token is good for.
    pub kind: Kind,
}

/// Why a token is refused; the text is the one that goes on the wire.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum TokenError {
    /// The signature and the claims are right, the time is over.
    #[error("{}", Code::RefreshToken.message())]
    Expired(Claims),
    /// Anything else; whatever the token claims is not to be believed.
    #[error("{}", Code::InvalidToken.message())]
    Invalid,
}

impl TokenError {
    /// Returns 705 or 706.
    pub const fn code(&self) -> Code {
        match self {
            TokenError::Expired(_) => Code::RefreshToken,
            TokenError::Invalid => Code::InvalidToken,
        }
    }
}

/// Says that the signing library refused; no key and no claims that this module accepts are known to cause it.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("cannot sign a token: {0}")]
pub struct MintError(String);

/// Makes and checks the tokens of one key; a clone shares the key.
#[derive(Clone)]
pub struct Tokens {
    inner: Arc<Inner>,
}

struct Inner {
    sign: EncodingKey,
    check: DecodingKey,
    validation: Validation,
    hashids: Hashids,
}

impl Tokens {
    /// Takes the bytes of `key` as the HS256 key.
    pub fn new(key: &str, hashids: Hashids) -> Tokens {
        let mut validation = Validation::new(Algorithm::HS256);
        validation.required_spec_claims.clear();
        // The library takes `exp` for seconds; the audience and other claims of the minting app are its own affair.
        validation.validate_exp = false;
        validation.validate_nbf = false;
        validation.validate_aud = false;
        Tokens {
            inner: Arc::new(Inner {
                sign: EncodingKey::from_secret(key.as_bytes()),
                check: DecodingKey::from_secret(key.as_bytes()),
                validation,
                hashids,
            }),
        }
    }

    /// Signs the claims, in the very bytes that the original server would send.
    pub fn mint(&self, claims: &Claims) -> Result<String, MintError> {
        let wire = WireOut {
            exp: claims.exp_ms,
            iat: claims.iat_ms,
            sub: claims.kind,
            uid: self.inner.hashids.encode(claims.uid),
        };
        let claims = serde_json::to_vec(&wire).map_err(|error| MintError(error.to_string()))?;
        // The library's own encoder writes `typ` before `alg`.
        let mut token = URL_SAFE_NO_PAD.encode(HEADER);
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(claims, &mut token);
        let signature = crypto::sign(token.as_bytes(), &self.inner.sign, Algorithm::HS256)
            .map_err(|error| MintError(error.to_string()))?;
        token.push('.');
        token.push_str(&signature);
        Ok(token)
    }

    /// Returns what the token says, if it is signed with this key and `now_ms` is before its expiry plus the leeway (all in
    /// milliseconds).
    ///
    /// The token stands alone: a leading `Bearer` is the caller's to remove. A wrong signature is always
    /// [`TokenError::Invalid`], however old the token is.
    pub fn verify(&self, token: &str, now_ms: u64, leeway_ms: u64) -> Result<Claims, TokenError> {
        let inner = &*self.inner;
        let read = decode::<WireIn>(token, &inner.check, &inner.validation)
            .map_err(|_| TokenError::Invalid)?;
        // RFC 7515: what the header calls critical must be understood, and nothing of the kind is here.
        if read.header.crit.is_some() {
            return Err(TokenError::Invalid);
        }
        let wire = read.claims;
        let uid = inner
            .hashids
            .decode(&wire.uid)
            .map_err(|_| TokenError::Invalid)?;
        let claims = Claims {
            uid,
            exp_ms: wire.exp,
            iat_ms: wire.iat.and_then(|iat| iat.get().parse().ok()),
            kind: wire.sub,
        };
        if claims.exp_ms.saturating_add(leeway_ms) <= now_ms {
            return Err(TokenError::Expired(claims));
        }
        Ok(claims)
    }
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tokens").finish_non_exhaustive()
    }
}

const HEADER: &str = r#"{"alg":"HS256","typ":"JWT"}"#;

/// The order of the fields is the order of the bytes.
#[derive(Serialize)]
struct WireOut {
    exp: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    iat: Option<u64>,
    sub: Kind,
    uid: String,
}

#[derive(Deserialize)]
struct WireIn {
    exp: u64,
    /// Whatever it is, it spoils no token: one that does not tell its age is taken for old where that matters.
    iat: Option<Box<RawValue>>,
    sub: Kind,
    uid: String,
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;
    use crate::config::Ids;

    #[test]
    fn the_published_tokens_are_valid_and_long_expired() {
        let tokens = sample();
        for (token, uid, exp_ms) in PUBLISHED {
            let claims = Claims {
                uid: Uid(uid),
                exp_ms,
                iat_ms: None,
                kind: Kind::Access,
            };
            let error = tokens.verify(token, NOW, 0).unwrap_err();
            assert_eq!(error, TokenError::Expired(claims));
            assert_eq!(error.to_string(), "Please refresh token");
            assert_eq!(error.code(), Code::RefreshToken);
            assert_eq!(tokens.verify(token, NOW, CENTURY), Ok(claims));
            assert_eq!(tokens.mint(&claims).unwrap(), token);
        }
    }

    #[test]
    fn the_token_of_another_key_is_invalid_whatever_the_leeway() {
        let tokens = sample();
        for (now, leeway) in [(NOW, 0), (NOW, CENTURY), (0, u64::MAX)] {
            let error = tokens.verify(FOREIGN, now, leeway).unwrap_err();
            assert_eq!(error, TokenError::Invalid);
            assert_eq!(error.to_string(), "Invalid token");
            assert_eq!(error.code(), Code::InvalidToken);
        }
        let other = Tokens::new("another key", hashids());
        for (token, ..) in PUBLISHED {
            assert_eq!(other.verify(token, NOW, CENTURY), Err(TokenError::Invalid));
        }
    }

    #[test]
    fn a_minted_token_lasts_until_its_expiry_and_the_leeway() {
        let tokens = sample();
        let claims = Claims {
            uid: Uid(513_244),
            exp_ms: 1_000,
            iat_ms: Some(900),
            kind: Kind::Refresh,
        };
        let token = tokens.mint(&claims).unwrap();
        assert_eq!(tokens.verify(&token, 999, 0), Ok(claims));
        assert_eq!(
            tokens.verify(&token, 1_000, 0),
            Err(TokenError::Expired(claims))
        );
        assert_eq!(tokens.verify(&token, 1_000, 1), Ok(claims));
        assert_eq!(
            tokens.verify(&token, 1_001, 1),
            Err(TokenError::Expired(claims))
        );
        assert_eq!(tokens.verify(&token, u64::MAX - 1, u64::MAX), Ok(claims));
    }

    #[test]
    fn a_token_of_a_standard_library_is_good_too() {
        let header = r#"{"typ":"JWT","alg":"HS256","kid":"1"}"#;
        let claims =
            r#"{"aud":"app","iat":1,"nbf":99999999999999,"uid":"kybqdp","sub":"tk","exp":5}"#;
        let expected = Claims {
            uid: Uid(1),
            exp_ms: 5,
            iat_ms: Some(1),
            kind: Kind::Access,
        };
        let token = signed(header, claims, Algorithm::HS256);
        assert_eq!(sample().verify(&token, 0, 0), Ok(expected));
    }

    #[test]
    fn a_token_says_when_it_was_issued_or_is_good_without_it() {
        let tokens = sample();
        let issued = |iat: &str| {
            let claims = format!(r#"{{"exp":5,{iat}"sub":"tk","uid":"kybqdp"}}"#);
            let token = signed(HEADER, &claims, Algorithm::HS256);
            tokens.verify(&token, 0, 0).map(|claims| claims.iat_ms)
        };
        assert_eq!(
            issued(r#""iat":1668877742828,"#),
            Ok(Some(1_668_877_742_828))
        );
        for iat in [
            "",
            r#""iat":null,"#,
            r#""iat":-1,"#,
            r#""iat":1.5,"#,
            r#""iat":1e999,"#,
            r#""iat":99999999999999999999,"#,
            r#""iat":"1668877742828","#,
            r#""iat":[1],"#,
        ] {
            assert_eq!(issued(iat), Ok(None), "{iat}");
        }
    }

    #[test]
    fn the_time_of_issue_stands_behind_the_expiry() {
        let claims = Claims {
            uid: Uid(1),
            exp_ms: 7,
            iat_ms: Some(5),
            kind: Kind::Access,
        };
        let token = sample().mint(&claims).unwrap();
        let middle = token.split('.').nth(1).unwrap();
        let text = String::from_utf8(URL_SAFE_NO_PAD.decode(middle).unwrap()).unwrap();
        assert_eq!(text, r#"{"exp":7,"iat":5,"sub":"tk","uid":"kybqdp"}"#);
        assert_eq!(sample().verify(&token, 6, 0), Ok(claims));
    }

    #[test]
    fn a_claim_or_a_header_that_is_said_twice_is_invalid() {
        let tokens = sample();
        let once = r#"{"exp":5,"iat":1,"sub":"tk","uid":"kybqdp"}"#;
        let good = signed(HEADER, once, Algorithm::HS256);
        assert!(tokens.verify(&good, 0, 0).is_ok());
        for claims in [
            r#"{"exp":5,"exp":5,"sub":"tk","uid":"kybqdp"}"#,
            r#"{"exp":5,"\u0065xp":6,"sub":"tk","uid":"kybqdp"}"#,
            r#"{"exp":5,"iat":1,"iat":2,"sub":"tk","uid":"kybqdp"}"#,
            r#"{"exp":5,"sub":"rtk","sub":"tk","uid":"kybqdp"}"#,
            r#"{"exp":5,"sub":"tk","uid":"kybqdp","uid":"7b4v1b"}"#,
        ] {
            let token = signed(HEADER, claims, Algorithm::HS256);
            let error = tokens.verify(&token, 0, 0).unwrap_err();
            assert_eq!(error, TokenError::Invalid, "{claims}");
        }
        for header in [
            r#"{"alg":"HS256","alg":"HS256","typ":"JWT"}"#,
            r#"{"alg":"none","alg":"HS256","typ":"JWT"}"#,
            r#"{"alg":"HS256","\u0061lg":"none","typ":"JWT"}"#,
        ] {
            let token = signed(header, once, Algorithm::HS256);
            let error = tokens.verify(&token, 0, 0).unwrap_err();
            assert_eq!(error, TokenError::Invalid, "{header}");
        }
    }

    #[test]
    fn another_algorithm_is_invalid() {
        let tokens = sample();
        let claims = r#"{"exp":5,"sub":"tk","uid":"kybqdp"}"#;
        for alg in [
            "none", "None", "HS384", "HS512", "RS256", "ES256", "hs256", "",
        ] {
            let header = format!(r#"{{"alg":"{alg}","typ":"JWT"}}"#);
            let token = signed(&header, claims, Algorithm::HS256);
            assert_eq!(
                tokens.verify(&token, 0, 0),
                Err(TokenError::Invalid),
                "{alg}"
            );
            let unsigned = format!("{}.", token.rsplit_once('.').unwrap().0);
            assert_eq!(
                tokens.verify(&unsigned, 0, 0),
                Err(TokenError::Invalid),
                "{alg}"
            );
        }
        let honest = signed(r#"{"alg":"HS512","typ":"JWT"}"#, claims, Algorithm::HS512);
        assert_eq!(tokens.verify(&honest, 0, 0), Err(TokenError::Invalid));
        let headless = signed("{}", claims, Algorithm::HS256);
        assert_eq!(tokens.verify(&headless, 0, 0), Err(TokenError::Invalid));
    }

    #[test]
    fn wrong_claims_are_invalid_even_with_a_right_signature() {
        let tokens = sample();
        for claims in [
            "",
            "{}",
            "[]",
            "null",
            r#"{"sub":"tk","uid":"kybqdp"}"#,
            r#"{"exp":5,"uid":"kybqdp"}"#,
            r#"{"exp":5,"sub":"tk"}"#,
            r#"{"exp":-5,"sub":"tk","uid":"kybqdp"}"#,
            r#"{"exp":"5","sub":"tk","uid":"kybqdp"}"#,
            r#"{"exp":5.5,"sub":"tk","uid":"kybqdp"}"#,
            r#"{"exp":99999999999999999999,"sub":"tk","uid":"kybqdp"}"#,
            r#"{"exp":5,"exp":6,"sub":"tk","uid":"kybqdp"}"#,
            r#"{"exp":5,"sub":"TK","uid":"kybqdp"}"#,
            r#"{"exp":5,"sub":null,"uid":"kybqdp"}"#,
            r#"{"exp":5,"sub":"tk","uid":1}"#,
            r#"{"exp":5,"sub":"tk","uid":""}"#,
            r#"{"exp":5,"sub":"tk","uid":"kybqdq"}"#,
            r#"{"exp":5,"sub":"tk","uid":"驿站"}"#,
        ] {
            let token = signed(HEADER, claims, Algorithm::HS256);
            assert_eq!(
                tokens.verify(&token, 0, 0),
                Err(TokenError::Invalid),
                "{claims}"
            );
        }
    }

    #[test]
    fn garbage_is_invalid() {
        let tokens = sample();
        let (good, ..) = PUBLISHED[0];
        for bad in [
            "",
            ".",
            "..",
            "...",
            "a.b.c",
            "驿.站.驿",
            "null",
            "\0",
            &format!("Bearer {good}"),
            &format!("{good} "),
            &format!("{good}="),
            &format!("{good}.x"),
            &good[..good.len() - 1],
            &good.to_uppercase(),
        ] {
            assert_eq!(
                tokens.verify(bad, NOW, CENTURY),
                Err(TokenError::Invalid),
                "{bad}"
            );
        }
    }

    #[test]
    fn no_single_changed_character_goes_unnoticed() {
        let tokens = sample();
        let (good, ..) = PUBLISHED[0];
        for at in 0..good.len() {
            let mut bytes = good.as_bytes().to_vec();
            bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
            let bad = String::from_utf8(bytes).unwrap();
            assert_eq!(
                tokens.verify(&bad, NOW, CENTURY),
                Err(TokenError::Invalid),
                "{bad}"
            );
        }
    }

    #[test]
    fn the_key_is_not_shown() {
        assert!(!format!("{:?}", sample()).contains(KEY));
    }

    const KEY: &str = "Ap2fQm5aBgE8Qzuar6oixYmXpffcL3yw";
    const NOW: u64 = 1_750_000_000_000;
    const CENTURY: u64 = 3_153_600_000_000;
    const PUBLISHED: [(&str, u64, u64); 3] = [
        (
            "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJleHAiOjE2Njg1Njk3MTY0MDksInN1YiI6InRrIiwidWlkIjoiYnltajVnIn0.zPojzN6IfxzIfU4CCJodguaAMcGPDx3XLTvou6-U9A8",
            13_238,
            1_668_569_716_409,
        ),
        (
            "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJleHAiOjE2NjExMDM5NDQ5MTgsInN1YiI6InRrIiwidWlkIjoia3licWRwIn0.FYhYR0KzHZe9kHEeTbcYWwahyqLXBE7rUWaQgyI5I14",
            1,
            1_661_103_944_918,
        ),
        (
            "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJleHAiOjE2NjkwNDc2Nzc3MDgsInN1YiI6InRrIiwidWlkIjoiN2I0djFiIn0.n19M6-kR_p4EtqJMst4kO1cqgdG5F2gyNY6QL46xpR8",
            108,
            1_669_047_677_708,
        ),
    ];
    const FOREIGN: &str = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJleHAiOjE2OTQwNTI2NDEyNjQsInN1YiI6InJ0ayIsInVpZCI6IjlkNG5uayJ9.N7X7mpInEbiawIP7qiDOf00Gbmm4H-4HM2cAukQ-040";

    fn sample() -> Tokens {
        Tokens::new(KEY, hashids())
    }

    fn hashids() -> Hashids {
        Hashids::new(&Ids {
            salt: "cVQtrKNu".into(),
            alphabet: "123456789abcdefghijkmnpqrstuvwxyz".into(),
            separators: "cfhistuu".into(),
            min_length: 6,
        })
        .unwrap()
    }

    fn signed(header: &str, claims: &str, algorithm: Algorithm) -> String {
        let message = format!(
            "{}.{}",
            URL_SAFE_NO_PAD.encode(header),
            URL_SAFE_NO_PAD.encode(claims)
        );
        let key = EncodingKey::from_secret(KEY.as_bytes());
        let signature = crypto::sign(message.as_bytes(), &key, algorithm).unwrap();
        format!("{message}.{signature}")
    }
}
