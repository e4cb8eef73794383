//! What was said in every conversation, and who was entitled to it: read from the store's history as it grows, and judged
//! by what was asked. Who is a member follows from the notices, which everybody can read, and not from the ledger's list.

use std::collections::{BTreeMap, BTreeSet};

use yizhan::id::{Cid, Did, MsgId, Seq, Uid};
use yizhan::machine::conversation::{Conversation, Parties};
use yizhan::message::chat::{Amendment, Chat};
use yizhan::message::contact::ContactOrder;
use yizhan::message::group::Order;
use yizhan::message::notice::About;
use yizhan::message::{Append, Fate, Kind, Message, Op};
use yizhan::store::memory::MemoryEngine;
use yizhan::store::{Engine, record};

use crate::book::{Name, read};
use crate::tally::Ran;

#[derive(Default)]
pub struct Annals {
    pub chats: BTreeMap<Cid, Talk>,
    /// Where each message of a user stands; the latest, where an id was forgotten and came again.
    pub places: BTreeMap<Name, (Cid, Seq)>,
    /// Who has blocked whom, as of the last batch that is certain, and who ever may have.
    pub blocks: BTreeSet<(Uid, Uid)>,
    pub ever_blocked: BTreeSet<(Uid, Uid)>,
    /// What the last batch has added.
    pub fresh: Vec<(Cid, Seq)>,
}

/// One conversation.
pub struct Talk {
    pub two: Option<(Uid, Uid)>,
    pub said: BTreeMap<Seq, Said>,
    /// From where to where each user was a member, both included.
    pub members: BTreeMap<Uid, Vec<(Seq, Option<Seq>)>>,
    /// How long messages live, by the notices.
    pub expire_ms: u64,
}

/// What stands at one place.
pub struct Said {
    pub message: Message,
    /// Devices that may have sent it.
    pub by: BTreeSet<Did>,
    /// Every payload it ever had.
    pub payloads: BTreeSet<Box<str>>,
    /// Changes, each with the heads between which it was made.
    pub revoked: Option<(Seq, Seq)>,
    pub edits: BTreeMap<MsgId, (Seq, Seq)>,
    /// Whether its author had another device that was known when it was accepted.
    pub copied: bool,
    /// When its author could hear that it was taken back.
    pub revoke_told: Option<u64>,
}

impl Talk {
    pub fn head(&self) -> Seq {
        self.said.keys().next_back().copied().unwrap_or(0)
    }

    /// Whether a user takes part at that place.
    pub fn has(&self, uid: Uid, cseq: Seq) -> bool {
        if let Some((a, b)) = self.two {
            return uid == a || uid == b;
        }
        let times = self.members.get(&uid).into_iter().flatten();
        times
            .clone()
            .any(|(first, last)| *first <= cseq && last.is_none_or(|last| cseq <= last))
    }

    /// Whether a user takes part at that place, and still does at the next.
    pub fn stays(&self, uid: Uid, cseq: Seq) -> bool {
        if self.two.is_some() {
            return self.has(uid, cseq);
        }
        let mut times = self.members.get(&uid).into_iter().flatten();
        times.any(|(first, last)| *first <= cseq && last.is_none_or(|last| cseq < last))
    }

    /// Whether a user takes part from that place on, and still does behind a later one.
    pub fn stays_from(&self, uid: Uid, cseq: Seq, head: Seq) -> bool {
        if self.two.is_some() {
            return self.has(uid, cseq);
        }
        let mut times = self.members.get(&uid).into_iter().flatten();
        times.any(|(first, last)| *first <= cseq && last.is_none_or(|last| head < last))
    }

    /// Since which place a user takes part, if they do now.
    pub fn since(&self, uid: Uid) -> Option<Seq> {
        if self.two.is_some() {
            return self.has(uid, 0).then_some(1);
        }
        let last = self.members.get(&uid)?.last()?;
        last.1.is_none().then_some(last.0)
    }

    /// Everybody who takes part, or did.
    pub fn everybody(&self) -> Vec<Uid> {
        match self.two {
            Some((a, b)) if a == b => vec![a],
            Some((a, b)) => vec![a, b],
            None => self.members.keys().copied().collect(),
        }
    }

    fn is_group(&self) -> bool {
        self.two.is_none()
    }
}

impl Said {
    pub fn is_gone(&self, now: u64) -> bool {
        self.message.is_gone() || self.message.is_over(now)
    }

    pub fn is_notice(&self) -> bool {
        self.message.kind == Kind::Notice
    }
}

impl Annals {
    pub fn at(&self, (cid, cseq): (Cid, Seq)) -> Option<&Said> {
        self.chats.get(&cid)?.said.get(&cseq)
    }

    pub fn named(&self, to: Chat, from: Uid, id: &MsgId) -> Option<&Said> {
        let place = self.places.get(&(to, from, id.clone()))?;
        self.at(*place)
    }

