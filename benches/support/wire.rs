//! A WebSocket client that does no more than the benches need: frames are written by hand, and many at a time.
#![allow(dead_code, unreachable_pub)]

use std::io::Write;
use std::net::SocketAddr;

use anyhow::{Context, Result, bail, ensure};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// A connection with frames on it, read and written many at a time.
pub struct Wire {
    /// The first frame of the login.
    pub summary: String,
    stream: TcpStream,
    incoming: Vec<u8>,
    /// How much of `incoming` has been looked at.
    read: usize,
    outgoing: Vec<u8>,
}

impl Wire {
    /// Connects, shakes hands, and takes the summary.
    pub async fn open(listener: SocketAddr, token: &str) -> Result<Self> {
        let stream = TcpStream::connect(listener).await?;
        stream.set_nodelay(true)?;
        let mut wire = Self {
            summary: String::new(),
            stream,
            incoming: Vec::new(),
            read: 0,
            outgoing: Vec::new(),
        };
        write!(
            wire.outgoing,
            "GET /ws?authorization={token}&did=did HTTP/1.1\r\nhost: {listener}\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\
             sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        )?;
        wire.flush().await?;
        let head = loop {
            if let Some(end) = find(&wire.incoming, b"\r\n\r\n") {
                break end + 4;
            }
            wire.fill().await?;
        };
        ensure!(
            wire.incoming.starts_with(b"HTTP/1.1 101 "),
            "the handshake is refused"
        );
        wire.read = head;
        loop {
            if let Some(summary) = wire.next()? {
                ensure!(text(summary, r#""type":""#)? == b"S2C", "no summary");
                wire.summary = String::from_utf8_lossy(summary).into_owned();
                return Ok(wire);
            }
            wire.fill().await?;
        }
    }

    /// Reads what is there, at least something. Frames read before must have been taken.
    pub async fn fill(&mut self) -> Result<()> {
        self.incoming.drain(..self.read);
        self.read = 0;
        let read = self.stream.read_buf(&mut self.incoming).await?;
        ensure!(read > 0, "the server closed the connection");
        Ok(())
    }

    /// The next whole text frame of what was read.
    pub fn next(&mut self) -> Result<Option<&[u8]>> {
        loop {
            let ahead = &self.incoming[self.read..];
            let (head, length) = match *ahead {
                [_, 126, a, b, ..] => (4, usize::from(u16::from_be_bytes([a, b]))),
                [_, length, ..] if length < 126 => (2, usize::from(length)),
                [_, 127, ..] => bail!("a frame of more than 64 KB"),
                _ => return Ok(None),
            };
            if ahead.len() < head + length {
                return Ok(None);
            }
            let (kind, start) = (ahead[0], self.read + head);
            self.read = start + length;
            match kind {
                0x81 => return Ok(Some(&self.incoming[start..start + length])),
                0x89 => {
                    let beat = self.incoming[start..start + length].to_vec();
                    self.write_frame(0x8a, &beat);
                }
                _ => bail!("a frame of kind {kind:#x}"),
            }
        }
    }

    pub fn write(&mut self, text: std::fmt::Arguments<'_>) {
        self.write_frame(0x81, text.to_string().as_bytes());
    }

    fn write_frame(&mut self, kind: u8, body: &[u8]) {
        self.outgoing.push(kind);
        if body.len() < 126 {
            self.outgoing.push(0x80 | body.len() as u8);
        } else {
            self.outgoing.push(0x80 | 126);
            self.outgoing.extend((body.len() as u16).to_be_bytes());
        }
        // The mask of zeros, which leaves the body as it is.
        self.outgoing.extend([0; 4]);
        self.outgoing.extend(body);
    }

    pub async fn flush(&mut self) -> Result<()> {
        if !self.outgoing.is_empty() {
            self.stream.write_all(&self.outgoing).await?;
            self.outgoing.clear();
        }
        Ok(())
    }
}

/// The text after this key, up to the next quote. The payloads hold neither quotes nor keys.
pub fn text<'frame>(frame: &'frame [u8], key: &str) -> Result<&'frame [u8]> {
    let missing = || format!("no {key} in {}", String::from_utf8_lossy(frame));
    let start = find(frame, key.as_bytes()).with_context(missing)? + key.len();
    let length = frame[start..]
        .iter()
        .position(|&byte| byte == b'"')
        .with_context(missing)?;
    Ok(&frame[start..start + length])
}

/// The number in the id `m-<number>`.
pub fn number(frame: &[u8]) -> Result<usize> {
    let id = text(frame, r#""id":""#)?;
    Ok(digits(id.strip_prefix(b"m-").context("not an id of ours")?) as usize)
}

pub fn seq(frame: &[u8]) -> Result<u64> {
    let key = br#""seq":"#;
    let start = find(frame, key).context("a message without a seq")? + key.len();
    Ok(digits(&frame[start..]))
}

fn digits(text: &[u8]) -> u64 {
    text.iter()
        .take_while(|byte| byte.is_ascii_digit())
        .fold(0, |sum, byte| sum * 10 + u64::from(byte - b'0'))
}

fn find(frame: &[u8], what: &[u8]) -> Option<usize> {
    frame.windows(what.len()).position(|window| window == what)
}
