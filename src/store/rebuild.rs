//! Writes conversations anew whose record a salvage has lost: who takes part, and what was said, is in other tables.
//!
//! A record of a conversation is written with every message of it, so it may stand in the newest part of the log alone
//! when everything that names it was settled long before; and what names it is written with its first message only.
//! Without either those who take part could not go on with it.

use std::collections::{BTreeMap, BTreeSet};

use crate::id::{Cid, Seq, Uid};
use crate::machine::conversation::{Conversation, Parties};
use crate::machine::group::{Group, Member};
use crate::message::chat::Chat;
use crate::message::group::{Joining, Role};
use crate::message::notice::About;
use crate::message::{Fate, Kind, Message};

use super::ledger::A_PAIR;
use super::{Batch, Engine, EngineError, record};

/// What a group is called whose name was lost with everything that was said of it.
const NAMELESS: &str = "?";

/// Writes every conversation that is named and not there, and the names of those that are there alone; `lasts` are the last
/// places that have a message. Returns the greatest number of a conversation that is named anywhere.
pub(super) fn rebuild(engine: &dyn Engine, lasts: &BTreeMap<Cid, Seq>) -> Result<u64, EngineError> {
    let pairs = pairs(engine)?;
    let groups = members(engine)?;
    let named: BTreeSet<Cid> = pairs
        .keys()
        .chain(groups.keys())
        .chain(lasts.keys())
        .copied()
        .collect();
    for cid in &named {
        if engine.get(&record::chat_key(*cid))?.is_some() {
            continue;
        }
        let said = said(engine, *cid)?;
        let last = lasts.get(cid).copied().unwrap_or(0);
        match groups.get(cid) {
            Some(members) => group(engine, *cid, members, &said, last)?,
            None => match pairs.get(cid).copied().or_else(|| between(&said)) {
                Some(two) => pair(engine, *cid, two, &said, last)?,
                None => log::error!("conversation {cid} is lost: nothing says whose it was"),
            },
        }
    }
    name(engine)?;
    Ok(named.last().map_or(0, |cid| cid.0))
}

/// Whose conversations are named.
fn pairs(engine: &dyn Engine) -> Result<BTreeMap<Cid, (Uid, Uid)>, EngineError> {
    let mut pairs = BTreeMap::new();
    engine.scan(&[record::PAIR], &[record::PAIR + 1], &mut |key, value| {
        if let (Some((a, b)), Ok(cid)) = (record::numbers(key), record::decode(key, value)) {
            pairs.insert(cid, (Uid(a), Uid(b)));
        }
        true
    })?;
    Ok(pairs)
}

/// The members of all groups.
fn members(engine: &dyn Engine) -> Result<BTreeMap<Cid, BTreeMap<Uid, Member>>, EngineError> {
    let mut groups: BTreeMap<Cid, BTreeMap<Uid, Member>> = BTreeMap::new();
    engine.scan(
        &[record::MEMBER],
        &[record::MEMBER + 1],
        &mut |key, value| {
            if let (Some((gid, uid)), Ok(member)) =
                (record::numbers(key), record::decode(key, value))
            {
                groups.entry(Cid(gid)).or_default().insert(Uid(uid), member);
            }
            true
        },
    )?;
    Ok(groups)
}

/// What of a message its conversation has to know.
struct Said {
    cseq: Seq,
    from: Uid,
    to: Chat,
    server_ts: u64,
    is_over: bool,
    about: Option<About>,
}

fn said(engine: &dyn Engine, cid: Cid) -> Result<Vec<Said>, EngineError> {
    let mut said = Vec::new();
    let (from, to) = (
        record::history_key(cid, 0),
        record::history_key(cid, Seq::MAX),
    );
    engine.scan(&from, &to, &mut |key, value| {
        let message = record::decode::<Message>(key, value);
        if let (Some((_, cseq)), Ok(message)) = (record::numbers(key), message) {
            let is_notice = message.kind == Kind::Notice;
            said.push(Said {
                cseq,
                from: message.from,
                to: message.to,
                server_ts: message.server_ts,
                is_over: message.fate == Fate::Expired,
                about: is_notice.then(|| About::of(&message.payload)).flatten(),
            });
        }
        true
    })?;
    Ok(said)
}

/// The two whose words these are.
fn between(said: &[Said]) -> Option<(Uid, Uid)> {
    said.iter().find_map(|said| match said.to {
        Chat::User(to) => Some((said.from, to)),
        Chat::Group(_) => None,
    })
}

