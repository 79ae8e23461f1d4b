//! Payload decoders: bytes to facts and signing input. Pure: no I/O, no clock, no state.
//!
//! [`decode`] takes what a client sent and returns what the policies will see and what will be signed, or says what is wrong with
//! the bytes. It takes only what is complete and canonical: the payload is parsed, encoded again, and compared. So the bytes that
//! are signed are exactly those that a chain computes from the facts that the policies judged.
//!
//! `wit/facts.md` documents every format byte by byte and lists its facts; a test holds it to what [`decode`] emits.
//!
//! The same modules encode: [`evm::Eip1559`], [`cometbft::Vote`], [`hotstuff::Vote`] and their siblings, [`tagged::Tagged`].
#![forbid(unsafe_code)]

pub mod cometbft;
pub mod encapsulation;
pub mod evm;
mod facts;
pub mod hotstuff;
mod protobuf;
pub mod raw;
mod reader;
mod rlp;
mod structured;
pub mod tagged;

use sigwarden_core::fact::{Decoded, PayloadError};
use sigwarden_core::vocabulary::Operation;
use sigwarden_core::{Format, Scheme};

/// Decodes a payload completely and canonically; a [`sigwarden_core::fact::Decode`].
///
/// Work and memory are bounded by the payload's size, which the caller bounds; nothing here recurses but the values of typed data, as deep as
/// their JSON, which may have 32 levels.
///
/// # Errors
/// What is wrong, at which byte or field, and what would be right.
///
/// ```
/// use sigwarden_core::{Format, Scheme};
/// let decoded = sigwarden_formats::decode(Format::RawMessageSha256, Scheme::Secp256k1Ecdsa, b"hello world")?;
/// assert_eq!(decoded.facts[0].name, "message.length");
/// # Ok::<(), sigwarden_core::fact::PayloadError>(())
/// ```
pub fn decode(format: Format, scheme: Scheme, payload: &[u8]) -> Result<Decoded, PayloadError> {
    if !format.scheme_can_sign(scheme) {
        let does = match format.operation() {
            Operation::Decapsulate => "opens",
            Operation::Sign | Operation::PublicKey => "signs",
        };
        return Err(PayloadError::Malformed(format!("a `{scheme}` key {does} no `{format}`")));
    }
    match format {
        Format::RawMessageSha256 => raw::message(raw::Hash::Sha256, payload),
        Format::RawMessageKeccak256 => raw::message(raw::Hash::Keccak256, payload),
        Format::RawMessageNone => raw::message(raw::Hash::None, payload),
        Format::RawDigest => raw::digest(payload),
        Format::EvmLegacy => evm::decode_legacy(payload),
        Format::EvmEip2930 => evm::decode_eip2930(payload),
        Format::EvmEip1559 => evm::decode_eip1559(payload),
        Format::EvmEip4844 => evm::decode_eip4844(payload),
        Format::EvmEip7702 => evm::decode_eip7702(payload),
        Format::EvmEip191 => evm::decode_eip191(payload),
        Format::EvmEip712 => evm::decode_eip712(payload),
        Format::CometBftVote => cometbft::decode_vote(scheme, payload),
        Format::CometBftProposal => cometbft::decode_proposal(scheme, payload),
        Format::CometBftVoteExtension => cometbft::decode_vote_extension(scheme, payload),
        Format::CometBftRawBytes => cometbft::decode_raw_bytes(scheme, payload),
        Format::HotStuffProposal => hotstuff::decode_proposal(payload),
        Format::HotStuffVote => hotstuff::decode_vote(payload),
        Format::HotStuffTimeout => hotstuff::decode_timeout(payload),
        Format::TaggedMessage => tagged::decode(payload),
        Format::MlKem768Ciphertext => encapsulation::decode_ml_kem_768(payload),
    }
}

/// Proves that `payload` is what a canonical encoder writes, by comparing it with what one wrote.
fn same_bytes(what: &str, payload: &[u8], canonical: &[u8]) -> Result<(), PayloadError> {
    if payload == canonical {
        return Ok(());
    }
    let at = payload.iter().zip(canonical).take_while(|(found, right)| found == right).count();
    let byte = |bytes: &[u8]| bytes.get(at).map_or_else(|| "the end".to_owned(), |byte| format!("0x{byte:02x}"));
    Err(PayloadError::NonCanonical(format!(
        "byte {at}: a canonical encoder of this {what} writes {} here, these bytes have {}",
        byte(canonical),
        byte(payload)
    )))
}
