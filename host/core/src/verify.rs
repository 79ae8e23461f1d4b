//! Verifies a signature against the pinned public key, before it leaves.

use crate::fact::SigningInput;
use crate::proof::RawSignature;
use crate::vocabulary::Scheme;

/// A signature that does not verify, and in what way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Invalid {
    /// Signature or public key has not the encoding of its scheme.
    #[error("signature or public key is not in the encoding of its scheme")]
    Encoding,
    /// ECDSA with S in the upper half of the order (BIP-62 rule 5, EIP-2).
    #[error("S is in the upper half of the order")]
    HighS,
    /// The input is of the wrong kind for the scheme.
    #[error("the signing input is of the wrong kind for the scheme")]
    Input,
    /// It is another key's, or over another input, or its recovery id is wrong.
    #[error("it does not verify against the pinned public key")]
    Signature,
}

/// Verifies `signature` over `input`.
///
/// # Errors
/// It does not verify.
pub fn verify(scheme: Scheme, public_key: &[u8], input: &SigningInput, signature: &RawSignature) -> Result<(), Invalid> {
    let bytes = || signature.bytes.as_slice().try_into().map_err(|_| Invalid::Encoding);
    match scheme {
        Scheme::Secp256k1Ecdsa => ecdsa(public_key, input, bytes()?, signature.recovery_id),
        Scheme::Secp256k1Schnorr => {
            let SigningInput::Digest(digest) = input else {
                return Err(Invalid::Input);
            };
            let key = public_key.try_into().map_err(|_| Invalid::Encoding)?;
            let key = secp256k1::XOnlyPublicKey::from_byte_array(key).map_err(|_| Invalid::Encoding)?;
            let signature = secp256k1::schnorr::Signature::from_byte_array(bytes()?);
            secp256k1::schnorr::verify(&signature, digest, &key).map_err(|_| Invalid::Signature)
        }
        Scheme::Ed25519 => {
            let SigningInput::Message(message) = input else {
                return Err(Invalid::Input);
            };
            let key = public_key.try_into().map_err(|_| Invalid::Encoding)?;
            let key = ed25519_dalek::VerifyingKey::from_bytes(key).map_err(|_| Invalid::Encoding)?;
            // Strict: no small-order keys or R, so that every verifier of the network agrees (ZIP-215 verifiers included).
            key.verify_strict(message, &ed25519_dalek::Signature::from_bytes(&bytes()?))
                .map_err(|_| Invalid::Signature)
        }
        Scheme::MlDsa44 => {
            let SigningInput::Message(message) = input else {
                return Err(Invalid::Input);
            };
            if public_key.len() != scheme.public_key_len() || signature.bytes.len() != ML_DSA_44_SIGNATURE {
                return Err(Invalid::Encoding);
            }
            let key = aws_lc_rs::signature::UnparsedPublicKey::new(&aws_lc_rs::signature::ML_DSA_44, public_key);
            key.verify(message, &signature.bytes).map_err(|_| Invalid::Signature)
        }
        // It signs nothing.
        Scheme::MlKem768 => Err(Invalid::Input),
    }
}

/// Bytes of an ML-DSA-44 signature (FIPS 204 §4, table 2).
const ML_DSA_44_SIGNATURE: usize = 2420;

fn ecdsa(public_key: &[u8], input: &SigningInput, bytes: [u8; 64], recovery_id: Option<u8>) -> Result<(), Invalid> {
    use secp256k1::ecdsa::{RecoverableSignature, RecoveryId, Signature};
    let SigningInput::Digest(digest) = input else {
        return Err(Invalid::Input);
    };
    let message = secp256k1::Message::from_digest(*digest);
    let signature = Signature::from_compact(&bytes).map_err(|_| Invalid::Encoding)?;
    let mut low = signature;
    low.normalize_s();
    if low != signature {
        return Err(Invalid::HighS);
    }
    match recovery_id {
        // Recovering the pinned key proves the signature and its recovery id at once (SEC 1 §4.1.6).
        Some(id) => {
            let id = RecoveryId::try_from(i32::from(id)).map_err(|_| Invalid::Encoding)?;
            let signature = RecoverableSignature::from_compact(&bytes, id).map_err(|_| Invalid::Encoding)?;
            let recovered = signature.recover(message).map_err(|_| Invalid::Signature)?;
            if recovered.serialize().as_slice() == public_key {
                Ok(())
            } else {
                Err(Invalid::Signature)
            }
        }
        None => {
            let key = secp256k1::PublicKey::from_slice(public_key).map_err(|_| Invalid::Encoding)?;
            signature.verify(message, &key).map_err(|_| Invalid::Signature)
        }
    }
}
