//! A policy as a fixture has it.

use super::text::{json, list, quoted, table};
use super::{RecordedPolicy, RecordedState};
use crate::fixture::values::shown_ns;
use std::fmt::Write as _;
use std::path::{Component, Path, PathBuf};

/// Writes a policy of the fixture that is to stand in `file`, and what is to stand beside it.
pub(super) fn write(text: &mut String, policy: &RecordedPolicy, file: &Path, beside: &mut Vec<(String, String)>) {
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
    write_state(text, &policy.state);
}

/// What it had counted, passed and stored as the recording began.
fn write_state(text: &mut String, state: &RecordedState) {
    let limits = state.limits.iter().map(|(name, full)| (name, quoted(&shown_ns(*full)))).collect();
    let watermarks = state.watermarks.iter().map(|(name, mark)| {
        let position: Vec<String> = mark.position.iter().map(u64::to_string).collect();
        let fields = [
            ("position", format!("[{}]", position.join(", "))),
            ("identity", quoted(&format!("0x{}", hex::encode(&mark.identity)))),
        ];
        (name, table(&fields))
    });
    let storage = state.storage.iter().map(|(name, value)| (name, stored(&value.0))).collect();
    let all: [(&str, Vec<(&String, String)>); 3] = [("limits", limits), ("watermarks", watermarks.collect()), ("storage", storage)];
    for (kind, fields) in all {
        if !fields.is_empty() {
            let _ = writeln!(text, "state.{kind} = {}", table(&fields));
        }
    }
}

/// As text if it is some.
fn stored(value: &[u8]) -> String {
    match std::str::from_utf8(value) {
        Ok(text) if !text.starts_with("0x") && !text.chars().any(char::is_control) => quoted(text),
        Ok(_) | Err(_) => quoted(&format!("0x{}", hex::encode(value))),
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
