//! What is wrong with a format or its arguments.

use super::Fault;
use crate::erl::chardata;
use crate::erl::format::wanted::{Wanted, wanted};
use crate::erl::function::{Machine, Raised};
use crate::erl::number;
use crate::erl::term::Term;

/// How much is read of arguments to say what is wrong with them, in elements.
const READ_MAX: usize = 100_000;

/// To where the text of a hint begins.
const INDENT: &str = "\n                        ";

/// What is wrong with the arguments of `io:format/1,2,3`, the device not counted.
pub(super) fn faults(args: &[Term]) -> Vec<Fault> {
    let (before, format, args) = match args {
        [format] => (0, format, &Term::Nil),
        [format, args] => (0, format, args),
        [_, format, args] => (1, format, args),
        _ => return Vec::new(),
    };
    let fault = fault(format, args);
    let fault = fault.map(|(number, phrase)| (before + number, phrase));
    fault.into_iter().collect()
}

fn fault(format: &Term, args: &Term) -> Option<Fault> {
    let reader = &mut Reader { left: READ_MAX };
    let text = match format {
        Term::Atom(name) => Some(name.as_str().to_owned()),
        _ => chardata::text_or_latin1(format, reader).ok()?,
    };
    let Some(text) = text else {
        return Some((1, "not a valid format string".to_string()));
    };
    if !matches!(args, Term::Nil | Term::Cons(_)) {
        return Some((2, "not a list".to_string()));
    }
    let wanted = match wanted(&text) {
        Ok(wanted) => wanted,
        Err(why) => return Some((1, format!("format string invalid ({why})"))),
    };
    if number::length(args) != Some(wanted.len()) {
        return Some((1, "wrong number of arguments".to_string()));
    }
    let args = args.as_list()?;
    let mut wrong = Vec::new();
    for (index, (wanted, arg)) in wanted.iter().zip(&args).enumerate() {
        let kind = match wanted {
            Wanted::Float if !matches!(arg, Term::Float(_)) => "float",
            Wanted::Integer if !matches!(arg, Term::Int(_) | Term::Big(_)) => "integer",
            Wanted::Text if !is_text(arg, reader)? => "string",
            _ => continue,
        };
        wrong.push(format!("element {} must be of type {kind}", index + 1));
    }
    if wrong.is_empty() {
        return Some((1, "failed to format string".to_string()));
    }
    Some((2, wrong.join(INDENT)))
}

/// Nothing if there is more of it than is read.
fn is_text(value: &Term, reader: &mut Reader) -> Option<bool> {
    if matches!(value, Term::Atom(_)) || value.as_binary().is_some() {
        return Some(true);
    }
    let text = chardata::text_or_latin1(value, reader).ok()?;
    Some(text.is_some())
}

/// Reads up to a bound, and applies nothing.
struct Reader {
    left: usize,
}

impl Machine for Reader {
    fn apply(&mut self, _: &Term, _: Vec<Term>) -> Result<Term, Raised> {
        Err(Raised::badarg())
    }

    fn charge(&mut self, elements: usize) -> Result<(), Raised> {
        self.left = self
            .left
            .checked_sub(elements)
            .ok_or_else(number::system_limit)?;
        Ok(())
    }

    fn print(&mut self, _: &str) -> Result<(), Raised> {
        Ok(())
    }
}
