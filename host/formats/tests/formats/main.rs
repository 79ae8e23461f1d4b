//! The decoders against published vectors, refusals, and laws. One binary, so that it links once.
#![forbid(unsafe_code)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::wildcard_enum_match_arm,
    unreachable_pub,
    reason = "tests"
)]

mod alloy;
mod cometbft;
mod cometbft_vectors;
mod eip712;
mod eip712_limits;
mod evm;
mod evm_newer;
mod facts_md;
mod properties;
mod qbind;
mod raw;
mod raw_bytes;
mod samples;
mod strategies;

use sigwarden_core::fact::{Decoded, FactValue, PayloadError, Scalar, SigningInput};
use sigwarden_core::{Format, Scheme};

/// A scheme that can sign the format.
fn scheme_of(format: Format) -> Scheme {
    *Scheme::ALL.iter().find(|scheme| format.scheme_can_sign(**scheme)).unwrap()
}

fn decode(format: Format, payload: &[u8]) -> Result<Decoded, PayloadError> {
    sigwarden_formats::decode(format, scheme_of(format), payload)
}

fn hex(text: &str) -> Vec<u8> {
    hex::decode(text).unwrap()
}

fn digest_of(decoded: &Decoded) -> String {
    match &decoded.inputs.first {
        SigningInput::Digest(digest) => hex::encode(digest),
        SigningInput::Message(_) => panic!("a digest is wanted"),
    }
}

/// A fact as people write it: the notation of the examples in `wit/facts.md`.
fn show(value: &FactValue) -> String {
    fn scalar(value: &Scalar) -> String {
        match value {
            Scalar::Text(text) => format!("{text:?}"),
            Scalar::Bytes(bytes) => format!("0x{}", hex::encode(bytes)),
            Scalar::Bool(value) => value.to_string(),
            Scalar::U64(value) => value.to_string(),
            Scalar::U256(limbs) => sigwarden_formats::evm::U256::from_limbs(*limbs).to_string(),
        }
    }
    match value {
        FactValue::One(value) => scalar(value),
        FactValue::Many(values) => format!("[{}]", values.iter().map(scalar).collect::<Vec<_>>().join(", ")),
    }
}

fn facts_of(decoded: &Decoded) -> Vec<(&'static str, String)> {
    decoded.facts.iter().map(|fact| (fact.name, show(&fact.value))).collect()
}

fn fact(decoded: &Decoded, name: &str) -> Option<String> {
    let mut found = decoded.facts.iter().filter(|fact| fact.name == name);
    let value = found.next().map(|fact| show(&fact.value));
    assert!(found.next().is_none(), "{name} is there twice");
    value
}

/// The refusal's message; panics if the payload decodes.
fn refusal(format: Format, payload: &[u8]) -> PayloadError {
    match decode(format, payload) {
        Err(error) => error,
        Ok(decoded) => panic!("{format} took {}: {:?}", hex::encode(payload), facts_of(&decoded)),
    }
}

fn assert_malformed(format: Format, payload: &[u8], says: &str) {
    match refusal(format, payload) {
        PayloadError::Malformed(message) => assert!(message.contains(says), "`{message}` does not say `{says}`"),
        other => panic!("malformed is wanted, got {other:?}"),
    }
}

fn assert_non_canonical(format: Format, payload: &[u8], says: &str) {
    match refusal(format, payload) {
        PayloadError::NonCanonical(message) => assert!(message.contains(says), "`{message}` does not say `{says}`"),
        other => panic!("non-canonical is wanted, got {other:?}"),
    }
}
