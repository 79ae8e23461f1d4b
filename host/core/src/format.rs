//! How a payload is read: the formats, and the table that says which role and which scheme may sign which.

use crate::key::KeyEntry;
pub use crate::vocabulary::UnknownName;
use crate::vocabulary::{Role, Scheme, vocabulary};

vocabulary! {
    /// How a payload is read. A new kind of payload is a new format, never a new case of an old one, so that a policy that does
    /// not know it denies it.
    Format, "format" {
        /// Any bytes; SHA-256 of them is signed.
        RawMessageSha256 = "raw-message/sha256",
        /// Any bytes; Keccak-256 of them is signed.
        RawMessageKeccak256 = "raw-message/keccak256",
        /// Any bytes, signed unhashed.
        RawMessageNone = "raw-message/none",
        /// Exactly 32 bytes, signed as they are.
        RawDigest = "raw-digest",
        /// An unsigned legacy transaction with chain id, `rlp([nonce, gasPrice, gasLimit, to, value, data, chainId, 0, 0])` (EIP-155).
        EvmLegacy = "evm/legacy",
        /// An unsigned access-list transaction, `0x01 || rlp([...])` (EIP-2930).
        EvmEip2930 = "evm/eip-2930",
        /// An unsigned fee-market transaction, `0x02 || rlp([...])` (EIP-1559).
        EvmEip1559 = "evm/eip-1559",
        /// The length-delimited `CanonicalVote` of a prevote or precommit (CometBFT, `types/canonical.proto`).
        CometBftVote = "cometbft/vote",
        /// The length-delimited `CanonicalProposal` (CometBFT, `types/canonical.proto`).
        CometBftProposal = "cometbft/proposal",
        /// A precommit's length-delimited `CanonicalVote`, directly followed by the length-delimited `CanonicalVoteExtension` of the
        /// same chain, height and round. Two signatures come back: the vote's and the extension's.
        CometBftVoteExtension = "cometbft/vote-extension",
    }
}

/// Formats by what a host rule looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// Bytes that the host cannot read; need a `dangerous_allow_raw_messages` on the key.
    RawMessage,
    /// A digest that nobody can read; needs a `dangerous_allow_raw_digests` on the key.
    RawDigest,
    /// An EVM transaction.
    Evm,
    /// A CometBFT consensus message; has a floor.
    CometBft,
}

/// Why a key may not sign a format.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FormatRefused {
    /// The role-and-format table says no.
    Role,
    /// The key's scheme cannot sign it.
    Scheme,
    /// The key lacks the flag of this name.
    Flag(&'static str),
}

impl Format {
    /// The version of the format's facts. A new fact raises it. `wit/facts.md` lists them.
    #[must_use]
    pub fn version(self) -> u32 {
        1
    }

    /// The family, which the host's rules look at.
    #[must_use]
    pub fn family(self) -> Family {
        match self {
            Self::RawMessageSha256 | Self::RawMessageKeccak256 | Self::RawMessageNone => Family::RawMessage,
            Self::RawDigest => Family::RawDigest,
            Self::EvmLegacy | Self::EvmEip2930 | Self::EvmEip1559 => Family::Evm,
            Self::CometBftVote | Self::CometBftProposal | Self::CometBftVoteExtension => Family::CometBft,
        }
    }

    /// Whether a key of this role may sign this family: the role-and-format table. A consensus key signs consensus messages and
    /// nothing else; nothing else signs consensus messages.
    #[must_use]
    pub fn role_may_sign(role: Role, family: Family) -> bool {
        match (role, family) {
            (Role::Consensus, Family::CometBft) => true,
            (Role::Consensus, Family::Evm | Family::RawMessage | Family::RawDigest) => false,
            (Role::Account, Family::Evm | Family::RawMessage | Family::RawDigest) => true,
            (
                Role::Batch | Role::P2pIdentity | Role::Governance | Role::Operational | Role::Withdrawal,
                Family::RawMessage | Family::RawDigest,
            ) => true,
            (Role::Batch | Role::P2pIdentity | Role::Governance | Role::Operational | Role::Withdrawal, Family::Evm) => false,
            (
                Role::Batch | Role::P2pIdentity | Role::Governance | Role::Operational | Role::Withdrawal | Role::Account,
                Family::CometBft,
            ) => false,
        }
    }

    /// Whether a scheme can sign this format. ECDSA and BIP-340 sign 32-byte digests here, Ed25519 signs unhashed messages.
    #[must_use]
    pub fn scheme_can_sign(self, scheme: Scheme) -> bool {
        match (self, scheme) {
            (Self::RawMessageSha256 | Self::RawMessageKeccak256 | Self::RawDigest, Scheme::Secp256k1Ecdsa | Scheme::Secp256k1Schnorr) => {
                true
            }
            (Self::RawMessageSha256 | Self::RawMessageKeccak256 | Self::RawDigest, Scheme::Ed25519) => false,
            (Self::RawMessageNone, Scheme::Ed25519) => true,
            (Self::RawMessageNone, Scheme::Secp256k1Ecdsa | Scheme::Secp256k1Schnorr) => false,
            (Self::EvmLegacy | Self::EvmEip2930 | Self::EvmEip1559, Scheme::Secp256k1Ecdsa) => true,
            (Self::EvmLegacy | Self::EvmEip2930 | Self::EvmEip1559, Scheme::Secp256k1Schnorr | Scheme::Ed25519) => false,
            (Self::CometBftVote | Self::CometBftProposal | Self::CometBftVoteExtension, Scheme::Ed25519 | Scheme::Secp256k1Ecdsa) => true,
            (Self::CometBftVote | Self::CometBftProposal | Self::CometBftVoteExtension, Scheme::Secp256k1Schnorr) => false,
        }
    }

    /// Judges key and format by the table, the scheme and the key's flags.
    ///
    /// # Errors
    /// Which of the three says no.
    pub fn check(self, key: &KeyEntry) -> Result<(), FormatRefused> {
        let family = self.family();
        let consensus = key.roles.contains(&Role::Consensus);
        let by_role = if consensus {
            Self::role_may_sign(Role::Consensus, family)
        } else {
            key.roles.iter().any(|role| Self::role_may_sign(*role, family))
        };
        if !by_role {
            return Err(FormatRefused::Role);
        }
        match family {
            Family::RawMessage if !key.dangerous_allow_raw_messages => return Err(FormatRefused::Flag("dangerous_allow_raw_messages")),
            Family::RawDigest if !key.dangerous_allow_raw_digests => return Err(FormatRefused::Flag("dangerous_allow_raw_digests")),
            Family::RawMessage | Family::RawDigest | Family::Evm | Family::CometBft => {}
        }
        if !self.scheme_can_sign(key.scheme) {
            return Err(FormatRefused::Scheme);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]
    use super::*;

    #[test]
    fn only_consensus_keys_sign_consensus_messages_and_nothing_else() {
        for role in Role::ALL {
            for format in Format::ALL {
                let consensus_format = format.family() == Family::CometBft;
                if *role == Role::Consensus || consensus_format {
                    assert_eq!(
                        Format::role_may_sign(*role, format.family()),
                        *role == Role::Consensus && consensus_format,
                        "{role} {format}"
                    );
                }
            }
        }
    }

    #[test]
    fn only_accounts_sign_evm_transactions() {
        for role in Role::ALL {
            assert_eq!(Format::role_may_sign(*role, Family::Evm), *role == Role::Account);
        }
    }
}
