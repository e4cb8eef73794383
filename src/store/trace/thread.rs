//! The thread that takes the records from their buffers, and how others speak with it.

use std::io;
use std::sync::{Arc, OnceLock};
use std::thread::{self, JoinHandle, Thread};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

use super::block::{Builder, Stamp};
use super::record::Part;
use super::shards::Shards;
use super::shelf::Shelf;
use super::writer::Writer;
use super::{Keep, Now};

/// How long a record lies in a buffer, about.
const EVERY: Duration = Duration::from_millis(100);
/// How long anybody waits for the thread: a disk may not answer at all.
const PATIENCE: Duration = Duration::from_secs(5);

/// What the thread shares with everybody else.
pub(super) struct Shared {
    pub(super) shards: Shards,
    pub(super) shelf: Arc<Shelf>,
    pub(super) now: Now,
    talk: Mutex<Talk>,
    done: Condvar,
    thread: OnceLock<Thread>,
}

#[derive(Default)]
struct Talk {
    /// How often somebody asked for everything to be taken from the buffers, and which of these have been answered.
    asked: u64,
    answered: u64,
    stops: bool,
    ended: bool,
    /// It ended by a panic.
    broke: bool,
}

impl Shared {
    pub(super) fn new(shards: Shards, shelf: Arc<Shelf>, now: Now) -> Shared {
        Shared {
            shards,
            shelf,
            now,
            talk: Mutex::default(),
            done: Condvar::new(),
            thread: OnceLock::new(),
        }
    }

    /// Starts the thread.
    pub(super) fn start(self: &Arc<Self>, keep: Keep) -> io::Result<JoinHandle<()>> {
        let shared = self.clone();
        let handle = thread::Builder::new()
            .name("tracer".into())
            .spawn(move || run(&shared, keep))?;
        // Whoever comes sooner waits until the thread comes by itself.
        let _ = self.thread.set(handle.thread().clone());
        Ok(handle)
    }

    /// Has the thread come soon.
    pub(super) fn wake(&self) {
        if let Some(thread) = self.thread.get() {
            thread.unpark();
        }
    }

    /// Returns when everything that was left before has been taken from the buffers; false if the thread does not answer.
    pub(super) fn flush(&self) -> bool {
        let mut talk = self.talk.lock();
        talk.asked += 1;
        let number = talk.asked;
        self.wake();
        self.wait(&mut talk, |talk| talk.answered >= number || talk.ended) && !talk.broke
    }

    /// Ends the thread; false if it does not come to its end.
    pub(super) fn stop(&self) -> bool {
        let mut talk = self.talk.lock();
        talk.stops = true;
        self.wake();
        self.wait(&mut talk, |talk| talk.ended)
    }

    fn wait(
        &self,
        talk: &mut parking_lot::MutexGuard<'_, Talk>,
        is_done: impl Fn(&Talk) -> bool,
    ) -> bool {
        let until = Instant::now() + PATIENCE;
        while !is_done(talk) {
            if self.done.wait_until(talk, until).timed_out() {
                return is_done(talk);
            }
        }
        true
    }
}

/// Says that the thread has ended, by a panic as well.
struct End<'a>(&'a Shared);

impl Drop for End<'_> {
    fn drop(&mut self) {
        let mut talk = self.0.talk.lock();
        (talk.ended, talk.broke) = (true, thread::panicking());
        drop(talk);
        self.0.done.notify_all();
    }
}

fn run(shared: &Shared, keep: Keep) {
    let _end = End(shared);
    let since = (shared.now)();
    let mut pen = Pen {
        shared,
        writer: Writer::new(shared.shelf.clone(), keep),
        stamp: Stamp {
            run: shared.shelf.run,
            first_ms: since,
            ..Stamp::default()
        },
    };
    let (mut builder, mut part) = (Builder::default(), Part::default());
    loop {
        let (asked, stops) = {
            let talk = shared.talk.lock();
            (talk.asked, talk.stops)
        };
        pen.round(&mut builder, &mut part, stops);
        shared.talk.lock().answered = asked;
        shared.done.notify_all();
        if stops {
            return;
        }
        thread::park_timeout(EVERY);
    }
}

/// Makes blocks of what is in the buffers.
struct Pen<'a> {
    shared: &'a Shared,
    writer: Writer,
    stamp: Stamp,
}

impl Pen<'_> {
    fn round(&mut self, builder: &mut Builder, part: &mut Part, last: bool) {
        let (floor, now) = (self.shared.shards.ticket(), (self.shared.now)());
        self.writer.retry(now);
        self.shared.shards.take(part, last, |part| {
            builder.add(part, |builder| self.close(builder, false));
        });
        if !builder.is_empty() {
            self.close(builder, false);
        }
        // What is taken from here on was left after this round began.
        (self.stamp.floor, self.stamp.first_ms) = (floor, now);
        self.writer.tidy(now);
        if last {
            self.close(builder, true);
        }
    }

    fn close(&mut self, builder: &mut Builder, ends: bool) {
        let (shelf, shards) = (&self.shared.shelf, &self.shared.shards);
        self.stamp.seq += 1;
        let stamp = Stamp {
            lost: shelf.with(|state| state.untold(shards.lost())),
            last_ms: (self.shared.now)(),
            ends,
            ..self.stamp
        };
        let block = builder.close(stamp);
        if ends {
            self.writer.end(block, stamp.last_ms);
        } else if let Some(block) = self.writer.push(block, stamp.last_ms) {
            builder.reuse(block);
        }
    }
}
