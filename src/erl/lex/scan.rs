//! Characters into tokens.

use num_bigint::BigInt;
use num_traits::Num;

use super::{Kind, LexError};
use crate::erl::print;
use crate::erl::term::Atom;

/// Words that are no atoms unless they are quoted.
pub(super) const RESERVED: [&str; 27] = [
    "after", "and", "andalso", "band", "begin", "bnot", "bor", "bsl", "bsr", "bxor", "case",
    "catch", "cond", "div", "end", "fun", "if", "let", "not", "of", "or", "orelse", "receive",
    "rem", "try", "when", "xor",
];

/// Longer ones first.
const SIGNS: [&str; 47] = [
    "=:=", "=/=", "...", "<<", ">>", "<-", "<=", "=<", "=>", ":=", "==", "/=", ">=", "->", "++",
    "--", "||", "::", "..", "??", "(", ")", "{", "}", "[", "]", ",", ";", ":", "=", "<", ">", "+",
    "-", "*", "/", "|", "!", "#", "?", ".", "@", "&", "^", "~", "`", "\\",
];

/// How much of an unterminated text is quoted, in characters.
const QUOTED: usize = 16;

/// A place in a text.
pub(super) struct Lexer<'a> {
    pub(super) text: &'a str,
    pub(super) at: usize,
}

