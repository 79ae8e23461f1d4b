//! Moments and times of day, all in UTC: policies have no other zone, since the rules of one change.

use crate::serde_text::serde_text;
use std::fmt;
use std::str::FromStr;

/// Milliseconds of a day. UTC has no leap seconds here, as in Unix time.
pub const DAY_MS: u64 = 86_400_000;
const MINUTE_MS: u64 = 60_000;

/// A moment: `2026-11-21T12:00:00Z` in a configuration (RFC 3339, always in UTC), from 1970 to 9999.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UtcTime {
    milliseconds: u64,
}

/// A time of day in minutes: `08:30` in a configuration, `24:00` for the day's end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TimeOfDay {
    minutes: u16,
}

/// A day of the week.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs, reason = "the names say it")]
pub enum Weekday {
    Monday,
    Tuesday,
    Wednesday,
    Thursday,
    Friday,
    Saturday,
    Sunday,
}

/// Text that is no [`UtcTime`] or [`TimeOfDay`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TimeError {
    given: String,
    wanted: &'static str,
}

impl fmt::Display for TimeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` is no {}", self.given, self.wanted)
    }
}

impl std::error::Error for TimeError {}

fn refuse(given: &str, wanted: &'static str) -> TimeError {
    TimeError {
        given: given.chars().take(80).collect(),
        wanted,
    }
}

impl UtcTime {
    /// From milliseconds since the Unix epoch, as `Request::now` has them.
    #[must_use]
    pub const fn from_milliseconds(milliseconds: u64) -> Self {
        Self { milliseconds }
    }

    /// Milliseconds since the Unix epoch.
    #[must_use]
    pub const fn milliseconds(self) -> u64 {
        self.milliseconds
    }

    /// Its day of the week.
    #[must_use]
    pub fn weekday(self) -> Weekday {
        // 1970-01-01 was a Thursday.
        let index = (self.milliseconds / DAY_MS + 3) % 7;
        let day = Weekday::ALL.get(usize::try_from(index).unwrap_or(0));
        day.copied().unwrap_or(Weekday::Monday)
    }
}

impl TimeOfDay {
    /// Midnight, with which a day begins.
    pub const START: Self = Self { minutes: 0 };
    /// Midnight, with which a day ends.
    pub const END: Self = Self { minutes: 24 * 60 };

    /// Milliseconds since the day began.
    #[must_use]
    pub fn milliseconds(self) -> u64 {
        u64::from(self.minutes) * MINUTE_MS
    }
}

/// Digits of a fixed count, as a number.
fn digits(text: &str, at: std::ops::Range<usize>) -> Option<u64> {
    let part = text.get(at)?;
    part.bytes().all(|byte| byte.is_ascii_digit()).then(|| part.parse().ok()).flatten()
}

const fn is_leap(year: u64) -> bool {
    year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
}

fn days_of(year: u64, month: u64) -> u64 {
    match month {
        2 if is_leap(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days from the epoch to the first of January of a year from 1970.
fn days_before(year: u64) -> u64 {
    let leaps = |year: u64| year / 4 - year / 100 + year / 400;
    (year - 1970) * 365 + leaps(year - 1) - leaps(1969)
}

impl FromStr for UtcTime {
    type Err = TimeError;

    fn from_str(text: &str) -> Result<Self, TimeError> {
        let parse = || {
            let (year, month, day) = (digits(text, 0..4)?, digits(text, 5..7)?, digits(text, 8..10)?);
            let (hour, minute, second) = (digits(text, 11..13)?, digits(text, 14..16)?, digits(text, 17..19)?);
            let marks = text.bytes().enumerate().all(|(at, byte)| match at {
                4 | 7 => byte == b'-',
                10 => byte == b'T',
                13 | 16 => byte == b':',
                19 => byte == b'Z',
                _ => true,
            });
            let within = (1970..=9999).contains(&year)
                && (1..=12).contains(&month)
                && (1..=days_of(year, month)).contains(&day)
                && hour < 24
                && minute < 60
                && second < 60;
            if text.len() != 20 || !marks || !within {
                return None;
            }
            let months: u64 = (1..month).map(|month| days_of(year, month)).sum();
            let days = days_before(year) + months + day - 1;
            Some(days * DAY_MS + ((hour * 60 + minute) * 60 + second) * 1_000)
        };
        let wanted = "moment from 1970 on that exists; `2026-11-21T12:00:00Z`, in UTC, is right";
        parse().map(Self::from_milliseconds).ok_or_else(|| refuse(text, wanted))
    }
}

impl fmt::Display for UtcTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (mut day, rest) = (self.milliseconds / DAY_MS, self.milliseconds % DAY_MS);
        let mut year = 1970 + day / 366;
        while days_before(year + 1) <= day {
            year += 1;
        }
        day -= days_before(year);
        let mut month = 1;
        while day >= days_of(year, month) {
            day -= days_of(year, month);
            month += 1;
        }
        let (hour, minute, second) = (rest / 3_600_000, rest / MINUTE_MS % 60, rest / 1_000 % 60);
        write!(f, "{year:04}-{month:02}-{:02}T{hour:02}:{minute:02}:{second:02}", day + 1)?;
        match rest % 1_000 {
            0 => f.write_str("Z"),
            milliseconds => write!(f, ".{milliseconds:03}Z"),
        }
    }
}

impl FromStr for TimeOfDay {
    type Err = TimeError;

    fn from_str(text: &str) -> Result<Self, TimeError> {
        let wanted = "time of day; `00:00` to `24:00`, two digits each, is right";
        let parse = || {
            let minutes = digits(text, 0..2)? * 60 + digits(text, 3..5).filter(|minute| *minute < 60)?;
            let whole = text.len() == 5 && text.as_bytes().get(2) == Some(&b':');
            let minutes = u16::try_from(minutes).ok().filter(|minutes| *minutes <= Self::END.minutes)?;
            whole.then_some(Self { minutes })
        };
        parse().ok_or_else(|| refuse(text, wanted))
    }
}

impl fmt::Display for TimeOfDay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02}:{:02}", self.minutes / 60, self.minutes % 60)
    }
}

serde_text!(UtcTime, "a moment such as `2026-11-21T12:00:00Z`", {
    "description": "A moment in UTC, as RFC 3339 has it: 2026-11-21T12:00:00Z.",
    "type": "string",
    "pattern": "^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z$"
});

serde_text!(TimeOfDay, "a time of day such as `08:30`", {
    "description": "A time of day in UTC, 00:00 to 24:00.",
    "type": "string",
    "pattern": "^[0-9]{2}:[0-9]{2}$"
});

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_agree_with_unix_time() {
        for (text, seconds) in [
            ("1970-01-01T00:00:00Z", 0),
            ("2000-02-29T23:59:59Z", 951_868_799),
            ("2023-11-14T22:13:20Z", 1_700_000_000),
            ("2024-12-31T00:00:00Z", 1_735_603_200),
            ("2100-03-01T00:00:00Z", 4_107_542_400),
            ("9999-12-31T23:59:59Z", 253_402_300_799),
        ] {
            let time: UtcTime = text.parse().unwrap();
            assert_eq!(time.milliseconds(), seconds * 1_000, "{text}");
            assert_eq!(time.to_string(), text);
        }
        assert_eq!(UtcTime::from_milliseconds(1_001).to_string(), "1970-01-01T00:00:01.001Z");
        assert_eq!(UtcTime::from_milliseconds(253_402_300_800_000).to_string(), "10000-01-01T00:00:00Z");
    }

    #[test]
    fn every_day_of_a_century_reads_back_and_has_the_next_weekday() {
        let mut weekday = Weekday::Thursday;
        for day in 0..36_525 {
            let time = UtcTime::from_milliseconds(day * DAY_MS);
            assert_eq!(time.to_string().parse(), Ok(time));
            assert_eq!(time.weekday(), weekday, "{time}");
            let next = (Weekday::ALL.iter().position(|other| *other == weekday).unwrap() + 1) % 7;
            weekday = Weekday::ALL[next];
        }
        assert_eq!("2026-11-21T12:00:00Z".parse::<UtcTime>().unwrap().weekday(), Weekday::Saturday);
    }

    #[test]
    fn what_is_no_moment_or_time_of_day_is_refused() {
        for wrong in [
            "",
            "2026-11-21",
            "2026-11-21T12:00:00",
            "2026-11-21T12:00:00+01:00",
            "2026-11-21 12:00:00Z",
            "2026-02-29T00:00:00Z",
            "2026-13-01T00:00:00Z",
            "2026-01-01T24:00:00Z",
            "1969-12-31T23:59:59Z",
            "2026-11-21T12:00:+0Z",
            "２026-11-21T12:00:00Z",
        ] {
            assert!(wrong.parse::<UtcTime>().is_err(), "{wrong}");
        }
        for wrong in ["", "8:30", "08:60", "24:01", "08:30:00", "08-30", "+8:30", "99:00"] {
            assert!(wrong.parse::<TimeOfDay>().is_err(), "{wrong}");
        }
        assert_eq!("24:00".parse(), Ok(TimeOfDay::END));
        assert_eq!("08:30".parse::<TimeOfDay>().unwrap().milliseconds(), 30_600_000);
    }
}
