//! `sigwarden floors`.

use super::args::Floors;
use super::keys::find;
use super::output::{Failure, Output, Style, table};
use crate::config::Config;
use crate::deployment::{now_ms, operator, settings};
use crate::fatal::Fatal;
use serde_json::json;
use sigwarden_core::floor::{CHAIN_ID_MAX, Floor, FloorKey, MessageClass, Position, Taken};
use sigwarden_core::state::{Effect, State};
use sigwarden_core::{Ledger, Role};
use sigwarden_ledger::{AdminKind, Administration, DeploymentLock, EmbeddedLedger};
use std::path::Path;
use std::sync::Arc;

pub(super) fn run(command: Floors, dir: &Path, output: &Output) -> Result<(), Failure> {
    let config = Config::load(dir)?;
    match command {
        // From the log alone, beside a running daemon: floors are looked at when something is wrong.
        Floors::Show => {
            show(&config, &sigwarden_ledger::replay(&config.state_dir)?, output);
            Ok(())
        }
        Floors::Set {
            key,
            chain_id,
            height,
            reason,
        } => {
            let _lock = DeploymentLock::acquire(&config.state_dir)?;
            let ledger = EmbeddedLedger::open(&config.state_dir, settings(now_ms(), &Arc::new(Fatal::default())))?;
            let done = set(&config, &ledger, &key, chain_id, height, reason, output);
            ledger.close()?;
            done
        }
    }
}

fn set(
    config: &Config,
    ledger: &EmbeddedLedger,
    key: &str,
    chain_id: String,
    height: u64,
    reason: String,
    output: &Output,
) -> Result<(), Failure> {
    let key = find(config, key)?;
    if !key.roles.contains(&Role::Consensus) {
        return Err(Failure::no(format!("{} is no consensus key; only those have floors", key.id)));
    }
    if chain_id.is_empty() || chain_id.len() > CHAIN_ID_MAX {
        return Err(Failure::cannot(format!("--chain-id has 1 to {CHAIN_ID_MAX} bytes")));
    }
    if i64::try_from(height).is_err() {
        let most = i64::MAX;
        return Err(Failure::cannot(format!(
            "--height: CometBFT heights are int64, {most} is the highest; a floor above it could never be right"
        )));
    }
    if reason.trim().is_empty() {
        return Err(Failure::cannot("--reason: say why; it stands in the audit log"));
    }
    let state = ledger.snapshot();
    let status = state.keys.get(&key.id).ok_or_else(|| {
        Failure::no(format!(
            "the ledger does not know {} yet; generate or import it, or start the daemon once",
            key.id
        ))
    })?;
    let floor_key = FloorKey {
        public_key: status.public_key.clone(),
        chain_id,
        class: MessageClass::CometBft,
    };
    let position = Position::end_of_height(height);
    let administration = Administration {
        kind: AdminKind::Floor,
        operator: operator(),
        reason,
        now_ms: now_ms(),
        effects: vec![Effect::Floor {
            key: floor_key.clone(),
            floor: Floor {
                position,
                taken: Taken::Operator,
            },
        }],
    };
    let sequence = match ledger.administer(administration) {
        Ok(sequence) => sequence,
        Err(error @ sigwarden_ledger::AdministerError::FloorNotAbove { .. }) => return Err(Failure::no(error.to_string())),
        Err(error) => return Err(error.into()),
    };
    let value =
        json!({ "key": key.id.to_string(), "chain_id": floor_key.chain_id, "position": position.to_string(), "sequence": sequence });
    output.print(&value, || {
        format!(
            "{} signs nothing at height {height} or below on chain {}  (record {sequence})",
            key.id, floor_key.chain_id
        )
    });
    Ok(())
}

fn show(config: &Config, state: &State, output: &Output) {
    let name = |public_key: &[u8]| {
        let of_key = |(id, status): &(&sigwarden_core::key::KeyId, &sigwarden_core::state::KeyStatus)| {
            config.key(id).is_some() && status.public_key == public_key
        };
        state
            .keys
            .iter()
            .find(of_key)
            .map_or_else(|| hex::encode(public_key), |(id, _)| id.to_string())
    };
    let mut floors: Vec<_> = state
        .floors
        .iter()
        .map(|(key, floor)| (name(&key.public_key), key, floor))
        .collect();
    floors.sort_by(|(a, x, _), (b, y, _)| (a, *x).cmp(&(b, *y)));
    let by = |floor: &Floor| match &floor.taken {
        Taken::Operator => "operator",
        Taken::Message { .. } => "message",
        Taken::Extension { .. } => "extension",
    };
    let all = |(name, key, floor): &(String, &FloorKey, &Floor)| {
        json!({
            "key": name,
            "public_key": hex::encode(&key.public_key),
            "chain_id": key.chain_id,
            "class": key.class.name(),
            "position": floor.position.to_string(),
            "taken_by": by(floor),
        })
    };
    output.print(&floors.iter().map(all).collect(), || {
        if floors.is_empty() {
            return "no floors: consensus keys sign nothing until `sigwarden floors set`".to_owned();
        }
        let header = ["KEY", "CHAIN", "CLASS", "POSITION", "TAKEN BY"].map(|name| output.style(Style::Strong, name));
        let mut rows = vec![header.to_vec()];
        rows.extend(floors.iter().map(|(name, key, floor)| {
            vec![
                name.clone(),
                key.chain_id.clone(),
                key.class.to_string(),
                floor.position.to_string(),
                by(floor).to_owned(),
            ]
        }));
        table(&rows)
    });
}
