//! ML-DSA-44 (FIPS 204) and ML-KEM-768 (FIPS 203), both from the seeds that their key generations start from.

use crate::schemes::{Secret32, SignError};
use crate::secret::SecretKeyError;
use aws_lc_rs::signature::{KeyPair, ML_DSA_44_SIGNING, PqdsaKeyPair};
use ml_kem::kem::{Decapsulate, KeyExport};
use ml_kem::ml_kem_768::{Ciphertext, DecapsulationKey};
use secrecy::SecretBox;
use sigwarden_core::fact::SigningInput;
use sigwarden_core::proof::SharedSecret;
use sigwarden_core::{RawSignature, Scheme};
use zeroize::Zeroize;

/// `(pk, sk) = ML-DSA.KeyGen_internal(ξ)` (FIPS 204, algorithm 6). The library keeps `sk` in memory of its own, and wipes it when the
/// pair is dropped (`OPENSSL_free`); so a pair lives for one use. Expanding takes a third of a signature.
#[inline(never)]
fn ml_dsa_44(seed: &Secret32) -> Result<PqdsaKeyPair, SecretKeyError> {
    PqdsaKeyPair::from_seed(&ML_DSA_44_SIGNING, seed).map_err(|_| SecretKeyError::Library(Scheme::MlDsa44))
}

/// The public key, `pkEncode(ρ, t1)`.
pub(crate) fn ml_dsa_44_public(seed: &Secret32) -> Result<Vec<u8>, SecretKeyError> {
    Ok(ml_dsa_44(seed)?.public_key().as_ref().to_vec())
}

/// `ML-DSA.Sign(sk, M, ctx = "")` (FIPS 204, algorithm 2), hedged, over each message.
#[inline(never)]
pub(crate) fn ml_dsa_44_sign<'a>(seed: &Secret32, inputs: impl Iterator<Item = &'a SigningInput>) -> Result<Vec<RawSignature>, SignError> {
    let pair = ml_dsa_44(seed)?;
    let sign = |input: &SigningInput| {
        let SigningInput::Message(message) = input else {
            return Err(SignError::Input {
                scheme: Scheme::MlDsa44,
                wanted: "a message",
                given: "a digest",
            });
        };
        let mut bytes = vec![0; ML_DSA_44_SIGNING.signature_len()];
        pair.sign(message, &mut bytes).map_err(|_| SignError::Library)?;
        Ok(RawSignature { bytes, recovery_id: None })
    };
    inputs.map(sign).collect()
}

/// `(ek, dk) = ML-KEM.KeyGen_internal(d, z)` (FIPS 203, algorithm 16). `dk` wipes itself when dropped.
#[inline(never)]
fn ml_kem_768(seed: &[u8]) -> Result<DecapsulationKey, SecretKeyError> {
    let mut copy: [u8; 64] = seed.try_into().map_err(|_| SecretKeyError::Length {
        scheme: Scheme::MlKem768,
        length: seed.len(),
    })?;
    let key = DecapsulationKey::from_seed(copy.into());
    copy.zeroize();
    Ok(key)
}

/// The encapsulation key, `ek`.
pub(crate) fn ml_kem_768_public(seed: &[u8]) -> Result<Vec<u8>, SecretKeyError> {
    Ok(ml_kem_768(seed)?.encapsulation_key().to_bytes().to_vec())
}

/// `K = ML-KEM.Decaps(dk, c)` (FIPS 203, algorithm 21). A wrong ciphertext of the right length gives a secret too (implicit rejection).
#[inline(never)]
pub(crate) fn ml_kem_768_decapsulate(seed: &[u8], ciphertext: &[u8]) -> Result<SharedSecret, SignError> {
    let ciphertext = Ciphertext::try_from(ciphertext).map_err(|_| SignError::Ciphertext {
        scheme: Scheme::MlKem768,
        wanted: size_of::<Ciphertext>(),
        length: ciphertext.len(),
    })?;
    let mut shared = ml_kem_768(seed)?.decapsulate(&ciphertext);
    let kept = SecretBox::init_with_mut(|secret: &mut [u8; 32]| secret.copy_from_slice(&shared));
    shared.zeroize();
    Ok(kept)
}
