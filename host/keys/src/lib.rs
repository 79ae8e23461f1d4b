//! Secrets, sealed files, and the backends that sign. The only crate that defines secret types.
//!
//! A key's way: [`Vault`] (files) → `HeldKey` (shielded in memory) → the locked arena, for one signature. Secret types have no Debug,
//! Clone or Serialize; `expose_secret` is the word to grep for. All `unsafe` is in `os.rs`. `docs/sealed-file.md` gives every byte of
//! the files.

mod arena;
mod bytes;
mod cache;
mod enc;
#[cfg(feature = "env-secrets")]
mod env;
#[cfg(feature = "env-secrets")]
mod env_secrets;
mod files;
mod harden;
mod held;
mod index;
mod keyring;
mod keystore;
mod keystore_backend;
mod lattices;
mod mock_hsm;
mod os;
mod passphrase;
mod pin;
mod schemes;
mod sealed;
mod sealed_file;
mod sealed_secret;
mod secret;
mod shield;
mod strength;
mod vault;
mod vault_error;

pub use enc::EncError;
#[cfg(feature = "env-secrets")]
pub use env::{EnvBackend, EnvError, variable_name};
#[cfg(feature = "env-secrets")]
pub use env_secrets::{EnvPreset, EnvSecrets, secret_variables_present};
pub use files::FileError;
pub use harden::{HardenError, harden_process};
pub use held::HoldError;
pub use index::IndexError;
pub use keyring::KeyringError;
pub use keystore::{Keystore, KeystoreError};
pub use keystore_backend::KeystoreBackend;
pub use mock_hsm::{Faults, MockHsm, MockScript};
pub use os::{ArenaError, TakeVariableError, limit_allocator, release_freed_memory, release_memory, wipe_what_this_thread_frees};
pub use passphrase::PassphraseError;
pub use pin::Pin;
pub use sealed::SealedError;
#[doc(hidden)]
pub use sealed::forged_header_is_faithful_and_opens_nothing;
pub use sealed_file::SealedFileBackend;
pub use sealed_secret::SealedSecretError;
pub use secret::{Passphrase, SecretBytes, SecretEntry, SecretKey, SecretKeyError, public_key_of, secret_key_bytes};
pub use shield::ShieldError;
pub use strength::{PassphraseFor, PassphraseWarning, WeakPassphrase, check_passphrase};
pub use vault::{IndexEntry, Vault, VaultError};

#[cfg(test)]
mod document_tests;
#[cfg(test)]
mod memory_tests;
