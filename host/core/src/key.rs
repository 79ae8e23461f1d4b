//! What core knows of a key: never a secret byte.

use crate::lifecycle::{Bound, RotationRule};
use crate::vocabulary::{Role, Scheme, shown};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// A key's name, `namespace.key_id`: at most [`KeyName::MAX`] bytes; segments of `a-z`, `0-9`, `_`, `-`, joined by dots, at least two;
/// the last is not of the form `v1`. A clone shares its text.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct KeyName(Arc<str>);

/// A name that is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{given}` is no key name: {wanted}")]
pub struct KeyNameError {
    given: String,
    wanted: &'static str,
}

impl KeyName {
    /// Bytes at most: fits a file name with its version and suffix.
    pub const MAX: usize = 128;

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for KeyName {
    type Err = KeyNameError;

    fn from_str(text: &str) -> Result<Self, KeyNameError> {
        let refuse = |wanted| {
            Err(KeyNameError {
                given: shown(text),
                wanted,
            })
        };
        if text.len() > Self::MAX {
            return refuse("it has over 128 bytes");
        }
        let mut segments = 0;
        for segment in text.split('.') {
            if segment.is_empty() || !segment.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-')) {
                return refuse("`namespace.key_id` of `a-z`, `0-9`, `_`, `-` and single dots is right, `cosmos.validator` for one");
            }
            segments += 1;
        }
        if segments < 2 {
            return refuse("it needs a namespace, `cosmos.validator` for one");
        }
        if text.rsplit('.').next().is_some_and(is_version) {
            return refuse("it ends like a version (`.v1`), which is not part of the name");
        }
        Ok(Self(text.into()))
    }
}

fn is_version(segment: &str) -> bool {
    segment
        .strip_prefix('v')
        .is_some_and(|digits| !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()))
}

impl TryFrom<String> for KeyName {
    type Error = KeyNameError;
    fn try_from(text: String) -> Result<Self, KeyNameError> {
        text.parse()
    }
}

impl From<KeyName> for String {
    fn from(name: KeyName) -> Self {
        name.0.as_ref().to_owned()
    }
}

impl fmt::Display for KeyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// One version of a key, `namespace.key_id.v1`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct KeyId {
    /// The name.
    pub name: KeyName,
    /// The version, from 1.
    pub version: u32,
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.v{}", self.name, self.version)
    }
}

impl FromStr for KeyId {
    type Err = KeyNameError;

    fn from_str(text: &str) -> Result<Self, KeyNameError> {
        let refuse = || KeyNameError {
            given: shown(text),
            wanted: "`namespace.key_id.v1` is right",
        };
        let (name, version) = text.rsplit_once(".v").ok_or_else(refuse)?;
        let parsed: u32 = version.parse().map_err(|_| refuse())?;
        if parsed == 0 || parsed.to_string() != version {
            return Err(refuse());
        }
        Ok(Self {
            name: name.parse()?,
            version: parsed,
        })
    }
}

impl TryFrom<String> for KeyId {
    type Error = KeyNameError;
    fn try_from(text: String) -> Result<Self, KeyNameError> {
        text.parse()
    }
}

impl From<KeyId> for String {
    fn from(id: KeyId) -> Self {
        id.to_string()
    }
}

/// What raw bytes begin with that a consensus key may sign: Celestia's is `COMET::RAW_BYTES::SIGN`. From [`RawPrefix::MIN`] to
/// [`RawPrefix::MAX`] printable ASCII characters: sign bytes of votes, proposals and extensions have a control character in second place.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct RawPrefix(String);

/// Text that is no prefix.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{given}` is no prefix of raw bytes: {min} to {max} printable ASCII characters are, `COMET::RAW_BYTES::SIGN` for one",
    min = RawPrefix::MIN,
    max = RawPrefix::MAX
)]
pub struct RawPrefixError {
    given: String,
}

impl RawPrefix {
    /// Characters at least: fewer would keep nothing apart.
    pub const MIN: usize = 8;
    /// Characters at most: no application has a longer one, and messages quote it.
    pub const MAX: usize = 64;

    /// The prefix as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for RawPrefix {
    type Err = RawPrefixError;

    fn from_str(text: &str) -> Result<Self, RawPrefixError> {
        let right = (Self::MIN..=Self::MAX).contains(&text.len()) && text.bytes().all(|byte| (b' '..=b'~').contains(&byte));
        right
            .then(|| Self(text.to_owned()))
            .ok_or_else(|| RawPrefixError { given: shown(text) })
    }
}

/// A key that the deployment may sign with. Its state, uses and pinned public key are in the ledger's [`crate::state::State`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyEntry {
    /// Name and version.
    pub id: KeyId,
    /// What it is for; at least one; consensus stands alone.
    pub roles: BTreeSet<Role>,
    /// How it signs.
    pub scheme: Scheme,
    /// The public key, in the scheme's encoding; equal to the one pinned in the ledger.
    pub public_key: Vec<u8>,
    /// The backend that holds it, by its name in the configuration.
    pub backend: String,
    /// Lets it sign raw messages. Never on a consensus key.
    pub dangerous_allow_raw_messages: bool,
    /// Lets it sign raw digests. Never on a consensus key.
    pub dangerous_allow_raw_digests: bool,
    /// Lets it sign `cometbft/raw-bytes` that begin with one of these. Only on a consensus key. No floor guards them.
    pub dangerous_allow_prefixed_raw: Vec<RawPrefix>,
    /// What a consensus key's messages must say.
    pub bound: Option<Bound>,
    /// When it is to be replaced.
    pub rotation: Option<RotationRule>,
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]
    use super::*;

    #[test]
    fn names_have_a_namespace_and_no_version() {
        assert_eq!(
            "igra.hd.wallet_secret".parse::<KeyName>().unwrap().as_str(),
            "igra.hd.wallet_secret"
        );
        for wrong in ["", "alone", ".a", "a.", "a..b", "A.b", "a.b/c", "a.v1", &"a.".repeat(80)] {
            assert!(wrong.parse::<KeyName>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn an_id_is_a_name_and_a_version_from_one() {
        let id: KeyId = "cosmos.validator.v12".parse().unwrap();
        assert_eq!((id.name.as_str(), id.version), ("cosmos.validator", 12));
        assert_eq!(id.to_string(), "cosmos.validator.v12");
        for wrong in [
            "cosmos.validator",
            "cosmos.validator.v0",
            "cosmos.validator.v01",
            "cosmos.v1",
            "cosmos.validator.v4294967296",
        ] {
            assert!(wrong.parse::<KeyId>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_prefix_of_raw_bytes_is_printable_and_not_short() {
        for right in ["COMET::RAW_BYTES::SIGN", "oracle: ", &"a".repeat(64)] {
            assert_eq!(right.parse::<RawPrefix>().unwrap().as_str(), right);
        }
        for wrong in ["", "short::", &"a".repeat(65), "eight\u{8}chars", "příliš žluťoučký"] {
            assert!(wrong.parse::<RawPrefix>().is_err(), "{wrong:?}");
        }
        let error = "".parse::<RawPrefix>().unwrap_err().to_string();
        assert!(error.contains("8 to 64 printable ASCII characters"), "{error}");
    }
}
