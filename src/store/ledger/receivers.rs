//! How many members of a group have a message: what a member has is kept with the member, and counts of the latest
//! messages follow it in memory.
//!
//! A few members are looked through when a count is wanted. Of a larger group the counts of the latest messages are there,
//! all taken in one walk; that of an older one is taken when somebody asks for it, and so many members are looked at for
//! that in one commit.

use std::collections::BTreeMap;

use crate::id::{Cid, Seq, Uid};
use crate::machine::dedupe::Entry;
use crate::machine::group::Member;
use crate::message::Counted;
use crate::message::chat::Chat;

use super::chats::Roster;
use super::{EngineError, Ledger, RowRef, intact, record};

/// Members who are looked through for each count.
const FEW: usize = 64;
/// Messages of a larger group whose receivers are counted in memory.
const COUNTED: u64 = 1024;
/// Members that are looked at in one commit for counts of older messages; the request that passes it is answered.
const LOOKED_AT: usize = 200_000;

/// How many have messages of groups.
#[derive(Default)]
pub(super) struct Counts(BTreeMap<Cid, BTreeMap<Seq, u64>>);

impl Counts {
    /// How many have that one; 0 if nobody ever had it, or it is not to a group.
    pub(super) fn of(&self, to: Chat, entry: &Entry) -> u64 {
        let counts = to.group().and_then(|gid| self.0.get(&gid));
        let count = counts.and_then(|counts| counts.get(&entry.cseq));
        count.copied().unwrap_or(0)
    }
}

impl Roster {
    /// Something stands at the next place, and nobody has it.
    pub(super) fn append(&mut self, cseq: Seq) {
        self.head = cseq;
        if let Some(counts) = &mut self.counts {
            counts.insert(cseq, 0);
            if counts.len() as u64 > COUNTED {
                counts.pop_first();
            }
        }
    }

    /// A member has what stands at that place, or has written it; false if that is no news, or nothing of theirs.
    pub(super) fn take(&mut self, uid: Uid, cseq: Seq) -> bool {
        let Some(member) = self.members.get_mut(&uid) else {
            return false;
        };
        // Others go by the members there are.
        if !member.is_in() || !member.is_owed(cseq) || member.got.contains(cseq) {
            return false;
        }
        let closed = member.take(cseq);
        for (first, last) in closed.into_iter().chain([(cseq, cseq)]) {
            for (_, count) in self
                .counts
                .iter_mut()
                .flat_map(|c| c.range_mut(first..=last))
            {
                *count += 1;
            }
        }
        true
    }

    /// What somebody has who is a member no longer counts no more.
    pub(super) fn forget(&mut self, uid: Uid) {
        let Some(member) = self.members.get_mut(&uid) else {
            return;
        };
        let got = std::mem::take(&mut member.got);
        for (cseq, count) in self.counts.iter_mut().flatten() {
            *count = count.saturating_sub(u64::from(got.contains(*cseq)));
        }
    }

    /// How many have what stands at each of these places, which rise; authors among them.
    fn count(&self, places: &[Seq]) -> Vec<u64> {
        let mut change = vec![0i64; places.len() + 1];
        for member in self.members.values() {
            for (first, last) in member.got.iter() {
                let from = places.partition_point(|place| *place < first);
                let to = places.partition_point(|place| *place <= last);
                change[from] += 1;
                change[to] -= 1;
            }
        }
        let counts = change.iter().scan(0, |count, change| {
            *count += change;
            Some(count.unsigned_abs())
        });
        counts.take(places.len()).collect()
    }

    /// How many beside its author have a message; none if that is not at hand.
    fn count_beside(&mut self, author: Uid, cseq: Seq) -> Option<u64> {
        let count = match self.members.len() > FEW {
            true => *self.latest().get(&cseq)?,
            false => self.count(&[cseq]).pop()?,
        };
        Some(count.saturating_sub(self.own(author, cseq)))
    }

    fn latest(&mut self) -> &BTreeMap<Seq, u64> {
        let counts = self.counts.take().unwrap_or_else(|| {
            let first = (self.head + 1).saturating_sub(COUNTED).max(1);
            let places: Vec<Seq> = (first..=self.head).collect();
            let counts = self.count(&places);
            places.into_iter().zip(counts).collect()
        });
        self.counts.insert(counts)
    }

