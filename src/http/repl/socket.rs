//! The shell over a WebSocket, for whoever types: output as it comes, interruption, completion.

use std::sync::Arc;
use std::time::{Duration, Instant};

use actix::{
    Actor, ActorContext, ActorFutureExt, AsyncContext, Handler, StreamHandler, WrapFuture,
};
use actix_web::{HttpRequest, HttpResponse, web};
use actix_web_actors::ws::{
    self, CloseCode, CloseReason, Message, ProtocolError, WebsocketContext,
};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::code::Code;
use crate::http::{door, reply};
use crate::message::Fault;
use crate::shell::complete;
use crate::shell::evaluation::{self, Done, TEXT_MAX, Task};
use crate::shell::visit::Visit;
use crate::shell::{Role, Shell};

/// How long somebody may take to show a token.
const LOGIN_MAX: Duration = Duration::from_secs(5);
/// How often the other side is asked whether it is there, and for how long it may say nothing.
const PING_EVERY: Duration = Duration::from_secs(20);
const SILENCE_MAX: Duration = Duration::from_secs(60);
/// The longest frame, bytes: a text, written as JSON.
const FRAME_MAX: usize = 2 * TEXT_MAX;
/// The token is not good.
const REFUSED: u16 = 4001;

/// `GET /repl/ws`: who shows a token in the header is in; a browser, which cannot, shows it in its first frame.
pub async fn connect(
    req: HttpRequest,
    payload: web::Payload,
    shell: web::Data<Shell>,
) -> HttpResponse {
    let role = door::role(reply::bearer_of(req.headers()), &shell.state);
    if role.is_none() && door::shows_one(req.headers()) {
        return refused(&shell, &Fault::new(Code::InvalidToken));
    }
    let named = match super::header(req.headers(), super::SESSION) {
        Ok(named) => named.map(str::to_string),
        Err(fault) => return refused(&shell, &fault),
    };
    let mut line = Line {
        shell: shell.into_inner(),
        address: super::address(&req),
        place: None,
        heard: Instant::now(),
    };
    if let Some(role) = role
        && let Err(fault) = line.sit_down(role, named.as_deref())
    {
        return refused(&line.shell, &fault);
    }
    let upgraded = ws::WsResponseBuilder::new(line, &req, payload)
        .frame_size(FRAME_MAX)
        .start();
    upgraded.unwrap_or_else(|error| {
        let msg = format!("this address is for WebSockets: {error}");
        reply::refused(&Fault::because(Code::BadFrame, msg))
    })
}

fn refused(shell: &Shell, fault: &Fault) -> HttpResponse {
    shell.state.services.metrics.refused(fault.code);
    reply::refused(fault)
}

/// One connection.
struct Line {
    shell: Arc<Shell>,
    address: String,
    place: Option<Place>,
    heard: Instant,
}

struct Place {
    visit: Visit,
    /// The variables after the last evaluation, and the number of the next sentence.
    variables: Vec<String>,
    next: u64,
}

#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "lowercase", deny_unknown_fields)]
enum Asked {
    Auth {
        token: String,
        session: Option<String>,
    },
    Eval {
        id: Value,
        text: String,
        #[serde(default)]
        dry_run: bool,
    },
    Interrupt,
    Complete {
        id: Value,
        text: String,
    },
}

/// Something was printed.
#[derive(actix::Message)]
#[rtype(result = "()")]
struct Output {
    id: Value,
    text: String,
}

/// An evaluation is over.
#[derive(actix::Message)]
#[rtype(result = "()")]
struct Finished {
    id: Value,
    done: Done,
}

impl Line {
    fn sit_down(&mut self, role: Role, name: Option<&str>) -> Result<(), Fault> {
        let visit = Visit::begin(self.shell.clone(), role, name);
        let visit = visit.map_err(|no_seat| super::no_seat_fault(no_seat, &self.shell))?;
        // One that is at work tells when it is done.
        let (variables, next) = visit.seat().standing().unwrap_or_default();
        self.place = Some(Place {
            visit,
            variables,
            next,
        });
        Ok(())
    }

    fn greet(&self, ctx: &mut WebsocketContext<Self>) {
        if let Some(Place { visit, next, .. }) = &self.place {
            let seat = visit.seat();
            say(
                ctx,
                &json!({
                    "type": "hello",
                    "version": env!("CARGO_PKG_VERSION"),
                    "pid": format!("<0.{}.0>", seat.number),
                    "session": seat.name,
                    "read_only": seat.role == Role::Reader,
                    "next": next,
                }),
            );
        }
    }

    fn asked(&mut self, text: &str, ctx: &mut WebsocketContext<Self>) {
        let asked = match serde_json::from_str(text) {
            Ok(asked) => asked,
            Err(error) => return complain(ctx, &format!("the frame is not understood: {error}")),
        };
        match asked {
            Asked::Auth { token, session } => self.log_in(&token, session.as_deref(), ctx),
            _ if self.place.is_none() => end(ctx, REFUSED, "a token is expected first"),
            Asked::Eval { id, text, dry_run } => self.evaluate(id, text, dry_run, ctx),
            Asked::Interrupt => {
                if let Some(place) = &self.place {
                    place.visit.seat().interrupt();
                }
            }
            Asked::Complete { id, text } => {
                let variables = self.place.as_ref().map(|place| &place.variables[..]);
                let found = complete::complete(&text, variables.unwrap_or_default());
                say(
                    ctx,
                    &json!({
                        "type": "complete",
                        "id": id,
                        "from": found.from,
                        "candidates": found.candidates,
                    }),
                );
            }
        }
    }

