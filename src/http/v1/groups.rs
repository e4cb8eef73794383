//! Founding, changing, joining, leaving and ending groups.

use actix_web::web;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::http::state::AppState;
use crate::id::Cid;
use crate::message::group::{GroupView, Joining, NAME_MAX, NAMED_MAX, Order};
use crate::message::look::{Found, Look};
use crate::message::{Answer, Fault, Op};

use super::answer::{Reply, commit, done, look, success, unexpected};
use super::ask::{self, Asked, Body, Portion};
use super::caller::Caller;
use super::schema::{Empty, Envelope, GroupName, JoinRule, NewId, RoleName, UserName};

/// A group, as a member sees it.
#[derive(Serialize, ToSchema)]
pub(super) struct Group {
    /// How its members name it.
    gid: String,
    /// Its name.
    name: String,
    /// Its owner.
    owner: String,
    join: JoinRule,
    /// Whether only its owner and admins may send.
    muted: bool,
    /// How many members it has.
    members: u64,
    role: RoleName,
    /// When it was founded, Unix milliseconds.
    created_at: u64,
    /// Whether it has ended.
    dissolved: bool,
}

impl Group {
    fn of(group: &GroupView, state: &AppState) -> Group {
        Group {
            gid: state.hashids.encode_group(group.gid),
            name: group.name.to_string(),
            owner: state.hashids.encode(group.owner),
            join: group.joining.into(),
            muted: group.muted,
            members: group.members,
            role: group.role.into(),
            created_at: group.created_at,
            dissolved: group.dissolved,
        }
    }
}

/// A group to be founded.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"id": "cdsgrbgppoodp0gvpb60", "name": "Hikers", "members": ["7b4v1b"], "join": "invite"}))]
pub(super) struct NewGroup {
    id: NewId,
    /// 1 to 256 bytes.
    #[schema(min_length = 1, max_length = 256)]
    name: String,
    /// Its other members.
    #[schema(max_items = 500, required = false)]
    #[serde(default)]
    members: Vec<UserName>,
    /// `invite` if it is not there.
    join: Option<JoinRule>,
}

/// Founds a group; the user becomes its owner.
///
/// Members who do not want to be in it are left out, as when they are invited.
#[utoipa::path(
    post,
    path = "/v1/groups",
    operation_id = "createGroup",
    request_body = NewGroup,
    responses((status = 200, description = "It is there.", body = Envelope<Group>))
)]
pub(super) async fn create(
    caller: Caller,
    body: Body<NewGroup>,
    state: web::Data<AppState>,
) -> Reply {
    let NewGroup {
        id,
        name,
        members,
        join,
    } = body.0;
    check_name(&name)?;
    check_count("members", members.len())?;
    let order = Order::Create {
        id: ask::new_id(id.as_str())?,
        name: name.into(),
        members: ask::users("members", &members, &state)?,
        joining: join.map_or(Joining::Invited, Joining::from),
    };
    changed(caller, Cid::default(), order, &state).await
}

/// Groups of a user.
#[derive(Serialize, ToSchema)]
pub(super) struct Groups {
    groups: Vec<Group>,
    /// Ask for those `after` this one next; none at the end.
    next: Option<String>,
    /// Whether there are more.
    more: bool,
}

/// Lists the groups of the user.
#[utoipa::path(
    get,
    path = "/v1/groups",
    operation_id = "listGroups",
    params(Portion),
    responses((status = 200, description = "A page of them.", body = Envelope<Groups>))
)]
pub(super) async fn list(
    caller: Caller,
    asked: Asked<Portion>,
    state: web::Data<AppState>,
) -> Reply {
    let wanted = Look::Groups {
        uid: caller.uid()?,
        after: asked.0.after_group(&state)?,
        limit: asked.0.limit()?,
    };
    let Found::Groups(found) = look(wanted, &state).await? else {
        return Err(unexpected().into());
    };
    let groups = found.items.iter().map(|group| Group::of(group, &state));
    success(Groups {
        groups: groups.collect(),
        next: found.next.map(|gid| state.hashids.encode_group(gid)),
        more: found.next.is_some(),
    })
}

