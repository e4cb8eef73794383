//! What the language asks of the world around it.

use crate::erl::function::{Machine, Raised};
use crate::erl::term::{Atom, Term};

/// The world of one evaluation. It is shared with the functions that it runs, so its own state is in cells.
pub trait Host {
    /// The number of the pid that `self/0` is.
    fn me(&self) -> u64;

    /// `To ! Message`; `badarg` if there can be no such receiver.
    fn send(&self, to: &Term, message: Term) -> Result<(), Raised>;

    /// Takes the next message of the mailbox.
    fn receive(&self) -> Option<Term>;

    /// Puts messages back before all others, in this order.
    fn put_back(&self, messages: Vec<Term>);

    /// Waits until there is a message to receive, without a time or for so many milliseconds.
    fn wait(&self, ms: Option<u64>) -> Result<Waited, Raised>;

    /// Calls a function that is no native; nothing if there is none. Without a module it is a command of the shell.
    fn call(
        &self,
        machine: &mut dyn Machine,
        module: Option<&Atom>,
        name: &Atom,
        args: &[Term],
    ) -> Option<Result<Term, Raised>>;

    /// Whether to go on; otherwise a sentence for the operator.
    fn still(&self) -> Result<(), String>;

    /// Prints for the operator.
    fn print(&self, text: &str) -> Result<(), Raised>;
}

/// How a wait ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Waited {
    /// There is a message; so many milliseconds are left, if the wait had an end.
    Message(Option<u64>),
    /// The time is over.
    Over,
}
