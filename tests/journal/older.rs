//! Stores of older layouts: one from before there was a log gets one, one from before there were conversations has them
//! from then on, and everything in them goes on.

use std::sync::Arc;

use serde::Serialize;
use yizhan::id::{Cid, Did, MsgId, Seq, Uid};
use yizhan::machine::inbox::{Bounds as InboxBounds, Inbox};
use yizhan::machine::ranges::Ranges;
use yizhan::message::chat::{Amendment, By, Chat};
use yizhan::message::{Accepted, Answer, Draft, Fate, Op, Read, Refusal, State, Target, digest};
use yizhan::store::journal::Journal;
use yizhan::store::ledger::{Committed, Ledger, News, People, Policy, prepare, read_page, rows};
use yizhan::store::memory::MemoryEngine;
use yizhan::store::{Batch, Engine, record};

use super::disk::Disk;
use super::store::{BOUNDS, open};

fn older() -> Arc<MemoryEngine> {
    let base = MemoryEngine::new();
    let mut batch = Batch::default();
    let layout = record::encode(&1u32).unwrap();
    batch.put(record::LAYOUT_KEY.to_vec(), layout);
    for n in 0..20u8 {
        batch.put(vec![b'd', n], vec![n]);
        batch.put(vec![b'i', n], vec![n]);
    }
    base.apply(batch).unwrap();
    base.flush().unwrap();
    Arc::new(base)
}

#[test]
fn an_older_store_gets_a_log_and_the_build_that_wrote_it_refuses_it_from_then_on() {
    let (disk, base) = (Arc::new(Disk::default()), older());
    let (journal, _) = open(&disk, &base, BOUNDS).unwrap();
    assert!(!prepare(&journal).unwrap(), "it is not empty");
    let layout = base.get(record::LAYOUT_KEY).unwrap().unwrap();
    let layout: u32 = record::decode(record::LAYOUT_KEY, &layout).unwrap();
    assert_eq!((layout, base.unflushed()), (record::LAYOUT, 0));
}

#[test]
fn what_an_older_store_remembers_is_found_and_what_is_removed_of_it_stays_so() {
    let (disk, base) = (Arc::new(Disk::default()), older());
    let (mut journal, _) = open(&disk, &base, BOUNDS).unwrap();
    for round in 0..20u8 {
        assert_eq!(journal.get(&[b'd', round]).unwrap(), Some(vec![round]));
        let mut batch = Batch::default();
        match round % 2 {
            0 => batch.delete(vec![b'd', round]),
            _ => batch.put(vec![b'd', round], vec![100]),
        }
        journal.apply(batch).unwrap();
        journal.settle().unwrap();
        if round % 5 == 4 {
            journal.close().unwrap();
            journal = open(&disk, &base, BOUNDS).unwrap().0;
        }
    }
    let mut found = Vec::new();
    let mut visit = |key: &[u8], value: &[u8]| {
        found.push((key[1], value.to_vec()));
        true
    };
    journal.scan(b"d", b"e", &mut visit).unwrap();
    let left: Vec<_> = (0..10).map(|n| (2 * n + 1, vec![100])).collect();
    assert_eq!(found, left);
}

// ---- before there were conversations ----

const ALICE: Uid = Uid(1);
const BOB: Uid = Uid(108);
const START: u64 = 1_700_000_000_000;
const TTL: u64 = 10_000;
const PAYLOAD: &str = r#"{"text":"hello"}"#;
const POLICY: Policy = Policy {
    bounds: INBOX,
    ttl_ms: TTL,
    people: People::DEFAULT,
};
const INBOX: InboxBounds = InboxBounds {
    max_messages: 10,
    max_devices: 2,
    forget_ms: u64::MAX,
};

/// Records as layout 2 had them.
#[derive(Serialize)]
struct OldRow {
    body_of: Uid,
    body_seq: Seq,
    from: Uid,
    id: MsgId,
    server_ts: u64,
}

#[derive(Serialize)]
struct OldMessage {
    id: MsgId,
    kind: OldKind,
    from: Uid,
    to: Uid,
    payload: Box<str>,
    created_at: Option<i64>,
    server_ts: u64,
}

#[derive(Serialize)]
enum OldKind {
    C2c,
}

#[derive(Serialize)]
struct OldEntry {
    seq: Seq,
    digest: u128,
    server_ts: u64,
    expired: bool,
}

fn id(n: u64) -> MsgId {
    MsgId::parse(&format!("m{n}")).unwrap()
}

