//! How events become frames.

use std::fmt::Write;

use crate::id::{Cid, MsgId, Uid};
use crate::message::chat::{Amendment, Chat, Listed};
use crate::message::notice::About;
use crate::message::{
    Ack, Address, EVENT_BYTES, Event, Fate, Fault, Kind, Message, Notice, Row, Signal, State,
    Target, What,
};

use super::Json;

/// Room for a frame without its payload, bytes; one with long names grows.
const SMALL_FRAME: usize = 224;

impl Json {
    /// Writes a frame; a close is not one, and gives none.
    pub fn encode(&mut self, event: &Event) -> Option<String> {
        // Names and numbers take less than what an event weighs besides its payload.
        let mut out = String::with_capacity(event.weight() - EVENT_BYTES + SMALL_FRAME);
        match event {
            Event::Accepted {
                id,
                to,
                cseq,
                server_ts,
            } => {
                self.answer(&mut out, id, *to, "_SERVER_ACK");
                if *cseq > 0 {
                    number(&mut out, "cseq", *cseq);
                }
                number(&mut out, "server_ts", *server_ts);
                out.push('}');
            }
            Event::Amended {
                amendment,
                to,
                server_ts,
            } => self.amended(&mut out, amendment, *to, *server_ts),
            Event::Unwanted {
                id,
                sender,
                to,
                why,
                server_ts,
            } => {
                self.notice_head(&mut out, id, *sender);
                out.push_str("{\"msg_type\":");
                string(&mut out, why.name());
                out.push_str(",\"to\":");
                self.name(&mut out, *to);
                out.push('}');
                number(&mut out, "server_ts", *server_ts);
                out.push('}');
            }
            Event::Counted(counted) => {
                out.push_str("{\"id\":");
                string(&mut out, counted.id.as_str());
                out.push_str(",\"type\":\"C2G_DELIVERED\",\"from\":");
                self.group(&mut out, counted.gid);
                out.push_str(",\"to\":");
                self.group(&mut out, counted.gid);
                number(&mut out, "count", counted.count);
                number(&mut out, "server_ts", counted.server_ts);
                out.push('}');
            }
            Event::ReadOk { id, to, up_to } => {
                self.page_head(&mut out, id.as_ref(), *to, "_READ_OK");
                number(&mut out, "up_to", *up_to);
                out.push('}');
            }
            Event::Read {
                chat,
                by,
                to,
                up_to,
                server_ts,
            } => {
                out.push_str("{\"type\":\"");
                out.push_str(chat.name());
                out.push_str("_READ\",\"from\":");
                self.name(&mut out, *by);
                out.push_str(",\"to\":");
                match by == to {
                    // The conversation, to one's own other devices.
                    true => self.chat_name(&mut out, *chat),
                    false => self.name(&mut out, *to),
                }
                number(&mut out, "up_to", *up_to);
                number(&mut out, "server_ts", *server_ts);
                out.push('}');
            }
            Event::Typing { from, to } => {
                out.push_str("{\"type\":\"");
                out.push_str(to.name());
                out.push_str("_TYPING\",\"from\":");
                self.name(&mut out, *from);
                out.push_str(",\"to\":");
                self.chat_name(&mut out, *to);
                out.push('}');
            }
            Event::HistoryPage {
                id,
                to,
                history,
                head,
            } => {
                self.page_head(&mut out, id.as_ref(), *to, "_HISTORY_PAGE");
                out.push_str(",\"messages\":[");
                for (at, message) in history.messages.iter().enumerate() {
                    if at > 0 {
                        out.push(',');
                    }
                    self.message(&mut out, message);
                }
                out.push(']');
                number(&mut out, "next", history.next);
                more(&mut out, history.more);
                number(&mut out, "head", *head);
                out.push('}');
            }
            Event::WaitingPage {
                id,
                to,
                rows,
                next,
                more: goes_on,
            } => {
                self.page_head(&mut out, id.as_ref(), *to, "_SYNC_PAGE");
                self.rows(&mut out, rows);
                number(&mut out, "next", *next);
                more(&mut out, *goes_on);
                out.push('}');
            }
            Event::ChatsPage { id, chats } => {
                head_of(&mut out, id.as_ref(), "CONVERSATIONS_PAGE");
                out.push_str(",\"conversations\":[");
                for (at, listed) in chats.chats.iter().enumerate() {
                    if at > 0 {
                        out.push(',');
                    }
                    self.listed(&mut out, listed);
                }
                out.push(']');
                number(&mut out, "next", chats.next);
                more(&mut out, chats.more);
                out.push('}');
            }
            Event::ReceiptsPage {
                id,
                to,
                of,
                members,
            } => {
                // The id of the question is that of the message.
                let id = id.as_ref().or(Some(of));
                self.page_head(&mut out, id, Chat::Group(*to), "_RECEIPTS_PAGE");
                out.push_str(",\"members\":[");
                for (at, member) in members.items.iter().enumerate() {
                    out.push_str(if at > 0 { ",{\"uid\":" } else { "{\"uid\":" });
                    self.name(&mut out, member.uid);
                    flag(&mut out, "delivered", member.delivered);
                    flag(&mut out, "read", member.read);
                    out.push('}');
                }
                out.push_str("],\"next\":");
                match members.next {
                    Some(next) => self.name(&mut out, next),
                    None => out.push_str("null"),
                }
                more(&mut out, members.next.is_some());
                out.push('}');
            }
            Event::PresenceIs { id, of } => {
                head_of(&mut out, id.as_ref(), "PRESENCE");
                out.push_str(",\"of\":[");
                for (at, (uid, presence)) in of.iter().enumerate() {
                    out.push_str(if at > 0 { ",{\"uid\":" } else { "{\"uid\":" });
                    self.name(&mut out, *uid);
                    out.push_str(",\"state\":");
                    string(&mut out, presence.name());
                    out.push('}');
                }
                out.push_str("]}");
            }
            Event::Relayed { id, to, server_ts } => {
                out.push_str("{\"id\":");
                string(&mut out, id.as_str());
                out.push_str(",\"type\":\"WEBRTC_SERVER_ACK\",\"to\":");
                self.name(&mut out, *to);
                number(&mut out, "server_ts", *server_ts);
                out.push('}');
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
            Event::SyncPage {
                rows,
                next,
                more: goes_on,
            } => {
                out.push_str("{\"type\":\"SYNC_PAGE\"");
                self.rows(&mut out, rows);
                number(&mut out, "next", *next);
                more(&mut out, *goes_on);
                out.push('}');
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
                self.notice_head(&mut out, id, *to);
                self.notice(&mut out, notice);
                number(&mut out, "server_ts", *server_ts);
                out.push('}');
            }
            Event::Close(_) => return None,
        }
        Some(out)
    }

    /// The head of an answer about a message: its id, its type, and where it went.
    fn answer(&mut self, out: &mut String, id: &MsgId, to: Chat, verb: &str) {
        self.page_head(out, Some(id), to, verb);
    }

    /// An id if there is one, the type, and the conversation.
    fn page_head(&mut self, out: &mut String, id: Option<&MsgId>, to: Chat, verb: &str) {
        out.push('{');
        if let Some(id) = id {
            out.push_str("\"id\":");
            string(out, id.as_str());
            out.push(',');
        }
        out.push_str("\"type\":\"");
        out.push_str(to.name());
        out.push_str(verb);
        out.push_str("\",\"to\":");
        self.chat_name(out, to);
    }

    fn amended(&mut self, out: &mut String, amendment: &Amendment, to: Chat, server_ts: u64) {
        let verb = match amendment {
            Amendment::Revoke { .. } => "_REVOKE_ACK",
            Amendment::Edit { .. } => "_EDIT_ACK",
        };
        self.answer(out, amendment.id(), to, verb);
        if let Amendment::Edit { target, .. } = amendment {
            out.push_str(",\"target\":");
            string(out, target.as_str());
        }
        number(out, "server_ts", server_ts);
        out.push('}');
    }

    fn rows(&mut self, out: &mut String, rows: &[Row]) {
        out.push_str(",\"messages\":[");
        for (at, row) in rows.iter().enumerate() {
            if at > 0 {
                out.push(',');
            }
            self.row(out, row);
        }
        out.push(']');
    }

    fn row(&mut self, out: &mut String, row: &Row) {
        let message = &*row.message;
        match &row.what {
            What::Message | What::Copy => self.said(out, message, Some(row.reader)),
            What::Revoke => {
                out.push_str("{\"id\":");
                string(out, message.id.as_str());
                self.change(out, row);
            }
            What::Edit(id) => {
                out.push_str("{\"id\":");
                string(out, id.as_str());
                out.push_str(",\"target\":");
                string(out, message.id.as_str());
                self.change(out, row);
                out.push_str(",\"payload\":");
                out.push_str(&message.payload);
            }
        }
        let server_ts = match row.what {
            What::Message | What::Copy => message.server_ts,
            _ => row.since,
        };
        number(out, "server_ts", server_ts);
        number(out, "seq", row.seq);
        if message.cseq > 0 {
            number(out, "cseq", message.cseq);
        }
        out.push('}');
    }

    /// The type of a change, its author, and where it is.
    fn change(&mut self, out: &mut String, row: &Row) {
        out.push_str(",\"type\":\"");
        out.push_str(row.name());
        out.push_str("\",\"from\":");
        self.name(out, row.message.from);
        out.push_str(",\"to\":");
        self.chat_name(out, row.message.to);
    }

    /// A message without its place in an inbox.
    fn message(&mut self, out: &mut String, message: &Message) {
        self.said(out, message, None);
        number(out, "server_ts", message.server_ts);
        if message.cseq > 0 {
            number(out, "cseq", message.cseq);
        }
        out.push('}');
    }

    /// Everything that a message says but when and where; a notice of a group is `to` whoever reads it.
    fn said(&mut self, out: &mut String, message: &Message, reader: Option<Uid>) {
        out.push_str("{\"id\":");
        string(out, message.id.as_str());
        out.push_str(",\"type\":");
        string(out, message.name());
        out.push_str(",\"from\":");
        self.name(out, message.from);
        out.push_str(",\"to\":");
        match (message.kind, message.to, reader) {
            (Kind::Notice, Chat::Group(_), Some(reader)) => self.name(out, reader),
            _ => self.chat_name(out, message.to),
        }
        out.push_str(",\"payload\":");
        match message.kind {
            _ if message.is_gone() => out.push_str("null"),
            Kind::Words => out.push_str(&message.payload),
            Kind::Notice => {
                let shown = self.about(message);
                out.push_str(&shown);
            }
        }
        if let Some(created_at) = message.created_at {
            number(out, "created_at", created_at);
        }
        if let Some(expires_at) = message.expires_at {
            number(out, "expires_at", expires_at);
        }
        match message.fate {
            Fate::Edited(at) => number(out, "edited_at", at),
            Fate::Revoked(at) => number(out, "revoked_at", at),
            Fate::Whole | Fate::Expired => {}
        }
    }

    /// What a stored notice says, with the names of users.
    fn about(&mut self, message: &Message) -> String {
        let Some(about) = About::of(&message.payload) else {
            return "{}".to_string();
        };
        let group = message.to.group();
        let group = group.map(|Cid(gid)| self.names.name(Uid(gid)).to_string());
        let names = &mut self.names;
        let shown = about.shown(group.as_deref(), |uid| names.name(uid).to_string());
        shown.to_string()
    }

    fn listed(&mut self, out: &mut String, listed: &Listed) {
        out.push_str("{\"type\":\"");
        out.push_str(listed.chat.name());
        out.push_str("\",\"to\":");
        self.chat_name(out, listed.chat);
        if let Some(name) = &listed.name {
            out.push_str(",\"name\":");
            string(out, name);
        }
        if let Some(role) = listed.role {
            out.push_str(",\"role\":");
            string(out, role.name());
        }
        number(out, "head", listed.head);
        number(out, "read", listed.read);
        if let Some(peer_read) = listed.peer_read {
            number(out, "peer_read", peer_read);
        }
        number(out, "unread", listed.unread);
        number(out, "updated_at", listed.updated_at);
        number(out, "expire_ms", listed.expire_ms);
        if listed.dissolved {
            flag(out, "dissolved", true);
        }
        out.push_str(",\"last\":");
        match &listed.last {
            Some(last) => self.message(out, last),
            None => out.push_str("null"),
        }
        out.push('}');
    }

    /// A message as in a page of its conversation.
    pub fn encode_message(&mut self, message: &Message) -> String {
        let mut out = String::with_capacity(message.payload.len() + SMALL_FRAME);
        self.message(&mut out, message);
        out
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

    fn chat_name(&mut self, out: &mut String, chat: Chat) {
        match chat {
            Chat::User(uid) => self.name(out, uid),
            Chat::Group(gid) => self.group(out, gid),
        }
    }

    /// A group has the name that a user of its number would have.
    fn group(&mut self, out: &mut String, Cid(gid): Cid) {
        self.name(out, Uid(gid));
    }

    fn notice_head(&mut self, out: &mut String, id: &MsgId, to: Uid) {
        out.push_str("{\"id\":");
        string(out, id.as_str());
        out.push_str(",\"type\":\"S2C\",\"from\":\"\",\"to\":");
        self.name(out, to);
        out.push_str(",\"payload\":");
    }

    fn states(&mut self, out: &mut String, states: &[(Target, State, u64)]) {
        out.push_str("{\"type\":\"STATUS\",\"of\":[");
        for (at, (target, state, count)) in states.iter().enumerate() {
            out.push_str(match (at, target.to) {
                (0, Chat::User(_)) => "{\"to\":",
                (_, Chat::User(_)) => ",{\"to\":",
                (0, Chat::Group(_)) => "{\"type\":\"C2G\",\"to\":",
                (_, Chat::Group(_)) => ",{\"type\":\"C2G\",\"to\":",
            });
            self.chat_name(out, target.to);
            out.push_str(",\"id\":");
            string(out, target.id.as_str());
            out.push_str(",\"state\":");
            string(out, state.name());
            if let Chat::Group(_) = target.to {
                number(out, "count", *count);
            }
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
                Address::Chat(chat) => self.chat_name(out, *chat),
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

    fn notice(&mut self, out: &mut String, notice: &Notice) {
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
            Notice::Presence { uid, online } => {
                out.push_str("{\"msg_type\":\"presence\",\"uid\":");
                self.name(out, *uid);
                out.push_str(",\"state\":");
                string(out, if *online { "online" } else { "offline" });
            }
        }
        out.push('}');
    }
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

/// An id if there is one, and the type.
fn head_of(out: &mut String, id: Option<&MsgId>, kind: &str) {
    out.push('{');
    if let Some(id) = id {
        out.push_str("\"id\":");
        string(out, id.as_str());
        out.push(',');
    }
    out.push_str("\"type\":");
    string(out, kind);
}

/// Whether there is more, as the last members of a page have it.
fn more(out: &mut String, more: bool) {
    flag(out, "more", more);
}

fn flag(out: &mut String, key: &str, value: bool) {
    out.push_str(",\"");
    out.push_str(key);
    out.push_str(if value { "\":true" } else { "\":false" });
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
