//! Who is in a group, and what they may do in it.

use actix_web::web;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::http::state::AppState;
use crate::id::Cid;
use crate::message::chat::Chat;
use crate::message::group::{MemberView, Order, Role};
use crate::message::look::{Found, Look};
use crate::message::{Answer, Fault, Op};

use super::answer::{Reply, commit, done, look, success, unexpected};
use super::ask::{self, Asked, Body, Portion};
use super::caller::Caller;
use super::groups::{check_count, order};
use super::schema::{Empty, Envelope, GroupName, RoleName, UserName};
use super::whole::Whole;

/// A member, as another sees them.
#[derive(Serialize, ToSchema)]
pub(super) struct Member {
    /// The user.
    uid: String,
    role: RoleName,
    /// Since when, Unix milliseconds.
    joined_at: u64,
    /// Until when they may send nothing, Unix milliseconds; 0 if they may.
    muted_until: u64,
}

impl Member {
    fn of(member: &MemberView, state: &AppState) -> Member {
        Member {
            uid: state.hashids.encode(member.uid),
            role: member.role.into(),
            joined_at: member.joined_at,
            muted_until: member.muted_until,
        }
    }
}

/// Members of a group.
#[derive(Serialize, ToSchema)]
pub(super) struct Members {
    members: Vec<Member>,
    /// Ask for those `after` this one next; none at the end.
    next: Option<String>,
    /// Whether there are more.
    more: bool,
}

/// Lists the members of a group. Members only.
#[utoipa::path(
    get,
    path = "/v1/groups/{gid}/members",
    operation_id = "listMembers",
    params(("gid" = inline(GroupName), Path, description = "The group."), Portion),
    responses((status = 200, description = "A page of them.", body = Envelope<Members>))
)]
pub(super) async fn list(
    caller: Caller,
    gid: web::Path<String>,
    asked: Asked<Portion>,
    state: web::Data<AppState>,
) -> Reply {
    let gid = ask::group(&gid, &state)?;
    belongs(caller, gid, &state).await?;
    let wanted = Look::Members {
        gid,
        after: asked.0.after(&state)?,
        limit: asked.0.limit()?,
    };
    let Found::Members(found) = look(wanted, &state).await? else {
        return Err(unexpected().into());
    };
    let members = found.items.iter().map(|member| Member::of(member, &state));
    success(Members {
        members: members.collect(),
        next: found.next.map(|uid| state.hashids.encode(uid)),
        more: found.next.is_some(),
    })
}

/// Who is to become a member.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"uids": ["7b4v1b"]}))]
pub(super) struct Invitation {
    /// They; one who is named twice is invited once.
    #[schema(max_items = 500)]
    uids: Vec<UserName>,
}

/// What an invitation came to.
#[derive(Serialize, ToSchema)]
pub(super) struct InvitedView {
    /// Who are members from here on.
    added: Vec<String>,
    /// Who are not, and why.
    refused: Vec<NotInvited>,
}

/// Somebody who was not made a member.
#[derive(Serialize, ToSchema)]
pub(super) struct NotInvited {
    /// They.
    uid: String,
    /// `member` (is one already), `in_denylist`, `not_a_friend`, `full` (the group is), or `too_many_groups`.
    why: &'static str,
}

/// Makes others members of a group. Any member may.
#[utoipa::path(
    post,
    path = "/v1/groups/{gid}/members",
    operation_id = "inviteMembers",
    params(("gid" = inline(GroupName), Path, description = "The group.")),
    request_body = Invitation,
    responses((status = 200, description = "Who are members now.", body = Envelope<InvitedView>))
)]
pub(super) async fn invite(
    caller: Caller,
    gid: web::Path<String>,
    body: Body<Invitation>,
    state: web::Data<AppState>,
) -> Reply {
    check_count("uids", body.0.uids.len())?;
    let uids = ask::users("uids", &body.0.uids, &state)?;
    let gid = ask::group(&gid, &state)?;
    let Answer::Invited(invited) = order(caller, gid, Order::Invite(uids), &state).await? else {
        return Err(unexpected().into());
    };
    let added = invited.added.iter().map(|uid| state.hashids.encode(*uid));
    let refused = invited.refused.iter().map(|(uid, why)| NotInvited {
        uid: state.hashids.encode(*uid),
        why: why.name(),
    });
    success(InvitedView {
        added: added.collect(),
        refused: refused.collect(),
    })
}

