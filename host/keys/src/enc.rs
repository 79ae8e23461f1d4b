//! One file of a keystore directory: `ENTRY_ID.enc`, which carries its own key derivation. `docs/sealed-file.md` gives every byte.

use crate::bytes::Fields;
use crate::sealed::{scheme_code, scheme_of};
use aws_lc_rs::pbkdf2::{PBKDF2_HMAC_SHA256, derive};
use chacha20poly1305::aead::{AeadInOut, KeyInit};
use chacha20poly1305::{ChaCha20Poly1305, Nonce, Tag};
use secrecy::SecretBox;
use sigwarden_core::Scheme;
use std::num::NonZeroU32;
use zeroize::{Zeroize, Zeroizing};

/// How the names of these files end.
pub(crate) const SUFFIX: &str = ".enc";

/// What is written.
pub(crate) const ITERATIONS: u32 = 600_000;
/// What is read, at most: a second and a half of a processor; a file that asks for more was not written by us.
const ITERATIONS_MAX: u32 = 10_000_000;

const MAGIC: [u8; 8] = *b"SWKEYSTR";
const VERSION: u16 = 1;
const PBKDF2_SHA256: u8 = 1;
const CHACHA20_POLY1305: u8 = 1;
const TAG: usize = 16;

/// Why such a file does not open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EncError {
    /// It has not the form of such a file.
    #[error("it is damaged, or no such file: {0}")]
    Form(&'static str),
    /// It asks for too cheap or too expensive a derivation.
    #[error("it asks for {0} iterations of PBKDF2, and {ITERATIONS} to {ITERATIONS_MAX} are allowed: it is damaged, or not Sigwarden's")]
    Iterations(u32),
    /// It says that it is another entry.
    #[error("it is another entry's file under this name")]
    Name,
    /// The tag does not fit.
    #[error("the passphrase is wrong, or the file is damaged; the two cannot be told apart")]
    WrongPassphraseOrDamaged,
    /// A key where a secret is asked for, or the other way round.
    #[error("it holds {0}")]
    Kind(&'static str),
    /// It opens, and is not the key that it says.
    #[error("the key inside is not the one of its public key")]
    PublicKey,
    /// A field has no room, or the cipher refused.
    #[error("its contents are too long for the format")]
    TooLong,
}

/// How the key of one file is derived from the passphrase.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Derivation {
    pub(crate) iterations: u32,
    pub(crate) salt: [u8; 16],
}

impl Derivation {
    /// `PBKDF2-HMAC-SHA256(passphrase, salt, iterations)`, 32 bytes (RFC 8018 §5.2). Takes some 100 ms.
    pub(crate) fn key(&self, passphrase: &[u8]) -> Result<SecretBox<[u8; 32]>, EncError> {
        let iterations = NonZeroU32::new(self.iterations).ok_or(EncError::Iterations(0))?;
        Ok(SecretBox::init_with_mut(|key: &mut [u8; 32]| {
            derive(PBKDF2_HMAC_SHA256, iterations, &self.salt, passphrase, key);
        }))
    }
}

/// What such a file says of itself, in the open but authenticated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Label {
    pub(crate) derivation: Derivation,
    pub(crate) nonce: [u8; 12],
    pub(crate) created_ms: u64,
    /// Scheme and public key; none for a secret.
    pub(crate) key: Option<(Scheme, Vec<u8>)>,
    /// A key id or a secret's name.
    pub(crate) id: String,
}

fn header(label: &Label, length: usize) -> Result<Vec<u8>, EncError> {
    let (scheme, public_key) = match &label.key {
        Some((scheme, public_key)) => (scheme_code(*scheme), public_key.as_slice()),
        None => (0, [].as_slice()),
    };
    let mut header = Vec::with_capacity(64 + public_key.len() + label.id.len() + length + TAG);
    header.extend(MAGIC);
    header.extend(VERSION.to_be_bytes());
    header.extend([PBKDF2_SHA256, CHACHA20_POLY1305]);
    header.extend(label.derivation.iterations.to_be_bytes());
    header.extend(label.derivation.salt);
    header.extend(label.nonce);
    header.extend(label.created_ms.to_be_bytes());
    header.push(scheme);
    header.extend(u16::try_from(public_key.len()).map_err(|_| EncError::TooLong)?.to_be_bytes());
    header.extend(public_key);
    header.push(u8::try_from(label.id.len()).map_err(|_| EncError::TooLong)?);
    header.extend(label.id.as_bytes());
    header.extend(u32::try_from(length).map_err(|_| EncError::TooLong)?.to_be_bytes());
    Ok(header)
}

