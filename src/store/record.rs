//! The layout of the store: which keys there are and what is under them.
//!
//! One letter names the table; numbers in keys are big-endian, so that a scan goes in their order.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::id::{Cid, MsgId, Seq, Uid};
use crate::machine::dedupe::Entry;
use crate::message::chat::Chat;
use crate::message::{Fate, Kind, Message, What, is_expired};

use super::EngineError;
use super::history::Sight;

/// The layout this build writes.
pub const LAYOUT: u32 = 3;

/// The layouts of the same tables before they had a log in front of them, and before there were conversations. Records of
/// both can be read: what came later stands behind what was there.
pub const LAYOUTS_BEFORE: [u32; 2] = [1, 2];

/// Under this key stands the layout of the store, as a number.
pub const LAYOUT_KEY: &[u8] = b"m/layout";

/// Under this key stands a [`crate::clock::Mark`].
pub const CLOCK_KEY: &[u8] = b"m/clock";

/// Under this key stands the number that the first message of a new reader comes after, if it is not 0.
pub const START_KEY: &[u8] = b"m/start";

/// Under this key stands how many inbox rows there are, written with every change of it.
pub const ROWS_KEY: &[u8] = b"m/rows";

/// Under this key stands the last number of a conversation that was given out.
pub const CHATS_KEY: &[u8] = b"m/chats";

/// Under this key stands the last number of an event for the webhook that was given out.
pub const EVENTS_KEY: &[u8] = b"m/events";

/// Under this key stands the last one that its receiver has.
pub const EVENTS_SENT_KEY: &[u8] = b"m/events-sent";

/// Under this key stands what the numbers of events are good in: drawn anew when numbers may come twice.
pub const EVENTS_TAG_KEY: &[u8] = b"m/events-tag";

/// Under this key stands what the ids of notices are made with: 16 bytes, drawn once.
pub const NOTICES_KEY: &[u8] = b"m/notices";

/// What every inbox key begins with.
pub const INBOX: u8 = b'i';
/// What every key of a body begins with that was stored before there were conversations.
pub const BODY: u8 = b'b';
/// What every dedupe key begins with.
pub const DEDUPE: u8 = b'd';
/// What every user key begins with.
pub const USER: u8 = b'u';
/// What every access key begins with.
pub const ACCESS: u8 = b'a';
/// What every key of a message in its conversation begins with.
pub const HISTORY: u8 = b'h';
/// What every key of a conversation begins with.
pub const CHAT: u8 = b'c';
/// What every key begins with that names the conversation of two users.
pub const PAIR: u8 = b'p';
/// What every key of an entry in a user's list of conversations begins with.
pub const LIST: u8 = b'l';
/// What every key of a member of a group begins with.
pub const MEMBER: u8 = b'g';
/// What every key of a group that counts as one of a user begins with.
pub const JOINED: u8 = b'j';
/// What every key of a relation between two users begins with.
pub const RELATION: u8 = b'k';
/// What every key of a message on its way to the members of a group begins with.
pub const FANOUT: u8 = b'f';
/// What every key begins with that says when a message must be gone.
pub const EXPIRY: u8 = b'e';
/// What every key of an event for the webhook begins with.
pub const EVENT: u8 = b'w';
/// What every key begins with that says when a row counts as parked.
pub const PARKING: u8 = b'q';

/// Bytes of a key that names a table, a user and a number.
const PLACE: usize = 17;
/// Bytes in which most records find room, besides what their senders chose.
const ROOM: usize = 96;

/// An inbox row: a reference to what its conversation stores once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowRef {
    /// Where the message stands.
    pub body: Body,
    /// Who wrote it, and hears of an acknowledgement.
    pub from: Uid,
    /// The id under which its reader may acknowledge it.
    pub id: MsgId,
    /// When it came into the inbox, Unix milliseconds.
    pub server_ts: u64,
    /// What it is to its reader.
    pub sort: Sort,
    /// When the message must be gone, Unix milliseconds, if at all.
    pub expires_at: Option<u64>,
}

/// Where the message of a row stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Body {
    /// With an inbox, at its place there: from before there were conversations.
    Inbox(Uid, Seq),
    /// In its conversation, at its place there.
    Chat(Cid, Seq),
}

