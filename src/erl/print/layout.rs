//! Where lines are broken: every element that is more than a word and does not fit begins a line of its own.
//!
//! The rules are those of Erlang's own pretty printer, so that what an operator knows from there looks the same here.

mod part;

use super::Style;
use super::shape::{End, Pair, Shape, What};
use crate::erl::term::Bits;
use part::Part;

/// The indentations after the tag of a tuple that are tried: behind the tag, four, and one, which always does.
const INDENTS: [Option<isize>; 3] = [None, Some(4), Some(1)];

/// The text of a shape.
pub(super) fn text(shape: &Shape, style: Style) -> String {
    let len = shape.len as isize;
    let (column, width) = (style.column.max(1) as isize, style.width as isize);
    let line_max = style.line_max.map_or(len, |max| max as isize);
    let mut layout = Layout {
        text: String::new(),
        max_bytes: style.max_bytes,
        width,
        line_max,
        indent: None,
        trial: false,
    };
    let end = match width == 0 || (len < width - column && len <= line_max) {
        true => layout.flat(shape),
        false => layout.broken(shape, column),
    };
    if end == Err(Stop::Full) {
        layout.close();
    }
    layout.text
}

#[derive(Debug, PartialEq, Eq)]
enum Stop {
    /// The bound on bytes is reached.
    Full,
    /// The indentation on trial takes too much of the line.
    Narrow,
}

/// Where an element goes.
#[derive(Clone, Copy)]
struct At {
    column: isize,
    /// How many brackets must be closed behind it.
    closing: isize,
    /// How much is on the line already, without its indentation.
    used: isize,
}

struct Layout {
    text: String,
    max_bytes: usize,
    width: isize,
    line_max: isize,
    indent: Option<isize>,
    /// Whether this only finds out if the indentation does.
    trial: bool,
}

type Placed<T = ()> = Result<T, Stop>;

impl Layout {
    fn broken(&mut self, shape: &Shape, column: isize) -> Placed {
        let at = At {
            column,
            closing: 0,
            used: 0,
        };
        self.trial = true;
        for indent in &INDENTS[..2] {
            self.indent = *indent;
            if self.place(shape, at, column - 1) != Err(Stop::Narrow) {
                self.trial = false;
                return self.place(shape, at, column - 1);
            }
        }
        self.trial = false;
        self.indent = INDENTS[2];
        self.place(shape, at, column - 1)
    }

    fn fits(&self, len: usize, at: At) -> bool {
        let len = len as isize;
        len < self.width - at.column - at.closing && len + at.used + at.closing <= self.line_max
    }

    /// Places a shape; `margin` is the indentation of its further lines.
    fn place(&mut self, shape: &Shape, at: At, margin: isize) -> Placed {
        if self.fits(shape.len, at) {
            return self.flat(shape);
        }
        match &shape.what {
            What::Text(text) => self.push(text),
            What::Bytes { bits, shown, end } => self.bytes(bits, *shown, end, at, margin),
            What::List(items, end) => {
                self.push("[")?;
                let inner = inside(at, 1, 1);
                self.elements(items, end, '|', inner, margin + 1)?;
                self.push("]")
            }
            What::Tuple { tagged, items, end } => {
                self.push("{")?;
                match (tagged, items.as_slice()) {
                    (true, [tag, rest @ ..]) => {
                        self.tagged(tag, rest, end, inside(at, 0, 1), margin)?;
                    }
                    _ => self.elements(items, end, ',', inside(at, 1, 1), margin + 1)?,
                }
                self.push("}")
            }
            What::Map(pairs, end) => {
                self.push("#{")?;
                // A trial counts both characters of the bracket, the real thing one.
                let used = if self.trial { 2 } else { 1 };
                self.pairs(pairs, end, inside(at, 2, used), margin + 2)?;
                self.push("}")
            }
        }
    }

    fn tagged(&mut self, tag: &Shape, rest: &[Shape], end: &End, at: At, margin: isize) -> Placed {
        let tag_len = tag.len as isize;
        let behind = tag_len + 2;
        let half = self.width / 2;
        match self.indent {
            Some(indent) if behind > indent => {
                let column = at.column + indent;
                if self.trial && self.line_max + column > self.width && column > half {
                    return Err(Stop::Narrow);
                }
                self.flat(tag)?;
                let after = At {
                    column: at.column + behind,
                    used: at.used + tag_len,
                    ..at
                };
                self.rest(rest, end, ',', column, after, margin + indent)
            }
            _ => {
                let column = at.column + behind;
                if self.trial && self.line_max + column >= self.width && column >= half {
                    return Err(Stop::Narrow);
                }
                self.flat(tag)?;
                self.push(",")?;
                let after = At {
                    column,
                    used: at.used + tag_len + 1,
                    ..at
                };
                self.elements(rest, end, ',', after, margin + behind)
            }
        }
    }

