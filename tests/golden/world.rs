//! A shell without a server behind it.

use std::cell::RefCell;
use std::collections::VecDeque;

use yizhan::erl::eval::{Host, Waited};
use yizhan::erl::function::{Machine, Raised};
use yizhan::erl::print::{Style, styled};
use yizhan::erl::term::{Atom, Term};

/// How much is printed before an evaluation is ended, in bytes.
const PRINTED_MAX: usize = 1 << 20;
/// How many messages the mailbox takes.
const MESSAGES_MAX: usize = 1000;

/// One mailbox, and what was printed.
#[derive(Default)]
pub struct World {
    mailbox: RefCell<VecDeque<Term>>,
    printed: RefCell<String>,
}

impl World {
    /// Prints a line.
    pub fn show(&self, text: &str) {
        let mut printed = self.printed.borrow_mut();
        printed.push_str(text);
        printed.push('\n');
    }

    /// What was printed since this was asked before.
    pub fn take_printed(&self) -> String {
        self.printed.take()
    }
}

impl Host for World {
    fn me(&self) -> u64 {
        1
    }

    fn send(&self, to: &Term, message: Term) -> Result<(), Raised> {
        match to {
            Term::Pid(1) if self.mailbox.borrow().len() >= MESSAGES_MAX => {
                Err(Raised::Stopped("the mailbox is full".to_owned()))
            }
            Term::Pid(1) => {
                self.mailbox.borrow_mut().push_back(message);
                Ok(())
            }
            Term::Pid(_) => Ok(()),
            _ => Err(Raised::badarg()),
        }
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

    fn wait(&self, _: Option<u64>) -> Result<Waited, Raised> {
        // Nobody else is there who could send anything.
        Ok(Waited::Over)
    }

    fn call(
        &self,
        machine: &mut dyn Machine,
        module: Option<&Atom>,
        name: &Atom,
        args: &[Term],
    ) -> Option<Result<Term, Raised>> {
        match (module.map(Atom::as_str), name.as_str(), args) {
            (None | Some("erlang"), "self", []) => Some(Ok(Term::Pid(1))),
            (None | Some("erlang"), "is_process_alive", [Term::Pid(pid)]) => {
                Some(Ok(Term::bool(*pid == 1)))
            }
            (None | Some("erlang"), "is_process_alive", [_]) => Some(Err(Raised::badarg())),
            (None | Some("erlang"), "whereis", [Term::Atom(_)]) => {
                Some(Ok(Term::atom("undefined")))
            }
            (None, "flush", []) => {
                let mailbox = self.mailbox.take();
                let lines = mailbox.iter().map(|message| {
                    let shown = styled(message, Style::shell(10));
                    machine.print(&format!("Shell got {shown}\n"))
                });
                let printed: Result<(), Raised> = lines.collect();
                Some(printed.map(|()| Term::ok()))
            }
            _ => None,
        }
    }

    fn still(&self) -> Result<(), String> {
        Ok(())
    }

    fn print(&self, text: &str) -> Result<(), Raised> {
        let mut printed = self.printed.borrow_mut();
        if printed.len() + text.len() > PRINTED_MAX {
            return Err(Raised::Stopped("too much was printed".to_owned()));
        }
        printed.push_str(text);
        Ok(())
    }
}
