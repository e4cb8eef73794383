//! What a shell and its server say to each other.

use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};

/// The longest name of a session.
const SESSION_MAX: usize = 64;

/// What the server is asked.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub(super) enum Request<'a> {
    Eval {
        id: u64,
        text: &'a str,
        dry_run: bool,
    },
    Interrupt,
    Complete {
        id: u64,
        text: &'a str,
    },
}

/// What the server tells.
#[derive(Debug, PartialEq, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub(super) enum Told {
    Hello(Hello),
    Output {
        text: String,
    },
    Done {
        id: u64,
        error: Option<Reason>,
        /// The number of the next sentence, where the server says it.
        next: Option<u64>,
    },
    Complete {
        id: u64,
        from: usize,
        candidates: Vec<String>,
    },
    Error {
        /// Of the request that it is about, where the server says it.
        id: Option<u64>,
        msg: String,
    },
    #[serde(other)]
    Unknown,
}

/// The server's first words.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
pub(super) struct Hello {
    pub(super) version: String,
    pub(super) pid: String,
    pub(super) read_only: bool,
    /// The number of the next sentence, where the server says it.
    #[serde(default)]
    pub(super) next: Option<u64>,
}

/// That there is a reason; its text was among the output.
#[derive(PartialEq, Debug, Deserialize)]
pub(super) struct Reason(IgnoredAny);

impl Request<'_> {
    /// The text of the frame.
    pub(super) fn encode(&self) -> String {
        // Texts and numbers always have a JSON form.
        serde_json::to_string(self).unwrap_or_default()
    }
}

/// Reads a frame; one that cannot be read is named.
pub(super) fn decode(frame: &str) -> Result<Told, String> {
    serde_json::from_str(frame)
        .map_err(|error| format!("the server sent what is no answer: {error}"))
}

/// Refuses what is no name of a session.
pub(super) fn session(name: &str) -> Result<String, String> {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
    match (1..=SESSION_MAX).contains(&name.len()) && name.bytes().all(allowed) {
        true => Ok(name.into()),
        false => Err(format!(
            "a session is named by 1 to {SESSION_MAX} of A-Z a-z 0-9 - _ ."
        )),
    }
}

/// The index in bytes of an index in UTF-16 units, if a character begins there or the text ends there.
pub(super) fn byte_index(text: &str, units: usize) -> Option<usize> {
    let mut before = 0;
    for (index, c) in text.char_indices() {
        if before >= units {
            return (before == units).then_some(index);
        }
        before += c.len_utf16();
    }
    (before == units).then_some(text.len())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_as_the_protocol_has_them() {
        let eval = Request::Eval {
            id: 1,
            text: "\"ä\".\n",
            dry_run: false,
        };
        assert_eq!(
            eval.encode(),
            r#"{"type":"eval","id":1,"text":"\"ä\".\n","dry_run":false}"#
        );
        assert_eq!(Request::Interrupt.encode(), r#"{"type":"interrupt"}"#);
        let complete = Request::Complete { id: 2, text: "li" };
        assert_eq!(
            complete.encode(),
            r#"{"type":"complete","id":2,"text":"li"}"#
        );
    }

    #[test]
    fn every_answer_is_read_and_one_of_another_kind_is_passed_over() {
        let hello = decode(
            r#"{"type":"hello","version":"0.1.0","pid":"<0.60.0>","session":"s","read_only":true}"#,
        );
        let Ok(Told::Hello(hello)) = hello else {
            panic!("{hello:?}");
        };
        assert_eq!((hello.pid.as_str(), hello.read_only), ("<0.60.0>", true));
        let done = |error| Told::Done {
            id: 1,
            error,
            next: None,
        };
        let read = |frame| decode(frame).unwrap();
        assert_eq!(
            read(r#"{"type":"done","id":1,"value":"2","error":null}"#),
            done(None)
        );
        assert_eq!(
            read(r#"{"type":"done","id":1,"value":null,"error":"** exception"}"#),
            done(Some(Reason(IgnoredAny)))
        );
        let text = "2\n".to_string();
        assert_eq!(
            read(r#"{"type":"output","id":1,"text":"2\n"}"#),
            Told::Output { text }
        );
        assert_eq!(read(r#"{"type":"weather","is":"fine"}"#), Told::Unknown);
        for frame in ["", "{}", "[1]", r#"{"type":"output"}"#] {
            assert!(decode(frame).is_err(), "{frame}");
        }
    }

    #[test]
    fn a_session_has_a_plain_name() {
        for name in ["a", "ops-1_x.y", &"x".repeat(64)] {
            assert_eq!(session(name).as_deref(), Ok(name));
        }
        for name in ["", "a b", "ä", "a\nb", &"x".repeat(65)] {
            assert!(session(name).is_err(), "{name:?}");
        }
    }

    #[test]
    fn utf16_units_are_counted_over_every_width() {
        let text = "aä😀b";
        let found: Vec<_> = (0..=6).map(|units| byte_index(text, units)).collect();
        let expected = [Some(0), Some(1), Some(3), None, Some(7), Some(8), None];
        assert_eq!(found, expected);
        assert_eq!(byte_index("", 0), Some(0));
    }
}