/// Shows a group. Members only.
#[utoipa::path(
    get,
    path = "/v1/groups/{gid}",
    operation_id = "getGroup",
    params(("gid" = inline(GroupName), Path, description = "The group.")),
    responses((status = 200, description = "It.", body = Envelope<Group>))
)]
pub(super) async fn one(
    caller: Caller,
    gid: web::Path<String>,
    state: web::Data<AppState>,
) -> Reply {
    let uid = caller.uid()?;
    let gid = ask::group(&gid, &state)?;
    let Found::Group(found) = look(Look::Group { uid, gid }, &state).await? else {
        return Err(unexpected().into());
    };
    success(Group::of(&found.ok_or_else(ask::no_member)?, &state))
}

/// What of a group is to be changed: whatever is given.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"name": "Climbers", "muted": false}))]
pub(super) struct GroupChange {
    /// 1 to 256 bytes.
    #[schema(min_length = 1, max_length = 256)]
    name: Option<String>,
    join: Option<JoinRule>,
    /// Whether only its owner and admins may send.
    muted: Option<bool>,
}

/// Changes a group. Its owner and admins only.
#[utoipa::path(
    patch,
    path = "/v1/groups/{gid}",
    operation_id = "updateGroup",
    params(("gid" = inline(GroupName), Path, description = "The group.")),
    request_body = GroupChange,
    responses((status = 200, description = "As it is now.", body = Envelope<Group>))
)]
pub(super) async fn update(
    caller: Caller,
    gid: web::Path<String>,
    body: Body<GroupChange>,
    state: web::Data<AppState>,
) -> Reply {
    let GroupChange { name, join, muted } = body.0;
    if let Some(name) = &name {
        check_name(name)?;
    }
    let order = Order::Update {
        name: name.map(String::into),
        joining: join.map(Joining::from),
        muted,
    };
    changed(caller, ask::group(&gid, &state)?, order, &state).await
}

/// Ends a group. Its owner only; what was said in it can still be read.
#[utoipa::path(
    delete,
    path = "/v1/groups/{gid}",
    operation_id = "dissolveGroup",
    params(("gid" = inline(GroupName), Path, description = "The group.")),
    responses((status = 200, description = "It has ended.", body = Envelope<Group>))
)]
pub(super) async fn dissolve(
    caller: Caller,
    gid: web::Path<String>,
    state: web::Data<AppState>,
) -> Reply {
    let gid = ask::group(&gid, &state)?;
    changed(caller, gid, Order::Dissolve, &state).await
}

/// Makes the user a member of a group that is open.
#[utoipa::path(
    post,
    path = "/v1/groups/{gid}/join",
    operation_id = "joinGroup",
    params(("gid" = inline(GroupName), Path, description = "The group.")),
    responses((status = 200, description = "The user is a member.", body = Envelope<Group>))
)]
pub(super) async fn join(
    caller: Caller,
    gid: web::Path<String>,
    state: web::Data<AppState>,
) -> Reply {
    let gid = ask::group(&gid, &state)?;
    changed(caller, gid, Order::Join, &state).await
}

/// Makes the user a member no longer.
///
/// An owner may leave only when nobody else is left: before that, another must be made the owner, or the group be ended.
#[utoipa::path(
    post,
    path = "/v1/groups/{gid}/leave",
    operation_id = "leaveGroup",
    params(("gid" = inline(GroupName), Path, description = "The group.")),
    responses((status = 200, description = "The user is no member.", body = Envelope<Empty>))
)]
pub(super) async fn leave(
    caller: Caller,
    gid: web::Path<String>,
    state: web::Data<AppState>,
) -> Reply {
    let gid = ask::group(&gid, &state)?;
    order(caller, gid, Order::Leave, &state).await?;
    done()
}

/// Orders something of a group.
pub(super) async fn order(
    caller: Caller,
    gid: Cid,
    order: Order,
    state: &AppState,
) -> Result<Answer, Fault> {
    let by = caller.uid()?;
    commit(Op::Group { by, gid, order }, state).await
}

/// Refuses more users than one order may name.
pub(super) fn check_count(what: &str, count: usize) -> Result<(), Fault> {
    if count > NAMED_MAX {
        let msg = format!("{what} names {count} users, at most {NAMED_MAX} are allowed");
        return Err(ask::bad(msg));
    }
    Ok(())
}

async fn changed(caller: Caller, gid: Cid, wanted: Order, state: &AppState) -> Reply {
    match order(caller, gid, wanted, state).await? {
        Answer::Group(group) => success(Group::of(&group, state)),
        _ => Err(unexpected().into()),
    }
}

fn check_name(name: &str) -> Result<(), Fault> {
    if name.is_empty() {
        return Err(ask::bad("name is empty"));
    }
    ask::fits("name", name, NAME_MAX)
}
