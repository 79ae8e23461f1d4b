//! Software keys: derived, signing, and signing wrongly. They protect nothing, so they are neither locked nor wiped; they are not
//! shown either, so that no test grows used to it.

use crate::faults::SigningFaults;
use aws_lc_rs::signature::{KeyPair as _, ML_DSA_44_SIGNING, PqdsaKeyPair};
use ed25519_dalek::Signer as _;
use serde::{Deserialize, Serialize};

/// Bytes of a secret: a scalar for secp256k1, the seed of RFC 8032 for Ed25519 and of FIPS 204 (ξ) for ML-DSA.
pub(crate) const SECRET_BYTES: usize = 32;

/// How a key signs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Scheme {
    /// ECDSA over secp256k1: 64-byte R‖S.
    #[serde(rename = "secp256k1-ecdsa")]
    Secp256k1Ecdsa,
    /// RFC 8032: 64 bytes.
    #[serde(rename = "ed25519")]
    Ed25519,
    /// FIPS 204, pure, with an empty context: 2420 bytes.
    #[serde(rename = "ml-dsa-44")]
    MlDsa44,
}

impl Scheme {
    /// Its name in both files.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Secp256k1Ecdsa => "secp256k1-ecdsa",
            Self::Ed25519 => "ed25519",
            Self::MlDsa44 => "ml-dsa-44",
        }
    }

    /// Bytes of a signature.
    pub(crate) fn signature_len(self) -> usize {
        match self {
            Self::Secp256k1Ecdsa | Self::Ed25519 => 64,
            Self::MlDsa44 => 2420,
        }
    }
}

/// The public key that a token derives from a seed: 33 bytes compressed (SEC 1 §2.3.3), 32 (RFC 8032 §5.1.2), or 1312 (FIPS 204).
/// For a key of the configuration, the key's own seed, label and scheme; for a generated one the token's seed, the private key's label
/// and the scheme. Empty if the library refuses to derive, which no seed makes it do.
#[must_use]
pub fn public_key(seed: &str, label: &str, scheme: Scheme) -> Vec<u8> {
    Pair::derive(seed, label, scheme).map(|pair| pair.public_key()).unwrap_or_default()
}

/// A key and the one that stands in for it when the script says so.
pub(crate) struct Pair {
    scheme: Scheme,
    secret: [u8; SECRET_BYTES],
    right: Signer,
    wrong: Signer,
}

enum Signer {
    Secp256k1(secp256k1::SecretKey),
    Ed25519(Box<ed25519_dalek::SigningKey>),
    MlDsa44(PqdsaKeyPair),
}

/// The library refuses a key or a signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no key of this scheme, or no signature")]
pub(crate) struct KeyError;

impl Pair {
    /// A random key.
    pub(crate) fn random(scheme: Scheme) -> Result<Self, KeyError> {
        let mut seed = [0; SECRET_BYTES];
        getrandom::fill(&mut seed).map_err(|_| KeyError)?;
        draw(&[&seed], scheme, Self::from_secret)
    }

    /// The key that a seed and a label give.
    pub(crate) fn derive(seed: &str, label: &str, scheme: Scheme) -> Result<Self, KeyError> {
        draw(&[seed.as_bytes(), label.as_bytes()], scheme, Self::from_secret)
    }

    /// The key of a secret.
    pub(crate) fn from_secret(scheme: Scheme, secret: [u8; SECRET_BYTES]) -> Result<Self, KeyError> {
        Ok(Self {
            scheme,
            secret,
            right: Signer::new(scheme, secret)?,
            wrong: draw(&[b"wrong", &secret], scheme, Signer::new)?,
        })
    }

    /// The scheme.
    pub(crate) fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// The secret, for the token's file.
    pub(crate) fn secret(&self) -> &[u8; SECRET_BYTES] {
        &self.secret
    }

    /// The public key, as [`public_key`] gives it.
    pub(crate) fn public_key(&self) -> Vec<u8> {
        match &self.right {
            Signer::Secp256k1(secret) => secret.public_key().serialize().to_vec(),
            Signer::Ed25519(_) | Signer::MlDsa44(_) => self.right.public_point(),
        }
    }

    /// The public key as a token gives it: an uncompressed point for secp256k1 (SEC 1 §2.3.3).
    pub(crate) fn public_point(&self, faults: &SigningFaults) -> Vec<u8> {
        let shown = if faults.wrong_key { &self.wrong } else { &self.right };
        shown.public_point()
    }

