//! What is ordered of groups, as the commits see it.

use crate::id::{Cid, MsgId, Seq, Uid};
use crate::machine::conversation::Parties;
use crate::machine::dedupe::{self, Entry};
use crate::machine::group::{Group, Member, NO_MEMBER};
use crate::message::group::{Invited, Joining, NAME_MAX, NAMED_MAX, Order, Role, Uninvited};
use crate::message::notice::{About, FOR_GOOD};
use crate::message::{Answer, Refusal, Unwanted, digest};

use super::{EngineError, Ledger, PER_MESSAGE, record};

impl Ledger {
    pub(super) fn group_order(
        &mut self,
        now: u64,
        by: Uid,
        gid: Cid,
        order: &Order,
    ) -> Result<Answer, EngineError> {
        if let Err(why) = check(order) {
            return Ok(Answer::Refused(Refusal::Senseless(why)));
        }
        match order {
            Order::Create {
                id,
                name,
                members,
                joining,
            } => return self.found_group(now, by, id, name, members, *joining),
            Order::Join => return self.join(now, by, gid),
            _ => {}
        }
        let member = match self.member_in(gid, by)? {
            Ok(member) => member.clone(),
            Err(refusal) => return Ok(Answer::Refused(refusal)),
        };
        let of = match order {
            Order::Remove(uid) | Order::SetRole(uid, _) | Order::Mute(uid, _) => {
                match self.member_in(gid, *uid)? {
                    Ok(member) => Some(member.clone()),
                    Err(_) => {
                        return Ok(Answer::Refused(Refusal::Missing(
                            "that user is no member of this group",
                        )));
                    }
                }
            }
            _ => None,
        };
        let Some(group) = self.conversation(gid)?.and_then(|c| c.group()).cloned() else {
            return Ok(Answer::Refused(Refusal::Forbidden(NO_MEMBER)));
        };
        if let Err(why) = group.may(&member, order, of.as_ref()) {
            return Ok(Answer::Refused(Refusal::Forbidden(why)));
        }
        match order {
            Order::Create { .. } | Order::Join => {}
            Order::Update {
                name,
                joining,
                muted,
            } => self.update(now, by, gid, &group, (name.as_deref(), *joining, *muted))?,
            Order::Dissolve => self.dissolve(now, by, gid)?,
            Order::Leave if group.dissolved => {
                self.make_room(PER_MESSAGE)?;
                let head = self.conversation(gid)?.map_or(0, |c| c.head());
                self.leave(gid, by, head)?;
                self.forget_members(gid)?;
                return Ok(Answer::Done);
            }
            Order::Leave if group.members <= 1 => {
                // Room for the end of the group and for the leaving together.
                self.make_room(2 * PER_MESSAGE)?;
                self.mark_dissolved(gid)?;
                self.tell_leaving(now, by, gid, by, &About::GroupDissolved)?;
                return Ok(Answer::Done);
            }
            Order::Leave => {
                self.tell_leaving(now, by, gid, by, &About::GroupLeft(by))?;
                return Ok(Answer::Done);
            }
            Order::Remove(uid) => {
                self.tell_leaving(now, by, gid, *uid, &About::GroupRemoved(*uid))?;
                return Ok(Answer::Done);
            }
            Order::Invite(uids) => return self.invite(now, by, gid, uids),
            Order::SetRole(uid, role) => return self.set_role(now, by, gid, *uid, *role),
            Order::Mute(uid, until) => {
                self.make_room(PER_MESSAGE)?;
                let muted = self.member_mut(gid, *uid)?;
                muted.muted_until = *until;
                let view = muted.view(*uid);
                if of.is_some_and(|of| of.muted_until != *until) {
                    let about = About::GroupMuted(Some(*uid), *until);
                    self.notice_to_group(now, by, gid, &about)?;
                }
                return Ok(Answer::Member(view));
            }
        }
        self.group_view(gid, member.role)
    }

