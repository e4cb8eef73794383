//! Which members of a group have a message, and have read it.

use actix_web::web;
use serde::Serialize;
use utoipa::ToSchema;

use crate::http::state::AppState;
use crate::message::look::{Found, Look};

use super::answer::{Reply, look, success, unexpected};
use super::ask::{self, Asked, Portion};
use super::caller::Caller;
use super::members;
use super::schema::{Envelope, GroupName};

/// What a member has of a message.
#[derive(Serialize, ToSchema)]
pub(super) struct ReceiptView {
    /// The member.
    uid: String,
    /// Whether a device of theirs has it.
    delivered: bool,
    /// Whether they have read as far.
    read: bool,
}

/// What members have of a message; its author is left out.
#[derive(Serialize, ToSchema)]
pub(super) struct Receipts {
    members: Vec<ReceiptView>,
    /// Ask for those `after` this one next; none at the end.
    next: Option<String>,
    /// Whether there are more.
    more: bool,
}

/// Shows which members of a group have a message that the user has sent.
#[utoipa::path(
    get,
    path = "/v1/conversations/c2g/{to}/messages/{id}/receipts",
    operation_id = "listReceipts",
    params(
        ("to" = inline(GroupName), Path, description = "The group."),
        ("id" = String, Path, description = "The message."),
        Portion,
    ),
    responses((status = 200, description = "A page of them.", body = Envelope<Receipts>))
)]
pub(super) async fn receipts(
    caller: Caller,
    path: web::Path<(String, String)>,
    asked: Asked<Portion>,
    state: web::Data<AppState>,
) -> Reply {
    let gid = ask::group(&path.0, &state)?;
    members::belongs(caller, gid, &state).await?;
    let wanted = Look::Receipts {
        from: caller.uid()?,
        gid,
        id: ask::message(&path.1)?,
        after: asked.0.after(&state)?,
        limit: asked.0.limit()?,
    };
    let Found::Receipts(found) = look(wanted, &state).await? else {
        return Err(unexpected().into());
    };
    let found = found.ok_or_else(|| ask::nobody("the group has no message of that id"))?;
    let members = found.items.iter().map(|member| ReceiptView {
        uid: state.hashids.encode(member.uid),
        delivered: member.delivered,
        read: member.read,
    });
    success(Receipts {
        members: members.collect(),
        next: found.next.map(|uid| state.hashids.encode(uid)),
        more: found.next.is_some(),
    })
}
