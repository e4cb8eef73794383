//! The socket under a connection: how long its kernel keeps what nobody takes, and how it is ended from outside.
//!
//! The WebSocket stack owns the socket and gives no handle to it, and a second file descriptor for each connection would
//! halve how many a process can have. So a wire remembers the number of the descriptor and who is at both ends, asks the
//! kernel for a duplicate only when it has to cut, and makes sure that it is still the same connection.

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, RawFd};
use std::sync::{Arc, Once};
use std::time::Duration;

use actix_web::rt::net::TcpStream;
use rustix::process::{PidfdFlags, PidfdGetfdFlags, getpid, pidfd_getfd, pidfd_open};
use socket2::{SockRef, Socket};

use crate::actor::line::Line;

/// Bytes that the kernel takes for a connection beyond what its peer has room for.
const UNSENT_BYTES: u32 = 128 << 10;

/// What a request knows of the socket that it came on.
#[derive(Debug)]
pub struct Wire(Arc<End>);

#[derive(Debug)]
struct End {
    fd: RawFd,
    local: SocketAddr,
    peer: SocketAddr,
}

impl Wire {
    /// Sets what the kernel does by itself, and remembers which socket this is.
    ///
    /// The kernel ends the connection when its peer leaves written data unacknowledged for `write_deadline`, or has no
    /// room for so long.
    pub fn prepare(stream: &TcpStream, write_deadline: Duration) -> io::Result<Wire> {
        let socket = SockRef::from(stream);
        socket.set_tcp_user_timeout(Some(write_deadline))?;
        socket.set_tcp_notsent_lowat(UNSENT_BYTES)?;
        Ok(Wire(Arc::new(End {
            fd: stream.as_raw_fd(),
            local: stream.local_addr()?,
            peer: stream.peer_addr()?,
        })))
    }

    /// The handle that a device may have.
    pub fn line(&self) -> Arc<dyn Line> {
        self.0.clone()
    }
}

impl End {
    /// A second handle to the socket; none if the descriptor is that of something else by now.
    fn socket(&self) -> io::Result<Option<Socket>> {
        let process = pidfd_open(getpid(), PidfdFlags::empty())?;
        let file = pidfd_getfd(process, self.fd, PidfdGetfdFlags::empty());
        let socket = match file {
            Ok(file) => Socket::from(file),
            Err(rustix::io::Errno::BADF) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let ends = (socket.local_addr(), socket.peer_addr());
        let (Ok(local), Ok(peer)) = ends else {
            return Ok(None);
        };
        let is_same = (local.as_socket(), peer.as_socket()) == (Some(self.local), Some(self.peer));
        Ok(is_same.then_some(socket))
    }

    fn try_cut(&self) -> io::Result<()> {
        let Some(socket) = self.socket()? else {
            return Ok(());
        };
        // Nothing may linger in the kernel for a client that does not take it.
        socket.set_linger(Some(Duration::ZERO))?;
        match socket.shutdown(std::net::Shutdown::Both) {
            Err(error) if error.kind() == io::ErrorKind::NotConnected => Ok(()),
            ended => ended,
        }
    }
}

impl Line for End {
    fn cut(&self) {
        static TOLD: Once = Once::new();
        if let Err(error) = self.try_cut() {
            // Some sandboxes forbid it. The device is offline all the same, and the kernel's own deadline remains.
            TOLD.call_once(|| log::warn!("a connection could not be cut: {error}"));
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::io::Read;
    use std::net::{TcpListener, TcpStream as StdStream};

    use super::*;

    fn pair() -> (StdStream, StdStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let client = StdStream::connect(listener.local_addr().unwrap()).unwrap();
        (listener.accept().unwrap().0, client)
    }

    fn end_of(stream: &StdStream) -> End {
        End {
            fd: stream.as_raw_fd(),
            local: stream.local_addr().unwrap(),
            peer: stream.peer_addr().unwrap(),
        }
    }

    #[test]
    fn a_connection_is_cut_from_outside_its_owner() {
        let (server, mut client) = pair();
        end_of(&server).try_cut().unwrap();
        assert_eq!(client.read(&mut [0; 1]).unwrap(), 0);
        drop(server);
    }

    #[test]
    fn a_descriptor_that_another_connection_has_got_is_left_alone() {
        let (server, _client) = pair();
        let (other, mut its_client) = pair();
        let end = End {
            fd: other.as_raw_fd(),
            ..end_of(&server)
        };
        end.try_cut().unwrap();
        its_client.set_nonblocking(true).unwrap();
        let error = its_client.read(&mut [0; 1]).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
        drop(other);
    }

    #[test]
    fn a_descriptor_that_is_closed_is_nothing_to_cut() {
        let (server, _client) = pair();
        let end = end_of(&server);
        drop(server);
        end.try_cut().unwrap();
    }
}
