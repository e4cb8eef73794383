//! The queue of what the webhook's receiver is told, over any engine.

use std::sync::Arc;

use yizhan::config::webhook::EventKind;
use yizhan::message::hook::What;
use yizhan::message::{Answer, Op};
use yizhan::store::ledger::Hooks;
use yizhan::store::{Batch, record};

use super::desk::{ALICE, BOB, CAROL, Desk, POLICY, ROOMY, send};
use super::house::House;

/// How long a message waits for an acknowledgement before it counts as parked, milliseconds.
const PARK_MS: u64 = 1000;

fn hooks(max_events: u64) -> Hooks {
    Hooks {
        wanted: EventKind::ALL.to_vec(),
        payload: true,
        keep_ms: 1 << 40,
        max_events,
        park_ms: PARK_MS,
        is_online: Arc::new(|uid| uid == BOB),
    }
}

fn came(n: u64) -> Op {
    Op::Tell(What::Online {
        uid: n,
        did: "phone".into(),
        dtype: None,
    })
}

impl<H: House> Desk<H> {
    fn comes_in(&mut self, events: u64) {
        let events: Vec<Op> = (0..events).map(came).collect();
        self.commit(&events);
    }

    /// Every commit that the committer makes by itself after one.
    fn goes_on(&mut self) -> usize {
        let mut commits = 0;
        while self.has_more() {
            self.commit(&[]);
            commits += 1;
        }
        commits
    }
}

pub(crate) fn events_go_when_their_receiver_has_them<H: House>() {
    let mut desk = Desk::<H>::open(POLICY);
    desk.tells(hooks(1_000_000));
    desk.comes_in(250);
    assert_eq!(desk.ask(Op::EventsSent(100)), Answer::Done);
    assert_eq!(desk.keys(record::EVENT), 150);
    assert_eq!(desk.ask(Op::EventsSent(250)), Answer::Done);
    assert_eq!(desk.keys(record::EVENT), 0);
    // What was sent before the last start, and is still there.
    desk.comes_in(2000);
    desk.ask(Op::EventsSent(2250));
    desk.sweep();
    desk.goes_on();
    assert_eq!(desk.keys(record::EVENT), 0);
}

pub(crate) fn a_message_that_a_device_has_is_not_looked_at_when_it_would_be_parked<H: House>() {
    let mut desk = Desk::<H>::open(ROOMY);
    desk.tells(hooks(1_000_000));
    desk.comes(BOB, "phone");
    desk.comes(BOB, "web");
    desk.fill(3);
    desk.accepts(ALICE, CAROL, "c1", "hello");
    assert_eq!(desk.keys(record::PARKING), 3);
    desk.acks(BOB, "phone", &[1, 3]);
    assert_eq!(desk.keys(record::PARKING), 1);
    desk.acks(BOB, "web", &[1, 2]);
    assert_eq!(desk.keys(record::PARKING), 0);
}

pub(crate) fn the_queue_is_as_long_as_it_may_be_however_fast_it_grows<H: House>() {
    let mut desk = Desk::<H>::open(POLICY);
    desk.tells(hooks(10));
    desk.comes_in(3000);
    let mut dropped = desk.sweep().tally.events_dropped;
    while desk.has_more() {
        dropped += desk.commit(&[]).tally.events_dropped;
    }
    assert_eq!((desk.keys(record::EVENT), dropped), (10, 2990));
    assert_eq!(desk.goes_on(), 0);
}

pub(crate) fn what_is_parked_is_told_once_however_much_of_it_there_is<H: House>() {
    let mut desk = Desk::<H>::open(ROOMY);
    desk.tells(hooks(1_000_000));
    let messages = (1..=1300).map(|n| send(ALICE, BOB, &format!("m{n}"), "hello"));
    desk.commit(&messages.collect::<Vec<Op>>());
    let before = desk.keys(record::EVENT);
    desk.now += PARK_MS;
    // The next sweep may come before the committer has gone on by itself.
    desk.sweep();
    desk.sweep();
    desk.goes_on();
    assert_eq!(desk.keys(record::PARKING), 0);
    assert_eq!(desk.keys(record::EVENT) - before, 1300);
}

pub(crate) fn events_wait_on_a_disk_that_is_nearly_full<H: House>() {
    let mut desk = Desk::<H>::open(POLICY);
    desk.tells(hooks(1_000_000));
    desk.comes_in(20);
    desk.takes_new(false);
    let swept = desk.sweep();
    assert_eq!(swept.tally.events_dropped, 0);
    assert_eq!(desk.keys(record::EVENT), 20);
}

pub(crate) fn no_event_takes_the_place_of_another_after_a_salvage<H: House>() {
    let mut desk = Desk::<H>::open(POLICY);
    desk.tells(hooks(1_000_000));
    desk.comes_in(7);
    for (lost, sent) in [(2u64, 1u64), (3, 9)] {
        // The newest records of the log are lost, and with them the number of the last event.
        let engine = desk.engine();
        let mut batch = Batch::default();
        batch.put(record::EVENTS_KEY.to_vec(), record::encode(&lost).unwrap());
        batch.put(
            record::EVENTS_SENT_KEY.to_vec(),
            record::encode(&sent).unwrap(),
        );
        engine.apply(batch).unwrap();
        yizhan::store::numbers::skip_numbers(&*engine, 1 << 32).unwrap();
        drop(engine);
        desk.restart();
        desk.tells(hooks(1_000_000));
        let before = desk.keys(record::EVENT);
        desk.commit(&[came(99)]);
        assert_eq!(
            desk.keys(record::EVENT),
            before + 1,
            "after {lost} and {sent}"
        );
        let last: u64 = desk.number(record::EVENTS_KEY);
        assert!(last > 7 && last > sent, "{last}");
    }
}
