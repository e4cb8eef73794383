//! The operator's shell: expressions of [`crate::erl`] evaluated over the running server.
//!
//! An evaluation runs on a thread of its own at the lowest priority, with a budget. It holds no lock that a message may
//! wait for, reads snapshots, and has the [`desk`] do what it wants done.

pub mod audit;
pub mod call;
pub mod complete;
pub mod desk;
pub mod evaluation;
pub mod host;
pub mod inboxes;
pub mod known;
pub mod observer;
pub mod seat;
pub mod table;
pub mod terms;
pub mod visit;

use std::sync::Arc;
use std::time::Instant;

use actix::ArbiterHandle;
use actix_web::web;
use parking_lot::Mutex;
use tokio::sync::{Notify, Semaphore};

use crate::actor::processes::Fixture;
use crate::erl::function::{Machine, Raised};
use crate::http::state::AppState;
use crate::store::Engine;

use audit::Audit;
use desk::{Desk, Late};
use evaluation::AT_ONCE;
use inboxes::Inboxes;
use observer::Observer;
use seat::{Seat, Seats};

/// What a token is good for on the admin listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// Everything.
    Operator,
    /// Looking.
    Reader,
}

impl Role {
    /// How the audit log names it.
    pub fn name(self) -> &'static str {
        match self {
            Role::Operator => "operator",
            Role::Reader => "reader",
        }
    }
}

/// What all evaluations share.
pub struct Shell {
    /// The server.
    pub state: web::Data<AppState>,
    /// What is stored, for reading.
    pub engine: Arc<dyn Engine>,
    /// Where things are done.
    pub desk: Desk,
    /// Who looks at all actors.
    pub observer: Observer,
    /// The sessions.
    pub seats: Seats,
    /// Who had what evaluated.
    pub audit: Audit,
    /// What waits in the inboxes.
    pub inboxes: Inboxes,
    /// A turn for each evaluation, by role.
    pub turns: [Arc<Semaphore>; 2],
    /// Relays that an operator has started.
    pub relays: Mutex<Vec<Arc<call::relay::Running>>>,
    /// The server ends in order when it is told so here.
    pub stop: Arc<Notify>,
}

/// One call of a function from an evaluation.
pub struct Call<'a> {
    /// What all evaluations share.
    pub shell: &'a Arc<Shell>,
    /// The session.
    pub seat: &'a Arc<Seat>,
    /// What the evaluator offers.
    pub machine: &'a mut dyn Machine,
    /// When the evaluation has to be over.
    pub deadline: Instant,
}

impl Shell {
    /// The shell of this server; what it does is done on the thread of `arbiter`, and `stop` ends the server.
    pub fn new(
        state: web::Data<AppState>,
        engine: Arc<dyn Engine>,
        audit: Audit,
        arbiter: ArbiterHandle,
        stop: Arc<Notify>,
    ) -> Shell {
        Shell {
            state,
            engine,
            desk: Desk::at(arbiter),
            observer: Observer::default(),
            seats: Seats::default(),
            audit,
            inboxes: Inboxes::default(),
            turns: AT_ONCE.map(|turns| Arc::new(Semaphore::new(turns))),
            relays: Mutex::default(),
            stop,
        }
    }

    /// The server goes down: evaluations end, and relays.
    pub fn end(&self) {
        self.seats.interrupt_all();
        for relay in self.relays.lock().drain(..) {
            relay.end();
        }
    }
}

impl Call<'_> {
    /// The server.
    pub fn state(&self) -> &AppState {
        &self.shell.state
    }

    /// Has something done at the desk.
    pub fn ask<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> Result<T, Raised> {
        let answer = self.shell.desk.ask(self.deadline, work);
        answer.map_err(|late| self.out_of_time(late))
    }

    /// The evaluation ends here.
    pub fn out_of_time(&self, late: Late) -> Raised {
        let eval_ms = self.state().settings.shell.eval_ms;
        let said = format!("stopped after {eval_ms} ms, which is shell.eval_ms: {late}");
        Raised::Stopped(said)
    }

    /// Reads the store aside, at the priority of the server.
    pub fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&dyn Engine) -> Result<T, crate::store::EngineError> + Send + 'static,
    ) -> Result<T, Raised> {
        let engine = self.shell.engine.clone();
        let answer = self.ask(async move { web::block(move || read(&*engine)).await })?;
        match answer {
            Ok(Ok(found)) => Ok(found),
            Ok(Err(error)) => Err(terms::failed("storage", error.to_string())),
            Err(error) => Err(terms::failed("storage", error.to_string())),
        }
    }
}
