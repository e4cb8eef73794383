//! Expressions into values: a walk through the tree that pays for every step and for all that it builds.
//!
//! A call in the last place of a body is handed up to the loop that applies funs, so that it needs no stack; all
//! other nesting has a bound, within which the stack of the caller must suffice.

mod bits;
mod call;
mod clause;
mod comprehension;
mod env;
mod host;
mod map;
mod pattern;
mod receive;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::sync::Arc;

pub(crate) use call::Code;
pub use env::Env;
pub use host::{Host, Waited};

use super::ast::{Expr, Kind};
use super::function::{Machine, Native, Raised};
use super::number::{self, Op};
use super::term::{Atom, Closure, DEPTH_MAX, Fun, Term};

/// How many steps lie between two looks at the host.
const STRIDE: usize = 1000;

/// What one text may use.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Expressions and calls.
    pub steps: usize,
    /// What is built, and the work of natives: elements, or 8 bytes each.
    pub elements: usize,
    /// Expressions and calls within each other: the caller's stack needs 4 KiB for each.
    pub nesting: usize,
}

/// Finds a native function by module, name and arity.
pub type Find = fn(&str, &str, usize) -> Option<&'static Native>;

/// Evaluates; lives as long as one text.
pub struct Evaluator<'a> {
    host: &'a dyn Host,
    find: Find,
    limits: Limits,
    steps: usize,
    elements: usize,
    nesting: usize,
    /// Work since the host was last asked.
    since: usize,
    /// Whether the error on its way comes from within the native that is running.
    from_within: bool,
    next_fun: u64,
    results: VecDeque<Kept>,
    sentence: u64,
}

/// The result of an earlier sentence.
#[derive(Clone, Debug)]
pub struct Kept {
    /// By which `v/1` finds it.
    pub number: u64,
    /// The result.
    pub value: Term,
    /// How much of the session it takes.
    pub weight: usize,
}

/// What an expression in the last place comes to.
enum Step {
    Done(Term),
    Call(Arc<Closure>, Vec<Term>),
}

