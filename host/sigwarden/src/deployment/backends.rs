//! The backends of a configuration, opened.

use crate::config::{BackendKind, Config};
use serde::Deserialize;
use sigwarden_core::Backend;
use sigwarden_core::key::KeyId;
use sigwarden_keys::{HoldError, IndexEntry, MockHsm, MockScript, SealedFileBackend, Vault};
use std::collections::BTreeMap;
use std::sync::Arc;

/// A backend does not open.
#[derive(Debug, thiserror::Error)]
pub enum BackendError {
    /// An environment variable gives no key.
    #[cfg(feature = "env-secrets")]
    #[error("backend `{backend}`: {error}")]
    Env {
        /// The backend.
        backend: String,
        /// Why.
        error: sigwarden_keys::EnvError,
    },
    /// The mock has no locked memory.
    #[error("backend `{backend}`: {error}")]
    Hold {
        /// The backend.
        backend: String,
        /// Why.
        error: HoldError,
    },
    /// The mock's script is wrong.
    #[error("backend `{backend}`: its script: {}", error.message())]
    Script {
        /// The backend.
        backend: String,
        /// Why.
        error: toml::de::Error,
    },
    /// The build has no such backend.
    #[error("backend `{0}`: this build has no `env` backend; build with the feature `env-secrets`, or use `sealed-file`")]
    Absent(String),
}

/// All backends by name.
pub(super) struct Backends {
    open: BTreeMap<String, Open>,
    vault: Option<Arc<Vault>>,
}

enum Open {
    SealedFile(Arc<SealedFileBackend>),
    #[cfg(feature = "env-secrets")]
    Env(Arc<sigwarden_keys::EnvBackend>),
    MockHsm(Arc<MockHsm>),
}

/// What a backend says of a key.
pub(super) enum Held {
    /// It has it.
    Sealed(IndexEntry),
    /// It has it, and knows only the public key.
    Public(Vec<u8>),
    /// It has no such key.
    Missing,
}

impl Backends {
    pub(super) fn open(config: &Config, vault: Option<Arc<Vault>>) -> Result<Self, BackendError> {
        let mut open = BTreeMap::new();
        for backend in &config.backends {
            let name = &backend.name;
            let opened = match &backend.kind {
                BackendKind::SealedFile { .. } => match &vault {
                    Some(vault) => Open::SealedFile(Arc::new(SealedFileBackend::new(Arc::clone(vault)))),
                    // `open_vault` opens one whenever a backend of this kind is configured.
                    None => continue,
                },
                BackendKind::Env => open_env(config, name)?,
                BackendKind::MockHsm { script } => Open::MockHsm(Arc::new(open_mock(config, name, script)?)),
            };
            open.insert(name.clone(), opened);
        }
        Ok(Self { open, vault })
    }

    pub(super) fn vault(&self) -> Option<&Arc<Vault>> {
        self.vault.as_ref()
    }

    pub(super) fn mock_hsm(&self, name: &str) -> Option<&Arc<MockHsm>> {
        match self.open.get(name)? {
            Open::MockHsm(mock) => Some(mock),
            Open::SealedFile(_) => None,
            #[cfg(feature = "env-secrets")]
            Open::Env(_) => None,
        }
    }

    /// Whether a sealed key's file is there and readable; with `open`, whether it holds the key. A start opens consensus keys only: the
    /// others are opened on first use.
    pub(super) fn check(&self, id: &KeyId, open: bool) -> Result<(), sigwarden_keys::VaultError> {
        match &self.vault {
            Some(vault) if open => vault.check_key(id),
            Some(vault) => vault.check_file(id),
            None => Ok(()),
        }
    }

    /// What backend `name` says of a key.
    pub(super) fn held(&self, name: &str, id: &KeyId) -> Held {
        let public = |key: Option<Vec<u8>>| key.map_or(Held::Missing, Held::Public);
        match self.open.get(name) {
            Some(Open::SealedFile(_)) => {
                let entry = self.vault.as_ref().and_then(|vault| vault.entry(id));
                entry.map_or(Held::Missing, Held::Sealed)
            }
            #[cfg(feature = "env-secrets")]
            Some(Open::Env(env)) => public(env.public_key(id)),
            Some(Open::MockHsm(mock)) => public(mock.public_key(id)),
            None => Held::Missing,
        }
    }

    pub(super) fn by_name(&self) -> BTreeMap<String, Arc<dyn Backend>> {
        let as_backend = |(name, open): (&String, &Open)| {
            let backend: Arc<dyn Backend> = match open {
                Open::SealedFile(backend) => Arc::clone(backend) as _,
                #[cfg(feature = "env-secrets")]
                Open::Env(backend) => Arc::clone(backend) as _,
                Open::MockHsm(backend) => Arc::clone(backend) as _,
            };
            (name.clone(), backend)
        };
        self.open.iter().map(as_backend).collect()
    }
}

#[cfg(feature = "env-secrets")]
fn open_env(config: &Config, name: &str) -> Result<Open, BackendError> {
    let variables = config.keys.iter().filter(|key| key.backend == name).map(|key| {
        let mut variable = sigwarden_keys::variable_name(&key.id.name);
        // The first version has the plain name; a rotated key's versions are all there at once.
        if key.id.version > 1 {
            variable.push_str(&format!("__v{}", key.id.version));
        }
        (key.id.clone(), key.scheme, variable)
    });
    let backend = sigwarden_keys::EnvBackend::from_variables(variables).map_err(|error| BackendError::Env {
        backend: name.to_owned(),
        error,
    })?;
    Ok(Open::Env(Arc::new(backend)))
}

#[cfg(not(feature = "env-secrets"))]
fn open_env(_config: &Config, name: &str) -> Result<Open, BackendError> {
    Err(BackendError::Absent(name.to_owned()))
}

fn open_mock(config: &Config, name: &str, script: &toml::Value) -> Result<MockHsm, BackendError> {
    let script = MockScript::deserialize(script.clone()).map_err(|error| BackendError::Script {
        backend: name.to_owned(),
        error,
    })?;
    let mock = MockHsm::new(script);
    for key in config.keys.iter().filter(|key| key.backend == name) {
        mock.generate(&key.id, key.scheme).map_err(|error| BackendError::Hold {
            backend: name.to_owned(),
            error,
        })?;
    }
    Ok(mock)
}
