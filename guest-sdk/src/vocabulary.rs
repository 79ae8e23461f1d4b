//! The names of networks, roles, schemes, key states and formats, and their place in a configuration.

use crate::bindings::sigwarden::policy::types::{KeyState, Network, Operation, Role, Scheme};
use crate::serde_text::serde_text;
use crate::utc::Weekday;
use std::fmt;
use std::str::FromStr;

/// A name that is none of a closed set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownName {
    kind: &'static str,
    given: String,
    allowed: &'static [&'static str],
}

impl fmt::Display for UnknownName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "`{}` is no {}; one of {} is right",
            self.given,
            self.kind,
            self.allowed.join(", ")
        )
    }
}

impl std::error::Error for UnknownName {}

macro_rules! names {
    ($name:ident, $kind:literal { $($variant:ident = $text:literal),+ $(,)? }) => {
        impl $name {
            /// Every value, in order.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The stable name, the same as in the host's configuration.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $text),+ }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.name())
            }
        }

        impl FromStr for $name {
            type Err = UnknownName;
            fn from_str(text: &str) -> Result<Self, UnknownName> {
                match text {
                    $($text => Ok(Self::$variant),)+
                    _ => Err(UnknownName { kind: $kind, given: text.chars().take(64).collect(), allowed: &[$($text),+] }),
                }
            }
        }

        serde_text!($name, $kind, {"type": "string", "enum": [$($text),+]});
    };
}

names! {
    Network, "network" { Devnet = "devnet", TestnetAlpha = "testnet-alpha", TestnetBeta = "testnet-beta", Mainnet = "mainnet" }
}

names! {
    Operation, "operation" { Sign = "sign", Decapsulate = "decapsulate" }
}

names! {
    Weekday, "day of the week" {
        Monday = "mon",
        Tuesday = "tue",
        Wednesday = "wed",
        Thursday = "thu",
        Friday = "fri",
        Saturday = "sat",
        Sunday = "sun",
    }
}

names! {
    Role, "role" {
        Consensus = "consensus",
        Batch = "batch",
        P2pIdentity = "p2p-identity",
        Governance = "governance",
        Operational = "operational",
        Withdrawal = "withdrawal",
        Account = "account",
    }
}

names! {
    Scheme, "scheme" {
        Secp256k1Ecdsa = "secp256k1-ecdsa",
        Secp256k1Schnorr = "secp256k1-schnorr",
        Ed25519 = "ed25519",
        MlDsa44 = "ml-dsa-44",
        MlKem768 = "ml-kem-768",
    }
}

names! {
    KeyState, "key state" {
        Pending = "pending",
        Active = "active",
        Grace = "grace",
        Suspended = "suspended",
        Revoked = "revoked",
        Destroyed = "destroyed",
    }
}

/// What a tagged message is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TaggedDomain {
    /// A batch of a DAG.
    Batch,
    /// The acknowledgement that a batch is available.
    BatchAck,
    /// A proposal or vote of governance.
    Governance,
    /// An operation on a node.
    Operation,
    /// A withdrawal.
    Withdrawal,
}

names! {
    TaggedDomain, "domain of tagged messages" {
        Batch = "batch",
        BatchAck = "batch-ack",
        Governance = "governance",
        Operation = "operation",
        Withdrawal = "withdrawal",
    }
}

/// Every format that this SDK knows.
pub const FORMATS: &[&str] = &[
    "raw-message/sha256",
    "raw-message/keccak256",
    "raw-message/none",
    "raw-digest",
    "evm/legacy",
    "evm/eip-2930",
    "evm/eip-1559",
    "evm/eip-4844",
    "evm/eip-7702",
    "evm/eip-191",
    "evm/eip-712",
    "cometbft/vote",
    "cometbft/proposal",
    "cometbft/vote-extension",
    "cometbft/raw-bytes",
    "hotstuff/proposal",
    "hotstuff/vote",
    "hotstuff/timeout",
    "tagged-message",
    "ml-kem-768/ciphertext",
];

/// Formats by what a policy can know of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// Bytes that nobody reads: the payload is the message.
    RawMessage,
    /// A digest.
    RawDigest,
    /// An EVM transaction.
    Evm,
    /// A message or typed data that an EVM account signs: EIP-191, EIP-712.
    EvmMessage,
    /// A CometBFT consensus message.
    Cometbft,
    /// An application's prefixed bytes that a CometBFT validator signs.
    PrefixedRaw,
    /// A HotStuff consensus message.
    Hotstuff,
    /// A message whose tag says what it is for.
    Tagged,
    /// A ciphertext to decapsulate.
    Encapsulation,
    /// A format that is newer than this SDK. Deny it.
    Unknown,
}