/// What a row is to its reader.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Sort {
    /// A message of another user: its sender gets a receipt.
    C2c,
    /// A message to a group: its sender learns how many have it.
    C2g,
    /// A notice of the server.
    Notice,
    /// What another device of the reader has sent.
    Copy,
    /// A message was taken back.
    Revoke,
    /// A message was changed.
    Edit,
}

impl RowRef {
    /// Whether it has waited for `ttl_ms` milliseconds at the time `now`, or its own time is over.
    pub fn is_expired(&self, now: u64, ttl_ms: u64) -> bool {
        self.expires_at.is_some_and(|at| at <= now) || is_expired(self.server_ts, now, ttl_ms)
    }

    /// The key of its message.
    pub fn body_key(&self) -> Vec<u8> {
        match self.body {
            Body::Inbox(uid, seq) => body_key(uid, seq),
            Body::Chat(cid, cseq) => history_key(cid, cseq),
        }
    }

    /// What its reader is told.
    pub fn what(&self) -> What {
        match self.sort {
            Sort::C2c | Sort::C2g | Sort::Notice => What::Message,
            Sort::Copy => What::Copy,
            Sort::Revoke => What::Revoke,
            Sort::Edit => What::Edit(self.id.clone()),
        }
    }

    /// Writes it.
    pub fn encode(&self) -> Result<Vec<u8>, EngineError> {
        let (of, place) = match self.body {
            Body::Inbox(Uid(of), seq) => (of, seq),
            Body::Chat(Cid(of), cseq) => (of, cseq),
        };
        let head = RowHead {
            of,
            place,
            from: self.from,
            id: self.id.clone(),
            server_ts: self.server_ts,
        };
        match self.body {
            Body::Inbox(..) => encode(&head),
            Body::Chat(..) => encode(&(head, (self.sort, self.expires_at))),
        }
    }

    /// Reads one, of this layout or of one before.
    pub fn decode(key: &[u8], bytes: &[u8]) -> Result<RowRef, EngineError> {
        let (head, rest) = take::<RowHead>(key, bytes)?;
        let is_old = rest.is_empty();
        let (sort, expires_at) = match is_old {
            true => (Sort::C2c, None),
            false => decode(key, rest)?,
        };
        Ok(RowRef {
            body: match is_old {
                true => Body::Inbox(Uid(head.of), head.place),
                false => Body::Chat(Cid(head.of), head.place),
            },
            from: head.from,
            id: head.id,
            server_ts: head.server_ts,
            sort,
            expires_at,
        })
    }
}

/// What a row of every layout begins with.
#[derive(Serialize, Deserialize)]
struct RowHead {
    of: u64,
    place: Seq,
    from: Uid,
    id: MsgId,
    server_ts: u64,
}

/// A message as layouts before conversations have it.
#[derive(Deserialize)]
struct OldMessage {
    id: MsgId,
    kind: OldKind,
    from: Uid,
    to: Uid,
    payload: Box<str>,
    created_at: Option<i64>,
    server_ts: u64,
}

#[derive(Deserialize)]
enum OldKind {
    C2c,
}

/// Reads the message of a row, at the row's key of it.
pub fn decode_message(body: Body, key: &[u8], bytes: &[u8]) -> Result<Message, EngineError> {
    match body {
        Body::Inbox(..) => {
            let old: OldMessage = decode(key, bytes)?;
            let OldKind::C2c = old.kind;
            Ok(Message {
                id: old.id,
                kind: Kind::Words,
                from: old.from,
                to: Chat::User(old.to),
                payload: old.payload,
                created_at: old.created_at,
                server_ts: old.server_ts,
                expires_at: None,
                fate: Fate::Whole,
                cseq: 0,
            })
        }
        Body::Chat(_, cseq) => {
            let message: Message = decode(key, bytes)?;
            Ok(Message { cseq, ..message })
        }
    }
}

/// What the history has to know of a message; none of what cannot be read.
pub fn look(value: &[u8]) -> Option<Sight<'_>> {
    /// A message whose texts stay where they are.
    #[derive(Deserialize)]
    struct Borrowed<'a> {
        _id: &'a str,
        _kind: Kind,
        from: Uid,
        _to: Chat,
        payload: &'a str,
        _created_at: Option<i64>,
        server_ts: u64,
        expires_at: Option<u64>,
        fate: Fate,
    }
    let message: Borrowed<'_> = postcard::from_bytes(value).ok()?;
    let is_gone = matches!(message.fate, Fate::Revoked(_) | Fate::Expired);
    Some(Sight {
        server_ts: message.server_ts,
        from: message.from.0,
        text: Some(message.payload).filter(|_| !is_gone),
        may_be_archived: message.expires_at.is_none() && !is_gone,
    })
}

