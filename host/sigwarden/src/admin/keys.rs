//! New keys.

use super::maker::Maker;
use super::{Administrator, NotDone, edit};
use crate::config::{Backend, BackendKind, Config, Key};
use crate::deployment::tokens::special;
use crate::deployment::{now_ms, same_secret};
use crate::proto::admin as wire;
use sigwarden_core::key::{KeyId, KeyName};
use sigwarden_core::state::{Effect, KeyStatus, State};
use sigwarden_core::{KeyState, Ledger, Role, Scheme};
use sigwarden_keys::{SecretKey, Vault, VaultError, public_key_of};
use sigwarden_ledger::AdminKind;
use std::collections::BTreeSet;
use std::sync::Arc;
use zeroize::Zeroizing;

impl Administrator {
    /// Makes a key in its backend, or imports one into the `sealed-file` one. A running daemon signs with it at once, if sigwarden.toml names it.
    ///
    /// # Errors
    /// It is there already, the configuration does not want it so, or the vault or the ledger cannot.
    pub fn add_key(&self, mut request: wire::AddKeyRequest) -> Result<wire::AddKeyResponse, NotDone> {
        let _making = self.making();
        let secret = request.secret.take().map(Zeroizing::new);
        // The file as it is now: a `[[key]]` may have been written since the daemon started.
        let file = Config::load(&self.config().dir)?;
        let plan = plan(&file, &request)?;
        let block = |public_key| edit::key(&plan.id, &plan.roles, plan.scheme, &plan.backend, public_key);
        if plan.configured.is_none() {
            // What the configuration would refuse is refused before a key is made.
            edit::appended(&file, &block(None))?;
        }
        let maker = self.maker(&file, &plan.backend)?;
        // Opened first: a ledger that does not open must not leave a key that it does not know.
        let state = self.ledger()?.snapshot();
        let now_ms = now_ms();
        if let Some(secret) = &secret {
            refuse_twin(&file, &state, &plan, secret)?;
        }
        let special = plan.configured.as_ref().map(special).unwrap_or_default();
        maker.learn(&plan.id, special)?;
        let there = secret.is_none() && maker.has(&plan.id, plan.scheme)?;
        let (public_key, reason) = match (&secret, &maker) {
            (None, _) if there => {
                return Err(NotDone::no(format!(
                    "backend `{}` has a key {} already; a new one is a new version",
                    plan.backend, plan.id
                )));
            }
            (None, maker) => (maker.key(&plan.id, plan.scheme, now_ms)?, "generated"),
            (Some(secret), Maker::Vault(vault)) => {
                let secret = SecretKey::from_bytes(plan.scheme, secret)?;
                match vault.import(&plan.id, plan.scheme, secret, now_ms) {
                    Ok(public_key) => (public_key, "imported"),
                    Err(error @ VaultError::KeyExists(_)) => return Err(NotDone::no(error.to_string())),
                    Err(error) => return Err(error.into()),
                }
            }
            (Some(secret), Maker::Keystore(keystore)) => {
                let secret = SecretKey::from_bytes(plan.scheme, secret)?;
                (keystore.import(&plan.id, plan.scheme, secret, now_ms)?, "imported")
            }
            (Some(_), Maker::Token(_)) => {
                return Err(NotDone::no(
                    "a key is not imported into a token: one that was ever outside is not the token's alone; generate it there",
                ));
            }
        };
        let _turn = self.turn();
        // As they are now: other commands were not kept waiting for the backend.
        let file = Config::load(&self.config().dir)?;
        let state = self.ledger()?.snapshot();
        // If this fails the key is in its backend and is pinned at its first use.
        let first = first_state(&state, &plan.id, &public_key).map_err(|other| withdrawn(&other))?;
        let pin = maker.pin(&plan.id, plan.scheme, &public_key, first, now_ms);
        self.record(AdminKind::PublicKey, reason, vec![pin])?;

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
    pub(super) fn bring_into_force(&self, key: &Key, public_key: &[u8]) -> bool {
        let Some(daemon) = self.daemon() else { return false };
        let running = daemon.pipeline.keys();
        let mut others = running.iter();
        let backend = self.config().backends.iter().any(|backend| backend.name == key.backend);
        if !backend || key.replica_of.is_some() || others.any(|other| crate::deployment::same_secret(&other.public_key, public_key)) {
            return false;
        }
        daemon.pipeline.add_key(self.config().entry(key, public_key.to_vec()));
        self.replace_config(|config| {
            let keys = Arc::make_mut(&mut config.keys);
            keys.retain(|other| other.id != key.id);
            keys.push(key.clone());
        });
        true
    }
}

/// The first state of a key: in use, unless another version of its name is; then an operator activates it. A secret that the ledger knows
/// under another name is in the state that it has there.
///
/// # Errors
/// The secret was withdrawn, under the name given.
pub(crate) fn first_state(state: &State, id: &KeyId, public_key: &[u8]) -> Result<KeyState, KeyId> {
    let twins = || {
        state
            .keys
            .iter()
            .filter(|(other, status)| *other != id && same_secret(&status.public_key, public_key))
    };
    let over = |status: &KeyStatus| matches!(status.state, KeyState::Revoked | KeyState::Destroyed);
    if let Some((withdrawn, _)) = twins().find(|(_, status)| over(status)) {
        return Err(withdrawn.clone());
    }
    if let Some((_, twin)) = twins().find(|(_, status)| status.state != KeyState::Active) {
        // Suspended or on its way out: it does not become more under a new name.
        return Ok(match twin.state {
            KeyState::Suspended | KeyState::Grace => KeyState::Suspended,
            KeyState::Pending | KeyState::Active | KeyState::Revoked | KeyState::Destroyed => KeyState::Pending,
        });
    }
    let replaces = |(other, status): (&KeyId, &std::sync::Arc<KeyStatus>)| {
        other.name == id.name && other.version != id.version && !over(status) && !same_secret(&status.public_key, public_key)
    };
    Ok(match state.keys.iter().any(replaces) {
        true => KeyState::Pending,
        false => KeyState::Active,
    })
}

/// Effects that pin public keys of a new vault.
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

fn withdrawn(other: &KeyId) -> NotDone {
    NotDone::no(format!(
        "this is the secret of {other}, which was withdrawn for good; it does not come back under another name"
    ))
}

/// What the next start would refuse is refused before anything is written: a second name for a key, unless it says that it is one.
fn refuse_twin(config: &Config, state: &State, plan: &Plan, secret: &[u8]) -> Result<(), NotDone> {
    let public_key = public_key_of(plan.scheme, &SecretKey::from_bytes(plan.scheme, secret)?)?;
    first_state(state, &plan.id, &public_key).map_err(|other| withdrawn(&other))?;
    if plan.configured.as_ref().is_some_and(|key| key.replica_of.is_some()) {
        return Ok(());
    }
    let is_twin = |key: &&Key| {
        let status = state.keys.get(&key.id);
        key.id != plan.id && key.replica_of.is_none() && status.is_some_and(|status| same_secret(&status.public_key, &public_key))
    };
    match config.keys.iter().find(is_twin) {
        Some(other) => Err(NotDone::no(format!(
            "this is the secret of {}; if a second name is meant, write a `[[key]]` with `replica_of = \"{}\"` first",
            other.id, other.id
        ))),
        None => Ok(()),
    }
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
    if let Some(key) = config.key(&id) {
        if !new.backend.is_empty() && key.backend != new.backend {
            return Err(NotDone::no(format!(
                "{id} is configured in backend `{}`; leave --backend out",
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
            backend: key.backend.clone(),
            configured: Some(key.clone()),
        });
    }
    let scheme = scheme.ok_or_else(|| NotDone::cannot(format!("--scheme is wanted, since sigwarden.toml does not name {id}")))?;
    if new.roles.is_empty() {
        return Err(NotDone::cannot(format!(
            "--role is wanted, since sigwarden.toml does not name {id}"
        )));
    }
    let makes_keys = |backend: &&Backend| {
        matches!(
            backend.kind,
            BackendKind::SealedFile { .. } | BackendKind::Keystore { .. } | BackendKind::Pkcs11(_)
        )
    };
    let backend = match new.backend.as_str() {
        // The sealed files, if there are any: a key is not put into an HSM by leaving a word out.
        "" => config
            .backends
            .iter()
            .find(|backend| matches!(backend.kind, BackendKind::SealedFile { .. }))
            .or_else(|| config.backends.iter().find(makes_keys)),
        name => config.backends.iter().find(|backend| backend.name == name),
    };
    let backend = backend.ok_or_else(|| match new.backend.as_str() {
        "" => NotDone::no("the configuration has no backend to put a key into; add a `[[backend]]` of kind `sealed-file` or `pkcs11`"),
        name => NotDone::no(format!("there is no `[[backend]]` of the name `{name}`")),
    })?;
    Ok(Plan {
        id,
        scheme,
        roles: new.roles.iter().map(|role| role.parse()).collect::<Result<_, _>>()?,
        backend: backend.name.clone(),
        configured: None,
    })
}
