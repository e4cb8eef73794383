//! The one writer on its own thread, over an engine that fails when it is told to.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread::JoinHandle;
use std::time::Duration;

use parking_lot::Mutex;
use yizhan::clock::Clock;
use yizhan::id::{MsgId, Seq, Uid};
use yizhan::machine::inbox::Bounds;
use yizhan::message::{Accepted, Answer, Draft, Kind, Op, Read, Refusal};
use yizhan::metrics::Metrics;
use yizhan::store::committer::{self, CommitQueue, Outlet};
use yizhan::store::ledger::{Ledger, News, Policy, count_rows, prepare, read_page};
use yizhan::store::memory::MemoryEngine;
use yizhan::store::{Batch, Engine, EngineError};

const ALICE: Uid = Uid(1);
const BOB: Uid = Uid(108);

const POLICY: Policy = Policy {
    bounds: Bounds {
        max_messages: 1_000_000,
        max_devices: 10,
        forget_ms: u64::MAX,
    },
    ttl_ms: 1_000_000_000,
};

/// How long an answer may take before the committer is called dead; a test that passes never waits it out.
const DEADLINE: Duration = Duration::from_secs(30);
/// A refused request is repeated this often at most: the back-off is a matter of a few hundred repeats.
const REPEATS: usize = 5_000_000;
/// More than the queue and one batch hold.
const FLOOD: usize = 100_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Call {
    Get,
    Apply,
    Flush,
    Reopen,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ill {
    Error,
    Panic,
}

/// What is to happen to the next calls of a kind.
#[derive(Debug)]
struct Fault {
    call: Call,
    /// Calls of that kind that are done well before.
    after: usize,
    /// Calls that fail then.
    times: usize,
    ill: Ill,
}

/// A memory engine that fails as planned; what it applied and did not flush is lost, or kept, when it is reopened.
#[derive(Default)]
struct Faulty {
    inner: MemoryEngine,
    faults: Mutex<Vec<Fault>>,
    failed: AtomicUsize,
    reopened: AtomicUsize,
    flushes: AtomicUsize,
    keeps_unflushed: bool,
    /// While somebody holds it, no flush ends.
    gate: Mutex<()>,
    /// Hears of every flush that comes to the gate.
    porter: Mutex<Option<Sender<()>>>,
}

impl Faulty {
    fn plan(&self, call: Call, after: usize, times: usize, ill: Ill) {
        self.faults.lock().push(Fault {
            call,
            after,
            times,
            ill,
        });
    }

    fn pass(&self, call: Call) -> Result<(), EngineError> {
        let ill = {
            let mut faults = self.faults.lock();
            let fault = faults.iter_mut().find(|fault| fault.call == call);
            match fault {
                Some(fault) if fault.after > 0 => {
                    fault.after -= 1;
                    None
                }
                Some(fault) if fault.times > 0 => {
                    fault.times -= 1;
                    Some(fault.ill)
                }
                _ => None,
            }
        };
        if ill.is_some() {
            self.failed.fetch_add(1, Ordering::SeqCst);
        }
        match ill {
            None => Ok(()),
            Some(Ill::Error) => Err(EngineError::Failed(format!("{call:?} fails as planned"))),
            Some(Ill::Panic) => panic!("{call:?} panics as planned"),
        }
    }

    fn failed(&self) -> usize {
        self.failed.load(Ordering::SeqCst)
    }

    fn rows(&self, uid: Uid) -> BTreeMap<Seq, String> {
        let read = Read {
            uid,
            from: 1,
            to: Seq::MAX,
            limit: usize::MAX,
            max_bytes: usize::MAX,
        };
        let rows = read_page(&self.inner, &read, 0).unwrap().rows;
        rows.into_iter()
            .map(|row| (row.seq, row.message.id.to_string()))
            .collect()
    }
}

impl Engine for Faulty {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, EngineError> {
        self.pass(Call::Get)?;
        self.inner.get(key)
    }

    fn scan(
        &self,
        from: &[u8],
        to: &[u8],
        visit: &mut dyn FnMut(&[u8], &[u8]) -> bool,
    ) -> Result<(), EngineError> {
        self.inner.scan(from, to, visit)
    }

    fn apply(&self, batch: Batch) -> Result<(), EngineError> {
        self.pass(Call::Apply)?;
        self.inner.apply(batch)
    }

    fn flush(&self) -> Result<(), EngineError> {
        if let Some(porter) = &*self.porter.lock() {
            // A porter who has gone need not hear of it.
            let _ = porter.send(());
        }
        let _gate = self.gate.lock();
        self.pass(Call::Flush)?;
        self.flushes.fetch_add(1, Ordering::SeqCst);
        self.inner.flush()
    }

    fn reopen(&self) -> Result<(), EngineError> {
        self.pass(Call::Reopen)?;
        self.reopened.fetch_add(1, Ordering::SeqCst);
        let kept = if self.keeps_unflushed { usize::MAX } else { 0 };
        self.inner.crash(kept);
        Ok(())
    }
}

type Published = (Vec<(usize, Answer)>, Vec<News>);

struct Wire(Sender<Published>);

impl Outlet<usize> for Wire {
    fn publish(&mut self, answers: Vec<(usize, Answer)>, news: Vec<News>) {
        // Nobody listens when the test is over.
        let _ = self.0.send((answers, news));
    }
}

/// A committer, and who asks it: each request has a number of its own, which comes back with the answer.
struct Office {
    engine: Arc<Faulty>,
    queue: CommitQueue<usize>,
    thread: JoinHandle<()>,
    published: Receiver<Published>,
    answers: BTreeMap<usize, Answer>,
    news: Vec<News>,
    asked: usize,
}

impl Office {
    fn open() -> Office {
        Office::over(Faulty::default())
    }

    fn over(engine: Faulty) -> Office {
        prepare(&engine.inner).unwrap();
        let engine = Arc::new(engine);
        let (wire, published) = mpsc::channel();
        let (queue, thread) = committer::start(
            engine.clone(),
            Ledger::new(engine.clone(), POLICY),
            Clock::start(),
            Metrics::new().unwrap(),
            Wire(wire),
        )
        .unwrap();
        Office {
            engine,
            queue,
            thread,
            published,
            answers: BTreeMap::new(),
            news: Vec::new(),
            asked: 0,
        }
    }

    fn submits(&mut self, op: Op) -> usize {
        let asker = self.asked;
        self.asked += 1;
        assert!(self.queue.submit(asker, op).is_ok(), "the queue is full");
        asker
    }

    /// The answer to that request, when it comes.
    fn hears(&mut self, asker: usize) -> Answer {
        loop {
            if let Some(answer) = self.answers.remove(&asker) {
                return answer;
            }
            let (answers, news) = self
                .published
                .recv_timeout(DEADLINE)
                .expect("the committer is silent");
            self.answers.extend(answers);
            self.news.extend(news);
        }
    }

    fn asks(&mut self, op: Op) -> Answer {
        let asker = self.submits(op);
        self.hears(asker)
    }

    fn accepts(&mut self, id: &str) -> Accepted {
        match self.asks(send(id)) {
            Answer::Accepted(accepted) => accepted,
            answer => panic!("{id} was answered with {answer:?}"),
        }
    }

    fn refused_by_the_store(&mut self, op: Op) {
        assert_eq!(self.asks(op), Answer::Refused(Refusal::Storage));
    }

    /// Repeats a request until the store takes it again.
    fn insists(&mut self, op: &Op) -> Answer {
        for _ in 0..REPEATS {
            match self.asks(op.clone()) {
                Answer::Refused(Refusal::Storage) => {
                    assert!(self.engine.failed() > 0);
                }
                answer => return answer,
            }
        }
        panic!("the store never came back");
    }

    /// Several requests that share a batch, because the committer was busy when they came.
    fn submits_together(&mut self, ops: Vec<Op>) -> Vec<usize> {
        let engine = self.engine.clone();
        let (porter, comes) = mpsc::channel();
        *engine.porter.lock() = Some(porter);
        let gate = engine.gate.lock();
        let first = self.submits(send(&format!("holds the door {}", self.asked)));
        comes.recv_timeout(DEADLINE).expect("no flush");
        let askers = ops.into_iter().map(|op| self.submits(op)).collect();
        drop(gate);
        self.hears(first);
        askers
    }

    fn trouble(&self) -> Option<String> {
        self.queue.health().trouble()
    }

    fn ends(self) -> Arc<Faulty> {
        self.queue.end();
        self.thread.join().unwrap();
        self.engine
    }
}

fn send(id: &str) -> Op {
    send_to(BOB, id)
}

fn send_to(to: Uid, id: &str) -> Op {
    let draft = Draft {
        id: MsgId::parse(id).unwrap(),
        kind: Kind::C2c,
        to,
        payload: "{}".into(),
        created_at: None,
    };
    Op::Append(draft.signed_by(ALICE))
}

/// A request is refused, the store heals, and the request repeated makes one row.
fn fails_and_recovers(call: Call, ill: Ill, keeps_unflushed: bool) {
    let mut office = Office::over(Faulty {
        keeps_unflushed,
        ..Faulty::default()
    });
    assert_eq!(office.accepts("before").seq, 1);
    assert_eq!(office.trouble(), None);

    office.engine.plan(call, 0, 1, ill);
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
    let rows: Vec<_> = engine.rows(BOB).into_values().collect();
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
    office.engine.plan(Call::Flush, 1, 1, Ill::Error);
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
fn a_message_whose_first_try_was_written_unheard_is_announced_at_its_repeat() {
    let mut office = Office::over(Faulty {
        keeps_unflushed: true,
        ..Faulty::default()
    });
    office.engine.plan(Call::Flush, 0, 1, Ill::Error);
    office.refused_by_the_store(send("m1"));
    office.insists(&send("m1"));
    assert_eq!(office.news, [News::Head { uid: BOB, head: 1 }]);
}

#[test]
fn a_store_that_cannot_be_opened_again_is_tried_until_it_can() {
    let mut office = Office::open();
    office.accepts("before");
    office.engine.plan(Call::Reopen, 0, 1, Ill::Error);
    office.engine.plan(Call::Apply, 0, 1, Ill::Error);
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
    office.engine.plan(Call::Reopen, 0, 1, Ill::Panic);
    office.engine.plan(Call::Flush, 0, 1, Ill::Panic);
    office.refused_by_the_store(send("m1"));
    assert!(matches!(office.insists(&send("m1")), Answer::Accepted(_)));
    assert_eq!(office.engine.failed(), 2);
}

#[test]
fn a_store_heals_without_being_asked_for_anything() {
    let mut office = Office::open();
    office.engine.plan(Call::Apply, 0, 1, Ill::Error);
    office.refused_by_the_store(send("m1"));
    // Every step of the housekeeping is published too, with nothing to tell.
    while office.trouble().is_some() {
        let step = office.published.recv_timeout(DEADLINE);
        assert_eq!(step.expect("no step of the housekeeping").0, []);
    }
    assert!(!office.accepts("m1").repeat);
}

#[test]
fn nothing_accepted_is_missing_after_a_crash_whatever_fails() {
    for seed in 0..12 {
        let mut rng = fastrand::Rng::with_seed(seed);
        let mut office = Office::over(Faulty {
            keeps_unflushed: rng.bool(),
            ..Faulty::default()
        });
        let mut accepted: BTreeMap<Seq, String> = BTreeMap::new();
        let mut owed: Vec<String> = (0..120).map(|n| format!("m{n}")).collect();
        let call = [Call::Get, Call::Apply, Call::Flush][rng.usize(0..3)];
        let ill = [Ill::Error, Ill::Panic][rng.usize(0..2)];
        // A batch has one flush and many reads.
        let after = if call == Call::Get { 0..100 } else { 0..4 };
        office.engine.plan(call, rng.usize(after), 1, ill);
        for _ in 0..REPEATS {
            if owed.is_empty() {
                break;
            }
            let many = rng.usize(1..=owed.len().min(30));
            let ids: Vec<String> = owed.drain(..many).collect();
            let askers: Vec<usize> = ids.iter().map(|id| office.submits(send(id))).collect();
            for (id, asker) in ids.into_iter().zip(askers) {
                match office.hears(asker) {
                    Answer::Accepted(done) => {
                        let other = accepted.insert(done.seq, id);
                        assert_eq!(other, None, "seed {seed}: a number was given out twice");
                    }
                    _ => owed.push(id),
                }
            }
        }
        assert!(owed.is_empty(), "seed {seed}: {owed:?} were never accepted");
        let engine = office.ends();
        engine.inner.crash(0);
        assert_eq!(engine.rows(BOB), accepted, "seed {seed}");
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
    assert_eq!(count_rows(&engine.inner).unwrap(), 5_000);
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
