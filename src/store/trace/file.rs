//! A file of the trace: what it is called, and the walk over its blocks.
//!
//! A file that ends within a block, or in zeros, was torn off when the process was killed or the machine lost power; what
//! is wrong before that is damage, and the walk goes on with the next head that it can find.

use std::io;

use crate::store::files::Handle;

use super::block::{HEAD, Head, MAGIC};

/// What every file begins with: a name and the number of the format.
pub(super) const HEADER: [u8; 16] = *b"yizhan trace\x00\x00\x00\x01";
/// Bytes that are read at once, at least.
const WINDOW: u64 = 16 << 10;

/// The name of the file with this number.
pub(super) fn name(number: u64) -> String {
    format!("trace-{number:016}.log")
}

/// The number in a file's name, if it is one of the trace.
pub(super) fn number(of: &str) -> Option<u64> {
    let digits = of.strip_prefix("trace-")?.strip_suffix(".log")?;
    let is_number = digits.len() == 16 && digits.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| digits.parse().ok())?
}

/// What a walk comes by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// A block, which begins at this place.
    Block(Head, u64),
    /// Something that is none.
    Damage,
}

/// A walk over the blocks of a file.
pub(super) struct Walk<'a> {
    file: &'a dyn Handle,
    number: u64,
    size: u64,
    at: u64,
    window: Vec<u8>,
    from: u64,
}

impl<'a> Walk<'a> {
    /// Begins a walk over the first `size` bytes of a file.
    pub(super) fn new(file: &'a dyn Handle, number: u64, size: u64) -> Walk<'a> {
        Walk {
            file,
            number,
            size,
            at: 0,
            window: Vec::new(),
            from: 0,
        }
    }

    /// Goes to the next block.
    pub(super) fn step(&mut self) -> io::Result<Option<Step>> {
        if self.at == 0 {
            self.at = HEADER.len() as u64;
            match self.bytes(0, HEADER.len() as u64)? {
                Some(header) if header != HEADER => return Ok(Some(Step::Damage)),
                _ => {}
            }
        }
        let (file, at) = (self.number, self.at);
        let Some(bytes) = self.bytes(at, HEAD as u64)? else {
            return Ok(None);
        };
        let Some(head) = Head::read(bytes, file, at) else {
            return self.search();
        };
        let end = at.saturating_add(head.size());
        if end > self.size {
            return Ok(None);
        }
        self.at = end;
        Ok(Some(Step::Block(head, at)))
    }

    /// The head and the filter of a block.
    pub(super) fn before_body(&mut self, head: &Head, at: u64) -> io::Result<&[u8]> {
        let bytes = self.bytes(at, head.before_body())?;
        bytes.ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
    }

    /// Reads the body of a block.
    pub(super) fn body(&self, head: &Head, at: u64, into: &mut Vec<u8>) -> io::Result<()> {
        let length = usize::try_from(head.body()).map_err(io::Error::other)?;
        into.resize(length, 0);
        self.file.read_at(at + head.before_body(), into)
    }

    /// Goes to the next head behind this place, or to the end.
    fn search(&mut self) -> io::Result<Option<Step>> {
        let (file, mut at, mut only_zeros) = (self.number, self.at, true);
        loop {
            let length = WINDOW.min(self.size - at);
            let Some(bytes) = self.bytes(at, length)? else {
                break;
            };
            only_zeros &= bytes.iter().all(|byte| *byte == 0);
            let mut heads = bytes.windows(HEAD).enumerate();
            let found = heads.find(|(n, bytes)| {
                bytes[..4] == MAGIC && Head::read(bytes, file, at + *n as u64).is_some()
            });
            if let Some((n, _)) = found {
                self.at = at + n as u64;
                return Ok(Some(Step::Damage));
            }
            if length < WINDOW {
                break;
            }
            // A head may begin in this window and end in the next.
            at += WINDOW - HEAD as u64 + 1;
        }
        self.at = self.size;
        Ok((!only_zeros).then_some(Step::Damage))
    }

    /// So many bytes from this place on; none if the file ends before.
    fn bytes(&mut self, at: u64, length: u64) -> io::Result<Option<&[u8]>> {
        let left = self.size.saturating_sub(at);
        if length > left {
            return Ok(None);
        }
        let has = at >= self.from && at + length <= self.from + self.window.len() as u64;
        if !has {
            let wanted = usize::try_from(length.max(WINDOW).min(left)).map_err(io::Error::other)?;
            self.window.resize(wanted, 0);
            if let Err(error) = self.file.read_at(at, &mut self.window) {
                self.window.clear();
                return Err(error);
            }
            self.from = at;
        }
        let place = (at - self.from) as usize;
        Ok(self.window.get(place..place + length as usize))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_the_trace_have_a_number() {
        assert_eq!(number(&name(42)), Some(42));
        for other in [
            "trace-42.log",
            "0000000000000042.log",
            "trace-000000000000004x.log",
            "trace-+000000000000042.log",
            "trace-0000000000000042.log.new",
        ] {
            assert_eq!(number(other), None, "{other}");
        }
    }
}
