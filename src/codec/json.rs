//! The JSON dialect of the WebSocket: docs/PROTOCOL.md is its description for clients.

mod encode;
mod frame;

use crate::code::Code;
use crate::id::{Cid, Did, Hashids, MsgId, Uid};
use crate::message::chat::{Amendment, Chat, Side};
use crate::message::{Ack, Command, Draft, Fault, Query, SignalDraft, Target, digest};

use super::names::Names;
use super::{Bounds, Inbound};
use frame::Frame;

/// Entries of a page of a conversation, and of a list, if the frame does not say.
const PAGE: usize = 50;
/// A relayed type is at most this long, bytes.
const KIND_MAX: usize = 64;
/// What is said of a text that is nothing at all.
const NO_FRAME: &str =
    "the frame is not a JSON object, and neither `ping` nor `CLIENT_ACK,type,msgid,did`";

/// Converts frames both ways; cheap to clone.
#[derive(Clone, Debug)]
pub struct Json {
    names: Names,
    bounds: Bounds,
}

impl Json {
    /// A dialect whose users are these hashids.
    pub fn new(hashids: Hashids, bounds: Bounds) -> Json {
        Json {
            names: Names::new(hashids),
            bounds,
        }
    }

    /// Reads a frame, or says what is wrong with it.
    pub fn decode(&mut self, text: &str) -> Result<Inbound, Fault> {
        // What a terminal sends ends with a line break.
        let text = text.trim_end_matches(['\r', '\n']);
        if text == "ping" {
            return Ok(Inbound::Ping);
        }
        if text.starts_with("CLIENT_ACK,") {
            return text_ack(text);
        }
        let start = text.trim_start();
        if !start.is_empty() && !start.starts_with(['{', '\u{feff}']) {
            return Err(Fault::because(Code::BadFrame, NO_FRAME));
        }
        let frame = Frame::read(text)?;
        let Some(kind) = &frame.kind else {
            return Err(frame.fault("type is missing"));
        };
        let upper = kind.to_ascii_uppercase();
        if let Some((sort, verb)) = Sort::of(&upper) {
            return self.of_chat(frame, sort, verb);
        }
        match upper.as_str() {
            upper if upper.starts_with("WEBRTC_") => self.signal(frame),
            "CLIENT_ACK" => ack(frame),
            "SYNC" => self.sync(frame),
            "STATUS" => self.status(frame),
            "CONVERSATIONS" => self.conversations(frame),
            "PRESENCE" => self.presence(frame),
            "REFRESH" => match frame.token {
                Some(token) => Ok(Inbound::Refresh(token.into_owned())),
                None => Err(frame.fault("token is missing")),
            },
            _ => Err(frame.fault("type is not known")),
        }
    }

    /// Reads a message to be stored and its sender, for those who speak for others; `type` may be left out.
    pub fn decode_message(&mut self, text: &str) -> Result<(Uid, Draft), Fault> {
        let frame = Frame::read(text)?;
        let sort = match &frame.kind {
            None => Sort::C2c,
            Some(kind) => match Sort::of(&kind.to_ascii_uppercase()) {
                Some((sort, "")) => sort,
                _ => return Err(frame.fault("type is not that of a stored message")),
            },
        };
        let Some(from) = frame.from()? else {
            return Err(frame.fault("from is missing"));
        };
        let from = self.names.user(&from);
        let from = from.map_err(|e| frame.fault(format!("from names no user: {e}")))?;
        Ok((from, self.draft(frame, sort)?))
    }

    fn draft(&mut self, frame: Frame<'_>, sort: Sort) -> Result<Draft, Fault> {
        let (id, to, payload) = self.letter(&frame, sort)?;
        Ok(Draft {
            id,
            to,
            payload,
            created_at: frame.created_at,
            expires_at: frame.expires_at,
        })
    }

    /// What is said in a conversation, or about it.
    fn of_chat(&mut self, frame: Frame<'_>, sort: Sort, verb: &str) -> Result<Inbound, Fault> {
        let command = match verb {
            "" => Command::Send(self.draft(frame, sort)?),
            "_REVOKE" => Command::Amend {
                chat: self.chat(&frame, sort)?,
                amendment: Amendment::Revoke { id: id(&frame)? },
            },
            "_EDIT" => self.edit(frame, sort)?,
            "_READ" => Command::MarkRead {
                chat: self.chat(&frame, sort)?,
                up_to: match frame.up_to {
                    Some(up_to) => up_to,
                    None => return Err(frame.fault("up_to is missing")),
                },
                id: own_id(&frame)?,
            },
            "_TYPING" => Command::Typing(self.chat(&frame, sort)?),
            "_HISTORY" => {
                let chat = self.chat(&frame, sort)?;
                let side = match (frame.before, frame.after()?) {
                    (None, None) => Side::Newest,
                    (Some(before), None) => Side::Before(before),
                    (None, Some(after)) => Side::After(after),
                    _ => return Err(frame.fault("either before or after may stand there")),
                };
                let limit = self.limit(&frame, PAGE)?;
                self.query(&frame, Query::History { chat, side, limit })?
            }
            "_SYNC" => {
                let chat = self.chat(&frame, sort)?;
                let after = frame.after()?.unwrap_or(0);
                let limit = self.limit(&frame, self.bounds.max_page)?;
                self.query(&frame, Query::Waiting { chat, after, limit })?
            }
            "_RECEIPTS" if sort == Sort::C2g => self.receipts(frame)?,
            _ => return Err(frame.fault("type is not known")),
        };
        Ok(Inbound::Command(command))
    }

