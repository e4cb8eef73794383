//! The one writer: takes whatever waits, commits it, flushes once, answers all, and announces in commit order.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::clock::{Clock, Mark};
use crate::message::{Answer, Op, Refusal};
use crate::metrics::Metrics;

use super::ledger::{Committed, Ledger, News};
use super::{Batch, Engine, EngineError, record};

/// Requests that may wait for the committer, from all devices together.
const QUEUE: usize = 65_536;
/// Requests that share one flush.
const GATHER: usize = 1024;
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
    requests: SyncSender<Request<A>>,
    health: Health,
}

impl<A> Clone for CommitQueue<A> {
    fn clone(&self) -> Self {
        CommitQueue {
            requests: self.requests.clone(),
            health: self.health.clone(),
        }
    }
}

/// Whether the store takes requests, and if not, why.
#[derive(Clone, Debug, Default)]
pub struct Health(Arc<Mutex<Option<String>>>);

impl Health {
    /// Why the store takes nothing; none while it does.
    pub fn trouble(&self) -> Option<String> {
        self.0.lock().clone()
    }

    fn set(&self, trouble: Option<String>) {
        *self.0.lock() = trouble;
    }
}

enum Request<A> {
    Commit(A, Op),
    End,
}

impl<A: Send + 'static> CommitQueue<A> {
    /// Asks; the answer goes to the outlet with `asker`, which comes back if there is no room.
    pub fn submit(&self, asker: A, op: Op) -> Result<(), (Busy, A)> {
        match self.requests.try_send(Request::Commit(asker, op)) {
            Ok(()) => Ok(()),
            Err(TrySendError::Full(request) | TrySendError::Disconnected(request)) => match request
            {
                Request::Commit(asker, _) => Err((Busy, asker)),
                Request::End => Ok(()),
            },
        }
    }

    /// Whether the store takes requests.
    pub fn health(&self) -> &Health {
        &self.health
    }

    /// Ends the committer after everything that is in its queue.
    pub fn end(&self) {
        // Fails only when it has ended.
        let _ = self.requests.send(Request::End);
    }
}

/// Starts the committer on a thread of its own.
pub fn start<A: Send + 'static>(
    engine: Arc<dyn Engine>,
    ledger: Ledger,
    clock: Clock,
    metrics: Metrics,
    outlet: impl Outlet<A>,
) -> std::io::Result<(CommitQueue<A>, JoinHandle<()>)> {
    let (requests, waiting) = sync_channel(QUEUE);
    let queue = CommitQueue {
        requests,
        health: Health::default(),
    };
    let mut committer = Committer {
        engine,
        ledger,
        clock,
        metrics,
        outlet,
        health: queue.health.clone(),
        mark_at: Instant::now(),
        reopen: None,
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
    health: Health,
    /// When the store is told the time again.
    mark_at: Instant,
    /// After an error: when to open the engine again, and how long to wait after that.
    reopen: Option<(Instant, Duration)>,
}

impl<O> Committer<O> {
    fn run<A: Send + 'static>(&mut self, waiting: &Receiver<Request<A>>)
    where
        O: Outlet<A>,
    {
        let mut sweep_at = Instant::now() + SWEEP_EVERY;
        loop {
            let wait = sweep_at.saturating_duration_since(Instant::now());
            let first = match waiting.recv_timeout(wait) {
                Ok(request) => Some(request),
                Err(RecvTimeoutError::Timeout) => None,
                Err(RecvTimeoutError::Disconnected) => return,
            };
            let (mut askers, mut ops, mut ended) = (Vec::new(), Vec::new(), false);
            let mut next = first;
            while let Some(request) = next {
                match request {
                    Request::Commit(asker, op) => {
                        askers.push(asker);
                        ops.push(op);
                    }
                    Request::End => ended = true,
                }
                let full = ended || ops.len() >= GATHER;
                next = if full { None } else { waiting.try_recv().ok() };
            }
            if Instant::now() >= sweep_at {
                sweep_at = Instant::now() + SWEEP_EVERY;
                ops.push(Op::Sweep);
                self.clock.follow();
            }
            if ended {
                self.mark_at = Instant::now();
            }
            self.commit(askers, &ops);
            if ended {
                return;
            }
        }
    }

    fn commit<A: Send + 'static>(&mut self, askers: Vec<A>, ops: &[Op])
    where
        O: Outlet<A>,
    {
        let begun = Instant::now();
        let done = match self.ready() {
            true => self.write(ops),
            false => Err(None),
        };
        match done {
            Ok(done) => {
                self.metrics.committed(&done.tally, begun.elapsed());
                // The sweep, last in the batch, has no asker.
                let answers = askers.into_iter().zip(done.answers).collect();
                self.publish(answers, done.news);
            }
            Err(error) => {
                if let Some(error) = error {
                    self.fail(&error);
                }
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

    /// A panic of the engine is an error like others: it must not end the only writer.
    fn write(&mut self, ops: &[Op]) -> Result<Committed, Option<EngineError>> {
        let (now, begun) = (self.clock.now_ms(), Instant::now());
        let mark = match self.mark_at <= begun {
            true => self.clock.mark(),
            false => None,
        };
        let (ledger, engine, metrics) = (&mut self.ledger, &self.engine, &self.metrics);
        let attempt = catch_unwind(AssertUnwindSafe(|| {
            let done = ledger.commit(now, ops)?;
            if let Some(mark) = &mark {
                engine.apply(marking(mark)?)?;
            }
            if done.tally.wrote || mark.is_some() {
                let begun = Instant::now();
                engine.flush()?;
                metrics.flushed(ops.len(), begun.elapsed());
            }
            Ok(done)
        }));
        let done = attempt
            .unwrap_or_else(|panic| Err(EngineError::Failed(describe(&*panic))))
            .map_err(Some)?;
        if self.mark_at <= begun {
            self.mark_at = begun + MARK_EVERY;
        }
        Ok(done)
    }

    fn fail(&mut self, error: &EngineError) {
        log::error!("the store failed, its requests are refused until it is open again: {error}");
        self.health.set(Some(error.to_string()));
        self.ledger.reset();
        self.reopen = Some((Instant::now() + REOPEN_AFTER.0, REOPEN_AFTER.0));
    }

    /// Opens a failed engine again when it is time; false while it stays closed.
    fn ready(&mut self) -> bool {
        let Some((at, wait)) = self.reopen else {
            return true;
        };
        if Instant::now() < at {
            return false;
        }
        let engine = &self.engine;
        let opened = catch_unwind(AssertUnwindSafe(|| engine.reopen()))
            .unwrap_or_else(|panic| Err(EngineError::Failed(describe(&*panic))));
        match opened {
            Ok(()) => {
                log::warn!("the store is open again");
                self.health.set(None);
                self.ledger.reset();
                self.reopen = None;
                true
            }
            Err(error) => {
                log::error!("the store cannot be opened again: {error}");
                self.health.set(Some(error.to_string()));
                let wait = (wait * 2).min(REOPEN_AFTER.1);
                self.reopen = Some((Instant::now() + wait, wait));
                false
            }
        }
    }
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
