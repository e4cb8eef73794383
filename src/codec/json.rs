//! The JSON dialect of the WebSocket: docs/PROTOCOL.md is its description for clients.

mod frame;

use std::fmt::Write;

use crate::code::Code;
use crate::id::{Did, Hashids, MsgId, Uid};
use crate::message::{
    Ack, Address, Command, Draft, EVENT_BYTES, Event, Fault, Kind, Notice, Row, Signal,
    SignalDraft, State, Target,
};

use super::names::Names;
use super::{Bounds, Inbound};
use frame::Frame;

/// Room for a frame without its payload, bytes; one with long names grows.
const SMALL_FRAME: usize = 224;
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
        match kind.to_ascii_uppercase().as_str() {
            "C2C" => Ok(Inbound::Command(Command::Send(self.draft(frame)?))),
            upper if upper.starts_with("WEBRTC_") => self.signal(frame),
            "CLIENT_ACK" => ack(frame),
            "SYNC" => self.sync(frame),
            "STATUS" => self.status(frame),
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
        if let Some(kind) = &frame.kind
            && !kind.eq_ignore_ascii_case("C2C")
        {
            return Err(frame.fault("type is not that of a stored message"));
        }
        let Some(from) = frame.from()? else {
            return Err(frame.fault("from is missing"));
        };
        let from = self.names.user(&from);
        let from = from.map_err(|e| frame.fault(format!("from names no user: {e}")))?;
        Ok((from, self.draft(frame)?))
    }

    /// Writes a frame; a close is not one, and gives none.
    pub fn encode(&mut self, event: &Event) -> Option<String> {
        // Names and numbers take less than what an event weighs besides its payload.
        let mut out = String::with_capacity(event.weight() - EVENT_BYTES + SMALL_FRAME);
        match event {
            Event::Accepted { id, to, server_ts } => {
                self.answer(&mut out, id, "C2C_SERVER_ACK", *to, *server_ts);
            }
            Event::Relayed { id, to, server_ts } => {
                self.answer(&mut out, id, "WEBRTC_SERVER_ACK", *to, *server_ts);
            }
            Event::Deliver(row) => self.row(&mut out, row),
            Event::Signal(signal) if signal.bare => out.push_str(&signal.payload),
            Event::Signal(signal) => self.relayed(&mut out, signal),
            Event::Text(text) => out.push_str(text),
            Event::AckOk(ack) => ack_ok(&mut out, ack),
            Event::Delivered {
                id,
                reader,
                did,
                server_ts,
            } => {
                out.push_str("{\"id\":");
                string(&mut out, id.as_str());
                out.push_str(",\"type\":\"C2C_DELIVERED\",\"from\":");
                self.name(&mut out, *reader);
                out.push_str(",\"to\":");
                self.name(&mut out, *reader);
                if let Some(did) = did {
                    out.push_str(",\"did\":");
                    string(&mut out, did.as_str());
                }
                number(&mut out, "server_ts", *server_ts);
                out.push('}');
            }
            Event::SyncPage { rows, next, more } => {
                out.push_str("{\"type\":\"SYNC_PAGE\",\"messages\":[");
                for (at, row) in rows.iter().enumerate() {
                    if at > 0 {
                        out.push(',');
                    }
                    self.row(&mut out, row);
                }
                out.push(']');
                number(&mut out, "next", *next);
                out.push_str(if *more {
                    ",\"more\":true}"
                } else {
                    ",\"more\":false}"
                });
            }
            Event::Status(states) => self.states(&mut out, states),
            Event::RefreshOk { expire_at } => {
                out.push_str("{\"type\":\"REFRESH_OK\"");
                number(&mut out, "exp", *expire_at);
                out.push('}');
            }
            Event::Error { fault, server_ts } => self.error(&mut out, fault, *server_ts),
            Event::Notice {
                id,
                to,
                notice,
                server_ts,
            } => {
                out.push_str("{\"id\":");
                string(&mut out, id.as_str());
                out.push_str(",\"type\":\"S2C\",\"from\":\"\",\"to\":");
                self.name(&mut out, *to);
                out.push_str(",\"payload\":");
                payload(&mut out, notice);
                number(&mut out, "server_ts", *server_ts);
                out.push('}');
            }
            Event::Close(_) => return None,
        }
        Some(out)
    }

    fn draft(&mut self, frame: Frame<'_>) -> Result<Draft, Fault> {
        let (id, to, payload) = self.letter(&frame)?;
        Ok(Draft {
            id,
            kind: Kind::C2c,
            to,
            payload,
            created_at: frame.created_at,
        })
    }

    fn signal(&mut self, frame: Frame<'_>) -> Result<Inbound, Fault> {
        let kind = frame.kind.as_deref().unwrap_or_default();
        let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
        if kind.len() > KIND_MAX || !kind.bytes().all(plain) {
            return Err(
                frame.fault("type has characters other than letters, digits and _, or is too long")
            );
        }
        let (id, to, payload) = self.letter(&frame)?;
        Ok(Inbound::Command(Command::Signal(SignalDraft {
            id,
            kind: kind.into(),
            to,
            payload,
            created_at: frame.created_at,
        })))
    }

    /// What every message has: id, reader and payload.
    fn letter(&mut self, frame: &Frame<'_>) -> Result<(MsgId, Uid, Box<str>), Fault> {
        let Some(id) = &frame.id else {
            return Err(frame.fault("id is missing"));
        };
        let id = MsgId::parse(id).map_err(|e| frame.fault(format!("id {e}")))?;
        let Some(to) = &frame.to else {
            return Err(frame.fault("to is missing"));
        };
        let to = self.names.user(to);
        let to = to.map_err(|e| frame.fault(format!("to names no user: {e}")))?;
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
        let max = self.bounds.max_page;
        let limit = match frame.limit.map(usize::try_from) {
            None => max,
            Some(Ok(limit)) if (1..=max).contains(&limit) => limit,
            Some(_) => return Err(frame.fault(format!("limit is not from 1 to {max}"))),
        };
        Ok(Inbound::Command(Command::Sync {
            after: frame.after.unwrap_or(0),
            limit,
        }))
    }

    fn status(&mut self, frame: Frame<'_>) -> Result<Inbound, Fault> {
        let Some(of) = &frame.of else {
            return Err(frame.fault("of is missing"));
        };
        if of.len() > self.bounds.max_status {
            let max = self.bounds.max_status;
            return Err(frame.fault(format!("of has more than {max} entries")));
        }
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
            let to = self.names.user(to);
            let to = to.map_err(|e| fault(format!("to names no user: {e}")))?;
            let Some(id) = &entry.id else {
                return Err(fault("id is missing".into()));
            };
            let id = MsgId::parse(id).map_err(|e| fault(format!("id {e}")))?;
            targets.push(Target { to, id });
        }
        Ok(Inbound::Command(Command::Status(targets)))
    }

    fn answer(&mut self, out: &mut String, id: &MsgId, kind: &str, to: Uid, server_ts: u64) {
        out.push_str("{\"id\":");
        string(out, id.as_str());
        out.push_str(",\"type\":");
        string(out, kind);
        out.push_str(",\"to\":");
        self.name(out, to);
        number(out, "server_ts", server_ts);
        out.push('}');
    }

    fn row(&mut self, out: &mut String, row: &Row) {
        let message = &*row.message;
        self.head(
            out,
            &message.id,
            message.kind.name(),
            message.from,
            message.to,
        );
        out.push_str(&message.payload);
        if let Some(created_at) = message.created_at {
            number(out, "created_at", created_at);
        }
        number(out, "server_ts", message.server_ts);
        number(out, "seq", row.seq);
        out.push('}');
    }

    fn relayed(&mut self, out: &mut String, signal: &Signal) {
        self.head(out, &signal.id, &signal.kind, signal.from, signal.to);
        out.push_str(&signal.payload);
        if let Some(created_at) = signal.created_at {
            number(out, "created_at", created_at);
        }
        out.push('}');
    }

    /// Everything up to the payload.
    fn head(&mut self, out: &mut String, id: &MsgId, kind: &str, from: Uid, to: Uid) {
        out.push_str("{\"id\":");
        string(out, id.as_str());
        out.push_str(",\"type\":");
        string(out, kind);
        out.push_str(",\"from\":");
        self.name(out, from);
        out.push_str(",\"to\":");
        self.name(out, to);
        out.push_str(",\"payload\":");
    }

    fn name(&mut self, out: &mut String, uid: Uid) {
        // A hashid has letters and digits only.
        out.push('"');
        out.push_str(self.names.name(uid));
        out.push('"');
    }

    fn states(&mut self, out: &mut String, states: &[(Target, State)]) {
        out.push_str("{\"type\":\"STATUS\",\"of\":[");
        for (at, (target, state)) in states.iter().enumerate() {
            out.push_str(if at > 0 { ",{\"to\":" } else { "{\"to\":" });
            self.name(out, target.to);
            out.push_str(",\"id\":");
            string(out, target.id.as_str());
            out.push_str(",\"state\":");
            string(out, state.name());
            out.push('}');
        }
        out.push_str("]}");
    }

    fn error(&mut self, out: &mut String, fault: &Fault, server_ts: u64) {
        out.push('{');
        if let Some(id) = &fault.id {
            out.push_str("\"id\":");
            string(out, id);
            out.push(',');
        }
        out.push_str("\"type\":\"ERROR\"");
        if let Some(to) = &fault.to {
            out.push_str(",\"to\":");
            match to {
                Address::User(uid) => self.name(out, *uid),
                Address::Raw(text) => string(out, text),
            }
        }
        number(out, "code", fault.code.number());
        out.push_str(",\"msg\":");
        string(out, &fault.msg);
        if let Some(retry_ms) = fault.retry_ms {
            number(out, "retry_ms", retry_ms);
        }
        number(out, "server_ts", server_ts);
        out.push('}');
    }
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

