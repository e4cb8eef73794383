//! Moves what has rested in the log for a while into the base and the runs, and lets go of the segments it stood in.
//!
//! It works on a thread of its own in small steps, and nobody waits for it unless more has gathered than may.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex, RwLock};

use crate::metrics::Metrics;
use crate::store::files::Folder;
use crate::store::history::{Leaving, Merging};
use crate::store::runs::{Merge, Run};
use crate::store::{BATCH_MAX, Batch, EngineError, record};

use super::log::{Closed, Empty, Log};
use super::manifest::{self, Manifest};
use super::memtable;
use super::overlay::{Overlay, Walk};
use super::segment::Identity;
use super::shelf::Shelf;
use super::{Bounds, Forgets, Keeping};

/// Entries of the overlay that are looked at under one lock.
const STEP: usize = 256;
/// Entries of a merge between two looks at what is more urgent.
const MERGE_STEP: usize = 4096;
/// Segments that a job on the history leaves room for beside what it writes.
const SEGMENTS: u64 = 4;
/// How often the settler looks by itself.
const LOOK: Duration = Duration::from_millis(250);

/// What the committer, the readers and the settler share.
pub(super) struct Shared {
    folder: Arc<dyn Folder>,
    bounds: Bounds,
    metrics: Metrics,
    forgets: Arc<OnceLock<Forgets>>,
    keeping: Arc<OnceLock<Keeping>>,
    pub(super) log: Mutex<Log>,
    pub(super) overlay: RwLock<Overlay>,
    pub(super) shelf: Shelf,
    /// Held by whoever settles.
    settler: Mutex<Settler>,
    state: Mutex<State>,
    /// There is something to settle, or to stop for.
    work: Condvar,
    /// There is room, or a segment, or it has failed.
    done: Condvar,
    /// Whether commits have to look at the bounds at all: the bytes of memory, told after each settling.
    memory: AtomicUsize,
    /// There is no room for what is to be done on the history, which has been said.
    is_cramped: AtomicBool,
    /// A job was begun and is not at its end.
    is_at_work: AtomicBool,
}

struct State {
    /// Each with the time it rests from, or none if it is due as soon as those before it are.
    closed: VecDeque<(Closed, Option<Instant>)>,
    /// The segment that is written.
    current: u64,
    ready: Option<Empty>,
    /// The next segment is being made.
    making: bool,
    failed: Option<String>,
    stops: bool,
}

/// What only the one who settles touches.
pub(super) struct Settler {
    pub(super) manifest: Manifest,
    /// What is taken in steps, between which more urgent things are done.
    pub(super) job: Option<Job>,
}

/// Work on what is settled.
pub(super) enum Job {
    /// Runs of the dedupe index become one.
    Index(Merge),
    /// Runs of a day of the history become one.
    History(Box<Merging>),
    /// A day leaves the history.
    Leaving(Box<Leaving>),
}

/// What is to be done next.
enum Task {
    Make(Identity),
    Settle(Closed),
    Work,
}

/// Starts the thread.
pub(super) fn start(shared: Arc<Shared>) -> Result<JoinHandle<()>, EngineError> {
    let thread = std::thread::Builder::new().name("settler".into());
    Ok(thread.spawn(move || {
        let ran = catch_unwind(AssertUnwindSafe(|| shared.run()));
        let error = match ran {
            Ok(Ok(())) => return,
            Ok(Err(error)) => error,
            Err(_) => EngineError::Failed("settling panicked".into()),
        };
        shared.fail(&error);
    })?)
}

impl Shared {
    #[allow(clippy::too_many_arguments)]
    pub(super) fn new(
        folder: Arc<dyn Folder>,
        bounds: Bounds,
        metrics: Metrics,
        forgets: Arc<OnceLock<Forgets>>,
        keeping: Arc<OnceLock<Keeping>>,
        log: Log,
        overlay: Overlay,
        shelf: Shelf,
        settler: Settler,
        closed: Vec<Closed>,
    ) -> Shared {
        let now = Instant::now();
        let current = log.place().0.segment;
        let memory = overlay.bytes();
        let state = State {
            closed: closed
                .into_iter()
                .map(|closed| (closed, Some(now)))
                .collect(),
            current,
            ready: None,
            making: false,
            failed: None,
            stops: false,
        };
        Shared {
            folder,
            bounds,
            metrics,
            forgets,
            keeping,
            log: Mutex::new(log),
            overlay: RwLock::new(overlay),
            shelf,
            settler: Mutex::new(settler),
            state: Mutex::new(state),
            work: Condvar::new(),
            done: Condvar::new(),
            memory: AtomicUsize::new(memory),
            is_cramped: AtomicBool::new(false),
            is_at_work: AtomicBool::new(false),
        }
    }