/// Writes a dedupe entry.
pub fn encode_entry(entry: &Entry) -> Result<Vec<u8>, EngineError> {
    encode(&(
        (entry.seq, entry.digest, entry.server_ts, entry.expired),
        (entry.cseq, entry.revoked, entry.delivered),
    ))
}

/// Reads a dedupe entry, of this layout or of one before.
pub fn decode_entry(key: &[u8], bytes: &[u8]) -> Result<Entry, EngineError> {
    let ((seq, digest, server_ts, expired), rest) = take(key, bytes)?;
    let (cseq, revoked, delivered) = match rest.is_empty() {
        true => (0, false, false),
        false => decode(key, rest)?,
    };
    Ok(Entry {
        seq,
        digest,
        server_ts,
        expired,
        cseq,
        revoked,
        delivered,
    })
}

/// Key of a user's [`crate::machine::inbox::Inbox`].
pub fn user_key(uid: Uid) -> Vec<u8> {
    of_number(USER, uid.0)
}

/// Key of a user's [`crate::machine::access::Access`], which is there only while something is forbidden.
pub fn access_key(uid: Uid) -> Vec<u8> {
    of_number(ACCESS, uid.0)
}

/// Key of a [`RowRef`].
pub fn row_key(uid: Uid, seq: Seq) -> Vec<u8> {
    place(INBOX, uid.0, seq)
}

/// Key of a message in its conversation.
pub fn history_key(cid: Cid, cseq: Seq) -> Vec<u8> {
    place(HISTORY, cid.0, cseq)
}

/// Key of a [`crate::machine::conversation::Conversation`].
pub fn chat_key(cid: Cid) -> Vec<u8> {
    of_number(CHAT, cid.0)
}

/// Key of the number of the conversation of two users.
pub fn pair_key(a: Uid, b: Uid) -> Vec<u8> {
    place(PAIR, a.min(b).0, a.max(b).0)
}

/// Key of an entry in a user's list of conversations.
pub fn list_key(uid: Uid, cid: Cid) -> Vec<u8> {
    place(LIST, uid.0, cid.0)
}

/// Key of a [`crate::machine::group::Member`].
pub fn member_key(gid: Cid, uid: Uid) -> Vec<u8> {
    place(MEMBER, gid.0, uid.0)
}

/// Key that is there while a group counts as one of a user: from joining it to leaving it, or to its end.
pub fn joined_key(uid: Uid, gid: Cid) -> Vec<u8> {
    place(JOINED, uid.0, gid.0)
}

/// Key of a [`crate::machine::contact::Relation`]: how one user stands to another.
pub fn relation_key(of: Uid, to: Uid) -> Vec<u8> {
    place(RELATION, of.0, to.0)
}

/// Key of what is on its way to the members of a group; the numbers of a group rise.
pub fn fanout_key(gid: Cid, number: u64) -> Vec<u8> {
    place(FANOUT, gid.0, number)
}

/// Key that says when a message must be gone.
pub fn expiry_key(at: u64, cid: Cid, cseq: Seq) -> Vec<u8> {
    expiry_like(EXPIRY, at, cid.0, cseq)
}

fn expiry_like(table: u8, at: u64, of: u64, number: u64) -> Vec<u8> {
    let mut key = place(table, at, of);
    key.extend_from_slice(&number.to_be_bytes());
    key
}

/// The time, the conversation and the place in a key that says when a message must be gone.
pub fn expiry_of(key: &[u8]) -> Option<(u64, Cid, Seq)> {
    let (at, cid) = numbers(key)?;
    let cseq = key.get(17..25)?.try_into().ok()?;
    Some((at, Cid(cid), u64::from_be_bytes(cseq)))
}

/// Key of an event for the webhook.
pub fn event_key(number: u64) -> Vec<u8> {
    of_number(EVENT, number)
}

/// The number of an event.
pub fn event_of(key: &[u8]) -> Option<u64> {
    user_of(key).map(|Uid(number)| number)
}

