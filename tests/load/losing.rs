//! A server that loses messages after it has acknowledged them: its engine leaves out some rows, and says nothing.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::mpsc;
use std::thread::JoinHandle;

use parking_lot::Mutex;
use tokio::sync::oneshot;
use yizhan::config::{Settings, Sources};
use yizhan::node::Node;
use yizhan::store::memory::MemoryEngine;
use yizhan::store::record::{self, RowRef};
use yizhan::store::{Batch, Engine, EngineError};

use crate::support::SEED;

/// A server inside the test.
pub(crate) struct LosingServer {
    pub(crate) public: SocketAddr,
    engine: Arc<Losing>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// An engine without the row and the body of every so-and-so-many-th message.
struct Losing {
    inner: MemoryEngine,
    every: usize,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    rows: usize,
    lost: Vec<String>,
}

impl LosingServer {
    /// Loses one message of so many.
    pub(crate) fn start(every: usize) -> LosingServer {
        let engine = Arc::new(Losing {
            inner: MemoryEngine::new(),
            every,
            state: Mutex::default(),
        });
        let ours = [
            "listen.public=127.0.0.1:0",
            "listen.admin=127.0.0.1:0",
            "admin.token=t",
        ];
        let settings = Settings::load(&Sources {
            files: vec![SEED.into()],
            env: Vec::new(),
            sets: ours.map(str::to_owned).into(),
        });
        let settings = settings.unwrap();
        let (stop, stopped) = oneshot::channel();
        let (listens, listening) = mpsc::channel();
        let theirs = engine.clone();
        let thread = std::thread::spawn(move || {
            actix::System::new().block_on(async {
                let node = Node::start_over(theirs, settings).unwrap();
                listens.send(node.public_addr()).unwrap();
                node.serve(async move { drop(stopped.await) }).await;
            });
        });
        LosingServer {
            public: listening.recv().unwrap(),
            engine,
            stop: Some(stop),
            thread: Some(thread),
        }
    }

    /// The ids of what it has lost, sorted.
    pub(crate) fn lost(&self) -> Vec<String> {
        let mut lost = self.engine.state.lock().lost.clone();
        lost.sort();
        lost
    }
}

impl Drop for LosingServer {
    fn drop(&mut self) {
        // Dropped, the other end hears it as well.
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }
}

impl Engine for Losing {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, EngineError> {
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

    fn forgets_dedupe(&self) -> bool {
        self.inner.forgets_dedupe()
    }

    fn keeps_history(&self) -> bool {
        self.inner.keeps_history()
    }

    fn apply(&self, batch: Batch) -> Result<(), EngineError> {
        let writes: Vec<_> = batch.into_writes().collect();
        let mut lost = Vec::new();
        for (key, value) in &writes {
            if let (Some(&record::INBOX), Some(value)) = (key.first(), value) {
                let mut state = self.state.lock();
                state.rows += 1;
                if state.rows.is_multiple_of(self.every) {
                    let row = RowRef::decode(key, value)?;
                    state.lost.push(row.id.to_string());
                    lost.push(key.clone());
                    lost.push(row.body_key());
                }
            }
        }
        let mut kept = Batch::default();
        for (key, value) in writes {
            match value {
                _ if lost.contains(&key) => {}
                Some(value) => kept.put(key, value),
                None => kept.delete(key),
            }
        }
        self.inner.apply(kept)
    }

    fn flush(&self) -> Result<(), EngineError> {
        self.inner.flush()
    }

    fn reopen(&self) -> Result<(), EngineError> {
        self.inner.reopen()
    }
}
