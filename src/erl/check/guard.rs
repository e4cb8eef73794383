//! What may stand in a guard.

use crate::erl::ast::{Callee, Expr, Kind};
use crate::erl::number::Op;
use crate::erl::term::Term;

/// Functions of the module `erlang` that a guard may call.
const GUARDS: [(&str, &[usize]); 44] = [
    ("abs", &[1]),
    ("binary_part", &[2, 3]),
    ("bit_size", &[1]),
    ("byte_size", &[1]),
    ("ceil", &[1]),
    ("element", &[2]),
    ("float", &[1]),
    ("floor", &[1]),
    ("hd", &[1]),
    ("is_atom", &[1]),
    ("is_binary", &[1]),
    ("is_bitstring", &[1]),
    ("is_boolean", &[1]),
    ("is_float", &[1]),
    ("is_function", &[1, 2]),
    ("is_integer", &[1]),
    ("is_list", &[1]),
    ("is_map", &[1]),
    ("is_map_key", &[2]),
    ("is_number", &[1]),
    ("is_pid", &[1]),
    ("is_port", &[1]),
    ("is_record", &[2, 3]),
    ("is_reference", &[1]),
    ("is_tuple", &[1]),
    ("length", &[1]),
    ("map_get", &[2]),
    ("map_size", &[1]),
    ("max", &[2]),
    ("min", &[2]),
    ("node", &[0, 1]),
    ("not", &[1]),
    ("round", &[1]),
    ("self", &[0]),
    ("size", &[1]),
    ("tl", &[1]),
    ("trunc", &[1]),
    ("tuple_size", &[1]),
    ("and", &[2]),
    ("or", &[2]),
    ("xor", &[2]),
    ("div", &[2]),
    ("rem", &[2]),
    ("bnot", &[1]),
];

/// Whether an expression could stand in a guard.
pub fn is_guard(expr: &Expr) -> bool {
    illegal_guard(expr).is_none()
}

/// Where the first part is that could not stand in a guard.
pub(super) fn illegal_guard(expr: &Expr) -> Option<usize> {
    let legal = match &expr.kind {
        Kind::Value(_) | Kind::Text(..) | Kind::Var(_) | Kind::Tuple(_) | Kind::List(..) => true,
        Kind::Map(..) | Kind::Bits(_) | Kind::Unary(..) | Kind::Lazy(..) => true,
        Kind::Binary(sign, ..) => !matches!(sign, Op::Append | Op::Without),
        Kind::Call(Callee::Local(name), args) => is_guard_function(name.as_str(), args.len()),
        Kind::Call(Callee::Remote(module, name), args) => {
            let (module, name) = (constant(module), constant(name));
            let erlang = module.is_some_and(|module| module == "erlang");
            erlang && name.is_some_and(|name| is_guard_function(name, args.len()))
        }
        _ => false,
    };
    if !legal {
        return Some(expr.at);
    }
    let mut first = None;
    expr.each(&mut |inner| first = first.or_else(|| illegal_guard(inner)));
    first
}

fn constant(expr: &Expr) -> Option<&str> {
    match &expr.kind {
        Kind::Value(Term::Atom(name)) => Some(name.as_str()),
        _ => None,
    }
}

fn is_guard_function(name: &str, arity: usize) -> bool {
    let found = GUARDS.iter().find(|(known, _)| *known == name);
    found.is_some_and(|(_, arities)| arities.contains(&arity))
}
