//! Reads the members of a frame, and says in words of its own which of them is wrong and what it should be.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::code::Code;
use crate::id::Seq;
use crate::message::{Address, Fault};

/// What a client may have made long is echoed up to here, bytes.
const ECHO_MAX: usize = 64;

/// What a sequence number must be.
const SEQ: &str = "a whole number from 0 to 18446744073709551615";

/// An object of a client's, each of its members in the shape that the protocol gives it; `null` is no value.
#[derive(Debug, Default)]
pub(super) struct Frame<'a> {
    pub(super) id: Option<Cow<'a, str>>,
    pub(super) kind: Option<Cow<'a, str>>,
    pub(super) to: Option<Cow<'a, str>>,
    pub(super) payload: Option<&'a str>,
    pub(super) created_at: Option<i64>,
    pub(super) expires_at: Option<u64>,
    pub(super) target: Option<Cow<'a, str>>,
    pub(super) before: Option<u64>,
    pub(super) seqs: Option<Vec<Seq>>,
    pub(super) up_to: Option<Seq>,
    after: Option<&'a RawValue>,
    pub(super) limit: Option<u64>,
    pub(super) of: Option<Vec<&'a RawValue>>,
    pub(super) token: Option<Cow<'a, str>>,
    from: Option<&'a RawValue>,
}

impl<'a> Frame<'a> {
    /// Reads an object; the fault of one that can be read echoes its id and its reader.
    pub(super) fn read(text: &'a str) -> Result<Frame<'a>, Fault> {
        let members = Members::read(text).map_err(|why| Fault::because(Code::BadFrame, why))?;
        let mut frame = Frame::default();
        match frame.fill(&members) {
            Ok(()) => Ok(frame),
            Err(why) => Err(frame.fault(why)),
        }
    }

    /// A fault of this frame.
    pub(super) fn fault(&self, why: impl Into<Box<str>>) -> Fault {
        Fault {
            id: self.id.as_deref().map(cut),
            to: self.to.as_deref().map(|to| Address::Raw(cut(to))),
            ..Fault::because(Code::BadFrame, why)
        }
    }

    /// The sender, for whom it has a meaning; everybody else's is ignored, whatever it is.
    pub(super) fn from(&self) -> Result<Option<Cow<'a, str>>, Fault> {
        let from = self.from.filter(|raw| raw.get() != "null");
        let from = from.map(|raw| string("from", raw)).transpose();
        from.map_err(|why| self.fault(why))
    }

    /// The place after which something is wanted.
    pub(super) fn after(&self) -> Result<Option<Seq>, Fault> {
        let after = self.after.map(|raw| number("after", SEQ, raw));
        after.transpose().map_err(|why| self.fault(why))
    }

    /// The user after whom something is wanted.
    pub(super) fn after_name(&self) -> Result<Option<Cow<'a, str>>, Fault> {
        let after = self.after.map(|raw| string("after", raw));
        after.transpose().map_err(|why| self.fault(why))
    }

    fn fill(&mut self, members: &Members<'a>) -> Result<(), String> {
        // Both of them first: the fault of another member echoes them.
        let (id, to) = (members.string(Member::Id), members.string(Member::To));
        self.id = id.as_ref().ok().cloned().flatten();
        self.to = to.as_ref().ok().cloned().flatten();
        if let Some(twice) = members.twice {
            return Err(format!("{} stands there twice", twice.name()));
        }
        id?;
        to?;
        self.kind = members.string(Member::Type)?;
        // A payload of `null` is one.
        self.payload = members.raw(Member::Payload).map(RawValue::get);
        self.created_at = match members.value(Member::CreatedAt) {
            None => None,
            Some(raw) => Some(raw.get().parse().map_err(|_| {
                "created_at must be a whole number, milliseconds since 1970".to_string()
            })?),
        };
        self.expires_at =
            members.number(Member::ExpiresAt, "a whole number, milliseconds since 1970")?;
        self.target = members.string(Member::Target)?;
        self.before = members.number(Member::Before, SEQ)?;
        self.seqs = members.value(Member::Seqs).map(numbers).transpose()?;
        self.up_to = members.number(Member::UpTo, SEQ)?;
        self.after = members.value(Member::After);
        self.limit = members.number(Member::Limit, "a whole number that is not too large")?;
        self.of = members.value(Member::Of).map(list).transpose()?;
        self.token = members.string(Member::Token)?;
        self.from = members.raw(Member::From);
        Ok(())
    }
}

/// The members that the protocol names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Member {
    Id,
    Type,
    From,
    To,
    Payload,
    CreatedAt,
    Seqs,
    UpTo,
    After,
    Before,
    Limit,
    Of,
    Target,
    Token,
    ExpiresAt,
}

impl Member {
    const ALL: [Member; 15] = [
        Member::Id,
        Member::Type,
        Member::From,
        Member::To,
        Member::Payload,
        Member::CreatedAt,
        Member::Seqs,
        Member::UpTo,
        Member::After,
        Member::Before,
        Member::Limit,
        Member::Of,
        Member::Target,
        Member::Token,
        Member::ExpiresAt,
    ];

