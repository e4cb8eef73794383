//! Somebody at a session: a request, or a connection.

use std::cell::Cell;
use std::sync::Arc;

use super::seat::{NoSeat, Seat};
use super::{Role, Shell};

/// Dropped when the request is answered or the connection has ended.
pub struct Visit {
    shell: Arc<Shell>,
    seat: Arc<Seat>,
    /// Nobody can come back to a session without a name.
    is_named: bool,
    is_waiting: Cell<bool>,
}

impl Visit {
    /// Sits down at the session of that name, or at a new one that ends with the visit.
    pub fn begin(shell: Arc<Shell>, role: Role, name: Option<&str>) -> Result<Visit, NoSeat> {
        let services = &shell.state.services;
        let (processes, now) = (&services.processes, services.clock.now_ms());
        let seat = match name {
            Some(name) => shell.seats.seat(role, name, processes, now)?,
            None => shell.seats.unnamed(role, processes, now)?,
        };
        Ok(Visit {
            is_named: name.is_some(),
            is_waiting: Cell::new(false),
            shell,
            seat,
        })
    }

    /// The session.
    pub fn seat(&self) -> &Arc<Seat> {
        &self.seat
    }

    /// Whether an evaluation of this visitor is at work.
    pub fn waits(&self, is_waiting: bool) {
        self.is_waiting.set(is_waiting);
    }
}

impl Drop for Visit {
    fn drop(&mut self) {
        if self.is_waiting.get() {
            // Nobody would hear what it comes to.
            self.seat.interrupt();
        }
        self.seat.leave_seat();
        if !self.is_named {
            let processes = &self.shell.state.services.processes;
            self.shell.seats.remove(&self.seat, processes);
        }
    }
}
