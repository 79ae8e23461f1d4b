//! `sigwarden keys`.

mod lifecycle;
mod status;

use super::administer;
use super::args::{Keys, NewKey};
use super::output::{Failure, Output, Style, table, time};
use super::sign::block_on;
use crate::admin::find;
use crate::client::Client;
use crate::config::{Config, Key};
use crate::deployment::state_at_rest;
use crate::proto::admin::{AddKeyRequest, BackendsRequest, RetryLoginRequest};
use lifecycle::{activate, change, due, rotate};
use serde_json::{Value, json};
use sigwarden_core::key::KeyId;
use sigwarden_core::state::State;
use sigwarden_core::{KeyState, Role, Scheme};
use sigwarden_keys::SecretKey;
use sigwarden_ledger::{DeploymentLock, LockError, VerifyError};
use status::backends;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

pub(super) fn run(command: Keys, dir: &Path, output: &Output) -> Result<(), Failure> {
    let config = Config::load(dir)?;
    match command {
        Keys::Generate(new) => add(&config, &new, None, output),
        Keys::Import { key, secret_file } => add(&config, &key, Some(secret_file), output),
        Keys::Suspend(key) => change(&config, key, KeyState::Suspended, output),
        Keys::Resume(key) => change(&config, key, KeyState::Active, output),
        Keys::Revoke(key) => change(&config, key, KeyState::Revoked, output),
        Keys::Destroy(key) => change(&config, key, KeyState::Destroyed, output),
        Keys::Rotate { key, reason } => rotate(&config, key.to_string(), reason, output),
        Keys::Activate { key, grace_until, reason } => activate(&config, key, grace_until, reason, output),
        Keys::Due => due(&config, output),
        Keys::Status => {
            let done = administer(&config, |reach| reach.backends(BackendsRequest {}))?;
            backends(&done.backends, output);
            Ok(())
        }
        Keys::RetryLogin { backend, reason } => {
            let done = administer(&config, |reach| reach.retry_login(RetryLoginRequest { backend, reason }))?;
            backends(&done.backends, output);
            Ok(())
        }
        Keys::List { versions } => {
            let mut rows = rows(&config)?;
            if !versions {
                retain_in_use(&mut rows);
            }
            list(&rows, output)
        }
        Keys::Show { key } => {
            let id = find(&config, &key).map_err(Failure::of)?.id.to_string();
            let all = rows(&config)?;
            let row = all.iter().find(|row| row.key == id);
            let row = row.ok_or_else(|| Failure::no(format!("{id} is configured, but not made yet; `sigwarden keys generate {}`", key)))?;
            show(row, output);
            Ok(())
        }
    }
}

fn add(config: &Config, new: &NewKey, import: Option<Option<PathBuf>>, output: &Output) -> Result<(), Failure> {
    let scheme = new.scheme.or_else(|| config.key(&new.id()).map(|key| key.scheme));
    let (secret, done) = match import {
        None => (None, "generated"),
        Some(file) => {
            let scheme = scheme.ok_or_else(|| Failure::cannot("--scheme is wanted, since sigwarden.toml does not name the key"))?;
            (Some(read_secret(scheme, file.as_deref())?), "imported")
        }
    };
    let added = administer(config, |reach| {
        reach.add_key(AddKeyRequest {
            name: new.name.to_string(),
            version: new.version,
            scheme: new.scheme.map(|scheme| scheme.name().to_owned()).unwrap_or_default(),
            roles: new.roles.iter().map(|role| role.name().to_owned()).collect(),
            add_to_config: new.add_to_config,
            secret,
            backend: new.backend.clone(),
        })
    })?;
    let value = json!({
        "key": added.key,
        "scheme": added.scheme,
        "public_key": hex::encode(&added.public_key),
        "configured": added.configured,
        "in_force": added.in_force,
    });
    output.print(&value, || {
        let public_key = hex::encode(&added.public_key);
        let mut text = format!("{done} {} ({})\npublic key {public_key}\n", added.key, added.scheme);
        match (added.appended, added.configured, added.in_force) {
            (true, _, true) => text.push_str("added to sigwarden.toml, and in force\n"),
            (true, _, false) => text.push_str("added to sigwarden.toml; in force from the next start\n"),
            (false, true, true) => text.push_str("in force\n"),
            (false, true, false) => text.push_str("in force from the next start\n"),
            (false, false, _) => text.push_str(&format!(
                "\nadd this to {}; it is in force from the next start:\n\n{}",
                config.file.display(),
                added.block
            )),
        }
        if added.roles.iter().any(|role| role == Role::Consensus.name()) {
            text.push_str(&format!(
                "\na consensus key signs nothing before it has a floor:\n  sigwarden -d {} floors set --key {} --chain-id ID --height N --reason TEXT\n",
                config.file.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new(".")).display(),
                new.name
            ));
        }
        text
    });
    Ok(())
}

