//! What all threads of a run share.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::id::{Hashids, Uid};
use crate::token::{Claims, Kind, Tokens};

use super::LoadError;
use super::client::User;
use super::naming::Run;
use super::target::Target;
use super::watch::Watch;

/// How long a token is good beyond the run.
const TOKEN_MS: u64 = 24 * 3_600_000;

/// How a reader acknowledges.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Acks {
    /// Each copy by a text of its own.
    Each,
    /// Those that came together by their numbers.
    Seqs,
    /// Those that came together by the last number.
    UpTo,
}

/// What is the same for all threads.
#[derive(Clone)]
pub(super) struct Stage {
    pub(super) target: Arc<Target>,
    pub(super) run: Run,
    pub(super) payload: Payload,
    pub(super) acks: Acks,
    pub(super) threads: usize,
    /// How long the last messages may take, and how long a server may be away.
    pub(super) drain: Duration,
    pub(super) patience: Duration,
    /// The place of this thread's first client among those of the run.
    pub(super) first_client: usize,
    /// An inbox that is full is the run's own fault.
    pub(super) is_inbox_bounded: bool,
    pub(super) met: Arc<AtomicUsize>,
    pub(super) stop: Arc<AtomicBool>,
    pub(super) broken: Arc<AtomicBool>,
    pub(super) began: Instant,
    pub(super) mint: Mint,
    pub(super) watch: Arc<Mutex<Watch>>,
}

/// Names users and makes their tokens.
#[derive(Clone)]
pub(super) struct Mint {
    pub(super) tokens: Tokens,
    pub(super) hashids: Hashids,
    /// The wall clock, Unix milliseconds, and how long the run takes.
    pub(super) now_ms: u64,
    pub(super) run_ms: u64,
}

/// What every message says.
#[derive(Clone)]
pub(super) struct Payload {
    /// As it stands in a frame.
    pub(super) text: Vec<u8>,
    /// The same, and the end of frame 1.
    pub(super) tail: Vec<u8>,
}

impl Payload {
    /// A JSON string of so many bytes, its quotes among them.
    pub(super) fn new(size: usize, now_ms: u64) -> Payload {
        let letters = (b'a'..=b'z').cycle().take(size.saturating_sub(2));
        let mut text = vec![b'"'];
        text.extend(letters);
        text.push(b'"');
        let mut tail = text.clone();
        tail.extend_from_slice(format!(r#","created_at":{now_ms}}}"#).as_bytes());
        Payload { text, tail }
    }
}

impl Stage {
    /// Nanoseconds since the run began.
    pub(super) fn now(&self) -> u64 {
        self.began.elapsed().as_nanos() as u64
    }

    /// Whether somebody wants the run to end.
    pub(super) fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// Whether a thread of the run has failed.
    pub(super) fn is_broken(&self) -> bool {
        self.broken.load(Ordering::Relaxed)
    }

    pub(super) fn break_off(&self) {
        self.broken.store(true, Ordering::Relaxed);
    }

    pub(super) fn user(&self, number: u64) -> Result<User, LoadError> {
        let mint = &self.mint;
        let claims = Claims {
            uid: Uid(number),
            exp_ms: mint.now_ms + mint.run_ms + TOKEN_MS,
            iat_ms: Some(mint.now_ms),
            kind: Kind::Access,
        };
        let token = mint.tokens.mint(&claims);
        Ok(User {
            name: mint.hashids.encode(Uid(number)),
            token: token.map_err(|error| LoadError::Setup(error.to_string()))?,
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    #[test]
    fn a_payload_is_a_json_string_of_its_size() {
        for size in [2, 3, 256, 65_536] {
            let payload = Payload::new(size, 7);
            assert_eq!(payload.text.len(), size);
            let text: String = serde_json::from_slice(&payload.text).unwrap();
            assert_eq!(text.len(), size - 2);
            assert!(payload.tail.ends_with(br#"","created_at":7}"#));
        }
    }
}
