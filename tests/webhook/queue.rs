//! A queue in memory, whose reader can be made to fail or to hang.

use std::collections::BTreeMap;
use std::sync::mpsc;
use std::sync::{Mutex, MutexGuard};
use std::thread;
use std::time::Duration;

use yizhan::webhook::{Event, Queue, QueueError, What};

#[derive(Default)]
pub struct MemoryQueue(Mutex<Inner>);

#[derive(Default)]
pub struct Inner {
    pub events: BTreeMap<u64, Event>,
    pub cursor: u64,
    /// Every move of the cursor that was asked for.
    pub moves: Vec<u64>,
    pub is_unreadable: bool,
    /// A read that comes says so here, and does not come back before this is let go.
    pub hang: Option<(mpsc::Sender<()>, mpsc::Receiver<()>)>,
}

impl MemoryQueue {
    pub fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap()
    }

    /// Adds an event, with the next number.
    pub fn push(&self, what: What) -> u64 {
        let mut inner = self.inner();
        let number = inner.events.keys().last().unwrap_or(&0) + 1;
        inner.events.insert(number, Event { at: number, what });
        number
    }

    pub fn push_online(&self, count: u64) {
        for uid in 0..count {
            let did = "a".into();
            let dtype = None;
            self.push(What::Online { uid, did, dtype });
        }
    }
}

impl Queue for MemoryQueue {
    fn page(
        &self,
        after: u64,
        limit: usize,
        _max_bytes: usize,
    ) -> Result<Vec<(u64, Event)>, QueueError> {
        let (found, hang) = {
            let mut inner = self.inner();
            if inner.is_unreadable {
                return Err(QueueError("the disk does not answer".into()));
            }
            let above = inner.events.range(after + 1..).take(limit);
            let found = above.map(|(number, event)| (*number, event.clone()));
            (found.collect(), inner.hang.take())
        };
        // What comes from here on was not there when it was read.
        if let Some((came, gate)) = hang {
            let _ = came.send(());
            let _ = gate.recv();
            // Whoever waits for a disk may take what wakes this thread.
            thread::park_timeout(Duration::ZERO);
        }
        Ok(found)
    }

    fn sent(&self, up_to: u64) {
        let mut inner = self.inner();
        inner.cursor = up_to;
        inner.moves.push(up_to);
    }

    fn cursor(&self) -> Result<u64, QueueError> {
        let inner = self.inner();
        match inner.is_unreadable {
            true => Err(QueueError("the disk does not answer".into())),
            false => Ok(inner.cursor),
        }
    }
}
