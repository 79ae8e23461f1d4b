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
            HostFault::Outside(_) | HostFault::Bytes(_) | HostFault::Contract(..) | HostFault::Text(_) => FailureKind::HostCall,
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::engine::Engine;
    use crate::guest::Guest;
    use crate::settings::EngineSettings;
    use wasmtime::Store;
    use wasmtime::component::{Component, Linker};

    #[test]
    fn a_full_pool_is_the_host_s_own_fault() {
        let settings = EngineSettings {
            instances: 1,
            ..EngineSettings::default()
        };
        let engine = Engine::new(settings).unwrap();
        let empty = Component::from_binary(engine.wasmtime(), b"\0asm\x0d\0\x01\0").unwrap();
        let pre = Linker::<Guest>::new(engine.wasmtime()).instantiate_pre(&empty).unwrap();
        let store = || Store::new(engine.wasmtime(), Guest::loading("tested".into(), 0, 0));
        let (mut first, mut second) = (store(), store());
        pre.instantiate(&mut first).unwrap();
        let full = classify(&pre.instantiate(&mut second).map(|_| ()).unwrap_err());
        assert_eq!(
            (full.kind, full.message.as_str()),
            (FailureKind::Host, "every sandbox is in use; ask again")
        );
        drop(first);
        pre.instantiate(&mut second).unwrap();
    }

    #[test]
    fn a_message_is_safe_to_show() {
        let failure = failure(FailureKind::Malformed, &format!("\u{1b}[2J{}", "x".repeat(1_000)));
        assert!(failure.message.starts_with("\\u{1b}[2Jxxx"));
        assert!(failure.message.len() <= MESSAGE_MAX);
    }
}
