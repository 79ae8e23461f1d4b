//! The directory of sealed keys: `keyring.kek`, `index`, and one `KEY_ID.key` for each key.
//!
//! A key's file is durable before the index names it, so that a crash leaves at most a file that nothing names: harmless, since its
//! public key was never given out, and listed by [`Vault::strays`].

use crate::files::{Directory, FileError, TEMPORARY_SUFFIX};
use crate::held::HeldKey;
use crate::index::{self, IndexError};
use crate::keyring::{self, Cost, Fresh};
use crate::schemes::PublicHalf;
use crate::sealed::{self, FileKey, Label, SealedError};
use crate::sealed_secret;
use crate::secret::{Passphrase, ROOT_KEY_BYTES, RootKey, SecretKey};
use crate::shield::{Shield, ShieldError, Shielded};
pub use crate::vault_error::VaultError;
use secrecy::{ExposeSecret, SecretBox};
use sigwarden_core::Scheme;
use sigwarden_core::key::KeyId;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use zeroize::Zeroizing;

/// A deployment's sealed keys, with the root key that opens them shielded in memory.
pub struct Vault {
    pub(crate) directory: Directory,
    shield: &'static Shield,
    root: Shielded,
    index: RwLock<Arc<BTreeMap<KeyId, Label>>>,
    /// Held while keys are added: the index is read, changed and written by one thread at a time.
    pub(crate) adding: Mutex<()>,
}

/// What the index says of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IndexEntry {
    /// Name and version.
    pub id: KeyId,
    /// How it signs.
    pub scheme: Scheme,
    /// In the scheme's encoding.
    pub public_key: Vec<u8>,
    /// When it was made or imported, milliseconds since the Unix epoch.
    pub created_ms: u64,
}

impl Vault {
    /// Makes a vault in a directory that has none, and opens it. One key derivation.
    ///
    /// # Errors
    /// There is a vault, or parts of one, already; the directory cannot be written.
    pub fn create(directory: &Path, passphrase: &Passphrase) -> Result<Self, VaultError> {
        Self::create_with(directory, passphrase, Cost::DEFAULT)
    }

    pub(crate) fn create_with(directory: &Path, passphrase: &Passphrase, cost: Cost) -> Result<Self, VaultError> {
        let directory = Directory::create(directory)?;
        if let Some(name) = directory.names()?.iter().find(|name| is_ours(name)) {
            return Err(VaultError::NotEmpty(directory.path_of(name)));
        }
        let root = RootKey::fill(|root| getrandom::fill(root)).map_err(ShieldError::Random)?;
        let fresh = Fresh {
            salt: random()?,
            nonce: random()?,
        };
        let kek = keyring::wrap(passphrase, &root, cost, &fresh).map_err(|source| VaultError::Keyring {
            path: directory.path_of(keyring::NAME),
            source,
        })?;
        directory.create_file(keyring::NAME, &kek)?;
        let vault = Self::with_root(directory, &root)?;
        vault.write_index(BTreeMap::new())?;
        Ok(vault)
    }

    /// Opens a vault: reads `keyring.kek` and the index, and no sealed key. One key derivation.
    ///
    /// # Errors
    /// There is none; the passphrase is wrong; a file is damaged or others can reach it.
    pub fn open(directory: &Path, passphrase: &Passphrase) -> Result<Self, VaultError> {
        let directory = match Directory::open(directory) {
            Err(FileError::Missing(path)) => return Err(VaultError::NoVault(path)),
            opened => opened?,
        };
        let kek = match directory.read(keyring::NAME, keyring::SIZE as u64) {
            Err(FileError::Missing(_)) => return Err(VaultError::NoVault(directory.path_of(""))),
            read => read?,
        };
        // Before the derivation, which takes long: what is wrong with the index's file needs no passphrase.
        let stored = match directory.read(index::NAME, index::MAX) {
            // `create` was interrupted between its two files: there is no key, so none is lost.
            Err(FileError::Missing(_)) if !directory.names()?.iter().any(|name| name.ends_with(sealed::SUFFIX)) => None,
            read => Some(read?),
        };
        let root = keyring::unwrap(passphrase, &kek).map_err(|source| VaultError::Keyring {
            path: directory.path_of(keyring::NAME),
            source,
        })?;
        let vault = Self::with_root(directory, &root)?;
        match stored {
            None => vault.write_index(BTreeMap::new())?,
            Some(stored) => {
                let entries = index::decode(vault.index_key()?.expose_secret(), &stored).map_err(|source| vault.index_error(source))?;
                vault.set_index(entries);
            }
        }
        for stray in vault.strays()? {
            tracing::warn!(path = %stray.display(), "left from an interrupted command; no key in use needs it");
        }
        Ok(vault)
    }

