//! Signing, one function for each scheme, and the public half that each needs at hand.

use crate::arena::wipe_stack;
use crate::secret::{SECRET_KEY_BYTES, SecretKeyError};
use ed25519_dalek::hazmat::{ExpandedSecretKey, raw_sign};
use secp256k1::ecdsa::RecoverableSignature;
use secp256k1::{Keypair, Message};
use sha2::Sha512;
use sigwarden_core::fact::SigningInput;
use sigwarden_core::{RawSignature, Scheme};

/// A public key, decoded, with its scheme.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum PublicHalf {
    Secp256k1Ecdsa(secp256k1::PublicKey),
    Secp256k1Schnorr(secp256k1::XOnlyPublicKey),
    Ed25519(ed25519_dalek::VerifyingKey),
}

/// Why a key does not sign.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SignError {
    #[error("{scheme} signs {wanted}, and was given {given}")]
    Input {
        scheme: Scheme,
        wanted: &'static str,
        given: &'static str,
    },
    #[error(transparent)]
    Key(#[from] SecretKeyError),
    #[error("the system gives no random bytes: {0}")]
    Random(getrandom::Error),
}

impl PublicHalf {
    /// Derives the public key. Fails if the bytes are no secret key of the scheme.
    pub(crate) fn of(scheme: Scheme, secret: &[u8; SECRET_KEY_BYTES]) -> Result<Self, SecretKeyError> {
        let public = Self::derive(scheme, secret);
        wipe_stack();
        public
    }

    #[inline(never)]
    fn derive(scheme: Scheme, secret: &[u8; SECRET_KEY_BYTES]) -> Result<Self, SecretKeyError> {
        let out_of_range = |_| SecretKeyError::Range(scheme);
        match scheme {
            Scheme::Secp256k1Ecdsa => {
                let mut key = secp256k1::SecretKey::from_secret_bytes(*secret).map_err(out_of_range)?;
                let public = key.public_key();
                key.non_secure_erase();
                Ok(Self::Secp256k1Ecdsa(public))
            }
            Scheme::Secp256k1Schnorr => {
                let mut pair = Keypair::from_secret_bytes(*secret).map_err(out_of_range)?;
                let (public, _) = pair.x_only_public_key();
                pair.non_secure_erase();
                Ok(Self::Secp256k1Schnorr(public))
            }
            Scheme::Ed25519 => Ok(Self::Ed25519(ed25519_dalek::VerifyingKey::from(&ExpandedSecretKey::from(secret)))),
        }
    }

    /// The scheme.
    pub(crate) fn scheme(&self) -> Scheme {
        match self {
            Self::Secp256k1Ecdsa(_) => Scheme::Secp256k1Ecdsa,
            Self::Secp256k1Schnorr(_) => Scheme::Secp256k1Schnorr,
            Self::Ed25519(_) => Scheme::Ed25519,
        }
    }

    /// The scheme's encoding: 33 bytes compressed (SEC 1 §2.3.3), 32 x-only (BIP-340), 32 (RFC 8032 §5.1.2).
    pub(crate) fn encode(&self) -> Vec<u8> {
        match self {
            Self::Secp256k1Ecdsa(key) => key.serialize().to_vec(),
            Self::Secp256k1Schnorr(key) => key.to_byte_array().to_vec(),
            Self::Ed25519(key) => key.to_bytes().to_vec(),
        }
    }

    /// Signs with the secret half of this key. What the libraries leave on the stack is overwritten.
    pub(crate) fn sign(&self, secret: &[u8; SECRET_KEY_BYTES], input: &SigningInput) -> Result<RawSignature, SignError> {
        let signature = match (self, input) {
            (Self::Secp256k1Ecdsa(_), SigningInput::Digest(digest)) => ecdsa(secret, digest),
            (Self::Secp256k1Schnorr(_), SigningInput::Digest(digest)) => {
                let mut aux = [0; 32];
                getrandom::fill(&mut aux).map_err(SignError::Random)?;
                schnorr(secret, digest, &aux)
            }
            (Self::Ed25519(public), SigningInput::Message(message)) => Ok(ed25519(secret, public, message)),
            (Self::Secp256k1Ecdsa(_) | Self::Secp256k1Schnorr(_), SigningInput::Message(_)) => Err(SignError::Input {
                scheme: self.scheme(),
                wanted: "a 32-byte digest",
                given: "a message",
            }),
            (Self::Ed25519(_), SigningInput::Digest(_)) => Err(SignError::Input {
                scheme: self.scheme(),
                wanted: "a message",
                given: "a digest",
            }),
        };
        wipe_stack();
        signature
    }
}

/// ECDSA with the deterministic nonce of RFC 6979 §3.2 and low S (BIP-62 rule 5, which libsecp256k1 always keeps).
#[inline(never)]
fn ecdsa(secret: &[u8; SECRET_KEY_BYTES], digest: &[u8; 32]) -> Result<RawSignature, SignError> {
    let mut key = secp256k1::SecretKey::from_secret_bytes(*secret).map_err(|_| SecretKeyError::Range(Scheme::Secp256k1Ecdsa))?;
    let signature = RecoverableSignature::sign_ecdsa_recoverable(Message::from_digest(*digest), &key);
    key.non_secure_erase();
    let (recovery_id, bytes) = signature.serialize_compact();
    Ok(RawSignature {
        bytes: bytes.to_vec(),
        recovery_id: Some(recovery_id.into()),
    })
}

/// BIP-340 `Sign(sk, m)` with auxiliary random data `a`.
#[inline(never)]
fn schnorr(secret: &[u8; SECRET_KEY_BYTES], digest: &[u8; 32], aux: &[u8; 32]) -> Result<RawSignature, SignError> {
    let mut pair = Keypair::from_secret_bytes(*secret).map_err(|_| SecretKeyError::Range(Scheme::Secp256k1Schnorr))?;
    let signature = secp256k1::schnorr::sign_with_aux_rand(digest, &pair, aux);
    pair.non_secure_erase();
    Ok(RawSignature {
        bytes: signature.to_byte_array().to_vec(),
        recovery_id: None,
    })
}

/// RFC 8032 §5.1.6. `public` is derived from this very secret (all callers derive it or compare it): signing with another public
/// key would give the secret away.
#[inline(never)]
fn ed25519(secret: &[u8; SECRET_KEY_BYTES], public: &ed25519_dalek::VerifyingKey, message: &[u8]) -> RawSignature {
    let expanded = ExpandedSecretKey::from(secret);
    RawSignature {
        bytes: raw_sign::<Sha512>(&expanded, message, public).to_bytes().to_vec(),
        recovery_id: None,
    }
}

#[cfg(test)]
#[path = "schemes_vectors.rs"]
mod vectors;
