//! What one connection was sent, so that an acknowledgement covers that and nothing else.
//!
//! A text acknowledgement names a message by its id alone, and two senders may use the same id. It goes to the
//! oldest copy-holder with that id: each one takes as many of them as copies of it were sent before the next one may
//! take any. Acknowledgements by sequence number do not count there: a client repeats one at any time, and a text for a
//! copy of the same message, still on its way, would then be taken for the next message, which the client may not have.

use std::collections::hash_map::Entry::{Occupied, Vacant};
use std::collections::{HashMap, VecDeque};

use foldhash::fast::RandomState;
use smallvec::SmallVec;

use crate::id::{MsgId, Seq};

use super::ranges::Ranges;

/// A delivery of one device, for as long as the device lives.
pub type Slot = u64;

/// What a copy was of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Item {
    /// A row of the inbox.
    Row(Seq),
    /// A relayed signal.
    Signal(Slot),
}

/// Where a text acknowledgement went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Match {
    /// The first one for this item.
    First(Item),
    /// One more for an item that is acknowledged already.
    Again(Item),
}

/// How many acknowledged items with a copy outstanding, or that a client may ask for again, are remembered.
///
/// A client that repeats an acknowledgement after this many others is told 404, which is final as well.
const SETTLED_MAX: usize = 1024;

/// What one connection was sent.
#[derive(Clone, Debug, Default)]
pub struct SentLog {
    entries: HashMap<Item, Entry, RandomState>,
    /// The items that an id stands for, the oldest first; nearly always one.
    by_id: HashMap<MsgId, SmallVec<[Item; 1]>, RandomState>,
    rows: Ranges,
    settled: VecDeque<(Item, u64)>,
    next: u64,
}

#[derive(Clone, Debug)]
struct Entry {
    id: MsgId,
    /// Tells it from a later one of the same item.
    order: u64,
    copies: u32,
    /// Text acknowledgements it has taken.
    texts: u32,
    acked: bool,
    last_push: u64,
}

impl SentLog {
    /// Notes a copy of `item`, the connection's frame number `push`.
    pub fn copied(&mut self, id: &MsgId, item: Item, push: u64) {
        if let Item::Row(seq) = item {
            self.rows.insert(seq, seq);
        }
        let entry = match self.entries.entry(item) {
            Occupied(entry) => entry.into_mut(),
            Vacant(vacant) => {
                self.by_id.entry(id.clone()).or_default().push(item);
                self.next += 1;
                vacant.insert(Entry {
                    id: id.clone(),
                    order: self.next,
                    copies: 0,
                    texts: 0,
                    acked: false,
                    last_push: push,
                })
            }
        };
        entry.copies += 1;
        entry.last_push = push;
    }

    /// The frame number of the latest copy, while the item is remembered.
    pub fn last_push(&self, item: Item) -> Option<u64> {
        self.entries.get(&item).map(|entry| entry.last_push)
    }

    /// Every row this connection was sent.
    pub fn rows(&self) -> &Ranges {
        &self.rows
    }

    /// Finds the item that a text acknowledgement of `id` is for, and counts it there.
    pub fn ack_id(&mut self, id: &MsgId) -> Option<Match> {
        let items = self.by_id.get(id)?;
        for item in items {
            let Some(entry) = self.entries.get_mut(item) else {
                continue;
            };
            if entry.texts < entry.copies {
                entry.texts += 1;
                let (item, order) = (*item, entry.order);
                if std::mem::replace(&mut entry.acked, true) {
                    return Some(Match::Again(item));
                }
                self.remember(item, order);
                return Some(Match::First(item));
            }
        }
        items.first().map(|item| Match::Again(*item))
    }

    /// Counts an acknowledgement by sequence number.
    pub fn ack_row(&mut self, seq: Seq) {
        let item = Item::Row(seq);
        if let Some(entry) = self.entries.get_mut(&item)
            && !std::mem::replace(&mut entry.acked, true)
        {
            let order = entry.order;
            self.remember(item, order);
        }
    }

    /// Takes an acknowledgement back, because it could not be made durable.
    pub fn unack_row(&mut self, seq: Seq) {
        if let Some(entry) = self.entries.get_mut(&Item::Row(seq)) {
            entry.acked = false;
            // Its client may say it again in the same words.
            entry.texts = 0;
        }
    }

