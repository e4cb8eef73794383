//! Who may stay on the public listener: connections are counted as they come, and those that are too many get one answer.
//!
//! A refusal waits for the request, so that the client reads it as the answer to that. A flood of connections that ask
//! nothing must not live on that patience, so from a second mark on they are answered and shut at once.

use std::collections::HashMap;
use std::future::poll_fn;
use std::net::{IpAddr, Ipv6Addr, Shutdown};
use std::os::fd::AsRawFd;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use actix_web::HttpMessage;
use actix_web::body::{BodySize, MessageBody};
use actix_web::dev::{Extensions, Payload, ServiceRequest, ServiceResponse};
use actix_web::http::ConnectionType;
use actix_web::http::header::{TRANSFER_ENCODING, UPGRADE};
use actix_web::middleware::Next;
use actix_web::rt::net::TcpStream;
use actix_web::web;
use bytes::{Bytes, BytesMut};
use futures_core::Stream;
use parking_lot::Mutex;
use socket2::SockRef;
use tokio::time::timeout;

use crate::code::Code;
use crate::http::reply;
use crate::http::state::AppState;
use crate::message::Fault;
use crate::metrics::{Counted, Limit, Metrics};

/// How long the body of a request may take, from its head on.
const BODY_DEADLINE: Duration = Duration::from_secs(5);
/// How long the body of a request may be besides a payload, bytes.
const ENVELOPE_MAX: usize = 4096;
/// How long it may be at least, bytes: an order of a group names many users.
const BODY_MIN: usize = 64 * 1024;

/// How often the log says that descriptors run out.
const WARN_EVERY: Duration = Duration::from_secs(10);

/// The marks of the file descriptors; a new descriptor is always the lowest that is free, so its number tells how many
/// are in use.
#[derive(Clone, Copy, Debug)]
pub struct Marks {
    /// From this descriptor on, a connection is refused.
    pub refuse: i32,
    /// From this descriptor on, it is refused without waiting for its request.
    pub cut: i32,
}

/// Counts the connections of the public listener.
#[derive(Debug)]
pub struct Gate {
    marks: Marks,
    /// 0 is no limit.
    per_address: usize,
    retry_ms: u64,
    metrics: Metrics,
    addresses: Mutex<HashMap<IpAddr, Held>>,
    warned: Mutex<Option<Instant>>,
}

/// What one address holds.
#[derive(Debug, Default)]
struct Held {
    admitted: usize,
    refused: usize,
}

/// One connection, for as long as it is open.
struct Presence {
    gate: Arc<Gate>,
    address: Option<IpAddr>,
    refused: Option<Limit>,
    _open: Counted,
}

impl Gate {
    /// A gate for one listener; `retry_ms` is what the refused are told to wait, and 0 addresses are no limit.
    pub fn new(marks: Marks, per_address: usize, retry_ms: u64, metrics: Metrics) -> Arc<Gate> {
        Arc::new(Gate {
            marks,
            per_address,
            retry_ms,
            metrics,
            addresses: Mutex::default(),
            warned: Mutex::default(),
        })
    }

    /// Judges a connection that has just been made, and counts it until its `extensions` are dropped. `plain` is false
    /// under TLS, where nothing can be written past the session.
    pub fn admit(self: &Arc<Gate>, stream: &TcpStream, plain: bool, extensions: &mut Extensions) {
        let peer = stream.peer_addr().ok().map(|peer| network(peer.ip()));
        let address = peer.filter(|_| self.per_address > 0);
        let descriptor = stream.as_raw_fd();
        let (mut refused, mut cut) = match address.map(|address| self.count(address)) {
            Some(Err(many)) => (Some(Limit::PerAddress), many),
            _ => (None, false),
        };
        let presence = |refused| Presence {
            gate: self.clone(),
            address,
            refused,
            _open: self.metrics.connection(),
        };
        if refused.is_none() && descriptor >= self.marks.refuse {
            refused = Some(Limit::Descriptors);
            self.warn();
        }
        cut |= descriptor >= self.marks.cut;
        extensions.insert(presence(refused));
        if let Some(limit) = refused {
            self.metrics.limited(limit);
            if cut {
                self.shut(stream, plain, limit);
            }
        }
    }

    /// Counts one more of this address; true if it is too many, even of those that are refused.
    fn count(&self, address: IpAddr) -> Result<(), bool> {
        let mut addresses = self.addresses.lock();
        let held = addresses.entry(address).or_default();
        if held.admitted < self.per_address {
            held.admitted += 1;
            return Ok(());
        }
        held.refused += 1;
        Err(held.refused > self.per_address)
    }

    fn discount(&self, address: IpAddr, was_admitted: bool) {
        let mut addresses = self.addresses.lock();
        let Some(held) = addresses.get_mut(&address) else {
            return;
        };
        match was_admitted {
            true => held.admitted -= 1,
            false => held.refused -= 1,
        }
        if held.admitted + held.refused == 0 {
            addresses.remove(&address);
        }
    }

    fn shut(&self, stream: &TcpStream, plain: bool, limit: Limit) {
        let fault = self.fault(limit);
        self.metrics.refused(fault.code);
        let socket = SockRef::from(stream);
        if plain {
            // Nothing was written before, so there is room; a client that has gone already misses nothing.
            let _ = socket.send(reply::raw(&fault).as_bytes());
        }
        let _ = socket.shutdown(Shutdown::Both);
    }

    fn fault(&self, limit: Limit) -> Fault {
        let fault = match limit {
            Limit::PerAddress => {
                Fault::because(Code::TooFast, "this address holds too many connections")
            }
            _ => Fault::because(Code::Busy, "the server holds as many connections as it can"),
        };
        fault.later(self.retry_ms)
    }

