//! Who had what evaluated, when, and what came of it: a line of JSON each, without secrets.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use parking_lot::Mutex;
use serde::Serialize;

use super::Role;

/// The names of the files in `store.path`: who only looks has one of its own, and cannot push an operator's lines out.
pub const FILES: [&str; 2] = ["audit.log", "audit-read.log"];
/// A file of so many bytes is put aside, and a new one is begun.
const FILE_MAX: u64 = 16 << 20;
/// A shorter token hides nothing, and stands in every other word.
const SECRET_MIN: usize = 4;
/// Files that were put aside and are kept.
const KEPT: usize = 4;

/// One evaluation.
#[derive(Clone, Debug, Serialize)]
pub struct Line<'a> {
    /// When it began, Unix milliseconds.
    pub at: u64,
    /// Which token was shown: `operator` or `reader`.
    pub who: &'a str,
    /// From which address.
    pub address: &'a str,
    /// In which session.
    pub session: &'a str,
    /// What was evaluated, secrets cut out.
    pub text: &'a str,
    /// Whether nothing was to be changed.
    pub dry_run: bool,
    /// What it changed, or would have.
    pub changes: &'a [String],
    /// `ok`, or what went wrong.
    pub outcome: &'a str,
    /// How long it took, milliseconds.
    pub took_ms: u64,
}

/// The log.
pub struct Audit {
    files: Option<[Mutex<Kept>; 2]>,
}

struct Kept {
    path: PathBuf,
    file: File,
    bytes: u64,
}

impl Audit {
    /// Goes on with the log in this directory; without one, lines go to the server's own log.
    pub fn open(dir: Option<&Path>) -> io::Result<Audit> {
        let Some(dir) = dir else {
            return Ok(Audit { files: None });
        };
        let [operators, readers] = FILES.map(|name| Kept::open(dir.join(name)));
        let files = [Mutex::new(operators?), Mutex::new(readers?)];
        Ok(Audit { files: Some(files) })
    }

    /// Writes a line. One that cannot be written goes to the server's own log, so that none is lost without a word.
    pub fn write(&self, role: Role, line: &Line<'_>) {
        let Ok(mut text) = serde_json::to_string(line) else {
            return;
        };
        text.push('\n');
        let written = match &self.files {
            Some(files) => files[role as usize].lock().write(&text),
            None => Err(io::Error::other("the store is in memory")),
        };
        if let Err(error) = written {
            log::warn!("audit (not in the file: {error}): {}", text.trim_end());
        }
    }
}

impl Kept {
    fn open(path: PathBuf) -> io::Result<Kept> {
        let file = append_to(&path)?;
        let bytes = file.metadata()?.len();
        Ok(Kept { path, file, bytes })
    }

    fn write(&mut self, text: &str) -> io::Result<()> {
        if self.bytes + text.len() as u64 > FILE_MAX && self.bytes > 0 {
            self.roll()?;
        }
        self.file.write_all(text.as_bytes())?;
        self.bytes += text.len() as u64;
        Ok(())
    }

    fn roll(&mut self) -> io::Result<()> {
        let old = |number: usize| self.path.with_extension(format!("log.{number}"));
        for number in (1..KEPT).rev() {
            match fs::rename(old(number), old(number + 1)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        fs::rename(&self.path, old(1))?;
        self.file = append_to(&self.path)?;
        self.bytes = 0;
        Ok(())
    }
}

fn append_to(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .create(true)
        .append(true)
        .mode(0o600)
        .open(path)
}

/// The text without what could be a secret: tokens, keys, and what is as long and as random as one.
pub fn without_secrets(text: &str, known: &[&str]) -> String {
    let mut text = text.to_string();
    for secret in known.iter().filter(|secret| secret.len() >= SECRET_MIN) {
        text = text.replace(secret, "(secret)");
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text.as_str();
    while let Some(at) = rest.find(is_token_char) {
        let (before, from) = rest.split_at(at);
        let end = from.find(|c| !is_token_char(c)).unwrap_or(from.len());
        let (word, after) = from.split_at(end);
        out.push_str(before);
        out.push_str(if is_suspect(word) { "(secret)" } else { word });
        rest = after;
    }
    out.push_str(rest);
    out
}

/// What tokens and keys are made of: base64 in both alphabets, and the dots between the parts of a token.
fn is_token_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '+' | '/' | '=')
}

fn is_suspect(word: &str) -> bool {
    if word.starts_with("eyJ") && word.len() > 16 {
        return true;
    }
    let has = |class: fn(&char) -> bool| word.chars().any(|c| class(&c));
    let is_mixed = has(|c| c.is_ascii_digit()) && has(|c| c.is_ascii_alphabetic());
    // A message id of the samples has 20 characters, a key of this server 64.
    word.len() >= 28 && is_mixed && !word.contains("://")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn line(text: &str) -> Line<'_> {
        Line {
            at: 1,
            who: "operator",
            address: "127.0.0.1",
            session: "s",
            text,
            dry_run: false,
            changes: &[],
            outcome: "ok",
            took_ms: 0,
        }
    }

    #[test]
    fn tokens_and_keys_are_cut_out_and_names_are_not() {
        let token = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJleHAiOjE2fQ.zPojzN6IfxzIfU4CC";
        let text = format!("token_ds:decrypt_token(<<\"{token}\">>).");
        let clean = without_secrets(&text, &[]);
        assert_eq!(clean, "token_ds:decrypt_token(<<\"(secret)\">>).");
        let clean = without_secrets("X = \"hunter2\", f(X).", &["hunter2", ""]);
        assert_eq!(clean, "X = \"(secret)\", f(X).");
        let id = "yizhan:why(<<\"cdsgrbgppoodp0gvpb60\">>).";
        assert_eq!(without_secrets(id, &[]), id);
        let key = without_secrets("<<\"Ap2fQm5aBgE8Qzuar6oixYmXpffcL3yw\">>.", &[]);
        assert_eq!(key, "<<\"(secret)\">>.");
        let relay = "rtmp_proxy:run(1935, <<\"rtmp://192.168.0.144/live_room\">>).";
        assert_eq!(without_secrets(relay, &[]), relay);
    }

    #[test]
    fn a_full_file_is_put_aside_and_a_few_are_kept() {
        let dir = tempfile::tempdir().unwrap();
        let audit = Audit::open(Some(dir.path())).unwrap();
        let long = "x".repeat(1 << 20);
        for _ in 0..(KEPT + 3) * 17 {
            audit.write(Role::Reader, &line(&long));
        }
        let mut names: Vec<String> = fs::read_dir(dir.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        let [operators, readers] = FILES;
        let mut expected: Vec<String> = ["", ".1", ".2", ".3", ".4"]
            .map(|end| format!("{readers}{end}"))
            .into();
        expected.push(operators.to_string());
        assert_eq!(names, expected);
        let total: u64 = names
            .iter()
            .map(|name| fs::metadata(dir.path().join(name)).unwrap().len())
            .sum();
        assert!(total <= FILE_MAX * (KEPT as u64 + 1));
    }
}
