//! JUnit XML, as CI systems read it: a suite for each fixture, a case for each step.

use crate::fixture::FixtureError;
use crate::report::human::log_line;
use crate::run::{FixtureResult, StepResult};
use std::fmt::Write as _;

/// The whole file.
pub(crate) fn junit(results: &[FixtureResult], errors: &[FixtureError]) -> String {
    let mut xml = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n");
    for result in results {
        let failed = result.steps.iter().filter(|step| !step.passed()).count();
        let seconds: f64 = result.steps.iter().map(|step| step.elapsed.as_secs_f64()).sum();
        let troubled = usize::from(result.trouble.is_some());
        let _ = writeln!(
            xml,
            "  <testsuite name=\"{}\" tests=\"{}\" failures=\"{failed}\" errors=\"{troubled}\" time=\"{seconds:.6}\">",
            escape(&format!("{}.{}", result.policy, result.fixture)),
            result.steps.len() + troubled,
        );
        for step in &result.steps {
            case(&mut xml, result, step);
        }
        if let Some(trouble) = &result.trouble {
            let class = escape(&format!("{}.{}", result.policy, result.fixture));
            let _ = writeln!(
                xml,
                "    <testcase classname=\"{class}\" name=\"the whole\"><error message=\"{}\"/></testcase>",
                escape(trouble)
            );
        }
        xml.push_str("  </testsuite>\n");
    }
    if !errors.is_empty() {
        let count = errors.len();
        let _ = writeln!(
            xml,
            "  <testsuite name=\"fixtures\" tests=\"{count}\" failures=\"0\" errors=\"{count}\">"
        );
        for error in errors {
            let _ = writeln!(
                xml,
                "    <testcase classname=\"fixtures\" name=\"{}\"><error message=\"{}\"/></testcase>",
                escape(&format!("{}:{}:{}", error.file.display(), error.line, error.column)),
                escape(&error.to_string())
            );
        }
        xml.push_str("  </testsuite>\n");
    }
    xml.push_str("</testsuites>\n");
    xml
}

fn case(xml: &mut String, result: &FixtureResult, step: &StepResult) {
    let _ = write!(
        xml,
        "    <testcase classname=\"{}\" name=\"{}\" file=\"{}\" line=\"{}\" time=\"{:.6}\"",
        escape(&format!("{}.{}", result.policy, result.fixture)),
        escape(&step.step),
        escape(&result.file.display().to_string()),
        step.place.line,
        step.elapsed.as_secs_f64()
    );
    if step.passed() {
        xml.push_str("/>\n");
        return;
    }
    let first = step.failures.first().map(String::as_str).unwrap_or_default();
    let mut body = step.failures.join("\n");
    for line in step.log.iter().map(log_line).chain(step.changed.iter().cloned()) {
        body.push('\n');
        body.push_str(&line);
    }
    let _ = writeln!(
        xml,
        "><failure message=\"{}\">{}</failure></testcase>",
        escape(first),
        escape(&body)
    );
}

/// Text as it may stand in XML 1.0: control characters that it cannot hold are replaced.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\n' | '\t' => escaped.push(letter),
            letter if letter.is_control() || matches!(letter, '\u{fffe}' | '\u{ffff}') => escaped.push('\u{fffd}'),
            letter => escaped.push(letter),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::escape;

    #[test]
    fn text_cannot_leave_its_attribute() {
        assert_eq!(escape("a\"<b>&\u{1b}[0m"), "a&quot;&lt;b&gt;&amp;\u{fffd}[0m");
    }
}