    /// Reads what a batch has added, and what it has changed.
    pub fn turn(
        &mut self,
        disk: &MemoryEngine,
        ops: &[Op],
        now: u64,
        certain: bool,
        ran: &mut Ran,
    ) -> Result<(), String> {
        let (mut heads, mut damaged) = (Vec::new(), None);
        let done = disk.scan(&[record::CHAT], &[record::CHAT + 1], &mut |key, value| {
            let cid = key.get(1..9).and_then(|cid| cid.try_into().ok());
            match (cid, record::decode::<Conversation>(key, value)) {
                (Some(cid), Ok(found)) => heads.push((Cid(u64::from_be_bytes(cid)), found)),
                _ => damaged = Some(key.to_vec()),
            }
            true
        });
        done.map_err(|e| e.to_string())?;
        if let Some(key) = damaged {
            return Err(format!("{} is damaged", key.escape_ascii()));
        }
        let mut before = BTreeMap::new();
        self.fresh.clear();
        for (cid, found) in heads {
            let talk = self.chats.entry(cid).or_insert_with(|| Talk {
                two: match &found.parties {
                    Parties::Two([(a, _), (b, _)]) => Some((*a, *b)),
                    Parties::Group(_) => None,
                },
                said: BTreeMap::new(),
                members: BTreeMap::new(),
                expire_ms: 0,
            });
            let head = talk.head();
            before.insert(cid, head);
            if found.head() < head {
                return Err(format!("{cid} went from {head} to {}", found.head()));
            }
            for cseq in head + 1..=found.head() {
                let message: Option<Message> = read(disk, &record::history_key(cid, cseq))?;
                let message = message.ok_or_else(|| format!("{cid} has a gap at {cseq}"))?;
                self.take(cid, Message { cseq, ..message }, ops, now, ran)
                    .map_err(|broken| format!("{broken} (place {cseq} of {cid})"))?;
            }
        }
        self.take_changes(disk, ops, now, &before, ran)?;
        self.take_blocks(ops, disk, certain)
    }

    /// Something new at the next place.
    fn take(
        &mut self,
        cid: Cid,
        message: Message,
        ops: &[Op],
        now: u64,
        ran: &mut Ran,
    ) -> Result<(), String> {
        let Some(talk) = self.chats.get_mut(&cid) else {
            return Ok(());
        };
        let (cseq, from) = (message.cseq, message.from);
        let mut by = BTreeSet::new();
        let mut payloads = BTreeSet::from([message.payload.clone()]);
        match message.kind {
            Kind::Words => {
                let is = |append: &&Append| {
                    append.from == from
                        && append.draft.id == message.id
                        && append.draft.to == message.to
                };
                let appends: Vec<&Append> = ops
                    .iter()
                    .filter_map(|op| match op {
                        Op::Append(append) => Some(append),
                        _ => None,
                    })
                    .filter(is)
                    .collect();
                let Some(append) = appends.first() else {
                    return Err(format!("{} was sent by nobody", message.id));
                };
                by.extend(appends.iter().filter_map(|append| append.did.clone()));
                payloads.insert(append.draft.payload.clone());
                if message.fate == Fate::Whole && message.payload != append.draft.payload {
                    return Err(format!("{} has another payload", message.id));
                }
                let own = (talk.expire_ms > 0).then(|| message.server_ts + talk.expire_ms);
                let expires_at = append.draft.expires_at.into_iter().chain(own).min();
                if message.expires_at != expires_at {
                    return Err(format!(
                        "{} lives until {:?} and not {expires_at:?}",
                        message.id, message.expires_at
                    ));
                }
                if talk.is_group() && !talk.has(from, cseq) {
                    return Err(format!("{} is of {from}, who is no member", message.id));
                }
                if let Chat::User(to) = message.to
                    && self.blocks.contains(&(to, from))
                    && !ops.iter().any(|op| unblocks(op, to, from))
                {
                    return Err(format!(
                        "{} is of {from}, whom {to} has blocked",
                        message.id
                    ));
                }
                let name = (message.to, from, message.id.clone());
                self.places.insert(name, (cid, cseq));
                match talk.is_group() {
                    true => ran.to_groups += 1,
                    false => ran.to_users += 1,
                }
            }
            Kind::Notice => {
                let about = About::of(&message.payload);
                let about = about.ok_or("a notice says nothing")?;
                talk.take_notice(&about, cseq, from, ops)?;
                ran.notices += 1;
            }
        }
        let said = Said {
            message,
            by,
            payloads,
            revoked: None,
            edits: BTreeMap::new(),
            copied: false,
            revoke_told: None,
        };
        let mut fresh = said;
        // What was taken back in the batch that brought it is seen below.
        if let Fate::Revoked(_) | Fate::Edited(_) = fresh.message.fate {
            fresh.message.fate = Fate::Whole;
        }
        if fresh.message.fate == Fate::Expired && !fresh.message.is_over(now) {
            return Err("it has expired before its time".into());
        }
        talk.said.insert(cseq, fresh);
        self.fresh.push((cid, cseq));
        Ok(())
    }

