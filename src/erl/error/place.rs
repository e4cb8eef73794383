//! Where in a text something is wrong.

use std::fmt;

use crate::erl::parse::SyntaxError;

/// How much of the line is shown on either side of the place, in characters.
const SHOWN: usize = 100;

/// Something wrong, with its place: `* 1:7: syntax error before: ')'`, the line, and a caret under the place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Marked {
    /// Counted from 1 from the beginning of the sentence.
    pub line: usize,
    /// In characters, counted from 1.
    pub column: usize,
    /// A clause, without a dot.
    pub message: String,
    source: String,
    indent: String,
}

impl Marked {
    /// An error of the sentence that begins at `start`.
    pub fn new(text: &str, start: usize, error: &SyntaxError) -> Marked {
        let (line, column) = place(text, start, error.at);
        let sentence = text.get(start..).unwrap_or_default();
        let source = sentence.split('\n').nth(line - 1).unwrap_or_default();
        let source = source.trim_end();
        let from = column.saturating_sub(SHOWN + 1);
        let visible = |c: char| if c.is_control() { ' ' } else { c };
        let shown = source.chars().skip(from).take(2 * SHOWN);
        Marked {
            line,
            column,
            message: error.message.clone(),
            source: shown.map(visible).collect(),
            indent: " ".repeat(column - 1 - from),
        }
    }
}

impl fmt::Display for Marked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Marked {
            line,
            column,
            message,
            source,
            indent,
        } = self;
        write!(f, "* {line}:{column}: {message}\n{source}\n{indent}^")
    }
}

/// Line and column of a place, from the beginning of a sentence.
pub fn place(text: &str, start: usize, at: usize) -> (usize, usize) {
    let before = text.get(start..at).unwrap_or_default();
    let line = before.matches('\n').count() + 1;
    let last = before.rsplit('\n').next().unwrap_or_default();
    (line, last.chars().count() + 1)
}
