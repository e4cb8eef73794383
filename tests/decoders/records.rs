//! What holds of records on disk whatever their bytes are. The tests of the decoders and the fuzz target `records` share
//! this file.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use serde::Serialize;
use serde::de::DeserializeOwned;
use yizhan::id::{Cid, Uid};
use yizhan::machine::contact::Relation;
use yizhan::machine::conversation::{Conversation, Parties};
use yizhan::machine::group::Member;
use yizhan::machine::inbox::Inbox;
use yizhan::machine::ranges::Ranges;
use yizhan::message::Message;
use yizhan::store::EngineError;
use yizhan::store::record::{self, Body, RowRef};

/// As which records some bytes can be read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Read {
    pub(crate) row: bool,
    pub(crate) message: bool,
    /// A message from before there were conversations.
    pub(crate) old_message: bool,
    pub(crate) entry: bool,
    pub(crate) inbox: bool,
    pub(crate) ranges: bool,
    pub(crate) conversation: bool,
    pub(crate) member: bool,
    pub(crate) relation: bool,
}

/// Reads the bytes as each record.
pub(crate) fn judge(bytes: &[u8]) -> Read {
    Read {
        row: reads_row(bytes),
        message: reads::<Message>(bytes) && whole_message(bytes),
        old_message: reads_old_message(bytes),
        entry: reads_entry(bytes),
        inbox: reads::<Inbox>(bytes) && whole_inbox(bytes),
        ranges: reads::<Ranges>(bytes) && whole_ranges(bytes),
        conversation: reads::<Conversation>(bytes) && whole_conversation(bytes),
        member: reads::<Member>(bytes) && whole_member(bytes),
        relation: reads::<Relation>(bytes) && whole_relation(bytes),
    }
}

/// What can be read is written as something that reads as the same.
fn reads<T: Serialize + DeserializeOwned>(bytes: &[u8]) -> bool {
    match record::decode::<T>(b"k", bytes) {
        Ok(record) => {
            let written = record::encode(&record).unwrap();
            let again: T = record::decode(b"k", &written).unwrap();
            assert_eq!(record::encode(&again).unwrap(), written);
            true
        }
        Err(error) => damaged(&error),
    }
}

fn reads_row(bytes: &[u8]) -> bool {
    match RowRef::decode(b"k", bytes) {
        Ok(row) => {
            let again = RowRef::decode(b"k", &row.encode().unwrap()).unwrap();
            assert_eq!(again, row);
            let _ = (row.body_key(), row.what(), row.is_expired(9, 9));
            true
        }
        Err(error) => damaged(&error),
    }
}

fn reads_entry(bytes: &[u8]) -> bool {
    match record::decode_entry(b"k", bytes) {
        Ok(entry) => {
            let written = record::encode_entry(&entry).unwrap();
            assert_eq!(record::decode_entry(b"k", &written).unwrap(), entry);
            true
        }
        Err(error) => damaged(&error),
    }
}

/// It is written no more, and has no place in a conversation.
fn reads_old_message(bytes: &[u8]) -> bool {
    match record::decode_message(Body::Inbox(Uid(1), 1), b"k", bytes) {
        Ok(message) => {
            assert_eq!((message.cseq, message.name()), (0, "C2C"));
            true
        }
        Err(error) => damaged(&error),
    }
}

fn damaged(error: &EngineError) -> bool {
    assert!(matches!(error, EngineError::Damaged(_)), "{error}");
    false
}

/// Its place is that of its key.
fn whole_message(bytes: &[u8]) -> bool {
    let message = record::decode_message(Body::Chat(Cid(1), 7), b"k", bytes).unwrap();
    assert_eq!(message.cseq, 7);
    let _ = (message.name(), message.is_gone(), message.is_over(9));
    true
}

fn whole_inbox(bytes: &[u8]) -> bool {
    let inbox: Inbox = record::decode(b"k", bytes).unwrap();
    let _ = (inbox.head(), inbox.delivered(), inbox.is_delivered(1));
    true
}

fn whole_ranges(bytes: &[u8]) -> bool {
    let ranges: Ranges = record::decode(b"k", bytes).unwrap();
    let mut after = 0;
    for (first, last) in ranges.iter() {
        assert!(after < first && first <= last);
        after = last.saturating_add(1);
    }
    let _ = (ranges.len(), ranges.cursor(), ranges.first_gap(1));
    let _ = (ranges.gap_end(1, 9), ranges.last());
    true
}

fn whole_conversation(bytes: &[u8]) -> bool {
    let conversation: Conversation = record::decode(b"k", bytes).unwrap();
    let head = conversation.head();
    let _ = (conversation.updated_ms(), conversation.expires_at(9, None));
    let _ = conversation.readable_up_to(head);
    let _ = conversation.readable_from(1);
    if let Parties::Two(two) = &conversation.parties {
        for (uid, place) in two {
            assert!(conversation.unread(place) <= head);
            assert!(conversation.peer(*uid).is_some());
        }
    }
    let _ = (conversation.group().is_some(), conversation.place(Uid(1)));
    true
}

fn whole_member(bytes: &[u8]) -> bool {
    let member: Member = record::decode(b"k", bytes).unwrap();
    let _ = (member.is_in(), member.is_owed(1), member.view(Uid(1)));
    let _ = member.place.read();
    true
}

fn whole_relation(bytes: &[u8]) -> bool {
    let relation: Relation = record::decode(b"k", bytes).unwrap();
    assert!(relation.takes(false).is_ok() || relation.blocked);
    let _ = (relation.is_empty(), relation.view(Uid(1)));
    true
}
