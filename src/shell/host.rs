//! The world of one evaluation: the session's mailbox, the functions of the table, and who may call them.

use std::cell::{Cell, RefCell};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::actor::device::operator::Order;
use crate::actor::mailroom::DeviceRef;
use crate::erl::eval::{Host as World, Waited};
use crate::erl::function::{Machine, Raised};
use crate::erl::term::{Atom, Term};

use super::known::{self, Known};
use super::observer::Seen;
use super::seat::Seat;
use super::table::{self, Body, Function, Plan};
use super::terms::{bytes_of, failed, text};
use super::{Call, Role, Shell};

/// What one evaluation may print, bytes.
pub const OUTPUT_MAX: usize = 1 << 20;
/// Changes of one evaluation that are told one by one.
const CHANGES_MAX: usize = 100;
/// How long a look at the budget may be put off by a wait.
const GLANCE: Duration = Duration::from_millis(50);

/// The world of one evaluation.
pub struct Host<'a> {
    shell: &'a Arc<Shell>,
    seat: &'a Arc<Seat>,
    dry_run: bool,
    deadline: Instant,
    eval_ms: u64,
    print: &'a RefCell<dyn FnMut(&str)>,
    printed: Cell<usize>,
    changes: RefCell<Vec<String>>,
    more_changes: Cell<usize>,
}

impl<'a> Host<'a> {
    /// A world that ends at a deadline, after so many milliseconds, and prints by `print`; a dry run only says what would be
    /// changed.
    pub fn new(
        shell: &'a Arc<Shell>,
        seat: &'a Arc<Seat>,
        dry_run: bool,
        (deadline, eval_ms): (Instant, u64),
        print: &'a RefCell<dyn FnMut(&str)>,
    ) -> Host<'a> {
        Host {
            shell,
            seat,
            dry_run,
            deadline,
            eval_ms,
            print,
            printed: Cell::new(0),
            changes: RefCell::default(),
            more_changes: Cell::new(0),
        }
    }

    /// What was changed, or would have been: the first of it, and how much more there was.
    pub fn into_changes(self) -> Vec<String> {
        let mut changes = self.changes.into_inner();
        let more = self.more_changes.get();
        if more > 0 {
            changes.push(format!("and {more} more"));
        }
        changes
    }

    fn note(&self, change: String) {
        let mut changes = self.changes.borrow_mut();
        match changes.len() < CHANGES_MAX {
            true => changes.push(change),
            false => self.more_changes.set(self.more_changes.get() + 1),
        }
    }

    /// How much may still be printed, bytes.
    pub fn room(&self) -> usize {
        OUTPUT_MAX.saturating_sub(self.printed.get())
    }

    fn run(
        &self,
        function: &'static Function,
        machine: &mut dyn Machine,
        args: &[Term],
    ) -> Result<Term, Raised> {
        let mut call = Call {
            shell: self.shell,
            seat: self.seat,
            machine,
            deadline: self.deadline,
        };
        match function.body {
            Body::Reads(read) => read(&mut call, args),
            Body::Changes(plan) => {
                self.allow(&function.title())?;
                let plan = plan(&mut call, args)?;
                self.carry_out(&mut call, plan)
            }
        }
    }

    /// Refuses what changes anything to those who only look.
    fn allow(&self, title: &str) -> Result<(), Raised> {
        match self.seat.role {
            Role::Operator => Ok(()),
            Role::Reader => Err(failed(
                "not_allowed",
                format!("{title} changes the server, and this token only reads"),
            )),
        }
    }

    fn carry_out(&self, call: &mut Call<'_>, plan: Plan) -> Result<Term, Raised> {
        let Plan { says, run } = plan;
        if self.dry_run {
            self.note(format!("would {says}"));
            self.print(&format!("dry run: would {says}\n"))?;
            return Ok(Term::tuple([Term::atom("dry_run"), text(&says)]));
        }
        let done = run(call);
        self.note(match &done {
            Ok(_) => says,
            Err(_) => format!("{says} (which failed)"),
        });
        done
    }

    /// A message for another shell, if that is what has this number.
    fn leave_with(
        &self,
        call: &Call<'_>,
        number: u64,
        message: Term,
    ) -> Result<Option<Plan>, Raised> {
        let shell = self.shell.clone();
        let Some(seat) = call.ask(async move { shell.seats.find(number) })? else {
            return Ok(None);
        };
        self.allow("a message to another shell")?;
        let says = format!("leave a message with the shell <0.{number}.0>");
        Ok(Some(Plan::new(says, move |_| {
            seat.leave(message);
            Ok(Term::ok())
        })))
    }

    /// A frame for the client of a device, if the message is text.
    fn write_to(&self, device: DeviceRef, message: &Term) -> Result<Option<Plan>, Raised> {
        self.allow("a message to a device")?;
        let frame = bytes_of(message).and_then(|bytes| String::from_utf8(bytes).ok());
        let Some(frame) = frame.filter(|frame| !frame.is_empty()) else {
            return Ok(None);
        };
        let most = self.shell.state.settings.listen.max_payload;
        if frame.len() > most {
            let said = format!(
                "it has {} bytes, and at most {most} are allowed",
                frame.len()
            );
            return Err(failed("bad_message", said));
        }
        let says = format!(
            "write a frame of {} bytes to {} of user {}",
            frame.len(),
            device.did(),
            device.uid()
        );
        Ok(Some(Plan::new(says, move |call| {
            known::order(call, &device, Order::Text(frame.into()))
        })))
    }
}

