//! Short secrets that are kept shielded for longer than one use: PINs, passphrases of keystores, secrets from the environment.

use crate::os::SLOT_BYTES;
use crate::passphrase::PassphraseError;
use crate::secret::{Passphrase, SecretBytes};
use crate::shield::{Shield, ShieldError, Shielded};
use secrecy::SecretString;
use zeroize::Zeroizing;

/// Bytes of any length, shielded piece by piece, each opened in the arena for the time of a copy.
pub(crate) struct Kept {
    shield: &'static Shield,
    pieces: Vec<Shielded>,
    length: usize,
}

impl Kept {
    pub(crate) fn new(bytes: &[u8]) -> Result<Self, ShieldError> {
        let shield = Shield::of_process()?;
        let piece = |piece: &[u8]| {
            let filled = shield.close(piece.len(), |slot| {
                slot.copy_from_slice(piece);
                Ok::<_, ShieldError>(())
            });
            filled.map(|(shielded, ())| shielded)
        };
        let pieces = bytes.chunks(SLOT_BYTES).map(piece).collect::<Result<_, _>>()?;
        Ok(Self {
            shield,
            pieces,
            length: bytes.len(),
        })
    }

    /// Opens the only piece in the arena, for as long as `work` takes: of what has at most 64 bytes.
    pub(crate) fn with<T>(&self, work: impl FnOnce(&[u8]) -> T) -> Result<T, ShieldError> {
        let [piece] = self.pieces.as_slice() else {
            return Err(ShieldError::Length);
        };
        self.shield.open(piece, work)
    }

    pub(crate) fn open(&self) -> Result<SecretBytes, ShieldError> {
        // Of its final length from the start: growing would leave copies.
        let mut bytes = Zeroizing::new(Vec::with_capacity(self.length));
        for piece in &self.pieces {
            self.shield.open(piece, |slot| bytes.extend_from_slice(slot))?;
        }
        Ok(SecretBytes::new(std::mem::take(&mut *bytes).into_boxed_slice()))
    }
}

/// A PIN, shielded until a login is due.
pub struct Pin(Kept);

impl Pin {
    /// Shields what was asked for.
    ///
    /// # Errors
    /// It is no text, as PINs are (PKCS#11 §5.6.8: UTF-8); no locked memory.
    pub fn keep(pin: &Passphrase) -> Result<Self, PassphraseError> {
        std::str::from_utf8(pin.expose_secret()).map_err(|_| PassphraseError::NotText)?;
        Ok(Self(Kept::new(pin.expose_secret())?))
    }

    /// Opens it for a login; what is returned is wiped when it is dropped.
    ///
    /// # Errors
    /// It was changed in memory.
    pub fn open(&self) -> Result<SecretString, PassphraseError> {
        text(self.0.open()?.expose_secret())
    }
}

impl Passphrase {
    /// As a PIN, for one login.
    ///
    /// # Errors
    /// It is no text, as PINs are.
    pub fn into_pin(self) -> Result<SecretString, PassphraseError> {
        text(self.expose_secret())
    }
}

fn text(bytes: &[u8]) -> Result<SecretString, PassphraseError> {
    let text = std::str::from_utf8(bytes).map_err(|_| PassphraseError::NotText)?;
    Ok(SecretString::from(Box::<str>::from(text)))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]
    use super::*;
    use secrecy::ExposeSecret;

    #[test]
    fn a_pin_comes_back_as_it_was_however_long() {
        for length in [1, 4, 63, 64, 65, 128, 255] {
            let digits: String = (0..length).map(|at| char::from(b'0' + (at % 10) as u8)).collect();
            let passphrase = Passphrase::from_bytes(digits.clone().into_bytes()).ok().unwrap();
            let pin = Pin::keep(&passphrase).ok().unwrap();
            for _ in 0..2 {
                assert_eq!(pin.open().unwrap().expose_secret(), digits);
            }
            assert_eq!(passphrase.into_pin().unwrap().expose_secret(), digits);
        }
    }

    #[test]
    fn what_is_no_text_is_no_pin() {
        let bytes = Passphrase::from_bytes(vec![0xff, 0xfe]).ok().unwrap();
        assert!(matches!(Pin::keep(&bytes), Err(PassphraseError::NotText)));
        assert!(matches!(bytes.into_pin(), Err(PassphraseError::NotText)));
    }
}
