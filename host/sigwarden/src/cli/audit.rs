//! `sigwarden audit`: reads the log's files alone, beside a running daemon or without one.

use super::args::Audit;
use super::output::{Failure, Output, Style, table, time};
use crate::config::Config;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};
use sigwarden_ledger::{Tailed, Verified, VerifyError};
use std::io::IsTerminal;
use std::path::Path;
use std::time::{Duration, Instant};

pub(super) fn run(command: Audit, dir: &Path, output: &Output) -> Result<(), Failure> {
    let config = Config::load(dir)?;
    match command {
        Audit::Tail { number } => tail(&config, number, output),
        Audit::Verify { head } => verify(&config, head.as_deref(), output),
        Audit::Export { since, to } => {
            let to = to.unwrap_or_else(|| format!("sigwarden-audit-{since}").into());
            export(&config, since, &to, output)
        }
    }
}

fn tail(config: &Config, number: usize, output: &Output) -> Result<(), Failure> {
    let Tailed { lines, capped } = sigwarden_ledger::tail_of(&config.state_dir, number)?;
    if capped {
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
    what.extend(position(&body));
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

/// Where a consensus message stands: height, round and step, or view and step.
fn position(body: &Value) -> Option<String> {
    let position = body.get("consensus")?.get("position")?;
    let parts = position.as_array()?.iter().map(|part| match part.as_str() {
        Some(text) => visible(text),
        None => visible(&part.to_string()),
    });
    Some(format!("at {}", parts.collect::<Vec<_>>().join("/")))
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

fn verify(config: &Config, head: Option<&str>, output: &Output) -> Result<(), Failure> {
    let mut progress = Progress::new(output);
    let mut tell = |bytes, total| progress.tell(bytes, total);
    let verified = match head.map(read_head).transpose()? {
        None => sigwarden_ledger::verify(&config.state_dir, &mut tell).map(|verified| (verified, None)),
        Some(head) => {
            let found = sigwarden_ledger::verify_with_head(&config.state_dir, head, &mut tell);
            found.map(|(verified, at)| (verified, Some(at)))
        }
    };
    progress.end();
    let does_not_hold = |trouble: String| {
        let value = json!({ "holds": false, "trouble": trouble });
        output.print(&value, || {
            format!("{}\n{trouble}", output.style(Style::Bad, "the chain does not hold"))
        });
        Err(Failure::said_no())
    };
    match verified {
        Ok((verified, Some(None))) => does_not_hold(format!(
            "the log of {} records holds in itself, but none of them has the hash {}: it was cut before that record, or is another log; \
             take the one that has it, or find out who changed this one",
            verified.records,
            head.unwrap_or_default()
        )),
        Ok((verified, found)) => {
            let at = found.flatten();
            let mut value = verified_json(&verified);
            if let (Some(at), Some(fields)) = (at, value.as_object_mut()) {
                fields.insert("head_found_at".to_owned(), json!(at));
            }
            output.print(&value, || {
                let mut text = verified_human(&verified, output);
                if let Some(at) = at {
                    text.push_str(&format!("  the head that was given is that of record {at}\n"));
                }
                text
            });
            Ok(())
        }
        Err(error @ VerifyError::Bad { .. }) => does_not_hold(error.to_string()),
        Err(error) => Err(error.into()),
    }
}

fn read_head(text: &str) -> Result<[u8; 32], Failure> {
    let mut head = [0; 32];
    hex::decode_to_slice(text, &mut head)
        .map_err(|_| Failure::cannot("--head: 64 hexadecimal digits are wanted, as `audit verify` prints them"))?;
    Ok(head)
}

/// How far a reading of the log is: a bar on a terminal, elsewhere a line a second once it has taken that long.
struct Progress<'a> {
    output: &'a Output,
    bar: Option<ProgressBar>,
    begun: Instant,
    told: Duration,
}

impl<'a> Progress<'a> {
    fn new(output: &'a Output) -> Self {
        let shown = !output.is_json() && std::io::stderr().is_terminal();
        let style = ProgressStyle::with_template("{bar:30} {bytes} of {total_bytes}, {bytes_per_sec}, {eta} left");
        let bar = style.ok().filter(|_| shown).map(|style| ProgressBar::new(0).with_style(style));
        Self {
            output,
            bar,
            begun: Instant::now(),
            told: Duration::ZERO,
        }
    }

    fn tell(&mut self, bytes: u64, total: u64) {
        if let Some(bar) = &self.bar {
            bar.set_length(total);
            bar.set_position(bytes);
        } else if self.begun.elapsed() - self.told >= Duration::from_secs(1) {
            self.told = self.begun.elapsed();
            self.output.note(&format!("read {} of {} MiB", bytes >> 20, total >> 20));
        }
    }

    fn end(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

fn export(config: &Config, since: u64, to: &Path, output: &Output) -> Result<(), Failure> {
    let mut progress = Progress::new(output);
    let exported = sigwarden_ledger::export(&config.state_dir, since, to, &mut |bytes, total| progress.tell(bytes, total));
    progress.end();
    let exported = exported?;
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