    /// What was asked to be changed, and what is over, may be otherwise now; nothing else is looked at.
    fn take_changes(
        &mut self,
        disk: &MemoryEngine,
        ops: &[Op],
        now: u64,
        before: &BTreeMap<Cid, Seq>,
        ran: &mut Ran,
    ) -> Result<(), String> {
        let mut looked = BTreeSet::new();
        for op in ops {
            match op {
                Op::Amend {
                    by,
                    chat,
                    amendment,
                } => {
                    let of = match amendment {
                        Amendment::Revoke { id } => id,
                        Amendment::Edit { target, .. } => target,
                    };
                    looked.extend(self.places.get(&(*chat, by.uid, of.clone())));
                }
                Op::Sweep => {
                    for (cid, talk) in &self.chats {
                        let over = talk.said.iter().filter(|(_, s)| s.message.is_over(now));
                        let over = over.filter(|(_, s)| !s.message.is_gone());
                        looked.extend(over.map(|(cseq, _)| (*cid, *cseq)));
                    }
                }
                _ => {}
            }
        }
        for (cid, cseq) in looked {
            let found: Option<Message> = read(disk, &record::history_key(cid, cseq))?;
            let found = found.ok_or_else(|| format!("place {cseq} of {cid} is empty"))?;
            let Some(talk) = self.chats.get_mut(&cid) else {
                continue;
            };
            let between = (before.get(&cid).copied().unwrap_or(0), talk.head());
            let Some(said) = talk.said.get_mut(&cseq) else {
                continue;
            };
            let named = said.message.id.clone();
            let asked = ops.iter().filter_map(|op| match op {
                Op::Amend { by, amendment, .. } if by.uid == said.message.from => Some(amendment),
                _ => None,
            });
            let changers = ops.iter().filter_map(|op| match op {
                Op::Amend { by, .. } if by.uid == found.from => by.did.clone(),
                _ => None,
            });
            let (was, is) = (said.message.fate, found.fate);
            let mut takes_back = false;
            said.by.extend(changers);
            for amendment in asked {
                match amendment {
                    Amendment::Revoke { id } => takes_back |= *id == named,
                    Amendment::Edit {
                        id,
                        target,
                        payload,
                        ..
                    } if *target == named => {
                        let key = record::dedupe_key(found.to, found.from, id);
                        let known = disk.get(&key).map_err(|e| e.to_string())?.is_some();
                        let is_new = known && !said.edits.contains_key(id);
                        ran.edits += u64::from(is_new);
                        if known {
                            // One that was forgotten may be made anew.
                            let heads = said.edits.entry(id.clone()).or_insert(between);
                            heads.1 = between.1;
                            said.payloads.insert(payload.clone());
                        }
                    }
                    Amendment::Edit { .. } => {}
                }
            }
            match (was, is) {
                (was, is) if was == is => {}
                (Fate::Revoked(_) | Fate::Expired, _) => {
                    return Err(format!("place {cseq} of {cid} was {was:?} and is {is:?}"));
                }
                (_, Fate::Revoked(_)) if takes_back => {
                    said.revoked = Some(between);
                    ran.revoked += 1;
                }
                (_, Fate::Edited(_)) if !said.edits.is_empty() => {}
                (_, Fate::Expired) if said.message.is_over(now) => ran.over += 1,
                _ => return Err(format!("place {cseq} of {cid} is {is:?} for no reason")),
            }
            let is_empty = matches!(is, Fate::Revoked(_) | Fate::Expired);
            if is_empty != found.payload.is_empty()
                || !(is_empty || said.payloads.contains(&found.payload))
            {
                return Err(format!("place {cseq} of {cid} has a wrong payload"));
            }
            said.message.fate = is;
            said.message.payload = found.payload;
        }
        Ok(())
    }

    fn take_blocks(
        &mut self,
        ops: &[Op],
        disk: &MemoryEngine,
        certain: bool,
    ) -> Result<(), String> {
        for op in ops {
            let Op::Contact { uid, other, order } = op else {
                continue;
            };
            let pair = (*uid, *other);
            match order {
                ContactOrder::Block => {
                    self.blocks.insert(pair);
                    self.ever_blocked.insert(pair);
                }
                ContactOrder::Unblock => drop(self.blocks.remove(&pair)),
                _ => {}
            }
            if !certain {
                let key = record::relation_key(pair.0, pair.1);
                let found: Option<yizhan::machine::contact::Relation> = read(disk, &key)?;
                match found.is_some_and(|relation| relation.blocked) {
                    true => drop(self.blocks.insert(pair)),
                    false => drop(self.blocks.remove(&pair)),
                }
            }
        }
        Ok(())
    }

