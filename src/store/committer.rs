//! The one writer: takes whatever waits, commits it, flushes once, answers all, and announces in commit order.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SendError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::clock::{Clock, Mark};
use crate::id::{Seq, Uid};
use crate::message::chat::Amendment;
use crate::message::group::Order;
use crate::message::{Answer, Op, Refusal, Target};
use crate::metrics::Metrics;

use super::durable::Durable;
use super::health::Health;
use super::ledger::{self, Committed, Ledger, News};
use super::{Batch, Engine, EngineError, record};

/// Requests that may be in the committer's hands, from all devices together.
const QUEUE: usize = 65_536;
/// Bytes that they may hold together.
const QUEUE_BYTES: usize = 256 << 20;
/// Requests that share one flush, and the bytes after which no more of them do.
const GATHER: (usize, usize) = (1024, 16 << 20);
/// How often the housekeeping takes a step.
const SWEEP_EVERY: Duration = Duration::from_millis(250);
/// How often the store is told the server's time, for the next start.
const MARK_EVERY: Duration = Duration::from_secs(60);
/// The first and the longest wait before a failed engine is opened again.
const REOPEN_AFTER: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(5));

/// Where answers and news go; `A` says who asked.
pub trait Outlet<A>: Send + 'static {
    /// A batch is durable, or was refused as a whole.
    fn publish(&mut self, answers: Vec<(A, Answer)>, news: Vec<News>);
}

/// The committer's queue is full, or it has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Busy;

/// The way to the committer.
pub struct CommitQueue<A> {
    requests: Sender<Request<A>>,
    held: Arc<Held>,
    health: Health,
    durable: Durable,
}

/// What the committer has in its hands.
#[derive(Debug, Default)]
struct Held {
    requests: AtomicUsize,
    bytes: AtomicUsize,
}

impl<A> Clone for CommitQueue<A> {
    fn clone(&self) -> Self {
        CommitQueue {
            requests: self.requests.clone(),
            held: self.held.clone(),
            health: self.health.clone(),
            durable: self.durable.clone(),
        }
    }
}

enum Request<A> {
    Commit(A, Op),
    End,
}

impl<A: Send + 'static> CommitQueue<A> {
    /// Asks; the answer goes to the outlet with `asker`, which comes back if there is no room.
    pub fn submit(&self, asker: A, op: Op) -> Result<(), (Busy, A)> {
        let bytes = weight(&op);
        if !self.held.take(bytes) {
            return Err((Busy, asker));
        }
        match self.requests.send(Request::Commit(asker, op)) {
            Err(SendError(Request::Commit(asker, _))) => {
                self.held.give_back(1, bytes);
                Err((Busy, asker))
            }
            _ => Ok(()),
        }
    }

    /// Whether the store takes requests.
    pub fn health(&self) -> &Health {
        &self.health
    }

    /// What is durable, for those who read.
    pub fn durable(&self) -> &Durable {
        &self.durable
    }

    /// Requests that are in the committer's hands.
    pub fn waiting(&self) -> usize {
        self.held.requests.load(Ordering::Relaxed)
    }

    /// Ends the committer after everything that is in its queue.
    pub fn end(&self) {
        // Fails only when it has ended.
        let _ = self.requests.send(Request::End);
    }
}

impl Held {
    /// Takes a request of so many bytes, if there is room for it.
    fn take(&self, bytes: usize) -> bool {
        let requests = self.requests.fetch_add(1, Ordering::Relaxed);
        let before = self.bytes.fetch_add(bytes, Ordering::Relaxed);
        let fits = requests < QUEUE && before + bytes <= QUEUE_BYTES;
        if !fits {
            self.give_back(1, bytes);
        }
        fits
    }

    fn give_back(&self, requests: usize, bytes: usize) {
        self.requests.fetch_sub(requests, Ordering::Relaxed);
        self.bytes.fetch_sub(bytes, Ordering::Relaxed);
    }
}

/// The bytes that a request takes besides its place in the queue, as far as its sender chooses them.
fn weight(op: &Op) -> usize {
    match op {
        Op::Append(append) => append.draft.payload.len(),
        Op::Amend {
            amendment: Amendment::Edit { payload, .. },
            ..
        } => payload.len(),
        Op::Group {
            order: Order::Create { members: uids, .. } | Order::Invite(uids),
            ..
        } => uids.len() * size_of::<Uid>(),
        Op::Ack { seqs, .. } | Op::Expire { seqs, .. } | Op::Bury { seqs, .. } => {
            seqs.iter().count() * size_of::<(Seq, Seq)>()
        }
        Op::Status { of, .. } => {
            of.len() * size_of::<Target>() + of.iter().map(id_len).sum::<usize>()
        }
        _ => 0,
    }
}

