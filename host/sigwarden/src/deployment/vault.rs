//! The vault, and the passphrase that opens it.

use super::error::OpenError;
use crate::config::{Config, PassphraseSource};
use sigwarden_keys::{Passphrase, PassphraseError, PassphraseFor, Vault, WeakPassphrase, check_passphrase};
use std::sync::Arc;

/// Opens the vault with the passphrase given, or the one from where the configuration says. None if no backend has one.
///
/// # Errors
/// No passphrase, the wrong one, or the vault is not as it must be.
pub fn open_vault(config: &Config, passphrase: Option<Passphrase>) -> Result<Option<Arc<Vault>>, OpenError> {
    let Some(dir) = config.vault_dir() else { return Ok(None) };
    let passphrase = match passphrase {
        Some(passphrase) => passphrase,
        None => read_passphrase(&config.passphrase)?,
    };
    judge_passphrase(&passphrase, config.network)?;
    Ok(Some(Arc::new(Vault::open(dir, &passphrase)?)))
}

/// Judges a passphrase as the network does; a warning goes to the log.
///
/// # Errors
/// It is too weak: its score, the rule, and how to do better.
pub(crate) fn judge_passphrase(passphrase: &Passphrase, network: sigwarden_core::Network) -> Result<(), WeakPassphrase> {
    for warning in check_passphrase(passphrase, network, PassphraseFor::Vault)? {
        tracing::warn!("the passphrase: {warning}");
    }
    Ok(())
}

/// Takes the passphrase from its source.
///
/// # Errors
/// There is none there.
pub fn read_passphrase(source: &PassphraseSource) -> Result<Passphrase, PassphraseError> {
    match source {
        PassphraseSource::Prompt => Passphrase::prompt("Passphrase of the deployment: "),
        PassphraseSource::File(path) => Passphrase::from_file(path),
        PassphraseSource::Variable(name) => Passphrase::from_env_var(name),
    }
}
