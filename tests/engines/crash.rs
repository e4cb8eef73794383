//! What a crash leaves of a commit, at every place where it can come.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use yizhan::id::{Cid, Seq, Uid};
use yizhan::machine::conversation::Conversation;
use yizhan::message::chat::Chat;
use yizhan::message::{Answer, Message, Op, State, Target};
use yizhan::store::ledger::{Ledger, Policy, prepare};
use yizhan::store::memory::MemoryEngine;
use yizhan::store::record::{self, RowRef, Sort};
use yizhan::store::{Batch, Engine};

use super::desk::{ALICE, POLICY, ROOMY, START, ack, attach, entries_of, id, send, table_of};

fn put(engine: &MemoryEngine, key: &str) {
    let mut batch = Batch::default();
    batch.put(key.into(), key.into());
    engine.apply(batch).unwrap();
}

fn has(engine: &MemoryEngine, key: &str) -> bool {
    engine.get(key.as_bytes()).unwrap().is_some()
}

#[test]
fn a_crash_loses_what_was_not_flushed_and_nothing_else() {
    let engine = MemoryEngine::new();
    put(&engine, "flushed");
    engine.flush().unwrap();
    let mut batch = Batch::default();
    batch.delete(b"flushed".to_vec());
    batch.put(b"not flushed".to_vec(), vec![]);
    engine.apply(batch).unwrap();
    assert_eq!(engine.unflushed(), 1);
    engine.crash(0);
    assert!(has(&engine, "flushed"));
    assert!(!has(&engine, "not flushed"));
}

#[test]
fn a_crash_keeps_the_first_batches_if_it_keeps_any() {
    let engine = MemoryEngine::new();
    for key in ["first", "second", "third"] {
        put(&engine, key);
    }
    engine.crash(2);
    assert!(has(&engine, "first") && has(&engine, "second"));
    assert!(!has(&engine, "third"));
    assert_eq!(engine.unflushed(), 0);
}

#[test]
fn a_reopen_of_the_memory_engine_is_a_crash() {
    let engine = MemoryEngine::new();
    put(&engine, "not flushed");
    engine.reopen().unwrap();
    assert!(!has(&engine, "not flushed"));
}

fn opened(policy: Policy) -> (Arc<MemoryEngine>, Ledger) {
    let engine = Arc::new(MemoryEngine::new());
    prepare(&*engine).unwrap();
    let ledger = Ledger::new(engine.clone(), policy);
    (engine, ledger)
}

/// Commits `ops` and crashes after each number of engine batches in turn; `check` sees what was left.
fn crash_everywhere(policy: Policy, ops: &[Op], mut check: impl FnMut(&Arc<MemoryEngine>, usize)) {
    let (engine, mut ledger) = opened(policy);
    ledger.commit(START, ops).unwrap();
    let batches = engine.unflushed();
    assert!(batches > 3, "one batch alone is no place for a crash");
    for kept in 0..=batches {
        let (engine, mut ledger) = opened(policy);
        ledger.commit(START, ops).unwrap();
        drop(ledger);
        engine.crash(kept);
        check(&engine, kept);
    }
}

type Inboxes = BTreeMap<Uid, BTreeSet<Seq>>;

fn inboxes(engine: &MemoryEngine, table: u8) -> Inboxes {
    let mut inboxes = Inboxes::new();
    for (key, _) in table_of(engine, table) {
        let (uid, seq) = record::row_place(&key).unwrap();
        assert!(inboxes.entry(uid).or_default().insert(seq));
    }
    inboxes
}