fn id_len(target: &Target) -> usize {
    target.id.as_str().len()
}

/// Starts the committer on a thread of its own.
pub fn start<A: Send + 'static>(
    engine: Arc<dyn Engine>,
    ledger: Ledger,
    clock: Clock,
    metrics: Metrics,
    outlet: impl Outlet<A>,
) -> std::io::Result<(CommitQueue<A>, JoinHandle<()>)> {
    let (requests, waiting) = channel();
    let queue = CommitQueue {
        requests,
        held: Arc::default(),
        health: Health::new(metrics.clone()),
        durable: Durable::default(),
    };
    let mut committer = Committer {
        engine,
        ledger,
        clock,
        metrics,
        outlet,
        held: queue.held.clone(),
        health: queue.health.clone(),
        durable: queue.durable.clone(),
        mark_at: Instant::now(),
        reopen: None,
        opened: None,
        doubtful: Vec::new(),
    };
    let thread = std::thread::Builder::new()
        .name("committer".into())
        .spawn(move || committer.run(&waiting))?;
    Ok((queue, thread))
}

struct Committer<O> {
    engine: Arc<dyn Engine>,
    ledger: Ledger,
    clock: Clock,
    metrics: Metrics,
    outlet: O,
    held: Arc<Held>,
    health: Health,
    durable: Durable,
    /// When the store is told the time again.
    mark_at: Instant,
    /// After an error: when to open the engine again, and how long was waited for that.
    reopen: Option<(Instant, Duration)>,
    /// When it was opened again last, and how long was waited for that.
    opened: Option<(Instant, Duration)>,
    /// Who would have heard of the commit that failed: the store may hold it after all.
    doubtful: Vec<News>,
}

impl<O> Committer<O> {
    fn run<A: Send + 'static>(&mut self, waiting: &Receiver<Request<A>>)
    where
        O: Outlet<A>,
    {
        let mut sweep_at = Instant::now() + SWEEP_EVERY;
        // How many there were last: the next will be about as many.
        let mut gathered = 0;
        loop {
            // What is on its way to the members of a group goes on between requests, and without any; so does the queue of
            // events, which would grow without a bound if it waited for the next sweep each time.
            let goes_on = self.reopen.is_none() && self.ledger.has_more();
            let wait = match goes_on {
                true => Duration::ZERO,
                false => sweep_at.saturating_duration_since(Instant::now()),
            };
            let first = match waiting.recv_timeout(wait) {
                Ok(request) => Some(request),
                Err(RecvTimeoutError::Timeout) => None,
                Err(RecvTimeoutError::Disconnected) => return,
            };
            let mut askers = Vec::with_capacity(gathered);
            let (mut ops, mut ended) = (Vec::with_capacity(gathered), false);
            let mut bytes = 0;
            let mut next = first;
            while let Some(request) = next {
                match request {
                    Request::Commit(asker, op) => {
                        bytes += weight(&op);
                        askers.push(asker);
                        ops.push(op);
                    }
                    Request::End => ended = true,
                }
                let full = ended || ops.len() >= GATHER.0 || bytes >= GATHER.1;
                next = if full { None } else { waiting.try_recv().ok() };
            }
            gathered = askers.len();
            if Instant::now() >= sweep_at {
                sweep_at = Instant::now() + SWEEP_EVERY;
                ops.push(Op::Sweep);
                self.clock.follow();
            }
            if ended {
                self.mark_at = Instant::now();
            }
            self.commit(askers, &ops);
            drop(ops);
            self.held.give_back(gathered, bytes);
            if ended {
                if let Err(error) = guarded(|| self.engine.close()) {
                    log::error!("the store did not end in order: {error}");
                }
                return;
            }
        }
    }

    fn commit<A: Send + 'static>(&mut self, askers: Vec<A>, ops: &[Op])
    where
        O: Outlet<A>,
    {
        let done = match self.ready() {
            true => self.write(ops),
            false => None,
        };
        match done {
            Some(done) => {
                // The sweep, last in the batch, has no asker.
                let answers = askers.into_iter().zip(done.answers).collect();
                self.publish(answers, done.news);
            }
            None => {
                let storage = || Answer::Refused(Refusal::Storage);
                let answers = askers.into_iter().map(|asker| (asker, storage()));
                self.publish(answers.collect(), Vec::new());
            }
        }
    }

    /// A commit that cannot be told to anyone is told by the end of the process: whoever starts it again finds what
    /// was accepted.
    fn publish<A: Send + 'static>(&mut self, answers: Vec<(A, Answer)>, news: Vec<News>)
    where
        O: Outlet<A>,
    {
        let outlet = &mut self.outlet;
        if catch_unwind(AssertUnwindSafe(|| outlet.publish(answers, news))).is_err() {
            log::error!("a commit could not be published, so the process ends");
            std::process::abort();
        }
    }

