//! Calls: of funs, of natives and of what the host knows.

use std::sync::Arc;

use super::{Env, Evaluator, Step, blame, code, local, raise, raise_with};
use crate::erl::ast::{Callee, Expr, Lambda};
use crate::erl::function::{Machine, Native, Raised};
use crate::erl::print::{Style, styled};
use crate::erl::term::{Atom, Closure, Fun, Term};
use crate::erl::weight;

/// How much is shown of what is no number of a result, in bytes.
const SHOWN_MAX: usize = 1024;

/// What a fun takes beside its variables, in elements.
const CLOSURE: usize = 4;

/// What is in a fun of this language.
#[derive(Debug)]
pub(crate) struct Code {
    /// Its clauses.
    pub(crate) lambda: Arc<Lambda>,
    /// The variables that it names and that were bound where it was made.
    pub(crate) captured: Vec<(Atom, Term)>,
}

impl Evaluator<'_> {
    pub(super) fn call(
        &mut self,
        callee: &Callee,
        args: &[Expr],
        env: &mut Env,
    ) -> Result<Step, Raised> {
        match callee {
            Callee::Local(name) => {
                let args = self.values(args, env)?;
                self.call_local(name, args)
            }
            Callee::Remote(module, name) => {
                let module = self.eval(module, env)?;
                let name = self.eval(name, env)?;
                let args = self.values(args, env)?;
                self.call_remote(&module, &name, args)
            }
            Callee::Value(fun) => {
                let fun = self.eval(fun, env)?;
                let args = self.values(args, env)?;
                self.apply_value(&fun, args)
            }
        }
    }

    /// Makes a fun of what is written.
    pub(super) fn closure(&mut self, lambda: &Arc<Lambda>, env: &Env) -> Result<Term, Raised> {
        self.charge(lambda.uses.len() + CLOSURE)?;
        let used = lambda.uses.iter();
        let captured = used.filter_map(|name| Some((name.clone(), env.find(name, 0)?.clone())));
        let captured: Vec<(Atom, Term)> = captured.collect();
        let deepest = captured.iter().map(|(_, value)| value.depth()).max();
        let id = self.next_fun;
        self.next_fun += 1;
        let closure = Closure {
            id,
            arity: lambda.arity,
            depth: 1 + deepest.unwrap_or(0),
            body: Box::new(Code {
                lambda: Arc::clone(lambda),
                captured,
            }),
        };
        self.checked(local(closure))
    }

    /// `fun f/1`.
    pub(super) fn local_fun(&mut self, name: &Atom, arity: usize) -> Result<Term, Raised> {
        if (self.find)("erlang", name.as_str(), arity).is_some() {
            let (module, name) = (Atom::new("erlang"), name.clone());
            return Ok(Term::Fun(Fun::Remote {
                module,
                name,
                arity,
            }));
        }
        let args = vec![Term::Nil; arity];
        Err(blame(raise("undef"), "erl_eval", name.as_str(), args))
    }

    /// `fun m:f/1`.
    pub(super) fn external_fun(
        &mut self,
        parts: &[Expr; 3],
        env: &mut Env,
    ) -> Result<Term, Raised> {
        let mut values = self.values(parts, env)?;
        if let [
            Term::Atom(module),
            Term::Atom(name),
            Term::Int(arity @ 0..=255),
        ] = &values[..]
        {
            let (module, name) = (module.clone(), name.clone());
            let arity = usize::try_from(*arity).unwrap_or_default();
            return Ok(Term::Fun(Fun::Remote {
                module,
                name,
                arity,
            }));
        }
        values.truncate(3);
        Err(blame(Raised::badarg(), "erlang", "make_fun", values))
    }

    pub(super) fn apply_value(&mut self, fun: &Term, args: Vec<Term>) -> Result<Step, Raised> {
        let arity = match fun {
            Term::Fun(Fun::Local(closure)) => closure.arity,
            Term::Fun(Fun::Remote { arity, .. }) => *arity,
            _ => return Err(raise_with("badfun", fun.clone())),
        };
        if arity != args.len() {
            let call = Term::tuple([fun.clone(), Term::list(args)]);
            return Err(raise_with("badarity", call));
        }
        match fun {
            Term::Fun(Fun::Local(closure)) => Ok(Step::Call(Arc::clone(closure), args)),
            Term::Fun(Fun::Remote { module, name, .. }) => self.call_function(module, name, args),
            _ => Err(raise_with("badfun", fun.clone())),
        }
    }

    /// Runs a fun, and whatever it calls in the last place, in this one frame.
    pub(super) fn enter(
        &mut self,
        mut closure: Arc<Closure>,
        mut args: Vec<Term>,
    ) -> Result<Term, Raised> {
        loop {
            self.step()?;
            let Some(code) = code(&closure) else {
                return Err(raise_with("badfun", Term::Fun(Fun::Local(closure))));
            };
            self.work(code.captured.len())?;
            let mut env: Env = code.captured.iter().cloned().collect();
            if let Some(name) = &code.lambda.name {
                env.bind(name.clone(), Term::Fun(Fun::Local(Arc::clone(&closure))));
            }
            let fresh = Some(env.mark());
            let clauses = &code.lambda.clauses;
            let Some(clause) = self.choose(clauses, &args, &mut env, fresh)? else {
                let name = "-inside-an-interpreted-fun-";
                return Err(blame(raise("function_clause"), "erl_eval", name, args));
            };
            match self.body(&clause.body, &mut env)? {
                Step::Done(value) => return Ok(value),
                Step::Call(next, given) => {
                    closure = next;
                    args = given;
                }
            }
        }
    }

    fn call_local(&mut self, name: &Atom, args: Vec<Term>) -> Result<Step, Raised> {
        match (name.as_str(), &args[..]) {
            ("v", [number]) => return self.result(number).map(Step::Done),
            ("rp", [value]) => {
                weight::pay_text(value, self)?;
                let shown = styled(value, Style::whole(1));
                self.host.print(&format!("{shown}\n"))?;
                return Ok(Step::Done(Term::ok()));
            }
            // With a variable it is no call but a command of the session.
            ("f", [_]) => return Err(raise("function_clause").in_call(None, name.clone(), args)),
            _ => {}
        }
        let args = match self.call_host(None, name, args)? {
            Ok(value) => return Ok(Step::Done(value)),
            Err(args) => args,
        };
        let native = (self.find)("erlang", name.as_str(), args.len());
        if native.is_some_and(|native| !native.is_imported()) {
            return Err(undefined(None, name, args));
        }
        match self.call_known(&Atom::new("erlang"), name, args)? {
            Ok(step) => Ok(step),
            Err(args) => Err(undefined(None, name, args)),
        }
    }

    fn call_remote(&mut self, module: &Term, name: &Term, args: Vec<Term>) -> Result<Step, Raised> {
        if let (Term::Atom(module), Term::Atom(name)) = (module, name) {
            return self.call_function(module, name, args);
        }
        let args = vec![module.clone(), name.clone(), Term::list(args)];
        Err(blame(Raised::badarg(), "erlang", "apply", args))
    }

    fn call_function(
        &mut self,
        module: &Atom,
        name: &Atom,
        args: Vec<Term>,
    ) -> Result<Step, Raised> {
        match self.call_known(module, name, args)? {
            Ok(step) => Ok(step),
            Err(args) => Err(undefined(Some(module), name, args)),
        }
    }

    /// Calls a function if there is one; otherwise the arguments come back.
    fn call_known(
        &mut self,
        module: &Atom,
        name: &Atom,
        args: Vec<Term>,
    ) -> Result<Result<Step, Vec<Term>>, Raised> {
        self.step()?;
        if module.as_str() == "erlang" {
            match (name.as_str(), &args[..]) {
                ("self", []) => return Ok(Ok(Step::Done(Term::Pid(self.host.me())))),
                ("apply", [fun, list]) => {
                    let Some(given) = list.as_list() else {
                        let (name, args) = match fun {
                            Term::Fun(_) => ("length", vec![list.clone()]),
                            _ => ("apply", args),
                        };
                        return Err(blame(Raised::badarg(), "erlang", name, args));
                    };
                    self.charge(given.len())?;
                    return self.apply_value(fun, given).map(Ok);
                }
                ("apply", [Term::Atom(module), Term::Atom(name), list]) => {
                    let Some(given) = list.as_list() else {
                        return Err(blame(Raised::badarg(), "erlang", "apply", args));
                    };
                    self.charge(given.len())?;
                    return self.call_function(module, name, given).map(Ok);
                }
                ("apply", [_, _, _]) => {
                    return Err(blame(Raised::badarg(), "erlang", "apply", args));
                }
                ("!" | "send", [to, message]) => {
                    let sent = self.send(name.as_str(), to.clone(), message.clone());
                    return sent.map(|message| Ok(Step::Done(message)));
                }
                _ => {}
            }
        }
        if let Some(native) = (self.find)(module.as_str(), name.as_str(), args.len()) {
            return self
                .call_native(native, args)
                .map(|value| Ok(Step::Done(value)));
        }
        let called = self.call_host(Some(module), name, args)?;
        Ok(called.map(Step::Done))
    }

    /// Calls a function of the host if there is one; otherwise the arguments come back.
    fn call_host(
        &mut self,
        module: Option<&Atom>,
        name: &Atom,
        args: Vec<Term>,
    ) -> Result<Result<Term, Vec<Term>>, Raised> {
        let host = self.host;
        let (done, from_within) =
            self.outside(|machine| host.call(machine, module, name, &args).transpose());
        match done {
            Ok(Some(value)) => self.checked(value).map(Ok),
            Ok(None) => Ok(Err(args)),
            Err(raised) if from_within => Err(raised),
            Err(raised) => Err(raised.in_call(module.cloned(), name.clone(), args)),
        }
    }

    fn call_native(&mut self, native: &Native, args: Vec<Term>) -> Result<Term, Raised> {
        let (done, from_within) = self.outside(|machine| (native.call)(machine, &args));
        // What a function is there to raise did not go wrong in it.
        let raises = native.module == "erlang"
            && matches!(native.name, "error" | "exit" | "throw" | "raise");
        match done {
            Ok(value) => {
                if matches!(value, Term::Map(_)) {
                    self.charge(weight::MAP)?;
                }
                self.checked(value)
            }
            Err(raised) if from_within || raises => Err(raised),
            Err(raised) => Err(blame(raised, native.module, native.name, args)),
        }
    }

    /// Runs what is no part of the language, and says whether its error is that of a fun that it applied.
    fn outside<T>(
        &mut self,
        run: impl FnOnce(&mut Self) -> Result<T, Raised>,
    ) -> (Result<T, Raised>, bool) {
        let outer = std::mem::replace(&mut self.from_within, false);
        let done = self.nested(run);
        let from_within = std::mem::replace(&mut self.from_within, outer);
        (done, from_within)
    }

    /// `v(N)`: counted from the end if it is negative.
    fn result(&self, number: &Term) -> Result<Term, Raised> {
        let wanted = match number {
            Term::Int(back @ ..0) => Term::Int(back.saturating_add_unsigned(self.sentence)),
            number => number.clone(),
        };
        let mut results = self.results.iter();
        let found = results.find(|kept| match wanted {
            Term::Int(wanted) => u64::try_from(wanted) == Ok(kept.number),
            _ => false,
        });
        let found = found.map(|kept| kept.value.clone());
        found.ok_or_else(|| {
            let shown = styled(number, Style::pretty(1, 0).unicode().within(SHOWN_MAX));
            Raised::Stopped(format!("{shown}: command not found"))
        })
    }
}

fn undefined(module: Option<&Atom>, name: &Atom, args: Vec<Term>) -> Raised {
    raise("undef").in_call(module.cloned(), name.clone(), args)
}
