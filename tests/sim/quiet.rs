//! When all is quiet: who has what, how it is counted, and what the readers are shown.

use std::collections::{BTreeMap, BTreeSet};

use yizhan::id::{Cid, Seq, Uid};
use yizhan::message::chat::{Chat, Side};
use yizhan::message::look::{Found, History, Look};
use yizhan::message::{Answer, Fate, Op, State, Target};
use yizhan::store::Engine;
use yizhan::store::ledger;
use yizhan::store::record::{self, Body, RowRef, Sort};

use crate::annals::Talk;
use crate::book::read;
use crate::crowd::FILLERS;
use crate::world::World;

impl World {
    pub fn check_quiet(&mut self) -> Result<(), String> {
        let bounded = self.scenario.policy.bounds.max_messages < 10_000;
        let forgets = self.forgets();
        let uids: BTreeSet<Uid> = self.clients.iter().map(|client| client.uid).collect();
        let cids: Vec<Cid> = self.book.annals.chats.keys().copied().collect();
        for cid in &cids {
            if !bounded {
                for uid in &uids {
                    self.check_complete(*uid, *cid)?;
                }
                self.check_fillers(*cid)?;
            }
            self.check_counts(*cid, forgets)?;
            for uid in &uids {
                self.check_history(*uid, *cid)?;
            }
        }
        for uid in &uids {
            self.check_chats(*uid)?;
        }
        Ok(())
    }

    /// Whether devices may be forgotten.
    fn forgets(&self) -> bool {
        let bounds = self.scenario.policy.bounds;
        bounds.forget_ms < (1 << 39) || bounds.max_devices < 4
    }

    fn talk(&self, cid: Cid) -> &Talk {
        &self.book.annals.chats[&cid]
    }

    /// Whoever was entitled to something was told it.
    fn check_complete(&self, uid: Uid, cid: Cid) -> Result<(), String> {
        let talk = self.talk(cid);
        let Some(user) = self.book.user(uid) else {
            return Ok(());
        };
        let unseen = (1..=user.head).any(|seq| !user.rows.contains_key(&seq));
        for (cseq, said) in &talk.said {
            let message = &said.message;
            let id = &message.id;
            let is_told = |code: u8| user.told.contains_key(&(cid, *cseq, id.clone(), code));
            let lost = |what: &str| {
                let name = (cseq, cid, &message.id);
                Err(format!("{uid} was never told {what} of {name:?}"))
            };
            let takes_part = talk.has(uid, *cseq);
            // What is gone before its turn comes in a large group is told to nobody.
            let may_miss = message.is_gone() || message.is_over(self.now) || unseen;
            let is_copy = message.from == uid && !said.is_notice() && message.to != Chat::User(uid);
            if is_copy && said.copied && !self.forgets() && !may_miss && !is_told(0) {
                return lost("by a copy");
            }
            // A notice in a conversation of two is told to the other, and carried to the devices of whoever did it.
            let is_own_notice = message.from == uid && said.is_notice() && talk.two.is_some();
            if takes_part && !is_copy && !is_own_notice && !may_miss && !is_told(0) {
                return lost("anything");
            }
            let Some(heads) = said.revoked else {
                continue;
            };
            // Whoever has come later, or again, need not hear of it.
            let has_it = talk.stays_from(uid, *cseq, heads.1);
            if has_it && message.from != uid && !is_told(1) && !unseen {
                return lost("that it was taken back");
            }
        }
        Ok(())
    }

    /// Members without a device have a row of each message, in order, and no other.
    fn check_fillers(&self, cid: Cid) -> Result<(), String> {
        let talk = self.talk(cid);
        for uid in talk.everybody() {
            if uid.0 < FILLERS {
                continue;
            }
            let mut found: BTreeMap<Seq, u32> = BTreeMap::new();
            let (mut last, mut broken) = (0, None);
            let (from, to) = (record::row_key(uid, 0), record::row_key(uid, u64::MAX));
            let scanned = self.engine.disk.scan(&from, &to, &mut |key, value| {
                let Ok(row) = RowRef::decode(key, value) else {
                    broken = Some("a row that cannot be read".to_string());
                    return false;
                };
                let Body::Chat(of, cseq) = row.body else {
                    return true;
                };
                if of != cid || matches!(row.sort, Sort::Revoke | Sort::Edit) {
                    return true;
                }
                if cseq <= last {
                    broken = Some(format!("place {cseq} after {last}"));
                }
                last = cseq;
                *found.entry(cseq).or_default() += 1;
                if !talk.has(uid, cseq) {
                    broken = Some(format!("place {cseq}, and was no member"));
                }
                true
            });
            scanned.map_err(|e| e.to_string())?;
            if let Some(broken) = broken {
                return Err(format!("member {uid} of {cid} has {broken}"));
            }
            let ttl_ms = self.scenario.policy.ttl_ms;
            for (cseq, said) in &talk.said {
                let is_old = said.message.server_ts.saturating_add(ttl_ms) <= self.now;
                let may_miss = said.is_gone(self.now) || is_old;
                if talk.has(uid, *cseq) && !may_miss && !found.contains_key(cseq) {
                    return Err(format!("member {uid} of {cid} has nothing of place {cseq}"));
                }
            }
        }
        Ok(())
    }