    /// Commits and flushes; none if the store failed.
    fn write(&mut self, ops: &[Op]) -> Option<Committed> {
        let (begun, now) = (Instant::now(), self.clock.now_ms());
        self.ledger.take_new(!self.health.is_nearly_full());
        self.durable.begin(now);
        let done = match guarded(|| self.ledger.commit(now, ops)) {
            Ok(done) => done,
            Err(error) => {
                self.doubtful = self.ledger.reset();
                self.fail(&error);
                return None;
            }
        };
        let mark = match self.mark_at <= begun {
            true => self.clock.mark(),
            false => None,
        };
        if done.tally.wrote || mark.is_some() {
            let begun = Instant::now();
            if let Err(error) = guarded(|| self.flush(mark.as_ref())) {
                self.ledger.reset();
                self.doubtful = done.news;
                self.fail(&error);
                return None;
            }
            self.metrics.flushed(ops.len(), begun.elapsed());
        }
        self.durable.end();
        if self.mark_at <= begun {
            self.mark_at = begun + MARK_EVERY;
        }
        self.metrics.committed(&done.tally, begun.elapsed());
        Some(done)
    }

    /// Makes durable what was applied, and where the server's time stands if it is to be told.
    fn flush(&self, mark: Option<&Mark>) -> Result<(), EngineError> {
        if let Some(mark) = mark {
            self.engine.apply(marking(mark)?)?;
        }
        self.engine.flush()
    }

    /// A store that fails soon after it was opened is left alone for longer each time.
    fn fail(&mut self, error: &EngineError) {
        log::error!("the store failed, its requests are refused until it is open again: {error}");
        self.metrics.store_failed();
        self.health.engine(Some(error.to_string()));
        let wait = match self.opened {
            Some((at, wait)) if at.elapsed() < REOPEN_AFTER.1 => (wait * 2).min(REOPEN_AFTER.1),
            _ => REOPEN_AFTER.0,
        };
        self.reopen = Some((Instant::now() + wait, wait));
    }

    /// Opens a failed engine again when it is time; false while it stays closed.
    fn ready<A: Send + 'static>(&mut self) -> bool
    where
        O: Outlet<A>,
    {
        let Some((at, wait)) = self.reopen else {
            return true;
        };
        if Instant::now() < at {
            return false;
        }
        match guarded(|| self.open_again()) {
            Ok((rows, news)) => {
                log::warn!("the store is open again");
                self.durable.reopened();
                self.metrics.found_rows(rows);
                self.health.engine(None);
                self.reopen = None;
                self.opened = Some((Instant::now(), wait));
                self.doubtful.clear();
                self.publish(Vec::new(), news);
                true
            }
            Err(error) => {
                log::error!("the store cannot be opened again: {error}");
                self.metrics.store_failed();
                self.health.engine(Some(error.to_string()));
                self.ledger.reset();
                let wait = (wait * 2).min(REOPEN_AFTER.1);
                self.reopen = Some((Instant::now() + wait, wait));
                false
            }
        }
    }

    /// An engine that opens need not write, and what a failed batch left in it is counted and told nowhere: how many
    /// rows there are, and who has to hear of what is there.
    fn open_again(&mut self) -> Result<(i64, Vec<News>), EngineError> {
        self.engine.reopen()?;
        ledger::write_layout(&*self.engine)?;
        let news = self.ledger.settle(&self.doubtful)?;
        Ok((ledger::rows(&*self.engine)?, news))
    }
}

/// A panic of the engine is an error like others: it must not end the only writer.
fn guarded<T>(act: impl FnOnce() -> Result<T, EngineError>) -> Result<T, EngineError> {
    catch_unwind(AssertUnwindSafe(act))
        .unwrap_or_else(|panic| Err(EngineError::Failed(describe(&*panic))))
}

fn marking(mark: &Mark) -> Result<Batch, EngineError> {
    let mut batch = Batch::default();
    batch.put(record::CLOCK_KEY.to_vec(), record::encode(mark)?);
    Ok(batch)
}

/// Where the server's time stood when it was last told to the store.
pub fn read_mark(engine: &dyn Engine) -> Result<Option<Mark>, EngineError> {
    let found = engine.get(record::CLOCK_KEY)?;
    found
        .map(|bytes| record::decode(record::CLOCK_KEY, &bytes))
        .transpose()
}

fn describe(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic
        .downcast_ref::<&str>()
        .map(|text| (*text).to_string())
        .or_else(|| panic.downcast_ref::<String>().cloned());
    format!(
        "the engine panicked: {}",
        text.as_deref().unwrap_or("no reason given")
    )
}
