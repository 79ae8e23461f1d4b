//! From the configuration to open backends.

use super::super::{read_passphrase, remotes, tokens};
use super::{BackendError, Backends, Open};
use crate::config::{BackendKind, Config, PassphraseSource};
use serde::Deserialize;
use sigwarden_keys::{
    Keystore, KeystoreBackend, MockHsm, MockScript, Passphrase, PassphraseFor, SealedFileBackend, Vault, check_passphrase,
};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

impl Backends {
    pub(in crate::deployment) fn open(config: &Config, vault: Option<Arc<Vault>>) -> Result<Self, BackendError> {
        let mut open = BTreeMap::new();
        // What comes out of the environment first: taking it is sound only while this process has a single thread, and tokens start some.
        let mut ready = Vec::new();
        for backend in &config.backends {
            match &backend.kind {
                BackendKind::Env { igra } => {
                    open.insert(backend.name.clone(), open_env(config, &backend.name, *igra)?);
                }
                BackendKind::Pkcs11(pkcs11) => ready.push((&backend.name, tokens::settings(config, &backend.name, pkcs11)?)),
                BackendKind::Keystore { dir, passphrase } => {
                    open.insert(backend.name.clone(), open_keystore(config, &backend.name, dir, passphrase)?);
                }
                BackendKind::SealedFile { .. } | BackendKind::Remote(_) | BackendKind::MockHsm { .. } => {}
            }
        }
        for (name, settings) in ready {
            open.insert(name.clone(), Open::Pkcs11(Arc::new(tokens::open(settings)?)));
        }
        for backend in &config.backends {
            let name = &backend.name;
            let opened = match &backend.kind {
                BackendKind::Remote(remote) => Open::Remote(Arc::new(remotes::open(config, name, remote)?)),
                BackendKind::SealedFile { .. } => match &vault {
                    Some(vault) => Open::SealedFile(Arc::new(SealedFileBackend::with_ttl(Arc::clone(vault), config.secret_cache_ttl))),
                    // `open_vault` opens one whenever a backend of this kind is configured.
                    None => continue,
                },
                BackendKind::Env { .. } | BackendKind::Pkcs11(_) | BackendKind::Keystore { .. } => continue,
                BackendKind::MockHsm { script } => Open::MockHsm(Arc::new(open_mock(config, name, script)?)),
            };
            open.insert(name.clone(), opened);
        }
        Ok(Self { open, vault })
    }
}

#[cfg(feature = "env-secrets")]
fn open_env(config: &Config, name: &str, igra: bool) -> Result<Open, BackendError> {
    let failed = |error| BackendError::Env {
        backend: name.to_owned(),
        error,
    };
    if igra {
        let secrets = sigwarden_keys::EnvSecrets::take(sigwarden_keys::EnvPreset::Igra).map_err(failed)?;
        let keys = config.keys.iter().filter(|key| key.backend == name);
        let backend = secrets.backend(keys.map(|key| (key.id.clone(), key.scheme))).map_err(failed)?;
        return Ok(Open::Env(Arc::new(backend)));
    }
    let variables = config.keys.iter().filter(|key| key.backend == name).map(|key| {
        let mut variable = sigwarden_keys::variable_name(&key.id.name);
        // The first version has the plain name; a rotated key's versions are all there at once.
        if key.id.version > 1 {
            variable.push_str(&format!("__v{}", key.id.version));
        }
        (key.id.clone(), key.scheme, variable)
    });
    let backend = sigwarden_keys::EnvBackend::from_variables(variables).map_err(failed)?;
    Ok(Open::Env(Arc::new(backend)))
}

#[cfg(not(feature = "env-secrets"))]
fn open_env(_config: &Config, name: &str, _igra: bool) -> Result<Open, BackendError> {
    Err(BackendError::Absent(name.to_owned()))
}

/// Opens a keystore; one that is not there yet is made, empty.
pub(super) fn keystore(config: &Config, name: &str, dir: &Path, source: &PassphraseSource) -> Result<Keystore, BackendError> {
    let failed = |what: String| BackendError::Keystore {
        backend: name.to_owned(),
        what,
    };
    let passphrase = match source {
        PassphraseSource::Prompt => Passphrase::prompt(&format!("Passphrase of the keystore `{name}`: ")),
        PassphraseSource::File(_) | PassphraseSource::Variable(_) => read_passphrase(source),
    };
    let passphrase = passphrase.map_err(|error| failed(format!("the passphrase: {error}")))?;
    let judged = check_passphrase(&passphrase, config.network, PassphraseFor::Keystore);
    for warning in judged.map_err(|weak| failed(format!("the passphrase: {weak}")))? {
        tracing::warn!("the passphrase of the keystore `{name}`: {warning}");
    }
    let opened = match dir.exists() {
        true => Keystore::open(dir, &passphrase),
        false => Keystore::create(dir, &passphrase),
    };
    opened.map_err(|error| failed(error.to_string()))
}

fn open_keystore(config: &Config, name: &str, dir: &Path, source: &PassphraseSource) -> Result<Open, BackendError> {
    let opened = Arc::new(keystore(config, name, dir, source)?);
    let backend = KeystoreBackend::with_ttl(Arc::clone(&opened), config.secret_cache_ttl);
    Ok(Open::Keystore(opened, Arc::new(backend)))
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
