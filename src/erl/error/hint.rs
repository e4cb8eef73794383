//! What is wrong with which argument: `*** argument 1: not an atom`.

mod format;
mod kind;
mod signature;

use crate::erl::function::Called;
use crate::erl::term::Term;

/// An argument, counted from 1, and what is wrong with it.
type Fault = (usize, String);

/// The lines of hints for a call that failed; none if there is nothing to say for certain.
pub(super) fn hints(reason: &Term, called: &Called) -> String {
    let lines = faults(reason, called).into_iter();
    let lines = lines.map(|(number, phrase)| format!("\n        *** argument {number}: {phrase}"));
    lines.collect()
}

fn faults(reason: &Term, called: &Called) -> Vec<Fault> {
    if reason.is_atom("system_limit") {
        return Vec::new();
    }
    let module = called
        .module
        .as_ref()
        .map_or("erlang", |module| module.as_str());
    let (name, args) = (called.name.as_str(), &called.args[..]);
    if let (Some([tag, _]), [.., last]) = (reason.as_tuple(), args)
        && tag.is_atom("badkey")
        && last.as_map().is_some()
    {
        return vec![missing_key(name)];
    }
    if module == "io" && matches!(name, "format" | "fwrite") {
        return format::faults(args);
    }
    let Some(kinds) = signature::signature(module, name, args.len()) else {
        return Vec::new();
    };
    let wrong = kinds.iter().zip(args).enumerate();
    let wrong = wrong.filter_map(|(index, (kind, arg))| Some((index + 1, kind.fault(arg)?.into())));
    let wrong: Vec<Fault> = wrong.collect();
    if !wrong.is_empty() {
        return wrong;
    }
    let otherwise = otherwise(module, name, args);
    let otherwise = otherwise.map(|(number, phrase)| (number, phrase.to_string()));
    otherwise.into_iter().collect()
}

fn missing_key(name: &str) -> Fault {
    match name {
        // Erlang says so of a key that is missing.
        "update" => (3, "not a map".to_string()),
        _ => (1, "not present in map".to_string()),
    }
}

/// What is wrong with arguments of the right types.
fn otherwise(module: &str, name: &str, args: &[Term]) -> Option<(usize, &'static str)> {
    let out_of_range = "out of range";
    Some(match (module, name, args) {
        (_, "element" | "setelement" | "delete_element" | "insert_element" | "make_tuple", _) => {
            (1, out_of_range)
        }
        (_, "list_to_integer" | "binary_to_integer", _) => {
            (1, "not a textual representation of an integer")
        }
        (_, "list_to_float" | "binary_to_float", _) => {
            (1, "not a textual representation of a float")
        }
        (_, "list_to_pid", _) => (1, "not a textual representation of a pid"),
        (_, "iolist_to_binary" | "iolist_size", _) => (1, "not an iodata term"),
        (_, "list_to_binary", _) => (1, "not an iolist term"),
        (_, "list_to_atom", _) => (1, "not a list of characters"),
        (_, "float", _) => (1, "not a number"),
        // Of these Erlang names the first argument and means the second.
        (_, "phash2", [_, Term::Int(_) | Term::Big(_)]) => (1, out_of_range),
        (_, "phash2", _) => (1, "not an integer"),
        (_, "is_record", [_, _]) => (1, "not an atom"),
        (_, "fun_info", _) => (2, "invalid item"),
        (_, "split_binary", _) => (2, out_of_range),
        (_, "binary_part" | "part", [_, _]) => (2, part(args)),
        (_, "binary_part" | "part" | "bin_to_list", [bytes, start, _]) => {
            (2 + usize::from(is_within(bytes, start)), out_of_range)
        }
        ("binary", "first" | "last", _) => (1, "a zero-sized binary is not allowed"),
        ("binary", "decode_hex", [digits]) if digits.as_binary()?.len() % 2 == 1 => {
            (1, "must contain an even number of bytes")
        }
        ("binary", "match" | "matches" | "split", [_, _, _]) => (3, "invalid options"),
        ("binary", "replace", [_, _, _, _]) => (4, "invalid options"),
        ("lists", "seq", [_, _, Term::Int(1..) | Term::Big(_)]) => (3, "not a negative increment"),
        ("lists", "seq", _) => (3, "not a positive increment"),
        ("math", "fmod", _) => (2, "is outside the domain for this function"),
        ("math", "acos" | "acosh" | "asin" | "atanh", _)
        | ("math", "log" | "log10" | "log2" | "sqrt", _) => {
            (1, "is outside the domain for this function")
        }
        _ => return None,
    })
}

fn part(args: &[Term]) -> &'static str {
    match args.get(1).and_then(Term::as_tuple) {
        Some([Term::Int(_), Term::Int(_)]) => "out of range",
        _ => "not a valid {Pos,Length} tuple",
    }
}

fn is_within(bytes: &Term, start: &Term) -> bool {
    let length = bytes.as_binary().map_or(0, <[u8]>::len);
    matches!(start, Term::Int(start) if usize::try_from(*start).is_ok_and(|start| start <= length))
}
