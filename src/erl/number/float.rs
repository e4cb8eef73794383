//! Floats as text, as Erlang writes and reads them.

/// From here on not every integer is a float, and so the exponent is always written.
const EXACT_MAX: f64 = 9_007_199_254_740_992.0;
/// Up to this many decimals [`decimals`] multiplies the fraction and rounds it, as Erlang does.
const DECIMALS_FAST: usize = 18;

/// The shortest text that reads back as this float, such as `0.1`, `1.0e10`, `123456789.0`.
pub fn short(value: f64) -> String {
    if value == 0.0 {
        return if value.is_sign_negative() {
            "-0.0"
        } else {
            "0.0"
        }
        .to_owned();
    }
    let (digits, exponent) = digits(value.abs());
    let text = place(&digits, exponent + 1, value.abs());
    match value < 0.0 {
        true => format!("-{text}"),
        false => text,
    }
}

/// With this many digits after the point of the mantissa: `1.50000e+00`.
pub fn scientific(value: f64, decimals: usize) -> String {
    let text = format!("{value:.decimals$e}");
    let Some((mantissa, exponent)) = text.split_once('e') else {
        return text;
    };
    match exponent.strip_prefix('-') {
        Some(exponent) => format!("{mantissa}e-{exponent:0>2}"),
        None => format!("{mantissa}e+{exponent:0>2}"),
    }
}

/// With this many digits after the point; `compact` cuts zeros at the end, except the first.
pub fn decimals(value: f64, decimals: usize, compact: bool) -> String {
    let mut text = fixed(value, decimals).unwrap_or_else(|| format!("{value:.decimals$}"));
    if compact && text.contains('.') {
        let kept = text.trim_end_matches('0').len();
        text.truncate(kept);
        if text.ends_with('.') {
            text.push('0');
        }
    }
    text
}

/// All digits of the shortest text that reads back as this float, and the exponent of the first.
pub fn digits(value: f64) -> (String, i32) {
    let shortest = format!("{value:e}");
    let count = shortest
        .split('e')
        .next()
        .map_or(0, |mantissa| digits_of(mantissa).len());
    // Of two texts that are as short and as near, Erlang takes the even one, if it reads back.
    let even = format!("{value:.*e}", count.saturating_sub(1));
    let text = match even.parse() == Ok(value) {
        true => even,
        false => shortest,
    };
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    (digits_of(mantissa), exponent.parse().unwrap_or(0))
}

/// Reads `1.0`, `-1.5e-3`: digits on both sides of the point are a must.
pub fn parse(text: &str) -> Option<f64> {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let (whole, rest) = unsigned.split_once('.')?;
    let (fraction, exponent) = match rest.split_once(['e', 'E']) {
        Some((fraction, exponent)) => (fraction, Some(exponent)),
        None => (rest, None),
    };
    let exponent = exponent.map(|text| text.strip_prefix(['+', '-']).unwrap_or(text));
    let parts = [Some(whole), Some(fraction), exponent];
    let numeric = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    if !parts.into_iter().flatten().all(numeric) {
        return None;
    }
    text.parse().ok().filter(|value: &f64| value.is_finite())
}

fn digits_of(mantissa: &str) -> String {
    mantissa.chars().filter(char::is_ascii_digit).collect()
}

/// Puts the point after `point` digits, or writes an exponent where that is shorter.
fn place(digits: &str, point: i32, value: f64) -> String {
    let length = digits.len() as i32;
    if (1..length).contains(&point) && value < EXACT_MAX {
        let (whole, fraction) = digits.split_at(point as usize);
        return format!("{whole}.{fraction}");
    }
    if point == 0 {
        return format!("0.{digits}");
    }
    let exponent = (point - 1).to_string();
    let dot = if length == 1 { 2 } else { 1 };
    let cost = exponent.len() as i32 + 1 + dot;
    if point < 0 && 2 - point <= cost {
        let zeros = "0".repeat(-point as usize);
        return format!("0.{zeros}{digits}");
    }
    if point >= length && point - length + 2 <= cost && value < EXACT_MAX {
        let zeros = "0".repeat((point - length) as usize);
        return format!("{digits}{zeros}.0");
    }
    match digits.split_at(1) {
        (first, "") => format!("{first}.0e{exponent}"),
        (first, rest) => format!("{first}.{rest}e{exponent}"),
    }
}

/// Multiplies the fraction and rounds it: 2.5 with no decimals is 3. `None` for what is too large for that, or has
/// too many decimals.
fn fixed(value: f64, decimals: usize) -> Option<String> {
    let unsigned = value.abs();
    if decimals > DECIMALS_FAST || unsigned >= EXACT_MAX {
        return None;
    }
    let unit = 10_u64.pow(decimals as u32);
    let mut whole = unsigned.trunc() as u64;
    let mut fraction = ((unsigned - unsigned.trunc()) * unit as f64).round() as u64;
    if fraction >= unit {
        whole += 1;
        fraction -= unit;
    }
    let sign = if value.is_sign_negative() { "-" } else { "" };
    Some(match decimals {
        0 => format!("{sign}{whole}"),
        _ => format!("{sign}{whole}.{fraction:0decimals$}"),
    })
}
