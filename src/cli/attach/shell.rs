//! A shell on the server, across the connections that it takes.

use std::io;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};

use super::connect::Target;
use super::link::{Event, Link, Sink};
use super::sentence::REQUEST_MAX;
use super::wire::{Hello, Request, Told};

/// How long the server may take for its first words.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long a person waits for a completion.
const COMPLETION: Duration = Duration::from_secs(2);

/// How an evaluation ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Outcome {
    /// All of it was evaluated.
    Value,
    /// An exception or a syntax error, which is among the output.
    Failed,
}

/// Why it is not known how an evaluation ended.
#[derive(Debug, thiserror::Error)]
pub(super) enum Broken {
    /// The connection ended.
    #[error("the connection was lost during an evaluation: {0}")]
    Lost(String),
    /// The server says that the request is none.
    #[error("the server did not evaluate it: {0}")]
    Refused(String),
    /// Ctrl-C a second time.
    #[error("left an evaluation that did not end when it was interrupted")]
    Abandoned,
    /// The output cannot be written.
    #[error(transparent)]
    Output(#[from] io::Error),
}

/// A completion: what stands from a place on can be replaced.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Completion {
    /// In UTF-16 units.
    pub(super) from: usize,
    pub(super) candidates: Vec<String>,
}

/// Where output goes.
pub(super) type Print<'a> = &'a mut dyn FnMut(&str) -> io::Result<()>;

/// A shell on the server.
pub(super) struct Shell {
    target: Target,
    dry_run: bool,
    link: Option<Link>,
    hello: Option<Hello>,
    last_id: u64,
    /// The number of the next sentence, if the server says it.
    next: Option<u64>,
    sink: Sink,
    events: Receiver<Event>,
}

impl Shell {
    /// A shell whose events are heard while it is asked something.
    pub(super) fn new(target: Target, dry_run: bool) -> Shell {
        let (sender, events) = mpsc::channel();
        Shell::hearing(target, dry_run, forward(sender), events)
    }

    /// A shell whose events go to a sink, which forwards to `events` what belongs there.
    pub(super) fn hearing(
        target: Target,
        dry_run: bool,
        sink: Sink,
        events: Receiver<Event>,
    ) -> Shell {
        Shell {
            target,
            dry_run,
            link: None,
            hello: None,
            last_id: 0,
            next: None,
            sink,
            events,
        }
    }

    pub(super) fn target(&self) -> &Target {
        &self.target
    }

    pub(super) fn dry_run(&self) -> bool {
        self.dry_run
    }

    pub(super) fn sink(&self) -> Sink {
        self.sink.clone()
    }

    /// The shell's process on the server, once it has been connected to.
    pub(super) fn pid(&self) -> Option<String> {
        self.hello.as_ref().map(|hello| hello.pid.clone())
    }

    /// The number of the next sentence, if the server says it.
    pub(super) fn next(&self) -> Option<u64> {
        self.next
    }

    /// Prints what was told since the last question; the answer is why the connection was lost, if it was and nobody was
    /// told.
    pub(super) fn catch_up(&mut self, print: Print<'_>) -> Option<String> {
        let mut news = None;
        while let Ok(event) = self.events.try_recv() {
            match event {
                // What cannot be written is an error when the next answer is.
                Event::Told(Told::Output { text }) => drop(print(&text)),
                Event::Lost { why, told } => {
                    self.link = None;
                    news = Some(why).filter(|_| !told);
                }
                // There is nothing to interrupt.
                Event::Told(_) | Event::Interrupt => {}
            }
        }
        news
    }

    /// Closes the connection and prints what was still on its way.
    pub(super) fn leave(&mut self, print: Print<'_>) {
        self.link = None;
        self.catch_up(print);
    }

    /// Connects if there is no connection; then the answer is the server's first words.
    pub(super) fn ready(&mut self) -> Result<Option<Hello>> {
        match self.link {
            Some(_) => Ok(None),
            None => self.connect().map(Some),
        }
    }

