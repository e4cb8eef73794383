//! What was said in a conversation, how far it is read, and how long it lives.

use actix_web::web;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::http::state::AppState;
use crate::message::chat::{By, Side, Standing};
use crate::message::look::{Found, History, Look};
use crate::message::{Answer, Fault, Op};

use super::answer::{Reply, commit, look, success, unexpected};
use super::ask::{self, Asked, Body};
use super::caller::Caller;
use super::schema::{ChatKind, Envelope, Limit, Refusal, UserName};
use super::view::{Conversation, MessageView};
use super::whole::{Lifetime, Whole};

/// Which conversations are wanted.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Latest {
    /// Only those whose last message was accepted before that, Unix milliseconds; or `next` of the page before, as it is.
    #[param(inline, value_type = Whole, required = false)]
    before: Option<String>,
    /// At most this many; 50 if it is not there.
    #[param(inline, value_type = Limit, required = false)]
    limit: Option<String>,
}

/// Conversations, the latest first.
#[derive(Serialize, ToSchema)]
pub(super) struct Conversations {
    conversations: Vec<Conversation>,
    /// Ask for those `before` this next: a time in Unix milliseconds, or amid those of one millisecond a larger number.
    next: u64,
    /// Whether there may be more.
    more: bool,
}

/// Lists the conversations of the user, the latest first.
#[utoipa::path(
    get,
    path = "/v1/conversations",
    operation_id = "listConversations",
    params(Latest),
    responses((status = 200, description = "A page of them.", body = Envelope<Conversations>))
)]
pub(super) async fn list(
    caller: Caller,
    asked: Asked<Latest>,
    state: web::Data<AppState>,
) -> Reply {
    let uid = caller.uid()?;
    let wanted = Look::Chats {
        uid,
        before: ask::whole("before", asked.0.before.as_deref())?,
        limit: ask::limit(asked.0.limit.as_deref())?,
        max_bytes: state.settings.listen.max_frame,
    };
    let Found::Chats(found) = look(wanted, &state).await? else {
        return Err(unexpected().into());
    };
    let entries = found.chats.iter();
    let conversations = entries.map(|listed| Conversation::of(listed, &state));
    success(Conversations {
        conversations: conversations.collect::<Result<_, _>>()?,
        next: found.next,
        more: found.more,
    })
}

/// Shows one conversation of the user.
#[utoipa::path(
    get,
    path = "/v1/conversations/{type}/{to}",
    operation_id = "getConversation",
    params(
        ("type" = inline(ChatKind), Path, description = "With a user, or in a group."),
        ("to" = inline(UserName), Path, description = "The other user, or the group."),
    ),
    responses((status = 200, description = "It.", body = Envelope<Conversation>))
)]
pub(super) async fn one(
    caller: Caller,
    path: web::Path<(String, String)>,
    state: web::Data<AppState>,
) -> Reply {
    let uid = caller.uid()?;
    let Standing { cid, .. } = standing(caller, &path, &state).await?;
    let Found::Chat(found) = look(Look::Chat { uid, cid }, &state).await? else {
        return Err(unexpected().into());
    };
    let listed = found.ok_or_else(|| ask::nobody("nothing was said in this conversation"))?;
    success(Conversation::of(&listed, &state)?)
}

/// Which part of a conversation is wanted.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Part {
    /// Only messages before that place, the nearest; the newest if neither this nor `after` is there.
    #[param(inline, value_type = Whole, required = false)]
    before: Option<String>,
    /// Only messages after that place, the nearest; with `before`, those between the two.
    #[param(inline, value_type = Whole, required = false)]
    after: Option<String>,
    /// At most this many; 50 if it is not there.
    #[param(inline, value_type = Limit, required = false)]
    limit: Option<String>,
}

/// Messages of a conversation in the order of their places.
#[derive(Serialize, ToSchema)]
pub(super) struct Messages {
    messages: Vec<MessageView>,
    /// Ask for those `before` this place next, or `after` it if the question had `after`.
    next: u64,
    /// Whether there may be more on that side.
    more: bool,
    /// The last place of the conversation.
    head: u64,
}

/// Reads the messages of a conversation.
#[utoipa::path(
    get,
    path = "/v1/conversations/{type}/{to}/messages",
    operation_id = "listMessages",
    params(
        ("type" = inline(ChatKind), Path, description = "With a user, or in a group."),
        ("to" = inline(UserName), Path, description = "The other user, or the group."),
        Part,
    ),
    responses((status = 200, description = "A page of them.", body = Envelope<Messages>))
)]
pub(super) async fn history(
    caller: Caller,
    path: web::Path<(String, String)>,
    asked: Asked<Part>,
    state: web::Data<AppState>,
) -> Reply {
    let standing = standing(caller, &path, &state).await?;
    let found = part(&standing, &asked.0, &state).await?;
    let messages = found.messages.iter();
    let messages = messages.filter_map(|message| MessageView::of(message, &state).transpose());
    success(Messages {
        messages: messages.collect::<Result<_, _>>()?,
        next: found.next,
        more: found.more,
        head: standing.head,
    })
}