    fn group_view(&mut self, gid: Cid, role: Role) -> Result<Answer, EngineError> {
        let group = self.conversation(gid)?.and_then(|c| c.group());
        Ok(match group {
            Some(group) => Answer::Group(group.view(gid, role)),
            None => Answer::Refused(Refusal::Forbidden(NO_MEMBER)),
        })
    }

    fn found_group(
        &mut self,
        now: u64,
        by: Uid,
        id: &MsgId,
        name: &str,
        members: &[Uid],
        joining: Joining,
    ) -> Result<Answer, EngineError> {
        self.apply()?;
        let key = record::founding_key(by, id);
        let found = self.entry(&key)?;
        let is_known = found.is_some();
        if let Some(entry) = found
            && !dedupe::is_forgotten(&entry, now, self.policy.dedupe_ms())
        {
            if entry.digest != digest("group", name) {
                return Ok(Answer::Refused(Refusal::Conflict));
            }
            let gid = Cid(entry.cseq);
            if !self.is_unsaid(gid, by)? {
                return self.group_view(gid, Role::Owner);
            }
            return self.gather(now, by, gid, name, members);
        }
        if !self.takes_new {
            return Ok(Answer::Refused(Refusal::NearlyFull));
        }
        if self.groups_of(by)? >= self.policy.people.max_groups {
            return Ok(Answer::Refused(Refusal::Forbidden(
                "in as many groups as one user may be",
            )));
        }
        self.make_room(PER_MESSAGE)?;
        let group = Group {
            name: name.into(),
            owner: by,
            joining,
            muted: false,
            created_ms: now,
            dissolved: false,
            members: 0,
        };
        let gid = self.begin_chat(Parties::Group(group), now)?;
        let entry = Entry::new(0, digest("group", name), now, gid.0);
        self.write_entry(key, &entry, is_known)?;
        self.book
            .rosters
            .insert(gid, super::chats::Roster::default());
        self.admit_member(now, gid, by, Role::Owner)?;
        self.gather(now, by, gid, name, members)
    }

    /// Whether a crash came between the founding of a group and the word of it.
    fn is_unsaid(&mut self, gid: Cid, by: Uid) -> Result<bool, EngineError> {
        let head = self.conversation(gid)?.map_or(0, |c| c.head());
        let founder = self.roster(gid)?.members.get(&by);
        Ok(founder.is_some_and(|founder| founder.is_in() && founder.joined > head))
    }

    /// Gives a group its first members, besides those whom it has, and says so.
    fn gather(
        &mut self,
        now: u64,
        by: Uid,
        gid: Cid,
        name: &str,
        members: &[Uid],
    ) -> Result<Answer, EngineError> {
        for uid in members {
            if let Ok(()) = self.may_be_invited(by, gid, *uid)? {
                self.make_room(PER_MESSAGE)?;
                self.admit_member(now, gid, *uid, Role::Member)?;
            }
        }
        self.make_room(PER_MESSAGE)?;
        let all = self.roster(gid)?.members.keys().copied().collect();
        let about = About::GroupCreated(name.into(), all);
        self.notice_to_group(now, by, gid, &about)?;
        self.group_view(gid, Role::Owner)
    }

    fn join(&mut self, now: u64, by: Uid, gid: Cid) -> Result<Answer, EngineError> {
        if let Ok(member) = self.member_in(gid, by)? {
            let role = member.role;
            return self.group_view(gid, role);
        }
        let is_open = self
            .conversation(gid)?
            .and_then(|c| c.group())
            .is_some_and(|group| group.joining == Joining::Open && !group.dissolved);
        if !is_open {
            return Ok(Answer::Refused(Refusal::Forbidden(NO_MEMBER)));
        }
        if self.is_full_group(gid)? {
            return Ok(Answer::Refused(Refusal::Forbidden("this group is full")));
        }
        self.apply()?;
        if self.groups_of(by)? >= self.policy.people.max_groups {
            return Ok(Answer::Refused(Refusal::Forbidden(
                "in as many groups as one user may be",
            )));
        }
        self.make_room(PER_MESSAGE)?;
        self.admit_member(now, gid, by, Role::Member)?;
        self.notice_to_group(now, by, gid, &About::GroupJoined(vec![by]))?;
        self.group_view(gid, Role::Member)
    }

