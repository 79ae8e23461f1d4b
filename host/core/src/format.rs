//! How a payload is read: the formats, and the table that says which role and which scheme may sign which.

use crate::key::KeyEntry;
pub use crate::vocabulary::UnknownName;
use crate::vocabulary::{Operation, Role, Scheme, vocabulary};

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
        /// An unsigned blob transaction without its sidecar, `0x03 || rlp([...])` (EIP-4844).
        EvmEip4844 = "evm/eip-4844",
        /// An unsigned set-code transaction, `0x04 || rlp([...])` (EIP-7702).
        EvmEip7702 = "evm/eip-7702",
        /// A message of `personal_sign` and `eth_sign` (EIP-191, version 0x45); the payload is the message, the prefix is put before it here.
        EvmEip191 = "evm/eip-191",
        /// Typed data (EIP-712) as canonical JSON of types, primary type, domain and message; `keccak256(0x1901 || ...)` is signed.
        EvmEip712 = "evm/eip-712",
        /// The length-delimited `CanonicalVote` of a prevote or precommit (CometBFT, `types/canonical.proto`).
        CometBftVote = "cometbft/vote",
        /// The length-delimited `CanonicalProposal` (CometBFT, `types/canonical.proto`).
        CometBftProposal = "cometbft/proposal",
        /// A precommit's length-delimited `CanonicalVote`, directly followed by the length-delimited `CanonicalVoteExtension` of the
        /// same chain, height and round. Two signatures come back: the vote's and the extension's.
        CometBftVoteExtension = "cometbft/vote-extension",
        /// An application's bytes behind a prefix that keeps them apart from consensus messages: Celestia's `SignRawBytes`, or what CometBFT
        /// v1 hands to `SignBytes`. They take no position.
        CometBftRawBytes = "cometbft/raw-bytes",
        /// A HotStuff proposal, `QBIND_PROPOSAL_V1 || ...` (docs/formats.md).
        HotStuffProposal = "hotstuff/proposal",
        /// A HotStuff vote, `QBIND_VOTE_V1 || chain_id || view || block_hash || voter_id`.
        HotStuffVote = "hotstuff/vote",
        /// A HotStuff timeout, `QBIND_TIMEOUT_V1 || chain_id || view || high_qc || voter_id`.
        HotStuffTimeout = "hotstuff/timeout",
        /// A domain tag, a chain id and a body: batches, acknowledgements, governance, operations, withdrawals (docs/formats.md).
        TaggedMessage = "tagged-message",
        /// An ML-KEM-768 ciphertext of 1088 bytes (FIPS 203 §7.3), to be decapsulated.
        MlKem768Ciphertext = "ml-kem-768/ciphertext",
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
    /// A message that an EVM account signs: no transaction, but a contract may take it for a permission.
    EvmMessage,
    /// A CometBFT consensus message; has a floor.
    CometBft,
    /// An application's bytes that a CometBFT validator signs; need their prefix in the key's `dangerous_allow_prefixed_raw`.
    PrefixedRaw,
    /// A HotStuff consensus message; has a floor.
    HotStuff,
    /// A message whose tag says which role it belongs to.
    Tagged,
    /// A ciphertext to decapsulate, nothing to sign.
    Encapsulation,
}

