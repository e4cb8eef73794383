//! Functions that are written in Rust, with what `help/1` says of them.

use std::sync::Arc;

use super::term::{Atom, Term};

/// Why an expression has no value.
#[derive(Clone, Debug)]
pub enum Raised {
    /// `error:Reason`, and the call that it happened in, where it is known.
    Error {
        /// Such as `badarg`.
        reason: Term,
        /// The call, where it is known.
        of: Option<Arc<Called>>,
    },
    /// `exit:Reason`.
    Exit(Term),
    /// `throw:Value`.
    Throw(Term),
    /// The evaluation was ended from outside the language and cannot be caught: a sentence for the operator.
    Stopped(String),
}

/// A call that failed.
#[derive(Debug)]
pub struct Called {
    /// None for a command of the shell.
    pub module: Option<Atom>,
    /// Its name.
    pub name: Atom,
    /// With what it was called.
    pub args: Vec<Term>,
}

impl Called {
    /// Whether it is no call but a bit string that could not be built, with the number of a segment, its type, what was
    /// expected (an underscore stands for the value) and the value as arguments.
    pub fn is_construction(&self) -> bool {
        let module = self.module.as_ref();
        module.is_some_and(|module| module.as_str() == "eval_bits")
    }
}

impl Raised {
    /// `error:Reason`.
    pub fn error(reason: Term) -> Raised {
        Raised::Error { reason, of: None }
    }

    /// The same with the call that it happened in, if that is not known.
    pub fn in_call(self, module: Option<Atom>, name: Atom, args: Vec<Term>) -> Raised {
        match self {
            Raised::Error { reason, of: None } => Raised::Error {
                reason,
                of: Some(Arc::new(Called { module, name, args })),
            },
            raised => raised,
        }
    }

    /// `error:badarg`.
    pub fn badarg() -> Raised {
        Raised::error(Term::atom("badarg"))
    }
}

/// What a native function may ask of the evaluator.
pub trait Machine {
    /// Applies a fun.
    fn apply(&mut self, fun: &Term, args: Vec<Term>) -> Result<Term, Raised>;

    /// Pays for work or memory in proportion to this many elements (or 8 bytes each), before it is done. Natives that loop
    /// without [`Machine::apply`] pay for the whole loop at once, those that build pay for what they build.
    fn charge(&mut self, elements: usize) -> Result<(), Raised>;

    /// Prints for the operator, as `io:format` does.
    fn print(&mut self, text: &str) -> Result<(), Raised>;
}

/// A function of the language's own library.
pub struct Native {
    /// Its module.
    pub module: &'static str,
    /// Its name.
    pub name: &'static str,
    /// How many arguments it has.
    pub arity: usize,
    /// Such as `lists:nth(N, List)`.
    pub usage: &'static str,
    /// One line.
    pub doc: &'static str,
    /// Calls it with as many arguments as its arity.
    pub call: fn(&mut dyn Machine, &[Term]) -> Result<Term, Raised>,
}

impl Native {
    /// Whether it may be called without its module, as most of `erlang` may: its usage says how.
    pub fn is_imported(&self) -> bool {
        !self.usage.starts_with("erlang:")
    }
}
