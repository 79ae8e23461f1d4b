//! ML-KEM ciphertexts (FIPS 203 §7.3): nothing to read but the length, nothing to sign.

use crate::facts;
use sigwarden_core::fact::{Decoded, PayloadError, SigningInput, SigningInputs};

/// Bytes of an ML-KEM-768 ciphertext: `32 * (du * k + dv)` with k 3, du 10, dv 4 (FIPS 203, table 3).
pub const ML_KEM_768_CIPHERTEXT_LEN: usize = 1088;

/// Decodes the payload of format `ml-kem-768/ciphertext`. Every string of the right length is a ciphertext: a wrong one opens to a
/// secret that nobody else has (implicit rejection).
///
/// # Errors
/// It has another length.
pub fn decode_ml_kem_768(payload: &[u8]) -> Result<Decoded, PayloadError> {
    if payload.len() != ML_KEM_768_CIPHERTEXT_LEN {
        return Err(PayloadError::Malformed(format!(
            "an ML-KEM-768 ciphertext has {ML_KEM_768_CIPHERTEXT_LEN} bytes, this has {}",
            payload.len()
        )));
    }
    Ok(Decoded {
        facts: vec![facts::count("ml-kem.ciphertext-length", payload.len())],
        inputs: SigningInputs::one(SigningInput::Message(payload.to_vec())),
        consensus: None,
        role: None,
    })
}
