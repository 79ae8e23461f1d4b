//! `sigwarden ledger`.

use super::args::Ledger;
use super::output::{Failure, Output, Style};
use crate::config::Config;
use crate::deployment::{now_ms, operator, settings};
use crate::fatal::Fatal;
use serde_json::json;
use sigwarden_ledger::{DeploymentLock, EmbeddedLedger};
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
    }
}

fn rebuild(config: &Config, reason: &str, output: &Output) -> Result<(), Failure> {
    if reason.trim().is_empty() {
        return Err(Failure::cannot("--reason: say why; it stands in the log"));
    }
    let _lock = DeploymentLock::acquire(&config.state_dir)?;
    let mut settings = settings(now_ms(), &Arc::new(Fatal::default()));
    settings.rebuild_checkpoint = true;
    let ledger = EmbeddedLedger::open(&config.state_dir, settings)?;
    let opening = ledger.opening().clone();
    ledger.close()?;
    if !opening.rebuilt {
        return Err(Failure::no("the checkpoint is there and holds; nothing was rebuilt"));
    }
    // The start's record says that it was rebuilt; who and why is in this process's log.
    tracing::warn!(
        operator = operator(),
        reason,
        generation = opening.generation,
        "rebuilt the checkpoint from the log"
    );
    let value = json!({ "rebuilt": true, "reason": reason, "generation": opening.generation, "meaning": MEANING });
    output.print(&value, || {
        let done = output.style(Style::Warning, "rebuilt the checkpoint from the log");
        format!("{done}\nreason: {reason}\n{MEANING}\n")
    });
    Ok(())
}
