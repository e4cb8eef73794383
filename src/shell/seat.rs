//! Sessions: each a process with a mailbox, and what its variables are bound to.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Instant;

use parking_lot::{Condvar, Mutex};

use crate::actor::processes::{Fixture, Processes};
use crate::erl::session::Session;
use crate::erl::term::Term;

use super::Role;

/// Sessions of operators at once, and of those who only look; beyond it the one of its sort that was idle for longest has to
/// go.
pub const SEATS_MAX: [usize; 2] = [48, 16];
/// Stands in the names of sessions that have none: no name that somebody gives has it.
const UNNAMED: char = '~';
/// Messages that wait for one shell; one more is dropped, as the oldest is the one that is asked for.
const MAILBOX_MAX: usize = 1000;
/// The longest name of a session, bytes.
const NAME_MAX: usize = 64;

/// One session.
pub struct Seat {
    /// Its number as a process.
    pub number: u64,
    /// Its name.
    pub name: String,
    /// What its token is good for.
    pub role: Role,
    since_ms: u64,
    /// Taken by the evaluation that is at work.
    session: Mutex<Option<Session>>,
    mailbox: Mutex<VecDeque<Term>>,
    came: Condvar,
    /// Whether the evaluation at work is to end.
    interrupted: AtomicBool,
    used_ms: AtomicU64,
    /// Requests and connections that are there.
    visitors: AtomicUsize,
}

/// An evaluation is at work in that session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an evaluation is at work in this session")]
pub struct Occupied;

/// Why there is no session for somebody.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoSeat {
    /// The name is none.
    #[error("the name of a session is 1 to 64 letters, digits, '-', '_' and '.'")]
    BadName,
    /// All are in use.
    #[error("too many sessions are in use")]
    Full,
}

impl Seat {
    fn new(number: u64, name: &str, role: Role, since_ms: u64) -> Seat {
        Seat {
            number,
            name: name.to_string(),
            role,
            since_ms,
            session: Mutex::new(Some(Session::default())),
            mailbox: Mutex::default(),
            came: Condvar::new(),
            interrupted: AtomicBool::new(false),
            used_ms: AtomicU64::new(since_ms),
            visitors: AtomicUsize::new(0),
        }
    }

    /// Takes what is bound, for one evaluation.
    pub fn take(&self, now_ms: u64) -> Result<Session, Occupied> {
        let session = self.session.lock().take().ok_or(Occupied)?;
        self.interrupted.store(false, Ordering::Release);
        self.used_ms.store(now_ms, Ordering::Relaxed);
        Ok(session)
    }

    /// Gives it back.
    pub fn give_back(&self, session: Session) {
        *self.session.lock() = Some(session);
    }

    /// The variables and the number of the next sentence; none while an evaluation is at work.
    pub fn standing(&self) -> Option<(Vec<String>, u64)> {
        let session = self.session.lock();
        let session = session.as_ref()?;
        let variables = session.variables().map(str::to_string).collect();
        Some((variables, session.next_number()))
    }

    /// Whether an evaluation is at work.
    pub fn is_at_work(&self) -> bool {
        self.session.lock().is_none()
    }

    /// Ends the evaluation that is at work, soon.
    pub fn interrupt(&self) {
        self.interrupted.store(true, Ordering::Release);
        self.came.notify_all();
    }

    /// Whether the evaluation is to end.
    pub fn is_interrupted(&self) -> bool {
        self.interrupted.load(Ordering::Acquire)
    }

    /// Leaves a message; false if there is no room for it.
    pub fn leave(&self, message: Term) -> bool {
        let mut mailbox = self.mailbox.lock();
        if mailbox.len() >= MAILBOX_MAX {
            return false;
        }
        mailbox.push_back(message);
        drop(mailbox);
        self.came.notify_all();
        true
    }

    /// Takes the oldest message.
    pub fn next_message(&self) -> Option<Term> {
        self.mailbox.lock().pop_front()
    }

    /// Puts messages back before all others, in their order.
    pub fn put_back(&self, messages: Vec<Term>) {
        let mut mailbox = self.mailbox.lock();
        for message in messages.into_iter().rev() {
            mailbox.push_front(message);
        }
    }

