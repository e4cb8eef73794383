//! The history below everything that a server puts over it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use yizhan::id::{MsgId, Uid};
use yizhan::machine::inbox;
use yizhan::message::chat::Chat;
use yizhan::message::{Draft, Op};
use yizhan::metrics::Metrics;
use yizhan::store::Engine;
use yizhan::store::backup::Recorder;
use yizhan::store::history::DAY_MS;
use yizhan::store::journal::{Bounds, Journal, Keeping, Place};
use yizhan::store::ledger::{Ledger, People, Policy, prepare};
use yizhan::store::memory::MemoryEngine;

use crate::disk::{Disk, State};
use crate::world::{FIRST_DAY, KEEP, archived, place};

/// A server's store on a disk of its own, with the time that it is there.
struct Store {
    journal: Arc<Journal>,
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
        ledger: Ledger::new(engine, policy),
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

#[test]
fn what_is_too_old_for_the_history_of_a_server_is_in_its_archive() {
    let mut store = open();
    for name in ["m1", "m2"] {
        let draft = Draft {
            id: MsgId::parse(name).unwrap(),
            to: Chat::User(Uid(2)),
            payload: "{}".into(),
            created_at: None,
            expires_at: None,
        };
        store.commit(&Op::Append(draft.signed_by(Uid(1), None)));
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
