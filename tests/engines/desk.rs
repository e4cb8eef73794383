//! The words in which the cases about committing are told: users, their devices, and a ledger with a clock of its own.

use std::sync::Arc;

use yizhan::id::{Did, MsgId, Seq, Uid};
use yizhan::machine::dedupe::Entry;
use yizhan::machine::inbox::Bounds;
use yizhan::machine::ranges::Ranges;
use yizhan::message::chat::Chat;
use yizhan::message::{Accepted, Answer, Attached, Draft, Op, Page, Read, Refusal, State, Target};
use yizhan::store::Engine;
use yizhan::store::ledger::{
    Committed, Hooks, Ledger, News, People, Policy, count_rows, prepare, read_page,
};
use yizhan::store::record;

use super::house::House;

pub(crate) const ALICE: Uid = Uid(1);
pub(crate) const BOB: Uid = Uid(108);
pub(crate) const CAROL: Uid = Uid(12_345);

/// When every story begins, Unix milliseconds.
pub(crate) const START: u64 = 1_700_000_000_000;

pub(crate) const POLICY: Policy = Policy {
    bounds: Bounds {
        max_messages: 10,
        max_devices: 2,
        forget_ms: 50_000,
    },
    ttl_ms: 10_000,
    people: People::DEFAULT,
};

/// Nothing in the way of a crowd.
pub(crate) const ROOMY: Policy = Policy {
    bounds: Bounds {
        max_messages: 100_000,
        max_devices: 10,
        forget_ms: u64::MAX,
    },
    ttl_ms: 10_000,
    people: People::DEFAULT,
};

pub(crate) fn did(text: &str) -> Did {
    Did::parse(text).unwrap()
}

pub(crate) fn id(text: &str) -> MsgId {
    MsgId::parse(text).unwrap()
}

pub(crate) fn send(from: Uid, to: Uid, name: &str, text: &str) -> Op {
    let draft = Draft {
        id: id(name),
        to: Chat::User(to),
        payload: format!("{{\"text\":\"{text}\"}}").into(),
        created_at: None,
        expires_at: None,
    };
    Op::Append(draft.signed_by(from, None))
}

pub(crate) fn ack(reader: Uid, device: &str, seqs: &[Seq]) -> Op {
    Op::Ack {
        reader,
        did: did(device),
        seqs: seqs.iter().copied().collect(),
    }
}

pub(crate) fn attach(uid: Uid, device: &str) -> Op {
    Op::Attach {
        uid,
        did: did(device),
        online: Vec::new(),
        issued_ms: None,
    }
}

/// Who heard that a device has which message, on which device.
pub(crate) fn receipts(done: &Committed) -> Vec<(Uid, String, String)> {
    let receipts = done.news.iter().filter_map(|news| match news {
        News::Receipt(receipt) => Some((
            receipt.sender,
            receipt.id.to_string(),
            receipt.did.to_string(),
        )),
        _ => None,
    });
    receipts.collect()
}

pub(crate) fn forgotten(done: &Committed) -> Vec<String> {
    let forgotten = done.news.iter().filter_map(|news| match news {
        News::Forgotten { did, .. } => Some(did.to_string()),
        _ => None,
    });
    forgotten.collect()
}

pub(crate) struct Desk<H> {
    pub(crate) now: u64,
    policy: Policy,
    ledger: Option<Ledger>,
    house: H,
}

impl<H: House> Desk<H> {
    pub(crate) fn open(policy: Policy) -> Desk<H> {
        let house = H::build();
        prepare(&*house.engine()).unwrap();
        let ledger = Ledger::new(house.engine(), policy);
        Desk {
            now: START,
            policy,
            ledger: Some(ledger),
            house,
        }
    }

    pub(crate) fn engine(&self) -> Arc<dyn Engine> {
        self.house.engine()
    }

    pub(crate) fn restart(&mut self) {
        self.ledger = None;
        self.house.restart();
        prepare(&*self.house.engine()).unwrap();
        self.ledger = Some(Ledger::new(self.house.engine(), self.policy));
    }

    /// Commits the requests together and flushes.
    pub(crate) fn commit(&mut self, ops: &[Op]) -> Committed {
        let ledger = self.ledger.as_mut().unwrap();
        let done = ledger.commit(self.now, ops).unwrap();
        self.engine().flush().unwrap();
        assert_eq!(done.answers.len(), ops.len());
        done
    }

    /// Tells a receiver of what happens from here on.
    pub(crate) fn tells(&mut self, hooks: Hooks) {
        self.ledger.as_mut().unwrap().tell_receiver(hooks);
    }

    /// Whether there is room for messages that are new.
    pub(crate) fn takes_new(&mut self, takes_new: bool) {
        self.ledger.as_mut().unwrap().take_new(takes_new);
    }

