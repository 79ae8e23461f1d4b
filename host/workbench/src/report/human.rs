//! For people: what failed, with all that helps; what did not, in a line.

use crate::coverage::{Coverage, Part};
use crate::run::{FixtureResult, GuestLine, StepResult};
use sigwarden_core::policy::LogLevel;
use std::fmt::Write as _;
use std::time::Duration;

/// Styles, by what they mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Style {
    /// As wanted.
    Good,
    /// Not as wanted.
    Bad,
    /// A name.
    Strong,
    /// Beside the point.
    Dim,
}

/// Text in a style, if there are colours.
pub(crate) fn paint(colour: bool, style: Style, text: &str) -> String {
    let code = match style {
        Style::Good => "32",
        Style::Bad => "31",
        Style::Strong => "1",
        Style::Dim => "2",
    };
    if colour {
        format!("\u{1b}[{code}m{text}\u{1b}[0m")
    } else {
        text.to_owned()
    }
}

/// A fixture: one line, its failed steps, and with `verbose` all of them.
pub(crate) fn fixture_text(result: &FixtureResult, verbose: bool, colour: bool) -> String {
    let mut text = String::new();
    let mark = match result.passed() {
        true => paint(colour, Style::Good, "ok  "),
        false => paint(colour, Style::Bad, "FAIL"),
    };
    let name = paint(colour, Style::Strong, &format!("{} / {}", result.policy, result.fixture));
    let steps = result.steps.len();
    let plural = if steps == 1 { "step" } else { "steps" };
    let _ = writeln!(text, "{mark}  {name}  {}", paint(colour, Style::Dim, &format!("{steps} {plural}")));
    for step in result.steps.iter().filter(|step| verbose || !step.passed()) {
        step_text(&mut text, result, step, verbose, colour);
    }
    if let Some(trouble) = &result.trouble {
        let _ = writeln!(
            text,
            "      {}: {trouble}",
            paint(colour, Style::Bad, "it could not be run to its end")
        );
    }
    text
}

fn step_text(text: &mut String, result: &FixtureResult, step: &StepResult, verbose: bool, colour: bool) {
    let mark = match step.passed() {
        true => paint(colour, Style::Good, "ok  "),
        false => paint(colour, Style::Bad, "FAIL"),
    };
    let _ = writeln!(
        text,
        "      {mark}  {}: {}  {}",
        step.step,
        step.got,
        paint(colour, Style::Dim, &shown(step.elapsed))
    );
    if !step.passed() {
        let _ = writeln!(
            text,
            "            {}",
            paint(
                colour,
                Style::Dim,
                &format!("{}:{}:{}", result.file.display(), step.place.line, step.place.column)
            )
        );
    }
    for failure in &step.failures {
        let _ = writeln!(text, "            {}", paint(colour, Style::Bad, failure));
    }
    if verbose || !step.passed() {
        if let Some(message) = &step.message {
            let _ = writeln!(text, "            said    {message}");
        }
        for line in &step.log {
            let _ = writeln!(text, "            log     {}", log_line(line));
        }
        for line in &step.changed {
            let _ = writeln!(text, "            state   {line}");
        }
    }
}

pub(crate) fn log_line(line: &GuestLine) -> String {
    format!("{} {}: {}", line.instance, level(line.level), line.text)
}

pub(crate) fn level(level: LogLevel) -> &'static str {
    match level {
        LogLevel::Debug => "debug",
        LogLevel::Info => "info",
        LogLevel::Warn => "warn",
    }
}

fn shown(elapsed: Duration) -> String {
    format!("{} us", elapsed.as_micros())
}

/// The last line.
pub(crate) fn summary(results: &[FixtureResult], errors: usize, elapsed: Duration, colour: bool) -> String {
    let steps = || results.iter().flat_map(|result| &result.steps);
    let passed = steps().filter(|step| step.passed()).count();
    let failed = steps().filter(|step| !step.passed()).count() + results.iter().filter(|result| result.trouble.is_some()).count();
    let style = if failed + errors == 0 { Style::Good } else { Style::Bad };
    let mut text = paint(colour, style, &format!("{passed} passed, {failed} failed"));
    let _ = write!(text, "  {} fixtures in {:.2} s", results.len(), elapsed.as_secs_f64());
    if errors > 0 {
        let _ = write!(text, "; {errors} faults in fixtures that could not be run");
    }
    text
}

/// What is reached of a module.
pub(crate) fn coverage_text(coverage: &Coverage, colour: bool) -> String {
    let mut text = String::new();
    let name = paint(colour, Style::Strong, &coverage.policy);
    let _ = writeln!(text, "{name}  {:.1} % reached", coverage.percent());
    for (what, part) in [
        ("denial codes", &coverage.codes),
        ("facts", &coverage.facts),
        ("configuration fields", &coverage.fields),
    ] {
        let Part { all, missed } = part;
        let _ = writeln!(text, "      {what}: {} of {all}", all - missed.len());
        for name in missed {
            let _ = writeln!(text, "        {} {name}", paint(colour, Style::Bad, "not reached"));
        }
    }
    text
}
