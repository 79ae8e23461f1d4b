//! Configurations that were tampered with: a field removed, one added, one of another type. A policy refuses them or takes them, but it
//! says so, twice the same, and in time; a field that nobody knows it refuses.

use super::{Conformance, Violation};
use crate::library::{Library, LoadedPolicy};
use crate::prepared::Prepared;
use serde_json::{Value as Json, json};
use sigwarden_policy::{LoadError, LoadFault, ModuleSource};
use std::collections::BTreeSet;
use std::sync::Arc;

/// Tampered configurations of one module and configuration at most: each is compiled anew, which takes half a second.
const TAMPERED_MAX: usize = 6;
/// How deep a configuration is looked into.
const DEPTH_MAX: usize = 16;

/// A tampered configuration.
struct Tampered {
    name: String,
    config: Json,
    /// It has a field that nobody knows.
    unknown: bool,
}

/// Loads every policy of some fixtures with tampered configurations, each module with each of its configurations once.
#[must_use]
pub fn attack_configurations(all: &[Prepared], library: &Library, jobs: usize) -> Vec<Conformance> {
    let mut seen = BTreeSet::new();
    let mut todo: Vec<(&Prepared, &Arc<LoadedPolicy>, Tampered)> = Vec::new();
    for prepared in all {
        // The policies that stand beside the one that the fixtures are for have fixtures of their own.
        let subject = |policy: &&Arc<LoadedPolicy>| policy.loaded.manifest.name == prepared.fixture.policy || prepared.policies.len() == 1;
        for policy in prepared.policies.iter().filter(subject) {
            if seen.insert((policy.loaded.module_digest.clone(), policy.loaded.config_digest.clone())) {
                todo.extend(tampered(&policy.source).into_iter().map(|tampered| (prepared, policy, tampered)));
            }
        }
    }
    crate::suite::side_by_side(&todo, jobs, |(prepared, policy, tampered)| Conformance {
        policy: prepared.fixture.policy.clone(),
        fixture: prepared.fixture.name.clone(),
        file: prepared.fixture.file.clone(),
        attacks: 1,
        violations: attack(policy, tampered, library),
        trouble: None,
    })
}

fn attack(policy: &LoadedPolicy, tampered: &Tampered, library: &Library) -> Vec<Violation> {
    let source = ModuleSource {
        config_json: tampered.config.to_string(),
        ..policy.source.clone()
    };
    let loaded = library.sandbox(source);
    let what = match loaded {
        Ok(_) if tampered.unknown => "it took a field that nobody knows".to_owned(),
        Ok(_) => return Vec::new(),
        Err(error) if is_answer(&error) => return Vec::new(),
        Err(error) => format!("it did not say what is wrong: {error}"),
    };
    vec![Violation {
        instance: policy.loaded.instance.clone(),
        step: String::new(),
        attack: tampered.name.clone(),
        what,
    }]
}

/// Whether the policy itself says what is wrong with its configuration.
fn is_answer(error: &LoadError) -> bool {
    matches!(error.fault, LoadFault::Configuration(_))
}

fn tampered(source: &ModuleSource) -> Vec<Tampered> {
    let Ok(config) = serde_json::from_str::<Json>(&source.config_json) else {
        return Vec::new();
    };
    let mut pointers = Vec::new();
    tables(&config, "", 0, &mut pointers);
    let mut all = vec![
        Tampered {
            name: "the configuration is a list".to_owned(),
            config: json!([]),
            unknown: false,
        },
        Tampered {
            name: "the configuration is nothing".to_owned(),
            config: Json::Null,
            unknown: false,
        },
    ];
    for pointer in &pointers {
        let at = if pointer.is_empty() { "the whole" } else { pointer };
        let mut added = config.clone();
        if let Some(Json::Object(table)) = added.pointer_mut(pointer)
            && table.values().next().is_none_or(|value| !is_map_value(pointer, value))
        {
            table.insert("no-such-field".to_owned(), json!(1));
            all.push(Tampered {
                name: format!("a field nobody knows in {at}"),
                config: added,
                unknown: pointer.is_empty(),
            });
        }
        let Some(Json::Object(table)) = config.pointer(pointer) else {
            continue;
        };
        for (field, value) in table {
            let changed = |change: &dyn Fn(&mut serde_json::Map<String, Json>)| {
                let mut config = config.clone();
                if let Some(Json::Object(table)) = config.pointer_mut(pointer) {
                    change(table);
                }
                config
            };
            all.push(Tampered {
                name: format!("`{field}` of {at} is gone"),
                config: changed(&|table| drop(table.remove(field))),
                unknown: false,
            });
            all.push(Tampered {
                name: format!("`{field}` of {at} is of another type"),
                config: changed(&|table| drop(table.insert(field.clone(), another_type(value)))),
                unknown: false,
            });
        }
    }
    spread(all)
}

/// Some of many, from everywhere.
fn spread(all: Vec<Tampered>) -> Vec<Tampered> {
    let step = all.len().div_ceil(TAMPERED_MAX).max(1);
    all.into_iter().step_by(step).collect()
}

fn tables(value: &Json, way: &str, depth: usize, all: &mut Vec<String>) {
    if depth > DEPTH_MAX {
        return;
    }
    match value {
        Json::Object(table) => {
            all.push(way.to_owned());
            for (field, inner) in table {
                tables(
                    inner,
                    &format!("{way}/{}", field.replace('~', "~0").replace('/', "~1")),
                    depth + 1,
                    all,
                );
            }
        }
        Json::Array(items) => {
            for (index, inner) in items.iter().enumerate() {
                tables(inner, &format!("{way}/{index}"), depth + 1, all);
            }
        }
        Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) => {}
    }
}

/// Tables below the root may be maps with keys of the operator's own.
fn is_map_value(pointer: &str, value: &Json) -> bool {
    !pointer.is_empty() && (value.is_array() || value.is_object())
}

fn another_type(value: &Json) -> Json {
    match value {
        Json::Object(_) => json!("a text"),
        Json::Array(_) => json!(true),
        Json::String(_) => json!({ "a": [1, 2] }),
        Json::Number(_) => json!([1]),
        Json::Bool(_) | Json::Null => json!(1.5),
    }
}
