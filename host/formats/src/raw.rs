//! Raw messages and digests: bytes that the host cannot read. A raw message that is also a structured payload is refused, so that
//! nobody passes a vote or a transaction by the policies that would read it.

use crate::{evm, facts, structured};
use sha2::{Digest, Sha256};
use sigwarden_core::fact::{Decoded, PayloadError, SigningInput, SigningInputs};

/// How a raw message becomes a signing input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hash {
    /// Its SHA-256 (FIPS 180-4).
    Sha256,
    /// Its Keccak-256, Ethereum's.
    Keccak256,
    /// Itself.
    None,
}

/// Decodes the payload of formats `raw-message/*`: any bytes.
///
/// # Errors
/// The bytes are a structured payload too.
pub fn message(hash: Hash, payload: &[u8]) -> Result<Decoded, PayloadError> {
    structured::refuse(payload)?;
    let input = match hash {
        Hash::Sha256 => SigningInput::Digest(Sha256::digest(payload).into()),
        Hash::Keccak256 => SigningInput::Digest(evm::keccak256(payload)),
        Hash::None => SigningInput::Message(payload.to_vec()),
    };
    Ok(Decoded {
        facts: vec![facts::count("message.length", payload.len())],
        inputs: SigningInputs::one(input),
        consensus: None,
        role: None,
    })
}

/// Decodes the payload of format `raw-digest`: exactly 32 bytes, which are signed as they are.
///
/// # Errors
/// It has another length.
pub fn digest(payload: &[u8]) -> Result<Decoded, PayloadError> {
    let digest: [u8; 32] = payload.try_into().map_err(|_| PayloadError::DigestLength(payload.len()))?;
    Ok(Decoded {
        facts: vec![facts::bytes("digest.bytes", &digest)],
        inputs: SigningInputs::one(SigningInput::Digest(digest)),
        consensus: None,
        role: None,
    })
}
