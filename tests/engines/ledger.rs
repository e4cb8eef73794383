//! The rules of committing, over any engine.

use std::sync::Arc;

use yizhan::id::Uid;
use yizhan::machine::ranges::Ranges;
use yizhan::message::chat::Chat;
use yizhan::message::{Answer, Op, Refusal, State, Target, What};
use yizhan::store::ledger::{Ledger, News, prepare};
use yizhan::store::{Batch, Engine, record};

use super::desk::{
    ALICE, BOB, CAROL, Desk, POLICY, ROOMY, START, ack, attach, did, entries_of, forgotten, id,
    receipts, send, span,
};
use super::faulty::Faulty;
use super::house::{Forgetful, House};

const TTL: u64 = POLICY.ttl_ms;

pub(crate) fn the_sequence_of_a_reader_starts_at_1_and_has_no_gap<H: House>() {
    let mut desk = Desk::<H>::open(POLICY);
    for n in 1..=5 {
        let to_bob = desk.accepts(ALICE, BOB, &format!("b{n}"), "hello");
        let to_carol = desk.accepts(ALICE, CAROL, &format!("c{n}"), "hello");
        assert_eq!((to_bob.seq, to_carol.seq), (n, n));
        assert_eq!((to_bob.state, to_bob.repeat), (State::Accepted, false));
        assert_eq!(to_bob.server_ts, START);
    }
    assert_eq!(desk.seqs(BOB), [1, 2, 3, 4, 5]);
    assert_eq!((desk.head(BOB), desk.head(ALICE)), (5, 0));
    assert_eq!(desk.counted(), 10);
}

pub(crate) fn an_emptied_inbox_goes_on_counting_also_after_a_restart<H: House>() {
    let mut desk = Desk::<H>::open(POLICY);
    desk.comes(BOB, "phone");
    desk.fill(3);
    assert_eq!(desk.acks(BOB, "phone", &[1, 2, 3]), 3);
    assert!(desk.rows(BOB).is_empty());
    assert_eq!(desk.accepts(ALICE, BOB, "m4", "hello").seq, 4);
    assert_eq!(desk.acks(BOB, "phone", &[4]), 1);
    desk.restart();
    assert_eq!(desk.head(BOB), 4);
    assert_eq!(desk.accepts(ALICE, BOB, "m5", "hello").seq, 5);
}

pub(crate) fn a_repeat_gets_the_first_answer_again_and_makes_no_row<H: House>() {
    let mut desk = Desk::<H>::open(POLICY);
    desk.accepts(ALICE, BOB, "m1", "hello");
    desk.accepts(ALICE, BOB, "m2", "world");
    desk.now += 500;
    let again = desk.accepts(ALICE, BOB, "m1", "hello");
    assert_eq!((again.seq, again.server_ts), (1, START));
    assert_eq!((again.state, again.repeat), (State::Accepted, true));
    let done = desk.commit(&[send(ALICE, BOB, "m2", "world")]);
    assert_eq!((done.tally.accepted, done.tally.rows), (0, 0));
    assert!(!done.tally.wrote, "a repeat has nothing to write");
    assert_eq!(desk.seqs(BOB), [1, 2]);
    assert_eq!(desk.head(BOB), 2);
}

pub(crate) fn a_repeat_within_one_batch_makes_no_row<H: House>() {
    let mut desk = Desk::<H>::open(POLICY);
    let done = desk.commit(&[
        send(ALICE, BOB, "m1", "hello"),
        send(ALICE, BOB, "m1", "hello"),
        send(ALICE, BOB, "m1", "something else"),
    ]);
    let [
        Answer::Accepted(first),
        Answer::Accepted(second),
        Answer::Refused(third),
    ] = &done.answers[..]
    else {
        panic!("{:?}", done.answers);
    };
    assert_eq!((first.seq, first.repeat), (1, false));
    assert_eq!((second.seq, second.repeat), (1, true));
    assert_eq!(*third, Refusal::Conflict);
    assert_eq!(desk.seqs(BOB), [1]);
}

