//! Group commit: one thread takes all the operations that wait, applies them, flushes once, and answers all.

use std::fmt;
use std::sync::mpsc::{self, Receiver, Sender, SyncSender};
use std::thread::{self, JoinHandle};

use anyhow::{Result, anyhow};
use clap::ValueEnum;

use crate::engine::{Engine, Operation};

/// The most operations that share one flush.
pub(crate) const GROUP_MAX: usize = 1024;

/// The most operations in one batch of the engine: 0.34 leaks memory on batches of more than about 600.
const BATCH_MAX: usize = 256;

/// When an operation is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Durability {
    /// After the flush.
    Flushed,
    /// Once applied and never flushed: the control, which must lose rows.
    Unflushed,
}

impl fmt::Display for Durability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Flushed => "flushed",
            Self::Unflushed => "unflushed",
        })
    }
}

/// A running committer. Answers come in the order of the requests.
pub(crate) struct Committer {
    requests: SyncSender<Operation>,
    answers: Receiver<Operation>,
    thread: JoinHandle<Result<()>>,
}

impl Committer {
    /// Starts the thread that owns the engine.
    pub(crate) fn start(engine: Box<dyn Engine>, durability: Durability) -> Self {
        let (requests, waiting) = mpsc::sync_channel(GROUP_MAX);
        let (answer, answers) = mpsc::channel();
        let thread = thread::spawn(move || commit_all(&*engine, &waiting, &answer, durability));
        Self {
            requests,
            answers,
            thread,
        }
    }

    /// Hands in one operation.
    pub(crate) fn submit(&self, operation: Operation) -> Result<()> {
        self.requests
            .send(operation)
            .map_err(|_| anyhow!("the committer has stopped"))
    }

    /// Waits for the next answer.
    pub(crate) fn answer(&self) -> Result<Operation> {
        self.answers
            .recv()
            .map_err(|_| anyhow!("the committer has stopped"))
    }

    /// Takes an answer if one is there.
    pub(crate) fn answer_at_hand(&self) -> Option<Operation> {
        self.answers.try_recv().ok()
    }

    /// Stops the thread, and tells how it ended.
    pub(crate) fn stop(self) -> Result<()> {
        drop(self.requests);
        self.thread
            .join()
            .map_err(|_| anyhow!("the committer panicked"))?
    }
}

fn commit_all(
    engine: &dyn Engine,
    waiting: &Receiver<Operation>,
    answer: &Sender<Operation>,
    durability: Durability,
) -> Result<()> {
    let mut group = Vec::with_capacity(GROUP_MAX);
    while let Ok(first) = waiting.recv() {
        group.push(first);
        group.extend(waiting.try_iter().take(GROUP_MAX - 1));
        for batch in group.chunks(BATCH_MAX) {
            engine.apply(batch)?;
        }
        if durability == Durability::Flushed {
            engine.flush()?;
        }
        for operation in group.drain(..) {
            if answer.send(operation).is_err() {
                return Ok(());
            }
        }
    }
    Ok(())
}
