//! Watching one direction of an RTMP connection: it reads what passes, keeps next to nothing of it, and changes nothing.
//!
//! It follows Adobe's RTMP specification 1.0, sections 5.2 to 5.4. Where that leaves room, it goes by what encoders do.

mod lane;

use super::command::Command;

use lane::{EXTENDED, Lane, basic, number_of};

/// Chunk streams that are followed.
const LANES_MAX: usize = 64;
/// The one version of the protocol that is not encrypted.
const VERSION: u8 = 3;
/// What follows the version in each direction before the first chunk, bytes.
const HANDSHAKE: u32 = 2 * 1536;
/// The size of chunks until another one is set.
const CHUNK_SIZE: u32 = 128;
/// The longest header of a chunk: basic, message, and extended timestamp.
const HEADER_MAX: usize = 3 + 11 + 4;

/// What a message is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Agreements between the two ends: chunk sizes, acknowledgements, pings.
    Control,
    /// Commands and their answers.
    Command,
    /// Audio.
    Audio,
    /// Video.
    Video,
    /// Metadata and other data that go with a stream.
    Data,
    /// Anything else: shared objects, aggregates, and what no specification names.
    Other,
}

impl Kind {
    fn of(number: u8) -> Kind {
        match number {
            1..=6 => Kind::Control,
            8 => Kind::Audio,
            9 => Kind::Video,
            15 | 18 => Kind::Data,
            17 | 20 => Kind::Command,
            _ => Kind::Other,
        }
    }
}

/// The header of a message, put together from the headers of its chunks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// The number of the message's type.
    pub number: u8,
    /// Bytes of the message.
    pub length: u32,
    /// Milliseconds, as its sender counts them.
    pub timestamp: u32,
    /// The message stream; 0 is the connection itself.
    pub stream: u32,
}

impl Header {
    /// What the message is for.
    pub fn kind(&self) -> Kind {
        Kind::of(self.number)
    }
}

/// Something that has passed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seen {
    /// A whole message.
    Message(Header),
    /// What the message before it says.
    Command(Command),
    /// Nothing more is seen of this direction.
    Lost(Confusion),
}

/// Why a direction is not followed any further.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Confusion {
    /// The first byte is another one than that of plain RTMP.
    #[error("it begins with version {0}, and plain RTMP is version {VERSION}")]
    Version(u8),
    /// A chunk builds on one that never came.
    #[error("chunk stream {0} goes on without having begun")]
    NoBeginning(u32),
    /// A message begins before the one on its chunk stream is whole.
    #[error("a message begins within another one on chunk stream {0}")]
    Unfinished(u32),
    /// A chunk size outside of 1 to 2147483647.
    #[error("a chunk size of {0} is announced")]
    ChunkSize(u32),
    /// A control message without its number.
    #[error("a control message of type {0} is too short")]
    Short(u8),
    /// More at once than are followed.
    #[error("there are more than {LANES_MAX} chunk streams")]
    ChunkStreams,
}

/// Reads one direction, in pieces of any size.
#[derive(Debug)]
pub struct Watcher {
    state: State,
    chunk_size: u32,
    lanes: Vec<Lane>,
}

#[derive(Debug)]
enum State {
    Version,
    Handshake(u32),
    /// So many bytes of a chunk's header.
    Header([u8; HEADER_MAX], usize),
    /// So many bytes of a chunk are still to come on the lane of this index.
    Payload(usize, u32),
    Lost,
}

impl Default for Watcher {
    fn default() -> Watcher {
        Watcher {
            state: State::Version,
            chunk_size: CHUNK_SIZE,
            lanes: Vec::new(),
        }
    }
}

