//! Text by a format, as `io:format/2` and `io_lib:format/2` make it.

mod real;
pub mod wanted;

use unicode_segmentation::UnicodeSegmentation;

use super::chardata;
use super::function::{Machine, Raised};
use super::number;
use super::print::{self, Style};
use super::term::Term;
use super::weight;

/// How long a line is if a format does not say.
const WIDTH: usize = 80;
/// Digits after the point, or significant ones, if a format does not say.
const PRECISION: usize = 6;

/// A part of formatted text: `io_lib:format/2` returns a list of these.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    /// From the format itself, or of a short value.
    Char(char),
    /// A value.
    Text(String),
}

/// Formats the arguments. Whatever is wrong is `badarg`; all that is built is paid for first.
pub fn format(format: &Term, args: &Term, machine: &mut dyn Machine) -> Result<Vec<Piece>, Raised> {
    let text = match format {
        Term::Atom(name) => name.as_str().to_owned(),
        _ => chardata::latin1(format, machine)?
            .map_or_else(|| chardata::text(format, machine), |text| Ok(Some(text)))?
            .ok_or_else(Raised::badarg)?,
    };
    let count = number::length(args).ok_or_else(Raised::badarg)?;
    machine.charge(count + text.len())?;
    let args = args.as_list().unwrap_or_default();
    let mut formatter = Formatter {
        machine,
        args: args.iter(),
        pieces: Vec::new(),
        column: 0,
    };
    formatter.run(&text)?;
    match formatter.args.next() {
        Some(_) => Err(Raised::badarg()),
        None => Ok(formatter.pieces),
    }
}

/// The pieces as one text.
pub fn flat(pieces: &[Piece]) -> String {
    let mut text = String::new();
    for piece in pieces {
        match piece {
            Piece::Char(c) => text.push(*c),
            Piece::Text(part) => text.push_str(part),
        }
    }
    text
}

/// One control sequence, `~F.P.PadModC`.
struct Control {
    width: Option<usize>,
    left: bool,
    precision: Option<usize>,
    pad: char,
    unicode: bool,
    strings: bool,
}

struct Formatter<'a> {
    machine: &'a mut dyn Machine,
    args: std::slice::Iter<'a, Term>,
    pieces: Vec<Piece>,
    /// Where the next character goes, from 0: a value that is laid out is indented to there.
    column: usize,
}

impl<'a> Formatter<'a> {
    fn run(&mut self, format: &str) -> Result<(), Raised> {
        let mut rest = format.chars();
        while let Some(c) = rest.next() {
            if c != '~' {
                self.column = column(self.column, c);
                self.pieces.push(Piece::Char(c));
                continue;
            }
            let control = self.control(&mut rest)?;
            let letter = rest.next().ok_or_else(Raised::badarg)?;
            self.apply(letter, &control)?;
        }
        Ok(())
    }

    fn control(&mut self, rest: &mut std::str::Chars<'_>) -> Result<Control, Raised> {
        let minus = skip(rest, '-');
        let (width, negative) = match self.number(rest)? {
            Some((width, negative)) => (Some(width), negative),
            None if minus => return Err(Raised::badarg()),
            None => (None, false),
        };
        let precision = match skip(rest, '.') {
            true => self.number(rest)?,
            false => None,
        };
        let precision = match precision {
            Some((_, true)) => return Err(Raised::badarg()),
            Some((precision, false)) => Some(precision),
            None => None,
        };
        let pad = match skip(rest, '.') {
            true if skip(rest, '*') => chardata::character(self.arg()?),
            true => rest.next(),
            false => Some(' '),
        };
        let mut control = Control {
            width,
            left: minus != negative,
            precision,
            pad: pad.ok_or_else(Raised::badarg)?,
            unicode: false,
            strings: true,
        };
        loop {
            if skip(rest, 't') {
                control.unicode = true;
            } else if skip(rest, 'l') {
                control.strings = false;
            } else {
                break;
            }
        }
        self.machine
            .charge(width.unwrap_or(0).saturating_add(precision.unwrap_or(0)))?;
        Ok(control)
    }

