//! Which PKCS#11 mechanism signs in a scheme, and which it needs a token to offer.

use cryptoki::mechanism::dsa::{HedgeType, SignAdditionalContext};
use cryptoki::mechanism::eddsa::{EddsaParams, EddsaSignatureScheme};
use cryptoki::mechanism::vendor_defined::{CKM_VENDOR_DEFINED, VendorDefinedMechanism};
use cryptoki::mechanism::{Mechanism, MechanismType};
use sigwarden_core::Scheme;
use std::fmt;
use std::str::FromStr;

/// A mechanism by name: `CKM_ECDSA`, `CKM_EDDSA`, `CKM_ML_DSA`, or a vendor's number (`0x80000010`) for tokens that had one of these
/// before the standard did. No mechanism that hashes: the host has hashed already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MechanismChoice {
    /// ECDSA over a digest (PKCS#11 3.1 §6.3.12).
    Ecdsa,
    /// EdDSA without parameters: on an edwards25519 key, Ed25519 (PKCS#11 3.1 §6.3.15).
    Eddsa,
    /// ML-DSA, pure, with an empty context, hedged if the token can (PKCS#11 3.2 §6.67).
    MlDsa,
    /// A vendor's, at or above `0x80000000`, without parameters.
    Vendor(u32),
}

/// A mechanism that is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{given}` is no mechanism; `CKM_ECDSA`, `CKM_EDDSA`, `CKM_ML_DSA` or a vendor's number from `0x80000000` on is")]
pub struct MechanismError {
    given: String,
}

impl FromStr for MechanismChoice {
    type Err = MechanismError;

    fn from_str(text: &str) -> Result<Self, MechanismError> {
        let refuse = || MechanismError {
            given: text.chars().take(64).flat_map(char::escape_debug).collect(),
        };
        match text {
            "CKM_ECDSA" => Ok(Self::Ecdsa),
            "CKM_EDDSA" => Ok(Self::Eddsa),
            "CKM_ML_DSA" => Ok(Self::MlDsa),
            other => {
                let digits = other.strip_prefix("0x").ok_or_else(refuse)?;
                let number = u32::from_str_radix(digits, 16).map_err(|_| refuse())?;
                if u64::from(number) < CKM_VENDOR_DEFINED {
                    return Err(refuse());
                }
                Ok(Self::Vendor(number))
            }
        }
    }
}

impl fmt::Display for MechanismChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ecdsa => f.write_str("CKM_ECDSA"),
            Self::Eddsa => f.write_str("CKM_EDDSA"),
            Self::MlDsa => f.write_str("CKM_ML_DSA"),
            Self::Vendor(number) => write!(f, "{number:#010x}"),
        }
    }
}

impl MechanismChoice {
    /// The scheme that it signs in; a vendor's may sign in any.
    #[must_use]
    pub fn scheme(self) -> Option<Scheme> {
        match self {
            Self::Ecdsa => Some(Scheme::Secp256k1Ecdsa),
            Self::Eddsa => Some(Scheme::Ed25519),
            Self::MlDsa => Some(Scheme::MlDsa44),
            Self::Vendor(_) => None,
        }
    }

    /// What a scheme signs with.
    pub(crate) fn of(scheme: Scheme) -> Option<Self> {
        match scheme {
            Scheme::Secp256k1Ecdsa => Some(Self::Ecdsa),
            Scheme::Ed25519 => Some(Self::Eddsa),
            Scheme::MlDsa44 => Some(Self::MlDsa),
            Scheme::Secp256k1Schnorr | Scheme::MlKem768 => None,
        }
    }

    /// As the library wants it.
    pub(crate) fn mechanism(self) -> Result<Mechanism<'static>, cryptoki::error::Error> {
        Ok(match self {
            Self::Ecdsa => Mechanism::Ecdsa,
            Self::Eddsa => Mechanism::Eddsa(EddsaParams::new(EddsaSignatureScheme::Ed25519)),
            Self::MlDsa => Mechanism::MlDsa(SignAdditionalContext::new(HedgeType::Preferred, None)),
            Self::Vendor(number) => {
                let kind = MechanismType::new_vendor_defined(number.into())?;
                Mechanism::VendorDefined(VendorDefinedMechanism::new::<()>(kind, None))
            }
        })
    }
}

/// Schemes that a token signs in, after its list of mechanisms. `CKM_ECDSA` does not say for which curves.
pub(crate) fn signs(offered: &[MechanismType]) -> Vec<Scheme> {
    having(offered, |scheme| match scheme {
        Scheme::Secp256k1Ecdsa => Some(MechanismType::ECDSA),
        Scheme::Ed25519 => Some(MechanismType::EDDSA),
        Scheme::MlDsa44 => Some(MechanismType::ML_DSA),
        Scheme::Secp256k1Schnorr | Scheme::MlKem768 => None,
    })
}

/// Schemes that a token generates keys for, after its list of mechanisms.
pub(crate) fn generates(offered: &[MechanismType]) -> Vec<Scheme> {
    having(offered, |scheme| match scheme {
        Scheme::Secp256k1Ecdsa => Some(MechanismType::ECC_KEY_PAIR_GEN),
        Scheme::Ed25519 => Some(MechanismType::ECC_EDWARDS_KEY_PAIR_GEN),
        Scheme::MlDsa44 => Some(MechanismType::ML_DSA_KEY_PAIR_GEN),
        Scheme::Secp256k1Schnorr | Scheme::MlKem768 => None,
    })
}

fn having(offered: &[MechanismType], needs: impl Fn(Scheme) -> Option<MechanismType>) -> Vec<Scheme> {
    let has = |scheme: &Scheme| needs(*scheme).is_some_and(|wanted| offered.contains(&wanted));
    Scheme::ALL.iter().copied().filter(has).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn only_mechanisms_that_do_not_hash_are_read() {
        for (text, choice) in [
            ("CKM_ECDSA", MechanismChoice::Ecdsa),
            ("CKM_EDDSA", MechanismChoice::Eddsa),
            ("CKM_ML_DSA", MechanismChoice::MlDsa),
            ("0x80000010", MechanismChoice::Vendor(0x8000_0010)),
        ] {
            assert_eq!(text.parse(), Ok(choice));
            assert_eq!(choice.to_string(), text);
            assert!(choice.mechanism().is_ok());
        }
        for wrong in [
            "CKM_ECDSA_SHA256",
            "ckm_ecdsa",
            "",
            "0x00001041",
            "0x7fffffff",
            "0x180000000",
            "4161",
        ] {
            assert!(wrong.parse::<MechanismChoice>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn every_scheme_has_the_mechanism_that_signs_in_it() {
        for scheme in Scheme::ALL {
            let choice = MechanismChoice::of(*scheme);
            assert!(choice.is_none_or(|choice| choice.scheme() == Some(*scheme)), "{scheme}");
        }
    }
}
