//! From a checked token to an attached connection.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::sync::oneshot;

use crate::code::Code;
use crate::id::{Did, Uid};
use crate::machine::access::Pass;
use crate::machine::device::Epoch;

use super::device::{Connect, Device, Report, Services};
use super::line::Line;
use super::mailroom::DeviceRef;
use super::outbox::{Frames, outbox};

/// A device may end in the moment it is found.
const TRIES: usize = 5;

/// A connection of a device, from its adapter's side. Dropping it tells the device that the connection has ended.
#[derive(Debug)]
pub struct Attachment {
    device: DeviceRef,
    epoch: Epoch,
    frames: Option<Frames>,
}

impl Attachment {
    /// The device.
    pub fn device(&self) -> &DeviceRef {
        &self.device
    }

    /// The connection's number.
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// The frames for the client, the first of the login among them; none if they were taken before.
    pub fn take_frames(&mut self) -> Option<Frames> {
        self.frames.take()
    }
}

impl Drop for Attachment {
    fn drop(&mut self) {
        self.device.addr().do_send(Report::Closed(self.epoch));
    }
}

/// Attaches a connection whose token says this, and waits for its first frame.
///
/// A device that is not there is started on the current thread, unless its user has as many as the registry takes.
pub async fn attach(
    services: &Arc<Services>,
    uid: Uid,
    did: &Did,
    pass: Pass,
) -> Result<Attachment, Code> {
    attach_as(Peer::default(), services, uid, did, pass).await
}

/// What is known of who connects, besides the token.
#[derive(Default)]
pub struct Peer {
    /// What its device may cut.
    pub line: Option<Arc<dyn Line>>,
    /// The device type that it names.
    pub dtype: Option<Box<str>>,
}

/// As [`attach`], for somebody of whom more is known.
pub async fn attach_as(
    peer: Peer,
    services: &Arc<Services>,
    uid: Uid,
    did: &Did,
    pass: Pass,
) -> Result<Attachment, Code> {
    for _ in 0..TRIES {
        let start = || Device::spawn(uid, did.clone(), services.clone());
        let found = services.registry.find_or_insert(uid, did, start);
        let device = found.ok_or(Code::TooFast)?;
        let epoch = services.epochs.fetch_add(1, Ordering::Relaxed);
        let (outbox, frames) = outbox();
        let (ready, answer) = oneshot::channel();
        device.addr().do_send(Connect {
            epoch,
            pass,
            dtype: peer.dtype.clone(),
            outbox,
            line: peer.line.clone(),
            ready,
        });
        // Made before the wait: a login that is given up in between ends the connection too.
        let attachment = Attachment {
            device,
            epoch,
            frames: Some(frames),
        };
        match answer.await {
            Ok(Ok(())) => return Ok(attachment),
            Ok(Err(code)) => return Err(code),
            Err(_) => {}
        }
    }
    Err(Code::Busy)
}