    /// Authors are told how many have what they sent.
    fn check_counts(&mut self, cid: Cid, forgets: bool) -> Result<(), String> {
        let talk = self.talk(cid);
        if talk.two.is_some() {
            return Ok(());
        }
        let group = Chat::Group(cid);
        let mut asked = Vec::new();
        for (cseq, said) in &talk.said {
            let (from, id) = (said.message.from, said.message.id.clone());
            let is_latest =
                self.book.annals.places.get(&(group, from, id.clone())) == Some(&(cid, *cseq));
            if !said.is_notice() && is_latest {
                asked.push((*cseq, from, id, said.revoked.is_some()));
            }
        }
        for (cseq, from, id, revoked) in asked {
            let op = Op::Status {
                from,
                of: vec![Target {
                    to: group,
                    id: id.clone(),
                }],
            };
            let now = self.now;
            let server = self.server.as_mut().ok_or("the server is gone")?;
            let done = server
                .ledger
                .commit(now, [&op])
                .map_err(|e| e.to_string())?;
            let Some(Answer::Status(states)) = done.answers.first() else {
                return Err("no status".into());
            };
            let (state, count) = (states[0].1, states[0].2);
            let (least, most) = self.book.have(group, from, &id);
            let talk = self.talk(cid);
            let stayed = |uid: &Uid| talk.members[uid].len() == 1 && talk.since(*uid).is_some();
            let left = talk.members.keys().filter(|uid| !stayed(uid)).count() as u64;
            if state == State::Unknown {
                continue;
            }
            if count > most || count + left < least {
                return Err(format!(
                    "{count} members have {id}, and {least} to {most} do"
                ));
            }
            let told = self.counted.get(&(cid, cseq)).copied().unwrap_or(0);
            let ran = &self.ran;
            // A death may come between a count and the word of it, which a question makes up for.
            let untold = ran.kills + ran.drains + ran.reopened > 0;
            if told > most || (told + left < count && !forgets && !untold) {
                return Err(format!(
                    "{id}: {told} members were told, and {count} have it"
                ));
            }
            if revoked != (state == State::Revoked) {
                return Err(format!("{id} was taken back: {revoked}, and is {state:?}"));
            }
        }
        Ok(())
    }

    /// What the history shows a user, from both ends.
    fn check_history(&mut self, uid: Uid, cid: Cid) -> Result<(), String> {
        let Some(first) = self.talk(cid).since(uid) else {
            return Ok(());
        };
        let head = self.talk(cid).head();
        let now = self.now;
        let talk = self.talk(cid);
        let shown: Vec<(Seq, Uid, Box<str>)> = talk
            .said
            .range(first..)
            .filter(|(_, said)| said.message.fate != Fate::Expired && !said.message.is_over(now))
            .map(|(cseq, said)| (*cseq, said.message.from, said.message.payload.clone()))
            .collect();
        for forwards in [true, false] {
            let mut found = Vec::new();
            let mut side = match forwards {
                true => Side::After(0),
                false => Side::Newest,
            };
            for round in 0.. {
                let limit = self.rng.usize(1..5);
                let look = Look::History {
                    cid,
                    first,
                    head,
                    side,
                    limit,
                    max_bytes: 4096,
                };
                let page = self.look(&look)?;
                let Found::History(History {
                    messages,
                    next,
                    more,
                }) = page
                else {
                    return Err("no history".into());
                };
                if messages.len() > limit || round > 200 {
                    return Err(format!("a page of {} of {limit}", messages.len()));
                }
                let of_page = messages.iter().map(|m| (m.cseq, m.from, m.payload.clone()));
                match forwards {
                    true => {
                        found.extend(of_page);
                        side = Side::After(next);
                    }
                    false => {
                        let mut of_page: Vec<_> = of_page.collect();
                        of_page.append(&mut found);
                        found = of_page;
                        side = Side::Before(next);
                    }
                }
                if !more {
                    break;
                }
            }
            if found != shown {
                return Err(format!(
                    "{uid} is shown {found:?} of {cid}, and it is {shown:?} (forwards {forwards})"
                ));
            }
        }
        Ok(())
    }

