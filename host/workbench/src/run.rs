//! Runs a fixture, step by step, and says what was wanted and what came.

use crate::check;
use crate::deployment::{Answer, Deployment, DeploymentError, Evaluated};
use crate::fixture::{Place, Step, floors};
use crate::prepared::{Prepared, Refused};
use crate::state::{Rates, difference};
use sigwarden_core::fact::SigningInput;
use sigwarden_core::key::KeyId;
use sigwarden_core::policy::LogLevel;
use sigwarden_core::{RawSignature, Refusal};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// What came of a fixture.
#[derive(Debug)]
pub struct FixtureResult {
    /// The policy that it belongs to.
    pub policy: String,
    /// Its name.
    pub fixture: String,
    /// Its file.
    pub file: PathBuf,
    /// Its steps, those that were run.
    pub steps: Vec<StepResult>,
    /// What kept it from being run to its end.
    pub trouble: Option<String>,
}

impl FixtureResult {
    /// Whether all is as wanted.
    #[must_use]
    pub fn passed(&self) -> bool {
        self.trouble.is_none() && self.steps.iter().all(StepResult::passed)
    }
}

/// What came of a step.
#[derive(Debug, Clone)]
pub struct StepResult {
    /// The step's name.
    pub step: String,
    /// Where it stands.
    pub place: Place,
    /// What was wanted.
    pub expected: String,
    /// What came.
    pub got: String,
    /// The refusal's message.
    pub message: Option<String>,
    /// What is not as wanted, a line each. Empty if all is.
    pub failures: Vec<String>,
    /// Guest log lines.
    pub log: Vec<GuestLine>,
    /// What changed in the state, a line each.
    pub changed: Vec<String>,
    /// How long the request took, the last one of several.
    pub elapsed: Duration,
    /// Fuel that the policies used in it.
    pub fuel: u64,
}

impl StepResult {
    /// Whether all is as wanted.
    #[must_use]
    pub fn passed(&self) -> bool {
        self.failures.is_empty()
    }
}

/// A line that a policy logged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GuestLine {
    /// The instance.
    pub instance: String,
    /// How much it matters.
    pub level: LogLevel,
    /// The text.
    pub text: String,
}

/// What is remembered of earlier steps.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    /// Signatures of steps by name.
    pub(crate) signatures: BTreeMap<String, Vec<RawSignature>>,
    /// What was signed for whom: a retry may be answered with the signature over the first one's bytes.
    pub(crate) signed: Vec<(KeyId, SigningInput)>,
    /// Rates of buckets.
    pub(crate) rates: Rates,
}

/// Whoever looks at each request as it was run: coverage, attacks, measurements.
pub trait Observer {
    /// One request of a step.
    fn saw(&mut self, step: &Step, answer: &Answer);
}

/// Nobody looks.
impl Observer for () {
    fn saw(&mut self, _: &Step, _: &Answer) {}
}

/// Runs a fixture.
pub fn run(prepared: &Prepared, engine_hash: &str, observer: &mut dyn Observer) -> FixtureResult {
    let fixture = &prepared.fixture;
    let mut result = FixtureResult {
        policy: fixture.policy.clone(),
        fixture: fixture.name.clone(),
        file: fixture.file.clone(),
        steps: Vec::with_capacity(fixture.steps.len()),
        trouble: None,
    };
    if !prepared.refused.is_empty() {
        result.steps = prepared.refused.iter().map(|refused| refused_config(prepared, refused)).collect();
        return result;
    }
    let steps = Deployment::new(fixture, prepared.policies.clone(), engine_hash)
        .and_then(|deployment| run_steps(prepared, deployment, &mut result.steps, observer));
    result.trouble = steps.err().map(|error| error.to_string());
    result
}