    fn warn(&self) {
        let mut warned = self.warned.lock();
        if warned.is_none_or(|at| at.elapsed() >= WARN_EVERY) {
            *warned = Some(Instant::now());
            log::warn!("file descriptors run out: new connections are refused until some are free");
        }
    }
}

impl Drop for Presence {
    fn drop(&mut self) {
        if let Some(address) = self.address {
            let was_admitted = self.refused != Some(Limit::PerAddress);
            self.gate.discount(address, was_admitted);
        }
    }
}

/// Answers requests on connections that were refused, and hands on the others when their body is there.
///
/// The stack behind it puts no deadline on a body, and reads one that nobody wants for as long as it comes, if it comes
/// in chunks.
pub async fn admitted<B: MessageBody + 'static>(
    mut req: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<impl MessageBody + use<B>>, actix_web::Error> {
    let fault = match req.conn_data::<Presence>() {
        Some(Presence {
            gate,
            refused: Some(limit),
            ..
            // A server that is full is well: whoever watches it must not end it for that.
        }) if !req.path().starts_with("/health/") => {
            let fault = gate.fault(*limit);
            gate.metrics.refused(fault.code);
            Some(fault)
        }
        _ => None,
    };
    let mut payload = req.take_payload();
    let taken = match fault {
        Some(fault) => Err(fault),
        None => whole(&req, &mut payload).await,
    };
    match taken {
        Ok(whole) => {
            req.set_payload(whole.map_or(payload, Payload::from));
            Ok(next.call(req).await?.map_into_left_body())
        }
        Err(fault) => {
            let mut refused = reply::refused(&fault);
            refused
                .head_mut()
                .set_connection_type(ConnectionType::Close);
            let refused = refused.map_body(|_, body| Unread {
                body,
                _payload: payload,
            });
            Ok(req.into_response(refused).map_into_right_body())
        }
    }
}

/// The whole body of a request; none if it is an upgrade, whose payload goes on, or has none.
async fn whole(req: &ServiceRequest, payload: &mut Payload) -> Result<Option<Bytes>, Fault> {
    let bad = |msg: String| Fault::because(Code::BadFrame, msg);
    let upgrade = req.headers().get(UPGRADE);
    let is_upgrade = upgrade.is_some_and(|to| to.as_bytes().eq_ignore_ascii_case(b"websocket"));
    if is_upgrade && req.headers().contains_key(TRANSFER_ENCODING) {
        return Err(bad("a request for an upgrade has no body".into()));
    }
    if is_upgrade || matches!(payload, Payload::None) {
        return Ok(None);
    }
    let state = req.app_data::<web::Data<AppState>>();
    let payload_max = state.map_or(0, |state| state.settings.listen.max_payload);
    let body_max = BODY_MIN.max(payload_max + ENVELOPE_MAX);
    let mut body = BytesMut::new();
    let read = async {
        while let Some(chunk) = poll_fn(|cx| Pin::new(&mut *payload).poll_next(cx)).await {
            let chunk = chunk.map_err(|e| bad(format!("the body cannot be read: {e}")))?;
            if body.len() + chunk.len() > body_max {
                return Err(Fault::new(Code::TooLarge));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(())
    };
    let in_time = timeout(BODY_DEADLINE, read).await;
    let late = |_| bad(format!("the body did not come within {BODY_DEADLINE:?}"));
    in_time.map_err(late)??;
    Ok(Some(body.freeze()))
}

/// An answer that holds on to the payload it was not made from: one that is dropped, and comes in chunks, would be read
/// to its end before the connection is closed, and it may have none.
struct Unread<B> {
    body: B,
    _payload: Payload,
}

impl<B: MessageBody + Unpin> MessageBody for Unread<B> {
    type Error = B::Error;

    fn size(&self) -> BodySize {
        self.body.size()
    }

    fn poll_next(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Self::Error>>> {
        Pin::new(&mut self.get_mut().body).poll_next(cx)
    }
}

/// What is counted as one address: whoever has an IPv6 address has all of its network.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => {
            let host = u128::from(u64::MAX);
            IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & !host))
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn an_ipv6_network_is_one_address_and_so_is_an_ipv4_address_in_either_form() {
        let of = |text: &str| network(text.parse().unwrap());
        assert_eq!(of("2001:db8:1:2:3::4"), of("2001:db8:1:2:ffff::1"));
        assert_ne!(of("2001:db8:1:2::1"), of("2001:db8:1:3::1"));
        assert_eq!(of("::ffff:192.0.2.7"), of("192.0.2.7"));
        assert_ne!(of("192.0.2.7"), of("192.0.2.8"));
    }

    #[test]
    fn an_address_takes_its_number_then_as_many_refusals_and_is_forgotten_at_last() {
        let marks = Marks { refuse: 9, cut: 9 };
        let gate = Gate::new(marks, 2, 1000, Metrics::new().unwrap());
        let address = network("192.0.2.7".parse().unwrap());
        let counts: Vec<_> = (0..5).map(|_| gate.count(address)).collect();
        assert_eq!(counts, [Ok(()), Ok(()), Err(false), Err(false), Err(true)]);
        // Refused ones that linger take no place.
        gate.discount(address, true);
        assert_eq!(gate.count(address), Ok(()));
        for was_admitted in [true, true, false, false, false] {
            gate.discount(address, was_admitted);
        }
        assert!(gate.addresses.lock().is_empty());
    }
}