    /// An error if anything has failed.
    pub(super) fn sound(&self) -> Result<(), EngineError> {
        match &self.state.lock().failed {
            Some(why) => Err(EngineError::Failed(why.clone())),
            None => Ok(()),
        }
    }

    /// From here on nothing is taken.
    pub(super) fn fail(&self, error: &EngineError) {
        let mut state = self.state.lock();
        state.failed.get_or_insert_with(|| error.to_string());
        self.done.notify_all();
        self.work.notify_all();
    }

    pub(super) fn stop(&self) {
        self.state.lock().stops = true;
        self.work.notify_all();
    }

    /// Bytes of memory, and of closed segments.
    pub(super) fn unsettled(&self) -> (usize, u64) {
        let memory = self.overlay.read().bytes();
        (memory, self.state.lock().log_bytes())
    }

    /// Waits while more is unsettled than may be and there is something to settle.
    pub(super) fn wait_for_room(&self) -> Result<(), EngineError> {
        let mut state = self.state.lock();
        loop {
            if let Some(why) = &state.failed {
                return Err(EngineError::Failed(why.clone()));
            }
            let memory = self.memory.load(Ordering::Relaxed);
            let full = memory > self.bounds.memory.1 || state.log_bytes() > self.bounds.log.1;
            if !full || state.closed.is_empty() || !self.bounds.by_itself {
                return Ok(());
            }
            self.work.notify_all();
            self.done.wait(&mut state);
        }
    }

    /// Whether so much was removed that the segment at hand is to be closed: not while that would have to wait for the
    /// next one.
    pub(super) fn is_to_be_closed(&self) -> bool {
        self.overlay.read().removals() >= self.bounds.removals
            && (self.state.lock().ready.is_some() || !self.bounds.by_itself)
    }

    /// Flushes the log by `flush`, and goes on in the next segment if that closes one.
    pub(super) fn flush(
        &self,
        log: &mut Log,
        flush: impl FnOnce(&mut Log) -> Result<Option<Closed>, EngineError>,
    ) -> Result<(), EngineError> {
        self.trying(|| {
            if let Some(closed) = flush(log)? {
                let (of, _) = log.place();
                log.go_on(self.next_segment(Identity {
                    segment: of.segment + 1,
                    ..of
                })?);
                self.closed(closed);
            }
            Ok(())
        })
    }

    /// An error of the log is one for good: what it left is known when it has been read again.
    pub(super) fn trying<T>(
        &self,
        act: impl FnOnce() -> Result<T, EngineError>,
    ) -> Result<T, EngineError> {
        self.sound()?;
        act().inspect_err(|error| self.fail(error))
    }

    /// The next segment to write: the one that was made ready, or one that is made on the spot.
    fn next_segment(&self, of: Identity) -> Result<Empty, EngineError> {
        let mut state = self.state.lock();
        while state.making && state.failed.is_none() {
            self.done.wait(&mut state);
        }
        // Under one lock: the one behind it is made ready from here on, and never this one again.
        state.current = of.segment;
        match state.ready.take() {
            Some(ready) if ready.of == of => Ok(ready),
            _ => Empty::make(&*self.folder, of, super::fill(self.bounds, &*self.folder)?),
        }
    }

    /// A segment was closed, and the one behind it is there.
    fn closed(&self, closed: Closed) {
        let (memory, removals) = {
            let mut overlay = self.overlay.write();
            overlay.dedupe.close(closed.next);
            (overlay.bytes(), overlay.take_removals())
        };
        self.memory.store(memory, Ordering::Relaxed);
        let rests = removals < self.bounds.removals;
        let mut state = self.state.lock();
        state.closed.push_back((closed, rests.then(Instant::now)));
        self.metrics.unsettled(memory, state.log_bytes());
        self.work.notify_all();
    }

