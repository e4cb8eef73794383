//! The layout of the store: which keys there are and what is under them.
//!
//! One letter names the table; numbers in keys are big-endian, so that a scan goes in their order.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::id::{MsgId, Seq, Uid};

use super::EngineError;

/// The layout this build writes.
pub const LAYOUT: u32 = 2;

/// The layout of the same tables before they had a log in front of them.
pub const LAYOUT_BEFORE_LOG: u32 = 1;

/// Under this key stands the layout of the store, as a number.
pub const LAYOUT_KEY: &[u8] = b"m/layout";

/// Under this key stands a [`crate::clock::Mark`].
pub const CLOCK_KEY: &[u8] = b"m/clock";

/// Under this key stands the number that the first message of a new reader comes after, if it is not 0.
pub const START_KEY: &[u8] = b"m/start";

/// Under this key stands how many inbox rows there are, written with every change of it.
pub const ROWS_KEY: &[u8] = b"m/rows";

/// What every inbox key begins with.
pub const INBOX: u8 = b'i';
/// What every body key begins with.
pub const BODY: u8 = b'b';
/// What every dedupe key begins with.
pub const DEDUPE: u8 = b'd';
/// What every user key begins with.
pub const USER: u8 = b'u';
/// What every access key begins with.
pub const ACCESS: u8 = b'a';

/// Bytes of a key that names a table, a user and a number.
const PLACE: usize = 17;
/// Bytes in which most records find room, besides what their senders chose.
const ROOM: usize = 96;

/// An inbox row: a reference to a body that other inboxes may share.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RowRef {
    /// The inbox that the body was stored for.
    pub body_of: Uid,
    /// Its place there.
    pub body_seq: Seq,
    /// The sender, who hears of an acknowledgement.
    pub from: Uid,
    /// The message's id.
    pub id: MsgId,
    /// When it was accepted, Unix milliseconds.
    pub server_ts: u64,
}

/// Key of a user's [`crate::machine::inbox::Inbox`].
pub fn user_key(uid: Uid) -> Vec<u8> {
    of_user(USER, uid)
}

/// Key of a user's [`crate::machine::access::Access`], which is there only while something is forbidden.
pub fn access_key(uid: Uid) -> Vec<u8> {
    of_user(ACCESS, uid)
}

/// Key of a [`RowRef`].
pub fn row_key(uid: Uid, seq: Seq) -> Vec<u8> {
    place(INBOX, uid, seq)
}

/// Key of a [`crate::message::Message`].
pub fn body_key(uid: Uid, seq: Seq) -> Vec<u8> {
    place(BODY, uid, seq)
}

/// Key of a [`crate::machine::dedupe::Entry`].
pub fn dedupe_key(to: Uid, from: Uid, id: &MsgId) -> Vec<u8> {
    let id = id.as_str().as_bytes();
    let mut key = Vec::with_capacity(PLACE + id.len());
    put_place(&mut key, DEDUPE, to, from.0);
    key.extend_from_slice(id);
    key
}

/// The user and sequence number in the key of a row.
pub fn row_place(key: &[u8]) -> Option<(Uid, Seq)> {
    let uid = key.get(1..9)?.try_into().ok()?;
    let seq = key.get(9..17)?.try_into().ok()?;
    Some((Uid(u64::from_be_bytes(uid)), u64::from_be_bytes(seq)))
}

/// Key before every row of the users behind this one; none behind the last.
pub fn user_after(uid: Uid) -> Option<Vec<u8>> {
    Some(place(INBOX, Uid(uid.0.checked_add(1)?), 0))
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
    postcard::from_bytes(bytes)
        .map_err(|e| EngineError::Damaged(format!("damaged record at {}: {e}", key.escape_ascii())))
}

fn of_user(table: u8, uid: Uid) -> Vec<u8> {
    let mut key = Vec::with_capacity(9);
    key.push(table);
    key.extend_from_slice(&uid.0.to_be_bytes());
    key
}

fn place(table: u8, uid: Uid, seq: u64) -> Vec<u8> {
    let mut key = Vec::with_capacity(PLACE);
    put_place(&mut key, table, uid, seq);
    key
}

fn put_place(key: &mut Vec<u8>, table: u8, uid: Uid, seq: u64) {
    key.push(table);
    key.extend_from_slice(&uid.0.to_be_bytes());
    key.extend_from_slice(&seq.to_be_bytes());
}