async fn part(standing: &Standing, part: &Part, state: &AppState) -> Result<History, Fault> {
    let before = ask::whole("before", part.before.as_deref())?;
    let after = ask::whole("after", part.after.as_deref())?;
    let limit = ask::limit(part.limit.as_deref())?;
    if standing.head == 0 {
        return Ok(History::default());
    }
    let (side, head) = match (before, after) {
        (None, None) => (Side::Newest, standing.head),
        (Some(before), None) => (Side::Before(before), standing.head),
        (None, Some(after)) => (Side::After(after), standing.head),
        // What is between the two ends where the conversation would have ended then.
        (Some(before), Some(after)) => {
            let head = standing.head.min(before.saturating_sub(1));
            (Side::After(after), head)
        }
    };
    let wanted = Look::History {
        cid: standing.cid,
        first: standing.first,
        head,
        side,
        limit,
        max_bytes: state.settings.listen.max_frame,
    };
    match look(wanted, state).await? {
        Found::History(history) => Ok(history),
        _ => Err(unexpected()),
    }
}

/// Up to where a conversation is read.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"up_to": 7}))]
pub(super) struct UpTo {
    /// A place in the conversation.
    #[schema(inline)]
    up_to: Whole,
}

/// How far a conversation is read.
#[derive(Serialize, ToSchema)]
pub(super) struct ReadUpTo {
    /// A place in the conversation; it never goes back.
    up_to: u64,
}

/// Marks a conversation as read up to a place.
#[utoipa::path(
    put,
    path = "/v1/conversations/{type}/{to}/read",
    operation_id = "markRead",
    params(
        ("type" = inline(ChatKind), Path, description = "With a user, or in a group."),
        ("to" = inline(UserName), Path, description = "The other user, or the group."),
    ),
    request_body = UpTo,
    responses((status = 200, description = "How far it is read now.", body = Envelope<ReadUpTo>))
)]
pub(super) async fn mark_read(
    caller: Caller,
    path: web::Path<(String, String)>,
    body: Body<UpTo>,
    state: web::Data<AppState>,
) -> Reply {
    let by = By {
        uid: caller.uid()?,
        did: None,
    };
    let op = Op::MarkRead {
        by,
        chat: ask::chat(&path.0, &path.1, &state)?,
        up_to: body.0.up_to.get(),
    };
    let Answer::Read(up_to) = commit(op, &state).await? else {
        return Err(unexpected().into());
    };
    success(ReadUpTo { up_to })
}

/// How long the messages of a conversation are to live.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"expire_ms": 86400000}))]
pub(super) struct Expiry {
    /// Milliseconds, at least 1000; 0 is for ever.
    #[schema(inline)]
    expire_ms: Lifetime,
}

/// How long the messages of a conversation live.
#[derive(Serialize, ToSchema)]
pub(super) struct Expires {
    /// Milliseconds; 0 is for ever.
    expire_ms: u64,
}

/// Lets the messages of a conversation that are accepted from here on live so long.
///
/// Either user may say so; in a group its owner and admins.
#[utoipa::path(
    put,
    path = "/v1/conversations/{type}/{to}/expiry",
    operation_id = "setExpiry",
    params(
        ("type" = inline(ChatKind), Path, description = "With a user, or in a group."),
        ("to" = inline(UserName), Path, description = "The other user, or the group."),
    ),
    request_body = Expiry,
    responses(
        (status = 200, description = "How long they live.", body = Envelope<Expires>),
        (status = 507, description = "Too many messages wait for the other user: try again later.", body = Refusal),
    )
)]
pub(super) async fn set_expiry(
    caller: Caller,
    path: web::Path<(String, String)>,
    body: Body<Expiry>,
    state: web::Data<AppState>,
) -> Reply {
    let Lifetime(expire_ms) = body.0.expire_ms;
    let op = Op::SetExpiry {
        by: caller.uid()?,
        chat: ask::chat(&path.0, &path.1, &state)?,
        expire_ms,
    };
    commit(op, &state).await?;
    success(Expires { expire_ms })
}

/// Where the user stands in a conversation; whoever may not read it hears that, and nothing of the conversation.
async fn standing(
    caller: Caller,
    path: &(String, String),
    state: &AppState,
) -> Result<Standing, Fault> {
    let op = Op::Standing {
        uid: caller.uid()?,
        chat: ask::chat(&path.0, &path.1, state)?,
    };
    match commit(op, state).await? {
        Answer::Standing(standing) => Ok(standing),
        _ => Err(unexpected()),
    }
}