pub(crate) fn a_repeat_says_what_became_of_the_message<H: House>() {
    let mut desk = Desk::<H>::open(POLICY);
    desk.comes(BOB, "phone");
    desk.accepts(ALICE, BOB, "taken", "hello");
    desk.accepts(ALICE, BOB, "left", "hello");
    desk.acks(BOB, "phone", &[1]);
    desk.now += TTL;
    desk.sweep();
    let taken = desk.accepts(ALICE, BOB, "taken", "hello");
    assert_eq!((taken.seq, taken.state), (1, State::Delivered));
    let left = desk.accepts(ALICE, BOB, "left", "hello");
    assert_eq!((left.seq, left.state), (2, State::Expired));
    assert_eq!((left.server_ts, left.repeat), (START, true));
}

pub(crate) fn a_repeat_after_a_restart_is_still_one<H: House>() {
    let mut desk = Desk::<H>::open(POLICY);
    desk.comes(BOB, "phone");
    desk.accepts(ALICE, BOB, "m1", "hello");
    desk.accepts(ALICE, BOB, "m2", "hello");
    desk.acks(BOB, "phone", &[1]);
    desk.restart();
    desk.now += 500;
    let delivered = desk.accepts(ALICE, BOB, "m1", "hello");
    assert_eq!((delivered.seq, delivered.state), (1, State::Delivered));
    let waiting = desk.accepts(ALICE, BOB, "m2", "hello");
    assert_eq!((waiting.seq, waiting.server_ts), (2, START));
    assert_eq!(desk.refuses(ALICE, BOB, "m2", "changed"), Refusal::Conflict);
    assert_eq!(desk.seqs(BOB), [2]);
}

pub(crate) fn a_repeat_of_an_unread_message_announces_the_head_again<H: House>() {
    let mut desk = Desk::<H>::open(POLICY);
    desk.comes(BOB, "phone");
    desk.fill(2);
    let again = send(ALICE, BOB, "m1", "hello");
    let news = desk.commit(std::slice::from_ref(&again)).news;
    assert_eq!(news, [News::Head { uid: BOB, head: 2 }]);
    desk.acks(BOB, "phone", &[1]);
    assert!(desk.commit(&[again]).news.is_empty());
}

pub(crate) fn other_content_under_a_taken_id_is_refused_and_changes_nothing<H: House>() {
    let mut desk = Desk::<H>::open(POLICY);
    desk.accepts(ALICE, BOB, "m1", "hello");
    let before = entries_of(&*desk.engine());
    assert_eq!(desk.refuses(ALICE, BOB, "m1", "changed"), Refusal::Conflict);
    assert_eq!(entries_of(&*desk.engine()), before);
    assert_eq!(desk.head(BOB), 1);
    let same = desk.accepts(ALICE, BOB, "m1", "hello");
    assert!(same.repeat);
}

pub(crate) fn the_same_id_to_another_reader_is_another_message<H: House>() {
    let mut desk = Desk::<H>::open(POLICY);
    let to_bob = desk.accepts(ALICE, BOB, "m1", "hello");
    let to_carol = desk.accepts(ALICE, CAROL, "m1", "something else");
    assert!(!to_bob.repeat && !to_carol.repeat);
    assert_eq!(desk.rows(CAROL), [(1, "m1".to_string())]);
    assert_eq!(desk.state(ALICE, CAROL, "m1"), State::Accepted);
}

pub(crate) fn the_same_id_from_two_senders_makes_two_rows<H: House>() {
    let mut desk = Desk::<H>::open(POLICY);
    let by_alice = desk.accepts(ALICE, BOB, "m1", "hello");
    let by_carol = desk.accepts(CAROL, BOB, "m1", "hello");
    assert_eq!((by_alice.seq, by_carol.seq), (1, 2));
    desk.comes(BOB, "phone");
    let done = desk.commit(&[ack(BOB, "phone", &[2])]);
    assert_eq!(receipts(&done), [(CAROL, "m1".into(), "phone".into())]);
    assert_eq!(desk.state(ALICE, BOB, "m1"), State::Accepted);
    assert_eq!(desk.state(CAROL, BOB, "m1"), State::Delivered);
}

