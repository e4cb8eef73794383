//! The rules of groups: who may do what, and who is owed which of its messages.

use serde::{Deserialize, Serialize};

use crate::id::{Cid, Seq, Uid};
use crate::message::group::{GroupView, Joining, MemberView, Order, Role};

use super::conversation::Place;
use super::ranges::Ranges;

/// Ranges of places that are kept of what a member has: beyond it, what lies between the lowest two counts as had.
const GOT_MAX: usize = 256;

/// What is known of a group besides its sequence and its members.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Group {
    /// Its name.
    pub name: Box<str>,
    /// Its owner.
    pub owner: Uid,
    /// Who may become a member.
    pub joining: Joining,
    /// Whether only owner and admins may send.
    pub muted: bool,
    /// When it was founded, Unix milliseconds.
    pub created_ms: u64,
    /// Whether it has ended.
    pub dissolved: bool,
    /// How many members it has.
    pub members: u64,
}

/// What is known of a member.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// What they may do.
    pub role: Role,
    /// Since when, Unix milliseconds.
    pub joined_ms: u64,
    /// The first place of the group that they are owed.
    pub joined: Seq,
    /// The last one, of somebody who is a member no longer.
    pub last: Option<Seq>,
    /// From which place to which they were members earlier, while anything of that is on its way to them.
    pub before: Vec<(Seq, Seq)>,
    /// Until when they may send nothing, Unix milliseconds.
    pub muted_until: u64,
    /// How far they have read.
    pub place: Place,
    /// What one of their devices has, and what they have written.
    pub got: Ranges,
}

/// Why an order is refused, in the words that a client gets.
pub type Refused = &'static str;

/// Said to whoever is no member, whether or not there is such a group.
pub const NO_MEMBER: Refused = "not a member of this group";

impl Group {
    /// How it looks to a member of that role.
    pub fn view(&self, gid: Cid, role: Role) -> GroupView {
        GroupView {
            gid,
            name: self.name.clone(),
            owner: self.owner,
            joining: self.joining,
            muted: self.muted,
            members: self.members,
            role,
            created_at: self.created_ms,
            dissolved: self.dissolved,
        }
    }

    /// Whether a member may send at `now`.
    pub fn may_send(&self, member: &Member, now: u64) -> Result<(), Refused> {
        if self.dissolved {
            return Err("this group was dissolved");
        }
        if member.muted_until > now {
            return Err("muted in this group");
        }
        if self.muted && member.role == Role::Member {
            return Err("only the owner and admins may send in this group");
        }
        Ok(())
    }

    /// Whether a member may order this, of another member if it is of one.
    pub fn may(&self, member: &Member, order: &Order, of: Option<&Member>) -> Result<(), Refused> {
        match order {
            // Nobody has to keep in their list what has ended.
            Order::Leave if self.dissolved => return Ok(()),
            _ if self.dissolved => return Err("this group was dissolved"),
            _ => {}
        }
        let above = of.is_none_or(|of| of.role < member.role);
        match order {
            Order::Create { .. } | Order::Join | Order::Invite(_) => Ok(()),
            Order::Update { .. } if member.role >= Role::Admin => Ok(()),
            Order::Update { .. } => Err("only the owner and admins may change this group"),
            Order::Dissolve if member.role == Role::Owner => Ok(()),
            Order::Dissolve => Err("only the owner may dissolve this group"),
            Order::Leave if member.role == Role::Owner && self.members > 1 => {
                Err("the owner cannot leave the others: hand the group over or dissolve it")
            }
            Order::Leave => Ok(()),
            Order::Remove(_) | Order::Mute(..) if member.role >= Role::Admin && above => Ok(()),
            Order::Remove(_) => Err("only the owner and admins may remove a member below them"),
            Order::Mute(..) => Err("only the owner and admins may mute a member below them"),
            Order::SetRole(..) if member.role == Role::Owner && above => Ok(()),
            Order::SetRole(..) if member.role == Role::Owner => {
                Err("the owner stays the owner: make another member the owner")
            }
            Order::SetRole(..) => Err("only the owner may give roles"),
        }
    }
}

impl Member {
    /// A member from that place on, for whom what stands before it does not count.
    pub fn new(role: Role, now: u64, joined: Seq) -> Member {
        Member {
            role,
            joined_ms: now,
            joined,
            last: None,
            before: Vec::new(),
            muted_until: 0,
            place: Place::at(joined.saturating_sub(1)),
            got: Ranges::new(),
        }
    }

    /// Whether they are one.
    pub fn is_in(&self) -> bool {
        self.last.is_none()
    }

    /// Whether they are owed what stands at that place, and came when they were members.
    pub fn is_owed(&self, cseq: Seq) -> bool {
        let is_now = cseq >= self.joined && self.last.is_none_or(|last| cseq <= last);
        let mut before = self.before.iter();
        is_now || before.any(|(first, last)| (*first..=*last).contains(&cseq))
    }