    /// Settles all closed segments, and merges what is due.
    pub(super) fn settle_all(&self) -> Result<(), EngineError> {
        self.sound()?;
        let mut settler = self.settler.lock();
        let last = self.state.lock().closed.back().map(|(closed, _)| *closed);
        let done = last.map_or(Ok(()), |last| self.settle(&mut settler, last));
        let done = done.and_then(|()| {
            while self.work(&mut settler)? {}
            Ok(())
        });
        done.inspect_err(|error| self.fail(error))
    }

    /// Tells the base that nothing comes before record `next` is written.
    pub(super) fn end(&self, next: u64) -> Result<(), EngineError> {
        let mut settler = self.settler.lock();
        settler.manifest.ended = Some(next);
        settler.manifest.keep(&*self.shelf.base)
    }

    fn run(&self) -> Result<(), EngineError> {
        while let Some(task) = self.task() {
            match task {
                Task::Make(of) => self.make(of)?,
                Task::Settle(last) => self.settle(&mut self.settler.lock(), last)?,
                Task::Work => drop(self.work(&mut self.settler.lock())?),
            }
        }
        Ok(())
    }

    /// Waits for something to do; none when there will be nothing more.
    fn task(&self) -> Option<Task> {
        let mut state = self.state.lock();
        loop {
            if state.stops || state.failed.is_some() {
                return None;
            }
            if state.ready.is_none() && !state.making {
                state.making = true;
                let store = self.shelf.store();
                let segment = state.current + 1;
                return Some(Task::Make(Identity { store, segment }));
            }
            if let Some(last) = state.due(&self.bounds, self.memory.load(Ordering::Relaxed)) {
                return Some(Task::Settle(last));
            }
            if self.has_work() {
                return Some(Task::Work);
            }
            self.work.wait_for(&mut state, LOOK);
        }
    }

    /// Makes a segment ready beforehand, of zeros only where there is plenty of room. An error is one of the disk, and
    /// fails the store.
    fn make(&self, of: Identity) -> Result<(), EngineError> {
        let made = super::fill(self.bounds, &*self.folder)
            .and_then(|fill| Empty::make(&*self.folder, of, fill));
        let mut state = self.state.lock();
        state.making = false;
        self.done.notify_all();
        state.ready = Some(made?);
        Ok(())
    }

    /// Settles everything that was written last in the segments up to this one.
    fn settle(&self, settler: &mut Settler, last: Closed) -> Result<(), EngineError> {
        if last.segment < settler.manifest.segment {
            return Ok(());
        }
        let begun = Instant::now();
        let (shelf, before) = (&self.shelf, last.next);
        let mut manifest = settler.manifest.clone();
        let mut arrivals = shelf.history.begin(manifest.next_run);
        let mut batch = Batch::default();
        let mut walk = Walk::default();
        loop {
            let entries = self.overlay.write().settling(&mut walk, before, STEP);
            let Some(entries) = entries else {
                break;
            };
            // What was settled so far is so once more, after the next start.
            if self.state.lock().stops {
                return Ok(());
            }
            for (key, value) in entries {
                if key.first() == Some(&record::HISTORY) {
                    match value {
                        Some(value) => {
                            let seen = record::look(&value).map(|sight| sight.server_ts);
                            let at = seen.unwrap_or_else(|| self.now());
                            arrivals.add(&key, &value, at)?;
                        }
                        None => arrivals.remove(&key)?,
                    }
                    continue;
                }
                match value {
                    Some(value) => batch.put(key, value),
                    None => batch.delete(key),
                }
                self.pass_on(&mut batch)?;
            }
        }
        let arrived = arrivals.finish()?;
        manifest.next_run = arrived.next_run();
        manifest.history = shelf.history.with(&arrived);
        let run = self.settle_dedupe(before, &mut manifest, &mut batch)?;
        // What was written over or removed meanwhile was passed over. It may go from the log only when what stands in its
        // place is there to stay.
        self.flush(&mut self.log.lock(), Log::flush)?;
        manifest.runs.extend(run.as_ref().map(|run| run.shelved()));
        (manifest.segment, manifest.first) = (last.segment + 1, last.next);
        manifest.write(&mut batch)?;
        shelf.base.apply(batch)?;
        shelf.base.flush()?;
        settler.manifest = manifest;
        if let Some(run) = run {
            shelf.runs.push(run);
        }
        shelf.history.push(arrived, self.now());
        let mut walk = Walk::default();
        while self.overlay.write().settled(&mut walk, before, STEP) {}
        while self.overlay.write().dedupe.settled(before, STEP) {}
        let gone = {
            let memory = self.overlay.read().bytes();
            self.memory.store(memory, Ordering::Relaxed);
            let mut state = self.state.lock();
            let gone = state.settled(last);
            self.metrics.unsettled(memory, state.log_bytes());
            self.done.notify_all();
            gone
        };
        for segment in gone {
            let store = settler.manifest.store;
            self.folder.remove(&Identity { store, segment }.name())?;
        }
        self.metrics.settled(begun.elapsed());
        Ok(())
    }

