//! `sigwarden audit`: reads the log's files alone, beside a running daemon or without one.

use super::args::Audit;
use super::output::{Failure, Output, Style, table, time};
use crate::config::Config;
use serde_json::{Value, json};
use sigwarden_ledger::{Verified, VerifyError};
use std::path::Path;

pub(super) fn run(command: Audit, dir: &Path, output: &Output) -> Result<(), Failure> {
    let config = Config::load(dir)?;
    match command {
        Audit::Tail { number } => tail(&config, number, output),
        Audit::Verify => verify(&config, output),
        Audit::Export { since, to } => {
            let to = to.unwrap_or_else(|| format!("sigwarden-audit-{since}").into());
            export(&config, since, &to, output)
        }
    }
}

fn tail(config: &Config, number: usize, output: &Output) -> Result<(), Failure> {
    let lines = sigwarden_ledger::tail(&config.state_dir, number)?;
    if number > lines.len() && lines.len() == sigwarden_ledger::TAIL_MAX {
        output.note(&format!("the last {} records; the files in log/ have the others", lines.len()));
    }
    if output.is_json() {
        for line in &lines {
            output.line(line);
        }
        return Ok(());
    }
    let rows: Vec<Vec<String>> = lines.iter().map(|line| row(line, output)).collect();
    output.line(table(&rows).trim_end());
    Ok(())
}

/// One record on one line: what an operator looks for first. `--json` has the rest.
fn row(line: &str, output: &Output) -> Vec<String> {
    let Ok(record) = serde_json::from_str::<Value>(line) else {
        return vec![visible(line)];
    };
    let text = |value: &Value| match value.as_str() {
        Some(text) => visible(text),
        None if value.is_null() => String::new(),
        None => visible(&value.to_string()),
    };
    let field = |name: &str| record.get(name).map(text).unwrap_or_default();
    let body = record.get("body").cloned().unwrap_or(Value::Null);
    let of_body = |name: &str| body.get(name).map(text).filter(|text| !text.is_empty());
    let nanos: u64 = field("time").parse().unwrap_or(0);
    let kind = field("kind");
    let style = match kind.as_str() {
        "refusal" => Style::Bad,
        "decision" | "outcome" | "replay" => Style::Good,
        _ => Style::Strong,
    };
    let mut what: Vec<String> = ["caller", "operator", "key", "operation", "format", "code", "message", "reason"]
        .iter()
        .filter_map(|name| of_body(name))
        .collect();
    if let Some(count) = body
        .get("signatures")
        .and_then(Value::as_array)
        .map(Vec::len)
        .filter(|count| *count > 0)
    {
        what.push(format!("{count} signed"));
    }
    if kind == "start" {
        what.extend(of_body("version").map(|version| format!("sigwarden {version}")));
    }
    vec![
        output.style(Style::Faint, &field("sequence")),
        output.style(Style::Faint, &time(nanos / 1_000_000)),
        output.style(style, &kind),
        what.join("  "),
    ]
}

/// A text with everything escaped that a terminal would obey or hide (C0, C1, bidirectional and zero-width marks): callers choose the
/// key, format and message of a refused request, and the operator's terminal is not theirs.
fn visible(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        let unseen =
            matches!(c, '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}');
        if c.is_control() || unseen {
            shown.extend(c.escape_unicode());
        } else {
            shown.push(c);
        }
    }
    shown
}

fn verify(config: &Config, output: &Output) -> Result<(), Failure> {
    match sigwarden_ledger::verify(&config.state_dir, &mut progress(output)) {
        Ok(verified) => {
            output.print(&verified_json(&verified), || verified_human(&verified, output));
            Ok(())
        }
        Err(error @ VerifyError::Bad { .. }) => {
            let value = json!({ "holds": false, "trouble": error.to_string() });
            output.print(&value, || {
                format!("{}\n{error}", output.style(Style::Bad, "the chain does not hold"))
            });
            Err(Failure::said_no())
        }
        Err(error) => Err(error.into()),
    }
}

/// Tells how far a verification is: only if it takes over a second, and once a second.
fn progress(output: &Output) -> impl FnMut(u64, u64) {
    let begun = std::time::Instant::now();
    let mut told = std::time::Duration::ZERO;
    move |bytes, total| {
        if begun.elapsed() - told >= std::time::Duration::from_secs(1) {
            told = begun.elapsed();
            output.note(&format!("verified {} of {} MiB", bytes >> 20, total >> 20));
        }
    }
}

fn export(config: &Config, since: u64, to: &Path, output: &Output) -> Result<(), Failure> {
    let exported = sigwarden_ledger::export(&config.state_dir, since, to, &mut progress(output))?;
    let head = hex::encode(exported.head);
    let value = json!({
        "directory": to.display().to_string(),
        "segments": exported.segments,
        "bytes": exported.bytes,
        "first_sequence": exported.first,
        "last_sequence": exported.last,
        "head": head,
    });
    output.print(&value, || {
        format!(
            "{} has records {} to {} in {} segments ({} bytes)\nhead {head}; docs/audit.md says how to check it",
            to.display(),
            exported.first,
            exported.last,
            exported.segments,
            exported.bytes
        )
    });
    Ok(())
}

fn verified_json(verified: &Verified) -> Value {
    json!({
        "holds": true,
        "deployment_id": verified.deployment_id,
        "segments": verified.segments,
        "records": verified.records,
        "first_sequence": verified.first_sequence,
        "last_sequence": verified.last_sequence,
        "head": hex::encode(verified.head),
        "unfinished_bytes": verified.unfinished_bytes,
    })
}

fn verified_human(verified: &Verified, output: &Output) -> String {
    let rows = [
        ("deployment", verified.deployment_id.clone()),
        ("segments", verified.segments.to_string()),
        (
            "records",
            format!(
                "{}, sequence {} to {}",
                verified.records, verified.first_sequence, verified.last_sequence
            ),
        ),
        ("head", hex::encode(verified.head)),
    ];
    let mut text = format!("{}\n", output.style(Style::Good, "the chain holds"));
    text.push_str(&table(&rows.map(|(name, value)| vec![format!("  {name}"), value])));
    if verified.unfinished_bytes > 0 {
        text.push_str(&format!(
            "  {} bytes after the last complete batch: a write in progress, or one that a crash cut short\n",
            verified.unfinished_bytes
        ));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_caller_wrote_does_not_reach_the_terminal_as_control() {
        let record = json!({
            "sequence": 7, "time": 0, "kind": "refusal",
            "body": { "key": "a\u{1b}]0;owned\u{7}", "format": "b\u{9b}31m", "message": "c\n8  decision\u{202e} \u{fc}" },
        });
        let cells = row(&record.to_string(), &Output::new(false)).join("|");
        assert!(!cells.chars().any(|c| c.is_control() || c == '\u{202e}'), "{cells:?}");
        assert!(
            cells.contains(r"a\u{1b}]0;owned\u{7}  b\u{9b}31m  c\u{a}8  decision\u{202e} ü"),
            "{cells}"
        );
        let torn = row("no json\u{1b}[2J", &Output::new(false));
        assert_eq!(torn, [r"no json\u{1b}[2J"]);
    }
}
