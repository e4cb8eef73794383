//! The operator's shell over HTTP: text in, text out.

pub mod socket;

use std::sync::Arc;

use actix_web::http::header::{ACCEPT, HeaderMap};
use actix_web::{HttpMessage, HttpRequest, HttpResponse, Resource, web};
use parking_lot::Mutex;
use serde_json::{Value, json};

use crate::code::Code;
use crate::message::Fault;
use crate::shell::call::help;
use crate::shell::evaluation::{self, Done, NotDone, TEXT_MAX, Task};
use crate::shell::seat::NoSeat;
use crate::shell::visit::Visit;
use crate::shell::{Role, Shell};

use super::reply;

/// Names the session, which keeps its variables.
const SESSION: &str = "x-session";
/// Says that nothing is to be changed.
const DRY_RUN: &str = "x-dry-run";

/// `/repl`, with a bound of its own: a text that is a little too long is told how long it may be.
pub fn resource() -> Resource {
    web::resource("/repl")
        .app_data(web::PayloadConfig::new(4 * TEXT_MAX))
        .route(web::post().to(evaluate))
}

/// `POST /repl`: evaluates the body.
async fn evaluate(
    req: HttpRequest,
    body: Result<web::Bytes, actix_web::Error>,
    shell: web::Data<Shell>,
) -> HttpResponse {
    let role = req.extensions().get::<Role>().copied();
    let body = body.map_err(|error| reply::body(&error));
    let evaluated = match (role, body) {
        (Some(role), Ok(body)) => run(&req, role, &body, &shell).await,
        (_, Err(fault)) => Err(fault),
        (None, _) => Err(Fault::new(Code::InvalidToken)),
    };
    match evaluated {
        Ok((output, done)) => answer(req.headers(), output, done),
        Err(fault) => {
            shell.state.services.metrics.refused(fault.code);
            reply::refused(&fault)
        }
    }
}

async fn run(
    req: &HttpRequest,
    role: Role,
    body: &[u8],
    shell: &web::Data<Shell>,
) -> Result<(String, Done), Fault> {
    let text = std::str::from_utf8(body)
        .map_err(|_| Fault::because(Code::BadFrame, "the body is not UTF-8"))?;
    let name = header(req.headers(), SESSION)?;
    let visit = Visit::begin(shell.clone().into_inner(), role, name);
    let visit = visit.map_err(|no_seat| no_seat_fault(no_seat, shell))?;
    let task = Task {
        seat: visit.seat().clone(),
        text: text.to_string(),
        dry_run: wants_dry_run(req.headers())?,
        address: address(req),
    };
    let output = Arc::new(Mutex::new(String::new()));
    let printed = output.clone();
    let begun = evaluation::begin(shell, task, move |text| printed.lock().push_str(text));
    let done = begun.map_err(|not_done| not_done_fault(&not_done, shell))?;
    visit.waits(true);
    let done = done.await.map_err(|_| Fault::new(Code::Storage))?;
    visit.waits(false);
    let output = std::mem::take(&mut *output.lock());
    Ok((output, done))
}

fn answer(headers: &HeaderMap, output: String, done: Done) -> HttpResponse {
    let wants_json = headers.get(ACCEPT).and_then(|accept| accept.to_str().ok());
    if wants_json.is_some_and(|accept| accept.contains("application/json")) {
        let Done { value, error, .. } = done;
        return HttpResponse::Ok().json(json!({"value": value, "output": output, "error": error}));
    }
    let outcome = if done.error.is_some() { "error" } else { "ok" };
    HttpResponse::Ok()
        .content_type("text/plain; charset=utf-8")
        .insert_header(("x-outcome", outcome))
        .body(output)
}

/// `GET /repl/table`: every function that there is, for help and completion.
pub async fn table() -> HttpResponse {
    let entries = help::entries();
    let functions: Vec<Value> = entries
        .iter()
        .map(|entry| {
            json!({
                "module": entry.module,
                "name": entry.name,
                "arity": entry.arity,
                "usage": entry.usage,
                "doc": entry.doc,
                "changes": entry.changes,
            })
        })
        .collect();
    reply::success(json!({"functions": functions}))
}

fn header<'h>(headers: &'h HeaderMap, name: &str) -> Result<Option<&'h str>, Fault> {
    let Some(value) = headers.get(name) else {
        return Ok(None);
    };
    let value = value.to_str();
    value
        .map(Some)
        .map_err(|_| Fault::because(Code::BadFrame, format!("{name} is not plain text")))
}

fn wants_dry_run(headers: &HeaderMap) -> Result<bool, Fault> {
    match header(headers, DRY_RUN)? {
        None | Some("0" | "false") => Ok(false),
        Some("1" | "true") => Ok(true),
        Some(other) => Err(Fault::because(
            Code::BadFrame,
            format!("{DRY_RUN} is {other:?}, and 1 or 0 is expected"),
        )),
    }
}

fn address(req: &HttpRequest) -> String {
    req.peer_addr()
        .map_or_else(|| "unknown".to_string(), |addr| addr.ip().to_string())
}

fn no_seat_fault(no_seat: NoSeat, shell: &Shell) -> Fault {
    match no_seat {
        NoSeat::BadName => Fault::because(Code::BadFrame, no_seat.to_string()),
        NoSeat::Full => Fault::because(Code::TooFast, no_seat.to_string())
            .later(shell.state.services.rules.retry_ms),
    }
}

fn not_done_fault(not_done: &NotDone, shell: &Shell) -> Fault {
    let retry_ms = shell.state.services.rules.retry_ms;
    let said = not_done.to_string();
    match not_done {
        NotDone::TooLong(_) => Fault::because(Code::TooLarge, said),
        NotDone::Occupied(_) => Fault::because(Code::Conflict, said),
        NotDone::Busy => Fault::because(Code::TooFast, said).later(retry_ms),
        NotDone::NoThread | NotDone::Draining => Fault::because(Code::Busy, said).later(retry_ms),
    }
}
