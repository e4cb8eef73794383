//! The adapter between one WebSocket and one device.
//!
//! When a client stops reading, its WebSocket context is no longer polled: timers and mailbox of this actor freeze. So
//! nothing that matters lives here; the socket itself is cut by the kernel after `device.write_deadline_ms`, and the
//! end of this actor, however it comes, tells the device.

mod charge;
mod login;

use std::cell::RefCell;
use std::sync::Arc;
use std::time::{Duration, Instant};

use actix::fut::WrapFuture;
use actix::prelude::SendError;
use actix::{Actor, ActorContext, AsyncContext, Handler, StreamHandler};
use actix_http::ws::{Codec, Item, ProtocolError};
use actix_web::{HttpRequest, HttpResponse, web};
use actix_web_actors::ws::{CloseCode, CloseReason, Message, WebsocketContext};
use bytes::{Bytes, BytesMut};

use crate::actor::device::{ASK_MAX, Ask, Device, Renew, Report};
use crate::actor::login::Attachment;
use crate::actor::outbox::Taken;
use crate::code::{Close, Code};
use crate::codec::Inbound;
use crate::codec::json::Json;
use crate::http::reply::{self, bearer};
use crate::http::state::AppState;
use crate::message::{Command, Event, Fault};
use crate::token::TokenError;

use super::guard::{FrameGuard, Verdict};
use super::rates::Allowance;
use login::{check, in_query, log_in, pass, shake_hands};

pub use login::Query;

/// How long a connection that the server has closed may go on, for late acknowledgements and the client's own close.
const LINGER: Duration = Duration::from_secs(2);

/// A longer frame is handed to the device without waiting for the next ones, bytes.
const ASK_BYTES: usize = 4096;

/// The dialect as the connections of one worker share it.
pub type Dialect = web::Data<RefCell<Json>>;

/// `GET /ws`: checks the token, attaches to the device, and upgrades.
pub async fn connect(
    req: HttpRequest,
    payload: web::Payload,
    query: Query,
    state: web::Data<AppState>,
    dialect: Dialect,
) -> HttpResponse {
    match log_in(&req, &query, &state).await {
        Ok(attachment) => upgrade(&req, payload, (&state, &dialect), Ok(attachment)),
        Err(refused) if in_query(&query, "errors") == Some("close") => {
            upgrade(&req, payload, (&state, &dialect), Err(refused))
        }
        Err(refused) => {
            log::debug!("refused a connection: {}", refused.msg);
            state.services.metrics.refused(refused.code);
            reply::refused(&refused)
        }
    }
}

/// One WebSocket.
struct Socket {
    state: web::Data<AppState>,
    dialect: Dialect,
    attached: Result<Attachment, Fault>,
    allowance: Option<Arc<Allowance>>,
    verdict: Verdict,
    fragments: Option<Fragments>,
    /// What the client asked and the device has not been handed.
    asked: Vec<Command>,
    /// When all that had come was last dealt with.
    heard: Instant,
    closing: bool,
}

/// A message that comes in several frames.
struct Fragments {
    text: bool,
    bytes: BytesMut,
}

fn upgrade(
    req: &HttpRequest,
    payload: web::Payload,
    (state, dialect): (&web::Data<AppState>, &Dialect),
    attached: Result<Attachment, Fault>,
) -> HttpResponse {
    let mut response = match shake_hands(req) {
        Ok(response) => response,
        Err(fault) => return reply::refused(&fault),
    };
    let max_frame = state.settings.listen.max_frame;
    let (stream, verdict) = FrameGuard::new(payload, max_frame);
    let device = attached.as_ref().ok().map(Attachment::device);
    let allowance = device.and_then(|device| state.rates.device(device.uid(), device.did()));
    let socket = Socket {
        state: state.clone(),
        dialect: dialect.clone(),
        attached,
        allowance,
        verdict,
        fragments: None,
        asked: Vec::new(),
        heard: Instant::now(),
        closing: false,
    };
    let codec = Codec::new().max_size(max_frame);
    response.streaming(WebsocketContext::with_codec(socket, stream, codec))
}

impl Socket {
    fn write(&self, event: &Event, now: u64, ctx: &mut WebsocketContext<Self>) {
        // Nothing follows the close frame.
        if self.closing {
            return;
        }
        // It may have waited here for longer than it may wait.
        let Some(event) = event.unexpired(now, self.state.services.rules.ttl_ms) else {
            return;
        };
        let frame = self.dialect.borrow_mut().encode(&event);
        if let Some(frame) = frame {
            ctx.text(frame);
        }
    }

    fn write_all(&mut self, taken: Taken, ctx: &mut WebsocketContext<Self>) {
        let now = self.state.services.clock.now_ms();
        for event in &taken.events {
            match event {
                Event::Close(close) => self.close(*close, ctx),
                event => self.write(event, now, ctx),
            }
        }
        if taken.wanted
            && let Ok(attachment) = &self.attached
        {
            // It must arrive, whatever waits in the mailbox; the device asks once before it is told.
            attachment.device().addr().do_send(Report::Alive);
        }
    }