    /// Nothing more is sent of this item.
    pub fn settle(&mut self, item: Item) {
        if let Some(entry) = self.entries.get(&item) {
            self.remember(item, entry.order);
        }
    }

    /// What is remembered of items that are acknowledged, or that nothing more is sent of, has a bound: the oldest go first.
    fn remember(&mut self, item: Item, order: u64) {
        self.settled.push_back((item, order));
        if self.settled.len() <= SETTLED_MAX {
            return;
        }
        let Some((oldest, order)) = self.settled.pop_front() else {
            return;
        };
        let Occupied(entry) = self.entries.entry(oldest) else {
            return;
        };
        // An acknowledgement taken back leaves its entry here: it is owed, so it stays.
        let owed = !entry.get().acked && matches!(oldest, Item::Row(_));
        if owed || entry.get().order != order {
            return;
        }
        if let Occupied(mut items) = self.by_id.entry(entry.remove().id) {
            items.get_mut().retain(|item| *item != oldest);
            if items.get().is_empty() {
                items.remove();
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn id(text: &str) -> MsgId {
        MsgId::parse(text).unwrap()
    }

    #[test]
    fn each_item_takes_one_ack_per_copy_before_the_next_with_its_id() {
        let mut sent = SentLog::default();
        sent.copied(&id("x"), Item::Row(1), 0);
        sent.copied(&id("x"), Item::Row(1), 1);
        sent.copied(&id("x"), Item::Row(2), 2);
        assert_eq!(sent.ack_id(&id("x")), Some(Match::First(Item::Row(1))));
        assert_eq!(sent.ack_id(&id("x")), Some(Match::Again(Item::Row(1))));
        assert_eq!(sent.ack_id(&id("x")), Some(Match::First(Item::Row(2))));
        assert_eq!(sent.ack_id(&id("x")), Some(Match::Again(Item::Row(1))));
        assert_eq!(sent.ack_id(&id("y")), None);
    }

    #[test]
    fn an_ack_by_seq_takes_no_place_of_a_text() {
        let mut sent = SentLog::default();
        sent.copied(&id("x"), Item::Row(1), 0);
        sent.copied(&id("x"), Item::Row(2), 1);
        sent.ack_row(1);
        assert_eq!(sent.ack_id(&id("x")), Some(Match::Again(Item::Row(1))));
        assert_eq!(sent.ack_id(&id("x")), Some(Match::First(Item::Row(2))));
    }

    #[test]
    fn an_ack_taken_back_may_be_said_again() {
        let mut sent = SentLog::default();
        sent.copied(&id("x"), Item::Row(1), 0);
        sent.copied(&id("x"), Item::Row(2), 1);
        assert_eq!(sent.ack_id(&id("x")), Some(Match::First(Item::Row(1))));
        sent.unack_row(1);
        assert_eq!(sent.ack_id(&id("x")), Some(Match::First(Item::Row(1))));
        assert_eq!(sent.ack_id(&id("x")), Some(Match::First(Item::Row(2))));
    }

    #[test]
    fn acknowledged_items_are_forgotten_after_a_bound_and_owed_ones_never() {
        let mut sent = SentLog::default();
        sent.copied(&id("owed"), Item::Row(1), 0);
        sent.copied(&id("taken back"), Item::Row(2), 0);
        sent.ack_row(2);
        sent.unack_row(2);
        for n in 0..3 * SETTLED_MAX as u64 {
            let row = Item::Row(10 + n);
            sent.copied(&id(&format!("m{n}")), row, n);
            sent.ack_row(10 + n);
        }
        assert_eq!(sent.entries.len(), SETTLED_MAX + 2);
        assert_eq!(sent.by_id.len(), SETTLED_MAX + 2);
        assert_eq!(sent.ack_id(&id("m0")), None);
        assert_eq!(sent.ack_id(&id("owed")), Some(Match::First(Item::Row(1))));
        assert_eq!(
            sent.ack_id(&id("taken back")),
            Some(Match::First(Item::Row(2)))
        );
        assert!(sent.rows().contains(10));
    }
}
