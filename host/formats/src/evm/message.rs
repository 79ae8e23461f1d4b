//! Messages of `personal_sign` and `eth_sign`: EIP-191, version 0x45.

use super::transaction::keccak256;
use crate::facts;
use sigwarden_core::fact::{Decoded, PayloadError, SigningInput, SigningInputs};

/// What stands before the message's length, in decimal, and the message.
pub(crate) const PREFIX: &[u8] = b"\x19Ethereum Signed Message:\n";

/// Decodes the payload of format `evm/eip-191`: the message itself, any bytes.
///
/// # Errors
/// None; a [`sigwarden_core::fact::Decode`] may have some.
pub fn decode_eip191(payload: &[u8]) -> Result<Decoded, PayloadError> {
    let mut facts = vec![
        facts::count("message.length", payload.len()),
        facts::bytes("message.keccak256", &keccak256(payload)),
    ];
    if let Some(text) = printable(payload) {
        facts.push(facts::text("message.text", text));
    }
    Ok(Decoded {
        facts,
        inputs: SigningInputs::one(SigningInput::Digest(signed_message_hash(payload))),
        consensus: None,
        role: None,
    })
}

/// What is signed: `keccak256("\x19Ethereum Signed Message:\n" || the message's length in decimal || message)` (EIP-191).
#[must_use]
pub fn signed_message_hash(message: &[u8]) -> [u8; 32] {
    keccak256(&[PREFIX, message.len().to_string().as_bytes(), message].concat())
}

/// UTF-8 without control characters other than tab, line feed and carriage return.
fn printable(message: &[u8]) -> Option<&str> {
    let text = std::str::from_utf8(message).ok()?;
    let hidden = |letter: char| letter.is_control() && !matches!(letter, '\t' | '\n' | '\r');
    (!text.contains(hidden)).then_some(text)
}
