//! Signing, one function for each scheme, and the public half that each needs at hand.

use crate::arena::{wipe_deep_stack, wipe_stack};
use crate::lattices;
use crate::secret::SecretKeyError;
use ed25519_dalek::hazmat::{ExpandedSecretKey, raw_sign};
use secp256k1::ecdsa::RecoverableSignature;
use secp256k1::{Keypair, Message};
use sha2::Sha512;
use sigwarden_core::fact::SigningInput;
use sigwarden_core::proof::SharedSecret;
use sigwarden_core::{RawSignature, Scheme};

/// A public key, decoded where that serves, with its scheme.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum PublicHalf {
    Secp256k1Ecdsa(secp256k1::PublicKey),
    Secp256k1Schnorr(secp256k1::XOnlyPublicKey),
    Ed25519(ed25519_dalek::VerifyingKey),
    MlDsa44(Vec<u8>),
    MlKem768(Vec<u8>),
}

/// Why a key does not sign, or decapsulate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SignError {
    #[error("{scheme} signs {wanted}, and was given {given}")]
    Input {
        scheme: Scheme,
        wanted: &'static str,
        given: &'static str,
    },
    #[error("{0} signs nothing: its ciphertexts are decapsulated")]
    SignsNothing(Scheme),
    #[error("{0} decapsulates nothing: it signs")]
    DecapsulatesNothing(Scheme),
    #[error("a ciphertext of {scheme} has {wanted} bytes, and this one {length}")]
    Ciphertext { scheme: Scheme, wanted: usize, length: usize },
    #[error(transparent)]
    Key(#[from] SecretKeyError),
    #[error("the system gives no random bytes: {0}")]
    Random(getrandom::Error),
    #[error("the library gave no signature")]
    Library,
}

/// A secret of 32 bytes: what every scheme has but ml-kem-768.
pub(crate) type Secret32 = [u8; 32];

fn secret_32(scheme: Scheme, secret: &[u8]) -> Result<&Secret32, SecretKeyError> {
    let length = secret.len();
    secret.try_into().map_err(|_| SecretKeyError::Length { scheme, length })
}

impl PublicHalf {
    /// Derives the public key. Fails if the bytes are no secret key of the scheme.
    pub(crate) fn of(scheme: Scheme, secret: &[u8]) -> Result<Self, SecretKeyError> {
        let public = Self::derive(scheme, secret);
        wipe(scheme);
        public
    }

    #[inline(never)]
    fn derive(scheme: Scheme, secret: &[u8]) -> Result<Self, SecretKeyError> {
        let out_of_range = |_| SecretKeyError::Range(scheme);
        let short = || secret_32(scheme, secret);
        match scheme {
            Scheme::Secp256k1Ecdsa => {
                let mut key = secp256k1::SecretKey::from_secret_bytes(*short()?).map_err(out_of_range)?;
                let public = key.public_key();
                key.non_secure_erase();
                Ok(Self::Secp256k1Ecdsa(public))
            }
            Scheme::Secp256k1Schnorr => {
                let mut pair = Keypair::from_secret_bytes(*short()?).map_err(out_of_range)?;
                let (public, _) = pair.x_only_public_key();
                pair.non_secure_erase();
                Ok(Self::Secp256k1Schnorr(public))
            }
            Scheme::Ed25519 => Ok(Self::Ed25519(ed25519_dalek::VerifyingKey::from(&ExpandedSecretKey::from(short()?)))),
            Scheme::MlDsa44 => lattices::ml_dsa_44_public(short()?).map(Self::MlDsa44),
            Scheme::MlKem768 => lattices::ml_kem_768_public(secret).map(Self::MlKem768),
        }
    }

    /// The scheme.
    pub(crate) fn scheme(&self) -> Scheme {
        match self {
            Self::Secp256k1Ecdsa(_) => Scheme::Secp256k1Ecdsa,
            Self::Secp256k1Schnorr(_) => Scheme::Secp256k1Schnorr,
            Self::Ed25519(_) => Scheme::Ed25519,
            Self::MlDsa44(_) => Scheme::MlDsa44,
            Self::MlKem768(_) => Scheme::MlKem768,
        }
    }

    /// The scheme's encoding: 33 bytes compressed (SEC 1 §2.3.3), 32 x-only (BIP-340), 32 (RFC 8032 §5.1.2), 1312 (FIPS 204 `pkEncode`),
    /// 1184 (FIPS 203 §7.1).
    pub(crate) fn encode(&self) -> Vec<u8> {
        match self {
            Self::Secp256k1Ecdsa(key) => key.serialize().to_vec(),
            Self::Secp256k1Schnorr(key) => key.to_byte_array().to_vec(),
            Self::Ed25519(key) => key.to_bytes().to_vec(),
            Self::MlDsa44(key) | Self::MlKem768(key) => key.clone(),
        }
    }

