//! Code points as UTF-8, UTF-16 and UTF-32.

use crate::erl::ast::{Form, Type};
use crate::erl::term::Term;

use super::reader::Reader;

/// The bytes of a code point, if the value is one.
pub(super) fn encode(value: &Term, form: Form) -> Option<Vec<u8>> {
    let Term::Int(code) = value else {
        return None;
    };
    let c = char::from_u32(u32::try_from(*code).ok()?)?;
    Some(match form.of {
        Type::Utf16 => {
            let mut units = [0; 2];
            let units = c.encode_utf16(&mut units).iter();
            let bytes = units.map(|unit| match form.little {
                true => unit.to_le_bytes(),
                false => unit.to_be_bytes(),
            });
            bytes.flatten().collect()
        }
        Type::Utf32 if form.little => u32::from(c).to_le_bytes().to_vec(),
        Type::Utf32 => u32::from(c).to_be_bytes().to_vec(),
        _ => c.encode_utf8(&mut [0; 4]).as_bytes().to_vec(),
    })
}

/// The next code point, if there is one.
pub(super) fn decode(reader: &mut Reader<'_>, form: Form) -> Option<Term> {
    let c = match form.of {
        Type::Utf16 => {
            let first = unit(reader, form.little)?;
            match char::decode_utf16([first]).next()? {
                Ok(c) => c,
                Err(_) => {
                    let second = unit(reader, form.little)?;
                    char::decode_utf16([first, second]).next()?.ok()?
                }
            }
        }
        Type::Utf32 => {
            let bytes: [u8; 4] = bytes(reader, 4)?.try_into().ok()?;
            char::from_u32(match form.little {
                true => u32::from_le_bytes(bytes),
                false => u32::from_be_bytes(bytes),
            })?
        }
        _ => {
            let mut text = bytes(reader, 1)?;
            let more = match text[0] {
                0..=0x7f => 0,
                0xc2..=0xdf => 1,
                0xe0..=0xef => 2,
                0xf0..=0xf4 => 3,
                _ => return None,
            };
            text.extend(bytes(reader, more)?);
            std::str::from_utf8(&text).ok()?.chars().next()?
        }
    };
    Some(Term::Int(i64::from(u32::from(c))))
}

fn unit(reader: &mut Reader<'_>, little: bool) -> Option<u16> {
    let bytes: [u8; 2] = bytes(reader, 2)?.try_into().ok()?;
    Some(match little {
        true => u16::from_le_bytes(bytes),
        false => u16::from_be_bytes(bytes),
    })
}

fn bytes(reader: &mut Reader<'_>, count: usize) -> Option<Vec<u8>> {
    (reader.left() >= count * 8).then(|| reader.bytes(count))
}
