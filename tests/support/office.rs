//! A committer on its thread over an engine that fails when it is told to, and somebody who asks it.
// Each test binary compiles all of this and uses a part of it.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use yizhan::clock::Clock;
use yizhan::id::{MsgId, Seq, Uid};
use yizhan::machine::inbox::Bounds;
use yizhan::message::chat::Chat;
use yizhan::message::{Accepted, Answer, Draft, Op, Read, Refusal};
use yizhan::metrics::Metrics;
use yizhan::store::committer::{self, CommitQueue, Outlet};
use yizhan::store::ledger::{Ledger, News, People, Policy, count_rows, prepare, read_page};
use yizhan::store::memory::MemoryEngine;
use yizhan::store::{Engine, record};

pub const ALICE: Uid = Uid(1);
pub const BOB: Uid = Uid(108);

/// Nothing in the way of a crowd.
pub const POLICY: Policy = Policy {
    bounds: Bounds {
        max_messages: 1_000_000,
        max_devices: 10,
        forget_ms: u64::MAX,
    },
    ttl_ms: 1_000_000_000,
    people: People::DEFAULT,
};

/// How long an answer may take before the committer is called dead; a test that passes never waits it out.
pub const DEADLINE: Duration = Duration::from_secs(60);
/// How long who was refused listens before asking again.
const PAUSE: Duration = Duration::from_millis(5);

pub type Faulty = super::faulty::Faulty<MemoryEngine>;

/// An engine over an empty store; what it applied and did not flush is lost, or kept, when it is reopened.
pub fn engine(keeps_unflushed: bool) -> Faulty {
    let mut engine = Faulty::over(Arc::default());
    engine.keeps_unflushed = keeps_unflushed;
    engine
}

/// One publication, and what the engine said in that moment.
struct Published {
    answers: Vec<(usize, Answer)>,
    news: Vec<News>,
    complaint: Option<String>,
}

struct Wire {
    engine: Arc<Faulty>,
    to: Sender<Published>,
}

impl Wire {
    /// Nobody hears of what is not flushed.
    fn complaint(&self, answers: &[(usize, Answer)], news: &[News]) -> Option<String> {
        let refused = Answer::Refused(Refusal::Storage);
        let says_nothing = news.is_empty() && answers.iter().all(|(_, answer)| *answer == refused);
        if says_nothing {
            return None;
        }
        if self.engine.inner.unflushed() > 0 {
            return Some(format!("told before the flush: {answers:?} {news:?}"));
        }
        let missing = news.iter().find(|news| match news {
            News::Row(row) => {
                let message = &row.message;
                let key = record::dedupe_key(message.to, message.from, &message.id);
                self.engine.inner.get(&key).unwrap().is_none()
            }
            _ => false,
        });
        missing.map(|news| format!("told, and not in the store: {news:?}"))
    }
}

impl Outlet<usize> for Wire {
    fn publish(&mut self, answers: Vec<(usize, Answer)>, news: Vec<News>) {
        let complaint = self.complaint(&answers, &news);
        // Nobody listens when the test is over.
        let _ = self.to.send(Published {
            answers,
            news,
            complaint,
        });
    }
}

/// Each request has a number of its own, which comes back with the answer.
pub struct Office {
    pub engine: Arc<Faulty>,
    pub queue: CommitQueue<usize>,
    pub thread: JoinHandle<()>,
    pub metrics: Metrics,
    pub news: Vec<News>,
    pub asked: usize,
    published: Receiver<Published>,
    answers: BTreeMap<usize, Answer>,
}

impl Office {
    pub fn open() -> Office {
        Office::over(engine(false))
    }

    pub fn over(engine: Faulty) -> Office {
        Office::with(engine, POLICY)
    }

    pub fn with(engine: Faulty, policy: Policy) -> Office {
        prepare(&*engine.inner).unwrap();
        let engine = Arc::new(engine);
        let metrics = Metrics::new().unwrap();
        metrics.found_rows(count_rows(&*engine.inner).unwrap());
        let (to, published) = mpsc::channel();
        let wire = Wire {
            engine: engine.clone(),
            to,
        };
        let ledger = Ledger::new(engine.clone(), policy);
        let clock = Clock::start();
        let (queue, thread) =
            committer::start(engine.clone(), ledger, clock, metrics.clone(), wire).unwrap();
        Office {
            engine,
            queue,
            thread,
            metrics,
            news: Vec::new(),
            asked: 0,
            published,
            answers: BTreeMap::new(),
        }
    }

    pub fn submits(&mut self, op: Op) -> usize {
        let asker = self.asked;
        self.asked += 1;
        assert!(self.queue.submit(asker, op).is_ok(), "the queue is full");
        asker
    }

