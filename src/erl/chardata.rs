//! Text as Erlang holds it: lists of characters and binaries, nested.

use super::function::{Machine, Raised};
use super::term::Term;

/// The text of nested lists of characters and UTF-8 binaries; `None` if it is none. Paid for by what is walked.
pub fn text(value: &Term, machine: &mut dyn Machine) -> Result<Option<String>, Raised> {
    let mut reader = Reader::new(machine, Form::Unicode);
    let is_text = reader.read(value)?;
    Ok(is_text.then_some(reader.text))
}

/// Like [`text`], but a binary that is not UTF-8 counts as Latin-1, as for `~ts`.
pub fn text_or_latin1(value: &Term, machine: &mut dyn Machine) -> Result<Option<String>, Raised> {
    let mut reader = Reader::new(machine, Form::Either);
    let is_text = reader.read(value)?;
    Ok(is_text.then_some(reader.text))
}

/// The text of nested lists of bytes and binaries, each byte a character, as for `~s`; `None` if it is none.
pub fn latin1(value: &Term, machine: &mut dyn Machine) -> Result<Option<String>, Raised> {
    let mut reader = Reader::new(machine, Form::Latin1);
    let is_text = reader.read(value)?;
    Ok(is_text.then_some(reader.text))
}

/// The bytes of nested lists of bytes and binaries; `None` if it is no such list.
pub fn bytes(value: &Term, machine: &mut dyn Machine) -> Result<Option<Vec<u8>>, Raised> {
    let text = latin1(value, machine)?;
    // Every character is a byte.
    Ok(text.map(|text| text.chars().map(|c| u32::from(c) as u8).collect()))
}

/// The character of a code point.
pub fn character(value: &Term) -> Option<char> {
    match value {
        Term::Int(point) => char::from_u32(u32::try_from(*point).ok()?),
        _ => None,
    }
}

/// A list of these characters, paid for.
pub fn list(text: &str, machine: &mut dyn Machine) -> Result<Term, Raised> {
    machine.charge(text.len())?;
    Ok(Term::string(text))
}

/// A UTF-8 binary of these characters, paid for.
pub fn binary(text: &str, machine: &mut dyn Machine) -> Result<Term, Raised> {
    machine.charge(text.len() / 8 + 1)?;
    Ok(Term::binary(text.as_bytes()))
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    Unicode,
    Latin1,
    Either,
}

struct Reader<'a> {
    machine: &'a mut dyn Machine,
    form: Form,
    text: String,
    owed: usize,
}

impl<'a> Reader<'a> {
    fn new(machine: &'a mut dyn Machine, form: Form) -> Reader<'a> {
        Reader {
            machine,
            form,
            text: String::new(),
            owed: 0,
        }
    }

    fn read(&mut self, value: &Term) -> Result<bool, Raised> {
        let is_text = match value {
            // A binary may stand for a whole text; for a tail, too.
            Term::Nil | Term::Cons(_) | Term::Bits(_) => self.part(value)?,
            _ => false,
        };
        self.machine.charge(std::mem::take(&mut self.owed))?;
        Ok(is_text)
    }

    fn part(&mut self, value: &Term) -> Result<bool, Raised> {
        let mut value = value;
        while let Term::Cons(cons) = value {
            self.owe(1)?;
            let is_text = match cons.head() {
                Term::Int(point) => self.point(*point),
                head => self.part(head)?,
            };
            if !is_text {
                return Ok(false);
            }
            value = cons.tail();
        }
        match value {
            Term::Nil => Ok(true),
            Term::Bits(_) => match value.as_binary() {
                Some(bytes) => {
                    self.owe(bytes.len() / 8 + 1)?;
                    Ok(self.bytes(bytes))
                }
                None => Ok(false),
            },
            _ => Ok(false),
        }
    }

    fn point(&mut self, point: i64) -> bool {
        let c = u32::try_from(point).ok().and_then(char::from_u32);
        match c {
            Some(c) if self.form != Form::Latin1 || c <= 'ÿ' => {
                self.text.push(c);
                true
            }
            _ => false,
        }
    }

    fn bytes(&mut self, bytes: &[u8]) -> bool {
        match (self.form, std::str::from_utf8(bytes)) {
            (Form::Unicode | Form::Either, Ok(text)) => self.text.push_str(text),
            (Form::Unicode, Err(_)) => return false,
            _ => self.text.extend(bytes.iter().map(|byte| char::from(*byte))),
        }
        true
    }

    fn owe(&mut self, elements: usize) -> Result<(), Raised> {
        self.owed += elements;
        if self.owed < 1024 {
            return Ok(());
        }
        self.machine.charge(std::mem::take(&mut self.owed))
    }
}
