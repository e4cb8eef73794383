//! What no honest client sends: bytes as they are, tokens that others made, requests that are none.

use std::net::SocketAddr;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as BASE64;
use jsonwebtoken::{Algorithm, EncodingKey, crypto};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::support::{ADMIN_TOKEN, ALICE, Answer, DEADLINE, User};

/// The published key of the notes, that of `config/seed.toml`.
const KEY: &str = "Ap2fQm5aBgE8Qzuar6oixYmXpffcL3yw";

/// Signed with that key for user 1, and expired in 2022.
const EXPIRED: &str = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJleHAiOjE2NjExMDM5NDQ5MTgsInN1YiI6InRrIiwidWlkIjoia3licWRwIn0.FYhYR0KzHZe9kHEeTbcYWwahyqLXBE7rUWaQgyI5I14";

/// Signed with a key that nobody published.
const FOREIGN: &str = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJleHAiOjE2OTQwNTI2NDEyNjQsInN1YiI6InJ0ayIsInVpZCI6IjlkNG5uayJ9.N7X7mpInEbiawIP7qiDOf00Gbmm4H-4HM2cAukQ-040";

/// A frame of a client, with this first byte.
pub(crate) fn masked(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![first];
    match payload.len() {
        short @ ..126 => frame.push(0x80 | short as u8),
        middle @ ..65_536 => {
            frame.push(0x80 | 126);
            frame.extend((middle as u16).to_be_bytes());
        }
        long => {
            frame.push(0x80 | 127);
            frame.extend((long as u64).to_be_bytes());
        }
    }
    let mask = [0x37, 0xfa, 0x21, 0x3d];
    frame.extend(mask);
    let bytes = payload.iter().zip(mask.iter().cycle());
    frame.extend(bytes.map(|(byte, mask)| byte ^ mask));
    frame
}

