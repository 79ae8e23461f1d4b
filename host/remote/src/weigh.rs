//! What a remote's refusal means for the request.

use sigwarden_core::Code;

/// How much it weighs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Weight {
    /// The remote judged the request, or does not take it from us: nobody else is asked.
    Final,
    /// The remote cannot at the moment, whatever is asked: the next one is asked.
    Unable,
    /// The remote does not know what became of the request: it is asked again, with the same id.
    Unknown,
    /// The remote knows another payload under this id, which must be impossible.
    Reused,
}

/// Weighs a refusal by its stable code.
pub(crate) fn weigh(code: &str) -> Weight {
    let Some(known) = Code::ALL.iter().find(|known| known.as_str() == code) else {
        // Of a policy, or of a newer Sigwarden: `busy/` is not now, whatever else it says.
        return match code.starts_with("busy/") {
            true => Weight::Unable,
            false => Weight::Final,
        };
    };
    match known {
        Code::Stopping | Code::QueueFull | Code::Deadline => Weight::Unable,
        Code::CallerRate | Code::CallerBusy => Weight::Unable,
        Code::ClockBehind | Code::ClockStep | Code::ClockAhead => Weight::Unable,
        Code::Contention | Code::LedgerFailed | Code::LedgerFull => Weight::Unable,
        // Approved there, but not signed: its HSM is away or broken, another remote's may not be.
        Code::BackendUnavailable | Code::BackendFailed => Weight::Unable,
        Code::LedgerUnknown => Weight::Unknown,
        Code::RequestIdReused => Weight::Reused,
        Code::CallerUnauthenticated
        | Code::RequestMalformed
        | Code::RequestTooLarge
        | Code::UnknownOperation
        | Code::UnknownFormat
        | Code::UnknownScheme
        | Code::CallerForbidden
        | Code::FormatRole
        | Code::FormatOperation
        | Code::FormatTag
        | Code::FormatScheme
        | Code::FormatRaw
        | Code::SchemeMismatch
        | Code::KeyState
        | Code::KeyGrace
        | Code::KeyRotation
        | Code::KeyBinding
        | Code::PayloadMalformed
        | Code::PayloadNonCanonical
        | Code::DigestLength
        | Code::PayloadStructured
        | Code::NoPosition
        | Code::PolicyUnbound
        | Code::SandboxTrap
        | Code::SandboxFuel
        | Code::SandboxDeadline
        | Code::SandboxMemory
        | Code::SandboxHostCall
        | Code::SandboxMalformed
        | Code::SandboxHost
        | Code::FormatUnsupported
        | Code::Policy
        | Code::FloorUninitialised
        | Code::FloorConflict
        | Code::FloorRegression
        | Code::RecordTooLarge
        | Code::SignatureInvalid
        | Code::Internal => Weight::Final,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn judgements_are_final_and_inabilities_are_not() {
        for code in [
            "policy/rate-limit/exceeded",
            "floor/conflict",
            "caller/forbidden",
            "key/state",
            "backend/signature-invalid",
            "some/newer-code",
        ] {
            assert_eq!(weigh(code), Weight::Final, "{code}");
        }
        for code in [
            "busy/stopping",
            "busy/queue-full",
            "busy/deadline",
            "busy/newer",
            "clock/behind",
            "backend/unavailable",
        ] {
            assert_eq!(weigh(code), Weight::Unable, "{code}");
        }
        assert_eq!(weigh("ledger/unknown"), Weight::Unknown);
        assert_eq!(weigh("request/id-reused"), Weight::Reused);
    }
}
