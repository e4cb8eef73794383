//! WebSocket frames, as a client writes and reads them.

/// A server's frame is not longer than that, bytes: more than any payload that a server may be set to take.
const LENGTH_MAX: usize = 64 << 20;
/// What a frame of a client has in front of its body at most.
const HEAD_MAX: usize = 14;

/// What a server sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    Ping,
    Pong,
    Close,
}

/// Where a frame's body stands, and where the next frame begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) kind: Kind,
    pub(super) body: std::ops::Range<usize>,
}

/// Finds the frame at the beginning of what was read; none while it is not whole.
///
/// Servers of this protocol send each text in one frame without a mask: anything else is refused in a few words.
pub(super) fn find(bytes: &[u8]) -> Result<Option<Found>, &'static str> {
    let &[first, second, ref rest @ ..] = bytes else {
        return Ok(None);
    };
    let kind = match first {
        0x81 => Kind::Text,
        0x88 => Kind::Close,
        0x89 => Kind::Ping,
        0x8a => Kind::Pong,
        _ => return Err("a WebSocket frame of a kind that this protocol does not have"),
    };
    let (head, length) = match (second, rest) {
        (128.., _) => return Err("a masked frame from a server"),
        (126, &[a, b, ..]) => (4, usize::from(u16::from_be_bytes([a, b]))),
        (127, &[a, b, c, d, e, f, g, h, ..]) => {
            let length = u64::from_be_bytes([a, b, c, d, e, f, g, h]);
            (10, usize::try_from(length).unwrap_or(usize::MAX))
        }
        (126 | 127, _) => return Ok(None),
        (length, _) => (2, usize::from(length)),
    };
    if length > LENGTH_MAX {
        return Err("a WebSocket frame of more than 64 MiB");
    }
    let whole = bytes.len() >= head + length;
    Ok(whole.then(|| Found {
        kind,
        body: head..head + length,
    }))
}

/// Appends the head of a client's text frame, with the mask of zeros, which leaves the body as it is.
pub(super) fn text_head(out: &mut Vec<u8>, length: usize) {
    head(out, 0x81, length);
}

pub(super) fn text(out: &mut Vec<u8>, body: &[u8]) {
    out.reserve(HEAD_MAX + body.len());
    head(out, 0x81, body.len());
    out.extend_from_slice(body);
}

pub(super) fn pong(out: &mut Vec<u8>, body: &[u8]) {
    head(out, 0x8a, body.len());
    out.extend_from_slice(body);
}

/// Says goodbye.
pub(super) fn close(out: &mut Vec<u8>) {
    head(out, 0x88, 2);
    out.extend_from_slice(&1000_u16.to_be_bytes());
}

/// The code in the body of a close frame.
pub(super) fn close_code(body: &[u8]) -> Option<u16> {
    let code = body.first_chunk()?;
    Some(u16::from_be_bytes(*code))
}

fn head(out: &mut Vec<u8>, first: u8, length: usize) {
    const MASKED: u8 = 0x80;
    out.push(first);
    match (u8::try_from(length), u16::try_from(length)) {
        (Ok(length @ 0..126), _) => out.push(MASKED | length),
        (_, Ok(length)) => {
            out.push(MASKED | 126);
            out.extend_from_slice(&length.to_be_bytes());
        }
        _ => {
            out.push(MASKED | 127);
            out.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
    out.extend_from_slice(&[0; 4]);
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_frame_of_each_length_is_found_when_it_is_whole_and_not_before() {
        for length in [0, 1, 125, 126, 127, 65_535, 65_536, 70_000] {
            let frame = from_server(0x81, length);
            let head = frame.len() - length;
            let found = find(&frame).unwrap().unwrap();
            assert_eq!(found.body, head..head + length);
            assert_eq!(found.kind, Kind::Text);
            for cut in 0..frame.len().min(300) {
                assert_eq!(find(&frame[..cut]), Ok(None), "{cut} of {length}");
            }
            assert_eq!(find(&frame[..frame.len() - 1]), Ok(None));
        }
    }

    #[test]
    fn control_frames_are_told_apart() {
        for (first, kind) in [(0x88, Kind::Close), (0x89, Kind::Ping), (0x8a, Kind::Pong)] {
            assert_eq!(find(&from_server(first, 2)).unwrap().unwrap().kind, kind);
        }
        assert_eq!(close_code(&4008_u16.to_be_bytes()), Some(4008));
        assert_eq!(close_code(&[]), None);
    }

    #[test]
    fn what_this_protocol_does_not_have_is_refused() {
        for first in [0x01, 0x80, 0x82, 0xc1, 0x8b] {
            assert!(find(&[first, 0]).is_err(), "{first:#x}");
        }
        assert!(find(&[0x81, 0x80, 0, 0, 0, 0]).is_err());
        assert!(find(&[0x81, 127, 0, 0, 0, 1, 0, 0, 0, 0]).is_err());
    }

    #[test]
    fn what_a_client_writes_has_the_head_of_the_standard() {
        let mut out = Vec::new();
        text(&mut out, b"ping");
        assert_eq!(out, [0x81, 0x84, 0, 0, 0, 0, b'p', b'i', b'n', b'g']);
        out.clear();
        text_head(&mut out, 300);
        assert_eq!(out, [0x81, 0xfe, 1, 44, 0, 0, 0, 0]);
        out.clear();
        text_head(&mut out, 65_536);
        assert_eq!(out[..10], [0x81, 0xff, 0, 0, 0, 0, 0, 1, 0, 0]);
        out.clear();
        pong(&mut out, b"x");
        close(&mut out);
        assert_eq!(
            out,
            [0x8a, 0x81, 0, 0, 0, 0, b'x', 0x88, 0x82, 0, 0, 0, 0, 3, 232]
        );
    }

    proptest! {
        #[test]
        fn frames_are_found_one_after_the_other_and_nothing_panics(lengths in prop::collection::vec(0_usize..300, 0..8), noise: Vec<u8>) {
            let stream: Vec<u8> = lengths.iter().flat_map(|&length| from_server(0x81, length)).collect();
            let (mut at, mut bodies) = (0, Vec::new());
            while let Ok(Some(found)) = find(&stream[at..]) {
                bodies.push(found.body.len());
                at += found.body.end;
            }
            prop_assert_eq!(at, stream.len());
            prop_assert_eq!(bodies, lengths);
            let _ = find(&noise);
        }
    }

    fn from_server(first: u8, length: usize) -> Vec<u8> {
        let mut masked = Vec::new();
        head(&mut masked, first, length);
        masked[1] &= 0x7f;
        masked.truncate(masked.len() - 4);
        masked.resize(masked.len() + length, b'x');
        masked
    }
}
