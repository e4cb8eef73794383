//! Records as they lie in a buffer and in a block: key, ticket, length, and the bytes of whoever wrote them.

/// The most bytes that stand before a payload: key, ticket, length.
pub(super) const HEAD_MAX: usize = 8 + 10 + 10;

/// Records of one buffer, in the order of their tickets.
#[derive(Debug, Default)]
pub(super) struct Part {
    /// The records; each has its ticket as the distance from the one before.
    pub(super) bytes: Vec<u8>,
    /// Where the first distance begins.
    pub(super) base: u64,
    last: u64,
}

/// One record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Record<'a> {
    pub(super) key: u64,
    pub(super) ticket: u64,
    pub(super) payload: &'a [u8],
    /// Where the next one begins.
    pub(super) end: usize,
}

impl Part {
    /// Adds a record, whose ticket is larger than those before it.
    pub(super) fn push(&mut self, ticket: u64, key: u64, payload: &[u8]) {
        if self.bytes.is_empty() {
            (self.base, self.last) = (ticket, ticket);
        }
        let distance = ticket - self.last;
        self.last = ticket;
        let length = payload.len() as u64;
        if distance < 128 && length < 128 {
            let mut head = [0; 10];
            head[..8].copy_from_slice(&key.to_le_bytes());
            (head[8], head[9]) = (distance as u8, length as u8);
            self.bytes.extend_from_slice(&head);
        } else {
            self.bytes.extend_from_slice(&key.to_le_bytes());
            write_number(&mut self.bytes, distance);
            write_number(&mut self.bytes, length);
        }
        self.bytes.extend_from_slice(payload);
    }

    /// The records.
    pub(super) fn records(&self) -> Records<'_> {
        Records::new(&self.bytes, self.base)
    }

    /// Forgets all records, and keeps the room they had.
    pub(super) fn clear(&mut self) {
        self.bytes.clear();
    }
}

/// Reads records, up to the end or to what is none.
#[derive(Clone, Debug)]
pub(super) struct Records<'a> {
    bytes: &'a [u8],
    at: usize,
    ticket: u64,
}

impl<'a> Records<'a> {
    pub(super) fn new(bytes: &'a [u8], base: u64) -> Records<'a> {
        Records {
            bytes,
            at: 0,
            ticket: base,
        }
    }
}

impl<'a> Iterator for Records<'a> {
    type Item = Record<'a>;

    fn next(&mut self) -> Option<Record<'a>> {
        let (key, rest) = self.bytes.get(self.at..)?.split_first_chunk()?;
        let (distance, rest) = read_number(rest)?;
        let (length, rest) = read_number(rest)?;
        let payload = rest.get(..usize::try_from(length).ok()?)?;
        self.ticket = self.ticket.wrapping_add(distance);
        self.at = self.bytes.len() - rest.len() + payload.len();
        Some(Record {
            key: u64::from_le_bytes(*key),
            ticket: self.ticket,
            payload,
            end: self.at,
        })
    }
}

fn write_number(bytes: &mut Vec<u8>, mut number: u64) {
    while number >= 128 {
        bytes.push(number as u8 | 128);
        number >>= 7;
    }
    bytes.push(number as u8);
}

fn read_number(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let (first, rest) = bytes.split_first()?;
    if *first < 128 {
        return Some((u64::from(*first), rest));
    }
    let mut number = 0;
    for (n, byte) in bytes.iter().take(10).enumerate() {
        number |= u64::from(byte & 127) << (7 * n);
        if *byte < 128 {
            return Some((number, &bytes[n + 1..]));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_read_as_they_were_written() {
        let long = vec![9; 70_000];
        let written: [(u64, u64, &[u8]); 5] = [
            (5, u64::MAX, b""),
            (6, 0, b"one"),
            (7 << 40, 1, &long),
            (u64::MAX - 1, 2, b"two"),
            (u64::MAX, 2, &long[..127]),
        ];
        let mut part = Part::default();
        for (ticket, key, payload) in written {
            part.push(ticket, key, payload);
        }
        let read: Vec<_> = part
            .records()
            .map(|r| (r.ticket, r.key, r.payload))
            .collect();
        assert_eq!(read, written);
    }

    #[test]
    fn what_is_no_record_ends_the_records() {
        let mut part = Part::default();
        part.push(1, 1, b"whole");
        part.push(2, 2, &[0; 300]);
        for end in 0..part.bytes.len() {
            let read = Records::new(&part.bytes[..end], 1).count();
            assert_eq!(read, usize::from(end >= 15), "{end}");
        }
        assert_eq!(Records::new(&[255; 64], 1).count(), 0);
    }
}
