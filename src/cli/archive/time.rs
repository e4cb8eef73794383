//! Times as they are given on the command line.

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

/// Unix milliseconds of a day (when it begins, UTC), of a time with its offset, or of themselves.
pub(super) fn parse(text: &str) -> Result<u64, String> {
    if let Ok(ms) = text.parse() {
        return Ok(ms);
    }
    let of_day = |day: Date| day.to_zoned(TimeZone::UTC).map(|day| day.timestamp());
    let time = match text.contains('T') {
        true => text.parse::<Timestamp>(),
        false => text.parse::<Date>().and_then(of_day),
    };
    let ms = time
        .ok()
        .and_then(|time| u64::try_from(time.as_millisecond()).ok());
    ms.ok_or_else(|| {
        "it is neither a day (2026-08-28) nor a time (2026-08-28T09:30:00Z) nor Unix milliseconds"
            .into()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_a_day_a_moment_or_a_number() {
        assert_eq!(parse("1970-01-02"), Ok(86_400_000));
        assert_eq!(parse("1970-01-01T01:00:00Z"), Ok(3_600_000));
        assert_eq!(parse("1970-01-01T02:00:00+01:00"), Ok(3_600_000));
        assert_eq!(parse("1787875200000"), Ok(1_787_875_200_000));
        for text in [
            "",
            "yesterday",
            "2026-13-01",
            "1969-12-31",
            "2026-08-28T09:30",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
