//! Patterns against values.

use super::{Env, Evaluator, raise};
use crate::erl::ast::{Expr, Kind};
use crate::erl::function::{Machine, Raised};
use crate::erl::number::{self, Op};
use crate::erl::term::{Key, Term};
use crate::erl::weight;

impl Evaluator<'_> {
    /// Whether a value matches, with the variables of the pattern bound. Those that were bound before `fresh` are hidden
    /// from it. If it does not match, some may be bound: the caller rewinds.
    pub(super) fn matches(
        &mut self,
        pattern: &Expr,
        value: &Term,
        env: &mut Env,
        fresh: usize,
    ) -> Result<bool, Raised> {
        self.step()?;
        match &pattern.kind {
            Kind::Value(wanted) | Kind::Text(_, wanted) => self.same(wanted, value),
            Kind::Var(name) if name.as_str() == "_" => Ok(true),
            Kind::Var(name) => match env.find(name, fresh) {
                Some(bound) => {
                    let bound = bound.clone();
                    self.same(&bound, value)
                }
                None => {
                    env.bind(name.clone(), value.clone());
                    Ok(true)
                }
            },
            Kind::Tuple(patterns) => {
                let Some(items) = value.as_tuple() else {
                    return Ok(false);
                };
                if items.len() != patterns.len() {
                    return Ok(false);
                }
                for (pattern, item) in patterns.iter().zip(items) {
                    if !self.matches(pattern, item, env, fresh)? {
                        return Ok(false);
                    }
                }
                Ok(true)
            }
            Kind::List(patterns, tail) => {
                let Some(rest) = self.heads(patterns, value, env, fresh)? else {
                    return Ok(false);
                };
                match tail {
                    Some(tail) => self.matches(tail, &rest, env, fresh),
                    None => Ok(matches!(rest, Term::Nil)),
                }
            }
            Kind::Match(a, b) => {
                Ok(self.matches(a, value, env, fresh)? && self.matches(b, value, env, fresh)?)
            }
            Kind::Map(None, fields) => {
                let Some(entries) = value.as_map() else {
                    return Ok(false);
                };
                for field in fields {
                    // An error in a key is no error of the match, as in a guard.
                    let key = match self.eval(&field.key, env) {
                        Ok(key) => key,
                        Err(Raised::Stopped(sentence)) => return Err(Raised::Stopped(sentence)),
                        Err(_) => return Ok(false),
                    };
                    weight::pay_key(&key, self)?;
                    let Some(found) = entries.get(&Key(key)) else {
                        return Ok(false);
                    };
                    if !self.matches(&field.value, found, env, fresh)? {
                        return Ok(false);
                    }
                }
                Ok(true)
            }
            Kind::Bits(segments) => self.match_bits(segments, value, env, fresh),
            Kind::Binary(Op::Append, prefix, rest) => {
                let Some(behind) = self.prefix(prefix, value, env, fresh)? else {
                    return Ok(false);
                };
                self.matches(rest, &behind, env, fresh)
            }
            Kind::Unary(..) | Kind::Binary(..) => {
                let wanted = self.eval(pattern, env)?;
                self.same(&wanted, value)
            }
            _ => Err(raise("illegal_pattern")),
        }
    }

    /// Whether two values are exactly equal, paid for by their size.
    pub(super) fn same(&mut self, a: &Term, b: &Term) -> Result<bool, Raised> {
        Ok(number::ordered(a, b, true, self)?.is_eq())
    }

    /// What is left of a list behind the elements that match, if they do.
    fn heads(
        &mut self,
        patterns: &[Expr],
        value: &Term,
        env: &mut Env,
        fresh: usize,
    ) -> Result<Option<Term>, Raised> {
        let mut rest = value;
        for pattern in patterns {
            let Term::Cons(cons) = rest else {
                return Ok(None);
            };
            if !self.matches(pattern, cons.head(), env, fresh)? {
                return Ok(None);
            }
            rest = cons.tail();
        }
        Ok(Some(rest.clone()))
    }

    /// What is left of a list behind a constant prefix, if it has that.
    fn prefix(
        &mut self,
        prefix: &Expr,
        value: &Term,
        env: &mut Env,
        fresh: usize,
    ) -> Result<Option<Term>, Raised> {
        match &prefix.kind {
            Kind::Text(text, _) => {
                self.charge(text.len())?;
                let mut rest = value;
                for wanted in text.chars() {
                    match rest {
                        Term::Cons(cons) if is_char(cons.head(), wanted) => rest = cons.tail(),
                        _ => return Ok(None),
                    }
                }
                Ok(Some(rest.clone()))
            }
            Kind::List(items, None) => self.heads(items, value, env, fresh),
            Kind::Binary(Op::Append, a, b) => match self.prefix(a, value, env, fresh)? {
                Some(rest) => self.prefix(b, &rest, env, fresh),
                None => Ok(None),
            },
            _ => Err(raise("illegal_pattern")),
        }
    }
}

fn is_char(term: &Term, wanted: char) -> bool {
    matches!(term, Term::Int(code) if *code == i64::from(u32::from(wanted)))
}
