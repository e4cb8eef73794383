//! What the relay's watcher makes of a direction of RTMP, whole or in pieces, by the rules or against them.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use proptest::prelude::*;
use yizhan::relay::chunk::{Confusion, Header, Kind, Seen, Watcher};

// ---- writing chunks ----

/// A message to be cut into chunks.
#[derive(Clone, Debug)]
struct Message {
    /// The chunk stream.
    lane: u32,
    number: u8,
    timestamp: u32,
    stream: u32,
    body: Vec<u8>,
}

impl Message {
    fn header(&self) -> Header {
        Header {
            number: self.number,
            length: self.body.len() as u32,
            timestamp: self.timestamp,
            stream: self.stream,
        }
    }

    /// The chunks of this message, each on its own; `repeat` puts the extended timestamp into every one of them.
    fn chunks(&self, size: usize, repeat: bool) -> Vec<Vec<u8>> {
        let extended = self.timestamp >= 0xff_ffff;
        let mut rest = &self.body[..];
        let mut chunks = Vec::new();
        loop {
            let mut chunk = basic(if chunks.is_empty() { 0 } else { 3 }, self.lane);
            if chunks.is_empty() {
                chunk.extend(&self.timestamp.min(0xff_ffff).to_be_bytes()[1..]);
                chunk.extend(&(self.body.len() as u32).to_be_bytes()[1..]);
                chunk.push(self.number);
                chunk.extend(self.stream.to_le_bytes());
            }
            if extended && (repeat || chunks.is_empty()) {
                chunk.extend(self.timestamp.to_be_bytes());
            }
            let (taken, left) = rest.split_at(rest.len().min(size));
            chunk.extend(taken);
            chunks.push(chunk);
            rest = left;
            if rest.is_empty() {
                return chunks;
            }
        }
    }
}

fn basic(form: u8, lane: u32) -> Vec<u8> {
    let form = form << 6;
    match lane {
        2..64 => vec![form | lane as u8],
        64..320 => vec![form, (lane - 64) as u8],
        _ => {
            let [.., high, low] = (lane - 64).to_be_bytes();
            vec![form | 1, low, high]
        }
    }
}

fn handshake() -> Vec<u8> {
    let mut bytes = vec![3];
    bytes.extend([0xa5; 3072]);
    bytes
}

fn message(lane: u32, number: u8, body: &[u8]) -> Message {
    Message {
        lane,
        number,
        timestamp: 0,
        stream: 1,
        body: body.to_vec(),
    }
}

/// What is seen of these chunks, which a handshake goes before.
fn seen_of(chunks: &[&[u8]]) -> Vec<Seen> {
    let mut bytes = handshake();
    bytes.extend(chunks.concat());
    seen_in(&bytes, &[])
}

/// What is seen of these bytes if they come cut at these places.
fn seen_in(bytes: &[u8], cuts: &[usize]) -> Vec<Seen> {
    let mut watcher = Watcher::default();
    let mut seen = Vec::new();
    let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut % (bytes.len() + 1)).collect();
    cuts.sort_unstable();
    let mut from = 0;
    for cut in cuts.into_iter().chain([bytes.len()]) {
        watcher.feed(&bytes[from..cut], &mut |one| seen.push(one));
        from = cut;
    }
    seen
}

fn headers(seen: &[Seen]) -> Vec<(u8, u32, u32)> {
    let header = |one: &Seen| match one {
        Seen::Message(header) => Some((header.number, header.length, header.timestamp)),
        _ => None,
    };
    seen.iter().filter_map(header).collect()
}

// ---- by the rules ----

