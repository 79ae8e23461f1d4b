//! `sigwarden policy shadow-report`: what the audit log says of shadow policies.

use super::super::output::{Failure, Output, Style, table, time};
use crate::config::Config;
use serde_json::json;
use sigwarden_ledger::Record;
use sigwarden_ledger::record::{Body, Shadow};
use std::collections::BTreeMap;

/// Codes told apart for one shadow: a policy declares a few; what is over is counted together.
const CODES_MAX: usize = 256;

/// What a shadow would have decided otherwise, by code.
#[derive(Default)]
struct Seen {
    requests: u64,
    same: u64,
    groups: BTreeMap<String, Group>,
}

#[derive(Default)]
struct Group {
    count: u64,
    examples: Vec<Example>,
}

struct Example {
    sequence: u64,
    time_ms: u64,
    request: String,
    caller: String,
    key: String,
    format: String,
}

pub(super) fn report(config: &Config, only: Option<&str>, limit: usize, output: &Output) -> Result<(), Failure> {
    let mut shadows: BTreeMap<String, Seen> = BTreeMap::new();
    sigwarden_ledger::lines(&config.state_dir, &mut |line| {
        // Nothing else is parsed: a log has a million lines.
        let is_one = line.windows(KIND.len()).take(HEAD_MAX).any(|window| window == KIND);
        let Some(record) = std::str::from_utf8(line).ok().filter(|_| is_one) else {
            return;
        };
        let Ok(record) = Record::parse(record) else { return };
        let Body::Shadow(shadow) = &record.body else { return };
        if only.is_none_or(|only| only == shadow.instance) {
            let seen = shadows.entry(shadow.instance.to_string()).or_default();
            seen.take(record.sequence, record.time / 1_000_000, shadow, limit);
        }
    })?;
    let all: Vec<_> = shadows.iter().map(|(name, seen)| seen.json(name)).collect();
    output.print(&all.into(), || human(&shadows, only, output));
    Ok(())
}

const KIND: &[u8] = b"\"kind\":\"shadow\"";
/// Where a line's kind stands at the latest.
const HEAD_MAX: usize = 128;

impl Seen {
    fn take(&mut self, sequence: u64, time_ms: u64, shadow: &Shadow<'_>, limit: usize) {
        self.requests += 1;
        let allows = shadow.denials.is_empty() && shadow.code.is_none();
        if allows == shadow.live.is_empty() {
            self.same += 1;
            return;
        }
        // What the shadow would have refused by, or what it would have let pass.
        let mut codes: Vec<String> = match allows {
            true => shadow.live.iter().map(|code| format!("allows what {code} refuses")).collect(),
            false => shadow.denials.iter().map(|denial| format!("refuses: {}", denial.code)).collect(),
        };
        codes.extend(shadow.code.iter().map(|code| format!("fails: {code}")));
        codes.dedup();
        for code in codes {
            let code = match self.groups.len() < CODES_MAX || self.groups.contains_key(&code) {
                true => code,
                false => "others".to_owned(),
            };
            let group = self.groups.entry(code).or_default();
            group.count += 1;
            if group.examples.len() < limit {
                group.examples.push(Example {
                    sequence,
                    time_ms,
                    request: shadow.request.to_string(),
                    caller: shadow.caller.to_string(),
                    key: shadow.key.to_string(),
                    format: shadow.format.name().to_owned(),
                });
            }
        }
    }

    fn json(&self, name: &str) -> serde_json::Value {
        let example = |one: &Example| {
            json!({
                "sequence": one.sequence,
                "time_ms": one.time_ms,
                "request": one.request,
                "caller": one.caller,
                "key": one.key,
                "format": one.format,
            })
        };
        let group = |(code, group): (&String, &Group)| {
            let requests: Vec<_> = group.examples.iter().map(example).collect();
            json!({ "code": code, "count": group.count, "requests": requests })
        };
        json!({
            "policy": name,
            "requests": self.requests,
            "same": self.same,
            "otherwise": self.requests - self.same,
            "by_code": self.groups.iter().map(group).collect::<Vec<_>>(),
        })
    }
}

fn human(shadows: &BTreeMap<String, Seen>, only: Option<&str>, output: &Output) -> String {
    if shadows.is_empty() {
        return match only {
            Some(name) => format!("the audit log has nothing of a shadow `{name}`"),
            None => "the audit log has nothing of a shadow policy; `shadow = true` on a `[[policy]]` makes one".to_owned(),
        };
    }
    let mut text = String::new();
    for (name, seen) in shadows {
        text.push_str(&format!(
            "{}: {} requests, {} as decided, {} otherwise\n",
            output.style(Style::Strong, name),
            seen.requests,
            seen.same,
            seen.requests - seen.same
        ));
        for (code, group) in &seen.groups {
            text.push_str(&format!("  {} ({})\n", output.style(Style::Warning, code), group.count));
            let rows: Vec<Vec<String>> = group
                .examples
                .iter()
                .map(|one| {
                    vec![
                        format!("    {}", one.sequence),
                        time(one.time_ms),
                        one.caller.clone(),
                        one.key.clone(),
                        one.format.clone(),
                        one.request.clone(),
                    ]
                })
                .collect();
            text.push_str(&table(&rows));
            if group.count > group.examples.len() as u64 {
                text.push_str(&format!("    and {} more\n", group.count - group.examples.len() as u64));
            }
        }
    }
    text
}