fn phone() -> Did {
    Did::parse("phone").unwrap()
}

/// A store in which three messages of Alice wait for Bob, who has a phone.
fn of_layout_2(disk: &Arc<Disk>, base: &Arc<MemoryEngine>) -> Arc<Journal> {
    let mut journal = open(disk, base, BOUNDS).unwrap().0;
    let mut batch = Batch::default();
    let mut put = |key: Vec<u8>, value: Vec<u8>| batch.put(key, value);
    put(record::LAYOUT_KEY.to_vec(), record::encode(&2u32).unwrap());
    put(record::ROWS_KEY.to_vec(), record::encode(&3i64).unwrap());
    let mut inbox = Inbox::default();
    inbox.attach(&phone(), START, &INBOX, &[]);
    for n in 1..=3 {
        let seq = inbox.append(&INBOX).unwrap().seq;
        let row = OldRow {
            body_of: BOB,
            body_seq: seq,
            from: ALICE,
            id: id(n),
            server_ts: START,
        };
        let message = OldMessage {
            id: id(n),
            kind: OldKind::C2c,
            from: ALICE,
            to: BOB,
            payload: PAYLOAD.into(),
            created_at: Some(-5),
            server_ts: START,
        };
        let entry = OldEntry {
            seq,
            digest: digest("C2C", PAYLOAD),
            server_ts: START,
            expired: false,
        };
        let dedupe = record::dedupe_key(Chat::User(BOB), ALICE, &id(n));
        put(record::row_key(BOB, seq), record::encode(&row).unwrap());
        put(
            record::body_key(BOB, seq),
            record::encode(&message).unwrap(),
        );
        put(dedupe, record::encode(&entry).unwrap());
    }
    put(record::user_key(BOB), record::encode(&inbox).unwrap());
    journal.apply(batch).unwrap();
    journal.settle().unwrap();
    journal.close().unwrap();
    journal = open(disk, base, BOUNDS).unwrap().0;
    assert!(!prepare(&journal).unwrap(), "it is not empty");
    Arc::new(journal)
}

/// The store, opened again and again between the requests.
struct Upgraded {
    disk: Arc<Disk>,
    base: Arc<MemoryEngine>,
    journal: Arc<Journal>,
    now: u64,
}

impl Upgraded {
    fn open() -> Upgraded {
        let (disk, base) = (Arc::new(Disk::default()), Arc::new(MemoryEngine::new()));
        let journal = of_layout_2(&disk, &base);
        Upgraded {
            disk,
            base,
            journal,
            now: START + 1,
        }
    }

    fn commits(&mut self, op: Op) -> Committed {
        let mut ledger = Ledger::new(self.journal.clone(), POLICY);
        let done = ledger.commit(self.now, &[op]).unwrap();
        drop(ledger);
        self.journal.settle().unwrap();
        self.journal.close().unwrap();
        self.journal = Arc::new(open(&self.disk, &self.base, BOUNDS).unwrap().0);
        assert!(!prepare(&*self.journal).unwrap());
        done
    }

    fn asks(&mut self, op: Op) -> Answer {
        self.commits(op).answers.remove(0)
    }

    fn accepts(&mut self, n: u64) -> Accepted {
        match self.asks(send(n, PAYLOAD)) {
            Answer::Accepted(accepted) => accepted,
            answer => panic!("m{n} was not accepted: {answer:?}"),
        }
    }

    fn acks(&mut self, seq: Seq) -> Committed {
        let done = self.commits(Op::Ack {
            reader: BOB,
            did: phone(),
            seqs: Ranges::span(seq, seq),
        });
        assert!(matches!(done.answers[..], [Answer::Acked(_)]));
        done
    }

    fn state(&mut self, n: u64) -> State {
        let target = Target {
            to: Chat::User(BOB),
            id: id(n),
        };
        let of = vec![target];
        match self.asks(Op::Status { from: ALICE, of }) {
            Answer::Status(states) => states[0].1,
            answer => panic!("no state: {answer:?}"),
        }
    }

    /// What waits for Bob: the places in his inbox and in the conversation, and the ids.
    fn waiting(&self) -> Vec<(Seq, Seq, MsgId)> {
        let read = Read {
            uid: BOB,
            from: 1,
            to: Seq::MAX,
            limit: 100,
            max_bytes: usize::MAX,
        };
        let page = read_page(&*self.journal, &read, self.now, 0, None).unwrap();
        assert!(page.dead.is_empty());
        let waits = page.rows.into_iter().map(|row| {
            let message = &row.message;
            assert_eq!((message.from, message.to), (ALICE, Chat::User(BOB)));
            assert_eq!((&*message.payload, message.fate), (PAYLOAD, Fate::Whole));
            assert_eq!((row.since, row.id()), (message.server_ts, &message.id));
            (row.seq, message.cseq, message.id.clone())
        });
        waits.collect()
    }

