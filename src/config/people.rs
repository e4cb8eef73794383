//! The sections about what people do in conversations.

use serde::{Deserialize, Serialize};

use super::{CENTURY_MS, DAY_MS, Impossible, Settings, within};

/// The most members that a group may be allowed.
const MAX_MEMBERS: u64 = 100_000;
/// The most groups, or contacts and blocks, that a user may be allowed.
const MAX_TIES: u64 = 100_000;

/// How long conversations are kept.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct History {
    /// How long a message stays in its conversation, in milliseconds.
    pub keep_ms: u64,
}

/// What an author may do to a message later.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Message {
    /// How long after its acceptance it may be taken back, in milliseconds.
    pub revoke_ms: u64,
    /// How long after its acceptance it may be changed, in milliseconds.
    pub edit_ms: u64,
}

/// Who may write to whom.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Contacts {
    /// Whether two users must be contacts to write to each other.
    pub required: bool,
    /// How many contacts and own requests a user may have; as many blocks; and as many requests of others.
    pub max_per_user: usize,
}

/// The bounds of groups.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Group {
    /// How many members one may have.
    pub max_members: u64,
    /// How many a user may be in.
    pub max_per_user: usize,
    /// Up to how many members are told who writes.
    pub typing_members: u64,
    /// Whether members may read what was written before they joined.
    pub history_before_join: bool,
}

/// How it is told who is online.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Presence {
    /// How long a user is gone before that is told, in milliseconds.
    pub linger_ms: u64,
    /// How many notices the whole server sends in a second; 0 sends none.
    pub notices_per_s: u64,
}

impl Settings {
    /// How long a message stays in its conversation, in milliseconds: as long as it may wait, whatever is set.
    pub fn history_ms(&self) -> u64 {
        self.history.keep_ms.max(self.inbox.ttl_ms)
    }

    pub(super) fn check_people(&self) -> Result<(), Impossible> {
        let keep_ms = self.history.keep_ms;
        within("history.keep_ms", keep_ms, DAY_MS..=CENTURY_MS)?;
        for (key, span) in [
            ("message.revoke_ms", self.message.revoke_ms),
            ("message.edit_ms", self.message.edit_ms),
        ] {
            within(key, span, 0..=CENTURY_MS)?;
        }
        let (contacts, group) = (&self.contacts, &self.group);
        let each = contacts.max_per_user as u64;
        within("contacts.max_per_user", each, 1..=MAX_TIES)?;
        within("group.max_members", group.max_members, 2..=MAX_MEMBERS)?;
        within(
            "group.max_per_user",
            group.max_per_user as u64,
            1..=MAX_TIES,
        )?;
        within(
            "group.typing_members",
            group.typing_members,
            0..=MAX_MEMBERS,
        )?;
        within("presence.linger_ms", self.presence.linger_ms, 0..=DAY_MS)?;
        within(
            "presence.notices_per_s",
            self.presence.notices_per_s,
            0..=1_000_000,
        )
    }
}
