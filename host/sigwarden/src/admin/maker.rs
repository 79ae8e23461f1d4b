//! Where a next version of a key is made: in the backend that has the one before.

use super::{Administrator, NotDone};
use crate::config::{BackendKind, Config};
use crate::deployment::Backends;
use sigwarden_core::key::KeyId;
use sigwarden_core::state::Effect;
use sigwarden_core::{KeyState, Scheme};
use sigwarden_keys::{Keystore, Vault};
use sigwarden_pkcs11::{KeySettings, Pkcs11Backend};
use std::sync::Arc;

/// A backend that makes keys.
pub(super) enum Maker {
    /// The deployment's sealed files.
    Vault(Arc<Vault>),
    /// A keystore directory.
    Keystore(Arc<Keystore>),
    /// A token.
    Token(Arc<Pkcs11Backend>),
}

impl Maker {
    /// Whether a key is there: with several tokens, on the one that keys are made on.
    pub(super) fn has(&self, id: &KeyId, scheme: Scheme) -> Result<bool, NotDone> {
        Ok(match self {
            Self::Vault(vault) => vault.entry(id).is_some(),
            Self::Keystore(keystore) => keystore.entry(id).is_ok(),
            Self::Token(token) => first_public_key(token, id, scheme)?.is_some(),
        })
    }

    /// Tells a token what is special about a key, if it was configured since the start.
    pub(super) fn learn(&self, id: &KeyId, special: KeySettings) -> Result<(), NotDone> {
        match self {
            Self::Vault(_) | Self::Keystore(_) => Ok(()),
            Self::Token(token) => token.learn(id, special).map_err(|error| NotDone::no(error.to_string())),
        }
    }

    /// The public key of a key that is there; else it is made.
    pub(super) fn key(&self, id: &KeyId, scheme: Scheme, now_ms: u64) -> Result<Vec<u8>, NotDone> {
        match self {
            Self::Vault(vault) => match vault.entry(id) {
                Some(entry) if entry.scheme == scheme => Ok(entry.public_key),
                Some(entry) => Err(NotDone::no(format!(
                    "the vault has a key {id} of {} already, and {scheme} is wanted; name it in sigwarden.toml, or move its file away",
                    entry.scheme
                ))),
                None => Ok(vault.generate(id, scheme, now_ms)?),
            },
            Self::Keystore(keystore) => match keystore.entry(id) {
                Ok(entry) => Ok(entry.public_key),
                Err(_) => Ok(keystore.generate(id, scheme, now_ms)?),
            },
            Self::Token(token) => match first_public_key(token, id, scheme)? {
                Some(public_key) => Ok(public_key),
                None => token.generate(id, scheme).map_err(|failure| NotDone::no(failure.to_string())),
            },
        }
    }

    /// Moves a file away that an interrupted command left for this key before the vault named it: nobody ever saw its public key. It is
    /// kept, under a name that says so.
    pub(super) fn set_aside(&self, id: &KeyId, now_ms: u64) -> Result<(), NotDone> {
        let Self::Vault(vault) = self else { return Ok(()) };
        let name = format!("{id}.key");
        let is_it = |path: &std::path::PathBuf| path.file_name().is_some_and(|file| *file == *name);
        for stray in vault.strays()?.into_iter().filter(is_it) {
            let aside = stray.with_file_name(format!("{name}.stray-{now_ms}"));
            std::fs::rename(&stray, &aside)?;
            tracing::warn!(file = %stray.display(), aside = %aside.display(), "set aside what an interrupted command left");
        }
        Ok(())
    }

    /// What records the key.
    pub(super) fn pin(&self, id: &KeyId, scheme: Scheme, public_key: &[u8], state: KeyState, now_ms: u64) -> Effect {
        let created_ms = match self {
            Self::Vault(vault) => vault.entry(id).map_or(now_ms, |entry| entry.created_ms),
            Self::Keystore(_) | Self::Token(_) => now_ms,
        };
        Effect::KeyPinned {
            key: id.clone(),
            scheme,
            public_key: public_key.to_vec(),
            created_ms,
            state,
        }
    }
}

fn first_public_key(token: &Pkcs11Backend, id: &KeyId, scheme: Scheme) -> Result<Option<Vec<u8>>, NotDone> {
    let found = token.first_public_key(id, scheme);
    found.map_err(|failure| NotDone::no(failure.to_string()))
}

impl Administrator {
    /// What makes keys beside this one.
    ///
    /// # Errors
    /// Its backend does not make keys.
    pub(super) fn maker(&self, config: &Config, name: &str) -> Result<Maker, NotDone> {
        let backend = config.backends.iter().find(|backend| backend.name == name);
        match backend.map(|backend| &backend.kind) {
            Some(BackendKind::SealedFile { .. }) => Ok(Maker::Vault(self.vault()?)),
            Some(BackendKind::Keystore { .. }) => Ok(Maker::Keystore(self.keystore(name)?)),
            Some(BackendKind::Pkcs11(_)) => Ok(Maker::Token(self.token(name)?)),
            Some(kind @ (BackendKind::Env { .. } | BackendKind::Remote(_) | BackendKind::MockHsm { .. })) => Err(NotDone::no(format!(
                "`{name}` is a `{}` backend, which makes no keys: put the new one there, add a `[[key]]` with its `version`",
                kind.name()
            ))),
            None => Err(NotDone::no(format!("there is no `[[backend]]` of the name `{name}`"))),
        }
    }

    /// A keystore: the daemon's, or one that is opened for this command.
    pub(super) fn keystore(&self, name: &str) -> Result<Arc<Keystore>, NotDone> {
        let found = match self.daemon() {
            Some(daemon) => daemon.backends.keystore(name).map(Arc::clone),
            None => Backends::open_one_keystore(&self.config(), name)?,
        };
        found.ok_or_else(|| {
            NotDone::no(format!(
                "the daemon was started without the backend `{name}`; it takes a new one at its next start"
            ))
        })
    }

    /// A `pkcs11` backend: the daemon's, or one that is opened for this command.
    fn token(&self, name: &str) -> Result<Arc<Pkcs11Backend>, NotDone> {
        let opened;
        let backends = match self.daemon() {
            Some(daemon) => &daemon.backends,
            None => {
                opened = self.tokens_alone(None)?;
                &opened
            }
        };
        let found = backends
            .pkcs11()
            .find(|(other, _)| *other == name)
            .map(|(_, backend)| Arc::clone(backend));
        found.ok_or_else(|| {
            NotDone::no(format!(
                "the daemon was started without the backend `{name}`; it takes a new one at its next start"
            ))
        })
    }
}
