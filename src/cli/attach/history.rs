//! The lines that a person typed, kept for the next time.

use std::env;
use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use crate::config::Secret;

/// How many lines are kept.
pub(super) const LINES: usize = 1000;
/// From how many characters on a run of letters and digits looks like a key; ids of messages are shorter.
const KEY: usize = 24;
/// How the header of a JSON web token begins, and from how many characters on that is one.
const JWT: (&str, usize) = ("eyJ", 12);

/// The file, in a directory that is made if it does not exist; none where the environment names no home.
pub(super) fn file() -> io::Result<Option<PathBuf>> {
    let state = absolute("XDG_STATE_HOME");
    let home = || absolute("HOME").map(|home| home.join(".local/state"));
    let Some(state) = state.or_else(home) else {
        return Ok(None);
    };
    let dir = state.join("yizhan");
    DirBuilder::new().recursive(true).mode(0o700).create(&dir)?;
    Ok(Some(dir.join("history")))
}

/// Whether a line may be kept: it holds neither this token nor what looks like one.
pub(super) fn keeps(line: &str, token: &Secret) -> bool {
    let token = token.expose();
    let holds_it = !token.is_empty() && line.contains(token);
    let part_of_one = |c: char| c.is_ascii_alphanumeric() || "_+/=".contains(c);
    !holds_it && !line.split(|c| !part_of_one(c)).any(looks_secret)
}

fn looks_secret(run: &str) -> bool {
    let (begins, length) = JWT;
    if run.len() >= length && run.starts_with(begins) {
        return true;
    }
    let letters = run.bytes().any(|b| b.is_ascii_alphabetic());
    let digits = run.bytes().any(|b| b.is_ascii_digit());
    run.len() >= KEY && letters && digits
}

fn absolute(variable: &str) -> Option<PathBuf> {
    let path = PathBuf::from(env::var_os(variable)?);
    Some(path).filter(|path: &PathBuf| Path::is_absolute(path))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    #[test]
    fn a_line_with_a_token_is_not_kept() {
        let token = Secret::new("correct horse");
        for line in [
            "f(\"correct horse\").",
            "token_ds:decrypt_token(<<\"eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJleHAiOjE2\">>).",
            "K = <<\"Ap2fQm5aBgE8Qzuar6oixYmXpffcL3yw\">>.",
            "K = \"4a7d1ed414474e4033ac29ccb8653d9b\".",
            "\"Bearer q83vASNFZ4mrze8BI0VniavN\".",
        ] {
            assert!(!keeps(line, &token), "{line}");
        }
    }

    #[test]
    fn lines_without_one_are_kept() {
        for line in [
            "1 = imboy_hashids:uid_decode(\"kybqdp\").",
            "yizhan:why(<<\"cdsgrbgppoodp0gvpb60\">>).",
            "yizhan:why(<<\"550e8400-e29b-41d4-a716-446655440000\">>).",
            "1694052641264 - imboy_dt:millisecond().",
            "rtmp_proxy:run(1935, <<\"rtmp://192.168.0.144/live_room\">>).",
            "a_function_with_a_very_long_name_indeed().",
            "1267650600228229401496703205376.",
        ] {
            assert!(keeps(line, &Secret::new("")), "{line}");
        }
    }
}
