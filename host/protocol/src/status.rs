//! Refusals on the wire: a gRPC code for programs that know nothing of Sigwarden, and the stable code for those that do.

use crate::proto;
use prost::Message;
use sigwarden_core::{Code, Refusal};
use tonic::metadata::{MetadataMap, MetadataValue};
use tonic::{Code as Grpc, Status};

/// The metadata key of a refusal's stable code.
pub const CODE_KEY: &str = "sigwarden-refusal";

/// The type of the one detail in `grpc-status-details-bin`.
pub const DETAIL_TYPE: &str = "type.googleapis.com/sigwarden.v1.Refusal";

/// The most bytes of a detail. Clients bound the headers of an answer, 8 KiB with some, and base64 adds a third.
const DETAIL_BYTES_MAX: usize = 4096;

/// The most characters of a sentence.
const MESSAGE_MAX: usize = 600;

/// `google.rpc.Status`, as gRPC's clients expect it in `grpc-status-details-bin`.
#[derive(Clone, PartialEq, Message)]
struct RpcStatus {
    #[prost(int32, tag = "1")]
    code: i32,
    #[prost(string, tag = "2")]
    message: String,
    #[prost(message, repeated, tag = "3")]
    details: Vec<prost_types::Any>,
}

/// The gRPC code of a refusal.
#[must_use]
pub fn grpc_code(code: Code) -> Grpc {
    match code {
        Code::CallerUnauthenticated => Grpc::Unauthenticated,
        // Clients may try an `Unavailable` again by themselves: only where nothing was decided, or the decision is asked again.
        Code::Stopping | Code::ClockBehind | Code::ClockStep | Code::ClockAhead | Code::BackendUnavailable => Grpc::Unavailable,
        Code::QueueFull | Code::LedgerFull | Code::CallerRate | Code::CallerBusy => Grpc::ResourceExhausted,
        Code::Deadline => Grpc::DeadlineExceeded,
        Code::RequestMalformed
        | Code::RequestTooLarge
        | Code::UnknownOperation
        | Code::RequestIdReused
        | Code::UnknownFormat
        | Code::UnknownScheme
        | Code::FormatOperation
        | Code::SchemeMismatch
        | Code::PayloadMalformed
        | Code::PayloadNonCanonical
        | Code::DigestLength
        | Code::PayloadStructured
        | Code::NoPosition => Grpc::InvalidArgument,
        Code::CallerForbidden | Code::FormatUnsupported | Code::Policy => Grpc::PermissionDenied,
        Code::FormatRole
        | Code::FormatScheme
        | Code::FormatRaw
        | Code::FormatTag
        | Code::KeyState
        | Code::KeyGrace
        | Code::KeyRotation
        | Code::KeyBinding
        | Code::PolicyUnbound
        | Code::FloorUninitialised
        | Code::FloorConflict
        | Code::FloorRegression
        | Code::RecordTooLarge => Grpc::FailedPrecondition,
        Code::Contention => Grpc::Aborted,
        Code::LedgerUnknown => Grpc::Unknown,
        Code::SandboxTrap
        | Code::SandboxFuel
        | Code::SandboxDeadline
        | Code::SandboxMemory
        | Code::SandboxHostCall
        | Code::SandboxMalformed
        | Code::SandboxHost
        | Code::LedgerFailed
        | Code::BackendFailed
        | Code::SignatureInvalid
        | Code::Internal => Grpc::Internal,
    }
}

/// A refusal as a gRPC status.
#[must_use]
pub fn to_status(refusal: &Refusal) -> Status {
    let grpc = grpc_code(refusal.kind());
    let wire = to_wire(refusal);
    let text = format!("{}: {}", wire.code, wire.message);
    let mut metadata = MetadataMap::new();
    // Codes are ASCII by construction: the host's own, or names that configuration and sandbox have checked.
    if let Ok(code) = MetadataValue::try_from(wire.code.as_str()) {
        metadata.insert(CODE_KEY, code);
    }
    let detail = prost_types::Any {
        type_url: DETAIL_TYPE.to_owned(),
        value: wire.encode_to_vec(),
    };
    let status = RpcStatus {
        code: i32::from(grpc),
        message: text.clone(),
        details: vec![detail],
    };
    Status::with_details_and_metadata(grpc, text, status.encode_to_vec().into(), metadata)
}

/// A refusal as a message, cut to what a header holds.
#[must_use]
pub fn to_wire(refusal: &Refusal) -> proto::Refusal {
    let mut wire = proto::Refusal {
        code: refusal.code().into_owned(),
        message: cut(&refusal.message),
        denials: refusal
            .denials
            .iter()
            .map(|denied| proto::Denial {
                policy: denied.instance.to_string(),
                code: denied.code.clone(),
                message: cut(&denied.message),
                retry_at_ms: denied.retry_at_ms,
            })
            .collect(),
        retry_at_ms: refusal.retry_at_ms(),
    };
    // The record has them all.
    while wire.encoded_len() > DETAIL_BYTES_MAX && wire.denials.pop().is_some() {}
    wire
}

fn cut(text: &str) -> String {
    if text.chars().count() <= MESSAGE_MAX {
        return text.to_owned();
    }
    text.chars().take(MESSAGE_MAX).chain(std::iter::once('…')).collect()
}

/// Reads the refusal out of a status that [`to_status`] made; none if it is another kind of failure.
#[must_use]
pub fn from_status(status: &Status) -> Option<proto::Refusal> {
    let details = RpcStatus::decode(status.details()).ok()?.details;
    let detail = details.into_iter().find(|detail| detail.type_url == DETAIL_TYPE)?;
    proto::Refusal::decode(detail.value.as_slice()).ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use sigwarden_core::refusal::Denied;

    #[test]
    fn a_refusal_crosses_the_wire_with_its_denials_and_retry_time() {
        let mut refusal = Refusal::new(Code::Policy, "too often");
        refusal.denials = vec![Denied {
            instance: "rate-limit".into(),
            code: "policy/rate-limit/exceeded".into(),
            message: "12 of 10 a minute".into(),
            retry_at_ms: Some(1_700_000_000_123),
        }];
        let status = to_status(&refusal);
        assert_eq!(status.code(), Grpc::PermissionDenied);
        assert_eq!(status.metadata().get(CODE_KEY).unwrap(), "policy/rate-limit/exceeded");
        let wire = from_status(&status).unwrap();
        assert_eq!(wire.code, "policy/rate-limit/exceeded");
        assert_eq!(wire.retry_at_ms, Some(1_700_000_000_123));
        assert_eq!(wire.denials.first().unwrap().message, "12 of 10 a minute");
    }

    #[test]
    fn a_long_refusal_stays_within_a_header() {
        let mut refusal = Refusal::new(Code::Policy, "x".repeat(100_000));
        let denied = Denied {
            instance: "p".into(),
            code: "policy/p/c".into(),
            message: "ü".repeat(10_000),
            retry_at_ms: None,
        };
        refusal.denials = vec![denied; 64];
        let status = to_status(&refusal);
        assert!(status.details().len() < 6000, "{}", status.details().len());
        assert_eq!(from_status(&status).unwrap().code, "policy/p/c");
    }

    #[test]
    fn another_status_is_no_refusal() {
        assert_eq!(from_status(&Status::unavailable("gone")), None);
    }
}
