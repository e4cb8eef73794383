//! A host that keeps what it is told, a few natives, and a shell over both: for tests.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;

use super::eval::{Host, Limits, Waited};
use super::function::{Machine, Native, Raised};
use super::print::{Style, styled};
use super::session::Session;
use super::term::{Atom, Term};

/// The pid of the shell.
pub(crate) const ME: u64 = 85;

pub(crate) const LIMITS: Limits = Limits {
    steps: 200_000,
    elements: 2_000_000,
    nesting: 400,
};

/// A world of one mailbox and one registered name, `echo`.
#[derive(Default)]
pub(crate) struct TestHost {
    pub(crate) mailbox: RefCell<VecDeque<Term>>,
    pub(crate) printed: RefCell<String>,
    /// How often it still says yes, if it is to say no at all.
    pub(crate) patience: Cell<Option<usize>>,
}

impl Host for TestHost {
    fn me(&self) -> u64 {
        ME
    }

    fn send(&self, to: &Term, message: Term) -> Result<(), Raised> {
        if !matches!(to, Term::Pid(ME)) && !to.is_atom("echo") {
            return Err(Raised::badarg());
        }
        self.mailbox.borrow_mut().push_back(message);
        Ok(())
    }

    fn receive(&self) -> Option<Term> {
        self.mailbox.borrow_mut().pop_front()
    }

    fn put_back(&self, messages: Vec<Term>) {
        let mut mailbox = self.mailbox.borrow_mut();
        for message in messages.into_iter().rev() {
            mailbox.push_front(message);
        }
    }

    fn wait(&self, ms: Option<u64>) -> Result<Waited, Raised> {
        match ms {
            _ if !self.mailbox.borrow().is_empty() => Ok(Waited::Message(ms)),
            Some(_) => Ok(Waited::Over),
            None => Err(Raised::Stopped("nothing will ever come".to_string())),
        }
    }

    fn call(
        &self,
        machine: &mut dyn Machine,
        module: Option<&Atom>,
        name: &Atom,
        args: &[Term],
    ) -> Option<Result<Term, Raised>> {
        match (module.map(Atom::as_str), name.as_str(), args) {
            (None, "twice", [fun, value]) => {
                let once = machine.apply(fun, vec![value.clone()]);
                Some(once.and_then(|value| machine.apply(fun, vec![value])))
            }
            (Some("host"), "fail", [_]) => Some(Err(Raised::badarg())),
            (Some("host"), "name", []) => Some(Ok(Term::atom("test"))),
            _ => None,
        }
    }

    fn still(&self) -> Result<(), String> {
        match self.patience.get() {
            Some(0) => Err("stopped by the operator".to_string()),
            Some(left) => {
                self.patience.set(Some(left - 1));
                Ok(())
            }
            None => Ok(()),
        }
    }

    fn print(&self, text: &str) -> Result<(), Raised> {
        self.printed.borrow_mut().push_str(text);
        Ok(())
    }
}

/// A session with its host.
#[derive(Default)]
pub(crate) struct Shell {
    pub(crate) host: TestHost,
    pub(crate) session: Session,
}

impl Shell {
    /// What it shows for a text: what was printed, and the value or the error of each sentence, one below the other.
    pub(crate) fn shows(&mut self, text: &str) -> String {
        self.shows_within(text, LIMITS)
    }

    pub(crate) fn shows_within(&mut self, text: &str, limits: Limits) -> String {
        let (session, host) = (&mut self.session, &self.host);
        session.run(text, host, find, limits, &mut |outcome| {
            let shown = match outcome.result {
                Ok(value) => styled(&value, Style::shell(1).within(10_000)),
                Err(failure) => failure.shown(),
            };
            host.printed.borrow_mut().push_str(&format!("{shown}\n"));
        });
        let shown = std::mem::take(&mut *host.printed.borrow_mut());
        shown.trim_end().to_string()
    }
}

/// What a fresh shell shows for a text.
pub(crate) fn shows(text: &str) -> String {
    Shell::default().shows(text)
}

/// Holds a table of texts against what is shown for each.
#[track_caller]
pub(crate) fn each_shows(cases: &[(&str, &str)]) {
    for (text, shown) in cases {
        assert_eq!(shows(text), *shown, "for {text}");
    }
}

pub(crate) fn find(module: &str, name: &str, arity: usize) -> Option<&'static Native> {
    let mut natives = NATIVES.iter();
    natives.find(|native| (native.module, native.name, native.arity) == (module, name, arity))
}

const fn native(
    module: &'static str,
    name: &'static str,
    arity: usize,
    call: fn(&mut dyn Machine, &[Term]) -> Result<Term, Raised>,
) -> Native {
    Native {
        module,
        name,
        arity,
        usage: "",
        doc: "",
        call,
    }
}

static NATIVES: [Native; 6] = [
    native("erlang", "error", 1, |_, args| {
        Err(Raised::error(args[0].clone()))
    }),
    native("erlang", "exit", 1, |_, args| {
        Err(Raised::Exit(args[0].clone()))
    }),
    native("erlang", "throw", 1, |_, args| {
        Err(Raised::Throw(args[0].clone()))
    }),
    native("erlang", "hd", 1, |_, args| match &args[0] {
        Term::Cons(cons) => Ok(cons.head().clone()),
        _ => Err(Raised::badarg()),
    }),
    native("erlang", "is_atom", 1, |_, args| {
        Ok(Term::bool(args[0].as_atom().is_some()))
    }),
    native("lists", "map", 2, |machine, args| {
        let Some(items) = args[1].as_list() else {
            return Err(Raised::error(Term::atom("function_clause")));
        };
        machine.charge(items.len())?;
        let mapped: Result<Vec<Term>, Raised> = items
            .into_iter()
            .map(|item| machine.apply(&args[0], vec![item]))
            .collect();
        mapped.map(Term::list)
    }),
];
