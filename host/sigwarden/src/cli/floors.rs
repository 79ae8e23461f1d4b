//! `sigwarden floors`.

use super::administer;
use super::args::Floors;
use super::output::{Failure, Output, Style, table};
use super::state_file::{self, At, Export, ExportedFloor, Single, StateFile};
use crate::admin::find;
use crate::config::Config;
use crate::proto::admin::{Message, NewFloor, RaiseFloorsRequest, RaisedFloor, Within};
use serde_json::json;
use sigwarden_core::floor::{Floor, FloorKey, MessageClass, Position, Taken};
use sigwarden_core::state::State;
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
        Floors::Set { key, chain_id, at, reason } => {
            let (class, height) = match (at.height, at.view) {
                (_, Some(view)) => (MessageClass::HotStuff, view),
                (height, None) => (MessageClass::CometBft, height.unwrap_or_default()),
            };
            let floor = NewFloor {
                key,
                chain_id,
                height,
                within: None,
                class: class.name().to_owned(),
            };
            raise(&config, vec![floor], reason, output)
        }
        Floors::Export => export(&config, output),
        Floors::Import {
            file,
            key,
            chain_id,
            reason,
        } => import(&config, &file, Wanted { key, chain_id }, reason, output),
    }
}

/// What of a file is wanted, or what it is said to be of.
struct Wanted {
    key: Option<String>,
    chain_id: Option<String>,
}

fn import(config: &Config, file: &Path, wanted: Wanted, reason: String, output: &Output) -> Result<(), Failure> {
    let of_file = |what: &dyn std::fmt::Display| format!("{} {what}", file.display());
    let text = crate::files::read_text(file, state_file::BYTES_MAX).map_err(|error| Failure::cannot(of_file(&error)))?;
    match state_file::parse(&text).map_err(|error| Failure::no(of_file(&error)))? {
        StateFile::Single(single) => {
            let (Some(key), Some(chain_id)) = (wanted.key, wanted.chain_id) else {
                let what = format!(
                    "is a state of {}, which tells neither: --key and --chain-id are wanted",
                    single.written_by
                );
                return Err(Failure::cannot(of_file(&what)));
            };
            match single.message.as_ref().map(|message| message.chain_id.as_str()) {
                Some(found) if found != chain_id => {
                    let what = format!(
                        "is the state of chain `{}`, not of `{}`",
                        found.escape_debug(),
                        chain_id.escape_debug()
                    );
                    return Err(Failure::no(of_file(&what)));
                }
                Some(_) => output.note("checked: the message in the file is of this chain, and its signature of this key"),
                None => output.note(&format!(
                    "not checked: {} wrote no message into the file, so that it is of key {key} and chain {chain_id} is your word",
                    single.written_by
                )),
            }
            raise(config, vec![of_single(single, key, chain_id)], reason, output)
        }
        StateFile::Export(export) => {
            let state = sigwarden_ledger::replay(&config.state_dir)?;
            let floors = of_export(config, &state, export, &wanted).map_err(|what| Failure::no(of_file(&what)))?;
            output.note("checked: the public keys in the file are this deployment's, and so are the signatures");
            raise(config, floors, reason, output)
        }
    }
}

fn of_single(single: Single, key: String, chain_id: String) -> NewFloor {
    let message = single.message.map(|message| Message {
        sign_bytes: message.sign_bytes,
        signature: message.signature,
    });
    let (height, within) = match single.floor {
        At::EndOf(height) => (height, None),
        At::Place { height, round, step } => (height, Some(Within { round, step, message })),
    };
    NewFloor {
        key,
        chain_id,
        height,
        within,
        class: MessageClass::CometBft.name().to_owned(),
    }
}

