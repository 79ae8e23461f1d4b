//! Keys: their states, and new ones.

use super::{Administrator, NotDone, edit, find, wanted};
use crate::config::{Backend, BackendKind, Config, Key};
use crate::deployment::now_ms;
use crate::proto::admin as wire;
use sigwarden_core::key::{KeyEntry, KeyId, KeyName};
use sigwarden_core::state::Effect;
use sigwarden_core::{KeyState, Ledger, Role, Scheme};
use sigwarden_keys::{SecretKey, Vault, VaultError};
use sigwarden_ledger::AdminKind;
use std::collections::BTreeSet;
use zeroize::Zeroizing;

/// What an operator may do to a key's state, as far as there are commands for it.
fn may_become(from: KeyState, to: KeyState) -> bool {
    match (from, to) {
        (KeyState::Pending | KeyState::Active | KeyState::Grace, KeyState::Suspended)
        | (KeyState::Suspended, KeyState::Active)
        | (KeyState::Pending | KeyState::Active | KeyState::Grace | KeyState::Suspended, KeyState::Revoked) => true,
        (
            KeyState::Pending | KeyState::Active | KeyState::Grace | KeyState::Suspended | KeyState::Revoked | KeyState::Destroyed,
            KeyState::Pending | KeyState::Active | KeyState::Grace | KeyState::Suspended | KeyState::Revoked | KeyState::Destroyed,
        ) => false,
    }
}

impl Administrator {
    /// Suspends, resumes or revokes a key. When it returns, the change is durable, and nothing that the key signs against it leaves.
    ///
    /// # Errors
    /// There is no such key, or its state does not change so.
    pub fn set_key_state(&self, request: wire::SetKeyStateRequest) -> Result<wire::SetKeyStateResponse, NotDone> {
        let _turn = self.turn();
        wanted(&request.reason)?;
        let to: KeyState = request.state.parse()?;
        let id = self.known(&request.key)?;
        let state = self.ledger()?.snapshot();
        let status = state.keys.get(&id).ok_or_else(|| {
            NotDone::no(format!(
                "the ledger does not know {id} yet; generate or import it, or start the daemon once"
            ))
        })?;
        let from = status.state;
        if !may_become(from, to) {
            return Err(NotDone::no(match (from, to) {
                (from, to) if from == to => format!("{id} is {from} already"),
                (KeyState::Revoked | KeyState::Destroyed, _) => format!("{id} is {from}, for good; a new key is a new version"),
                (_, KeyState::Active) => format!("{id} is {from}; only a suspended key is resumed"),
                (_, _) => format!("{id} is {from}, and no command makes it {to}"),
            }));
        }
        let record = || {
            let effect = Effect::KeyState {
                key: id.clone(),
                state: to,
                grace: None,
            };
            self.record(AdminKind::Lifecycle, &request.reason, vec![effect])
        };
        let sequence = match self.daemon() {
            Some(daemon) => daemon.pipeline.change_key_states(record)?,
            None => record()?,
        };
        tracing::warn!(key = %id, from = %from, to = %to, reason = request.reason, sequence, "changed a key's state");
        Ok(wire::SetKeyStateResponse {
            key: id.to_string(),
            before: from.name().to_owned(),
            state: to.name().to_owned(),
            sequence,
        })
    }

    /// A key by what the configuration or, for one that was taken out of it, the ledger knows.
    fn known(&self, text: &str) -> Result<KeyId, NotDone> {
        if let Ok(id) = text.parse::<KeyId>() {
            return Ok(id);
        }
        Ok(find(&self.config(), text)?.id.clone())
    }

    /// Makes a key in the `sealed-file` backend, or imports one. A running daemon signs with it at once, if sigwarden.toml names it.
    ///
    /// # Errors
    /// It is there already, the configuration does not want it so, or the vault or the ledger cannot.
    pub fn add_key(&self, mut request: wire::AddKeyRequest) -> Result<wire::AddKeyResponse, NotDone> {
        let _turn = self.turn();
        let secret = request.secret.take().map(Zeroizing::new);
        // The file as it is now: a `[[key]]` may have been written since the daemon started.
        let file = Config::load(&self.config().dir)?;
        let plan = plan(&file, &request)?;
        let block = |public_key| edit::key(&plan.id, &plan.roles, plan.scheme, &plan.backend, public_key);
        if plan.configured.is_none() {
            // What the configuration would refuse is refused before a key is made.
            edit::appended(&file, &block(None))?;
        }
        let vault = self.vault()?;
        // Opened first: a ledger that does not open must not leave a key that it does not know.
        self.ledger()?;
        let now_ms = now_ms();
        let (made, reason) = match &secret {
            None => (vault.generate(&plan.id, plan.scheme, now_ms), "generated"),
            Some(secret) => {
                let secret = SecretKey::from_bytes(plan.scheme, secret)?;
                (vault.import(&plan.id, plan.scheme, secret, now_ms), "imported")
            }
        };
        let public_key = match made {
            Ok(public_key) => public_key,
            Err(error @ VaultError::KeyExists(_)) => return Err(NotDone::no(error.to_string())),
            Err(error) => return Err(error.into()),
        };
        // If this fails the key is in the vault and is pinned at its first use.
        self.record(AdminKind::PublicKey, reason, pins(&vault, &[&plan.id]))?;

        let block = block(Some(public_key.as_slice()));
        let appended = plan.configured.is_none() && request.add_to_config;
        if appended {
            edit::write(&file.file, &edit::appended(&file, &block)?)?;
        }
        let configured = if appended {
            Config::load(&file.dir)?.key(&plan.id).cloned()
        } else {
            plan.configured.clone()
        };
        let in_force = configured.as_ref().is_some_and(|key| self.bring_into_force(key, &public_key));
        Ok(wire::AddKeyResponse {
            key: plan.id.to_string(),
            scheme: plan.scheme.name().to_owned(),
            public_key,
            roles: plan.roles.iter().map(|role| role.name().to_owned()).collect(),
            configured: configured.is_some(),
            appended,
            in_force,
            block,
        })
    }

