//! The history below everything that a server puts over it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use fastrand::Rng;
use yizhan::id::{Cid, MsgId, Uid};
use yizhan::machine::inbox;
use yizhan::message::chat::{Chat, Side};
use yizhan::message::look::{Found, Look};
use yizhan::message::{Draft, Op, Read};
use yizhan::metrics::Metrics;
use yizhan::store::Engine;
use yizhan::store::backup::Recorder;
use yizhan::store::history::DAY_MS;
use yizhan::store::journal::{Bounds, Journal, Keeping, Place};
use yizhan::store::ledger::{Ledger, People, Policy, found, prepare, read_page};
use yizhan::store::memory::MemoryEngine;

use crate::disk::{Disk, State};
use crate::world::{FIRST_DAY, KEEP, archived, place};

const ALICE: Uid = Uid(1);
const BOB: Uid = Uid(2);

/// A server's store on a disk of its own, with the time that it is there.
struct Store {
    journal: Arc<Journal>,
    engine: Arc<dyn Engine>,
    ledger: Ledger,
    disk: Arc<Disk>,
    now: Arc<AtomicU64>,
}

fn open() -> Store {
    let disk = Disk::with(State::default());
    let place = Place {
        log: disk.folder("log"),
        index: disk.folder("index"),
        history: place(&disk),
        base: Arc::new(MemoryEngine::new()),
    };
    let bounds = Bounds {
        segment: 64 << 10,
        rest: Duration::ZERO,
        by_itself: false,
        ..Bounds::default()
    };
    let journal = Journal::open(place, bounds, Metrics::new().unwrap()).unwrap();
    let journal = Arc::new(journal);
    let now = Arc::new(AtomicU64::new(FIRST_DAY * DAY_MS));
    let clock = now.clone();
    journal.keep(Keeping {
        now: Box::new(move || clock.load(Ordering::Relaxed)),
        keep_ms: KEEP,
    });
    // As a server has it: every request passes what records it for a backup.
    let engine: Arc<dyn Engine> = Arc::new(Recorder::new(journal.clone()));
    prepare(&*engine).unwrap();
    let policy = Policy {
        bounds: inbox::Bounds {
            max_messages: 1000,
            max_devices: 10,
            forget_ms: u64::MAX,
        },
        ttl_ms: DAY_MS,
        people: People {
            keep_ms: KEEP,
            ..People::DEFAULT
        },
    };
    Store {
        journal,
        ledger: Ledger::new(engine.clone(), policy),
        engine,
        disk,
        now,
    }
}

impl Store {
    fn commit(&mut self, op: &Op) {
        let now = self.now.load(Ordering::Relaxed);
        self.ledger.commit(now, [op]).unwrap();
        self.journal.flush().unwrap();
    }
}

impl Store {
    fn send(&mut self, name: &str, payload: String) {
        let draft = Draft {
            id: MsgId::parse(name).unwrap(),
            to: Chat::User(BOB),
            payload: payload.into(),
            created_at: None,
            expires_at: None,
        };
        self.commit(&Op::Append(draft.signed_by(ALICE, None)));
    }

    fn looks(&self, look: &Look) -> Found {
        let now = self.now.load(Ordering::Relaxed);
        found(&*self.engine, look, now, 0, now - KEEP).unwrap()
    }
}

#[test]
fn what_is_too_old_for_the_history_of_a_server_is_in_its_archive() {
    let mut store = open();
    for name in ["m1", "m2"] {
        store.send(name, "{}".into());
    }
    store.journal.settle().unwrap();
    // Old enough, and its day is not over: the housekeeping has nothing to do with it.
    store.now.fetch_add(KEEP + 1, Ordering::Relaxed);
    store.commit(&Op::Sweep);
    store.journal.settle().unwrap();
    assert_eq!(archived(&store.disk).len(), 0);
    store.now.fetch_add(DAY_MS, Ordering::Relaxed);
    store.commit(&Op::Sweep);
    store.journal.settle().unwrap();
    assert_eq!(archived(&store.disk).len(), 2);
}

#[test]
fn a_damaged_block_costs_its_messages_and_neither_the_others_nor_the_list() {
    const MESSAGES: u64 = 120;
    for from_the_end in [None, Some(5000), Some(30_000)] {
        let mut store = open();
        let mut rng = Rng::with_seed(5);
        for n in 1..=MESSAGES {
            // What compresses badly, so that there are several blocks.
            let text: String = (0..900).map(|_| rng.alphanumeric()).collect();
            store.send(&format!("m{n}"), text);
        }
        store.journal.settle().unwrap();
        let mut files = store.disk.files().into_iter();
        let (run, size) = files.find(|((folder, _), _)| *folder == "history").unwrap();
        let at = from_the_end.map_or(100, |bytes| size - bytes);
        store.disk.rot(&run, |bytes| bytes[at] ^= 1);

        let (mut waiting, mut from) = (Vec::new(), 1);
        while from <= MESSAGES {
            let read = Read {
                uid: BOB,
                from,
                to: MESSAGES,
                limit: 20,
                max_bytes: 1 << 20,
            };
            let page = read_page(&*store.engine, &read, 0, 0, None).unwrap();
            waiting.extend(page.rows.iter().map(|row| row.seq));
            from = page.scanned_to + 1;
        }
        let lost = MESSAGES as usize - waiting.len();
        assert!((1..40).contains(&lost), "{lost} lost");

        let (mut shown, mut side) = (Vec::new(), Side::Newest);
        loop {
            let Found::History(page) = store.looks(&Look::History {
                cid: Cid(1),
                first: 1,
                head: MESSAGES,
                side,
                limit: 7,
                max_bytes: 1 << 20,
            }) else {
                panic!("no history");
            };
            shown.extend(page.messages.iter().rev().map(|message| message.cseq));
            if !page.more {
                break;
            }
            side = Side::Before(page.next);
        }
        shown.reverse();
        assert_eq!(shown, waiting, "what is in no block that is damaged");

        let Found::Chats(list) = store.looks(&Look::Chats {
            uid: BOB,
            before: None,
            limit: 10,
            max_bytes: 1 << 20,
        }) else {
            panic!("no list");
        };
        assert_eq!(list.chats.len(), 1);
    }
}

#[test]
fn a_day_waits_for_room_in_the_archive_and_the_store_goes_on() {
    let mut store = open();
    store.send("m1", "{}".into());
    store.journal.settle().unwrap();
    store.now.fetch_add(KEEP + DAY_MS, Ordering::Relaxed);
    store.disk.0.lock().free = Some(0);
    store.journal.settle().unwrap();
    assert_eq!(archived(&store.disk).len(), 0);
    store.send("m2", "{}".into());
    store.disk.0.lock().free = None;
    store.journal.settle().unwrap();
    assert_eq!(archived(&store.disk).len(), 1);
}
