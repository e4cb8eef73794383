//! Sending a message, changing it, and taking it back.

use actix_web::web;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::ToSchema;

use crate::code::Code;
use crate::codec::json;
use crate::http::state::AppState;
use crate::message::chat::{Amendment, By, Chat};
use crate::message::{Answer, Draft, Fault, Op};

use super::answer::{Reply, commit, success, unexpected};
use super::ask::{self, Body};
use super::caller::Caller;
use super::schema::{Anything, ChatKind, Envelope, NewId, Refusal, UserName};
use super::view;
use super::whole::{Moment, Whole};

/// A message to be sent: frame 1 of the WebSocket.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"id": "cdsgrbgppoodp0gvpb60", "to": "7b4v1b", "payload": {"text": "hello"}}))]
pub(super) struct NewMessage {
    id: NewId,
    /// `C2C` if it is not there.
    #[serde(rename = "type", default)]
    #[schema(required = false)]
    kind: MessageKind,
    /// The author: with the admin token whoever it speaks for, in place of `uid=`; otherwise nobody else than the user.
    from: Option<UserName>,
    /// The reader, or the group.
    to: UserName,
    #[schema(value_type = Anything)]
    payload: Box<RawValue>,
    /// The author's own time, Unix milliseconds.
    #[schema(inline)]
    created_at: Option<Moment>,
    /// When it must be gone, Unix milliseconds; 409 if that has been.
    #[schema(inline)]
    expires_at: Option<Whole>,
}

/// To a user, or to a group.
#[derive(Clone, Copy, Default, Deserialize, ToSchema)]
pub(super) enum MessageKind {
    /// To a user.
    #[default]
    C2C,
    /// To a group.
    C2G,
}

/// A message that is durable.
#[derive(Serialize, ToSchema)]
pub(super) struct Sent {
    /// Its id.
    id: String,
    /// The reader, or the group.
    to: String,
    /// When it was accepted first, Unix milliseconds.
    server_ts: u64,
    /// `accepted`, or further if this was a repeat: `delivered`, `expired`, `revoked`.
    state: &'static str,
    /// Its place in the conversation; not there if that is not known any more.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    cseq: Option<u64>,
}

/// Sends a message.
///
/// When this is answered, the message is on the disk. Repeat it with the same id as often as you like: it is sent once.
#[utoipa::path(
    post,
    path = "/v1/messages",
    operation_id = "sendMessage",
    request_body = NewMessage,
    responses(
        (status = 200, description = "It is durable.", body = Envelope<Sent>),
        (status = 507, description = "Too many messages wait for the reader: try again later.", body = Refusal),
    )
)]
pub(super) async fn send(
    caller: Caller,
    body: Body<NewMessage>,
    state: web::Data<AppState>,
) -> Reply {
    let message = body.0;
    let from = message.from.as_ref();
    let from = from.map(|from| ask::user("from", from.as_str(), &state));
    let from = caller.or_named(from.transpose()?)?;
    let draft = draft(message, &state)?;
    let (id, to) = (draft.id.clone(), draft.to);
    let op = Op::Append(draft.signed_by(from, None));
    let Answer::Accepted(accepted) = commit(op, &state).await? else {
        return Err(unexpected().into());
    };
    success(Sent {
        id: id.to_string(),
        to: view::name(to, &state),
        server_ts: accepted.server_ts,
        state: accepted.state.name(),
        cseq: Some(accepted.cseq).filter(|cseq| *cseq > 0),
    })
}

fn draft(message: NewMessage, state: &AppState) -> Result<Draft, Fault> {
    let to = message.to.as_str();
    let to = match message.kind {
        MessageKind::C2C => Chat::User(ask::user("to", to, state)?),
        MessageKind::C2G => Chat::Group(ask::group(to, state)?),
    };
    Ok(Draft {
        id: ask::new_id(message.id.as_str())?,
        to,
        payload: payload(&message.payload, state)?,
        created_at: message.created_at.map(Moment::signed),
        expires_at: message.expires_at.map(Whole::get),
    })
}

