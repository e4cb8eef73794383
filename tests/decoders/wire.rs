//! Bytes of a WebSocket client, read twice: through the guard and the parser behind it, and by a plain model of
//! RFC 6455. The tests of the decoders and the fuzz target `guard` share this file.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use actix_http::ws::{OpCode, Parser};
use actix_web::error::PayloadError;
use bytes::{Bytes, BytesMut};
use futures_core::Stream;
use yizhan::code::Close;
use yizhan::gateway::guard::FrameGuard;

const FIN: u8 = 0x80;
const CONTINUATION: u8 = 0x0;
const CLOSE: u8 = 0x8;

/// What a connection gave, up to its end.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Heard {
    /// FIN and opcode as in the first byte of the frame, and the payload unmasked.
    pub(crate) frames: Vec<(u8, Vec<u8>)>,
    pub(crate) end: End,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// Everything was read, and more may come.
    Open,
    /// The peer said that it closes; what follows is nobody's.
    Closed,
    /// The guard ended it.
    Breach(Close),
}

/// Reads any bytes: a limit, how many chunks, and a stream whose first bytes say how long these are.
pub(crate) fn judge(bytes: &[u8]) {
    let Some((&[max, cuts], stream)) = bytes.split_first_chunk() else {
        return;
    };
    let max = 125 + usize::from(max) * 8;
    let expected = by_the_book(stream, max);
    let cuts = stream.iter().take(usize::from(cuts));
    let cuts: Vec<usize> = cuts.map(|byte| usize::from(*byte) + 1).collect();
    assert_eq!(through_the_guard(stream, &cuts, max), expected);
    assert_eq!(through_the_guard(stream, &[], max), expected);
}

/// Reads through the guard, in chunks of these lengths, as the WebSocket stack does: all that is there, then one frame.
pub(crate) fn through_the_guard(bytes: &[u8], cuts: &[usize], max: usize) -> Heard {
    let (mut guard, verdict) = FrameGuard::new(Chunks::of(bytes, cuts), max);
    let mut context = Context::from_waker(Waker::noop());
    let (mut buffer, mut frames) = (BytesMut::new(), Vec::new());
    for _ in 0..4 * bytes.len() + 16 {
        let mut over = false;
        // The stream pretends that nothing more is there after each chunk, as a slow peer's does.
        match Pin::new(&mut guard).poll_next(&mut context) {
            Poll::Ready(Some(Ok(chunk))) => buffer.extend_from_slice(&chunk),
            Poll::Ready(Some(Err(_))) => {
                let close = verdict.breach().expect("an error is a breach");
                assert!(buffer.len() < 14, "more than a header of a bad frame came");
                let after = Pin::new(&mut guard).poll_next(&mut context);
                assert!(!matches!(after, Poll::Ready(Some(_))), "{after:?} came");
                return Heard {
                    frames,
                    end: End::Breach(close),
                };
            }
            Poll::Ready(None) => over = true,
            Poll::Pending => {}
        }
        match Parser::parse(&mut buffer, true, max).expect("the guard passed what is no frame") {
            Some((fin, opcode, payload)) => {
                verdict.heard();
                let first = u8::from(opcode) | if fin { FIN } else { 0 };
                frames.push((first, payload.unwrap_or_default().to_vec()));
                if opcode == OpCode::Close {
                    let end = End::Closed;
                    return Heard { frames, end };
                }
            }
            None if over => {
                let end = End::Open;
                return Heard { frames, end };
            }
            // What waits for the rest of its frame is no longer than a frame may be.
            None => assert!(buffer.len() <= max + 14, "{} bytes wait", buffer.len()),
        }
    }
    panic!("the guard holds something back for ever");
}

/// What the same bytes are by the book, for somebody who has all of them.
pub(crate) fn by_the_book(bytes: &[u8], max: usize) -> Heard {
    let (mut frames, mut rest) = (Vec::new(), bytes);
    let (mut open, mut message) = (false, 0_u64);
    let end = loop {
        let Some(&first) = rest.first() else {
            break End::Open;
        };
        let opcode = first & 0x0f;
        let (fin, control) = (first & FIN != 0, opcode >= CLOSE);
        let known = matches!(opcode, 0 | 1 | 2 | 8 | 9 | 10);
        if first & 0x70 != 0 || !known || (control && !fin) {
            break End::Breach(Close::Protocol);
        }
        if !control && open != (opcode == CONTINUATION) {
            break End::Breach(Close::Protocol);
        }
        let Some(&second) = rest.get(1) else {
            break End::Open;
        };
        if second & 0x80 == 0 || (control && second & 0x7f > 125) {
            break End::Breach(Close::Protocol);
        }
        let wide = match second & 0x7f {
            126 => 2,
            127 => 8,
            _ => 0,
        };
        let Some(extended) = rest.get(2..2 + wide) else {
            break End::Open;
        };
        let length = match wide {
            0 => u64::from(second & 0x7f),
            2 => u64::from(u16::from_be_bytes(extended.try_into().unwrap())),
            _ => u64::from_be_bytes(extended.try_into().unwrap()),
        };
        if !control && message.saturating_add(length) > max as u64 {
            break End::Breach(Close::TooBig);
        }
        let whole = 2 + wide + 4 + length as usize;
        let Some(frame) = rest.get(..whole) else {
            break End::Open;
        };
        let (mask, payload) = (&frame[2 + wide..2 + wide + 4], &frame[2 + wide + 4..]);
        let payload = payload.iter().zip(mask.iter().cycle());
        frames.push((first, payload.map(|(byte, mask)| byte ^ mask).collect()));
        rest = &rest[whole..];
        if opcode == CLOSE {
            break End::Closed;
        }
        if !control {
            (open, message) = (!fin, if fin { 0 } else { message + length });
        }
    };
    Heard { frames, end }
}

/// Bytes that come in chunks, nothing between them.
struct Chunks(VecDeque<Option<Bytes>>);

impl Chunks {
    fn of(bytes: &[u8], cuts: &[usize]) -> Chunks {
        let (mut rest, mut chunks) = (bytes, VecDeque::new());
        for cut in cuts {
            let (chunk, after) = rest.split_at((*cut).clamp(1, rest.len().max(1)).min(rest.len()));
            if chunk.is_empty() {
                break;
            }
            chunks.push_back(Some(Bytes::copy_from_slice(chunk)));
            chunks.push_back(None);
            rest = after;
        }
        if !rest.is_empty() {
            chunks.push_back(Some(Bytes::copy_from_slice(rest)));
        }
        Chunks(chunks)
    }
}

impl Stream for Chunks {
    type Item = Result<Bytes, PayloadError>;

    fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        match self.0.pop_front() {
            Some(Some(chunk)) => Poll::Ready(Some(Ok(chunk))),
            Some(None) => Poll::Pending,
            None => Poll::Ready(None),
        }
    }
}
