//! What can be wrong with a vault.

use crate::files::FileError;
use crate::index::IndexError;
use crate::keyring::KeyringError;
use crate::sealed::SealedError;
use crate::sealed_secret::SealedSecretError;
use crate::secret::{SecretBytes, SecretKeyError};
use crate::shield::ShieldError;
use sigwarden_core::key::{KeyId, KeyName};
use std::path::PathBuf;

/// Why a vault does not do as asked.
#[derive(Debug, thiserror::Error)]
pub enum VaultError {
    /// A file is not as it must be.
    #[error(transparent)]
    File(#[from] FileError),
    /// There is no vault.
    #[error("{} is no vault, since it has no `keyring.kek`; `sigwarden init` makes a deployment with one", .0.display())]
    NoVault(PathBuf),
    /// There is something already.
    #[error("no vault is made where something is already: {}", .0.display())]
    NotEmpty(PathBuf),
    /// `keyring.kek` does not open.
    #[error("{}: {source}", path.display())]
    Keyring {
        /// The file.
        path: PathBuf,
        /// Why.
        source: KeyringError,
    },
    /// The index is refused.
    #[error("{}: {source}", path.display())]
    Index {
        /// The file.
        path: PathBuf,
        /// Why.
        source: IndexError,
    },
    /// A sealed key does not open.
    #[error("{}: {source}", path.display())]
    Sealed {
        /// The file.
        path: PathBuf,
        /// Why.
        source: SealedError,
    },
    /// No such key.
    #[error("the vault has no key `{0}`; `sigwarden keys list` lists those it has")]
    UnknownKey(KeyId),
    /// The key is there already.
    #[error("the vault has a key `{0}` already; a new one is a new version")]
    KeyExists(KeyId),
    /// A file that nothing names is in the way.
    #[error(
        "{path} is left from a `keys generate` or `keys import` that was interrupted. No public key of it was ever shown; move it away: \
         `mv {path} {path}.stray`",
        path = .0.display()
    )]
    Stray(PathBuf),
    /// A sealed secret does not open.
    #[error("{}: {source}", path.display())]
    Secret {
        /// The file.
        path: PathBuf,
        /// Why.
        source: SealedSecretError,
    },
    /// No such secret.
    #[error("there is no secret `{0}`; `sigwarden secrets list` lists those there are")]
    UnknownSecret(KeyName),
    /// A secret of no length, or too long a one.
    #[error("a secret has 1 to {max} bytes, these are {0}", max = SecretBytes::MAX)]
    SecretLength(usize),
    /// Too many secrets.
    #[error("there are {0} secrets, and no more are kept: remove those that nobody needs")]
    SecretsFull(usize),
    /// A key is none.
    #[error(transparent)]
    Key(#[from] SecretKeyError),
    /// No locked memory, no randomness.
    #[error(transparent)]
    Shield(#[from] ShieldError),
}