    /// Whether they were one while that was the last place of the group: its place is not that of their leaving.
    pub fn stays_at(&self, head: Seq) -> bool {
        let is_now = head >= self.joined && self.last.is_none_or(|last| head < last);
        let mut before = self.before.iter();
        is_now || before.any(|(first, last)| (*first..*last).contains(&head))
    }

    /// The same who is one again.
    pub fn after(mut self, earlier: Member) -> Member {
        self.before = earlier.before;
        self.before
            .extend(earlier.last.map(|last| (earlier.joined, last)));
        self
    }

    /// They have what stands at that place; returns what counts as had with it.
    pub fn take(&mut self, cseq: Seq) -> Option<(Seq, Seq)> {
        self.got.insert(cseq, cseq);
        match self.got.iter().count() > GOT_MAX {
            true => self.got.close_lowest_gap(),
            false => None,
        }
    }

    /// How they look to another.
    pub fn view(&self, uid: Uid) -> MemberView {
        MemberView {
            uid,
            role: self.role,
            joined_at: self.joined_ms,
            muted_until: self.muted_until,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group() -> Group {
        Group {
            name: "g".into(),
            owner: Uid(1),
            joining: Joining::Invited,
            muted: false,
            created_ms: 0,
            dissolved: false,
            members: 3,
        }
    }

    fn member(role: Role) -> Member {
        Member::new(role, 0, 5)
    }

    #[test]
    fn nobody_removes_or_mutes_whom_they_are_not_above() {
        let group = group();
        let (owner, admin, plain) = (
            member(Role::Owner),
            member(Role::Admin),
            member(Role::Member),
        );
        for order in [Order::Remove(Uid(2)), Order::Mute(Uid(2), 9)] {
            assert!(group.may(&owner, &order, Some(&admin)).is_ok());
            assert!(group.may(&admin, &order, Some(&plain)).is_ok());
            assert!(group.may(&admin, &order, Some(&admin)).is_err());
            assert!(group.may(&admin, &order, Some(&owner)).is_err());
            assert!(group.may(&plain, &order, Some(&plain)).is_err());
        }
    }

    #[test]
    fn only_the_owner_gives_roles_and_dissolves_and_leaves_last() {
        let group = group();
        let orders = [Order::SetRole(Uid(2), Role::Admin), Order::Dissolve];
        for order in orders {
            let of = matches!(order, Order::SetRole(..)).then(|| member(Role::Member));
            assert!(group.may(&member(Role::Owner), &order, of.as_ref()).is_ok());
            assert!(
                group
                    .may(&member(Role::Admin), &order, of.as_ref())
                    .is_err()
            );
        }
        assert!(
            group
                .may(&member(Role::Owner), &Order::Leave, None)
                .is_err()
        );
        let alone = Group {
            members: 1,
            ..group
        };
        assert!(alone.may(&member(Role::Owner), &Order::Leave, None).is_ok());
    }

    #[test]
    fn of_a_group_that_was_dissolved_everybody_may_leave_and_nothing_else() {
        let group = Group {
            dissolved: true,
            ..group()
        };
        for role in [Role::Owner, Role::Member] {
            assert!(group.may(&member(role), &Order::Leave, None).is_ok());
            for order in [Order::Dissolve, Order::Invite(vec![Uid(3)])] {
                assert!(group.may(&member(role), &order, None).is_err());
            }
        }
    }

    #[test]
    fn the_muted_may_not_send() {
        let mut group = group();
        let mut muted = member(Role::Member);
        muted.muted_until = 100;
        assert!(group.may_send(&muted, 99).is_err());
        assert!(group.may_send(&muted, 100).is_ok());
        group.muted = true;
        assert!(group.may_send(&muted, 100).is_err());
        assert!(group.may_send(&member(Role::Admin), 100).is_ok());
    }

    #[test]
    fn who_becomes_a_member_again_is_still_owed_what_came_before() {
        let mut earlier = member(Role::Member);
        earlier.last = Some(8);
        let again = Member::new(Role::Member, 0, 12).after(earlier);
        assert_eq!(
            [5, 8, 9, 11, 12].map(|cseq| again.is_owed(cseq)),
            [true, true, false, false, true]
        );
    }

    #[test]
    fn whoever_leaves_is_none_behind_the_place_of_it() {
        let mut member = member(Role::Member);
        assert_eq!([4, 5].map(|head| member.stays_at(head)), [false, true]);
        member.last = Some(8);
        assert_eq!([7, 8].map(|head| member.stays_at(head)), [true, false]);
        // Gone between two places, and back at once.
        let again = Member::new(Role::Member, 0, 9).after(member);
        assert_eq!(
            [7, 8, 9].map(|head| again.stays_at(head)),
            [true, false, true]
        );
    }

    #[test]
    fn a_member_is_owed_what_came_while_they_were_one() {
        let mut member = member(Role::Member);
        assert_eq!(
            [4, 5, 9].map(|cseq| member.is_owed(cseq)),
            [false, true, true]
        );
        member.last = Some(8);
        assert_eq!(
            [5, 8, 9].map(|cseq| member.is_owed(cseq)),
            [true, true, false]
        );
    }
}