    /// Signs each input, in order, with the secret half of this key. What the libraries leave on the stack is overwritten.
    pub(crate) fn sign_all<'a>(
        &self,
        secret: &[u8],
        inputs: impl Iterator<Item = &'a SigningInput>,
    ) -> Result<Vec<RawSignature>, SignError> {
        let signed = match self {
            // Expanded from its seed once for all inputs.
            Self::MlDsa44(_) => lattices::ml_dsa_44_sign(secret_32(self.scheme(), secret)?, inputs),
            Self::Secp256k1Ecdsa(_) | Self::Secp256k1Schnorr(_) | Self::Ed25519(_) | Self::MlKem768(_) => {
                inputs.map(|input| self.sign_one(secret, input)).collect()
            }
        };
        wipe(self.scheme());
        signed
    }

    /// Signs one input.
    #[cfg(test)]
    pub(crate) fn sign(&self, secret: &[u8], input: &SigningInput) -> Result<RawSignature, SignError> {
        self.sign_all(secret, std::iter::once(input))
            .and_then(|signed| signed.into_iter().next().ok_or(SignError::Library))
    }

    #[inline(never)]
    fn sign_one(&self, secret: &[u8], input: &SigningInput) -> Result<RawSignature, SignError> {
        let scheme = self.scheme();
        match (self, input) {
            (Self::Secp256k1Ecdsa(_), SigningInput::Digest(digest)) => ecdsa(secret_32(scheme, secret)?, digest),
            (Self::Secp256k1Schnorr(_), SigningInput::Digest(digest)) => {
                let mut aux = [0; 32];
                getrandom::fill(&mut aux).map_err(SignError::Random)?;
                schnorr(secret_32(scheme, secret)?, digest, &aux)
            }
            (Self::Ed25519(public), SigningInput::Message(message)) => Ok(ed25519(secret_32(scheme, secret)?, public, message)),
            (Self::Secp256k1Ecdsa(_) | Self::Secp256k1Schnorr(_), SigningInput::Message(_)) => Err(SignError::Input {
                scheme,
                wanted: "a 32-byte digest",
                given: "a message",
            }),
            (Self::Ed25519(_) | Self::MlDsa44(_), SigningInput::Digest(_)) => Err(SignError::Input {
                scheme,
                wanted: "a message",
                given: "a digest",
            }),
            // Signed by `sign_all`, all inputs at once.
            (Self::MlDsa44(_), SigningInput::Message(_)) => Err(SignError::Library),
            (Self::MlKem768(_), SigningInput::Digest(_) | SigningInput::Message(_)) => Err(SignError::SignsNothing(scheme)),
        }
    }

    /// Decapsulates a ciphertext (FIPS 203 §7.3) with the secret half of this key.
    pub(crate) fn decapsulate(&self, secret: &[u8], ciphertext: &SigningInput) -> Result<SharedSecret, SignError> {
        let opened = match (self, ciphertext) {
            (Self::MlKem768(_), SigningInput::Message(ciphertext)) => lattices::ml_kem_768_decapsulate(secret, ciphertext),
            (Self::MlKem768(_), SigningInput::Digest(_)) => Err(SignError::Input {
                scheme: Scheme::MlKem768,
                wanted: "no digest but a ciphertext",
                given: "a digest",
            }),
            (Self::Secp256k1Ecdsa(_) | Self::Secp256k1Schnorr(_) | Self::Ed25519(_) | Self::MlDsa44(_), _) => {
                Err(SignError::DecapsulatesNothing(self.scheme()))
            }
        };
        wipe(self.scheme());
        opened
    }
}

/// Overwrites what the scheme's library leaves on the stack.
fn wipe(scheme: Scheme) {
    match scheme {
        // ML-DSA's library overwrites its own.
        Scheme::Secp256k1Ecdsa | Scheme::Secp256k1Schnorr | Scheme::Ed25519 | Scheme::MlDsa44 => wipe_stack(),
        Scheme::MlKem768 => wipe_deep_stack(),
    }
}

/// ECDSA with the deterministic nonce of RFC 6979 §3.2 and low S (BIP-62 rule 5, which libsecp256k1 always keeps).
#[inline(never)]
fn ecdsa(secret: &Secret32, digest: &[u8; 32]) -> Result<RawSignature, SignError> {
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
fn schnorr(secret: &Secret32, digest: &[u8; 32], aux: &[u8; 32]) -> Result<RawSignature, SignError> {
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
fn ed25519(secret: &Secret32, public: &ed25519_dalek::VerifyingKey, message: &[u8]) -> RawSignature {
    let expanded = ExpandedSecretKey::from(secret);
    RawSignature {
        bytes: raw_sign::<Sha512>(&expanded, message, public).to_bytes().to_vec(),
        recovery_id: None,
    }
}

#[cfg(test)]
#[path = "schemes_vectors.rs"]
mod vectors;