#[test]
fn a_short_header_takes_from_the_one_before_what_it_leaves_out() {
    let first = [3, 0, 0, 100, 0, 0, 2, 9, 5, 0, 0, 0, 1, 2];
    let new_length = [0x43, 0, 0, 40, 0, 0, 1, 8, 1];
    let new_delta = [0x83, 0, 0, 7, 1];
    let nothing = [0xc3, 1];
    let seen = seen_of(&[&first, &new_length, &new_delta, &nothing]);
    assert_eq!(
        headers(&seen),
        [(9, 2, 100), (8, 1, 140), (8, 1, 147), (8, 1, 154)]
    );
    let Seen::Message(last) = &seen[3] else {
        panic!("a message was sent");
    };
    assert_eq!((last.stream, last.kind()), (5, Kind::Audio));
}

#[test]
fn a_timestamp_repeats_after_a_full_header_too() {
    let seen = seen_of(&[&[3, 0, 0, 100, 0, 0, 1, 9, 1, 0, 0, 0, 7], &[0xc3, 7]]);
    assert_eq!(headers(&seen), [(9, 1, 100), (9, 1, 200)]);
}

#[test]
fn a_set_chunk_size_counts_from_the_next_chunk_on() {
    let set = message(2, 1, &300u32.to_be_bytes()).chunks(128, true);
    let long = message(4, 9, &[7; 700]).chunks(300, true);
    assert_eq!(long.len(), 3);
    let seen = seen_of(&[&set.concat(), &long.concat()]);
    assert_eq!(headers(&seen), [(1, 4, 0), (9, 700, 0)]);
}

#[test]
fn chunks_of_several_messages_may_take_turns() {
    let video = message(4, 9, &[7; 300]).chunks(128, true);
    let audio = message(70, 8, &[8; 200]).chunks(128, true);
    let data = message(400, 18, &[9; 130]).chunks(128, true);
    let seen = seen_of(&[
        &video[0], &audio[0], &data[0], &video[1], &data[1], &audio[1], &video[2],
    ]);
    assert_eq!(headers(&seen), [(18, 130, 0), (8, 200, 0), (9, 300, 0)]);
}

#[test]
fn an_abort_drops_the_message_that_is_not_whole() {
    let video = message(4, 9, &[7; 300]).chunks(128, true);
    let abort = message(2, 2, &4u32.to_be_bytes()).chunks(128, true);
    let next = message(4, 9, &[7; 3]).chunks(128, true);
    let seen = seen_of(&[&video[0], &abort.concat(), &next.concat()]);
    assert_eq!(headers(&seen), [(2, 4, 0), (9, 3, 0)]);
}

#[test]
fn an_extended_timestamp_may_be_left_out_of_the_chunks_that_go_on() {
    for length in [129, 130, 131, 132, 133, 256, 257, 300] {
        for repeat in [true, false] {
            let mut late = message(4, 9, &vec![7; length]);
            late.timestamp = 0x0123_4567;
            let after = message(5, 8, b"a").chunks(128, true);
            let seen = seen_of(&[&late.chunks(128, repeat).concat(), &after.concat()]);
            let expected = [(9, length as u32, 0x0123_4567), (8, 1, 0)];
            assert_eq!(headers(&seen), expected, "{length} {repeat}");
        }
    }
}

#[test]
fn a_command_is_read_in_both_notations() {
    let text = b"\x02\0\x07publish\x00\x40\x14\0\0\0\0\0\0\x05\x02\0\x04room";
    let newer = [b"\0".as_slice(), text].concat();
    for (number, body) in [(20, text.to_vec()), (17, newer)] {
        let chunks = message(8, number, &body).chunks(128, true);
        let seen = seen_of(&[&chunks.concat()]);
        let [Seen::Message(_), Seen::Command(command)] = &seen[..] else {
            panic!("{seen:?}");
        };
        assert_eq!(command.to_string(), "publish room");
        assert_eq!(command.transaction, Some(5));
    }
}

#[test]
fn an_empty_message_is_one() {
    let seen = seen_of(&[&[4, 0, 0, 0, 0, 0, 0, 8, 1, 0, 0, 0], &[0xc4]]);
    assert_eq!(headers(&seen), [(8, 0, 0), (8, 0, 0)]);
}

// ---- against the rules ----