    fn invite(&mut self, now: u64, by: Uid, gid: Cid, uids: &[Uid]) -> Result<Answer, EngineError> {
        let mut invited = Invited::default();
        let mut unsaid = Vec::new();
        self.apply()?;
        for uid in uids {
            match self.may_be_invited(by, gid, *uid)? {
                Ok(()) => {
                    // Nobody becomes a member in one batch who is named in the next: a crash would leave them unnamed.
                    if self.room_left() < PER_MESSAGE + 4 {
                        self.say_joined(now, by, gid, &mut unsaid)?;
                        self.make_room(2 * PER_MESSAGE)?;
                    }
                    self.admit_member(now, gid, *uid, Role::Member)?;
                    unsaid.push(*uid);
                    invited.added.push(*uid);
                }
                Err(why) => invited.refused.push((*uid, why)),
            }
        }
        self.say_joined(now, by, gid, &mut unsaid)?;
        Ok(Answer::Invited(invited))
    }

    fn say_joined(
        &mut self,
        now: u64,
        by: Uid,
        gid: Cid,
        unsaid: &mut Vec<Uid>,
    ) -> Result<(), EngineError> {
        match std::mem::take(unsaid) {
            joined if joined.is_empty() => Ok(()),
            joined => self.notice_to_group(now, by, gid, &About::GroupJoined(joined)),
        }
    }

    fn may_be_invited(
        &mut self,
        by: Uid,
        gid: Cid,
        uid: Uid,
    ) -> Result<Result<(), Uninvited>, EngineError> {
        let member = self.roster(gid)?.members.get(&uid);
        if member.is_some_and(Member::is_in) {
            return Ok(Err(Uninvited::Member));
        }
        match self.takes(uid, by)? {
            Err(Unwanted::InDenylist) => return Ok(Err(Uninvited::Denied)),
            Err(Unwanted::NotAFriend) => return Ok(Err(Uninvited::NotAFriend)),
            Ok(()) => {}
        }
        if self.is_full_group(gid)? {
            return Ok(Err(Uninvited::Full));
        }
        match self.groups_of(uid)? >= self.policy.people.max_groups {
            true => Ok(Err(Uninvited::TooManyGroups)),
            false => Ok(Ok(())),
        }
    }

    fn is_full_group(&mut self, gid: Cid) -> Result<bool, EngineError> {
        let most = self.policy.people.max_members;
        let group = self.conversation(gid)?.and_then(|c| c.group());
        Ok(group.is_some_and(|group| group.members >= most))
    }

    /// How many groups a user is in, as far as it matters. An order that asks has had the batch applied before it began.
    fn groups_of(&mut self, uid: Uid) -> Result<usize, EngineError> {
        let most = self.policy.people.max_groups;
        let mut groups = 0;
        self.engine.scan(
            &record::joined_key(uid, Cid(0)),
            &record::joined_key(uid, Cid(u64::MAX)),
            &mut |_, _| {
                groups += 1;
                groups < most
            },
        )?;
        Ok(groups)
    }

    /// Makes somebody a member from the next place on; the caller has made room.
    fn admit_member(
        &mut self,
        now: u64,
        gid: Cid,
        uid: Uid,
        role: Role,
    ) -> Result<(), EngineError> {
        let next = self.conversation(gid)?.map_or(1, |c| c.head() + 1);
        let member = Member::new(role, now, next);
        let members = &mut self.roster(gid)?.members;
        let member = match members.remove(&uid) {
            Some(earlier) => member.after(earlier),
            None => member,
        };
        members.insert(uid, member);
        self.book.dirty_member(gid, uid);
        self.batch
            .put(record::list_key(uid, gid), super::lists::A_GROUP.to_vec());
        self.batch.put(record::joined_key(uid, gid), Vec::new());
        if let Some(group) = self.conversation_mut(gid)?.group_mut() {
            group.members += 1;
        }
        Ok(())
    }