pub(crate) fn a_full_inbox_counts_only_rows_that_no_device_has_acked<H: House>() {
    let mut desk = Desk::<H>::open(POLICY);
    desk.comes(BOB, "phone");
    desk.comes(BOB, "web");
    desk.fill(10);
    assert_eq!(desk.refuses(ALICE, BOB, "m11", "hello"), Refusal::InboxFull);
    assert_eq!(desk.state(ALICE, BOB, "m11"), State::Unknown);
    assert_eq!(desk.head(BOB), 10);
    desk.acks(BOB, "phone", &[3]);
    assert_eq!(desk.counted(), 10, "the other device still waits for it");
    assert_eq!(desk.accepts(ALICE, BOB, "m11", "hello").seq, 11);
    assert_eq!(desk.refuses(ALICE, BOB, "m12", "hello"), Refusal::InboxFull);
    desk.accepts(ALICE, CAROL, "m12", "hello");
}

pub(crate) fn a_repeat_to_a_full_inbox_is_accepted<H: House>() {
    let mut desk = Desk::<H>::open(POLICY);
    desk.fill(10);
    assert_eq!(desk.accepts(ALICE, BOB, "m7", "hello").seq, 7);
}

pub(crate) fn an_ack_by_one_of_two_devices_keeps_the_row_and_by_both_removes_it<H: House>() {
    let mut desk = Desk::<H>::open(POLICY);
    desk.comes(BOB, "phone");
    desk.comes(BOB, "web");
    desk.fill(2);
    let by_phone = desk.commit(&[ack(BOB, "phone", &[1])]);
    assert_eq!((by_phone.tally.delivered, by_phone.tally.rows), (1, 0));
    assert_eq!(desk.seqs(BOB), [1, 2]);
    desk.restart();
    let by_web = desk.commit(&[ack(BOB, "web", &[1])]);
    assert_eq!((by_web.tally.delivered, by_web.tally.rows), (0, -1));
    assert_eq!(desk.seqs(BOB), [2]);
    assert_eq!(
        (desk.keys(record::INBOX), desk.keys(record::HISTORY)),
        (1, 2)
    );
}

pub(crate) fn the_other_devices_of_a_sender_are_owed_a_copy_and_the_sending_one_is_not<H: House>() {
    let mut desk = Desk::<H>::open(POLICY);
    desk.comes(ALICE, "phone");
    let Op::Append(mut append) = send(ALICE, BOB, "m1", "hello") else {
        panic!("no message");
    };
    append.did = Some(did("phone"));
    let alone = desk.commit(&[Op::Append(append.clone())]);
    assert!(matches!(&alone.news[..], [News::Row(row)] if row.reader == BOB));
    desk.comes(ALICE, "web");
    append.draft.id = id("m2");
    let done = desk.commit(&[Op::Append(append)]);
    let [
        News::Row(row),
        News::Passed { uid, did: by, seqs },
        News::Row(copy),
    ] = &done.news[..]
    else {
        panic!("{:?}", done.news);
    };
    assert_eq!((row.reader, &row.what), (BOB, &What::Message));
    assert_eq!((*uid, by.as_str(), seqs), (ALICE, "phone", &span(1, 1)));
    assert_eq!((copy.reader, copy.seq), (ALICE, 1));
    assert_eq!((&copy.what, &copy.message), (&What::Copy, &row.message));
    assert_eq!(done.tally.rows, 2);
    desk.restart();
    assert_eq!(desk.comes(ALICE, "phone").acks, span(1, 1));
    assert!(desk.comes(ALICE, "web").acks.is_empty());
    let took = desk.commit(&[ack(ALICE, "web", &[1])]);
    assert!(took.news.is_empty(), "a copy has no receipt");
    assert_eq!((took.tally.delivered, took.tally.rows), (0, -1));
}

pub(crate) fn nothing_is_left_of_a_message_but_its_dedupe_entry_and_its_place_in_the_conversation<
    H: House,
>() {
    let mut desk = Desk::<H>::open(POLICY);
    desk.comes(BOB, "phone");
    desk.comes(BOB, "web");
    desk.fill(5);
    // The rows go in the batch in which the second device acknowledges, in whatever order the two do.
    desk.commit(&[ack(BOB, "phone", &[2, 4]), ack(BOB, "web", &[1, 2, 3])]);
    desk.commit(&[ack(BOB, "web", &[4, 5]), ack(BOB, "phone", &[1, 3, 5])]);
    assert_eq!(
        (desk.keys(record::INBOX), desk.keys(record::HISTORY)),
        (0, 5)
    );
    assert_eq!(desk.keys(record::DEDUPE), 5);
    assert_eq!(desk.counted(), 0);
}

