//! Conversations as the commits see them: kept in memory between commits, written with the batch that changes them.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};

use foldhash::fast::RandomState;

use crate::id::{Cid, Seq, Uid};
use crate::machine::contact::Relation;
use crate::machine::conversation::{Conversation, Parties};
use crate::machine::group::{Member, NO_MEMBER};
use crate::message::chat::{Chat, Standing};
use crate::message::{Answer, Message, Refusal};

use super::fanout::Task;
use super::lists::A_PAIR;
use super::{Batch, EngineError, Ledger, intact, record};

/// Conversations, pairs and relations kept in memory between commits, of each.
const CACHED: usize = 50_000;
/// Members of groups kept in memory between commits.
const CACHED_MEMBERS: usize = 250_000;

/// What is kept in memory of conversations.
#[derive(Debug, Default)]
pub(super) struct Book {
    conversations: HashMap<Cid, Conversation, RandomState>,
    dirty: HashSet<Cid, RandomState>,
    pairs: HashMap<(Uid, Uid), Cid, RandomState>,
    pub(super) rosters: HashMap<Cid, Roster, RandomState>,
    dirty_members: HashSet<(Cid, Uid), RandomState>,
    /// How often members were asked for.
    asked: u64,
    pub(super) relations: HashMap<(Uid, Uid), Relation, RandomState>,
    /// What the ids of notices are made with; none until it is asked for.
    pub(super) notice_key: Option<[u8; 16]>,
    /// The last number of a conversation that was given out; none until it is asked for.
    last: Option<u64>,
    /// Groups with something on its way, in turn; none until the store was looked through.
    pub(super) turns: Option<VecDeque<Cid>>,
    /// What is on its way in each of them, in order, under its number.
    pub(super) tasks: HashMap<Cid, VecDeque<(u64, Task)>, RandomState>,
}

/// Lets go of those that were used longest ago, until what is left weighs so much at most; some have to stay.
fn evict(
    rosters: &mut HashMap<Cid, Roster, RandomState>,
    most: usize,
    stays: impl Fn(&Cid) -> bool,
) {
    let mut weight: usize = rosters.values().map(Roster::weight).sum();
    if weight <= most {
        return;
    }
    let mut order: Vec<(u64, Cid)> = rosters.iter().map(|(gid, r)| (r.used, *gid)).collect();
    order.sort_unstable();
    for (_, gid) in order {
        if weight <= most {
            break;
        }
        if !stays(&gid) {
            weight -= rosters.remove(&gid).map_or(0, |roster| roster.weight());
        }
    }
}

/// The members of a group, and how many have its latest messages.
#[derive(Debug, Default)]
pub(super) struct Roster {
    pub(super) members: BTreeMap<Uid, Member>,
    /// The last place of the group.
    pub(super) head: Seq,
    /// Of every place that is one of the latest, authors among those who have it; none until that is wanted.
    pub(super) counts: Option<BTreeMap<Seq, u64>>,
    /// When it was asked for last, in the order of what was asked for.
    used: u64,
}

impl Roster {
    /// What it takes of memory, in members.
    fn weight(&self) -> usize {
        self.members.len() + self.counts.as_ref().map_or(0, BTreeMap::len) / 8
    }
}

impl Book {
    /// Records that the next batch has to write.
    pub(super) fn dirty(&self) -> usize {
        self.dirty.len() + self.dirty_members.len()
    }

    /// Writes what was changed.
    pub(super) fn write(&mut self, batch: &mut Batch) -> Result<(), EngineError> {
        for cid in self.dirty.drain() {
            if let Some(conversation) = self.conversations.get(&cid) {
                batch.put(record::chat_key(cid), record::encode(conversation)?);
            }
        }
        for (gid, uid) in self.dirty_members.drain() {
            let roster = self.rosters.get(&gid);
            let key = record::member_key(gid, uid);
            match roster.and_then(|roster| roster.members.get(&uid)) {
                Some(member) => batch.put(key, record::encode(member)?),
                None => batch.delete(key),
            }
        }
        Ok(())
    }

    /// Lets go of what is too much; everything was written.
    pub(super) fn trim(&mut self) {
        if self.conversations.len() > CACHED {
            self.conversations.clear();
        }
        if self.pairs.len() > CACHED {
            self.pairs.clear();
        }
        if self.relations.len() > CACHED {
            self.relations.clear();
        }
        evict(&mut self.rosters, CACHED_MEMBERS, |gid| {
            self.tasks.contains_key(gid)
        });
    }

