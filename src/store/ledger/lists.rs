//! What is read beside the commits: lists of conversations, groups, members, contacts, and who has a message.

use std::cmp::{Ordering, Reverse};

use crate::id::{Cid, MsgId, Uid};
use crate::machine::contact::Relation;
use crate::machine::conversation::{Conversation, Place};
use crate::machine::group::Member;
use crate::message::chat::{Chat, Listed, Receiver};
use crate::message::contact::{ContactView, Tie};
use crate::message::group::{GroupView, MemberView};
use crate::message::look::{Behind, Chats, Listing, Which};

use super::page::ROW_OVERHEAD;
use super::{Engine, EngineError, history, intact, look, record};

/// What stands under an entry of a user's list for a conversation of two.
pub(in crate::store) const A_PAIR: &[u8] = b"p";
/// What stands under an entry for a group.
pub(super) const A_GROUP: &[u8] = b"g";

/// The conversations of a user, the latest first.
pub(super) fn chats(
    engine: &dyn Engine,
    uid: Uid,
    before: Option<u64>,
    (limit, max_bytes): (usize, usize),
    times: (u64, u64),
) -> Result<Chats, EngineError> {
    let from = Behind::of(before.unwrap_or(u64::MAX));
    let (mut found, mut amid) = (Vec::new(), Vec::new());
    for (cid, _) in entries(engine, uid, Cid(0), usize::MAX)? {
        if let Some(conversation) = history::conversation(engine, cid)? {
            // Of one millisecond, the conversation that began last.
            let place = (Reverse(conversation.updated_ms()), Reverse(cid));
            match conversation.updated_ms().cmp(&from.before_ms) {
                Ordering::Less => found.push(place),
                Ordering::Equal => amid.push(place),
                Ordering::Greater => {}
            }
        }
    }
    amid.sort_unstable();
    found.extend(amid.into_iter().rev().take(from.left as usize));
    found.sort_unstable();
    let mut chats = Chats {
        next: before.unwrap_or(0),
        ..Chats::default()
    };
    let mut bytes = 0;
    for (at, (Reverse(updated_ms), Reverse(cid))) in found.iter().enumerate() {
        let listed = chat(engine, uid, *cid, times)?;
        bytes += listed.as_ref().map_or(0, cost);
        let is_full = chats.chats.len() >= limit || bytes > max_bytes;
        if is_full
            && !chats.chats.is_empty()
            && let Some(next) = goes_on(&found, at)
        {
            (chats.next, chats.more) = (next, true);
            break;
        }
        chats.next = *updated_ms;
        chats.chats.extend(listed);
    }
    Ok(chats)
}

/// Where a list goes on with one of its entries; none amid more of one time than can be said.
fn goes_on(found: &[(Reverse<u64>, Reverse<Cid>)], at: usize) -> Option<u64> {
    let (before, rest) = found.split_at_checked(at)?;
    let Reverse(next_ms) = rest.first()?.0;
    let behind = match before.last() {
        Some((Reverse(last_ms), _)) if *last_ms != next_ms => Behind {
            before_ms: *last_ms,
            left: 0,
        },
        _ => {
            let same = rest.iter().take_while(|(Reverse(ms), _)| *ms == next_ms);
            Behind {
                before_ms: next_ms,
                left: same.take(Behind::LEFT_MAX as usize + 1).count() as u64,
            }
        }
    };
    behind.number()
}

/// What an entry takes in a page, bytes, in any dialect.
fn cost(listed: &Listed) -> usize {
    let name = listed.name.as_ref().map_or(0, |name| name.len());
    ROW_OVERHEAD + name + listed.last.as_ref().map_or(0, |last| last.payload.len())
}