pub(crate) fn a_receipt_goes_out_once_per_device<H: House>() {
    let mut desk = Desk::<H>::open(POLICY);
    desk.comes(BOB, "phone");
    desk.comes(BOB, "web");
    desk.fill(1);
    let told = |done| receipts(&done);
    let by_phone = desk.commit(&[ack(BOB, "phone", &[1]), ack(BOB, "phone", &[1])]);
    assert_eq!(told(by_phone), [(ALICE, "m1".into(), "phone".into())]);
    let again = desk.commit(&[ack(BOB, "phone", &[1])]);
    assert!(told(again).is_empty());
    let by_web = desk.commit(&[ack(BOB, "web", &[1])]);
    assert_eq!(told(by_web), [(ALICE, "m1".into(), "web".into())]);
    let again = desk.commit(&[ack(BOB, "web", &[1]), ack(BOB, "phone", &[1])]);
    assert!(told(again).is_empty());
}

pub(crate) fn an_ack_said_twice_is_said_once<H: House>() {
    let mut desk = Desk::<H>::open(POLICY);
    desk.comes(BOB, "phone");
    desk.fill(3);
    assert_eq!(desk.acks(BOB, "phone", &[1, 2]), 2);
    assert_eq!(desk.acks(BOB, "phone", &[1, 2]), 0);
    assert_eq!(desk.acks(BOB, "phone", &[1, 2, 3]), 1);
    assert_eq!(desk.comes(BOB, "phone").acks, span(1, 3));
}

pub(crate) fn an_ack_beyond_the_end_is_cut<H: House>() {
    let mut desk = Desk::<H>::open(POLICY);
    desk.comes(BOB, "phone");
    desk.fill(2);
    let seqs = span(0, u64::MAX);
    let op = Op::Ack {
        reader: BOB,
        did: did("phone"),
        seqs,
    };
    let Answer::Acked(acked) = desk.ask(op) else {
        panic!("refused");
    };
    assert_eq!(acked.fresh, 2);
    assert_eq!(desk.comes(BOB, "phone").acks, span(1, 2));
    desk.fill(1);
    assert_eq!(desk.state(ALICE, BOB, "m3"), State::Accepted);
    assert_eq!(desk.seqs(BOB), [3]);
}

pub(crate) fn an_ack_of_a_device_nobody_knows_is_refused<H: House>() {
    let mut desk = Desk::<H>::open(POLICY);
    desk.fill(1);
    let answer = desk.ask(ack(BOB, "stranger", &[1]));
    assert_eq!(answer, Answer::Refused(Refusal::Forgotten));
    let seen = desk.ask(Op::Seen {
        uid: BOB,
        did: did("stranger"),
    });
    assert_eq!(seen, Answer::Refused(Refusal::Forgotten));
    assert_eq!(desk.seqs(BOB), [1]);
}

pub(crate) fn a_new_device_skips_what_any_device_has_acked<H: House>() {
    let mut desk = Desk::<H>::open(POLICY);
    desk.comes(BOB, "phone");
    desk.fill(5);
    desk.acks(BOB, "phone", &[1, 2, 4]);
    let web = desk.comes(BOB, "web");
    let skipped: Ranges = [1, 2, 4].into_iter().collect();
    assert_eq!((web.acks, web.resync), (skipped, false));
    desk.restart();
    assert_eq!(desk.acks(BOB, "phone", &[3, 5]), 2);
    assert_eq!(desk.seqs(BOB), [3, 5], "both wait for the new device");
}

pub(crate) fn the_device_unseen_for_longest_makes_room_for_a_new_one<H: House>() {
    let mut desk = Desk::<H>::open(POLICY);
    desk.comes(BOB, "old");
    desk.now += 1;
    desk.comes(BOB, "phone");
    desk.fill(2);
    desk.acks(BOB, "phone", &[1]);
    desk.now += 1;
    let done = desk.commit(&[attach(BOB, "new")]);
    assert_eq!(forgotten(&done), ["old"]);
    assert_eq!(done.tally.rows, -1, "only the old device held the row");
    assert_eq!(desk.seqs(BOB), [2]);
    assert_eq!(
        (desk.keys(record::INBOX), desk.keys(record::HISTORY)),
        (1, 2)
    );
    let late = desk.ask(ack(BOB, "old", &[1]));
    assert_eq!(late, Answer::Refused(Refusal::Forgotten));
}