    pub(super) fn dirty_member(&mut self, gid: Cid, uid: Uid) {
        self.dirty_members.insert((gid, uid));
    }
}

impl Ledger {
    /// A conversation, if there is one of that number.
    pub(super) fn conversation(&mut self, cid: Cid) -> Result<Option<&Conversation>, EngineError> {
        if !self.book.conversations.contains_key(&cid) {
            let Some(found) = self.load(&record::chat_key(cid))? else {
                return Ok(None);
            };
            self.book.conversations.insert(cid, found);
        }
        Ok(self.book.conversations.get(&cid))
    }

    /// A conversation that is there, to be written with the batch at hand.
    pub(super) fn conversation_mut(&mut self, cid: Cid) -> Result<&mut Conversation, EngineError> {
        self.conversation(cid)?;
        self.book.dirty.insert(cid);
        let found = self.book.conversations.get_mut(&cid);
        found.ok_or_else(|| is_missing(cid))
    }

    /// Begins a conversation; the caller has made room for two writes.
    pub(super) fn begin_chat(&mut self, parties: Parties, now: u64) -> Result<Cid, EngineError> {
        let start = self.load(record::START_KEY)?.unwrap_or(0);
        let last = match self.book.last {
            Some(last) => last,
            None => self.load(record::CHATS_KEY)?.unwrap_or(0),
        };
        let cid = Cid(last + 1);
        self.book.last = Some(cid.0);
        self.batch
            .put(record::CHATS_KEY.to_vec(), record::encode(&cid.0)?);
        let conversation = Conversation::new(parties, now, start);
        self.book.conversations.insert(cid, conversation);
        self.book.dirty.insert(cid);
        Ok(cid)
    }

    /// The conversation of two users, if they have one.
    pub(super) fn pair(&mut self, a: Uid, b: Uid) -> Result<Option<Cid>, EngineError> {
        let pair = (a.min(b), a.max(b));
        if let Some(cid) = self.book.pairs.get(&pair) {
            return Ok(Some(*cid));
        }
        let found: Option<Cid> = self.load(&record::pair_key(a, b))?;
        if let Some(cid) = found {
            self.book.pairs.insert(pair, cid);
        }
        Ok(found)
    }

    /// The conversation of two users, which begins here if they have none.
    pub(super) fn chat_between(&mut self, a: Uid, b: Uid, now: u64) -> Result<Cid, EngineError> {
        if let Some(cid) = self.pair(a, b)? {
            // What is not there, or cannot be read, stops the request before it has changed anything.
            return match self.conversation(cid)? {
                Some(_) => Ok(cid),
                None => Err(is_missing(cid)),
            };
        }
        self.make_room(6)?;
        let start = self.load(record::START_KEY)?.unwrap_or(0);
        let two = Conversation::between(a, b, now, start);
        let cid = self.begin_chat(two.parties, now)?;
        self.batch
            .put(record::pair_key(a, b), record::encode(&cid)?);
        for uid in [a, b] {
            self.batch.put(record::list_key(uid, cid), A_PAIR.to_vec());
        }
        self.book.pairs.insert((a.min(b), a.max(b)), cid);
        Ok(cid)
    }

    /// The number of a conversation that somebody may take part in; none if two users have none yet.
    pub(super) fn chat_of(
        &mut self,
        uid: Uid,
        chat: Chat,
    ) -> Result<Result<Option<Cid>, Refusal>, EngineError> {
        match chat {
            Chat::User(peer) => Ok(Ok(self.pair(uid, peer)?)),
            Chat::Group(gid) => Ok(self.member_in(gid, uid)?.map(|_| Some(gid))),
        }
    }

    /// Where somebody stands.
    pub(super) fn standing(&mut self, uid: Uid, chat: Chat) -> Result<Answer, EngineError> {
        let cid = match self.chat_of(uid, chat)? {
            Ok(Some(cid)) => cid,
            Ok(None) => return Ok(Answer::Standing(Standing::default())),
            Err(refusal) => return Ok(Answer::Refused(refusal)),
        };
        let sees_all = self.policy.people.history_before_join;
        let (first, read) = match chat {
            Chat::User(_) => {
                let place = self.conversation(cid)?.and_then(|c| c.place(uid));
                (1, place.map_or(0, |place| place.read()))
            }
            Chat::Group(_) => match self.member_in(cid, uid)? {
                Ok(member) if sees_all => (1, member.place.read()),
                Ok(member) => (member.joined, member.place.read()),
                Err(refusal) => return Ok(Answer::Refused(refusal)),
            },
        };
        let head = self.conversation(cid)?.map_or(0, Conversation::head);
        Ok(Answer::Standing(Standing {
            cid,
            first,
            head,
            read,
        }))
    }