/// Floors of an export, by public key: a key may have another name here.
fn of_export(config: &Config, state: &State, export: Export, wanted: &Wanted) -> Result<Vec<NewFloor>, String> {
    let only = match &wanted.key {
        Some(key) => Some(find(config, key).map_err(|error| error.text)?.id.clone()),
        None => None,
    };
    let mut floors = Vec::new();
    for floor in export.floors {
        if wanted.chain_id.as_ref().is_some_and(|chain_id| *chain_id != floor.chain_id) {
            continue;
        }
        let bytes = |field: &str, text: &str| hex::decode(text).map_err(|error| format!("`{field}` of {}: {error}", floor.key));
        let public_key = bytes("public_key", &floor.public_key)?;
        let is_it = |key: &&crate::config::Key| state.keys.get(&key.id).is_some_and(|status| status.public_key == public_key);
        let Some(key) = config.keys.iter().find(is_it) else {
            if only.is_some() {
                continue;
            }
            return Err(format!(
                "has a floor of {} ({}), which is no key of this deployment; --key KEY takes one key's floors alone",
                floor.key.escape_debug(),
                floor.public_key.escape_debug()
            ));
        };
        if only.as_ref().is_some_and(|only| *only != key.id) {
            continue;
        }
        let height = floor
            .height
            .parse()
            .map_err(|_| format!("`height` of {} is no number", floor.key))?;
        let message = match (&floor.sign_bytes, &floor.signature) {
            (Some(sign_bytes), Some(signature)) => Some(Message {
                sign_bytes: bytes("sign_bytes", sign_bytes)?,
                signature: bytes("signature", signature)?,
            }),
            (None, None) => None,
            (Some(_), None) | (None, Some(_)) => return Err(format!("has half of a message for {}", floor.key)),
        };
        let within = match (floor.round, floor.step, message) {
            (Some(round), Some(step), message) => Some(Within { round, step, message }),
            (None, None, None) => None,
            (_, _, _) => return Err(format!("has half of a position for {}", floor.key)),
        };
        floors.push(NewFloor {
            key: key.id.to_string(),
            chain_id: floor.chain_id,
            height,
            within,
            class: floor.class.unwrap_or_default(),
        });
    }
    match floors.is_empty() {
        true => Err("has no floor that is wanted".to_owned()),
        false => Ok(floors),
    }
}

fn export(config: &Config, output: &Output) -> Result<(), Failure> {
    let state = sigwarden_ledger::replay(&config.state_dir)?;
    let mut floors: Vec<ExportedFloor> = state
        .floors
        .iter()
        .filter(|(key, _)| key.class != MessageClass::CometBftExtension)
        .map(|(key, floor)| exported(name_of(config, &state, &key.public_key), key, floor))
        .collect();
    floors.sort_by(|a, b| (&a.key, &a.chain_id).cmp(&(&b.key, &b.chain_id)));
    let export = Export {
        sigwarden_floors: state_file::EXPORT_VERSION,
        deployment_id: deployment_id(config)?,
        floors,
    };
    // JSON either way: it is a file for a program.
    output.line(&serde_json::to_string_pretty(&export)?);
    output.note("what is signed from now on is not in it: stop this signer for good before its keys sign elsewhere");
    Ok(())
}

fn exported(name: String, key: &FloorKey, floor: &Floor) -> ExportedFloor {
    let Position([height, round, step]) = floor.position;
    let within = u32::try_from(step).ok().map(|step| (round, step));
    let (sign_bytes, signature) = match &floor.taken {
        // Without its signature, a message would be signed again: there, not here.
        Taken::Message {
            sign_bytes,
            signature: Some(signature),
            ..
        } => (Some(hex::encode(sign_bytes)), Some(hex::encode(signature))),
        Taken::Message { signature: None, .. } | Taken::Operator | Taken::Extension { .. } => (None, None),
    };
    ExportedFloor {
        key: name,
        public_key: hex::encode(&key.public_key),
        chain_id: key.chain_id.clone(),
        class: Some(key.class)
            .filter(|class| *class != MessageClass::CometBft)
            .map(|class| class.name().to_owned()),
        height: height.to_string(),
        round: within.map(|(round, _)| round),
        step: within.map(|(_, step)| step),
        sign_bytes,
        signature,
    }
}

fn deployment_id(config: &Config) -> Result<String, Failure> {
    Ok(sigwarden_ledger::verify(&config.state_dir, &mut |_, _| ())?.deployment_id)
}

fn name_of(config: &Config, state: &State, public_key: &[u8]) -> String {
    let is_it = |key: &&crate::config::Key| state.keys.get(&key.id).is_some_and(|status| status.public_key == public_key);
    let key = config.keys.iter().find(is_it);
    key.map_or_else(|| hex::encode(public_key), |key| key.id.to_string())
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
    let name = |public_key: &[u8]| name_of(config, state, public_key);
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
    let all = |(name, key, floor): &(String, &Arc<FloorKey>, &Arc<Floor>)| {
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