impl<'a> Evaluator<'a> {
    /// An evaluator with nothing used yet; funs are numbered from `next_fun`.
    pub fn new(host: &'a dyn Host, find: Find, limits: Limits, next_fun: u64) -> Evaluator<'a> {
        Evaluator {
            host,
            find,
            limits,
            steps: 0,
            elements: 0,
            nesting: 0,
            since: 0,
            from_within: false,
            next_fun,
            results: VecDeque::new(),
            sentence: 0,
        }
    }

    /// The number that the next fun will have.
    pub fn next_fun(&self) -> u64 {
        self.next_fun
    }

    /// What `v/1` finds, and the number of the sentence that asks.
    pub fn remember(&mut self, results: VecDeque<Kept>, sentence: u64) {
        self.results = results;
        self.sentence = sentence;
    }

    /// What `v/1` finds, taken back.
    pub fn recall(&mut self) -> VecDeque<Kept> {
        std::mem::take(&mut self.results)
    }

    /// The value of an expression; the variables that it binds stay in `env`.
    pub fn eval(&mut self, expr: &Expr, env: &mut Env) -> Result<Term, Raised> {
        self.step()?;
        match &expr.kind {
            Kind::Value(term) | Kind::Text(_, term) => return Ok(term.clone()),
            Kind::Var(name) => return self.variable(name, env),
            _ => {}
        }
        self.nested(|machine| machine.compound(expr, env))
    }

    /// Runs something one level deeper.
    fn nested<T>(&mut self, run: impl FnOnce(&mut Self) -> Result<T, Raised>) -> Result<T, Raised> {
        if self.nesting >= self.limits.nesting {
            return Err(raise("system_limit"));
        }
        self.nesting += 1;
        let done = run(self);
        self.nesting -= 1;
        done
    }

    fn compound(&mut self, expr: &Expr, env: &mut Env) -> Result<Term, Raised> {
        match &expr.kind {
            Kind::Tuple(items) => {
                let items = self.values(items, env)?;
                self.charge(items.len())?;
                self.checked(Term::tuple(items))
            }
            Kind::List(items, tail) => self.list(items, tail.as_deref(), env),
            Kind::Map(base, fields) => self.map(base.as_deref(), fields, env),
            Kind::Bits(segments) => self.bits(segments, env),
            Kind::Match(pattern, value) => {
                let value = self.eval(value, env)?;
                if self.matches(pattern, &value, env, 0)? {
                    return Ok(value);
                }
                Err(raise_with("badmatch", value))
            }
            Kind::Send(to, message) => {
                let to = self.eval(to, env)?;
                let message = self.eval(message, env)?;
                self.send("!", to, message)
            }
            Kind::Unary(sign, operand) => {
                let operand = self.eval(operand, env)?;
                self.unary(sign, operand)
            }
            Kind::Binary(op, a, b) => {
                let a = self.eval(a, env)?;
                let b = self.eval(b, env)?;
                self.binary(*op, a, b)
            }
            Kind::Catch(tried) => self.catch(tried, env),
            Kind::Fun(lambda) => self.closure(lambda, env),
            Kind::Local(name, arity) => self.local_fun(name, *arity),
            Kind::External(parts) => self.external_fun(parts, env),
            Kind::Comprehension(all) => self.comprehension(all, env),
            Kind::Remote(..) => Err(raise("illegal_expression")),
            _ => {
                let step = self.last(expr, env)?;
                self.finish(step)
            }
        }
    }

    /// Like [`Evaluator::eval`], but hands up a call instead of making it.
    fn last(&mut self, expr: &Expr, env: &mut Env) -> Result<Step, Raised> {
        match &expr.kind {
            Kind::Block(body) => self.step().and_then(|()| self.body(body, env)),
            Kind::Case(of, clauses) => self.case(of, clauses, env),
            Kind::If(clauses) => self.branch(clauses, env),
            Kind::Receive(clauses, after) => self.receive(clauses, after.as_deref(), env),
            Kind::Try(tried) => Ok(Step::Done(self.tried(tried, env)?)),
            Kind::Call(callee, args) => self.call(callee, args, env),
            Kind::Lazy(word, a, b) => self.lazy(word, a, b, env),
            _ => Ok(Step::Done(self.eval(expr, env)?)),
        }
    }

    fn last_nested(&mut self, expr: &Expr, env: &mut Env) -> Result<Step, Raised> {
        self.step()?;
        self.nested(|machine| machine.last(expr, env))
    }

    fn finish(&mut self, step: Step) -> Result<Term, Raised> {
        match step {
            Step::Done(value) => Ok(value),
            Step::Call(closure, args) => self.enter(closure, args),
        }
    }

    fn body(&mut self, exprs: &[Expr], env: &mut Env) -> Result<Step, Raised> {
        let Some((last, before)) = exprs.split_last() else {
            return Ok(Step::Done(Term::ok()));
        };
        for expr in before {
            self.eval(expr, env)?;
        }
        self.last_nested(last, env)
    }

    fn sequence(&mut self, exprs: &[Expr], env: &mut Env) -> Result<Term, Raised> {
        let step = self.body(exprs, env)?;
        self.finish(step)
    }

    fn values(&mut self, exprs: &[Expr], env: &mut Env) -> Result<Vec<Term>, Raised> {
        exprs.iter().map(|expr| self.eval(expr, env)).collect()
    }

    fn variable(&self, name: &Atom, env: &Env) -> Result<Term, Raised> {
        let value = env.find(name, 0).cloned();
        value.ok_or_else(|| raise_with("unbound", Term::Atom(name.clone())))
    }

    fn list(&mut self, items: &[Expr], tail: Option<&Expr>, env: &mut Env) -> Result<Term, Raised> {
        let items = self.values(items, env)?;
        self.charge(items.len())?;
        let tail = match tail {
            Some(tail) => self.eval(tail, env)?,
            None => Term::Nil,
        };
        let items = items.into_iter().rev();
        self.checked(items.fold(tail, |tail, head| Term::cons(head, tail)))
    }

    /// Sends a message, and gives it back.
    fn send(&mut self, name: &str, to: Term, message: Term) -> Result<Term, Raised> {
        self.charge(1)?;
        match self.host.send(&to, message.clone()) {
            Ok(()) => Ok(message),
            Err(raised) => Err(blame(raised, "erlang", name, vec![to, message])),
        }
    }

    fn unary(&mut self, sign: &str, operand: Term) -> Result<Term, Raised> {
        let done = number::unary(sign, &operand, self);
        done.map_err(|raised| blame(raised, "erlang", sign, vec![operand]))
    }

    fn binary(&mut self, op: Op, a: Term, b: Term) -> Result<Term, Raised> {
        match number::binary(op, &a, &b, self) {
            Ok(value) => self.checked(value),
            Err(raised) => Err(blame(raised, "erlang", op.name(), vec![a, b])),
        }
    }

    fn lazy(&mut self, word: &str, a: &Expr, b: &Expr, env: &mut Env) -> Result<Step, Raised> {
        let left = self.eval(a, env)?;
        let decided = match left.as_atom() {
            Some("true") => word == "orelse",
            Some("false") => word == "andalso",
            _ => return Err(raise_with("badarg", left)),
        };
        if decided {
            return Ok(Step::Done(left));
        }
        let mark = env.mark();
        let right = self.last_nested(b, env);
        env.rewind(mark);
        right
    }

    /// Refuses a value that is nested too deeply for those who walk through it.
    fn checked(&self, value: Term) -> Result<Term, Raised> {
        if value.depth() > DEPTH_MAX {
            return Err(raise("system_limit"));
        }
        Ok(value)
    }

    fn step(&mut self) -> Result<(), Raised> {
        self.steps += 1;
        if self.steps > self.limits.steps {
            let steps = self.limits.steps;
            return Err(Raised::Stopped(format!("stopped after {steps} steps")));
        }
        self.work(1)
    }

    fn work(&mut self, amount: usize) -> Result<(), Raised> {
        self.since += amount;
        if self.since < STRIDE {
            return Ok(());
        }
        self.since = 0;
        self.host.still().map_err(Raised::Stopped)
    }
}

impl Machine for Evaluator<'_> {
    fn apply(&mut self, fun: &Term, args: Vec<Term>) -> Result<Term, Raised> {
        let applied = self.nested(|machine| {
            let step = machine.apply_value(fun, args)?;
            machine.finish(step)
        });
        self.from_within |= applied.is_err();
        applied
    }

