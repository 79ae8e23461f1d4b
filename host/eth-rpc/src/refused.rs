//! A refusal as callers see it: code, sentence and denials. What only the operator may know stays behind ([`Refusal::detail`]).

use http::StatusCode;
use serde_json::{Value, json};
use sigwarden_core::{Code, Refusal};

/// For an account that there is not, and for one that the caller may not use: nobody learns which.
pub(crate) fn unknown_account() -> Refusal {
    Refusal::new(
        Code::CallerForbidden,
        "this caller may not use that account, or there is none; `eth_accounts` lists those it may use",
    )
}

/// Makes forbidden and unknown the same, whoever said it and in whatever words.
pub(crate) fn alike(refusal: Refusal) -> Refusal {
    if refusal.kind() == Code::CallerForbidden {
        return unknown_account();
    }
    refusal
}

/// For people: code and sentence.
pub(crate) fn sentence(refusal: &Refusal) -> String {
    format!("{}: {}", refusal.code(), refusal.message)
}

/// For programs: `data` of a JSON-RPC error.
pub(crate) fn data(refusal: &Refusal) -> Value {
    let denials = refusal.denials.iter().map(|denied| {
        json!({
            "policy": &*denied.instance,
            "code": denied.code,
            "message": denied.message,
            "retryAtMs": denied.retry_at_ms,
        })
    });
    json!({
        "code": refusal.code(),
        "denials": denials.collect::<Vec<_>>(),
        "retryAtMs": refusal.retry_at_ms(),
    })
}

/// For programs: the body of a REST answer, [`data`] and the sentence.
pub(crate) fn body(refusal: &Refusal) -> Value {
    let mut body = data(refusal);
    if let Value::Object(fields) = &mut body {
        fields.insert("message".into(), refusal.message.clone().into());
    }
    body
}

/// The status of a REST answer. 404 and 400 are Web3Signer's for an unknown key and a malformed request; a refusal that it does not
/// know is 403.
pub(crate) fn status(code: Code) -> StatusCode {
    match code {
        Code::CallerForbidden => StatusCode::NOT_FOUND,
        Code::CallerUnauthenticated => StatusCode::UNAUTHORIZED,
        Code::RequestTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        Code::RequestMalformed
        | Code::UnknownOperation
        | Code::UnknownFormat
        | Code::UnknownScheme
        | Code::FormatOperation
        | Code::SchemeMismatch
        | Code::PayloadMalformed
        | Code::PayloadNonCanonical
        | Code::DigestLength
        | Code::PayloadStructured
        | Code::NoPosition => StatusCode::BAD_REQUEST,
        Code::FormatRole
        | Code::FormatTag
        | Code::FormatScheme
        | Code::FormatRaw
        | Code::FormatUnsupported
        | Code::KeyState
        | Code::KeyGrace
        | Code::KeyRotation
        | Code::KeyBinding
        | Code::PolicyUnbound
        | Code::Policy
        | Code::FloorUninitialised
        | Code::FloorConflict
        | Code::FloorRegression => StatusCode::FORBIDDEN,
        Code::RequestIdReused => StatusCode::CONFLICT,
        Code::Stopping
        | Code::QueueFull
        | Code::CallerRate
        | Code::CallerBusy
        | Code::Deadline
        | Code::ClockBehind
        | Code::ClockStep
        | Code::ClockAhead
        | Code::Contention
        | Code::LedgerFull
        | Code::BackendUnavailable => StatusCode::SERVICE_UNAVAILABLE,
        Code::SandboxTrap
        | Code::SandboxFuel
        | Code::SandboxDeadline
        | Code::SandboxMemory
        | Code::SandboxHostCall
        | Code::SandboxMalformed
        | Code::SandboxHost
        | Code::LedgerFailed
        | Code::RecordTooLarge
        | Code::LedgerUnknown
        | Code::BackendFailed
        | Code::SignatureInvalid
        | Code::Internal => StatusCode::INTERNAL_SERVER_ERROR,
    }
}
