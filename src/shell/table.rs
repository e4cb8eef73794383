//! Every function that the shell adds to the language, in one table: what it does, whether it changes anything, and the
//! words for help, completion and the documentation.

use std::collections::HashMap;
use std::sync::LazyLock;

use crate::erl::function::Raised;
use crate::erl::term::Term;

use super::Call;
use super::call::{
    accounts, help, messages, order, overview, people, processes, relay, system, why,
};

/// The module of what is called without one.
pub const COMMANDS: &str = "shell";

/// A function of the shell.
pub struct Function {
    /// Its module.
    pub module: &'static str,
    /// Its name.
    pub name: &'static str,
    /// How many arguments it takes.
    pub arity: usize,
    /// Such as `yizhan:kick(Uid, Did)`.
    pub usage: &'static str,
    /// One line.
    pub doc: &'static str,
    /// What it does.
    pub body: Body,
}

/// What a function does.
#[derive(Clone, Copy)]
pub enum Body {
    /// It looks.
    Reads(fn(&mut Call<'_>, &[Term]) -> Result<Term, Raised>),
    /// It changes something, or gives somebody a right: a read-only token may not call it, and a dry run only says what
    /// it would do.
    Changes(fn(&mut Call<'_>, &[Term]) -> Result<Plan, Raised>),
}

/// A change that has been thought through and not been made.
pub struct Plan {
    /// What it does, in a sentence that begins with a verb: `close 2 connections of user 1`.
    pub says: String,
    /// Does it.
    pub run: Act,
}

/// Makes a change.
pub type Act = Box<dyn FnOnce(&mut Call<'_>) -> Result<Term, Raised>>;

impl Plan {
    /// A change.
    pub fn new(
        says: impl Into<String>,
        run: impl FnOnce(&mut Call<'_>) -> Result<Term, Raised> + 'static,
    ) -> Plan {
        Plan {
            says: says.into(),
            run: Box::new(run),
        }
    }
}

impl Function {
    /// Whether it changes anything.
    pub fn changes(&self) -> bool {
        matches!(self.body, Body::Changes(_))
    }

    /// Its name as one says it: `yizhan:kick/2`, `help/0`.
    pub fn title(&self) -> String {
        match self.module {
            COMMANDS => format!("{}/{}", self.name, self.arity),
            module => format!("{module}:{}/{}", self.name, self.arity),
        }
    }
}

/// Every function, module by module.
pub fn all() -> impl Iterator<Item = &'static Function> {
    TABLES.iter().copied().flatten()
}

/// The function of that name, if there is one.
pub fn find(module: &str, name: &str, arity: usize) -> Option<&'static Function> {
    static INDEX: LazyLock<HashMap<(&str, &str, usize), &Function>> = LazyLock::new(|| {
        all()
            .map(|function| ((function.module, function.name, function.arity), function))
            .collect()
    });
    INDEX.get(&(module, name, arity)).copied()
}

static TABLES: &[&[Function]] = &[
    help::FUNCTIONS,
    processes::COMMANDS,
    overview::FUNCTIONS,
    people::FUNCTIONS,
    why::FUNCTIONS,
    order::FUNCTIONS,
    accounts::FUNCTIONS,
    messages::FUNCTIONS,
    relay::FUNCTIONS,
    processes::FUNCTIONS,
    system::FUNCTIONS,
];