/// Key that says when a row counts as parked if no device has it by then.
pub fn parking_key(at: u64, uid: Uid, seq: Seq) -> Vec<u8> {
    expiry_like(PARKING, at, uid.0, seq)
}

/// The two numbers in a key that has two.
pub fn numbers(key: &[u8]) -> Option<(u64, u64)> {
    let first = key.get(1..9)?.try_into().ok()?;
    let second = key.get(9..17)?.try_into().ok()?;
    Some((u64::from_be_bytes(first), u64::from_be_bytes(second)))
}

/// Key of the message of a row from before there were conversations.
pub fn body_key(uid: Uid, seq: Seq) -> Vec<u8> {
    place(BODY, uid.0, seq)
}

/// Key of a [`crate::machine::dedupe::Entry`]. No id has a control character, so none of a user is one of a group.
pub fn dedupe_key(to: Chat, from: Uid, id: &MsgId) -> Vec<u8> {
    match to {
        Chat::User(to) => named(to.0, from, &[], id),
        Chat::Group(to) => named(to.0, from, &[1], id),
    }
}

/// Key of the dedupe entry of a group that somebody has founded under this id.
pub fn founding_key(by: Uid, id: &MsgId) -> Vec<u8> {
    named(by.0, by, &[2], id)
}

fn named(to: u64, from: Uid, mark: &[u8], id: &MsgId) -> Vec<u8> {
    let id = id.as_str().as_bytes();
    let mut key = Vec::with_capacity(PLACE + mark.len() + id.len());
    put_place(&mut key, DEDUPE, to, from.0);
    key.extend_from_slice(mark);
    key.extend_from_slice(id);
    key
}

/// The user and sequence number in the key of a row.
pub fn row_place(key: &[u8]) -> Option<(Uid, Seq)> {
    let (uid, seq) = numbers(key)?;
    Some((Uid(uid), seq))
}

/// Key before every row of the users behind this one; none behind the last.
pub fn user_after(uid: Uid) -> Option<Vec<u8>> {
    Some(place(INBOX, uid.0.checked_add(1)?, 0))
}

/// The user in the key of an inbox, or of what is forbidden.
pub fn user_of(key: &[u8]) -> Option<Uid> {
    let uid = key.get(1..9)?.try_into().ok()?;
    Some(Uid(u64::from_be_bytes(uid)))
}

/// Writes a record.
pub fn encode<T: Serialize>(record: &T) -> Result<Vec<u8>, EngineError> {
    encode_long(record, 0)
}

/// Writes a record with so many bytes in it that its sender chose: room for it is made once.
pub fn encode_long<T: Serialize>(record: &T, bytes: usize) -> Result<Vec<u8>, EngineError> {
    postcard::to_extend(record, Vec::with_capacity(ROOM + bytes))
        .map_err(|e| EngineError::Failed(format!("a record cannot be written: {e}")))
}

/// Reads a record; `key` is named when it is damaged.
pub fn decode<T: DeserializeOwned>(key: &[u8], bytes: &[u8]) -> Result<T, EngineError> {
    postcard::from_bytes(bytes).map_err(|e| damaged(key, &e))
}

/// Reads a record, and returns what stands behind it.
fn take<'a, T: DeserializeOwned>(
    key: &[u8],
    bytes: &'a [u8],
) -> Result<(T, &'a [u8]), EngineError> {
    postcard::take_from_bytes(bytes).map_err(|e| damaged(key, &e))
}

fn damaged(key: &[u8], error: &postcard::Error) -> EngineError {
    EngineError::Damaged(format!("damaged record at {}: {error}", key.escape_ascii()))
}

fn of_number(table: u8, number: u64) -> Vec<u8> {
    let mut key = Vec::with_capacity(9);
    key.push(table);
    key.extend_from_slice(&number.to_be_bytes());
    key
}

fn place(table: u8, first: u64, second: u64) -> Vec<u8> {
    let mut key = Vec::with_capacity(PLACE);
    put_place(&mut key, table, first, second);
    key
}

fn put_place(key: &mut Vec<u8>, table: u8, first: u64, second: u64) {
    key.push(table);
    key.extend_from_slice(&first.to_be_bytes());
    key.extend_from_slice(&second.to_be_bytes());
}