    fn with_root(directory: Directory, root: &RootKey) -> Result<Self, VaultError> {
        let shield = Shield::of_process()?;
        let (root, ()) = shield.close(ROOT_KEY_BYTES, |secret| {
            secret.copy_from_slice(root.expose_secret());
            Ok::<_, ShieldError>(())
        })?;
        Ok(Self {
            directory,
            shield,
            root,
            index: RwLock::new(Arc::default()),
            adding: Mutex::new(()),
        })
    }

    /// Draws a key and seals it. Returns the public key, once both are durable.
    ///
    /// # Errors
    /// The id is taken; a file cannot be written.
    pub fn generate(&self, id: &KeyId, scheme: Scheme, created_ms: u64) -> Result<Vec<u8>, VaultError> {
        Ok(self.add([(id.clone(), scheme, SecretKey::generate(scheme)?)], created_ms)?.concat())
    }

    /// As [`Self::generate`] for many keys, with one write of the index and one wait for the disk. Public keys in the given order.
    ///
    /// # Errors
    /// An id is taken or named twice; a file cannot be written. Then none of them is in the index.
    pub fn generate_many(&self, keys: &[(KeyId, Scheme)], created_ms: u64) -> Result<Vec<Vec<u8>>, VaultError> {
        let drawn: Result<Vec<_>, _> = keys
            .iter()
            .map(|(id, scheme)| SecretKey::generate(*scheme).map(|key| (id.clone(), *scheme, key)))
            .collect();
        self.add(drawn?, created_ms)
    }

    /// Seals a key that was made elsewhere. Returns its public key, once both are durable.
    ///
    /// # Errors
    /// The id is taken; the key is none of this scheme; a file cannot be written.
    pub fn import(&self, id: &KeyId, scheme: Scheme, key: SecretKey, created_ms: u64) -> Result<Vec<u8>, VaultError> {
        Ok(self.add([(id.clone(), scheme, key)], created_ms)?.concat())
    }

    fn add(&self, keys: impl IntoIterator<Item = (KeyId, Scheme, SecretKey)>, created_ms: u64) -> Result<Vec<Vec<u8>>, VaultError> {
        let _one_at_a_time = self.adding.lock().unwrap_or_else(PoisonError::into_inner);
        let mut entries = BTreeMap::clone(&self.entries());
        let (mut files, mut public_keys) = (Vec::new(), Vec::new());
        for (id, scheme, key) in keys {
            if entries.contains_key(&id) {
                return Err(VaultError::KeyExists(id));
            }
            let public_key = PublicHalf::of(scheme, key.expose_secret())?.encode();
            public_keys.push(public_key.clone());
            let label = Label {
                file_id: random()?,
                id: id.clone(),
                scheme,
                public_key,
                created_ms,
            };
            files.push((sealed::file_name(&id), self.seal(&label, &key)?));
            entries.insert(id, label);
        }
        let written = match files.as_slice() {
            [(name, bytes)] => self.directory.create_file(name, bytes),
            files => self.directory.create_files(files),
        };
        // The index does not name it, so it was left behind.
        if let Err(FileError::Exists(path)) = written {
            return Err(VaultError::Stray(path));
        }
        written?;
        self.write_index(entries)?;
        Ok(public_keys)
    }

    fn seal(&self, label: &Label, key: &SecretKey) -> Result<Vec<u8>, VaultError> {
        let file_key = self.file_key(label)?;
        let mut secret = Zeroizing::new(key.expose_secret().to_vec());
        sealed::seal(&file_key, label, &random()?, &mut secret).map_err(|source| self.sealed_error(&label.id, source))
    }

    /// The keys, in the order of their ids.
    #[must_use]
    pub fn index(&self) -> Vec<IndexEntry> {
        self.entries().values().map(entry_of).collect()
    }

    /// What the index says of one key.
    #[must_use]
    pub fn entry(&self, id: &KeyId) -> Option<IndexEntry> {
        self.entries().get(id).map(entry_of)
    }

    /// Files that nothing names, left from interrupted commands: harmless, and never touched.
    ///
    /// # Errors
    /// The directory cannot be listed.
    pub fn strays(&self) -> Result<Vec<PathBuf>, VaultError> {
        let entries = self.entries();
        let mut strays: Vec<PathBuf> = Vec::new();
        for name in self.directory.names()? {
            let known = name
                .strip_suffix(sealed::SUFFIX)
                .is_none_or(|id| id.parse().is_ok_and(|id| entries.contains_key(&id)));
            if !known || name.ends_with(TEMPORARY_SUFFIX) {
                strays.push(self.directory.path_of(&name));
            }
        }
        strays.sort();
        Ok(strays)
    }

    /// A key for another purpose of this deployment, such as the code cache's authentication:
    /// `HKDF-SHA-256(root, info = "sigwarden subkey v1 " || purpose)`.
    ///
    /// # Errors
    /// The root key was changed in memory.
    pub fn subkey(&self, purpose: &str) -> Result<[u8; 32], VaultError> {
        Ok(*self.derive(&[b"sigwarden subkey v1 ", purpose.as_bytes()])?.expose_secret())
    }

