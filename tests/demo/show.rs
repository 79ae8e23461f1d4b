//! What the demo prints.

use anyhow::{Context, Result};
use sigwarden::proto;
use sigwarden_core::fact::{FactValue, Scalar};
use sigwarden_core::{Format, Scheme};
use sigwarden_tests::Node;
use std::io::IsTerminal;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Prints; with colour on a terminal only.
pub(crate) struct Show {
    colour: bool,
}

impl Show {
    pub(crate) fn new() -> Self {
        Self {
            colour: std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none(),
        }
    }

    fn paint(&self, code: &str, text: &str) -> String {
        if self.colour {
            format!("\x1b[{code}m{text}\x1b[0m")
        } else {
            text.to_owned()
        }
    }

    pub(crate) fn title(&self, text: &str) {
        println!(
            "\n{}",
            self.paint(
                "1",
                &format!("── {text} {}", "─".repeat(74usize.saturating_sub(text.chars().count())))
            )
        );
    }

    pub(crate) fn text(&self, text: &str) {
        println!("{text}");
    }

    pub(crate) fn block(&self, text: &str) {
        for line in text.trim_end().lines() {
            println!("    {line}");
        }
    }

    pub(crate) fn command(&self, command: &str) {
        println!("\n{}", self.paint("36", &format!("$ {command}")));
    }

    pub(crate) fn output(&self, text: &str) {
        for line in text.trim_end().lines() {
            println!("  {line}");
        }
    }

    pub(crate) fn ask(&self, what: &str) {
        println!("\n{} {what}", self.paint("1", "asked"));
    }

    /// What the host's decoder reads in a payload: the facts that policies judge.
    pub(crate) fn payload(&self, format: Format, scheme: Scheme, payload: &[u8]) -> Result<()> {
        let decoded = sigwarden_formats::decode(format, scheme, payload)?;
        let facts: Vec<String> = decoded
            .facts
            .iter()
            .map(|fact| format!("{} {}", fact.name, value(&fact.value)))
            .collect();
        self.detail(&format!("{format}, {} bytes:", payload.len()));
        for line in facts.chunks(3) {
            self.detail(&format!("  {}", line.join(", ")));
        }
        Ok(())
    }

    pub(crate) fn detail(&self, text: &str) {
        println!("        {text}");
    }

    pub(crate) fn signed(&self, answer: &proto::SignResponse) {
        let signature = answer
            .signatures
            .first()
            .map(|signature| hex::encode(&signature.signature))
            .unwrap_or_default();
        let short = signature.get(..24).unwrap_or_default();
        let replay = if answer.replay { ", a decision repeated" } else { "" };
        println!(
            "{} {} by {} as decision {}{replay}",
            self.paint("1;32", "signed"),
            format_args!("{short}…"),
            answer.key,
            answer.sequence
        );
        if let Some(time) = &answer.timestamp_signed {
            let seconds = time.seconds.rem_euclid(86_400);
            self.detail(&format!(
                "timestamp signed: {:02}:{:02}:{:02}",
                seconds / 3600,
                seconds / 60 % 60,
                seconds % 60
            ));
        }
    }

    pub(crate) fn refused(&self, refusal: &proto::Refusal) {
        println!("{} {}", self.paint("1;31", "refused"), self.paint("1", &refusal.code));
        if refusal.denials.is_empty() {
            self.detail(&refusal.message);
        }
        for denial in &refusal.denials {
            self.detail(&format!("{} says: {}", denial.policy, denial.message));
        }
        if let Some(at) = refusal.retry_at_ms {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            let wait = Duration::from_millis(at).saturating_sub(now);
            self.detail(&format!("retry in {:.1} s", wait.as_secs_f64()));
        }
    }

    /// What the audit log says of a request: who asked, what was in it, what each policy said, how long each step took.
    pub(crate) fn story(&self, node: &Node, request_id: &str) -> Result<()> {
        let lines = node.audit_of(request_id)?;
        let decision = &lines
            .iter()
            .find(|line| line["kind"] == "decision")
            .context("the decision's record")?["body"];
        self.detail(&format!(
            "who: {}, with {}, {}",
            text(decision, "caller"),
            text(decision, "key"),
            text(decision, "format")
        ));
        for approval in decision["approvals"].as_array().into_iter().flatten() {
            let note = approval["note"].as_str().map(|note| format!(" ({note})")).unwrap_or_default();
            self.detail(&format!(
                "{:<14} allows{note}, {} us, fuel {}",
                text(approval, "instance"),
                approval["micros"],
                approval["fuel"]
            ));
        }
        if let Some(outcome) = lines.iter().find(|line| line["kind"] == "outcome") {
            let stages: Vec<String> = outcome["body"]["micros"]
                .as_array()
                .into_iter()
                .flatten()
                .map(|stage| format!("{} {}", stage[0].as_str().unwrap_or("?"), stage[1]))
                .collect();
            self.detail(&format!("microseconds: {}", stages.join(", ")));
        }
        Ok(())
    }
}

fn text<'a>(value: &'a serde_json::Value, field: &str) -> &'a str {
    value[field].as_str().unwrap_or("?")
}

fn value(value: &FactValue) -> String {
    match value {
        FactValue::One(scalar) => one(scalar),
        FactValue::Many(scalars) => format!("[{}]", scalars.iter().map(one).collect::<Vec<_>>().join(", ")),
    }
}

fn one(scalar: &Scalar) -> String {
    match scalar {
        Scalar::Text(text) => format!("\"{text}\""),
        Scalar::Bytes(bytes) if bytes.is_empty() => "none".to_owned(),
        Scalar::Bytes(bytes) => {
            let hex = hex::encode(bytes);
            let short = if hex.len() > 12 {
                format!(
                    "{}…{}",
                    hex.get(..4).unwrap_or_default(),
                    hex.get(hex.len() - 2..).unwrap_or_default()
                )
            } else {
                hex
            };
            format!("0x{short}")
        }
        Scalar::Bool(truth) => truth.to_string(),
        Scalar::U64(number) => number.to_string(),
        Scalar::U256(limbs) => sigwarden_formats::evm::U256::from_limbs(*limbs).to_string(),
    }
}
