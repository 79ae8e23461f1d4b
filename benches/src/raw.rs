//! What everything is measured against.

use secp256k1::ecdsa::RecoverableSignature;
use secp256k1::{Message, SecretKey};
use std::hint::black_box;

/// One raw secp256k1 ECDSA signature with recovery id: the very call that the backends make. The context is re-blinded at each.
pub struct Raw {
    key: SecretKey,
    digest: [u8; 32],
}

impl Default for Raw {
    fn default() -> Self {
        let mut secret = [0; 32];
        secret[31] = 1;
        Self {
            key: SecretKey::from_secret_bytes(secret).expect("1 is a key of secp256k1"),
            digest: [7; 32],
        }
    }
}

impl Raw {
    /// Signs; each time another digest.
    pub fn sign(&mut self) {
        let signature = RecoverableSignature::sign_ecdsa_recoverable(Message::from_digest(self.digest), &self.key);
        self.digest = black_box(signature).serialize_compact().1[..32].try_into().expect("R has 32 bytes");
    }
}