    /// The list of conversations, and what is unread in each.
    fn check_chats(&mut self, uid: Uid) -> Result<(), String> {
        let look = Look::Chats {
            uid,
            before: None,
            limit: 1000,
            max_bytes: 1 << 20,
        };
        let Found::Chats(chats) = self.look(&look)? else {
            return Err("no list".into());
        };
        let mut listed = BTreeMap::new();
        let mut last = u64::MAX;
        for of in &chats.chats {
            if of.updated_at > last {
                return Err(format!("the list of {uid} is out of order"));
            }
            last = of.updated_at;
            listed.insert(of.chat, of);
        }
        let annals = &self.book.annals;
        let mut expected = BTreeSet::new();
        for (cid, talk) in &annals.chats {
            let Some(_) = talk.since(uid) else {
                continue;
            };
            let chat = match talk.two {
                Some((a, b)) if a == uid => Chat::User(b),
                Some((a, _)) => Chat::User(a),
                None => Chat::Group(*cid),
            };
            expected.insert(chat);
            let Some(of) = listed.get(&chat) else {
                return Err(format!("{chat:?} is not in the list of {uid}"));
            };
            let since = talk.since(uid).unwrap_or(1);
            let marks = self.clients.iter().filter(|c| c.uid == uid);
            let least = marks.clone().filter_map(|c| c.read.get(&chat)).max();
            let joined = if talk.two.is_some() { 0 } else { since - 1 };
            let most = marks
                .clone()
                .flat_map(|c| &c.marks)
                .filter(|m| m.chat == chat);
            let most = most
                .map(|m| m.up_to)
                .max()
                .unwrap_or(0)
                .min(talk.head())
                .max(joined);
            let rejoined = talk.members.get(&uid).is_some_and(|times| times.len() > 1);
            if of.read > most || (!rejoined && least.is_some_and(|least| of.read < *least)) {
                let read = of.read;
                return Err(format!(
                    "{uid} has read {chat:?} up to {read}: {least:?}, {most}"
                ));
            }
            let above = talk.said.range(of.read.max(joined) + 1..);
            let others = above.filter(|(_, said)| said.message.from != uid);
            let (mut least, mut most) = (0, 0);
            for (_, said) in others {
                let is_void = said.message.fate == Fate::Expired;
                most += u64::from(!is_void);
                least += u64::from(!is_void && !said.message.is_over(self.now));
            }
            if of.unread < least || of.unread > most {
                let unread = of.unread;
                return Err(format!(
                    "{uid} has {unread} unread in {chat:?}, and it is {least} to {most}"
                ));
            }
            if of.head != talk.head() {
                return Err(format!("{chat:?} ends elsewhere in the list of {uid}"));
            }
        }
        if let Some(chat) = listed.keys().find(|chat| !expected.contains(chat)) {
            return Err(format!("{chat:?} is in the list of {uid}"));
        }
        Ok(())
    }

    fn look(&self, look: &Look) -> Result<Found, String> {
        let now = self.now;
        let oldest = now.saturating_sub(self.scenario.policy.ttl_ms);
        let found = ledger::found(&self.engine.disk, look, now, oldest, 0);
        found.map_err(|e| e.to_string())
    }

    /// What a message was made into is looked up where the store has it.
    pub fn check_store(&self) -> Result<(), String> {
        for (cid, talk) in &self.book.annals.chats {
            for (cseq, said) in &talk.said {
                let found: Option<yizhan::message::Message> =
                    read(&self.engine.disk, &record::history_key(*cid, *cseq))?;
                let is = found.is_some_and(|found| {
                    found.fate == said.message.fate && found.payload == said.message.payload
                });
                if !is {
                    return Err(format!("place {cseq} of {cid} has changed by itself"));
                }
            }
        }
        Ok(())
    }
}
