//! A keystore directory: `{root}/{entry_id}.enc`, each file sealed under the keystore's own passphrase, to be carried about and backed
//! up one by one. Beside the vault, with the same calls.

use crate::enc::{self, Derivation, EncError, ITERATIONS, Label, Parsed};
use crate::files::{Directory, FileError};
use crate::held::{HeldKey, HoldError};
use crate::pin::Kept;
use crate::schemes::PublicHalf;
use crate::sealed_secret::SECRETS_MAX;
use crate::secret::{Passphrase, SecretBytes, SecretEntry, SecretKey, SecretKeyError};
use crate::shield::ShieldError;
use crate::vault::IndexEntry;
use secrecy::{ExposeSecret, SecretBox};
use sha2::{Digest, Sha256};
use sigwarden_core::Scheme;
use sigwarden_core::key::{KeyId, KeyName};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use zeroize::Zeroizing;

/// The header (60), the longest public key and id, the longest secret and the tag, rounded up.
const FILE_MAX: u64 = SecretBytes::MAX as u64 + 4096;

/// Why a keystore does not do as asked.
#[derive(Debug, thiserror::Error)]
pub enum KeystoreError {
    /// A file is not as it must be.
    #[error(transparent)]
    File(#[from] FileError),
    /// There are entries already.
    #[error("no keystore is made where one is already: {}", .0.display())]
    NotEmpty(PathBuf),
    /// An entry does not open.
    #[error("{}: {source}", path.display())]
    Entry {
        /// The file.
        path: PathBuf,
        /// Why.
        source: EncError,
    },
    /// No such entry.
    #[error("the keystore has no entry `{0}`")]
    Unknown(String),
    /// A secret of no length, or too long a one.
    #[error("a secret has 1 to {max} bytes, these are {0}", max = SecretBytes::MAX)]
    SecretLength(usize),
    /// Too many entries.
    #[error("the keystore has {0} entries, and no more are kept: each costs a key derivation")]
    Full(usize),
    /// A key is none.
    #[error(transparent)]
    Key(#[from] SecretKeyError),
    /// No locked memory, no randomness.
    #[error(transparent)]
    Shield(#[from] ShieldError),
}

impl From<HoldError> for KeystoreError {
    fn from(error: HoldError) -> Self {
        match error {
            HoldError::Shield(error) => Self::Shield(error),
            HoldError::Key(error) => Self::Key(error),
        }
    }
}

/// An open keystore directory. Passphrase and the keys derived from it wait shielded, so that opening an entry again derives nothing.
pub struct Keystore {
    directory: Directory,
    /// The passphrase as HMAC takes it: itself, or its SHA-256 if it is longer than a block of 64 bytes (RFC 2104 §2).
    passphrase: Kept,
    derived: Mutex<BTreeMap<String, (Derivation, Arc<Kept>)>>,
    /// Held while an entry is written or removed.
    writing: Mutex<()>,
}

impl Keystore {
    /// Makes a keystore in a directory that has none.
    ///
    /// # Errors
    /// There are entries already; the directory cannot be written.
    pub fn create(directory: &Path, passphrase: &Passphrase) -> Result<Self, KeystoreError> {
        let keystore = Self::over(Directory::create(directory)?, passphrase)?;
        match keystore.ids()?.first() {
            Some(id) => Err(KeystoreError::NotEmpty(keystore.path_of(id))),
            None => Ok(keystore),
        }
    }

    /// Opens a keystore. If it has entries, one is opened, so that a wrong passphrase is seen now.
    ///
    /// # Errors
    /// There is no such directory; the passphrase is wrong; a file is damaged or others can reach it.
    pub fn open(directory: &Path, passphrase: &Passphrase) -> Result<Self, KeystoreError> {
        let keystore = Self::over(Directory::open(directory)?, passphrase)?;
        if let Some(id) = keystore.ids()?.first() {
            keystore.with_entry(id, |parsed, key| {
                let mut secret = Zeroizing::new(vec![0; parsed.length()]);
                parsed.open(key, &mut secret)
            })?;
        }
        Ok(keystore)
    }

    fn over(directory: Directory, passphrase: &Passphrase) -> Result<Self, KeystoreError> {
        let passphrase = passphrase.expose_secret();
        let block = if passphrase.len() > 64 {
            let mut hash = Sha256::digest(passphrase);
            let block = Zeroizing::new(hash.to_vec());
            zeroize::Zeroize::zeroize(hash.as_mut_slice());
            block
        } else {
            Zeroizing::new(passphrase.to_vec())
        };
        Ok(Self {
            directory,
            passphrase: Kept::new(&block)?,
            derived: Mutex::default(),
            writing: Mutex::default(),
        })
    }

    /// Draws a key and seals it. Returns its public key, once it is durable. Never over an entry that is there.
    ///
    /// # Errors
    /// The id is taken; the file cannot be written.
    pub fn generate(&self, id: &KeyId, scheme: Scheme, created_ms: u64) -> Result<Vec<u8>, KeystoreError> {
        self.import(id, scheme, SecretKey::generate(scheme)?, created_ms)
    }

    /// Seals a key that was made elsewhere. Returns its public key, once it is durable. Never over an entry that is there.
    ///
    /// # Errors
    /// The id is taken; the key is none of this scheme; the file cannot be written.
    pub fn import(&self, id: &KeyId, scheme: Scheme, key: SecretKey, created_ms: u64) -> Result<Vec<u8>, KeystoreError> {
        let public_key = PublicHalf::of(scheme, key.expose_secret())?.encode();
        let kind = Some((scheme, public_key.clone()));
        let file = self.seal(&id.to_string(), kind, key.expose_secret(), created_ms)?;
        let _one_at_a_time = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        self.directory.create_file(&file_name(&id.to_string()), &file)?;
        Ok(public_key)
    }

    /// What is known of a key. Its file is opened, so that what is said is authentic.
    ///
    /// # Errors
    /// There is none; its file does not open.
    pub fn entry(&self, id: &KeyId) -> Result<IndexEntry, KeystoreError> {
        let (held, created_ms) = self.load(id)?;
        Ok(IndexEntry {
            id: id.clone(),
            scheme: held.public().scheme(),
            public_key: held.public().encode(),
            created_ms,
        })
    }

    /// The keys, in the order of their file names. Each is opened: the first time, that is a derivation for each.
    ///
    /// # Errors
    /// A file does not open.
    pub fn index(&self) -> Result<Vec<IndexEntry>, KeystoreError> {
        let ids = self.ids()?;
        let keys = ids.iter().filter_map(|id| id.parse().ok());
        keys.map(|id| self.entry(&id)).collect()
    }

    /// Erases a key: its file is removed, durably when this returns. What is gone already is no error.
    ///
    /// # Errors
    /// The file cannot be removed.
    pub fn destroy(&self, id: &KeyId) -> Result<(), KeystoreError> {
        self.remove(&id.to_string()).map(|_| ())
    }

    /// As [`crate::Vault::secret_set`]. One key derivation.
    ///
    /// # Errors
    /// It is empty or too long; there are too many; the file cannot be written.
    pub fn secret_set(&self, name: &KeyName, secret: &[u8], created_ms: u64) -> Result<(), KeystoreError> {
        if !(1..=SecretBytes::MAX).contains(&secret.len()) {
            return Err(KeystoreError::SecretLength(secret.len()));
        }
        let file = self.seal(name.as_str(), None, secret, created_ms)?;
        let _one_at_a_time = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(self.directory.replace_file(&file_name(name.as_str()), &file)?)
    }

    /// As [`crate::Vault::secret_get`]. One key derivation the first time.
    ///
    /// # Errors
    /// There is none of this name; its file does not open.
    pub fn secret_get(&self, name: &KeyName) -> Result<SecretBytes, KeystoreError> {
        self.secret_open(name).map(|(_, secret)| secret)
    }

    /// As [`crate::Vault::secret_list`].
    ///
    /// # Errors
    /// A file does not open.
    pub fn secret_list(&self) -> Result<Vec<SecretEntry>, KeystoreError> {
        let ids = self.ids()?;
        let names = ids.iter().filter_map(|id| id.parse::<KeyName>().ok());
        let entry = |name: KeyName| self.secret_open(&name).map(|(created_ms, _)| SecretEntry { name, created_ms });
        names.map(entry).collect()
    }

    /// As [`crate::Vault::secret_remove`].
    ///
    /// # Errors
    /// There is none of this name; the file cannot be removed.
    pub fn secret_remove(&self, name: &KeyName) -> Result<(), KeystoreError> {
        if self.remove(name.as_str())? {
            Ok(())
        } else {
            Err(KeystoreError::Unknown(name.to_string()))
        }
    }

    /// Reads, opens and shields a key.
    pub(crate) fn hold(&self, id: &KeyId) -> Result<HeldKey, KeystoreError> {
        self.load(id).map(|(held, _)| held)
    }

    fn load(&self, id: &KeyId) -> Result<(HeldKey, u64), KeystoreError> {
        let text = id.to_string();
        self.with_entry(&text, |parsed, key| {
            let Some((scheme, public_key)) = &parsed.label.key else {
                return Ok(Err(self.entry_error(&text, EncError::Kind("a secret, no key"))));
            };
            let held = HeldKey::fill(*scheme, |secret| {
                parsed.open(key, secret).map_err(|source| self.entry_error(&text, source))
            });
            Ok(match held {
                Ok(held) if held.public().encode() == *public_key => Ok((held, parsed.label.created_ms)),
                Ok(_) => Err(self.entry_error(&text, EncError::PublicKey)),
                Err(error) => Err(error),
            })
        })?
    }

    fn secret_open(&self, name: &KeyName) -> Result<(u64, SecretBytes), KeystoreError> {
        self.with_entry(name.as_str(), |parsed, key| {
            if parsed.label.key.is_some() {
                return Err(EncError::Kind("a key, which is not given out"));
            }
            let mut secret = vec![0; parsed.length()].into_boxed_slice();
            parsed.open(key, &mut secret)?;
            Ok((parsed.label.created_ms, SecretBytes::new(secret)))
        })
    }

    fn seal(&self, id: &str, key: Option<(Scheme, Vec<u8>)>, secret: &[u8], created_ms: u64) -> Result<Vec<u8>, KeystoreError> {
        let there = self.ids()?;
        if there.len() >= SECRETS_MAX && !there.iter().any(|other| other == id) {
            return Err(KeystoreError::Full(there.len()));
        }
        let label = Label {
            derivation: Derivation {
                iterations: ITERATIONS,
                salt: random()?,
            },
            nonce: random()?,
            created_ms,
            key,
            id: id.to_owned(),
        };
        let file_key = self.file_key(id, label.derivation)?;
        enc::seal(file_key.expose_secret(), &label, secret).map_err(|source| self.entry_error(id, source))
    }

    /// Reads an entry's file and hands it with its key to `work`.
    fn with_entry<T>(&self, id: &str, work: impl FnOnce(&Parsed<'_>, &[u8; 32]) -> Result<T, EncError>) -> Result<T, KeystoreError> {
        let file = match self.directory.read(&file_name(id), FILE_MAX) {
            Err(FileError::Missing(_)) => return Err(KeystoreError::Unknown(id.to_owned())),
            read => read?,
        };
        let parsed = enc::parse(&file, id).map_err(|source| self.entry_error(id, source))?;
        let key = self.file_key(id, parsed.label.derivation)?;
        work(&parsed, key.expose_secret()).map_err(|source| self.entry_error(id, source))
    }

    /// The key of one file: from memory if it was derived already, for the same salt and iterations.
    fn file_key(&self, id: &str, derivation: Derivation) -> Result<SecretBox<[u8; 32]>, KeystoreError> {
        let known = {
            let derived = self.derived.lock().unwrap_or_else(PoisonError::into_inner);
            derived.get(id).filter(|(of, _)| *of == derivation).map(|(_, key)| Arc::clone(key))
        };
        if let Some(known) = known {
            let known = known.open()?;
            return Ok(SecretBox::init_with_mut(|key: &mut [u8; 32]| {
                key.copy_from_slice(known.expose_secret());
            }));
        }
        let key = self
            .passphrase
            .with(|passphrase| derivation.key(passphrase))?
            .map_err(|source| self.entry_error(id, source))?;
        let kept = Arc::new(Kept::new(key.expose_secret())?);
        let mut derived = self.derived.lock().unwrap_or_else(PoisonError::into_inner);
        derived.insert(id.to_owned(), (derivation, kept));
        Ok(key)
    }

    fn remove(&self, id: &str) -> Result<bool, KeystoreError> {
        let _one_at_a_time = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        self.derived.lock().unwrap_or_else(PoisonError::into_inner).remove(id);
        Ok(self.directory.remove_file(&file_name(id))?)
    }

    /// The entries' ids, in order; what has not the form of one is left out.
    fn ids(&self) -> Result<Vec<String>, KeystoreError> {
        let names = self.directory.names()?;
        let mut ids: Vec<String> = names
            .iter()
            .filter_map(|name| name.strip_suffix(enc::SUFFIX))
            .filter(|id| id.parse::<KeyName>().is_ok() || id.parse::<KeyId>().is_ok())
            .map(str::to_owned)
            .collect();
        ids.sort();
        Ok(ids)
    }

    fn path_of(&self, id: &str) -> PathBuf {
        self.directory.path_of(&file_name(id))
    }

    fn entry_error(&self, id: &str, source: EncError) -> KeystoreError {
        KeystoreError::Entry {
            path: self.path_of(id),
            source,
        }
    }
}

fn file_name(id: &str) -> String {
    format!("{id}{}", enc::SUFFIX)
}

fn random<const N: usize>() -> Result<[u8; N], ShieldError> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(ShieldError::Random)?;
    Ok(bytes)
}

#[cfg(test)]
#[path = "keystore_tests.rs"]
mod tests;
