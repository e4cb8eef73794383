//! What a ledger does over a store that was restored: numbers were passed over.

use std::time::{Duration, Instant};

use yizhan::id::{Cid, Uid};
use yizhan::message::chat::{Chat, Listed};
use yizhan::message::group::{Joining, Order};
use yizhan::message::look::{Found, Look};
use yizhan::message::{Answer, Draft, Op, State};
use yizhan::store::Batch;
use yizhan::store::ledger::found;
use yizhan::store::numbers::{NUMBERS_SKIPPED, raise_heads, skip_numbers};
use yizhan::store::record;

use super::desk::{ALICE, BOB, CAROL, Desk, POLICY, ROOMY, attach, forgotten, id};
use super::house::House;

const SKIPPED: u64 = NUMBERS_SKIPPED;

/// The store as it is served after a restore.
fn restored<H: House>(desk: &mut Desk<H>) {
    skip_numbers(&*desk.engine(), SKIPPED).unwrap();
    desk.restart();
}

pub(crate) fn no_number_from_before_a_restore_is_given_out_after_it<H: House>() {
    let mut desk = Desk::<H>::open(POLICY);
    desk.comes(BOB, "phone");
    desk.fill(3);
    desk.acks(BOB, "phone", &[1]);
    restored(&mut desk);
    assert_eq!(desk.seqs(BOB), [2, 3]);
    let accepted = desk.accepts(ALICE, BOB, "next", "hello");
    let next = accepted.seq;
    assert_eq!((next, accepted.cseq), (3 + SKIPPED + 1, 3 + SKIPPED + 1));
    // Carol had no inbox in the backup, and may have had one when the disk was lost.
    let first = desk.accepts(ALICE, CAROL, "first", "hello");
    assert_eq!((first.seq, first.cseq), (SKIPPED + 1, SKIPPED + 1));
    // The number of a conversation that was begun since is a group's name, perhaps.
    let begun = record::history_key(Cid(1 + SKIPPED + 1), SKIPPED + 1);
    assert!(desk.engine().get(&begun).unwrap().is_some());
    desk.restart();
    assert_eq!(
        desk.accepts(ALICE, CAROL, "second", "hello").seq,
        SKIPPED + 2
    );

    restored(&mut desk);
    assert_eq!(
        desk.accepts(ALICE, BOB, "again", "hello").seq,
        next + SKIPPED + 1
    );
    assert_eq!(
        desk.accepts(CAROL, ALICE, "first", "hello").seq,
        2 * SKIPPED + 1
    );
}

pub(crate) fn numbers_that_a_restore_passed_over_count_for_nobody<H: House>() {
    let mut desk = Desk::<H>::open(POLICY);
    desk.comes(BOB, "phone");
    desk.fill(9);
    restored(&mut desk);
    let last = desk.accepts(ALICE, BOB, "tenth", "hello").seq;
    desk.refuses(ALICE, BOB, "eleventh", "hello");
    let attached = desk.comes(BOB, "phone");
    assert!(!attached.resync);
    assert_eq!(attached.acks.first_gap(10), last);
    let all: Vec<_> = (1..10).chain([last]).collect();
    assert_eq!(desk.seqs(BOB), all);
    assert_eq!(desk.acks(BOB, "phone", &all), 10);
    assert_eq!(
        (desk.keys(record::INBOX), desk.keys(record::HISTORY)),
        (0, 10)
    );
}

pub(crate) fn rows_on_both_sides_of_the_numbers_passed_over_go_with_the_device_that_held_them<
    H: House,
>() {
    let mut policy = ROOMY;
    policy.bounds.max_devices = 2;
    let mut desk = Desk::<H>::open(policy);
    desk.comes(BOB, "old");
    desk.now += 1;
    desk.comes(BOB, "phone");
    desk.fill(4);
    desk.acks(BOB, "phone", &[2, 3, 4]);
    restored(&mut desk);
    let late = desk.accepts(ALICE, BOB, "late", "hello").seq;
    desk.acks(BOB, "phone", &[late]);
    let waiting = desk.accepts(ALICE, BOB, "waiting", "hello").seq;
    assert_eq!(desk.seqs(BOB), [1, 2, 3, 4, late, waiting]);

    desk.now += 1;
    let begun = Instant::now();
    // A row of the batch at hand is not overlooked, and none is removed twice.
    let done = desk.commit(&[
        super::desk::ack(BOB, "phone", &[waiting]),
        attach(BOB, "new"),
    ]);
    assert!(
        begun.elapsed() < Duration::from_secs(20),
        "number by number"
    );
    assert_eq!(forgotten(&done), ["old"]);
    assert_eq!(done.tally.rows, -5);
    assert_eq!(desk.seqs(BOB), [1]);
    assert_eq!(desk.keys(record::HISTORY), 6);
}

