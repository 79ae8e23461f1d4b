//! The backends of a configuration, opened.

mod error;
mod open;

use super::{remotes, tokens};
use crate::config::{BackendKind, Config};
use crate::proto;
pub use error::BackendError;
use open::keystore;
use sigwarden_core::key::KeyId;
use sigwarden_core::{Backend, Scheme};
use sigwarden_keys::{IndexEntry, Keystore, KeystoreBackend, MockHsm, SealedFileBackend, Vault};
use sigwarden_pkcs11::{Distrusted, Pkcs11Backend, TokenInfo, TokenState, TokenStatus};
use sigwarden_remote::{RemoteBackend, RemoteStatus};
use std::collections::BTreeMap;
use std::sync::Arc;

/// All backends by name.
pub(crate) struct Backends {
    open: BTreeMap<String, Open>,
    vault: Option<Arc<Vault>>,
}

enum Open {
    SealedFile(Arc<SealedFileBackend>),
    #[cfg(feature = "env-secrets")]
    Env(Arc<sigwarden_keys::EnvBackend>),
    Keystore(Arc<Keystore>, Arc<KeystoreBackend>),
    Pkcs11(Arc<Pkcs11Backend>),
    Remote(Arc<RemoteBackend>),
    MockHsm(Arc<MockHsm>),
}

/// What a backend says of a key.
pub(in crate::deployment) enum Held {
    /// It has it.
    Sealed(IndexEntry),
    /// A keystore has it.
    Keystore(IndexEntry),
    /// It has it, and knows only the public key.
    Public(Vec<u8>),
    /// It has no such key.
    Missing,
    /// It answers, and what it has is not the key: why.
    Wrong(String),
    /// It does not answer now: why.
    Unreachable(String),
}

impl Backends {
    /// The `pkcs11` backends alone, for a command that runs without a daemon. `by_operator` names one whose PINs an operator has used once
    /// more, even if it is the last attempt.
    pub(crate) fn open_tokens(config: &Config, by_operator: Option<&str>) -> Result<Self, BackendError> {
        let mut ready = Vec::new();
        for backend in &config.backends {
            match &backend.kind {
                BackendKind::Pkcs11(pkcs11) => ready.push((&backend.name, tokens::settings(config, &backend.name, pkcs11)?)),
                BackendKind::SealedFile { .. }
                | BackendKind::Remote(_)
                | BackendKind::Keystore { .. }
                | BackendKind::Env { .. }
                | BackendKind::MockHsm { .. } => {}
            }
        }
        let mut open = BTreeMap::new();
        for (name, mut settings) in ready {
            settings.by_operator = by_operator == Some(name);
            open.insert(name.clone(), Open::Pkcs11(Arc::new(tokens::open(settings)?)));
        }
        Ok(Self { open, vault: None })
    }

    /// One keystore, for a command that runs without a daemon.
    pub(crate) fn open_one_keystore(config: &Config, name: &str) -> Result<Option<Arc<Keystore>>, BackendError> {
        let backend = config.backends.iter().find(|backend| backend.name == name);
        match backend.map(|backend| &backend.kind) {
            Some(BackendKind::Keystore { dir, passphrase }) => {
                keystore(config, name, dir, passphrase).map(|keystore| Some(Arc::new(keystore)))
            }
            Some(
                BackendKind::SealedFile { .. }
                | BackendKind::Env { .. }
                | BackendKind::Pkcs11(_)
                | BackendKind::Remote(_)
                | BackendKind::MockHsm { .. },
            )
            | None => Ok(None),
        }
    }

    /// A keystore that is open.
    pub(crate) fn keystore(&self, name: &str) -> Option<&Arc<Keystore>> {
        match self.open.get(name)? {
            Open::Keystore(keystore, _) => Some(keystore),
            Open::SealedFile(_) | Open::Pkcs11(_) | Open::Remote(_) | Open::MockHsm(_) => None,
            #[cfg(feature = "env-secrets")]
            Open::Env(_) => None,
        }
    }

    pub(crate) fn vault(&self) -> Option<&Arc<Vault>> {
        self.vault.as_ref()
    }

    pub(in crate::deployment) fn mock_hsm(&self, name: &str) -> Option<&Arc<MockHsm>> {
        match self.open.get(name)? {
            Open::MockHsm(mock) => Some(mock),
            Open::SealedFile(_) | Open::Keystore(..) | Open::Pkcs11(_) | Open::Remote(_) => None,
            #[cfg(feature = "env-secrets")]
            Open::Env(_) => None,
        }
    }

    /// The `pkcs11` backends by name.
    pub(crate) fn pkcs11(&self) -> impl Iterator<Item = (&String, &Arc<Pkcs11Backend>)> {
        self.open.iter().filter_map(|(name, open)| match open {
            Open::Pkcs11(backend) => Some((name, backend)),
            Open::SealedFile(_) | Open::Keystore(..) | Open::Remote(_) | Open::MockHsm(_) => None,
            #[cfg(feature = "env-secrets")]
            Open::Env(_) => None,
        })
    }

