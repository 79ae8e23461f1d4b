//! The life of keys: their states.

use super::{Administrator, NotDone, find, wanted};
use crate::config::BackendKind;
use crate::proto::admin as wire;
use sigwarden_core::key::{KeyId, KeyName};
use sigwarden_core::lifecycle::GraceEnd;
use sigwarden_core::state::{Effect, KeyStatus, State};
use sigwarden_core::{KeyState, Ledger};
use sigwarden_keys::VaultError;
use sigwarden_ledger::AdminKind;

/// What an operator may do to a key's state with `keys suspend`, `resume`, `revoke` and `destroy`.
fn may_become(from: KeyState, to: KeyState) -> bool {
    match (from, to) {
        (KeyState::Active | KeyState::Grace, KeyState::Suspended)
        | (KeyState::Suspended, KeyState::Active)
        | (KeyState::Pending | KeyState::Active | KeyState::Grace | KeyState::Suspended, KeyState::Revoked)
        // In two steps, so that no slip erases a key that is in use.
        | (KeyState::Revoked, KeyState::Destroyed) => true,
        (
            KeyState::Pending | KeyState::Active | KeyState::Grace | KeyState::Suspended | KeyState::Revoked | KeyState::Destroyed,
            KeyState::Pending | KeyState::Active | KeyState::Grace | KeyState::Suspended | KeyState::Revoked | KeyState::Destroyed,
        ) => false,
    }
}

fn refuse(id: &KeyId, from: KeyState, to: KeyState) -> NotDone {
    NotDone::no(match (from, to) {
        (from, to) if from == to => format!("{id} is {from} already"),
        (KeyState::Revoked | KeyState::Destroyed, _) => format!("{id} is {from}, for good; a new key is a new version"),
        (_, KeyState::Destroyed) => format!("{id} is {from}; only a revoked key is destroyed: `sigwarden keys revoke {id}` first"),
        (KeyState::Pending, _) => format!("{id} is pending and signs nothing; `keys activate` or `keys revoke` it"),
        (_, KeyState::Active) => format!("{id} is {from}; only a suspended key is resumed"),
        (_, _) => format!("{id} is {from}, and no command makes it {to}"),
    })
}

/// A suspended key comes back as what it was, and in doubt in grace: if it was to end, or another version is in use, or a later one was and is
/// suspended as well. Resuming never gives a version back what an activation took from it.
fn resumed(id: &KeyId, status: &KeyStatus, state: &State) -> (KeyState, Option<GraceEnd>) {
    let took_over = |(other, status): (&KeyId, &KeyStatus)| match status.state {
        KeyState::Active => other != id,
        KeyState::Suspended | KeyState::Grace => other.version > id.version && status.grace.is_none(),
        KeyState::Pending | KeyState::Revoked | KeyState::Destroyed => false,
    };
    if status.grace.is_some() || versions(state, &id.name).any(took_over) {
        (KeyState::Grace, status.grace)
    } else {
        (KeyState::Active, None)
    }
}

/// The versions of a name that the ledger knows.
pub(super) fn versions<'s>(state: &'s State, name: &'s KeyName) -> impl Iterator<Item = (&'s KeyId, &'s KeyStatus)> {
    let all = state.keys.iter().map(|(id, status)| (id, status.as_ref()));
    all.filter(move |(id, _)| id.name == *name)
}

pub(super) fn unknown(id: &KeyId) -> NotDone {
    NotDone::no(format!(
        "the ledger does not know {id} yet; generate or import it, or start the daemon once"
    ))
}

impl Administrator {
    /// Suspends, resumes, revokes or destroys a key, with every name of the same public key. When it returns, the change is durable, and
    /// nothing that the key signs against it leaves.
    ///
    /// # Errors
    /// There is no such key, or its state does not change so.
    pub fn set_key_state(&self, request: wire::SetKeyStateRequest) -> Result<wire::SetKeyStateResponse, NotDone> {
        let turn = self.turn();
        wanted(&request.reason)?;
        let to: KeyState = request.state.parse()?;
        let id = self.known(&request.key)?;
        let state = self.ledger()?.snapshot();
        let status = state.keys.get(&id).ok_or_else(|| unknown(&id))?;
        let from = status.state;
        if from == KeyState::Destroyed && to == KeyState::Destroyed {
            // What was interrupted, or could not be erased then, is erased now.
            let erased = self.erase(std::iter::once(&id))?;
            return Ok(wire::SetKeyStateResponse {
                key: id.to_string(),
                before: from.name().to_owned(),
                state: to.name().to_owned(),
                erased,
                ..wire::SetKeyStateResponse::default()
            });
        }
        if !may_become(from, to) {
            return Err(refuse(&id, from, to));
        }
        // A replica is the same secret under another name: stopping one and not the other would stop nothing.
        let same = |(other, twin): &(&KeyId, &std::sync::Arc<KeyStatus>)| {
            **other != id && twin.public_key == status.public_key && may_become(twin.state, to)
        };
        let mut also: Vec<KeyId> = state.keys.iter().filter(same).map(|(other, _)| other.clone()).collect();
        also.sort_unstable();
        let change = |key: &KeyId| {
            let status = state.keys.get(key)?;
            let (state, grace) = match to {
                KeyState::Active => resumed(key, status, &state),
                KeyState::Suspended => (to, status.grace),
                KeyState::Pending | KeyState::Grace | KeyState::Revoked | KeyState::Destroyed => (to, None),
            };
            let key = key.clone();
            Some(Effect::KeyState { key, state, grace })
        };
        if let (KeyState::Active, Some(daemon)) = (to, self.daemon()) {
            std::iter::once(&id).chain(&also).for_each(|key| daemon.backends.trust_again(key));
        }
        let effects: Vec<Effect> = std::iter::once(&id).chain(&also).filter_map(change).collect();
        if let Some(key) = effects.iter().find_map(|effect| self.endless(effect)) {
            return Err(NotDone::no(format!(
                "{key} would sign beside the version that is in use, without an end; `sigwarden keys activate {key} --grace-until height:N` takes it \
                 back, `keys revoke` ends it"
            )));
        }
        let sequence = self.change_states(&request.reason, effects, |_| Ok(()))?;
        // Erasing may wait for a token; nobody else does.
        drop(turn);
        let erased = match to {
            KeyState::Destroyed => self.erase(std::iter::once(&id).chain(&also))?,
            KeyState::Pending | KeyState::Active | KeyState::Grace | KeyState::Suspended | KeyState::Revoked => Vec::new(),
        };
        let now = self.ledger()?.snapshot().keys.get(&id).map_or(to, |status| status.state);
        tracing::warn!(key = %id, from = %from, to = %now, reason = request.reason, sequence, "changed a key's state");
        Ok(wire::SetKeyStateResponse {
            key: id.to_string(),
            before: from.name().to_owned(),
            state: now.name().to_owned(),
            sequence,
            also: also.iter().map(ToString::to_string).collect(),
            erased,
        })
    }