    /// Signs, as well as the faults let it. `raise` gives the ECDSA signature a high S.
    pub(crate) fn sign(&self, data: &[u8], faults: &SigningFaults, raise: bool) -> Result<Vec<u8>, KeyError> {
        let wrong = faults.wrong_key || faults.wrong_signer;
        let signer = if wrong { &self.wrong } else { &self.right };
        let mut signature = signer.sign(data)?;
        match self.scheme {
            Scheme::Secp256k1Ecdsa if raise || faults.high_s => raise_ecdsa(&mut signature),
            Scheme::Ed25519 if faults.high_s => raise_ed25519(&mut signature),
            Scheme::Secp256k1Ecdsa | Scheme::Ed25519 | Scheme::MlDsa44 => {}
        }
        if faults.wrong_signature
            && let Some(last) = signature.last_mut()
        {
            *last ^= 1;
        }
        if faults.short_signature {
            signature.pop();
        }
        Ok(signature)
    }
}

impl Signer {
    fn new(scheme: Scheme, secret: [u8; SECRET_BYTES]) -> Result<Self, KeyError> {
        Ok(match scheme {
            Scheme::Secp256k1Ecdsa => Self::Secp256k1(secp256k1::SecretKey::from_secret_bytes(secret).map_err(|_| KeyError)?),
            Scheme::Ed25519 => Self::Ed25519(Box::new(ed25519_dalek::SigningKey::from_bytes(&secret))),
            Scheme::MlDsa44 => Self::MlDsa44(PqdsaKeyPair::from_seed(&ML_DSA_44_SIGNING, &secret).map_err(|_| KeyError)?),
        })
    }

    fn public_point(&self) -> Vec<u8> {
        match self {
            Self::Secp256k1(secret) => secret.public_key().serialize_uncompressed().to_vec(),
            Self::Ed25519(key) => key.verifying_key().to_bytes().to_vec(),
            Self::MlDsa44(key) => key.public_key().as_ref().to_vec(),
        }
    }

    fn sign(&self, data: &[u8]) -> Result<Vec<u8>, KeyError> {
        match self {
            Self::Secp256k1(secret) => Ok(secp256k1::ecdsa::sign(digest(data), secret).serialize_compact().to_vec()),
            Self::Ed25519(key) => Ok(key.sign(data).to_bytes().to_vec()),
            Self::MlDsa44(key) => {
                let mut signature = vec![0; Scheme::MlDsa44.signature_len()];
                key.sign(data, &mut signature).map_err(|_| KeyError)?;
                Ok(signature)
            }
        }
    }
}

/// What `CKM_ECDSA` makes of data of any length: its leftmost 32 bytes (FIPS 186-5 §6.4.1), zeros before a shorter one. Tokens do not
/// complain of a wrong length; their clients must.
fn digest(data: &[u8]) -> secp256k1::Message {
    let mut digest = [0; 32];
    let taken = data.len().min(digest.len());
    for (to, from) in digest.iter_mut().skip(32 - taken).zip(data) {
        *to = *from;
    }
    secp256k1::Message::from_digest(digest)
}

/// `BLAKE3-derive-key("sigwarden mock hsm module v1", scheme || parts || attempt)`, each part with its length before it, drawn again
/// until it is a key: for secp256k1 once in 2^128.
fn draw<K>(parts: &[&[u8]], scheme: Scheme, make: impl Fn(Scheme, [u8; SECRET_BYTES]) -> Result<K, KeyError>) -> Result<K, KeyError> {
    let attempt = |attempt: u8| {
        let mut hasher = blake3::Hasher::new_derive_key("sigwarden mock hsm module v1");
        for part in [scheme.name().as_bytes()].iter().chain(parts) {
            hasher.update(&(part.len() as u64).to_be_bytes());
            hasher.update(part);
        }
        hasher.update(&[attempt]);
        make(scheme, hasher.finalize().into())
    };
    (0..=u8::MAX).find_map(|number| attempt(number).ok()).ok_or(KeyError)
}

/// `(r, s)` to `(r, n - s)`, which signs the same (SEC 1 §4.1.4). libsecp256k1 makes low ones only.
fn raise_ecdsa(signature: &mut [u8]) {
    let Some((_, tail)) = signature.split_last_chunk_mut::<32>() else {
        return;
    };
    // A scalar of the curve is what a secret key is to libsecp256k1; this one is public.
    if let Ok(s) = secp256k1::SecretKey::from_secret_bytes(*tail) {
        *tail = s.negate().to_secret_bytes();
    }
}

/// The order of edwards25519, `2^252 + 27742317777372353535851937790883648493` (RFC 8032 §5.1), little-endian.
const ED25519_ORDER: [u8; 32] = [
    0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    0, 0, 0x10,
];

/// `S` to `S + L`, which RFC 8032 §5.1.7 refuses.
fn raise_ed25519(signature: &mut [u8]) {
    let mut carry = 0_u16;
    for (byte, order) in signature.iter_mut().skip(32).zip(ED25519_ORDER) {
        let [low, high] = (u16::from(*byte) + u16::from(order) + carry).to_le_bytes();
        *byte = low;
        carry = u16::from(high);
    }
}

#[cfg(test)]
#[path = "keys_tests.rs"]
mod tests;