pub(crate) fn a_device_unseen_for_too_long_is_forgotten_by_the_sweep<H: House>() {
    let mut policy = POLICY;
    policy.bounds.forget_ms = 5_000;
    let mut desk = Desk::<H>::open(policy);
    desk.comes(BOB, "old");
    desk.now += 1_000;
    desk.comes(BOB, "phone");
    desk.fill(1);
    desk.acks(BOB, "phone", &[1]);
    desk.now = START + 4_999;
    assert!(forgotten(&desk.sweep()).is_empty());
    desk.now += 1;
    let done = desk.sweep();
    assert_eq!(forgotten(&done), ["old"]);
    assert_eq!(
        (desk.keys(record::INBOX), desk.keys(record::HISTORY)),
        (0, 1)
    );
    assert!(forgotten(&desk.sweep()).is_empty());
}

pub(crate) fn a_device_that_was_seen_is_not_forgotten<H: House>() {
    let mut policy = POLICY;
    policy.bounds.forget_ms = 5_000;
    let mut desk = Desk::<H>::open(policy);
    desk.comes(BOB, "phone");
    desk.now += 4_000;
    let seen = desk.ask(Op::Seen {
        uid: BOB,
        did: did("phone"),
    });
    assert_eq!(seen, Answer::Done);
    desk.restart();
    desk.now += 4_999;
    assert!(forgotten(&desk.sweep()).is_empty());
    desk.now += 1;
    assert_eq!(forgotten(&desk.sweep()), ["phone"]);
}

pub(crate) fn a_device_that_lags_too_far_is_told_to_resync<H: House>() {
    let mut desk = Desk::<H>::open(POLICY);
    desk.comes(BOB, "slow");
    desk.comes(BOB, "phone");
    for seq in 1..=10 {
        desk.fill(1);
        desk.acks(BOB, "phone", &[seq]);
    }
    assert_eq!(desk.counted(), 10, "the slow device holds all it may");
    desk.fill(1);
    assert_eq!(desk.seqs(BOB), [11]);
    assert_eq!(
        (desk.keys(record::INBOX), desk.keys(record::HISTORY)),
        (1, 11)
    );
    desk.restart();
    let slow = desk.comes(BOB, "slow");
    assert_eq!((slow.acks, slow.resync), (span(1, 10), true));
    desk.acks(BOB, "slow", &[11]);
    assert!(!desk.comes(BOB, "slow").resync);
}

pub(crate) fn a_row_expires_at_its_age_exactly<H: House>() {
    let mut desk = Desk::<H>::open(POLICY);
    desk.accepts(ALICE, BOB, "m1", "hello");
    desk.now += 1;
    desk.accepts(ALICE, BOB, "m2", "hello");
    desk.now = START + TTL - 1;
    assert_eq!(desk.sweep().tally.expired, 0);
    assert_eq!(desk.state(ALICE, BOB, "m1"), State::Accepted);
    desk.now += 1;
    let done = desk.sweep();
    assert_eq!((done.tally.expired, done.tally.rows), (1, -1));
    assert_eq!(desk.seqs(BOB), [2]);
    assert_eq!(
        (desk.keys(record::INBOX), desk.keys(record::HISTORY)),
        (1, 2)
    );
    assert_eq!(desk.state(ALICE, BOB, "m1"), State::Expired);
    assert_eq!(desk.state(ALICE, BOB, "m2"), State::Accepted);
}

pub(crate) fn an_expired_row_was_never_delivered<H: House>() {
    let mut desk = Desk::<H>::open(POLICY);
    desk.comes(BOB, "phone");
    desk.fill(1);
    desk.now += TTL;
    let swept = desk.sweep();
    assert_eq!(swept.tally.delivered, 0);
    assert!(swept.news.is_empty());
    let late = desk.commit(&[ack(BOB, "phone", &[1])]);
    assert!(receipts(&late).is_empty());
    assert_eq!(late.tally.delivered, 0);
    desk.restart();
    assert_eq!(desk.state(ALICE, BOB, "m1"), State::Expired);
    assert_eq!(desk.comes(BOB, "phone").acks, span(1, 1));
    assert_eq!(desk.comes(BOB, "web").acks, span(1, 1));
}

