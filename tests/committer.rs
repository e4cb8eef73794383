//! The one writer on its own thread, over an engine that fails when it is told to.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "support/faulty.rs"]
mod faulty;

#[path = "support/office.rs"]
mod office;

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

use faulty::{Call, Fault, Ill, When};
use office::{ALICE, BOB, Office, engine, rows, send, send_to};
use yizhan::id::{Did, MsgId, Seq};
use yizhan::machine::ranges::Ranges;
use yizhan::message::chat::Chat;
use yizhan::message::{Answer, Draft, Op, Refusal};
use yizhan::store::committer;
use yizhan::store::ledger::{News, count_rows};

/// More than the queue and one batch hold.
const FLOOD: usize = 100_000;
/// The payload of a large message, bytes.
const LARGE: usize = 16 << 20;

fn nth(call: Call, after: usize, ill: Ill) -> Fault {
    Fault {
        call: Some(call),
        after,
        times: 1,
        when: When::Before,
        ill,
    }
}

/// A request is refused, the store heals, and the request repeated makes one row.
fn fails_and_recovers(call: Call, ill: Ill, keeps_unflushed: bool) {
    let mut office = Office::over(engine(keeps_unflushed));
    assert_eq!(office.accepts("before").seq, 1);
    assert_eq!(office.trouble(), None);

    office.engine.fail_next(call, ill);
    office.refused_by_the_store(send("during"));
    let trouble = office.trouble().expect("the store is said to be well");
    assert!(trouble.contains("as planned"), "{trouble}");

    let Answer::Accepted(during) = office.insists(&send("during")) else {
        panic!("refused");
    };
    assert_eq!(during.seq, 2);
    let written = call == Call::Flush && keeps_unflushed;
    assert_eq!(during.repeat, written, "whether the first try was written");
    assert_eq!(office.trouble(), None);
    assert_eq!(office.engine.reopened.load(Ordering::SeqCst), 1);

    assert!(office.accepts("during").repeat);
    assert_eq!(office.accepts("after").seq, 3);
    let engine = office.ends();
    engine.inner.crash(0);
    let rows: Vec<_> = rows(&engine.inner, BOB).into_values().collect();
    assert_eq!(rows, ["before", "during", "after"]);
}

#[test]
fn a_failed_apply_is_refused_and_survived() {
    fails_and_recovers(Call::Apply, Ill::Error, false);
    fails_and_recovers(Call::Apply, Ill::Error, true);
}

#[test]
fn a_failed_flush_is_refused_and_survived_whether_it_was_written_or_not() {
    fails_and_recovers(Call::Flush, Ill::Error, false);
    fails_and_recovers(Call::Flush, Ill::Error, true);
}

#[test]
fn a_failed_get_is_refused_and_survived() {
    fails_and_recovers(Call::Get, Ill::Error, false);
}

#[test]
fn a_panic_of_the_engine_is_an_error_like_others() {
    for call in [Call::Get, Call::Apply, Call::Flush] {
        fails_and_recovers(call, Ill::Panic, false);
    }
    fails_and_recovers(Call::Flush, Ill::Panic, true);
}

#[test]
fn everything_in_a_failed_batch_is_refused_and_nothing_of_it_announced() {
    let mut office = Office::open();
    office.accepts("before");
    office.news.clear();
    // The one that holds the door is flushed; the batch behind it is not.
    office.engine.plan(nth(Call::Flush, 1, Ill::Error));
    let askers = office.submits_together(vec![
        send("m1"),
        send("before"),
        Op::Head(BOB),
        send_to(ALICE, "m2"),
        Op::Status {
            from: ALICE,
            of: vec![],
        },
    ]);
    office.news.clear();
    for asker in askers {
        assert_eq!(office.hears(asker), Answer::Refused(Refusal::Storage));
    }
    assert!(office.news.is_empty(), "{:?}", office.news);
    let announced = |news: &[News], id: &str| {
        let rows = news
            .iter()
            .filter(|news| matches!(news, News::Row(row) if row.message.id.as_str() == id));
        rows.count()
    };
    office.insists(&send("m1"));
    assert_eq!(announced(&office.news, "m1"), 1);
}

#[test]
fn a_message_that_was_written_unheard_is_announced_when_the_store_is_open_again() {
    let mut office = Office::over(engine(true));
    office.engine.fail_next(Call::Flush, Ill::Error);
    office.refused_by_the_store(send("m1"));
    office.waits_until_it_is_well();
    assert_eq!(office.news, [News::Head { uid: BOB, head: 1 }]);
}