impl World for Host<'_> {
    fn me(&self) -> u64 {
        self.seat.number
    }

    fn send(&self, to: &Term, message: Term) -> Result<(), Raised> {
        let mut silent = Silent;
        let mut call = Call {
            shell: self.shell,
            seat: self.seat,
            machine: &mut silent,
            deadline: self.deadline,
        };
        let number = match to {
            Term::Pid(number) => *number,
            Term::Atom(name) => {
                let name = name.as_str().to_string();
                let state = self.shell.state.clone();
                let found = call.ask(async move { state.services.processes.whereis(&name) })?;
                found.ok_or_else(Raised::badarg)?
            }
            _ => return Err(Raised::badarg()),
        };
        if number == self.seat.number {
            self.seat.leave(message);
            return Ok(());
        }
        let plan = match known::find(&call, number)? {
            Some(Known::Fixture(..)) => self.leave_with(&call, number, message)?,
            Some(Known::Device(Seen { device, .. }, _)) => self.write_to(device, &message)?,
            _ => None,
        };
        match plan {
            Some(plan) => self.carry_out(&mut call, plan).map(drop),
            // To whoever is dead, or would not know what to do with it, a message is lost, as in Erlang.
            None => Ok(()),
        }
    }

    fn receive(&self) -> Option<Term> {
        self.seat.next_message()
    }

    fn put_back(&self, messages: Vec<Term>) {
        self.seat.put_back(messages);
    }

    fn wait(&self, ms: Option<u64>) -> Result<Waited, Raised> {
        let begun = Instant::now();
        let until = ms.map(|ms| begun + Duration::from_millis(ms));
        loop {
            self.still().map_err(Raised::Stopped)?;
            let glance = Instant::now() + GLANCE;
            let look = until.map_or(glance, |until| until.min(glance));
            if self.seat.wait(0, look) {
                let left = until.map(|until| {
                    let left = until.saturating_duration_since(Instant::now());
                    left.as_millis() as u64
                });
                return Ok(Waited::Message(left));
            }
            if until.is_some_and(|until| Instant::now() >= until) {
                return Ok(Waited::Over);
            }
        }
    }

    fn call(
        &self,
        machine: &mut dyn Machine,
        module: Option<&Atom>,
        name: &Atom,
        args: &[Term],
    ) -> Option<Result<Term, Raised>> {
        let (name, arity) = (name.as_str(), args.len());
        let function = match module {
            Some(module) => table::find(module.as_str(), name, arity),
            None => table::find(table::COMMANDS, name, arity)
                .or_else(|| table::find("erlang", name, arity)),
        };
        Some(self.run(function?, machine, args))
    }

    fn still(&self) -> Result<(), String> {
        if self.printed.get() > OUTPUT_MAX {
            return Err(too_much());
        }
        if self.seat.is_interrupted() {
            return Err("interrupted".to_string());
        }
        if Instant::now() >= self.deadline {
            return Err(format!(
                "stopped after {} ms, which is shell.eval_ms",
                self.eval_ms
            ));
        }
        Ok(())
    }

    fn print(&self, text: &str) -> Result<(), Raised> {
        let printed = self.printed.get() + text.len();
        self.printed.set(printed);
        if printed > OUTPUT_MAX {
            return Err(Raised::Stopped(too_much()));
        }
        (self.print.borrow_mut())(text);
        Ok(())
    }
}

fn too_much() -> String {
    format!("stopped: an evaluation may print {OUTPUT_MAX} bytes")
}

/// Stands in for the evaluator where nothing is applied and nothing printed.
struct Silent;

impl Machine for Silent {
    fn apply(&mut self, _: &Term, _: Vec<Term>) -> Result<Term, Raised> {
        Err(Raised::badarg())
    }

    fn charge(&mut self, _: usize) -> Result<(), Raised> {
        Ok(())
    }

    fn print(&mut self, _: &str) -> Result<(), Raised> {
        Ok(())
    }
}
