//! The `keystore` backend: keys in a [`Keystore`], opened on first use, shielded between uses.

use crate::cache::{Cache, HELD_MAX};
use crate::held::HeldKey;
use crate::keystore::{Keystore, KeystoreError};
use sigwarden_core::fact::SigningInput;
use sigwarden_core::key::KeyId;
use sigwarden_core::proof::SharedSecret;
use sigwarden_core::{Backend, BackendFailure, Committed, RawSignature, Scheme};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Signs with the keys of a keystore directory.
pub struct KeystoreBackend {
    keystore: Arc<Keystore>,
    cache: Cache,
}

impl KeystoreBackend {
    /// As [`crate::SealedFileBackend::with_ttl`].
    #[must_use]
    pub fn with_ttl(keystore: Arc<Keystore>, ttl: Duration) -> Self {
        Self {
            keystore,
            cache: Cache::new(ttl, HELD_MAX),
        }
    }

    /// As [`crate::SealedFileBackend::forget`].
    pub fn forget(&self, id: &KeyId) {
        self.cache.forget(id);
    }

    /// As [`crate::SealedFileBackend::evict`].
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

    fn key_of(&self, id: &KeyId, scheme: Scheme) -> Result<Arc<HeldKey>, BackendFailure> {
        let load = || self.keystore.hold(id).map_err(|error| failure(&error));
        let key = self.cache.get(id, Instant::now(), load)?;
        let held = key.public().scheme();
        if held == scheme {
            Ok(key)
        } else {
            Err(BackendFailure::Failed(format!("`{id}` is a key of {held}, not of {scheme}")))
        }
    }
}

impl Backend for KeystoreBackend {
    fn waits(&self) -> bool {
        false
    }

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
fn failure(error: &KeystoreError) -> BackendFailure {
    match error {
        KeystoreError::File(_) | KeystoreError::Shield(_) | KeystoreError::Unknown(_) => BackendFailure::Unavailable(error.to_string()),
        KeystoreError::NotEmpty(_)
        | KeystoreError::Entry { .. }
        | KeystoreError::SecretLength(_)
        | KeystoreError::Full(_)
        | KeystoreError::Key(_) => BackendFailure::Failed(error.to_string()),
    }
}
