//! `calendar`: dates of the Gregorian calendar, counted from the year 0. It asks no clock and knows no time zone.

use crate::erl::function::{Native, Raised};
use crate::erl::term::Term;

use super::args::{Value, clause};
use super::native;

const DAY: i64 = 86_400;
/// The days from the year 0 to 1970.
const UNIX_DAYS: i64 = 719_528;
/// The seconds from the year 0 to 1970.
pub(super) const UNIX_SECONDS: i64 = UNIX_DAYS * DAY;

/// What needs no clock.
pub(super) static TABLE: &[Native] = &[
    native(
        "calendar",
        "date_to_gregorian_days",
        1,
        "calendar:date_to_gregorian_days({Year, Month, Day})",
        "The days since the year 0.",
        |_, a| days(&a[0]).map(Term::Int),
    ),
    native(
        "calendar",
        "date_to_gregorian_days",
        3,
        "calendar:date_to_gregorian_days(Year, Month, Day)",
        "The days since the year 0.",
        |_, a| days(&Term::tuple(a.to_vec())).map(Term::Int),
    ),
    native(
        "calendar",
        "datetime_to_gregorian_seconds",
        1,
        "calendar:datetime_to_gregorian_seconds({Date, Time})",
        "The seconds since the year 0.",
        |_, a| {
            let [date, time] = pair(&a[0])?;
            Ok(Term::Int(days(date)? * DAY + seconds(time)?))
        },
    ),
    native(
        "calendar",
        "day_of_the_week",
        1,
        "calendar:day_of_the_week({Year, Month, Day})",
        "1 for Monday to 7 for Sunday.",
        |_, a| weekday(&a[0]),
    ),
    native(
        "calendar",
        "day_of_the_week",
        3,
        "calendar:day_of_the_week(Year, Month, Day)",
        "1 for Monday to 7 for Sunday.",
        |_, a| weekday(&Term::tuple(a.to_vec())),
    ),
    native(
        "calendar",
        "gregorian_days_to_date",
        1,
        "calendar:gregorian_days_to_date(Days)",
        "The date of a day since the year 0.",
        |_, a| Ok(Term::tuple(date(natural(&a[0])?).map(Term::Int))),
    ),
    native(
        "calendar",
        "gregorian_seconds_to_datetime",
        1,
        "calendar:gregorian_seconds_to_datetime(Seconds)",
        "The date and time of a second since the year 0.",
        |_, a| {
            Moment::at(natural(&a[0])?)
                .map(|moment| moment.term())
                .ok_or_else(clause)
        },
    ),
    native(
        "calendar",
        "is_leap_year",
        1,
        "calendar:is_leap_year(Year)",
        "Whether the year has 366 days.",
        |_, a| Ok(Term::bool(is_leap(natural(&a[0])?))),
    ),
    native(
        "calendar",
        "last_day_of_the_month",
        2,
        "calendar:last_day_of_the_month(Year, Month)",
        "How many days the month has.",
        |_, a| {
            let (year, month) = (natural(&a[0])?, natural(&a[1])?);
            month_days(year, month).map(Term::Int).ok_or_else(clause)
        },
    ),
    native(
        "calendar",
        "seconds_to_daystime",
        1,
        "calendar:seconds_to_daystime(Seconds)",
        "{Days, {Hour, Minute, Second}}.",
        |_, a| {
            let Term::Int(total) = a[0] else {
                return Err(clause());
            };
            Ok(Term::tuple([
                Term::Int(total.div_euclid(DAY)),
                clock(total.rem_euclid(DAY)),
            ]))
        },
    ),
    native(
        "calendar",
        "seconds_to_time",
        1,
        "calendar:seconds_to_time(Seconds)",
        "{Hour, Minute, Second} of a second of the day.",
        |_, a| match natural(&a[0])? {
            second if second < DAY => Ok(clock(second)),
            _ => Err(clause()),
        },
    ),
    native(
        "calendar",
        "system_time_to_universal_time",
        2,
        "calendar:system_time_to_universal_time(Time, Unit)",
        "The date and time, UTC, of a Unix time in second, millisecond, microsecond or nanosecond.",
        |_, a| {
            let Term::Int(time) = a[0] else {
                return Err(Raised::badarg());
            };
            let second = time.div_euclid(unit(&a[1])?).saturating_add(UNIX_SECONDS);
            let moment = Moment::at(second).ok_or_else(clause)?;
            Ok(moment.term())
        },
    ),
    native(
        "calendar",
        "time_to_seconds",
        1,
        "calendar:time_to_seconds({Hour, Minute, Second})",
        "The second of the day.",
        |_, a| seconds(&a[0]).map(Term::Int),
    ),
    native(
        "calendar",
        "valid_date",
        1,
        "calendar:valid_date({Year, Month, Day})",
        "Whether there is such a day.",
        |_, a| is_valid(&a[0]),
    ),
    native(
        "calendar",
        "valid_date",
        3,
        "calendar:valid_date(Year, Month, Day)",
        "Whether there is such a day.",
        |_, a| is_valid(&Term::tuple(a.to_vec())),
    ),
];