/// Removes a member. Owner and admins only, and an admin no other admin.
#[utoipa::path(
    delete,
    path = "/v1/groups/{gid}/members/{uid}",
    operation_id = "removeMember",
    params(
        ("gid" = inline(GroupName), Path, description = "The group."),
        ("uid" = inline(UserName), Path, description = "The member."),
    ),
    responses((status = 200, description = "They are no member.", body = Envelope<Empty>))
)]
pub(super) async fn remove(
    caller: Caller,
    path: web::Path<(String, String)>,
    state: web::Data<AppState>,
) -> Reply {
    let gid = ask::group(&path.0, &state)?;
    let uid = ask::user("the path", &path.1, &state)?;
    order(caller, gid, Order::Remove(uid), &state).await?;
    done()
}

/// Another role for a member.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"role": "admin"}))]
pub(super) struct NewRole {
    role: RoleName,
}

/// Gives a member another role. The owner only.
///
/// Whoever makes another the owner becomes an admin.
#[utoipa::path(
    put,
    path = "/v1/groups/{gid}/members/{uid}/role",
    operation_id = "setRole",
    params(
        ("gid" = inline(GroupName), Path, description = "The group."),
        ("uid" = inline(UserName), Path, description = "The member."),
    ),
    request_body = NewRole,
    responses((status = 200, description = "As they are now.", body = Envelope<Member>))
)]
pub(super) async fn set_role(
    caller: Caller,
    path: web::Path<(String, String)>,
    body: Body<NewRole>,
    state: web::Data<AppState>,
) -> Reply {
    let gid = ask::group(&path.0, &state)?;
    let uid = ask::user("the path", &path.1, &state)?;
    let role = Role::from(body.0.role);
    changed(caller, gid, Order::SetRole(uid, role), &state).await
}

/// How long a member is to be silent.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"until": 0}))]
pub(super) struct Silence {
    /// Unix milliseconds; 0 lifts it.
    #[schema(inline)]
    until: Whole,
}

/// Lets a member send nothing until a time. Owner and admins only.
#[utoipa::path(
    put,
    path = "/v1/groups/{gid}/members/{uid}/mute",
    operation_id = "muteMember",
    params(
        ("gid" = inline(GroupName), Path, description = "The group."),
        ("uid" = inline(UserName), Path, description = "The member."),
    ),
    request_body = Silence,
    responses((status = 200, description = "As they are now.", body = Envelope<Member>))
)]
pub(super) async fn mute(
    caller: Caller,
    path: web::Path<(String, String)>,
    body: Body<Silence>,
    state: web::Data<AppState>,
) -> Reply {
    let gid = ask::group(&path.0, &state)?;
    let uid = ask::user("the path", &path.1, &state)?;
    let until = body.0.until.get();
    changed(caller, gid, Order::Mute(uid, until), &state).await
}

/// Refuses whoever is no member of the group.
pub(super) async fn belongs(caller: Caller, gid: Cid, state: &AppState) -> Result<(), Fault> {
    let op = Op::Standing {
        uid: caller.uid()?,
        chat: Chat::Group(gid),
    };
    match commit(op, state).await? {
        Answer::Standing(_) => Ok(()),
        _ => Err(unexpected()),
    }
}

async fn changed(caller: Caller, gid: Cid, wanted: Order, state: &AppState) -> Reply {
    match order(caller, gid, wanted, state).await? {
        Answer::Member(member) => success(Member::of(&member, state)),
        _ => Err(unexpected().into()),
    }
}
