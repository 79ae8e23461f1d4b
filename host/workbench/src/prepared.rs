//! A fixture with its modules loaded, and what only they can tell checked: configurations and denial codes.

use crate::facts;
use crate::fixture::{Expect, Fixture, FixtureError, Place, Policy, document};
use crate::library::{Library, LibraryError, LoadedPolicy};
use sigwarden_core::Code;
use sigwarden_policy::LoadFault;
use std::collections::BTreeSet;
use std::sync::Arc;

/// A fixture that can be run.
pub struct Prepared {
    /// The fixture.
    pub fixture: Fixture,
    /// Its policies, in order; empty if one is to refuse its configuration.
    pub policies: Vec<Arc<LoadedPolicy>>,
    /// What came of the configurations that are to be refused, one for each.
    pub refused: Vec<Refused>,
}

/// A configuration that is to be refused.
#[derive(Debug, Clone)]
pub struct Refused {
    /// The instance.
    pub instance: String,
    /// The paths at which problems are wanted, sorted.
    pub wanted: Vec<String>,
    /// Those at which there are some, sorted, or why it did not come to that.
    pub got: Result<Vec<String>, String>,
}

/// Loads a fixture's modules.
///
/// # Errors
/// A module that does not load, or a code that none of them can return, each at its place in the file.
pub fn prepare(fixture: Fixture, library: &Library) -> Result<Prepared, Vec<FixtureError>> {
    let mut errors = Vec::new();
    let mut policies = Vec::with_capacity(fixture.policies.len());
    let mut refused = Vec::new();
    for policy in &fixture.policies {
        let loaded = library.load(&fixture.file, policy);
        match (&policy.refuses_config, loaded) {
            (None, Ok(loaded)) => {
                errors.extend(strange_facts(&fixture, policy, &loaded));
                policies.push(loaded);
            }
            (None, Err(error)) => {
                let file = policy.config_file.as_ref();
                let file = file.map_or_else(String::new, |file| format!("\n  (the configuration stands in {})", file.display()));
                errors.push(error_at(&fixture, policy.place, "policy", format!("{error}{file}")));
            }
            (Some(wanted), loaded) => refused.push(refusal(policy, wanted, loaded.err())),
        }
    }
    if errors.is_empty() && refused.is_empty() {
        errors = strange_codes(&fixture, &policies);
    }
    if errors.is_empty() {
        Ok(Prepared {
            fixture,
            policies,
            refused,
        })
    } else {
        Err(errors)
    }
}

fn error_at(fixture: &Fixture, place: Place, field: &str, message: String) -> FixtureError {
    FixtureError {
        file: fixture.file.clone(),
        line: place.line,
        column: place.column,
        field: field.to_owned(),
        message,
    }
}

fn refusal(policy: &Policy, wanted: &[String], error: Option<LibraryError>) -> Refused {
    let paths = |problems: &[sigwarden_policy::ConfigProblem]| {
        let paths: BTreeSet<String> = problems.iter().map(|problem| problem.path.clone()).collect();
        paths.into_iter().collect()
    };
    let got = match &error {
        None => Ok(Vec::new()),
        Some(LibraryError::Load(error)) if let LoadFault::Configuration(problems) = &error.fault => Ok(paths(problems)),
        Some(error) => Err(error.to_string()),
    };
    let wanted: BTreeSet<String> = wanted.iter().cloned().collect();
    Refused {
        instance: policy.name.clone(),
        wanted: wanted.into_iter().collect(),
        got,
    }
}

/// Facts that a module says it reads and that no format has: it would wait for them in vain, and coverage with it.
fn strange_facts(fixture: &Fixture, policy: &Policy, loaded: &LoadedPolicy) -> Option<FixtureError> {
    let known = facts::names();
    let strange = loaded.loaded.manifest.facts.iter().find(|fact| !known.contains(fact.as_str()))?;
    let known: Vec<&str> = known.into_iter().collect();
    let message = format!(
        "the manifest of `{}` lists what no format has: {}",
        policy.name,
        document::unknown("fact", strange, &known)
    );
    Some(error_at(fixture, policy.place, "policy", message))
}

/// Codes that a step expects and that neither the host nor a policy of the fixture can give.
fn strange_codes(fixture: &Fixture, policies: &[Arc<LoadedPolicy>]) -> Vec<FixtureError> {
    let short: BTreeSet<&str> = policies
        .iter()
        .flat_map(|policy| policy.loaded.manifest.denial_codes.iter().map(String::as_str))
        .collect();
    let whole: BTreeSet<String> = policies
        .iter()
        .flat_map(|policy| {
            let codes = policy.loaded.manifest.denial_codes.iter();
            codes.map(|code| format!("policy/{}/{code}", policy.loaded.instance))
        })
        .collect();
    let host: Vec<&str> = Code::ALL
        .iter()
        .filter(|code| **code != Code::Policy)
        .map(|code| code.as_str())
        .collect();
    let mut known: Vec<&str> = short.iter().copied().collect();
    known.extend(whole.iter().map(String::as_str));
    let mut errors: Vec<FixtureError> = Vec::new();
    let mut judge = |code: &str, place: Place, step: &str| {
        if known.contains(&code) || host.contains(&code) {
            return;
        }
        // A name that begins like one of the host's is looked for there.
        let area = code.split('/').next().unwrap_or_default();
        let of_host = host.iter().copied().filter(|host| host.split('/').next() == Some(area));
        let candidates: Vec<&str> = ["allow", "no-answer"]
            .into_iter()
            .chain(known.iter().copied())
            .chain(of_host)
            .collect();
        let message = document::unknown("code", code, &candidates);
        let error = error_at(fixture, place, &format!("step `{step}`.expect"), message);
        if !errors.iter().any(|other| (other.line, other.column) == (error.line, error.column)) {
            errors.push(error);
        }
    };
    for step in &fixture.steps {
        match &step.expect {
            Expect::Allow | Expect::NoAnswer => {}
            Expect::Refusal(code, place) => judge(code, *place, &step.name),
            Expect::Denials(codes) => codes.iter().for_each(|(code, place)| judge(code, *place, &step.name)),
        }
    }
    errors
}
