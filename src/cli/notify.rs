//! What systemd is told about the state of the server; nobody is told when nobody asks.

use std::net::SocketAddr;

use sd_notify::NotifyState;

/// The server accepts connections.
pub(super) fn ready(public: SocketAddr, admin: SocketAddr) {
    let status = format!("public={public} admin={admin}");
    tell(&[NotifyState::Ready, NotifyState::Status(&status)]);
}

/// Files are read again; [`reloaded`] follows.
pub(super) fn reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => tell(&[NotifyState::Reloading, now]),
        Err(error) => log::warn!("systemd is not told of the reload: {error}"),
    }
}

/// They have been read.
pub(super) fn reloaded() {
    tell(&[NotifyState::Ready]);
}

/// The server drains.
pub(super) fn stopping() {
    tell(&[NotifyState::Stopping, NotifyState::Status("draining")]);
}

fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        log::warn!("systemd is not told of {:?}: {error}", states.first());
    }
}