/// Another payload for a message.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"id": "cdsgrbgppoodp0gvpb6g", "payload": {"text": "hello!"}}))]
pub(super) struct Edit {
    id: NewId,
    #[schema(value_type = Anything)]
    payload: Box<RawValue>,
}

/// A change that is durable.
#[derive(Serialize, ToSchema)]
pub(super) struct Edited {
    /// The id of the change.
    id: String,
    /// The message.
    target: String,
    /// When it was changed, Unix milliseconds.
    server_ts: u64,
}

/// Gives a message another payload.
///
/// It must be the user's own, and not older than `message.edit_ms`.
#[utoipa::path(
    put,
    path = "/v1/conversations/{type}/{to}/messages/{id}",
    operation_id = "editMessage",
    params(
        ("type" = inline(ChatKind), Path, description = "With a user, or in a group."),
        ("to" = inline(UserName), Path, description = "The other user, or the group."),
        ("id" = String, Path, description = "The message."),
    ),
    request_body = Edit,
    responses((status = 200, description = "It is changed.", body = Envelope<Edited>))
)]
pub(super) async fn edit(
    caller: Caller,
    path: web::Path<(String, String, String)>,
    body: Body<Edit>,
    state: web::Data<AppState>,
) -> Reply {
    let (kind, to, target) = path.into_inner();
    let chat = ask::chat(&kind, &to, &state)?;
    let target = ask::message(&target)?;
    let id = ask::new_id(body.0.id.as_str())?;
    let payload = payload(&body.0.payload, &state)?;
    let amendment = json::edit(id.clone(), target.clone(), payload);
    let server_ts = amend(caller, chat, amendment, &state).await?;
    success(Edited {
        id: id.to_string(),
        target: target.to_string(),
        server_ts,
    })
}

/// A message that was taken back.
#[derive(Serialize, ToSchema)]
pub(super) struct Revoked {
    /// The message.
    id: String,
    /// When it was taken back, Unix milliseconds.
    server_ts: u64,
}

/// Takes a message back.
///
/// It must be the user's own, and not older than `message.revoke_ms`.
#[utoipa::path(
    delete,
    path = "/v1/conversations/{type}/{to}/messages/{id}",
    operation_id = "revokeMessage",
    params(
        ("type" = inline(ChatKind), Path, description = "With a user, or in a group."),
        ("to" = inline(UserName), Path, description = "The other user, or the group."),
        ("id" = String, Path, description = "The message."),
    ),
    responses((status = 200, description = "It is taken back.", body = Envelope<Revoked>))
)]
pub(super) async fn revoke(
    caller: Caller,
    path: web::Path<(String, String, String)>,
    state: web::Data<AppState>,
) -> Reply {
    let (kind, to, id) = path.into_inner();
    let chat = ask::chat(&kind, &to, &state)?;
    let id = ask::message(&id)?;
    let amendment = Amendment::Revoke { id: id.clone() };
    let server_ts = amend(caller, chat, amendment, &state).await?;
    success(Revoked {
        id: id.to_string(),
        server_ts,
    })
}

async fn amend(
    caller: Caller,
    chat: Chat,
    amendment: Amendment,
    state: &AppState,
) -> Result<u64, Fault> {
    let by = By {
        uid: caller.uid()?,
        did: None,
    };
    let op = Op::Amend {
        by,
        chat,
        amendment,
    };
    match commit(op, state).await? {
        Answer::Amended(server_ts) => Ok(server_ts),
        _ => Err(unexpected()),
    }
}

fn payload(raw: &RawValue, state: &AppState) -> Result<Box<str>, Fault> {
    let (payload, most) = (raw.get(), state.settings.listen.max_payload);
    if payload.len() > most {
        let msg = format!(
            "payload has {} bytes, at most {most} are allowed",
            payload.len()
        );
        return Err(Fault::because(Code::TooLarge, msg));
    }
    Ok(payload.into())
}
