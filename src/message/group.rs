//! Groups: what can be ordered of one, and how it and its members look from outside.

use serde::{Deserialize, Serialize};

use crate::id::{Cid, MsgId, Uid};

/// Users that one order may name.
pub const NAMED_MAX: usize = 500;
/// The longest name of a group, bytes.
pub const NAME_MAX: usize = 256;

/// What a member may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Role {
    /// Sends, reads, invites.
    Member,
    /// Renames, mutes and removes members as well.
    Admin,
    /// Everything; there is one.
    Owner,
}

impl Role {
    /// The name used on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Role::Member => "member",
            Role::Admin => "admin",
            Role::Owner => "owner",
        }
    }

    /// The role of that name.
    pub fn parse(name: &str) -> Option<Role> {
        [Role::Member, Role::Admin, Role::Owner]
            .into_iter()
            .find(|role| role.name() == name)
    }
}

/// Who may become a member.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Joining {
    /// Whom a member invites.
    #[default]
    Invited,
    /// Everybody.
    Open,
}

impl Joining {
    /// The name used on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Joining::Invited => "invite",
            Joining::Open => "open",
        }
    }

    /// The rule of that name.
    pub fn parse(name: &str) -> Option<Joining> {
        [Joining::Invited, Joining::Open]
            .into_iter()
            .find(|joining| joining.name() == name)
    }
}

/// Something that a user orders of a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Order {
    /// Found one; the user becomes its owner.
    Create {
        /// Made by the user, so that a repeat founds no second one.
        id: MsgId,
        /// Up to [`NAME_MAX`] bytes.
        name: Box<str>,
        /// Its other members, up to [`NAMED_MAX`].
        members: Vec<Uid>,
        /// Who may become a member later.
        joining: Joining,
    },
    /// Change what is given.
    Update {
        /// Its name.
        name: Option<Box<str>>,
        /// Who may become a member.
        joining: Option<Joining>,
        /// Whether only owner and admins may send.
        muted: Option<bool>,
    },
    /// End it.
    Dissolve,
    /// Make these members, up to [`NAMED_MAX`].
    Invite(Vec<Uid>),
    /// Become a member.
    Join,
    /// Be one no longer.
    Leave,
    /// Remove a member.
    Remove(Uid),
    /// Give a member another role; who makes another the owner becomes an admin.
    SetRole(Uid, Role),
    /// Let a member send nothing until that time, Unix milliseconds; 0 lifts it.
    Mute(Uid, u64),
}

/// How a group looks to a member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupView {
    /// Its number.
    pub gid: Cid,
    /// Its name.
    pub name: Box<str>,
    /// Its owner.
    pub owner: Uid,
    /// Who may become a member.
    pub joining: Joining,
    /// Whether only owner and admins may send.
    pub muted: bool,
    /// How many members it has.
    pub members: u64,
    /// What the one who looks is in it.
    pub role: Role,
    /// When it was founded, Unix milliseconds.
    pub created_at: u64,
    /// Whether it has ended.
    pub dissolved: bool,
}

/// How a member looks to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemberView {
    /// The user.
    pub uid: Uid,
    /// What they may do.
    pub role: Role,
    /// Since when, Unix milliseconds.
    pub joined_at: u64,
    /// Until when they may send nothing, Unix milliseconds; 0 if they may.
    pub muted_until: u64,
}

/// Why somebody was not made a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Uninvited {
    /// Is one already.
    Member,
    /// Has blocked whoever invites.
    Denied,
    /// Is no contact of whoever invites, and `contacts.required` is on.
    NotAFriend,
    /// The group has `group.max_members`.
    Full,
    /// Is in `group.max_per_user` groups.
    TooManyGroups,
}

impl Uninvited {
    /// The name used on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Uninvited::Member => "member",
            Uninvited::Denied => "in_denylist",
            Uninvited::NotAFriend => "not_a_friend",
            Uninvited::Full => "full",
            Uninvited::TooManyGroups => "too_many_groups",
        }
    }
}

/// What an invitation came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Invited {
    /// Who are members from here on.
    pub added: Vec<Uid>,
    /// Who are not, and why.
    pub refused: Vec<(Uid, Uninvited)>,
}