impl Lexer<'_> {
    fn rest(&self) -> &str {
        &self.text[self.at..]
    }

    pub(super) fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn next(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.at += c.len_utf8();
        Some(c)
    }

    fn take_while(&mut self, wanted: impl Fn(char) -> bool) -> String {
        let rest = self.rest();
        let end = rest.find(|c| !wanted(c)).unwrap_or(rest.len());
        let taken = rest[..end].to_string();
        self.at += end;
        taken
    }

    pub(super) fn skip(&mut self) {
        loop {
            match self.peek() {
                Some('%') => drop(self.take_while(|c| c != '\n')),
                Some(c) if is_space(c) => self.at += c.len_utf8(),
                _ => return,
            }
        }
    }

    pub(super) fn ends_sentence(&self) -> bool {
        let after = self.rest().chars().nth(1);
        after.is_none_or(|c| is_space(c) || c == '%')
    }

    pub(super) fn token(&mut self, first: char) -> Result<Kind, LexError> {
        match first {
            '0'..='9' => self.number(),
            '"' => Ok(Kind::Text(self.between('"')?)),
            '\'' => self.quoted_atom(),
            '$' => self.char(),
            c if is_small(c) => {
                let name = self.take_while(is_name);
                let reserved = RESERVED.iter().find(|word| **word == name);
                Ok(reserved.map_or_else(|| Kind::Atom(Atom::new(name)), |word| Kind::Sign(word)))
            }
            c if c == '_' || is_large(c) => Ok(Kind::Var(Atom::new(self.take_while(is_name)))),
            _ => {
                let sign = SIGNS.iter().find(|sign| self.rest().starts_with(**sign));
                let sign = sign.ok_or_else(|| wrong(self.at, "illegal character"))?;
                self.at += sign.len();
                Ok(Kind::Sign(sign))
            }
        }
    }

    fn quoted_atom(&mut self) -> Result<Kind, LexError> {
        let at = self.at;
        let name = self.between('\'')?;
        if name.chars().count() > 255 {
            return Err(wrong(at, "illegal atom"));
        }
        Ok(Kind::Atom(Atom::new(name)))
    }

    fn between(&mut self, quote: char) -> Result<String, LexError> {
        let start = self.at;
        self.next();
        let mut text = String::new();
        loop {
            match self.next() {
                Some(c) if c == quote => return Ok(text),
                Some('\\') => match self.escape()? {
                    Some(c) => text.push(c),
                    None => break,
                },
                Some(c) => text.push(c),
                None => break,
            }
        }
        let thing = if quote == '"' { "string" } else { "atom" };
        let head: String = self.text[start + 1..].chars().take(QUOTED).collect();
        let message = format!(
            "unterminated {thing} starting with {}",
            print::quoted(head.chars(), quote, true)
        );
        Err(LexError {
            at: start,
            message,
            unfinished: true,
        })
    }

    fn char(&mut self) -> Result<Kind, LexError> {
        let start = self.at;
        self.next();
        let c = match self.next() {
            Some('\\') => self.escape()?,
            c => c,
        };
        c.map(Kind::Char).ok_or_else(|| LexError {
            at: start,
            message: "unterminated character".to_string(),
            unfinished: true,
        })
    }

    /// What a backslash and what follows stand for; nothing at the end of the text.
    fn escape(&mut self) -> Result<Option<char>, LexError> {
        let start = self.at - 1;
        let Some(c) = self.next() else {
            return Ok(None);
        };
        let code = match c {
            'b' => 8,
            'd' => 127,
            'e' => 27,
            'f' => 12,
            'n' => 10,
            'r' => 13,
            's' => 32,
            't' => 9,
            'v' => 11,
            '0'..='7' => {
                let mut octal = c.to_digit(8).unwrap_or_default();
                for _ in 0..2 {
                    let Some(digit) = self.peek().and_then(|c| c.to_digit(8)) else {
                        break;
                    };
                    self.next();
                    octal = octal * 8 + digit;
                }
                octal
            }
            '^' => match self.next() {
                None => return Ok(None),
                Some(c @ '@'..='_') => u32::from(c) & 31,
                Some(c @ 'a'..='z') => u32::from(c) & 31,
                Some(_) => return Err(wrong(start, "illegal character")),
            },
            'x' => return self.hex(start),
            c => return Ok(Some(c)),
        };
        Ok(char::from_u32(code))
    }

    fn hex(&mut self, start: usize) -> Result<Option<char>, LexError> {
        let digits = if self.peek() == Some('{') {
            self.next();
            let digits = self.take_while(|c| c.is_ascii_hexdigit());
            match self.next() {
                Some('}') => digits,
                None => return Ok(None),
                Some(_) => return Err(wrong(start, "illegal character")),
            }
        } else {
            let two = self.rest().chars().take(2);
            let digits: String = two.take_while(char::is_ascii_hexdigit).collect();
            self.at += digits.len();
            if digits.len() < 2 {
                return Err(wrong(start, "illegal character"));
            }
            digits
        };
        let code = u32::from_str_radix(&digits, 16).ok();
        let c = code.and_then(char::from_u32);
        c.map(Some).ok_or_else(|| wrong(start, "illegal character"))
    }

    fn number(&mut self) -> Result<Kind, LexError> {
        let start = self.at;
        let whole = self.digits(10);
        if self.peek() == Some('#') {
            return self.based(start, &whole);
        }
        let mut after = self.rest().chars();
        if after.next() != Some('.') || !after.next().is_some_and(|c| c.is_ascii_digit()) {
            return integer(&whole, 10).ok_or_else(|| wrong(start, "illegal integer"));
        }
        self.next();
        let mut float = format!("{whole}.{}", self.digits(10));
        if let Some('e' | 'E') = self.peek() {
            self.next();
            float.push('e');
            if let Some(sign @ ('+' | '-')) = self.peek() {
                self.next();
                float.push(sign);
            }
            let exponent = self.digits(10);
            if exponent.is_empty() {
                return Err(wrong(start, "illegal float"));
            }
            float.push_str(&exponent);
        }
        let value = float.parse().ok().filter(|value: &f64| value.is_finite());
        value
            .map(Kind::Float)
            .ok_or_else(|| wrong(start, "illegal float"))
    }

    fn based(&mut self, start: usize, base: &str) -> Result<Kind, LexError> {
        let Some(radix) = base.parse().ok().filter(|radix| (2..=36).contains(radix)) else {
            return Err(wrong(start, &format!("illegal base '{base}'")));
        };
        self.next();
        let digits = self.digits(radix);
        integer(&digits, radix).ok_or_else(|| wrong(start, "illegal integer"))
    }

    /// Digits without the single underscores that may stand between them.
    fn digits(&mut self, radix: u32) -> String {
        let mut digits = String::new();
        loop {
            match self.peek() {
                Some(c) if c.is_digit(radix) => {
                    digits.push(c);
                    self.next();
                }
                Some('_') if !digits.is_empty() => {
                    let after = self.rest().chars().nth(1);
                    if !after.is_some_and(|c| c.is_digit(radix)) {
                        return digits;
                    }
                    self.next();
                }
                _ => return digits,
            }
        }
    }
}

fn integer(digits: &str, radix: u32) -> Option<Kind> {
    BigInt::from_str_radix(digits, radix).ok().map(Kind::Int)
}

fn wrong(at: usize, message: &str) -> LexError {
    LexError {
        at,
        message: message.to_string(),
        unfinished: false,
    }
}

/// Letters are those of Latin-1, as in Erlang.
pub(super) fn is_small(c: char) -> bool {
    c.is_ascii_lowercase() || matches!(c, 'ß'..='ÿ' if c != '÷')
}

fn is_large(c: char) -> bool {
    c.is_ascii_uppercase() || matches!(c, 'À'..='Þ' if c != '×')
}

pub(super) fn is_name(c: char) -> bool {
    is_small(c) || is_large(c) || c.is_ascii_digit() || c == '_' || c == '@'
}

fn is_space(c: char) -> bool {
    c <= ' ' || matches!(c, '\u{80}'..='\u{a0}')
}
