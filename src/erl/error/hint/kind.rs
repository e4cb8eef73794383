//! What an argument has to be, and what is said of one that is not.

use crate::erl::number;
use crate::erl::term::{Fun as Function, Term};

/// A kind of arguments.
#[derive(Clone, Copy)]
pub(super) enum Kind {
    Any,
    Atom,
    Base,
    Binary,
    Bits,
    CharData,
    Float,
    Fun(usize),
    Function,
    Integer,
    IoData,
    IoList,
    List,
    Map,
    MapOrIterator,
    Natural,
    NonEmpty,
    Number,
    Pattern,
    Pid,
    Place,
    Sized,
    Tuple,
}

impl Kind {
    /// What is wrong with an argument, if anything is.
    pub(super) fn fault(self, term: &Term) -> Option<&'static str> {
        let is_integer = matches!(term, Term::Int(_) | Term::Big(_));
        match self {
            Kind::Binary if matches!(term, Term::Bits(bits) if bits.bits % 8 != 0) => {
                Some("is a bitstring (expected a binary)")
            }
            Kind::Natural | Kind::Place if !is_integer => Some("not an integer"),
            _ if self.admits(term) => None,
            _ => Some(self.phrase()),
        }
    }

    fn admits(self, term: &Term) -> bool {
        match self {
            Kind::Any => true,
            Kind::Atom => matches!(term, Term::Atom(_)),
            Kind::Base => matches!(term, Term::Int(2..=36)),
            Kind::Binary => term.as_binary().is_some(),
            Kind::Bits => matches!(term, Term::Bits(_)),
            // Walking through it is for the function that wanted it.
            Kind::CharData => false,
            Kind::Float => matches!(term, Term::Float(_)),
            Kind::Fun(arity) => match term {
                Term::Fun(Function::Local(closure)) => closure.arity == arity,
                Term::Fun(Function::Remote { arity: own, .. }) => *own == arity,
                _ => false,
            },
            Kind::Function => matches!(term, Term::Fun(_)),
            Kind::Integer => matches!(term, Term::Int(_) | Term::Big(_)),
            Kind::IoData => matches!(term, Term::Cons(_) | Term::Nil | Term::Bits(_)),
            Kind::IoList => matches!(term, Term::Cons(_) | Term::Nil),
            Kind::List => number::length(term).is_some(),
            Kind::Map | Kind::MapOrIterator => matches!(term, Term::Map(_)),
            Kind::Natural => !matches!(term, Term::Int(..0)),
            Kind::NonEmpty => matches!(term, Term::Cons(_)),
            Kind::Number => number::is_number(term),
            Kind::Pattern => match term {
                Term::Cons(cons) => is_needle(cons.head()) && are_needles(cons.tail()),
                one => is_needle(one),
            },
            Kind::Pid => matches!(term, Term::Pid(_)),
            Kind::Place => !matches!(term, Term::Int(..1)),
            Kind::Sized => matches!(term, Term::Tuple(_) | Term::Bits(_)),
            Kind::Tuple => matches!(term, Term::Tuple(_)),
        }
    }

    fn phrase(self) -> &'static str {
        match self {
            Kind::Any => "",
            Kind::Atom => "not an atom",
            Kind::Base => "not an integer in the range 2 through 36",
            Kind::Binary => "not a binary",
            Kind::Bits => "not a bitstring",
            Kind::CharData => "not valid character data (an iodata term)",
            Kind::Float => "not a float",
            Kind::Fun(3) => "not a fun that takes three arguments",
            Kind::Fun(1) => "not a fun that takes one argument",
            Kind::Fun(_) => "not a fun that takes two arguments",
            Kind::Function => "not a fun",
            Kind::Integer => "not an integer",
            Kind::IoData => "not an iodata term",
            Kind::IoList => "not an iolist term",
            Kind::List => "not a list",
            Kind::Map => "not a map",
            Kind::MapOrIterator => "not a map or an iterator",
            Kind::Natural | Kind::Place => "out of range",
            Kind::NonEmpty => "not a nonempty list",
            Kind::Number => "not a number",
            Kind::Pattern => "not a valid pattern",
            Kind::Pid => "not a pid",
            Kind::Sized => "not tuple or binary",
            Kind::Tuple => "not a tuple",
        }
    }
}

/// Whether `binary:match/2` can search for it.
fn is_needle(term: &Term) -> bool {
    term.as_binary().is_some_and(|bytes| !bytes.is_empty())
}

fn are_needles(list: &Term) -> bool {
    let mut rest = list;
    while let Term::Cons(cons) = rest {
        if !is_needle(cons.head()) {
            return false;
        }
        rest = cons.tail();
    }
    matches!(rest, Term::Nil)
}
