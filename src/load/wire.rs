//! One connection: a socket that never blocks, with TLS or without, and what waits to be written.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use rustls::ClientConnection;
use socket2::{Domain, Protocol, SockRef, Socket, Type};

use super::target::Target;

/// The key of the handshake, and the answer that it wants: those of the standard's own example.
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const ANSWER: &str = "s3pplmbitxaq9kygzzhzrbk+xoo=";
/// The head of an answer to a handshake is not longer, bytes.
const HEAD_MAX: usize = 16 * 1024;
/// Capacity of what waits that is kept for the next time, bytes.
const KEPT: usize = 64 * 1024;

/// A connection.
pub(super) struct Wire {
    socket: TcpStream,
    tls: Option<Box<ClientConnection>>,
    /// What was read of a frame that is not whole.
    pub(super) rest: Vec<u8>,
    /// What is to be written.
    pub(super) out: Vec<u8>,
    written: usize,
}

/// How a server answered a handshake.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// Frames begin at this byte.
    Upgraded(usize),
    /// It says no: the HTTP status, and the body as far as it is there.
    Refused(u16, String),
}

impl Wire {
    /// Begins to connect, from this address if one is named.
    pub(super) fn open(target: &Target, from: Option<IpAddr>) -> io::Result<Wire> {
        let socket = Socket::new(
            Domain::for_address(target.addr),
            Type::STREAM.nonblocking(),
            Some(Protocol::TCP),
        )?;
        if let Some(from) = from {
            socket.bind(&SocketAddr::new(from, 0).into())?;
        }
        socket.set_tcp_nodelay(true)?;
        match socket.connect(&target.addr.into()) {
            // It goes on in the kernel: the socket becomes writable when it is over.
            Err(error)
                if error.raw_os_error() == Some(rustix::io::Errno::INPROGRESS.raw_os_error()) => {}
            connected => connected?,
        }
        let tls = target.tls.as_ref().map(|tls| {
            let name = tls.name.clone();
            ClientConnection::new(tls.config.clone(), name).map_err(io::Error::other)
        });
        let mut tls = tls.transpose()?;
        if let Some(tls) = &mut tls {
            tls.set_buffer_limit(None);
        }
        Ok(Wire {
            socket: socket.into(),
            tls: tls.map(Box::new),
            rest: Vec::new(),
            out: Vec::new(),
            written: 0,
        })
    }

    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    /// Why the connection could not be made, if it could not.
    pub(super) fn failed(&self) -> io::Result<()> {
        match self.socket.take_error()? {
            Some(error) => Err(error),
            None => Ok(()),
        }
    }

    /// Asks to become a WebSocket.
    pub(super) fn shake(&mut self, target: &Target, token: &str, did: &str) {
        let request = format!(
            "GET {}?authorization={token}&did={did}&dtype=load HTTP/1.1\r\nhost: {}\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\
             sec-websocket-version: 13\r\nsec-websocket-key: {KEY}\r\n\r\n",
            target.path, target.host
        );
        self.out.extend_from_slice(request.as_bytes());
    }

    /// Whether a read that leaves room in its buffer has taken all there is.
    pub(super) fn is_plain(&self) -> bool {
        self.tls.is_none()
    }

    /// Reads what is there; 0 is the end, and `WouldBlock` means that nothing is there.
    pub(super) fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Some(tls) = &mut self.tls else {
            return self.socket.read(buffer);
        };
        loop {
            match tls.reader().read(buffer) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                // The server has hung up without a goodbye.
                Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(0),
                read => return read,
            }
            if tls.read_tls(&mut self.socket)? == 0 {
                return Ok(0);
            }
            tls.process_new_packets().map_err(io::Error::other)?;
        }
    }

    /// Bytes that wait to be written.
    pub(super) fn waiting(&self) -> usize {
        self.out.len() - self.written
    }

    /// Writes as much as the kernel takes.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        let written = match &mut self.tls {
            Some(tls) => write_tls(tls, &mut self.socket, &mut self.out),
            None => self.write_plain(),
        };
        match written {
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(()),
            written => written,
        }
    }

    /// Ends the connection without a word: everything that is on its way is gone.
    pub(super) fn cut(self) {
        // Without it the port would be taken for a minute.
        let _ = SockRef::from(&self.socket).set_linger(Some(Duration::ZERO));
    }

    fn write_plain(&mut self) -> io::Result<()> {
        while self.written < self.out.len() {
            self.written += self.socket.write(&self.out[self.written..])?;
        }
        self.written = 0;
        self.out.clear();
        self.out.shrink_to(KEPT);
        Ok(())
    }
}

fn write_tls(
    tls: &mut ClientConnection,
    socket: &mut TcpStream,
    out: &mut Vec<u8>,
) -> io::Result<()> {
    if !out.is_empty() {
        tls.writer().write_all(out)?;
        out.clear();
        out.shrink_to(KEPT);
    }
    while tls.wants_write() {
        tls.write_tls(socket)?;
    }
    Ok(())
}

/// Reads the answer to a handshake; none while its head is not whole.
pub(super) fn answer(bytes: &[u8]) -> Result<Option<Answer>, &'static str> {
    let Some(end) = memchr::memmem::find(bytes, b"\r\n\r\n") else {
        return match bytes.len() > HEAD_MAX {
            true => Err("an answer to the handshake that has no end"),
            false => Ok(None),
        };
    };
    let head = String::from_utf8_lossy(&bytes[..end]).to_ascii_lowercase();
    let status = head
        .strip_prefix("http/1.1 ")
        .and_then(|rest| rest.get(..3));
    let Some(status) = status.and_then(|status| status.parse().ok()) else {
        return Err("an answer to the handshake that is not HTTP/1.1");
    };
    if status != 101 {
        let body = String::from_utf8_lossy(&bytes[end + 4..]).into_owned();
        return Ok(Some(Answer::Refused(status, body)));
    }
    let accepts = head.lines().any(|line| {
        line.split_once(':').is_some_and(|(name, value)| {
            name.trim() == "sec-websocket-accept" && value.trim() == ANSWER
        })
    });
    match accepts {
        true => Ok(Some(Answer::Upgraded(end + 4))),
        false => Err("an upgrade that is not to this WebSocket"),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    #[test]
    fn an_upgrade_is_one_only_with_the_right_answer() {
        let good = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n\x81\x00";
        assert_eq!(answer(good), Ok(Some(Answer::Upgraded(good.len() - 2))));
        assert_eq!(answer(&good[..60]), Ok(None));
        assert!(answer(b"HTTP/1.1 101 x\r\nupgrade: websocket\r\n\r\n").is_err());
    }

    #[test]
    fn a_refusal_has_its_status_and_its_body() {
        let refused = b"HTTP/1.1 401 Unauthorized\r\ncontent-length: 12\r\n\r\n{\"code\":706}";
        let expected = Answer::Refused(401, "{\"code\":706}".into());
        assert_eq!(answer(refused), Ok(Some(expected)));
        assert!(answer(b"SSH-2.0-x\r\n\r\n").is_err());
        assert!(answer(&[b'x'; HEAD_MAX + 1]).is_err());
    }
}