fn pair(
    engine: &dyn Engine,
    cid: Cid,
    (a, b): (Uid, Uid),
    said: &[Said],
    last: Seq,
) -> Result<(), EngineError> {
    let mut two = Conversation::between(a, b, updated_ms(said), 0);
    reach(engine, &mut two, said, last)?;
    for said in said {
        if let Some(place) = two.place_mut(said.from) {
            place.wrote(said.cseq);
        }
        if let Some(About::Expiry(expire_ms)) = said.about {
            two.set_expiry(expire_ms);
        }
    }
    write(engine, cid, &two, naming(cid, a, b)?)
}

/// What names the conversation of two users.
fn naming(cid: Cid, a: Uid, b: Uid) -> Result<Batch, EngineError> {
    let mut batch = Batch::default();
    batch.put(record::pair_key(a, b), record::encode(&cid)?);
    for uid in [a, b] {
        batch.put(record::list_key(uid, cid), A_PAIR.to_vec());
    }
    Ok(batch)
}

/// Names the conversations of two users that are there and not named: their next message would begin another one.
fn name(engine: &dyn Engine) -> Result<(), EngineError> {
    let mut twos = Vec::new();
    engine.scan(&[record::CHAT], &[record::CHAT + 1], &mut |key, value| {
        let conversation = record::decode::<Conversation>(key, value);
        if let (Some(Uid(cid)), Ok(conversation)) = (record::user_of(key), conversation)
            && let Parties::Two([(a, _), (b, _)]) = conversation.parties
        {
            twos.push((Cid(cid), a, b));
        }
        true
    })?;
    for (cid, a, b) in twos {
        if engine.get(&record::pair_key(a, b))?.is_none() {
            engine.apply(naming(cid, a, b)?)?;
        }
    }
    Ok(())
}

fn group(
    engine: &dyn Engine,
    gid: Cid,
    members: &BTreeMap<Uid, Member>,
    said: &[Said],
    last: Seq,
) -> Result<(), EngineError> {
    let mut batch = Batch::default();
    let there = members.iter().filter(|(_, member)| member.is_in());
    let highest = there.clone().max_by_key(|(_, member)| member.role);
    let Some((owner, highest)) = highest else {
        log::error!("group {gid} is lost: nobody is in it");
        return Ok(());
    };
    if highest.role != Role::Owner {
        let role = Role::Owner;
        let owning = Member {
            role,
            ..highest.clone()
        };
        batch.put(record::member_key(gid, *owner), record::encode(&owning)?);
    }
    let founded = members.values().map(|member| member.joined_ms).min();
    let mut group = Group {
        name: NAMELESS.into(),
        owner: *owner,
        joining: Joining::Invited,
        muted: false,
        created_ms: founded.unwrap_or(0),
        dissolved: false,
        members: there.count() as u64,
    };
    let mut expiry = 0;
    for about in said.iter().filter_map(|said| said.about.as_ref()) {
        match about {
            About::GroupCreated(name, _) | About::GroupRenamed(name) => group.name = name.clone(),
            About::GroupJoinRule(joining) => group.joining = *joining,
            About::GroupMuted(None, until) => group.muted = *until > 0,
            About::GroupDissolved => group.dissolved = true,
            About::Expiry(expire_ms) => expiry = *expire_ms,
            _ => {}
        }
    }
    let read = members.values().map(|member| member.place.read()).max();
    let mut conversation = Conversation::new(Parties::Group(group), updated_ms(said), 0);
    conversation.set_expiry(expiry);
    reach(engine, &mut conversation, said, last.max(read.unwrap_or(0)))?;
    write(engine, gid, &conversation, batch)
}

fn updated_ms(said: &[Said]) -> u64 {
    said.iter().map(|said| said.server_ts).max().unwrap_or(0)
}

/// Takes in what was said, and passes over what an earlier restore or salvage has passed over.
fn reach(
    engine: &dyn Engine,
    conversation: &mut Conversation,
    said: &[Said],
    last: Seq,
) -> Result<(), EngineError> {
    conversation.reach(last);
    let start = super::numbers::number_of(engine, record::START_KEY)?;
    if start > last {
        conversation.skip(start - last);
    }
    for said in said.iter().filter(|said| said.is_over) {
        conversation.void(said.cseq);
    }
    Ok(())
}

fn write(
    engine: &dyn Engine,
    cid: Cid,
    conversation: &Conversation,
    mut batch: Batch,
) -> Result<(), EngineError> {
    log::warn!("conversation {cid} was lost and is written anew from what is known of it");
    batch.put(record::chat_key(cid), record::encode(conversation)?);
    engine.apply(batch)
}
