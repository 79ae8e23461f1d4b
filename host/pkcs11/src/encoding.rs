//! What tokens return, brought into this project's encodings: points, curves, signatures.

use secp256k1::Message;
use secp256k1::ecdsa::{RecoverableSignature, RecoveryId, Signature};
use sigwarden_core::fact::SigningInput;
use sigwarden_core::{RawSignature, Scheme, verify};

/// secp256k1, 1.3.132.0.10 (SEC 2 §A.2.1), as `CKA_EC_PARAMS`.
pub(crate) const SECP256K1_OID: &[u8] = &[0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x0a];
/// Ed25519, 1.3.101.112 (RFC 8410 §3).
pub(crate) const ED25519_OID: &[u8] = &[0x06, 0x03, 0x2b, 0x65, 0x70];
/// `PrintableString "edwards25519"`, its other name (PKCS#11 3.1 §6.3.5).
const ED25519_NAME: &[u8] = b"\x13\x0cedwards25519";

/// Whether `CKA_EC_PARAMS` names the scheme's curve.
pub(crate) fn is_curve(scheme: Scheme, params: &[u8]) -> bool {
    match scheme {
        Scheme::Secp256k1Ecdsa => params == SECP256K1_OID,
        Scheme::Ed25519 => params == ED25519_OID || params == ED25519_NAME,
        Scheme::Secp256k1Schnorr | Scheme::MlDsa44 | Scheme::MlKem768 => false,
    }
}

/// `CKA_EC_POINT`, wrapped in an OCTET STRING (as the standard says), a BIT STRING (as an older one did) or bare (as some tokens do), as the
/// scheme's public key. The lengths tell which it is: the first bytes could be a wrapper's by chance.
pub(crate) fn public_key(scheme: Scheme, point: &[u8]) -> Option<Vec<u8>> {
    let bare = match point {
        [0x04, length, bare @ ..] if bare.len() == usize::from(*length) && !is_bare(scheme, point) => bare,
        [0x03, length, 0x00, bare @ ..] if bare.len() + 1 == usize::from(*length) && !is_bare(scheme, point) => bare,
        bare => bare,
    };
    match scheme {
        Scheme::Secp256k1Ecdsa => Some(secp256k1::PublicKey::from_slice(bare).ok()?.serialize().to_vec()),
        Scheme::Ed25519 => (bare.len() == 32).then(|| bare.to_vec()),
        Scheme::Secp256k1Schnorr | Scheme::MlDsa44 | Scheme::MlKem768 => None,
    }
}

fn is_bare(scheme: Scheme, point: &[u8]) -> bool {
    match scheme {
        Scheme::Secp256k1Ecdsa => matches!(point.len(), 33 | 65),
        Scheme::Ed25519 => point.len() == 32,
        Scheme::Secp256k1Schnorr | Scheme::MlDsa44 | Scheme::MlKem768 => false,
    }
}

/// A token's signature in our encoding, verified against the pinned public key; or in what way it is wrong.
pub(crate) fn verified(scheme: Scheme, public_key: &[u8], input: &SigningInput, bytes: Vec<u8>) -> Result<RawSignature, String> {
    match (scheme, input) {
        (Scheme::Secp256k1Ecdsa, SigningInput::Digest(digest)) => ecdsa(public_key, digest, &bytes),
        (Scheme::Secp256k1Ecdsa | Scheme::Secp256k1Schnorr | Scheme::Ed25519 | Scheme::MlDsa44 | Scheme::MlKem768, _) => {
            let signature = RawSignature { bytes, recovery_id: None };
            verify::verify(scheme, public_key, input, &signature).map_err(|why| format!("its signature is wrong: {why}"))?;
            Ok(signature)
        }
    }
}

/// Low S (BIP-62 rule 5), then the recovery id that recovers the pinned key: which proves the signature too (SEC 1 §4.1.6).
fn ecdsa(public_key: &[u8], digest: &[u8; 32], bytes: &[u8]) -> Result<RawSignature, String> {
    let mut signature =
        Signature::from_compact(bytes).map_err(|_| format!("its ECDSA signature of {} bytes is no R‖S of secp256k1", bytes.len()))?;
    signature.normalize_s();
    let bytes = signature.serialize_compact();
    let message = Message::from_digest(*digest);
    for id in 0..4_u8 {
        let recovered = RecoveryId::try_from(i32::from(id))
            .and_then(|id| RecoverableSignature::from_compact(&bytes, id))
            .and_then(|signature| signature.recover(message));
        if recovered.is_ok_and(|key| key.serialize().as_slice() == public_key) {
            return Ok(RawSignature {
                bytes: bytes.to_vec(),
                recovery_id: Some(id),
            });
        }
    }
    Err("its signature is wrong: it does not verify against the pinned public key".into())
}
