//! Text into tokens, one sentence at a time: a sentence ends with a dot that white space, a comment or nothing follows.

mod scan;

use num_bigint::BigInt;

use super::print;
use super::term::{Atom, Term};
use scan::{Lexer, RESERVED, is_name, is_small};

/// One word of a sentence.
#[derive(Clone, Debug)]
pub struct Token {
    /// What it is.
    pub kind: Kind,
    /// Where it begins, in bytes of the text.
    pub at: usize,
}

/// What a token is.
#[derive(Clone, Debug, PartialEq)]
pub enum Kind {
    /// A name, quoted or not.
    Atom(Atom),
    /// The name of a variable.
    Var(Atom),
    /// An integer of any size.
    Int(BigInt),
    /// A finite number with a fraction.
    Float(f64),
    /// `$c`.
    Char(char),
    /// `"…"`, without its quotes.
    Text(String),
    /// A reserved word, an operator or punctuation.
    Sign(&'static str),
    /// The dot that ends a sentence.
    Dot,
    /// The end of a text whose last sentence has no dot.
    End,
}

/// Why a text cannot be cut into tokens.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{message}")]
pub struct LexError {
    /// Where, in bytes of the text.
    pub at: usize,
    /// A clause, without a dot.
    pub message: String,
    /// More text could put it right.
    pub unfinished: bool,
}

/// The tokens of one sentence.
#[derive(Debug)]
pub struct Sentence {
    /// They end with [`Kind::Dot`] or [`Kind::End`].
    pub tokens: Vec<Token>,
    /// Where the next sentence may begin.
    pub end: usize,
}

/// Reads the sentence that begins at `from`; nothing if only white space and comments are left.
pub fn sentence(text: &str, from: usize) -> Result<Option<Sentence>, LexError> {
    let mut lexer = Lexer { text, at: from };
    let mut tokens = Vec::new();
    loop {
        lexer.skip();
        let at = lexer.at;
        let Some(first) = lexer.peek() else {
            if tokens.is_empty() {
                return Ok(None);
            }
            let kind = Kind::End;
            tokens.push(Token { kind, at });
            return Ok(Some(Sentence { tokens, end: at }));
        };
        if first == '.' && lexer.ends_sentence() {
            tokens.push(Token {
                kind: Kind::Dot,
                at,
            });
            // As in Erlang, the white space after a dot belongs to it, so that columns begin anew behind it.
            let end = match text[at + 1..].chars().next() {
                Some(space) if space != '%' => at + 1 + space.len_utf8(),
                _ => at + 1,
            };
            return Ok(Some(Sentence { tokens, end }));
        }
        let kind = lexer.token(first)?;
        tokens.push(Token { kind, at });
    }
}

/// Whether a text is whole sentences, or wrong in a way that more text cannot put right.
pub fn is_complete(text: &str) -> bool {
    let mut from = 0;
    loop {
        match sentence(text, from) {
            Ok(None) => return true,
            Ok(Some(Sentence { tokens, end })) => {
                if tokens.last().is_none_or(|last| last.kind == Kind::End) {
                    return false;
                }
                from = end;
            }
            Err(error) => return !error.unfinished,
        }
    }
}

/// Whether a name must stand in quotes to be an atom.
pub fn is_plain_atom(name: &str) -> bool {
    name.starts_with(is_small) && name.chars().all(is_name) && !RESERVED.contains(&name)
}

impl Kind {
    /// As a syntax error names it.
    pub fn shown(&self) -> String {
        match self {
            Kind::Atom(name) => print::atom(name.as_str(), true),
            Kind::Var(name) => name.as_str().to_string(),
            Kind::Int(value) => value.to_string(),
            Kind::Float(value) => print::write(&Term::Float(*value)),
            Kind::Char('\n') => "$\\n".to_string(),
            Kind::Char(c) => format!("${c}"),
            Kind::Text(text) => print::quoted(text.chars(), '"', true),
            Kind::Sign(sign) => print::quoted(sign.chars(), '\'', true),
            Kind::Dot => "'.'".to_string(),
            Kind::End => "the end of the text".to_string(),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn kinds(text: &str) -> Vec<Kind> {
        let tokens = sentence(text, 0).unwrap().unwrap().tokens;
        tokens.into_iter().map(|token| token.kind).collect()
    }

    fn one(text: &str) -> Kind {
        let kinds = kinds(text);
        assert_eq!(kinds.len(), 2, "{text}: {kinds:?}");
        kinds.into_iter().next().unwrap()
    }

    #[test]
    fn numbers_are_read_in_every_base_and_with_underscores() {
        let int = |text: &str| match one(text) {
            Kind::Int(value) => value.to_string(),
            other => panic!("{text} is {other:?}"),
        };
        assert_eq!(int("16#fF."), "255");
        assert_eq!(int("1_000."), "1000");
        assert_eq!(int("2#101."), "5");
        assert_eq!(
            int(&format!("1{}.", "0".repeat(30))),
            format!("1{}", "0".repeat(30))
        );
        assert_eq!(one("1.5e3."), Kind::Float(1500.0));
        assert_eq!(one("1.0e-5."), Kind::Float(1.0e-5));
    }

    #[test]
    fn characters_and_escapes_stand_for_what_erlang_says() {
        assert_eq!(one("$a."), Kind::Char('a'));
        assert_eq!(one("$\\n."), Kind::Char('\n'));
        assert_eq!(one("$\\x{41}."), Kind::Char('A'));
        assert_eq!(one("$..\n"), Kind::Char('.'));
        let text = "\"\\101\\e\\s\\^a\\x42\".";
        assert_eq!(one(text), Kind::Text("A\u{1b} \u{1}B".to_string()));
        assert_eq!(one("'a\\'b'."), Kind::Atom(Atom::new("a'b")));
    }

    #[test]
    fn a_dot_ends_a_sentence_only_before_white_space_a_comment_or_the_end() {
        let text = "a.b. c";
        let first = sentence(text, 0).unwrap().unwrap();
        assert_eq!(first.tokens.len(), 4);
        assert_eq!(&text[first.end..], "c");
        assert_eq!(kinds("x.% y").len(), 2);
        assert!(sentence("  % only a comment\n", 0).unwrap().is_none());
    }

    #[test]
    fn a_text_is_complete_when_its_last_sentence_is() {
        for whole in ["1.", "", "a. b.", "\"x\". % y", "1. % \"", "16#zz."] {
            assert!(is_complete(whole), "{whole}");
        }
        for part in ["1", "\"a.", "'a.", "X.Y", "1.5", "a. b", "$", "foo(1,"] {
            assert!(!is_complete(part), "{part}");
        }
    }

    #[test]
    fn what_is_wrong_is_named_with_its_place() {
        let error = |text: &str| {
            let error = sentence(text, 0).unwrap_err();
            (error.at, error.message)
        };
        assert_eq!(error("16#zz."), (0, "illegal integer".to_string()));
        assert_eq!(error(" 37#1."), (1, "illegal base '37'".to_string()));
        assert_eq!(error("1.0e400."), (0, "illegal float".to_string()));
        let message = "unterminated string starting with \"abc.\\nX1 = X2 = 5\"";
        assert_eq!(error("\"abc.\nX1 = X2 = 5."), (0, message.to_string()));
        assert_eq!(error("f(€)."), (2, "illegal character".to_string()));
    }
}