    fn has(&self, key: &[u8]) -> bool {
        self.journal.get(key).unwrap().is_some()
    }
}

fn send(n: u64, payload: &str) -> Op {
    let draft = Draft {
        id: id(n),
        to: Chat::User(BOB),
        payload: payload.into(),
        created_at: None,
        expires_at: None,
    };
    Op::Append(draft.signed_by(ALICE, None))
}

#[test]
fn what_waits_in_a_store_from_before_conversations_is_delivered_beside_what_is_new() {
    let mut store = Upgraded::open();
    let layout = store.journal.get(record::LAYOUT_KEY).unwrap().unwrap();
    assert_eq!(layout, record::encode(&record::LAYOUT).unwrap());
    let old: Vec<_> = (1..=3).map(|n| (n, 0, id(n))).collect();
    assert_eq!(store.waiting(), old);
    let new = store.accepts(4);
    assert_eq!((new.seq, new.cseq, new.repeat), (4, 1, false));
    assert_eq!(store.waiting(), [&old[..], &[(4, 1, id(4))]].concat());
    assert_eq!(rows(&*store.journal).unwrap(), 4);
}

#[test]
fn a_message_from_before_conversations_is_known_by_its_id_and_has_no_place_in_one() {
    let mut store = Upgraded::open();
    assert_eq!(store.state(1), State::Accepted);
    let again = store.accepts(1);
    assert_eq!((again.seq, again.cseq, again.repeat), (1, 0, true));
    assert_eq!((again.server_ts, again.state), (START, State::Accepted));
    let other = store.asks(send(1, "{}"));
    assert_eq!(other, Answer::Refused(Refusal::Conflict));
    let revoke = Op::Amend {
        by: By {
            uid: ALICE,
            did: None,
        },
        chat: Chat::User(BOB),
        amendment: Amendment::Revoke { id: id(1) },
    };
    for _ in ["without a conversation", "with one"] {
        let refused = store.asks(revoke.clone());
        assert!(matches!(refused, Answer::Refused(Refusal::Missing(_))));
        store.accepts(4);
    }
}

#[test]
fn an_ack_takes_the_row_and_the_body_from_before_conversations_and_is_told_its_sender() {
    let mut store = Upgraded::open();
    store.accepts(4);
    for n in [2, 4] {
        let done = store.acks(n);
        let [News::Receipt(receipt)] = &done.news[..] else {
            panic!("{:?}", done.news);
        };
        assert_eq!((receipt.sender, &receipt.id), (ALICE, &id(n)));
        assert_eq!(store.state(n), State::Delivered);
        assert!(!store.has(&record::row_key(BOB, n)));
    }
    assert!(!store.has(&record::body_key(BOB, 2)));
    assert!(store.has(&record::body_key(BOB, 3)));
    assert!(store.has(&record::history_key(Cid(1), 1)), "it is history");
    assert_eq!(store.waiting(), [(1, 0, id(1)), (3, 0, id(3))]);
    assert_eq!(rows(&*store.journal).unwrap(), 2);
    // Known again in the words of this layout.
    let again = store.accepts(2);
    assert_eq!((again.cseq, again.state), (0, State::Delivered));
}

#[test]
fn a_row_from_before_conversations_expires_with_its_body() {
    let mut store = Upgraded::open();
    store.acks(2);
    store.now = START + TTL - 1;
    store.accepts(4);
    store.now = START + TTL;
    let swept = store.commits(Op::Sweep);
    assert_eq!((swept.tally.expired, swept.tally.rows), (2, -2));
    let states = [1, 2, 3, 4].map(|n| store.state(n));
    let (expired, delivered) = (State::Expired, State::Delivered);
    assert_eq!(states, [expired, delivered, expired, State::Accepted]);
    assert_eq!(store.waiting(), [(4, 1, id(4))]);
    for n in 1..=3 {
        assert!(!store.has(&record::row_key(BOB, n)));
        assert!(!store.has(&record::body_key(BOB, n)));
    }
    assert_eq!(rows(&*store.journal).unwrap(), 1);
}
