//! `sigwarden ledger`.

use super::administer;
use super::args::Ledger;
use super::output::{Failure, Output, Style, time};
use crate::admin::adopt::{LastHeight, adopt};
use crate::config::Config;
use crate::deployment::{mark, marker_place, now_ms, operator, settings};
use crate::fatal::Fatal;
use crate::proto::admin::AcceptClockRequest;
use serde_json::json;
use sigwarden_ledger::{AdminKind, Administration, DeploymentLock, EmbeddedLedger};
use std::path::Path;
use std::sync::Arc;

/// What it means that the checkpoint was rebuilt.
const MEANING: &str = "without the checkpoint nobody can tell whether the end of the log was lost, and with it decisions that were \
signed: look at `sigwarden floors show`, compare with what each validator has signed on its chain, and raise floors with `sigwarden \
floors set` before the daemon signs again";

pub(super) fn run(command: Ledger, dir: &Path, output: &Output) -> Result<(), Failure> {
    let config = Config::load(dir)?;
    match command {
        Ledger::RebuildCheckpoint { reason } => rebuild(&config, &reason, output),
        Ledger::AcceptClock { reason } => accept_clock(&config, reason, output),
        Ledger::Adopt { floors, reason } => run_adopt(&config, &floors, &reason, output),
    }
}

fn accept_clock(config: &Config, reason: String, output: &Output) -> Result<(), Failure> {
    let accepted = administer(config, |reach| reach.accept_clock(AcceptClockRequest { reason }))?;
    let value = json!({ "now_ms": accepted.now_ms, "sequence": accepted.sequence });
    output.print(&value, || {
        format!("accepted: it is {}  (record {})", time(accepted.now_ms), accepted.sequence)
    });
    Ok(())
}

fn run_adopt(config: &Config, floors: &[LastHeight], reason: &str, output: &Output) -> Result<(), Failure> {
    let adopted = adopt(config, floors, reason).map_err(Failure::of)?;
    let value = json!({
        "deployment_id": adopted.deployment_id,
        "generation": adopted.generation,
        "floors": adopted.floors,
        "raised": adopted.raised,
        "reason": reason,
    });
    output.print(&value, || {
        let mut text = format!(
            "adopted deployment {} as generation {}\n{} of {} floors raised\n",
            adopted.deployment_id, adopted.generation, adopted.raised, adopted.floors
        );
        if adopted.floors == 0 {
            text.push_str("no floor stands; consensus keys sign nothing before `sigwarden floors set`\n");
        }
        text.push_str("policies' own state (rate limits, nonces) is as old as the copy: what they would have refused since, they allow\n");
        text
    });
    Ok(())
}

fn rebuild(config: &Config, reason: &str, output: &Output) -> Result<(), Failure> {
    if reason.trim().is_empty() {
        return Err(Failure::cannot("--reason: say why; it stands in the log"));
    }
    let _lock = DeploymentLock::acquire(&config.state_dir)?;
    let mut settings = settings(config, now_ms(), &Arc::new(Fatal::default()))?;
    settings.rebuild_checkpoint = true;
    let ledger = EmbeddedLedger::open(&config.state_dir, settings)?;
    let opening = ledger.opening().clone();
    if opening.rebuilt {
        ledger.administer(Administration {
            kind: AdminKind::Maintenance,
            operator: operator(),
            reason: format!("ledger rebuild-checkpoint: {reason}"),
            now_ms: now_ms(),
            effects: Vec::new(),
        })?;
    }
    ledger.close()?;
    mark(&marker_place(config)?, &ledger)?;
    if !opening.rebuilt {
        return Err(Failure::no("the checkpoint is there and holds; nothing was rebuilt"));
    }
    let value = json!({ "rebuilt": true, "reason": reason, "generation": opening.generation, "meaning": MEANING });
    output.print(&value, || {
        let done = output.style(Style::Warning, "rebuilt the checkpoint from the log");
        format!("{done}\nreason: {reason}\n{MEANING}\n")
    });
    Ok(())
}
