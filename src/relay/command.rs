//! A command of RTMP as a log shows it: on one line, without the secrets of those who broadcast.

use std::fmt;

use super::amf::{Reader, Value};

/// How much of a name is shown, characters.
const SHOWN_MAX: usize = 64;
/// A stream's name that is longer than this may be a key, characters.
const KEY_FROM: usize = 12;
/// What is shown of such a one, characters.
const KEY_SHOWN: usize = 4;

/// Commands that name a stream.
const NAMING: [&str; 8] = [
    "publish",
    "play",
    "play2",
    "releaseStream",
    "FCPublish",
    "FCUnpublish",
    "FCSubscribe",
    "getStreamLength",
];

/// A command or an answer to one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    /// What it is called: `connect`, `publish`, `_result` …
    pub name: String,
    /// Which command an answer is for; 0 if none is awaited.
    pub transaction: Option<u32>,
    /// What it is about: the app, the stream, the code of a status, or a number.
    pub about: Option<String>,
}

impl Command {
    /// Reads the first bytes of a command message; none if it does not begin with a name.
    pub fn read(bytes: &[u8]) -> Option<Command> {
        let mut reader = Reader::new(bytes);
        let Value::Text(name) = reader.value()? else {
            return None;
        };
        let name = plain(name);
        let transaction = reader.value().and_then(whole);
        let about = about(&name, &mut reader);
        Some(Command {
            name,
            transaction,
            about,
        })
    }
}

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        match &self.about {
            Some(about) if self.name == "connect" => write!(f, " app={about}"),
            Some(about) => write!(f, " {about}"),
            None => Ok(()),
        }
    }
}

/// An app's name as it may be shown: without its query, and what is behind its first slash as a stream's name.
pub(super) fn app_shown(name: &[u8]) -> String {
    let name = plain_all(without_query(name));
    let mut parts = name.split('/');
    let mut shown: String = parts
        .next()
        .unwrap_or_default()
        .chars()
        .take(SHOWN_MAX)
        .collect();
    for part in parts {
        shown.push('/');
        shown.push_str(&masked(part));
    }
    shown.chars().take(2 * SHOWN_MAX).collect()
}

/// A stream's name as it may be shown: without its query, and if it is long, only how it begins.
pub(super) fn stream_shown(name: &[u8]) -> String {
    masked(&plain_all(without_query(name)))
}

fn about(name: &str, reader: &mut Reader<'_>) -> Option<String> {
    if name == "connect" {
        return match reader.value()? {
            Value::Object(fields) => fields.text("app").map(app_shown),
            _ => None,
        };
    }
    let (object, argument) = (reader.value()?, reader.value());
    if NAMING.contains(&name) {
        return match argument? {
            Value::Text(stream) => Some(stream_shown(stream)),
            _ => None,
        };
    }
    let code = [argument, Some(object)].into_iter().flatten();
    let mut code = code.filter_map(|value| match value {
        Value::Object(fields) => fields.text("code").map(plain),
        _ => None,
    });
    code.next()
        .or_else(|| argument.and_then(whole).map(|number| number.to_string()))
}

fn masked(name: &str) -> String {
    if name.chars().count() <= KEY_FROM {
        return name.to_string();
    }
    let begins: String = name.chars().take(KEY_SHOWN).collect();
    format!("{begins}…")
}

fn without_query(name: &[u8]) -> &[u8] {
    name.split(|byte| *byte == b'?').next().unwrap_or_default()
}

fn plain(text: &[u8]) -> String {
    plain_all(text).chars().take(SHOWN_MAX).collect()
}

/// What can be written to a log without breaking its lines or hiding a part of them.
fn plain_all(text: &[u8]) -> String {
    let is_plain = |c: char| c.is_alphanumeric() || c.is_ascii_graphic() || c == ' ';
    String::from_utf8_lossy(text)
        .chars()
        .map(|c| if is_plain(c) { c } else { '?' })
        .collect()
}

