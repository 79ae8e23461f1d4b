//! Why a deployment does not open.

use super::{BackendError, KeyFault, PolicyError};
use crate::check::Finding;
use crate::config::LoadError;
use sigwarden_keys::{PassphraseError, VaultError, WeakPassphrase};
use sigwarden_ledger::{AdministerError, LockError, VerifyError};
use sigwarden_policy::EngineError;

/// Why a deployment does not open. Each names the file, field or key, and what would be right.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The configuration is unreadable or wrong.
    #[error(transparent)]
    Config(#[from] LoadError),
    /// Another process holds the deployment, or there is none.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// The network refuses what was found.
    #[error("{network} refuses this deployment:\n{}", .findings.iter().map(|finding| format!("  {finding}")).collect::<Vec<_>>().join("\n"))]
    Refused {
        /// The network.
        network: sigwarden_core::Network,
        /// What it refuses.
        findings: Vec<Finding>,
    },
    /// No passphrase.
    #[error("the passphrase: {0}")]
    Passphrase(#[from] PassphraseError),
    /// The passphrase is too weak for the network.
    #[error("the passphrase: {0}")]
    Weak(#[from] WeakPassphrase),
    /// The vault does not open.
    #[error(transparent)]
    Vault(#[from] VaultError),
    /// A backend does not open.
    #[error(transparent)]
    Backend(#[from] BackendError),
    /// The ledger does not open.
    #[error("the ledger: {0}")]
    Ledger(#[from] sigwarden_ledger::OpenError),
    /// The log does not hold.
    #[error("the ledger: {0}")]
    Log(#[from] VerifyError),
    /// Keys are not what the configuration or the ledger says.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    Keys(Vec<KeyFault>),
    /// The sandbox does not start.
    #[error("the sandbox: {0}")]
    Engine(#[from] EngineError),
    /// A policy does not load.
    #[error(transparent)]
    Policy(#[from] PolicyError),
    /// A listener's certificates.
    #[error(transparent)]
    Listener(#[from] crate::server::ListenerError),
    /// Traces cannot be sent.
    #[error("traces.endpoint: {0}")]
    Traces(#[from] sigwarden_telemetry::trace::TracesError),
    /// The start could not be recorded.
    #[error("the ledger: {0}")]
    Record(#[from] AdministerError),
    /// The system has no randomness.
    #[error("the system gives no random bytes: {0}")]
    Random(getrandom::Error),
    /// The marker cannot be written.
    #[error("the marker in state.marker_dir: {0}")]
    Marker(std::io::Error),
    /// Nobody knows where markers are.
    #[error("there is no place for the deployment's marker: this user has no home; give `marker_dir` under [state] in sigwarden.toml")]
    NoMarkerDir,
    /// The system gives no thread.
    #[error("the thread that watches files could not be started: {0}")]
    Watch(std::io::Error),
    /// A directory cannot be made.
    #[error("{}: {error}", dir.display())]
    Directory {
        /// The directory.
        dir: std::path::PathBuf,
        /// Why.
        error: std::io::Error,
    },
}
