//! The conformance kit: every step of a policy's fixtures again, with a failure injected at every host call, too little fuel, a state that
//! makes host calls answer with errors and huge values, a clock at its limits, facts that are missing, malformed and oversized, and a
//! configuration that was tampered with.
//!
//! It asserts that nothing is allowed that the clean run refused, that a refusal commits nothing, that two runs agree bit for bit, and
//! that no call is slower than its deadline.

mod attacked;
mod attacks;
mod configs;

use crate::deployment::{Answer, DeploymentError, Evaluated, Ground};
use crate::fixture::{Fault, Step};
use crate::library::Library;
use crate::prepared::Prepared;
use crate::run::{self, Observer};
use crate::state::{Rates, difference};
use attacked::{Attacked, Means, Seen, lock};
use attacks::{Attack, Kind};
pub use configs::attack_configurations;
use sigwarden_core::policy::FailureKind;
use sigwarden_core::state::State;
use sigwarden_core::{Refusal, Signed};
use sigwarden_policy::{ModuleSource, Sandbox};
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// What an evaluation may take over its deadline: the sandbox keeps it to within two ticks of 10 ms, and a machine under load may be late.
const LATE: Duration = Duration::from_millis(250);

/// What came of a fixture under attack.
#[derive(Debug, Default)]
pub struct Conformance {
    /// The policy that it belongs to.
    pub policy: String,
    /// Its name.
    pub fixture: String,
    /// Its file.
    pub file: PathBuf,
    /// How often it was attacked.
    pub attacks: usize,
    /// What must not be.
    pub violations: Vec<Violation>,
    /// What kept it from being attacked.
    pub trouble: Option<String>,
}

impl Conformance {
    /// Whether it withstands.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.violations.is_empty() && self.trouble.is_none()
    }
}

/// One for each fixture of many.
#[must_use]
pub fn added_up(all: Vec<Conformance>) -> Vec<Conformance> {
    let mut sums: Vec<Conformance> = Vec::new();
    for one in all {
        match sums.iter_mut().find(|sum| sum.file == one.file) {
            Some(sum) => {
                sum.attacks += one.attacks;
                sum.violations.extend(one.violations);
                sum.trouble = sum.trouble.take().or(one.trouble);
            }
            None => sums.push(one),
        }
    }
    sums
}

/// What must not be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// The instance under attack.
    pub instance: String,
    /// The step; empty for a configuration.
    pub step: String,
    /// What was done.
    pub attack: String,
    /// What came of it.
    pub what: String,
}

/// A step as it was in a clean run.
struct Clean {
    step: Step,
    before: State,
    evaluated: Vec<Evaluated>,
    refused: bool,
}

#[derive(Default)]
struct Recorder(Vec<Clean>);

impl Observer for Recorder {
    fn saw(&mut self, step: &Step, answer: &Answer) {
        // Where something else fails on purpose, a policy's own failure shows nothing.
        if step.fault != Fault::default() || answer.evaluated.is_empty() {
            return;
        }
        // Of a step that is run many times the last one counts.
        self.0.retain(|clean| clean.step.name != step.name);
        self.0.push(Clean {
            step: step.clone(),
            before: answer.before.clone(),
            evaluated: answer.evaluated.clone(),
            refused: answer.result.is_err(),
        });
    }
}

/// Attacks every step of a fixture.
#[must_use]
pub fn attack(prepared: &Prepared, library: &Library) -> Conformance {
    let mut conformance = Conformance {
        policy: prepared.fixture.policy.clone(),
        fixture: prepared.fixture.name.clone(),
        file: prepared.fixture.file.clone(),
        ..Conformance::default()
    };
    if !prepared.refused.is_empty() {
        return conformance;
    }
    if let Err(error) = attack_steps(prepared, library, &mut conformance) {
        conformance.trouble = Some(error.to_string());
    }
    conformance
}

