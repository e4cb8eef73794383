//! Names and strings between their quotes.

use crate::erl::lex::is_plain_atom;

/// An atom, between quotes where it needs them; what is beyond Latin-1 is escaped for a reader who takes no Unicode.
pub fn atom(name: &str, unicode: bool) -> String {
    match is_plain_atom(name) {
        true => name.to_owned(),
        false => quoted(name.chars(), '\'', unicode),
    }
}

/// Characters between quotes, with escapes.
pub fn quoted(chars: impl Iterator<Item = char>, quote: char, unicode: bool) -> String {
    let mut text = String::from(quote);
    for c in chars {
        push(&mut text, c, quote, unicode);
    }
    text.push(quote);
    text
}

/// Appends one character as it stands between such quotes.
pub(super) fn push(text: &mut String, c: char, quote: char, unicode: bool) {
    let escape = match c {
        '\\' => '\\',
        '\n' => 'n',
        '\r' => 'r',
        '\t' => 't',
        '\u{b}' => 'v',
        '\u{8}' => 'b',
        '\u{c}' => 'f',
        '\u{1b}' => 'e',
        '\u{7f}' => 'd',
        c if c == quote => c,
        ' '..='~' | '\u{a0}'..='\u{ff}' => return text.push(c),
        '\0'..='\u{9f}' => return text.push_str(&format!("\\{:03o}", u32::from(c))),
        c if unicode => return text.push(c),
        c => return text.push_str(&format!("\\x{{{:X}}}", u32::from(c))),
    };
    text.extend(['\\', escape]);
}

/// Whether the code point is shown as a character: Latin-1 only, unless `wide`.
pub fn is_printable(point: u32, wide: bool) -> bool {
    match point {
        0x08..=0x0D | 0x1B | 0x20..=0x7E | 0xA0..=0xFF => true,
        0x100..=0xD7FF | 0xE000..=0xFFFD | 0x10000..=0x0010_FFFF => wide,
        _ => false,
    }
}