/// The places of the messages in the conversation of each reader with one sender, which is whole: known by the two, and
/// listed with both.
fn places(engine: &MemoryEngine, sender: Uid) -> Inboxes {
    let mut places = Inboxes::new();
    let mut last = BTreeMap::new();
    for (key, value) in table_of(engine, record::HISTORY) {
        let (cid, cseq) = record::numbers(&key).unwrap();
        let message: Message = record::decode(&key, &value).unwrap();
        let Chat::User(reader) = message.to else {
            panic!("nobody sends to a group");
        };
        assert_eq!(message.from, sender);
        assert!(places.entry(reader).or_default().insert(cseq));
        last.insert(Cid(cid), (reader, cseq));
    }
    for (cid, (reader, cseq)) in last {
        let get = |key: Vec<u8>| engine.get(&key).unwrap();
        let (pair, chat) = (record::pair_key(sender, reader), record::chat_key(cid));
        assert_eq!(get(pair), Some(record::encode(&cid).unwrap()));
        let conversation: Conversation = record::decode(b"c", &get(chat).unwrap()).unwrap();
        assert_eq!(conversation.head(), cseq);
        for uid in [sender, reader] {
            assert!(get(record::list_key(uid, cid)).is_some());
        }
    }
    places
}

/// The sequence numbers that the dedupe index knows of.
fn remembered(engine: &MemoryEngine) -> Inboxes {
    let mut inboxes = Inboxes::new();
    for (to, _, name, entry) in entries_of(engine) {
        let fresh = inboxes.entry(to).or_default().insert(entry.seq);
        assert!(fresh, "{name} shares its number with another message");
    }
    inboxes
}

fn head(ledger: &mut Ledger, uid: Uid) -> Seq {
    match &ledger.commit(START, &[Op::Head(uid)]).unwrap().answers[..] {
        [Answer::Head(head)] => *head,
        answers => panic!("no head: {answers:?}"),
    }
}

/// The next message to every reader gets the next number, and everything that is there stays as it is. A bound in force
/// would remove rows that everybody has passed.
fn goes_on(engine: &Arc<MemoryEngine>, readers: &BTreeSet<Uid>) {
    let tables = |engine: &MemoryEngine| {
        [record::INBOX, record::HISTORY, record::DEDUPE].map(|table| table_of(engine, table))
    };
    let before = tables(engine);
    let mut ledger = Ledger::new(engine.clone(), ROOMY);
    for reader in readers {
        let next = head(&mut ledger, *reader) + 1;
        let op = send(ALICE, *reader, "after the crash", "hello");
        let answers = ledger.commit(START, &[op]).unwrap().answers;
        let [Answer::Accepted(accepted)] = &answers[..] else {
            panic!("not accepted: {answers:?}");
        };
        assert_eq!((accepted.seq, accepted.repeat), (next, false));
    }
    for (before, after) in before.into_iter().zip(tables(engine)) {
        let after: BTreeMap<_, _> = after.into_iter().collect();
        for (key, value) in before {
            let kept = after.get(&key) == Some(&value);
            assert!(kept, "{} was overwritten", key.escape_ascii());
        }
    }
}

#[test]
fn a_crash_between_any_two_batches_leaves_whole_messages_under_numbers_without_a_gap() {
    let sends: Vec<Op> = (0..5_000)
        .map(|n| send(ALICE, Uid(n * n % 61), &format!("m{n}"), "hello"))
        .collect();
    let readers: BTreeSet<Uid> = (0..61).map(Uid).collect();
    let mut left = Vec::new();
    crash_everywhere(ROOMY, &sends, |engine, _| {
        let rows = inboxes(engine, record::INBOX);
        let mut ledger = Ledger::new(engine.clone(), ROOMY);
        for reader in &readers {
            let head = head(&mut ledger, *reader);
            let given: BTreeSet<Seq> = (1..=head).collect();
            assert_eq!(rows.get(reader).cloned().unwrap_or_default(), given);
        }
        assert_eq!(places(engine, ALICE), rows);
        assert_eq!(remembered(engine), rows);
        left.push(rows.values().map(BTreeSet::len).sum::<usize>());
        goes_on(engine, &readers);
    });
    assert_eq!((left[0], left.last()), (0, Some(&5_000)));
    assert!(left.is_sorted());
}

/// Somebody who reads nothing, on one device.
const SENDER: Uid = Uid(1_000);

