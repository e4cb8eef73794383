use std::collections::BTreeMap;

use super::*;
use crate::erl::chardata;
use crate::erl::function::{Machine, Raised};
use crate::erl::number;
use crate::erl::print::{self, Style};
use crate::erl::term::{Atom, Bits, Fun, Key};

/// Calls with what `erl` of OTP 25 printed for them, one a line: `call => value`, or `call => class: reason`.
const GOLDEN: &str = include_str!("golden.txt");

/// A machine that knows natives only, and pays up to a bound.
pub(crate) struct Bench {
    pub(crate) left: usize,
    pub(crate) printed: String,
}

impl Bench {
    pub(crate) fn new() -> Bench {
        Bench {
            left: 10_000_000,
            printed: String::new(),
        }
    }
}

impl Machine for Bench {
    fn apply(&mut self, fun: &Term, args: Vec<Term>) -> Result<Term, Raised> {
        let Term::Fun(Fun::Remote {
            module,
            name,
            arity,
        }) = fun
        else {
            return Err(Raised::badarg());
        };
        match find(module.as_str(), name.as_str(), *arity) {
            Some(native) if args.len() == *arity => (native.call)(self, &args),
            _ => Err(Raised::error(Term::atom("undef"))),
        }
    }

    fn charge(&mut self, elements: usize) -> Result<(), Raised> {
        match self.left.checked_sub(elements) {
            Some(left) => self.left = left,
            None => return Err(Raised::Stopped("too much".to_owned())),
        }
        Ok(())
    }

    fn print(&mut self, text: &str) -> Result<(), Raised> {
        self.printed.push_str(text);
        Ok(())
    }
}

/// Reads literals and calls of natives, as far as the golden file has them.
pub(crate) struct Reader<'a> {
    rest: &'a str,
    bench: Bench,
}

impl<'a> Reader<'a> {
    pub(crate) fn eval(text: &'a str) -> Result<Term, Raised> {
        let mut reader = Reader {
            rest: text,
            bench: Bench::new(),
        };
        let value = reader.value()?;
        assert_eq!(reader.rest.trim(), "", "left of {text}");
        Ok(value)
    }