    /// Writes a run of the dedupe entries of all segments before that record, if they have any.
    fn settle_dedupe(
        &self,
        before: u64,
        manifest: &mut Manifest,
        batch: &mut Batch,
    ) -> Result<Option<Run>, EngineError> {
        let shelf = &self.shelf;
        let parts = self.overlay.read().dedupe.settling(before);
        if parts.is_empty() {
            return Ok(None);
        }
        let mut run = shelf.runs.begin(manifest.next_run)?;
        manifest.next_run += 1;
        memtable::merged(&parts, |key, value| {
            run.add(key, value)?;
            if !shelf.base_has_dedupe {
                return Ok(());
            }
            // What an older store has under the key must not come back when the run's removal is merged away.
            batch.delete(key.to_vec());
            self.pass_on(batch)
        })?;
        run.finish().map(Some)
    }

    /// Gives the base the batch when it is full but for the manifest.
    fn pass_on(&self, batch: &mut Batch) -> Result<(), EngineError> {
        match batch.len() == BATCH_MAX - manifest::WRITES {
            true => self.shelf.base.apply(std::mem::take(batch)),
            false => Ok(()),
        }
    }

    /// What time it is; 0, at which nothing is over, before anybody has said.
    fn now(&self) -> u64 {
        self.keeping.get().map_or(0, |keeping| (keeping.now)())
    }

    /// The day that is too old for the history, if there is room for it in the archive.
    fn leaves(&self) -> Option<u32> {
        let (history, keep_ms) = (&self.shelf.history, self.keeping.get()?.keep_ms);
        let period = history.due_for_archive(self.now(), keep_ms)?;
        self.fits(history.has_room_to_leave(period, self.margin()), "archive")
            .then_some(period)
    }

    /// Whether runs of the history are to become one, and there is room for it.
    fn merges(&self) -> bool {
        let (history, now) = (&self.shelf.history, self.now());
        history.due(now).is_some()
            && self.fits(history.has_room_to_merge(now, self.margin()), "history")
    }

    /// What has to be left for the log.
    fn margin(&self) -> u64 {
        self.bounds.segment.saturating_mul(SEGMENTS)
    }

    /// Says once when something on the history has to wait: a disk that is filled fails the store, for what can wait.
    fn fits(&self, has_room: bool, what: &str) -> bool {
        if !self.is_cramped.swap(!has_room, Ordering::Relaxed) && !has_room {
            log::warn!("the {what} waits: there is too little room on the disk for it");
        }
        has_room
    }

    fn has_work(&self) -> bool {
        // What was begun had room.
        self.is_at_work.load(Ordering::Relaxed)
            || self.shelf.runs.due().is_some()
            || self.merges()
            || self.leaves().is_some()
    }