pub(crate) fn a_message_is_expired_for_its_sender_before_the_sweep_has_come<H: House>() {
    let mut desk = Desk::<H>::open(POLICY);
    desk.accepts(ALICE, BOB, "m1", "hello");
    desk.now = START + TTL - 1;
    assert_eq!(desk.state(ALICE, BOB, "m1"), State::Accepted);
    desk.now += 1;
    assert_eq!(desk.state(ALICE, BOB, "m1"), State::Expired);
    assert_eq!(
        desk.accepts(ALICE, BOB, "m1", "hello").state,
        State::Expired
    );
}

pub(crate) fn an_ack_of_an_expired_row_is_none_and_of_a_young_one_beside_it_counts<H: House>() {
    let mut desk = Desk::<H>::open(POLICY);
    desk.comes(BOB, "phone");
    desk.accepts(ALICE, BOB, "m1", "hello");
    desk.now += 1;
    desk.accepts(ALICE, BOB, "m2", "hello");
    desk.now = START + TTL;
    let done = desk.commit(&[ack(BOB, "phone", &[1, 2])]);
    assert_eq!((done.tally.expired, done.tally.delivered), (1, 1));
    assert_eq!(done.tally.rows, -2);
    assert_eq!(receipts(&done).len(), 1);
    desk.restart();
    assert_eq!(desk.state(ALICE, BOB, "m1"), State::Expired);
    assert_eq!(desk.state(ALICE, BOB, "m2"), State::Delivered);
    assert_eq!(desk.comes(BOB, "phone").acks, span(1, 2));
}

pub(crate) fn a_row_that_some_device_acked_expires_as_delivered<H: House>() {
    let mut desk = Desk::<H>::open(POLICY);
    desk.comes(BOB, "phone");
    desk.comes(BOB, "web");
    desk.fill(1);
    desk.acks(BOB, "phone", &[1]);
    desk.now += TTL;
    let done = desk.sweep();
    assert_eq!((done.tally.expired, done.tally.rows), (0, -1));
    assert_eq!(desk.state(ALICE, BOB, "m1"), State::Delivered);
    assert_eq!(
        (desk.keys(record::INBOX), desk.keys(record::HISTORY)),
        (0, 1)
    );
}

pub(crate) fn an_expired_row_makes_room_in_a_full_inbox<H: House>() {
    let mut desk = Desk::<H>::open(POLICY);
    desk.fill(10);
    desk.now += TTL - 1;
    let full = desk.refuses(ALICE, BOB, "m11", "hello");
    assert_eq!(full, Refusal::InboxFull);
    desk.now += 1;
    assert_eq!(desk.accepts(ALICE, BOB, "m11", "hello").seq, 11);
    assert_eq!(desk.seqs(BOB), [11], "and the sweep has not come");
}

pub(crate) fn a_dedupe_entry_is_forgotten_at_twice_the_age<H: House>() {
    let mut desk = Desk::<H>::open(POLICY);
    desk.comes(BOB, "phone");
    desk.fill(1);
    desk.acks(BOB, "phone", &[1]);
    desk.now = START + 2 * TTL - 1;
    desk.sweep();
    assert_eq!(desk.keys(record::DEDUPE), 1);
    assert_eq!(desk.state(ALICE, BOB, "m1"), State::Delivered);
    assert_eq!(desk.refuses(ALICE, BOB, "m1", "changed"), Refusal::Conflict);
    desk.now += 1;
    assert_eq!(
        desk.state(ALICE, BOB, "m1"),
        State::Unknown,
        "also before the sweep has come"
    );
    desk.sweep();
    assert_eq!(desk.keys(record::DEDUPE), 0);
    let anew = desk.accepts(ALICE, BOB, "m1", "changed");
    assert_eq!((anew.seq, anew.repeat), (2, false));
}