    fn edit(&mut self, frame: Frame<'_>, sort: Sort) -> Result<Command, Fault> {
        let (id, chat, payload) = self.letter(&frame, sort)?;
        let Some(target) = &frame.target else {
            return Err(frame.fault("target is missing"));
        };
        let target = MsgId::parse(target).map_err(|e| frame.fault(format!("target {e}")))?;
        Ok(Command::Amend {
            chat,
            amendment: edit(id, target, payload),
        })
    }

    fn receipts(&mut self, frame: Frame<'_>) -> Result<Command, Fault> {
        let Chat::Group(gid) = self.chat(&frame, Sort::C2g)? else {
            return Err(frame.fault("to names no group"));
        };
        let after = match frame.after_name()? {
            Some(name) => Some(self.user(&frame, "after", &name)?),
            None => None,
        };
        let query = Query::Receipts {
            gid,
            of: id(&frame)?,
            after,
            limit: self.limit(&frame, self.bounds.max_page)?,
        };
        self.query(&frame, query)
    }

    fn conversations(&mut self, frame: Frame<'_>) -> Result<Inbound, Fault> {
        let query = Query::Chats {
            before: frame.before,
            limit: self.limit(&frame, PAGE)?,
        };
        Ok(Inbound::Command(self.query(&frame, query)?))
    }

    fn presence(&mut self, frame: Frame<'_>) -> Result<Inbound, Fault> {
        let of = self.of(&frame)?;
        let mut users = Vec::with_capacity(of.len());
        for (at, name) in of.iter().enumerate() {
            let name: Option<String> = serde_json::from_str(name.get()).ok();
            let Some(name) = name else {
                return Err(frame.fault(format!("of[{at}] must be the name of a user")));
            };
            users.push(self.user(&frame, &format!("of[{at}]"), &name)?);
        }
        Ok(Inbound::Command(
            self.query(&frame, Query::Presence(users))?,
        ))
    }

    fn query(&self, frame: &Frame<'_>, query: Query) -> Result<Command, Fault> {
        let id = own_id(frame)?;
        Ok(Command::Query { id, query })
    }

    /// The conversation that a frame names.
    fn chat(&mut self, frame: &Frame<'_>, sort: Sort) -> Result<Chat, Fault> {
        let Some(to) = &frame.to else {
            return Err(frame.fault("to is missing"));
        };
        let number = self.names.user(to);
        let named = |what| move |e| frame.fault(format!("to names no {what}: {e}"));
        match sort {
            Sort::C2c => Ok(Chat::User(number.map_err(named("user"))?)),
            Sort::C2g => Ok(Chat::Group(Cid(number.map_err(named("group"))?.0))),
        }
    }

    fn user(&mut self, frame: &Frame<'_>, member: &str, name: &str) -> Result<Uid, Fault> {
        let uid = self.names.user(name);
        uid.map_err(|e| frame.fault(format!("{member} names no user: {e}")))
    }

    fn limit(&self, frame: &Frame<'_>, default: usize) -> Result<usize, Fault> {
        let max = self.bounds.max_page;
        match frame.limit.map(usize::try_from) {
            None => Ok(default.min(max)),
            Some(Ok(limit)) if (1..=max).contains(&limit) => Ok(limit),
            Some(_) => Err(frame.fault(format!("limit is not from 1 to {max}"))),
        }
    }

    fn signal(&mut self, frame: Frame<'_>) -> Result<Inbound, Fault> {
        let kind = frame.kind.as_deref().unwrap_or_default();
        let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
        if kind.len() > KIND_MAX || !kind.bytes().all(plain) {
            return Err(
                frame.fault("type has characters other than letters, digits and _, or is too long")
            );
        }
        let (id, chat, payload) = self.letter(&frame, Sort::C2c)?;
        let Chat::User(to) = chat else {
            return Err(frame.fault("to names no user"));
        };
        Ok(Inbound::Command(Command::Signal(SignalDraft {
            id,
            kind: kind.into(),
            to,
            payload,
            created_at: frame.created_at,
        })))
    }

    /// What every message has: id, reader or group, and payload.
    fn letter(&mut self, frame: &Frame<'_>, sort: Sort) -> Result<(MsgId, Chat, Box<str>), Fault> {
        let id = id(frame)?;
        let to = self.chat(frame, sort)?;
        let Some(payload) = frame.payload else {
            return Err(frame.fault("payload is missing"));
        };
        if payload.len() > self.bounds.max_payload {
            let msg = format!(
                "payload has {} bytes, at most {} are allowed",
                payload.len(),
                self.bounds.max_payload
            );
            return Err(Fault::because(Code::TooLarge, msg).about(&id, to));
        }
        Ok((id, to, payload.into()))
    }