    fn elements(&mut self, items: &[Shape], end: &End, bar: char, at: At, margin: isize) -> Placed {
        let Some((first, rest)) = items.split_first() else {
            return self.end(end);
        };
        let closing = closing(rest.len(), at.closing);
        let used = self.element(first, At { closing, ..at }, margin)?;
        let after = At {
            column: at.column + used,
            used: at.used + used,
            ..at
        };
        self.rest(rest, end, bar, at.column, after, margin)
    }

    /// The elements behind the first one, and what follows them.
    fn rest(
        &mut self,
        items: &[Shape],
        end: &End,
        bar: char,
        start: isize,
        mut at: At,
        margin: isize,
    ) -> Placed {
        self.behind(items, start, &mut at, margin)?;
        match end {
            End::Closed => Ok(()),
            End::Dots | End::Cut => {
                self.push(bar.encode_utf8(&mut [0; 4]))?;
                self.end(end)
            }
            End::Improper(tail) => {
                self.push(bar.encode_utf8(&mut [0; 4]))?;
                let closing = at.closing + 1;
                if tail.is_text() && self.fits(tail.len + 1, At { closing, ..at }) {
                    return self.flat(tail);
                }
                self.line(margin)?;
                // A trial goes on where the line is, the real thing on the next one.
                let column = if self.trial { at.column } else { start };
                let place = At {
                    column,
                    closing,
                    used: 0,
                };
                self.place(tail, place, margin)
            }
        }
    }

    /// The parts behind the first one, as far as they fit on the lines: `start` is the column where lines of them begin.
    fn behind<P: Part>(&mut self, parts: &[P], start: isize, at: &mut At, margin: isize) -> Placed {
        for (index, part) in parts.iter().enumerate() {
            let closing = closing(parts.len() - index - 1, at.closing);
            self.push(",")?;
            if let Some(len) = part.word()
                && self.continues(len, closing, *at)
            {
                part.flat(self)?;
                advance(at, len);
                continue;
            }
            self.line(margin)?;
            let place = At {
                column: start,
                closing,
                used: 0,
            };
            let used = part.place(self, place, margin)?;
            at.column = start + used;
            at.used = used;
        }
        Ok(())
    }

    /// Places an element and says how much of the line it took: all of it, unless it is a word.
    fn element(&mut self, item: &Shape, at: At, margin: isize) -> Placed<isize> {
        if item.is_text() && self.fits(item.len, at) {
            self.flat(item)?;
            return Ok(item.len as isize);
        }
        self.place(item, at, margin)?;
        Ok(self.width)
    }

    fn pairs(&mut self, pairs: &[Pair], end: &End, at: At, margin: isize) -> Placed {
        let Some((first, rest)) = pairs.split_first() else {
            return self.end(end);
        };
        let start = at.column;
        let first_closing = closing(rest.len(), at.closing);
        let used = self.pair(
            first,
            At {
                closing: first_closing,
                ..at
            },
            margin,
        )?;
        let mut at = At {
            column: start + used,
            // A trial counts what was on the line before, the real thing does not.
            used: if self.trial { at.used + used } else { used },
            ..at
        };
        self.behind(rest, start, &mut at, margin)?;
        match end {
            End::Closed => Ok(()),
            _ => {
                self.push(",")?;
                self.end(end)
            }
        }
    }

    fn pair(&mut self, pair: &Pair, at: At, margin: isize) -> Placed<isize> {
        if self.fits(pair.len, at) {
            self.flat_pair(pair)?;
            return Ok(if pair.is_text() {
                pair.len as isize
            } else {
                self.width
            });
        }
        let indent = self.indent.unwrap_or(4);
        self.place(&pair.key, at, margin)?;
        self.push(" =>")?;
        self.line(margin + indent)?;
        let place = At {
            column: at.column + indent,
            used: 0,
            ..at
        };
        self.place(&pair.value, place, margin + indent)?;
        Ok(self.width)
    }

    /// Whether a word, behind a comma, goes on the line that is begun.
    fn continues(&self, len: usize, closing: isize, at: At) -> bool {
        let at = At { closing, ..at };
        match closing {
            // A comma follows.
            0 => self.fits(len + 2, at),
            _ => self.fits(len + 1, at),
        }
    }

