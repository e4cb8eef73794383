//! Bit strings: `<<A:8/little-signed, B/binary, "x"/utf8>>`.

use num_traits::ToPrimitive;

use super::{Parser, SyntaxError};
use crate::erl::ast::{Expr, Form, Kind, Makes, Segment, Type};
use crate::erl::lex;
use crate::erl::term::Atom;

const UNIT_MAX: usize = 256;

impl Parser<'_> {
    pub(super) fn bits(&mut self) -> Result<Expr, SyntaxError> {
        let at = self.at();
        self.expect("<<")?;
        if self.takes(">>") {
            return self.node(at, Kind::Bits(Vec::new()));
        }
        let first = self.bits_value()?;
        let plain = !matches!(first.kind, Kind::Unary(..));
        if plain && self.takes("||") {
            let qualifiers = self.qualifiers()?;
            self.expect(">>")?;
            return self.comprehension(at, Makes::Bits(first), qualifiers);
        }
        let mut segments = vec![self.segment(first)?];
        while self.takes(",") {
            let value = self.bits_value()?;
            segments.push(self.segment(value)?);
        }
        self.expect(">>")?;
        self.node(at, Kind::Bits(segments))
    }

    /// Notes what is wrong with a segment, and lets the parser go on.
    fn later(&mut self, at: usize, message: String) -> Form {
        self.wrong.get_or_insert(SyntaxError { at, message });
        Form {
            of: Type::Integer,
            signed: false,
            little: false,
            unit: 1,
        }
    }

    fn bits_value(&mut self) -> Result<Expr, SyntaxError> {
        let at = self.at();
        let &lex::Kind::Sign(sign @ ("+" | "-" | "bnot" | "not")) = self.peek() else {
            return self.primary();
        };
        self.next += 1;
        let operand = self.primary()?;
        self.node(at, Kind::Unary(sign, Box::new(operand)))
    }

    fn segment(&mut self, value: Expr) -> Result<Segment, SyntaxError> {
        let size = if self.takes(":") {
            Some(self.primary()?)
        } else {
            None
        };
        let mut words = Vec::new();
        if self.takes("/") {
            loop {
                let name = self.atom()?;
                let unit = if self.takes(":") {
                    match self.peek() {
                        lex::Kind::Int(unit) => Some(unit.to_usize().unwrap_or(usize::MAX)),
                        _ => return Err(self.unexpected()),
                    }
                } else {
                    None
                };
                self.next += usize::from(unit.is_some());
                words.push((name, unit));
                if !self.takes("-") {
                    break;
                }
            }
        }
        let form = match form(&words, size.is_some()) {
            Ok(form) => form,
            Err(message) => self.later(value.at, message),
        };
        Ok(Segment { value, size, form })
    }
}

/// What the words behind the slash mean together, or a clause that says why they do not.
fn form(words: &[(Atom, Option<usize>)], sized: bool) -> Result<Form, String> {
    let mut of: Option<(Type, &str)> = None;
    let (mut sign, mut order, mut unit) = (None, None, None);
    for (name, number) in words {
        let word = name.as_str();
        if let Some(number) = number {
            if word != "unit" || !(1..=UNIT_MAX).contains(number) {
                return Err(format!("bit type {{{word},{number}}} undefined"));
            }
            set(&mut unit, *number, "unit", |unit| unit.to_string())?;
            continue;
        }
        match word {
            "signed" | "unsigned" => set(&mut sign, word, "sign", |word| word.to_string())?,
            "big" | "little" | "native" => {
                set(&mut order, word, "endianness", |word| word.to_string())?;
            }
            _ => {
                let named = of_name(word).ok_or_else(|| format!("bit type {word} undefined"))?;
                if let Some((_, first)) = of
                    && first != word
                {
                    return Err(format!(
                        "conflict in type specification for bit field: '{word}' and '{first}'"
                    ));
                }
                of = Some((named, word));
            }
        }
    }
    let word = of.map_or("integer", |(_, word)| word);
    let of = of.map_or(Type::Integer, |(of, _)| of);
    let utf = matches!(of, Type::Utf8 | Type::Utf16 | Type::Utf32);
    if utf && (sized || unit.is_some()) {
        let message = "neither size nor unit must be given for segments of type utf8/utf16/utf32";
        return Err(message.to_string());
    }
    if unit.is_some() && !sized && of != Type::Bits {
        return Err(
            "a bit unit size must not be specified unless a size is specified too".to_string(),
        );
    }
    let whole = matches!(word, "binary" | "bytes");
    Ok(Form {
        of,
        signed: sign == Some("signed"),
        little: order.is_some_and(|order| order != "big"),
        unit: unit.unwrap_or(if whole { 8 } else { 1 }),
    })
}

fn of_name(word: &str) -> Option<Type> {
    match word {
        "integer" => Some(Type::Integer),
        "float" => Some(Type::Float),
        "binary" | "bytes" | "bitstring" | "bits" => Some(Type::Bits),
        "utf8" => Some(Type::Utf8),
        "utf16" => Some(Type::Utf16),
        "utf32" => Some(Type::Utf32),
        _ => None,
    }
}

fn set<T: Copy + PartialEq>(
    place: &mut Option<T>,
    value: T,
    what: &str,
    name: impl Fn(T) -> String,
) -> Result<(), String> {
    if let Some(first) = place.filter(|first| *first != value) {
        let (first, second) = (name(first), name(value));
        return Err(format!(
            "conflict in {what} specification for bit field: '{second}' and '{first}'"
        ));
    }
    *place = Some(value);
    Ok(())
}
