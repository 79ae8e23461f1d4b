//! The secret types. None has Debug, Clone or Serialize; each is wiped when dropped; `expose_secret` is the word to grep for.

use crate::passphrase::PassphraseError;
use crate::schemes::PublicHalf;
use secrecy::{ExposeSecret, SecretBox, SecretSlice};
use sigwarden_core::Scheme;
use zeroize::Zeroizing;

/// Bytes of a secret key: a scalar (secp256k1), a seed (RFC 8032 §5.1.5), ξ (FIPS 204, `ML-DSA.KeyGen_internal`), or d‖z (FIPS 203,
/// `ML-KEM.KeyGen_internal`).
#[must_use]
pub fn secret_key_bytes(scheme: Scheme) -> usize {
    match scheme {
        Scheme::Secp256k1Ecdsa | Scheme::Secp256k1Schnorr | Scheme::Ed25519 | Scheme::MlDsa44 => 32,
        Scheme::MlKem768 => SECRET_KEY_MAX,
    }
}

/// Bytes of the longest secret key.
pub(crate) const SECRET_KEY_MAX: usize = 64;

/// What opens a deployment's keyring.
pub struct Passphrase(SecretSlice<u8>);

impl Passphrase {
    /// Bytes at most: a passphrase is typed or generated; a longer file is another file.
    pub const MAX: usize = 4096;

    /// Wraps a passphrase. The vector is taken over, and wiped when this is dropped.
    ///
    /// # Errors
    /// It is empty, or longer than [`Self::MAX`].
    pub fn from_bytes(bytes: Vec<u8>) -> Result<Self, PassphraseError> {
        // Wiped on the way out, whichever that is. Copied to a box of its own length, since shrinking a vector would leave a copy.
        let bytes = Zeroizing::new(bytes);
        match bytes.len() {
            0 => Err(PassphraseError::Empty),
            1..=Self::MAX => Ok(Self(SecretSlice::from(Box::<[u8]>::from(bytes.as_slice())))),
            length => Err(PassphraseError::Long(length)),
        }
    }

    /// The passphrase itself.
    pub(crate) fn expose_secret(&self) -> &[u8] {
        self.0.expose_secret()
    }
}

/// A secret key that is valid for the scheme that it was made for.
pub struct SecretKey(SecretSlice<u8>);

/// Bytes that are no secret key. Never quotes them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SecretKeyError {
    /// Not as many bytes as the scheme's.
    #[error("a secret key of {scheme} has {} bytes, these are {length}", secret_key_bytes(*scheme))]
    Length {
        /// The scheme.
        scheme: Scheme,
        /// Bytes given.
        length: usize,
    },
    /// Not hexadecimal.
    #[error("a secret key is written as hexadecimal digits, two for each byte, with or without `0x`")]
    Hex,
    /// Zero, or not below the curve's order.
    #[error("these 32 bytes are no secret key of {0}: zero, or not below the order of the curve")]
    Range(Scheme),
    /// The system gives no randomness.
    #[error("the system gives no random bytes: {0}")]
    Random(getrandom::Error),
    /// The library refused, for want of memory.
    #[error("the library cannot make a key of {0}: it has no memory")]
    Library(Scheme),
}

impl SecretKey {
    /// Reads [`secret_key_bytes`]: a big-endian scalar for secp256k1, a seed for the others.
    ///
    /// # Errors
    /// The length is wrong, or the bytes are no scalar of the curve.
    pub fn from_bytes(scheme: Scheme, bytes: &[u8]) -> Result<Self, SecretKeyError> {
        PublicHalf::of(scheme, bytes)?;
        Ok(Self(SecretSlice::from(Box::<[u8]>::from(bytes))))
    }

    /// Reads twice as many hexadecimal digits, with or without `0x` and surrounding white space.
    ///
    /// # Errors
    /// Not hexadecimal, or as [`Self::from_bytes`].
    pub fn from_hex(scheme: Scheme, text: &str) -> Result<Self, SecretKeyError> {
        let digits = text.trim();
        let digits = digits.strip_prefix("0x").unwrap_or(digits);
        let length = digits.len() / 2;
        let mut bytes = Zeroizing::new([0; SECRET_KEY_MAX]);
        match bytes.get_mut(..length) {
            Some(bytes) if length == secret_key_bytes(scheme) => {
                hex::decode_to_slice(digits, bytes).map_err(|_| SecretKeyError::Hex)?;
                Self::from_bytes(scheme, bytes)
            }
            Some(_) | None if digits.len().is_multiple_of(2) && digits.bytes().all(|digit| digit.is_ascii_hexdigit()) => {
                Err(SecretKeyError::Length { scheme, length })
            }
            Some(_) | None => Err(SecretKeyError::Hex),
        }
    }

    /// Draws a key from the system's randomness.
    ///
    /// # Errors
    /// The system gives no randomness.
    pub fn generate(scheme: Scheme) -> Result<Self, SecretKeyError> {
        let mut bytes = Zeroizing::new([0; SECRET_KEY_MAX]);
        let (bytes, _) = bytes.split_at_mut(secret_key_bytes(scheme));
        loop {
            getrandom::fill(bytes).map_err(SecretKeyError::Random)?;
            match Self::from_bytes(scheme, bytes) {
                // Once in 2^128 draws.
                Err(SecretKeyError::Range(_)) => {}
                drawn => return drawn,
            }
        }
    }

    /// The key itself.
    pub(crate) fn expose_secret(&self) -> &[u8] {
        self.0.expose_secret()
    }
}

/// A named secret's bytes.
pub struct SecretBytes(SecretSlice<u8>);