/// The kit's own trouble.
#[derive(Debug, thiserror::Error)]
enum Trouble {
    #[error(transparent)]
    Deployment(#[from] DeploymentError),
    #[error(transparent)]
    Load(#[from] Arc<sigwarden_policy::LoadError>),
}

fn attack_steps(prepared: &Prepared, library: &Library, conformance: &mut Conformance) -> Result<(), Trouble> {
    let mut recorder = Recorder::default();
    let hash = library.engine().hash();
    run::run(prepared, hash, &mut recorder);
    let ground = Ground::new(&prepared.fixture, prepared.policies.clone(), hash)?;
    let mut sandboxes = Sandboxes::new(library);
    for clean in &recorder.0 {
        for one in &clean.evaluated {
            let target = one.job.binding;
            let Some(policy) = prepared.policies.get(target) else { continue };
            let instance = policy.loaded.instance.as_str();
            for attack in attacks::all(instance, &clean.before, one) {
                let (means, before) = sandboxes.means(&policy.source, &attack, &clean.before)?;
                let (evaluator, seen) = Attacked::new(&prepared.policies, target, means);
                let (result, after) = ground.ask_aside(&clean.step, before.clone(), Box::new(evaluator));
                let seen = lock(&seen).clone();
                conformance.attacks += 1;
                let outcome = Outcome {
                    result: &result,
                    before: &before,
                    after: &after,
                    seen: &seen,
                };
                let deadline = policy.source.limits.deadline;
                conformance
                    .violations
                    .extend(violations(clean, &attack, &outcome, deadline).into_iter().map(|what| Violation {
                        instance: instance.to_owned(),
                        step: clean.step.name.clone(),
                        attack: attack.name.clone(),
                        what,
                    }));
            }
        }
    }
    Ok(())
}

struct Outcome<'o> {
    result: &'o Result<Signed, Refusal>,
    before: &'o State,
    after: &'o State,
    seen: &'o Seen,
}

fn violations(clean: &Clean, attack: &Attack, outcome: &Outcome<'_>, deadline: Duration) -> Vec<String> {
    let mut found = Vec::new();
    if outcome.result.is_ok() && clean.refused && attack.never_allows {
        found.push("it was allowed, and the clean run was refused".to_owned());
    }
    if outcome.result.is_err() {
        let changed = difference(outcome.before, outcome.after, &Rates::default(), clean.step.at_ms);
        found.extend(
            changed
                .iter()
                .map(|line| format!("it was refused, and yet the state changed: {line}")),
        );
    }
    if outcome.seen.differs {
        found.push("asked twice, it answered differently".to_owned());
    }
    let past_deadline = matches!(&outcome.seen.answer, Some(Err(failure)) if failure.kind == FailureKind::Deadline);
    if past_deadline || outcome.seen.slowest > deadline + LATE {
        let took = outcome.seen.slowest.as_millis();
        found.push(format!("it took {took} ms, its deadline is {} ms", deadline.as_millis()));
    }
    // What the host calls ends the evaluation: a policy that goes on would decide on an answer that it never got.
    if let (Kind::HostCall(_), Some(Ok(_))) = (&attack.kind, &outcome.seen.answer) {
        found.push("a host call failed, and it answered all the same".to_owned());
    }
    found
}

/// Sandboxes to tamper with, one for each policy and amount of fuel.
struct Sandboxes<'l> {
    library: &'l Library,
    own: HashMap<String, Arc<Mutex<Sandbox>>>,
}

impl<'l> Sandboxes<'l> {
    fn new(library: &'l Library) -> Self {
        Self {
            library,
            own: HashMap::new(),
        }
    }

    fn means(&mut self, source: &ModuleSource, attack: &Attack, before: &State) -> Result<(Means, State), Trouble> {
        let means = match &attack.kind {
            Kind::Again => Means::Plain,
            Kind::State(state) => return Ok((Means::Plain, state.clone())),
            Kind::Request(request) => Means::Request(Arc::clone(request)),
            Kind::HostCall(fault) => {
                let sandbox = match self.own.get(&source.instance) {
                    Some(sandbox) => Arc::clone(sandbox),
                    None => {
                        let (sandbox, _) = self.library.sandbox(source.clone())?;
                        let sandbox = Arc::new(Mutex::new(sandbox));
                        self.own.insert(source.instance.clone(), Arc::clone(&sandbox));
                        sandbox
                    }
                };
                lock(&sandbox).fail_host_call(0, Some(*fault));
                Means::Sandbox(sandbox)
            }
            Kind::Fuel(fuel) => {
                let mut source = source.clone();
                source.limits.fuel = *fuel;
                let (sandbox, _) = self.library.sandbox(source)?;
                Means::Sandbox(Arc::new(Mutex::new(sandbox)))
            }
        };
        Ok((means, before.clone()))
    }
}
