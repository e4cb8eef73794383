//! Errors as Erlang's shell prints them.

mod hint;
mod place;

pub use place::{Marked, place};

use super::function::{Called, Native, Raised};
use super::lib;
use super::number::Op;
use super::print;
use super::print::{Style, styled};
use super::term::{Fun, Term};

/// How long a line may become before what does not fit goes to the next one.
const WIDTH: usize = 80;
/// How much of one value is shown.
const VALUE_MAX: usize = 8 * 1024;

/// What the shell prints for an expression that has no value.
pub fn shown(raised: &Raised) -> String {
    match raised {
        Raised::Error { reason, of } => error(reason, of.as_deref()),
        Raised::Exit(reason) => labelled("** exception exit: ", "", reason),
        Raised::Throw(value) => labelled("** exception throw: ", "", value),
        Raised::Stopped(sentence) => format!("* {sentence}"),
    }
}

fn error(reason: &Term, of: Option<&Called>) -> String {
    let head = "** exception error: ";
    match (reason.as_atom(), of) {
        (Some("undef"), Some(called)) => return format!("{head}{}", undefined(called)),
        (Some("function_clause"), Some(called)) => return no_clause(head, called),
        (Some("badarg"), Some(called)) if called.is_construction() => {
            return format!("{head}construction of binary failed{}", segment(called));
        }
        _ => {}
    }
    let mut text = explained(head, reason);
    if let Some(called) = of.filter(|_| is_of_arguments(reason)) {
        text.push_str(&origin(called));
        text.push_str(&hint::hints(reason, called));
    }
    text
}

/// Whether a call is to blame for a reason: what Erlang's library raises by a clause or a filter of its own says enough, and a
/// call with its arguments would be in the way.
fn is_of_arguments(reason: &Term) -> bool {
    match reason.as_tuple() {
        Some([tag, _]) => tag.is_atom("badmap") || tag.is_atom("badkey"),
        _ => true,
    }
}

fn explained(head: &str, reason: &Term) -> String {
    if let Some(sentence) = reason.as_atom().and_then(sentence) {
        return format!("{head}{sentence}");
    }
    let Some([tag, value]) = reason.as_tuple() else {
        return labelled(head, "", reason);
    };
    let label = match tag.as_atom() {
        Some("badarg") => "bad argument: ",
        Some("badarity") => match arity(value) {
            Some(sentence) => return format!("{head}{sentence}"),
            None => return labelled(head, "", reason),
        },
        Some("badfun") => "bad function ",
        Some("badmatch") => "no match of right hand side value ",
        Some("case_clause") => "no case clause matching ",
        Some("try_clause") => "no try clause matching ",
        Some("bad_generator") => "bad generator ",
        Some("bad_filter") => "bad filter ",
        Some("badmap") => "bad map: ",
        Some("badkey") => "bad key: ",
        Some("unbound") if value.as_atom().is_some() => {
            let name = value.as_atom().unwrap_or_default();
            return format!("{head}variable '{name}' is unbound");
        }
        _ => return labelled(head, "", reason),
    };
    labelled(head, label, value)
}

fn sentence(reason: &str) -> Option<&'static str> {
    Some(match reason {
        "badarg" => "bad argument",
        "badarith" => "an error occurred when evaluating an arithmetic expression",
        "if_clause" => "no true branch found when evaluating an if expression",
        "noproc" => "no such process or port",
        "notalive" => "the node cannot be part of a distributed system",
        "system_limit" => "a system limit has been reached",
        "timeout_value" => "bad receive timeout value",
        _ => return None,
    })
}

fn arity(call: &Term) -> Option<String> {
    let [Term::Fun(fun), args] = call.as_tuple()? else {
        return None;
    };
    let given = match args.as_list()?.len() {
        0 => "no arguments".to_string(),
        1 => "one argument".to_string(),
        2 => "two arguments".to_string(),
        more => format!("{more} arguments"),
    };
    Some(match fun {
        Fun::Local(closure) => {
            let arity = closure.arity;
            format!("interpreted function with arity {arity} called with {given}")
        }
        Fun::Remote {
            module,
            name,
            arity,
        } => {
            let (module, name) = (atom(module.as_str()), atom(name.as_str()));
            format!("{module}:{name}/{arity} called with {given}")
        }
    })
}

/// A value behind its label; on a line of its own, if it takes fewer lines there.
fn labelled(head: &str, label: &str, value: &Term) -> String {
    let indent = head.len();
    let beside = value_at(value, indent + label.len() + 1);
    if beside.lines().count() > 2 {
        let below = value_at(value, indent + 1);
        if below.lines().count() < beside.lines().count() {
            return format!("{head}{label}\n{:indent$}{below}", "");
        }
    }
    format!("{head}{label}{beside}")
}

fn value_at(value: &Term, column: usize) -> String {
    styled(value, Style::shell(column).within(VALUE_MAX))
}

fn undefined(called: &Called) -> String {
    let (name, arity) = (atom(called.name.as_str()), called.args.len());
    match &called.module {
        Some(module) => format!(
            "undefined function {}:{name}/{arity}",
            atom(module.as_str())
        ),
        None => format!("undefined shell command {name}/{arity}"),
    }
}

fn no_clause(head: &str, called: &Called) -> String {
    let label = "no function clause matching ";
    let name = atom(called.name.as_str());
    let Some(module) = &called.module else {
        let arity = called.args.len();
        return format!("{head}{label}call to {name}/{arity}");
    };
    let name = format!("{}:{name}", atom(module.as_str()));
    let indent = head.len();
    let beside = call(&name, &called.args, indent + label.len() + 1);
    let fits = !beside.contains('\n') && indent + label.len() + beside.len() <= WIDTH;
    if fits {
        return format!("{head}{label}{beside}");
    }
    let below = call(&name, &called.args, indent + 1);
    format!("{head}{label}\n{:indent$}{below}", "")
}

