//! A key that a backend holds in memory: shielded but for the time of a signature.

use crate::schemes::{PublicHalf, SignError};
use crate::secret::{SECRET_KEY_BYTES, SecretKey, SecretKeyError};
use crate::shield::{Shield, ShieldError, Shielded};
use sigwarden_core::fact::SigningInput;
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
        Self::fill(scheme, |secret| {
            *secret = *key.expose_secret();
            Ok(())
        })
    }

    /// Fills a key in the locked arena and shields it there.
    pub(crate) fn fill<E: From<ShieldError> + From<SecretKeyError>>(
        scheme: Scheme,
        fill: impl FnOnce(&mut [u8; SECRET_KEY_BYTES]) -> Result<(), E>,
    ) -> Result<Self, E> {
        let shield = Shield::of_process()?;
        let (shielded, public) = shield.close(|secret| {
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
        let signed = self.shield.open(&self.shielded, |secret| {
            let signed: Result<Vec<_>, SignError> = inputs.map(|input| self.public.sign(secret, input)).collect();
            signed
        });
        match signed {
            Ok(Ok(signatures)) => Ok(signatures),
            Ok(Err(error)) => Err(BackendFailure::Failed(error.to_string())),
            Err(error) => Err(BackendFailure::Failed(error.to_string())),
        }
    }
}
