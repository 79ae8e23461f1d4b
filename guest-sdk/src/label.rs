//! Names that an operator gives to rules.

use crate::serde_text::serde_text;
use std::fmt;
use std::str::FromStr;

/// The name of a rule in a configuration: 1 to 64 bytes of `a-z`, `0-9`, `-`. It can head a name of state ([`crate::state_name`]).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Label(String);

/// Text that is no [`Label`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LabelError {
    given: String,
}

impl fmt::Display for LabelError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "`{}` is no name of a rule; 1 to 64 bytes of `a-z`, `0-9`, `-` are right",
            self.given
        )
    }
}

impl std::error::Error for LabelError {}

impl Label {
    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Label {
    type Err = LabelError;

    fn from_str(text: &str) -> Result<Self, LabelError> {
        let plain = text.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-'));
        if (1..=64).contains(&text.len()) && plain {
            return Ok(Self(text.to_owned()));
        }
        Err(LabelError {
            given: text.chars().take(80).collect(),
        })
    }
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

serde_text!(Label, "a name of 1 to 64 bytes of `a-z`, `0-9`, `-`", {
    "description": "A rule's name: 1 to 64 bytes of a-z, 0-9, -.",
    "type": "string",
    "pattern": "^[a-z0-9-]{1,64}$"
});

#[cfg(test)]
mod tests {
    use super::Label;

    #[test]
    fn a_label_is_short_and_plain() {
        assert_eq!("per-key-2".parse::<Label>().unwrap().as_str(), "per-key-2");
        for wrong in ["", "A", "a b", "a/b", "ä", "x".repeat(65).as_str()] {
            assert!(wrong.parse::<Label>().is_err(), "{wrong}");
        }
    }
}
