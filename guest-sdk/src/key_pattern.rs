//! Keys in a configuration.

use crate::serde_text::serde_text;
use std::fmt;
use std::str::FromStr;

/// Keys in a configuration: one (`hot.payouts`), a namespace (`hot.*`), or all (`*`). A key's versions are one key.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyPattern(String);

/// Text that is no [`KeyPattern`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyPatternError {
    given: String,
}

impl fmt::Display for KeyPatternError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "`{}` names no key; `namespace.key_id`, `namespace.*` or `*` is right",
            self.given
        )
    }
}

impl std::error::Error for KeyPatternError {}

impl KeyPattern {
    /// Whether it means the key of this name.
    #[must_use]
    pub fn matches(&self, name: &str) -> bool {
        match self.0.strip_suffix('*') {
            Some(namespace) => name.starts_with(namespace),
            None => self.0 == name,
        }
    }

    /// What is written in the configuration.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for KeyPattern {
    type Err = KeyPatternError;

    fn from_str(text: &str) -> Result<Self, KeyPatternError> {
        let parts = text.split_once('.');
        let named = parts.is_some_and(|(namespace, key)| {
            !namespace.is_empty() && !namespace.contains('*') && !key.is_empty() && (key == "*" || !key.contains('*'))
        });
        if named || text == "*" {
            return Ok(Self(text.to_owned()));
        }
        Err(KeyPatternError {
            given: text.chars().take(80).collect(),
        })
    }
}

impl fmt::Display for KeyPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

serde_text!(KeyPattern, "a key such as `hot.payouts` or `hot.*`", {
    "description": "A key such as hot.payouts, a namespace such as hot.*, or * for all.",
    "type": "string"
});

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_means_a_key_a_namespace_or_all() {
        let matching = |pattern: &str| -> Vec<&str> {
            let pattern: KeyPattern = pattern.parse().unwrap();
            let keys = ["hot.a", "hot.b", "hotter.a"];
            keys.into_iter().filter(|key| pattern.matches(key)).collect()
        };
        assert_eq!(matching("hot.a"), ["hot.a"]);
        assert_eq!(matching("hot.*"), ["hot.a", "hot.b"]);
        assert_eq!(matching("*"), ["hot.a", "hot.b", "hotter.a"]);
        for wrong in ["", "hot", "hot.", ".a", "hot*", "h*.a", "hot.a*", "**", "*.a"] {
            assert!(wrong.parse::<KeyPattern>().is_err(), "{wrong}");
        }
    }
}