    fn charge(&mut self, elements: usize) -> Result<(), Raised> {
        self.elements = self.elements.saturating_add(elements);
        if self.elements > self.limits.elements {
            let elements = self.limits.elements;
            let sentence = format!("stopped: more than {elements} elements were built or read");
            return Err(Raised::Stopped(sentence));
        }
        self.work(elements)
    }

    fn print(&mut self, text: &str) -> Result<(), Raised> {
        self.host.print(text)
    }
}

/// `error:Reason` for a reason that is an atom.
fn raise(reason: &str) -> Raised {
    Raised::error(Term::atom(reason))
}

/// `error:{Reason,Value}`.
fn raise_with(reason: &str, value: Term) -> Raised {
    Raised::error(Term::tuple([Term::atom(reason), value]))
}

/// Says which call an error happened in, if that is not known.
fn blame(raised: Raised, module: &str, name: &str, args: Vec<Term>) -> Raised {
    raised.in_call(Some(Atom::new(module)), Atom::new(name), args)
}

/// Whether a value is a fun of this language, for its body.
fn code(closure: &Closure) -> Option<&call::Code> {
    closure.body.downcast_ref()
}

/// A fun as a value.
fn local(closure: Closure) -> Term {
    Term::Fun(Fun::Local(Arc::new(closure)))
}
