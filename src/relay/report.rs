//! What has passed through a relay.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::chunk::{Confusion, Header, Kind};
use super::command::Command;

/// Commands of one session that are listed; those after them are only counted.
pub const COMMANDS_MAX: usize = 64;

/// Which way something passes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Way {
    /// From the client to the server.
    Up,
    /// From the server to the client.
    Down,
}

impl Way {
    /// Who sends this way.
    pub fn sender(self) -> &'static str {
        match self {
            Way::Up => "the client",
            Way::Down => "the server",
        }
    }
}

/// A relay at one moment. A clone copies the totals and shares the rest.
#[derive(Clone, Debug)]
pub struct Report {
    /// Where it listens.
    pub addr: SocketAddr,
    /// Where it leads, without what may be a secret.
    pub target: Arc<str>,
    /// Since when.
    pub began: Instant,
    /// What has passed in all.
    pub totals: Totals,
    /// The sessions that are open and the latest that have ended, as they came.
    pub sessions: Arc<[Arc<Session>]>,
}

impl Report {
    /// Sessions that have not ended.
    pub fn open(&self) -> usize {
        let open = self.sessions.iter().filter(|session| session.end.is_none());
        open.count()
    }
}

/// What has passed through a relay since it began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Clients that were taken.
    pub sessions: u64,
    /// Clients that were turned away, because there were too many.
    pub turned_away: u64,
    /// Sessions for which the server could not be reached.
    pub unreachable: u64,
    /// From clients to the server.
    pub up: Passed,
    /// From the server to clients.
    pub down: Passed,
}

/// One client and the connection that was opened for it.
#[derive(Clone, Debug)]
pub struct Session {
    /// Counted from 1.
    pub number: u64,
    /// Where the client comes from.
    pub client: SocketAddr,
    /// The server's address, once it has answered.
    pub server: Option<SocketAddr>,
    /// When the client came.
    pub began: Instant,
    /// When something last passed.
    pub last: Instant,
    /// From the client to the server.
    pub up: Passed,
    /// From the server to the client.
    pub down: Passed,
    /// Why the client is not followed any further, if so.
    pub up_lost: Option<Confusion>,
    /// Why the server is not followed any further, if so.
    pub down_lost: Option<Confusion>,
    /// The first commands, as they passed.
    pub commands: Vec<Said>,
    /// Commands that passed and are not listed.
    pub commands_left_out: u64,
    /// When and how it ended, if it has.
    pub end: Option<(Instant, End)>,
}

impl Session {
    /// How long it has lasted, up to its end or to `now`.
    pub fn lasted(&self, now: Instant) -> Duration {
        let end = self.end.as_ref().map_or(now, |(at, _)| *at);
        end.saturating_duration_since(self.began)
    }
}

/// A command that passed.
#[derive(Clone, Debug)]
pub struct Said {
    /// When.
    pub at: Instant,
    /// Which way.
    pub way: Way,
    /// What.
    pub command: Arc<Command>,
}

/// How a session ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// Both sides had said everything.
    Closed,
    /// Nothing passed for long.
    Idle,
    /// The relay was stopped.
    Stopped,
    /// The server could not be reached, for this reason.
    Unreachable(String),
    /// The server turned out to be the relay itself.
    Loop,
    /// A connection broke, in this way.
    Broken(String),
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            End::Closed => f.write_str("closed"),
            End::Idle => f.write_str("nothing passed for long"),
            End::Stopped => f.write_str("the relay was stopped"),
            End::Unreachable(why) => write!(f, "the server cannot be reached: {why}"),
            End::Loop => f.write_str("the URL leads back to the relay itself"),
            End::Broken(how) => f.write_str(how),
        }
    }
}

/// What has passed one way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Passed {
    /// All bytes that were handed on, the handshake and the headers among them.
    pub bytes: u64,
    /// Agreements between the two ends.
    pub control: Tally,
    /// Commands and their answers.
    pub commands: Tally,
    /// Audio.
    pub audio: Tally,
    /// Video.
    pub video: Tally,
    /// Metadata and other data that go with a stream.
    pub data: Tally,
    /// Anything else.
    pub other: Tally,
    /// The latest timestamp of audio or video, milliseconds, as its sender counts them.
    pub media_ms: u32,
}

impl Passed {
    /// Counts a message.
    pub(super) fn count(&mut self, header: &Header) {
        let tally = match header.kind() {
            Kind::Control => &mut self.control,
            Kind::Command => &mut self.commands,
            Kind::Audio => &mut self.audio,
            Kind::Video => &mut self.video,
            Kind::Data => &mut self.data,
            Kind::Other => &mut self.other,
        };
        tally.messages += 1;
        tally.bytes += u64::from(header.length);
        if matches!(header.kind(), Kind::Audio | Kind::Video) {
            self.media_ms = header.timestamp;
        }
    }
}

impl fmt::Display for Passed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.bytes)?;
        for (tally, what) in [
            (self.video, "video"),
            (self.audio, "audio"),
            (self.data, "data"),
            (self.commands, "command"),
            (self.control, "control"),
            (self.other, "other"),
        ] {
            if tally.messages > 0 {
                write!(f, ", {} {what}", tally.messages)?;
            }
        }
        Ok(())
    }
}

/// Messages of one kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// How many.
    pub messages: u64,
    /// Their bytes, without the headers.
    pub bytes: u64,
}