    fn log_in(&mut self, token: &str, session: Option<&str>, ctx: &mut WebsocketContext<Self>) {
        if self.place.is_some() {
            return complain(ctx, "a token was shown before");
        }
        let Some(role) = door::role(token, &self.shell.state) else {
            self.shell
                .state
                .services
                .metrics
                .refused(Code::InvalidToken);
            return end(ctx, REFUSED, Code::InvalidToken.message());
        };
        match self.sit_down(role, session) {
            Ok(()) => self.greet(ctx),
            Err(fault) => {
                complain(ctx, &fault.msg);
                end(ctx, CloseCode::Policy.into(), &fault.msg);
            }
        }
    }

    fn evaluate(
        &mut self,
        id: Value,
        text: String,
        dry_run: bool,
        ctx: &mut WebsocketContext<Self>,
    ) {
        let Some(place) = &self.place else {
            return;
        };
        let task = Task {
            seat: place.visit.seat().clone(),
            text,
            dry_run,
            address: self.address.clone(),
        };
        let (addr, asked) = (ctx.address(), id.clone());
        let print = move |text: &str| {
            // What one evaluation prints has a bound, and there is one at a time.
            addr.do_send(Output {
                id: asked.clone(),
                text: text.to_string(),
            });
        };
        let done = match evaluation::begin(&self.shell, task, print) {
            Ok(done) => done,
            Err(not_done) => {
                let error = format!("** {not_done}");
                let text = format!("{error}\n");
                say(ctx, &json!({"type": "output", "id": id, "text": text}));
                let done = Done {
                    error: Some(error),
                    ..Done::default()
                };
                return self.finish(&id, done, ctx);
            }
        };
        place.visit.waits(true);
        // Behind the last output, which is in the mailbox.
        let finished = done.into_actor(self).map(move |done, _, ctx| {
            let done = done.unwrap_or_default();
            ctx.notify(Finished { id, done });
        });
        ctx.spawn(finished);
    }

    fn finish(&mut self, id: &Value, done: Done, ctx: &mut WebsocketContext<Self>) {
        let Some(place) = &mut self.place else {
            return;
        };
        if done.next > 0 {
            place.visit.waits(false);
            place.variables = done.variables;
            place.next = done.next;
        }
        say(
            ctx,
            &json!({
                "type": "done",
                "id": id,
                "value": done.value,
                "error": done.error,
                "next": place.next,
            }),
        );
    }
}

fn say(ctx: &mut WebsocketContext<Line>, frame: &Value) {
    ctx.text(frame.to_string());
}

fn complain(ctx: &mut WebsocketContext<Line>, msg: &str) {
    say(ctx, &json!({"type": "error", "msg": msg}));
}

fn end(ctx: &mut WebsocketContext<Line>, code: u16, why: &str) {
    ctx.close(Some(CloseReason {
        code: CloseCode::from(code),
        description: Some(why.to_string()),
    }));
    ctx.stop();
}

impl Actor for Line {
    type Context = WebsocketContext<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        self.greet(ctx);
        ctx.run_later(LOGIN_MAX, |line, ctx| {
            if line.place.is_none() {
                end(ctx, REFUSED, "no token was shown in time");
            }
        });
        ctx.run_interval(PING_EVERY, |line, ctx| {
            if line.heard.elapsed() > SILENCE_MAX {
                return ctx.stop();
            }
            ctx.ping(b"");
        });
    }
}

impl Handler<Output> for Line {
    type Result = ();

    fn handle(&mut self, Output { id, text }: Output, ctx: &mut Self::Context) {
        say(ctx, &json!({"type": "output", "id": id, "text": text}));
    }
}

impl Handler<Finished> for Line {
    type Result = ();

    fn handle(&mut self, Finished { id, done }: Finished, ctx: &mut Self::Context) {
        self.finish(&id, done, ctx);
    }
}

impl StreamHandler<Result<Message, ProtocolError>> for Line {
    fn handle(&mut self, message: Result<Message, ProtocolError>, ctx: &mut Self::Context) {
        self.heard = Instant::now();
        match message {
            Ok(Message::Text(text)) => self.asked(&text, ctx),
            Ok(Message::Ping(bytes)) => ctx.pong(&bytes),
            Ok(Message::Pong(_) | Message::Nop) => {}
            Ok(Message::Close(reason)) => {
                ctx.close(reason);
                ctx.stop();
            }
            Ok(Message::Binary(_) | Message::Continuation(_)) => {
                complain(ctx, "frames are whole and of text");
            }
            Err(error) => {
                let code = match error {
                    ProtocolError::Overflow => CloseCode::Size,
                    _ => CloseCode::Protocol,
                };
                end(ctx, code.into(), &error.to_string());
            }
        }
    }
}
