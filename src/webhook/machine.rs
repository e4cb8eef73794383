//! What the sender does next: time, pages and answers come in, effects and the next deadline come out.

use std::collections::VecDeque;
use std::fmt;

/// How long it waits after a failure, milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    /// After the first one, at most; doubled by each that follows.
    pub first_ms: u64,
    /// After any, at most.
    pub most_ms: u64,
}

impl Default for Backoff {
    fn default() -> Backoff {
        Backoff {
            first_ms: 1_000,
            most_ms: 300_000,
        }
    }
}

/// What has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Input {
    /// Something may be in the queue.
    Rung,
    /// The queue was read: what was found, if anything.
    Page(Option<Page>),
    /// The queue cannot be read.
    Unreadable,
    /// The receiver has answered.
    Answered {
        /// The HTTP status.
        status: u16,
        /// After how many milliseconds it wants to be asked again, if it said.
        retry_after_ms: Option<u64>,
    },
    /// There was no answer.
    Failed(Failure),
    /// Time has passed.
    Tick,
}

/// What was read from the queue and can be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Page {
    /// The number that the cursor moves to when it is sent.
    pub up_to: u64,
    /// How many events of it are sent; 0 if the receiver wants none of them.
    pub events: usize,
    /// How long the request's body is, bytes.
    pub bytes: usize,
}

/// What has to be done, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Read the queue above `after`, and not above `up_to`; the page comes back.
    Read {
        /// Numbers above this.
        after: u64,
        /// The end of the batch that is sent again, if one is.
        up_to: Option<u64>,
        /// The request's body is not longer than this, in bytes, unless its first event alone is.
        max_bytes: usize,
    },
    /// Send what was read; an answer comes back.
    Post,
    /// Move the durable cursor.
    Advance(Page),
    /// Tell the operator.
    Report(Report),
}

/// What the operator is told: once when it changes, and not for each attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Report {
    /// Events wait.
    Failing {
        /// Why.
        trouble: Trouble,
        /// Whether somebody has to mend something, because no time will.
        is_grave: bool,
    },
    /// It goes on.
    Recovered {
        /// After so many failures.
        attempts: u32,
    },
}

/// Why events wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// The receiver answered with this status.
    Status(u16),
    /// It did not answer.
    Failed(Failure),
    /// The queue cannot be read.
    Unreadable,
}

/// Why there was no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The name of the host has no address.
    Host,
    /// No connection.
    Connect,
    /// No TLS, or a certificate that is not to be believed.
    Tls,
    /// No answer in time.
    Timeout,
    /// The connection ended before an answer.
    Cut,
    /// The answer was not HTTP.
    Garbled,
    /// The request could not be made.
    Request,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Everything is sent.
    Idle,
    /// The page is awaited.
    Reading,
    /// The answer is awaited.
    Sending(Page),
    /// The next attempt is awaited.
    Waiting { until: u64 },
}

/// Sends the queue in order: one batch at a time, the same again until the receiver has it.
#[derive(Debug)]
pub struct Machine {
    backoff: Backoff,
    max_bytes: usize,
    state: State,
    cursor: u64,
    /// The end of the batch that is to be sent again.
    again: Option<u64>,
    /// Failures in a row.
    attempts: u32,
    trouble: Option<Trouble>,
    effects: VecDeque<Effect>,
}

impl Machine {
    /// Begins to read behind the cursor, for bodies of at most `max_bytes`.
    pub fn new(backoff: Backoff, max_bytes: usize, cursor: u64) -> Machine {
        let mut machine = Machine {
            backoff,
            max_bytes,
            state: State::Idle,
            cursor,
            again: None,
            attempts: 0,
            trouble: None,
            effects: VecDeque::new(),
        };
        machine.read();
        machine
    }

    /// Takes what has come at `now`, in milliseconds of a clock that never goes back; what cannot be awaited is ignored.
    /// `chance`, from 0 to 1, says where within its bounds a pause lies.
    pub fn handle(&mut self, now: u64, chance: f64, input: Input) {
        match (self.state, input) {
            (State::Idle, Input::Rung) => self.read(),
            (State::Waiting { until }, Input::Tick) if until <= now => self.read(),
            (State::Reading, Input::Page(page)) => self.page(page),
            (State::Reading, Input::Unreadable) => {
                self.fail(now, chance, Trouble::Unreadable, None);
            }
            (State::Sending(page), Input::Answered { .. } | Input::Failed(_)) => {
                self.answered(now, chance, page, input);
            }
            // What is rung while it is at work is found by the read that follows.
            _ => {}
        }
    }

    /// Returns what has to be done next, until nothing has.
    pub fn effect(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }

    /// When it wants a [`Input::Tick`], if it waits for one.
    pub fn due(&self) -> Option<u64> {
        match self.state {
            State::Waiting { until } => Some(until),
            _ => None,
        }
    }

    /// The last number that the receiver has.
    pub fn cursor(&self) -> u64 {
        self.cursor
    }

