//! How a message reaches the members of a group: one stored body, a row for each member, in steps.
//!
//! A small group has all of its rows in the commit of the message. In a large one they follow in steps between other
//! commits, in the order of the messages, and what is left of them survives in the store.

use std::collections::VecDeque;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::id::{Cid, Did, MsgId, Seq, Uid};
use crate::machine::group::Member;
use crate::message::Fate;
use crate::message::hook::Reason;

use super::rows::Told;
use super::{EngineError, Ledger, PER_MESSAGE, Sort, intact, record};

/// Members whose rows come with the message itself.
const AT_ONCE: usize = 64;
/// Members of whom one step takes care.
const STEP: usize = 256;

/// Something on its way to the members of a group.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Task {
    cseq: Seq,
    sort: Sort,
    id: MsgId,
    since: u64,
    /// Whose doing it is, and on which device.
    by: Option<(Uid, Option<Did>)>,
    /// Members up to this one are done with.
    done: Option<Uid>,
    /// Who is owed it: members at this place of the group, and of a change those who are members behind it as well.
    at: Seq,
}

/// Reads a record of what is on its way to members.
pub fn check_task(key: &[u8], value: &[u8]) -> Result<(), EngineError> {
    record::decode::<Task>(key, value).map(drop)
}

impl Task {
    /// Whether it is for that member, where members see what was said before they joined or do not.
    fn is_for(&self, uid: Uid, member: &Member, sees_all: bool) -> bool {
        if !matches!(self.sort, Sort::Edit | Sort::Revoke) {
            return member.is_owed(self.at);
        }
        // A change has the payload: it is for those who may see the message, and are there when it is made.
        let is_by = self.by.as_ref().is_some_and(|(by, _)| *by == uid);
        member.stays_at(self.at) && (is_by || sees_all || member.is_owed(self.cseq))
    }
}

impl Ledger {
    /// Tells the members of a group; the caller has made room for two writes, and the group is there.
    pub(super) fn tell_members(
        &mut self,
        told: Told,
        by: Option<(Uid, Option<Did>)>,
    ) -> Result<(), EngineError> {
        let gid = told.cid;
        let at = match told.sort {
            Sort::C2g | Sort::Notice => told.message.cseq,
            _ => self.conversation(gid)?.map_or(0, |c| c.head()),
        };
        let task = Task {
            cseq: told.message.cseq,
            sort: told.sort,
            id: told.id.clone(),
            since: told.since,
            by,
            done: None,
            at,
        };
        self.load_tasks()?;
        let members = self.roster(gid)?.members.len();
        let waits = self.book.tasks.contains_key(&gid);
        // Without room for all of them in the batch of the message, a crash could leave it with some.
        let each = 3 + usize::from(self.is_the_end(&told)?);
        let has_room = each * members + PER_MESSAGE <= self.room_left();
        if members <= AT_ONCE && !waits && has_room {
            self.tell_some(&told, &task, AT_ONCE)?;
            return Ok(());
        }
        let tasks = self.book.tasks.entry(gid).or_default();
        let number = tasks.back().map_or(1, |(number, _)| number + 1);
        self.batch
            .put(record::fanout_key(gid, number), record::encode(&task)?);
        if tasks.is_empty() {
            self.book.turns.get_or_insert_default().push_back(gid);
        }
        tasks.push_back((number, task));
        Ok(())
    }

    /// Whether there is something to do without a request: anything is on its way to members, or the queue of events is
    /// behind.
    pub fn has_more(&self) -> bool {
        let turns = self.book.turns.as_ref();
        self.events.is_behind || turns.is_none_or(|turns| !turns.is_empty())
    }

    /// Takes one step for the group whose turn it is.
    pub(super) fn fan_out(&mut self, now: u64) -> Result<(), EngineError> {
        self.load_tasks()?;
        let Some(gid) = self
            .book
            .turns
            .as_ref()
            .and_then(|turns| turns.front().copied())
        else {
            return Ok(());
        };
        let first = self.book.tasks.get(&gid).and_then(VecDeque::front).cloned();
        if let Some((number, task)) = first {
            self.fan_out_some(now, gid, number, task)?;
        }
        let is_over = self.book.tasks.get(&gid).is_none_or(VecDeque::is_empty);
        if let Some(turns) = self.book.turns.as_mut() {
            turns.pop_front();
            if !is_over {
                turns.push_back(gid);
            }
        }
        if is_over {
            self.book.tasks.remove(&gid);
            self.forget_members(gid)?;
        }
        Ok(())
    }

    fn fan_out_some(
        &mut self,
        now: u64,
        gid: Cid,
        number: u64,
        mut task: Task,
    ) -> Result<(), EngineError> {
        let message = intact(self.message(gid, task.cseq))?.flatten();
        let is_told = message.filter(|message| match task.sort {
            Sort::Revoke => matches!(message.fate, Fate::Revoked(_)),
            _ => !message.is_gone() && !message.is_over(now),
        });
        let is_done = match is_told {
            None => true,
            Some(message) => {
                let told = Told {
                    cid: gid,
                    message: Arc::new(message),
                    sort: task.sort,
                    id: task.id.clone(),
                    since: task.since,
                };
                task.done = self.tell_some(&told, &task, STEP)?;
                task.done.is_none()
            }
        };
        self.make_room(1)?;
        let key = record::fanout_key(gid, number);
        let tasks = self.book.tasks.entry(gid).or_default();
        if is_done {
            tasks.pop_front();
            self.batch.delete(key);
        } else {
            self.batch.put(key, record::encode(&task)?);
            if let Some(first) = tasks.front_mut() {
                *first = (number, task);
            }
        }
        Ok(())
    }