    /// 1 if its author, who does not count, has a message.
    fn own(&self, author: Uid, cseq: Seq) -> u64 {
        let has = |author: &Member| author.got.contains(cseq);
        u64::from(self.members.get(&author).is_some_and(has))
    }
}

impl Ledger {
    /// A member has what stands at that place of a group; nothing if it is none, or its members are not read. The caller
    /// has made room for a write.
    pub(super) fn takes_in_group(&mut self, gid: Cid, uid: Uid, cseq: Seq) -> bool {
        let roster = self.book.rosters.get_mut(&gid);
        let is_news = roster.is_some_and(|roster| roster.take(uid, cseq));
        if is_news {
            self.book.dirty_member(gid, uid);
        }
        is_news
    }

    /// A device of a member has a message of the group. The caller has read the members, and made room for two writes.
    pub(super) fn got(
        &mut self,
        now: u64,
        reader: Uid,
        gid: Cid,
        cseq: Seq,
        row: &RowRef,
    ) -> Result<(), EngineError> {
        if !self.takes_in_group(gid, reader, cseq) {
            return Ok(());
        }
        self.mark_delivered(gid, cseq, row)?;
        // Of an old one in a large group, whoever wants to know asks.
        if let Some(count) = self.count_at_hand(gid, row.from, cseq) {
            let counted = Counted {
                sender: row.from,
                id: row.id.clone(),
                gid,
                count,
                server_ts: now,
            };
            // Of one commit, the last count is all that its sender needs.
            self.counted_news.insert((gid, cseq), counted);
        }
        Ok(())
    }

    /// Whether a conversation is a group; one that cannot be read is none.
    pub(super) fn is_group(&mut self, cid: Cid) -> Result<bool, EngineError> {
        let found = self
            .conversation(cid)
            .map(|found| found.is_some_and(|c| c.group().is_some()));
        Ok(intact(found)?.unwrap_or(false))
    }

    /// How many beside its author have a message, if that is at hand and the members are read.
    pub(super) fn count_at_hand(&mut self, gid: Cid, author: Uid, cseq: Seq) -> Option<u64> {
        let roster = self.book.rosters.get_mut(&gid)?;
        roster.count_beside(author, cseq)
    }

    /// Says in the index that somebody has it: that stays so when they leave.
    fn mark_delivered(&mut self, gid: Cid, cseq: Seq, row: &RowRef) -> Result<(), EngineError> {
        let key = record::dedupe_key(Chat::Group(gid), row.from, &row.id);
        let entry = intact(self.entry(&key))?.flatten();
        let Some(entry) = entry.filter(|entry| entry.cseq == cseq && !entry.expired) else {
            return Ok(());
        };
        if !entry.delivered {
            let delivered = Entry {
                delivered: true,
                ..entry
            };
            self.batch.put(key, record::encode_entry(&delivered)?);
        }
        Ok(())
    }

    /// Counts who beside their author has these messages; none if the commit at hand has counted enough.
    pub(super) fn counts_of<'a>(
        &mut self,
        author: Uid,
        messages: impl IntoIterator<Item = (Chat, &'a Entry)>,
    ) -> Result<Option<Counts>, EngineError> {
        let mut all = Counts::default();
        for (to, entry) in messages {
            if let (Chat::Group(gid), true) = (to, entry.delivered) {
                all.0.entry(gid).or_default().insert(entry.cseq, 0);
            }
        }
        let is_enough = self.looked_at >= LOOKED_AT;
        for (gid, counts) in &mut all.0 {
            let roster = self.roster(*gid)?;
            let mut older = Vec::new();
            for (cseq, count) in counts.iter_mut() {
                match roster.count_beside(author, *cseq) {
                    Some(at_hand) => *count = at_hand,
                    None => older.push(*cseq),
                }
            }
            if older.is_empty() {
                continue;
            }
            if is_enough {
                return Ok(None);
            }
            for (cseq, count) in older.iter().zip(roster.count(&older)) {
                let count = count.saturating_sub(roster.own(author, *cseq));
                counts.insert(*cseq, count);
            }
            let members = roster.members.len();
            self.looked_at += members;
        }
        Ok(Some(all))
    }
}