    /// The roster of a group; empty if there is no such group.
    pub(super) fn roster(&mut self, gid: Cid) -> Result<&mut Roster, EngineError> {
        if !self.book.rosters.contains_key(&gid) {
            // The scan does not see the batch at hand.
            self.apply()?;
            let mut roster = Roster::default();
            let (from, to) = (
                record::member_key(gid, Uid(0)),
                record::member_key(gid, Uid(u64::MAX)),
            );
            let mut failed = None;
            self.engine.scan(&from, &to, &mut |key, value| {
                match record::decode::<Member>(key, value) {
                    Ok(member) => {
                        let uid = record::numbers(key).map(|(_, uid)| Uid(uid));
                        roster.members.extend(uid.map(|uid| (uid, member)));
                    }
                    // It costs that member only.
                    Err(EngineError::Damaged(why)) => log::error!("passed over: {why}"),
                    Err(error) => failed = Some(error),
                }
                failed.is_none()
            })?;
            if let Some(error) = failed {
                return Err(error);
            }
            let head = self.conversation(gid).map(|found| found.map(|c| c.head()));
            roster.head = intact(head)?.flatten().unwrap_or(0);
            self.book.rosters.insert(gid, roster);
        }
        self.book.asked += 1;
        let roster = self.book.rosters.entry(gid).or_default();
        roster.used = self.book.asked;
        Ok(roster)
    }

    /// A member of a group, or what whoever is none is told, whether or not there is such a group.
    pub(super) fn member_in(
        &mut self,
        gid: Cid,
        uid: Uid,
    ) -> Result<Result<&Member, Refusal>, EngineError> {
        let no_member = Err(Refusal::Forbidden(NO_MEMBER));
        let is_group = self.conversation(gid)?.is_some_and(|c| c.group().is_some());
        if !is_group {
            return Ok(no_member);
        }
        let member = self.roster(gid)?.members.get(&uid);
        Ok(member
            .filter(|member| member.is_in())
            .ok_or(Refusal::Forbidden(NO_MEMBER)))
    }

    /// A member who is there, to be written with the batch at hand.
    pub(super) fn member_mut(&mut self, gid: Cid, uid: Uid) -> Result<&mut Member, EngineError> {
        self.roster(gid)?;
        self.book.dirty_member(gid, uid);
        let roster = self.book.rosters.entry(gid).or_default();
        roster
            .members
            .get_mut(&uid)
            .ok_or_else(|| EngineError::Damaged(format!("user {uid} is no member of group {gid}")))
    }

    /// The members of a group besides one.
    pub(super) fn members_but(&mut self, gid: Cid, but: Uid) -> Result<Vec<Uid>, EngineError> {
        let members = self.roster(gid)?.members.iter();
        let others = members.filter(|(uid, member)| **uid != but && member.is_in());
        Ok(others.map(|(uid, _)| *uid).collect())
    }

    /// A message in its conversation.
    pub(super) fn message(&self, cid: Cid, cseq: Seq) -> Result<Option<Message>, EngineError> {
        let found: Option<Message> = self.load(&record::history_key(cid, cseq))?;
        Ok(found.map(|message| Message { cseq, ..message }))
    }
}

fn is_missing(cid: Cid) -> EngineError {
    EngineError::Damaged(format!("conversation {cid} is named and not there"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::group::Role;

    #[test]
    fn the_members_that_were_asked_for_last_stay_in_memory() {
        let mut rosters: HashMap<Cid, Roster, RandomState> = HashMap::default();
        for (gid, used) in [(1, 5), (2, 3), (3, 9), (4, 1)] {
            let roster = rosters.entry(Cid(gid)).or_default();
            roster.used = used;
            for uid in 0..10 {
                let member = Member::new(Role::Member, 0, 1);
                roster.members.insert(Uid(uid), member);
            }
        }
        let left = |rosters: &HashMap<Cid, Roster, RandomState>| {
            let mut left: Vec<u64> = rosters.keys().map(|Cid(gid)| *gid).collect();
            left.sort_unstable();
            left
        };
        evict(&mut rosters, 40, |_| false);
        assert_eq!(left(&rosters), [1, 2, 3, 4]);
        // Something is on its way in the one that was asked for longest ago.
        evict(&mut rosters, 35, |gid| *gid == Cid(4));
        assert_eq!(left(&rosters), [1, 3, 4]);
        evict(&mut rosters, 10, |_| false);
        assert_eq!(left(&rosters), [3]);
    }
}
