//! When a receiver wants to be asked again.

use jiff::fmt::rfc2822;

/// Reads the value of `Retry-After`, seconds or a date, as milliseconds from `now_ms`, Unix milliseconds of the wall
/// clock; none if it is neither. A date that has passed is 0.
pub(super) fn parse(value: &str, now_ms: u64) -> Option<u64> {
    let value = value.trim();
    if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) {
        // More digits than a number has are a long time.
        let seconds = value.parse().unwrap_or(u64::MAX);
        return Some(seconds.saturating_mul(1000));
    }
    let date = rfc2822::parse(value).ok()?.timestamp().as_millisecond();
    Some(u64::try_from(date).unwrap_or(0).saturating_sub(now_ms))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_and_dates_are_read_and_nothing_else() {
        let now = 1_445_412_480_000;
        for (value, expected) in [
            ("120", Some(120_000)),
            (" 0 ", Some(0)),
            ("99999999999999999999999", Some(u64::MAX)),
            ("Wed, 21 Oct 2015 07:28:30 GMT", Some(30_000)),
            ("Wed, 21 Oct 2015 07:27:30 GMT", Some(0)),
            ("Thu, 01 Jan 1950 00:00:00 GMT", None),
            ("Sun, 01 Jan 1950 00:00:00 GMT", Some(0)),
            ("", None),
            ("-1", None),
            ("1.5", None),
            ("soon", None),
        ] {
            assert_eq!(parse(value, now), expected, "{value:?}");
        }
    }
}
