//! `sigwarden keys`.

use super::args::{Keys, NewKey};
use super::output::{Failure, Output, Style, table, time};
use super::sign::block_on;
use super::{edit, template};
use crate::client::Client;
use crate::config::{Backend, BackendKind, Config, Key};
use crate::deployment::{now_ms, open_vault, operator, settings, state_at_rest};
use crate::fatal::Fatal;
use serde_json::{Value, json};
use sigwarden_core::key::{KeyId, KeyName};
use sigwarden_core::state::{Effect, State};
use sigwarden_core::{KeyState, Role, Scheme};
use sigwarden_keys::{SecretKey, Vault, VaultError};
use sigwarden_ledger::{AdminKind, Administration, DeploymentLock, EmbeddedLedger, LockError, VerifyError};
use std::collections::BTreeSet;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use zeroize::Zeroizing;

pub(super) fn run(command: Keys, dir: &Path, output: &Output) -> Result<(), Failure> {
    let config = Config::load(dir)?;
    match command {
        Keys::Generate(new) => add(&config, &new, None, output),
        Keys::Import { key, secret_file } => add(&config, &key, Some(secret_file), output),
        Keys::List => list(&rows(&config)?, output),
        Keys::Show { key } => {
            let id = find(&config, &key)?.id.to_string();
            let all = rows(&config)?;
            let row = all.iter().find(|row| row.key == id);
            let row = row.ok_or_else(|| Failure::no(format!("{id} is configured, but not made yet; `sigwarden keys generate {}`", key)))?;
            show(row, output);
            Ok(())
        }
    }
}

/// The configured key of a name (its highest version) or an id.
pub(super) fn find<'c>(config: &'c Config, text: &str) -> Result<&'c Key, Failure> {
    if let Ok(id) = text.parse::<KeyId>() {
        return config
            .key(&id)
            .ok_or_else(|| Failure::no(format!("there is no `[[key]]` {id}; `sigwarden keys list` lists them")));
    }
    let name: KeyName = text.parse()?;
    let versions = config.keys.iter().filter(|key| key.id.name == name);
    versions.max_by_key(|key| key.id.version).ok_or_else(|| {
        Failure::no(format!(
            "there is no `[[key]]` of the name {name}; `sigwarden keys list` lists them"
        ))
    })
}

/// What a new key is to be, from the configuration or the arguments.
struct Plan {
    id: KeyId,
    scheme: Scheme,
    roles: BTreeSet<Role>,
    backend: String,
    configured: bool,
}

fn plan(config: &Config, new: &NewKey) -> Result<Plan, Failure> {
    let id = new.id();
    if new.version == 0 {
        return Err(Failure::cannot("--key-version: versions count from 1"));
    }
    let is_vault = |backend: &&Backend| matches!(backend.kind, BackendKind::SealedFile { .. });
    let vault = config.backends.iter().find(is_vault);
    let vault =
        vault.ok_or_else(|| Failure::no("the configuration has no `sealed-file` backend to put a key into; add a `[[backend]]`"))?;
    if let Some(key) = config.key(&id) {
        if key.backend != vault.name {
            return Err(Failure::no(format!(
                "{id} is configured in backend `{}`, not in the `sealed-file` one",
                key.backend
            )));
        }
        if new.scheme.is_some_and(|scheme| scheme != key.scheme) {
            return Err(Failure::no(format!("{id} is configured as {}; leave --scheme out", key.scheme)));
        }
        return Ok(Plan {
            id,
            scheme: key.scheme,
            roles: key.roles.clone(),
            backend: vault.name.clone(),
            configured: true,
        });
    }
    let scheme = new
        .scheme
        .ok_or_else(|| Failure::cannot(format!("--scheme is wanted, since sigwarden.toml does not name {id}")))?;
    if new.roles.is_empty() {
        return Err(Failure::cannot(format!(
            "--role is wanted, since sigwarden.toml does not name {id}"
        )));
    }
    Ok(Plan {
        id,
        scheme,
        roles: new.roles.iter().copied().collect(),
        backend: vault.name.clone(),
        configured: false,
    })
}

