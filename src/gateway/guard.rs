//! Reads the headers of WebSocket frames as they pass, and stops a frame that is too long before it is buffered, and
//! one that breaks the protocol before it is decoded.
//!
//! The WebSocket stack checks a frame's length only when it has all of it in memory, and once it has refused a frame it
//! can read no further: closing over unread bytes would reset the connection, and the client would not learn why.

use std::cell::Cell;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use actix_web::error::PayloadError;
use bytes::Bytes;
use futures_core::Stream;

use crate::code::Close;

const FIN: u8 = 0x80;
const RESERVED: u8 = 0x70;
const OPCODE: u8 = 0x0f;
const CONTINUATION: u8 = 0x0;
const BINARY: u8 = 0x2;
const FIRST_CONTROL: u8 = 0x8;
const CLOSE: u8 = 0x8;
const LAST_CONTROL: u8 = 0xa;
const MASKED: u8 = 0x80;
const CONTROL_MAX: u8 = 125;
/// Two bytes, eight of extended length, four of mask.
const HEADER_MAX: usize = 14;

/// What the adapter and its guard know of each other.
#[derive(Clone, Debug, Default)]
pub struct Verdict(Rc<State>);

#[derive(Debug, Default)]
struct State {
    breach: Cell<Option<Close>>,
    heard: Cell<u64>,
    /// Frames that have been passed on to their last byte.
    passed: Cell<u64>,
}

impl Verdict {
    /// Why the connection has to end: 1009 for a frame or the fragments of a message that are too long, 1002 for what
    /// is no frame; everything after it is thrown away.
    pub fn breach(&self) -> Option<Close> {
        self.0.breach.get()
    }

    /// Counts one frame that the decoder has given out, or has refused and gone past.
    pub fn heard(&self) {
        self.0.heard.set(self.0.heard.get() + 1);
    }

    /// Whether every frame that has come whole has been heard.
    pub fn is_caught_up(&self) -> bool {
        self.0.heard.get() >= self.0.passed.get()
    }
}

/// A payload stream whose frames are well formed and at most so long.
///
/// A breach is one error, which comes after every frame before it has been [heard](Verdict::heard). Then the stream gives
/// nothing more, and is over when the peer closes. A connection that breaks off is over, and no error.
pub struct FrameGuard<S> {
    inner: S,
    frames: Frames,
    verdict: Verdict,
    held: Option<Close>,
    /// The peer is gone, or has said after a breach that it closes.
    over: bool,
}

