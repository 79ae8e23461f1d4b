//! For machines: one JSON object a line.

use super::human::level;
use crate::coverage::Coverage;
use crate::run::{FixtureResult, StepResult};
use serde_json::json;

/// One step.
pub(crate) fn step_line(result: &FixtureResult, step: &StepResult) -> String {
    let log = step.log.iter().map(|line| {
        json!({
            "policy": line.instance,
            "level": level(line.level),
            "text": line.text,
        })
    });
    json!({
        "policy": result.policy,
        "fixture": result.fixture,
        "step": step.step,
        "expected": step.expected,
        "got": step.got,
        "us": u64::try_from(step.elapsed.as_micros()).unwrap_or(u64::MAX),
        "passed": step.passed(),
        "failures": step.failures,
        "message": step.message,
        "fuel": step.fuel,
        "file": result.file.display().to_string(),
        "line": step.place.line,
        "log": log.collect::<Vec<_>>(),
        "changed": step.changed,
    })
    .to_string()
}

/// What is reached of one module.
pub(crate) fn coverage_line(coverage: &Coverage) -> String {
    let part = |part: &crate::coverage::Part| json!({ "all": part.all, "missed": part.missed });
    json!({
        "policy": coverage.policy,
        "coverage": {
            "percent": coverage.percent(),
            "denial_codes": part(&coverage.codes),
            "facts": part(&coverage.facts),
            "config_fields": part(&coverage.fields),
        },
    })
    .to_string()
}
