//! Spans of time.

use crate::serde_text::serde_text;
use std::fmt;
use std::str::FromStr;

/// A span of time, at least a millisecond: `500ms`, `60s`, `5m`, `1h`, `1d` in a configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Period {
    milliseconds: u64,
}

/// Text that is no [`Period`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeriodError {
    given: String,
}

impl fmt::Display for PeriodError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "`{}` is no span of time; a number from 1 with ms, s, m, h or d, `60s` for one, is right, up to 3650d",
            self.given
        )
    }
}

impl std::error::Error for PeriodError {}

/// Units, the largest first.
const UNITS: [(&str, u64); 5] = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];
/// Ten years: a limit that refills more slowly is a mistake.
const LONGEST_MS: u64 = 3650 * 86_400_000;

impl Period {
    /// Milliseconds, at least 1.
    #[must_use]
    pub fn milliseconds(self) -> u64 {
        self.milliseconds
    }
}

impl FromStr for Period {
    type Err = PeriodError;

    fn from_str(text: &str) -> Result<Self, PeriodError> {
        let refuse = || PeriodError {
            given: text.chars().take(80).collect(),
        };
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let (number, unit) = text.split_at_checked(digits).ok_or_else(refuse)?;
        let number: u64 = number.parse().map_err(|_| refuse())?;
        let (_, factor) = UNITS.iter().find(|(name, _)| *name == unit).ok_or_else(refuse)?;
        let milliseconds = number.checked_mul(*factor).ok_or_else(refuse)?;
        if milliseconds == 0 || milliseconds > LONGEST_MS {
            return Err(refuse());
        }
        Ok(Self { milliseconds })
    }
}

impl fmt::Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (unit, factor) = UNITS
            .iter()
            .find(|(_, factor)| self.milliseconds.is_multiple_of(*factor))
            .copied()
            .unwrap_or(("ms", 1));
        write!(f, "{}{unit}", self.milliseconds / factor)
    }
}

serde_text!(Period, "a span of time such as `60s`", {
    "description": "A span of time: a number with ms, s, m, h or d.",
    "type": "string",
    "pattern": "^[0-9]+(ms|s|m|h|d)$"
});

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_unit_is_read_and_written() {
        for (text, milliseconds) in [
            ("500ms", 500),
            ("60s", 60_000),
            ("5m", 300_000),
            ("2h", 7_200_000),
            ("1d", 86_400_000),
        ] {
            assert_eq!(text.parse::<Period>().unwrap().milliseconds(), milliseconds, "{text}");
        }
        assert_eq!("60s".parse::<Period>().unwrap().to_string(), "1m");
        assert_eq!("1500ms".parse::<Period>().unwrap().to_string(), "1500ms");
    }

    #[test]
    fn what_is_no_span_is_refused() {
        for wrong in [
            "",
            "0s",
            "60",
            "s",
            "1.5s",
            "-1s",
            "1w",
            "1 s",
            "3651d",
            "99999999999999999999s",
            "18446744073709551615d",
        ] {
            assert!(wrong.parse::<Period>().is_err(), "{wrong}");
        }
    }
}
