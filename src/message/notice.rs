//! What the server says about a conversation, at a place of it.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::id::Uid;

use super::group::{Joining, Role};

/// A notice that is stored as a message. Its payload is this as JSON with numbers, which never leave the server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum About {
    /// A group was founded with these members.
    GroupCreated(Box<str>, Vec<Uid>),
    /// These have become members.
    GroupJoined(Vec<Uid>),
    /// That member has left.
    GroupLeft(Uid),
    /// That member was removed.
    GroupRemoved(Uid),
    /// The group has another name.
    GroupRenamed(Box<str>),
    /// Who may become a member.
    GroupJoinRule(Joining),
    /// That member has another role.
    GroupRole(Uid, Role),
    /// That member, or everybody but owner and admins, may send nothing until then, Unix milliseconds; 0 lifts it.
    GroupMuted(Option<Uid>, u64),
    /// The group has ended.
    GroupDissolved,
    /// How long messages that come later live, milliseconds; 0 is for ever.
    Expiry(u64),
    /// The reader is asked to be a contact.
    ContactRequested(Option<Box<str>>),
    /// The two are contacts.
    ContactConfirmed,
}

impl About {
    /// The payload that is stored.
    pub fn to_payload(&self) -> Box<str> {
        // Of text and numbers, which always can be written.
        serde_json::to_string(self).unwrap_or_default().into()
    }

    /// What a stored payload says; none if it cannot be read.
    pub fn of(payload: &str) -> Option<About> {
        serde_json::from_str(payload).ok()
    }

    /// The payload that clients get, in the group of that name if it is of one.
    pub fn shown(&self, group: Option<&str>, mut name: impl FnMut(Uid) -> String) -> Value {
        let mut uids =
            |uids: &[Uid]| -> Vec<String> { uids.iter().map(|uid| name(*uid)).collect() };
        let mut shown = match self {
            About::GroupCreated(called, members) => {
                json!({"msg_type": "group_created", "name": called, "uids": uids(members)})
            }
            About::GroupJoined(members) => {
                json!({"msg_type": "group_joined", "uids": uids(members)})
            }
            About::GroupLeft(uid) => json!({"msg_type": "group_left", "uids": uids(&[*uid])}),
            About::GroupRemoved(uid) => json!({"msg_type": "group_removed", "uids": uids(&[*uid])}),
            About::GroupRenamed(called) => json!({"msg_type": "group_renamed", "name": called}),
            About::GroupJoinRule(joining) => {
                json!({"msg_type": "group_join_rule", "join": joining.name()})
            }
            About::GroupRole(uid, role) => {
                json!({"msg_type": "group_role", "uid": name(*uid), "role": role.name()})
            }
            About::GroupMuted(None, until) => json!({"msg_type": "group_muted", "until": until}),
            About::GroupMuted(Some(uid), until) => {
                json!({"msg_type": "group_muted", "uid": name(*uid), "until": until})
            }
            About::GroupDissolved => json!({"msg_type": "group_dissolved"}),
            About::Expiry(expire_ms) => {
                let msg_type = match group {
                    Some(_) => "group_expiry",
                    None => "expiry_changed",
                };
                json!({"msg_type": msg_type, "expire_ms": expire_ms})
            }
            About::ContactRequested(None) => json!({"msg_type": "contact_requested"}),
            About::ContactRequested(Some(text)) => {
                json!({"msg_type": "contact_requested", "text": text})
            }
            About::ContactConfirmed => json!({"msg_type": "contact_confirmed"}),
        };
        if let Some(group) = group {
            shown["group"] = group.into();
        }
        shown
    }
}

/// A time that does not come: until an order lifts it, Unix milliseconds.
pub const FOR_GOOD: u64 = 253_402_300_799_999;
