//! A debugging relay for RTMP: it listens, opens a connection to one server for each client, hands on what both say byte
//! for byte, and tells what has passed.
//!
//! What it understands of the protocol is for the report alone: bytes that it cannot read are relayed as well.

pub mod chunk;
pub mod command;
pub mod report;
pub mod url;

mod amf;
mod ledger;
mod session;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

use ledger::{Ledger, SESSIONS_MAX};
use report::{End, Report};
use url::Target;

/// How long nobody is taken after a client could not be: what is lacking then, descriptors mostly, is back no sooner.
const BREATH: Duration = Duration::from_millis(100);

/// Why a relay does not start.
#[derive(Debug, thiserror::Error)]
pub enum RelayError {
    /// The port is taken, or not for this user.
    #[error("{addr} cannot be listened on: {error}")]
    Bind {
        /// The address asked for.
        addr: SocketAddr,
        /// What the system says.
        error: io::Error,
    },
    /// It was called from outside of a Tokio runtime.
    #[error("there is no runtime for the relay to run on")]
    NoRuntime,
}

/// Starts relays.
#[derive(Debug)]
pub struct Relay;

impl Relay {
    /// Listens on `bind` and relays each client to `target`. It runs on the Tokio runtime it is called in, whose
    /// driver of sockets must be on.
    pub fn start(bind: SocketAddr, target: Target) -> Result<Handle, RelayError> {
        tokio::runtime::Handle::try_current().map_err(|_| RelayError::NoRuntime)?;
        let failed = |error| RelayError::Bind { addr: bind, error };
        let listener = listen(bind).map_err(failed)?;
        let addr = listener.local_addr().map_err(failed)?;
        let ledger = Arc::new(Ledger::new(addr, target.to_string().into()));
        let stop = watch::Sender::new(false);
        let (alive, ended) = watch::channel(());
        let server = Server {
            addr,
            target: Arc::new(target),
            ledger: Arc::clone(&ledger),
            stop: stop.subscribe(),
        };
        log::info!("rtmp relay {addr}: leads to {}", server.target);
        tokio::spawn(async move {
            server.run(listener).await;
            drop(alive);
        });
        Ok(Handle(Arc::new(Shared {
            addr,
            stop,
            ended,
            ledger,
        })))
    }
}

/// A running relay. It ends with the last clone of this, or by [`Handle::stop`].
#[derive(Clone, Debug)]
pub struct Handle(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    addr: SocketAddr,
    stop: watch::Sender<bool>,
    /// Closed when the relay has ended.
    ended: watch::Receiver<()>,
    ledger: Arc<Ledger>,
}

impl Handle {
    /// Where it listens, with the port that it was given.
    pub fn addr(&self) -> SocketAddr {
        self.0.addr
    }

    /// What has passed so far, or did until it ended.
    pub fn report(&self) -> Report {
        self.0.ledger.report()
    }

    /// Whether it has not ended: from a stop on, that takes until the listener and every connection are closed.
    pub fn is_running(&self) -> bool {
        self.0.ended.has_changed().is_ok()
    }

    /// Ends the listener and every session, without waiting for what is on its way.
    pub fn stop(&self) {
        self.0.stop.send_replace(true);
    }

    /// Waits until it has ended.
    pub async fn ended(&self) {
        let mut ended = self.0.ended.clone();
        while ended.changed().await.is_ok() {}
    }

    /// Waits until the report is so, or the relay has ended; looks whenever a client comes or goes,
    /// the server answers it, or a command passes.
    pub async fn until(&self, mut holds: impl FnMut(&Report) -> bool) -> Report {
        let mut changes = self.0.ledger.changes();
        loop {
            let report = self.report();
            if holds(&report) || !self.is_running() {
                return report;
            }
            tokio::select! {
                _ = changes.changed() => {}
                () = self.ended() => {}
            }
        }
    }
}

fn listen(bind: SocketAddr) -> io::Result<TcpListener> {
    let listener = std::net::TcpListener::bind(bind)?;
    listener.set_nonblocking(true)?;
    TcpListener::from_std(listener)
}

struct Server {
    addr: SocketAddr,
    target: Arc<Target>,
    ledger: Arc<Ledger>,
    stop: watch::Receiver<bool>,
}

impl Server {
    async fn run(mut self, listener: TcpListener) {
        let mut sessions = JoinSet::new();
        loop {
            let came = tokio::select! {
                () = stopped(&mut self.stop) => break,
                Some(_) = sessions.join_next() => continue,
                came = listener.accept() => came,
            };
            match came {
                Ok((client, from)) => self.take(client, from, &mut sessions),
                Err(error) => {
                    log::warn!(
                        "rtmp relay {}: a client could not be taken: {error}",
                        self.addr
                    );
                    tokio::time::sleep(BREATH).await;
                }
            }
        }
        drop(listener);
        while sessions.join_next().await.is_some() {}
        let totals = self.ledger.report().totals;
        log::info!(
            "rtmp relay {}: closed after {} sessions; clients sent {}; the server sent {}",
            self.addr,
            totals.sessions,
            totals.up,
            totals.down
        );
    }

    fn take(&self, client: TcpStream, from: SocketAddr, sessions: &mut JoinSet<()>) {
        let Some(entry) = self.ledger.open(from) else {
            log::debug!(
                "rtmp relay {}: {from} is turned away, there are {SESSIONS_MAX} sessions",
                self.addr
            );
            return;
        };
        let (target, own) = (Arc::clone(&self.target), self.addr);
        let mut stop = self.stop.clone();
        sessions.spawn(async move {
            let end = tokio::select! {
                () = stopped(&mut stop) => End::Stopped,
                end = session::run(client, &target, own, &entry) => end,
            };
            entry.end(end);
        });
    }
}

/// Returns when the relay is to stop, or nobody is left who could stop it.
async fn stopped(stop: &mut watch::Receiver<bool>) {
    let _ = stop.wait_for(|stop| *stop).await;
}