impl Family {
    /// The family of a format's name.
    #[must_use]
    pub fn of(format: &str) -> Self {
        if !FORMATS.contains(&format) {
            return Self::Unknown;
        }
        match format.split_once('/') {
            Some(("raw-message", _)) => Self::RawMessage,
            Some(("evm", "eip-191" | "eip-712")) => Self::EvmMessage,
            Some(("evm", _)) => Self::Evm,
            Some(("cometbft", "raw-bytes")) => Self::PrefixedRaw,
            Some(("cometbft", _)) => Self::Cometbft,
            Some(("hotstuff", _)) => Self::Hotstuff,
            Some(("ml-kem-768", _)) => Self::Encapsulation,
            None if format == "raw-digest" => Self::RawDigest,
            None if format == "tagged-message" => Self::Tagged,
            Some(_) | None => Self::Unknown,
        }
    }
}

/// Formats in a configuration: one (`evm/eip-1559`), a family (`evm/*`), or all (`*`). A family is of one kind: `evm/*` means transactions,
/// `cometbft/*` consensus messages. Messages, typed data and raw bytes are no less than permissions, and so are named one by one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FormatPattern(String);

/// Text that is no [`FormatPattern`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FormatPatternError {
    given: String,
}

impl fmt::Display for FormatPatternError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "`{}` names no format; `*`, `raw-message/*`, `evm/*`, `cometbft/*`, `hotstuff/*` or one of {} is right",
            self.given,
            FORMATS.join(", ")
        )
    }
}

impl std::error::Error for FormatPatternError {}

impl FormatPattern {
    /// Whether it means this format.
    #[must_use]
    pub fn matches(&self, format: &str) -> bool {
        match self.0.strip_suffix('*') {
            Some("") => true,
            Some(family) => format.starts_with(family) && !matches!(Family::of(format), Family::EvmMessage | Family::PrefixedRaw),
            None => self.0 == format,
        }
    }
}

impl FromStr for FormatPattern {
    type Err = FormatPatternError;

    fn from_str(text: &str) -> Result<Self, FormatPatternError> {
        let pattern = Self(text.to_owned());
        let whole = text == "*" || text.ends_with("/*") || !text.contains('*');
        if whole && FORMATS.iter().any(|format| pattern.matches(format)) {
            return Ok(pattern);
        }
        Err(FormatPatternError {
            given: text.chars().take(64).collect(),
        })
    }
}

impl fmt::Display for FormatPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

serde_text!(FormatPattern, "a format such as `evm/eip-1559` or `evm/*`", {
    "description": "A format such as evm/eip-1559, a family such as evm/* (transactions) or cometbft/* (consensus messages), or * for all.",
    "type": "string"
});

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_means_a_format_a_family_or_all() {
        let matching = |pattern: &str| -> Vec<&str> {
            let pattern: FormatPattern = pattern.parse().unwrap();
            FORMATS.iter().copied().filter(|format| pattern.matches(format)).collect()
        };
        let evm = ["legacy", "eip-2930", "eip-1559", "eip-4844", "eip-7702"].map(|name| format!("evm/{name}"));
        assert_eq!(matching("evm/*"), evm);
        assert_eq!(
            matching("cometbft/*"),
            ["cometbft/vote", "cometbft/proposal", "cometbft/vote-extension"]
        );
        for named in ["evm/eip-191", "evm/eip-712", "cometbft/raw-bytes"] {
            assert_eq!(matching(named), [named]);
        }
        assert_eq!(matching("raw-digest"), ["raw-digest"]);
        assert_eq!(matching("*"), FORMATS);
        for wrong in ["", "evm", "evm/", "evm/eip*", "cosmos/*", "**", "*/legacy"] {
            assert!(wrong.parse::<FormatPattern>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn every_format_has_a_family_and_a_stranger_has_none() {
        for format in FORMATS {
            assert_ne!(Family::of(format), Family::Unknown, "{format}");
        }
        for stranger in ["evm/eip-9999", "cosmos/direct", "", "raw-message"] {
            assert_eq!(Family::of(stranger), Family::Unknown, "{stranger}");
        }
    }

    #[test]
    fn names_read_back_and_a_stranger_is_told_what_would_be_right() {
        for role in Role::ALL {
            assert_eq!(role.name().parse(), Ok(*role));
        }
        assert_eq!(
            "rsa".parse::<Scheme>().unwrap_err().to_string(),
            "`rsa` is no scheme; one of secp256k1-ecdsa, secp256k1-schnorr, ed25519, ml-dsa-44, ml-kem-768 is right"
        );
        assert_eq!(serde_json::from_str::<Network>("\"testnet-beta\"").unwrap(), Network::TestnetBeta);
    }
}