    /// Waits until more than `known` messages are there, an interruption comes, or it is `until`; whether more are there.
    pub fn wait(&self, known: usize, until: Instant) -> bool {
        let mut mailbox = self.mailbox.lock();
        while mailbox.len() <= known && !self.is_interrupted() {
            if self.came.wait_until(&mut mailbox, until).timed_out() {
                break;
            }
        }
        mailbox.len() > known
    }

    /// A visitor has gone.
    pub fn leave_seat(&self) {
        self.visitors.fetch_sub(1, Ordering::AcqRel);
    }

    fn is_free(&self) -> bool {
        self.visitors.load(Ordering::Acquire) == 0 && !self.is_at_work()
    }

    /// How long nobody has used it, milliseconds.
    pub fn idle_ms(&self, now_ms: u64) -> u64 {
        now_ms.saturating_sub(self.used_ms.load(Ordering::Relaxed))
    }
}

impl Fixture for Seat {
    fn kind(&self) -> &'static str {
        "shell"
    }

    fn label(&self) -> String {
        format!("{} ({})", self.name, self.role.name())
    }

    fn since_ms(&self) -> u64 {
        self.since_ms
    }

    fn mailbox(&self) -> usize {
        self.mailbox.lock().len()
    }

    fn is_endable(&self) -> bool {
        true
    }

    fn end(&self) {
        self.interrupt();
    }
}

/// All sessions.
#[derive(Default)]
pub struct Seats {
    by_name: Mutex<HashMap<(Role, String), Arc<Seat>>>,
    unnamed: AtomicU64,
}

impl Seats {
    /// The session of that name for that role, or a new one, with one more visitor.
    pub fn seat(
        &self,
        role: Role,
        name: &str,
        processes: &Processes,
        now_ms: u64,
    ) -> Result<Arc<Seat>, NoSeat> {
        match is_name(name) {
            true => self.sit(role, name, processes, now_ms),
            false => Err(NoSeat::BadName),
        }
    }

    fn sit(
        &self,
        role: Role,
        name: &str,
        processes: &Processes,
        now_ms: u64,
    ) -> Result<Arc<Seat>, NoSeat> {
        let mut seats = self.by_name.lock();
        if let Some(seat) = seats.get(&(role, name.to_string())) {
            seat.visitors.fetch_add(1, Ordering::AcqRel);
            return Ok(seat.clone());
        }
        let own = || seats.values().filter(|seat| seat.role == role);
        if own().count() >= SEATS_MAX[role as usize] {
            let idle = own().filter(|seat| seat.is_free());
            let idlest = idle.max_by_key(|seat| seat.idle_ms(now_ms));
            let Some(idlest) = idlest.cloned() else {
                return Err(NoSeat::Full);
            };
            seats.remove(&(idlest.role, idlest.name.clone()));
            processes.remove(idlest.number);
        }
        let seat = Arc::new(Seat::new(processes.number(), name, role, now_ms));
        seat.visitors.fetch_add(1, Ordering::AcqRel);
        processes.add_as(seat.number, seat.clone());
        seats.insert((role, name.to_string()), seat.clone());
        Ok(seat)
    }

    /// A session that nobody can come back to.
    pub fn unnamed(
        &self,
        role: Role,
        processes: &Processes,
        now_ms: u64,
    ) -> Result<Arc<Seat>, NoSeat> {
        let number = self.unnamed.fetch_add(1, Ordering::Relaxed);
        self.sit(role, &format!("{UNNAMED}{number}"), processes, now_ms)
    }

    /// Ends a session that nobody will come back to.
    pub fn remove(&self, seat: &Seat, processes: &Processes) {
        let removed = self.by_name.lock().remove(&(seat.role, seat.name.clone()));
        if let Some(removed) = removed {
            processes.remove(removed.number);
        }
    }

    /// The session with that number.
    pub fn find(&self, number: u64) -> Option<Arc<Seat>> {
        let seats = self.by_name.lock();
        seats.values().find(|seat| seat.number == number).cloned()
    }

    /// Ends every evaluation that is at work: the server goes down.
    pub fn interrupt_all(&self) {
        for seat in self.by_name.lock().values() {
            seat.interrupt();
        }
    }
}

fn is_name(name: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    (1..=NAME_MAX).contains(&name.len()) && name.bytes().all(plain)
}