fn whole(value: Value<'_>) -> Option<u32> {
    match value {
        Value::Number(number) if number.fract() == 0.0 && (0.0..=4e9).contains(&number) => {
            Some(number as u32)
        }
        _ => None,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const ONE: &[u8] = b"\x00\x3f\xf0\0\0\0\0\0\0";
    const NULL: &[u8] = b"\x05";

    fn text(text: &str) -> Vec<u8> {
        [
            b"\x02",
            &(text.len() as u16).to_be_bytes()[..],
            text.as_bytes(),
        ]
        .concat()
    }

    fn object(name: &str, value: &str) -> Vec<u8> {
        let name = [&(name.len() as u16).to_be_bytes()[..], name.as_bytes()].concat();
        [b"\x03", &name[..], &text(value), b"\0\0\x09"].concat()
    }

    fn shown(name: &str, parts: &[&[u8]]) -> String {
        let bytes = [&text(name)[..], ONE, &parts.concat()].concat();
        let command = Command::read(&bytes).unwrap();
        assert_eq!(command.transaction, Some(1));
        command.to_string()
    }

    #[test]
    fn a_command_is_shown_with_what_it_is_about() {
        assert_eq!(
            shown("connect", &[&object("app", "live")]),
            "connect app=live"
        );
        assert_eq!(shown("createStream", &[NULL]), "createStream");
        assert_eq!(
            shown("publish", &[NULL, &text("room"), &text("live")]),
            "publish room"
        );
        assert_eq!(shown("play", &[NULL, &text("room")]), "play room");
        assert_eq!(shown("deleteStream", &[NULL, ONE]), "deleteStream 1");
        assert_eq!(shown("_result", &[NULL, ONE]), "_result 1");
        let status = object("code", "NetStream.Publish.Start");
        assert_eq!(
            shown("onStatus", &[NULL, &status]),
            "onStatus NetStream.Publish.Start"
        );
        let (version, status) = (object("fmsVer", "x"), object("code", "Connect.Success"));
        assert_eq!(
            shown("_result", &[&version, &status]),
            "_result Connect.Success"
        );
        assert_eq!(shown("play", &[]), "play");
        assert_eq!(shown("publish", &[NULL]), "publish");
    }

    #[test]
    fn a_key_is_not_shown() {
        let publish = |name: &str| shown("publish", &[NULL, &text(name)]);
        assert_eq!(publish("room?key=secret"), "publish room");
        assert_eq!(publish("123456789012"), "publish 123456789012");
        assert_eq!(publish("1234567890123"), "publish 1234…");
        assert_eq!(publish("live-abc-secret?x=y"), "publish live…");
        let connect = |app: &str| shown("connect", &[&object("app", app)]);
        assert_eq!(connect("live?token=secret"), "connect app=live");
        assert_eq!(connect("live/abcd-efgh-ijkl"), "connect app=live/abcd…");
        for naming in NAMING {
            let said = shown(naming, &[NULL, &text("abcd-efgh-ijkl")]);
            assert_eq!(said, format!("{naming} abcd…"));
        }
    }

    #[test]
    fn a_name_stays_on_its_line_and_short() {
        let said = shown("publish", &[NULL, &text("a\nb\u{202e}")]);
        assert_eq!(said, "publish a?b?");
        let said = shown(&"x\n".repeat(500), &[]);
        assert_eq!(said, "x?".repeat(SHOWN_MAX / 2));
        let deep = shown("connect", &[&object("app", &"a/".repeat(300))]);
        assert!(deep.chars().count() <= 2 * SHOWN_MAX + "connect app=".len());
    }

    #[test]
    fn what_does_not_begin_with_a_name_is_no_command() {
        assert_eq!(Command::read(ONE), None);
        assert_eq!(Command::read(b""), None);
        assert_eq!(Command::read(b"\x02\0\x09conn"), None);
        let bare = Command::read(&text("close")).unwrap();
        assert_eq!((bare.transaction, bare.to_string()), (None, "close".into()));
    }
}
