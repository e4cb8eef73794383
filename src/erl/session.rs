//! One operator's session: its variables, its results, and the sentences that it evaluates.

mod footprint;

use std::collections::{BTreeSet, VecDeque};

use super::ast::{Callee, Expr, Kind};
use super::check;
use super::error::{self, Marked};
use super::eval::{Env, Evaluator, Find, Host, Kept, Limits};
use super::function::{Machine, Raised};
use super::lex;
use super::parse::{self, SyntaxError};
use super::print::{Style, styled};
use super::term::{Atom, Term};
use footprint::Footprint;

/// How many results `v/1` finds.
const RESULTS_MAX: usize = 20;
/// How many variables a session has.
const VARIABLES_MAX: usize = 1000;
/// What the variables of a session may hold together, and its results beside them: elements, or 8 bytes each.
const HELD_MAX: usize = 200_000;
/// How much of a variable `b/0` shows, in bytes.
const SHOWN_MAX: usize = 4096;

/// A session.
#[derive(Debug, Default)]
pub struct Session {
    env: Env,
    results: VecDeque<Kept>,
    sentences: u64,
    funs: u64,
}

/// What became of one sentence.
#[derive(Debug)]
pub struct Outcome<'t> {
    /// The sentence.
    pub text: &'t str,
    /// For `v/1`; a sentence that is none has no number.
    pub number: Option<u64>,
    /// Its value.
    pub result: Result<Term, Failure>,
}

/// Why a sentence has no value.
#[derive(Clone, Debug)]
pub enum Failure {
    /// It is none, or a variable is unbound.
    Syntax(Marked),
    /// It raised something.
    Raised(Raised),
    /// Its variables would be too much for the session.
    Full(String),
}

impl Failure {
    /// As the shell prints it.
    pub fn shown(&self) -> String {
        match self {
            Failure::Syntax(marked) => marked.to_string(),
            Failure::Raised(raised) => error::shown(raised),
            Failure::Full(sentence) => format!("* {sentence}"),
        }
    }
}

