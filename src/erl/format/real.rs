//! Floats by `~e`, `~f` and `~g`: rounded by half up, from 21 digits.

/// The text of a float; `None` if that many digits are too few for the form.
pub(super) fn text(form: char, value: f64, precision: usize) -> Option<String> {
    match form {
        'e' if precision >= 2 => Some(exponential(value, precision)),
        'f' if precision >= 1 => Some(fixed(value, precision)),
        'g' if precision >= 1 => Some(general(value, precision)),
        _ => None,
    }
}

fn exponential(value: f64, precision: usize) -> String {
    let (digits, exponent) = digits(value);
    let (mantissa, carried) = rounded(&digits, 1, precision - 1);
    let (mantissa, exponent) = match carried {
        true => (format!("1{}", &mantissa[2..]), exponent + 1),
        false => (mantissa, exponent),
    };
    let sign = sign(value);
    match exponent < 0 {
        true => format!("{sign}{mantissa}e{exponent}"),
        false => format!("{sign}{mantissa}e+{exponent}"),
    }
}

fn fixed(value: f64, precision: usize) -> String {
    let (digits, exponent) = digits(value);
    let (digits, whole) = match usize::try_from(exponent + 1) {
        Ok(whole) if whole > 0 => (digits, whole),
        _ => ("0".repeat(-exponent as usize) + &digits, 1),
    };
    let (text, _) = rounded(&digits, whole, precision);
    format!("{}{text}", sign(value))
}

/// The fixed form for what is at least 0.1 and below 10,000, if the digits suffice.
fn general(value: f64, precision: usize) -> String {
    let bounds = [1.0, 10.0, 100.0, 1000.0, 10_000.0];
    let place = bounds.iter().position(|bound| value.abs() < *bound);
    let (true, Some(place)) = (value.abs() >= 0.1, place) else {
        return exponential(value, precision.max(2));
    };
    match precision > place {
        true => fixed(value, precision - place),
        false => exponential(value, precision.max(2)),
    }
}

/// 21 digits and the exponent of the first.
fn digits(value: f64) -> (String, i32) {
    let text = format!("{:.20e}", value.abs());
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    (mantissa.replace('.', ""), exponent.parse().unwrap_or(0))
}

/// The first `whole` digits, a point and `decimals` more, rounded; and whether that made one more digit.
fn rounded(digits: &str, whole: usize, decimals: usize) -> (String, bool) {
    let wanted = whole + decimals;
    let mut kept: Vec<u8> = digits.bytes().take(wanted).collect();
    let mut carry = digits
        .as_bytes()
        .get(wanted)
        .is_some_and(|digit| *digit >= b'5');
    kept.resize(wanted, b'0');
    for digit in kept.iter_mut().rev() {
        if !carry {
            break;
        }
        carry = *digit == b'9';
        *digit = if carry { b'0' } else { *digit + 1 };
    }
    let mut text = String::from(if carry { "1" } else { "" });
    for (index, digit) in kept.into_iter().enumerate() {
        if index == whole {
            text.push('.');
        }
        text.push(char::from(digit));
    }
    (text, carry)
}

fn sign(value: f64) -> &'static str {
    if value.is_sign_negative() { "-" } else { "" }
}
