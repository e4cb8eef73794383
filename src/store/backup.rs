//! A backup of a store that is in use: a scan of all tables, and between its pages every batch that was applied meanwhile.
//!
//! Replayed in order into an empty store, that gives the store as it was when the recording stopped. A batch that was
//! applied before a page was read is in that page, and one that was applied later is written behind the page, so the last
//! record of a key is always its latest value. Nobody waits for a backup: one that is slower than the commits fails.

pub mod file;

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;

use parking_lot::Mutex;

use file::{Counts, Encoder, Header, Records};

use super::{Batch, Engine, EngineError, Write, record};

/// Batches that may wait to be written into the backup, bytes. One always may, however large.
pub const WAITING_MAX: usize = 64 << 20;

/// Above every key there is.
const LAST_KEY: [u8; 256] = [0xff; 256];

/// An engine that copies what is applied to it while a backup runs.
pub struct Recorder {
    inner: Arc<dyn Engine>,
    bound: usize,
    /// Held over every apply, so that a recording begins and stops between two of them.
    state: Mutex<State>,
    /// Held over every flush: the system tells a failed one to one caller only, and everybody has to hear of it.
    flushing: Mutex<()>,
}

#[derive(Default)]
struct State {
    /// Why what the engine shows is not to be trusted; none while it is.
    doubt: Option<&'static str>,
    /// There as long as a backup runs.
    tape: Option<Tape>,
}

#[derive(Default)]
struct Tape {
    waiting: VecDeque<Records>,
    bytes: usize,
    /// No batch is recorded any more.
    stopped: bool,
    /// Why the backup cannot be a whole one.
    cut: Option<String>,
}

/// Why no backup begins.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// There is one at a time.
    #[error("another backup is being taken")]
    Running,
    /// The engine has failed and is not open again.
    #[error("there is no backup to be had: {0}")]
    Doubt(&'static str),
}

/// Why a backup did not come to its end.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Stopped {
    /// Whoever wanted it takes no more.
    #[error("its reader went away")]
    Gone,
    /// It cannot be a whole one.
    #[error("{0}")]
    Failed(String),
}

impl From<EngineError> for Stopped {
    fn from(error: EngineError) -> Stopped {
        Stopped::Failed(format!("the store could not be read: {error}"))
    }
}

impl Recorder {
    /// A recorder in front of an engine that nobody else writes to.
    pub fn new(inner: Arc<dyn Engine>) -> Recorder {
        Recorder::with_bound(inner, WAITING_MAX)
    }

    /// The same with a bound of its own in the place of [`WAITING_MAX`].
    pub fn with_bound(inner: Arc<dyn Engine>, bound: usize) -> Recorder {
        Recorder {
            inner,
            bound,
            state: Mutex::default(),
            flushing: Mutex::default(),
        }
    }

    /// Begins to record. It waits for a batch that is being applied, which the backup's scan then sees.
    pub fn begin(self: &Arc<Self>) -> Result<Backup, Refused> {
        let mut state = self.state.lock();
        if state.tape.is_some() {
            return Err(Refused::Running);
        }
        if let Some(doubt) = state.doubt {
            return Err(Refused::Doubt(doubt));
        }
        state.tape = Some(Tape::default());
        Ok(Backup {
            recorder: self.clone(),
        })
    }

    /// What waits to be written into the backup, bytes; none when no backup runs.
    pub fn waiting(&self) -> Option<usize> {
        self.state.lock().tape.as_ref().map(|tape| tape.bytes)
    }
}

impl Engine for Recorder {
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

    fn batch_max(&self) -> usize {
        self.inner.batch_max()
    }

    fn forgets_dedupe(&self) -> bool {
        self.inner.forgets_dedupe()
    }

    fn keeps_history(&self) -> bool {
        self.inner.keeps_history()
    }

    fn apply(&self, batch: Batch) -> Result<(), EngineError> {
        let mut state = self.state.lock();
        state.sound()?;
        let wanted = state.tape.as_ref().is_some_and(Tape::records);
        let records = wanted.then(|| records_of(&batch));
        // In doubt beforehand: a panic of the engine leaves it so, as an error does.
        let before = state.doubt.replace("a write to the store failed");
        self.inner.apply(batch)?;
        state.doubt = before;
        if let (Some(tape), Some(records)) = (&mut state.tape, records) {
            tape.record(records, self.bound);
        }
        Ok(())
    }

    fn flush(&self) -> Result<(), EngineError> {
        let _alone = self.flushing.lock();
        self.state.lock().sound()?;
        let flushed = catch_unwind(AssertUnwindSafe(|| self.inner.flush()));
        if !matches!(flushed, Ok(Ok(()))) {
            self.state.lock().doubt = Some("a flush of the store failed");
        }
        flushed.unwrap_or_else(|panic| resume_unwind(panic))
    }

    fn reopen(&self) -> Result<(), EngineError> {
        {
            let mut state = self.state.lock();
            state.doubt = Some("the store failed and is not open again");
            if let Some(tape) = &mut state.tape {
                tape.cut("the store failed and had to be opened again".into());
            }
        }
        self.inner.reopen()?;
        self.state.lock().doubt = None;
        Ok(())
    }

    fn close(&self) -> Result<(), EngineError> {
        self.inner.close()
    }
}

