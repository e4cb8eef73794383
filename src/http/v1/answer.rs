//! What a handler gives back: the envelope of success, or the refusal in the one shape of all.

use std::fmt;

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, ResponseError};
use serde::Serialize;

use crate::code::Code;
use crate::http::reply;
use crate::http::state::AppState;
use crate::message::look::{Found, Look};
use crate::message::{Answer, Fault, Op};

/// What a handler gives back.
pub(super) type Reply = Result<HttpResponse, Refused>;

/// A refusal on its way out.
#[derive(Debug)]
pub struct Refused(Fault);

impl Refused {
    /// What was refused, and why.
    pub fn fault(&self) -> &Fault {
        &self.0
    }
}

impl From<Fault> for Refused {
    fn from(fault: Fault) -> Refused {
        Refused(fault)
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.0.code.number(), self.0.msg)
    }
}

impl ResponseError for Refused {
    fn status_code(&self) -> StatusCode {
        reply::status(&self.0)
    }

    fn error_response(&self) -> HttpResponse {
        reply::refused(&self.0)
    }
}

/// Success.
pub(super) fn success(payload: impl Serialize) -> Reply {
    Ok(reply::success(payload))
}

/// Success that has nothing to say.
pub(super) fn done() -> Reply {
    success(super::schema::Empty {})
}

/// An answer that does not fit its question.
pub(super) fn unexpected() -> Fault {
    Fault::new(Code::Storage)
}

/// Asks the committer for something that could be read.
///
/// What makes no sense all the same, as things are, is a conflict with them: 400 is for what cannot be read, and repeating
/// that never helps.
pub(super) async fn commit(op: Op, state: &AppState) -> Result<Answer, Fault> {
    state.commit(op).await.map_err(|mut fault| {
        if fault.code == Code::BadFrame {
            fault.code = Code::Conflict;
        }
        fault
    })
}

/// Asks the readers, and waits until what they found is durable: they may see it before that.
pub(super) async fn look(look: Look, state: &AppState) -> Result<Found, Fault> {
    let durable = state.services.commits.durable();
    let openings = durable.openings();
    let found = state.look(look).await?;
    state.commit(Op::Barrier).await?;
    // What a store that failed has lost must not have been seen.
    match durable.openings() == openings {
        true => Ok(found),
        false => Err(Fault::new(Code::Storage)),
    }
}
