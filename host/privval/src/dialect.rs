//! Which version of the protocol a node speaks. Nothing on the wire says it.

use std::fmt;
use std::str::FromStr;

/// The version of the protocol that one node speaks, from the configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Dialect {
    /// CometBFT v0.34 and v0.37: no vote extensions.
    V0_34,
    /// CometBFT v0.38, v0.39 and v0.40: a precommit for a block comes back with the signature of its vote extension, an empty one too.
    V0_38,
    /// CometBFT v1.x: as v0.38, but the node may say that it wants no extension signed; another form of public key; `SignBytes`.
    V1,
    /// Celestia's fork of CometBFT v0.38 (celestia-core v0.39): as v0.38, and `SignRawBytes`, under the numbers that `SignBytes` has in v1.x.
    Celestia,
}

/// A name that is no dialect's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no dialect; v0.34 (of CometBFT v0.34 and v0.37), v0.38 (of v0.38 to v0.40), v1 and celestia are")]
pub struct UnknownDialect(String);

impl Dialect {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::V0_34, Self::V0_38, Self::V1, Self::Celestia];

    /// The name in the configuration.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::V0_34 => "v0.34",
            Self::V0_38 => "v0.38",
            Self::V1 => "v1",
            Self::Celestia => "celestia",
        }
    }

    /// How many bytes a message has at most, its length prefix not counted: what the nodes themselves read.
    ///
    /// v0.34, v0.37, v0.38, v1.0 and Celestia have 10 KiB in `privval/signer_endpoint.go` (`maxRemoteSignerMsgSize`), for signer and node alike;
    /// v0.40 has a vote extension of 1 MiB, two signatures and 1 KiB. A v0.38 node that sends more than 10 KiB cannot read the answer.
    #[must_use]
    pub fn message_max(self) -> usize {
        match self {
            Self::V0_34 | Self::V1 | Self::Celestia => 10 << 10,
            Self::V0_38 => (1 << 20) + (8 << 10),
        }
    }

    /// Whether votes have extensions.
    pub(crate) fn has_extensions(self) -> bool {
        match self {
            Self::V0_34 => false,
            Self::V0_38 | Self::V1 | Self::Celestia => true,
        }
    }
}

impl fmt::Display for Dialect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Dialect {
    type Err = UnknownDialect;

    fn from_str(text: &str) -> Result<Self, UnknownDialect> {
        Self::ALL.into_iter().find(|dialect| dialect.name() == text).ok_or_else(|| {
            // As much of it as identifies it; it comes from a configuration file, which may be anything.
            UnknownDialect(text.chars().take(32).collect())
        })
    }
}
