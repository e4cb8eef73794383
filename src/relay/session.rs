//! One client of a relay, from its first byte to its last.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::time::{sleep_until, timeout};

use super::chunk::Watcher;
use super::ledger::Entry;
use super::report::{End, Way};
use super::url::Target;

/// How long the server may take to answer.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long nothing may pass either way.
const IDLE_TIMEOUT: Duration = Duration::from_secs(5 * 60);
/// What is held of each direction, bytes. A sender whose receiver does not read waits when it is full.
const BUFFER: usize = 16 * 1024;

/// Relays a client that came to `own`, until both sides are done or one of them breaks off.
pub(super) async fn run(
    mut client: TcpStream,
    target: &Target,
    own: SocketAddr,
    entry: &Entry,
) -> End {
    let mut server = match timeout(
        CONNECT_TIMEOUT,
        TcpStream::connect((target.host(), target.port())),
    )
    .await
    {
        Ok(Ok(server)) => server,
        Ok(Err(error)) => return End::Unreachable(error.to_string()),
        Err(_) => {
            let seconds = CONNECT_TIMEOUT.as_secs();
            return End::Unreachable(format!("it has not answered for {seconds} s"));
        }
    };
    match ready(&client, &server) {
        Ok((near, far)) if leads_back(near, far, own) => return End::Loop,
        Ok((_, far)) => entry.reached(far),
        Err(error) => return End::Unreachable(error.to_string()),
    }
    let (client_read, client_write) = client.split();
    let (server_read, server_write) = server.split();
    let up = pump(Way::Up, client_read, server_write, entry);
    let down = pump(Way::Down, server_read, client_write, entry);
    tokio::select! {
        done = async { tokio::try_join!(up, down) } => match done {
            Ok((None, None)) => End::Closed,
            Ok((Some(how), _) | (_, Some(how))) | Err(how) => End::Broken(how),
        },
        () = idle(entry) => End::Idle,
    }
}

/// Small messages must not wait for each other: a relay that changes the pace is no good for finding faults.
fn ready(client: &TcpStream, server: &TcpStream) -> io::Result<(SocketAddr, SocketAddr)> {
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    Ok((server.local_addr()?, server.peer_addr()?))
}

/// Whether a connection from `near` to `far` has come to the relay that listens at `own`.
fn leads_back(near: SocketAddr, far: SocketAddr, own: SocketAddr) -> bool {
    let is_here = far.ip() == own.ip() || (own.ip().is_unspecified() && far.ip() == near.ip());
    is_here && far.port() == own.port()
}

/// Hands on what comes until there is no more, and says so to the receiver. An error of the sender is the session's end;
/// one of the receiver is given back, for what it said before may still be on its way.
async fn pump(
    way: Way,
    mut from: ReadHalf<'_>,
    mut to: WriteHalf<'_>,
    entry: &Entry,
) -> Result<Option<String>, String> {
    let receiver = match way {
        Way::Up => Way::Down.sender(),
        Way::Down => Way::Up.sender(),
    };
    let mut watcher = Watcher::default();
    let mut buffer = vec![0; BUFFER];
    loop {
        let count = match from.read(&mut buffer).await {
            Ok(0) => break,
            Ok(count) => count,
            Err(error) => return Err(format!("{}: {error}", way.sender())),
        };
        let mut rest = &buffer[..count];
        watcher.feed(rest, &mut |seen| entry.seen(way, seen));
        while !rest.is_empty() {
            match to.write(rest).await {
                Ok(0) => return Ok(Some(format!("{receiver} takes no more"))),
                Ok(count) => {
                    entry.passed(way, count);
                    rest = &rest[count..];
                }
                Err(error) => return Ok(Some(format!("{receiver}: {error}"))),
            }
        }
    }
    // A receiver that is gone already need not be told.
    let _ = to.shutdown().await;
    Ok(None)
}

async fn idle(entry: &Entry) {
    while let Some(last) = entry.last() {
        if last.elapsed() >= IDLE_TIMEOUT {
            return;
        }
        sleep_until(last + IDLE_TIMEOUT).await;
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn is_loop(near: &str, far: &str, own: &str) -> bool {
        let addr = |text: &str| text.parse().unwrap();
        leads_back(addr(near), addr(far), addr(own))
    }

    #[test]
    fn a_connection_to_the_relay_itself_is_told() {
        assert!(is_loop("127.0.0.1:9", "127.0.0.1:1935", "127.0.0.1:1935"));
        assert!(is_loop("10.0.0.1:9", "10.0.0.1:1935", "0.0.0.0:1935"));
        assert!(!is_loop("127.0.0.1:9", "127.0.0.1:1936", "127.0.0.1:1935"));
        assert!(!is_loop("10.0.0.1:9", "10.0.0.2:1935", "0.0.0.0:1935"));
        assert!(!is_loop("10.0.0.1:9", "10.0.0.1:1935", "127.0.0.1:1935"));
    }
}
