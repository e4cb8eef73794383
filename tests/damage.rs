//! A store that is damaged, or an engine that panics: the others go on.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "support/faulty.rs"]
mod faulty;

use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};

use faulty::{Call, Fault, Faulty, Ill, When};
use yizhan::clock::Clock;
use yizhan::id::{Cid, Did, MsgId, Uid};
use yizhan::machine::access::{Access, Change};
use yizhan::machine::inbox::Bounds;
use yizhan::machine::ranges::Ranges;
use yizhan::message::chat::Chat;
use yizhan::message::look::{Found, Look};
use yizhan::message::{Answer, Draft, Op, Read, Refusal};
use yizhan::store::durable::Durable;
use yizhan::store::ledger::{self, Ledger, People, Policy};
use yizhan::store::memory::MemoryEngine;
use yizhan::store::reader::{self, FoundOutlet, Keeps};
use yizhan::store::{Batch, Engine, record};

const HURT: Uid = Uid(2);
const WELL: Uid = Uid(3);

fn message(id: &str, to: Uid) -> Op {
    let draft = Draft {
        id: MsgId::parse(id).unwrap(),
        to: Chat::User(to),
        payload: "{}".into(),
        created_at: None,
        expires_at: None,
    };
    Op::Append(draft.signed_by(Uid(1), None))
}

fn damage(engine: &MemoryEngine, key: Vec<u8>) {
    let mut batch = Batch::default();
    batch.put(key, vec![0xff; 3]);
    engine.apply(batch).unwrap();
}

const POLICY: Policy = Policy {
    bounds: Bounds {
        max_messages: 100,
        max_devices: 10,
        forget_ms: 1 << 40,
    },
    ttl_ms: 1 << 40,
    people: People::DEFAULT,
};

fn read(uid: Uid) -> Read {
    Read {
        uid,
        from: 1,
        to: 3,
        limit: 10,
        max_bytes: 1 << 20,
    }
}

#[test]
fn a_damaged_record_costs_only_those_it_concerns() {
    let engine = Arc::new(MemoryEngine::new());
    ledger::prepare(&*engine).unwrap();
    let mut ledger = Ledger::new(engine.clone(), POLICY);
    let phone = Did::parse("phone").unwrap();
    let attach = Op::Attach {
        uid: HURT,
        did: phone.clone(),
        online: Vec::new(),
        issued_ms: None,
    };
    let three = ["m1", "m2", "m3"].map(|id| message(id, HURT));
    ledger.commit(1, [&attach]).unwrap();
    ledger.commit(1, &three).unwrap();

    damage(&engine, record::row_key(HURT, 1));
    // Nobody else has a conversation yet.
    damage(&engine, record::history_key(Cid(1), 2));
    let page = ledger::read_page(&*engine, &read(HURT), 1, 0, None).unwrap();
    let seqs: Vec<u64> = page.rows.iter().map(|row| row.seq).collect();
    assert_eq!((seqs, page.scanned_to), (vec![3], 3));
    let ack = Op::Ack {
        reader: HURT,
        did: phone,
        seqs: Ranges::span(1, 3),
    };
    let done = ledger
        .commit(2, [&Op::Sweep, &ack, &message("m4", WELL)])
        .unwrap();
    assert_eq!(done.answers[0], Answer::Done);
    assert!(matches!(done.answers[1], Answer::Acked(_)));
    assert!(matches!(done.answers[2], Answer::Accepted(_)));

    damage(&engine, record::user_key(HURT));
    ledger.reset();
    let done = ledger
        .commit(3, [&message("m5", HURT), &message("m5", WELL), &Op::Sweep])
        .unwrap();
    assert_eq!(done.answers[0], Answer::Refused(Refusal::Storage));
    assert!(matches!(done.answers[1], Answer::Accepted(_)));
    assert_eq!(done.answers[2], Answer::Done);
}

