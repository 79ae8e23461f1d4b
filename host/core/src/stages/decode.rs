//! Payload to facts and signing inputs, by the host, completely and canonically; and the request's time.

use crate::fact::{Decode, Decoded, PayloadError};
use crate::floor::{CHAIN_ID_MAX, SIGN_BYTES_MAX};
use crate::format::Family;
use crate::policy::RequestView;
use crate::proof::{Authorized, Request};
use crate::refusal::{Code, Refusal};
use crate::vocabulary::Network;
use std::sync::Arc;

/// How far the wall clock may be behind the ledger's latest record: what a time daemon corrects by a step.
pub const CLOCK_BEHIND_MAX_MS: u64 = 5_000;

/// Decodes the payload and fixes the request's time.
///
/// # Errors
/// The payload does not decode, a consensus payload yields no position, or the clock is behind.
pub fn decode(authorized: Authorized, decode: Decode, network: Network, clock: &dyn Fn() -> u64) -> Result<Request, Refusal> {
    let Authorized {
        envelope,
        key,
        status,
        snapshot,
    } = authorized;
    let decoded = decode(envelope.format, key.scheme, &envelope.payload).map_err(refuse)?;
    check_consensus(envelope.format.family(), &decoded)?;
    let now_ms = now(clock(), snapshot.high_water_ms)?;
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
        client_gave_id: envelope.client_gave_id,
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

/// Core does not take the decoder's word for what the floor needs.
fn check_consensus(family: Family, decoded: &Decoded) -> Result<(), Refusal> {
    let position_wanted = match family {
        Family::CometBft => true,
        Family::RawMessage | Family::RawDigest | Family::Evm => false,
    };
    match &decoded.consensus {
        None if position_wanted => Err(Refusal::new(
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

/// The request's time never falls: the ledger's high-water mark, if the wall is at most [`CLOCK_BEHIND_MAX_MS`] behind it.
fn now(wall_ms: u64, high_water_ms: u64) -> Result<u64, Refusal> {
    let behind = high_water_ms.saturating_sub(wall_ms);
    if behind > CLOCK_BEHIND_MAX_MS {
        let message = format!("the wall clock is {behind} ms behind the ledger's latest record; {CLOCK_BEHIND_MAX_MS} are tolerated");
        return Err(Refusal::new(Code::ClockBehind, message));
    }
    Ok(wall_ms.max(high_water_ms))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn time_never_falls_and_a_clock_far_behind_refuses() {
        assert_eq!(now(10_000, 8_000), Ok(10_000));
        assert_eq!(now(10_000, 15_000), Ok(15_000));
        assert_eq!(now(10_000, 15_001).unwrap_err().kind(), Code::ClockBehind);
    }
}
