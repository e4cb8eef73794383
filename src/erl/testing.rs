//! A host that keeps what it is told, a few natives, and a shell over both: for tests.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;

use super::eval::{Host, Limits, Waited};
use super::function::{Machine, Raised};
use super::lib;
use super::print::{Style, styled};
use super::session::{Failure, Outcome, Session};
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
        session.run(text, host, lib::find, limits, &mut |outcome| {
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

/// The value of an expression of the library, which is given more than enough for it.
pub(crate) fn evaluated(text: &str) -> Result<Term, Raised> {
    let limits = Limits {
        steps: 10_000_000,
        elements: 10_000_000,
        nesting: 400,
    };
    let mut value = Err(Raised::badarg());
    let sink = &mut |outcome: Outcome<'_>| {
        value = outcome.result.map_err(|failure| match failure {
            Failure::Raised(raised) => raised,
            other => panic!("{text}: {}", other.shown()),
        });
    };
    let host = TestHost::default();
    Session::default().run(&format!("{text}."), &host, lib::find, limits, sink);
    value
}