    /// The answer to that request, when it comes.
    pub fn hears(&mut self, asker: usize) -> Answer {
        loop {
            if let Some(answer) = self.answers.remove(&asker) {
                return answer;
            }
            assert!(self.listens(DEADLINE), "the committer is silent");
        }
    }

    /// Takes the next publication; false if none comes in time.
    fn listens(&mut self, within: Duration) -> bool {
        match self.published.recv_timeout(within) {
            Ok(published) => {
                self.takes(published);
                true
            }
            Err(RecvTimeoutError::Timeout) => false,
            Err(RecvTimeoutError::Disconnected) => panic!("the committer is gone"),
        }
    }

    fn takes(&mut self, published: Published) {
        if let Some(complaint) = published.complaint {
            panic!("{complaint}");
        }
        self.answers.extend(published.answers);
        self.news.extend(published.news);
    }

    pub fn asks(&mut self, op: Op) -> Answer {
        let asker = self.submits(op);
        self.hears(asker)
    }

    pub fn accepts(&mut self, id: &str) -> Accepted {
        match self.asks(send(id)) {
            Answer::Accepted(accepted) => accepted,
            answer => panic!("{id} was answered with {answer:?}"),
        }
    }

    pub fn refused_by_the_store(&mut self, op: Op) {
        assert_eq!(self.asks(op), Answer::Refused(Refusal::Storage));
    }

    /// Repeats a request until the store takes it again.
    pub fn insists(&mut self, op: &Op) -> Answer {
        let asker = self.submits(op.clone());
        self.insists_after(asker, op)
    }

    /// The same for a request that was made before.
    pub fn insists_after(&mut self, mut asker: usize, op: &Op) -> Answer {
        let until = Instant::now() + DEADLINE;
        loop {
            match self.hears(asker) {
                Answer::Refused(Refusal::Storage) if Instant::now() < until => {
                    assert!(self.engine.failed() > 0);
                    self.listens(PAUSE);
                    asker = self.submits(op.clone());
                }
                Answer::Refused(Refusal::Storage) => panic!("the store never came back"),
                answer => return answer,
            }
        }
    }

    /// Until the next publication, or not much longer than one takes.
    pub fn waits_a_little(&mut self) {
        self.listens(PAUSE);
    }

    /// Asks for nothing: every step of the housekeeping is published too.
    pub fn waits_until_it_is_well(&mut self) {
        while self.trouble().is_some() {
            assert!(self.listens(DEADLINE), "no step of the housekeeping");
        }
        // What was told before it said that it is well.
        while let Ok(published) = self.published.try_recv() {
            self.takes(published);
        }
    }

    /// Several requests that share a batch, because the committer was busy when they came.
    pub fn submits_together(&mut self, ops: Vec<Op>) -> Vec<usize> {
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

    /// Requests that are in the queue together, each repeated until it is answered.
    pub fn insists_together(&mut self, ops: &[Op]) -> Vec<Answer> {
        let engine = self.engine.clone();
        let gate = engine.gate.lock();
        let askers: Vec<usize> = ops.iter().map(|op| self.submits(op.clone())).collect();
        drop(gate);
        let asked = askers.into_iter().zip(ops);
        asked
            .map(|(asker, op)| self.insists_after(asker, op))
            .collect()
    }

    pub fn trouble(&self) -> Option<String> {
        self.queue.health().trouble()
    }

    pub fn metric(&self, name: &str) -> i64 {
        let text = String::from_utf8(self.metrics.render().unwrap()).unwrap();
        let found = text.lines().find_map(|line| line.strip_prefix(name));
        found.unwrap().trim().parse().unwrap()
    }

    /// Ends the committer, and takes what it still had to say.
    pub fn closes(&mut self) {
        self.queue.end();
        while let Ok(published) = self.published.recv_timeout(DEADLINE) {
            self.takes(published);
        }
    }

    pub fn ends(self) -> Arc<Faulty> {
        self.queue.end();
        self.thread.join().unwrap();
        self.engine
    }
}

pub fn send(id: &str) -> Op {
    send_to(BOB, id)
}

pub fn send_to(to: Uid, id: &str) -> Op {
    let draft = Draft {
        id: MsgId::parse(id).unwrap(),
        to: Chat::User(to),
        payload: "{}".into(),
        created_at: None,
        expires_at: None,
    };
    Op::Append(draft.signed_by(ALICE, None))
}

/// What waits for a reader: sequence numbers and ids.
pub fn rows(engine: &MemoryEngine, uid: Uid) -> BTreeMap<Seq, String> {
    let read = Read {
        uid,
        from: 1,
        to: Seq::MAX,
        limit: usize::MAX,
        max_bytes: usize::MAX,
    };
    let rows = read_page(engine, &read, 0, 0, None).unwrap().rows;
    rows.into_iter()
        .map(|row| (row.seq, row.message.id.to_string()))
        .collect()
}
