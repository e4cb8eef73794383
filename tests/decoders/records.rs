//! What holds of records on disk whatever their bytes are. The tests of the decoders and the fuzz target `records` share
//! this file.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use serde::Serialize;
use serde::de::DeserializeOwned;
use yizhan::machine::dedupe::Entry;
use yizhan::machine::inbox::Inbox;
use yizhan::machine::ranges::Ranges;
use yizhan::message::Message;
use yizhan::store::EngineError;
use yizhan::store::record::{self, RowRef};

/// Reads the bytes as each record; says as which of them they can be read.
pub(crate) fn judge(bytes: &[u8]) -> [bool; 5] {
    [
        reads::<RowRef>(bytes),
        reads::<Message>(bytes),
        reads::<Entry>(bytes),
        reads::<Inbox>(bytes) && whole_inbox(bytes),
        reads::<Ranges>(bytes) && whole_ranges(bytes),
    ]
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
        Err(EngineError::Damaged(_)) => false,
        Err(other) => panic!("{other}"),
    }
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
