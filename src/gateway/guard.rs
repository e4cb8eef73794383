//! Reads the headers of WebSocket frames as they pass, and stops a frame that is too long before it is buffered.
//!
//! The WebSocket stack checks a frame's length only when it has all of it in memory.

use std::cell::Cell;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use actix_web::error::PayloadError;
use bytes::Bytes;
use futures_core::Stream;

const FIN: u8 = 0x80;
const OPCODE: u8 = 0x0f;
const CONTINUATION: u8 = 0x0;
const FIRST_CONTROL: u8 = 0x8;
const MASKED: u8 = 0x80;
/// Two bytes, eight of extended length, four of mask.
const HEADER_MAX: usize = 14;

/// What the adapter knows of its guard.
#[derive(Clone, Debug, Default)]
pub struct Verdict(Rc<Cell<bool>>);

impl Verdict {
    /// Whether a frame, or the fragments of one message, were too long; everything after is thrown away.
    pub fn is_too_big(&self) -> bool {
        self.0.get()
    }
}

/// A payload stream whose frames are at most so long.
pub struct FrameGuard<S> {
    inner: S,
    frames: Frames,
    verdict: Verdict,
}

impl<S> FrameGuard<S> {
    /// Guards a stream against frames, and messages of several frames, of more than `max` payload bytes.
    pub fn new(inner: S, max: usize) -> (FrameGuard<S>, Verdict) {
        let verdict = Verdict::default();
        let guard = FrameGuard {
            inner,
            frames: Frames::new(max as u64),
            verdict: verdict.clone(),
        };
        (guard, verdict)
    }
}

impl<S> Stream for FrameGuard<S>
where
    S: Stream<Item = Result<Bytes, PayloadError>> + Unpin,
{
    type Item = Result<Bytes, PayloadError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            let polled = Pin::new(&mut self.inner).poll_next(cx);
            let Poll::Ready(Some(Ok(chunk))) = polled else {
                return polled;
            };
            // What follows a frame that is too long is read and dropped: closing over unread bytes would reset the
            // connection, and the client would not learn why.
            if self.verdict.is_too_big() {
                continue;
            }
            if self.frames.pass(&chunk) {
                return Poll::Ready(Some(Ok(chunk)));
            }
            self.verdict.0.set(true);
            return Poll::Ready(Some(Err(PayloadError::Overflow)));
        }
    }
}

/// Follows frame boundaries through chunks.
#[derive(Debug)]
struct Frames {
    max: u64,
    header: [u8; HEADER_MAX],
    filled: usize,
    /// Payload bytes of the frame at hand still to come.
    left: u64,
    /// Payload bytes of the fragments so far.
    message: u64,
}

impl Frames {
    fn new(max: u64) -> Frames {
        Frames {
            max,
            header: [0; HEADER_MAX],
            filled: 0,
            left: 0,
            message: 0,
        }
    }

    /// Whether everything that this chunk begins is short enough.
    fn pass(&mut self, mut chunk: &[u8]) -> bool {
        while !chunk.is_empty() {
            if self.left > 0 {
                let skipped = self.left.min(chunk.len() as u64);
                self.left -= skipped;
                chunk = &chunk[skipped as usize..];
                continue;
            }
            self.header[self.filled] = chunk[0];
            self.filled += 1;
            chunk = &chunk[1..];
            let Some(length) = self.length() else {
                continue;
            };
            let (first, opcode) = (self.header[0], self.header[0] & OPCODE);
            self.filled = 0;
            self.left = length;
            if opcode >= FIRST_CONTROL {
                if length > self.max {
                    return false;
                }
                continue;
            }
            if opcode != CONTINUATION {
                self.message = 0;
            }
            self.message = self.message.saturating_add(length);
            if self.message > self.max {
                return false;
            }
            if first & FIN != 0 {
                self.message = 0;
            }
        }
        true
    }

    /// The payload length, once the header is whole.
    fn length(&self) -> Option<u64> {
        if self.filled < 2 {
            return None;
        }
        let mask = if self.header[1] & MASKED != 0 { 4 } else { 0 };
        let (extended, length) = match self.header[1] & !MASKED {
            126 => (
                2,
                u64::from(u16::from_be_bytes([self.header[2], self.header[3]])),
            ),
            127 => {
                let mut bytes = [0; 8];
                bytes.copy_from_slice(&self.header[2..10]);
                (8, u64::from_be_bytes(bytes))
            }
            short => (0, u64::from(short)),
        };
        // Judged when its length is known: nothing of a frame that is too long has to come first.
        if self.filled < 2 + extended {
            return None;
        }
        (length > self.max || self.filled == 2 + extended + mask).then_some(length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(first: u8, payload: usize) -> Vec<u8> {
        let mut bytes = vec![first];
        match payload {
            0..126 => bytes.push(MASKED | payload as u8),
            126..65536 => {
                bytes.push(MASKED | 126);
                bytes.extend((payload as u16).to_be_bytes());
            }
            _ => {
                bytes.push(MASKED | 127);
                bytes.extend((payload as u64).to_be_bytes());
            }
        }
        bytes.extend([1, 2, 3, 4]);
        bytes.extend(vec![0x55; payload]);
        bytes
    }

    fn passes(max: u64, bytes: &[u8], step: usize) -> bool {
        let mut frames = Frames::new(max);
        bytes.chunks(step).all(|chunk| frames.pass(chunk))
    }

    #[test]
    fn frames_up_to_the_limit_pass_however_they_are_cut() {
        let mut bytes = Vec::new();
        for payload in [0, 1, 125, 126, 300, 70_000] {
            bytes.extend(frame(0x81, payload));
        }
        for step in [1, 2, 3, 7, 1000, bytes.len()] {
            assert!(passes(70_000, &bytes, step));
            assert!(!passes(69_999, &bytes, step));
        }
    }

    #[test]
    fn a_declared_length_is_judged_before_its_payload_comes() {
        let mut bytes = vec![0x81, MASKED | 127];
        bytes.extend((10u64 << 30).to_be_bytes());
        assert!(!passes(1000, &bytes, 1));
    }

    #[test]
    fn fragments_count_together_and_control_frames_between_them_do_not() {
        let mut bytes = frame(0x01, 60);
        bytes.extend(frame(0x89, 100));
        bytes.extend(frame(0x00, 40));
        assert!(passes(100, &bytes, 1));
        let ended = [bytes.clone(), frame(0x80, 0), frame(0x81, 100)].concat();
        assert!(passes(100, &ended, 5));
        bytes.extend(frame(0x00, 1));
        assert!(!passes(100, &bytes, 1));
    }
}
