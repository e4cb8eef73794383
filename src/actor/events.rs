//! Between the commits and the webhook's sender: which events are durable, and where they are read.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::oneshot;

use crate::message::Op;
use crate::store::committer::CommitQueue;
use crate::store::{Engine, EngineError, record};
use crate::webhook::{Bell, Event, Queue, QueueError};

use super::dispatch::Asker;

/// How far events are durable; cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Horizon(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    durable: AtomicU64,
    bell: Bell,
}

impl Horizon {
    /// The one of a store whose last event has this number.
    pub fn at(last: u64) -> Horizon {
        let horizon = Horizon::default();
        horizon.0.durable.store(last, Ordering::Release);
        horizon
    }

    /// Events up to this number are durable.
    pub fn reached(&self, number: u64) {
        self.0.durable.fetch_max(number, Ordering::AcqRel);
        self.0.bell.ring();
    }

    /// The number of the last event that is durable.
    pub fn last(&self) -> u64 {
        self.0.durable.load(Ordering::Acquire)
    }

    /// What the sender is woken by.
    pub fn bell(&self) -> Bell {
        self.0.bell.clone()
    }
}

/// The events of a store.
pub struct Stored {
    /// Where they are read.
    pub engine: Arc<dyn Engine>,
    /// Where the cursor is moved.
    pub commits: CommitQueue<Asker>,
    /// How far they are durable.
    pub horizon: Horizon,
}

impl Queue for Stored {
    fn page(
        &self,
        after: u64,
        limit: usize,
        max_bytes: usize,
    ) -> Result<Vec<(u64, Event)>, QueueError> {
        let durable = self.horizon.last();
        let (mut events, mut bytes) = (Vec::new(), 0);
        if after >= durable {
            return Ok(events);
        }
        let (from, to) = (record::event_key(after + 1), record::event_key(durable));
        let read = self.engine.scan(&from, &to, &mut |key, value| {
            if bytes > 0 && bytes + value.len() > max_bytes {
                return false;
            }
            match (record::event_of(key), record::decode::<Event>(key, value)) {
                (Some(number), Ok(event)) => {
                    bytes += value.len();
                    events.push((number, event));
                }
                (_, Err(error)) => log::error!("an event is passed over: {error}"),
                (None, _) => {}
            }
            events.len() < limit
        });
        match read {
            Ok(()) => Ok(events),
            Err(error) => Err(QueueError(error.to_string())),
        }
    }

    fn sent(&self, up_to: u64) {
        // Nobody waits for the answer; one that is refused is covered by the next.
        let (nobody, _) = oneshot::channel();
        let _ = self
            .commits
            .submit(Asker::Waiting(nobody), Op::EventsSent(up_to));
    }

    fn cursor(&self) -> Result<u64, QueueError> {
        read(&*self.engine, record::EVENTS_SENT_KEY).map_err(|error| QueueError(error.to_string()))
    }
}

/// The last number that was given out.
pub fn last(engine: &dyn Engine) -> Result<u64, EngineError> {
    read(engine, record::EVENTS_KEY)
}

fn read(engine: &dyn Engine, key: &[u8]) -> Result<u64, EngineError> {
    match engine.get(key)? {
        Some(value) => record::decode(key, &value),
        None => Ok(0),
    }
}