/// Which segment of a bit string could not be built: its number, its type, what was expected, and what came.
fn segment(called: &Called) -> String {
    let [Term::Int(number), of, expected, value] = &called.args[..] else {
        return String::new();
    };
    let (Some(of), Some(expected)) = (of.as_atom(), expected.as_atom()) else {
        return String::new();
    };
    let (before, after) = expected.split_once('_').unwrap_or((expected, ""));
    let start = format!("        *** segment {number} of type '{of}': {before}");
    let value = value_at(value, start.chars().count() + 1);
    format!("\n{start}{value}{after}")
}

/// Which call it happened in.
fn origin(called: &Called) -> String {
    let indent = "        called as ";
    let column = indent.len() + 1;
    let (name, args) = (called.name.as_str(), &called.args[..]);
    let module = called
        .module
        .as_ref()
        .map_or("erlang", |module| module.as_str());
    if module == "erlang" && is_operator(name, args.len()) {
        let shown = if name == "/" { "'/'" } else { name };
        let called = match args {
            [a] => format!("{name} {}", value_at(a, column + name.len() + 1)),
            [a, b] => {
                let left = format!("{} {name} ", value_at(a, column));
                let behind = left.lines().last().map_or(0, |line| line.chars().count());
                let column = if left.contains('\n') { 1 } else { column } + behind;
                format!("{left}{}", value_at(b, column))
            }
            _ => String::new(),
        };
        return format!(
            "\n     in operator  {shown}/{}\n{indent}{called}",
            args.len()
        );
    }
    let native = lib::find(module, name, args.len());
    let name = match module {
        "erlang" if native.is_none_or(Native::is_imported) => atom(name),
        module => format!("{}:{}", atom(module), atom(name)),
    };
    let called = call(&name, args, column);
    format!(
        "\n     in function  {name}/{}\n{indent}{called}",
        args.len()
    )
}

/// An atom, in quotes where it needs them.
fn atom(name: &str) -> String {
    print::atom(name, true)
}

fn is_operator(name: &str, arity: usize) -> bool {
    match arity {
        1 => matches!(name, "+" | "-" | "bnot" | "not"),
        2 => name == "!" || Op::parse(name).is_some(),
        _ => false,
    }
}

/// A call with its arguments, laid out like a list of them.
fn call(name: &str, args: &[Term], column: usize) -> String {
    let list = Term::list(args.to_vec());
    let text = value_at(&list, column + name.chars().count());
    match text
        .strip_prefix('[')
        .and_then(|text| text.strip_suffix(']'))
    {
        Some(inner) => format!("{name}({inner})"),
        None => {
            // Numbers that would be taken for the characters of a text.
            let args: Vec<String> = args.iter().map(|arg| value_at(arg, 1)).collect();
            format!("{name}({})", args.join(","))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::erl::term::Atom;

    fn tagged(tag: &str, value: Term) -> Raised {
        Raised::error(Term::tuple([Term::atom(tag), value]))
    }

    fn called(module: Option<&str>, name: &str, reason: &str, args: &[Term]) -> Raised {
        let called = Called {
            module: module.map(Atom::new),
            name: Atom::new(name),
            args: args.to_vec(),
        };
        Raised::Error {
            reason: Term::atom(reason),
            of: Some(Arc::new(called)),
        }
    }

    #[test]
    fn reasons_read_as_in_erlang() {
        let cases = [
            (
                tagged("badmatch", Term::Int(2)),
                "** exception error: no match of right hand side value 2",
            ),
            (
                tagged("foo", Term::string("bar")),
                "** exception error: {foo,\"bar\"}",
            ),
            (
                tagged("badfun", Term::Int(1)),
                "** exception error: bad function 1",
            ),
            (Raised::Throw(Term::atom("foo")), "** exception throw: foo"),
            (
                Raised::Exit(Term::atom("badarg")),
                "** exception exit: badarg",
            ),
            (Raised::badarg(), "** exception error: bad argument"),
            (
                called(Some("foo"), "bar", "undef", &[Term::Nil]),
                "** exception error: undefined function foo:bar/1",
            ),
            (
                called(None, "foo", "undef", &[]),
                "** exception error: undefined shell command foo/0",
            ),
            (
                called(
                    Some("lists"),
                    "map",
                    "function_clause",
                    &[Term::Int(1), Term::Int(2)],
                ),
                "** exception error: no function clause matching lists:map(1,2)",
            ),
            (
                Raised::Stopped("stopped after 5 steps".to_string()),
                "* stopped after 5 steps",
            ),
        ];
        for (raised, text) in cases {
            assert_eq!(shown(&raised), text);
        }
    }

    #[test]
    fn a_call_that_failed_is_told() {
        let (one, a) = (Term::Int(1), Term::atom("a"));
        assert_eq!(
            shown(&called(Some("erlang"), "+", "badarith", &[one, a])),
            "** exception error: an error occurred when evaluating an arithmetic expression\n     \
             in operator  +/2\n        called as 1 + a"
        );
        let long = Term::list((1..=40).map(Term::Int));
        assert_eq!(
            shown(&tagged("badmatch", long)),
            "** exception error: no match of right hand side value \n                    \
             [1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,\n                     \
             23,24,25,26,27,28,29|...]"
        );
    }
}
