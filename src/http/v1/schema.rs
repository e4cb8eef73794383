//! The shapes that requests and answers share, as the OpenAPI document describes them.

use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{ObjectBuilder, Schema, SchemaFormat, SchemaType, Type};
use utoipa::{Number, PartialSchema, ToSchema};

use crate::id::MAX_NAME;
use crate::message::contact::Tie;
use crate::message::group::{Joining, Role};

use super::whole::within;

/// What every success looks like.
#[derive(Serialize, ToSchema)]
pub struct Envelope<T> {
    /// 0: it was done.
    #[schema(minimum = 0, maximum = 0)]
    pub code: u16,
    /// `success`.
    pub msg: &'static str,
    /// What was asked for.
    pub payload: T,
}

/// What every refusal looks like.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({"code": 503, "msg": "Busy, try again", "payload": {"retry_ms": 1000}}))]
pub(in crate::http) struct Refusal {
    /// The same as the HTTP status, or under 401: 705, the token has expired, or 706, it is not valid here.
    code: u16,
    /// Why, in a sentence.
    msg: String,
    payload: Later,
}

/// When to come back.
#[derive(Serialize, ToSchema)]
pub(in crate::http) struct Later {
    /// Milliseconds from now; only there if the same request may be taken later.
    #[schema(required = false, nullable = false)]
    retry_ms: Option<u64>,
}

/// Nothing more to say.
#[derive(Serialize, ToSchema)]
pub(in crate::http) struct Empty {}

macro_rules! name {
    ($name:ident, $format:literal, $example:literal) => {
        impl ToSchema for $name {}

        impl PartialSchema for $name {
            fn schema() -> RefOr<Schema> {
                let name = short($example);
                name.format(Some(SchemaFormat::Custom($format.into())))
                    .into()
            }
        }
    };
}

/// A user, as clients name them.
#[derive(Deserialize)]
pub(in crate::http) struct UserName(String);

impl UserName {
    /// The name as it was written.
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

name!(UserName, "uid", "kybqdp");

/// A group, as clients name it.
pub(super) struct GroupName;

name!(GroupName, "gid", "7b4v1b");

/// An id that a client makes, so that a repeat of its request is known for one.
#[derive(Deserialize)]
pub(super) struct NewId(String);

impl NewId {
    /// The id as it was written.
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

impl ToSchema for NewId {}

impl PartialSchema for NewId {
    fn schema() -> RefOr<Schema> {
        let about = "Made by the client: 1 to 64 bytes, no commas, no control characters. A repeat has the same.";
        short("cdsgrbgppoodp0gvpb60")
            .pattern(Some("^[^,\\u0000-\\u001f\\u007f-\\u009f]+$"))
            .description(Some(about))
            .into()
    }
}

/// How many entries at most.
pub(super) struct Limit;

impl ToSchema for Limit {}

impl PartialSchema for Limit {
    fn schema() -> RefOr<Schema> {
        within(Number::UInt(1), 100).default(Some(json!(50))).into()
    }
}

/// Any JSON, which the server passes on byte for byte and never looks into.
pub(super) struct Anything;

impl ToSchema for Anything {}

impl PartialSchema for Anything {
    fn schema() -> RefOr<Schema> {
        let anything = ObjectBuilder::new()
            .schema_type(SchemaType::AnyValue)
            .description(Some("Any JSON: passed on byte for byte."))
            .examples([json!({"text": "hello"})]);
        anything.into()
    }
}

/// What a member may do.
#[derive(Clone, Copy, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum RoleName {
    /// Sends, reads, invites.
    Member,
    /// Renames, mutes and removes members as well.
    Admin,
    /// Everything; there is one.
    Owner,
}

impl From<Role> for RoleName {
    fn from(role: Role) -> RoleName {
        match role {
            Role::Member => RoleName::Member,
            Role::Admin => RoleName::Admin,
            Role::Owner => RoleName::Owner,
        }
    }
}

impl From<RoleName> for Role {
    fn from(name: RoleName) -> Role {
        match name {
            RoleName::Member => Role::Member,
            RoleName::Admin => Role::Admin,
            RoleName::Owner => Role::Owner,
        }
    }
}

/// Who may become a member of a group: whom a member invites, or everybody.
#[derive(Clone, Copy, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum JoinRule {
    /// Whom a member invites.
    Invite,
    /// Everybody.
    Open,
}

impl From<Joining> for JoinRule {
    fn from(joining: Joining) -> JoinRule {
        match joining {
            Joining::Invited => JoinRule::Invite,
            Joining::Open => JoinRule::Open,
        }
    }
}

impl From<JoinRule> for Joining {
    fn from(rule: JoinRule) -> Joining {
        match rule {
            JoinRule::Invite => Joining::Invited,
            JoinRule::Open => Joining::Open,
        }
    }
}

/// How two users stand to each other.
#[derive(Clone, Copy, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum TieName {
    /// Both have agreed.
    Confirmed,
    /// This user has asked the other.
    Requested,
    /// The other has asked this user.
    Pending,
}

impl From<Tie> for TieName {
    fn from(tie: Tie) -> TieName {
        match tie {
            Tie::Confirmed => TieName::Confirmed,
            Tie::Requested => TieName::Requested,
            Tie::Pending => TieName::Pending,
        }
    }
}

/// The two kinds of conversations: with a user, or in a group.
#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
#[allow(dead_code, reason = "only described: a path is text")]
pub(super) enum ChatKind {
    /// With a user.
    C2c,
    /// In a group.
    C2g,
}

fn short(example: &str) -> ObjectBuilder {
    ObjectBuilder::new()
        .schema_type(SchemaType::new(Type::String))
        .min_length(Some(1))
        .max_length(Some(MAX_NAME))
        .examples([json!(example)])
}
