//! The text of a fixture that repeats a recording.

use super::payload;
use super::repeatable::{LeftOut, Step, steps};
use super::text::{json, list, name, quoted, span, table};
use super::{RecordedKey, RecordedOutcome, RecordedPolicy, RecordedRequest, Recording, RecordingError};
use crate::fixture::values::shown_ms;
use sigwarden_core::floor::{MessageClass, Position};
use sigwarden_core::{Format, KeyState};
use std::fmt::Write as _;
use std::path::{Component, Path, PathBuf};

/// The caller that is no client, as fixtures have it.
const NOBODY: &str = "nobody";
/// The longest span that a fixture may write, milliseconds: what is later is written as a time.
const SPAN_MAX_MS: u64 = 20 * 366 * 86_400_000;
/// Requests that were left out and are named in the fixture's head; the rest is counted.
const NAMED_MAX: usize = 20;

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
    let (steps, left_out) = steps(recording);
    let Some(first) = steps.first() else {
        return Err(RecordingError::Empty);
    };
    let start_ms = recording.deployment.started_ms.min(first.request.at_ms);
    let mut text = head(steps.len(), first.request.at_ms, &left_out);
    let _ = writeln!(
        text,
        "fixture = 1\nnetwork = {}\nstart = \"{}\"",
        quoted(recording.deployment.network.name()),
        shown_ms(start_ms)
    );
    for key in &recording.deployment.keys {
        write_key(&mut text, key);
    }
    for client in &recording.deployment.clients {
        let allow: Vec<String> = client.allow.iter().map(allow).collect();
        let _ = writeln!(
            text,
            "\n[[client]]\nname = {}\nallow = [{}]",
            quoted(&client.name),
            allow.join(", ")
        );
    }
    let mut beside = Vec::new();
    for policy in &recording.deployment.policies {
        write_policy(&mut text, policy, file, &mut beside);
    }
    let common = Common::of(&steps);
    common.write(&mut text);
    for step in &steps {
        write_step(&mut text, step, &common, start_ms);
    }
    Ok(Written {
        fixture: text,
        beside,
        left_out,
    })
}

fn head(steps: usize, from_ms: u64, left_out: &[LeftOut]) -> String {
    let mut text = format!(
        "# Recorded by `sigwarden policy record`: {steps} requests, from {} on. The keys are the mock HSM's own.\n",
        shown_ms(from_ms)
    );
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
        .map(|floor| {
            table(&[
                ("chain_id", quoted(&floor.chain_id)),
                ("class", quoted(floor.class.name())),
                ("position", position(floor.position)),
            ])
        })
        .collect();
    if !floors.is_empty() {
        let _ = writeln!(text, "floors = [{}]", floors.join(", "));
    }
}

fn position(position: Position) -> String {
    quoted(&position.to_string())
}

fn allow(allow: &super::RecordedAllow) -> String {
    let mut fields = vec![
        ("keys", list(&allow.keys)),
        ("operations", list(allow.operations.iter().map(|operation| operation.name()))),
    ];
    fields.extend(allow.formats.as_ref().map(|formats| ("formats", list(formats))));
    table(&fields)
}

fn write_policy(text: &mut String, policy: &RecordedPolicy, file: &Path, beside: &mut Vec<(String, String)>) {
    let _ = writeln!(
        text,
        "\n[[policy]]\nname = {}\nmodule = {}",
        quoted(&policy.name),
        quoted(&module(&policy.module, file))
    );
    let value = serde_json::from_str(&policy.config_json).ok();
    match value.as_ref().and_then(|value| json(value, 0)) {
        Some(config) => {
            let _ = writeln!(text, "config = {config}");
        }
        None => {
            let stem = file.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
            let plain: String = policy
                .name
                .chars()
                .map(|letter| if letter.is_ascii_alphanumeric() { letter } else { '-' })
                .collect();
            let config_file = format!("{stem}.{plain}.json");
            let _ = writeln!(text, "config_file = {}", quoted(&config_file));
            beside.push((config_file, policy.config_json.clone()));
        }
    }
    if let Some(keys) = &policy.keys {
        let _ = writeln!(text, "keys = {}", list(keys));
    }
    if let Some(roles) = &policy.roles {
        let _ = writeln!(text, "roles = {}", list(roles.iter().map(|role| role.name())));
    }
    if let Some(formats) = &policy.formats {
        let _ = writeln!(text, "formats = {}", list(formats));
    }
    let limits = [
        ("fuel", policy.fuel),
        ("deadline_ms", policy.deadline_ms),
        ("memory_bytes", policy.memory_bytes.and_then(|bytes| u64::try_from(bytes).ok())),
    ];
    for (name, limit) in limits {
        if let Some(limit) = limit {
            let _ = writeln!(text, "{name} = {limit}");
        }
    }
}

/// A module's path from the fixture's directory; a policy's name stays.
fn module(module: &str, file: &Path) -> String {
    let path = Path::new(module);
    // A bare name's parent is nothing, which has no absolute form.
    let dir = file.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let dir = std::path::absolute(dir).ok();
    let Some(dir) = dir.filter(|_| path.is_absolute()) else {
        return module.to_owned();
    };
    let mut from = dir.components().peekable();
    let mut to = path.components().peekable();
    while from.peek().is_some_and(|part| to.peek() == Some(part)) {
        from.next();
        to.next();
    }
    // A way back through `..` would need to know what it leads to.
    if from.clone().any(|part| part == Component::ParentDir) {
        return module.to_owned();
    }
    let up = from.map(|_| Component::ParentDir);
    let way: PathBuf = up.chain(to).collect();
    way.to_string_lossy().into_owned()
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
        when(request.at_ms, start_ms)
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
            write_retry(text, codes, *retry_at_ms, request.at_ms);
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
