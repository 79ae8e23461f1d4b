//! The text of a fixture that repeats a recording.

use super::repeatable::{LeftOut, Step, is_told, steps};
use super::text::{list, name, quoted, span, table};
use super::{RecordedFloor, RecordedKey, RecordedOutcome, RecordedRequest, Recording, RecordingError};
use super::{payload, policy};
use crate::fixture::values::shown_ms;
use crate::fixture::{FILE_BYTES_MAX, TABLES_MAX};
use sigwarden_core::floor::MessageClass;
use sigwarden_core::{Format, KeyState};
use std::fmt::Write as _;
use std::path::Path;

/// The caller that is no client, as fixtures have it.
const NOBODY: &str = "nobody";
/// The longest span that a fixture may write, milliseconds: what is later is written as a time.
const SPAN_MAX_MS: u64 = 20 * 366 * 86_400_000;
/// Requests that were left out and are named in the fixture's head; the rest is counted.
const NAMED_MAX: usize = 20;
/// Bytes of a fixture without its head at most.
const TEXT_MAX: usize = FILE_BYTES_MAX as usize - 64 * 1024;

/// A fixture, not yet written to disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// Its text.
    pub fixture: String,
    /// Files beside it, by name: configurations that TOML cannot say.
    pub beside: Vec<(String, String)>,
    /// Requests that it does not repeat.
    pub left_out: Vec<LeftOut>,
}

/// Makes the fixture that stands, or is to stand, in `file`.
///
/// # Errors
/// Nothing in the recording can be repeated.
pub fn write(recording: &Recording, file: &Path) -> Result<Written, RecordingError> {
    let (mut steps, mut left_out) = steps(recording);
    let Some(first) = steps.first() else {
        return Err(RecordingError::Empty);
    };
    let (first_ms, start_ms) = (first.at_ms, recording.deployment.started_ms.min(first.at_ms));
    let mut text = String::new();
    let mut beside = Vec::new();
    write_deployment(&mut text, recording, &steps, start_ms);
    for one in &recording.deployment.policies {
        policy::write(&mut text, one, file, &mut beside);
    }
    let common = Common::of(&steps);
    common.write(&mut text);
    let mut fits = 0;
    for step in &steps {
        let before = text.len();
        write_step(&mut text, step, &common, start_ms);
        if text.len() > TEXT_MAX {
            text.truncate(before);
            break;
        }
        fits += 1;
    }
    for step in steps.drain(fits..) {
        left_out.push(LeftOut {
            request: step.number,
            why: "the fixture would be longer than one may be".to_owned(),
        });
    }
    Ok(Written {
        fixture: head(fits, first_ms, &left_out, &recording.notes) + &text,
        beside,
        left_out,
    })
}

/// Network, start, keys and clients.
fn write_deployment(text: &mut String, recording: &Recording, steps: &[Step<'_>], start_ms: u64) {
    let deployment = &recording.deployment;
    let network = quoted(deployment.network.name());
    let _ = writeln!(text, "fixture = 1\nnetwork = {network}\nstart = \"{}\"", shown_ms(start_ms));
    for key in deployment.keys.iter().filter(|key| is_told(recording, key)) {
        write_key(text, key);
    }
    for client in &deployment.clients {
        if deployment.clients.len() <= TABLES_MAX || steps.iter().any(|step| step.request.caller.as_ref() == Some(&client.name)) {
            let allow: Vec<String> = client.allow.iter().map(allow).collect();
            let name = quoted(&client.name);
            let _ = writeln!(text, "\n[[client]]\nname = {name}\nallow = [{}]", allow.join(", "));
        }
    }
}

fn head(steps: usize, from_ms: u64, left_out: &[LeftOut], notes: &[String]) -> String {
    let mut text = format!(
        "# Recorded by `sigwarden policy record`: {steps} requests, from {} on. The keys are the mock HSM's own.\n",
        shown_ms(from_ms)
    );
    for note in notes.iter().take(NAMED_MAX) {
        let line: String = note.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).collect();
        let _ = writeln!(text, "# {line}");
    }
    if !left_out.is_empty() {
        let _ = writeln!(text, "# Not repeated:");
    }
    for one in left_out.iter().take(NAMED_MAX) {
        let _ = writeln!(text, "#   request {}: {}", one.request, one.why);
    }
    if let Some(more) = left_out.len().checked_sub(NAMED_MAX).filter(|more| *more > 0) {
        let _ = writeln!(text, "#   and {more} more");
    }
    text
}

fn write_key(text: &mut String, key: &RecordedKey) {
    let _ = writeln!(text, "\n[[key]]\nname = {}", quoted(key.name.as_str()));
    if key.version != 1 {
        let _ = writeln!(text, "version = {}", key.version);
    }
    let _ = writeln!(text, "roles = {}", list(key.roles.iter().map(|role| role.name())));
    let _ = writeln!(text, "scheme = {}", quoted(key.scheme.name()));
    if key.state != KeyState::Active {
        let _ = writeln!(text, "state = {}", quoted(key.state.name()));
    }
    let _ = writeln!(text, "created = \"{}\"", shown_ms(key.created_ms));
    if key.dangerous_allow_raw_messages {
        let _ = writeln!(text, "dangerous_allow_raw_messages = true");
    }
    if key.dangerous_allow_raw_digests {
        let _ = writeln!(text, "dangerous_allow_raw_digests = true");
    }
    match key.dangerous_allow_prefixed_raw.as_slice() {
        [] => {}
        [prefix] => drop(writeln!(text, "dangerous_allow_prefixed_raw = {}", quoted(prefix))),
        prefixes => drop(writeln!(text, "dangerous_allow_prefixed_raw = {}", list(prefixes))),
    }
    if let Some(bind) = &key.bind {
        let mut fields = Vec::new();
        fields.extend(bind.chain_id.as_ref().map(|id| ("chain_id", quoted(id))));
        fields.extend(bind.validator_id.map(|id| ("validator_id", id.to_string())));
        fields.extend(bind.suite_id.map(|id| ("suite_id", id.to_string())));
        let _ = writeln!(text, "bind = {}", table(&fields));
    }
    // An extension's floor follows its precommit's, and cannot be given.
    let floors: Vec<String> = key
        .floors
        .iter()
        .filter(|floor| floor.class != MessageClass::CometBftExtension)
        .map(floor)
        .collect();
    if !floors.is_empty() {
        let _ = writeln!(text, "floors = [{}]", floors.join(", "));
    }
}

