//! The closed sets that everything speaks of: networks, roles, schemes, operations, key states. Each has one stable name,
//! the same in configuration, protocol, records and `wit/policy.wit`.

/// A name that is none of a closed set.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{given}` is no {kind}; one of {allowed} is")]
pub struct UnknownName {
    /// What kind of name was wanted: `scheme`, `role`.
    pub kind: &'static str,
    /// What was given, cut to 64 characters, control characters escaped.
    pub given: String,
    /// The names there are, comma-separated.
    pub allowed: String,
}

/// A caller's text as it may stand in a message: cut, control characters escaped.
pub(crate) fn shown(text: &str) -> String {
    text.chars().take(64).flat_map(char::escape_debug).collect()
}

macro_rules! vocabulary {
    ($(#[$meta:meta])* $name:ident, $kind:literal { $($(#[$vmeta:meta])* $variant:ident = $text:literal $(| $alias:literal)*),+ $(,)? }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
        #[serde(try_from = "String", into = "&'static str")]
        pub enum $name { $($(#[$vmeta])* $variant),+ }

        impl $name {
            /// Every value, in order.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The stable name.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $text),+ }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(self.name())
            }
        }

        impl std::str::FromStr for $name {
            type Err = $crate::vocabulary::UnknownName;
            fn from_str(text: &str) -> Result<Self, $crate::vocabulary::UnknownName> {
                match text {
                    $($text $(| $alias)* => Ok(Self::$variant),)+
                    _ => Err($crate::vocabulary::UnknownName {
                        kind: $kind,
                        given: $crate::vocabulary::shown(text),
                        allowed: [$(concat!("`", $text, "`")),+].join(", "),
                    }),
                }
            }
        }

        impl TryFrom<String> for $name {
            type Error = $crate::vocabulary::UnknownName;
            fn try_from(text: String) -> Result<Self, $crate::vocabulary::UnknownName> { text.parse() }
        }

        impl From<$name> for &'static str {
            fn from(value: $name) -> Self { value.name() }
        }
    };
}
pub(crate) use vocabulary;

vocabulary! {
    /// The network that a deployment serves, from the one where anything goes to the one where money is.
    Network, "network" {
        /// A developer's own.
        Devnet = "devnet",
        /// An early public test network.
        TestnetAlpha = "testnet-alpha",
        /// The public test network; `testnet` means this one.
        TestnetBeta = "testnet-beta" | "testnet",
        /// Where money is.
        Mainnet = "mainnet",
    }
}

vocabulary! {
    /// What a key is for.
    Role, "role" {
        /// Votes and proposals of a consensus protocol; slashed if used twice. Stands alone on a key.
        Consensus = "consensus",
        /// Batches of transactions or messages.
        Batch = "batch",
        /// The identity of a node in a peer-to-peer network.
        P2pIdentity = "p2p-identity",
        /// Votes and proposals of governance.
        Governance = "governance",
        /// Day-to-day operation.
        Operational = "operational",
        /// Withdrawals.
        Withdrawal = "withdrawal",
        /// An account that holds funds.
        Account = "account",
    }
}

vocabulary! {
    /// How a key signs, and how its public key and signatures are encoded.
    Scheme, "scheme" {
        /// ECDSA over secp256k1: 64-byte R‖S, low-S, recovery id beside it; 33-byte compressed public key (SEC 1 §2.3.3).
        Secp256k1Ecdsa = "secp256k1-ecdsa",
        /// BIP-340: 64-byte signature, 32-byte x-only public key.
        Secp256k1Schnorr = "secp256k1-schnorr",
        /// RFC 8032: 64-byte signature, 32-byte public key.
        Ed25519 = "ed25519",
        /// FIPS 204, pure, with an empty context: 2420-byte signature, 1312-byte public key.
        MlDsa44 = "ml-dsa-44",
        /// FIPS 203: decapsulates 1088-byte ciphertexts, signs nothing; 1184-byte encapsulation key.
        MlKem768 = "ml-kem-768",
    }
}

impl Scheme {
    /// Bytes of an encoded public key.
    #[must_use]
    pub fn public_key_len(self) -> usize {
        match self {
            Self::Secp256k1Ecdsa => 33,
            Self::Secp256k1Schnorr | Self::Ed25519 => 32,
            Self::MlDsa44 => 1312,
            Self::MlKem768 => 1184,
        }
    }

    /// Whether it stands against a quantum computer: what `cryptography = "pq-only"` lets be.
    #[must_use]
    pub fn is_post_quantum(self) -> bool {
        match self {
            Self::Secp256k1Ecdsa | Self::Secp256k1Schnorr | Self::Ed25519 => false,
            Self::MlDsa44 | Self::MlKem768 => true,
        }
    }

    /// QBIND's number of the signature suite, which a consensus key may be bound to: 100 is ml-dsa-44 (`SUITE_PQ_RESERVED_1`).
    #[must_use]
    pub fn suite_id(self) -> Option<u16> {
        match self {
            Self::MlDsa44 => Some(100),
            Self::Secp256k1Ecdsa | Self::Secp256k1Schnorr | Self::Ed25519 | Self::MlKem768 => None,
        }
    }
}

vocabulary! {
    /// What a caller wants done with a key.
    Operation, "operation" {
        /// Read its public key and state.
        PublicKey = "public-key",
        /// Sign a payload.
        Sign = "sign",
        /// Open a key encapsulation: the payload is the ciphertext, the answer its shared secret.
        Decapsulate = "decapsulate",
    }
}

vocabulary! {
    /// The life of a key. Only `active` and `grace` keys sign.
    KeyState, "key state" {
        /// Made, not yet in use.
        Pending = "pending",
        /// In use.
        Active = "active",
        /// Replaced by a newer version, still signing for a while.
        Grace = "grace",
        /// Stopped by an operator, can be resumed.
        Suspended = "suspended",
        /// Withdrawn for good.
        Revoked = "revoked",
        /// Erased.
        Destroyed = "destroyed",
    }
}

impl KeyState {
    /// Whether a key in this state may sign.
    #[must_use]
    pub fn signs(self) -> bool {
        match self {
            Self::Active | Self::Grace => true,
            Self::Pending | Self::Suspended | Self::Revoked | Self::Destroyed => false,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]
    use super::*;

    #[test]
    fn every_name_reads_back_as_itself() {
        for network in Network::ALL {
            assert_eq!(network.name().parse(), Ok(*network));
        }
        for role in Role::ALL {
            assert_eq!(role.name().parse(), Ok(*role));
        }
        for scheme in Scheme::ALL {
            assert_eq!(scheme.name().parse(), Ok(*scheme));
        }
        assert_eq!("testnet".parse(), Ok(Network::TestnetBeta));
    }

    #[test]
    fn unknown_name_says_what_would_be_right() {
        let error = "rsa".parse::<Scheme>().unwrap_err();
        assert_eq!("\u{1b}[2J".parse::<Scheme>().unwrap_err().given, "\\u{1b}[2J");
        assert_eq!(
            error.to_string(),
            "`rsa` is no scheme; one of `secp256k1-ecdsa`, `secp256k1-schnorr`, `ed25519`, `ml-dsa-44`, `ml-kem-768` is"
        );
    }
}
