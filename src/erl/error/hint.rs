//! What is wrong with which argument: `*** argument 1: not an atom`.

use crate::erl::function::Called;
use crate::erl::term::{Fun, Term};

/// What an argument has to be.
#[derive(Clone, Copy)]
enum Kind {
    Any,
    Atom,
    Binary,
    Bits,
    Fun(usize),
    Integer,
    IoData,
    IoList,
    List,
    NonEmpty,
    Map,
    MapOrIterator,
    Number,
    Pid,
    Sized,
    Tuple,
}

use Kind::{
    Any, Atom, Binary, Bits, Fun as AFun, Integer, IoData, IoList, List, Map, MapOrIterator,
    NonEmpty, Number, Pid, Sized, Tuple,
};

/// Functions and what their arguments have to be.
const SIGNATURES: &[(&str, &str, &[Kind])] = &[
    ("erlang", "abs", &[Number]),
    ("erlang", "apply", &[Atom, Atom, List]),
    ("erlang", "atom_to_binary", &[Atom]),
    ("erlang", "atom_to_list", &[Atom]),
    ("erlang", "binary_to_float", &[Binary]),
    ("erlang", "binary_to_integer", &[Binary]),
    ("erlang", "binary_to_list", &[Binary]),
    ("erlang", "bit_size", &[Bits]),
    ("erlang", "bitstring_to_list", &[Bits]),
    ("erlang", "byte_size", &[Bits]),
    ("erlang", "ceil", &[Number]),
    ("erlang", "element", &[Integer, Tuple]),
    ("erlang", "float", &[Number]),
    ("erlang", "floor", &[Number]),
    ("erlang", "hd", &[NonEmpty]),
    ("erlang", "integer_to_binary", &[Integer]),
    ("erlang", "integer_to_list", &[Integer]),
    ("erlang", "iolist_size", &[IoData]),
    ("erlang", "iolist_to_binary", &[IoData]),
    ("erlang", "is_process_alive", &[Pid]),
    ("erlang", "length", &[List]),
    ("erlang", "list_to_atom", &[List]),
    ("erlang", "list_to_binary", &[IoList]),
    ("erlang", "list_to_float", &[List]),
    ("erlang", "list_to_integer", &[List]),
    ("erlang", "list_to_tuple", &[List]),
    ("erlang", "map_get", &[Any, Map]),
    ("erlang", "map_size", &[Map]),
    ("erlang", "process_info", &[Pid]),
    ("erlang", "process_info", &[Pid, Any]),
    ("erlang", "round", &[Number]),
    ("erlang", "setelement", &[Integer, Tuple, Any]),
    ("erlang", "size", &[Sized]),
    ("erlang", "tl", &[NonEmpty]),
    ("erlang", "trunc", &[Number]),
    ("erlang", "tuple_size", &[Tuple]),
    ("erlang", "tuple_to_list", &[Tuple]),
    ("erlang", "whereis", &[Atom]),
    ("maps", "filter", &[AFun(2), MapOrIterator]),
    ("maps", "find", &[Any, Map]),
    ("maps", "fold", &[AFun(3), Any, MapOrIterator]),
    ("maps", "from_list", &[List]),
    ("maps", "get", &[Any, Map]),
    ("maps", "get", &[Any, Map, Any]),
    ("maps", "is_key", &[Any, Map]),
    ("maps", "keys", &[Map]),
    ("maps", "map", &[AFun(2), MapOrIterator]),
    ("maps", "merge", &[Map, Map]),
    ("maps", "put", &[Any, Any, Map]),
    ("maps", "remove", &[Any, Map]),
    ("maps", "size", &[Map]),
    ("maps", "take", &[Any, Map]),
    ("maps", "to_list", &[Map]),
    ("maps", "update", &[Any, Any, Map]),
    ("maps", "values", &[Map]),
    ("maps", "with", &[List, Map]),
    ("maps", "without", &[List, Map]),
];