    /// A number, or that of the next argument, and whether it is negative.
    fn number(&mut self, rest: &mut std::str::Chars<'_>) -> Result<Option<(usize, bool)>, Raised> {
        if skip(rest, '*') {
            return match self.arg()? {
                Term::Int(number) => Ok(Some((number.unsigned_abs() as usize, *number < 0))),
                _ => Err(Raised::badarg()),
            };
        }
        let mut number = None;
        while let Some(digit) = rest.clone().next().and_then(|c| c.to_digit(10)) {
            rest.next();
            let before: usize = number.unwrap_or(0);
            number = Some(before.saturating_mul(10).saturating_add(digit as usize));
        }
        Ok(number.map(|number| (number, false)))
    }

    fn arg(&mut self) -> Result<&'a Term, Raised> {
        self.args.next().ok_or_else(Raised::badarg)
    }

    fn apply(&mut self, letter: char, control: &Control) -> Result<(), Raised> {
        match letter {
            'w' | 'W' | 'p' | 'P' => self.value(letter, control),
            's' => self.string(control),
            'b' | 'B' | 'x' | 'X' | '+' | '#' => self.integer(letter, control),
            'e' | 'f' | 'g' => {
                let Term::Float(value) = self.arg()? else {
                    return Err(Raised::badarg());
                };
                let precision = control.precision.unwrap_or(PRECISION);
                let text = real::text(letter, *value, precision).ok_or_else(Raised::badarg)?;
                let text = match control.width {
                    None => text,
                    width => field(text, width, width, control),
                };
                self.short(&text)
            }
            'c' => {
                let Term::Int(point) = self.arg()? else {
                    return Err(Raised::badarg());
                };
                let point = if control.unicode { *point } else { point & 255 };
                let c = chardata::character(&Term::Int(point)).ok_or_else(Raised::badarg)?;
                self.repeated(c, control)
            }
            '~' => self.repeated('~', control),
            'n' if control.left => Err(Raised::badarg()),
            'n' => self.short(&"\n".repeat(control.width.unwrap_or(1))),
            'i' => self.arg().map(|_| ()),
            _ => Err(Raised::badarg()),
        }
    }

    fn value(&mut self, letter: char, control: &Control) -> Result<(), Raised> {
        let value = self.arg()?;
        let depth = match letter {
            'W' | 'P' => match self.arg()? {
                Term::Int(depth) => usize::try_from(*depth).ok(),
                _ => return Err(Raised::badarg()),
            },
            _ => None,
        };
        weight::pay_text(value, self.machine)?;
        let text = match letter {
            'w' | 'W' => {
                let style = Style {
                    depth,
                    unicode: control.unicode,
                    ..Style::flat()
                };
                let text = print::styled(value, style);
                field(text, control.width, control.precision, control)
            }
            _ if control.left => return Err(Raised::badarg()),
            _ => {
                let column = control.precision.unwrap_or(self.column + 1);
                let style = Style {
                    depth,
                    unicode: control.unicode,
                    strings: control.strings,
                    ..Style::pretty(column, control.width.unwrap_or(WIDTH))
                };
                print::styled(value, style)
            }
        };
        self.long(text)
    }

    fn string(&mut self, control: &Control) -> Result<(), Raised> {
        let value = self.arg()?;
        if let Term::Atom(name) = value {
            if !control.unicode && name.as_str().chars().any(|c| c > 'ÿ') {
                return Err(Raised::badarg());
            }
            let text = padded(name.as_str().to_owned(), control)?;
            return self.short(&text);
        }
        let text = match control.unicode {
            true => chardata::text_or_latin1(value, self.machine)?,
            false => chardata::latin1(value, self.machine)?,
        };
        let text = padded(text.ok_or_else(Raised::badarg)?, control)?;
        self.long(text)
    }

    fn integer(&mut self, letter: char, control: &Control) -> Result<(), Raised> {
        let value = self.arg()?;
        let base = control.precision.unwrap_or(10);
        let base = u32::try_from(base)
            .ok()
            .filter(|base| (2..=36).contains(base));
        let base = base.ok_or_else(Raised::badarg)?;
        let prefix = match letter {
            'x' | 'X' => match self.arg()? {
                Term::Atom(name) => name.as_str().to_owned(),
                prefix => chardata::text(prefix, self.machine)?.ok_or_else(Raised::badarg)?,
            },
            '+' | '#' => format!("{base}#"),
            _ => String::new(),
        };
        let digits = number::integer_text(value, base, self.machine)?;
        let mut digits = digits.ok_or_else(Raised::badarg)?;
        if matches!(letter, 'b' | 'x' | '+') {
            digits.make_ascii_lowercase();
        }
        let text = match digits.strip_prefix('-') {
            Some(digits) => format!("-{prefix}{digits}"),
            None => format!("{prefix}{digits}"),
        };
        let text = field(text, control.width, None, control);
        self.short(&text)
    }

    fn repeated(&mut self, c: char, control: &Control) -> Result<(), Raised> {
        let times = control.precision.or(control.width).unwrap_or(1);
        let text = c.to_string().repeat(times);
        match control.width {
            Some(width) if width < times => Err(Raised::badarg()),
            Some(width) => self.short(&adjusted(text, width - times, control)),
            None => self.short(&text),
        }
    }

    fn short(&mut self, text: &str) -> Result<(), Raised> {
        self.machine.charge(text.len())?;
        self.column = text.chars().fold(self.column, column);
        self.pieces.extend(text.chars().map(Piece::Char));
        Ok(())
    }

    fn long(&mut self, text: String) -> Result<(), Raised> {
        self.machine.charge(text.len() / 8)?;
        self.column = text.chars().fold(self.column, column);
        self.pieces.push(Piece::Text(text));
        Ok(())
    }
}