    /// Suspends a key that its token lied about. The backend refuses it already; this is for the record, and for the next start.
    pub(crate) fn suspend_distrusted(&self, id: &KeyId, what: &str) {
        let request = wire::SetKeyStateRequest {
            key: id.to_string(),
            state: KeyState::Suspended.name().to_owned(),
            reason: what.chars().take(512).collect(),
        };
        if let Err(not_done) = self.set_key_state(request) {
            tracing::error!(key = %id, "the key could not be suspended: {}", not_done.text);
        }
    }

    /// Whether a key signs, as the ledger has it.
    pub(crate) fn signs(&self, id: &KeyId) -> bool {
        let state = self.ledger().map(Ledger::snapshot);
        state.is_ok_and(|state| state.keys.get(id).is_some_and(|status| status.state.signs()))
    }

    /// Records changes of states, if they hold against the state as of the record; when it returns they are in force.
    pub(super) fn change_states(
        &self,
        reason: &str,
        effects: Vec<Effect>,
        judge: impl FnOnce(&State) -> Result<(), NotDone>,
    ) -> Result<u64, NotDone> {
        let record = || {
            judge(&self.ledger()?.snapshot())?;
            self.record(AdminKind::Lifecycle, reason, effects)
        };
        match self.daemon() {
            Some(daemon) => daemon.pipeline.change_key_states(record),
            None => record(),
        }
    }

    /// Erases the secrets of destroyed keys, and says what was done. What a power cut leaves is swept at the next start.
    fn erase<'k>(&self, ids: impl Iterator<Item = &'k KeyId>) -> Result<Vec<String>, NotDone> {
        let config = self.config();
        let mut done = Vec::new();
        for id in ids {
            let backend = config
                .key(id)
                .and_then(|key| config.backends.iter().find(|backend| backend.name == key.backend));
            match backend.map(|backend| &backend.kind) {
                Some(BackendKind::SealedFile { .. }) => {
                    match self.vault()?.destroy(id) {
                        Ok(()) | Err(VaultError::UnknownKey(_)) => {}
                        Err(error) => return Err(error.into()),
                    }
                    self.forget(id);
                    done.push(format!(
                        "the sealed file of {id} is erased; copies of it live in backups until those run out"
                    ));
                }
                Some(BackendKind::Keystore { .. }) => {
                    let name = config.key(id).map(|key| key.backend.clone()).unwrap_or_default();
                    self.keystore(&name)?.destroy(id)?;
                    self.forget(id);
                    done.push(format!(
                        "the keystore's file of {id} is erased; copies of it live in backups until those run out"
                    ));
                }
                Some(kind @ (BackendKind::Pkcs11(_) | BackendKind::Remote(_) | BackendKind::Env { .. } | BackendKind::MockHsm { .. })) => {
                    tracing::warn!(key = %id, backend = kind.name(), "erase the key where it lives: this backend keeps it");
                    done.push(format!(
                        "{id} still lies in its `{}` backend, and signs nothing for Sigwarden: erase it there with the vendor's own tool",
                        kind.name()
                    ));
                }
                // It was taken out of the configuration: wherever it may lie.
                None => {
                    if config.vault_dir().is_some() {
                        match self.vault()?.destroy(id) {
                            Ok(()) | Err(VaultError::UnknownKey(_)) => {}
                            Err(error) => return Err(error.into()),
                        }
                    }
                    for backend in &config.backends {
                        if matches!(backend.kind, BackendKind::Keystore { .. }) {
                            self.keystore(&backend.name)?.destroy(id)?;
                        }
                    }
                    self.forget(id);
                    done.push(format!(
                        "sigwarden.toml does not name {id}: it is erased from sealed files and keystores; a token keeps what it has"
                    ));
                }
            }
        }
        Ok(done)
    }

    /// A key by what the configuration or, for one that was taken out of it, the ledger knows.
    fn known(&self, text: &str) -> Result<KeyId, NotDone> {
        if let Ok(id) = text.parse::<KeyId>() {
            return Ok(id);
        }
        Ok(find(&self.config(), text)?.id.clone())
    }
}
