//! What the tokens can do, in the words of PKCS#11, and how their keys are told apart there.

use crate::keys::Scheme;
use cryptoki_sys::*;

/// OID 1.3.132.0.10 (SEC 2), DER.
const SECP256K1: &[u8] = &[0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x0a];
/// OID 1.3.101.112 (RFC 8410 §3), DER.
const ED25519: &[u8] = &[0x06, 0x03, 0x2b, 0x65, 0x70];
/// `PrintableString "edwards25519"` (PKCS#11 v3.0 §2.3.3), the other name of the same curve.
const EDWARDS25519: &[u8] = b"\x13\x0cedwards25519";

/// Every mechanism, in the order of `C_GetMechanismList`.
pub(crate) const MECHANISMS: [CK_MECHANISM_TYPE; 6] = [
    CKM_EC_KEY_PAIR_GEN,
    CKM_ECDSA,
    CKM_EC_EDWARDS_KEY_PAIR_GEN,
    CKM_EDDSA,
    CKM_ML_DSA_KEY_PAIR_GEN,
    CKM_ML_DSA,
];

/// `C_GetMechanismInfo`: for curves the key size is in bits, for ML-DSA it is the public key's in bytes.
pub(crate) fn info(mechanism: CK_MECHANISM_TYPE) -> Option<CK_MECHANISM_INFO> {
    let curve = CKF_EC_F_P | CKF_EC_OID | CKF_EC_UNCOMPRESS;
    let (size, flags) = match mechanism {
        CKM_EC_KEY_PAIR_GEN => (256, CKF_GENERATE_KEY_PAIR | curve),
        CKM_ECDSA => (256, CKF_SIGN | curve),
        CKM_EC_EDWARDS_KEY_PAIR_GEN => (255, CKF_GENERATE_KEY_PAIR | CKF_EC_OID),
        CKM_EDDSA => (255, CKF_SIGN | CKF_EC_OID),
        CKM_ML_DSA_KEY_PAIR_GEN => (1312, CKF_GENERATE_KEY_PAIR),
        CKM_ML_DSA => (1312, CKF_SIGN),
        _ => return None,
    };
    Some(CK_MECHANISM_INFO {
        ulMinKeySize: size,
        ulMaxKeySize: size,
        flags,
    })
}

/// The scheme whose keys a mechanism signs with.
pub(crate) fn signs(mechanism: CK_MECHANISM_TYPE) -> Option<Scheme> {
    match mechanism {
        CKM_ECDSA => Some(Scheme::Secp256k1Ecdsa),
        CKM_EDDSA => Some(Scheme::Ed25519),
        CKM_ML_DSA => Some(Scheme::MlDsa44),
        _ => None,
    }
}

/// The scheme whose keys a mechanism generates.
pub(crate) fn generates(mechanism: CK_MECHANISM_TYPE) -> Option<Scheme> {
    match mechanism {
        CKM_EC_KEY_PAIR_GEN => Some(Scheme::Secp256k1Ecdsa),
        CKM_EC_EDWARDS_KEY_PAIR_GEN => Some(Scheme::Ed25519),
        CKM_ML_DSA_KEY_PAIR_GEN => Some(Scheme::MlDsa44),
        _ => None,
    }
}

impl Scheme {
    /// The mechanism that generates its keys.
    pub(crate) fn generation(self) -> CK_MECHANISM_TYPE {
        match self {
            Self::Secp256k1Ecdsa => CKM_EC_KEY_PAIR_GEN,
            Self::Ed25519 => CKM_EC_EDWARDS_KEY_PAIR_GEN,
            Self::MlDsa44 => CKM_ML_DSA_KEY_PAIR_GEN,
        }
    }

    /// `CKA_KEY_TYPE`.
    pub(crate) fn key_type(self) -> CK_KEY_TYPE {
        match self {
            Self::Secp256k1Ecdsa => CKK_EC,
            Self::Ed25519 => CKK_EC_EDWARDS,
            Self::MlDsa44 => CKK_ML_DSA,
        }
    }

    /// `CKA_EC_PARAMS`, for curves.
    pub(crate) fn curve(self) -> Option<&'static [u8]> {
        match self {
            Self::Secp256k1Ecdsa => Some(SECP256K1),
            Self::Ed25519 => Some(ED25519),
            Self::MlDsa44 => None,
        }
    }

    /// Whether `CKA_EC_PARAMS` of a template names its curve.
    pub(crate) fn is_curve(self, params: &[u8]) -> bool {
        self.curve() == Some(params) || (self == Self::Ed25519 && params == EDWARDS25519)
    }

    /// `CKA_PARAMETER_SET`, for ML-DSA.
    pub(crate) fn parameter_set(self) -> Option<CK_ULONG> {
        match self {
            Self::Secp256k1Ecdsa | Self::Ed25519 => None,
            Self::MlDsa44 => Some(CKP_ML_DSA_44),
        }
    }
}