    /// Evaluates a text and prints what comes meanwhile. After an error the connection is closed, unless it was a refusal.
    pub(super) fn evaluate(&mut self, text: &str, print: Print<'_>) -> Result<Outcome, Broken> {
        let ended = self.watch(text, print);
        if let Err(Broken::Lost(_) | Broken::Abandoned | Broken::Output(_)) = ended {
            self.link = None;
        }
        ended
    }

    /// Asks how a text may go on; nothing comes of it if the server does not answer soon.
    pub(super) fn complete(&mut self, text: &str) -> Option<Completion> {
        if text.len() > REQUEST_MAX {
            return None;
        }
        let id = self.ask(|id| Request::Complete { id, text })?;
        let until = Instant::now() + COMPLETION;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            match self.events.recv_timeout(left).ok()? {
                Event::Told(Told::Complete {
                    id: answered,
                    from,
                    candidates,
                }) if answered == id => return Some(Completion { from, candidates }),
                Event::Lost { .. } => {
                    self.link = None;
                    return None;
                }
                _ => {}
            }
        }
    }

    fn watch(&mut self, text: &str, print: Print<'_>) -> Result<Outcome, Broken> {
        let dry_run = self.dry_run;
        let asked = self.ask(|id| Request::Eval { id, text, dry_run });
        let gone = || Broken::Lost("it is closed".into());
        let id = asked.ok_or_else(gone)?;
        let mut interrupted = false;
        loop {
            match self.events.recv().map_err(|_| gone())? {
                Event::Told(Told::Output { text }) => print(&text)?,
                Event::Told(Told::Done {
                    id: ended,
                    error,
                    next,
                }) if ended == id => {
                    self.next = next;
                    return Ok(match error {
                        None => Outcome::Value,
                        Some(_) => Outcome::Failed,
                    });
                }
                Event::Told(Told::Error { id: about, msg }) if about.is_none_or(|it| it == id) => {
                    return Err(Broken::Refused(msg));
                }
                Event::Told(_) => {}
                Event::Lost { why, .. } => return Err(Broken::Lost(why)),
                Event::Interrupt if interrupted => return Err(Broken::Abandoned),
                Event::Interrupt => {
                    interrupted = true;
                    self.link
                        .as_ref()
                        .ok_or_else(gone)?
                        .ask(&Request::Interrupt);
                }
            }
        }
    }

    fn ask<'a>(&mut self, request: impl FnOnce(u64) -> Request<'a>) -> Option<u64> {
        self.last_id += 1;
        self.link.as_ref()?.ask(&request(self.last_id));
        Some(self.last_id)
    }

    fn connect(&mut self) -> Result<Hello> {
        let socket = self.target.connect()?;
        // Whatever is left is of the connection before.
        while self.events.try_recv().is_ok() {}
        let link = Link::start(socket, self.sink.clone())?;
        let hello = self
            .first_words()
            .with_context(|| format!("the server at {} opens no shell", self.target.url))?;
        if self.target.read_only && !hello.read_only {
            bail!("the server lets the read-only token change things: this shell is not opened");
        }
        self.link = Some(link);
        self.next = hello.next;
        self.hello = Some(hello.clone());
        Ok(hello)
    }

    fn first_words(&self) -> Result<Hello> {
        let until = Instant::now() + PATIENCE;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            match self.events.recv_timeout(left) {
                Ok(Event::Told(Told::Hello(hello))) => return Ok(hello),
                Ok(Event::Told(Told::Error { msg, .. }) | Event::Lost { why: msg, .. }) => {
                    return Err(anyhow!(msg));
                }
                Ok(_) => {}
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
                    bail!("it is silent")
                }
            }
        }
    }
}

/// A sink that forwards everything.
pub(super) fn forward(sender: Sender<Event>) -> Sink {
    // Nobody listens when the shell is left.
    Arc::new(move |event| drop(sender.send(event)))
}
