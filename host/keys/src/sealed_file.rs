//! The `sealed-file` backend: keys sealed in a [`Vault`], opened on first use, shielded between uses.

use crate::held::HeldKey;
use crate::vault::{Vault, VaultError};
use sigwarden_core::fact::SigningInput;
use sigwarden_core::key::KeyId;
use sigwarden_core::proof::SharedSecret;
use sigwarden_core::{Backend, BackendFailure, Committed, RawSignature, Scheme};
use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

/// Keys kept shielded in memory: with some 300 bytes each, 5 MB. A vault with more opens the rest again and again.
const HELD_MAX: usize = 16_384;

/// Signs with the keys of a vault.
pub struct SealedFileBackend {
    vault: Arc<Vault>,
    held: RwLock<HashMap<KeyId, Arc<HeldKey>>>,
    held_max: usize,
}

impl SealedFileBackend {
    /// A backend over an open vault. Opens no key.
    #[must_use]
    pub fn new(vault: Arc<Vault>) -> Self {
        Self::holding(vault, HELD_MAX)
    }

    fn holding(vault: Arc<Vault>, held_max: usize) -> Self {
        Self {
            vault,
            held: RwLock::default(),
            held_max,
        }
    }

    /// Drops a key from memory. The next signature opens its file again.
    pub fn forget(&self, id: &KeyId) {
        self.held.write().unwrap_or_else(PoisonError::into_inner).remove(id);
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
        let held = self.held.read().unwrap_or_else(PoisonError::into_inner).get(id).map(Arc::clone);
        if let Some(key) = held {
            return Ok(key);
        }
        // Without the lock: it reads a file. Two threads may both open a key; the first one's is kept.
        let opened = Arc::new(self.vault.hold(id).map_err(|error| failure(&error))?);
        let mut held = self.held.write().unwrap_or_else(PoisonError::into_inner);
        if held.len() >= self.held_max
            && !held.contains_key(id)
            && let Some(any) = held.keys().next().cloned()
        {
            held.remove(&any);
        }
        Ok(Arc::clone(held.entry(id.clone()).or_insert(opened)))
    }
}

impl Backend for SealedFileBackend {
    fn sign(&self, committed: &Committed) -> Result<Vec<RawSignature>, BackendFailure> {
        let key = committed.key();
        self.sign_inputs(&key.id, key.scheme, committed.to_sign())
    }

    fn decapsulate(&self, committed: &Committed) -> Result<SharedSecret, BackendFailure> {
        let key = committed.key();
        self.key_of(&key.id, key.scheme)?.decapsulate(committed.to_sign())
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
        | VaultError::KeyExists(_)
        | VaultError::Stray(_)
        | VaultError::Key(_) => BackendFailure::Failed(error.to_string()),
    }
}

#[cfg(test)]
#[path = "sealed_file_tests.rs"]
mod tests;
