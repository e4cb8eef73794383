//! The bit syntax: segments built, and segments matched.

mod number;
mod reader;
mod unicode;
mod writer;

pub(super) use writer::Writer;

use reader::Reader;

use super::{Env, Evaluator, blame, raise};
use crate::erl::ast::{Expr, Form, Kind, Segment, Type};
use crate::erl::function::{Machine, Raised};
use crate::erl::number::to_float;
use crate::erl::term::{Bits, Term};

/// The largest bit string, in bits; the budget ends before.
const BITS_MAX: usize = 1 << 32;

/// How far a segment reaches.
enum Extent {
    Bits(usize),
    /// It has no size and goes to the end.
    Rest,
    /// There can be no such segment.
    None,
}

impl Evaluator<'_> {
    pub(super) fn bits(&mut self, segments: &[Segment], env: &mut Env) -> Result<Term, Raised> {
        let mut writer = Writer::default();
        for (index, segment) in segments.iter().enumerate() {
            let form = segment.form;
            let number = index + 1;
            if let Kind::Text(text, _) = &segment.value.kind {
                let extent = self.extent(segment, env)?;
                for c in text.chars() {
                    let value = Term::Int(i64::from(u32::from(c)));
                    let written = self.write(&mut writer, &value, form, &extent);
                    written.map_err(|raised| failed(raised, number, form, value, &extent))?;
                }
                continue;
            }
            let value = self.eval(&segment.value, env)?;
            let extent = self.extent(segment, env)?;
            let written = self.write(&mut writer, &value, form, &extent);
            written.map_err(|raised| failed(raised, number, form, value, &extent))?;
        }
        Ok(writer.finish())
    }

    pub(super) fn match_bits(
        &mut self,
        segments: &[Segment],
        value: &Term,
        env: &mut Env,
        fresh: usize,
    ) -> Result<bool, Raised> {
        let Term::Bits(bits) = value else {
            return Ok(false);
        };
        let (end, matched) = self.take_bits(segments, bits, 0, env, fresh)?;
        Ok(matched && end == Some(bits.bits))
    }

    /// Matches segments from a place on: where they end, if there is room for them, and whether they match.
    pub(super) fn take_bits(
        &mut self,
        segments: &[Segment],
        bits: &Bits,
        at: usize,
        env: &mut Env,
        fresh: usize,
    ) -> Result<(Option<usize>, bool), Raised> {
        let mut reader = Reader { bits, at };
        let mut matched = true;
        for segment in segments {
            // As an error in a guard, one in a size is no error of the match.
            let extent = match self.extent(segment, env) {
                Err(Raised::Stopped(sentence)) => return Err(Raised::Stopped(sentence)),
                Err(_) => Extent::None,
                Ok(extent) => extent,
            };
            if let Kind::Text(text, _) = &segment.value.kind {
                for c in text.chars() {
                    let Some(found) = self.read(&mut reader, segment.form, &extent)? else {
                        return Ok((None, false));
                    };
                    let wanted = i64::from(u32::from(c));
                    matched &= matches!(found, Term::Int(code) if code == wanted);
                }
                continue;
            }
            let Some(found) = self.read(&mut reader, segment.form, &extent)? else {
                return Ok((None, false));
            };
            matched = matched && self.matches_number(&segment.value, &found, env, fresh)?;
        }
        Ok((Some(reader.at), matched))
    }

    /// A float segment also matches an integer of its value, such as `<<1/float>>`.
    fn matches_number(
        &mut self,
        pattern: &Expr,
        found: &Term,
        env: &mut Env,
        fresh: usize,
    ) -> Result<bool, Raised> {
        if let (Kind::Value(wanted), Term::Float(value)) = (&pattern.kind, found)
            && let Some(wanted) = to_float(wanted)
        {
            return Ok(wanted.total_cmp(value).is_eq());
        }
        self.matches(pattern, found, env, fresh)
    }

    fn extent(&mut self, segment: &Segment, env: &mut Env) -> Result<Extent, Raised> {
        let form = segment.form;
        let Some(size) = &segment.size else {
            return Ok(match form.of {
                Type::Integer => Extent::Bits(8),
                Type::Float => Extent::Bits(64),
                _ => Extent::Rest,
            });
        };
        let size = match self.eval(size, env)? {
            Term::Int(size) => usize::try_from(size).map_err(|_| Raised::badarg())?,
            Term::Big(_) => return Err(raise("system_limit")),
            other => {
                let unit = i64::try_from(form.unit).unwrap_or(i64::MAX);
                let args = vec![other, Term::Int(unit)];
                return Err(blame(Raised::badarg(), "erlang", "*", args));
            }
        };
        match size.checked_mul(form.unit) {
            Some(bits) if bits <= BITS_MAX => Ok(Extent::Bits(bits)),
            _ => Err(raise("system_limit")),
        }
    }

    fn write(
        &mut self,
        writer: &mut Writer,
        value: &Term,
        form: Form,
        extent: &Extent,
    ) -> Result<(), Raised> {
        match (form.of, extent) {
            (Type::Integer, Extent::Bits(size)) => {
                self.charge(size / 64 + 1)?;
                let bytes = number::to_le_bytes(value, size.div_ceil(8));
                writer.push_integer(&bytes.ok_or_else(Raised::badarg)?, *size, form.little);
            }
            (Type::Float, Extent::Bits(size)) => {
                let value = to_float(value).ok_or_else(Raised::badarg)?;
                let bytes = number::float_le_bytes(value, *size).ok_or_else(Raised::badarg)?;
                writer.push_integer(&bytes, *size, form.little);
            }
            (Type::Bits, extent) => {
                let Term::Bits(part) = value else {
                    return Err(Raised::badarg());
                };
                let size = match extent {
                    Extent::Bits(size) => *size,
                    _ if part.bits.is_multiple_of(form.unit) => part.bits,
                    _ => return Err(Raised::badarg()),
                };
                if size > part.bits {
                    return Err(Raised::badarg());
                }
                self.charge(size / 64 + 1)?;
                writer.push_first(part, size);
            }
            (Type::Utf8 | Type::Utf16 | Type::Utf32, _) => {
                self.charge(1)?;
                let bytes = unicode::encode(value, form).ok_or_else(Raised::badarg)?;
                writer.push_bytes(&bytes);
            }
            _ => return Err(Raised::badarg()),
        }
        Ok(())
    }

    fn read(
        &mut self,
        reader: &mut Reader<'_>,
        form: Form,
        extent: &Extent,
    ) -> Result<Option<Term>, Raised> {
        let size = match (form.of, extent) {
            (Type::Utf8 | Type::Utf16 | Type::Utf32, _) => {
                return Ok(unicode::decode(reader, form));
            }
            (_, Extent::None) => return Ok(None),
            (_, Extent::Bits(size)) => *size,
            (_, Extent::Rest) if reader.left().is_multiple_of(form.unit) => reader.left(),
            (_, Extent::Rest) => return Ok(None),
        };
        if size > reader.left() {
            return Ok(None);
        }
        self.charge(size / 64 + 1)?;
        Ok(match form.of {
            Type::Integer => {
                let bytes = reader.integer(size, form.little);
                Some(number::from_le_bytes(bytes, size, form.signed))
            }
            Type::Float if !matches!(size, 16 | 32 | 64) => None,
            Type::Float => number::float_from(&reader.integer(size, form.little)),
            _ => Some(Term::Bits(reader.part(size))),
        })
    }
}

