//! What a format wants of its arguments, read without them: it says what was wrong after a format has failed.

/// What an argument of a format has to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// Anything.
    Any,
    /// For `~e`, `~f` and `~g`.
    Float,
    /// For `~b`, `~c` and the like, and for each `*`.
    Integer,
    /// For `~s`, and the prefix of `~x`.
    Text,
}

/// The arguments that a format wants, one by one; or what is wrong with the format.
pub fn wanted(format: &str) -> Result<Vec<Wanted>, String> {
    let mut wanted = Vec::new();
    let mut rest = format;
    while let Some((_, control)) = rest.split_once('~') {
        rest = sequence(control, &mut wanted)?;
    }
    Ok(wanted)
}

/// Reads a control sequence without its tilde, and gives what follows it.
fn sequence<'f>(control: &'f str, wanted: &mut Vec<Wanted>) -> Result<&'f str, String> {
    let mut rest = number(control.strip_prefix('-').unwrap_or(control), wanted);
    if let Some(precision) = rest.strip_prefix('.') {
        rest = number(precision, wanted);
        if let Some(pad) = rest.strip_prefix('.') {
            let mut pads = pad.chars();
            if pads.next() == Some('*') {
                wanted.push(Wanted::Integer);
            }
            rest = pads.as_str();
        }
    }
    let plain = rest.trim_start_matches(['t', 'l']);
    let modifiers = &rest[..rest.len() - plain.len()];
    let mut chars = plain.chars();
    let letter = chars.next().ok_or("truncated")?;
    let allowed = match letter {
        'p' | 'P' => true,
        'c' | 's' | 'w' | 'W' => !modifiers.contains('l'),
        _ => modifiers.is_empty(),
    };
    let arguments: &[Wanted] = match letter {
        _ if !allowed => return Err(format!("invalid control ~{modifiers}{letter}")),
        '~' | 'n' => &[],
        'e' | 'f' | 'g' => &[Wanted::Float],
        's' => &[Wanted::Text],
        'p' | 'w' | '+' | '#' | 'i' => &[Wanted::Any],
        'P' | 'W' => &[Wanted::Any, Wanted::Integer],
        'b' | 'B' | 'c' => &[Wanted::Integer],
        'x' | 'X' => &[Wanted::Integer, Wanted::Text],
        letter => return Err(format!("invalid control ~{letter}")),
    };
    wanted.extend(arguments);
    Ok(chars.as_str())
}

/// Skips digits, or an asterisk, which stands for an argument.
fn number<'f>(text: &'f str, wanted: &mut Vec<Wanted>) -> &'f str {
    if let Some(rest) = text.strip_prefix('*') {
        wanted.push(Wanted::Integer);
        return rest;
    }
    text.trim_start_matches(|c: char| c.is_ascii_digit())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn what_a_format_wants_is_read_from_it() {
        use Wanted::{Any, Float, Integer, Text};
        assert_eq!(wanted("a~~b~n").unwrap(), []);
        assert_eq!(
            wanted("~p~*.*.*f~ts").unwrap(),
            [Any, Integer, Integer, Integer, Float, Text]
        );
        assert_eq!(
            wanted("~-5..0b~W~x").unwrap(),
            [Integer, Any, Integer, Integer, Text]
        );
    }

    #[test]
    fn what_is_wrong_with_a_format_is_named() {
        for (format, why) in [
            ("~", "truncated"),
            ("~5.3", "truncated"),
            ("~d", "invalid control ~d"),
            ("~tb", "invalid control ~tb"),
            ("~ls", "invalid control ~ls"),
        ] {
            assert_eq!(wanted(format).unwrap_err(), why);
        }
    }
}
