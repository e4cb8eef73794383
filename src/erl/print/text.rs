//! Names and strings between their quotes.

const RESERVED: [&str; 27] = [
    "after", "and", "andalso", "band", "begin", "bnot", "bor", "bsl", "bsr", "bxor", "case",
    "catch", "cond", "div", "end", "fun", "if", "let", "not", "of", "or", "orelse", "receive",
    "rem", "try", "when", "xor",
];

/// An atom, between quotes where it needs them; what is beyond Latin-1 is escaped for a reader who takes no Unicode.
pub fn atom(name: &str, unicode: bool) -> String {
    match is_bare(name) {
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

fn is_bare(name: &str) -> bool {
    let mut chars = name.chars();
    chars.next().is_some_and(is_lower)
        && chars.all(|c| is_lower(c) || is_upper(c) || c.is_ascii_digit() || c == '_' || c == '@')
        && !RESERVED.contains(&name)
}

fn is_lower(c: char) -> bool {
    matches!(c, 'a'..='z' | 'ß'..='ÿ') && c != '÷'
}

fn is_upper(c: char) -> bool {
    matches!(c, 'A'..='Z' | 'À'..='Þ') && c != '×'
}
