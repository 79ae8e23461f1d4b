//! Rotation: a key's next version, and which version is in use.

use super::lifecycle::{unknown, versions};
use super::succession::{graced, replaced_by};
use super::{Administrator, NotDone, edit, wanted};
use crate::config::{Config, Key};
use crate::deployment::now_ms;
use crate::proto::admin as wire;
use sigwarden_core::key::{KeyId, KeyName};
use sigwarden_core::lifecycle::{GraceEnd, Measure};
use sigwarden_core::state::{Effect, State};
use sigwarden_core::{KeyState, Ledger};
use sigwarden_ledger::AdminKind;
use sigwarden_pkcs11::KeySettings;

impl Administrator {
    /// Makes the next version of a key, pending, with the roles, rights and scheme of the one in use. Interrupted anywhere, the version in
    /// use stays so, and asking again goes on.
    ///
    /// # Errors
    /// There is a pending version already; the backend cannot make keys.
    pub fn rotate_key(&self, request: wire::RotateKeyRequest) -> Result<wire::RotateKeyResponse, NotDone> {
        let _making = self.making();
        wanted(&request.reason)?;
        let name: KeyName = request.key.parse()?;
        let file = Config::load(&self.config().dir)?;
        let state = self.ledger()?.snapshot();
        let current = in_use(&file, &state, &name)?;
        let known = |version| KeyId {
            name: name.clone(),
            version,
        };
        if let Some(pending) = file.keys.iter().find(|key| {
            let status = state.keys.get(&key.id);
            key.id.name == name && status.is_some_and(|status| status.state == KeyState::Pending)
        }) {
            return Err(NotDone::no(format!(
                "{} is pending already; `sigwarden keys activate {}` or `keys revoke` it",
                pending.id, pending.id
            )));
        }
        let made = self.maker(&file, &current.backend)?;
        let configured = file.keys.iter().filter(|key| key.id.name == name).map(|key| key.id.version);
        let highest = configured.max().unwrap_or(0);
        let recorded = versions(&state, &name).map(|(id, _)| id.version).max().unwrap_or(0);
        // One that the configuration does not know, and that was never more than pending, is what an interrupted rotation left.
        let mut left = None;
        for id in (highest + 1..=recorded.max(highest + 1)).map(known) {
            made.learn(&id, next_of(current))?;
            let is_left = match state.keys.get(&id) {
                Some(status) => status.state == KeyState::Pending,
                None => made.has(&id, current.scheme)?,
            };
            if is_left {
                left = Some(id);
                break;
            }
        }
        let resumed = left.is_some();
        let id = left.unwrap_or_else(|| known(highest.max(recorded) + 1));
        if state.keys.get(&id).is_none() {
            made.set_aside(&id, now_ms())?;
        }
        made.learn(&id, next_of(current))?;
        let public_key = made.key(&id, current.scheme, now_ms())?;
        let _turn = self.turn();
        // As they are now: other commands were not kept waiting for the backend.
        let file = Config::load(&self.config().dir)?;
        let state = self.ledger()?.snapshot();
        let now = in_use(&file, &state, &name)?;
        let is_new = state.keys.get(&id).is_none_or(|status| status.state == KeyState::Pending);
        if (&now.id, &now.backend, now.scheme) != (&current.id, &current.backend, current.scheme) || !is_new {
            return Err(NotDone::no(format!(
                "another command changed {name} meanwhile; look at `sigwarden keys list --versions`, and ask again"
            )));
        }
        let current = now;
        if state.keys.get(&id).is_none() {
            let pin = made.pin(&id, current.scheme, &public_key, KeyState::Pending, now_ms());
            self.record(AdminKind::PublicKey, &request.reason, vec![pin])?;
        }
        let block = edit::like(current, &id, &public_key);
        edit::write(&file.file, &edit::appended(&file, &block)?)?;
        let configured = Config::load(&file.dir)?.key(&id).cloned();
        let in_force = configured.as_ref().is_some_and(|key| self.bring_into_force(key, &public_key));
        Ok(wire::RotateKeyResponse {
            key: id.to_string(),
            replaces: current.id.to_string(),
            scheme: current.scheme.name().to_owned(),
            public_key,
            in_force,
            resumed,
        })
    }