/// `header || ChaCha20-Poly1305(key, nonce, aad = header, secret)` (RFC 8439).
pub(crate) fn seal(key: &[u8; 32], label: &Label, secret: &[u8]) -> Result<Vec<u8>, EncError> {
    let mut file = header(label, secret.len())?;
    let mut sealed = Zeroizing::new(secret.to_vec());
    let tag = ChaCha20Poly1305::new(key.into())
        .encrypt_inout_detached(&Nonce::from(label.nonce), &file, sealed.as_mut_slice().into())
        .map_err(|_| EncError::TooLong)?;
    file.extend_from_slice(&sealed);
    file.extend(tag);
    Ok(file)
}

/// A file that has the right form, for the entry that was asked for, and is not opened.
pub(crate) struct Parsed<'a> {
    pub(crate) label: Label,
    header: &'a [u8],
    sealed: &'a [u8],
    tag: [u8; TAG],
}

impl Parsed<'_> {
    /// Bytes of the secret.
    pub(crate) fn length(&self) -> usize {
        self.sealed.len()
    }

    /// Opens it into `secret`, which has its length. If that fails, `secret` is wiped.
    pub(crate) fn open(&self, key: &[u8; 32], secret: &mut [u8]) -> Result<(), EncError> {
        if secret.len() != self.sealed.len() {
            return Err(EncError::Form("the secret has another length than its scheme's"));
        }
        secret.copy_from_slice(self.sealed);
        let opened = ChaCha20Poly1305::new(key.into()).decrypt_inout_detached(
            &Nonce::from(self.label.nonce),
            self.header,
            (&mut *secret).into(),
            &Tag::from(self.tag),
        );
        opened.map_err(|_| {
            secret.zeroize();
            EncError::WrongPassphraseOrDamaged
        })
    }
}

/// Reads a file's form. The derivation's cost is bounded here, before anybody pays it.
pub(crate) fn parse<'a>(file: &'a [u8], wanted: &str) -> Result<Parsed<'a>, EncError> {
    let cut = EncError::Form("it is cut, or has bytes too many");
    let mut fields = Fields(file);
    if fields.array().ok_or(cut)? != MAGIC {
        return Err(EncError::Form("it does not begin with `SWKEYSTR`"));
    }
    if fields.u16().ok_or(cut)? != VERSION {
        return Err(EncError::Form("its version is not 1, the only one this program knows"));
    }
    if fields.array().ok_or(cut)? != [PBKDF2_SHA256, CHACHA20_POLY1305] {
        return Err(EncError::Form("its key derivation or cipher is none this program knows"));
    }
    let iterations = fields.u32().ok_or(cut)?;
    if !(ITERATIONS..=ITERATIONS_MAX).contains(&iterations) {
        return Err(EncError::Iterations(iterations));
    }
    let salt = fields.array().ok_or(cut)?;
    let nonce = fields.array().ok_or(cut)?;
    let created_ms = fields.u64().ok_or(cut)?;
    let scheme = fields.u8().ok_or(cut)?;
    let public_key_length = fields.u16().ok_or(cut)?;
    let public_key = fields.slice(public_key_length.into()).ok_or(cut)?;
    let id_length = fields.u8().ok_or(cut)?;
    let id = fields.slice(id_length.into()).ok_or(cut)?;
    let length = usize::try_from(fields.u32().ok_or(cut)?).map_err(|_| cut)?;
    let (header, _) = file.split_at_checked(file.len() - fields.0.len()).ok_or(cut)?;
    let sealed = fields.slice(length).ok_or(cut)?;
    let tag = fields.array().ok_or(cut)?;
    if !fields.0.is_empty() {
        return Err(cut);
    }
    if id != wanted.as_bytes() {
        return Err(EncError::Name);
    }
    let key = match (scheme, public_key) {
        (0, []) => None,
        (code, public_key) => {
            let scheme = scheme_of(code).ok_or(EncError::Form("its scheme is none this program knows"))?;
            Some((scheme, public_key.to_vec()))
        }
    };
    let label = Label {
        derivation: Derivation { iterations, salt },
        nonce,
        created_ms,
        key,
        id: wanted.to_owned(),
    };
    Ok(Parsed {
        label,
        header,
        sealed,
        tag,
    })
}