    fn skip(&mut self, token: &str) -> bool {
        self.rest = self.rest.trim_start();
        match self.rest.strip_prefix(token) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn need(&mut self, token: &str) {
        assert!(self.skip(token), "{token} at {}", self.rest);
    }

    fn values(&mut self, close: &str) -> Result<Vec<Term>, Raised> {
        let mut values = Vec::new();
        if self.skip(close) {
            return Ok(values);
        }
        loop {
            values.push(self.value()?);
            if !self.skip(",") {
                break;
            }
        }
        self.need(close);
        Ok(values)
    }

    fn value(&mut self) -> Result<Term, Raised> {
        if self.skip("<<") {
            return self.bits();
        }
        if self.skip("#{") {
            let mut entries = BTreeMap::new();
            while !self.skip("}") {
                let key = self.value()?;
                self.need("=>");
                let value = self.value()?;
                entries.insert(Key(key), value);
                self.skip(",");
            }
            return Ok(Term::map(entries));
        }
        if self.skip("{") {
            return Ok(Term::tuple(self.values("}")?));
        }
        if self.skip("[") {
            if self.skip("]") {
                return Ok(Term::Nil);
            }
            let mut items = vec![self.value()?];
            while self.skip(",") {
                items.push(self.value()?);
            }
            let tail = if self.skip("|") {
                self.value()?
            } else {
                Term::Nil
            };
            self.need("]");
            return Ok(items
                .into_iter()
                .rev()
                .fold(tail, |tail, head| Term::cons(head, tail)));
        }
        if self.skip("\"") {
            let text = self.quoted('"');
            return Ok(Term::string(&text));
        }
        if self.skip("$") {
            let c = self.rest.chars().next().unwrap();
            self.rest = &self.rest[c.len_utf8()..];
            return Ok(Term::Int(i64::from(u32::from(c))));
        }
        if self.skip("fun ") {
            let module = self.name();
            self.need(":");
            let name = self.name();
            self.need("/");
            let arity = self.number().parse().unwrap();
            return Ok(Term::Fun(Fun::Remote {
                module: Atom::new(module),
                name: Atom::new(name),
                arity,
            }));
        }
        self.rest = self.rest.trim_start();
        if self
            .rest
            .starts_with(|c: char| c == '-' || c.is_ascii_digit())
        {
            let text = self.number();
            if text.contains('.') {
                return Ok(Term::Float(text.parse().unwrap()));
            }
            return Ok(number::parse_integer(text.as_bytes(), 10, &mut self.bench)?.unwrap());
        }
        let name = self.name();
        if self.skip(":") {
            let function = self.name();
            self.need("(");
            let args = self.values(")")?;
            let native = find(&name, &function, args.len());
            let native = native.unwrap_or_else(|| panic!("{name}:{function}/{}", args.len()));
            return (native.call)(&mut self.bench, &args);
        }
        Ok(Term::atom(&name))
    }

    fn bits(&mut self) -> Result<Term, Raised> {
        let (mut bytes, mut bits) = (Vec::new(), 0);
        while !self.skip(">>") {
            if self.skip("\"") {
                let text = self.quoted('"');
                let utf8 = self.skip("/utf8");
                match utf8 {
                    true => bytes.extend(text.bytes()),
                    false => bytes.extend(text.chars().map(|c| u32::from(c) as u8)),
                }
                bits = bytes.len() * 8;
            } else {
                let value: u8 = self.number().parse().unwrap();
                let width = if self.skip(":") {
                    self.number().parse().unwrap()
                } else {
                    8
                };
                bytes.push(value << (8 - width));
                bits += width;
            }
            self.skip(",");
        }
        Ok(Term::Bits(Bits {
            bytes: bytes.into(),
            bits,
        }))
    }

    fn quoted(&mut self, end: char) -> String {
        let mut text = String::new();
        let mut chars = self.rest.chars();
        loop {
            match chars.next().unwrap() {
                '\\' => text.push(match chars.next().unwrap() {
                    'n' => '\n',
                    't' => '\t',
                    'r' => '\r',
                    'e' => '\u{1b}',
                    'b' => '\u{8}',
                    'f' => '\u{c}',
                    'v' => '\u{b}',
                    'd' => '\u{7f}',
                    c => c,
                }),
                c if c == end => break,
                c => text.push(c),
            }
        }
        self.rest = chars.as_str();
        text
    }

    fn name(&mut self) -> String {
        if self.skip("'") {
            return self.quoted('\'');
        }
        let is_end = |c: char| !(c.is_alphanumeric() || c == '_' || c == '@');
        let end = self.rest.find(is_end).unwrap_or(self.rest.len());
        let (name, rest) = self.rest.split_at(end);
        assert!(!name.is_empty(), "a name at {}", self.rest);
        self.rest = rest;
        name.to_owned()
    }

    fn number(&mut self) -> String {
        self.rest = self.rest.trim_start();
        let mut end = usize::from(self.rest.starts_with('-'));
        let bytes = self.rest.as_bytes();
        while let Some(byte) = bytes.get(end) {
            let goes_on = byte.is_ascii_digit()
                || (*byte == b'.' && bytes.get(end + 1).is_some_and(u8::is_ascii_digit))
                || *byte == b'e'
                || (matches!(byte, b'-' | b'+') && bytes[end - 1] == b'e');
            if !goes_on {
                break;
            }
            end += 1;
        }
        let (number, rest) = self.rest.split_at(end);
        self.rest = rest;
        number.to_owned()
    }
}

fn outcome(call: &str) -> String {
    let style = Style::pretty(1, 0).unicode();
    match Reader::eval(call) {
        Ok(value) => print::styled(&value, style),
        Err(Raised::Error { reason, .. }) => format!("error: {}", print::styled(&reason, style)),
        Err(Raised::Exit(reason)) => format!("exit: {}", print::styled(&reason, style)),
        Err(Raised::Throw(value)) => format!("throw: {}", print::styled(&value, style)),
        Err(Raised::Stopped(why)) => format!("stopped: {why}"),
    }
}

#[test]
fn every_call_answers_as_otp_25_does() {
    let mut wrong = Vec::new();
    for line in GOLDEN.lines() {
        let (call, expected) = line.split_once(" => ~ ").unwrap();
        let got = outcome(call);
        if got != expected {
            wrong.push(format!("{call}\n  erl: {expected}\n  own: {got}"));
        }
    }
    assert!(
        wrong.is_empty(),
        "{} differ:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

#[test]
fn tables_are_in_the_order_that_find_wants() {
    for table in TABLES {
        let keys = |native: &Native| (native.name, native.arity);
        for pair in table.windows(2) {
            assert!(
                keys(&pair[0]) < keys(&pair[1]),
                "{} {}",
                pair[0].usage,
                pair[1].usage
            );
        }
    }
    for native in all() {
        let found = find(native.module, native.name, native.arity).unwrap();
        assert_eq!(found.usage, native.usage);
    }
}

#[test]
fn usage_and_doc_of_every_native_are_whole() {
    for native in all() {
        assert!(native.usage.contains(native.name), "{}", native.usage);
        assert!(
            native.doc.ends_with('.') || native.doc.ends_with(')'),
            "{}",
            native.usage
        );
        assert!(!native.doc.contains('\n'));
    }
}

#[test]
fn nothing_large_is_built_before_it_is_paid() {
    let calls = [
        "lists:seq(1, 100000000)",
        "lists:duplicate(1000000000000, a)",
        "binary:copy(<<\"abc\">>, 1000000000000)",
        "string:copies(\"abc\", 1000000000000)",
        "string:chars(32, 1000000000000)",
        "string:pad(\"a\", 1000000000000)",
        "string:left(\"a\", 1000000000000)",
        "io_lib:format(\"~1000000000000w\", [a])",
        "io_lib:format(\"~1000000000000c\", [65])",
        "io_lib:format(\"~.1000000000000f\", [1.0])",
        "erlang:integer_to_list(erlang:'bsl'(1, 10000000))",
        "erlang:'*'(erlang:'bsl'(1, 16000000), erlang:'bsl'(1, 16000000))",
    ];
    for call in calls {
        assert_eq!(outcome(call), "stopped: too much", "{call}");
    }
    assert_eq!(
        outcome("erlang:'bsl'(1, 10000000000)"),
        "error: system_limit"
    );
    assert_eq!(
        outcome("erlang:make_tuple(1000000000000, a)"),
        "error: badarg"
    );
}

#[test]
fn parts_that_are_shared_a_thousandfold_are_compared_and_not_walked_for_ever() {
    let nested = || (0..200).fold(Term::Nil, |part, _| Term::tuple([part.clone(), part]));
    let mut bench = Bench::new();
    let (a, b) = (nested(), nested());
    assert!(number::ordered(&a, &b, false, &mut bench).unwrap().is_eq());
    assert!(matches!(
        chardata::text(&Term::list([a.clone()]), &mut bench),
        Ok(None)
    ));
    let printed = find("io", "write", 1).unwrap();
    assert!(matches!(
        (printed.call)(&mut bench, &[a]),
        Err(Raised::Stopped(_))
    ));
}