    fn close(&mut self, close: Close, ctx: &mut WebsocketContext<Self>) {
        if self.closing {
            return;
        }
        self.closing = true;
        ctx.close(Some(CloseReason {
            code: CloseCode::from(close.number()),
            description: Some(close.reason().to_string()),
        }));
        ctx.run_later(LINGER, |_, ctx| ctx.stop());
    }

    fn fault(&self, fault: Fault, ctx: &mut WebsocketContext<Self>) {
        let services = &self.state.services;
        services.metrics.refused(fault.code);
        let server_ts = services.clock.now_ms();
        if let Ok(attachment) = &self.attached {
            let from = attachment.device().uid();
            services.diary.refused(server_ts, from, &fault);
        }
        self.write(&Event::Error { fault, server_ts }, server_ts, ctx);
    }

    fn report(&self, report: Report) {
        if let Ok(attachment) = &self.attached {
            // A device that is too busy to hear of it hears of the next one.
            let _ = attachment.device().addr().try_send(report);
        }
    }

    /// Tells the device that this actor is not frozen.
    fn attend(&self) {
        if let Ok(attachment) = &self.attached {
            self.report(Report::Attended(attachment.epoch()));
        }
    }

    fn text(&mut self, text: &str, ctx: &mut WebsocketContext<Self>) {
        let decoded = self.dialect.borrow_mut().decode(text);
        if let Err(mut fault) = self.spend(text.len(), decoded.as_ref().ok()) {
            if let Err(unread) = decoded {
                (fault.id, fault.to) = (unread.id, unread.to);
            }
            return self.fault(fault, ctx);
        }
        match decoded {
            Ok(Inbound::Command(command)) => {
                self.asked.push(command);
                // Many small frames come in one read, and the device is handed them at once.
                if text.len() > ASK_BYTES || self.asked.len() >= ASK_MAX {
                    self.ask(ctx);
                }
            }
            Ok(Inbound::Refresh(token)) => self.refresh(&token, ctx),
            Ok(Inbound::Ping) => {
                if !self.closing {
                    ctx.text("pong");
                }
                self.report(Report::Alive);
            }
            Err(fault) => self.fault(fault, ctx),
        }
    }

    fn ask(&mut self, ctx: &mut WebsocketContext<Self>) {
        if let Some(ask) = self.take_asked() {
            self.hand(ask, ctx);
        }
    }

    fn take_asked(&mut self) -> Option<Ask> {
        let commands = std::mem::take(&mut self.asked);
        let attachment = self.attached.as_ref().ok()?;
        let epoch = attachment.epoch();
        (!commands.is_empty()).then_some(Ask { epoch, commands })
    }

    /// Hands a message to the device; while its mailbox is full, nothing more is read from the socket.
    fn hand<M>(&mut self, message: M, ctx: &mut WebsocketContext<Self>)
    where
        M: actix::Message<Result = ()> + Send + 'static,
        Device: Handler<M>,
    {
        let Ok(attachment) = &self.attached else {
            return;
        };
        let addr = attachment.device().addr().clone();
        match addr.try_send(message) {
            Ok(()) => {}
            Err(SendError::Full(message)) => {
                // A device that ends meanwhile ends this connection as well.
                let handed = async move {
                    let _ = addr.send(message).await;
                };
                ctx.wait(handed.into_actor(self));
            }
            Err(SendError::Closed(_)) => self.close(Close::Crashed, ctx),
        }
    }

    fn refresh(&mut self, token: &str, ctx: &mut WebsocketContext<Self>) {
        let Ok(attachment) = &self.attached else {
            return;
        };
        let (epoch, uid) = (attachment.epoch(), attachment.device().uid());
        let claims = match check(bearer(token), &self.state) {
            Ok(claims) if claims.uid == uid => claims,
            Ok(_) => return self.fault(reply::token(&TokenError::Invalid), ctx),
            Err(error) => return self.fault(reply::token(&error), ctx),
        };
        let renew = Renew {
            epoch,
            pass: pass(&claims, &self.state),
            expire_at: claims.exp_ms,
        };
        let addr = attachment.device().addr().clone();
        // Behind everything that was asked before it.
        if let Some(ask) = self.take_asked()
            && let Err(SendError::Full(ask)) = addr.try_send(ask)
        {
            let handed = async move {
                // A device that ends meanwhile ends this connection as well.
                let _ = addr.send(ask).await;
                let _ = addr.send(renew).await;
            };
            return ctx.wait(handed.into_actor(self));
        }
        self.hand(renew, ctx);
    }