impl Watcher {
    /// Looks at the bytes that come next.
    pub fn feed(&mut self, mut bytes: &[u8], seen: &mut dyn FnMut(Seen)) {
        while let Some(first) = bytes.first() {
            bytes = match &mut self.state {
                State::Version => {
                    match *first {
                        VERSION => self.state = State::Handshake(HANDSHAKE),
                        other => self.lose(Confusion::Version(other), seen),
                    }
                    &bytes[1..]
                }
                State::Handshake(left) => {
                    let (passed, rest) = bytes.split_at(bytes.len().min(*left as usize));
                    *left -= passed.len() as u32;
                    if *left == 0 {
                        self.state = State::next();
                    }
                    rest
                }
                State::Header(..) => self.header(bytes, seen),
                State::Payload(lane, left) => {
                    let lane = *lane;
                    let (passed, rest) = bytes.split_at(bytes.len().min(*left as usize));
                    *left -= passed.len() as u32;
                    if *left == 0 {
                        self.state = State::next();
                    }
                    self.payload(lane, passed, seen);
                    rest
                }
                State::Lost => return,
            }
        }
    }

    fn lose(&mut self, why: Confusion, seen: &mut dyn FnMut(Seen)) {
        self.state = State::Lost;
        self.lanes = Vec::new();
        seen(Seen::Lost(why));
    }

    /// Takes as much of a chunk's header as there is, and gives back what lies behind it.
    fn header<'a>(&mut self, mut bytes: &'a [u8], seen: &mut dyn FnMut(Seen)) -> &'a [u8] {
        let State::Header(mut header, mut filled) = self.state else {
            return bytes;
        };
        loop {
            let length = self.length_of(&header[..filled]);
            if filled >= length {
                break;
            }
            let taken = bytes.len().min(length - filled);
            if taken == 0 {
                self.state = State::Header(header, filled);
                return bytes;
            }
            header[filled..filled + taken].copy_from_slice(&bytes[..taken]);
            filled += taken;
            bytes = &bytes[taken..];
        }
        let (form, id, rest) = basic(&header[..filled]);
        match self.begin(form, id, rest) {
            Err(why) => self.lose(why, seen),
            Ok(begun) => {
                let lane = &self.lanes[begun.lane];
                let left = lane.left().min(self.chunk_size);
                if left == 0 {
                    self.state = State::next();
                    self.complete(begun.lane, seen);
                    return bytes;
                }
                self.state = State::Payload(begun.lane, left);
                if begun.is_payload {
                    let behind: [u8; 4] = number_of(rest).to_be_bytes();
                    self.feed(&behind, seen);
                }
            }
        }
        bytes
    }

    /// How long a header is that begins like this, as far as one can tell yet.
    fn length_of(&self, header: &[u8]) -> usize {
        let Some(first) = header.first() else {
            return 1;
        };
        let own = match first & 0x3f {
            0 => 2,
            1 => 3,
            _ => 1,
        };
        if header.len() < own {
            return own;
        }
        let (form, id, rest) = basic(header);
        let message = [11, 7, 3, 0][usize::from(form)];
        if rest.len() < message {
            return own + message;
        }
        let is_extended = match form {
            3 => {
                let lane = self.lanes.iter().find(|lane| lane.id() == id);
                lane.is_some_and(|lane| lane.extended().is_some())
            }
            _ => number_of(&rest[..3]) == EXTENDED,
        };
        own + message + if is_extended { 4 } else { 0 }
    }

    /// Takes in the header of a chunk, without its basic part.
    fn begin(&mut self, form: u8, id: u32, header: &[u8]) -> Result<Begun, Confusion> {
        let at = match self.lanes.iter().position(|lane| lane.id() == id) {
            Some(at) => at,
            // Some clients begin with a form that leaves out the message stream, which is 0 then.
            None if form <= 1 && self.lanes.len() < LANES_MAX => {
                self.lanes.push(Lane::new(id));
                self.lanes.len() - 1
            }
            None if form <= 1 => return Err(Confusion::ChunkStreams),
            None => return Err(Confusion::NoBeginning(id)),
        };
        let lane = &mut self.lanes[at];
        let mut begun = Begun {
            lane: at,
            is_payload: false,
        };
        if lane.left() > 0 {
            if form != 3 {
                return Err(Confusion::Unfinished(id));
            }
            // Some encoders leave the extended timestamp out of the chunks that go on with a message.
            begun.is_payload = lane.extended().is_some_and(|ext| ext != number_of(header));
            return Ok(begun);
        }
        lane.begin(form, header);
        Ok(begun)
    }

    fn payload(&mut self, at: usize, bytes: &[u8], seen: &mut dyn FnMut(Seen)) {
        self.lanes[at].take(bytes);
        if self.lanes[at].left() == 0 {
            self.complete(at, seen);
        }
    }

    fn complete(&mut self, at: usize, seen: &mut dyn FnMut(Seen)) {
        let (header, head) = self.lanes[at].complete();
        seen(Seen::Message(header));
        match header.number {
            1 | 2 => match head.first_chunk() {
                Some(number) => self.obey(header.number, u32::from_be_bytes(*number), seen),
                None => self.lose(Confusion::Short(header.number), seen),
            },
            17 | 20 => {
                // The first byte of the newer form says in which notation the rest is, and that is the older one.
                let text = match (header.number, head.split_first()) {
                    (17, Some((0, rest))) => rest,
                    _ => &head,
                };
                if let Some(command) = Command::read(text) {
                    seen(Seen::Command(command));
                }
            }
            _ => {}
        }
    }

    /// Follows a message that changes how the next chunks are to be read.
    fn obey(&mut self, number: u8, argument: u32, seen: &mut dyn FnMut(Seen)) {
        if number == 2 {
            let mut lanes = self.lanes.iter_mut();
            if let Some(lane) = lanes.find(|lane| lane.id() == argument) {
                lane.abort();
            }
            return;
        }
        match argument {
            1..=0x7fff_ffff => self.chunk_size = argument,
            size => self.lose(Confusion::ChunkSize(size), seen),
        }
    }
}