#[test]
fn a_store_that_cannot_be_opened_again_is_tried_until_it_can() {
    let mut office = Office::open();
    office.accepts("before");
    office.engine.fail_next(Call::Reopen, Ill::Error);
    office.engine.fail_next(Call::Apply, Ill::Error);
    office.refused_by_the_store(send("during"));
    assert!(office.trouble().is_some());
    assert!(matches!(
        office.insists(&send("during")),
        Answer::Accepted(_)
    ));
    assert_eq!(office.trouble(), None);
    assert_eq!(office.engine.failed(), 2);
}

#[test]
fn a_store_that_panics_when_it_is_opened_again_is_tried_until_it_can() {
    let mut office = Office::open();
    office.engine.fail_next(Call::Reopen, Ill::Panic);
    office.engine.fail_next(Call::Flush, Ill::Panic);
    office.refused_by_the_store(send("m1"));
    assert!(matches!(office.insists(&send("m1")), Answer::Accepted(_)));
    assert_eq!(office.engine.failed(), 2);
}

#[test]
fn a_store_heals_without_being_asked_for_anything() {
    let mut office = Office::open();
    office.engine.fail_next(Call::Apply, Ill::Error);
    office.refused_by_the_store(send("m1"));
    office.waits_until_it_is_well();
    assert!(!office.accepts("m1").repeat);
}

#[test]
fn nothing_accepted_is_missing_after_a_crash_whatever_fails() {
    for seed in 0..12 {
        let mut rng = fastrand::Rng::with_seed(seed);
        let mut office = Office::over(engine(rng.bool()));
        let mut accepted: BTreeMap<Seq, String> = BTreeMap::new();
        let mut owed: Vec<String> = (0..120).map(|n| format!("m{n}")).collect();
        let call = [Call::Get, Call::Apply, Call::Flush][rng.usize(0..3)];
        let ill = [Ill::Error, Ill::Panic][rng.usize(0..2)];
        // A batch has one flush and many reads.
        let after = if call == Call::Get { 0..100 } else { 0..4 };
        office.engine.plan(nth(call, rng.usize(after), ill));
        while !owed.is_empty() {
            let many = rng.usize(1..=owed.len().min(30));
            let ids: Vec<String> = owed.drain(..many).collect();
            let askers: Vec<usize> = ids.iter().map(|id| office.submits(send(id))).collect();
            for (id, asker) in ids.into_iter().zip(askers) {
                let Answer::Accepted(done) = office.insists_after(asker, &send(&id)) else {
                    panic!("seed {seed}: {id} was never accepted");
                };
                let other = accepted.insert(done.seq, id);
                assert_eq!(other, None, "seed {seed}: a number was given out twice");
            }
        }
        let engine = office.ends();
        engine.inner.crash(0);
        assert_eq!(rows(&engine.inner, BOB), accepted, "seed {seed}");
        assert_eq!(engine.failed(), 1, "seed {seed}: nothing failed");
    }
}

#[test]
fn a_full_queue_hands_the_asker_back_and_loses_nothing_of_what_it_took() {
    let mut office = Office::open();
    let engine = office.engine.clone();
    let gate = engine.gate.lock();
    office.submits(send("holds the door"));
    let mut turned_away = None;
    for asker in office.asked..FLOOD {
        if let Err((committer::Busy, back)) = office.queue.submit(asker, Op::Head(BOB)) {
            assert_eq!(back, asker);
            turned_away = Some(asker);
            break;
        }
    }
    let turned_away = turned_away.expect("the queue has no bound");
    drop(gate);
    for asker in 0..turned_away {
        assert!(matches!(
            office.hears(asker),
            Answer::Accepted(_) | Answer::Head(1)
        ));
    }
    office.asked = turned_away;
    assert_eq!(office.asks(Op::Head(BOB)), Answer::Head(1));
}

#[test]
fn the_queue_is_bounded_by_the_bytes_that_wait_in_it_too() {
    let mut office = Office::open();
    let engine = office.engine.clone();
    let large = Draft {
        id: MsgId::parse("large").unwrap(),
        to: Chat::User(BOB),
        payload: "x".repeat(LARGE).into(),
        created_at: None,
        expires_at: None,
    };
    let large = Op::Append(large.signed_by(ALICE, None));
    let gate = engine.gate.lock();
    let mut askers = vec![office.submits(large.clone())];
    let turned_away = loop {
        match office.queue.submit(office.asked, large.clone()) {
            Ok(()) => askers.push(office.asked),
            Err((committer::Busy, back)) => break back,
        }
        office.asked += 1;
        assert!(askers.len() < 1_000, "the bytes have no bound");
    };
    assert_eq!(turned_away, office.asked, "the asker is handed back");
    assert_eq!(askers.len() * LARGE, 256 << 20);
    let small = office.submits(Op::Head(BOB));
    drop(gate);
    for asker in askers {
        assert!(matches!(office.hears(asker), Answer::Accepted(_)));
    }
    assert_eq!(office.hears(small), Answer::Head(1));
    // What was answered makes room again.
    for _ in 0..20 {
        assert!(matches!(office.asks(large.clone()), Answer::Accepted(_)));
    }
}