/// One conversation as a user sees it; none if they do not take part.
pub(super) fn chat(
    engine: &dyn Engine,
    uid: Uid,
    cid: Cid,
    times: (u64, u64),
) -> Result<Option<Listed>, EngineError> {
    let Some(conversation) = history::conversation(engine, cid)? else {
        return Ok(None);
    };
    let listed = |chat, place: &Place, first| -> Result<Listed, EngineError> {
        Ok(Listed {
            chat,
            name: None,
            role: None,
            head: conversation.head(),
            read: place.read(),
            peer_read: None,
            unread: conversation.unread(place),
            updated_at: conversation.updated_ms(),
            expire_ms: conversation.expire_ms(),
            dissolved: false,
            last: history::last(engine, cid, &conversation, first, times)?,
        })
    };
    if let Some(group) = conversation.group() {
        let Some(member) = member(engine, cid, uid)?.filter(Member::is_in) else {
            return Ok(None);
        };
        return Ok(Some(Listed {
            name: Some(group.name.clone()),
            role: Some(member.role),
            dissolved: group.dissolved,
            ..listed(Chat::Group(cid), &member.place, member.joined)?
        }));
    }
    let (Some(peer), Some(place)) = (conversation.peer(uid), conversation.place(uid)) else {
        return Ok(None);
    };
    let may_know = !are_apart(engine, uid, peer)?;
    let theirs = conversation.place(peer).filter(|_| may_know);
    Ok(Some(Listed {
        peer_read: theirs.map(Place::read),
        ..listed(Chat::User(peer), place, 1)?
    }))
}

/// A group as a member sees it; none if the user is none.
pub(super) fn group(
    engine: &dyn Engine,
    uid: Uid,
    gid: Cid,
) -> Result<Option<GroupView>, EngineError> {
    let Some(member) = member(engine, gid, uid)?.filter(Member::is_in) else {
        return Ok(None);
    };
    let conversation = history::conversation(engine, gid)?;
    let group = conversation.as_ref().and_then(Conversation::group);
    Ok(group.map(|group| group.view(gid, member.role)))
}

/// The groups of a user.
pub(super) fn groups(
    engine: &dyn Engine,
    uid: Uid,
    after: Option<Cid>,
    limit: usize,
) -> Result<Listing<GroupView, Cid>, EngineError> {
    let mut listing = Listing::default();
    let Some(from) = above(after.map(|Cid(after)| after)) else {
        return Ok(listing);
    };
    for (cid, is_group) in entries(engine, uid, Cid(from), usize::MAX)? {
        if !is_group {
            continue;
        }
        if listing.items.len() >= limit {
            listing.next = listing.items.last().map(|last: &GroupView| last.gid);
            break;
        }
        listing.items.extend(group(engine, uid, cid)?);
    }
    Ok(listing)
}

/// The members of a group.
pub(super) fn members(
    engine: &dyn Engine,
    gid: Cid,
    after: Option<Uid>,
    limit: usize,
) -> Result<Listing<MemberView, Uid>, EngineError> {
    let of = |uid: Uid, member: &Member| member.view(uid);
    members_as(engine, gid, after, limit, None, of)
}

/// What the members have of a message of that author; none if there is no such message that is still known.
pub(super) fn receipts(
    engine: &dyn Engine,
    from: Uid,
    gid: Cid,
    id: &MsgId,
    after: Option<Uid>,
    limit: usize,
) -> Result<Option<Listing<Receiver, Uid>>, EngineError> {
    let Some(entry) = look::entry(engine, Chat::Group(gid), from, id)? else {
        return Ok(None);
    };
    let cseq = entry.cseq;
    let of = |uid: Uid, member: &Member| Receiver {
        uid,
        delivered: member.got.contains(cseq),
        read: member.place.read() >= cseq,
    };
    members_as(engine, gid, after, limit, Some((from, cseq)), of).map(Some)
}

/// Members above one, in a form; without the author of what stands at a place, and those who are not owed it.
fn members_as<T>(
    engine: &dyn Engine,
    gid: Cid,
    after: Option<Uid>,
    limit: usize,
    but: Option<(Uid, u64)>,
    of: impl Fn(Uid, &Member) -> T,
) -> Result<Listing<T, Uid>, EngineError> {
    let mut listing = Listing::default();
    let Some(from) = above(after.map(|Uid(after)| after)) else {
        return Ok(listing);
    };
    let (from, to) = (
        record::member_key(gid, Uid(from)),
        record::member_key(gid, Uid(u64::MAX)),
    );
    let mut last = None;
    engine.scan(&from, &to, &mut |key, value| {
        let Some((_, uid)) = record::numbers(key) else {
            return true;
        };
        let Ok(Some(member)) = intact(record::decode::<Member>(key, value)) else {
            return true;
        };
        let is_wanted = but.is_none_or(|(author, cseq)| author != Uid(uid) && member.is_owed(cseq));
        if !member.is_in() || !is_wanted {
            return true;
        }
        if listing.items.len() >= limit {
            listing.next = last;
            return false;
        }
        last = Some(Uid(uid));
        listing.items.push(of(Uid(uid), &member));
        true
    })?;
    Ok(listing)
}