    /// Hands a new key to the daemon's pipeline. What a start would refuse waits for the start: a second name for one key.
    fn bring_into_force(&self, key: &Key, public_key: &[u8]) -> bool {
        let Some(daemon) = self.daemon() else { return false };
        let running = daemon.pipeline.keys();
        let mut others = running.0.values().flat_map(|versions| versions.values());
        let backend = self.config().backends.iter().any(|backend| backend.name == key.backend);
        if !backend || key.replica_of.is_some() || others.any(|other| crate::deployment::same_secret(&other.public_key, public_key)) {
            return false;
        }
        daemon.pipeline.add_key(KeyEntry {
            id: key.id.clone(),
            roles: key.roles.clone(),
            scheme: key.scheme,
            public_key: public_key.to_vec(),
            backend: key.backend.clone(),
            dangerous_allow_raw_messages: key.dangerous_allow_raw_messages,
            dangerous_allow_raw_digests: key.dangerous_allow_raw_digests,
            bound: None,
            rotation: None,
        });
        self.replace_config(|config| {
            config.keys.retain(|other| other.id != key.id);
            config.keys.push(key.clone());
        });
        true
    }
}

/// Effects that pin public keys of the vault.
pub(crate) fn pins(vault: &Vault, ids: &[&KeyId]) -> Vec<Effect> {
    let entries = ids.iter().filter_map(|id| vault.entry(id));
    entries
        .map(|entry| Effect::KeyPinned {
            key: entry.id,
            scheme: entry.scheme,
            public_key: entry.public_key,
            created_ms: entry.created_ms,
            state: KeyState::Active,
        })
        .collect()
}

/// What a new key is to be, from the configuration or the request.
struct Plan {
    id: KeyId,
    scheme: Scheme,
    roles: BTreeSet<Role>,
    backend: String,
    configured: Option<Key>,
}

fn plan(config: &Config, new: &wire::AddKeyRequest) -> Result<Plan, NotDone> {
    let name: KeyName = new.name.parse()?;
    let id = KeyId {
        name,
        version: new.version,
    };
    if id.version == 0 {
        return Err(NotDone::cannot("--key-version: versions count from 1"));
    }
    let scheme: Option<Scheme> = Some(new.scheme.as_str())
        .filter(|scheme| !scheme.is_empty())
        .map(str::parse)
        .transpose()?;
    let is_vault = |backend: &&Backend| matches!(backend.kind, BackendKind::SealedFile { .. });
    let vault = config.backends.iter().find(is_vault);
    let vault =
        vault.ok_or_else(|| NotDone::no("the configuration has no `sealed-file` backend to put a key into; add a `[[backend]]`"))?;
    if let Some(key) = config.key(&id) {
        if key.backend != vault.name {
            return Err(NotDone::no(format!(
                "{id} is configured in backend `{}`, not in the `sealed-file` one",
                key.backend
            )));
        }
        if scheme.is_some_and(|scheme| scheme != key.scheme) {
            return Err(NotDone::no(format!("{id} is configured as {}; leave --scheme out", key.scheme)));
        }
        return Ok(Plan {
            id,
            scheme: key.scheme,
            roles: key.roles.clone(),
            backend: vault.name.clone(),
            configured: Some(key.clone()),
        });
    }
    let scheme = scheme.ok_or_else(|| NotDone::cannot(format!("--scheme is wanted, since sigwarden.toml does not name {id}")))?;
    if new.roles.is_empty() {
        return Err(NotDone::cannot(format!(
            "--role is wanted, since sigwarden.toml does not name {id}"
        )));
    }
    Ok(Plan {
        id,
        scheme,
        roles: new.roles.iter().map(|role| role.parse()).collect::<Result<_, _>>()?,
        backend: vault.name.clone(),
        configured: None,
    })
}
