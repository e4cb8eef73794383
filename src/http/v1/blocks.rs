//! Whom a user has blocked.

use actix_web::web;
use serde::Serialize;
use utoipa::ToSchema;

use crate::http::state::AppState;
use crate::message::contact::ContactOrder;
use crate::message::look::Which;

use super::answer::{Reply, done, success};
use super::ask::{Asked, Portion};
use super::caller::Caller;
use super::contacts::{listed, order};
use super::schema::{Empty, Envelope, UserName};

/// Somebody who is blocked.
#[derive(Serialize, ToSchema)]
pub(super) struct Block {
    /// They.
    uid: String,
    /// Since when, Unix milliseconds.
    since: u64,
}

/// Whom a user has blocked.
#[derive(Serialize, ToSchema)]
pub(super) struct Blocks {
    blocks: Vec<Block>,
    /// Ask for those `after` this one next; none at the end.
    next: Option<String>,
    /// Whether there are more.
    more: bool,
}

/// Lists whom the user has blocked.
#[utoipa::path(
    get,
    path = "/v1/blocks",
    operation_id = "listBlocks",
    params(Portion),
    responses((status = 200, description = "A page of them.", body = Envelope<Blocks>))
)]
pub(super) async fn list(
    caller: Caller,
    asked: Asked<Portion>,
    state: web::Data<AppState>,
) -> Reply {
    let (after, limit) = (asked.0.after(&state)?, asked.0.limit()?);
    let found = listed(caller, Which::Blocked, after, limit, &state).await?;
    let blocks = found.items.iter().map(|blocked| Block {
        uid: state.hashids.encode(blocked.uid),
        since: blocked.since,
    });
    success(Blocks {
        blocks: blocks.collect(),
        next: found.next.map(|uid| state.hashids.encode(uid)),
        more: found.next.is_some(),
    })
}

/// Blocks another user: nothing of theirs reaches this one.
#[utoipa::path(
    put,
    path = "/v1/blocks/{uid}",
    operation_id = "block",
    params(("uid" = inline(UserName), Path, description = "The other user.")),
    responses((status = 200, description = "They are blocked.", body = Envelope<Empty>))
)]
pub(super) async fn block(
    caller: Caller,
    uid: web::Path<String>,
    state: web::Data<AppState>,
) -> Reply {
    order(caller, &uid, ContactOrder::Block, &state).await?;
    done()
}

/// Lets another user reach this one again.
#[utoipa::path(
    delete,
    path = "/v1/blocks/{uid}",
    operation_id = "unblock",
    params(("uid" = inline(UserName), Path, description = "The other user.")),
    responses((status = 200, description = "They are not blocked.", body = Envelope<Empty>))
)]
pub(super) async fn unblock(
    caller: Caller,
    uid: web::Path<String>,
    state: web::Data<AppState>,
) -> Reply {
    order(caller, &uid, ContactOrder::Unblock, &state).await?;
    done()
}
