//! What an operator forbids to a user: to come at all, on one device, or with tokens that are too old.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::id::Did;

/// Devices of one user that may be banned one by one; whoever has more is banned as a whole.
pub const DEVICES_MAX: usize = 256;

/// Everything that is forbidden to one user; the default forbids nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Access {
    /// Whether the user is banned on every device.
    pub banned: bool,
    /// The devices that are banned one by one.
    pub banned_devices: BTreeSet<Did>,
    /// Tokens issued before then are not good, Unix milliseconds.
    pub tokens_not_before: Option<u64>,
}

/// One change of an [`Access`]; harmless to repeat.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Bans the user.
    Ban,
    /// Lets the user in again, on devices that are not banned.
    Unban,
    /// Bans one device.
    BanDevice(Did),
    /// Lets that device in again.
    UnbanDevice(Did),
    /// Tokens issued before then, Unix milliseconds, are good no more. An earlier instant changes nothing.
    TokensNotBefore(u64),
}

/// What the token of a connection says about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pass {
    /// When the connection ends unless it is renewed, Unix milliseconds.
    pub good_until: u64,
    /// When the token was issued, Unix milliseconds, if it says so.
    pub issued_ms: Option<u64>,
}

impl Pass {
    /// A pass of unknown age that is good until then, Unix milliseconds.
    pub const fn until(good_until: u64) -> Pass {
        Pass {
            good_until,
            issued_ms: None,
        }
    }
}

/// Why somebody may not come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Barred {
    /// The user or the device is banned.
    Banned,
    /// The token was issued too early, or does not say when.
    TokenRevoked,
}

/// There are [`DEVICES_MAX`] banned devices already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooMany;

impl Access {
    /// Makes the change, or none if there are too many banned devices.
    pub fn change(&mut self, change: &Change) -> Result<(), TooMany> {
        match change {
            Change::Ban => self.banned = true,
            Change::Unban => self.banned = false,
            Change::BanDevice(did) => {
                let is_new = !self.banned_devices.contains(did);
                if is_new && self.banned_devices.len() >= DEVICES_MAX {
                    return Err(TooMany);
                }
                self.banned_devices.insert(did.clone());
            }
            Change::UnbanDevice(did) => drop(self.banned_devices.remove(did)),
            Change::TokensNotBefore(instant) => {
                self.tokens_not_before = self.tokens_not_before.max(Some(*instant));
            }
        }
        Ok(())
    }

    /// Whether the user may come, on that device if one is named, with a token issued then, Unix milliseconds.
    pub fn admit(&self, did: Option<&Did>, issued_ms: Option<u64>) -> Result<(), Barred> {
        if self.banned || did.is_some_and(|did| self.banned_devices.contains(did)) {
            return Err(Barred::Banned);
        }
        match (self.tokens_not_before, issued_ms) {
            (Some(instant), Some(issued)) if issued >= instant => Ok(()),
            (Some(_), _) => Err(Barred::TokenRevoked),
            (None, _) => Ok(()),
        }
    }

    /// Whether the user, or a device of theirs, is banned.
    pub fn has_bans(&self) -> bool {
        self.banned || !self.banned_devices.is_empty()
    }

    /// Whether nothing is forbidden.
    pub fn is_open(&self) -> bool {
        *self == Access::default()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn did(text: &str) -> Did {
        Did::parse(text).unwrap()
    }

    #[test]
    fn a_change_and_its_opposite_leave_nothing() {
        let mut access = Access::default();
        for (change, back) in [
            (Change::Ban, Change::Unban),
            (
                Change::BanDevice(did("phone")),
                Change::UnbanDevice(did("phone")),
            ),
        ] {
            for _ in 0..2 {
                access.change(&back).unwrap();
                assert!(access.is_open() && !access.has_bans());
            }
            for _ in 0..2 {
                access.change(&change).unwrap();
                assert!(access.has_bans() && !access.is_open());
            }
            access.change(&back).unwrap();
            assert!(access.is_open() && !access.has_bans());
        }
    }

    #[test]
    fn a_ban_of_the_user_is_one_of_every_device_and_of_none_in_particular() {
        let mut access = Access::default();
        access.change(&Change::Ban).unwrap();
        assert_eq!(access.admit(Some(&did("phone")), None), Err(Barred::Banned));
        assert_eq!(access.admit(None, Some(u64::MAX)), Err(Barred::Banned));
        access.change(&Change::Unban).unwrap();
        access.change(&Change::BanDevice(did("phone"))).unwrap();
        assert_eq!(access.admit(Some(&did("phone")), None), Err(Barred::Banned));
        assert_eq!(access.admit(Some(&did("web")), None), Ok(()));
        assert_eq!(access.admit(None, None), Ok(()));
    }

    #[test]
    fn a_token_of_the_instant_itself_is_good_and_one_without_a_date_is_not() {
        let mut access = Access::default();
        assert_eq!(access.admit(None, None), Ok(()));
        access.change(&Change::TokensNotBefore(500)).unwrap();
        assert_eq!(access.admit(None, Some(500)), Ok(()));
        assert_eq!(access.admit(None, Some(499)), Err(Barred::TokenRevoked));
        assert_eq!(access.admit(None, None), Err(Barred::TokenRevoked));
        assert!(!access.is_open() && !access.has_bans());
    }

    #[test]
    fn an_instant_never_moves_back() {
        let mut access = Access::default();
        for (instant, held) in [(500, 500), (500, 500), (400, 500), (501, 501)] {
            access.change(&Change::TokensNotBefore(instant)).unwrap();
            assert_eq!(access.tokens_not_before, Some(held));
        }
    }

    #[test]
    fn so_many_devices_and_no_more_are_banned_one_by_one() {
        let mut access = Access::default();
        for n in 0..DEVICES_MAX {
            let ban = Change::BanDevice(did(&format!("d{n}")));
            access.change(&ban).unwrap();
        }
        let one_more = Change::BanDevice(did("one more"));
        let full = access.clone();
        assert_eq!(access.change(&one_more), Err(TooMany));
        access.change(&Change::BanDevice(did("d7"))).unwrap();
        assert_eq!(access, full);
        access.change(&Change::UnbanDevice(did("d7"))).unwrap();
        access.change(&one_more).unwrap();
        assert_eq!(access.banned_devices.len(), DEVICES_MAX);
    }
}