    fn sync(&mut self, frame: Frame<'_>) -> Result<Inbound, Fault> {
        Ok(Inbound::Command(Command::Sync {
            after: frame.after()?.unwrap_or(0),
            limit: self.limit(&frame, self.bounds.max_page)?,
        }))
    }

    fn status(&mut self, frame: Frame<'_>) -> Result<Inbound, Fault> {
        let of = self.of(&frame)?;
        let mut targets = Vec::with_capacity(of.len());
        for (at, target) in of.iter().enumerate() {
            // The id in an entry is that of another frame: the fault is about this one.
            let fault = |why: String| frame.fault(format!("of[{at}]: {why}"));
            if !target.get().starts_with('{') {
                return Err(fault("must be an object with to and id".into()));
            }
            let entry = Frame::read(target.get()).map_err(|e| fault(e.msg.into_string()))?;
            let Some(to) = &entry.to else {
                return Err(fault("to is missing".into()));
            };
            let sort = match &entry.kind {
                None => Sort::C2c,
                Some(kind) => match Sort::of(&kind.to_ascii_uppercase()) {
                    Some((sort, "")) => sort,
                    _ => return Err(fault("type is neither C2C nor C2G".into())),
                },
            };
            let number = self.names.user(to);
            let to = match (sort, number) {
                (Sort::C2c, Ok(uid)) => Chat::User(uid),
                (Sort::C2g, Ok(Uid(gid))) => Chat::Group(Cid(gid)),
                (Sort::C2c, Err(e)) => return Err(fault(format!("to names no user: {e}"))),
                (Sort::C2g, Err(e)) => return Err(fault(format!("to names no group: {e}"))),
            };
            let Some(id) = &entry.id else {
                return Err(fault("id is missing".into()));
            };
            let id = MsgId::parse(id).map_err(|e| fault(format!("id {e}")))?;
            targets.push(Target { to, id });
        }
        Ok(Inbound::Command(Command::Status(targets)))
    }

    fn of<'a>(&self, frame: &Frame<'a>) -> Result<Vec<&'a serde_json::value::RawValue>, Fault> {
        let Some(of) = &frame.of else {
            return Err(frame.fault("of is missing"));
        };
        let max = self.bounds.max_status;
        match of.len() > max {
            true => Err(frame.fault(format!("of has more than {max} entries"))),
            false => Ok(of.clone()),
        }
    }
}

/// Whether a frame is of two users or of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sort {
    C2c,
    C2g,
}

impl Sort {
    /// The sort of a type in capitals, and what follows in it.
    fn of(kind: &str) -> Option<(Sort, &str)> {
        let of = |(name, sort)| Some((sort, kind.strip_prefix(name)?));
        [("C2C", Sort::C2c), ("C2G", Sort::C2g)]
            .into_iter()
            .find_map(of)
    }
}

/// A change of a message into another payload.
pub fn edit(id: MsgId, target: MsgId, payload: Box<str>) -> Amendment {
    Amendment::Edit {
        digest: digest(&format!("EDIT {target}"), &payload),
        id,
        target,
        payload,
    }
}

/// The id that a frame must have.
fn id(frame: &Frame<'_>) -> Result<MsgId, Fault> {
    match own_id(frame)? {
        Some(id) => Ok(id),
        None => Err(frame.fault("id is missing")),
    }
}

/// The id that a frame may have.
fn own_id(frame: &Frame<'_>) -> Result<Option<MsgId>, Fault> {
    let id = frame.id.as_deref().map(MsgId::parse).transpose();
    id.map_err(|e| frame.fault(format!("id {e}")))
}

fn text_ack(text: &str) -> Result<Inbound, Fault> {
    let bad = |msg: String| Fault::because(Code::BadFrame, msg);
    let fields: Vec<&str> = text.splitn(5, ',').collect();
    let [_, _, id, did] = fields[..] else {
        return Err(bad(format!(
            "a text acknowledgement has four fields, CLIENT_ACK,type,msgid,did, and this has {}",
            text.split(',').count()
        )));
    };
    let id = MsgId::parse(id).map_err(|e| bad(format!("msgid {e}")))?;
    let did = Did::parse(did).map_err(|e| bad(format!("did {e}")).with_id(&id))?;
    Ok(Inbound::Command(Command::Ack(Ack::Id { id, did })))
}

fn ack(frame: Frame<'_>) -> Result<Inbound, Fault> {
    let ack = match (&frame.seqs, frame.up_to) {
        (Some(seqs), None) => Ack::Seqs(seqs.clone()),
        (None, Some(up_to)) => Ack::UpTo(up_to),
        _ => return Err(frame.fault("either seqs or up_to is needed")),
    };
    Ok(Inbound::Command(Command::Ack(ack)))
}
