//! What there is to call.

use crate::erl::function::Raised;
use crate::erl::lib;
use crate::erl::term::Term;
use crate::shell::Call;
use crate::shell::table::{self, Body, Function};

/// The functions.
pub const FUNCTIONS: &[Function] = &[
    Function {
        module: table::COMMANDS,
        name: "help",
        arity: 0,
        usage: "help()",
        doc: "Prints what there is: commands, modules, and how to begin.",
        body: Body::Reads(help),
    },
    Function {
        module: table::COMMANDS,
        name: "help",
        arity: 1,
        usage: "help(Module)",
        doc: "Prints the functions of a module; help(shell) those that are called without one.",
        body: Body::Reads(help_module),
    },
];

/// What the evaluator itself knows, for help and completion: usage and a line each.
pub const LANGUAGE: &[(&str, &str)] = &[
    ("b()", "Prints the variables and what they are bound to."),
    ("f()", "Forgets all variables."),
    ("f(X)", "Forgets the variable X."),
    (
        "rp(Value)",
        "Prints a value whole, as all values are printed here.",
    ),
    (
        "v(N)",
        "The value of the N-th result of this session; v(-1) is the last.",
    ),
];

/// What a line of help says of a function.
pub struct Entry {
    /// Its module.
    pub module: &'static str,
    /// Its name.
    pub name: &'static str,
    /// How many arguments it takes.
    pub arity: usize,
    /// How it is called.
    pub usage: &'static str,
    /// One line.
    pub doc: &'static str,
    /// Whether it changes anything.
    pub changes: bool,
}

/// Every function there is, those of the language's library among them, by module and name.
pub fn entries() -> Vec<Entry> {
    let own = table::all().map(|function| Entry {
        module: function.module,
        name: function.name,
        arity: function.arity,
        usage: function.usage,
        doc: function.doc,
        changes: function.changes(),
    });
    let natives = lib::all().map(|native| Entry {
        module: native.module,
        name: native.name,
        arity: native.arity,
        usage: native.usage,
        doc: native.doc,
        changes: false,
    });
    let mut entries: Vec<Entry> = own.chain(natives).collect();
    entries.sort_by_key(|entry| (entry.module, entry.name, entry.arity));
    entries
}

const BEGIN: &str = "\
Expressions are Erlang's and end with a dot. Several may be pasted at once.

  yizhan:online().              who is there, on what
  yizhan:why(<<\"MsgId\">>).      the life of a message, and a verdict
  yizhan:behind().              who does not keep up
  i().                          what runs
  help(yizhan).                 all of a module

";

fn help(call: &mut Call<'_>, _: &[Term]) -> Result<Term, Raised> {
    let entries = entries();
    let mut modules: Vec<&str> = entries.iter().map(|entry| entry.module).collect();
    modules.dedup();
    modules.retain(|module| *module != table::COMMANDS);
    let mut out = BEGIN.to_string();
    out.push_str("Commands:\n");
    for (usage, doc) in LANGUAGE {
        out.push_str(&line(usage, doc, false));
    }
    for entry in entries.iter().filter(|e| e.module == table::COMMANDS) {
        out.push_str(&line(entry.usage, entry.doc, entry.changes));
    }
    out.push_str("\nModules: ");
    out.push_str(&modules.join(", "));
    out.push('\n');
    call.machine.print(&out)?;
    Ok(Term::ok())
}

fn help_module(call: &mut Call<'_>, args: &[Term]) -> Result<Term, Raised> {
    let module = args[0].as_atom().ok_or_else(Raised::badarg)?.to_string();
    let entries = entries();
    let mut out = String::new();
    for entry in entries.iter().filter(|entry| entry.module == module) {
        out.push_str(&line(entry.usage, entry.doc, entry.changes));
    }
    if module == table::COMMANDS {
        for (usage, doc) in LANGUAGE {
            out.push_str(&line(usage, doc, false));
        }
    }
    if out.is_empty() {
        out = format!("There is no module {module}: help() lists them.\n");
    }
    call.machine.print(&out)?;
    Ok(Term::ok())
}

fn line(usage: &str, doc: &str, changes: bool) -> String {
    let mark = if changes { "*" } else { " " };
    match usage.len() {
        ..=32 => format!("{mark} {usage:<32} {doc}\n"),
        _ => format!("{mark} {usage}\n  {:<32} {doc}\n", ""),
    }
}