    /// Takes a step of what is to be done on what is settled; false if nothing is.
    fn work(&self, settler: &mut Settler) -> Result<bool, EngineError> {
        let job = match settler.job.take() {
            Some(job) => job,
            None => match self.begin(settler) {
                Ok(Some(job)) => job,
                Ok(None) => return Ok(false),
                // It costs the day that it is of.
                Err(EngineError::Damaged(why)) => {
                    log::error!("left as it is: {why}");
                    return Ok(true);
                }
                Err(error) => return Err(error),
            },
        };
        let period = match &job {
            Job::Index(_) => None,
            Job::History(merging) => Some(merging.period()),
            Job::Leaving(leaving) => Some(leaving.period()),
        };
        let done = self.step(settler, job);
        self.is_at_work
            .store(settler.job.is_some(), Ordering::Relaxed);
        match (done, period) {
            (Err(EngineError::Damaged(why)), Some(period)) => {
                log::error!("left as it is: {why}");
                self.shelf.history.set_aside(period);
                Ok(true)
            }
            (done, _) => done.map(|()| true),
        }
    }

    /// Begins the next job.
    fn begin(&self, settler: &mut Settler) -> Result<Option<Job>, EngineError> {
        let (runs, history) = (&self.shelf.runs, &self.shelf.history);
        if let Some(inputs) = runs.due() {
            let number = settler.manifest.next_run;
            settler.manifest.next_run += 1;
            return Ok(Some(Job::Index(runs.merge(inputs, number)?)));
        }
        if self.merges()
            && let Some(merging) = history.merge(self.now(), settler.manifest.next_run)?
        {
            settler.manifest.next_run += 1;
            return Ok(Some(Job::History(Box::new(merging))));
        }
        match self.leaves() {
            Some(period) => {
                let leaving = history.leave(period, record::look)?;
                Ok(Some(Job::Leaving(Box::new(leaving))))
            }
            None => Ok(None),
        }
    }

    fn step(&self, settler: &mut Settler, job: Job) -> Result<(), EngineError> {
        let (runs, history) = (&self.shelf.runs, &self.shelf.history);
        match job {
            Job::Index(mut merge) => {
                let forgets =
                    |value: &[u8]| self.forgets.get().is_some_and(|forgets| forgets(value));
                if merge.step(MERGE_STEP, &forgets)? {
                    settler.job = Some(Job::Index(merge));
                    return Ok(());
                }
                let (inputs, run) = merge.finish()?;
                settler.manifest.runs = runs.replaced(&inputs, run.shelved());
                settler.manifest.keep(&*self.shelf.base)?;
                runs.replace(&inputs, run)
            }
            Job::History(mut merging) => {
                if merging.step(MERGE_STEP)? {
                    settler.job = Some(Job::History(merging));
                    return Ok(());
                }
                let merged = merging.finish()?;
                settler.manifest.history = history.replaced(&merged);
                settler.manifest.keep(&*self.shelf.base)?;
                history.replace(merged)
            }
            Job::Leaving(mut leaving) => {
                if leaving.step(MERGE_STEP)? {
                    settler.job = Some(Job::Leaving(leaving));
                    return Ok(());
                }
                let left = leaving.finish()?;
                settler.manifest.history = history.without(&left);
                settler.manifest.keep(&*self.shelf.base)?;
                history.drop_period(left)
            }
        }
    }
}

impl State {
    fn log_bytes(&self) -> u64 {
        self.closed.iter().map(|(closed, _)| closed.bytes).sum()
    }

    /// Up to where it is time to settle.
    fn due(&self, bounds: &Bounds, memory: usize) -> Option<Closed> {
        let pressed = memory > bounds.memory.0 || self.log_bytes() > bounds.log.0;
        let rested =
            |at: &Option<Instant>| pressed || at.is_none_or(|at| at.elapsed() >= bounds.rest);
        let due = self.closed.iter().take_while(|(_, at)| rested(at));
        due.last().map(|(closed, _)| *closed)
    }

    /// Notes that segments up to this one are settled, and returns them.
    fn settled(&mut self, last: Closed) -> Vec<u64> {
        let mut gone = Vec::new();
        while let Some((closed, _)) = self.closed.front()
            && closed.segment <= last.segment
        {
            gone.push(closed.segment);
            self.closed.pop_front();
        }
        gone
    }
}
