//! Why a call into a guest gave no answer, in core's kinds.

use crate::guest::HostFault;
use crate::limiter::LimitReached;
use crate::text;
use sigwarden_core::policy::{EvaluationFailure, FailureKind};
use wasmtime::{Error, PoolConcurrencyLimitError, Trap};

/// The longest message, in bytes.
const MESSAGE_MAX: usize = 512;

/// Classes what wasmtime returned. What it gives no type (a pointer out of bounds, text that is not UTF-8, a case that the contract
/// has not) is the guest's malformed answer, or argument.
pub(crate) fn classify(error: &Error) -> EvaluationFailure {
    if let Some(limit) = error.downcast_ref::<LimitReached>() {
        return failure(FailureKind::Memory, &limit.to_string());
    }
    if let Some(fault) = error.downcast_ref::<HostFault>() {
        let kind = match fault {
            HostFault::Outside(_) | HostFault::Bytes(_) | HostFault::Contract(..) => FailureKind::HostCall,
            HostFault::Injected(_) => FailureKind::Host,
        };
        return failure(kind, &fault.to_string());
    }
    if let Some(trap) = error.downcast_ref::<Trap>() {
        return trapped(*trap);
    }
    if error.is::<PoolConcurrencyLimitError>() {
        return failure(FailureKind::Host, "every sandbox is in use; ask again");
    }
    failure(FailureKind::Malformed, &format!("it does not keep to the contract: {error:#}"))
}

fn trapped(trap: Trap) -> EvaluationFailure {
    if trap == Trap::OutOfFuel {
        return failure(FailureKind::Fuel, "it used all of its fuel");
    }
    if trap == Trap::Interrupt {
        return failure(FailureKind::Deadline, "it ran past its deadline");
    }
    let what = trap.to_string();
    failure(
        FailureKind::Trap,
        &format!("it trapped: {}", what.trim_start_matches("wasm trap: ")),
    )
}

/// A failure with a message that is safe to show.
pub(crate) fn failure(kind: FailureKind, message: &str) -> EvaluationFailure {
    EvaluationFailure {
        kind,
        message: text::escape(message, MESSAGE_MAX),
    }
}
