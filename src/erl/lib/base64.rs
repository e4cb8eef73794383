//! `base64`.

use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use base64::{DecodeError, Engine};

use crate::erl::chardata;
use crate::erl::function::{Machine, Native, Raised};
use crate::erl::term::Term;

use super::args::clause;
use super::convert::byte_list;
use super::native;

/// Takes bits behind the last byte that are not 0, as OTP does.
const ENGINE: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(DecodePaddingMode::RequireCanonical),
);

/// All of `base64`.
pub(super) static TABLE: &[Native] = &[
    native(
        "base64",
        "decode",
        1,
        "base64:decode(Base64)",
        "The bytes that the text stands for.",
        |m, a| decoded(m, &a[0], is_space).map(Term::binary),
    ),
    native(
        "base64",
        "decode_to_string",
        1,
        "base64:decode_to_string(Base64)",
        "The bytes that the text stands for, as a string.",
        |m, a| {
            let bytes = decoded(m, &a[0], is_space)?;
            byte_list(m, &bytes)
        },
    ),
    native(
        "base64",
        "encode",
        1,
        "base64:encode(Data)",
        "The bytes in Base64, as a binary.",
        |m, a| chardata::binary(&encoded(m, &a[0])?, m),
    ),
    native(
        "base64",
        "encode_to_string",
        1,
        "base64:encode_to_string(Data)",
        "The bytes in Base64, as a string.",
        |m, a| chardata::list(&encoded(m, &a[0])?, m),
    ),
    native(
        "base64",
        "mime_decode",
        1,
        "base64:mime_decode(Base64)",
        "Like decode/1, whatever stands between the digits.",
        |m, a| decoded(m, &a[0], is_foreign).map(Term::binary),
    ),
    native(
        "base64",
        "mime_decode_to_string",
        1,
        "base64:mime_decode_to_string(Base64)",
        "Like decode_to_string/1, whatever stands between the digits.",
        |m, a| {
            let bytes = decoded(m, &a[0], is_foreign)?;
            byte_list(m, &bytes)
        },
    ),
];

fn data(machine: &mut dyn Machine, value: &Term) -> Result<Vec<u8>, Raised> {
    match value {
        Term::Nil | Term::Cons(_) | Term::Bits(_) => {
            chardata::bytes(value, machine)?.ok_or_else(Raised::badarg)
        }
        _ => Err(clause()),
    }
}

fn encoded(machine: &mut dyn Machine, value: &Term) -> Result<String, Raised> {
    Ok(ENGINE.encode(data(machine, value)?))
}

fn decoded(
    machine: &mut dyn Machine,
    value: &Term,
    is_skipped: fn(&u8) -> bool,
) -> Result<Vec<u8>, Raised> {
    let mut text = data(machine, value)?;
    text.retain(|byte| !is_skipped(byte));
    ENGINE.decode(text).map_err(|error| match error {
        DecodeError::InvalidByte(_, byte) if byte != b'=' => Raised::badarg(),
        _ => clause(),
    })
}

fn is_space(byte: &u8) -> bool {
    matches!(byte, b'\t' | b'\n' | b'\r' | b' ')
}

fn is_foreign(byte: &u8) -> bool {
    !byte.is_ascii_alphanumeric() && !matches!(byte, b'+' | b'/' | b'=')
}