#[test]
fn a_disk_that_is_nearly_full_stops_new_messages_and_nothing_else() {
    let mut office = Office::open();
    let phone = Did::parse("phone").unwrap();
    let attach = |did: &Did| Op::Attach {
        uid: BOB,
        did: did.clone(),
        online: Vec::new(),
        issued_ms: None,
    };
    assert!(matches!(office.asks(attach(&phone)), Answer::Attached(_)));
    office.accepts("before");
    let health = office.queue.health().clone();
    health.space(Some("no room".into()));
    assert_eq!(office.trouble().as_deref(), Some("no room"));
    assert_eq!(office.metric("yizhan_store_ready "), 0);

    let refusal = Answer::Refused(Refusal::NearlyFull);
    assert_eq!(office.asks(send("new")), refusal);
    assert!(office.accepts("before").repeat, "a repeat takes no room");
    let tablet = Did::parse("tablet").unwrap();
    assert!(matches!(office.asks(attach(&tablet)), Answer::Attached(_)));
    for did in [phone, tablet] {
        let ack = Op::Ack {
            reader: BOB,
            did,
            seqs: Ranges::span(1, 1),
        };
        assert!(matches!(office.asks(ack), Answer::Acked(_)));
    }
    assert_eq!(office.metric("yizhan_inbox_rows "), 0);

    health.space(None);
    assert_eq!(office.metric("yizhan_store_ready "), 1);
    let new = office.accepts("new");
    assert_eq!((new.seq, new.repeat), (2, false));
}

#[test]
fn the_health_tells_of_the_engine_and_of_the_disk() {
    let mut office = Office::open();
    office.queue.health().space(Some("no room".into()));
    office.engine.fail_next(Call::Flush, Ill::Error);
    let phone = Did::parse("phone").unwrap();
    office.refused_by_the_store(Op::Attach {
        uid: BOB,
        did: phone,
        online: Vec::new(),
        issued_ms: None,
    });
    let both = "Flush fails as planned; no room";
    assert_eq!(office.trouble().as_deref(), Some(both));
    office.queue.health().space(None);
    office.waits_until_it_is_well();
    assert_eq!(office.metric("yizhan_store_failures_total "), 1);
}

#[test]
fn a_store_that_opens_and_cannot_write_stays_out_of_order() {
    let mut office = Office::open();
    for _ in 0..4 {
        office.engine.fail_next(Call::Flush, Ill::Error);
    }
    office.refused_by_the_store(send("m1"));
    let mut failures = 1;
    while office.trouble().is_some() {
        // Nobody is let in between two attempts: one failed request, and then only attempts.
        failures = office.metric("yizhan_store_failures_total ");
        office.waits_a_little();
    }
    assert!(
        failures > 1,
        "it was said to be well without having written"
    );
    assert_eq!(office.metric("yizhan_store_failures_total "), 4);
    assert_eq!(office.engine.reopened.load(Ordering::SeqCst), 4);
    assert!(!office.accepts("m1").repeat);
}

#[test]
fn the_end_comes_after_everything_that_was_asked_before_it() {
    let mut office = Office::open();
    let engine = office.engine.clone();
    let gate = engine.gate.lock();
    for n in 0..5_000 {
        office.submits(send(&format!("m{n}")));
    }
    office.queue.end();
    drop(gate);
    for asker in 0..5_000 {
        let Answer::Accepted(accepted) = office.hears(asker) else {
            panic!("refused");
        };
        assert_eq!(accepted.seq as usize, asker + 1, "in the order asked");
    }
    office.thread.join().unwrap();
    engine.inner.crash(0);
    assert_eq!(count_rows(&*engine.inner).unwrap(), 5_000);
    let late = office.queue.submit(7, send("too late"));
    assert_eq!(late, Err((committer::Busy, 7)));
    office.queue.end();
}

#[test]
fn requests_that_wait_together_share_a_flush() {
    let mut office = Office::open();
    let ops = (0..500).map(|n| send(&format!("m{n}"))).collect();
    let before = office.engine.flushes.load(Ordering::SeqCst);
    let askers = office.submits_together(ops);
    for asker in askers {
        assert!(matches!(office.hears(asker), Answer::Accepted(_)));
    }
    let flushes = office.engine.flushes.load(Ordering::SeqCst) - before;
    assert_eq!(flushes, 2, "one for the first, one for all that waited");
}
