//! Where a request's time went: the medians of the stages that its own records name.

use crate::measure::Samples;
use crate::rig::Rig;
use anyhow::{Context, Result};
use serde_json::Value;
use std::fmt::Write as _;
use std::time::Duration;

/// Outcomes that are looked at.
const LINES: usize = 4_000;

/// The medians of the last requests' stages, in the order in which they ran: `open 1, authorize 2, …, between 9`. What is left of a
/// request after them (its outcome's own record among it) is `rest`.
///
/// # Errors
/// The log cannot be read.
pub fn medians(rig: &Rig, whole: f64) -> Result<String> {
    let mut stages: Vec<(String, Samples)> = Vec::new();
    for line in sigwarden_ledger::tail(&rig.dir.join("state"), LINES)? {
        let record: Value = serde_json::from_slice(line.as_ref()).context("a record")?;
        let Some(list) = record.pointer("/body/micros").and_then(Value::as_array) else {
            continue;
        };
        for stage in list {
            let (Some(name), Some(micros)) = (stage.get(0).and_then(Value::as_str), stage.get(1).and_then(Value::as_u64)) else {
                continue;
            };
            let spent = Duration::from_micros(micros);
            match stages.iter_mut().find(|(known, _)| known == name) {
                Some((_, samples)) => samples.push(spent),
                None => {
                    let mut samples = Samples::default();
                    samples.push(spent);
                    stages.push((name.to_owned(), samples));
                }
            }
        }
    }
    let mut text = String::new();
    let mut sum = 0.0;
    for (name, samples) in &stages {
        sum += samples.p50();
        write!(text, "{name} {:.0}, ", samples.p50())?;
    }
    write!(text, "rest {:.0}", whole - sum)?;
    Ok(text)
}
