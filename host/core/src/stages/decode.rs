//! Payload to facts and signing inputs, by the host, completely and canonically; and the request's time.

use crate::fact::{Decode, Decoded, PayloadError};
use crate::floor::{CHAIN_ID_MAX, SIGN_BYTES_MAX};
use crate::format::Family;
use crate::key::KeyEntry;
use crate::lifecycle;
use crate::policy::RequestView;
use crate::proof::{Authorized, Request};
use crate::refusal::{Code, Refusal};
use crate::request_id::RequestTag;
use crate::time::Time;
use crate::vocabulary::Network;
use std::sync::Arc;

/// Decodes the payload and fixes the request's time.
///
/// # Errors
/// The payload does not decode, a consensus payload yields no position, or the clock cannot be right.
pub(crate) fn decode(authorized: Authorized, decode: Decode, network: Network, time: &Time) -> Result<Request, Refusal> {
    let Authorized {
        envelope,
        key,
        status,
        snapshot,
    } = authorized;
    let decoded = decode(envelope.format, key.scheme, &envelope.payload).map_err(refuse)?;
    check_consensus(envelope.format.family(), &decoded)?;
    check_prefix(envelope.format.family(), &key, &envelope.payload)?;
    let now_ms = time.judge(snapshot.high_water_ms)?;
    lifecycle::judge(&key, &status, &decoded, now_ms)?;
    let tag = envelope
        .client_gave_id
        .then(|| RequestTag::of(envelope.caller.name(), &envelope.key, &envelope.id));
    let view = RequestView {
        id: Arc::clone(&envelope.id),
        operation: envelope.operation,
        caller: Arc::clone(envelope.caller.name()),
        network,
        key,
        key_status: status,
        format: envelope.format,
        payload: Arc::clone(&envelope.payload),
        decoded,
        now_ms,
    };
    Ok(Request {
        view: Arc::new(view),
        caller: envelope.caller.clone(),
        snapshot,
        tag,
    })
}

fn refuse(error: PayloadError) -> Refusal {
    let code = match &error {
        PayloadError::Malformed(_) => Code::PayloadMalformed,
        PayloadError::NonCanonical(_) => Code::PayloadNonCanonical,
        PayloadError::DigestLength(_) => Code::DigestLength,
        PayloadError::Structured(_) => Code::PayloadStructured,
        PayloadError::NoPosition(_) => Code::NoPosition,
    };
    Refusal::new(code, error.to_string())
}

/// Raw bytes without a floor are signed only behind a prefix that the key names.
fn check_prefix(family: Family, key: &KeyEntry, payload: &[u8]) -> Result<(), Refusal> {
    let prefixes = &key.dangerous_allow_prefixed_raw;
    let named = || prefixes.iter().any(|prefix| payload.starts_with(prefix.as_str().as_bytes()));
    if family != Family::PrefixedRaw || named() {
        return Ok(());
    }
    let prefixes: Vec<_> = prefixes.iter().map(|prefix| format!("`{}`", prefix.as_str())).collect();
    Err(Refusal::new(
        Code::FormatRaw,
        format!(
            "the raw bytes do not begin with {}, the prefix in `dangerous_allow_prefixed_raw` of {}",
            prefixes.join(" or "),
            key.id
        ),
    ))
}

/// Core does not take the decoder's word for what the floor needs.
fn check_consensus(family: Family, decoded: &Decoded) -> Result<(), Refusal> {
    match &decoded.consensus {
        None if family.has_floor() => Err(Refusal::new(
            Code::NoPosition,
            "a consensus payload without a position is never signed",
        )),
        Some(message) if message.sign_bytes.is_empty() || message.sign_bytes.len() > SIGN_BYTES_MAX => Err(Refusal::new(
            Code::PayloadMalformed,
            format!("a consensus message has at most {SIGN_BYTES_MAX} sign bytes"),
        )),
        Some(message) if message.chain_id.is_empty() || message.chain_id.len() > CHAIN_ID_MAX => Err(Refusal::new(
            Code::PayloadMalformed,
            format!("a chain id has 1 to {CHAIN_ID_MAX} bytes"),
        )),
        Some(message) if message.extension.is_some() != decoded.inputs.second.is_some() => Err(Refusal::new(
            Code::Internal,
            "the decoder's extension and its second signing input do not agree",
        )),
        Some(_) | None => Ok(()),
    }
}
