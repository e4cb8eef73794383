//! What a file is called: by the day, and a number behind the first of a day.

use std::fmt;

use jiff::SignedDuration;
use jiff::civil::{Date, date};

/// What a name ends with.
const SUFFIX: &str = ".yza";
/// What stands behind it while the file is written.
pub(super) const UNFINISHED: &str = ".new";

/// The name of a file: `2026-08-28.yza`, or `2026-08-28.2.yza` for what came late.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Name {
    /// The period: days since 1970 began, UTC.
    pub period: u32,
    /// Which file of the period, from 1 on.
    pub part: u32,
}

impl Name {
    /// The name that a file has; none if it is called something else.
    pub fn parse(name: &str) -> Option<Name> {
        let name = name.strip_suffix(SUFFIX)?;
        let (day, part) = match name.split_once('.') {
            Some((day, part)) => (day, part.parse().ok().filter(|part| *part > 1)?),
            None => (name, 1),
        };
        let period = match day.strip_prefix("day-") {
            Some(number) => number.parse().ok()?,
            None => period_of(day.parse().ok()?)?,
        };
        let parsed = Name { period, part };
        (parsed.to_string() == format!("{name}{SUFFIX}")).then_some(parsed)
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match day_of(self.period) {
            Some(day) => write!(f, "{day}")?,
            None => write!(f, "day-{}", self.period)?,
        }
        if self.part > 1 {
            write!(f, ".{}", self.part)?;
        }
        f.write_str(SUFFIX)
    }
}

/// None if the year has more than four digits.
fn day_of(period: u32) -> Option<Date> {
    let days = SignedDuration::from_hours(24 * i64::from(period));
    date(1970, 1, 1).checked_add(days).ok()
}

fn period_of(day: Date) -> Option<u32> {
    let days = day.duration_since(date(1970, 1, 1)).as_hours() / 24;
    u32::try_from(days).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(period: u32, part: u32) -> String {
        Name { period, part }.to_string()
    }

    #[test]
    fn a_file_is_named_by_its_day() {
        assert_eq!(named(0, 1), "1970-01-01.yza");
        assert_eq!(named(20_693, 1), "2026-08-28.yza");
        assert_eq!(named(20_693, 2), "2026-08-28.2.yza");
        for period in [0, 1, 59, 20_693, 100_000, 2_932_896, 2_932_897, u32::MAX] {
            for part in [1, 2, 10] {
                let name = Name { period, part };
                assert_eq!(Name::parse(&name.to_string()), Some(name));
            }
        }
    }

    #[test]
    fn nothing_else_is_a_name() {
        for name in [
            "2026-08-28.yza.new",
            "2026-8-28.yza",
            "2026-08-28.1.yza",
            "2026-08-28.02.yza",
            "2026-02-30.yza",
            "1969-12-31.yza",
            "20260828.yza",
            "2026-08-28",
            ".yza",
        ] {
            assert_eq!(Name::parse(name), None, "{name}");
        }
    }
}
