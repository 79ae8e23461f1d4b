//! Where a key lives, as core sees it. The third of the three traits that carry the host.

use crate::proof::{Committed, RawSignature, SharedSecret};

/// Touches keys: one method for each operation.
pub trait Backend: Send + Sync {
    /// Signs [`Committed::to_sign`], one signature for each input, in order, in the encoding of [`RawSignature`]. Core verifies each
    /// against the pinned public key before it leaves. Blocks.
    ///
    /// # Errors
    /// The backend cannot sign. Nothing is tried again by core.
    fn sign(&self, committed: &Committed) -> Result<Vec<RawSignature>, BackendFailure>;

    /// Whether signing is a wait for somebody else (a token, another host) rather than work for this machine's cores. Of several
    /// signatures those that wait are asked for side by side.
    fn waits(&self) -> bool {
        true
    }

    /// Decapsulates the committed ciphertext (FIPS 203 §7.3: a wrong ciphertext gives a secret too, one that nobody shares). Blocks.
    /// Not every backend can, and by default none does.
    ///
    /// # Errors
    /// As [`Self::sign`].
    fn decapsulate(&self, committed: &Committed) -> Result<SharedSecret, BackendFailure> {
        Err(BackendFailure::Failed(format!(
            "backend `{}` does not decapsulate; keep ml-kem-768 keys in a `sealed-file` backend",
            committed.key().backend
        )))
    }
}

/// Why a backend did not sign. The message is for the log and the record; callers get only its code.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BackendFailure {
    /// It does not answer: token gone, sealed file missing, remote down.
    #[error("{0}")]
    Unavailable(String),
    /// It answered with an error.
    #[error("{0}")]
    Failed(String),
    /// It answered with what is not the pinned key's: a wrong signature, another key. Refused as a signature is that core itself finds
    /// wrong, so that nobody asks another backend before somebody has looked.
    #[error("{0}")]
    SignatureInvalid(String),
}