fn floor(floor: &RecordedFloor) -> String {
    let mut fields = vec![
        ("chain_id", quoted(&floor.chain_id)),
        ("class", quoted(floor.class.name())),
        ("position", quoted(&floor.position.to_string())),
    ];
    let sign_bytes = floor.sign_bytes.as_ref().map(|bytes| quoted(&format!("0x{}", hex::encode(bytes))));
    fields.extend(sign_bytes.map(|bytes| ("sign_bytes", bytes)));
    table(&fields)
}

fn allow(allow: &super::RecordedAllow) -> String {
    let mut fields = vec![
        ("keys", list(&allow.keys)),
        ("operations", list(allow.operations.iter().map(|operation| operation.name()))),
    ];
    fields.extend(allow.formats.as_ref().map(|formats| ("formats", list(formats))));
    table(&fields)
}

/// What every step has, and stands in `[defaults]`.
struct Common {
    caller: Option<String>,
    key: Option<String>,
    format: Option<Format>,
}

impl Common {
    fn of(steps: &[Step<'_>]) -> Self {
        fn same<'s, T: PartialEq>(steps: &'s [Step<'s>], get: impl Fn(&'s Step<'s>) -> T) -> Option<T> {
            let first = get(steps.first()?);
            steps.iter().all(|step| get(step) == first).then_some(first)
        }
        Self {
            caller: same(steps, |step| caller(step.request).to_owned()),
            key: same(steps, |step| step.request.key.clone()),
            format: same(steps, |step| step.format),
        }
    }

    fn write(&self, text: &mut String) {
        let fields = [
            ("caller", self.caller.as_deref()),
            ("key", self.key.as_deref()),
            ("format", self.format.map(Format::name)),
        ];
        let fields: Vec<(&str, &str)> = fields.into_iter().filter_map(|(name, value)| Some((name, value?))).collect();
        if fields.is_empty() {
            return;
        }
        let _ = writeln!(text, "\n[defaults]");
        for (name, value) in fields {
            let _ = writeln!(text, "{name} = {}", quoted(value));
        }
    }
}

fn caller(request: &RecordedRequest) -> &str {
    request.caller.as_deref().unwrap_or(NOBODY)
}

fn write_step(text: &mut String, step: &Step<'_>, common: &Common, start_ms: u64) {
    let request = step.request;
    let _ = writeln!(
        text,
        "\n[[step]]\nname = {}\nat = {}",
        quoted(&format!("request {}: {} by {}", step.number, step.format, caller(request))),
        when(step.at_ms, start_ms)
    );
    if common.caller.is_none() {
        let _ = writeln!(text, "caller = {}", quoted(caller(request)));
    }
    if common.key.is_none() {
        let _ = writeln!(text, "key = {}", quoted(&request.key));
    }
    if common.format.is_none() {
        let _ = writeln!(text, "format = {}", quoted(step.format.name()));
    }
    if !request.request_id.is_empty() {
        let _ = writeln!(text, "request_id = {}", quoted(&request.request_id));
    }
    let _ = writeln!(text, "{}", payload::line(step.format, &request.payload));
    for (id, state) in &step.key_states {
        let _ = writeln!(text, "key_states.{} = {}", name(&id.to_string()), quoted(state.name()));
    }
    if let Some(hsm) = step.hsm {
        let _ = writeln!(text, "fault.hsm = {}", quoted(hsm));
    }
    match &request.outcome {
        RecordedOutcome::Allowed => text.push_str("expect = \"allow\"\n"),
        RecordedOutcome::Refused { codes, retry_at_ms } => {
            let _ = match codes.as_slice() {
                [code] => writeln!(text, "expect = {}", quoted(code)),
                codes => writeln!(text, "expect = {}", list(codes)),
            };
            write_retry(text, codes, *retry_at_ms, step.at_ms);
        }
    }
}

/// When a policy's denial ends; the host's own refusals never say.
fn write_retry(text: &mut String, codes: &[String], retry_at_ms: Option<u64>, at_ms: u64) {
    if !codes.iter().any(|code| code.starts_with("policy/")) {
        return;
    }
    let _ = match retry_at_ms {
        None => writeln!(text, "retry_at = \"never\""),
        Some(retry_ms) => match retry_ms.checked_sub(at_ms).filter(|after| *after <= SPAN_MAX_MS) {
            Some(after) => writeln!(text, "retry_after = \"{}\"", span(after)),
            None => writeln!(text, "retry_at = \"{}\"", shown_ms(retry_ms)),
        },
    };
}

fn when(at_ms: u64, start_ms: u64) -> String {
    let since = at_ms.saturating_sub(start_ms);
    if since <= SPAN_MAX_MS {
        format!("\"{}\"", span(since))
    } else {
        format!("\"{}\"", shown_ms(at_ms))
    }
}