/// A date and the time of the day.
pub(super) struct Moment {
    /// Year, month and day.
    pub(super) date: [i64; 3],
    /// Hour, minute and second.
    pub(super) clock: [i64; 3],
}

impl Moment {
    /// That of a second since the year 0, if no date overflows.
    pub(super) fn at(second: i64) -> Option<Moment> {
        natural(&Term::Int(second)).ok()?;
        let of_day = second % DAY;
        Some(Moment {
            date: date(second / DAY),
            clock: [of_day / 3600, of_day / 60 % 60, of_day % 60],
        })
    }

    /// The seconds since the year 0, if there is such a moment.
    pub(super) fn seconds(&self) -> Option<i64> {
        let [hour, minute, second] = self.clock;
        let is_time =
            (0..24).contains(&hour) && (0..60).contains(&minute) && (0..60).contains(&second);
        let days = days(&Term::tuple(self.date.map(Term::Int))).ok()?;
        is_time.then_some(days * DAY + hour * 3600 + minute * 60 + second)
    }

    fn term(&self) -> Term {
        let three = |numbers: [i64; 3]| Term::tuple(numbers.map(Term::Int));
        Term::tuple([three(self.date), three(self.clock)])
    }
}

/// How many of a unit make a second.
pub(super) fn unit(name: &Term) -> Result<i64, Raised> {
    match name.as_atom() {
        Some("second") => Ok(1),
        Some("millisecond") => Ok(1000),
        Some("microsecond") => Ok(1_000_000),
        Some("nanosecond" | "native") => Ok(1_000_000_000),
        _ => Err(Raised::badarg()),
    }
}

fn natural(value: &Term) -> Result<i64, Raised> {
    match value {
        // So that no date overflows.
        Term::Int(value @ 0..=0xFFFF_FFFF_FFFF) => Ok(*value),
        _ => Err(clause()),
    }
}

fn pair(value: &Term) -> Result<[&Term; 2], Raised> {
    match value.as_tuple() {
        Some([first, second]) => Ok([first, second]),
        _ => Err(clause()),
    }
}

fn triple(value: &Term) -> Result<[i64; 3], Raised> {
    match value.as_tuple() {
        Some([first, second, third]) => Ok([natural(first)?, natural(second)?, natural(third)?]),
        _ => Err(clause()),
    }
}

fn is_leap(year: i64) -> bool {
    (year % 4 == 0 && year % 100 != 0) || year % 400 == 0
}

fn month_days(year: i64, month: i64) -> Option<i64> {
    match month {
        2 if is_leap(year) => Some(29),
        2 => Some(28),
        4 | 6 | 9 | 11 => Some(30),
        1..=12 => Some(31),
        _ => None,
    }
}

/// The days before a year: the year 0 is a leap year.
fn year_days(year: i64) -> i64 {
    match year {
        0 => 0,
        _ => year * 365 + (year - 1) / 4 - (year - 1) / 100 + (year - 1) / 400 + 1,
    }
}

fn days(value: &Term) -> Result<i64, Raised> {
    let [year, month, day] = triple(value)?;
    let last = month_days(year, month)
        .filter(|_| day > 0)
        .ok_or_else(clause)?;
    if day > last {
        return Err(Raised::error(Term::atom("if_clause")));
    }
    let before = (1..month)
        .filter_map(|month| month_days(year, month))
        .sum::<i64>();
    Ok(year_days(year) + before + day - 1)
}

fn is_valid(value: &Term) -> Value {
    triple(value)?;
    Ok(Term::bool(days(value).is_ok()))
}

fn date(days: i64) -> [i64; 3] {
    // 400 years have 146097 days: the guess is at most one year too late.
    let mut year = days * 400 / 146_097;
    while year_days(year + 1) <= days {
        year += 1;
    }
    while year_days(year) > days {
        year -= 1;
    }
    let (mut left, mut month) = (days - year_days(year), 1);
    while let Some(length) = month_days(year, month)
        && left >= length
    {
        left -= length;
        month += 1;
    }
    [year, month, left + 1]
}

fn weekday(value: &Term) -> Value {
    Ok(Term::Int((days(value)? + 5) % 7 + 1))
}

fn seconds(value: &Term) -> Result<i64, Raised> {
    let [hour, minute, second] = triple(value)?;
    Ok(hour * 3600 + minute * 60 + second)
}

fn clock(second: i64) -> Term {
    Term::tuple([second / 3600, second / 60 % 60, second % 60].map(Term::Int))
}
