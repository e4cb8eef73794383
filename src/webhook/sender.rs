//! The thread that takes events from the queue to the receiver.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, TryRecvError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

use crate::config::webhook::{EventKind, Webhook};
use crate::config::{Impossible, Secret};

use super::batch::{Batch, MAX_BYTES};
use super::bell::Bell;
use super::json::{Names, Renderer};
use super::machine::{Backoff, Effect, Failure, Input, Machine, Report, Trouble};
use super::post::{Outcome, Post};
use super::queue::Queue;
use super::sign::Signer;
use super::status::{Board, Meter};

/// Reads a clock: milliseconds.
pub type Now = Arc<dyn Fn() -> u64 + Send + Sync>;

/// How long anybody waits for the thread to end: the store may not answer it at all.
const PATIENCE: Duration = Duration::from_secs(2);

/// What the sender is to do, and for whom.
pub struct Plan {
    /// Where and of what the receiver is told.
    pub settings: Webhook,
    /// What requests are signed with, from the settings or generated.
    pub secret: Secret,
    /// Names this store in the ids of events: a store that begins again with number 1 needs another.
    pub tag: Box<str>,
    /// How users and groups are called on the wire.
    pub names: Names,
    /// How long things take at most.
    pub timing: Timing,
}

/// How long things take at most.
#[derive(Clone, Copy, Debug)]
pub struct Timing {
    /// To find the receiver, and to connect to it.
    pub connect: Duration,
    /// A whole request.
    pub whole: Duration,
    /// Reading an answer after its status, which is not needed.
    pub body: Duration,
    /// How long a request that is on its way is waited for at the end, under two seconds.
    pub grace: Duration,
    /// Between attempts.
    pub backoff: Backoff,
}

impl Default for Timing {
    fn default() -> Timing {
        Timing {
            connect: Duration::from_secs(5),
            whole: Duration::from_secs(15),
            body: Duration::from_secs(1),
            grace: Duration::from_secs(1),
            backoff: Backoff::default(),
        }
    }
}

/// The clocks that it goes by.
#[derive(Clone)]
pub struct Clocks {
    /// The server's time, Unix milliseconds; it never goes back.
    pub server: Now,
    /// The wall's Unix milliseconds, against which a receiver holds a signature.
    pub wall: Now,
}

/// Sends events until it is stopped or dropped.
pub struct Sender {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Sender {
    /// Starts the thread.
    ///
    /// # Errors
    ///
    /// No URL, an impossible one, no secret, or no thread to be had. The queue is read on the thread, and again until it
    /// can be read.
    pub fn start(
        plan: Plan,
        queue: Arc<dyn Queue>,
        bell: Bell,
        board: Board,
        meter: Arc<dyn Meter>,
        clocks: Clocks,
    ) -> Result<Sender, StartError> {
        let uri = plan.settings.uri()?.ok_or(StartError::NoUrl)?;
        let signer = Signer::new(plan.secret.expose()).ok_or(StartError::NoSecret)?;
        let scheme = uri.scheme_str().unwrap_or_default();
        let authority = uri.authority().map_or("", |authority| authority.as_str());
        let shared = Arc::new(Shared {
            stops: AtomicBool::new(false),
            ended: Mutex::new(false),
            end: Condvar::new(),
            bell,
        });
        let mut driver = Driver {
            receiver: format!("{scheme}://{authority}"),
            post: Arc::new(Post::new(uri, signer, &plan.timing, clocks.wall)),
            renderer: Renderer::new(plan.tag, plan.settings.payload, plan.names),
            wanted: plan.settings.events,
            limit: plan.settings.batch,
            timing: plan.timing,
            now: clocks.server,
            queue,
            board,
            meter,
            shared: shared.clone(),
            batch: None,
            answer: None,
            detail: None,
            count: Count::default(),
        };
        let thread = thread::Builder::new()
            .name("webhook".into())
            .spawn(move || driver.run())?;
        Ok(Sender {
            shared,
            thread: Mutex::new(Some(thread)),
        })
    }

    /// Ends the thread, within two seconds; false if it does not come to its end, and is left behind. A request that is on
    /// its way is waited for shortly; one that is left behind may yet arrive, and its events are sent again.
    pub fn stop(&self) -> bool {
        self.shared.stop();
        let until = Instant::now() + PATIENCE;
        let mut ended = self.shared.ended.lock();
        while !*ended {
            if self.shared.end.wait_until(&mut ended, until).timed_out() && !*ended {
                log::warn!("webhook: its thread does not end, and is left behind");
                return false;
            }
        }
        drop(ended);
        let thread = self.thread.lock().take();
        thread.is_none_or(|thread| thread.join().is_ok())
    }
}

impl Drop for Sender {
    fn drop(&mut self) {
        self.shared.stop();
    }
}

impl fmt::Debug for Sender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sender")
    }
}