impl State {
    fn sound(&self) -> Result<(), EngineError> {
        match self.doubt {
            Some(why) => Err(EngineError::Failed(why.to_string())),
            None => Ok(()),
        }
    }
}

impl Tape {
    fn records(&self) -> bool {
        !self.stopped && self.cut.is_none()
    }

    fn record(&mut self, records: Vec<Records>, bound: usize) {
        let size: usize = records.iter().map(Records::size).sum();
        if self.bytes > 0 && self.bytes + size > bound {
            return self.cut(format!(
                "it was slower than the commits: more than {bound} bytes of them waited to be written into it"
            ));
        }
        self.bytes += size;
        self.waiting.extend(records);
    }

    fn cut(&mut self, why: String) {
        self.cut.get_or_insert(why);
        self.waiting = VecDeque::new();
        self.bytes = 0;
    }
}

/// A backup that runs; dropped, it ends the recording.
pub struct Backup {
    recorder: Arc<Recorder>,
}

impl Backup {
    /// Hands a whole file to `send`, piece by piece, until it returns false. A backup that fails says so in its last piece.
    ///
    /// In memory are at most the batches that wait, a page of the scan and the piece at hand.
    pub fn stream(
        self,
        created_ms: u64,
        send: &mut dyn FnMut(Vec<u8>) -> bool,
    ) -> Result<Counts, Stopped> {
        let (mut encoder, header) = Encoder::begin(Header {
            layout: record::LAYOUT,
            created_ms,
        });
        let mut emit = |piece| send(piece).then_some(()).ok_or(Stopped::Gone);
        emit(header)?;
        let written = self.write(&mut |records| emit(encoder.block(&records)));
        match written {
            Ok(()) => emit(encoder.end())?,
            Err(stopped) => {
                if let Stopped::Failed(why) = &stopped {
                    emit(encoder.broken_off(why))?;
                }
                return Err(stopped);
            }
        }
        Ok(encoder.counts())
    }

    fn write(&self, emit: &mut dyn FnMut(Records) -> Result<(), Stopped>) -> Result<(), Stopped> {
        let mut next = Some(Vec::new());
        while let Some(from) = next {
            let page;
            (page, next) = self.page(from)?;
            if !page.is_empty() {
                emit(page)?;
            }
            // Only what waits by now: commits that never cease must not keep the scan from its next page.
            let mut due = self.waiting()?;
            while due > 0
                && let Some(records) = self.take()?
            {
                due = due.saturating_sub(records.size());
                emit(records)?;
            }
        }
        self.stop();
        while let Some(records) = self.take()? {
            emit(records)?;
        }
        // What is restored must not be ahead of what a crash of this server leaves.
        self.recorder.flush()?;
        self.sound()
    }

    /// A page of the scan, and where the next one begins if there may be one.
    fn page(&self, from: Vec<u8>) -> Result<(Records, Option<Vec<u8>>), Stopped> {
        let (mut page, mut next) = (Records::default(), None);
        let engine = &self.recorder.inner;
        engine.scan(&from, &LAST_KEY, &mut |key, value| {
            page.put(key, value);
            if page.is_full() {
                next = Some([key, &[0]].concat());
            }
            next.is_none()
        })?;
        Ok((page, next))
    }

    /// Recorded batches, as many as make a block; none if none waits.
    fn take(&self) -> Result<Option<Records>, Stopped> {
        let mut state = self.recorder.state.lock();
        let tape = sound(&mut state)?;
        let mut block = Records::default();
        while !block.is_full()
            && let Some(records) = tape.waiting.pop_front()
        {
            tape.bytes -= records.size();
            block.append(records);
        }
        Ok((!block.is_empty()).then_some(block))
    }

    fn waiting(&self) -> Result<usize, Stopped> {
        Ok(sound(&mut self.recorder.state.lock())?.bytes)
    }

    fn sound(&self) -> Result<(), Stopped> {
        sound(&mut self.recorder.state.lock()).map(drop)
    }

    /// From here on nothing is recorded: what waits is the rest.
    fn stop(&self) {
        if let Some(tape) = &mut self.recorder.state.lock().tape {
            tape.stopped = true;
        }
    }
}

impl Drop for Backup {
    fn drop(&mut self) {
        self.recorder.state.lock().tape = None;
    }
}

/// The tape, as long as it and the store can be trusted.
fn sound(state: &mut State) -> Result<&mut Tape, Stopped> {
    if let Some(doubt) = state.doubt {
        return Err(Stopped::Failed(doubt.into()));
    }
    match &mut state.tape {
        Some(Tape { cut: Some(why), .. }) => Err(Stopped::Failed(why.clone())),
        Some(tape) => Ok(tape),
        None => Err(Stopped::Failed("nothing was recorded".into())),
    }
}

fn records_of(batch: &Batch) -> Vec<Records> {
    let mut blocks = vec![Records::default()];
    for Write { key, value, .. } in &batch.writes {
        if blocks.last().is_none_or(Records::is_full) {
            blocks.push(Records::default());
        }
        if let Some(block) = blocks.last_mut() {
            match value {
                Some(value) => block.put(key, value),
                None => block.delete(key),
            }
        }
    }
    blocks
}