/// Over an engine that forgets by itself the sweep comes seldom; what it has not come to is forgotten all the same.
#[test]
fn an_entry_that_still_stands_is_forgotten_in_time() {
    let mut desk = Desk::<Forgetful>::open(POLICY);
    desk.comes(BOB, "phone");
    desk.fill(2);
    desk.acks(BOB, "phone", &[1, 2]);
    desk.now = START + 2 * TTL - 1;
    assert_eq!(desk.refuses(ALICE, BOB, "m1", "changed"), Refusal::Conflict);
    desk.now += 1;
    desk.sweep();
    assert_eq!(desk.keys(record::DEDUPE), 2);
    assert_eq!(desk.state(ALICE, BOB, "m1"), State::Unknown);
    let anew = desk.accepts(ALICE, BOB, "m1", "changed");
    assert_eq!((anew.seq, anew.repeat), (3, false));
    for _ in 0..40 {
        desk.sweep();
    }
    assert_eq!(
        desk.keys(record::DEDUPE),
        1,
        "the one that was accepted anew"
    );
    assert!(desk.accepts(ALICE, BOB, "m1", "changed").repeat);
}

pub(crate) fn a_message_accepted_anew_keeps_its_entry_when_the_old_one_is_swept_in_the_same_commit<
    H: House,
>() {
    let mut desk = Desk::<H>::open(POLICY);
    desk.comes(BOB, "phone");
    desk.fill(1);
    desk.acks(BOB, "phone", &[1]);
    desk.now += 2 * TTL;
    desk.commit(&[send(ALICE, BOB, "m1", "hello"), Op::Sweep]);
    let again = desk.accepts(ALICE, BOB, "m1", "hello");
    assert_eq!((again.seq, again.repeat), (2, true));
    assert_eq!(desk.seqs(BOB), [2]);
}

pub(crate) fn a_sweep_of_many_rows_goes_step_by_step_through_all_of_them<H: House>() {
    let mut desk = Desk::<H>::open(ROOMY);
    let sends: Vec<Op> = (0..1_500)
        .map(|n| send(ALICE, Uid(n % 70), &format!("m{n}"), "hello"))
        .collect();
    desk.commit(&sends);
    desk.now += TTL;
    let steps: Vec<u64> = (0..5).map(|_| desk.sweep().tally.expired).collect();
    assert_eq!(steps.iter().sum::<u64>(), 1_500);
    assert!(steps.iter().all(|step| *step < 1_500), "bounded: {steps:?}");
    assert_eq!(
        (desk.keys(record::INBOX), desk.keys(record::HISTORY)),
        (0, 1_500)
    );
    assert_eq!(desk.keys(record::DEDUPE), 1_500);
    desk.now += TTL;
    for _ in 0..5 {
        desk.sweep();
    }
    assert_eq!(desk.keys(record::DEDUPE), 0);
}

pub(crate) fn a_sweep_passes_over_young_rows_without_looking_at_them<H: House>() {
    let mut desk = Desk::<H>::open(ROOMY);
    desk.accepts(ALICE, Uid(400), "old", "hello");
    desk.now += TTL / 2;
    // 4,000 young rows in 400 inboxes before the old one and behind it.
    let sends: Vec<Op> = (0..8_000)
        .map(|n| send(ALICE, Uid(n % 800), &format!("m{n}"), "hello"))
        .collect();
    desk.commit(&sends);
    desk.now = START + TTL;
    let swept = desk.sweep();
    assert_eq!((swept.tally.expired, swept.tally.rows), (1, -1));
    desk.now += TTL / 2;
    let sweeps = (0..).take_while(|_| desk.sweep().tally.expired > 0);
    assert!(sweeps.count() <= 17);
    assert_eq!(desk.keys(record::INBOX), 0);
}

pub(crate) fn the_states_of_messages_are_told_in_the_order_asked<H: House>() {
    let mut desk = Desk::<H>::open(POLICY);
    desk.comes(BOB, "phone");
    desk.accepts(ALICE, BOB, "late", "hello");
    desk.now += TTL;
    desk.sweep();
    desk.accepts(ALICE, BOB, "taken", "hello");
    desk.acks(BOB, "phone", &[2]);
    desk.accepts(ALICE, BOB, "waiting", "hello");
    desk.accepts(CAROL, BOB, "of somebody else", "hello");
    let asked = [
        ("waiting", State::Accepted),
        ("of somebody else", State::Unknown),
        ("taken", State::Delivered),
        ("late", State::Expired),
        ("never sent", State::Unknown),
        ("waiting", State::Accepted),
    ];
    let expected = asked.map(|(name, state)| {
        let target = Target {
            to: Chat::User(BOB),
            id: id(name),
        };
        (target, state, 0)
    });
    let of = expected.iter().map(|(target, ..)| target.clone()).collect();
    let answer = desk.ask(Op::Status { from: ALICE, of });
    assert_eq!(answer, Answer::Status(expected.to_vec()));
}

