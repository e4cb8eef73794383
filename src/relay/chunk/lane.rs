//! One chunk stream: the message that is on its way there, and what the next header may leave out.

use super::Header;

/// What is kept of a message, bytes.
pub(super) const HEAD_MAX: usize = 4096;
/// A timestamp that stands for one behind the header.
pub(super) const EXTENDED: u32 = 0xff_ffff;

/// A chunk stream.
#[derive(Debug)]
pub(super) struct Lane {
    id: u32,
    header: Header,
    /// What a header without a timestamp adds to it.
    delta: u32,
    extended: Option<u32>,
    left: u32,
    head: Vec<u8>,
}

impl Lane {
    /// One on which nothing has passed.
    pub(super) fn new(id: u32) -> Lane {
        let header = Header {
            number: 0,
            length: 0,
            timestamp: 0,
            stream: 0,
        };
        Lane {
            id,
            header,
            delta: 0,
            extended: None,
            left: 0,
            head: Vec::new(),
        }
    }

    /// Its number.
    pub(super) fn id(&self) -> u32 {
        self.id
    }

    /// The timestamp behind the latest header, if that had no room for it.
    pub(super) fn extended(&self) -> Option<u32> {
        self.extended
    }

    /// Bytes of the message that are still to come.
    pub(super) fn left(&self) -> u32 {
        self.left
    }

    /// What is kept of the message, bytes.
    #[cfg(test)]
    pub(super) fn kept(&self) -> usize {
        self.head.capacity()
    }

    /// Begins a message with a header of this form.
    pub(super) fn begin(&mut self, form: u8, bytes: &[u8]) {
        if form < 3 {
            let short = number_of(&bytes[..3]);
            let behind = &bytes[[11, 7, 3][usize::from(form)]..];
            self.extended = (short == EXTENDED).then(|| number_of(behind));
            self.delta = self.extended.unwrap_or(short);
        }
        if form < 2 {
            self.header.length = number_of(&bytes[3..6]);
            self.header.number = bytes[6];
        }
        if form == 0 {
            self.header.timestamp = 0;
            // The one number of the protocol whose lowest byte comes first.
            self.header.stream = number_of(&bytes[7..11]).swap_bytes();
        }
        self.header.timestamp = self.header.timestamp.wrapping_add(self.delta);
        self.left = self.header.length;
    }

    /// Takes bytes of the message, not more than are left.
    pub(super) fn take(&mut self, bytes: &[u8]) {
        let worth = self.worth();
        if self.head.len() < worth {
            if self.head.capacity() == 0 {
                self.head.reserve_exact(worth);
            }
            let taken = bytes.len().min(worth - self.head.len());
            self.head.extend_from_slice(&bytes[..taken]);
        }
        self.left = self.left.saturating_sub(bytes.len() as u32);
    }

    /// The message that is whole, and how it begins.
    pub(super) fn complete(&mut self) -> (Header, Vec<u8>) {
        (self.header, std::mem::take(&mut self.head))
    }

    /// Drops the message that is on its way.
    pub(super) fn abort(&mut self) {
        self.left = 0;
        self.head = Vec::new();
    }

    /// How much of the message is worth keeping.
    fn worth(&self) -> usize {
        let most = match self.header.number {
            1 | 2 => 4,
            17 | 20 => HEAD_MAX,
            _ => 0,
        };
        most.min(self.header.length as usize)
    }
}

/// The form of a header, its chunk stream, and what follows these; the bytes must be as many as the first one says.
pub(super) fn basic(header: &[u8]) -> (u8, u32, &[u8]) {
    let form = header[0] >> 6;
    match header[0] & 0x3f {
        0 => (form, 64 + u32::from(header[1]), &header[2..]),
        1 => {
            let id = 64 + u32::from(header[1]) + 256 * u32::from(header[2]);
            (form, id, &header[3..])
        }
        id => (form, id.into(), &header[1..]),
    }
}

/// A number of up to four bytes, the highest first.
pub(super) fn number_of(bytes: &[u8]) -> u32 {
    bytes
        .iter()
        .take(4)
        .fold(0, |number, byte| (number << 8) | u32::from(*byte))
}