impl<S> FrameGuard<S> {
    /// Guards a stream against frames, and messages of several frames, of more than `max` payload bytes.
    pub fn new(inner: S, max: usize) -> (FrameGuard<S>, Verdict) {
        let verdict = Verdict::default();
        let guard = FrameGuard {
            inner,
            frames: Frames::new(max as u64),
            verdict: verdict.clone(),
            held: None,
            over: false,
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
            if let Some(close) = self.held {
                // The decoder asks again after each frame it gives out, so nobody has to be woken.
                if !self.verdict.is_caught_up() {
                    return Poll::Pending;
                }
                self.held = None;
                self.verdict.0.breach.set(Some(close));
                return Poll::Ready(Some(Err(PayloadError::Overflow)));
            }
            if self.over {
                return Poll::Ready(None);
            }
            let chunk = match Pin::new(&mut self.inner).poll_next(cx) {
                Poll::Ready(Some(Ok(chunk))) => chunk,
                // The decoder gives out what it has before it ends, and would lose it over an error.
                Poll::Ready(Some(Err(_)) | None) => {
                    self.over = true;
                    continue;
                }
                Poll::Pending => return Poll::Pending,
            };
            if self.verdict.breach().is_some() {
                self.over = self.frames.closes(&chunk);
                continue;
            }
            let passed = self.frames.pass(&chunk);
            self.verdict.0.passed.set(self.frames.whole);
            let Err(breach) = passed else {
                return Poll::Ready(Some(Ok(chunk)));
            };
            self.held = Some(breach.close);
            self.over = self.frames.closes(&chunk[breach.judged..]);
            if breach.start > 0 {
                return Poll::Ready(Some(Ok(chunk.slice(..breach.start))));
            }
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
    /// Whether the message has more fragments to come.
    open: bool,
    /// Frames that have passed to their last byte.
    whole: u64,
}

/// The frame of a chunk that ends the connection.
#[derive(Debug, PartialEq, Eq)]
struct Breach {
    /// Where it begins, 0 if that was in a chunk before.
    start: usize,
    /// How much of the chunk has been looked at.
    judged: usize,
    close: Close,
}

impl Frames {
    fn new(max: u64) -> Frames {
        Frames {
            max,
            header: [0; HEADER_MAX],
            filled: 0,
            left: 0,
            message: 0,
            open: false,
            whole: 0,
        }
    }

    /// Whether everything that this chunk begins may pass.
    fn pass(&mut self, chunk: &[u8]) -> Result<(), Breach> {
        let (mut at, mut start) = (0, 0);
        while at < chunk.len() {
            if self.left > 0 {
                at += self.skip(&chunk[at..]);
            } else {
                self.header[self.filled] = chunk[at];
                self.filled += 1;
                at += 1;
                self.judge().map_err(|close| Breach {
                    start,
                    judged: at,
                    close,
                })?;
                let Some(length) = self.whole_header() else {
                    continue;
                };
                self.begin(length);
            }
            if self.left == 0 {
                self.whole += 1;
                start = at;
            }
        }
        Ok(())
    }

    /// Follows what is thrown away, whatever it is; tells whether a close frame begins in it.
    fn closes(&mut self, mut chunk: &[u8]) -> bool {
        loop {
            chunk = &chunk[self.skip(chunk)..];
            // The header of the breach itself may be whole already.
            if let Some(length) = self.whole_header() {
                self.filled = 0;
                self.left = length;
                if self.header[0] & OPCODE == CLOSE {
                    return true;
                }
                continue;
            }
            let Some((byte, rest)) = chunk.split_first().filter(|_| self.left == 0) else {
                return false;
            };
            self.header[self.filled] = *byte;
            self.filled += 1;
            chunk = rest;
        }
    }

    fn skip(&mut self, chunk: &[u8]) -> usize {
        let skipped = self.left.min(chunk.len() as u64);
        self.left -= skipped;
        skipped as usize
    }

    /// Looks at the header as soon as each part of it is there: nothing of a bad frame has to come first.
    fn judge(&self) -> Result<(), Close> {
        let (first, opcode) = (self.header[0], self.header[0] & OPCODE);
        let control = opcode >= FIRST_CONTROL;
        if self.filled == 1 {
            let known = opcode <= BINARY || (control && opcode <= LAST_CONTROL);
            let ordered = control || self.open == (opcode == CONTINUATION);
            let whole = !control || first & FIN != 0;
            if first & RESERVED != 0 || !known || !ordered || !whole {
                return Err(Close::Protocol);
            }
        }
        if self.filled == 2 {
            let masked = self.header[1] & MASKED != 0;
            if !masked || (control && self.header[1] & !MASKED > CONTROL_MAX) {
                return Err(Close::Protocol);
            }
        }
        match self.length() {
            Some(length) if !control && self.message.saturating_add(length) > self.max => {
                Err(Close::TooBig)
            }
            _ => Ok(()),
        }
    }

    fn begin(&mut self, length: u64) {
        self.filled = 0;
        self.left = length;
        if self.header[0] & OPCODE >= FIRST_CONTROL {
            return;
        }
        self.open = self.header[0] & FIN == 0;
        self.message = if self.open { self.message + length } else { 0 };
    }

    /// The payload length, once the header is whole.
    fn whole_header(&self) -> Option<u64> {
        let mask = if self.header[1] & MASKED != 0 { 4 } else { 0 };
        let whole = self.filled >= 2 && self.filled == 2 + self.extended() + mask;
        self.length().filter(|_| whole)
    }

    /// The payload length, once it is known.
    fn length(&self) -> Option<u64> {
        if self.filled < 2 || self.filled < 2 + self.extended() {
            return None;
        }
        let bytes = &self.header[2..2 + self.extended()];
        match self.header[1] & !MASKED {
            126 | 127 => Some(bytes.iter().fold(0, |all, b| all << 8 | u64::from(*b))),
            short => Some(u64::from(short)),
        }
    }

    /// Bytes of extended length, when the second byte is there.
    fn extended(&self) -> usize {
        match self.header[1] & !MASKED {
            126 => 2,
            127 => 8,
            _ => 0,
        }
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

    fn verdict(max: u64, bytes: &[u8], step: usize) -> Result<(), Close> {
        let mut frames = Frames::new(max);
        let mut chunks = bytes.chunks(step);
        chunks.try_for_each(|chunk| frames.pass(chunk).map_err(|breach| breach.close))
    }

    const PASSES: Result<(), Close> = Ok(());
    const TOO_BIG: Result<(), Close> = Err(Close::TooBig);
    const PROTOCOL: Result<(), Close> = Err(Close::Protocol);

    #[test]
    fn frames_up_to_the_limit_pass_however_they_are_cut() {
        let mut bytes = Vec::new();
        for payload in [0, 1, 125, 126, 300, 70_000] {
            bytes.extend(frame(0x81, payload));
        }
        for step in [1, 2, 3, 7, 1000, bytes.len()] {
            assert_eq!(verdict(70_000, &bytes, step), PASSES);
            assert_eq!(verdict(69_999, &bytes, step), TOO_BIG);
        }
    }

    #[test]
    fn a_declared_length_is_judged_before_its_payload_comes() {
        let mut bytes = vec![0x81, MASKED | 127];
        bytes.extend((10u64 << 30).to_be_bytes());
        assert_eq!(verdict(1000, &bytes, 1), TOO_BIG);
        bytes[2] = 0xff;
        assert_eq!(verdict(1000, &bytes, 1), TOO_BIG);
    }

    #[test]
    fn fragments_count_together_and_control_frames_between_them_do_not() {
        let mut bytes = frame(0x01, 60);
        bytes.extend(frame(0x89, 100));
        bytes.extend(frame(0x00, 40));
        assert_eq!(verdict(100, &bytes, 1), PASSES);
        let ended = [bytes.clone(), frame(0x80, 0), frame(0x81, 100)].concat();
        assert_eq!(verdict(100, &ended, 5), PASSES);
        bytes.extend(frame(0x00, 1));
        assert_eq!(verdict(100, &bytes, 1), TOO_BIG);
    }

    #[test]
    fn what_is_no_frame_is_known_from_its_header() {
        let open = frame(0x01, 1);
        let cases: [(&str, Vec<u8>); 12] = [
            ("a reserved bit", vec![0xc1]),
            ("another", vec![0xa1]),
            ("the third", vec![0x91]),
            ("an unknown data frame", vec![0x83]),
            ("an unknown control frame", vec![0x8b]),
            ("a ping in fragments", vec![0x09]),
            ("a continuation of nothing", vec![0x80]),
            ("a message amid another", [open, vec![0x81]].concat()),
            ("no mask", vec![0x81, 1]),
            ("a long ping", vec![0x89, MASKED | 126]),
            ("a longer ping", vec![0x89, MASKED | 127]),
            ("a long close", vec![0x88, MASKED | 126]),
        ];
        for (what, bytes) in cases {
            let good = frame(0x81, 3);
            for step in [1, 2, 100] {
                let all = [good.clone(), bytes.clone()].concat();
                assert_eq!(verdict(100, &all, step), PROTOCOL, "{what}");
                let all = &all[..all.len() - 1];
                assert_eq!(
                    verdict(100, all, step),
                    PASSES,
                    "{what}, but for its last byte"
                );
            }
        }
    }

    #[test]
    fn what_stands_before_a_bad_frame_in_a_chunk_is_known() {
        let good = frame(0x81, 3);
        let mut frames = Frames::new(100);
        let start = good.len();
        let chunk = [good, frame(0x81, 101)].concat();
        let breach = Breach {
            start,
            judged: start + 2,
            close: Close::TooBig,
        };
        assert_eq!(frames.pass(&chunk), Err(breach));
        assert_eq!(frames.whole, 1);
        // What follows is skipped, and the peer's own close found behind it.
        assert!(!frames.closes(&chunk[start + 2..]));
        assert!(frames.closes(&frame(0x88, 0)));
    }
}