    /// The `remote` backends by name.
    pub(crate) fn remotes(&self) -> impl Iterator<Item = (&String, &Arc<RemoteBackend>)> {
        self.open.iter().filter_map(|(name, open)| match open {
            Open::Remote(backend) => Some((name, backend)),
            Open::SealedFile(_) | Open::Keystore(..) | Open::Pkcs11(_) | Open::MockHsm(_) => None,
            #[cfg(feature = "env-secrets")]
            Open::Env(_) => None,
        })
    }

    /// What every remote is like, once each was looked at; none if there is no `remote` backend.
    pub(crate) fn remote_statuses(&self) -> Vec<Vec<RemoteStatus>> {
        let looked = |(_, backend): (&String, &Arc<RemoteBackend>)| backend.wait_until_looked(remotes::PATIENCE);
        self.remotes().map(looked).collect()
    }

    /// What the tokens of each `pkcs11` backend are like.
    pub(crate) fn tokens(&self) -> Vec<Vec<TokenStatus>> {
        self.pkcs11().map(|(_, backend)| backend.tokens()).collect()
    }

    /// Whether a backend answers: of several tokens one is enough.
    pub(in crate::deployment) fn is_up(&self, name: &str) -> bool {
        match self.open.get(name) {
            Some(Open::Pkcs11(backend)) => backend.tokens().iter().any(|token| token.state == TokenState::Ready),
            Some(Open::Remote(backend)) => backend.status().iter().any(|remote| remote.up),
            Some(Open::SealedFile(_) | Open::Keystore(..) | Open::MockHsm(_)) => true,
            #[cfg(feature = "env-secrets")]
            Some(Open::Env(_)) => true,
            None => false,
        }
    }

    /// Keys that a token was caught lying about.
    pub(in crate::deployment) fn distrusted(&self) -> Vec<Distrusted> {
        self.pkcs11().flat_map(|(_, backend)| backend.distrusted()).collect()
    }

    /// An operator trusts a key again.
    pub(crate) fn trust_again(&self, id: &KeyId) {
        for (_, backend) in self.pkcs11() {
            backend.trust_again(id);
        }
    }

    /// Lets go of secrets that have been in memory long enough.
    pub(in crate::deployment) fn evict(&self) {
        for open in self.open.values() {
            match open {
                Open::SealedFile(backend) => {
                    backend.evict();
                }
                Open::Keystore(_, backend) => {
                    backend.evict();
                }
                Open::Pkcs11(_) | Open::Remote(_) | Open::MockHsm(_) => {}
                #[cfg(feature = "env-secrets")]
                Open::Env(_) => {}
            }
        }
    }

    /// Whether a sealed key's file is there and readable; with `open`, whether it holds the key. A start opens consensus keys only: the
    /// others are opened on first use.
    pub(in crate::deployment) fn check(&self, id: &KeyId, open: bool) -> Result<(), sigwarden_keys::VaultError> {
        match &self.vault {
            Some(vault) if open => vault.check_key(id),
            Some(vault) => vault.check_file(id),
            None => Ok(()),
        }
    }

    /// What can be done in each backend.
    pub(crate) fn abilities(&self) -> Vec<proto::BackendInfo> {
        let all = || Scheme::ALL.iter().map(|scheme| scheme.name().to_owned()).collect();
        let able = |(name, open): (&String, &Open)| {
            let (kind, schemes, generates, derives) = match open {
                Open::SealedFile(_) => ("sealed-file", all(), true, false),
                #[cfg(feature = "env-secrets")]
                Open::Env(_) => ("env", all(), false, false),
                Open::Pkcs11(backend) => {
                    // Of tokens that hold the same keys, what each of them can.
                    let seen: Vec<TokenInfo> = backend.tokens().into_iter().filter_map(|token| token.seen).collect();
                    let every = |able: fn(&TokenInfo) -> &Vec<Scheme>, scheme: &Scheme| {
                        !seen.is_empty() && seen.iter().all(|info| able(info).contains(scheme))
                    };
                    let signs = Scheme::ALL.iter().filter(|scheme| every(|info| &info.schemes, scheme));
                    let generates = Scheme::ALL.iter().any(|scheme| every(|info| &info.generates, scheme));
                    let derives = !seen.is_empty() && seen.iter().all(|info| info.derives);
                    ("pkcs11", signs.map(|scheme| scheme.name().to_owned()).collect(), generates, derives)
                }
                Open::Keystore(..) => ("keystore", all(), true, false),
                // What they can is theirs to say, and changes with them.
                Open::Remote(_) => ("remote", all(), false, false),
                Open::MockHsm(_) => ("mock-hsm", all(), false, false),
            };
            proto::BackendInfo {
                name: name.clone(),
                kind: kind.to_owned(),
                schemes,
                generates,
                derives,
                // No backend gives a secret key out.
                exports: false,
                rotates: generates,
            }
        };
        self.open.iter().map(able).collect()
    }