fn add(config: &Config, new: &NewKey, import: Option<Option<PathBuf>>, output: &Output) -> Result<(), Failure> {
    let plan = plan(config, new)?;
    let block = template::key(&plan.id, &plan.roles, plan.scheme, &plan.backend, None);
    if !plan.configured {
        // What the configuration would refuse is refused before a key is made.
        edit::appended(config, &block)?;
    }
    let _lock = DeploymentLock::acquire(&config.state_dir)?;
    let Some(vault) = open_vault(config, None)? else {
        return Err(Failure::no("the configuration has no `sealed-file` backend"));
    };
    let now_ms = now_ms();
    let (public_key, reason) = match import {
        None => (vault.generate(&plan.id, plan.scheme, now_ms), "generated"),
        Some(file) => {
            let secret = read_secret(plan.scheme, file.as_deref())?;
            (vault.import(&plan.id, plan.scheme, secret, now_ms), "imported")
        }
    };
    let public_key = match public_key {
        Ok(public_key) => public_key,
        Err(error @ VaultError::KeyExists(_)) => return Err(Failure::no(error.to_string())),
        Err(error) => return Err(error.into()),
    };
    let ledger = EmbeddedLedger::open(&config.state_dir, settings(now_ms, &Arc::new(Fatal::default())))?;
    // If this fails the key is in the vault and is pinned at its first use.
    pin(&ledger, &vault, &[&plan.id], reason, now_ms)?;
    ledger.close()?;

    let block = template::key(&plan.id, &plan.roles, plan.scheme, &plan.backend, Some(&public_key));
    let appended = !plan.configured && new.add_to_config;
    if appended {
        edit::write(&config.file, &edit::appended(config, &block)?)?;
    }
    let value = json!({
        "key": plan.id.to_string(),
        "scheme": plan.scheme.name(),
        "public_key": hex::encode(&public_key),
        "configured": plan.configured || appended,
    });
    output.print(&value, || {
        let mut text = format!("{reason} {} ({})\npublic key {}\n", plan.id, plan.scheme, hex::encode(&public_key));
        if appended {
            text.push_str("added to sigwarden.toml; in force from the next start\n");
        } else if !plan.configured {
            text.push_str(&format!("\nadd this to {}:\n\n{block}", config.file.display()));
        }
        if plan.roles.contains(&Role::Consensus) {
            text.push_str(&format!(
                "\na consensus key signs nothing before it has a floor:\n  sigwarden floors set --key {} --chain-id ID --height N --reason TEXT\n",
                plan.id.name
            ));
        }
        text
    });
    Ok(())
}

/// Pins public keys of the vault in the ledger.
pub(super) fn pin(ledger: &EmbeddedLedger, vault: &Vault, ids: &[&KeyId], reason: &str, now_ms: u64) -> Result<(), Failure> {
    let entries = ids.iter().filter_map(|id| vault.entry(id));
    let effects = entries
        .map(|entry| Effect::KeyPinned {
            key: entry.id,
            scheme: entry.scheme,
            public_key: entry.public_key,
            created_ms: entry.created_ms,
            state: KeyState::Active,
        })
        .collect();
    ledger.administer(Administration {
        kind: AdminKind::PublicKey,
        operator: operator(),
        reason: reason.to_owned(),
        now_ms,
        effects,
    })?;
    Ok(())
}

/// Reads a secret key in hex from a file that only its owner reads, or from a prompt without echo.
fn read_secret(scheme: Scheme, file: Option<&Path>) -> Result<SecretKey, Failure> {
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
    Ok(SecretKey::from_hex(scheme, digits.strip_prefix("0x").unwrap_or(digits))?)
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
    let row = |(id, status): (&KeyId, &sigwarden_core::state::KeyStatus)| {
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
