//! A backend does not open.

use sigwarden_keys::HoldError;

/// A backend does not open.
#[derive(Debug, thiserror::Error)]
pub enum BackendError {
    /// An environment variable gives no key.
    #[cfg(feature = "env-secrets")]
    #[error("backend `{backend}`: {error}")]
    Env {
        /// The backend.
        backend: String,
        /// Why.
        error: sigwarden_keys::EnvError,
    },
    /// The mock has no locked memory.
    #[error("backend `{backend}`: {error}")]
    Hold {
        /// The backend.
        backend: String,
        /// Why.
        error: HoldError,
    },
    /// A PIN does not come from where it should.
    #[error("backend `{backend}`, token `{token}`: the PIN: {what}")]
    Pin {
        /// The backend.
        backend: String,
        /// The token's label.
        token: String,
        /// Why.
        what: String,
    },
    /// A keystore does not open.
    #[error("backend `{backend}`: {what}")]
    Keystore {
        /// The backend.
        backend: String,
        /// Why.
        what: String,
    },
    /// A PKCS#11 backend cannot be made.
    #[error("{0}")]
    Pkcs11(String),
    /// A backend of remotes cannot be made.
    #[error("backend `{backend}`: {what}")]
    Remote {
        /// The backend.
        backend: String,
        /// Why.
        what: String,
    },
    /// The mock's script is wrong.
    #[error("backend `{backend}`: its script: {}", error.message())]
    Script {
        /// The backend.
        backend: String,
        /// Why.
        error: toml::de::Error,
    },
    /// The build has no such backend.
    #[error("backend `{0}`: this build has no `env` backend; build with the feature `env-secrets`, or use `sealed-file`")]
    Absent(String),
}