/// The places of the messages that a user's other devices are owed a copy of, each of which is there.
fn copies(engine: &MemoryEngine, uid: Uid) -> Vec<(Vec<u8>, Seq)> {
    let mut copies = Vec::new();
    for (key, value) in table_of(engine, record::INBOX) {
        let (of, seq) = record::row_place(&key).unwrap();
        let row = RowRef::decode(&key, &value).unwrap();
        let body = row.body_key();
        assert!(engine.get(&body).unwrap().is_some(), "half a message");
        if of == uid {
            assert_eq!((row.sort, row.from), (Sort::Copy, uid));
            copies.push((body, seq));
        }
    }
    copies
}

#[test]
fn a_crash_amid_acks_and_devices_loses_no_message_that_nobody_has() {
    let mut policy = ROOMY;
    policy.bounds.max_messages = 60;
    policy.bounds.max_devices = 2;
    let mut rng = fastrand::Rng::with_seed(11);
    let readers: BTreeSet<Uid> = (0..12).map(Uid).collect();
    let devices = ["phone", "web", "tablet"];
    let ops: Vec<Op> = (0..2_500)
        .map(|_| {
            let reader = Uid(rng.u64(0..12));
            let device = devices[rng.usize(0..3)];
            match rng.u8(0..20) {
                0 => attach(reader, device),
                1..=6 => {
                    let first = rng.u64(1..120);
                    let last = first + rng.u64(0..8);
                    ack(reader, device, &(first..=last).collect::<Vec<_>>())
                }
                _ => send(SENDER, reader, &format!("m{}", rng.u32(0..1_500)), "hello"),
            }
        })
        .collect();
    let ops: Vec<Op> = std::iter::once(attach(SENDER, "web")).chain(ops).collect();
    crash_everywhere(policy, &ops, |engine, kept| {
        let mut rows = inboxes(engine, record::INBOX);
        let copied = copies(engine, SENDER);
        assert_eq!(rows.remove(&SENDER).unwrap_or_default().len(), copied.len());
        let mut ledger = Ledger::new(engine.clone(), policy);
        let (remembered, places) = (remembered(engine), places(engine, SENDER));
        // The sender's device has acknowledged nothing, and lags behind as it may.
        assert!(copied.len() <= places.values().map(BTreeSet::len).sum::<usize>());
        assert!(copied.is_empty() == places.is_empty());
        for reader in &readers {
            let given: BTreeSet<Seq> = (1..=head(&mut ledger, *reader)).collect();
            let known = remembered.get(reader).cloned().unwrap_or_default();
            assert_eq!(known, given, "{kept} batches");
            let kept = places.get(reader).cloned().unwrap_or_default();
            assert_eq!(
                kept, given,
                "what went from the inbox stays in the conversation"
            );
        }
        for (to, from, name, entry) in entries_of(&**engine) {
            let of = vec![Target {
                to: Chat::User(to),
                id: id(&name),
            }];
            let answers = ledger.commit(START, &[Op::Status { from, of }]).unwrap();
            let [Answer::Status(states)] = &answers.answers[..] else {
                panic!("no state");
            };
            let there = rows.get(&to).is_some_and(|rows| rows.contains(&entry.seq));
            assert!(there || states[0].1 == State::Delivered, "{name} is lost");
        }
        goes_on(engine, &readers);
    });
}

#[test]
fn a_commit_that_was_lost_can_be_made_again() {
    let sends: Vec<Op> = (0..500)
        .map(|n| send(ALICE, Uid(n % 3), &format!("m{n}"), "hello"))
        .collect();
    let mut whole = POLICY;
    whole.bounds.max_messages = 500;
    crash_everywhere(whole, &sends, |engine, _| {
        let there = entries_of(&**engine).len();
        let mut ledger = Ledger::new(engine.clone(), whole);
        let done = ledger.commit(START + 1, &sends).unwrap();
        assert_eq!(done.tally.accepted as usize, 500 - there);
        assert_eq!(table_of(&**engine, record::INBOX).len(), 500);
    });
}
