//! Comprehensions: what is made for each element that the generators give and the filters let pass.

use std::collections::BTreeMap;

use super::bits::Writer;
use super::{Env, Evaluator, blame, raise_with};
use crate::erl::ast::{Comprehension, Expr, Kind, Makes, Qualifier};
use crate::erl::function::{Machine, Raised};
use crate::erl::term::{Bits, Key, Term};
use crate::erl::weight;

/// What is made so far.
enum Made {
    List(Vec<Term>),
    Bits(Writer),
    Map(BTreeMap<Key, Term>),
}

impl Evaluator<'_> {
    pub(super) fn comprehension(
        &mut self,
        all: &Comprehension,
        env: &mut Env,
    ) -> Result<Term, Raised> {
        let mut made = match all.makes {
            Makes::List(_) => Made::List(Vec::new()),
            Makes::Bits(_) => Made::Bits(Writer::default()),
            Makes::Map(..) => {
                self.charge(weight::MAP)?;
                Made::Map(BTreeMap::new())
            }
        };
        let mark = env.mark();
        let done = self.generate(&all.qualifiers, &all.makes, &mut made, env);
        env.rewind(mark);
        done?;
        self.checked(match made {
            Made::List(items) => Term::list(items),
            Made::Bits(writer) => writer.finish(),
            Made::Map(entries) => Term::map(entries),
        })
    }

    fn generate(
        &mut self,
        qualifiers: &[Qualifier],
        makes: &Makes,
        made: &mut Made,
        env: &mut Env,
    ) -> Result<(), Raised> {
        self.step()?;
        let Some((first, rest)) = qualifiers.split_first() else {
            return self.make(makes, made, env);
        };
        let mark = env.mark();
        match first {
            Qualifier::Guard(test) => {
                if !self.test(test, env)? {
                    return Ok(());
                }
                self.nested(|machine| machine.generate(rest, makes, made, env))
            }
            Qualifier::Test(test) => {
                let value = self.eval(test, env)?;
                match value.as_atom() {
                    Some("true") => self.nested(|machine| machine.generate(rest, makes, made, env)),
                    Some("false") => Ok(()),
                    _ => Err(raise_with("bad_filter", value)),
                }
            }
            Qualifier::List(pattern, source) => {
                let source = self.source(source, env)?;
                let mut left = source.clone();
                while let Term::Cons(cons) = &left {
                    if self.matches(pattern, cons.head(), env, mark)? {
                        self.nested(|machine| machine.generate(rest, makes, made, env))?;
                    }
                    env.rewind(mark);
                    let tail = cons.tail().clone();
                    left = tail;
                }
                match left {
                    Term::Nil => Ok(()),
                    _ => Err(raise_with("bad_generator", left)),
                }
            }
            Qualifier::Bits(pattern, source) => {
                let source = self.source(source, env)?;
                let (Term::Bits(bits), Kind::Bits(segments)) = (&source, &pattern.kind) else {
                    return Err(raise_with("bad_generator", source));
                };
                let mut at = 0;
                while at < bits.bits {
                    let (end, matched) = self.take_bits(segments, bits, at, env, mark)?;
                    if matched {
                        self.nested(|machine| machine.generate(rest, makes, made, env))?;
                    }
                    env.rewind(mark);
                    match end {
                        Some(end) if end > at => at = end,
                        _ => return Ok(()),
                    }
                }
                Ok(())
            }
            Qualifier::Map(key, value, source) => {
                let source = self.source(source, env)?;
                let Some(entries) = source.as_map() else {
                    return Err(raise_with("bad_generator", source));
                };
                for (found, held) in entries {
                    if self.matches(key, &found.0, env, mark)?
                        && self.matches(value, held, env, mark)?
                    {
                        self.nested(|machine| machine.generate(rest, makes, made, env))?;
                    }
                    env.rewind(mark);
                }
                Ok(())
            }
        }
    }

    fn source(&mut self, source: &Expr, env: &mut Env) -> Result<Term, Raised> {
        let mark = env.mark();
        let value = self.eval(source, env)?;
        env.rewind(mark);
        Ok(value)
    }

    fn make(&mut self, makes: &Makes, made: &mut Made, env: &mut Env) -> Result<(), Raised> {
        let mark = env.mark();
        match (makes, made) {
            (Makes::List(one), Made::List(items)) => {
                self.charge(1)?;
                items.push(self.eval(one, env)?);
            }
            (Makes::Bits(one), Made::Bits(writer)) => {
                let Term::Bits(part) = self.eval(one, env)? else {
                    let nothing = Vec::new();
                    return Err(blame(Raised::badarg(), "eval_bits", "append", nothing));
                };
                self.append(writer, &part)?;
            }
            (Makes::Map(key, value), Made::Map(entries)) => {
                let key = self.eval(key, env)?;
                let value = self.eval(value, env)?;
                weight::pay_key(&key, self)?;
                self.charge(2)?;
                entries.insert(Key(key), value);
            }
            _ => {}
        }
        env.rewind(mark);
        Ok(())
    }

    fn append(&mut self, writer: &mut Writer, part: &Bits) -> Result<(), Raised> {
        self.charge(part.bytes.len() / 8 + 1)?;
        writer.push(part);
        Ok(())
    }
}