    /// Whether the committer would go on by itself.
    pub(crate) fn has_more(&self) -> bool {
        self.ledger.as_ref().unwrap().has_more()
    }

    /// Until nothing is on its way to the members of groups.
    pub(crate) fn fan_out(&mut self) {
        while self.ledger.as_ref().unwrap().has_more() {
            self.commit(&[]);
        }
    }

    pub(crate) fn ask(&mut self, op: Op) -> Answer {
        self.commit(&[op]).answers.remove(0)
    }

    pub(crate) fn accepts(&mut self, from: Uid, to: Uid, name: &str, text: &str) -> Accepted {
        match self.ask(send(from, to, name, text)) {
            Answer::Accepted(accepted) => accepted,
            answer => panic!("{name} was not accepted: {answer:?}"),
        }
    }

    pub(crate) fn refuses(&mut self, from: Uid, to: Uid, name: &str, text: &str) -> Refusal {
        match self.ask(send(from, to, name, text)) {
            Answer::Refused(refusal) => refusal,
            answer => panic!("{name} was not refused: {answer:?}"),
        }
    }

    /// Alice sends Bob `m1` to `m<n>`.
    pub(crate) fn fill(&mut self, n: u64) {
        let first = self.head(BOB) + 1;
        for number in first..first + n {
            self.accepts(ALICE, BOB, &format!("m{number}"), "hello");
        }
    }

    pub(crate) fn comes(&mut self, uid: Uid, device: &str) -> Attached {
        match self.ask(attach(uid, device)) {
            Answer::Attached(attached) => attached,
            answer => panic!("{device} was not attached: {answer:?}"),
        }
    }

    /// How many of the rows were new to the device.
    pub(crate) fn acks(&mut self, reader: Uid, device: &str, seqs: &[Seq]) -> u64 {
        match self.ask(ack(reader, device, seqs)) {
            Answer::Acked(acked) => acked.fresh,
            answer => panic!("the ack of {device} was not taken: {answer:?}"),
        }
    }

    pub(crate) fn head(&mut self, uid: Uid) -> Seq {
        match self.ask(Op::Head(uid)) {
            Answer::Head(head) => head,
            answer => panic!("no head: {answer:?}"),
        }
    }

    pub(crate) fn sweep(&mut self) -> Committed {
        self.commit(&[Op::Sweep])
    }

    pub(crate) fn state(&mut self, from: Uid, to: Uid, name: &str) -> State {
        let of = vec![Target {
            to: Chat::User(to),
            id: id(name),
        }];
        match self.ask(Op::Status { from, of }) {
            Answer::Status(states) => states[0].1,
            answer => panic!("no state: {answer:?}"),
        }
    }

    pub(crate) fn page(&self, read: Read) -> Page {
        read_page(&*self.engine(), &read, self.now, 0, None).unwrap()
    }

    /// What waits for a reader: sequence numbers and ids.
    pub(crate) fn rows(&self, uid: Uid) -> Vec<(Seq, String)> {
        let read = Read {
            uid,
            from: 1,
            to: Seq::MAX,
            limit: usize::MAX,
            max_bytes: usize::MAX,
        };
        let rows = self.page(read).rows;
        rows.into_iter()
            .map(|row| (row.seq, row.message.id.to_string()))
            .collect()
    }

    pub(crate) fn seqs(&self, uid: Uid) -> Vec<Seq> {
        self.rows(uid).into_iter().map(|(seq, _)| seq).collect()
    }

    /// How many keys a table has.
    pub(crate) fn keys(&self, table: u8) -> usize {
        table_of(&*self.engine(), table).len()
    }

    /// The number under a key of its own.
    pub(crate) fn number(&self, key: &[u8]) -> u64 {
        let value = self.engine().get(key).unwrap().unwrap();
        record::decode(key, &value).unwrap()
    }

    pub(crate) fn counted(&self) -> i64 {
        count_rows(&*self.engine()).unwrap()
    }
}

pub(crate) fn span(first: Seq, last: Seq) -> Ranges {
    Ranges::span(first, last)
}

pub(crate) fn table_of(engine: &dyn Engine, table: u8) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut entries = Vec::new();
    engine
        .scan(&[table], &[table + 1], &mut |key, value| {
            entries.push((key.to_vec(), value.to_vec()));
            true
        })
        .unwrap();
    entries
}

/// The reader, the sender and the entry of everything in the dedupe index.
pub(crate) fn entries_of(engine: &dyn Engine) -> Vec<(Uid, Uid, String, Entry)> {
    let entries = table_of(engine, record::DEDUPE).into_iter();
    entries
        .map(|(key, value)| {
            let (to, from) = record::row_place(&key).unwrap();
            let name = String::from_utf8(key[17..].to_vec()).unwrap();
            let entry = record::decode_entry(&key, &value).unwrap();
            (to, Uid(from), name, entry)
        })
        .collect()
}