/// Says why nothing is sent.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// There is no receiver.
    #[error("webhook.url is empty")]
    NoUrl,
    /// There is nothing to sign with.
    #[error("there is no secret to sign webhooks with")]
    NoSecret,
    /// The settings cannot be worked with.
    #[error(transparent)]
    Impossible(#[from] Impossible),
    /// The system has no thread to give.
    #[error("the thread of the webhook cannot be started: {0}")]
    Thread(#[from] io::Error),
}

/// What the thread shares with those who end it.
struct Shared {
    stops: AtomicBool,
    ended: Mutex<bool>,
    end: Condvar,
    bell: Bell,
}

impl Shared {
    fn stop(&self) {
        self.stops.store(true, Ordering::Release);
        self.bell.ring();
    }

    fn stops(&self) -> bool {
        self.stops.load(Ordering::Acquire)
    }
}

/// Says that the thread has ended, by a panic as well.
struct End(Arc<Shared>);

impl Drop for End {
    fn drop(&mut self) {
        if thread::panicking() {
            log::error!("webhook: its thread has died; events wait until the next start");
        }
        *self.0.ended.lock() = true;
        self.0.end.notify_all();
    }
}

/// Obeys the machine.
struct Driver {
    /// The receiver as the log knows it: a path or a query may hold what nobody is to see.
    receiver: String,
    post: Arc<Post>,
    renderer: Renderer,
    wanted: Vec<EventKind>,
    limit: usize,
    timing: Timing,
    now: Now,
    queue: Arc<dyn Queue>,
    board: Board,
    meter: Arc<dyn Meter>,
    shared: Arc<Shared>,
    /// What was read and is to be posted.
    batch: Option<Batch>,
    /// Where the answer to the request on its way comes.
    answer: Option<Receiver<Outcome>>,
    /// What is known of the last failure besides its kind.
    detail: Option<String>,
    /// What the meter has not been told.
    count: Count,
}

#[derive(Default)]
struct Count {
    sent: u64,
    failed: u64,
}

impl Driver {
    fn run(&mut self) {
        let _end = End(self.shared.clone());
        self.shared.bell.listen();
        let Some(cursor) = self.cursor() else { return };
        let mut machine = Machine::new(self.timing.backoff, MAX_BYTES, cursor);
        self.obey(&mut machine);
        while !self.shared.stops() {
            if self.shared.bell.was_rung() {
                self.handle(&mut machine, Input::Rung);
            }
            if let Some(outcome) = self.outcome() {
                self.settle(&mut machine, outcome);
            }
            self.handle(&mut machine, Input::Tick);
            self.wait(machine.due());
        }
        self.end(&mut machine);
    }

    /// Where to begin; none if it is stopped before the queue says it.
    fn cursor(&mut self) -> Option<u64> {
        let pause = self.timing.backoff.first_ms;
        let mut is_told = false;
        while !self.shared.stops() {
            let error = match self.queue.cursor() {
                Ok(cursor) => return Some(cursor),
                Err(error) => error,
            };
            if !is_told {
                log::warn!("webhook: {}: {error}", Trouble::Unreadable);
                is_told = true;
            }
            self.shared.bell.was_rung();
            self.wait(Some((self.now)().saturating_add(pause)));
        }
        None
    }

    /// Until the bell is rung, or `due`.
    fn wait(&self, due: Option<u64>) {
        // Whatever waited on this thread in between may have taken what a ring left to wake it.
        if self.shared.bell.is_rung() || self.shared.stops() {
            return;
        }
        match due {
            Some(due) => {
                let pause = due.saturating_sub((self.now)());
                thread::park_timeout(Duration::from_millis(pause));
            }
            None => thread::park(),
        }
    }

    fn handle(&mut self, machine: &mut Machine, input: Input) {
        machine.handle((self.now)(), fastrand::f64(), input);
        self.obey(machine);
    }

    fn obey(&mut self, machine: &mut Machine) {
        while let Some(effect) = machine.effect() {
            match effect {
                // Of a long queue of which nothing is wanted, this is the way out.
                Effect::Read { .. } if self.shared.stops() => break,
                Effect::Read {
                    after,
                    up_to,
                    max_bytes,
                } => {
                    let input = self.read(after, up_to, max_bytes);
                    machine.handle((self.now)(), fastrand::f64(), input);
                }
                Effect::Post => self.post(),
                Effect::Advance(page) => {
                    self.count.sent += page.events as u64;
                    self.queue.sent(page.up_to);
                }
                Effect::Report(report) => self.report(report),
            }
        }
        self.publish(machine);
    }

    fn publish(&mut self, machine: &Machine) {
        let Count { sent, failed } = std::mem::take(&mut self.count);
        self.board.update(|status| {
            status.sent += sent;
            status.failed += failed;
            status.cursor = machine.cursor();
            status.attempts = machine.attempts();
            status.next_attempt_ms = machine.due();
            status.in_flight = machine.is_sending();
        });
        if sent > 0 {
            self.meter.sent(sent);
        }
        for _ in 0..failed {
            self.meter.failed();
        }
    }

    fn read(&mut self, after: u64, up_to: Option<u64>, max_bytes: usize) -> Input {
        let events = match self.queue.page(after, self.limit, max_bytes) {
            Ok(events) => events,
            Err(error) => {
                self.fail(Trouble::Unreadable, Some(error.to_string()));
                return Input::Unreadable;
            }
        };
        self.batch = Batch::gather(&events, up_to, &self.wanted, &self.renderer, max_bytes);
        Input::Page(self.batch.as_ref().map(|batch| batch.page))
    }

    /// Has a thread of its own make the request, because one that hangs has to be left behind.
    fn post(&mut self) {
        let Some(batch) = self.batch.take() else {
            return;
        };
        let (reply, answer) = mpsc::channel();
        self.answer = Some(answer);
        let post = self.post.clone();
        let mut line = Line {
            reply: Some(reply),
            bell: self.shared.bell.clone(),
        };
        let spawned = thread::Builder::new()
            .name("webhook-post".into())
            .spawn(move || line.tell(post.send(batch.first, batch.last, &batch.body)));
        if let Err(error) = spawned {
            log::warn!("webhook: no thread for a request: {error}");
        }
    }

    /// What came of the request, if it has come.
    fn outcome(&mut self) -> Option<Outcome> {
        let outcome = match self.answer.as_ref()?.try_recv() {
            Ok(outcome) => outcome,
            Err(TryRecvError::Empty) => return None,
            Err(TryRecvError::Disconnected) => {
                Outcome::failed(Failure::Request, Some("there is no thread for it".into()))
            }
        };
        self.answer = None;
        Some(outcome)
    }

    fn settle(&mut self, machine: &mut Machine, outcome: Outcome) {
        match outcome.input.trouble() {
            Some(trouble) => self.fail(trouble, outcome.detail),
            None => {
                let now = (self.now)();
                self.board
                    .update(|status| status.last_success_ms = Some(now));
            }
        }
        self.handle(machine, outcome.input);
    }

    fn fail(&mut self, trouble: Trouble, detail: Option<String>) {
        let now = (self.now)();
        self.detail = detail;
        self.count.failed += 1;
        let text = self.text(trouble);
        self.board.update(|status| {
            status.last_failure_ms = Some(now);
            status.last_error = Some(text);
        });
    }

    fn text(&self, trouble: Trouble) -> String {
        match &self.detail {
            Some(detail) => format!("{trouble}: {detail}"),
            None => trouble.to_string(),
        }
    }

    fn report(&self, report: Report) {
        let receiver = &self.receiver;
        match report {
            Report::Failing { trouble, is_grave } => {
                let text = self.text(trouble);
                match is_grave {
                    true => log::error!(
                        "webhook to {receiver}: {text}; events wait, and are sent again, but somebody has to mend this"
                    ),
                    false => {
                        log::warn!("webhook to {receiver}: {text}; events wait, and are sent again")
                    }
                }
            }
            Report::Recovered { attempts } => {
                log::info!("webhook to {receiver}: goes on after {attempts} failed attempts");
            }
        }
    }

    /// Waits for the request that is on its way, because what it has brought would be sent again after the next start.
    fn end(&mut self, machine: &mut Machine) {
        let until = Instant::now() + self.timing.grace;
        while machine.is_sending() {
            self.shared.bell.was_rung();
            if let Some(outcome) = self.outcome() {
                return self.settle(machine, outcome);
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return self.board.update(|status| status.in_flight = false);
            }
            thread::park_timeout(left);
        }
    }
}

/// Tells the driver what came of a request, or, dropped by a panic, that nothing will.
struct Line {
    reply: Option<mpsc::Sender<Outcome>>,
    bell: Bell,
}

impl Line {
    fn tell(&mut self, outcome: Outcome) {
        if let Some(reply) = &self.reply {
            // The driver may be gone.
            let _ = reply.send(outcome);
        }
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        // Before the bell is rung: the driver would find nothing, and listen again.
        self.reply = None;
        self.bell.ring();
    }
}
