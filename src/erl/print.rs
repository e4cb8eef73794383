//! Values as text: on one line as `~w` writes them, or laid out as `~p` and the shell do.

mod layout;
mod shape;
mod text;

pub use text::{atom, is_printable, quoted};

use super::term::Term;

/// The bound of a text for which no other is named, in bytes: the indentation of its lines alone may be a thousand times the
/// value, and nobody has paid for that.
pub const TEXT_MAX: usize = 16 << 20;

/// How a value is laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Style {
    /// Where the first character goes, counted from 1: further lines are indented to there.
    pub column: usize,
    /// The length of a line; 0 for all on one.
    pub width: usize,
    /// How deep and how far along a list it is shown, as by `~P`; the rest is `...`.
    pub depth: Option<usize>,
    /// At most this many characters of a line, without its indentation.
    pub line_max: Option<usize>,
    /// Whether lists and binaries of printable characters are shown as text.
    pub strings: bool,
    /// Whether the reader takes Unicode: binaries of UTF-8 are shown as text, atoms without escapes.
    pub unicode: bool,
    /// Whether characters beyond Latin-1 are printable, as under `erl +pc unicode`.
    pub wide: bool,
    /// The text ends with `...` before it has more bytes than this; an integer of more digits is `...` in its place.
    pub max_bytes: usize,
}

impl Style {
    /// As `~p` does it.
    pub fn pretty(column: usize, width: usize) -> Style {
        Style {
            column,
            width,
            depth: None,
            line_max: None,
            strings: true,
            unicode: false,
            wide: false,
            max_bytes: TEXT_MAX,
        }
    }

    /// As `~w` does it.
    pub fn flat() -> Style {
        Style {
            strings: false,
            ..Style::pretty(1, 0)
        }
    }

    /// As the shell of `erl` shows values on a terminal that takes UTF-8: 80 columns, 60 characters a line, 30 deep.
    pub fn shell(column: usize) -> Style {
        Style {
            depth: Some(30),
            line_max: Some(60),
            unicode: true,
            ..Style::pretty(column, 80)
        }
    }

    /// As the shell's command `rp/1` shows them: like [`Style::shell`], but to any depth.
    pub fn whole(column: usize) -> Style {
        Style {
            depth: None,
            ..Style::shell(column)
        }
    }

    /// The same for a reader that takes Unicode, as with the modifier `t`.
    pub fn unicode(self) -> Style {
        Style {
            unicode: true,
            ..self
        }
    }

    /// The same with a lower bound on its bytes.
    pub fn within(self, max_bytes: usize) -> Style {
        Style {
            max_bytes: max_bytes.min(TEXT_MAX),
            ..self
        }
    }
}

/// The value on one line, as `~w` writes it.
pub fn write(value: &Term) -> String {
    styled(value, Style::flat())
}

/// The value as `~tp` lays it out, from a column, counted from 1, in lines of a width.
pub fn pretty(value: &Term, column: usize, width: usize) -> String {
    styled(value, Style::pretty(column, width).unicode())
}

/// Like [`pretty`], but of bounded length: what is longer ends with `...`. Nothing larger is built on the way.
pub fn pretty_within(value: &Term, column: usize, width: usize, max_bytes: usize) -> String {
    let style = Style::pretty(column, width).unicode();
    styled(value, style.within(max_bytes))
}

/// The value in a style.
pub fn styled(value: &Term, style: Style) -> String {
    if style.depth == Some(0) {
        return "...".to_owned();
    }
    layout::text(&shape::Shape::of(value, style), style)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
