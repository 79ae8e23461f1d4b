//! What fixtures reach of what a policy declares: denial codes, facts, fields of the configuration.

use crate::deployment::Answer;
use crate::fixture::Step;
use crate::prepared::Prepared;
use crate::run::{FixtureResult, Observer};
use serde_json::Value as Json;
use sigwarden_core::policy::Verdict;
use std::collections::{BTreeMap, BTreeSet};

/// How deep a schema is followed.
const DEPTH_MAX: usize = 16;

/// What one fixture reached, by module.
#[derive(Debug, Default)]
pub struct Reached {
    modules: BTreeMap<String, Module>,
}

/// What there is of a module, and what was reached.
#[derive(Debug, Default, Clone)]
pub struct Module {
    /// Denial codes declared.
    codes: BTreeSet<String>,
    /// Facts declared.
    facts: BTreeSet<String>,
    /// Fields that the configuration's schema has, as paths: `rules[].capacity`.
    fields: BTreeSet<String>,
    reached_codes: BTreeSet<String>,
    reached_facts: BTreeSet<String>,
    reached_fields: BTreeSet<String>,
}

/// Watches one fixture.
pub(crate) struct Observed<'p> {
    prepared: &'p Prepared,
    reached: Reached,
}

impl<'p> Observed<'p> {
    pub(crate) fn new(prepared: &'p Prepared) -> Self {
        let mut reached = Reached::default();
        for policy in &prepared.policies {
            let manifest = &policy.loaded.manifest;
            let module = reached.modules.entry(manifest.name.clone()).or_default();
            module
                .codes
                .extend(manifest.denial_codes.iter().filter(|code| !is_sdk_code(code)).cloned());
            module.facts.extend(manifest.facts.iter().cloned());
            if let Ok(schema) = serde_json::from_str::<Json>(&manifest.config_schema) {
                fields(&schema, &schema, "", 0, &mut module.fields);
            }
            if let Ok(config) = serde_json::from_str::<Json>(&policy.source.config_json) {
                set_fields(&config, "", &mut module.reached_fields);
            }
        }
        Self { prepared, reached }
    }

    pub(crate) fn into_reached(self) -> Reached {
        self.reached
    }
}

impl Observer for Observed<'_> {
    fn saw(&mut self, _: &Step, answer: &Answer) {
        for one in &answer.evaluated {
            let Some(policy) = self.prepared.policies.get(one.job.binding) else {
                continue;
            };
            let module = self.reached.modules.entry(policy.loaded.manifest.name.clone()).or_default();
            let facts = one.job.request.decoded.facts.iter().map(|fact| fact.name.to_owned());
            module.reached_facts.extend(facts);
            if let Ok(report) = &one.result
                && let Verdict::Deny(denials) = &report.verdict
            {
                module.codes.extend(denials.iter().map(|denial| denial.code.clone()));
                module.reached_codes.extend(denials.iter().map(|denial| denial.code.clone()));
            }
        }
    }
}

/// Codes that the SDK adds to every manifest, for what a real host never lets happen: they count only where they are reached.
fn is_sdk_code(code: &str) -> bool {
    code == "facts/missing" || code.starts_with("sdk/")
}

/// Every field of a schema, as a path.
fn fields(schema: &Json, root: &Json, way: &str, depth: usize, all: &mut BTreeSet<String>) {
    if depth > DEPTH_MAX {
        return;
    }
    if let Some(name) = schema
        .get("$ref")
        .and_then(Json::as_str)
        .and_then(|name| name.strip_prefix("#/$defs/"))
        && let Some(inner) = root.get("$defs").and_then(|defs| defs.get(name))
    {
        fields(inner, root, way, depth + 1, all);
    }
    for word in ["anyOf", "oneOf", "allOf"] {
        for inner in schema.get(word).and_then(Json::as_array).into_iter().flatten() {
            fields(inner, root, way, depth + 1, all);
        }
    }
    for (name, inner) in schema.get("properties").and_then(Json::as_object).into_iter().flatten() {
        let path = join(way, name);
        fields(inner, root, &path, depth + 1, all);
        all.insert(path);
    }
    if let Some(items) = schema.get("items").filter(|items| items.is_object()) {
        fields(items, root, &format!("{way}[]"), depth + 1, all);
    }
}

/// Every field that a configuration sets, as a path.
fn set_fields(config: &Json, way: &str, all: &mut BTreeSet<String>) {
    match config {
        Json::Object(table) => {
            for (name, value) in table {
                let path = join(way, name);
                set_fields(value, &path, all);
                all.insert(path);
            }
        }
        Json::Array(items) => items.iter().for_each(|item| set_fields(item, &format!("{way}[]"), all)),
        Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) => {}
    }
}

fn join(way: &str, name: &str) -> String {
    if way.is_empty() { name.to_owned() } else { format!("{way}.{name}") }
}

/// What is reached of one module by all fixtures.
#[derive(Debug, Clone, PartialEq)]
pub struct Coverage {
    /// The module's name.
    pub policy: String,
    /// Denial codes.
    pub codes: Part,
    /// Facts.
    pub facts: Part,
    /// Fields of the configuration.
    pub fields: Part,
}

/// How much of something is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// How many there are.
    pub all: usize,
    /// Which are not reached.
    pub missed: Vec<String>,
}

impl Part {
    fn of(all: &BTreeSet<String>, reached: &BTreeSet<String>) -> Self {
        Self {
            all: all.len(),
            missed: all.difference(reached).cloned().collect(),
        }
    }
}

impl Coverage {
    /// Reached of all, in percent; of nothing everything.
    #[must_use]
    pub fn percent(&self) -> f64 {
        let parts = [&self.codes, &self.facts, &self.fields];
        let all: usize = parts.iter().map(|part| part.all).sum();
        let missed: usize = parts.iter().map(|part| part.missed.len()).sum();
        let of = |count: usize| f64::from(u32::try_from(count).unwrap_or(u32::MAX));
        if all == 0 { 100.0 } else { 100.0 * of(all - missed) / of(all) }
    }
}

/// Adds up what fixtures reached. Only modules that are the subject of a fixture count: the others are there to be beside them.
#[must_use]
pub fn coverage(reached: &[Reached], results: &[FixtureResult]) -> Vec<Coverage> {
    let mut modules: BTreeMap<String, Module> = BTreeMap::new();
    for (name, module) in reached.iter().flat_map(|reached| &reached.modules) {
        let sum = modules.entry(name.clone()).or_default();
        sum.codes.extend(module.codes.iter().cloned());
        sum.facts.extend(module.facts.iter().cloned());
        sum.fields.extend(module.fields.iter().cloned());
        sum.reached_codes.extend(module.reached_codes.iter().cloned());
        sum.reached_facts.extend(module.reached_facts.iter().cloned());
        sum.reached_fields.extend(module.reached_fields.iter().cloned());
    }
    let subject = |name: &String| results.iter().any(|result| result.policy == *name);
    let any_subject = modules.keys().any(subject);
    modules
        .iter()
        .filter(|(name, _)| !any_subject || subject(name))
        .map(|(name, module)| Coverage {
            policy: name.clone(),
            codes: Part::of(&module.codes, &module.reached_codes),
            facts: Part::of(&module.facts, &module.reached_facts),
            fields: Part::of(&module.fields, &module.reached_fields),
        })
        .collect()
}
