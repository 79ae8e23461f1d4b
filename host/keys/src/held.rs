//! A key that a backend holds in memory: shielded but for the time of a signature.

use crate::schemes::{PublicHalf, SignError};
use crate::secret::{SecretKey, SecretKeyError, secret_key_bytes};
use crate::shield::{Shield, ShieldError, Shielded};
use sigwarden_core::fact::SigningInput;
use sigwarden_core::proof::SharedSecret;
use sigwarden_core::{BackendFailure, RawSignature, Scheme};

/// A shielded key with its public half.
pub(crate) struct HeldKey {
    shield: &'static Shield,
    shielded: Shielded,
    public: PublicHalf,
}

/// Why a key is not held.
#[derive(Debug, thiserror::Error)]
pub enum HoldError {
    /// No locked memory, no randomness.
    #[error(transparent)]
    Shield(#[from] ShieldError),
    /// No key of this scheme.
    #[error(transparent)]
    Key(#[from] SecretKeyError),
}

impl HeldKey {
    /// Shields a key.
    pub(crate) fn hold(scheme: Scheme, key: &SecretKey) -> Result<Self, HoldError> {
        let (given, wanted) = (key.expose_secret(), secret_key_bytes(scheme));
        if given.len() != wanted {
            return Err(SecretKeyError::Length {
                scheme,
                length: given.len(),
            }
            .into());
        }
        Self::fill(scheme, |secret| {
            secret.copy_from_slice(given);
            Ok(())
        })
    }

    /// Fills a key in the locked arena and shields it there.
    pub(crate) fn fill<E: From<ShieldError> + From<SecretKeyError>>(
        scheme: Scheme,
        fill: impl FnOnce(&mut [u8]) -> Result<(), E>,
    ) -> Result<Self, E> {
        let shield = Shield::of_process()?;
        let (shielded, public) = shield.close(secret_key_bytes(scheme), |secret| {
            fill(secret)?;
            PublicHalf::of(scheme, secret).map_err(E::from)
        })?;
        Ok(Self { shield, shielded, public })
    }

    /// Its public half.
    pub(crate) fn public(&self) -> &PublicHalf {
        &self.public
    }

    /// Signs each input, in order, while the key lies open once.
    pub(crate) fn sign<'a>(&self, inputs: impl Iterator<Item = &'a SigningInput>) -> Result<Vec<RawSignature>, BackendFailure> {
        self.open(|secret| self.public.sign_all(secret, inputs))
    }

    /// Opens a ciphertext: the one input that a decapsulation has.
    pub(crate) fn decapsulate<'a>(&self, mut inputs: impl Iterator<Item = &'a SigningInput>) -> Result<SharedSecret, BackendFailure> {
        let (Some(ciphertext), None) = (inputs.next(), inputs.next()) else {
            return Err(BackendFailure::Failed("a decapsulation has one ciphertext".into()));
        };
        self.open(|secret| self.public.decapsulate(secret, ciphertext))
    }

    /// What `memory_tests.rs` looks for lies open while it looks.
    #[cfg(test)]
    pub(crate) fn while_open<T>(&self, work: impl FnOnce(&[u8]) -> T) -> T {
        self.shield.open(&self.shielded, work).unwrap()
    }

    fn open<T>(&self, work: impl FnOnce(&[u8]) -> Result<T, SignError>) -> Result<T, BackendFailure> {
        match self.shield.open(&self.shielded, work) {
            Ok(Ok(done)) => Ok(done),
            Ok(Err(error)) => Err(BackendFailure::Failed(error.to_string())),
            Err(error) => Err(BackendFailure::Failed(error.to_string())),
        }
    }
}