    fn fragment(&mut self, item: Item, ctx: &mut WebsocketContext<Self>) {
        let (bytes, last) = match item {
            Item::FirstText(bytes) => return self.begin(true, &bytes),
            Item::FirstBinary(bytes) => return self.begin(false, &bytes),
            Item::Continue(bytes) => (bytes, false),
            Item::Last(bytes) => (bytes, true),
        };
        let Some(fragments) = self.fragments.as_mut() else {
            return;
        };
        // Bounded by the guard.
        fragments.bytes.extend_from_slice(&bytes);
        if !last {
            return;
        }
        let Some(whole) = self.fragments.take() else {
            return;
        };
        match (whole.text, std::str::from_utf8(&whole.bytes)) {
            (true, Ok(text)) => self.text(text, ctx),
            (true, Err(_)) => self.useless(whole.bytes.len(), not_utf8(), ctx),
            (false, _) => self.useless(whole.bytes.len(), not_text(), ctx),
        }
    }

    fn unreadable(&mut self, error: &ProtocolError, ctx: &mut WebsocketContext<Self>) {
        if let Some(close) = self.verdict.breach() {
            return self.close(close, ctx);
        }
        match error {
            // The frame is past, and the next one can be read.
            ProtocolError::Io(error) if error.to_string().contains("utf-8") => {
                self.useless(0, not_utf8(), ctx);
            }
            // A close frame that is none.
            error => {
                log::debug!("a client broke the WebSocket protocol: {error}");
                self.close(Close::Protocol, ctx);
                ctx.stop();
            }
        }
    }

    fn begin(&mut self, text: bool, bytes: &Bytes) {
        self.fragments = Some(Fragments {
            text,
            bytes: BytesMut::from(&bytes[..]),
        });
    }
}

impl Actor for Socket {
    type Context = WebsocketContext<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        match &mut self.attached {
            Ok(attachment) => {
                if let Some(mut frames) = attachment.take_frames() {
                    // The first frame of the login leaves before anything the client sends is looked at.
                    if let Some(taken) = frames.take() {
                        self.write_all(taken, ctx);
                    }
                    ctx.add_stream(frames);
                }
            }
            Err(fault) => {
                let fault = fault.clone();
                let close = match fault.code {
                    Code::Busy if self.state.is_draining() => Close::Draining,
                    Code::Storage | Code::Busy => Close::Crashed,
                    Code::Forbidden => Close::Kicked,
                    Code::TooFast => Close::Limited,
                    _ => Close::Token,
                };
                self.fault(fault, ctx);
                self.close(close, ctx);
            }
        }
        let idle = Duration::from_millis(self.state.settings.device.idle_timeout_ms);
        ctx.run_interval(idle / 3, move |socket, ctx| {
            // What has come and waits for its turn is a sign of life.
            if socket.verdict.is_caught_up() && socket.heard.elapsed() >= idle {
                socket.close(Close::Idle, ctx);
            } else if !socket.closing {
                ctx.ping(b"");
                socket.attend();
            }
        });
    }

    fn stopped(&mut self, _: &mut Self::Context) {
        if let Some(ask) = self.take_asked()
            && let Ok(attachment) = &self.attached
        {
            // Once for each connection: what came whole before its end is heard, whatever waits in the mailbox.
            attachment.device().addr().do_send(ask);
        }
    }
}

impl StreamHandler<Taken> for Socket {
    fn handle(&mut self, taken: Taken, ctx: &mut Self::Context) {
        self.write_all(taken, ctx);
    }

    fn finished(&mut self, ctx: &mut Self::Context) {
        // The device has ended, and not by our word.
        self.close(Close::Crashed, ctx);
    }
}

impl StreamHandler<Result<Message, ProtocolError>> for Socket {
    fn handle(&mut self, message: Result<Message, ProtocolError>, ctx: &mut Self::Context) {
        self.verdict.heard();
        match message {
            Ok(Message::Text(text)) => self.text(&text, ctx),
            Ok(Message::Binary(bytes)) => self.useless(bytes.len(), not_text(), ctx),
            Ok(Message::Continuation(item)) => self.fragment(item, ctx),
            Ok(Message::Ping(bytes)) => {
                // A ping above the rate gets no answer: an ERROR would be a longer one.
                if !self.closing && self.spend(bytes.len(), None).is_ok() {
                    ctx.pong(&bytes);
                }
                self.report(Report::Alive);
            }
            Ok(Message::Pong(bytes)) => {
                // Nothing to refuse, but bytes.
                let _ = self.spend(bytes.len(), None);
                self.report(Report::Alive);
            }
            Ok(Message::Close(reason)) => {
                if !self.closing {
                    ctx.close(reason);
                }
                ctx.stop();
            }
            Ok(Message::Nop) => {}
            Err(error) => self.unreadable(&error, ctx),
        }
        if self.verdict.is_caught_up() {
            self.heard = Instant::now();
            // Nothing that waits is carried out while this actor stops; its end hands over what is left.
            if !ctx.state().stopping() {
                self.ask(ctx);
            }
        }
    }
}

fn not_utf8() -> Fault {
    Fault::because(Code::BadFrame, "a text frame is not UTF-8")
}

fn not_text() -> Fault {
    Fault::because(Code::BadFrame, "binary frames are not understood here")
}