/// The lines of hints for a call that failed; none if there is nothing to say for certain.
pub(super) fn hints(reason: &Term, called: &Called) -> String {
    let module = called
        .module
        .as_ref()
        .map_or("erlang", |module| module.as_str());
    let (name, args) = (called.name.as_str(), &called.args[..]);
    if let (Some([tag, _]), [.., last]) = (reason.as_tuple(), args)
        && tag.is_atom("badkey")
        && last.as_map().is_some()
    {
        return missing_key(name).to_string();
    }
    let mut signatures = SIGNATURES.iter();
    let found = signatures
        .find(|(of, function, kinds)| (*of, *function, kinds.len()) == (module, name, args.len()));
    let Some((_, _, kinds)) = found else {
        return String::new();
    };
    let mut lines = String::new();
    for (index, (kind, arg)) in kinds.iter().zip(args).enumerate() {
        if !kind.admits(arg) {
            let (number, phrase) = (index + 1, kind.phrase());
            lines.push_str(&format!("\n        *** argument {number}: {phrase}"));
        }
    }
    if lines.is_empty() {
        lines.push_str(otherwise(name));
    }
    lines
}

fn missing_key(name: &str) -> &'static str {
    match name {
        // Erlang says so of a key that is missing.
        "update" => "\n        *** argument 3: not a map",
        _ => "\n        *** argument 1: not present in map",
    }
}

/// What is wrong with arguments of the right types.
fn otherwise(name: &str) -> &'static str {
    match name {
        "element" | "setelement" => "\n        *** argument 1: out of range",
        "list_to_integer" | "binary_to_integer" => {
            "\n        *** argument 1: not a textual representation of an integer"
        }
        "list_to_float" | "binary_to_float" => {
            "\n        *** argument 1: not a textual representation of a float"
        }
        "iolist_to_binary" | "iolist_size" => "\n        *** argument 1: not an iodata term",
        "list_to_binary" => "\n        *** argument 1: not an iolist term",
        _ => "",
    }
}

impl Kind {
    fn admits(self, term: &Term) -> bool {
        match self {
            Any => true,
            Atom => matches!(term, Term::Atom(_)),
            Binary => term.as_binary().is_some(),
            Bits => matches!(term, Term::Bits(_)),
            AFun(arity) => match term {
                Term::Fun(Fun::Local(closure)) => closure.arity == arity,
                Term::Fun(Fun::Remote { arity: own, .. }) => *own == arity,
                _ => false,
            },
            IoList => matches!(term, Term::Cons(_) | Term::Nil),
            Sized => matches!(term, Term::Tuple(_) | Term::Bits(_)),
            Integer => matches!(term, Term::Int(_) | Term::Big(_)),
            IoData => matches!(term, Term::Cons(_) | Term::Nil | Term::Bits(_)),
            List => is_proper(term),
            NonEmpty => matches!(term, Term::Cons(_)),
            Map | MapOrIterator => matches!(term, Term::Map(_)),
            Number => matches!(term, Term::Int(_) | Term::Big(_) | Term::Float(_)),
            Pid => matches!(term, Term::Pid(_)),
            Tuple => matches!(term, Term::Tuple(_)),
        }
    }

    fn phrase(self) -> &'static str {
        match self {
            Any => "",
            Atom => "not an atom",
            Binary => "not a binary",
            Bits => "not a bitstring",
            AFun(3) => "not a fun that takes three arguments",
            AFun(_) => "not a fun that takes two arguments",
            Integer => "not an integer",
            IoData => "not an iodata term",
            List => "not a list",
            NonEmpty => "not a nonempty list",
            Map => "not a map",
            MapOrIterator => "not a map or an iterator",
            IoList => "not an iolist term",
            Sized => "not tuple or binary",
            Number => "not a number",
            Pid => "not a pid",
            Tuple => "not a tuple",
        }
    }
}

fn is_proper(term: &Term) -> bool {
    let mut rest = term;
    while let Term::Cons(cons) = rest {
        rest = cons.tail();
    }
    matches!(rest, Term::Nil)
}
