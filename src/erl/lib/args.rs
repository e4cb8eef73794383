//! What the natives want of their arguments, and what they raise for others.

use std::cmp::Ordering;

use crate::erl::function::{Machine, Raised};
use crate::erl::number::{self, Op};
use crate::erl::term::{Atom, Fun, Key, Map, Term};

/// What a native returns.
pub(super) type Value = Result<Term, Raised>;

/// `error:function_clause`: what OTP's own Erlang code raises for arguments of a wrong kind.
pub(super) fn clause() -> Raised {
    Raised::error(Term::atom("function_clause"))
}

/// The same in a call of its own, which a function of OTP's makes on the way: its arguments tell how far it came.
pub(super) fn clause_in(module: &str, name: &str, args: Vec<Term>) -> Raised {
    clause().in_call(Some(Atom::new(module)), Atom::new(name), args)
}

/// A sum; an error says what could not be added.
pub(super) fn sum(machine: &mut dyn Machine, a: &Term, b: &Term) -> Value {
    operator(machine, Op::Add, a, b)
}

/// A difference; an error says what could not be subtracted.
pub(super) fn difference(machine: &mut dyn Machine, a: &Term, b: &Term) -> Value {
    operator(machine, Op::Subtract, a, b)
}

fn operator(machine: &mut dyn Machine, op: Op, a: &Term, b: &Term) -> Value {
    number::binary(op, a, b, machine).map_err(|raised| {
        let args = vec![a.clone(), b.clone()];
        raised.in_call(Some(Atom::new("erlang")), Atom::new(op.name()), args)
    })
}

/// `error:{Name,Value}`.
pub(super) fn error_of(name: &str, value: &Term) -> Raised {
    Raised::error(Term::tuple([Term::atom(name), value.clone()]))
}

/// Walks a list from its first element, and knows afterwards how it ended.
pub(super) struct Walk<'a> {
    rest: &'a Term,
}

impl<'a> Walk<'a> {
    pub(super) fn of(list: &'a Term) -> Walk<'a> {
        Walk { rest: list }
    }

    /// Like [`Walk::of`], for functions of OTP that look at the first cell in a `case`.
    pub(super) fn in_case(list: &'a Term) -> Result<Walk<'a>, Raised> {
        match list {
            Term::Nil | Term::Cons(_) => Ok(Walk::of(list)),
            _ => Err(error_of("case_clause", list)),
        }
    }

    /// What is not walked yet.
    pub(super) fn rest(&self) -> &'a Term {
        self.rest
    }

    /// Whether it was a proper list.
    pub(super) fn end(&self) -> Result<(), Raised> {
        match self.rest {
            Term::Nil => Ok(()),
            _ => Err(clause()),
        }
    }
}

impl<'a> Iterator for Walk<'a> {
    type Item = &'a Term;

    fn next(&mut self) -> Option<&'a Term> {
        match self.rest {
            Term::Cons(cons) => {
                self.rest = cons.tail();
                Some(cons.head())
            }
            _ => None,
        }
    }
}

/// The elements of a proper list, paid for; `None` for anything else.
pub(super) fn items(machine: &mut dyn Machine, list: &Term) -> Result<Option<Vec<Term>>, Raised> {
    let Some(length) = number::length(list) else {
        return Ok(None);
    };
    machine.charge(length)?;
    Ok(list.as_list())
}

/// The elements of a proper list; anything else is `function_clause`.
pub(super) fn list(machine: &mut dyn Machine, list: &Term) -> Result<Vec<Term>, Raised> {
    items(machine, list)?.ok_or_else(clause)
}

/// The elements of a proper list; anything else is `badarg`.
pub(super) fn list_arg(machine: &mut dyn Machine, list: &Term) -> Result<Vec<Term>, Raised> {
    items(machine, list)?.ok_or_else(Raised::badarg)
}

/// A list of these, and then a tail. What it costs is paid before.
pub(super) fn list_onto(
    items: impl IntoIterator<Item = Term, IntoIter: DoubleEndedIterator>,
    tail: Term,
) -> Term {
    let items = items.into_iter().rev();
    items.fold(tail, |tail, head| Term::cons(head, tail))
}

/// Whether it is a fun of this arity; anything else is `function_clause`.
pub(super) fn fun(value: &Term, arity: usize) -> Result<&Term, Raised> {
    match fun_arity(value) == Some(arity) {
        true => Ok(value),
        false => Err(clause()),
    }
}

/// The arity of a fun.
pub(super) fn fun_arity(value: &Term) -> Option<usize> {
    match value {
        Term::Fun(Fun::Local(closure)) => Some(closure.arity),
        Term::Fun(Fun::Remote { arity, .. }) => Some(*arity),
        _ => None,
    }
}

/// Asks a fun about a value; what is no boolean is `{case_clause,What}`.
pub(super) fn ask(machine: &mut dyn Machine, fun: &Term, value: &Term) -> Result<bool, Raised> {
    let answer = machine.apply(fun, vec![value.clone()])?;
    boolean(&answer).ok_or_else(|| error_of("case_clause", &answer))
}

pub(super) fn boolean(value: &Term) -> Option<bool> {
    match value.as_atom()? {
        "true" => Some(true),
        "false" => Some(false),
        _ => None,
    }
}

/// An integer that is not negative; a big one counts as the largest there is.
pub(super) fn count(value: &Term) -> Option<usize> {
    match value {
        Term::Int(count) => usize::try_from(*count).ok(),
        Term::Big(big) if big.sign() == num_bigint::Sign::Plus => Some(usize::MAX),
        _ => None,
    }
}

/// A place counted from 1, as an index.
pub(super) fn place(value: &Term) -> Option<usize> {
    count(value)?.checked_sub(1)
}

pub(super) fn is_integer(value: &Term) -> bool {
    matches!(value, Term::Int(_) | Term::Big(_))
}

pub(super) fn int(value: usize) -> Term {
    Term::Int(i64::try_from(value).unwrap_or(i64::MAX))
}

/// The map; anything else is `{badmap,What}`.
pub(super) fn map(value: &Term) -> Result<&Map, Raised> {
    match value {
        Term::Map(map) => Ok(map),
        _ => Err(error_of("badmap", value)),
    }
}

/// A value as the key of a map, paid for by its weight.
pub(super) fn key(machine: &mut dyn Machine, value: &Term) -> Result<Key, Raised> {
    crate::erl::weight::pay_key(value, machine)?;
    Ok(Key(value.clone()))
}

/// Compares as `==` and `<` do, paid for.
pub(super) fn compare(machine: &mut dyn Machine, a: &Term, b: &Term) -> Result<Ordering, Raised> {
    number::ordered(a, b, false, machine)
}

/// Whether two values are the same (`=:=`), paid for.
pub(super) fn same(machine: &mut dyn Machine, a: &Term, b: &Term) -> Result<bool, Raised> {
    Ok(number::ordered(a, b, true, machine)?.is_eq())
}

/// Whether two values are equal (`==`), paid for.
pub(super) fn equal(machine: &mut dyn Machine, a: &Term, b: &Term) -> Result<bool, Raised> {
    Ok(compare(machine, a, b)?.is_eq())
}

/// Pays for work that takes this many steps for each of some elements.
pub(super) fn pay(machine: &mut dyn Machine, elements: usize, steps: usize) -> Result<(), Raised> {
    machine.charge(elements.saturating_mul(steps))
}
