//! One request to the receiver, and what comes of it.

use std::io::{self, ErrorKind};
use std::time::Duration;

use ureq::http::{HeaderMap, Uri};
use ureq::{Agent, Error, Timeout};

use super::machine::{Failure, Input};
use super::retry_after;
use super::sender::{Now, Timing};
use super::sign::Signer;

/// What is read of an answer, in bytes. It is read so that the connection can be used again, and nothing else.
const ANSWER_BYTES: u64 = 64 << 10;
/// How long a connection without a request is kept. Receivers close theirs after some seconds, and a request that meets
/// with that fails.
const IDLE: Duration = Duration::from_secs(1);

/// What came of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Outcome {
    /// What the machine is told.
    pub(super) input: Input,
    /// What else is known of a failure; nothing of the URL, of the secret, or of what the receiver wrote.
    pub(super) detail: Option<String>,
}

impl Outcome {
    pub(super) fn failed(failure: Failure, detail: Option<String>) -> Outcome {
        Outcome {
            input: Input::Failed(failure),
            detail,
        }
    }
}

/// Makes requests.
pub(super) struct Post {
    agent: Agent,
    uri: Uri,
    signer: Signer,
    wall: Now,
}

impl Post {
    pub(super) fn new(uri: Uri, signer: Signer, timing: &Timing, wall: Now) -> Post {
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            // What decides where messages go are the settings, and not a variable that some shell had.
            .proxy(None)
            .user_agent(concat!("yizhan/", env!("CARGO_PKG_VERSION")))
            .max_idle_connections(1)
            .max_idle_age(IDLE)
            .timeout_resolve(Some(timing.connect))
            .timeout_connect(Some(timing.connect))
            .timeout_recv_body(Some(timing.body))
            .timeout_global(Some(timing.whole));
        Post {
            agent: Agent::new_with_config(config.build()),
            uri,
            signer,
            wall,
        }
    }

    /// Sends events numbered `first` to `last`. Blocks, for about [`Timing::whole`] at most.
    pub(super) fn send(&self, first: u64, last: u64, body: &[u8]) -> Outcome {
        let now_ms = (self.wall)();
        let timestamp_s = now_ms / 1000;
        let answer = self
            .agent
            .post(&self.uri)
            .header("content-type", "application/json")
            .header("yizhan-timestamp", timestamp_s.to_string())
            .header("yizhan-signature", self.signer.sign(timestamp_s, body))
            .header("yizhan-delivery", format!("{first}-{last}"))
            .send(body);
        let mut answer = match answer {
            Ok(answer) => answer,
            Err(error) => return failure(&error),
        };
        let input = Input::Answered {
            status: answer.status().as_u16(),
            retry_after_ms: retry_after_ms(answer.headers(), now_ms),
        };
        // Whatever becomes of it, the status has said all that counts.
        let rest = answer.body_mut().with_config().limit(ANSWER_BYTES);
        let _ = rest.read_to_vec();
        Outcome {
            input,
            detail: None,
        }
    }
}

fn retry_after_ms(headers: &HeaderMap, now_ms: u64) -> Option<u64> {
    let value = headers.get("retry-after")?.to_str().ok()?;
    retry_after::parse(value, now_ms)
}

/// Some of these errors quote the URL or the answer, so not all of them are quoted.
fn failure(error: &Error) -> Outcome {
    match error {
        Error::HostNotFound => Outcome::failed(Failure::Host, None),
        Error::Timeout(Timeout::Resolve | Timeout::Connect) => {
            Outcome::failed(Failure::Connect, Some("no connection in time".into()))
        }
        Error::Timeout(_) => Outcome::failed(Failure::Timeout, None),
        Error::ConnectionFailed => Outcome::failed(Failure::Connect, None),
        Error::Io(error) => Outcome::failed(io_failure(error), Some(error.to_string())),
        Error::Rustls(error) => Outcome::failed(Failure::Tls, Some(error.to_string())),
        Error::Tls(reason) => Outcome::failed(Failure::Tls, Some((*reason).into())),
        Error::Protocol(_) | Error::LargeResponseHeader(..) | Error::BodyStalled => {
            Outcome::failed(Failure::Garbled, None)
        }
        _ => Outcome::failed(Failure::Request, None),
    }
}

fn io_failure(error: &io::Error) -> Failure {
    match error.kind() {
        ErrorKind::UnexpectedEof
        | ErrorKind::ConnectionReset
        | ErrorKind::ConnectionAborted
        | ErrorKind::BrokenPipe => Failure::Cut,
        ErrorKind::TimedOut | ErrorKind::WouldBlock => Failure::Timeout,
        // So the TLS stack wraps its errors when they happen in a handshake.
        ErrorKind::InvalidData => Failure::Tls,
        _ => Failure::Connect,
    }
}
