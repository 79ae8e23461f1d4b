//! What the host's decoder read in a payload, and what it computed from it. Plain data: the decoders live in `sigwarden-formats`.

use crate::floor::{ExtensionHash, Position};

/// A value that is not a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scalar {
    /// Unicode text.
    Text(String),
    /// Bytes, such as an address or call data.
    Bytes(Vec<u8>),
    /// True or false.
    Bool(bool),
    /// An unsigned 64-bit integer.
    U64(u64),
    /// An unsigned 256-bit integer: four limbs, the least significant first.
    U256([u64; 4]),
}

/// A fact's value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FactValue {
    /// One value.
    One(Scalar),
    /// Several, in the payload's order.
    Many(Vec<Scalar>),
}

/// One thing that the decoder read. `wit/facts.md` lists every fact of every format.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fact {
    /// Its name, unique in a request: `evm.value`.
    pub name: &'static str,
    /// Its value.
    pub value: FactValue,
}

/// What exactly is handed to the signing algorithm.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SigningInput {
    /// A 32-byte digest.
    Digest([u8; 32]),
    /// A message that the scheme signs unhashed, or a ciphertext that it decapsulates.
    Message(Vec<u8>),
}

impl SigningInput {
    /// The bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Digest(digest) => digest,
            Self::Message(message) => message,
        }
    }
}

/// A time as a consensus message carries it: seconds and nanoseconds since the Unix epoch (`google.protobuf.Timestamp`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct MessageTime {
    /// Seconds since the Unix epoch; may be negative.
    pub seconds: i64,
    /// Nanoseconds, 0 to 999,999,999.
    pub nanos: i32,
}

/// What a consensus message takes: the host's floor is advanced from this and from nothing else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConsensusMessage {
    /// The chain it is for.
    pub chain_id: String,
    /// Its message class.
    pub class: crate::floor::MessageClass,
    /// Its position in that class.
    pub position: Position,
    /// BLAKE3 of the canonical encoding without its timestamp.
    pub identity: [u8; 32],
    /// The canonical sign bytes, length prefix included; at most [`crate::floor::SIGN_BYTES_MAX`].
    pub sign_bytes: Vec<u8>,
    /// The timestamp inside the sign bytes.
    pub timestamp: Option<MessageTime>,
    /// BLAKE3 of the vote extension's sign bytes, when one is signed beside this precommit.
    pub extension: Option<ExtensionHash>,
    /// Who signs, in formats that say so.
    pub validator_id: Option<u64>,
    /// The signature suite, in formats that say so.
    pub suite_id: Option<u16>,
    /// The epoch, in formats that say so.
    pub epoch: Option<u64>,
}

/// What a decoder returns for a payload that decodes completely and canonically.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decoded {
    /// The facts, names unique.
    pub facts: Vec<Fact>,
    /// What will be signed: one input, or two for a precommit with its vote extension.
    pub inputs: SigningInputs,
    /// For a consensus format: what the floor needs. A consensus payload without it is refused.
    pub consensus: Option<ConsensusMessage>,
    /// For a tagged message: the role that its tag belongs to.
    pub role: Option<crate::Role>,
}

/// One or two signing inputs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SigningInputs {
    /// The payload's own.
    pub first: SigningInput,
    /// The vote extension's.
    pub second: Option<SigningInput>,
}

impl SigningInputs {
    /// A payload with one signing input.
    #[must_use]
    pub fn one(first: SigningInput) -> Self {
        Self { first, second: None }
    }

    /// The inputs in order.
    pub fn iter(&self) -> impl Iterator<Item = &SigningInput> {
        std::iter::once(&self.first).chain(self.second.as_ref())
    }
}

/// Why a payload does not decode. The message says what was found, at which byte or field, and what would be right; it never
/// quotes more of the payload than a few bytes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PayloadError {
    /// Cut short, trailing bytes, a field of the wrong type or size.
    #[error("{0}")]
    Malformed(String),
    /// Decodes, but a canonical encoder would have written other bytes.
    #[error("{0}")]
    NonCanonical(String),
    /// Not 32 bytes.
    #[error("a raw digest is 32 bytes, these are {0}")]
    DigestLength(usize),
    /// A raw message whose bytes are a structured payload too.
    #[error("these bytes are a {0}; send them in that format, so that policies can read them")]
    Structured(crate::Format),
    /// A consensus payload that yields no position, or one out of range.
    #[error("{0}")]
    NoPosition(String),
}

/// Decodes a payload: what `sigwarden-formats` provides. A plain function, so that core knows no encoding.
pub type Decode = fn(crate::Format, crate::Scheme, &[u8]) -> Result<Decoded, PayloadError>;
