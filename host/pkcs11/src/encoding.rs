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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]
    use super::*;

    fn unhex<const N: usize>(text: &str) -> [u8; N] {
        std::array::from_fn(|at| u8::from_str_radix(&text[2 * at..2 * at + 2], 16).unwrap())
    }

    /// The base point (SEC 2 §2.4.1): compressed, and uncompressed.
    const COMPRESSED: &str = "0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798";
    const UNCOMPRESSED: &str = "0479be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798483ada7726a3c4655da4fbfc0e1108a8fd17b448a68554199c47d08ffb10d4b8";

    #[test]
    fn points_are_read_in_every_wrapping() {
        let (compressed, uncompressed): ([u8; 33], [u8; 65]) = (unhex(COMPRESSED), unhex(UNCOMPRESSED));
        let wrapped = |tag: &[u8], bare: &[u8]| [tag, bare].concat();
        for point in [
            compressed.to_vec(),
            uncompressed.to_vec(),
            wrapped(&[0x04, 33], &compressed),
            wrapped(&[0x04, 65], &uncompressed),
            wrapped(&[0x03, 66, 0], &uncompressed),
        ] {
            assert_eq!(public_key(Scheme::Secp256k1Ecdsa, &point).unwrap(), compressed, "{point:02x?}");
        }
        // Bare, and like a wrapping of 30 bytes by chance.
        let mut bare = [7; 32];
        (bare[0], bare[1]) = (0x04, 30);
        for point in [bare.to_vec(), wrapped(&[0x04, 32], &bare), wrapped(&[0x03, 33, 0], &bare)] {
            assert_eq!(public_key(Scheme::Ed25519, &point).unwrap(), bare, "{point:02x?}");
        }
        for wrong in [&[][..], &[0x04], &[0x04, 33], &compressed[1..], &[0x04, 31, 1, 2]] {
            assert_eq!(public_key(Scheme::Secp256k1Ecdsa, wrong), None, "{wrong:02x?}");
        }
        assert_eq!(public_key(Scheme::Ed25519, &compressed), None);
    }

    #[test]
    fn a_curve_is_known_by_its_number_or_name() {
        assert!(is_curve(Scheme::Secp256k1Ecdsa, SECP256K1_OID) && !is_curve(Scheme::Ed25519, SECP256K1_OID));
        assert!(is_curve(Scheme::Ed25519, ED25519_OID) && is_curve(Scheme::Ed25519, b"\x13\x0cedwards25519"));
        // P-256 (RFC 5480 §2.1.1.1).
        let p256 = [0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];
        assert!(
            Scheme::ALL
                .iter()
                .all(|scheme| !is_curve(*scheme, &p256) && !is_curve(*scheme, &[]))
        );
    }

    /// Secret key 1 over SHA-256("Satoshi Nakamoto") with RFC 6979's nonce: the vector that Bitcoin's libraries share.
    #[test]
    fn ecdsa_is_lowered_and_its_recovery_id_found() {
        let digest = SigningInput::Digest(unhex("a0dc65ffca799873cbea0ac274015b9526505daaaed385155425f7337704883e"));
        let low: [u8; 64] = unhex(
            "934b1ea10a4b3c1757e2b0c017d0b6143ce3c9a7e6a4a49860d7a6ab210ee3d82442ce9d2b916064108014783e923ec36b49743e2ffa1c4496f01a512aafd9e5",
        );
        let key: [u8; 33] = unhex(COMPRESSED);
        let s = secp256k1::SecretKey::from_secret_bytes(low[32..].try_into().unwrap()).unwrap();
        let high = [&low[..32], &s.negate().to_secret_bytes()].concat();
        assert!(high[32] >= 0x80);
        for bytes in [low.to_vec(), high] {
            let signature = verified(Scheme::Secp256k1Ecdsa, &key, &digest, bytes).unwrap();
            assert_eq!(signature.bytes, low);
            assert_eq!(verify::verify(Scheme::Secp256k1Ecdsa, &key, &digest, &signature), Ok(()));
        }
        let mut wrong = low.to_vec();
        wrong[63] ^= 1;
        for bytes in [wrong, low[..63].to_vec(), vec![0; 64], vec![0xff; 64], Vec::new()] {
            assert!(verified(Scheme::Secp256k1Ecdsa, &key, &digest, bytes).is_err());
        }
        let other = SigningInput::Digest([1; 32]);
        assert!(verified(Scheme::Secp256k1Ecdsa, &key, &other, low.to_vec()).is_err());
    }

    /// RFC 8032 §7.1, test 2.
    #[test]
    fn ed25519_is_verified() {
        let key: [u8; 32] = unhex("3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c");
        let signature: [u8; 64] = unhex(
            "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
        );
        let message = |byte| SigningInput::Message(vec![byte]);
        let released = verified(Scheme::Ed25519, &key, &message(0x72), signature.to_vec()).unwrap();
        assert_eq!((released.bytes.as_slice(), released.recovery_id), (signature.as_slice(), None));
        let wrong = verified(Scheme::Ed25519, &key, &message(0x73), signature.to_vec()).unwrap_err();
        assert_eq!(wrong, "its signature is wrong: it does not verify against the pinned public key");
    }
}