impl Session {
    /// Evaluates the sentences of a text one by one, up to the first that has no value.
    pub fn run(
        &mut self,
        text: &str,
        host: &dyn Host,
        find: Find,
        limits: Limits,
        sink: &mut dyn FnMut(Outcome<'_>),
    ) {
        let mut machine = Evaluator::new(host, find, limits, self.funs);
        let mut from = 0;
        loop {
            if let Err(why) = host.still() {
                return sink(Outcome {
                    text: "",
                    number: None,
                    result: Err(Failure::Raised(Raised::Stopped(why))),
                });
            }
            let (tokens, end) = match lex::sentence(text, from) {
                Ok(None) => return,
                Ok(Some(sentence)) => (sentence.tokens, sentence.end),
                Err(wrong) => return sink(misread(text, from, text.len(), &wrong.into())),
            };
            let exprs = match parse::parse(&tokens) {
                Ok(exprs) => exprs,
                Err(wrong) => return sink(misread(text, from, end, &wrong)),
            };
            self.sentences += 1;
            let result = self.sentence(text, from, &exprs, host, &mut machine);
            let failed = result.is_err();
            sink(Outcome {
                text: text.get(from..end).unwrap_or_default().trim(),
                number: Some(self.sentences),
                result,
            });
            if failed {
                return;
            }
            from = end;
        }
    }

    /// The names of its variables, for completion.
    pub fn variables(&self) -> impl Iterator<Item = &str> {
        self.env.iter().map(|(name, _)| name.as_str())
    }

    /// The number that the next sentence will have.
    pub fn next_number(&self) -> u64 {
        self.sentences + 1
    }

    fn sentence(
        &mut self,
        text: &str,
        start: usize,
        exprs: &[Expr],
        host: &dyn Host,
        machine: &mut Evaluator<'_>,
    ) -> Result<Term, Failure> {
        let mut env = self.env.clone();
        machine.remember(std::mem::take(&mut self.results), self.sentences);
        let mut value = Ok(Term::ok());
        for expr in exprs {
            value = self.expr(text, start, expr, &mut env, host, machine);
            if value.is_err() {
                break;
            }
        }
        self.results = machine.recall();
        self.funs = machine.next_fun();
        let value = value?;
        self.keep(env, &value, machine)?;
        Ok(value)
    }

    fn expr(
        &self,
        text: &str,
        start: usize,
        expr: &Expr,
        env: &mut Env,
        host: &dyn Host,
        machine: &mut Evaluator<'_>,
    ) -> Result<Term, Failure> {
        if let Some(command) = Command::of(expr) {
            return command.run(env, host).map_err(Failure::Raised);
        }
        let bound = |name: &Atom| env.find(name, 0).is_some();
        let place = |at| error::place(text, start, at);
        if let Err(wrong) = check::check(expr, &bound, &place) {
            return Err(Failure::Syntax(Marked::new(text, start, &wrong)));
        }
        machine.eval(expr, env).map_err(Failure::Raised)
    }

    /// Keeps variables and result, as far as there is room for them. Weighing is paid for like all other work.
    fn keep(&mut self, env: Env, value: &Term, machine: &mut Evaluator<'_>) -> Result<(), Failure> {
        if env.version() != self.env.version() {
            weigh_variables(&env, machine)?;
        }
        let mut held = Footprint::new(HELD_MAX);
        let fits = held.add(value);
        machine.charge(held.weight()).map_err(Failure::Raised)?;
        self.env = env;
        if !fits {
            return Ok(());
        }
        self.results.push_back(Kept {
            number: self.sentences,
            value: value.clone(),
            weight: held.weight(),
        });
        let mut room = HELD_MAX;
        let newest = self.results.iter().rev().take(RESULTS_MAX);
        let kept = newest.take_while(|kept| {
            let fits = kept.weight <= room;
            room = room.saturating_sub(kept.weight);
            fits
        });
        let kept = kept.count();
        self.results.drain(..self.results.len() - kept);
        Ok(())
    }
}

fn weigh_variables(env: &Env, machine: &mut Evaluator<'_>) -> Result<(), Failure> {
    if env.mark() > VARIABLES_MAX {
        let sentence =
            format!("a session has {VARIABLES_MAX} variables at most: f() forgets all, f(X) one");
        return Err(Failure::Full(sentence));
    }
    let mut held = Footprint::new(HELD_MAX);
    let fits = env.iter().all(|(_, value)| held.add(value));
    machine.charge(held.weight()).map_err(Failure::Raised)?;
    if fits {
        return Ok(());
    }
    let sentence = format!(
        "the variables would hold more than {HELD_MAX} elements: f() forgets all, f(X) one"
    );
    Err(Failure::Full(sentence))
}

/// A command that deals with the variables themselves.
enum Command<'e> {
    Forget,
    ForgetOne(&'e Atom),
    Bindings,
}

impl Command<'_> {
    fn of(expr: &Expr) -> Option<Command<'_>> {
        let Kind::Call(Callee::Local(name), args) = &expr.kind else {
            return None;
        };
        match (name.as_str(), &args[..]) {
            ("f", []) => Some(Command::Forget),
            ("b", []) => Some(Command::Bindings),
            ("f", [arg]) => match &arg.kind {
                Kind::Var(name) => Some(Command::ForgetOne(name)),
                _ => None,
            },
            _ => None,
        }
    }

    fn run(&self, env: &mut Env, host: &dyn Host) -> Result<Term, Raised> {
        match self {
            Command::Forget => env.rewind(0),
            Command::ForgetOne(name) => env.forget(name),
            Command::Bindings => {
                let names: BTreeSet<&Atom> = env.iter().map(|(name, _)| name).collect();
                for name in names {
                    let Some(value) = env.find(name, 0) else {
                        continue;
                    };
                    let name = name.as_str();
                    let style = Style::shell(name.chars().count() + 4).within(SHOWN_MAX);
                    host.print(&format!("{name} = {}\n", styled(value, style)))?;
                }
            }
        }
        Ok(Term::ok())
    }
}

fn misread<'t>(text: &'t str, from: usize, end: usize, wrong: &SyntaxError) -> Outcome<'t> {
    Outcome {
        text: text.get(from..end).unwrap_or_default().trim(),
        number: None,
        result: Err(Failure::Syntax(Marked::new(text, from, wrong))),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod depth;
#[cfg(test)]
mod tests;
