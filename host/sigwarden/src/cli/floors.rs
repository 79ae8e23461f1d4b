//! `sigwarden floors`.

use super::administer;
use super::args::Floors;
use super::output::{Failure, Output, Style, table};
use crate::config::Config;
use crate::proto::admin::{NewFloor, RaiseFloorsRequest, RaisedFloor};
use serde_json::json;
use sigwarden_core::floor::{Floor, FloorKey, Taken};
use sigwarden_core::state::State;
use std::path::Path;

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
            let floor = NewFloor {
                key,
                chain_id,
                height,
                within: None,
            };
            raise(&config, vec![floor], reason, output)
        }
    }
}

fn raise(config: &Config, floors: Vec<NewFloor>, reason: String, output: &Output) -> Result<(), Failure> {
    let raised = administer(config, |reach| reach.raise_floors(RaiseFloorsRequest { floors, reason }))?;
    let to_json = |floor: &RaisedFloor| {
        json!({
            "key": floor.key,
            "chain_id": floor.chain_id,
            "position": floor.position,
            "before": Some(&floor.before).filter(|before| !before.is_empty()),
        })
    };
    let value = json!({ "floors": raised.floors.iter().map(to_json).collect::<Vec<_>>(), "sequence": raised.sequence });
    output.print(&value, || {
        let mut text = String::new();
        for floor in &raised.floors {
            let before = match floor.before.as_str() {
                "" => "it had none".to_owned(),
                before if before == floor.position => "where it stood".to_owned(),
                before => format!("it stood at {before}"),
            };
            text.push_str(&format!(
                "{}: the floor on chain {} stands at {}; {before}\n",
                floor.key, floor.chain_id, floor.position
            ));
        }
        text.push_str(&match raised.sequence {
            Some(sequence) => format!("record {sequence}"),
            None => "nothing was to do".to_owned(),
        });
        text
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
