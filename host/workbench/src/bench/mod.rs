//! What policies cost: latency, fuel and memory of each step of their fixtures, against an empty policy and one raw secp256k1 signature
//! in the same run.

mod measure;
mod memory;
mod saved;

pub use saved::{Compared, SavedError, compare, load, save};

use crate::deployment::{Answer, Evaluated};
use crate::fixture::{Fault, Step};
use crate::library::{Library, LoadedPolicy};
use crate::prepared::Prepared;
use crate::run::{self, Observer};
use measure::{Samples, raw_signature};
use memory::Memory;
use serde::{Deserialize, Serialize};
use sigwarden_core::policy::{Evaluator, Job};
use sigwarden_policy::{LoadError, ModuleSource, PolicyLimits};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// The policy that allows everything.
const EMPTY: &[u8] = include_bytes!("empty.wasm");
/// A guest that is stopped at its first instruction has been instantiated and handed its request.
const FIRST_INSTRUCTION: u64 = 1;
/// Fuel that is suggested: so many times what the dearest step used.
const FUEL_MARGIN: u64 = 10;
/// Memory that is suggested: so many times what the dearest step needed.
const MEMORY_MARGIN: u64 = 2;

/// Everything that was measured. Microseconds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Measured {
    /// One raw secp256k1 ECDSA signature.
    pub raw_signature: Latency,
    /// The empty policy.
    pub empty: Latency,
    /// Each policy in each step.
    pub steps: Vec<StepCost>,
    /// What is suggested for each module.
    pub suggested: BTreeMap<String, Suggestion>,
}

/// Latencies, microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Latency {
    /// The median.
    pub p50: f64,
    /// The 99th percentile.
    pub p99: f64,
}

/// What one policy costs in one step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StepCost {
    /// The module.
    pub policy: String,
    /// The fixture.
    pub fixture: String,
    /// The step.
    pub step: String,
    /// The instance in the fixture.
    pub instance: String,
    /// Until the first instruction of `evaluate`.
    pub instantiate: Latency,
    /// The whole of it.
    pub evaluate: Latency,
    /// Fuel.
    pub fuel: u64,
    /// Linear memory at its peak, bytes.
    pub memory_bytes: u64,
}

/// Limits that fit what was measured, with a margin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Suggestion {
    /// `fuel`.
    pub fuel: u64,
    /// `memory_bytes`.
    pub memory_bytes: u64,
}

/// A step in a clean run.
#[derive(Default)]
struct Recorder(Vec<(String, Vec<Evaluated>)>);

impl Observer for Recorder {
    fn saw(&mut self, step: &Step, answer: &Answer) {
        if step.fault != Fault::default() {
            return;
        }
        self.0.retain(|(name, _)| *name != step.name);
        self.0.push((step.name.clone(), answer.evaluated.clone()));
    }
}

/// Measures every step of some fixtures, `turns` times each. One after the other, so that they do not disturb each other.
///
/// # Errors
/// A module does not load with the limits that are tried.
pub fn measure(all: &[Prepared], library: &Library, turns: usize) -> Result<Measured, Arc<LoadError>> {
    let empty = library.load_source(ModuleSource {
        instance: "empty".to_owned(),
        wasm: EMPTY.to_vec(),
        config_json: "{}".to_owned(),
        limits: PolicyLimits::default(),
    })?;
    let (mut raw, mut of_empty) = (Samples::default(), Samples::default());
    let mut steps = Vec::new();
    let mut memory = Memory::new(library);
    let mut starved = Starved::new(library);
    for prepared in all.iter().filter(|prepared| prepared.refused.is_empty()) {
        let mut recorder = Recorder::default();
        run::run(prepared, library.engine().hash(), &mut recorder);
        for (step, evaluated) in &recorder.0 {
            for one in evaluated {
                let Some(policy) = prepared.policies.get(one.job.binding) else {
                    continue;
                };
                let Ok(report) = &one.result else { continue };
                let stopped = starved.policy(policy)?;
                let (mut instantiate, mut evaluate) = (Samples::default(), Samples::default());
                for _ in 0..turns {
                    // In turn, so that all see the same machine.
                    raw.time(raw_signature);
                    of_empty.time(|| ask(&empty, &one.job));
                    instantiate.time(|| ask(&stopped, &one.job));
                    evaluate.time(|| ask(policy, &one.job));
                }
                steps.push(StepCost {
                    policy: policy.loaded.manifest.name.clone(),
                    fixture: prepared.fixture.name.clone(),
                    step: step.clone(),
                    instance: policy.loaded.instance.clone(),
                    instantiate: instantiate.latency(),
                    evaluate: evaluate.latency(),
                    fuel: report.fuel,
                    memory_bytes: memory.peak(policy, one)?,
                });
            }
        }
    }
    Ok(Measured {
        raw_signature: raw.latency(),
        empty: of_empty.latency(),
        suggested: suggestions(&steps),
        steps,
    })
}

fn ask(policy: &LoadedPolicy, job: &Job) {
    // Whatever it answers: how long it takes is the question.
    drop(std::hint::black_box(policy.sandbox.evaluate(Job { binding: 0, ..job.clone() })));
}

/// Policies that are stopped at their first instruction.
struct Starved<'l> {
    library: &'l Library,
    own: BTreeMap<String, Arc<LoadedPolicy>>,
}

impl<'l> Starved<'l> {
    fn new(library: &'l Library) -> Self {
        Self {
            library,
            own: BTreeMap::new(),
        }
    }

    fn policy(&mut self, policy: &LoadedPolicy) -> Result<Arc<LoadedPolicy>, Arc<LoadError>> {
        let key = format!("{}/{}", policy.loaded.module_digest, policy.loaded.config_digest);
        if let Some(found) = self.own.get(&key) {
            return Ok(Arc::clone(found));
        }
        let mut source = policy.source.clone();
        source.limits.fuel = FIRST_INSTRUCTION;
        source.limits.deadline = Duration::from_secs(10);
        let loaded = self.library.load_source(source)?;
        self.own.insert(key, Arc::clone(&loaded));
        Ok(loaded)
    }
}

fn suggestions(steps: &[StepCost]) -> BTreeMap<String, Suggestion> {
    let mut dearest: BTreeMap<String, (u64, u64)> = BTreeMap::new();
    for step in steps {
        let (fuel, memory) = dearest.entry(step.policy.clone()).or_default();
        *fuel = step.fuel.max(*fuel);
        *memory = step.memory_bytes.max(*memory);
    }
    let suggestion = |(policy, (fuel, memory)): (String, (u64, u64))| {
        let suggestion = Suggestion {
            fuel: rounded_up(fuel.saturating_mul(FUEL_MARGIN)),
            memory_bytes: memory.saturating_mul(MEMORY_MARGIN).next_multiple_of(memory::PAGE),
        };
        (policy, suggestion)
    };
    dearest.into_iter().map(suggestion).collect()
}

/// Up to two digits that are not zero.
fn rounded_up(number: u64) -> u64 {
    let mut unit = 1_u64;
    while number / unit >= 100 {
        unit = unit.saturating_mul(10);
    }
    number.div_ceil(unit).saturating_mul(unit)
}

#[cfg(test)]
mod tests {
    use super::rounded_up;

    #[test]
    fn a_suggestion_has_two_digits_and_is_never_less() {
        for (number, wanted) in [
            (0, 0),
            (7, 7),
            (99, 99),
            (100, 100),
            (101, 110),
            (123_456, 130_000),
            (999_001, 1_000_000),
        ] {
            assert_eq!(rounded_up(number), wanted);
        }
    }
}