/// Where the next character goes.
fn column(column: usize, c: char) -> usize {
    match c {
        '\n' => 0,
        '\t' => (column + 8) / 8 * 8,
        _ => column + 1,
    }
}

fn skip(rest: &mut std::str::Chars<'_>, c: char) -> bool {
    let mut ahead = rest.clone();
    let found = ahead.next() == Some(c);
    if found {
        *rest = ahead;
    }
    found
}

/// Fills up to the width; what does not fit becomes asterisks.
fn field(
    text: String,
    width: Option<usize>,
    precision: Option<usize>,
    control: &Control,
) -> String {
    let Some(width) = width.or(precision) else {
        return text;
    };
    let len = length(&text);
    let room = len.min(precision.unwrap_or(width).min(width));
    match len > room {
        true => adjusted("*".repeat(room), width - room, control),
        false => adjusted(text, width - len, control),
    }
}

/// Fills and cuts a string: the precision is how much of it is shown, the width how much room it has.
fn padded(text: String, control: &Control) -> Result<String, Raised> {
    let len = length(&text);
    Ok(match (control.width, control.precision) {
        (None, None) => text,
        (Some(width), None) if len > width => cut(&text, width, control.unicode),
        (Some(width), None) => adjusted(text, width - len, control),
        (None, Some(precision)) if len > precision => cut(&text, precision, control.unicode),
        (None, Some(precision)) => text + &spaces(control.pad, precision - len),
        (Some(width), Some(precision)) if width < precision => return Err(Raised::badarg()),
        (Some(width), Some(precision)) if len > precision => {
            let text = cut(&text, precision, control.unicode);
            adjusted(text, width - precision, control)
        }
        (Some(width), Some(precision)) if width == precision => {
            adjusted(text, width - len, control)
        }
        (Some(width), Some(precision)) => {
            let text = text + &spaces(control.pad, precision - len);
            adjusted(text, width - precision, control)
        }
    })
}

fn adjusted(text: String, fill: usize, control: &Control) -> String {
    let fill = spaces(control.pad, fill);
    match control.left {
        true => text + &fill,
        false => fill + &text,
    }
}

fn spaces(pad: char, count: usize) -> String {
    std::iter::repeat_n(pad, count).collect()
}

fn length(text: &str) -> usize {
    match text.is_ascii() && !text.contains('\r') {
        true => text.len(),
        false => text.graphemes(true).count(),
    }
}

fn cut(text: &str, count: usize, unicode: bool) -> String {
    match unicode {
        true => text.graphemes(true).take(count).collect(),
        false => text.chars().take(count).collect(),
    }
}