/// The contacts of a user, or whom they have blocked.
pub(super) fn contacts(
    engine: &dyn Engine,
    uid: Uid,
    which: Which,
    after: Option<Uid>,
    limit: usize,
) -> Result<Listing<ContactView, Uid>, EngineError> {
    let mut listing = Listing::default();
    let Some(from) = above(after.map(|Uid(after)| after)) else {
        return Ok(listing);
    };
    let (from, to) = (
        record::relation_key(uid, Uid(from)),
        record::relation_key(uid, Uid(u64::MAX)),
    );
    let mut last = None;
    engine.scan(&from, &to, &mut |key, value| {
        let Some((_, other)) = record::numbers(key) else {
            return true;
        };
        let Ok(Some(relation)) = intact(record::decode::<Relation>(key, value)) else {
            return true;
        };
        let is_wanted = match which {
            Which::All => relation.tie.is_some(),
            Which::Tied(tie) => relation.tie == Some(tie),
            Which::Blocked => relation.blocked,
        };
        if !is_wanted {
            return true;
        }
        if listing.items.len() >= limit {
            listing.next = last;
            return false;
        }
        last = Some(Uid(other));
        listing.items.push(relation.view(Uid(other)));
        true
    })?;
    Ok(listing)
}

/// Of which of these a user may know whether they are there: of themselves, and of contacts, neither of whom has blocked the
/// other.
pub(super) fn visible(engine: &dyn Engine, to: Uid, of: &[Uid]) -> Result<Vec<bool>, EngineError> {
    let mut visible = Vec::with_capacity(of.len());
    for other in of {
        let relation = relation(engine, to, *other)?;
        let is_contact = relation.is_some_and(|relation| relation.tie == Some(Tie::Confirmed));
        visible.push(to == *other || is_contact && !are_apart(engine, to, *other)?);
    }
    Ok(visible)
}

/// Whether one of two users has blocked the other.
fn are_apart(engine: &dyn Engine, one: Uid, other: Uid) -> Result<bool, EngineError> {
    for (of, to) in [(one, other), (other, one)] {
        if relation(engine, of, to)?.is_some_and(|relation| relation.blocked) {
            return Ok(true);
        }
    }
    Ok(false)
}

fn relation(engine: &dyn Engine, of: Uid, to: Uid) -> Result<Option<Relation>, EngineError> {
    let key = record::relation_key(of, to);
    let found = engine.get(&key)?;
    let read = found.map(|bytes| record::decode(&key, &bytes));
    Ok(intact(read.transpose())?.flatten())
}

fn member(engine: &dyn Engine, gid: Cid, uid: Uid) -> Result<Option<Member>, EngineError> {
    let key = record::member_key(gid, uid);
    let found = engine.get(&key)?;
    let read = found.map(|bytes| record::decode(&key, &bytes));
    Ok(intact(read.transpose())?.flatten())
}

/// The entries of a user's list from a number on, and whether each is a group.
fn entries(
    engine: &dyn Engine,
    uid: Uid,
    from: Cid,
    limit: usize,
) -> Result<Vec<(Cid, bool)>, EngineError> {
    let (from, to) = (
        record::list_key(uid, from),
        record::list_key(uid, Cid(u64::MAX)),
    );
    let mut entries = Vec::new();
    engine.scan(&from, &to, &mut |key, value| {
        let cid = record::numbers(key).map(|(_, cid)| Cid(cid));
        entries.extend(cid.map(|cid| (cid, value == A_GROUP)));
        entries.len() < limit
    })?;
    Ok(entries)
}

/// The first number above one; none behind the last.
fn above(after: Option<u64>) -> Option<u64> {
    match after {
        None => Some(0),
        Some(after) => after.checked_add(1),
    }
}