/// Tokens that connect nobody, each with what is wrong with it and its code, beside one that is good.
pub(crate) fn tokens(fresh: &str) -> Vec<(&'static str, String, u64)> {
    let header = r#"{"alg":"HS256","typ":"JWT"}"#;
    let claims = r#"{"exp":99999999999999,"sub":"tk","uid":"kybqdp"}"#;
    let with = |claims: &str| signed(header, claims, Algorithm::HS256);
    let under = |header: &str| signed(header, claims, Algorithm::HS256);
    let unsigned = |header: &str| format!("{}.{}.", BASE64.encode(header), BASE64.encode(claims));
    let (head, rest) = fresh.split_once('.').unwrap();
    let (body, signature) = rest.split_once('.').unwrap();
    let rows = vec![
        ("an expired token", EXPIRED.to_owned(), 705),
        (
            "a token that expired at the beginning",
            with(r#"{"exp":0,"sub":"tk","uid":"kybqdp"}"#),
            705,
        ),
        (
            "a token in seconds",
            with(r#"{"exp":1999999999,"sub":"tk","uid":"kybqdp"}"#),
            705,
        ),
        ("a foreign token", FOREIGN.to_owned(), 706),
        ("a refresh token", User::new(ALICE).refresh_token(), 706),
        ("nothing", String::new(), 706),
        ("one dot", ".".into(), 706),
        ("two dots", "..".into(), 706),
        ("no token", "null".into(), 706),
        ("one dot too many", format!("{fresh}."), 706),
        ("a fourth part", format!("{fresh}.{signature}"), 706),
        ("two parts", format!("{head}.{body}"), 706),
        ("no signature", format!("{head}.{body}."), 706),
        ("no header", format!(".{body}.{signature}"), 706),
        (
            "parts in another order",
            format!("{body}.{head}.{signature}"),
            706,
        ),
        ("padding", format!("{fresh}="), 706),
        ("a character less", fresh[..fresh.len() - 1].into(), 706),
        ("a NUL", format!("{fresh}%00"), 706),
        ("100,000 characters", "y".repeat(100_000), 706),
        ("50,000 dots", ".".repeat(50_000), 706),
        ("alg none", unsigned(r#"{"alg":"none","typ":"JWT"}"#), 706),
        ("alg None", unsigned(r#"{"alg":"None"}"#), 706),
        (
            "alg none with a signature",
            under(r#"{"alg":"none","typ":"JWT"}"#),
            706,
        ),
        ("no alg", under(r#"{"typ":"JWT"}"#), 706),
        ("two algs", under(r#"{"alg":"HS256","alg":"HS256"}"#), 706),
        (
            "alg HS512",
            signed(r#"{"alg":"HS512","typ":"JWT"}"#, claims, Algorithm::HS512),
            706,
        ),
        (
            "alg HS384",
            signed(r#"{"alg":"HS384","typ":"JWT"}"#, claims, Algorithm::HS384),
            706,
        ),
        (
            "alg HS512 in name alone",
            under(r#"{"alg":"HS512","typ":"JWT"}"#),
            706,
        ),
        ("alg RS256", under(r#"{"alg":"RS256","typ":"JWT"}"#), 706),
        ("alg ES256", under(r#"{"alg":"ES256","typ":"JWT"}"#), 706),
        (
            "a critical extension",
            under(r#"{"alg":"HS256","crit":["b64"],"b64":false}"#),
            706,
        ),
        ("a header that is a list", under(r#"["HS256"]"#), 706),
        ("claims that are none", with("null"), 706),
        (
            "claims that are a list",
            with(r#"[99999999999999,"tk","kybqdp"]"#),
            706,
        ),
        ("nested claims", with(&"[".repeat(10_000)), 706),
        ("no exp", with(r#"{"sub":"tk","uid":"kybqdp"}"#), 706),
        (
            "exp as a string",
            with(r#"{"exp":"99999999999999","sub":"tk","uid":"kybqdp"}"#),
            706,
        ),
        (
            "exp as a float",
            with(r#"{"exp":99999999999999.0,"sub":"tk","uid":"kybqdp"}"#),
            706,
        ),
        (
            "exp with an exponent",
            with(r#"{"exp":1e14,"sub":"tk","uid":"kybqdp"}"#),
            706,
        ),
        (
            "a negative exp",
            with(r#"{"exp":-1,"sub":"tk","uid":"kybqdp"}"#),
            706,
        ),
        (
            "a huge exp",
            with(r#"{"exp":99999999999999999999,"sub":"tk","uid":"kybqdp"}"#),
            706,
        ),
        (
            "an infinite exp",
            with(r#"{"exp":1e400,"sub":"tk","uid":"kybqdp"}"#),
            706,
        ),
        (
            "exp null",
            with(r#"{"exp":null,"sub":"tk","uid":"kybqdp"}"#),
            706,
        ),
        (
            "exp twice",
            with(r#"{"exp":1,"exp":99999999999999,"sub":"tk","uid":"kybqdp"}"#),
            706,
        ),
        (
            "sub twice",
            with(r#"{"exp":99999999999999,"sub":"rtk","sub":"tk","uid":"kybqdp"}"#),
            706,
        ),
        (
            "uid twice",
            with(r#"{"exp":99999999999999,"sub":"tk","uid":"kybqdp","uid":"7b4v1b"}"#),
            706,
        ),
        (
            "no sub",
            with(r#"{"exp":99999999999999,"uid":"kybqdp"}"#),
            706,
        ),
        (
            "another sub",
            with(r#"{"exp":99999999999999,"sub":"TK","uid":"kybqdp"}"#),
            706,
        ),
        ("no uid", with(r#"{"exp":99999999999999,"sub":"tk"}"#), 706),
        (
            "an undecodable uid",
            with(r#"{"exp":99999999999999,"sub":"tk","uid":"nobody"}"#),
            706,
        ),
        (
            "a uid that is a number",
            with(r#"{"exp":99999999999999,"sub":"tk","uid":1}"#),
            706,
        ),
        (
            "an empty uid",
            with(r#"{"exp":99999999999999,"sub":"tk","uid":""}"#),
            706,
        ),
    ];
    rows
}

fn signed(header: &str, claims: &str, algorithm: Algorithm) -> String {
    let message = format!("{}.{}", BASE64.encode(header), BASE64.encode(claims));
    let key = EncodingKey::from_secret(KEY.as_bytes());
    let signature = crypto::sign(message.as_bytes(), &key, algorithm).unwrap();
    format!("{message}.{signature}")
}

/// Writes these bytes as a request and gives the status of the answer.
pub(crate) async fn status(listener: SocketAddr, request: &[u8]) -> u16 {
    exchange(listener, request).await.status
}

/// Posts these bytes with the operator's token.
pub(crate) async fn post(listener: SocketAddr, path: &str, body: &[u8]) -> Answer {
    let head = format!(
        "POST {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\nauthorization: Bearer {ADMIN_TOKEN}\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    exchange(listener, &[head.as_bytes(), body].concat()).await
}

async fn exchange(listener: SocketAddr, request: &[u8]) -> Answer {
    let answer = timeout(DEADLINE, async {
        let mut stream = TcpStream::connect(listener).await.unwrap();
        // A server that has heard enough may stop reading, and its answer is there all the same.
        let _ = stream.write_all(request).await;
        let _ = stream.shutdown().await;
        let mut bytes = Vec::new();
        let mut buffer = [0; 4096];
        while let Ok(read @ 1..) = stream.read(&mut buffer).await {
            bytes.extend_from_slice(&buffer[..read]);
        }
        String::from_utf8_lossy(&bytes).into_owned()
    });
    let answer = answer.await.expect("the server neither answers nor closes");
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    let status = head
        .split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok());
    Answer {
        status: status.unwrap_or_else(|| panic!("no answer: {answer:?}")),
        body: body.to_owned(),
    }
}

/// A line of the process's own account, such as `VmRSS:` for what is resident and `VmHWM:` for the most that ever was, KiB.
pub(crate) fn memory_kib(process: u32, line: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let value = status.lines().find_map(|text| text.strip_prefix(line));
    let number = value.unwrap().trim().split(' ').next();
    number.unwrap().parse().unwrap()
}