/// Reads a secret key in hex from a file that only its owner reads, or from a prompt without echo.
fn read_secret(scheme: Scheme, file: Option<&Path>) -> Result<Vec<u8>, Failure> {
    let text = match file {
        None => Zeroizing::new(
            rpassword::prompt_password("Secret key in hex: ")
                .map_err(|error| Failure::cannot(format!("no prompt: {error}; --secret-file names a file")))?,
        ),
        Some(file) => {
            let failed = |error: std::io::Error| Failure::cannot(format!("{}: {error}", file.display()));
            let metadata = std::fs::metadata(file).map_err(failed)?;
            if metadata.mode() & 0o077 != 0 {
                return Err(Failure::no(format!(
                    "{} has mode {:04o}, so others may have read it; if they have not, `chmod 600` it",
                    file.display(),
                    metadata.mode() & 0o7777
                )));
            }
            // 64 digits, a prefix, a line ending.
            if metadata.len() > 256 {
                return Err(Failure::cannot(format!(
                    "{} is no secret key in hex: it has {} bytes",
                    file.display(),
                    metadata.len()
                )));
            }
            Zeroizing::new(std::fs::read_to_string(file).map_err(failed)?)
        }
    };
    let digits = text.trim();
    let digits = digits.strip_prefix("0x").unwrap_or(digits);
    // Looked at here, where the file's name is known; whoever keeps it looks again.
    SecretKey::from_hex(scheme, digits)?;
    Ok(hex::decode(digits)?)
}

/// A key as `list` and `show` print it.
struct Row {
    key: String,
    scheme: String,
    roles: Vec<String>,
    public_key: String,
    state: String,
    created_ms: u64,
    uses: u64,
    configured: bool,
}

/// From the log, which needs neither passphrase nor lock. If older segments were archived: from the ledger, or the daemon that holds it.
fn rows(config: &Config) -> Result<Vec<Row>, Failure> {
    match sigwarden_ledger::replay(&config.state_dir) {
        Ok(state) => return Ok(rows_of(config, &state)),
        Err(VerifyError::Partial { .. }) => {}
        Err(error) => return Err(error.into()),
    }
    let _lock = match DeploymentLock::acquire(&config.state_dir) {
        Ok(lock) => lock,
        Err(LockError::Held { .. }) => return rows_of_daemon(config),
        Err(error) => return Err(error.into()),
    };
    Ok(rows_of(config, &state_at_rest(config)?))
}

fn rows_of(config: &Config, state: &State) -> Vec<Row> {
    let row = |(id, status): (&KeyId, &std::sync::Arc<sigwarden_core::state::KeyStatus>)| {
        let configured = config.key(id);
        Row {
            key: id.to_string(),
            scheme: status.scheme.name().to_owned(),
            roles: configured.map(role_names).unwrap_or_default(),
            public_key: hex::encode(&status.public_key),
            state: status.state.name().to_owned(),
            created_ms: status.created_ms,
            uses: status.uses,
            configured: configured.is_some(),
        }
    };
    let mut rows: Vec<Row> = state.keys.iter().map(row).collect();
    rows.sort_by(|a, b| a.key.cmp(&b.key));
    rows
}

fn role_names(key: &Key) -> Vec<String> {
    key.roles.iter().map(|role| role.name().to_owned()).collect()
}

fn rows_of_daemon(config: &Config) -> Result<Vec<Row>, Failure> {
    let keys = block_on(async { Client::connect(&config.socket).await?.list_keys().await })??;
    let row = |key: crate::proto::KeyInfo| Row {
        key: key.key,
        scheme: key.scheme,
        roles: key.roles,
        public_key: hex::encode(key.public_key),
        state: key.state,
        created_ms: key.created_ms,
        uses: key.uses,
        configured: true,
    };
    Ok(keys.into_iter().map(row).collect())
}

fn to_json(row: &Row) -> Value {
    json!({
        "key": row.key,
        "scheme": row.scheme,
        "roles": row.roles,
        "public_key": row.public_key,
        "state": row.state,
        "created_ms": row.created_ms,
        "uses": row.uses,
        "configured": row.configured,
    })
}

fn list(rows: &[Row], output: &Output) -> Result<(), Failure> {
    output.print(&rows.iter().map(to_json).collect(), || {
        if rows.is_empty() {
            return "no keys; `sigwarden keys generate` makes one".to_owned();
        }
        let header = ["KEY", "SCHEME", "ROLES", "STATE", "USES", "PUBLIC KEY"].map(|name| output.style(Style::Strong, name));
        let mut lines = vec![header.to_vec()];
        lines.extend(rows.iter().map(|row| {
            let roles = if row.configured {
                row.roles.join(",")
            } else {
                "(not configured)".to_owned()
            };
            vec![
                row.key.clone(),
                row.scheme.clone(),
                roles,
                row.state.clone(),
                row.uses.to_string(),
                row.public_key.clone(),
            ]
        }));
        table(&lines)
    });
    Ok(())
}

fn show(row: &Row, output: &Output) {
    output.print(&to_json(row), || {
        let lines = [
            ("key", row.key.clone()),
            ("scheme", row.scheme.clone()),
            ("roles", row.roles.join(", ")),
            ("public key", row.public_key.clone()),
            ("state", row.state.clone()),
            ("created", time(row.created_ms)),
            ("uses", row.uses.to_string()),
        ];
        table(&lines.map(|(name, value)| vec![name.to_owned(), value]))
    });
}

/// Leaves one version of each name: the newest active one, else the newest that is not over.
fn retain_in_use(rows: &mut Vec<Row>) {
    let rank = |row: &Row| {
        let id: Option<KeyId> = row.key.parse().ok();
        let version = id.as_ref().map_or(0, |id| id.version);
        let state = match row.state.as_str() {
            "active" => 2,
            "revoked" | "destroyed" => 0,
            _ => 1,
        };
        (id.map(|id| id.name), (state, version))
    };
    let mut best = std::collections::BTreeMap::new();
    for row in rows.iter() {
        let (name, rank) = rank(row);
        let best = best.entry(name).or_insert(rank);
        *best = (*best).max(rank);
    }
    rows.retain(|row| {
        let (name, rank) = rank(row);
        best.get(&name) == Some(&rank)
    });
}