/// Says which segment could not be built, and why: the underscore in the phrase is where the value is shown.
fn failed(raised: Raised, number: usize, form: Form, value: Term, extent: &Extent) -> Raised {
    let (of, phrase) = match (form.of, &value, extent) {
        (Type::Integer, ..) => ("integer", "expected an integer but got: _"),
        (Type::Float, Term::Int(_) | Term::Float(_), Extent::Bits(16 | 32 | 64)) => (
            "float",
            "the value _ is outside the range expressible as a float",
        ),
        (Type::Float, Term::Int(_) | Term::Float(_), Extent::Bits(size)) => {
            let phrase = "expected one of the supported sizes 16, 32, or 64 but got: _";
            let size = i64::try_from(*size).unwrap_or(i64::MAX);
            return failure(raised, number, "float", phrase, Term::Int(size));
        }
        (Type::Float, ..) => ("float", "expected a float or an integer but got: _"),
        (Type::Bits, Term::Bits(_), Extent::Bits(_)) => {
            let phrase = "the value _ is shorter than the size of the segment";
            ("binary", phrase)
        }
        // Erlang has no more to say of a size that is no multiple of the unit.
        (Type::Bits, Term::Bits(_), _) => return raised,
        (Type::Bits, _, Extent::Bits(_)) => ("binary", "expected a binary but got: _"),
        (Type::Bits, ..) => return blame(raised, "erlang", "bit_size", vec![value]),
        (Type::Utf8, ..) => (
            "utf8",
            "expected a non-negative integer encodable as utf8 but got: _",
        ),
        (Type::Utf16, ..) => (
            "utf16",
            "expected a non-negative integer encodable as utf16 but got: _",
        ),
        (Type::Utf32, ..) => (
            "utf32",
            "expected a non-negative integer encodable as utf32 but got: _",
        ),
    };
    failure(raised, number, of, phrase, value)
}

fn failure(raised: Raised, number: usize, of: &str, phrase: &str, value: Term) -> Raised {
    let number = i64::try_from(number).unwrap_or(i64::MAX);
    let args = vec![Term::Int(number), Term::atom(of), Term::atom(phrase), value];
    blame(raised, "eval_bits", "eval_exp_field", args)
}
