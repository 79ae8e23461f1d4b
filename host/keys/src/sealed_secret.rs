//! One named secret: `NAME.secret` in a vault. `docs/sealed-file.md` gives every byte.

use crate::bytes::Fields;
use crate::files::FileError;
use crate::secret::{SecretBytes, SecretEntry};
use crate::vault::{Vault, VaultError, random};
use chacha20poly1305::aead::{AeadInOut, KeyInit};
use chacha20poly1305::{Tag, XChaCha20Poly1305, XNonce};
use secrecy::ExposeSecret;
use sigwarden_core::key::KeyName;
use std::sync::PoisonError;
use zeroize::{Zeroize, Zeroizing};

/// How the names of sealed secrets end.
pub(crate) const SUFFIX: &str = ".secret";
/// Secrets at most in one store: a listing opens each, and this many open in a few milliseconds.
pub(crate) const SECRETS_MAX: usize = 1024;

const MAGIC: [u8; 8] = *b"SWSECRET";
const VERSION: u16 = 1;
const TAG: usize = 16;
/// The header without its name (63), a name, the secret and the tag.
const FILE_MAX: u64 = (63 + KeyName::MAX + SecretBytes::MAX + TAG) as u64;

/// Why a sealed secret does not open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SealedSecretError {
    /// It has not the form of such a file.
    #[error("it is damaged, or no such file: {0}")]
    Form(&'static str),
    /// It says that it is another one.
    #[error("it is another secret's file under this name")]
    Name,
    /// The tag does not fit.
    #[error("it was changed, or belongs to another keyring")]
    Tag,
    /// Encryption refused.
    #[error("encryption failed")]
    Encryption,
}

/// What a sealed secret says of itself, in the open but authenticated.
struct Label {
    file_id: [u8; 16],
    nonce: [u8; 24],
    created_ms: u64,
    name: KeyName,
}

fn file_name(name: &KeyName) -> String {
    format!("{name}{SUFFIX}")
}

/// `magic || version || file id || nonce || created || N || name || L`.
fn header(label: &Label, length: usize) -> Result<Vec<u8>, SealedSecretError> {
    let name = label.name.as_str();
    let mut header = Vec::with_capacity(64 + name.len() + length + TAG);
    header.extend(MAGIC);
    header.extend(VERSION.to_be_bytes());
    header.extend(label.file_id);
    header.extend(label.nonce);
    header.extend(label.created_ms.to_be_bytes());
    header.push(u8::try_from(name.len()).map_err(|_| SealedSecretError::Encryption)?);
    header.extend(name.as_bytes());
    header.extend(u32::try_from(length).map_err(|_| SealedSecretError::Encryption)?.to_be_bytes());
    Ok(header)
}

/// `header || XChaCha20-Poly1305(file key, nonce, aad = header, secret)`.
fn seal(key: &[u8; 32], label: &Label, secret: &[u8]) -> Result<Vec<u8>, SealedSecretError> {
    let mut file = header(label, secret.len())?;
    let mut sealed = Zeroizing::new(secret.to_vec());
    let tag = XChaCha20Poly1305::new(key.into())
        .encrypt_inout_detached(&XNonce::from(label.nonce), &file, sealed.as_mut_slice().into())
        .map_err(|_| SealedSecretError::Encryption)?;
    file.extend_from_slice(&sealed);
    file.extend(tag);
    Ok(file)
}

struct Parsed<'a> {
    label: Label,
    header: &'a [u8],
    sealed: &'a [u8],
    tag: [u8; TAG],
}

fn parse(file: &[u8]) -> Result<Parsed<'_>, SealedSecretError> {
    let cut = SealedSecretError::Form("it is cut, or has bytes too many");
    let mut fields = Fields(file);
    if fields.array().ok_or(cut)? != MAGIC {
        return Err(SealedSecretError::Form("it does not begin with `SWSECRET`"));
    }
    if fields.u16().ok_or(cut)? != VERSION {
        return Err(SealedSecretError::Form("its version is not 1, the only one this program knows"));
    }
    let file_id = fields.array().ok_or(cut)?;
    let nonce = fields.array().ok_or(cut)?;
    let created_ms = fields.u64().ok_or(cut)?;
    let name_length = fields.u8().ok_or(cut)?;
    let name = fields.slice(name_length.into()).ok_or(cut)?;
    let length = usize::try_from(fields.u32().ok_or(cut)?).map_err(|_| cut)?;
    let (header, _) = file.split_at_checked(file.len() - fields.0.len()).ok_or(cut)?;
    let sealed = fields.slice(length).ok_or(cut)?;
    let tag = fields.array().ok_or(cut)?;
    if !fields.0.is_empty() {
        return Err(cut);
    }
    let name = std::str::from_utf8(name)
        .ok()
        .and_then(|name| name.parse().ok())
        .ok_or(SealedSecretError::Form("its name is none"))?;
    let label = Label {
        file_id,
        nonce,
        created_ms,
        name,
    };
    Ok(Parsed {
        label,
        header,
        sealed,
        tag,
    })
}

