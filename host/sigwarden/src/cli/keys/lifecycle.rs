//! The life of keys on the command line.

use super::super::administer;
use super::super::args::{GraceUntil, KeyChange};
use super::super::output::{Failure, Output, time};
use crate::config::Config;
use crate::deployment::{now_ms, state_at_rest};
use crate::proto::admin::{ActivateKeyRequest, RotateKeyRequest, SetKeyStateRequest};
use serde_json::json;
use sigwarden_core::KeyState;
use sigwarden_core::lifecycle::{GraceEnd, Measure};
use sigwarden_core::state::State;
use sigwarden_ledger::{DeploymentLock, VerifyError};

pub(super) fn change(config: &Config, change: KeyChange, to: KeyState, output: &Output) -> Result<(), Failure> {
    let done = administer(config, |reach| {
        reach.set_key_state(SetKeyStateRequest {
            key: change.key,
            state: to.name().to_owned(),
            reason: change.reason,
        })
    })?;
    let value = json!({ "key": done.key, "before": done.before, "state": done.state, "sequence": done.sequence, "also": done.also,
        "erased": done.erased });
    output.print(&value, || {
        let mut text = format!(
            "{} is {}; it was {}  (record {})\n",
            done.key, done.state, done.before, done.sequence
        );
        for other in &done.also {
            text.push_str(&format!("{other} is the same key, and was changed with it\n"));
        }
        for what in &done.erased {
            text.push_str(&format!("{what}\n"));
        }
        text
    });
    Ok(())
}

pub(super) fn rotate(config: &Config, key: String, reason: String, output: &Output) -> Result<(), Failure> {
    let done = administer(config, |reach| reach.rotate_key(RotateKeyRequest { key, reason }))?;
    let value = json!({
        "key": done.key,
        "replaces": done.replaces,
        "scheme": done.scheme,
        "public_key": hex::encode(&done.public_key),
        "in_force": done.in_force,
        "resumed": done.resumed,
    });
    output.print(&value, || {
        let made = if done.resumed { "brought an interrupted rotation to its end" } else { "made" };
        let force = if done.in_force { "" } else { ", from the next start on" };
        format!(
            "{made}: {} ({}), pending{force}\npublic key {}\n{} stays in use. Register the new key where it must be known, then:\n  sigwarden keys activate {} --reason TEXT\n",
            done.key,
            done.scheme,
            hex::encode(&done.public_key),
            done.replaces,
            done.key
        )
    });
    Ok(())
}

pub(super) fn activate(config: &Config, key: String, until: Option<GraceUntil>, reason: String, output: &Output) -> Result<(), Failure> {
    let end = until.map(|until| match until {
        GraceUntil::At(end) => end,
        GraceUntil::In(span) => GraceEnd {
            measure: Measure::Time,
            at: now_ms().saturating_add(span),
        },
    });
    let done = administer(config, |reach| {
        reach.activate_key(ActivateKeyRequest {
            key,
            grace_until: end.map(|end| end.to_string()).unwrap_or_default(),
            reason,
        })
    })?;
    let value = json!({
        "key": done.key,
        "before": done.before,
        "grace": done.grace,
        "grace_until": Some(&done.grace_until).filter(|end| !end.is_empty()),
        "sequence": done.sequence,
    });
    output.print(&value, || {
        let mut text = format!("{} is active; it was {}  (record {})\n", done.key, done.before, done.sequence);
        for old in &done.grace {
            text.push_str(&match done.grace_until.as_str() {
                "" => format!("{old} is in grace until it is revoked; ask for it by this name\n"),
                end => format!("{old} is in grace until {}; ask for it by this name\n", shown_end(end)),
            });
        }
        text
    });
    Ok(())
}

/// A grace's end for people.
fn shown_end(end: &str) -> String {
    match end.parse::<GraceEnd>() {
        Ok(GraceEnd {
            measure: Measure::Time,
            at,
        }) => time(at),
        Ok(end) => format!("{} {}", end.measure, end.at),
        Err(_) => end.to_owned(),
    }
}

pub(super) fn due(config: &Config, output: &Output) -> Result<(), Failure> {
    let state = state_of(config)?;
    let now = now_ms();
    let mut found = Vec::new();
    for key in config.keys.iter() {
        let Some(status) = state.keys.get(&key.id).filter(|status| status.state.signs()) else {
            continue;
        };
        let Some(rule) = config.rotation(key) else { continue };
        if let Some(due) = rule.due(status, now) {
            found.push((key.id.to_string(), due.to_string(), rule.enforce));
        }
    }
    let value = found
        .iter()
        .map(|(key, why, enforced)| json!({ "key": key, "why": why, "enforced": enforced }))
        .collect();
    output.print(&value, || {
        if found.is_empty() {
            return "no key is due\n".to_owned();
        }
        let line = |(key, why, enforced): &(String, String, bool)| {
            let consequence = if *enforced { "it signs nothing any more" } else { "a warning only" };
            format!("{key}: {why}; {consequence}: `sigwarden keys rotate`, then `activate`\n")
        };
        found.iter().map(line).collect()
    });
    if found.is_empty() { Ok(()) } else { Err(Failure::said_no()) }
}

/// The state, from the log, which needs neither passphrase nor lock; if older segments were archived, from the ledger.
fn state_of(config: &Config) -> Result<State, Failure> {
    match sigwarden_ledger::replay(&config.state_dir) {
        Ok(state) => Ok(state),
        Err(VerifyError::Partial { .. }) => {
            let _lock = DeploymentLock::acquire(&config.state_dir)?;
            Ok(state_at_rest(config)?)
        }
        Err(error) => Err(error.into()),
    }
}
