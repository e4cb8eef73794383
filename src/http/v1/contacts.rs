//! Whom a user knows.

use actix_web::web;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::http::state::AppState;
use crate::id::Uid;
use crate::message::contact::{ContactOrder, ContactView, TEXT_MAX, Tie};
use crate::message::look::{Found, Listing, Look, Which};
use crate::message::{Answer, Fault, Op};

use super::answer::{Reply, commit, done, look, success, unexpected};
use super::ask::{self, AnyBody, Asked};
use super::caller::Caller;
use super::schema::{Empty, Envelope, Limit, Refusal, TieName, UserName};

/// Another user, as they stand in a list of contacts.
#[derive(Serialize, ToSchema)]
pub(super) struct Contact {
    /// The other user.
    uid: String,
    state: TieName,
    /// Since when, Unix milliseconds.
    since: u64,
    /// What was said with the request.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    text: Option<String>,
}

impl Contact {
    fn of(contact: &ContactView, state: &AppState) -> Option<Contact> {
        Some(Contact {
            uid: state.hashids.encode(contact.uid),
            state: contact.tie?.into(),
            since: contact.since,
            text: contact.text.as_deref().map(str::to_string),
        })
    }
}

/// Which contacts are wanted.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Circle {
    /// Only those; all if it is not there.
    #[param(inline, value_type = TieName, required = false)]
    state: Option<String>,
    /// Only those after this one: `next` of the page before.
    #[param(inline, value_type = UserName, required = false)]
    after: Option<String>,
    /// At most this many; 50 if it is not there.
    #[param(inline, value_type = Limit, required = false)]
    limit: Option<String>,
}

/// Contacts of a user.
#[derive(Serialize, ToSchema)]
pub(super) struct Contacts {
    contacts: Vec<Contact>,
    /// Ask for those `after` this one next; none at the end.
    next: Option<String>,
    /// Whether there are more.
    more: bool,
}

/// Lists the contacts of the user, and those who are to become some.
#[utoipa::path(
    get,
    path = "/v1/contacts",
    operation_id = "listContacts",
    params(Circle),
    responses((status = 200, description = "A page of them.", body = Envelope<Contacts>))
)]
pub(super) async fn list(
    caller: Caller,
    asked: Asked<Circle>,
    state: web::Data<AppState>,
) -> Reply {
    let which = which(asked.0.state.as_deref())?;
    let after = asked.0.after.as_deref();
    let after = after.map(|after| ask::user("after", after, &state));
    let limit = ask::limit(asked.0.limit.as_deref())?;
    let found = listed(caller, which, after.transpose()?, limit, &state).await?;
    let contacts = found.items.iter();
    success(Contacts {
        contacts: contacts
            .filter_map(|one| Contact::of(one, &state))
            .collect(),
        next: found.next.map(|uid| state.hashids.encode(uid)),
        more: found.next.is_some(),
    })
}

/// What to say with a request.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"text": "It is me, from the hike."}))]
pub(super) struct Request {
    /// Up to 512 bytes.
    #[schema(max_length = 512)]
    text: Option<String>,
}

/// Asks another user to be a contact, or confirms it if they have asked.
///
/// They are told when they are asked first; a repeat changes the text, and nothing more is said.
#[utoipa::path(
    put,
    path = "/v1/contacts/{uid}",
    operation_id = "requestContact",
    params(("uid" = inline(UserName), Path, description = "The other user.")),
    request_body(content = Option<Request>, description = "May be left out."),
    responses(
        (status = 200, description = "As they stand now.", body = Envelope<Contact>),
        (status = 507, description = "Too many messages wait for the other user: try again later.", body = Refusal),
    )
)]
pub(super) async fn ask(
    caller: Caller,
    uid: web::Path<String>,
    body: AnyBody<Request>,
    state: web::Data<AppState>,
) -> Reply {
    let text = body.0.and_then(|request| request.text);
    if let Some(text) = &text {
        ask::fits("text", text, TEXT_MAX)?;
    }
    let text = text.map(String::into);
    changed(caller, &uid, ContactOrder::Ask { text }, &state).await
}

/// Confirms what another user has asked.
#[utoipa::path(
    post,
    path = "/v1/contacts/{uid}/confirm",
    operation_id = "confirmContact",
    params(("uid" = inline(UserName), Path, description = "The other user.")),
    responses(
        (status = 200, description = "They are contacts.", body = Envelope<Contact>),
        (status = 507, description = "Too many messages wait for the other user: try again later.", body = Refusal),
    )
)]
pub(super) async fn confirm(
    caller: Caller,
    uid: web::Path<String>,
    state: web::Data<AppState>,
) -> Reply {
    changed(caller, &uid, ContactOrder::Confirm, &state).await
}

/// Removes a contact on both sides, takes a request back, or refuses one.
#[utoipa::path(
    delete,
    path = "/v1/contacts/{uid}",
    operation_id = "removeContact",
    params(("uid" = inline(UserName), Path, description = "The other user.")),
    responses((status = 200, description = "They are no contacts.", body = Envelope<Empty>))
)]
pub(super) async fn remove(
    caller: Caller,
    uid: web::Path<String>,
    state: web::Data<AppState>,
) -> Reply {
    order(caller, &uid, ContactOrder::Remove, &state).await?;
    done()
}

/// Orders something about another user.
pub(super) async fn order(
    caller: Caller,
    other: &str,
    order: ContactOrder,
    state: &AppState,
) -> Result<ContactView, Fault> {
    let op = Op::Contact {
        uid: caller.uid()?,
        other: ask::user("the path", other, state)?,
        order,
    };
    match commit(op, state).await? {
        Answer::Contact(contact) => Ok(contact),
        _ => Err(unexpected()),
    }
}

/// A part of the user's list of others.
pub(super) async fn listed(
    caller: Caller,
    which: Which,
    after: Option<Uid>,
    limit: usize,
    state: &AppState,
) -> Result<Listing<ContactView, Uid>, Fault> {
    let wanted = Look::Contacts {
        uid: caller.uid()?,
        which,
        after,
        limit,
    };
    match look(wanted, state).await? {
        Found::Contacts(found) => Ok(found),
        _ => Err(unexpected()),
    }
}

async fn changed(caller: Caller, uid: &str, wanted: ContactOrder, state: &AppState) -> Reply {
    let contact = order(caller, uid, wanted, state).await?;
    success(Contact::of(&contact, state).ok_or_else(unexpected)?)
}

fn which(tie: Option<&str>) -> Result<Which, Fault> {
    let Some(name) = tie else {
        return Ok(Which::All);
    };
    let tie = Tie::parse(name).map(Which::Tied);
    tie.ok_or_else(|| ask::bad("state must be confirmed, requested or pending"))
}