    fn name(self) -> &'static str {
        match self {
            Member::Id => "id",
            Member::Type => "type",
            Member::From => "from",
            Member::To => "to",
            Member::Payload => "payload",
            Member::CreatedAt => "created_at",
            Member::Seqs => "seqs",
            Member::UpTo => "up_to",
            Member::After => "after",
            Member::Before => "before",
            Member::Limit => "limit",
            Member::Of => "of",
            Member::Target => "target",
            Member::Token => "token",
            Member::ExpiresAt => "expires_at",
        }
    }
}

/// The members of an object as they stand in it; values are looked into by those who know their shape.
#[derive(Default)]
struct Members<'a> {
    raw: [Option<&'a RawValue>; Member::ALL.len()],
    twice: Option<Member>,
}

impl<'a> Members<'a> {
    fn read(text: &'a str) -> Result<Members<'a>, String> {
        if text.trim().is_empty() {
            return Err("the frame is empty".into());
        }
        if text.starts_with('\u{feff}') {
            return Err("the frame begins with a byte order mark".into());
        }
        if !text.trim_start().starts_with('{') {
            return Err("the frame is not a JSON object".into());
        }
        let mut reader = serde_json::Deserializer::from_str(text);
        let members = Members::deserialize(&mut reader).map_err(|error| not_json(&error))?;
        reader.end().map_err(|error| {
            let (line, column) = (error.line(), error.column());
            format!("something follows the JSON object at line {line}, column {column}")
        })?;
        Ok(members)
    }

    /// A member that is there, `null` or not; one that stands there twice says nothing.
    fn raw(&self, member: Member) -> Option<&'a RawValue> {
        self.raw[member as usize].filter(|_| self.twice != Some(member))
    }

    fn value(&self, member: Member) -> Option<&'a RawValue> {
        self.raw(member).filter(|raw| raw.get() != "null")
    }

    fn string(&self, member: Member) -> Result<Option<Cow<'a, str>>, String> {
        let value = self.value(member);
        value.map(|raw| string(member.name(), raw)).transpose()
    }

    fn number(&self, member: Member, what: &str) -> Result<Option<u64>, String> {
        let value = self.value(member);
        let read = value.map(|raw| number(member.name(), what, raw));
        read.transpose()
    }
}

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Visit;

        impl<'de> Visitor<'de> for Visit {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Members::default();
                while let Some(Key(key)) = map.next_key()? {
                    let Some(member) = key else {
                        map.next_value::<IgnoredAny>()?;
                        continue;
                    };
                    let value = map.next_value()?;
                    if members.raw[member as usize].replace(value).is_some() {
                        members.twice.get_or_insert(member);
                    }
                }
                Ok(members)
            }
        }

        from.deserialize_map(Visit)
    }
}

/// The name of a member; none for one that the protocol does not know.
struct Key(Option<Member>);

impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Visit;

        impl Visitor<'_> for Visit {
            type Value = Key;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the name of a member")
            }

            fn visit_str<E>(self, name: &str) -> Result<Key, E> {
                let mut known = Member::ALL.into_iter();
                Ok(Key(known.find(|member| member.name() == name)))
            }
        }

        from.deserialize_identifier(Visit)
    }
}

fn not_json(error: &serde_json::Error) -> String {
    if error.is_eof() {
        return "the frame is not JSON: it ends too early".into();
    }
    let (line, column) = (error.line(), error.column());
    format!("the frame is not JSON: it cannot be read at line {line}, column {column}")
}

fn string<'a>(name: &str, raw: &'a RawValue) -> Result<Cow<'a, str>, String> {
    let text = raw.get();
    if !text.starts_with('"') {
        return Err(format!("{name} must be a string"));
    }
    let inside = text.get(1..text.len() - 1).unwrap_or_default();
    if !inside.contains('\\') {
        return Ok(Cow::Borrowed(inside));
    }
    let read = serde_json::from_str::<String>(text);
    let read = read.map_err(|_| format!("{name} has an escape that stands for no character"))?;
    Ok(Cow::Owned(read))
}

fn number(name: &str, what: &str, raw: &RawValue) -> Result<u64, String> {
    let read = raw.get().parse();
    read.map_err(|_| format!("{name} must be {what}"))
}

fn numbers(raw: &RawValue) -> Result<Vec<Seq>, String> {
    serde_json::from_str(raw.get()).or_else(|_| {
        let each = items("seqs", "sequence numbers", raw)?;
        let each = each.into_iter().enumerate();
        each.map(|(at, raw)| number(&format!("seqs[{at}]"), SEQ, raw))
            .collect()
    })
}

fn list(raw: &RawValue) -> Result<Vec<&RawValue>, String> {
    items("of", "objects with to and id, or of users", raw)
}

fn items<'a>(name: &str, what: &str, raw: &'a RawValue) -> Result<Vec<&'a RawValue>, String> {
    serde_json::from_str(raw.get()).map_err(|_| format!("{name} must be a list of {what}"))
}

/// The beginning of a text that a client may have made long.
fn cut(text: &str) -> Box<str> {
    text[..text.floor_char_boundary(ECHO_MAX)].into()
}