impl Family {
    /// Whether its messages take a position that may be taken once.
    #[must_use]
    pub fn has_floor(self) -> bool {
        match self {
            Self::CometBft | Self::HotStuff => true,
            Self::RawMessage | Self::RawDigest | Self::PrefixedRaw => false,
            Self::Evm | Self::EvmMessage | Self::Tagged | Self::Encapsulation => false,
        }
    }
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
    /// The key's `dangerous_allow_prefixed_raw` names no prefix.
    Prefix,
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
            Self::EvmLegacy | Self::EvmEip2930 | Self::EvmEip1559 | Self::EvmEip4844 | Self::EvmEip7702 => Family::Evm,
            Self::EvmEip191 | Self::EvmEip712 => Family::EvmMessage,
            Self::CometBftRawBytes => Family::PrefixedRaw,
            Self::CometBftVote | Self::CometBftProposal | Self::CometBftVoteExtension => Family::CometBft,
            Self::HotStuffProposal | Self::HotStuffVote | Self::HotStuffTimeout => Family::HotStuff,
            Self::TaggedMessage => Family::Tagged,
            Self::MlKem768Ciphertext => Family::Encapsulation,
        }
    }

    /// What is done with a payload of this format.
    #[must_use]
    pub fn operation(self) -> Operation {
        match self.family() {
            Family::Encapsulation => Operation::Decapsulate,
            Family::RawMessage | Family::RawDigest | Family::PrefixedRaw => Operation::Sign,
            Family::Evm | Family::EvmMessage | Family::CometBft | Family::HotStuff | Family::Tagged => Operation::Sign,
        }
    }

    /// Whether a key of this role may sign this family: the role-and-format table. A consensus key signs consensus messages and
    /// nothing else; nothing else signs consensus messages.
    #[must_use]
    pub fn role_may_sign(role: Role, family: Family) -> bool {
        match (role, family) {
            (Role::Consensus, Family::CometBft | Family::HotStuff | Family::PrefixedRaw) => true,
            (Role::Consensus, Family::Evm | Family::EvmMessage | Family::RawMessage | Family::RawDigest) => false,
            (Role::Consensus, Family::Tagged | Family::Encapsulation) => false,
            (Role::Account, Family::Evm | Family::EvmMessage | Family::RawMessage | Family::RawDigest) => true,
            (Role::Account, Family::Tagged | Family::Encapsulation) => false,
            (
                Role::Batch | Role::P2pIdentity | Role::Governance | Role::Operational | Role::Withdrawal,
                Family::RawMessage | Family::RawDigest,
            ) => true,
            // Which of them: the tag says (`fact::Decoded::role`).
            (Role::Batch | Role::Governance | Role::Operational | Role::Withdrawal, Family::Tagged) => true,
            (Role::P2pIdentity, Family::Tagged) => false,
            (Role::P2pIdentity, Family::Encapsulation) => true,
            (Role::Batch | Role::Governance | Role::Operational | Role::Withdrawal, Family::Encapsulation) => false,
            (
                Role::Batch | Role::P2pIdentity | Role::Governance | Role::Operational | Role::Withdrawal,
                Family::Evm | Family::EvmMessage,
            ) => false,
            (
                Role::Batch | Role::P2pIdentity | Role::Governance | Role::Operational | Role::Withdrawal | Role::Account,
                Family::CometBft | Family::HotStuff | Family::PrefixedRaw,
            ) => false,
        }
    }

    /// Whether a scheme can sign this format, or decapsulate it. ECDSA and BIP-340 sign 32-byte digests here, Ed25519 and ML-DSA
    /// unhashed messages.
    #[must_use]
    pub fn scheme_can_sign(self, scheme: Scheme) -> bool {
        match scheme {
            Scheme::Secp256k1Ecdsa => match self {
                Self::RawMessageSha256 | Self::RawMessageKeccak256 | Self::RawDigest => true,
                Self::EvmLegacy | Self::EvmEip2930 | Self::EvmEip1559 | Self::EvmEip4844 | Self::EvmEip7702 => true,
                Self::EvmEip191 | Self::EvmEip712 | Self::CometBftRawBytes => true,
                Self::CometBftVote | Self::CometBftProposal | Self::CometBftVoteExtension => true,
                Self::RawMessageNone | Self::HotStuffProposal | Self::HotStuffVote | Self::HotStuffTimeout => false,
                Self::TaggedMessage | Self::MlKem768Ciphertext => false,
            },
            Scheme::Secp256k1Schnorr => match self {
                Self::RawMessageSha256 | Self::RawMessageKeccak256 | Self::RawDigest => true,
                Self::EvmLegacy | Self::EvmEip2930 | Self::EvmEip1559 | Self::EvmEip4844 | Self::EvmEip7702 => false,
                Self::EvmEip191 | Self::EvmEip712 => false,
                Self::CometBftVote | Self::CometBftProposal | Self::CometBftVoteExtension | Self::CometBftRawBytes => false,
                Self::RawMessageNone | Self::HotStuffProposal | Self::HotStuffVote | Self::HotStuffTimeout => false,
                Self::TaggedMessage | Self::MlKem768Ciphertext => false,
            },
            Scheme::Ed25519 | Scheme::MlDsa44 => match self {
                Self::RawMessageNone | Self::HotStuffProposal | Self::HotStuffVote | Self::HotStuffTimeout | Self::TaggedMessage => true,
                // CometBFT has no ML-DSA keys.
                Self::CometBftVote | Self::CometBftProposal | Self::CometBftVoteExtension | Self::CometBftRawBytes => {
                    scheme == Scheme::Ed25519
                }
                Self::RawMessageSha256 | Self::RawMessageKeccak256 | Self::RawDigest | Self::MlKem768Ciphertext => false,
                Self::EvmLegacy | Self::EvmEip2930 | Self::EvmEip1559 | Self::EvmEip4844 | Self::EvmEip7702 => false,
                Self::EvmEip191 | Self::EvmEip712 => false,
            },
            Scheme::MlKem768 => self == Self::MlKem768Ciphertext,
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
            Family::PrefixedRaw if key.dangerous_allow_prefixed_raw.is_empty() => return Err(FormatRefused::Prefix),
            Family::RawMessage | Family::RawDigest | Family::PrefixedRaw => {}
            Family::Evm | Family::EvmMessage | Family::CometBft | Family::HotStuff | Family::Tagged | Family::Encapsulation => {}
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
                let consensus_format = format.family().has_floor() || format.family() == Family::PrefixedRaw;
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
    fn only_accounts_sign_evm_transactions_and_messages() {
        for role in Role::ALL {
            assert_eq!(Format::role_may_sign(*role, Family::Evm), *role == Role::Account);
            assert_eq!(Format::role_may_sign(*role, Family::EvmMessage), *role == Role::Account);
        }
    }

    #[test]
    fn only_a_node_s_identity_opens_encapsulations_and_signs_no_tagged_message() {
        for role in Role::ALL {
            let identity = *role == Role::P2pIdentity;
            assert_eq!(Format::role_may_sign(*role, Family::Encapsulation), identity, "{role}");
            let tagged = matches!(role, Role::Batch | Role::Governance | Role::Operational | Role::Withdrawal);
            assert_eq!(Format::role_may_sign(*role, Family::Tagged), tagged, "{role}");
        }
        for format in Format::ALL {
            assert_eq!(
                format.scheme_can_sign(Scheme::MlKem768),
                format.operation() == Operation::Decapsulate
            );
        }
    }
}
