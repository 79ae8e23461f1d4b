//! What came of attacks.

use super::human::{Style, paint};
use crate::conformance::Conformance;
use serde_json::json;
use std::fmt::Write as _;
use std::time::Duration;

/// A fixture: one line, and what must not be.
pub(crate) fn conformance_text(conformance: &Conformance, colour: bool) -> String {
    let mark = match conformance.holds() {
        true => paint(colour, Style::Good, "ok  "),
        false => paint(colour, Style::Bad, "FAIL"),
    };
    let name = paint(colour, Style::Strong, &format!("{} / {}", conformance.policy, conformance.fixture));
    let count = paint(colour, Style::Dim, &format!("{} attacks", conformance.attacks));
    let mut text = format!("{mark}  {name}  {count}\n");
    for violation in &conformance.violations {
        let step = if violation.step.is_empty() {
            "configuration"
        } else {
            &violation.step
        };
        let _ = writeln!(text, "      {step}: {}: {}", violation.instance, violation.attack);
        let _ = writeln!(text, "            {}", paint(colour, Style::Bad, &violation.what));
    }
    text
}

/// One fixture for machines.
pub(crate) fn conformance_line(conformance: &Conformance) -> String {
    let violations = conformance.violations.iter().map(|violation| {
        json!({
            "instance": violation.instance,
            "step": violation.step,
            "attack": violation.attack,
            "what": violation.what,
        })
    });
    json!({
        "policy": conformance.policy,
        "fixture": conformance.fixture,
        "file": conformance.file.display().to_string(),
        "attacks": conformance.attacks,
        "violations": violations.collect::<Vec<_>>(),
    })
    .to_string()
}

/// The last line.
pub(crate) fn conformance_summary(all: &[Conformance], elapsed: Duration, colour: bool) -> String {
    let attacks: usize = all.iter().map(|one| one.attacks).sum();
    let violations: usize = all
        .iter()
        .map(|one| one.violations.len() + usize::from(one.trouble.is_some()))
        .sum();
    let style = if violations == 0 { Style::Good } else { Style::Bad };
    let text = paint(
        colour,
        style,
        &format!("{} attacks withstood, {violations} not", attacks.saturating_sub(violations)),
    );
    format!("{text}  in {:.2} s", elapsed.as_secs_f64())
}