fn ack_ok(out: &mut String, ack: &Ack) {
    out.push_str("{\"type\":\"CLIENT_ACK_OK\"");
    match ack {
        Ack::Id { id, .. } => {
            out.push_str(",\"id\":");
            string(out, id.as_str());
        }
        Ack::Seqs(seqs) => {
            out.push_str(",\"seqs\":[");
            for (at, seq) in seqs.iter().enumerate() {
                if at > 0 {
                    out.push(',');
                }
                out.push_str(itoa::Buffer::new().format(*seq));
            }
            out.push(']');
        }
        Ack::UpTo(seq) => number(out, "up_to", *seq),
    }
    out.push('}');
}

fn payload(out: &mut String, notice: &Notice) {
    match notice {
        Notice::OfflineSummary {
            count,
            from_seq,
            to_seq,
        } => {
            out.push_str("{\"msg_type\":\"offline_summary\"");
            number(out, "count", *count);
            number(out, "from_seq", *from_seq);
            number(out, "to_seq", *to_seq);
        }
        Notice::PleaseRefreshToken { expire_at } => {
            out.push_str("{\"msg_type\":\"please_refresh_token\"");
            number(out, "expire_at", *expire_at);
        }
        Notice::Resync => out.push_str("{\"msg_type\":\"resync\""),
    }
    out.push('}');
}

/// One more numeric member.
fn number(out: &mut String, key: &str, value: impl itoa::Integer) {
    out.push_str(",\"");
    out.push_str(key);
    out.push_str("\":");
    out.push_str(itoa::Buffer::new().format(value));
}

fn string(out: &mut String, text: &str) {
    out.push('"');
    if !text.bytes().any(|b| b < b' ' || b == b'"' || b == b'\\') {
        out.push_str(text);
        out.push('"');
        return;
    }
    for part in text.split_inclusive(|c: char| c < ' ' || c == '"' || c == '\\') {
        match part.as_bytes().last() {
            Some(last) if *last < b' ' || *last == b'"' || *last == b'\\' => {
                out.push_str(&part[..part.len() - 1]);
                match last {
                    b'"' => out.push_str("\\\""),
                    b'\\' => out.push_str("\\\\"),
                    _ => {
                        let _ = write!(out, "\\u{last:04x}");
                    }
                }
            }
            _ => out.push_str(part),
        }
    }
    out.push('"');
}
