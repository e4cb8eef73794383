//! `calendar`: times as texts of RFC 3339. There is no time zone here: what names no offset is UTC.

use crate::erl::chardata;
use crate::erl::function::{Machine, Native, Raised};
use crate::erl::term::Term;

use super::args::{Value, error_of};
use super::calendar::{Moment, UNIX_SECONDS, unit};
use super::{native, proplists};

/// The texts of times.
pub(super) static TABLE: &[Native] = &[
    native(
        "calendar",
        "rfc3339_to_system_time",
        1,
        "calendar:rfc3339_to_system_time(String)",
        "The Unix time, in seconds, of a text such as \"2022-11-19T17:09:02Z\".",
        |m, a| parsed(m, &a[0], &Term::Nil),
    ),
    native(
        "calendar",
        "rfc3339_to_system_time",
        2,
        "calendar:rfc3339_to_system_time(String, [{unit, Unit}])",
        "The Unix time in second, millisecond, microsecond or nanosecond.",
        |m, a| parsed(m, &a[0], &a[1]),
    ),
    native(
        "calendar",
        "system_time_to_rfc3339",
        1,
        "calendar:system_time_to_rfc3339(Seconds)",
        "The text of a Unix time, such as \"2022-11-19T17:09:02+00:00\".",
        |m, a| written(m, &a[0], &Term::Nil),
    ),
    native(
        "calendar",
        "system_time_to_rfc3339",
        2,
        "calendar:system_time_to_rfc3339(Time, [{unit, Unit}, {offset, \"Z\"}, {time_designator, $T}])",
        "The text of a Unix time in second, millisecond, microsecond or nanosecond.",
        |m, a| written(m, &a[0], &a[1]),
    ),
];

fn option(machine: &mut dyn Machine, options: &Term, name: &str, default: Term) -> Value {
    proplists::value(machine, &Term::atom(name), options, &default)
}

fn written(machine: &mut dyn Machine, time: &Term, options: &Term) -> Value {
    let name = option(machine, options, "unit", Term::atom("second"))?;
    let designator = option(
        machine,
        options,
        "time_designator",
        Term::Int(i64::from(b'T')),
    )?;
    let offset = option(machine, options, "offset", Term::Nil)?;
    let &Term::Int(time) = time else {
        return Err(Raised::badarg());
    };
    let mut unit = unit(&name)?;
    let mut time = time;
    if name.is_atom("native") {
        // As OTP does, which shows no more digits of it.
        (unit, time) = (1000, time.div_euclid(1_000_000));
    }
    let (seconds, offset) = match &offset {
        Term::Int(offset) => {
            let seconds = offset.div_euclid(unit);
            (seconds, offset_text(seconds))
        }
        Term::Nil => (0, offset_text(0)),
        text => {
            let text = chardata::text(text, machine)?.ok_or_else(Raised::badarg)?;
            (offset_seconds(&text).ok_or_else(Raised::badarg)?, text)
        }
    };
    let adjusted = seconds
        .checked_mul(unit)
        .and_then(|offset| offset.checked_add(time));
    let adjusted = adjusted.ok_or_else(Raised::badarg)?;
    let moment =
        Moment::at((adjusted / unit).saturating_add(UNIX_SECONDS)).ok_or_else(Raised::badarg)?;
    let designator = chardata::character(&designator).ok_or_else(Raised::badarg)?;
    let fraction = match unit {
        1 => String::new(),
        unit => {
            let digits = unit.ilog10() as usize;
            format!(".{:0digits$}", (adjusted % unit).abs())
        }
    };
    let ([year, month, day], [hour, minute, second]) = (moment.date, moment.clock);
    let text = format!(
        "{year:04}-{month:02}-{day:02}{designator}{hour:02}:{minute:02}:{second:02}{fraction}{offset}"
    );
    chardata::list(&text, machine)
}

fn parsed(machine: &mut dyn Machine, text: &Term, options: &Term) -> Value {
    let name = option(machine, options, "unit", Term::atom("second"))?;
    let unit = unit(&name)?;
    let read = chardata::text(text, machine)?;
    let Some((seconds, fraction)) = read.as_deref().and_then(seconds_and_fraction) else {
        return Err(error_of("badmatch", text));
    };
    let whole = seconds.checked_mul(unit).ok_or_else(Raised::badarg)?;
    let digits = unit.ilog10() as usize;
    let fraction: String = fraction
        .chars()
        .chain("0".repeat(digits).chars())
        .take(digits)
        .collect();
    let part: i64 = fraction.parse().unwrap_or(0);
    Ok(Term::Int(whole + if whole < 0 { -part } else { part }))
}

/// Seconds since 1970, and the digits of their fraction.
fn seconds_and_fraction(text: &str) -> Option<(i64, &str)> {
    let number = |from: usize, to: usize| {
        let digits = text.get(from..to)?;
        let is_number = digits.bytes().all(|byte| byte.is_ascii_digit());
        is_number.then(|| digits.parse::<i64>().ok())?
    };
    let signs = [(4, "-"), (7, "-"), (13, ":"), (16, ":")];
    if signs
        .iter()
        .any(|(at, sign)| text.get(*at..at + 1) != Some(sign))
    {
        return None;
    }
    let moment = Moment {
        date: [number(0, 4)?, number(5, 7)?, number(8, 10)?],
        clock: [number(11, 13)?, number(14, 16)?, number(17, 19)?],
    };
    let rest = text.get(19..)?;
    let (fraction, offset) = match rest.strip_prefix('.') {
        Some(rest) => rest.split_at(rest.find(|c: char| !c.is_ascii_digit())?),
        None => ("", rest),
    };
    let seconds = moment.seconds()? - UNIX_SECONDS - offset_seconds(offset)?;
    Some((seconds, fraction))
}

/// The seconds of `Z` or `+HH:MM`.
fn offset_seconds(text: &str) -> Option<i64> {
    if matches!(text, "Z" | "z") {
        return Some(0);
    }
    let (sign, rest) = text.split_at_checked(1)?;
    let (hours, minutes) = rest.split_once(':')?;
    let is_pair = |part: &str| part.len() == 2 && part.bytes().all(|byte| byte.is_ascii_digit());
    if !is_pair(hours) || !is_pair(minutes) {
        return None;
    }
    let seconds = hours.parse::<i64>().ok()? * 3600 + minutes.parse::<i64>().ok()? * 60;
    match sign {
        "+" => Some(seconds),
        "-" => Some(-seconds),
        _ => None,
    }
}

fn offset_text(seconds: i64) -> String {
    let sign = if seconds < 0 { '-' } else { '+' };
    let minutes = seconds.unsigned_abs() / 60;
    format!("{sign}{:02}:{:02}", minutes / 60, minutes % 60)
}