    /// How many attempts have failed since the last that did not.
    pub fn attempts(&self) -> u32 {
        self.attempts
    }

    /// Whether an answer is awaited.
    pub fn is_sending(&self) -> bool {
        matches!(self.state, State::Sending(_))
    }

    fn answered(&mut self, now: u64, chance: f64, page: Page, input: Input) {
        let Some(trouble) = input.trouble() else {
            self.advance(page);
            self.recover();
            return self.read();
        };
        self.again = Some(page.up_to);
        // The same again would be too long for ever. What fits once is kept to.
        if trouble == Trouble::Status(413) && page.events > 1 {
            self.max_bytes = page.bytes / 2;
        }
        self.fail(now, chance, trouble, input.wanted_ms());
    }

    fn read(&mut self) {
        self.state = State::Reading;
        self.effects.push_back(Effect::Read {
            after: self.cursor,
            up_to: self.again,
            max_bytes: self.max_bytes,
        });
    }

    fn page(&mut self, page: Option<Page>) {
        if self.trouble == Some(Trouble::Unreadable) {
            self.recover();
        }
        match page {
            Some(page) if page.events > 0 => {
                self.state = State::Sending(page);
                self.effects.push_back(Effect::Post);
            }
            Some(page) => {
                self.advance(page);
                self.read();
            }
            // All of the batch was dropped meanwhile; newer events may be there.
            None if self.again.is_some() => {
                self.again = None;
                self.read();
            }
            None => self.state = State::Idle,
        }
    }

    fn advance(&mut self, page: Page) {
        self.cursor = page.up_to;
        self.again = self.again.filter(|up_to| *up_to > page.up_to);
        self.effects.push_back(Effect::Advance(page));
    }

    fn recover(&mut self) {
        if self.trouble.take().is_some() {
            self.effects.push_back(Effect::Report(Report::Recovered {
                attempts: self.attempts,
            }));
        }
        self.attempts = 0;
    }

    fn fail(&mut self, now: u64, chance: f64, trouble: Trouble, wanted_ms: Option<u64>) {
        self.attempts = self.attempts.saturating_add(1);
        if self.trouble.replace(trouble) != Some(trouble) {
            self.effects.push_back(Effect::Report(Report::Failing {
                trouble,
                is_grave: trouble.is_grave(),
            }));
        }
        let Backoff { first_ms, most_ms } = self.backoff;
        let pause = match wanted_ms {
            Some(wanted) => wanted.max(first_ms).min(most_ms),
            None => self.pause(chance),
        };
        self.state = State::Waiting {
            until: now.saturating_add(pause),
        };
    }

    /// Between half of a step and all of it, so that servers that failed together do not come back together.
    fn pause(&self, chance: f64) -> u64 {
        let Backoff { first_ms, most_ms } = self.backoff;
        let doublings = self.attempts.saturating_sub(1).min(63);
        let step = first_ms.saturating_mul(1 << doublings).min(most_ms);
        step / 2 + ((step - step / 2) as f64 * chance.clamp(0.0, 1.0)) as u64
    }
}

impl Input {
    /// Why events wait when this has come, if it makes them wait.
    pub(super) fn trouble(self) -> Option<Trouble> {
        match self {
            Input::Answered { status, .. } if (200..300).contains(&status) => None,
            Input::Answered { status, .. } => Some(Trouble::Status(status)),
            Input::Failed(failure) => Some(Trouble::Failed(failure)),
            Input::Unreadable => Some(Trouble::Unreadable),
            Input::Rung | Input::Page(_) | Input::Tick => None,
        }
    }

    /// After how long the receiver wants to be asked again; only these statuses make a promise of it.
    fn wanted_ms(self) -> Option<u64> {
        match self {
            Input::Answered {
                status: 429 | 503,
                retry_after_ms,
            } => retry_after_ms,
            _ => None,
        }
    }
}

impl Trouble {
    /// Whether the settings or the receiver's are wrong, as far as can be told.
    fn is_grave(self) -> bool {
        match self {
            Trouble::Status(408 | 429) => false,
            Trouble::Status(status) => status < 500,
            Trouble::Failed(failure) => matches!(failure, Failure::Tls | Failure::Request),
            Trouble::Unreadable => false,
        }
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Trouble::Status(status) => write!(f, "the receiver answered {status}"),
            Trouble::Failed(failure) => failure.fmt(f),
            Trouble::Unreadable => f.write_str("the queue of events cannot be read"),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Failure::Host => "the receiver's host has no address",
            Failure::Connect => "the receiver cannot be connected to",
            Failure::Tls => "the receiver's TLS cannot be relied on",
            Failure::Timeout => "the receiver did not answer in time",
            Failure::Cut => "the connection ended before the receiver answered",
            Failure::Garbled => "the receiver's answer is not HTTP",
            Failure::Request => "the request cannot be made",
        })
    }
}

#[cfg(test)]
mod tests;