fn run_steps(
    prepared: &Prepared,
    mut deployment: Deployment<'_>,
    results: &mut Vec<StepResult>,
    observer: &mut dyn Observer,
) -> Result<(), DeploymentError> {
    let mut memory = Memory {
        signed: floors::signed(&prepared.fixture.keys),
        ..Memory::default()
    };
    for step in &prepared.fixture.steps {
        deployment.prepare(step)?;
        let mut last = None;
        for turn in 0..step.times {
            let answer = deployment.ask(step);
            observer.saw(step, &answer);
            memory.rates.learn(&answer.evaluated, |binding| instance(prepared, binding));
            let mut result = judge(prepared, step, &answer, &mut memory);
            if !result.passed() && step.times > 1 {
                result.failures.insert(0, format!("in request {} of {}", turn + 1, step.times));
            }
            let passed = result.passed();
            last = Some((result, answer));
            if !passed {
                break;
            }
        }
        deployment.mend(step);
        let Some((mut result, answer)) = last else { continue };
        if result.passed() {
            result.failures = check::after(prepared, step, &answer, &memory, deployment.public_keys());
        }
        results.push(result);
    }
    Ok(())
}

fn judge(prepared: &Prepared, step: &Step, answer: &Answer, memory: &mut Memory) -> StepResult {
    let failures = check::answer(prepared, step, answer, memory);
    let log = log(prepared, &answer.evaluated);
    let mut result = StepResult {
        step: step.name.clone(),
        place: step.place,
        expected: step.expect.to_string(),
        got: got(answer),
        message: answer.result.as_ref().err().map(|refusal| refusal.full_message().into_owned()),
        failures,
        changed: difference(&answer.before, &answer.after, &memory.rates, step.at_ms),
        elapsed: answer.elapsed,
        fuel: answer.evaluated.iter().filter_map(|one| Some(one.result.as_ref().ok()?.fuel)).sum(),
        log,
    };
    let missing = step
        .log
        .iter()
        .filter(|wanted| !result.log.iter().any(|line| line.text.contains(*wanted)));
    result
        .failures
        .extend(missing.map(|wanted| format!("no guest log line holds `{wanted}`")));
    result
}

/// What came, as `expect` would have it.
pub(crate) fn got(answer: &Answer) -> String {
    match &answer.result {
        _ if answer.died => "no-answer".to_owned(),
        Ok(_) => "allow".to_owned(),
        Err(refusal) => codes(refusal).join(" + "),
    }
}

/// Every code of a refusal.
pub(crate) fn codes(refusal: &Refusal) -> Vec<String> {
    if refusal.denials.is_empty() {
        return vec![refusal.code().into_owned()];
    }
    refusal.denials.iter().map(|denial| denial.code.clone()).collect()
}

pub(crate) fn instance(prepared: &Prepared, binding: usize) -> Option<Arc<str>> {
    prepared.fixture.policies.get(binding).map(|policy| policy.name.as_str().into())
}

fn log(prepared: &Prepared, evaluated: &[Evaluated]) -> Vec<GuestLine> {
    let mut lines = Vec::new();
    for one in evaluated {
        let Some(instance) = instance(prepared, one.job.binding) else {
            continue;
        };
        let logged = one.result.as_ref().map_or(&one.log, |report| &report.log);
        lines.extend(logged.iter().map(|line| GuestLine {
            instance: instance.to_string(),
            level: line.level,
            text: line.text.clone(),
        }));
    }
    lines
}

fn refused_config(prepared: &Prepared, refused: &Refused) -> StepResult {
    let policy = prepared.fixture.policies.iter().find(|policy| policy.name == refused.instance);
    let list = |paths: &[String]| {
        let paths: Vec<String> = paths.iter().map(|path| format!("`{path}`")).collect();
        format!("configuration refused at {}", paths.join(", "))
    };
    let expected = list(&refused.wanted);
    let got = match &refused.got {
        Ok(paths) if paths.is_empty() => "configuration accepted".to_owned(),
        Ok(paths) => list(paths),
        Err(message) => message.clone(),
    };
    let right = refused.got.as_ref().is_ok_and(|got| !got.is_empty() && *got == refused.wanted);
    StepResult {
        step: format!("configuration of {}", refused.instance),
        place: policy.map_or(Place { line: 1, column: 1 }, |policy| policy.place),
        failures: if right {
            Vec::new()
        } else {
            vec![format!("expected {expected}, got {got}")]
        },
        expected,
        got,
        message: None,
        log: Vec::new(),
        changed: Vec::new(),
        elapsed: Duration::ZERO,
        fuel: 0,
    }
}
