//! The `sealed-file` backend: keys sealed in a [`Vault`], opened on first use, shielded between uses.

use crate::cache::{Cache, DEFAULT_TTL, HELD_MAX};
use crate::held::HeldKey;
use crate::vault::{Vault, VaultError};
use sigwarden_core::fact::SigningInput;
use sigwarden_core::key::KeyId;
use sigwarden_core::proof::SharedSecret;
use sigwarden_core::{Backend, BackendFailure, Committed, RawSignature, Scheme};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Signs with the keys of a vault.
pub struct SealedFileBackend {
    vault: Arc<Vault>,
    cache: Cache,
}

impl SealedFileBackend {
    /// A backend over an open vault, which keeps a key for five minutes. Opens no key.
    #[must_use]
    pub fn new(vault: Arc<Vault>) -> Self {
        Self::with_ttl(vault, DEFAULT_TTL)
    }

    /// A backend that keeps a key shielded in memory for `ttl` since it was opened (`security.secret_cache_ttl`); with zero, each
    /// signature opens its file. The vault's root key stays shielded in memory, so opening again needs no passphrase.
    #[must_use]
    pub fn with_ttl(vault: Arc<Vault>, ttl: Duration) -> Self {
        Self {
            vault,
            cache: Cache::new(ttl, HELD_MAX),
        }
    }

    /// Drops a key from memory. The next signature opens its file again.
    pub fn forget(&self, id: &KeyId) {
        self.cache.forget(id);
    }

    /// Drops keys whose time is over, also those that nobody asks for: call it every minute. Returns how many it dropped.
    pub fn evict(&self) -> usize {
        self.cache.evict(Instant::now())
    }

    /// Signs each input, in order.
    pub(crate) fn sign_inputs<'a>(
        &self,
        id: &KeyId,
        scheme: Scheme,
        inputs: impl Iterator<Item = &'a SigningInput>,
    ) -> Result<Vec<RawSignature>, BackendFailure> {
        self.key_of(id, scheme)?.sign(inputs)
    }

    /// Opens a ciphertext.
    pub(crate) fn decapsulate_inputs<'a>(
        &self,
        id: &KeyId,
        scheme: Scheme,
        inputs: impl Iterator<Item = &'a SigningInput>,
    ) -> Result<SharedSecret, BackendFailure> {
        self.key_of(id, scheme)?.decapsulate(inputs)
    }

    fn key_of(&self, id: &KeyId, scheme: Scheme) -> Result<Arc<HeldKey>, BackendFailure> {
        let key = self.key(id)?;
        let held = key.public().scheme();
        if held == scheme {
            Ok(key)
        } else {
            Err(BackendFailure::Failed(format!("`{id}` is a key of {held}, not of {scheme}")))
        }
    }

    fn key(&self, id: &KeyId) -> Result<Arc<HeldKey>, BackendFailure> {
        let load = || self.vault.hold(id).map_err(|error| failure(&error));
        self.cache.get(id, Instant::now(), load)
    }
}

impl Backend for SealedFileBackend {
    fn waits(&self) -> bool {
        false
    }

    fn sign(&self, committed: &Committed) -> Result<Vec<RawSignature>, BackendFailure> {
        let key = committed.key();
        self.sign_inputs(&key.id, key.scheme, committed.to_sign())
    }

    fn decapsulate(&self, committed: &Committed) -> Result<SharedSecret, BackendFailure> {
        let key = committed.key();
        self.decapsulate_inputs(&key.id, key.scheme, committed.to_sign())
    }
}

/// A file that is not there or not readable may be again; one that is damaged stays so.
fn failure(error: &VaultError) -> BackendFailure {
    match error {
        VaultError::File(_) | VaultError::Shield(_) | VaultError::NoVault(_) => BackendFailure::Unavailable(error.to_string()),
        VaultError::NotEmpty(_)
        | VaultError::Keyring { .. }
        | VaultError::Index { .. }
        | VaultError::Sealed { .. }
        | VaultError::UnknownKey(_)
        | VaultError::Secret { .. }
        | VaultError::UnknownSecret(_)
        | VaultError::SecretLength(_)
        | VaultError::SecretsFull(_)
        | VaultError::KeyExists(_)
        | VaultError::Stray(_)
        | VaultError::Key(_) => BackendFailure::Failed(error.to_string()),
    }
}

#[cfg(test)]
#[path = "sealed_file_tests.rs"]
mod tests;