    /// Takes a key out of memory.
    pub(crate) fn forget(&self, id: &KeyId) {
        for open in self.open.values() {
            match open {
                Open::SealedFile(backend) => backend.forget(id),
                Open::Keystore(_, backend) => backend.forget(id),
                #[cfg(feature = "env-secrets")]
                Open::Env(_) => {}
                Open::Pkcs11(_) | Open::Remote(_) | Open::MockHsm(_) => {}
            }
        }
    }

    /// Erases what is left of a destroyed key.
    pub(in crate::deployment) fn sweep(&self, name: &str, id: &KeyId) {
        let swept = match (self.open.get(name), &self.vault) {
            (Some(Open::SealedFile(_)), Some(vault)) => vault.destroy(id).map_err(|error| error.to_string()),
            (Some(Open::Keystore(keystore, _)), _) => keystore.destroy(id).map_err(|error| error.to_string()),
            (_, _) => Ok(()),
        };
        if let Err(error) = swept {
            tracing::error!(key = %id, error, "the file of a destroyed key could not be erased");
        }
    }

    /// Erases what is left of a destroyed key that the configuration does not name any more.
    pub(in crate::deployment) fn sweep_everywhere(&self, id: &KeyId) {
        for (name, open) in &self.open {
            let has = match open {
                Open::SealedFile(_) => self.vault.as_ref().is_some_and(|vault| vault.entry(id).is_some()),
                Open::Keystore(..) => true,
                Open::Pkcs11(_) | Open::Remote(_) | Open::MockHsm(_) => false,
                #[cfg(feature = "env-secrets")]
                Open::Env(_) => false,
            };
            if has {
                self.sweep(name, id);
            }
        }
    }

    /// What backend `name` says of a key.
    pub(in crate::deployment) fn held(&self, name: &str, id: &KeyId, scheme: Scheme) -> Held {
        let public = |key: Option<Vec<u8>>| key.map_or(Held::Missing, Held::Public);
        match self.open.get(name) {
            Some(Open::SealedFile(_)) => {
                let entry = self.vault.as_ref().and_then(|vault| vault.entry(id));
                entry.map_or(Held::Missing, Held::Sealed)
            }
            #[cfg(feature = "env-secrets")]
            Some(Open::Env(env)) => public(env.public_key(id)),
            Some(Open::Keystore(keystore, _)) => match keystore.entry(id) {
                Ok(entry) => Held::Keystore(entry),
                Err(_) => Held::Missing,
            },
            Some(Open::Pkcs11(backend)) => match backend.public_key(id, scheme) {
                Ok(key) => Held::Public(key),
                Err(failure) if failure.is_passing() => Held::Unreachable(failure.to_string()),
                Err(failure) => Held::Wrong(failure.to_string()),
            },
            Some(Open::Remote(backend)) => match backend.public_key(id) {
                Ok(key) if key.scheme == scheme => Held::Public(key.public_key),
                Ok(key) => Held::Wrong(format!("the remote's key is of {}, not of {scheme}", key.scheme)),
                Err(failure) if failure.is_passing() => Held::Unreachable(failure.to_string()),
                Err(failure) => Held::Wrong(failure.to_string()),
            },
            Some(Open::MockHsm(mock)) => public(mock.public_key(id)),
            None => Held::Missing,
        }
    }

    /// Why a backend that answers could not sign with a key of this public key.
    pub(crate) fn lacks(&self, name: &str, id: &KeyId, scheme: Scheme, public_key: &[u8]) -> Option<String> {
        let found = match self.held(name, id, scheme) {
            Held::Sealed(entry) | Held::Keystore(entry) => entry.public_key,
            Held::Public(key) => key,
            Held::Missing => return Some(format!("backend `{name}` does not have it")),
            Held::Wrong(why) => return Some(why),
            Held::Unreachable(_) => return None,
        };
        (found != public_key).then(|| format!("backend `{name}` has another key under its name"))
    }

    pub(in crate::deployment) fn by_name(&self) -> BTreeMap<String, Arc<dyn Backend>> {
        let as_backend = |(name, open): (&String, &Open)| {
            let backend: Arc<dyn Backend> = match open {
                Open::SealedFile(backend) => Arc::clone(backend) as _,
                #[cfg(feature = "env-secrets")]
                Open::Env(backend) => Arc::clone(backend) as _,
                Open::Keystore(_, backend) => Arc::clone(backend) as _,
                Open::Pkcs11(backend) => Arc::clone(backend) as _,
                Open::Remote(backend) => Arc::clone(backend) as _,
                Open::MockHsm(backend) => Arc::clone(backend) as _,
            };
            (name.clone(), backend)
        };
        self.open.iter().map(as_backend).collect()
    }
}