pub(crate) fn five_thousand_requests_become_batches_that_the_engine_takes<H: House>() {
    let house = H::build();
    let engine = Arc::new(Faulty::over(house.engine()));
    prepare(&*engine).unwrap();
    let mut ledger = Ledger::new(engine.clone(), ROOMY);
    let mut rng = fastrand::Rng::with_seed(3);
    let mut ops: Vec<Op> = (0..40)
        .flat_map(|uid| [attach(Uid(uid), "phone"), attach(Uid(uid), "web")])
        .collect();
    while ops.len() < 5_000 {
        let reader = Uid(rng.u64(0..400));
        ops.push(match rng.u8(0..10) {
            0 => ack(Uid(rng.u64(0..40)), "phone", &[rng.u64(1..20)]),
            1 => ack(
                Uid(rng.u64(0..40)),
                "web",
                &(1..=rng.u64(1..20)).collect::<Vec<_>>(),
            ),
            _ => send(ALICE, reader, &format!("m{}", rng.u32(0..3_000)), "hello"),
        });
    }
    let done = ledger.commit(START, &ops).unwrap();
    assert_eq!(done.answers.len(), 5_000);
    // Then everything goes at once: a step of the housekeeping is bounded in the same way.
    ledger
        .commit(START + ROOMY.ttl_ms, &vec![Op::Sweep; 12])
        .unwrap();
    ledger
        .commit(START + 2 * ROOMY.ttl_ms, &vec![Op::Sweep; 12])
        .unwrap();
    engine.flush().unwrap();
    let most = engine.batch_max();
    assert!(engine.batches.lock().len() > 40 * 256 / most);
    let largest = *engine.batches.lock().iter().max().unwrap();
    assert!(largest <= most, "a batch of {largest}");
    assert!(largest > most / 2, "the batches are not used well");
}

pub(crate) fn an_empty_store_is_given_a_layout_and_found_with_it_again<H: House>() {
    let mut house = H::build();
    prepare(&*house.engine()).unwrap();
    house.restart();
    let layout = house.engine().get(record::LAYOUT_KEY).unwrap();
    assert_eq!(layout, Some(record::encode(&record::LAYOUT).unwrap()));
    prepare(&*house.engine()).unwrap();
}

fn refusal(engine: &dyn Engine, key: &[u8], value: Vec<u8>) -> String {
    let mut batch = Batch::default();
    batch.put(key.to_vec(), value);
    engine.apply(batch).unwrap();
    let refused = prepare(engine).expect_err("the store was taken");
    assert_eq!(
        engine.get(key).unwrap().is_some(),
        engine.get(record::LAYOUT_KEY).unwrap().is_none() || key == record::LAYOUT_KEY,
        "a refused store is left as it was"
    );
    refused.to_string()
}

pub(crate) fn a_store_of_another_layout_is_refused_by_its_number<H: House>() {
    let other = record::LAYOUT + 41;
    let value = record::encode(&other).unwrap();
    let sentence = refusal(&*H::build().engine(), record::LAYOUT_KEY, value);
    for number in [other, record::LAYOUT] {
        let layout = format!("layout {number}");
        assert!(sentence.contains(&layout), "{sentence}");
    }
}

pub(crate) fn a_store_that_is_not_ours_is_refused<H: House>() {
    let sentence = refusal(&*H::build().engine(), b"somebody's key", b"1".to_vec());
    assert!(sentence.contains("somebody"), "{sentence}");
    assert!(sentence.contains("not written by yizhan"), "{sentence}");
}

pub(crate) fn a_store_that_is_not_ours_is_refused_wherever_its_keys_stand<H: House>() {
    refusal(&*H::build().engine(), b"\0", b"1".to_vec());
    refusal(&*H::build().engine(), b"\xff\xff", b"1".to_vec());
}
