//! Which requests a fixture can repeat: those whose outcome follows from the request, the policies and their state.

use super::{Event, RecordedKey, RecordedOutcome, RecordedRequest, Recording};
use sigwarden_core::key::KeyId;
use sigwarden_core::{Code, Format, KeyState};
use std::collections::BTreeMap;

/// A request that a fixture cannot repeat.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeftOut {
    /// Its place among the requests, from 1.
    pub request: usize,
    /// Why.
    pub why: String,
}

/// A request to repeat, with what happened before it.
pub(super) struct Step<'r> {
    pub(super) number: usize,
    pub(super) request: &'r RecordedRequest,
    pub(super) format: Format,
    pub(super) key_states: BTreeMap<KeyId, KeyState>,
    /// What goes wrong in the HSM, as a fixture has it.
    pub(super) hsm: Option<&'static str>,
}

/// The requests by time, and those that are left out.
pub(super) fn steps(recording: &Recording) -> (Vec<Step<'_>>, Vec<LeftOut>) {
    let (mut steps, mut left_out) = (Vec::new(), Vec::new());
    let mut key_states = BTreeMap::new();
    let mut number = 0;
    for event in &recording.events {
        let request = match event {
            Event::KeyState(change) => {
                key_states.insert(change.key.clone(), change.state);
                continue;
            }
            Event::Request(request) => request,
        };
        number += 1;
        match repeatable(request, &recording.deployment.keys) {
            Ok((format, hsm)) => steps.push(Step {
                number,
                request,
                format,
                key_states: std::mem::take(&mut key_states),
                hsm,
            }),
            Err(why) => left_out.push(LeftOut { request: number, why }),
        }
    }
    // They were written as they were answered; a fixture's time never goes back.
    steps.sort_by_key(|step| step.request.at_ms);
    (steps, left_out)
}

/// The format, and the fault that a backend had; or why the request cannot be repeated.
fn repeatable(request: &RecordedRequest, keys: &[RecordedKey]) -> Result<(Format, Option<&'static str>), String> {
    let (codes, first) = match &request.outcome {
        RecordedOutcome::Allowed => (&[] as &[String], None),
        RecordedOutcome::Refused { codes, .. } => (codes.as_slice(), codes.first()),
    };
    let hsm = match first {
        Some(code) => of_the_policies(code)?,
        None if codes.is_empty() && request.outcome != RecordedOutcome::Allowed => return Err("it was refused without a code".to_owned()),
        None => None,
    };
    let format: Format = request.format.parse().map_err(|_| "there is no such format".to_owned())?;
    if request.operation != format.operation().name() {
        return Err(format!("a fixture's step asks to {}, as its format wants", format.operation()));
    }
    let of_key = |key: &RecordedKey| {
        let id = KeyId {
            name: key.name.clone(),
            version: key.version,
        };
        request.key == key.name.as_str() || request.key == id.to_string()
    };
    // What a fixture takes for a key that it does not have.
    let unknown_is_right = first.is_some_and(|code| code == Code::CallerForbidden.as_str() || code.starts_with("request/"));
    let known = keys.iter().find(|key| of_key(key));
    if known.is_none() && !unknown_is_right {
        return Err(format!("the recording has no key `{}`", request.key.escape_debug()));
    }
    if known.is_some_and(|key| !request.scheme.is_empty() && request.scheme != key.scheme.name()) {
        return Err("a fixture's step names no scheme".to_owned());
    }
    Ok((format, hsm))
}

/// The fault of the mock HSM that brings this code about, if it is a backend's; else whether the code follows from the request, the
/// policies and their state, and not from the machine.
fn of_the_policies(code: &str) -> Result<Option<&'static str>, String> {
    let is = |one: Code| code == one.as_str();
    if is(Code::BackendUnavailable) {
        return Ok(Some("token-lost"));
    }
    if is(Code::BackendFailed) {
        return Ok(Some("fails"));
    }
    if is(Code::SignatureInvalid) {
        return Ok(Some("wrong-signature"));
    }
    let machine = [
        Code::SandboxDeadline,
        Code::SandboxHost,
        Code::RequestTooLarge,
        Code::UnknownOperation,
        Code::UnknownFormat,
        Code::UnknownScheme,
        Code::SchemeMismatch,
        Code::FormatOperation,
        Code::KeyGrace,
        Code::KeyRotation,
        Code::Internal,
    ];
    let area = code.split('/').next().unwrap_or_default();
    if machine.into_iter().any(is) || matches!(area, "busy" | "clock" | "ledger") {
        return Err(format!("`{}` is not the policies' doing", code.escape_debug()));
    }
    Ok(None)
}