#[test]
fn a_damaged_inbox_does_not_keep_the_rows_behind_it_from_expiring() {
    let engine = Arc::new(MemoryEngine::new());
    ledger::prepare(&*engine).unwrap();
    let policy = Policy {
        ttl_ms: 10,
        ..POLICY
    };
    let mut ledger = Ledger::new(engine.clone(), policy);
    let (first, last) = (HURT.min(WELL), HURT.max(WELL));
    ledger
        .commit(1, &[message("m1", first), message("m1", last)])
        .unwrap();
    damage(&engine, record::user_key(first));
    ledger.reset();
    let done = ledger.commit(11, &[Op::Sweep]).unwrap();
    assert_eq!((done.answers, done.tally.expired), (vec![Answer::Done], 1));
}

#[test]
fn a_damaged_record_of_who_is_banned_keeps_the_user_out_until_an_operator_says_more() {
    let engine = Arc::new(MemoryEngine::new());
    ledger::prepare(&*engine).unwrap();
    let mut ledger = Ledger::new(engine.clone(), POLICY);
    let restrict = |change| Op::Restrict { uid: HURT, change };
    ledger.commit(1, &[restrict(Change::Ban)]).unwrap();
    damage(&engine, record::access_key(HURT));
    let admit = Op::Admit {
        uid: HURT,
        did: None,
        issued_ms: None,
    };
    let ops = [admit.clone(), restrict(Change::Unban), admit];
    let done = ledger.commit(2, &ops).unwrap();
    assert_eq!(done.answers[0], Answer::Refused(Refusal::Storage));
    assert_eq!(done.answers[1], Answer::Access(Access::default()));
    assert_eq!(done.answers[2], Answer::Done);
}

#[test]
fn a_conversation_that_is_named_and_not_there_gives_out_no_number() {
    let engine = Arc::new(MemoryEngine::new());
    ledger::prepare(&*engine).unwrap();
    let mut ledger = Ledger::new(engine.clone(), POLICY);
    ledger.commit(1, [&message("m1", HURT)]).unwrap();
    let mut batch = Batch::default();
    batch.delete(record::chat_key(Cid(1)));
    engine.apply(batch).unwrap();
    ledger.reset();
    let done = ledger
        .commit(2, [&message("m2", HURT), &Op::Head(HURT)])
        .unwrap();
    let refused = Answer::Refused(Refusal::Storage);
    assert_eq!(done.answers, [refused, Answer::Head(1)]);
    assert!(done.news.is_empty());
}

struct Outlet(Sender<(u32, Option<Found>)>);

impl FoundOutlet<u32> for Outlet {
    fn found(&self, asker: u32, found: Option<Found>) {
        self.0.send((asker, found)).unwrap();
    }
}

#[test]
fn readers_outlive_the_panics_of_their_engine_and_answer_everyone() {
    let engine = Arc::new(Faulty::over(Arc::new(MemoryEngine::new())));
    engine.plan(Fault {
        call: Some(Call::Scan),
        after: 0,
        times: usize::MAX,
        when: When::Before,
        ill: Ill::Panic,
    });
    let (sender, pages) = channel();
    let clock = Clock::start();
    let keeps = Keeps {
        ttl_ms: 1,
        history_ms: 1,
    };
    let (durable, outlet) = (Durable::default(), Outlet(sender));
    let (queue, _readers) = reader::start(engine.clone(), clock, keeps, durable, outlet).unwrap();
    for asker in 0..10 {
        queue.submit(asker, Look::Rows(read(WELL))).unwrap();
    }
    for _ in 0..10 {
        assert_eq!(pages.recv().unwrap().1, None);
    }
    engine.heal();
    queue.submit(10, Look::Rows(read(WELL))).unwrap();
    let (asker, found) = pages.recv().unwrap();
    let Some(Found::Rows(page)) = found else {
        panic!("{found:?}");
    };
    assert_eq!((asker, page.scanned_to), (10, 3));
}