    fn bytes(&mut self, bits: &Bits, shown: usize, end: &End, at: At, margin: isize) -> Placed {
        let room = (self.width - at.column - 2).min(self.line_max - 4 - at.used) - at.closing;
        let room = room.max(8);
        let mut left = room;
        self.push("<<")?;
        let numbers = numbers(bits, shown).map(Ok).chain(match end {
            End::Closed => None,
            End::Dots => Some(Ok("...".to_owned())),
            _ => Some(Err(Stop::Full)),
        });
        let mut numbers = numbers.peekable();
        while let Some(number) = numbers.next() {
            let mut number = number?;
            if numbers.peek().is_some() {
                number.push(',');
            }
            let len = number.len() as isize;
            if len > left {
                self.line(margin + 2)?;
                left = room;
            }
            left -= len;
            self.push(&number)?;
        }
        self.push(">>")
    }

    /// All on one line.
    fn flat(&mut self, shape: &Shape) -> Placed {
        if self.trial {
            return Ok(());
        }
        match &shape.what {
            What::Text(text) => self.push(text),
            What::Bytes { bits, shown, end } => {
                self.push("<<")?;
                for (index, number) in numbers(bits, *shown).enumerate() {
                    self.comma(index)?;
                    self.push(&number)?;
                }
                self.flat_end(*shown, end, ",")?;
                self.push(">>")
            }
            What::List(items, end) => {
                self.push("[")?;
                self.flat_items(items, end, "|")?;
                self.push("]")
            }
            What::Tuple { items, end, .. } => {
                self.push("{")?;
                self.flat_items(items, end, ",")?;
                self.push("}")
            }
            What::Map(pairs, end) => {
                self.push("#{")?;
                for (index, pair) in pairs.iter().enumerate() {
                    self.comma(index)?;
                    self.flat_pair(pair)?;
                }
                self.flat_end(pairs.len(), end, ",")?;
                self.push("}")
            }
        }
    }

    fn flat_items(&mut self, items: &[Shape], end: &End, bar: &str) -> Placed {
        for (index, item) in items.iter().enumerate() {
            self.comma(index)?;
            self.flat(item)?;
        }
        self.flat_end(items.len(), end, bar)
    }

    fn flat_end(&mut self, items: usize, end: &End, bar: &str) -> Placed {
        if items > 0 && !matches!(end, End::Closed) {
            self.push(bar)?;
        }
        self.end(end)
    }

    fn flat_pair(&mut self, pair: &Pair) -> Placed {
        self.flat(&pair.key)?;
        self.push(" => ")?;
        self.flat(&pair.value)
    }

    fn comma(&mut self, index: usize) -> Placed {
        match index {
            0 => Ok(()),
            _ => self.push(","),
        }
    }

    fn end(&mut self, end: &End) -> Placed {
        match end {
            End::Closed => Ok(()),
            End::Dots => self.push("..."),
            End::Cut if self.trial => Ok(()),
            End::Cut => Err(Stop::Full),
            End::Improper(tail) => self.flat(tail),
        }
    }

    fn line(&mut self, margin: isize) -> Placed {
        if self.trial {
            return Ok(());
        }
        self.push("\n")?;
        let margin = usize::try_from(margin).unwrap_or(0);
        if self.text.len() + margin > self.max_bytes {
            return Err(Stop::Full);
        }
        self.text.extend(std::iter::repeat_n(' ', margin));
        Ok(())
    }

    fn push(&mut self, text: &str) -> Placed {
        if self.trial {
            return Ok(());
        }
        if self.text.len() + text.len() > self.max_bytes {
            let room = self.max_bytes - self.text.len();
            self.text.push_str(&text[..text.floor_char_boundary(room)]);
            return Err(Stop::Full);
        }
        self.text.push_str(text);
        Ok(())
    }

    /// Ends a text that is cut.
    fn close(&mut self) {
        let room = self.max_bytes.saturating_sub(3);
        if self.text.len() > room {
            let room = self.text.floor_char_boundary(room);
            self.text.truncate(room);
        }
        self.text.push_str("...");
    }
}

/// The place behind an opening bracket.
fn inside(at: At, column: isize, used: isize) -> At {
    At {
        column: at.column + column,
        used: at.used + used,
        ..at
    }
}

/// Moves on behind a comma and a word.
fn advance(at: &mut At, len: usize) {
    at.column += 1 + len as isize;
    at.used += 1 + len as isize;
}

/// How many brackets must be closed behind an element: none, if others follow.
fn closing(following: usize, outer: isize) -> isize {
    match following {
        0 => outer + 1,
        _ => 0,
    }
}

/// The numbers of a bit string, the last one with its size if it is no byte.
fn numbers(bits: &Bits, shown: usize) -> impl Iterator<Item = String> + '_ {
    let whole = bits.bits / 8;
    let rest = bits.bits % 8;
    bits.bytes[..shown]
        .iter()
        .enumerate()
        .map(move |(index, byte)| match index < whole {
            true => byte.to_string(),
            false => format!("{}:{rest}", byte >> (8 - rest)),
        })
}