impl Vault {
    /// Seals a secret of 1 to [`SecretBytes::MAX`] bytes under a name, in place of the one that may be there. Durable when this returns.
    ///
    /// # Errors
    /// It is empty or too long; there are too many; the file cannot be written.
    pub fn secret_set(&self, name: &KeyName, secret: &[u8], created_ms: u64) -> Result<(), VaultError> {
        check_length(secret)?;
        let _one_at_a_time = self.adding.lock().unwrap_or_else(PoisonError::into_inner);
        let there = self.secret_names()?;
        if there.len() >= SECRETS_MAX && !there.contains(name) {
            return Err(VaultError::SecretsFull(there.len()));
        }
        let label = Label {
            file_id: random()?,
            nonce: random()?,
            created_ms,
            name: name.clone(),
        };
        let key = self.secret_key(&label)?;
        let file = seal(key.expose_secret(), &label, secret).map_err(|source| self.secret_error(name, source))?;
        Ok(self.directory.replace_file(&file_name(name), &file)?)
    }

    /// Opens a secret. Nothing of it stays in memory but what is returned: opening takes the shielded root key and no passphrase.
    ///
    /// # Errors
    /// There is none of this name; its file is damaged, another's, or readable by others.
    pub fn secret_get(&self, name: &KeyName) -> Result<SecretBytes, VaultError> {
        self.secret_open(name).map(|(_, secret)| secret)
    }

    /// The secrets, in the order of their names. Each is opened, so that what is listed is authentic.
    ///
    /// # Errors
    /// As [`Self::secret_get`].
    pub fn secret_list(&self) -> Result<Vec<SecretEntry>, VaultError> {
        let entry = |name: KeyName| self.secret_open(&name).map(|(created_ms, _)| SecretEntry { name, created_ms });
        self.secret_names()?.into_iter().map(entry).collect()
    }

    /// Removes a secret, durably when this returns.
    ///
    /// # Errors
    /// There is none of this name; the file cannot be removed.
    pub fn secret_remove(&self, name: &KeyName) -> Result<(), VaultError> {
        let _one_at_a_time = self.adding.lock().unwrap_or_else(PoisonError::into_inner);
        if self.directory.remove_file(&file_name(name))? {
            Ok(())
        } else {
            Err(VaultError::UnknownSecret(name.clone()))
        }
    }

    fn secret_open(&self, name: &KeyName) -> Result<(u64, SecretBytes), VaultError> {
        let file = match self.directory.read(&file_name(name), FILE_MAX) {
            Err(FileError::Missing(_)) => return Err(VaultError::UnknownSecret(name.clone())),
            read => read?,
        };
        let failed = |source| self.secret_error(name, source);
        let parsed = parse(&file).map_err(failed)?;
        if parsed.label.name != *name {
            return Err(failed(SealedSecretError::Name));
        }
        let key = self.secret_key(&parsed.label)?;
        let mut secret: Box<[u8]> = parsed.sealed.into();
        let opened = XChaCha20Poly1305::new(key.expose_secret().into()).decrypt_inout_detached(
            &XNonce::from(parsed.label.nonce),
            parsed.header,
            (&mut *secret).into(),
            &Tag::from(parsed.tag),
        );
        if opened.is_err() {
            secret.zeroize();
            return Err(failed(SealedSecretError::Tag));
        }
        Ok((parsed.label.created_ms, SecretBytes::new(secret)))
    }

    /// `HKDF-SHA-256(salt = none, ikm = root, info = "sigwarden secret file v1" || file id)`.
    fn secret_key(&self, label: &Label) -> Result<secrecy::SecretBox<[u8; 32]>, VaultError> {
        self.derive(&[b"sigwarden secret file v1", &label.file_id])
    }

    fn secret_names(&self) -> Result<Vec<KeyName>, VaultError> {
        let names = self.directory.names()?;
        let mut names: Vec<KeyName> = names
            .iter()
            .filter_map(|name| name.strip_suffix(SUFFIX).and_then(|name| name.parse().ok()))
            .collect();
        names.sort();
        Ok(names)
    }

    fn secret_error(&self, name: &KeyName, source: SealedSecretError) -> VaultError {
        VaultError::Secret {
            path: self.directory.path_of(&file_name(name)),
            source,
        }
    }
}

/// A secret has bytes, and not too many.
pub(crate) fn check_length(secret: &[u8]) -> Result<(), VaultError> {
    match secret.len() {
        1..=SecretBytes::MAX => Ok(()),
        length => Err(VaultError::SecretLength(length)),
    }
}

#[cfg(test)]
#[path = "sealed_secret_tests.rs"]
pub(crate) mod tests;
