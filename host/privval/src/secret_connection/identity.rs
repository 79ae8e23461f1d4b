//! Who is at either end of a SecretConnection.

use ed25519_dalek::{Signer, SigningKey, VerifyingKey};
use sha2::{Digest, Sha256};
use std::fmt;
use std::str::FromStr;
use zeroize::Zeroizing;

/// The Ed25519 key that a SecretConnection is authenticated with; no validator's key. A node does not care which one it is.
pub struct Identity(SigningKey);

impl Identity {
    /// A new one, for one run or one connection.
    ///
    /// # Errors
    /// The operating system gives no random bytes.
    pub fn ephemeral() -> Result<Self, getrandom::Error> {
        let mut seed = Zeroizing::new([0; 32]);
        getrandom::fill(seed.as_mut_slice())?;
        Ok(Self::from_seed(&seed))
    }

    /// One that lasts, from its 32-byte seed.
    #[must_use]
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        Self(SigningKey::from_bytes(seed))
    }

    /// Its peer id, which a listener that checks its dialers would be told.
    #[must_use]
    pub fn peer_id(&self) -> PeerId {
        PeerId::of(&self.0.verifying_key())
    }

    pub(super) fn public_key(&self) -> [u8; 32] {
        self.0.verifying_key().to_bytes()
    }

    pub(super) fn sign(&self, challenge: &[u8; 32]) -> [u8; 64] {
        self.0.sign(challenge).to_bytes()
    }
}

/// Who a peer is: the first 20 bytes of the SHA-256 of its Ed25519 public key, written as 40 hexadecimal digits (CometBFT, `p2p.PubKeyToID`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct PeerId([u8; 20]);

/// A text that is no peer id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a peer id has 40 hexadecimal digits")]
pub struct PeerIdError;

impl PeerId {
    pub(super) fn of(key: &VerifyingKey) -> Self {
        let mut id = [0; 20];
        for (to, from) in id.iter_mut().zip(Sha256::digest(key.as_bytes())) {
            *to = from;
        }
        Self(id)
    }
}

impl fmt::Display for PeerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl FromStr for PeerId {
    type Err = PeerIdError;

    fn from_str(text: &str) -> Result<Self, PeerIdError> {
        let mut id = [0; 20];
        hex::decode_to_slice(text, &mut id).map_err(|_| PeerIdError)?;
        Ok(Self(id))
    }
}
