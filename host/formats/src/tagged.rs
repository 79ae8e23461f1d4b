//! Tagged messages: a domain tag, a chain id and a body that the host does not read. The tag says which role signs it. The layout is
//! documented byte by byte in `docs/formats.md`.
//!
//! The payload is what is signed, unhashed.

use crate::facts;
use crate::reader::Reader;
use sigwarden_core::Role;
use sigwarden_core::fact::{Decoded, PayloadError, SigningInput, SigningInputs};

/// What a message is for; its tag.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Domain {
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

impl Domain {
    /// Every domain. No tag is the beginning of another, so a message has one reading.
    pub const ALL: &'static [Self] = &[Self::Batch, Self::BatchAck, Self::Governance, Self::Operation, Self::Withdrawal];

    /// What its messages begin with.
    #[must_use]
    pub fn tag(self) -> &'static str {
        match self {
            Self::Batch => "QBIND_BATCH_V1",
            Self::BatchAck => "QBIND_BATCH_ACK_V1",
            Self::Governance => "QBIND_GOVERNANCE_V1",
            Self::Operation => "QBIND_OPERATION_V1",
            Self::Withdrawal => "QBIND_WITHDRAWAL_V1",
        }
    }

    /// Its name in facts and configurations.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Batch => "batch",
            Self::BatchAck => "batch-ack",
            Self::Governance => "governance",
            Self::Operation => "operation",
            Self::Withdrawal => "withdrawal",
        }
    }

    /// The role whose keys sign it.
    #[must_use]
    pub fn role(self) -> Role {
        match self {
            Self::Batch | Self::BatchAck => Role::Batch,
            Self::Governance => Role::Governance,
            Self::Operation => Role::Operational,
            Self::Withdrawal => Role::Withdrawal,
        }
    }

    /// The domain whose tag a payload begins with.
    #[must_use]
    pub fn of(payload: &[u8]) -> Option<Self> {
        Self::ALL
            .iter()
            .copied()
            .find(|domain| payload.starts_with(domain.tag().as_bytes()))
    }
}

/// A tagged message: tag, chain id, length of the body, body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tagged {
    /// What it is for.
    pub domain: Domain,
    /// The chain.
    pub chain_id: u64,
    /// At least one byte and under 4 GiB.
    pub body: Vec<u8>,
}

impl Tagged {
    /// Reads a whole payload.
    ///
    /// # Errors
    /// Another tag, cut short, an empty body, or a body that is not as long as said.
    pub fn parse(payload: &[u8]) -> Result<Self, PayloadError> {
        let Some(domain) = Domain::of(payload) else {
            let tags: Vec<_> = Domain::ALL.iter().map(|domain| format!("`{}`", domain.tag())).collect();
            return Err(PayloadError::Malformed(format!(
                "a tagged message begins with one of {}; these bytes do not",
                tags.join(", ")
            )));
        };
        let mut reader = Reader::after_tag("a tagged message", domain.tag(), payload)?;
        let chain_id = reader.u64("chain_id")?;
        let length = reader.u32("body_len")?;
        if length == 0 {
            return Err(PayloadError::Malformed(
                "`body_len` of a tagged message is 0; a body has at least one byte".into(),
            ));
        }
        let body = reader.rest_of("body", length)?.to_vec();
        Ok(Self { domain, chain_id, body })
    }

    /// The payload; none if the body is empty or has 4 GiB or more.
    #[must_use]
    pub fn sign_bytes(&self) -> Option<Vec<u8>> {
        let length = u32::try_from(self.body.len()).ok().filter(|length| *length > 0)?;
        let parts = [
            self.domain.tag().as_bytes(),
            &self.chain_id.to_be_bytes(),
            &length.to_be_bytes(),
            &self.body,
        ];
        Some(parts.concat())
    }
}

/// Decodes the payload of format `tagged-message`.
///
/// # Errors
/// As [`Tagged::parse`].
pub fn decode(payload: &[u8]) -> Result<Decoded, PayloadError> {
    let tagged = Tagged::parse(payload)?;
    Ok(Decoded {
        facts: vec![
            facts::text("tagged.domain", tagged.domain.name()),
            facts::u64("tagged.chain-id", tagged.chain_id),
            facts::bytes("tagged.body", &tagged.body),
        ],
        inputs: SigningInputs::one(SigningInput::Message(payload.to_vec())),
        consensus: None,
        role: Some(tagged.domain.role()),
    })
}