    /// Says that somebody is a member no longer, to them too; the place of this is the last that they are owed.
    fn tell_leaving(
        &mut self,
        now: u64,
        by: Uid,
        gid: Cid,
        uid: Uid,
        about: &About,
    ) -> Result<(), EngineError> {
        self.make_room(PER_MESSAGE)?;
        let next = self.conversation(gid)?.map_or(1, |c| c.head() + 1);
        self.leave(gid, uid, next)?;
        self.notice_to_group(now, by, gid, about)?;
        self.forget_members(gid)
    }

    /// Ends a membership behind that place; the caller has made room.
    fn leave(&mut self, gid: Cid, uid: Uid, last: Seq) -> Result<(), EngineError> {
        self.member_mut(gid, uid)?.last = Some(last);
        self.roster(gid)?.forget(uid);
        self.batch.delete(record::list_key(uid, gid));
        self.batch.delete(record::joined_key(uid, gid));
        if let Some(group) = self.conversation_mut(gid)?.group_mut() {
            group.members = group.members.saturating_sub(1);
        }
        Ok(())
    }

    fn dissolve(&mut self, now: u64, by: Uid, gid: Cid) -> Result<(), EngineError> {
        self.make_room(PER_MESSAGE)?;
        self.mark_dissolved(gid)?;
        self.notice_to_group(now, by, gid, &About::GroupDissolved)
    }

    fn mark_dissolved(&mut self, gid: Cid) -> Result<(), EngineError> {
        if let Some(group) = self.conversation_mut(gid)?.group_mut() {
            group.dissolved = true;
        }
        Ok(())
    }

    fn update(
        &mut self,
        now: u64,
        by: Uid,
        gid: Cid,
        before: &Group,
        (name, joining, muted): (Option<&str>, Option<Joining>, Option<bool>),
    ) -> Result<(), EngineError> {
        let mut notices = Vec::new();
        self.make_room(PER_MESSAGE)?;
        if let Some(group) = self.conversation_mut(gid)?.group_mut() {
            if let Some(name) = name.filter(|name| **name != *before.name) {
                group.name = name.into();
                notices.push(About::GroupRenamed(name.into()));
            }
            if let Some(joining) = joining.filter(|joining| *joining != before.joining) {
                group.joining = joining;
                notices.push(About::GroupJoinRule(joining));
            }
            if let Some(muted) = muted.filter(|muted| *muted != before.muted) {
                group.muted = muted;
                let until = if muted { FOR_GOOD } else { 0 };
                notices.push(About::GroupMuted(None, until));
            }
        }
        // All of them in the batch of the change.
        for about in notices {
            self.notice_to_group(now, by, gid, &about)?;
        }
        Ok(())
    }

    fn set_role(
        &mut self,
        now: u64,
        by: Uid,
        gid: Cid,
        uid: Uid,
        role: Role,
    ) -> Result<Answer, EngineError> {
        self.make_room(PER_MESSAGE)?;
        let member = self.member_mut(gid, uid)?;
        let before = std::mem::replace(&mut member.role, role);
        let view = member.view(uid);
        if before == role {
            return Ok(Answer::Member(view));
        }
        if role == Role::Owner {
            self.member_mut(gid, by)?.role = Role::Admin;
            if let Some(group) = self.conversation_mut(gid)?.group_mut() {
                group.owner = uid;
            }
        }
        self.notice_to_group(now, by, gid, &About::GroupRole(uid, role))?;
        Ok(Answer::Member(view))
    }
}

fn check(order: &Order) -> Result<(), &'static str> {
    let name = match order {
        Order::Create { name, .. } => Some(name),
        Order::Update { name, .. } => name.as_ref(),
        _ => None,
    };
    if name.is_some_and(|name| name.trim().is_empty()) {
        return Err("the name of a group is empty");
    }
    if name.is_some_and(|name| name.len() > NAME_MAX) {
        return Err("the name of a group is longer than 256 bytes");
    }
    match order {
        Order::Create { members, .. } | Order::Invite(members) if members.len() > NAMED_MAX => {
            Err("more than 500 users in one order")
        }
        _ => Ok(()),
    }
}