    /// These devices of an author were known all the while that a batch was written.
    pub fn note_copied(&mut self, place: (Cid, Seq), known: &BTreeSet<Did>) {
        let talk = self.chats.get_mut(&place.0);
        if let Some(said) = talk.and_then(|talk| talk.said.get_mut(&place.1)) {
            said.copied = known.iter().any(|did| !said.by.contains(did));
        }
    }

    /// The word of a change goes out, and its author may have it.
    pub fn revoke_told(&mut self, message: &Message, now: u64) {
        let name = (message.to, message.from, message.id.clone());
        let place = self.places.get(&name).copied();
        let talk = place.and_then(|(cid, cseq)| self.chats.get_mut(&cid)?.said.get_mut(&cseq));
        if let Some(said) = talk {
            said.revoke_told.get_or_insert(now);
        }
    }

    /// Whether a row may tell a user this.
    pub fn owes(&self, uid: Uid, (cid, cseq): (Cid, Seq), sort: record::Sort, id: &MsgId) -> bool {
        use record::Sort;
        let Some(talk) = self.chats.get(&cid) else {
            return false;
        };
        let Some(said) = talk.said.get(&cseq) else {
            return false;
        };
        let (from, of) = (said.message.from, &said.message.id);
        // A change is for those who have the message, and are there when it is made.
        let between = |heads: &(Seq, Seq)| {
            talk.has(uid, cseq) && (heads.0..=heads.1).any(|head| talk.stays(uid, head.max(1)))
        };
        match sort {
            Sort::C2c => !talk.is_group() && said.message.to == Chat::User(uid) && id == of,
            Sort::C2g => talk.is_group() && from != uid && talk.has(uid, cseq) && id == of,
            Sort::Notice => said.is_notice() && talk.has(uid, cseq) && id == of,
            Sort::Copy => from == uid && id == of && said.message.to != Chat::User(uid),
            Sort::Revoke => id == of && said.revoked.as_ref().is_some_and(between),
            Sort::Edit => said.edits.get(id).is_some_and(between),
        }
    }
}

fn unblocks(op: &Op, uid: Uid, other: Uid) -> bool {
    let Op::Contact {
        uid: of,
        other: from,
        order,
    } = op
    else {
        return false;
    };
    *of == uid && *from == other && *order == ContactOrder::Unblock
}

impl Talk {
    fn take_notice(
        &mut self,
        about: &About,
        cseq: Seq,
        from: Uid,
        ops: &[Op],
    ) -> Result<(), String> {
        let mut orders = ops.iter().filter_map(|op| match op {
            Op::Group { by, order, .. } if *by == from => Some(order),
            _ => None,
        });
        let begin = |uid: &Uid, members: &mut BTreeMap<Uid, Vec<(Seq, Option<Seq>)>>| {
            let times = members.entry(*uid).or_default();
            if times.last().is_some_and(|(_, last)| last.is_none()) {
                return Err(format!("{uid} has become a member twice"));
            }
            times.push((cseq, None));
            Ok(())
        };
        match about {
            About::GroupCreated(_, uids) => {
                if cseq != 1 {
                    return Err("a group is founded late".into());
                }
                for uid in uids {
                    begin(uid, &mut self.members)?;
                }
            }
            About::GroupJoined(uids) => {
                let asked = |uid: &Uid, order: &Order| match order {
                    Order::Invite(named) => named.contains(uid),
                    Order::Create { members, .. } => members.contains(uid),
                    Order::Join => *uid == from,
                    _ => false,
                };
                for uid in uids {
                    let mut orders = ops.iter().filter_map(|op| match op {
                        Op::Group { by, order, .. } if *by == from => Some(order),
                        _ => None,
                    });
                    if !orders.any(|order| asked(uid, order)) {
                        return Err(format!("{uid} was invited by nobody"));
                    }
                    begin(uid, &mut self.members)?;
                }
            }
            About::GroupLeft(uid) | About::GroupRemoved(uid) => {
                let is = |order: &Order| match order {
                    Order::Leave => *uid == from,
                    Order::Remove(whom) => whom == uid,
                    _ => false,
                };
                if !orders.any(is) {
                    return Err(format!("{uid} was removed by nobody"));
                }
                let times = self.members.get_mut(uid);
                let time = times.and_then(|times| times.last_mut());
                match time {
                    Some((_, last @ None)) => *last = Some(cseq),
                    _ => return Err(format!("{uid} leaves and is no member")),
                }
            }
            About::Expiry(expire_ms) => self.expire_ms = *expire_ms,
            _ => {}
        }
        Ok(())
    }
}