impl SecretBytes {
    /// Bytes at most: mnemonics, passphrases and keys are far shorter, certificates with their chains fit.
    pub const MAX: usize = 64 * 1024;

    /// Takes over a box, which is wiped when this is dropped.
    pub(crate) fn new(bytes: Box<[u8]>) -> Self {
        Self(SecretSlice::from(bytes))
    }

    /// The secret itself.
    #[must_use]
    pub fn expose_secret(&self) -> &[u8] {
        self.0.expose_secret()
    }
}

/// What is known of a named secret without opening it to anybody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretEntry {
    /// Its name.
    pub name: sigwarden_core::key::KeyName,
    /// When it was set last, milliseconds since the Unix epoch.
    pub created_ms: u64,
}

/// The public key of a secret key, in the scheme's encoding.
///
/// # Errors
/// The bytes are no secret key of this scheme (they were read for another).
pub fn public_key_of(scheme: Scheme, key: &SecretKey) -> Result<Vec<u8>, SecretKeyError> {
    PublicHalf::of(scheme, key.expose_secret()).map(|public| public.encode())
}

/// Bytes of a root key.
pub(crate) const ROOT_KEY_BYTES: usize = 32;

/// A deployment's random root key. It leaves the file `keyring.kek` only to be shielded.
pub(crate) struct RootKey(SecretBox<[u8; ROOT_KEY_BYTES]>);

impl RootKey {
    /// Fills the key in place.
    pub(crate) fn fill<E>(fill: impl FnOnce(&mut [u8; ROOT_KEY_BYTES]) -> Result<(), E>) -> Result<Self, E> {
        let mut filled = Ok(());
        let key = SecretBox::init_with_mut(|secret| filled = fill(secret));
        filled.map(|()| Self(key))
    }

    /// The key itself.
    pub(crate) fn expose_secret(&self) -> &[u8; ROOT_KEY_BYTES] {
        self.0.expose_secret()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]
    use super::*;

    /// The order of secp256k1 (SEC 2 §2.4.1).
    const ORDER: &str = "fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141";

    #[test]
    fn zero_and_the_order_are_no_secp256k1_keys_but_seeds_of_ed25519() {
        for scheme in [Scheme::Secp256k1Ecdsa, Scheme::Secp256k1Schnorr] {
            for text in ["00".repeat(32).as_str(), ORDER] {
                assert_eq!(SecretKey::from_hex(scheme, text).err(), Some(SecretKeyError::Range(scheme)));
            }
        }
        assert!(SecretKey::from_hex(Scheme::Ed25519, &"00".repeat(32)).is_ok());
    }

    #[test]
    fn a_key_of_another_length_or_alphabet_is_refused_without_being_quoted() {
        let scheme = Scheme::Ed25519;
        assert_eq!(
            SecretKey::from_hex(scheme, &"ab".repeat(31)).err(),
            Some(SecretKeyError::Length { scheme, length: 31 })
        );
        let error = SecretKey::from_hex(scheme, &"zz".repeat(32)).err().unwrap();
        assert_eq!(error, SecretKeyError::Hex);
        assert!(!error.to_string().contains('z'));
        assert_eq!(
            SecretKey::from_bytes(scheme, &[1; 33]).err(),
            Some(SecretKeyError::Length { scheme, length: 33 })
        );
    }

    #[test]
    fn hexadecimal_may_have_0x_and_a_newline() {
        let plain = SecretKey::from_hex(Scheme::Ed25519, &"ab".repeat(32)).unwrap();
        let dressed = SecretKey::from_hex(Scheme::Ed25519, &format!("0x{}\n", "AB".repeat(32))).unwrap();
        assert_eq!(plain.expose_secret(), dressed.expose_secret());
        assert_eq!(plain.expose_secret(), [0xab; 32]);
    }

    #[test]
    fn generated_keys_differ_and_have_the_length_of_their_scheme() {
        for scheme in Scheme::ALL {
            let [one, two] = [(); 2].map(|()| SecretKey::generate(*scheme).unwrap());
            assert_ne!(one.expose_secret(), two.expose_secret());
            assert_eq!(one.expose_secret().len(), secret_key_bytes(*scheme));
            assert_eq!(public_key_of(*scheme, &one).unwrap().len(), scheme.public_key_len());
        }
    }

    #[test]
    fn an_ml_kem_key_is_128_digits() {
        let scheme = Scheme::MlKem768;
        assert!(SecretKey::from_hex(scheme, &"ab".repeat(64)).is_ok());
        let error = SecretKey::from_hex(scheme, &"ab".repeat(32)).err().unwrap();
        assert_eq!(error.to_string(), "a secret key of ml-kem-768 has 64 bytes, these are 32");
        assert_eq!(
            SecretKey::from_hex(scheme, &"ab".repeat(65)).err(),
            Some(SecretKeyError::Length { scheme, length: 65 })
        );
        assert_eq!(SecretKey::from_hex(scheme, &"z".repeat(128)).err(), Some(SecretKeyError::Hex));
        assert_eq!(SecretKey::from_hex(scheme, &"a".repeat(129)).err(), Some(SecretKeyError::Hex));
    }

    #[test]
    fn a_passphrase_has_at_least_one_byte_and_a_bound() {
        assert!(matches!(Passphrase::from_bytes(Vec::new()), Err(PassphraseError::Empty)));
        assert!(matches!(Passphrase::from_bytes(vec![b'a'; 4097]), Err(PassphraseError::Long(4097))));
        assert_eq!(Passphrase::from_bytes(b"abc".to_vec()).ok().unwrap().expose_secret(), b"abc");
    }
}