#[test]
fn what_is_not_understood_is_said_once() {
    let lost = |bytes: &[u8]| match &seen_of(&[bytes, &[3; 5000]])[..] {
        [.., Seen::Lost(why)] => *why,
        seen => panic!("{seen:?}"),
    };
    assert_eq!(lost(&[0xc5]), Confusion::NoBeginning(5));
    assert_eq!(lost(&[0x85, 0, 0, 1]), Confusion::NoBeginning(5));
    let open = [5, 0, 0, 0, 0, 1, 0, 9, 1, 0, 0, 0];
    let within = [&open[..], &[0; 128], &open].concat();
    assert_eq!(lost(&within), Confusion::Unfinished(5));
    let size = |size: u32| {
        message(2, 1, &size.to_be_bytes())
            .chunks(128, true)
            .concat()
    };
    assert_eq!(lost(&size(0)), Confusion::ChunkSize(0));
    assert_eq!(lost(&size(1 << 31)), Confusion::ChunkSize(1 << 31));
    let short = message(2, 1, &[1, 2, 3]).chunks(128, true).concat();
    assert_eq!(lost(&short), Confusion::Short(1));
    let many: Vec<u8> = (2..67)
        .flat_map(|lane| message(lane, 8, b"").chunks(128, true).concat())
        .collect();
    assert_eq!(lost(&many), Confusion::ChunkStreams);
    let encrypted = [6; 5000];
    assert_eq!(
        seen_in(&encrypted, &[]),
        [Seen::Lost(Confusion::Version(6))]
    );
}

// ---- in pieces ----

fn messages() -> impl Strategy<Value = Vec<Message>> {
    let one = (
        prop_oneof![3u32..64, 64u32..320, 320u32..65_600],
        prop_oneof![Just(8u8), Just(9), Just(18), Just(20), Just(4), Just(22)],
        prop_oneof![0u32..100_000, 0xff_fff0u32..0x100_0010, any::<u32>()],
        any::<u32>(),
        prop::collection::vec(any::<u8>(), 0..700),
    )
        .prop_map(|(lane, number, timestamp, stream, body)| Message {
            lane,
            number,
            timestamp,
            stream,
            body,
        });
    prop::collection::vec(one, 0..20)
}

proptest! {
    #[test]
    fn every_message_is_seen_however_the_bytes_are_cut(
        messages in messages(),
        size in 1usize..400,
        cuts in prop::collection::vec(any::<usize>(), 0..40),
    ) {
        let mut bytes = handshake();
        bytes.extend(message(2, 1, &(size as u32).to_be_bytes()).chunks(128, true).concat());
        for message in &messages {
            bytes.extend(message.chunks(size, true).concat());
        }
        let seen = seen_in(&bytes, &cuts);
        let found: Vec<Header> = seen
            .iter()
            .filter_map(|one| match one {
                Seen::Message(header) => Some(*header),
                _ => None,
            })
            .skip(1)
            .collect();
        let sent: Vec<Header> = messages.iter().map(Message::header).collect();
        prop_assert_eq!(found, sent);
    }

    #[test]
    fn any_bytes_are_seen_alike_however_they_are_cut(
        bytes in prop::collection::vec(any::<u8>(), 0..2000),
        // Bytes that are likely to be the header of a chunk.
        like in prop::collection::vec(prop_oneof![0u8..6, 0xc0u8..0xc6, Just(20), Just(255)], 0..3000),
        cuts in prop::collection::vec(any::<usize>(), 0..60),
    ) {
        for bytes in [&bytes, &like] {
            let bytes = [&handshake()[..], bytes].concat();
            let whole = seen_in(&bytes, &[]);
            prop_assert_eq!(&seen_in(&bytes, &cuts), &whole);
            let each: Vec<usize> = (0..bytes.len()).collect();
            prop_assert_eq!(&seen_in(&bytes, &each), &whole);
            let lost = whole.iter().position(|one| matches!(one, Seen::Lost(_)));
            prop_assert!(lost.is_none_or(|at| at + 1 == whole.len()));
        }
    }
}
