//! What a step did to the state, for people and for assertions.

use crate::deployment::Evaluated;
use sigwarden_core::floor::{Floor, FloorKey};
use sigwarden_core::limit::{self, Bucket, Take};
use sigwarden_core::staging::Change;
use sigwarden_core::state::{State, StateName};
use std::collections::BTreeMap;

/// Capacity and period of a bucket, as a policy last asked with them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rate {
    pub(crate) capacity: u64,
    pub(crate) period_ms: u64,
}

/// The rates of the buckets that were asked for so far.
#[derive(Debug, Default)]
pub(crate) struct Rates(BTreeMap<StateName, Rate>);

impl Rates {
    /// Learns from what policies asked.
    pub(crate) fn learn(&mut self, evaluated: &[Evaluated], instance_of: impl Fn(usize) -> Option<std::sync::Arc<str>>) {
        for one in evaluated {
            let (Ok(report), Some(instance)) = (&one.result, instance_of(one.job.binding)) else {
                continue;
            };
            for change in &report.changes {
                if let Change::Take {
                    bucket,
                    capacity,
                    period_ms,
                    ..
                } = change
                {
                    let name = StateName {
                        instance: std::sync::Arc::clone(&instance),
                        name: std::sync::Arc::clone(bucket),
                    };
                    let rate = Rate {
                        capacity: *capacity,
                        period_ms: *period_ms,
                    };
                    self.0.insert(name, rate);
                }
            }
        }
    }

    /// The buckets whose rates are known.
    pub(crate) fn names(&self) -> impl Iterator<Item = &StateName> {
        self.0.keys()
    }

    /// What a bucket holds; none if nobody has asked for it.
    pub(crate) fn remaining(&self, state: &State, name: &StateName, now_ms: u64) -> Option<u64> {
        let rate = self.0.get(name)?;
        let bucket = state.buckets.get(name).copied().unwrap_or_default();
        Some(remaining(bucket, *rate, now_ms))
    }
}

fn remaining(bucket: Bucket, rate: Rate, now_ms: u64) -> u64 {
    match limit::take(bucket, now_ms, 0, rate.capacity, rate.period_ms) {
        Take::Taken(_, remaining) | Take::Exceeded { remaining, .. } => remaining,
    }
}

/// Whether a name is what a pattern says, `*` standing for any text.
pub(crate) fn matches(pattern: &str, name: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(rest) = parts.next().and_then(|first| name.strip_prefix(first)) else {
        return false;
    };
    let parts: Vec<&str> = parts.collect();
    let Some((last, middle)) = parts.split_last() else {
        return rest.is_empty();
    };
    let mut rest = rest;
    for part in middle {
        match rest.find(part) {
            Some(at) => rest = rest.get(at + part.len()..).unwrap_or_default(),
            None => return false,
        }
    }
    rest.ends_with(last)
}

/// What differs between two states, a line each, sorted. Times and request ids are no part of it.
pub(crate) fn difference(before: &State, after: &State, rates: &Rates, now_ms: u64) -> Vec<String> {
    let mut lines = policy_state(before, after, rates, now_ms);
    for (key, floor) in &after.floors {
        let old = before.floors.get(key).map(AsRef::as_ref);
        if old.map(|old| old.position) != Some(floor.position) {
            lines.push(format!("floor {}: {} -> {}", floor_name(key), shown(old), shown(Some(floor))));
        }
    }
    for (id, status) in &after.keys {
        let old = before.keys.get(id);
        if old.is_some_and(|old| old.uses != status.uses) {
            lines.push(format!("uses {id}: {} -> {}", old.map_or(0, |old| old.uses), status.uses));
        }
        if old.is_some_and(|old| old.state != status.state) {
            lines.push(format!(
                "key {id}: {} -> {}",
                old.map_or("none", |old| old.state.name()),
                status.state.name()
            ));
        }
    }
    lines.sort();
    lines
}

/// What differs in policies' own state.
pub(crate) fn policy_state(before: &State, after: &State, rates: &Rates, now_ms: u64) -> Vec<String> {
    let mut lines = Vec::new();
    for (name, bucket) in &after.buckets {
        if before.buckets.get(name) != Some(bucket) {
            let holds = |state: &State| {
                let held = rates.remaining(state, name, now_ms);
                held.map_or_else(|| "?".to_owned(), |held| held.to_string())
            };
            lines.push(format!("bucket {}: {} -> {}", state_name(name), holds(before), holds(after)));
        }
    }
    for (name, watermark) in &after.watermarks {
        let old = before.watermarks.get(name);
        if old != Some(watermark) {
            let old = old.map_or_else(|| "none".to_owned(), |old| format!("{:?}", old.position));
            lines.push(format!("watermark {}: {old} -> {:?}", state_name(name), watermark.position));
        }
    }
    for (name, stored) in &after.storage {
        let old = before.storage.get(name).map(|old| &old.value);
        if old != Some(&stored.value) {
            lines.push(format!(
                "stored {}: {} -> {}",
                state_name(name),
                value(old),
                value(Some(&stored.value))
            ));
        }
    }
    for (name, old) in &before.storage {
        if !after.storage.contains_key(name) {
            lines.push(format!("stored {}: {} -> none", state_name(name), value(Some(&old.value))));
        }
    }
    lines
}

fn state_name(name: &StateName) -> String {
    format!("{} `{}`", name.instance, name.name.escape_debug())
}

fn floor_name(key: &FloorKey) -> String {
    let public_key = hex::encode(&key.public_key);
    let short: String = public_key.chars().take(12).collect();
    format!("{} of {short}… on {}", key.class.name(), key.chain_id)
}

fn shown(floor: Option<&Floor>) -> String {
    floor.map_or_else(|| "none".to_owned(), |floor| floor.position.to_string())
}

/// A stored value, as text if it is some.
pub(crate) fn value(value: Option<&Vec<u8>>) -> String {
    match value {
        None => "none".to_owned(),
        Some(bytes) => match std::str::from_utf8(bytes) {
            Ok(text) if !text.is_empty() && !text.chars().any(char::is_control) => format!("\"{text}\""),
            _ => format!("0x{}", hex::encode(bytes)),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn a_star_stands_for_any_text() {
        for (pattern, name) in [
            ("a", "a"),
            ("*", ""),
            ("a*", "abc"),
            ("a*c", "abc"),
            ("a*b*c", "a1b2b3c"),
            ("*c", "c"),
        ] {
            assert!(matches(pattern, name), "{pattern} {name}");
        }
        for (pattern, name) in [("a", "ab"), ("a*c", "ab"), ("ab*ab", "ab"), ("", "a"), ("a*b*c", "acb")] {
            assert!(!matches(pattern, name), "{pattern} {name}");
        }
    }
}