/// Rows can be settled while the inbox that knows them is in a record of the log that is lost.
pub(crate) fn rows_that_an_older_inbox_does_not_know_are_still_owed_after_a_salvage<H: House>() {
    let mut desk = Desk::<H>::open(POLICY);
    desk.comes(BOB, "phone");
    desk.fill(1);
    let engine = desk.engine();
    let (bob, carol) = (record::user_key(BOB), record::user_key(CAROL));
    let older = engine.get(&bob).unwrap().unwrap();
    let chat = record::chat_key(Cid(1));
    let older_chat = engine.get(&chat).unwrap().unwrap();
    desk.fill(2);
    desk.accepts(ALICE, CAROL, "c1", "hello");
    let mut batch = Batch::default();
    batch.put(bob, older);
    batch.put(chat, older_chat);
    batch.delete(carol);
    engine.apply(batch).unwrap();
    raise_heads(&*engine).unwrap();
    drop(engine);
    restored(&mut desk);
    for (reader, name) in [(BOB, "m2"), (BOB, "m3"), (CAROL, "c1")] {
        assert_eq!(desk.state(ALICE, reader, name), State::Accepted, "{name}");
    }
    assert_eq!(desk.comes(BOB, "phone").acks.first_gap(1), 1);
    assert_eq!(desk.acks(BOB, "phone", &[1, 2, 3]), 3);
    let next = desk.accepts(ALICE, BOB, "next", "hello");
    let expected = 3 + SKIPPED + 1;
    assert_eq!((next.seq, next.cseq), (expected, expected));
}

/// A record of a conversation is written with every message, and what names it with the first one: each may be lost
/// without the other.
pub(crate) fn two_users_whose_conversation_was_lost_go_on_with_it_after_a_salvage<H: House>() {
    let record = vec![record::chat_key(Cid(1))];
    let names = [ALICE, BOB].map(|uid| record::list_key(uid, Cid(1)));
    let names = [vec![record::pair_key(ALICE, BOB)], names.to_vec()].concat();
    let all = [record.clone(), names.clone()].concat();
    for lost in [record, names, all] {
        let mut desk = Desk::<H>::open(POLICY);
        desk.fill(3);
        desk.accepts(BOB, ALICE, "b1", "hello");
        loses(&desk, lost);
        raise_heads(&*desk.engine()).unwrap();
        restored(&mut desk);
        let next = desk.accepts(ALICE, BOB, "next", "hello");
        assert_eq!(next.cseq, 4 + SKIPPED + 1);
        let chats = chats(&desk, BOB);
        let [chat] = &chats[..] else {
            panic!("one conversation: {chats:?}");
        };
        assert_eq!((chat.chat, chat.unread), (Chat::User(ALICE), 4));
        assert_eq!(chat.last.as_ref().unwrap().id.as_str(), "next");
    }
}

pub(crate) fn a_group_whose_record_was_lost_goes_on_after_a_salvage<H: House>() {
    let mut desk = Desk::<H>::open(POLICY);
    let order = |order| Op::Group {
        by: ALICE,
        gid: Cid(1),
        order,
    };
    let founded = desk.ask(order(Order::Create {
        id: id("g1"),
        name: "the crew".into(),
        members: vec![BOB, CAROL],
        joining: Joining::Open,
    }));
    assert!(matches!(founded, Answer::Group(_)), "{founded:?}");
    let renamed = desk.ask(order(Order::Update {
        name: Some("the old crew".into()),
        joining: None,
        muted: None,
    }));
    assert!(matches!(renamed, Answer::Group(_)), "{renamed:?}");
    loses(&desk, vec![record::chat_key(Cid(1))]);
    raise_heads(&*desk.engine()).unwrap();
    restored(&mut desk);
    let mut draft = draft("m1");
    draft.to = Chat::Group(Cid(1));
    let answer = desk.ask(Op::Append(draft.signed_by(BOB, None)));
    assert!(matches!(answer, Answer::Accepted(_)), "{answer:?}");
    let chats = chats(&desk, CAROL);
    assert_eq!(chats[0].name.as_deref(), Some("the old crew"));
    let dissolved = desk.ask(order(Order::Dissolve));
    assert!(matches!(dissolved, Answer::Group(group) if group.members == 3));
}

fn loses<H: House>(desk: &Desk<H>, keys: Vec<Vec<u8>>) {
    let mut batch = Batch::default();
    for key in keys {
        batch.delete(key);
    }
    desk.engine().apply(batch).unwrap();
}

fn draft(name: &str) -> Draft {
    Draft {
        id: id(name),
        to: Chat::User(BOB),
        payload: "{}".into(),
        created_at: None,
        expires_at: None,
    }
}

fn chats<H: House>(desk: &Desk<H>, uid: Uid) -> Vec<Listed> {
    let look = Look::Chats {
        uid,
        before: None,
        limit: 10,
        max_bytes: usize::MAX,
    };
    match found(&*desk.engine(), &look, desk.now, 0, 0).unwrap() {
        Found::Chats(chats) => chats.chats,
        other => panic!("{other:?}"),
    }
}
