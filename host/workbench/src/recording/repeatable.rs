//! Which requests a fixture can repeat: those whose outcome follows from the request, the policies and their state.

use super::order::{Placed, placed};
use super::{Event, RecordedKey, RecordedOutcome, RecordedRequest, Recording};
use crate::fixture::TABLES_MAX;
use sigwarden_core::key::KeyId;
use sigwarden_core::pipeline::Limits;
use sigwarden_core::{Code, Format, KeyState};
use std::collections::{BTreeMap, BTreeSet};

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
    /// When it is asked.
    pub(super) at_ms: u64,
    pub(super) key_states: BTreeMap<KeyId, KeyState>,
    /// What goes wrong in the HSM, as a fixture has it.
    pub(super) hsm: Option<&'static str>,
}

/// The requests in their order, and those that are left out.
pub(super) fn steps(recording: &Recording) -> (Vec<Step<'_>>, Vec<LeftOut>) {
    let (mut steps, mut left_out) = (Vec::new(), Vec::new());
    let keys = &recording.deployment.keys;
    let (placed, changes) = placed(&recording.events);
    let mut changes = changes.into_iter().peekable();
    let mut key_states = BTreeMap::new();
    let mut ids = BTreeSet::new();
    for Placed {
        number,
        request,
        at_ms,
        revision,
    } in placed
    {
        while let Some((_, change)) = changes.next_if(|(made, _)| *made <= revision) {
            if keys.iter().any(|key| id_of(key) == change.key && is_told(recording, key)) {
                key_states.insert(change.key.clone(), change.state);
            }
        }
        let repeated =
            repeatable(request, keys).and_then(|(format, hsm)| refuse_unseen_id(request, format, &mut ids).map(|()| (format, hsm)));
        match repeated {
            Ok((format, hsm)) => steps.push(Step {
                number,
                request,
                format,
                at_ms,
                key_states: std::mem::take(&mut key_states),
                hsm,
            }),
            Err(why) => left_out.push(LeftOut { request: number, why }),
        }
    }
    left_out.sort_by_key(|one| one.request);
    (steps, left_out)
}

/// Whether a fixture has this key: it has so many at most, and where there are more, those that nobody asks for are of no use.
pub(super) fn is_told(recording: &Recording, key: &RecordedKey) -> bool {
    let version = format!("{}.v", key.name);
    let asked = |event: &Event| match event {
        Event::Request(request) => request.key == key.name.as_str() || request.key.starts_with(&version),
        Event::KeyState(_) => false,
    };
    recording.deployment.keys.len() <= TABLES_MAX || recording.events.iter().any(asked)
}

fn id_of(key: &RecordedKey) -> KeyId {
    KeyId {
        name: key.name.clone(),
        version: key.version,
    }
}

/// A request id in its scope.
type Scoped<'r> = (Option<&'r str>, String, &'r str);

/// A request whose answer follows from an id that was given before the recording began cannot be repeated.
fn refuse_unseen_id<'r>(request: &'r RecordedRequest, format: Format, seen: &mut BTreeSet<Scoped<'r>>) -> Result<(), String> {
    if request.request_id.is_empty() {
        return Ok(());
    }
    let name = request
        .key
        .parse::<KeyId>()
        .map_or_else(|_| request.key.clone(), |id| id.name.to_string());
    let scoped = (request.caller.as_deref(), name, request.request_id.as_str());
    let reused = matches!(&request.outcome, RecordedOutcome::Refused { codes, .. } if codes.iter().any(|code| code == Code::RequestIdReused.as_str()));
    // A vote may be repeated by its position alone, and its floor is in the fixture.
    let by_id = reused || (request.replay && !format.family().has_floor());
    if by_id && !seen.contains(&scoped) {
        return Err("its request id was given before the recording began".to_owned());
    }
    if request.sequence.is_some() {
        seen.insert(scoped);
    }
    Ok(())
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
    let of_key = |key: &RecordedKey| request.key == key.name.as_str() || request.key == id_of(key).to_string();
    // What a fixture takes for a key that it does not have.
    let unknown_is_right = first.is_some_and(|code| code == Code::CallerForbidden.as_str() || code.starts_with("request/"));
    let known = keys.iter().find(|key| of_key(key));
    if known.is_none() && !unknown_is_right {
        return Err(format!("the recording has no key `{}`", request.key.escape_debug()));
    }
    if let (Some(version), Some(known)) = (request.key_version, known)
        && !keys.iter().any(|key| key.name == known.name && key.version == version)
    {
        return Err(format!("version {version} of its key was made while it was recorded"));
    }
    if request.payload.len() > Limits::default().payload_bytes {
        return Err(format!("a fixture's payload has {} bytes at most", Limits::default().payload_bytes));
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
        Code::CallerBusy,
        Code::CallerRate,
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
