//! How messages and conversations look in answers.

use serde::Serialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;

use crate::http::state::AppState;
use crate::message::chat::{Chat, Listed};
use crate::message::notice::About;
use crate::message::{Fate, Fault, Kind, Message};

use super::answer::unexpected;
use super::schema::{Anything, RoleName};

/// A message as it stands in its conversation.
#[derive(Serialize, ToSchema)]
pub(super) struct MessageView {
    /// Made by its author.
    id: String,
    /// `C2C`, `C2G`, or `S2C` for a notice of the server about the conversation.
    #[serde(rename = "type")]
    kind: &'static str,
    /// Its author; of a notice, who has done it.
    from: String,
    /// The user it was sent to, or the group.
    to: String,
    /// As it was sent or last changed; `null` if it was taken back.
    #[schema(value_type = Anything)]
    payload: Option<Box<RawValue>>,
    /// The author's own time, Unix milliseconds, if there was one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    created_at: Option<i64>,
    /// When it was accepted, Unix milliseconds.
    server_ts: u64,
    /// Its place in the conversation.
    cseq: u64,
    /// When it will be gone, Unix milliseconds, if at all.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    expires_at: Option<u64>,
    /// When its author changed it, Unix milliseconds, if ever.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    edited_at: Option<u64>,
    /// When its author took it back, Unix milliseconds, if ever.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    revoked_at: Option<u64>,
}

impl MessageView {
    /// A message as its readers see it; none if its time is over.
    pub(super) fn of(message: &Message, state: &AppState) -> Result<Option<MessageView>, Fault> {
        let is_over = message.is_over(state.services.clock.now_ms());
        if is_over || message.fate == Fate::Expired {
            return Ok(None);
        }
        let (edited_at, revoked_at) = match message.fate {
            Fate::Edited(at) => (Some(at), None),
            Fate::Revoked(at) => (None, Some(at)),
            Fate::Whole | Fate::Expired => (None, None),
        };
        let payload = match (revoked_at, message.kind) {
            (Some(_), _) => None,
            (None, Kind::Words) => Some(raw(message.payload.to_string())?),
            (None, Kind::Notice) => Some(raw(notice(message, state))?),
        };
        Ok(Some(MessageView {
            id: message.id.to_string(),
            kind: message.name(),
            from: state.hashids.encode(message.from),
            to: name(message.to, state),
            payload,
            created_at: message.created_at,
            server_ts: message.server_ts,
            cseq: message.cseq,
            expires_at: message.expires_at,
            edited_at,
            revoked_at,
        }))
    }
}

/// A conversation in the list of somebody who takes part.
#[derive(Serialize, ToSchema)]
pub(super) struct Conversation {
    /// `C2C` or `C2G`.
    #[serde(rename = "type")]
    kind: &'static str,
    /// The other user, or the group.
    to: String,
    /// The name of the group.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    name: Option<String>,
    /// What the user is in the group.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    role: Option<RoleName>,
    /// The last place that was given out.
    head: u64,
    /// How far the user has read.
    read: u64,
    /// How far the other has read; not in a group.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    peer_read: Option<u64>,
    /// Messages of others that the user has not read.
    unread: u64,
    /// When its last message was accepted, Unix milliseconds.
    updated_at: u64,
    /// How long its messages live, milliseconds; 0 is for ever.
    expire_ms: u64,
    /// Only there if the group has ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    dissolved: Option<bool>,
    /// Its last message that is there.
    last: Option<MessageView>,
}

impl Conversation {
    /// A conversation as the one whose list it stands in sees it.
    pub(super) fn of(listed: &Listed, state: &AppState) -> Result<Conversation, Fault> {
        let last = listed.last.as_deref();
        let last = last.map(|message| MessageView::of(message, state));
        Ok(Conversation {
            kind: listed.chat.name(),
            to: name(listed.chat, state),
            name: listed.name.as_deref().map(str::to_string),
            role: listed.role.map(RoleName::from),
            head: listed.head,
            read: listed.read,
            peer_read: listed.peer_read,
            unread: listed.unread,
            updated_at: listed.updated_at,
            expire_ms: listed.expire_ms,
            dissolved: listed.dissolved.then_some(true),
            last: last.transpose()?.flatten(),
        })
    }
}

/// A user or a group, as clients name it.
pub(super) fn name(chat: Chat, state: &AppState) -> String {
    match chat {
        Chat::User(uid) => state.hashids.encode(uid),
        Chat::Group(gid) => state.hashids.encode_group(gid),
    }
}

/// What a stored notice says, with the names of users in place of their numbers.
fn notice(message: &Message, state: &AppState) -> String {
    let Some(about) = About::of(&message.payload) else {
        return "{}".to_string();
    };
    let group = message.to.group();
    let group = group.map(|gid| state.hashids.encode_group(gid));
    let shown = about.shown(group.as_deref(), |uid| state.hashids.encode(uid));
    shown.to_string()
}

fn raw(payload: String) -> Result<Box<RawValue>, Fault> {
    RawValue::from_string(payload).map_err(|error| {
        log::error!("the payload of a message is not JSON: {error}");
        unexpected()
    })
}