    /// Whether a key's file is there, this user's, of mode 0600, and as long as one may be. Does not open it.
    ///
    /// # Errors
    /// It is not, or the vault has no such key.
    pub fn check_file(&self, id: &KeyId) -> Result<(), VaultError> {
        if !self.entries().contains_key(id) {
            return Err(VaultError::UnknownKey(id.clone()));
        }
        self.directory.read(&sealed::file_name(id), sealed::MAX)?;
        Ok(())
    }

    /// Opens a key's file and forgets it again: what a signature would need holds.
    ///
    /// # Errors
    /// The file is missing, another's, damaged, or holds another key.
    pub fn check_key(&self, id: &KeyId) -> Result<(), VaultError> {
        self.hold(id).map(|_| ())
    }

    /// Erases a key: its sealed file is removed, durably when this returns. Its public half stays in the index, so that its id is never
    /// given again. What is gone already is no error, so that a start may repeat it for every key that the ledger calls destroyed.
    ///
    /// The file was encrypted under a key that is derived from the root key and the file's random id. Both remain in backups of the
    /// vault, and so does the key: destroy those too.
    ///
    /// # Errors
    /// The vault has no such key; the file cannot be removed.
    pub fn destroy(&self, id: &KeyId) -> Result<(), VaultError> {
        let _one_at_a_time = self.adding.lock().unwrap_or_else(PoisonError::into_inner);
        if !self.entries().contains_key(id) {
            return Err(VaultError::UnknownKey(id.clone()));
        }
        self.directory.remove_file(&sealed::file_name(id))?;
        Ok(())
    }

    /// Reads, opens and shields a sealed key.
    pub(crate) fn hold(&self, id: &KeyId) -> Result<HeldKey, VaultError> {
        let entries = self.entries();
        let label = entries.get(id).ok_or_else(|| VaultError::UnknownKey(id.clone()))?;
        let file = self.directory.read(&sealed::file_name(id), sealed::MAX)?;
        let file_key = self.file_key(label)?;
        let held = HeldKey::fill(label.scheme, |secret| {
            sealed::open(&file_key, label, &file, secret).map_err(|source| self.sealed_error(id, source))
        })?;
        if held.public().encode() != label.public_key {
            return Err(self.sealed_error(id, SealedError::PublicKey));
        }
        Ok(held)
    }

    fn file_key(&self, label: &Label) -> Result<FileKey, VaultError> {
        self.shield
            .open(&self.root, |root| FileKey::derive(root, &label.file_id))?
            .map_err(|source| self.sealed_error(&label.id, source))
    }

    pub(crate) fn derive(&self, info: &[&[u8]]) -> Result<SecretBox<[u8; 32]>, VaultError> {
        self.shield
            .open(&self.root, |root| sealed::subkey(root, info))?
            .map_err(|source| VaultError::Sealed {
                path: self.directory.path_of(keyring::NAME),
                source,
            })
    }

    fn index_key(&self) -> Result<SecretBox<[u8; 32]>, VaultError> {
        self.derive(&[b"sigwarden key index v1"])
    }

    fn write_index(&self, entries: BTreeMap<KeyId, Label>) -> Result<(), VaultError> {
        let file = index::encode(self.index_key()?.expose_secret(), &entries).map_err(|source| self.index_error(source))?;
        self.directory.replace_file(index::NAME, &file)?;
        self.set_index(entries);
        Ok(())
    }

    fn set_index(&self, entries: BTreeMap<KeyId, Label>) {
        *self.index.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(entries);
    }

    fn entries(&self) -> Arc<BTreeMap<KeyId, Label>> {
        Arc::clone(&self.index.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn sealed_error(&self, id: &KeyId, source: SealedError) -> VaultError {
        VaultError::Sealed {
            path: self.directory.path_of(&sealed::file_name(id)),
            source,
        }
    }

    fn index_error(&self, source: IndexError) -> VaultError {
        VaultError::Index {
            path: self.directory.path_of(index::NAME),
            source,
        }
    }
}

fn is_ours(name: &str) -> bool {
    name == keyring::NAME || name == index::NAME || name.ends_with(sealed::SUFFIX) || name.ends_with(sealed_secret::SUFFIX)
}

fn entry_of(label: &Label) -> IndexEntry {
    IndexEntry {
        id: label.id.clone(),
        scheme: label.scheme,
        public_key: label.public_key.clone(),
        created_ms: label.created_ms,
    }
}

pub(crate) fn random<const N: usize>() -> Result<[u8; N], VaultError> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(ShieldError::Random)?;
    Ok(bytes)
}

#[cfg(test)]
#[path = "vault_tests.rs"]
pub(crate) mod tests;
