//! Which clause it is: `case`, `if`, guards, `catch` and `try`.

use super::{Env, Evaluator, Step, raise, raise_with};
use crate::erl::ast::{Clause, Expr, Try};
use crate::erl::function::{Called, Raised};
use crate::erl::term::Term;

impl Evaluator<'_> {
    pub(super) fn case(
        &mut self,
        of: &Expr,
        clauses: &[Clause],
        env: &mut Env,
    ) -> Result<Step, Raised> {
        let value = self.eval(of, env)?;
        match self.choose(clauses, std::slice::from_ref(&value), env, None)? {
            Some(clause) => self.body(&clause.body, env),
            None => Err(raise_with("case_clause", value)),
        }
    }

    pub(super) fn branch(&mut self, clauses: &[Clause], env: &mut Env) -> Result<Step, Raised> {
        match self.choose(clauses, &[], env, None)? {
            Some(clause) => self.body(&clause.body, env),
            None => Err(raise("if_clause")),
        }
    }

    /// The first clause whose patterns match and whose guard holds, with its variables bound. Variables that were bound
    /// before `fresh` are hidden from the patterns; without it, none is.
    pub(super) fn choose<'c>(
        &mut self,
        clauses: &'c [Clause],
        values: &[Term],
        env: &mut Env,
        fresh: Option<usize>,
    ) -> Result<Option<&'c Clause>, Raised> {
        let mark = env.mark();
        for clause in clauses {
            self.step()?;
            let mut matches = clause.patterns.len() == values.len();
            for (pattern, value) in clause.patterns.iter().zip(values) {
                matches = matches && self.matches(pattern, value, env, fresh.unwrap_or(0))?;
            }
            if matches && self.guard(&clause.guard, env)? {
                return Ok(Some(clause));
            }
            env.rewind(mark);
        }
        Ok(None)
    }

    pub(super) fn guard(
        &mut self,
        alternatives: &[Vec<Expr>],
        env: &mut Env,
    ) -> Result<bool, Raised> {
        if alternatives.is_empty() {
            return Ok(true);
        }
        for tests in alternatives {
            let mut holds = true;
            for test in tests {
                holds = holds && self.test(test, env)?;
            }
            if holds {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Whether a guard expression is `true`; an error is as good as `false`.
    pub(super) fn test(&mut self, test: &Expr, env: &mut Env) -> Result<bool, Raised> {
        match self.eval(test, env) {
            Ok(value) => Ok(value.is_atom("true")),
            Err(Raised::Stopped(sentence)) => Err(Raised::Stopped(sentence)),
            Err(_) => Ok(false),
        }
    }

    pub(super) fn catch(&mut self, tried: &Expr, env: &mut Env) -> Result<Term, Raised> {
        let mark = env.mark();
        let raised = match self.eval(tried, env) {
            Ok(value) => return Ok(value),
            Err(raised) => raised,
        };
        env.rewind(mark);
        let reason = match raised {
            Raised::Throw(value) => return Ok(value),
            Raised::Exit(reason) => reason,
            Raised::Error { reason, of } => Term::tuple([reason, stack(of.as_deref())]),
            Raised::Stopped(sentence) => return Err(Raised::Stopped(sentence)),
        };
        self.charge_caught()?;
        self.checked(Term::tuple([Term::atom("EXIT"), reason]))
    }

    pub(super) fn tried(&mut self, tried: &Try, env: &mut Env) -> Result<Term, Raised> {
        let mark = env.mark();
        let done = self.protected(tried, env);
        if let Err(Raised::Stopped(_)) = done {
            return done;
        }
        if done.is_err() {
            env.rewind(mark);
        }
        if !tried.after.is_empty() {
            let mark = env.mark();
            self.sequence(&tried.after, env)?;
            env.rewind(mark);
        }
        done
    }

    fn protected(&mut self, tried: &Try, env: &mut Env) -> Result<Term, Raised> {
        let mark = env.mark();
        let raised = match self.sequence(&tried.body, env) {
            Ok(value) if tried.of.is_empty() => return Ok(value),
            Ok(value) => {
                let values = std::slice::from_ref(&value);
                return match self.choose(&tried.of, values, env, None)? {
                    Some(clause) => self.sequence(&clause.body, env),
                    None => Err(raise_with("try_clause", value)),
                };
            }
            Err(Raised::Stopped(sentence)) => return Err(Raised::Stopped(sentence)),
            Err(raised) => raised,
        };
        env.rewind(mark);
        self.charge_caught()?;
        let (class, reason, of) = match &raised {
            Raised::Error { reason, of } => ("error", reason, of.as_deref()),
            Raised::Exit(reason) => ("exit", reason, None),
            Raised::Throw(value) => ("throw", value, None),
            Raised::Stopped(_) => return Err(raised),
        };
        let values = [Term::atom(class), reason.clone(), stack(of)];
        match self.choose(&tried.catch, &values, env, None)? {
            Some(clause) => self.sequence(&clause.body, env),
            None => Err(raised),
        }
    }

    fn charge_caught(&mut self) -> Result<(), Raised> {
        use crate::erl::function::Machine;
        self.charge(16)
    }
}

/// The stack of an error, as far as it is known: the call that failed.
fn stack(of: Option<&Called>) -> Term {
    let Some(Called {
        module: Some(module),
        name,
        args,
    }) = of.filter(|called| !called.is_construction())
    else {
        return Term::Nil;
    };
    let (module, name) = (Term::Atom(module.clone()), Term::Atom(name.clone()));
    let args = Term::list(args.clone());
    Term::list([Term::tuple([module, name, args, Term::Nil])])
}