    /// Makes a pending version active and the one in use grace, in one record: a power cut leaves the old or the new, and a request that
    /// runs meanwhile is signed by one of them. A version in grace may be taken back so.
    ///
    /// # Errors
    /// There is no such version, or the daemon does not have it.
    pub fn activate_key(&self, request: wire::ActivateKeyRequest) -> Result<wire::ActivateKeyResponse, NotDone> {
        wanted(&request.reason)?;
        // Before the turn, since it may wait for a token.
        let lacking = self.lacking(&meant(&self.ledger()?.snapshot(), &request.key)?)?;
        let _turn = self.turn();
        let state = self.ledger()?.snapshot();
        let id = meant(&state, &request.key)?;
        let status = state.keys.get(&id).ok_or_else(|| unknown(&id))?;
        if !matches!(status.state, KeyState::Pending | KeyState::Grace) {
            return Err(NotDone::no(format!(
                "{id} is {}; a pending version, or one in grace, is activated",
                status.state
            )));
        }
        if let Some(why) = lacking {
            return Err(NotDone::no(format!(
                "{id} could not sign: {why}; mend that first, for the version in use would end"
            )));
        }
        if !self.has(&id)? {
            return Err(NotDone::no(format!(
                "{id} is not in force: sigwarden.toml names it, or a start takes it in, before it can take over"
            )));
        }
        let grace: Option<GraceEnd> = Some(request.grace_until.as_str())
            .filter(|text| !text.is_empty())
            .map(|text| {
                text.parse()
                    .map_err(|wrong: String| NotDone::cannot(format!("--grace-until: {wrong}")))
            })
            .transpose()?;
        if let Some(end) = grace.filter(|end| end.measure == Measure::Time && end.at <= now_ms()) {
            return Err(NotDone::no(format!(
                "--grace-until {end} is past; to end the old version's use at once, activate, then `keys revoke` it"
            )));
        }
        let old = replaced_by(&state, &id, &status.public_key);
        let mut effects = vec![Effect::KeyState {
            key: id.clone(),
            state: KeyState::Active,
            grace: None,
        }];
        effects.extend(old.iter().filter_map(|(key, status)| {
            // What is suspended stays so, and comes back in the grace; an end that was set before stands.
            let state = match status.state {
                KeyState::Active | KeyState::Grace => KeyState::Grace,
                KeyState::Suspended => KeyState::Suspended,
                KeyState::Pending | KeyState::Revoked | KeyState::Destroyed => return None,
            };
            let (key, grace) = ((*key).clone(), status.grace.or(grace));
            (status.state != state || status.grace != grace).then_some(Effect::KeyState { key, state, grace })
        }));
        let ended: Vec<KeyId> = effects.iter().skip(1).filter_map(graced).collect();
        // As of the record: what the old version decides until then is seen here, and what it decides later is withheld.
        let judge = |state: &State| {
            let public_key = state.keys.get(&id).map(|status| status.public_key.clone()).unwrap_or_default();
            let old = replaced_by(state, &id, &public_key);
            old.iter()
                .try_for_each(|(other, status)| self.judge_succession(state, &id, other, status.grace.or(grace)))
        };
        let sequence = self.change_states(&request.reason, effects, judge)?;
        tracing::warn!(key = %id, reason = request.reason, sequence, "activated a key's version");
        Ok(wire::ActivateKeyResponse {
            key: id.to_string(),
            before: status.state.name().to_owned(),
            grace: ended.iter().map(ToString::to_string).collect(),
            grace_until: grace.map(|end| end.to_string()).unwrap_or_default(),
            sequence,
        })
    }

    /// Why a key's backend could not sign with it, if a daemon has it open and can say.
    fn lacking(&self, id: &KeyId) -> Result<Option<String>, NotDone> {
        let state = self.ledger()?.snapshot();
        let config = self.config();
        let (Some(daemon), Some(key), Some(status)) = (self.daemon(), config.key(id), state.keys.get(id)) else {
            return Ok(None);
        };
        Ok(daemon.backends.lacks(&key.backend, id, status.scheme, &status.public_key))
    }

    /// Whether the pipeline has a key, or the next start will.
    fn has(&self, id: &KeyId) -> Result<bool, NotDone> {
        Ok(match self.daemon() {
            Some(daemon) => daemon.pipeline.keys().get(id).is_some(),
            None => Config::load(&self.config().dir)?.key(id).is_some(),
        })
    }
}

/// The version that is to be activated: the one named, or the newest pending one of a name.
fn meant(state: &State, text: &str) -> Result<KeyId, NotDone> {
    if let Ok(id) = text.parse::<KeyId>() {
        return Ok(id);
    }
    let name: KeyName = text.parse()?;
    let pending = versions(state, &name).filter(|(_, status)| status.state == KeyState::Pending);
    let newest = pending.max_by_key(|(id, _)| id.version).map(|(id, _)| id.clone());
    newest.ok_or_else(|| NotDone::no(format!("{name} has no pending version; `sigwarden keys rotate {name}` makes one")))
}

/// What is special about the next version of a key: its mechanism; its label is its own.
fn next_of(key: &Key) -> KeySettings {
    KeySettings {
        label: None,
        mechanism: key.mechanism,
    }
}

/// The configured version that is in use: the newest active one, else the newest.
fn in_use<'c>(config: &'c Config, state: &State, name: &KeyName) -> Result<&'c Key, NotDone> {
    let is_active = |key: &&&Key| state.keys.get(&key.id).is_some_and(|status| status.state == KeyState::Active);
    let mut keys: Vec<&Key> = config.keys.iter().filter(|key| key.id.name == *name).collect();
    keys.sort_by_key(|key| std::cmp::Reverse(key.id.version));
    let found = keys.iter().find(is_active).or_else(|| keys.first());
    found.copied().ok_or_else(|| {
        NotDone::no(format!(
            "there is no `[[key]]` of the name {name}; `sigwarden keys list` lists them"
        ))
    })
}