/// The chunk that follows a header.
struct Begun {
    lane: usize,
    /// What was taken for an extended timestamp belongs to the message.
    is_payload: bool,
}

impl State {
    fn next() -> State {
        State::Header([0; HEADER_MAX], 0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::lane::HEAD_MAX;
    use super::*;

    fn after_handshake() -> Watcher {
        Watcher {
            state: State::next(),
            ..Watcher::default()
        }
    }

    fn kept(watcher: &Watcher) -> usize {
        let lanes = watcher.lanes.iter();
        lanes.map(Lane::kept).sum()
    }

    #[test]
    fn no_more_is_kept_than_the_bound() {
        let mut watcher = after_handshake();
        let mut seen = Vec::new();
        let size = [2, 0, 0, 0, 0, 0, 4, 1, 0, 0, 0, 0, 0, 1, 0, 0];
        watcher.feed(&size, &mut |one| seen.push(one));
        for id in 2..2 + LANES_MAX as u8 - 1 {
            let header = [0, id, 0, 0, 0, 0xff, 0xff, 0xff, 20, 0, 0, 0, 0];
            watcher.feed(&header, &mut |one| seen.push(one));
            watcher.feed(&[2; 65_536], &mut |one| seen.push(one));
        }
        assert_eq!(watcher.lanes.len(), LANES_MAX);
        assert_eq!(kept(&watcher), (LANES_MAX - 1) * HEAD_MAX);
        assert_eq!(seen.len(), 1);
        watcher.feed(&[0, 200, 0], &mut |one| seen.push(one));
        assert_eq!(seen.len(), 1);
        watcher.feed(&[0; 10], &mut |one| seen.push(one));
        assert_eq!(seen[1..], [Seen::Lost(Confusion::ChunkStreams)]);
        assert_eq!((watcher.lanes.capacity(), kept(&watcher)), (0, 0));
    }

    proptest! {
        #[test]
        fn whatever_comes_it_is_bounded(pieces in prop::collection::vec(
            prop::collection::vec(any::<u8>(), 1..5000), 1..8,
        )) {
            let mut watcher = after_handshake();
            let mut lost = 0;
            for piece in &pieces {
                watcher.feed(piece, &mut |one| lost += u32::from(matches!(one, Seen::Lost(_))));
                prop_assert!(watcher.lanes.len() <= LANES_MAX);
                prop_assert!(kept(&watcher) <= LANES_MAX * HEAD_MAX);
            }
            prop_assert!(lost <= 1);
        }
    }
}
