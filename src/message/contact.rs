//! Contacts and blocks: what can be ordered of them, and how they look from outside.

use serde::{Deserialize, Serialize};

use crate::id::Uid;

/// The longest text of a request, bytes.
pub const TEXT_MAX: usize = 512;

/// How one user stands to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Tie {
    /// Both have agreed.
    Confirmed,
    /// This one has asked the other.
    Requested,
    /// The other has asked this one.
    Pending,
}

impl Tie {
    /// The name used on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Tie::Confirmed => "confirmed",
            Tie::Requested => "requested",
            Tie::Pending => "pending",
        }
    }

    /// The tie of that name.
    pub fn parse(name: &str) -> Option<Tie> {
        [Tie::Confirmed, Tie::Requested, Tie::Pending]
            .into_iter()
            .find(|tie| tie.name() == name)
    }
}

/// Something that a user orders about another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ContactOrder {
    /// Ask to be a contact, or confirm if the other has asked.
    Ask {
        /// Up to [`TEXT_MAX`] bytes.
        text: Option<Box<str>>,
    },
    /// Confirm what the other has asked.
    Confirm,
    /// Be no contact, ask no longer, or refuse.
    Remove,
    /// Take nothing from the other.
    Block,
    /// Take messages from the other again.
    Unblock,
}

/// How another user looks in somebody's list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContactView {
    /// The other user.
    pub uid: Uid,
    /// How they stand to each other; none if they are only blocked.
    pub tie: Option<Tie>,
    /// Since when, Unix milliseconds.
    pub since: u64,
    /// What was said with the request.
    pub text: Option<Box<str>>,
    /// Whether the owner of the list takes nothing from them.
    pub blocked: bool,
}