    /// Gives the next `most` members their rows; returns the last one who was looked at, or none if nobody is left.
    fn tell_some(
        &mut self,
        told: &Told,
        task: &Task,
        most: usize,
    ) -> Result<Option<Uid>, EngineError> {
        let bounds = self.policy.bounds;
        let sees_all = self.policy.people.history_before_join;
        let from = match task.done {
            Some(Uid(done)) => done.checked_add(1),
            None => Some(0),
        };
        let Some(from) = from else {
            return Ok(None);
        };
        let members = self.roster(told.cid)?.members.range(Uid(from)..);
        let members: Vec<(Uid, bool)> = members
            .take(most)
            .map(|(uid, member)| (*uid, task.is_for(*uid, member, sees_all)))
            .collect();
        let last = members.last().filter(|_| members.len() == most);
        let last = last.map(|(uid, _)| *uid);
        let is_the_end = self.is_the_end(told)?;
        let mut alone = Vec::new();
        for (uid, is_owed) in members {
            if !is_owed {
                continue;
            }
            // A step that is cut in two has no more than its members; what is done twice after a crash was not told.
            if self.room_left() < 8 {
                let parked = std::mem::take(&mut alone);
                self.hook_parked(told.since, &told.message, &parked, Reason::Offline)?;
                self.keep_place(told.cid, task, uid)?;
            }
            if is_the_end {
                self.batch.delete(record::joined_key(uid, told.cid));
            }
            if intact(self.inbox(uid).map(|_| ()))?.is_none() {
                continue;
            }
            if let Some((by, did)) = &task.by
                && *by == uid
            {
                self.carry(uid, did.as_ref(), told)?;
                continue;
            }
            // That something was taken back takes the place of a message, in a full inbox too.
            if task.sort != Sort::Revoke && self.inbox(uid)?.is_full(&bounds) {
                // Nobody can be refused for this: the reader takes it from the history.
                self.overflow(uid)?;
                continue;
            }
            let appended = self.inbox_mut(uid)?.push(&bounds);
            if self.hook_waiting(uid, appended.seq, told)? {
                alone.push(uid);
            }
            self.put_row(uid, told, appended)?;
        }
        self.hook_parked(told.since, &told.message, &alone, Reason::Offline)?;
        Ok(last)
    }

    /// Whether this is the last that is said in a group: from then on it counts as nobody's.
    fn is_the_end(&mut self, told: &Told) -> Result<bool, EngineError> {
        let found = self.conversation(told.cid).map(|found| {
            let group = found.and_then(|c| c.group());
            group.is_some_and(|group| group.dissolved)
        });
        Ok(told.sort == Sort::Notice && intact(found)?.unwrap_or(false))
    }

    /// The batch at hand ends amid a step: it says how far that has come, so that nobody is given a row twice.
    fn keep_place(&mut self, gid: Cid, task: &Task, next: Uid) -> Result<(), EngineError> {
        let number = self
            .book
            .tasks
            .get(&gid)
            .and_then(VecDeque::front)
            .map(|(number, _)| *number);
        if let Some(number) = number {
            let done = next.0.checked_sub(1).map(Uid);
            let task = Task {
                done,
                ..task.clone()
            };
            self.batch
                .put(record::fanout_key(gid, number), record::encode(&task)?);
        }
        self.apply()
    }

    /// Writes that still fit the batch at hand.
    pub(super) fn room_left(&self) -> usize {
        let held = self.batch.len() + self.dirty.len() + self.book.dirty() + 4;
        self.engine.batch_max().saturating_sub(held)
    }

    /// Reads what was on its way when the store was closed.
    fn load_tasks(&mut self) -> Result<(), EngineError> {
        if self.book.turns.is_some() {
            return Ok(());
        }
        let (mut found, mut failed) = (Vec::new(), None);
        self.engine.scan(
            &[record::FANOUT],
            &[record::FANOUT + 1],
            &mut |key, value| {
                match record::decode::<Task>(key, value) {
                    Ok(task) => found.extend(record::numbers(key).map(|numbers| (numbers, task))),
                    Err(EngineError::Damaged(why)) => log::error!("passed over: {why}"),
                    Err(error) => failed = Some(error),
                }
                failed.is_none()
            },
        )?;
        if let Some(error) = failed {
            return Err(error);
        }
        let mut turns = VecDeque::new();
        for ((gid, number), task) in found {
            let tasks = self.book.tasks.entry(Cid(gid)).or_default();
            if tasks.is_empty() {
                turns.push_back(Cid(gid));
            }
            tasks.push_back((number, task));
        }
        self.book.turns = Some(turns);
        Ok(())
    }

    /// Lets go of the records of those who are members no longer, when nothing is on its way to them.
    pub(super) fn forget_members(&mut self, gid: Cid) -> Result<(), EngineError> {
        if self.book.tasks.contains_key(&gid) {
            return Ok(());
        }
        let roster = self.roster(gid)?;
        let back = roster.members.iter();
        let back = back.filter(|(_, member)| member.is_in() && !member.before.is_empty());
        let back: Vec<Uid> = back.map(|(uid, _)| *uid).collect();
        let gone: Vec<Uid> = roster
            .members
            .iter()
            .filter(|(_, member)| !member.is_in())
            .map(|(uid, _)| *uid)
            .collect();
        for uid in back {
            self.make_room(1)?;
            self.member_mut(gid, uid)?.before.clear();
        }
        for uid in gone {
            self.make_room(1)?;
            self.roster(gid)?.members.remove(&uid);
            self.book.dirty_member(gid, uid);
        }
        Ok(())
    }
}
